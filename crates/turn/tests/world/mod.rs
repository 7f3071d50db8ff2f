//! One TURN server with its clients, driven by bytes: for the fuzz targets and for the test that replays what they found.
//! Keeps what was permitted beside the server and compares.

#![allow(dead_code, reason = "each fuzz target uses a part")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use stun_types::AddressFamily;
use stun_types::attribute::{AttributeWrite, Nonce, Realm, Username};
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageIntegrityCredentials,
    MessageType, MessageWrite, MessageWriteExt, MessageWriteVec, Method,
};
use turn::{
    Authority, Bounds, Client, Config, Credential, Denied, Effect, Forward, Gateway, Holder, Input,
    Link, Now, PeerPolicy, RelayAddress, RelayId, Server, Share, Tag, Usage,
};
use turn_types::attribute::{
    AdditionalAddressFamily, ChannelNumber, Data, EvenPort, Lifetime, RequestedAddressFamily,
    RequestedTransport, ReservationToken, XorPeerAddress,
};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH, SEND};

/// The first three may be reached, the last one as far as it is relayed.
const PEERS: [&str; 12] = [
    "192.0.2.9",
    "192.0.2.10",
    "2001:db8::9",
    "10.0.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "::ffff:127.0.0.1",
    "64:ff9b::a00:1",
    // Our own address, as a translator would spell it.
    "64:ff9b::c633:6401",
    "2002:c633:6401::1",
    OWN,
    OWN,
];
const OWN: &str = "198.51.100.1";
/// Where relayed ports begin.
const FIRST: u16 = 50_000;
/// A gateway, in the midst of them, and what it is behind a NAT: another port of a peer that nobody may reach.
const GATEWAY: u16 = FIRST + 7;
const HIDDEN_GATEWAY: &str = "10.0.0.1:7003";

/// Holders may reach the first three peers unless that was taken back.
#[derive(Default)]
struct Book {
    taken_back: BTreeSet<(Holder, IpAddr)>,
    admitted: BTreeMap<Holder, u32>,
    lease: u32,
}

impl Authority for Book {
    fn credential(&mut self, _: Now, username: &str) -> Option<Credential> {
        let number = username.parse().ok()?;
        Some(Credential {
            holder: Holder(number),
            password: "p".to_owned(),
            is_fresh: true,
        })
    }

    fn admit(&mut self, _: Now, holder: Holder, _: &str) -> Result<(), Denied> {
        let count = self.admitted.entry(holder).or_default();
        if *count == 8 {
            return Err(Denied::Quota);
        }
        *count += 1;
        Ok(())
    }

    fn release(&mut self, _: Now, holder: Holder) {
        let count = self.admitted.get_mut(&holder).expect("admitted before");
        *count = count.checked_sub(1).expect("admitted as often");
    }

    fn may_stay(&mut self, _: Now, _: Holder) -> bool {
        true
    }

    fn reach(&mut self, _: Now, holder: Holder, peer: IpAddr, is_relay: bool) -> Option<Tag> {
        (is_relay || !self.taken_back.contains(&(holder, peer))).then_some(Tag(1))
    }

    fn enter(&mut self, now: Now, holder: Holder, gateway: IpAddr) -> Option<Tag> {
        self.reach(now, holder, gateway, false)
    }

    fn lease(&mut self, _: Now, _: Holder, wanted: u32) -> u32 {
        wanted
    }

    fn used(&mut self, _: Now, _: Holder, _: Tag, _: Usage) {}
}

pub(crate) struct World {
    server: Server,
    book: Book,
    now: Now,
    nonces: BTreeMap<u8, String>,
    sockets: BTreeMap<RelayId, SocketAddr>,
    /// Peers that a client was permitted, with the second of the last time.
    permitted: BTreeMap<(u8, IpAddr), u64>,
    tokens: Vec<u64>,
    refuse_opens: bool,
    /// Sockets are not opened at once, and these wait.
    delay_opens: bool,
    waiting: BTreeSet<(RelayId, SocketAddr)>,
    transactions: u128,
}

