//! A telephone behind a peer of a trunk: a small user agent on UDP (RFC 3261 §17, §18, §22 as far as it needs them), honest unless it is told
//! otherwise.
//!
//! Written for itself and not with the transactions that lines use, which it helps to judge. Carries no sound.

mod answering;
mod calling;
mod repeats;
mod transferring;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use sip::{Message, MessageWriter, Method, Name, Request};

use crate::clock::SECOND;
use crate::random::Random;
use repeats::Repeats;

/// What it says of its media.
const SDP: &str = "v=0\r\no=- 1 2 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mischief {
    /// Beside what it says it sends what is no SIP, and what it has heard with a byte that is another.
    Garbage,
    /// Each of its answers has another tag.
    WrongTags,
    /// It takes calls that are cancelled.
    TakesCancelled,
    /// It says nothing for so long, in microseconds, and then takes the call.
    Late(u64),
    /// Two telephones behind it take each call.
    Forks,
}

/// How it behaves.
#[derive(Clone, Debug)]
pub struct Conduct {
    /// What it says to a call that it has let ring, and after how long; nothing: it rings for ever.
    pub takes: Option<(u16, u64)>,
    /// Whether it says that it rings.
    pub rings: bool,
    /// Whether it lets itself be heard meanwhile.
    pub is_early: bool,
    /// After how long it hangs up.
    pub talks: Option<u64>,
    /// How long it takes for anything that it says.
    pub slow: u64,
    /// What it says to the next requests that open a call or register, in turn: status and rows.
    pub refuses: VecDeque<(u16, String)>,
    /// And to all others, if to any.
    pub always: Option<(u16, String)>,
    /// What it says to the next re-INVITEs and UPDATEs, in turn.
    pub refuses_inside: VecDeque<(u16, String)>,
    /// Rows of what opens its calls: its INVITEs and 2xx.
    pub rows: String,
    /// What it does wrong.
    pub mischief: Option<Mischief>,
}

impl Default for Conduct {
    fn default() -> Self {
        Self {
            takes: Some((200, SECOND)),
            rings: true,
            is_early: false,
            talks: None,
            slow: 0,
            refuses: VecDeque::new(),
            always: None,
            refuses_inside: VecDeque::new(),
            rows: String::new(),
            mischief: None,
        }
    }
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// It calls.
    Calling,
    /// It is called.
    Called,
    /// One has taken the call of the other.
    Talking,
    /// It is over.
    Over,
}

/// A call of its.
#[derive(Debug)]
pub struct PhoneCall {
    /// Of the call.
    pub call_id: String,
    /// How far it has come.
    pub stand: Stand,
    /// When it was over.
    pub over: Option<u64>,
    /// Whether the other side can know of it: it has said something, or has called.
    pub is_known: bool,
    own: String,
    remote: String,
    remote_tag: Option<String>,
    target: String,
    routes: Vec<String>,
    cseq: u32,
    remote_cseq: u32,
    /// The INVITE that opened it.
    invite: Vec<u8>,
    /// It shall end as soon as that is possible.
    is_unwanted: bool,
    /// Its server has stopped, which waits for no answer before its BYE.
    is_abandoned: bool,
    is_ringing: bool,
    ack: Option<Vec<u8>>,
    is_acknowledged: bool,
}

/// What it is about to do.
#[derive(Clone, Debug)]
enum Deed {
    Say(Vec<u8>),
    Ring(usize),
    Take(usize, u16),
    HangUp(usize),
}

