//! What one packet costs: ChannelData to a peer, a peer's datagram to its client, and both within one server, with few
//! and with very many allocations. Sockets are not in it.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use stun_types::attribute::{AttributeWrite, Nonce, Realm, Username};
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageIntegrityCredentials,
    MessageType, MessageWrite, MessageWriteExt, MessageWriteVec, Method,
};
use turn::{
    Authority, Bounds, Client, Config, Credential, Denied, Effect, Holder, Input, Link, Now,
    PeerPolicy, RelayAddress, RelayId, Server, Share, Tag, Usage,
};
use turn_types::attribute::{ChannelNumber, RequestedTransport, XorPeerAddress, XorRelayedAddress};
use turn_types::message::{ALLOCATE, CHANNEL_BIND};

const NOW: Now = Now {
    mono: Duration::from_secs(1),
    unix_s: 1_800_000_000,
};

struct Anybody;

impl Authority for Anybody {
    fn credential(&mut self, _: Now, _: &str) -> Option<Credential> {
        Some(Credential {
            holder: Holder(1),
            password: "p".to_owned(),
            is_fresh: true,
        })
    }

    fn admit(&mut self, _: Now, _: Holder, _: &str) -> Result<(), Denied> {
        Ok(())
    }

    fn release(&mut self, _: Now, _: Holder) {}

    fn may_stay(&mut self, _: Now, _: Holder) -> bool {
        true
    }

    fn reach(&mut self, _: Now, _: Holder, _: IpAddr, _: bool) -> Option<Tag> {
        Some(Tag(1))
    }

    fn enter(&mut self, _: Now, _: Holder, _: IpAddr) -> Option<Tag> {
        None
    }

    fn lease(&mut self, _: Now, _: Holder, wanted: u32) -> u32 {
        wanted
    }

    fn used(&mut self, _: Now, _: Holder, _: Tag, _: Usage) {}
}

fn client(number: u32) -> Client {
    let ip = Ipv4Addr::from_bits(0xcb00_7100 + (number >> 14));
    Client {
        link: Link::Datagram(0),
        address: SocketAddr::new(ip.into(), (number & 0x3fff) as u16 + 1_024),
    }
}

/// A server with this many allocations, each with a channel 0x4000 to a peer or to the allocation before.
struct Full {
    server: Server,
    relays: Vec<(RelayId, SocketAddr)>,
}

impl Full {
    fn new(count: u32, within: bool) -> Self {
        let relays = (0..4).map(|last| {
            let ip = Ipv4Addr::new(198, 51, 100, last + 1).into();
            RelayAddress {
                local: ip,
                public: ip,
            }
        });
        let mut full = Self {
            server: Server::new(Config {
                realm: "offhook".to_owned(),
                software: None,
                relays: relays.collect(),
                ports: 10_000..=65_535,
                share: Share::WHOLE,
                listening: Vec::new(),
                machine: Vec::new(),
                peers: PeerPolicy::default(),
                gateways: Vec::new(),
                nonce_key: [1; 16],
                seed: [2; 32],
                bounds: Bounds {
                    answers_burst: u32::MAX / 1_000,
                    allocations: 200_000,
                    ..Bounds::default()
                },
            }),
            relays: Vec::new(),
        };
        for number in 0..count {
            full.ask(number, ALLOCATE, |_| {
                vec![Box::new(RequestedTransport::new(17))]
            });
        }
        for number in 0..count {
            let peer = if within {
                full.relays[number as usize ^ 1].1
            } else {
                "192.0.2.9:7000".parse().expect("an address")
            };
            full.ask(number, CHANNEL_BIND, |transaction| {
                vec![
                    Box::new(ChannelNumber::new(0x4000)),
                    Box::new(XorPeerAddress::new(peer, transaction)),
                ]
            });
        }
        full
    }

