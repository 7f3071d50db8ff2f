//! A world of one server: its clients ask, and what comes back is looked at.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use stun_types::attribute::{
    AttributeWrite, ErrorCode, Nonce, PasswordAlgorithm, PasswordAlgorithmValue,
    PasswordAlgorithms, Realm, Username,
};
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageIntegrityCredentials,
    MessageType, MessageWrite, MessageWriteExt, MessageWriteVec, Method, TransactionId,
};
use turn::{
    Bounds, Client, Config, Counter, Effect, Forward, Input, Link, Note, Now, PeerPolicy,
    RelayAddress, RelayId, Server, Share,
};
use turn_types::attribute::{
    ChannelNumber, Lifetime, RequestedTransport, XorPeerAddress, XorRelayedAddress,
};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH};

use crate::authority::Book;

pub(crate) fn config() -> Config {
    Config {
        realm: "offhook".to_owned(),
        software: None,
        relays: vec![
            RelayAddress {
                local: "198.51.100.1".parse().unwrap(),
                public: "198.51.100.1".parse().unwrap(),
            },
            RelayAddress {
                local: "2001:db8::1".parse().unwrap(),
                public: "2001:db8::1".parse().unwrap(),
            },
        ],
        ports: 50_000..=50_999,
        share: Share::WHOLE,
        listening: vec!["198.51.100.1:3478".parse().unwrap()],
        machine: vec![
            "198.51.100.1".parse().unwrap(),
            "2001:db8::1".parse().unwrap(),
            "198.51.100.2".parse().unwrap(),
        ],
        peers: PeerPolicy::default(),
        gateways: Vec::new(),
        nonce_key: [3; 16],
        seed: [5; 32],
        bounds: Bounds::default(),
    }
}

/// What a request got.
#[derive(Clone, Debug)]
pub(crate) struct Answer(pub(crate) Vec<u8>);

impl Answer {
    pub(crate) fn message(&self) -> Message<'_> {
        Message::from_bytes(&self.0).unwrap()
    }

    /// 0 for success.
    pub(crate) fn code(&self) -> u16 {
        match self.message().class() {
            MessageClass::Success => 0,
            MessageClass::Error => self.message().attribute::<ErrorCode>().unwrap().code(),
            other @ (MessageClass::Request | MessageClass::Indication) => {
                panic!("{other:?} is no answer")
            }
        }
    }
}

/// A packet that left, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Out {
    Peer(SocketAddr, Vec<u8>),
    Client(Client, Vec<u8>),
    Sibling(u16, SocketAddr, SocketAddr, Vec<u8>),
}

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) book: Book,
    pub(crate) now: Now,
    pub(crate) sockets: Vec<(RelayId, SocketAddr)>,
    /// Sockets that do not open.
    pub(crate) refuse_opens: u32,
    pub(crate) refuse_opens_of_v6: bool,
    pub(crate) hung: Vec<Client>,
    /// What other servers are told.
    pub(crate) told: VecDeque<(u16, Note)>,
    /// Packets that were dropped in silence.
    pub(crate) dropped: u32,
    transactions: u128,
    /// The last one of each client, as real ones keep it.
    nonces: BTreeMap<Client, (u64, String)>,
}

pub(crate) fn client(port: u16) -> Client {
    Client {
        link: Link::Datagram(0),
        address: SocketAddr::new("203.0.113.7".parse().unwrap(), port),
    }
}

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

