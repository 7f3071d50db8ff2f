//! The client side of TURN as a page's browser has it: one allocation over one link, its permissions and channels.
//!
//! Written from the client's side: reads messages by itself and shares no rule with the server; only the sums of
//! MESSAGE-INTEGRITY come from a crate. Repeats what is not answered over UDP. RFC 8489 §6, §9.2; RFC 8656 §7 to §12.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use stun_types::attribute::RawAttribute;
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageIntegrityCredentials,
    MessageType, MessageWrite, MessageWriteExt, MessageWriteVec, Method,
};

use crate::clock::{MILLI, SECOND};
use crate::random::Random;

/// Methods (RFC 8489 §18.3, RFC 8656 §17).
mod method {
    pub(super) const ALLOCATE: u16 = 3;
    pub(super) const REFRESH: u16 = 4;
    pub(super) const SEND: u16 = 6;
    pub(super) const DATA: u16 = 7;
    pub(super) const CREATE_PERMISSION: u16 = 8;
    pub(super) const CHANNEL_BIND: u16 = 9;
}

/// Attributes (RFC 8489 §18.3, RFC 8656 §18).
mod attribute {
    pub(super) const USERNAME: u16 = 0x0006;
    pub(super) const ERROR_CODE: u16 = 0x0009;
    pub(super) const CHANNEL_NUMBER: u16 = 0x000c;
    pub(super) const LIFETIME: u16 = 0x000d;
    pub(super) const XOR_PEER_ADDRESS: u16 = 0x0012;
    pub(super) const DATA: u16 = 0x0013;
    pub(super) const REALM: u16 = 0x0014;
    pub(super) const NONCE: u16 = 0x0015;
    pub(super) const XOR_RELAYED_ADDRESS: u16 = 0x0016;
    pub(super) const REQUESTED_TRANSPORT: u16 = 0x0019;
    pub(super) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
}

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// First pause before a request is repeated, doubled each time (RFC 8489 §6.2.1).
const FIRST_PAUSE: u64 = 500 * MILLI;
/// How often a request is sent in all, and how long an answer may take over a stream: Rc and Ti there.
const MOST_SENT: u32 = 7;
const STREAM_PATIENCE: u64 = 39_500 * MILLI;
/// How long a permission lives at the server, and when it is renewed (RFC 8656 §9).
const PERMISSION_PAUSE: u64 = 240 * SECOND;
/// The same for channels (RFC 8656 §12).
const CHANNEL_PAUSE: u64 = 540 * SECOND;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// An allocation.
    Allocate,
    /// So many seconds more; 0 ends it.
    Refresh(u32),
    /// To exchange packets with this address.
    Permit(IpAddr),
    /// A channel to this peer.
    Bind(SocketAddr),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is granted.
    Granted(Ask),
    /// It is refused with this code, or `None`: nobody answered.
    Refused(Ask, Option<u16>),
    /// A packet of a peer.
    Data(SocketAddr, Vec<u8>),
}

#[derive(Debug)]
struct Pending {
    ask: Ask,
    message: Vec<u8>,
    sent: u32,
    /// Whether it carries a credential already: one more refusal is final.
    tries: u32,
    due: u64,
}

/// One allocation, wanted or had.
#[derive(Debug)]
pub struct TurnClient {
    /// The address that the server has seen, and the one that it relays from.
    pub mapped: Option<SocketAddr>,
    /// See `mapped`.
    pub relayed: Option<SocketAddr>,
    username: String,
    password: String,
    realm: String,
    nonce: Vec<u8>,
    is_stream: bool,
    pending: BTreeMap<u128, Pending>,
    /// When to ask for the same again.
    renewals: BTreeMap<u64, Vec<Ask>>,
    channels: BTreeMap<SocketAddr, u16>,
    is_bound: BTreeMap<u16, SocketAddr>,
    random: Random,
    out: VecDeque<Vec<u8>>,
    told: VecDeque<Told>,
}

impl TurnClient {
    /// A client with this credential that has asked for nothing yet.
    pub fn new(username: &str, password: &str, is_stream: bool, random: Random) -> Self {
        Self {
            mapped: None,
            relayed: None,
            username: username.to_owned(),
            password: password.to_owned(),
            realm: String::new(),
            nonce: Vec::new(),
            is_stream,
            pending: BTreeMap::new(),
            renewals: BTreeMap::new(),
            channels: BTreeMap::new(),
            is_bound: BTreeMap::new(),
            random,
            out: VecDeque::new(),
            told: VecDeque::new(),
        }
    }