    fn ask(
        &mut self,
        number: u32,
        method: Method,
        attributes: impl Fn(stun_types::message::TransactionId) -> Vec<Box<dyn AttributeWrite>>,
    ) {
        let kind = MessageType::from_class_method(MessageClass::Request, method);
        let transaction = u128::from(number).into();
        let bare = Message::builder(kind, transaction, MessageWriteVec::new()).finish();
        let challenge = self.give(number, &bare);
        let nonce = Message::from_bytes(&challenge)
            .expect("a message")
            .attribute::<Nonce>()
            .expect("a nonce");
        let mut request = Message::builder(kind, transaction, MessageWriteVec::new());
        for attribute in attributes(transaction) {
            request.add_attribute(&*attribute).expect("room");
        }
        request
            .add_attribute(&Username::new("u").expect("short"))
            .expect("room");
        request
            .add_attribute(&Realm::new("offhook").expect("short"))
            .expect("room");
        request.add_attribute(&nonce).expect("room");
        let credentials: MessageIntegrityCredentials =
            LongTermKeyCredentials::new("u".to_owned(), "p".to_owned(), "offhook".to_owned())
                .into();
        request
            .add_message_integrity(&credentials, IntegrityAlgorithm::Sha1)
            .expect("room");
        let answer = self.give(number, &request.finish());
        let answer = Message::from_bytes(&answer).expect("a message");
        assert_eq!(answer.class(), MessageClass::Success);
        if let (ALLOCATE, Ok(relayed)) = (method, answer.attribute::<XorRelayedAddress>()) {
            let last = self.relays.last_mut().expect("opened");
            last.1 = relayed.addr(transaction);
        }
    }

    fn give(&mut self, number: u32, message: &[u8]) -> Vec<u8> {
        let mut sent = Vec::new();
        self.server.handle(
            NOW,
            Input::FromClient {
                client: client(number),
                message,
            },
            &mut Anybody,
        );
        while let Some(effect) = self.server.poll_effect() {
            match effect {
                Effect::Send { message, .. } => sent = message,
                Effect::Open { relay, local } => {
                    self.relays.push((relay, local));
                    let opened = Input::Opened {
                        relay,
                        is_open: true,
                    };
                    self.server.handle(NOW, opened, &mut Anybody);
                }
                Effect::Close { .. }
                | Effect::Hang { .. }
                | Effect::Tell { .. }
                | Effect::Count(_) => {}
            }
        }
        sent
    }
}

fn data(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("packet");
    let mut message = vec![0x40, 0x00, 0x00, 172];
    message.resize(4 + 172, 7);
    let peer = "192.0.2.9:7000".parse().expect("an address");
    for count in [10, 10_000, 100_000] {
        let mut full = Full::new(count, false);
        // A stride without a common divisor: neighbours in time are none in memory.
        let mut next = 0;
        let mut step = move || {
            next = (next + 7_919) % count;
            next
        };
        group.bench_function(BenchmarkId::new("client to peer", count), |bench| {
            bench.iter(|| {
                let client = client(step());
                let input = Input::FromClient {
                    client,
                    message: &message,
                };
                let out = full.server.handle(NOW, black_box(input), &mut Anybody);
                assert!(black_box(out).is_some());
            });
        });
        group.bench_function(BenchmarkId::new("peer to client", count), |bench| {
            bench.iter(|| {
                let (relay, _) = full.relays[step() as usize];
                let input = Input::FromPeer {
                    relay,
                    peer,
                    data: &message[4..],
                };
                let out = full.server.handle(NOW, black_box(input), &mut Anybody);
                assert!(black_box(out).is_some());
            });
        });
        let mut full = Full::new(count, true);
        group.bench_function(BenchmarkId::new("relay to relay", count), |bench| {
            bench.iter(|| {
                let client = client(step());
                let input = Input::FromClient {
                    client,
                    message: &message,
                };
                let out = full.server.handle(NOW, black_box(input), &mut Anybody);
                assert!(black_box(out).is_some());
            });
        });
    }
    group.finish();
}

criterion_group!(benches, data);
criterion_main!(benches);