/// See the module.
#[derive(Debug)]
pub struct Phone {
    /// Where it is.
    pub address: SocketAddr,
    /// How it behaves.
    pub conduct: Conduct,
    /// All of its calls since it was started.
    pub calls: Vec<PhoneCall>,
    /// Everything that it heard, and when.
    pub heard: Vec<(u64, String)>,
    /// What it has heard that no honest user agent says.
    pub complaint: Option<String>,
    /// Until when it hears nothing.
    pub gone_until: u64,
    /// Whether all is known of it: it has never been gone, or done wrong.
    pub is_plain: bool,
    domain: String,
    server: SocketAddr,
    repeats: Repeats,
    /// What was answered to requests that may come again.
    answered: BTreeMap<(String, String), Vec<u8>>,
    /// Branches of INVITEs that have come.
    seen: BTreeSet<String>,
    deeds: BTreeMap<(u64, u64), Deed>,
    made: u64,
    random: Random,
    out: VecDeque<Vec<u8>>,
}

impl Phone {
    /// One at this address, whose other side is the server there.
    pub fn new(address: SocketAddr, server: SocketAddr, domain: &str, random: Random) -> Self {
        Self {
            address,
            conduct: Conduct::default(),
            calls: Vec::new(),
            heard: Vec::new(),
            complaint: None,
            gone_until: 0,
            is_plain: true,
            domain: domain.to_owned(),
            server,
            repeats: Repeats::default(),
            answered: BTreeMap::new(),
            seen: BTreeSet::new(),
            deeds: BTreeMap::new(),
            made: 0,
            random,
            out: VecDeque::new(),
        }
    }

    /// Whom it sends to.
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// A datagram came.
    pub fn datagram(&mut self, now: u64, bytes: &[u8]) {
        if now < self.gone_until || bytes == b"\r\n" {
            return;
        }
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.heard.push((now, text));
        if self.conduct.mischief == Some(Mischief::Garbage) && self.random.happens(300) {
            self.babble(now, bytes);
        }
        match sip::parse(bytes) {
            Ok(Message::Request(request)) => self.on_request(now, bytes, &request),
            Ok(Message::Response(response)) => self.on_response(now, &response),
            Err(fault) => self.complain(format!("a telephone was sent no SIP: {fault}")),
        }
    }

    /// Time has passed.
    pub fn timeout(&mut self, now: u64) {
        while let Some(entry) = self.deeds.first_entry()
            && entry.key().0 <= now
        {
            let deed = entry.remove();
            match deed {
                Deed::Say(bytes) => self.out.push_back(bytes),
                Deed::Ring(call) => self.ring(now, call),
                Deed::Take(call, status) => self.take(now, call, status),
                Deed::HangUp(call) => self.hang_up(now, call),
            }
        }
        let (again, ended) = self.repeats.due(now);
        self.out.extend(again);
        for (branch, method) in ended {
            self.on_timed_out(now, &branch, &method);
        }
    }

    /// When it wants to be woken.
    pub fn poll_timeout(&self) -> Option<u64> {
        let deed = self.deeds.keys().next().map(|(at, _)| *at);
        deed.into_iter().chain(self.repeats.first()).min()
    }

