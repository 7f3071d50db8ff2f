//! The SDP of browsers as str0m reads and writes it, and in our words.
//!
//! Never reads what [`crate::sdp::Browser`] has not read before, within its bounds.

use str0m::change::SdpOffer;
use str0m::format::Codec as Format;
use str0m::media::Mid;
use str0m::{Rtc, RtcError};

use crate::codec::Encoding;
use crate::sdp::{self, Agreed, Browser, Events, Role};

/// Our answer to the reduced offer.
pub(super) fn accept_offer(rtc: &mut Rtc, read: &Browser) -> Result<String, String> {
    // str0m looks up no names: a candidate that has one is none to it, and we are lite and send no checks.
    let offer = SdpOffer::from_sdp_string(&read.reduced)
        .map_err(|error| format!("the SDP cannot be read: {error}"))?;
    let answer = rtc
        .sdp_api()
        .accept_offer(offer)
        .map_err(|error| refusal(Role::Offer, &error))?;
    Ok(answer.to_sdp_string())
}

/// With the payload types that str0m has found in the SDP.
pub(super) fn agreed(rtc: &Rtc, mid: Mid, wanted: &Agreed, role: Role) -> Result<Agreed, String> {
    let encoding = wanted.encoding;
    let media = rtc
        .media(mid)
        .filter(|media| !media.disabled())
        .ok_or_else(|| sdp::no_codec(role))?;
    let common: Vec<(u8, Format, u32)> = media
        .remote_pts()
        .iter()
        .filter_map(|number| {
            let params = rtc.codec_config().find(|params| params.pt() == *number)?;
            let spec = params.spec();
            Some((**number, spec.codec, spec.clock_rate.get()))
        })
        .collect();
    let sound = common
        .iter()
        .find(|(_, known, _)| format(encoding) == Some(*known))
        .ok_or_else(|| sdp::no_codec(role))?;
    let clock = wanted.events.map(|events| events.clock);
    let events = common.iter().filter(|(_, known, _)| *known == Format::Tele);
    let mut events = events.map(|(payload_type, _, clock)| Events {
        payload_type: *payload_type,
        clock: *clock,
    });
    Ok(Agreed {
        encoding,
        payload_type: sound.0,
        events: events.clone().find(|events| Some(events.clock) == clock),
        other_events: events.find(|events| Some(events.clock) != clock),
    })
}

/// Strangers need not know what we are built from (RFC 8866 §5.2: `-` is no name); each SDP of a session has a higher version than
/// the one before (RFC 3264 §8); and candidates do not repeat the `ice-ufrag`, which in str0m is that of an ICE before, so that a
/// browser would leave them aside.
pub(super) fn in_our_words(sdp: &str, version: u64) -> String {
    let mut text = String::with_capacity(sdp.len());
    for line in sdp.lines() {
        let mut words = line.split(' ');
        match words.next() {
            Some(origin) if origin.starts_with("o=") => {
                let session = words.next().unwrap_or("0");
                let rest: Vec<&str> = words.skip(1).collect();
                text.push_str(&format!("o=- {session} {version} {}", rest.join(" ")));
            }
            Some(candidate) if candidate.starts_with("a=candidate:") => {
                text.push_str(line.split(" ufrag ").next().unwrap_or(line));
            }
            Some(_) | None => text.push_str(line),
        }
        text.push_str("\r\n");
    }
    text
}

fn format(encoding: Encoding) -> Option<Format> {
    match encoding {
        Encoding::Pcmu => Some(Format::PCMU),
        Encoding::Pcma => Some(Format::PCMA),
        Encoding::Opus => Some(Format::Opus),
        Encoding::Linear(_) => None,
    }
}

pub(super) fn refusal(role: Role, error: &RtcError) -> String {
    match role {
        Role::Offer => format!("the SDP offer cannot be answered: {error}"),
        Role::Answer => format!("the SDP answer cannot be taken: {error}"),
    }
}