impl World {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            server: Server::new(config),
            book: Book::default(),
            now: Now {
                mono: Duration::from_secs(1_000),
                unix_s: 1_800_000_000,
            },
            sockets: Vec::new(),
            refuse_opens: 0,
            refuse_opens_of_v6: false,
            hung: Vec::new(),
            told: VecDeque::new(),
            dropped: 0,
            transactions: 0,
            nonces: BTreeMap::new(),
        }
    }

    /// Lets time pass; due timers fire.
    pub(crate) fn pass(&mut self, secs: u64) {
        self.now.mono += Duration::from_secs(secs);
        self.now.unix_s += secs;
        while self
            .server
            .poll_timeout()
            .is_some_and(|at| at <= self.now.mono)
        {
            self.give(Input::Timeout);
        }
    }

    /// One input, every effect; answers to clients, and the packet that came straight back.
    pub(crate) fn give(&mut self, input: Input<'_>) -> (Vec<(Client, Vec<u8>)>, Option<Out>) {
        let out =
            self.server
                .handle(self.now, input, &mut self.book)
                .map(|forward| match forward {
                    Forward::ToPeer {
                        relay, peer, data, ..
                    } => {
                        assert!(self.sockets.iter().any(|(open, _)| *open == relay));
                        Out::Peer(peer, data.to_vec())
                    }
                    Forward::ToClient {
                        client,
                        head,
                        data,
                        padding,
                    } => {
                        let mut bytes = head.as_bytes().to_vec();
                        bytes.extend_from_slice(data);
                        bytes.extend(std::iter::repeat_n(0, padding.into()));
                        Out::Client(client, bytes)
                    }
                    Forward::ToSibling {
                        server,
                        from,
                        to,
                        data,
                    } => Out::Sibling(server, from, to, data.to_vec()),
                });
        let mut answers = Vec::new();
        while let Some(effect) = self.server.poll_effect() {
            match effect {
                Effect::Send { client, message } => answers.push((client, message)),
                Effect::Open { relay, local } => {
                    let is_refused = self.refuse_opens > 0;
                    self.refuse_opens -= u32::from(is_refused);
                    let is_open = !(is_refused || self.refuse_opens_of_v6 && local.is_ipv6());
                    if is_open {
                        self.sockets.push((relay, local));
                    }
                    let opened = Input::Opened { relay, is_open };
                    assert_eq!(self.server.handle(self.now, opened, &mut self.book), None);
                }
                Effect::Close { relay } => self.sockets.retain(|(open, _)| *open != relay),
                Effect::Hang { client } => self.hung.push(client),
                Effect::Tell { server, note } => self.told.push_back((server, note)),
                Effect::Count(counter) => self.dropped += u32::from(counter == Counter::Dropped),
            }
        }
        (answers, out)
    }

    pub(crate) fn transaction(&mut self) -> TransactionId {
        self.transactions += 1;
        self.transactions.into()
    }

    pub(crate) fn request(
        &mut self,
        method: Method,
        attributes: &[&dyn AttributeWrite],
    ) -> MessageWriteVec {
        let kind = MessageType::from_class_method(MessageClass::Request, method);
        let transaction = self.transaction();
        let mut request = Message::builder(kind, transaction, MessageWriteVec::new());
        for attribute in attributes {
            request.add_attribute(*attribute).unwrap();
        }
        request
    }

    /// Sends a request as it is; nothing for silence.
    pub(crate) fn send(&mut self, client: Client, request: &[u8]) -> Option<Answer> {
        let (mut answers, out) = self.give(Input::FromClient {
            client,
            message: request,
        });
        assert_eq!(out, None);
        assert!(answers.len() <= 1);
        answers.pop().map(|(to, message)| {
            assert_eq!(to, client);
            Answer(message)
        })
    }

    pub(crate) fn nonce(&mut self, client: Client) -> String {
        let request = self
            .request(ALLOCATE, &[&RequestedTransport::new(17)])
            .finish();
        let answer = self.send(client, &request).unwrap();
        let nonce = answer.message().attribute::<Nonce>().unwrap();
        nonce.nonce().to_owned()
    }

    fn kept_nonce(&mut self, client: Client) -> String {
        match self.nonces.get(&client) {
            Some((at, nonce)) if self.now.unix_s < at + 500 => nonce.clone(),
            Some(_) | None => {
                let nonce = self.nonce(client);
                self.nonces.insert(client, (self.now.unix_s, nonce.clone()));
                nonce
            }
        }
    }

    /// A request with everything that proves user `u<user>`.
    pub(crate) fn ask(
        &mut self,
        client: Client,
        user: u64,
        method: Method,
        attributes: &[&dyn AttributeWrite],
    ) -> Answer {
        let nonce = self.kept_nonce(client);
        let request = self.request(method, attributes);
        let bytes = seal(request, user, &nonce, IntegrityAlgorithm::Sha1);
        self.send(client, &bytes).unwrap()
    }

    /// The relayed address of a new allocation.
    pub(crate) fn allocate(&mut self, client: Client, user: u64) -> SocketAddr {
        let answer = self.ask(client, user, ALLOCATE, &[&RequestedTransport::new(17)]);
        assert_eq!(answer.code(), 0);
        relayed(&answer)
    }

    pub(crate) fn permit(&mut self, client: Client, user: u64, peer: SocketAddr) -> u16 {
        self.kept_nonce(client);
        let transaction = (self.transactions + 1).into();
        let peer = XorPeerAddress::new(peer, transaction);
        self.ask(client, user, CREATE_PERMISSION, &[&peer]).code()
    }

    pub(crate) fn bind(&mut self, client: Client, user: u64, number: u16, peer: SocketAddr) -> u16 {
        self.kept_nonce(client);
        let transaction = (self.transactions + 1).into();
        let peer = XorPeerAddress::new(peer, transaction);
        self.ask(
            client,
            user,
            CHANNEL_BIND,
            &[&ChannelNumber::new(number), &peer],
        )
        .code()
    }

    pub(crate) fn refresh(&mut self, client: Client, user: u64, seconds: u32) -> u16 {
        self.ask(client, user, REFRESH, &[&Lifetime::new(seconds)])
            .code()
    }

    pub(crate) fn channel_data(&mut self, client: Client, number: u16, data: &[u8]) -> Option<Out> {
        let mut message = number.to_be_bytes().to_vec();
        message.extend_from_slice(&(data.len() as u16).to_be_bytes());
        message.extend_from_slice(data);
        self.give(Input::FromClient {
            client,
            message: &message,
        })
        .1
    }

    pub(crate) fn send_indication(
        &mut self,
        client: Client,
        peer: SocketAddr,
        data: &[u8],
    ) -> Option<Out> {
        let kind =
            MessageType::from_class_method(MessageClass::Indication, turn_types::message::SEND);
        let transaction = self.transaction();
        let mut message = Message::builder(kind, transaction, MessageWriteVec::new());
        message
            .add_attribute(&XorPeerAddress::new(peer, transaction))
            .unwrap();
        message
            .add_attribute(&turn_types::attribute::Data::new(data))
            .unwrap();
        let message = message.finish();
        self.give(Input::FromClient {
            client,
            message: &message,
        })
        .1
    }

    pub(crate) fn peer_sends(
        &mut self,
        relayed: SocketAddr,
        peer: SocketAddr,
        data: &[u8],
    ) -> Option<Out> {
        let (relay, _) = *self.sockets.iter().find(|(_, local)| *local == relayed)?;
        self.give(Input::FromPeer { relay, peer, data }).1
    }
}

