//! One line, driven by bytes: its shard asks and answers, its peers do so well or badly, what was said is said again, and time passes.
//! For the fuzz target and for the test that replays what it found.
//!
//! The shard gets only what is SIP, each request once and one final answer to what it asks; datagrams go to whom the trunk admits; in
//! the end nothing is kept.

#![allow(clippy::unwrap_used, reason = "a step that fails is a finding")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::{
    AccountId, ConnectionId, Instant, Now, PeerName, PeerPlace, SecretBytes, Trunk, TrunkLogin,
    TrunkMedia, TrunkName, TrunkTransport, UnixTime,
};
use sip::{Message, MessageWriter, Method};
use switch::trunk::{Answer, Line, LineEffect, LineInput, NameFault, Target};

/// Steps of one input, and messages that are kept to be answered and said again.
const STEPS: usize = 200;
const KEPT: usize = 48;
const PAUSES_MS: [u64; 12] = [
    1, 100, 500, 1_000, 4_000, 5_000, 31_000, 32_000, 33_000, 64_000, 300_000, 3_600_000,
];
const METHODS: [&str; 10] = [
    "INVITE", "BYE", "UPDATE", "INFO", "OPTIONS", "MESSAGE", "PRACK", "REFER", "REGISTER", "NEW",
];
const STATUSES: [u16; 16] = [
    100, 180, 183, 200, 200, 202, 302, 401, 407, 408, 422, 423, 481, 487, 503, 603,
];
const ROWS: [&str; 12] = [
    "",
    "Contact: <sip:gw@192.0.2.10:5062>\r\n",
    "Contact: <sip:gw@192.0.2.10>\r\nRecord-Route: <sip:192.0.2.10:5099;lr>, <sip:b>\r\n",
    "Record-Route: <sip:192.0.2.11:5099;x=y?a=b>, <sip:c;lr>\r\n",
    "Record-Route: <sip:203.0.113.66>\r\nContact: <sip:gw@203.0.113.66>\r\n",
    "WWW-Authenticate: Digest realm=\"a, b\", nonce=\"1\", Digest realm=\"c\", nonce=\"2\", algorithm=SHA-256\r\n",
    "Proxy-Authenticate: Digest realm=\"a\", nonce=\"1\", stale=true, qop=\"auth\"\r\n",
    "WWW-Authenticate: Digest realm=\"a\r\n",
    "Retry-After: 20 (soon)\r\n",
    "Retry-After: 99999999999999999999\r\n",
    "Min-Expires: 4000\r\nMin-SE: 300\r\n",
    "Contact: *\r\nExpires: 60\r\n",
];