    /// Asks.
    pub fn ask(&mut self, now: u64, ask: Ask) {
        self.begin(now, ask, 0);
    }

    /// Sends a packet to a peer: through its channel if there is one.
    pub fn send(&mut self, peer: SocketAddr, data: &[u8]) {
        let channel = self.channels.get(&peer).copied();
        match channel.filter(|number| self.is_bound.contains_key(number)) {
            Some(number) => self.send_by_channel(number, data),
            None => self.send_by_indication(peer, data),
        }
    }

    /// Sends a packet by a Send indication, whatever the server may think of it.
    pub fn send_by_indication(&mut self, peer: SocketAddr, data: &[u8]) {
        let id = self.transaction();
        let mut writer = head(MessageClass::Indication, method::SEND, id);
        put(
            &mut writer,
            attribute::XOR_PEER_ADDRESS,
            &xored(peer, &id.to_be_bytes()[4..]),
        );
        put(&mut writer, attribute::DATA, data);
        self.out.push_back(writer.finish());
    }

    /// Sends a packet on a channel of this number, bound or not.
    pub fn send_by_channel(&mut self, number: u16, data: &[u8]) {
        let mut frame = number.to_be_bytes().to_vec();
        frame.extend_from_slice(&(data.len() as u16).to_be_bytes());
        frame.extend_from_slice(data);
        if self.is_stream {
            frame.resize(frame.len().next_multiple_of(4), 0);
        }
        self.out.push_back(frame);
    }

    /// Forgets the allocation without a word: nothing is renewed or repeated any more.
    pub fn gives_up(&mut self) {
        self.pending.clear();
        self.renewals.clear();
        self.relayed = None;
    }

    /// Whether there is an allocation, as far as the client knows.
    pub fn is_allocated(&self) -> bool {
        self.relayed.is_some()
    }

    /// A message of the server.
    pub fn handle(&mut self, now: u64, message: &[u8]) {
        match message.first() {
            Some(0x40..=0x4f) => self.on_channel(message),
            Some(0x00..=0x3f) => {
                if let Some(read) = Read::parse(message) {
                    self.on_message(now, &read);
                }
            }
            Some(_) | None => {}
        }
    }