fn client(number: u8) -> Client {
    let link = if number % 4 == 3 {
        Link::Stream(number.into())
    } else {
        Link::Datagram(0)
    };
    Client {
        link,
        address: SocketAddr::new(
            "203.0.113.7".parse().expect("an address"),
            4_000 + u16::from(number),
        ),
    }
}

fn gateway() -> Gateway {
    Gateway {
        public: SocketAddr::new(OWN.parse().expect("an address"), GATEWAY),
        local: HIDDEN_GATEWAY.parse().expect("an address"),
    }
}

fn peer(number: u8) -> SocketAddr {
    let ip = PEERS[usize::from(number) % PEERS.len()];
    let first = if ip == OWN { FIRST } else { 7_000 };
    SocketAddr::new(
        ip.parse().expect("an address"),
        first + u16::from(number / 12),
    )
}

impl World {
    /// One message, of one client that has an allocation or another that has none, or of a peer.
    pub(crate) fn take_message(bytes: &[u8]) {
        let Some((kind, bytes)) = bytes.split_first() else {
            return;
        };
        let mut world = Self::new();
        let relayed = world.allocate(0);
        world.permit_and_bind(0);
        match kind % 3 {
            0 => world.client_sends(0, bytes),
            1 => world.client_sends(1, bytes),
            _ => world.peer_sends(relayed, *kind, bytes),
        }
        world.check();
    }

    /// Four bytes a step.
    pub(crate) fn take_sequence(bytes: &[u8]) {
        let mut world = Self::new();
        for step in bytes.as_chunks().0.iter().take(200) {
            world.step(*step);
            world.check();
        }
        world.end();
    }

    fn new() -> Self {
        let relay = |ip: &str| RelayAddress {
            local: ip.parse().expect("an address"),
            public: ip.parse().expect("an address"),
        };
        Self {
            server: Server::new(Config {
                realm: "offhook".to_owned(),
                software: None,
                relays: vec![relay(OWN), relay("2001:db8::1")],
                ports: FIRST..=FIRST + 31,
                share: Share::WHOLE,
                listening: vec![SocketAddr::new(OWN.parse().expect("an address"), 3_478)],
                machine: vec![OWN.parse().expect("an address")],
                peers: PeerPolicy::default(),
                gateways: vec![gateway()],
                nonce_key: [1; 16],
                seed: [2; 32],
                bounds: Bounds {
                    permissions: 4,
                    channels: 4,
                    allocations: 16,
                    ..Bounds::default()
                },
            }),
            book: Book::default(),
            now: Now {
                mono: Duration::from_secs(1),
                unix_s: 1_800_000_000,
            },
            nonces: BTreeMap::new(),
            sockets: BTreeMap::new(),
            permitted: BTreeMap::new(),
            tokens: Vec::new(),
            refuse_opens: false,
            delay_opens: false,
            waiting: BTreeSet::new(),
            transactions: 0,
        }
    }

