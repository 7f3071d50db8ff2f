//! SDP (RFC 8866) of RTP legs, plain or protected: an offer read and answered, or written and its answer read (RFC 3264); and the
//! bounds of every SDP, whatever it asks for.
//!
//! Never looks up a name: an address is written in numbers or is refused. Grammar comes from the crate `sdp-types`.

mod browser;
mod crypto;
#[cfg(test)]
mod crypto_tests;

use std::fmt::{self, Write as _};
use std::net::{IpAddr, SocketAddr};

use model::limits::{SDP_BYTES, SDP_LINES, SDP_MEDIA};
use sdp_types::{Connection, Media, Session};

use crate::codec::Encoding;

pub(crate) use browser::Browser;
pub use crypto::{Crypto, Profile};

/// Payload types of an offer of ours (RFC 3551 §6: those of PCMU and PCMA are fixed).
const OPUS: u8 = 111;
const EVENTS: u8 = 101;
/// Transports (RFC 3551 §3, RFC 3711 §12).
const PLAIN: &str = "RTP/AVP";
const PROTECTED: &str = "RTP/SAVP";

/// What an SDP of the peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Offer,
    Answer,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Offer => "offer",
            Self::Answer => "answer",
        })
    }
}

/// The refusal of an SDP with which nothing can be done.
pub(crate) fn no_codec(role: Role) -> String {
    format!("the {role} has no audio that is spoken here: opus, PCMU or PCMA")
}

/// What both sides speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The codec of what we send.
    pub encoding: Encoding,
    /// Its payload type.
    pub payload_type: u8,
    /// How keys are sent, if not as tones.
    pub events: Option<Events>,
    /// As what else they may come: a browser that was called takes the clock of 8000 Hz, whatever its codec's is.
    pub other_events: Option<Events>,
}

/// Telephone-events (RFC 4733) of one clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events {
    /// Their payload type.
    pub payload_type: u8,
    /// Their clock.
    pub clock: u32,
}

/// Who may send (RFC 3264 §5.1), seen from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    Both,
    /// The peer alone.
    Send,
    /// We alone.
    Receive,
    /// Nobody.
    Neither,
}

/// How an RTP leg is named in its SDP.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// Any number of ours.
    pub session: u64,
    /// Raised with each SDP of the session (RFC 3264 §8).
    pub version: u64,
    /// Where we hear.
    pub local: SocketAddr,
}

impl Own {
    fn head(&self) -> String {
        let (session, version, ip) = (self.session >> 1, self.version, self.local.ip());
        let kind = if ip.is_ipv4() { "IP4" } else { "IP6" };
        format!(
            "v=0\r\no=- {session} {version} IN {kind} {ip}\r\ns=-\r\nc=IN {kind} {ip}\r\nt=0 0\r\n"
        )
    }
}

/// An offer of RTP that can be answered, or the answer to ours.
#[derive(Clone, Debug)]
pub struct Offer {
    /// What is agreed.
    pub agreed: Agreed,
    /// Where the peer hears; nothing while it is on hold by address (RFC 3264 §8.4).
    pub media: Option<SocketAddr>,
    /// Where its reports go; nothing where they share the port.
    pub control: Option<Option<SocketAddr>>,
    /// Who may send.
    pub direction: Direction,
    /// What the peer encrypts with; nothing where RTP is plain.
    pub crypto: Option<Crypto>,
    /// As it stands there, or plain RTP without feedback.
    proto: &'static str,
    /// The place of the audio among the media, and how each of the others is to be refused.
    place: usize,
    others: Vec<String>,
}

impl Offer {
    /// Reads an offer; what is wrong with it is said in a sentence.
    pub fn read(text: &str, preferred: &[Encoding], profile: Profile) -> Result<Self, String> {
        Self::read_as(Role::Offer, text, preferred, profile)
    }

    /// Reads the answer to an offer of ours.
    pub fn read_answer(text: &str, spoken: &[Encoding], profile: Profile) -> Result<Self, String> {
        Self::read_as(Role::Answer, text, spoken, profile)
    }