    /// Time has passed.
    pub fn timeout(&mut self, now: u64) {
        let due: Vec<u128> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.due <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.repeat(now, id);
        }
        while let Some(entry) = self.renewals.first_entry()
            && *entry.key() <= now
        {
            for ask in entry.remove() {
                self.begin(now, ask, 0);
            }
        }
    }

    /// When it wants to be woken.
    pub fn poll_timeout(&self) -> Option<u64> {
        let pending = self.pending.values().map(|pending| pending.due).min();
        let renewal = self.renewals.first_key_value().map(|(at, _)| *at);
        pending.into_iter().chain(renewal).min()
    }

    /// The next message to send to the server.
    pub fn poll_out(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_told(&mut self) -> Option<Told> {
        self.told.pop_front()
    }

    fn transaction(&mut self) -> u128 {
        let high = u128::from(self.random.bits() & 0xffff_ffff);
        high << 64 | u128::from(self.random.bits())
    }

    fn begin(&mut self, now: u64, ask: Ask, tries: u32) {
        let id = self.transaction();
        let message = self.request(&ask, id);
        self.out.push_back(message.clone());
        let patience = if self.is_stream {
            STREAM_PATIENCE
        } else {
            FIRST_PAUSE
        };
        let pending = Pending {
            ask,
            message,
            sent: 1,
            tries,
            due: now + patience,
        };
        self.pending.insert(id, pending);
    }

    fn repeat(&mut self, now: u64, id: u128) {
        let Some(pending) = self.pending.get_mut(&id) else {
            return;
        };
        if self.is_stream || pending.sent >= MOST_SENT {
            if let Some(pending) = self.pending.remove(&id) {
                self.told.push_back(Told::Refused(pending.ask, None));
            }
            return;
        }
        pending.due = now + (FIRST_PAUSE << pending.sent);
        pending.sent += 1;
        self.out.push_back(pending.message.clone());
    }

    fn request(&mut self, ask: &Ask, id: u128) -> Vec<u8> {
        let bytes = id.to_be_bytes();
        let number = match ask {
            Ask::Allocate => method::ALLOCATE,
            Ask::Refresh(_) => method::REFRESH,
            Ask::Permit(_) => method::CREATE_PERMISSION,
            Ask::Bind(_) => method::CHANNEL_BIND,
        };
        let mut writer = head(MessageClass::Request, number, id);
        match ask {
            Ask::Allocate => put(&mut writer, attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0]),
            Ask::Refresh(lifetime) => {
                put(&mut writer, attribute::LIFETIME, &lifetime.to_be_bytes());
            }
            Ask::Permit(peer) => {
                let peer = SocketAddr::new(*peer, 0);
                put(
                    &mut writer,
                    attribute::XOR_PEER_ADDRESS,
                    &xored(peer, &bytes[4..]),
                );
            }
            Ask::Bind(peer) => {
                let channel = self.channel(*peer);
                let [high, low] = channel.to_be_bytes();
                put(&mut writer, attribute::CHANNEL_NUMBER, &[high, low, 0, 0]);
                put(
                    &mut writer,
                    attribute::XOR_PEER_ADDRESS,
                    &xored(*peer, &bytes[4..]),
                );
            }
        }
        if !self.realm.is_empty() {
            put(&mut writer, attribute::USERNAME, self.username.as_bytes());
            put(&mut writer, attribute::REALM, self.realm.as_bytes());
            put(&mut writer, attribute::NONCE, &self.nonce);
            let credentials = LongTermKeyCredentials::new(
                self.username.clone(),
                self.password.clone(),
                self.realm.clone(),
            );
            let credentials = MessageIntegrityCredentials::LongTerm(credentials);
            writer
                .add_message_integrity(&credentials, IntegrityAlgorithm::Sha1)
                .expect("a message of a client has no integrity yet and is short");
        }
        writer.finish()
    }

    fn channel(&mut self, peer: SocketAddr) -> u16 {
        let next = 0x4000 + self.channels.len() as u16;
        *self.channels.entry(peer).or_insert(next)
    }

    fn on_channel(&mut self, message: &[u8]) {
        let Some((head, data)) = message.split_first_chunk::<4>() else {
            return;
        };
        let number = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if let Some(peer) = self.is_bound.get(&number)
            && let Some(data) = data.get(..length)
        {
            self.told.push_back(Told::Data(*peer, data.to_vec()));
        }
    }

    fn on_message(&mut self, now: u64, read: &Read<'_>) {
        match read.kind {
            kind if kind == (Kind::Indication, method::DATA) => {
                let peer = read.address(attribute::XOR_PEER_ADDRESS);
                if let Some((peer, data)) = peer.zip(read.get(attribute::DATA)) {
                    self.told.push_back(Told::Data(peer, data.to_vec()));
                }
            }
            (Kind::Success, _) => {
                if let Some(pending) = self.pending.remove(&read.id) {
                    self.on_granted(now, pending.ask, read);
                }
            }
            (Kind::Error, _) => {
                if let Some(pending) = self.pending.remove(&read.id) {
                    self.on_refused(now, pending, read);
                }
            }
            (Kind::Request | Kind::Indication, _) => {}
        }
    }

    fn on_granted(&mut self, now: u64, ask: Ask, read: &Read<'_>) {
        match &ask {
            Ask::Allocate => {
                self.mapped = read.address(attribute::XOR_MAPPED_ADDRESS);
                self.relayed = read.address(attribute::XOR_RELAYED_ADDRESS);
                self.renew_allocation(now, read);
            }
            Ask::Refresh(0) => self.gives_up(),
            Ask::Refresh(_) => self.renew_allocation(now, read),
            Ask::Permit(_) => self.renew(now + PERMISSION_PAUSE, ask.clone()),
            Ask::Bind(peer) => {
                let number = self.channel(*peer);
                self.is_bound.insert(number, *peer);
                self.renew(now + CHANNEL_PAUSE, ask.clone());
            }
        }
        self.told.push_back(Told::Granted(ask));
    }

    fn renew_allocation(&mut self, now: u64, read: &Read<'_>) {
        let lifetime = read.get(attribute::LIFETIME).and_then(|bytes| {
            let bytes = bytes.try_into().ok()?;
            Some(u64::from(u32::from_be_bytes(bytes)))
        });
        let lifetime = lifetime.unwrap_or(600);
        self.renew(
            now + lifetime.saturating_sub(60).max(1) * SECOND,
            Ask::Refresh(600),
        );
    }

    fn renew(&mut self, at: u64, ask: Ask) {
        self.renewals.entry(at).or_default().push(ask);
    }

    fn on_refused(&mut self, now: u64, pending: Pending, read: &Read<'_>) {
        let code = read.get(attribute::ERROR_CODE).and_then(|bytes| {
            let (class, number) = (*bytes.get(2)?, *bytes.get(3)?);
            Some(u16::from(class & 7) * 100 + u16::from(number))
        });
        // 401 to what had no credential, 438 to what had an old nonce: once more, with what the answer says.
        let is_challenge = matches!(code, Some(401 | 438)) && pending.tries < 2;
        let nonce = read.get(attribute::NONCE);
        if let Some(nonce) =
            nonce.filter(|_| is_challenge && (code == Some(438) || self.realm.is_empty()))
        {
            self.nonce = nonce.to_vec();
            if let Some(realm) = read.get(attribute::REALM) {
                self.realm = String::from_utf8_lossy(realm).into_owned();
            }
            self.begin(now, pending.ask, pending.tries + 1);
            return;
        }
        if matches!(pending.ask, Ask::Refresh(_)) || code == Some(437) {
            self.gives_up();
        }
        self.told.push_back(Told::Refused(pending.ask, code));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Request,
    Indication,
    Success,
    Error,
}