    /// Four bytes: what, who, with whom, how much.
    fn step(&mut self, [what, who, with, much]: [u8; 4]) {
        let who = who % 8;
        match what % 14 {
            0 => self.allocate_families(who, much),
            1 => drop(self.request(
                who,
                who,
                ALLOCATE,
                &[&RequestedTransport::new(17), &EvenPort::new(much % 2 == 0)],
            )),
            2 => {
                let token = self.tokens.get(usize::from(with)).copied().unwrap_or(1);
                self.request(
                    who,
                    who,
                    ALLOCATE,
                    &[&RequestedTransport::new(17), &ReservationToken::new(token)],
                );
            }
            3 => drop(self.request(who, who, REFRESH, &[&Lifetime::new(u32::from(much) * 20)])),
            4 => drop(self.request(who, with % 8, REFRESH, &[&Lifetime::new(0)])),
            5 => self.permit(who, with),
            6 => self.bind(who, with, 0x4000 + u16::from(much % 8)),
            7 => {
                let mut message = (0x4000 + u16::from(with % 8)).to_be_bytes().to_vec();
                message.extend_from_slice(&u16::from(much).to_be_bytes());
                message.extend(std::iter::repeat_n(7, usize::from(much)));
                self.client_sends(who, &message);
            }
            8 => self.send(who, peer(with), usize::from(much)),
            9 => {
                if let Some(relay) = self.sockets.keys().nth(usize::from(much)).copied() {
                    self.peer_sends(Some(relay), with, &[7; 100]);
                }
            }
            10 => self.pass(u64::from(much) * 4 + u64::from(with)),
            11 => {
                let holder = Holder(u64::from(who));
                let ip = peer(with).ip();
                if much % 2 == 0 {
                    self.book.taken_back.insert((holder, ip));
                    // What is relayed may be reached all the same.
                    if peer(with).ip() != OWN.parse::<IpAddr>().expect("an address") {
                        self.permitted.retain(|(of, to), _| (*of, *to) != (who, ip));
                    }
                } else {
                    self.book.taken_back.remove(&(holder, ip));
                }
                self.give(who, Input::Recheck { holder });
            }
            12 => {
                if let Some((relay, local)) = self.waiting.pop_first() {
                    let is_open = much % 4 != 0;
                    if is_open {
                        assert_eq!(self.sockets.insert(relay, local), None);
                    }
                    self.give(who, Input::Opened { relay, is_open });
                }
            }
            _ => {
                self.refuse_opens = much % 4 == 0;
                self.delay_opens = much % 4 == 2;
                if much % 16 == 1 {
                    self.give(
                        who,
                        Input::Gone {
                            client: client(who),
                        },
                    );
                }
            }
        }
    }

    /// Everything ends, and nothing is left.
    fn end(&mut self) {
        self.pass(10_000);
        assert_eq!(self.server.allocations(), 0);
        assert!(
            self.sockets.is_empty() && self.waiting.is_empty(),
            "every socket is closed"
        );
        assert!(self.book.admitted.values().all(|count| *count == 0));
        assert_eq!(self.server.poll_timeout(), None);
    }

    fn check(&self) {
        let admitted: u32 = self.book.admitted.values().sum();
        let held = self.server.allocations() + self.server.reservations();
        assert_eq!(held, admitted as usize);
        let locals: BTreeSet<&SocketAddr> = self.sockets.values().collect();
        assert_eq!(locals.len(), self.sockets.len(), "no port twice");
    }

    fn allocate(&mut self, who: u8) -> Option<RelayId> {
        self.request(who, who, ALLOCATE, &[&RequestedTransport::new(17)]);
        self.sockets.keys().next_back().copied()
    }

    fn allocate_families(&mut self, who: u8, families: u8) {
        let udp = RequestedTransport::new(17);
        let attribute: Option<Box<dyn AttributeWrite>> = match families % 3 {
            0 => None,
            1 => Some(Box::new(RequestedAddressFamily::new(AddressFamily::IPV6))),
            _ => Some(Box::new(AdditionalAddressFamily::new(AddressFamily::IPV6))),
        };
        let mut attributes: Vec<&dyn AttributeWrite> = vec![&udp];
        attributes.extend(attribute.as_deref());
        self.request(who, who, ALLOCATE, &attributes);
    }

    fn permit_and_bind(&mut self, who: u8) {
        self.permit(who, 0);
        self.bind(who, 0, 0x4000);
    }

    fn permit(&mut self, who: u8, with: u8) {
        self.challenge(who);
        let transaction = (self.transactions + 1).into();
        let address = XorPeerAddress::new(peer(with), transaction);
        if self.request(who, who, CREATE_PERMISSION, &[&address]) == Some(true) {
            self.permitted
                .insert((who, peer(with).ip()), self.now.unix_s);
        }
    }