    /// The next datagram to its server.
    pub fn poll_out(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    /// It is started anew and knows nothing of what was.
    pub fn restart(&mut self) {
        self.is_plain = false;
        self.calls.clear();
        self.repeats = Repeats::default();
        self.answered.clear();
        self.seen.clear();
        self.deeds.clear();
    }

    /// It hangs up wherever it is in a call, and does not go on by itself.
    pub fn leaves(&mut self, now: u64) {
        self.conduct.talks = None;
        self.conduct.mischief = None;
        for call in 0..self.calls.len() {
            self.hang_up(now, call);
        }
    }

    /// Calls that are not over.
    pub fn open(&self) -> Vec<usize> {
        let open = self.calls.iter().enumerate();
        let open = open.filter(|(_, call)| call.stand != Stand::Over);
        open.map(|(at, _)| at).collect()
    }

    /// How often it heard a message whose first line begins so.
    pub fn count(&self, start: &str) -> usize {
        let is_it = |(_, text): &&(u64, String)| text.starts_with(start);
        self.heard.iter().filter(is_it).count()
    }

    /// The last message whose first line begins so.
    pub fn last(&self, start: &str) -> Option<&str> {
        let mut heard = self.heard.iter().rev();
        let found = heard.find(|(_, text)| text.starts_with(start));
        found.map(|(_, text)| text.as_str())
    }

    fn complain(&mut self, what: String) {
        self.complaint.get_or_insert(what);
    }

    fn later(&mut self, at: u64, deed: Deed) {
        self.made += 1;
        self.deeds.insert((at, self.made), deed);
    }

    /// Sends, as soon as it ever does.
    fn say(&mut self, now: u64, bytes: Vec<u8>) {
        match self.conduct.slow {
            0 => self.out.push_back(bytes),
            slow => {
                let after = self.random.between(0, slow);
                self.later(now + after, Deed::Say(bytes));
            }
        }
    }

    fn mint(&mut self) -> String {
        self.made += 1;
        format!(
            "{:08x}-{}",
            self.random.below(u64::from(u32::MAX)),
            self.made
        )
    }

    fn find(&self, request: &Request<'_>) -> Option<usize> {
        let call_id = request.headers.call_id();
        let mut all = self.calls.iter();
        all.rposition(|call| call.call_id == call_id)
    }

    fn end(&mut self, now: u64, call: usize) {
        let call = &mut self.calls[call];
        call.stand = Stand::Over;
        call.over.get_or_insert(now);
    }

    fn babble(&mut self, now: u64, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let at = self.random.below(bytes.len().max(1) as u64);
        if let Some(byte) = usize::try_from(at).ok().and_then(|at| bytes.get_mut(at)) {
            *byte = self.random.below(256) as u8;
        }
        let noise = match self.random.below(3) {
            0 => b"SIP/2.0 200 OK\r\n\r\n".to_vec(),
            1 => vec![0, 1, 2, 3],
            _ => bytes,
        };
        self.say(now, noise);
    }

    fn contact(&self) -> String {
        format!("<sip:gw@{}>", self.address)
    }

    /// A request of its, inside a call.
    fn request(&mut self, call: usize, method: &str) -> MessageWriter {
        let branch = format!("z9hG4bK{}", self.mint());
        let (address, contact) = (self.address, self.contact());
        let call = &mut self.calls[call];
        call.cseq += 1;
        let mut writer = MessageWriter::request(method, &call.target);
        writer.header(
            "Via",
            format_args!("SIP/2.0/UDP {address};branch={branch};rport"),
        );
        for route in &call.routes {
            writer.header("Route", route);
        }
        let remote = match &call.remote_tag {
            Some(tag) => format!("{};tag={tag}", call.remote),
            None => call.remote.clone(),
        };
        writer
            .header("Max-Forwards", 70)
            .header("From", &call.own)
            .header("To", remote)
            .header("Call-ID", &call.call_id)
            .header("CSeq", format_args!("{} {method}", call.cseq))
            .header("Contact", contact);
        writer
    }

    /// Sends a request, and again until it is answered.
    fn ask(&mut self, now: u64, message: Vec<u8>) {
        if let Ok(Message::Request(request)) = sip::parse(&message) {
            let branch = request.headers.via().branch().unwrap_or_default();
            let key = (branch.to_owned(), request.method.to_string());
            let is_invite = request.method == Method::Invite;
            self.repeats.begin(now, key, message.clone(), is_invite);
        }
        self.say(now, message);
    }
}

/// The Record-Route items, the first one first.
fn record_routes(headers: &sip::Headers<'_>) -> Vec<String> {
    let items = headers.items(Name::RecordRoute);
    items.map(str::to_owned).collect()
}

/// Where the other side is from now on.
fn target(headers: &sip::Headers<'_>) -> Option<String> {
    match headers.sole_contact() {
        Some(sip::Contact::Address(address)) => Some(address.uri_text.to_owned()),
        Some(sip::Contact::Star) | None => None,
    }
}
