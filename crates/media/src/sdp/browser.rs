//! The SDP of a browser, reduced to the one medium that is spoken: what `str0m` is given of it, and what is written around its
//! answer. Other media keep their places with port zero (RFC 3264 §6), outside the bundle (RFC 9143 §7.3.3).
//!
//! Never lets a second medium near the connection: no video, no data channel, no second audio.

use sdp_types::{Media, Session};

use super::{Agreed, Role, agree, cut, mapped, place_of_audio, read, value};
use crate::codec::Encoding;

/// An offer or answer that was read.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    /// What is agreed, with the payload types that stand there.
    pub(crate) agreed: Agreed,
    /// The `a=mid` of the audio.
    pub(crate) mid: String,
    /// Of the peer's certificate, in capital letters.
    pub(crate) fingerprint: Option<String>,
    /// The session and the audio alone.
    pub(crate) reduced: String,
    place: usize,
    /// How each medium is refused; that of the audio is not used.
    refusals: Vec<String>,
}

impl Browser {
    /// Reads it within the bounds of every SDP; what is wrong with it is said in a sentence.
    pub(crate) fn read(role: Role, text: &str, spoken: &[Encoding]) -> Result<Self, String> {
        let session = read(text)?;
        let place = place_of_audio(role, &session)?;
        let audio = &session.medias[place];
        if !matches!(
            audio.proto.as_str(),
            "UDP/TLS/RTP/SAVPF" | "UDP/TLS/RTP/SAVP"
        ) {
            return Err(format!(
                "the {role} asks for {:?} where UDP/TLS/RTP/SAVPF is spoken",
                cut(&audio.proto)
            ));
        }
        let mid =
            value(audio, "mid").ok_or_else(|| format!("the audio of the {role} has no a=mid"))?;
        if !is_name(mid) {
            return Err("the a=mid of the audio is no token of at most 16 letters".to_owned());
        }
        Ok(Self {
            agreed: agree(role, audio, spoken)?,
            mid: mid.to_owned(),
            fingerprint: fingerprint(&session, audio),
            reduced: reduce(text, place, mid),
            place,
            refusals: session.medias.iter().map(refusal_of).collect(),
        })
    }

    /// The answer to the reduced offer as the answer to the whole of it, with the agreed codec alone: a browser sends in the first
    /// that it finds.
    pub(crate) fn answer(&self, answer: &str, agreed: &Agreed) -> String {
        let begins = answer.find("m=").unwrap_or(answer.len());
        let (head, audio) = answer.split_at(begins);
        let mut text = head.to_owned();
        for (place, refusal) in self.refusals.iter().enumerate() {
            if place == self.place {
                write_agreed(audio, agreed, &mut text);
            } else {
                text.push_str(refusal);
            }
        }
        text
    }
}

fn is_name(mid: &str) -> bool {
    !mid.is_empty() && mid.len() <= 16 && mid.bytes().all(|byte| byte.is_ascii_graphic())
}

/// RFC 8122 §5: of the medium, or of the session.
fn fingerprint(session: &Session, audio: &Media) -> Option<String> {
    let of_session = || session.get_first_attribute_value("fingerprint").flatten();
    value(audio, "fingerprint")
        .or_else(of_session)
        .map(str::to_ascii_uppercase)
}

/// The lines of the session and of the medium at this place, as they came, in a bundle of one.
fn reduce(text: &str, place: usize, mid: &str) -> String {
    let mut reduced = String::with_capacity(text.len());
    // The session has no place among the media.
    let mut at: Option<usize> = None;
    for line in text.lines() {
        if line.starts_with("m=") {
            if at.is_none() {
                reduced.push_str(&format!("a=group:BUNDLE {mid}\r\n"));
            }
            at = Some(at.map_or(0, |at| at + 1));
        }
        let is_kept = match at {
            None => !line.starts_with("a=group:"),
            Some(at) => at == place,
        };
        if is_kept {
            reduced.push_str(line);
            reduced.push_str("\r\n");
        }
    }
    reduced
}

fn refusal_of(media: &Media) -> String {
    let mut text = super::refusal_of(media);
    text.push_str("c=IN IP4 0.0.0.0\r\na=inactive\r\n");
    // Some peers look up even what is refused.
    let number = media.fmt.split_ascii_whitespace().next();
    let number = number.and_then(|number| number.parse().ok());
    if let Some((number, (name, clock))) =
        number.and_then(|number| Some((number, mapped(media, number)?)))
    {
        text.push_str(&format!("a=rtpmap:{number} {name}/{clock}\r\n"));
    }
    if let Some(mid) = value(media, "mid").filter(|mid| is_name(mid)) {
        text.push_str(&format!("a=mid:{mid}\r\n"));
    }
    text
}

/// The audio with its agreed payload types, and what is said of them.
fn write_agreed(audio: &str, agreed: &Agreed, text: &mut String) {
    let events = agreed.events.map(|events| events.payload_type);
    let is_agreed = |number: &str| {
        let number: Option<u8> = number.parse().ok();
        number.is_some() && (number == Some(agreed.payload_type) || number == events)
    };
    for line in audio.lines() {
        if let Some(rest) = line.strip_prefix("m=") {
            let mut words = rest.split(' ');
            let head: Vec<&str> = words.by_ref().take(3).collect();
            text.push_str(&format!("m={}", head.join(" ")));
            for number in words.filter(|number| is_agreed(number)) {
                text.push_str(&format!(" {number}"));
            }
            text.push_str("\r\n");
            continue;
        }
        let of_number = ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"]
            .iter()
            .find_map(|name| line.strip_prefix(name)?.split(' ').next());
        if of_number.is_none_or(is_agreed) {
            text.push_str(line);
            text.push_str("\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:0\r\na=rtpmap:96 VP8/90000\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 8 0\r\na=mid:1\r\na=fingerprint:sha-256 ab:cd\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n";
    const SPOKEN: [Encoding; 2] = [Encoding::Pcma, Encoding::Pcmu];

    #[test]
    fn an_offer_is_reduced_to_its_audio_and_the_answer_has_all_media_again() {
        let read = Browser::read(Role::Offer, OFFER, &SPOKEN).unwrap();
        assert_eq!(
            read.reduced,
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 1\r\n\
             m=audio 9 UDP/TLS/RTP/SAVPF 8 0\r\na=mid:1\r\na=fingerprint:sha-256 ab:cd\r\n"
        );
        assert_eq!(read.fingerprint.as_deref(), Some("SHA-256 AB:CD"));
        let answer = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 8 0\r\na=mid:1\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n";
        assert_eq!(
            read.answer(answer, &read.agreed),
            "v=0\r\nm=video 0 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\na=rtpmap:96 VP8/90000\r\na=mid:0\r\n\
             m=audio 9 UDP/TLS/RTP/SAVPF 8\r\na=mid:1\r\na=rtpmap:8 PCMA/8000\r\n\
             m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\na=mid:2\r\n"
        );
    }
}