    fn bind(&mut self, who: u8, with: u8, number: u16) {
        self.challenge(who);
        let transaction = (self.transactions + 1).into();
        let address = XorPeerAddress::new(peer(with), transaction);
        if self.request(
            who,
            who,
            CHANNEL_BIND,
            &[&ChannelNumber::new(number), &address],
        ) == Some(true)
        {
            self.permitted
                .insert((who, peer(with).ip()), self.now.unix_s);
        }
    }

    fn send(&mut self, who: u8, to: SocketAddr, len: usize) {
        let kind = MessageType::from_class_method(MessageClass::Indication, SEND);
        self.transactions += 1;
        let transaction = self.transactions.into();
        let mut message = Message::builder(kind, transaction, MessageWriteVec::new());
        message
            .add_attribute(&XorPeerAddress::new(to, transaction))
            .expect("room");
        message
            .add_attribute(&Data::new(&vec![7; len]))
            .expect("room");
        let message = message.finish();
        self.client_sends(who, &message);
    }

    fn client_sends(&mut self, who: u8, message: &[u8]) {
        self.give(
            who,
            Input::FromClient {
                client: client(who),
                message,
            },
        );
    }

    fn peer_sends(&mut self, relay: Option<RelayId>, with: u8, data: &[u8]) {
        if let Some(relay) = relay {
            self.give(
                0,
                Input::FromPeer {
                    relay,
                    peer: peer(with),
                    data,
                },
            );
        }
    }

    fn pass(&mut self, secs: u64) {
        self.now.mono += Duration::from_secs(secs);
        self.now.unix_s += secs;
        while self
            .server
            .poll_timeout()
            .is_some_and(|at| at <= self.now.mono)
        {
            self.give(0, Input::Timeout);
        }
    }

    fn challenge(&mut self, who: u8) {
        self.nonces.remove(&who);
        self.transactions += 1;
        let kind = MessageType::from_class_method(MessageClass::Request, REFRESH);
        let bare =
            Message::builder(kind, self.transactions.into(), MessageWriteVec::new()).finish();
        // Padded, so that the limit for unknown sources does not stop the sequence.
        let mut padded = bare;
        padded.extend_from_slice(&[0x80, 0x50, 0, 120]);
        padded.extend_from_slice(&[0; 120]);
        padded[2..4].copy_from_slice(&124_u16.to_be_bytes());
        let answers = self.give(
            who,
            Input::FromClient {
                client: client(who),
                message: &padded,
            },
        );
        let nonce = answers
            .first()
            .and_then(|answer| Message::from_bytes(answer).ok()?.attribute::<Nonce>().ok());
        if let Some(nonce) = nonce {
            self.nonces.insert(who, nonce.nonce().to_owned());
        }
    }

    /// Whether it succeeded; nothing for silence.
    fn request(
        &mut self,
        who: u8,
        user: u8,
        method: Method,
        attributes: &[&dyn AttributeWrite],
    ) -> Option<bool> {
        if !self.nonces.contains_key(&who) {
            self.challenge(who);
        }
        let nonce = self.nonces.get(&who)?.clone();
        self.transactions += 1;
        let kind = MessageType::from_class_method(MessageClass::Request, method);
        let mut request = Message::builder(kind, self.transactions.into(), MessageWriteVec::new());
        for attribute in attributes {
            request.add_attribute(*attribute).expect("room");
        }
        let user = user.to_string();
        request
            .add_attribute(&Username::new(&user).expect("short"))
            .expect("room");
        request
            .add_attribute(&Realm::new("offhook").expect("short"))
            .expect("room");
        request
            .add_attribute(&Nonce::new(&nonce).expect("short"))
            .expect("room");
        let credentials: MessageIntegrityCredentials =
            LongTermKeyCredentials::new(user, "p".to_owned(), "offhook".to_owned()).into();
        request
            .add_message_integrity(&credentials, IntegrityAlgorithm::Sha1)
            .expect("room");
        let request = request.finish();
        let answers = self.give(
            who,
            Input::FromClient {
                client: client(who),
                message: &request,
            },
        );
        self.nonces.remove(&who);
        assert!(answers.len() <= 1, "one answer at most");
        let answer = Message::from_bytes(answers.first()?).expect("what we send can be read");
        if let Ok(token) = answer.attribute::<ReservationToken>() {
            self.tokens.push(token.token());
        }
        Some(answer.class() == MessageClass::Success)
    }