    fn read_as(
        role: Role,
        text: &str,
        preferred: &[Encoding],
        profile: Profile,
    ) -> Result<Self, String> {
        let session = read(text)?;
        let place = place_of_audio(role, &session)?;
        let media = &session.medias[place];
        let proto = proto(role, media, profile)?;
        let is_protected = proto != PLAIN;
        let crypto = is_protected
            .then(|| crypto::read(role, media))
            .transpose()?;
        let agreed = agree(role, media, preferred)?;
        let address = peer_address(role, &session, media)?;
        let shares_port = media.has_attribute("rtcp-mux");
        Ok(Self {
            agreed,
            media: address.map(|ip| SocketAddr::new(ip, media.port)),
            control: (!shares_port).then(|| control_address(media, address)),
            direction: direction(&session, media),
            crypto,
            proto,
            place,
            others: session.medias.iter().map(refusal_of).collect(),
        })
    }

    /// Our answer, with what we encrypt with where the offer is protected.
    pub fn answer(&self, own: &Own, crypto: Option<&Crypto>) -> String {
        let mut text = own.head();
        let local = own.local;
        for (place, other) in self.others.iter().enumerate() {
            if place == self.place {
                self.write_audio(local.port(), crypto, &mut text);
            } else {
                text.push_str(other);
            }
        }
        text
    }

    fn write_audio(&self, port: u16, crypto: Option<&Crypto>, text: &mut String) {
        let Agreed {
            encoding,
            payload_type,
            events,
            other_events: _,
        } = self.agreed;
        let _ = write!(text, "m=audio {port} {} {payload_type}", self.proto);
        if let Some(events) = events {
            let _ = write!(text, " {}", events.payload_type);
        }
        let channels = if encoding == Encoding::Opus { "/2" } else { "" };
        let clock = encoding.clock();
        let _ = write!(
            text,
            "\r\na=rtpmap:{payload_type} {encoding}/{clock}{channels}\r\n"
        );
        if let Some(Events {
            payload_type,
            clock,
        }) = events
        {
            let _ = write!(
                text,
                "a=rtpmap:{payload_type} telephone-event/{clock}\r\na=fmtp:{payload_type} 0-15\r\n"
            );
        }
        text.push_str("a=ptime:20\r\n");
        text.push_str(match self.direction {
            Direction::Both => "a=sendrecv\r\n",
            Direction::Send => "a=recvonly\r\n",
            Direction::Receive => "a=sendonly\r\n",
            Direction::Neither => "a=inactive\r\n",
        });
        if self.control.is_none() {
            text.push_str("a=rtcp-mux\r\n");
        }
        if let Some(crypto) = crypto {
            crypto.write(text);
        }
    }
}

/// Our offer of RTP; with keys, each for another suite, of protected RTP alone.
pub fn offer(own: &Own, spoken: &[Encoding], crypto: &[Crypto]) -> String {
    let (mut numbers, mut maps) = (String::new(), String::new());
    for encoding in spoken {
        let (number, channels) = match encoding {
            Encoding::Pcmu => (0, ""),
            Encoding::Pcma => (8, ""),
            Encoding::Opus => (OPUS, "/2"),
            // Nobody asks for it over the network.
            Encoding::Linear(_) => continue,
        };
        let clock = encoding.clock();
        let _ = write!(numbers, " {number}");
        let _ = write!(maps, "a=rtpmap:{number} {encoding}/{clock}{channels}\r\n");
    }
    let (head, port) = (own.head(), own.local.port());
    let proto = if crypto.is_empty() { PLAIN } else { PROTECTED };
    let mut text = format!(
        "{head}m=audio {port} {proto}{numbers} {EVENTS}\r\n\
         {maps}a=rtpmap:{EVENTS} telephone-event/8000\r\na=fmtp:{EVENTS} 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    );
    for crypto in crypto {
        crypto.write(&mut text);
    }
    text
}

/// What is asked for, if that is spoken on this leg.
fn proto(role: Role, media: &Media, profile: Profile) -> Result<&'static str, String> {
    let (proto, is_protected) = match media.proto.as_str() {
        "RTP/AVP" | "RTP/AVPF" => (Some(PLAIN), false),
        "RTP/SAVP" => (Some(PROTECTED), true),
        "RTP/SAVPF" => (Some("RTP/SAVPF"), true),
        _ => (None, false),
    };
    let (is_spoken, spoken) = match profile {
        Profile::Plain => (!is_protected, PLAIN),
        Profile::Protected => (is_protected, PROTECTED),
        Profile::Either => (true, "RTP/SAVP or RTP/AVP"),
    };
    proto.filter(|_| is_spoken).ok_or_else(|| {
        let asked = cut(&media.proto);
        format!("the {role} asks for {asked:?} where {spoken} is spoken")
    })
}

