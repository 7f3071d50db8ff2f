//! One side of a call: the dialog with one client (RFC 3261 §12), and the identifiers that we mint.
//!
//! Writes requests towards its client; never decides when one is due.

use std::fmt;

use model::ConnectionId;
use sip::{MessageWriter, Request};

use super::CallKey;
use crate::random::Random;

/// Which side of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Caller,
    Callee,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }

    fn letter(self) -> char {
        match self {
            Self::Caller => 'a',
            Self::Callee => 'b',
        }
    }
}

/// A cookie in place of a look-up: the tag that we mint for a leg names its call and side.
///
/// 64 random bits follow, and the leg compares the whole tag: it cannot be guessed.
pub(crate) fn mint_tag(call: CallKey, side: Side, random: &mut Random) -> String {
    format!("{}{:x}-{:016x}", side.letter(), call.0, random.bits())
}

/// The call and side that a tag of ours names.
pub(crate) fn read_tag(tag: &str) -> Option<(CallKey, Side)> {
    let (side, rest) = match tag.split_at_checked(1)? {
        ("a", rest) => (Side::Caller, rest),
        ("b", rest) => (Side::Callee, rest),
        _ => return None,
    };
    let (call, _) = rest.split_once('-')?;
    Some((CallKey(u64::from_str_radix(call, 16).ok()?), side))
}

/// The same for a dialog that ends here: the tag names its run and which of its parties it is.
pub(crate) fn mint_party_tag(run: CallKey, place: u8, random: &mut Random) -> String {
    format!("p{place:x}.{:x}-{:016x}", run.0, random.bits())
}

/// The run and party that a tag of ours names.
pub(crate) fn read_party_tag(tag: &str) -> Option<(CallKey, u8)> {
    let (place, rest) = tag.strip_prefix('p')?.split_once('.')?;
    let (run, _) = rest.split_once('-')?;
    let run = u64::from_str_radix(run, 16).ok()?;
    Some((CallKey(run), u8::from_str_radix(place, 16).ok()?))
}

/// A branch of ours names its call (RFC 3261 §8.1.1.7 for the cookie at its beginning).
pub(crate) fn mint_branch(call: CallKey, random: &mut Random) -> String {
    format!("z9hG4bK{:x}-{:016x}", call.0, random.bits())
}

/// The call that a branch of ours names.
pub(crate) fn read_branch(branch: &str) -> Option<CallKey> {
    let (call, _) = branch.strip_prefix("z9hG4bK")?.split_once('-')?;
    u64::from_str_radix(call, 16).ok().map(CallKey)
}

/// The display name of whoever asks, as it stands before an address.
pub(crate) fn display_of(request: &Request<'_>) -> String {
    let display = request.headers.from().display;
    // A quoted string (RFC 3261 §25.1), whichever form it came in; escapes are as they came.
    display.map_or_else(String::new, |display| format!("\"{display}\" "))
}

/// What is left of a request's hops behind us.
pub(crate) fn one_hop_less(request: &Request<'_>) -> u8 {
    request
        .headers
        .max_forwards()
        .unwrap_or(70)
        .saturating_sub(1)
}

/// The dialog with one client.
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) connection: ConnectionId,
    /// The account's SIP domain as this client writes it; stands in our Via and Contact.
    pub(crate) domain: Box<str>,
    pub(crate) local_tag: String,
    /// Not known for a callee that has not answered.
    pub(crate) remote_tag: Option<Box<str>>,
    /// Our end's address as this client sees it, `"Display" <uri>` without tag.
    pub(crate) local: Box<str>,
    /// The client's own address, likewise.
    pub(crate) remote: Box<str>,
    /// The client's Contact: Request-URI of what we send (the remote target, §12.1).
    pub(crate) target: Box<str>,
    /// CSeq of our last request.
    pub(crate) cseq: u32,
    /// CSeq of the client's last request.
    pub(crate) remote_cseq: u32,
}

impl Leg {
    /// Of whoever sends this INVITE, whose Contact is `target`.
    pub(crate) fn calling(
        connection: ConnectionId,
        request: &Request<'_>,
        target: &str,
        local_tag: String,
    ) -> Self {
        let headers = &request.headers;
        Self {
            connection,
            domain: headers.from().uri.host.into(),
            local_tag,
            remote_tag: headers.from().tag().map(Into::into),
            local: format!("<{}>", headers.to().uri_text).into(),
            remote: format!("<{}>", headers.from().uri_text).into(),
            target: target.into(),
            cseq: 0,
            remote_cseq: headers.cseq().number,
        }
    }

    /// A request inside this dialog, or the one that opens it, up to and with CSeq.
    pub(crate) fn request(&self, method: &str, cseq: u32, at: &Hop<'_>) -> MessageWriter {
        let mut writer = MessageWriter::request(method, at.target.unwrap_or(&self.target));
        writer
            .header(
                "Via",
                format_args!("SIP/2.0/WSS {};branch={}", self.domain, at.branch),
            )
            .header("Max-Forwards", at.max_forwards)
            .header(
                "From",
                format_args!("{};tag={}", self.local, self.local_tag),
            )
            .header("To", Tagged(&self.remote, self.remote_tag.as_deref()))
            .header("Call-ID", at.call_id)
            .header("CSeq", format_args!("{cseq} {method}"));
        writer
    }

    /// Where this client sends what it has for the other side.
    pub(crate) fn contact(&self) -> impl fmt::Display {
        fmt::from_fn(|f| write!(f, "<sip:{}@{};transport=ws>", self.local_tag, self.domain))
    }

    /// Whether a request that arrived on `connection` belongs to this dialog (RFC 3261 §12.2.2).
    pub(crate) fn owns(&self, connection: ConnectionId, request: &Request<'_>) -> bool {
        self.connection == connection
            && request.headers.to().tag() == Some(self.local_tag.as_str())
            && self.remote_tag.is_some()
            && request.headers.from().tag() == self.remote_tag.as_deref()
    }
}

/// What a request needs beside its dialog.
pub(crate) struct Hop<'a> {
    pub(crate) call_id: &'a str,
    pub(crate) branch: &'a str,
    pub(crate) max_forwards: u8,
    /// The Request-URI where it is not the dialog's target: CANCEL and ACK repeat their INVITE's.
    pub(crate) target: Option<&'a str>,
}

/// An address with its tag, if it has one.
pub(crate) struct Tagged<'a>(pub(crate) &'a str, pub(crate) Option<&'a str>);

impl fmt::Display for Tagged<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(tag) => write!(f, "{};tag={tag}", self.0),
            None => f.write_str(self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minted_cookies_read_back_and_strangers_do_not() {
        let mut random = Random::new([7; 32]);
        let tag = mint_tag(CallKey(0x1f), Side::Callee, &mut random);
        assert_eq!(read_tag(&tag), Some((CallKey(0x1f), Side::Callee)));
        let tag = mint_party_tag(CallKey(0x2e), 3, &mut random);
        assert_eq!(read_party_tag(&tag), Some((CallKey(0x2e), 3)));
        assert_eq!(read_tag(&tag), None);
        let branch = mint_branch(CallKey(3), &mut random);
        assert_eq!(read_branch(&branch), Some(CallKey(3)));
        for stranger in ["", "a", "c1-2", "axyz-1", "o1buhh3t1g", "\u{e9}1-2"] {
            assert_eq!(read_tag(stranger), None, "{stranger}");
            assert_eq!(read_party_tag(stranger), None, "{stranger}");
            assert_eq!(read_branch(stranger), None, "{stranger}");
        }
    }
}
