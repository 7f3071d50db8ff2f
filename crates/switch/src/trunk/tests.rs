//! A line between a scripted shard and scripted peers; time is a number of milliseconds.

mod health;
mod hostile;
mod incoming;
mod late;
mod loss;
mod names;
mod outgoing;
mod registration;
mod reliable;
mod stream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::{
    AccountId, ConnectionId, Instant, Now, PeerName, PeerPlace, SecretBytes, Trunk, TrunkLogin,
    TrunkMedia, TrunkName, TrunkTransport, UnixTime,
};

use super::{Line, LineEffect, LineInput, LineState};
use crate::effect::Counter;

const A: &str = "192.0.2.10:5060";
const B: &str = "192.0.2.11:5060";
const OWN: &str = "198.51.100.1:5070";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn trunk(peers: &[&str]) -> Trunk {
    let peers: Vec<_> = peers.iter().map(|peer| address(peer)).collect();
    Trunk {
        account: AccountId(1),
        name: TrunkName::parse("provider").unwrap(),
        transport: TrunkTransport::Udp,
        media: TrunkMedia::Rtp,
        places: PeerPlace::addresses(&peers),
        peers,
        former: Vec::new(),
        networks: Vec::new(),
        domain: "sip.example.com".into(),
        login: Some(TrunkLogin {
            user: "alice@home".into(),
            password: SecretBytes::new(b"secret".to_vec()),
        }),
        registration: None,
        check: None,
        numbers: Vec::new(),
        caller: None,
        session: None,
        is_trusted: false,
        transfer: Default::default(),
    }
}

/// A line and what came of it.
struct Bench {
    line: Line,
    at: u64,
    datagrams: Vec<(u64, SocketAddr, String)>,
    /// Of each of these that goes by a connection, whose it is to be.
    ways: Vec<Option<SocketAddr>>,
    delivered: Vec<String>,
    states: Vec<LineState>,
    /// What DNS was to be asked.
    names: Vec<(u64, usize, PeerName)>,
    /// What the trunk became, and how many datagrams had been sent before.
    trunks: Vec<(usize, Arc<Trunk>)>,
    counts: Vec<Counter>,
}

impl Bench {
    fn new(trunk: Trunk) -> Self {
        let own = address(OWN);
        let connection = ConnectionId(7);
        let line = Line::new(connection, Arc::new(trunk), own, [3; 32], now(0));
        let mut bench = Self {
            line,
            at: 0,
            datagrams: Vec::new(),
            ways: Vec::new(),
            delivered: Vec::new(),
            states: Vec::new(),
            names: Vec::new(),
            trunks: Vec::new(),
            counts: Vec::new(),
        };
        bench.run_to(0);
        bench
    }

    fn handle(&mut self, input: LineInput<'_>) {
        self.line.handle(now(self.at), input);
        while let Some(effect) = self.line.poll_effect() {
            match effect {
                LineEffect::Datagram { to, bytes } => {
                    let text = String::from_utf8(bytes).unwrap();
                    self.datagrams.push((self.at, to, text));
                }
                LineEffect::Stream { by, to, bytes } => {
                    let text = String::from_utf8(bytes).unwrap();
                    self.datagrams.push((self.at, to, text));
                    self.ways.push(by);
                }
                LineEffect::Deliver { message } => {
                    sip::parse(&message).expect("a shard gets what parses");
                    self.delivered.push(String::from_utf8(message).unwrap());
                }
                LineEffect::Resolve { place, name } => self.names.push((self.at, place, name)),
                LineEffect::Trunk(trunk) => self.trunks.push((self.datagrams.len(), trunk)),
                LineEffect::State(state) => self.states.push(state),
                LineEffect::Count(counter) => self.counts.push(counter),
            }
        }
    }

    /// Lets time pass up to this moment.
    fn run_to(&mut self, at: u64) {
        while let Some(due) = self.line.poll_timeout()
            && due.as_micros() <= at * 1_000
        {
            self.at = self.at.max(due.as_micros().div_ceil(1_000));
            self.handle(LineInput::Timeout);
        }
        self.at = self.at.max(at);
    }

    fn wait(&mut self, millis: u64) {
        self.run_to(self.at + millis);
    }

    fn send(&mut self, message: &str) {
        self.handle(LineInput::Send {
            message: message.as_bytes(),
        });
    }

    fn hear(&mut self, from: &str, message: &str) {
        self.handle(LineInput::Datagram {
            from: address(from),
            bytes: message.as_bytes(),
        });
    }

    /// What was sent since this was last asked.
    fn sent(&mut self) -> Vec<(u64, SocketAddr, String)> {
        std::mem::take(&mut self.datagrams)
    }

    /// The only one sent.
    #[track_caller]
    fn sent_one(&mut self) -> String {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:#?}");
        sent.remove(0).2
    }

    fn heard(&mut self) -> Vec<String> {
        std::mem::take(&mut self.delivered)
    }

    #[track_caller]
    fn heard_one(&mut self) -> String {
        let mut heard = self.heard();
        assert_eq!(heard.len(), 1, "{heard:#?}");
        heard.remove(0)
    }

    fn state(&self) -> LineState {
        *self.states.last().unwrap()
    }

    /// Nothing is kept that will not be forgotten.
    fn ends_empty(&mut self) {
        self.wait(200_000_000);
        assert_eq!(self.line.asking.len(), 0);
        assert_eq!(self.line.serving.len(), 0);
        assert_eq!(self.line.dialogs.len(), 0);
    }
}

fn now(at: u64) -> Now {
    Now {
        mono: Instant::from_micros(at * 1_000),
        unix: UnixTime::from_secs(1_700_000_000) + Duration::from_millis(at),
    }
}

/// The value of the first row of this name.
#[track_caller]
fn row<'a>(message: &'a str, name: &str) -> &'a str {
    let found = message
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_else(|| panic!("no {name} in {message}"))
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap()
}

fn branch(message: &str) -> &str {
    let (_, rest) = row(message, "Via").split_once("branch=").unwrap();
    rest.split(';').next().unwrap()
}

/// What a shard sends.
fn request(method: &str, cseq: u32, branch: &str, to_tag: &str, body: &str) -> String {
    let numbered = if to_tag.is_empty() {
        String::new()
    } else {
        format!(";tag={to_tag}")
    };
    format!(
        "{method} sip:+441234@sip.example.com SIP/2.0\r\nVia: SIP/2.0/WS offhook.invalid;branch={branch}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:+44999@sip.example.com>;tag=p0.1-2\r\nTo: <sip:+441234@sip.example.com>{numbered}\r\n\
         Call-ID: call-1\r\nCSeq: {cseq} {method}\r\nContact: <sip:p0.1-2@offhook.invalid;transport=ws>\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A peer's answer to what it got.
fn answer(to: &str, status: u16, more: &str) -> String {
    let rows = ["Via", "From", "Call-ID", "CSeq"].map(|name| format!("{name}: {}", row(to, name)));
    let mut callee = row(to, "To").to_owned();
    if status > 100 && !callee.contains("tag=") {
        callee += ";tag=peer";
    }
    format!(
        "SIP/2.0 {status} Word\r\n{}\r\nTo: {callee}\r\n{more}Content-Length: 0\r\n\r\n",
        rows.join("\r\n")
    )
}