fn place_of_audio(role: Role, session: &Session) -> Result<usize, String> {
    session
        .medias
        .iter()
        .position(|media| media.media == "audio" && media.port != 0)
        .ok_or_else(|| format!("the {role} has no audio"))
}

fn read(text: &str) -> Result<Session, String> {
    if text.len() > SDP_BYTES {
        return Err(format!("the SDP has more than {SDP_BYTES} bytes"));
    }
    if text.lines().count() > SDP_LINES {
        return Err(format!("the SDP has more than {SDP_LINES} lines"));
    }
    let session = Session::parse(text.as_bytes())
        .map_err(|error| format!("the SDP cannot be read: {error}"))?;
    if session.medias.len() > SDP_MEDIA {
        return Err(format!("the SDP has more than {SDP_MEDIA} media"));
    }
    Ok(session)
}

fn agree(role: Role, media: &Media, preferred: &[Encoding]) -> Result<Agreed, String> {
    let offered: Vec<(u8, String, u32)> = media
        .fmt
        .split_ascii_whitespace()
        .filter_map(|number| number.parse().ok())
        .filter(|number: &u8| *number < 128)
        .filter_map(|number| {
            let (name, clock) = mapped(media, number).or_else(|| by_number(number))?;
            Some((number, name, clock))
        })
        .collect();
    let is_it = |offered: &(u8, String, u32), encoding: &Encoding| {
        let (_, name, clock) = offered;
        name.eq_ignore_ascii_case(&encoding.to_string()) && *clock == encoding.clock()
    };
    let (payload_type, encoding) = match role {
        // We choose.
        Role::Offer => preferred.iter().find_map(|encoding| {
            let found = offered.iter().find(|offered| is_it(offered, encoding))?;
            Some((found.0, *encoding))
        }),
        // The peer has chosen: what it names first is what it sends (RFC 3264 §6.1).
        Role::Answer => offered.iter().find_map(|offered| {
            let found = preferred.iter().find(|encoding| is_it(offered, encoding))?;
            Some((offered.0, *found))
        }),
    }
    .ok_or_else(|| no_codec(role))?;
    let events = |wanted: u32| {
        let is_it = |(_, name, clock): &&(u8, String, u32)| {
            name.eq_ignore_ascii_case("telephone-event") && *clock == wanted
        };
        offered.iter().find(is_it).map(|(number, _, clock)| Events {
            payload_type: *number,
            clock: *clock,
        })
    };
    Ok(Agreed {
        encoding,
        payload_type,
        events: events(encoding.clock()).or_else(|| events(8_000)),
        other_events: None,
    })
}

/// `a=rtpmap:<number> <name>/<clock>[/<channels>]` (RFC 8866 §6.6).
fn mapped(media: &Media, number: u8) -> Option<(String, u32)> {
    let rest = media.attributes.iter().find_map(|attribute| {
        let value = attribute
            .value
            .as_deref()
            .filter(|_| attribute.attribute == "rtpmap")?;
        let (mapped, rest) = value.split_once(' ')?;
        (mapped.parse() == Ok(number)).then_some(rest)
    })?;
    let mut parts = rest.trim().split('/');
    let (name, clock) = (parts.next()?, parts.next()?.parse().ok()?);
    Some((name.to_owned(), clock))
}

/// RFC 3551 §6: numbers that need no map.
fn by_number(number: u8) -> Option<(String, u32)> {
    match number {
        0 => Some(("PCMU".to_owned(), 8_000)),
        8 => Some(("PCMA".to_owned(), 8_000)),
        _ => None,
    }
}

fn peer_address(role: Role, session: &Session, media: &Media) -> Result<Option<IpAddr>, String> {
    let connection: &Connection = media
        .connections
        .first()
        .or(session.connection.as_ref())
        .ok_or_else(|| format!("the {role} has no c= line"))?;
    let text = &connection.connection_address;
    let ip: IpAddr = text.parse().map_err(|_| {
        format!(
            "the address {:?} of the {role} is not written in numbers",
            cut(text)
        )
    })?;
    let is_broadcast = ip == IpAddr::V4(std::net::Ipv4Addr::BROADCAST);
    if ip.is_multicast() || is_broadcast {
        return Err(format!(
            "the address {ip} of the {role} is not that of one host"
        ));
    }
    Ok((!ip.is_unspecified()).then_some(ip))
}