    fn check_forward(&self, who: u8, input: Input<'_>, forward: Option<Forward<'_>>) {
        let is_permitted = |who: u8, peer: IpAddr| {
            let at = self.permitted.get(&(who, peer)).expect("permitted before");
            assert!(self.now.unix_s < at + 300, "a permission that is over");
        };
        match forward {
            Some(Forward::ToPeer { relay, peer, .. }) => {
                assert!(self.sockets.contains_key(&relay), "the socket is open");
                if peer == gateway().local {
                    let own = OWN.parse().expect("an address");
                    is_permitted(who, own);
                    let is_let = (Holder(who.into()), own);
                    assert!(!self.book.taken_back.contains(&is_let));
                    return;
                }
                is_permitted(who, peer.ip());
                assert!(
                    PEERS[..3]
                        .iter()
                        .any(|may| peer.ip() == may.parse::<IpAddr>().expect("an address"))
                );
            }
            Some(Forward::ToSibling { .. }) => panic!("there is one server"),
            Some(Forward::ToClient {
                client: to,
                data,
                padding,
                ..
            }) => {
                assert!(padding < 4 && data.len() < 65_536);
                let receiver = (to.address.port() - 4_000) as u8;
                assert_eq!(client(receiver), to);
                match input {
                    Input::FromPeer { peer, .. } if peer == gateway().local => {
                        is_permitted(receiver, gateway().public.ip());
                    }
                    Input::FromPeer { peer, .. } => is_permitted(receiver, peer.ip()),
                    // From relayed address to relayed address: both have permitted the other.
                    Input::FromClient { .. } => {
                        let own = OWN.parse().expect("an address");
                        is_permitted(who, own);
                        is_permitted(receiver, own);
                    }
                    Input::FromSibling { .. }
                    | Input::Opened { .. }
                    | Input::Told { .. }
                    | Input::Gone { .. }
                    | Input::Recheck { .. }
                    | Input::Report
                    | Input::Timeout => panic!("data out of nothing"),
                }
            }
            None => {}
        }
    }

    fn give(&mut self, who: u8, input: Input<'_>) -> Vec<Vec<u8>> {
        let now = self.now;
        let forward = self.server.handle(now, input, &mut self.book);
        self.check_forward(who, input, forward);
        let mut answers = Vec::new();
        while let Some(effect) = self.server.poll_effect() {
            match effect {
                Effect::Send { message, .. } => {
                    assert!(message.len().is_multiple_of(4));
                    answers.push(message);
                }
                Effect::Open { relay, local } if self.delay_opens => {
                    assert!(self.waiting.insert((relay, local)))
                }
                Effect::Open { relay, local } => {
                    let is_open = !std::mem::take(&mut self.refuse_opens);
                    if is_open {
                        assert_eq!(self.sockets.insert(relay, local), None);
                    }
                    self.server
                        .handle(now, Input::Opened { relay, is_open }, &mut self.book);
                }
                Effect::Close { relay } => {
                    self.sockets.remove(&relay);
                    self.waiting.retain(|(waiting, _)| *waiting != relay);
                }
                Effect::Tell { .. } => panic!("there is one server"),
                Effect::Hang { .. } | Effect::Count(_) => {}
            }
        }
        // Nobody keeps a permission beyond the allocation.
        let server = &self.server;
        self.permitted
            .retain(|(who, _), _| server.holds(client(*who)));
        answers
    }
}