pub(crate) fn relayed(answer: &Answer) -> SocketAddr {
    let message = answer.message();
    message
        .attribute::<XorRelayedAddress>()
        .unwrap()
        .addr(message.transaction_id())
}

pub(crate) fn credentials(user: u64) -> MessageIntegrityCredentials {
    LongTermKeyCredentials::new(format!("u{user}"), format!("p{user}"), "offhook".to_owned()).into()
}

/// Adds what proves a user.
pub(crate) fn seal(
    mut request: MessageWriteVec,
    user: u64,
    nonce: &str,
    algorithm: IntegrityAlgorithm,
) -> Vec<u8> {
    request
        .add_attribute(&Username::new(&format!("u{user}")).unwrap())
        .unwrap();
    request
        .add_attribute(&Realm::new("offhook").unwrap())
        .unwrap();
    request.add_attribute(&Nonce::new(nonce).unwrap()).unwrap();
    if algorithm == IntegrityAlgorithm::Sha256 {
        let offered = [PasswordAlgorithmValue::SHA256, PasswordAlgorithmValue::MD5];
        request
            .add_attribute(&PasswordAlgorithms::new(&offered))
            .unwrap();
        request
            .add_attribute(&PasswordAlgorithm::new(PasswordAlgorithmValue::SHA256))
            .unwrap();
    }
    request
        .add_message_integrity(&credentials(user), algorithm)
        .unwrap();
    request.add_fingerprint().unwrap();
    request.finish()
}