/// RFC 3605: `a=rtcp:<port> [IN IP4 <address>]`; without it, the next port.
fn control_address(media: &Media, ip: Option<IpAddr>) -> Option<SocketAddr> {
    let Some(value) = value(media, "rtcp") else {
        return Some(SocketAddr::new(ip?, media.port.checked_add(1)?));
    };
    let mut words = value.split_ascii_whitespace();
    let port = words.next()?.parse().ok().filter(|port| *port != 0)?;
    // What names another host than that of the sound is not followed: reports are no way to send to strangers.
    Some(SocketAddr::new(ip?, port))
}

fn direction(session: &Session, media: &Media) -> Direction {
    let of = |has: &dyn Fn(&str) -> bool| {
        [
            ("sendrecv", Direction::Both),
            ("sendonly", Direction::Send),
            ("recvonly", Direction::Receive),
            ("inactive", Direction::Neither),
        ]
        .into_iter()
        .find_map(|(name, direction)| has(name).then_some(direction))
    };
    of(&|name| media.has_attribute(name))
        .or_else(|| of(&|name| session.has_attribute(name)))
        .unwrap_or(Direction::Both)
}

/// RFC 3264 §6: what is not wanted is answered with port zero, in its place.
fn refusal_of(media: &Media) -> String {
    let format = media.fmt.split_ascii_whitespace().next().unwrap_or("0");
    format!("m={} 0 {} {format}\r\n", media.media, media.proto)
}

fn value<'a>(media: &'a Media, name: &'a str) -> Option<&'a str> {
    media.get_first_attribute_value(name).flatten()
}