/// The first byte chooses what the trunk is like, then four bytes make a step.
pub(crate) fn walk(bytes: &[u8]) {
    let Some((settings, steps)) = bytes.split_first() else {
        return;
    };
    let mut bench = Bench::new(*settings);
    for step in steps.chunks_exact(4).take(STEPS) {
        bench.step([step[0], step[1], step[2], step[3]].map(usize::from));
    }
    bench.handle(LineInput::Stop);
    bench.pass(200_000_000);
    let left = bench.line.census();
    assert_eq!(
        left, [0; 3],
        "requests, requests of peers, dialogs are left"
    );
    assert!(bench.open.is_empty(), "never answered: {:?}", bench.open);
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn trunk(settings: u8) -> Trunk {
    let peers = ["192.0.2.10:5060", "192.0.2.11:5060"];
    let count = if settings & 1 == 0 { 1 } else { 2 };
    let login = TrunkLogin {
        user: "alice@home".into(),
        password: SecretBytes::new(b"secret".to_vec()),
    };
    let mut peers: Vec<_> = peers[..count].iter().map(|peer| address(peer)).collect();
    let mut places = PeerPlace::addresses(&peers);
    if settings & 16 != 0 {
        peers.clear();
        places = vec![PeerPlace::Name(PeerName::parse("sip.example.com").unwrap())];
    }
    let has_login = settings & 6 != 0;
    Trunk {
        account: AccountId(1),
        name: TrunkName::parse("provider").unwrap(),
        transport: TrunkTransport::Udp,
        media: TrunkMedia::Rtp,
        places,
        peers,
        former: Vec::new(),
        networks: Vec::new(),
        domain: "sip.example.com".into(),
        login: has_login.then_some(login),
        registration: (settings & 4 != 0).then(|| Duration::from_secs(60)),
        check: (settings & 8 != 0).then(|| Duration::from_secs(30)),
        session: None,
        numbers: Vec::new(),
        caller: None,
        is_trusted: false,
        transfer: Default::default(),
    }
}

/// By branch and method.
type Key = (String, String);

struct Bench {
    line: Line,
    trunk: Arc<Trunk>,
    millis: u64,
    /// What the shard got, and what the peers did.
    delivered: Vec<Vec<u8>>,
    datagrams: Vec<Vec<u8>>,
    /// What the shard has asked and has no final answer to, and what it has.
    open: BTreeSet<Key>,
    closed: BTreeSet<Key>,
    /// When requests of peers were delivered.
    given: BTreeMap<(Key, String), u64>,
    asked: u32,
}

fn keep(all: &mut Vec<Vec<u8>>, message: Vec<u8>) {
    if all.len() == KEPT {
        all.remove(0);
    }
    all.push(message);
}

impl Bench {
    fn new(settings: u8) -> Self {
        let trunk = Arc::new(trunk(settings));
        let own = address("198.51.100.1:5070");
        let now = Now {
            mono: Instant::from_micros(0),
            unix: UnixTime::from_secs(1_800_000_000),
        };
        let line = Line::new(
            ConnectionId(7),
            Arc::clone(&trunk),
            own,
            [settings; 32],
            now,
        );
        let mut bench = Self {
            line,
            trunk,
            millis: 0,
            delivered: Vec::new(),
            datagrams: Vec::new(),
            open: BTreeSet::new(),
            closed: BTreeSet::new(),
            given: BTreeMap::new(),
            asked: 0,
        };
        bench.pass(0);
        bench
    }

    fn handle(&mut self, input: LineInput<'_>) {
        let now = Now {
            mono: Instant::from_micros(self.millis * 1_000),
            unix: UnixTime::from_secs(1_800_000_000) + Duration::from_millis(self.millis),
        };
        self.line.handle(now, input);
        while let Some(effect) = self.line.poll_effect() {
            match effect {
                LineEffect::Datagram { to, bytes } => {
                    assert!(self.trunk.admits(to.ip()), "{to} is no peer");
                    assert!(bytes == b"\r\n" || sip::parse(&bytes).is_ok());
                    keep(&mut self.datagrams, bytes);
                }
                LineEffect::Stream { to, .. } => panic!("{to} is reached by UDP"),
                LineEffect::Deliver { message } => {
                    self.judge(&message);
                    keep(&mut self.delivered, message);
                }
                LineEffect::Trunk(trunk) => self.trunk = trunk,
                LineEffect::Resolve { .. } | LineEffect::State(_) | LineEffect::Count(_) => {}
            }
        }
    }

    fn judge(&mut self, message: &[u8]) {
        let message = sip::parse(message).expect("a shard gets what is SIP");
        let headers = message.headers();
        let branch = headers.via().branch().unwrap_or_default().to_owned();
        let key = (branch, headers.cseq().method.to_string());
        match &message {
            Message::Request(request) if request.method == Method::Ack => {}
            Message::Request(_) => {
                let sent_by = headers.via().sent_by.to_ascii_lowercase();
                let before = self.given.insert((key.clone(), sent_by), self.millis);
                let is_again = before.is_some_and(|at| self.millis < at + 4_000);
                assert!(!is_again, "{key:?} was delivered twice");
            }
            Message::Response(response) if response.status < 200 => {
                assert!(!self.closed.contains(&key), "{key:?} goes on after its end");
            }
            Message::Response(response) => {
                let is_first = self.open.remove(&key);
                let is_fork = key.1 == "INVITE" && response.status < 300;
                assert!(is_first || is_fork, "{key:?} has ended twice");
                self.closed.insert(key);
            }
        }
    }

    fn pass(&mut self, millis: u64) {
        let until = self.millis + millis;
        let mut steps = 0;
        while let Some(due) = self.line.poll_timeout()
            && due.as_micros() <= until * 1_000
        {
            self.millis = self.millis.max(due.as_micros().div_ceil(1_000));
            self.handle(LineInput::Timeout);
            steps += 1;
            assert!(steps < 1_000_000, "time stands still");
        }
        self.millis = until;
    }

    fn step(&mut self, [what, a, b, c]: [usize; 4]) {
        // The shell admits nobody before DNS has said who may be.
        let is_known = self.trunk.known().next().is_some();
        match what % 12 {
            4..=9 if !is_known => {}
            0 => self.shard_asks("INVITE", self.asked, "", b),
            1 => self.shard_asks(
                METHODS[a % METHODS.len()],
                b as u32 % 8,
                TAGS[c % TAGS.len()],
                b,
            ),
            2 => self.shard_follows(["ACK", "CANCEL"][a % 2], b, c),
            3 => self.shard_answers(STATUSES[a % STATUSES.len()], b),
            4 => self.peer_asks(METHODS[a % METHODS.len()], b, c),
            5 | 6 => self.peer_answers(STATUSES[a % STATUSES.len()], b, c),
            7 => self.hear(b, |_| {}, a),
            8 => self.hear(
                b,
                |bytes| {
                    let at = a % bytes.len().max(1);
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = c as u8;
                    }
                },
                c,
            ),
            9 => self.peer_asks(["ACK", "CANCEL"][a % 2], b, c),
            10 if a % 4 == 0 => self.resolve(b, c),
            10 => self.pass(PAUSES_MS[a % PAUSES_MS.len()]),
            _ => self.pass(a as u64),
        }
    }

    /// DNS answers: where the name leads, or that it cannot say.
    fn resolve(&mut self, which: usize, weight: usize) {
        let target = |at: usize| Target {
            host: Box::default(),
            priority: (which >> 4) as u16 * at as u16,
            weight: weight as u16,
            addresses: vec![address(&format!("192.0.2.{}:5060", 10 + at))],
        };
        let among = (0..4).filter(|at| which & (1 << at) != 0);
        let answer = Answer {
            targets: among.map(target).collect(),
            lasts: Duration::from_secs(weight as u64),
        };
        let answer = match weight % 8 {
            0 => Err(NameFault::NoAnswer),
            _ => Ok(answer),
        };
        let answer = &answer;
        self.handle(LineInput::Resolved {
            place: 0,
            answer,
            own: None,
        });
    }

    fn peer(&self, which: usize) -> SocketAddr {
        let known: Vec<_> = self.trunk.known().copied().collect();
        let at = which.checked_rem(known.len());
        at.map_or(address("192.0.2.10:5060"), |at| known[at])
    }

    fn hear(&mut self, which: usize, change: impl FnOnce(&mut Vec<u8>), from: usize) {
        let Some(mut bytes) = pick(&self.datagrams, which) else {
            return;
        };
        change(&mut bytes);
        let from = self.peer(from);
        self.handle(LineInput::Datagram {
            from,
            bytes: &bytes,
        });
    }

    fn send(&mut self, message: &[u8]) {
        let parsed = sip::parse(message).unwrap();
        if let Message::Request(request) = &parsed
            && request.method != Method::Ack
        {
            let branch = parsed.headers().via().branch().unwrap_or_default();
            let key = (branch.to_owned(), request.method.to_string());
            if self.closed.contains(&key) || !self.open.insert(key) {
                return;
            }
        }
        self.handle(LineInput::Send { message });
    }

    /// A shard's branches are its own, each for one request.
    fn shard_asks(&mut self, method: &str, call: u32, to_tag: &str, body: usize) {
        self.asked += 1;
        let (number, tag) = (self.asked, if to_tag.is_empty() { "" } else { ";tag=" });
        let body = "v=0\r\n".repeat(body % 3);
        let text = format!(
            "{method} sip:+441234@sip.example.com SIP/2.0\r\nVia: SIP/2.0/WS offhook.invalid;branch=z9hG4bK{number:x}-s\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+44999@sip.example.com>;tag=p0.{call}\r\n\
             To: <sip:+441234@sip.example.com>{tag}{to_tag}\r\nCall-ID: call-{call}\r\nCSeq: {number} {method}\r\n\
             Contact: <sip:p0.1-2@offhook.invalid;transport=ws>\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.send(text.as_bytes());
    }

    /// ACK of a 2xx that it got, or CANCEL of an INVITE that it sent.
    fn shard_follows(&mut self, method: &str, which: usize, branch: usize) {
        let Some(answer) = pick(&self.delivered, which) else {
            return;
        };
        let Ok(Message::Response(answer)) = sip::parse(&answer) else {
            return;
        };
        let headers = &answer.headers;
        if headers.cseq().method != Method::Invite {
            return;
        }
        let get = |name| headers.get(name).unwrap_or_default();
        let (number, own) = (
            headers.cseq().number,
            headers.via().branch().unwrap_or_default(),
        );
        let branch = match method {
            "ACK" => format!("z9hG4bKack{branch}"),
            _ => own.to_owned(),
        };
        let mut writer = MessageWriter::request(method, "sip:gw@192.0.2.10:5062");
        writer
            .header(
                "Via",
                format_args!("SIP/2.0/WS offhook.invalid;branch={branch}"),
            )
            .header("Max-Forwards", 70)
            .header("From", get(sip::Name::From))
            .header("To", get(sip::Name::To))
            .header("Call-ID", headers.call_id())
            .header("CSeq", format_args!("{number} {method}"));
        self.send(&writer.finish());
    }

    fn shard_answers(&mut self, status: u16, which: usize) {
        if let Some(asked) = pick(&self.delivered, which)
            && let Ok(Message::Request(request)) = sip::parse(&asked)
            && request.method != Method::Ack
        {
            let mut writer = MessageWriter::reply(&request, status, "Word", Some("p0.1-2"));
            writer.header("Contact", "<sip:p0.1-2@offhook.invalid;transport=ws>");
            self.handle(LineInput::Send {
                message: &writer.finish(),
            });
        }
    }

    fn peer_asks(&mut self, method: &str, which: usize, more: usize) {
        let (branch, call, tag) = (which % 16, which % 5, TAGS[more % TAGS.len()]);
        let to = if tag.is_empty() { "" } else { ";tag=" };
        let rows = ROWS[more % ROWS.len()];
        let text = format!(
            "{method} sip:+44999@198.51.100.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bKp{branch}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+441234@sip.example.com>;tag=peer{call}\r\nTo: <sip:+44999@sip.example.com>{to}{tag}\r\n\
             Call-ID: in-{call}\r\nCSeq: {} {method}\r\n{rows}Content-Length: 0\r\n\r\n",
            1 + more
        );
        let from = self.peer(more);
        self.handle(LineInput::Datagram {
            from,
            bytes: text.as_bytes(),
        });
    }

    fn peer_answers(&mut self, status: u16, which: usize, more: usize) {
        let Some(asked) = pick(&self.datagrams, which) else {
            return;
        };
        let Ok(Message::Request(request)) = sip::parse(&asked) else {
            return;
        };
        let tag = TAGS[1 + more % (TAGS.len() - 1)];
        let mut writer = MessageWriter::reply(&request, status, "Word", Some(tag));
        for row in ROWS[more % ROWS.len()].split("\r\n") {
            if let Some((name, value)) = row.split_once(": ") {
                writer.header(name, value);
            }
        }
        let from = self.peer(more);
        self.handle(LineInput::Datagram {
            from,
            bytes: &writer.finish(),
        });
    }
}

const TAGS: [&str; 5] = ["", "peer", "other", "p0.1-2", "third"];

fn pick(all: &[Vec<u8>], which: usize) -> Option<Vec<u8>> {
    let back = which % all.len().max(1);
    all.iter().rev().nth(back).cloned()
}
