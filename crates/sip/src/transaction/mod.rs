//! Transactions: RFC 3261 §17, with the states that RFC 6026 adds for 2xx.
//!
//! A transaction sends a message again over a transport that may lose it, waits for as long as it should, and absorbs what
//! comes twice. It is four small machines without a clock: time comes in as a value (any clock that never goes back), and what is to be
//! done comes out. It keeps no table: whoever owns transactions finds them by [`ClientKey`] and [`ServerKey`].
//!
//! Never answers by itself: a 100 that is due after 200 ms (§17.2.1) is its owner's to send, as is the ACK of a 2xx.

mod client;
mod repetition;
mod server;

use std::time::Duration;

pub use client::{Client, ClientDue, ClientVerdict};
pub use repetition::Repetition;
pub use server::{Server, ServerDue};

use crate::message::{Headers, Request, Response};
use crate::method::Method;

/// An estimate of the round trip (§17.1.1.1).
pub const T1: Duration = Duration::from_millis(500);
/// The longest pause between two repetitions of anything but an INVITE (§17.1.2.2).
pub const T2: Duration = Duration::from_secs(4);
/// How long a message stays in the network (§17.1.2.2).
pub const T4: Duration = Duration::from_secs(5);
/// Timers B, F, H, J, L and M: 64 × T1.
pub const TIME: Duration = Duration::from_secs(32);
/// Timer D: how long answers to an INVITE that was refused over UDP are acknowledged again.
const TIMER_D: Duration = TIME;

/// A moment: the time since any other that its owner has chosen.
pub type Moment = Duration;

/// Whether a transport may lose messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP, TLS, WebSocket: what was sent arrives, or the connection is lost.
    Reliable,
    /// UDP.
    Unreliable,
}

impl Transport {
    /// What is waited for only where messages may come twice.
    fn if_unreliable(self, time: Duration) -> Duration {
        match self {
            Self::Reliable => Duration::ZERO,
            Self::Unreliable => time,
        }
    }
}

/// What an answer says of the request that it answers (§17.1.3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientKey {
    branch: String,
    method: String,
}

impl ClientKey {
    /// Of a request with this branch, to be found by what is answered.
    pub fn new(branch: &str, method: Method<'_>) -> Self {
        Self {
            branch: branch.to_owned(),
            method: method.as_str().to_owned(),
        }
    }

    /// Of the request that is answered; none if the answer has no branch.
    pub fn of(response: &Response<'_>) -> Option<Self> {
        let branch = response.headers.via().branch()?;
        Some(Self::new(branch, response.headers.cseq().method))
    }
}

/// What is the same in a request and its repetitions (§17.2.3). An ACK has that of its INVITE, a CANCEL one of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerKey {
    branch: String,
    sent_by: String,
    method: String,
}

impl ServerKey {
    /// None if the request has no branch of RFC 3261: those before it were told apart otherwise, and are not served.
    pub fn of(request: &Request<'_>) -> Option<Self> {
        let is_ack = request.method == Method::Ack;
        let method = if is_ack {
            Method::Invite
        } else {
            request.method
        };
        Self::for_method(request, method)
    }

    /// That of the INVITE which a CANCEL takes back (§9.2).
    pub fn cancelled_by(request: &Request<'_>) -> Option<Self> {
        Self::for_method(request, Method::Invite)
    }

    /// That of the request which this answers: a response repeats its Via (§8.2.6.2).
    pub fn answered_by(response: &Response<'_>) -> Option<Self> {
        Self::from_rows(&response.headers, response.headers.cseq().method)
    }

    /// That of the INVITE whose CANCEL this answers.
    pub fn invite_answered_by(response: &Response<'_>) -> Option<Self> {
        Self::from_rows(&response.headers, Method::Invite)
    }

    fn for_method(request: &Request<'_>, method: Method<'_>) -> Option<Self> {
        Self::from_rows(&request.headers, method)
    }

    fn from_rows(headers: &Headers<'_>, method: Method<'_>) -> Option<Self> {
        let via = headers.via();
        let branch = via
            .branch()
            .filter(|branch| branch.starts_with("z9hG4bK"))?;
        Some(Self {
            branch: branch.to_owned(),
            sent_by: via.sent_by.to_ascii_lowercase(),
            method: method.as_str().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;
    use crate::parse::parse;

    fn request(method: &str, branch: &str) -> String {
        format!(
            "{method} sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP Host.example.com;branch={branch}\r\n\
             From: <sip:a@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: c\r\nCSeq: 1 {method}\r\n\
             Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
    }

    fn key(text: &str, cancelled: bool) -> Option<ServerKey> {
        match parse(text.as_bytes()).unwrap() {
            Message::Request(request) if cancelled => ServerKey::cancelled_by(&request),
            Message::Request(request) => ServerKey::of(&request),
            Message::Response(_) => panic!("it is a request"),
        }
    }

    #[test]
    fn a_repetition_an_ack_and_a_cancel_find_their_invite() {
        let invite = key(&request("INVITE", "z9hG4bK1"), false);
        assert!(invite.is_some());
        assert_eq!(key(&request("ACK", "z9hG4bK1"), false), invite);
        assert_eq!(key(&request("CANCEL", "z9hG4bK1"), true), invite);
        assert_ne!(key(&request("CANCEL", "z9hG4bK1"), false), invite);
        let shouted = request("INVITE", "z9hG4bK1").replace("Host.", "HOST.");
        assert_eq!(key(&shouted, false), invite, "host names have no case");
        assert_ne!(key(&request("INVITE", "z9hG4bK2"), false), invite);
        assert_eq!(key(&request("INVITE", "1"), false), None);
        let text = request("INVITE", "z9hG4bK1").replace(";branch", ";received=192.0.2.1;branch");
        let (_, rows) = text.split_once("\r\n").unwrap();
        let answer = format!("SIP/2.0 200 OK\r\n{rows}");
        let Message::Response(answer) = parse(answer.as_bytes()).unwrap() else {
            panic!("it is a response");
        };
        assert_eq!(ServerKey::answered_by(&answer), invite);
    }

    #[test]
    fn an_answer_finds_its_request_by_branch_and_method() {
        let answer = |method: &str| {
            let text = request(method, "z9hG4bK1");
            let (_, rows) = text.split_once("\r\n").unwrap();
            format!("SIP/2.0 200 OK\r\n{rows}")
        };
        let found = |text: &str| match parse(text.as_bytes()).unwrap() {
            Message::Response(response) => ClientKey::of(&response),
            Message::Request(_) => panic!("it is a response"),
        };
        let invite = ClientKey::new("z9hG4bK1", Method::Invite);
        assert_eq!(found(&answer("INVITE")), Some(invite.clone()));
        assert_ne!(
            found(&answer("CANCEL")),
            Some(invite),
            "it has the same branch"
        );
    }
}