/// Words of a peer in a sentence of ours.
fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFERRED: [Encoding; 3] = [Encoding::Pcma, Encoding::Pcmu, Encoding::Opus];
    const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";

    fn offer(media: &str) -> Result<Offer, String> {
        Offer::read(&format!("{HEAD}{media}"), &PREFERRED, Profile::Plain)
    }

    fn own(session: u64, local: &str) -> Own {
        Own {
            session,
            version: 1,
            local: local.parse().unwrap(),
        }
    }

    fn answer(media: &str) -> String {
        let answer = offer(media)
            .unwrap()
            .answer(&own(9, "198.51.100.1:30000"), None);
        // Whatever we write can be read.
        read(&answer).unwrap();
        answer
    }

    #[test]
    fn a_telephone_is_answered_with_one_codec_and_events() {
        let media = "m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";
        let read = offer(media).unwrap();
        assert_eq!(read.media, "192.0.2.1:4000".parse().ok());
        assert_eq!(read.control, Some("192.0.2.1:4001".parse().ok()));
        assert_eq!(
            answer(media),
            "v=0\r\no=- 4 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n\
             m=audio 30000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
             a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
        );
    }

    #[test]
    fn opus_has_events_of_its_clock_or_of_the_other() {
        let opus = "m=audio 4000 RTP/AVP 96 97 98\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:97 telephone-event/8000\r\n";
        let events = |media: &str| {
            offer(media)
                .unwrap()
                .agreed
                .events
                .map(|events| events.clock)
        };
        assert_eq!(events(opus), Some(8_000));
        assert_eq!(
            events(&format!("{opus}a=rtpmap:98 telephone-event/48000\r\n")),
            Some(48_000)
        );
        assert!(answer(opus).contains("a=rtpmap:96 opus/48000/2\r\n"));
    }

    #[test]
    fn other_media_keep_their_places_with_port_zero_and_directions_turn() {
        let media = "m=video 5000 RTP/AVP 96 97\r\nm=audio 4000 RTP/AVP 8\r\na=sendonly\r\na=rtcp-mux\r\nm=image 6000 udptl t38\r\n";
        let answer = answer(media);
        let lines: Vec<&str> = answer
            .lines()
            .filter(|line| line.starts_with("m="))
            .collect();
        assert_eq!(
            lines,
            [
                "m=video 0 RTP/AVP 96",
                "m=audio 30000 RTP/AVP 8",
                "m=image 0 udptl t38"
            ]
        );
        assert!(answer.contains("a=recvonly\r\n") && answer.contains("a=rtcp-mux\r\n"));
    }

    #[test]
    fn hold_by_address_and_reports_elsewhere() {
        let held = offer("m=audio 4000 RTP/AVP 8\r\nc=IN IP4 0.0.0.0\r\n").unwrap();
        assert_eq!(held.media, None);
        let reports =
            offer("m=audio 4000 RTP/AVP 8\r\na=rtcp:5005 IN IP4 203.0.113.9\r\n").unwrap();
        assert_eq!(reports.control, Some("192.0.2.1:5005".parse().ok()));
    }

    #[test]
    fn our_offer_can_be_read_and_its_answer_says_what_is_spoken() {
        let ours = super::offer(&own(9, "198.51.100.1:30000"), &PREFERRED, &[]);
        assert_eq!(
            ours,
            "v=0\r\no=- 4 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n\
             m=audio 30000 RTP/AVP 8 0 111 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:111 opus/48000/2\r\n\
             a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
        );
        assert!(Offer::read(&ours, &PREFERRED, Profile::Plain).is_ok());
        let answer =
            |media: &str| Offer::read_answer(&format!("{HEAD}{media}"), &PREFERRED, Profile::Plain);
        let chosen = |media: &str| answer(media).unwrap().agreed;
        // The order of the peer counts, and not ours.
        assert_eq!(
            chosen("m=audio 4000 RTP/AVP 0 8 101\r\n").encoding,
            Encoding::Pcmu
        );
        let opus = chosen("m=audio 4000 RTP/AVP 111 8\r\na=rtpmap:111 opus/48000/2\r\n");
        assert_eq!(
            (opus.encoding, opus.payload_type, opus.events),
            (Encoding::Opus, 111, None)
        );
        assert_eq!(
            answer("m=audio 0 RTP/AVP 8\r\n").unwrap_err(),
            "the answer has no audio"
        );
        assert_eq!(
            answer("m=audio 4000 RTP/AVP 18\r\n").unwrap_err(),
            no_codec(Role::Answer)
        );
    }

    #[test]
    fn what_cannot_be_answered_is_refused_in_words() {
        let refused = |media: &str| offer(media).unwrap_err();
        assert_eq!(refused(""), "the offer has no audio");
        assert_eq!(refused("m=audio 0 RTP/AVP 8\r\n"), "the offer has no audio");
        assert_eq!(
            refused("m=audio 4000 RTP/AVP 9 18\r\n"),
            no_codec(Role::Offer)
        );
        assert!(refused("m=audio 4000 RTP/SAVP 8\r\n").contains("RTP/SAVP"));
        assert!(refused("m=audio 4000 RTP/AVP 8\r\nc=IN IP4 evil.example\r\n").contains("numbers"));
        assert!(
            refused("m=audio 4000 RTP/AVP 8\r\nc=IN IP4 224.2.1.1/127\r\n").contains("numbers")
        );
        assert!(refused("m=audio 4000 RTP/AVP 8\r\nc=IN IP4 224.2.1.1\r\n").contains("one host"));
        let many = "m=audio 4000 RTP/AVP 8\r\n".repeat(SDP_MEDIA + 1);
        assert!(refused(&many).contains("media"));
        assert!(refused(&"a=x\r\n".repeat(SDP_LINES)).contains("lines"));
        assert!(refused(&format!("a={}\r\n", "x".repeat(SDP_BYTES))).contains("bytes"));
        assert!(
            Offer::read("rubbish", &PREFERRED, Profile::Plain)
                .unwrap_err()
                .contains("cannot be read")
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_an_offer_or_not(
            lines in proptest::collection::vec("[mcaovst]=(audio|IN IP4|rtpmap:|mid:|[0-9]{1,6}|RTP/AVP|[ -~]| ){0,9}", 0..12),
        ) {
            let text = format!("{HEAD}m=audio 4000 RTP/AVP 8 0 96\r\n{}", lines.join("\r\n"));
            if let Ok(offer) = Offer::read(&text, &PREFERRED, Profile::Plain) {
                let answer = offer.answer(&own(u64::MAX, "[2001:db8::1]:30000"), None);
                proptest::prop_assert!(read(&answer).is_ok(), "{}", answer);
            }
            for role in [Role::Offer, Role::Answer] {
                let _ = Browser::read(role, &text, &PREFERRED);
            }
            let _ = Offer::read_answer(&text, &PREFERRED, Profile::Plain);
        }
    }
}