/// A message of the server.
struct Read<'a> {
    kind: (Kind, u16),
    id: u128,
    attributes: Vec<(u16, &'a [u8])>,
}

impl<'a> Read<'a> {
    fn parse(message: &'a [u8]) -> Option<Self> {
        let (head, mut rest) = message.split_first_chunk::<20>()?;
        let word = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if head[4..8] != COOKIE || rest.len() != length {
            return None;
        }
        let kind = match word & 0x0110 {
            0x0000 => Kind::Request,
            0x0010 => Kind::Indication,
            0x0100 => Kind::Success,
            _ => Kind::Error,
        };
        let method = (word & 0x000f) | (word & 0x00e0) >> 1 | (word & 0x3e00) >> 2;
        let mut attributes = Vec::new();
        while let Some((head, behind)) = rest.split_first_chunk::<4>() {
            let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let value = behind.get(..length)?;
            attributes.push((u16::from_be_bytes([head[0], head[1]]), value));
            rest = behind.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        let mut id = [0; 16];
        id[4..].copy_from_slice(&head[8..20]);
        Some(Self {
            kind: (kind, method),
            id: u128::from_be_bytes(id),
            attributes,
        })
    }

    fn get(&self, kind: u16) -> Option<&'a [u8]> {
        let found = self.attributes.iter().find(|(found, _)| *found == kind);
        found.map(|(_, value)| *value)
    }

    fn address(&self, kind: u16) -> Option<SocketAddr> {
        let value = self.get(kind)?;
        let (head, address) = value.split_first_chunk::<4>()?;
        let port = u16::from_be_bytes([head[2] ^ COOKIE[0], head[3] ^ COOKIE[1]]);
        let id = self.id.to_be_bytes();
        let mask = COOKIE.iter().chain(&id[4..]);
        let plain: Vec<u8> = address.iter().zip(mask).map(|(a, b)| a ^ b).collect();
        let ip = match head[1] {
            1 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(plain).ok()?)),
            2 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(plain).ok()?)),
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    }
}

fn head(class: MessageClass, method: u16, id: u128) -> MessageWriteVec {
    let kind = MessageType::from_class_method(class, Method::new(method));
    Message::builder(kind, id.into(), MessageWriteVec::new())
}

fn put(writer: &mut MessageWriteVec, kind: u16, value: &[u8]) {
    writer.push_attribute_unchecked(&RawAttribute::new(kind.into(), value));
}

/// The value of an address attribute (RFC 8489 §14.2).
fn xored(address: SocketAddr, id: &[u8]) -> Vec<u8> {
    let (family, plain) = match address.ip() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    let [high, low] = address.port().to_be_bytes();
    let mut value = vec![0, family, high ^ COOKIE[0], low ^ COOKIE[1]];
    let mask = COOKIE.iter().chain(id);
    value.extend(plain.iter().zip(mask).map(|(a, b)| a ^ b));
    value
}
