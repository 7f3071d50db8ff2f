//! What messages cost, from the bytes of a frame to the bytes of the answers: a REGISTER refresh and a whole call through
//! edge and shard, an OPTIONS at the edge. Sockets, locks and the clients' own work are not in it.
//!
//! With `OFFHOOK_COUNT=refresh:1000` (or `options`, `call`; each with `-turn`: with a TURN server) it does only that and ends, for a tool that counts
//! instructions in the functions whose names begin with `counted`.

use std::hint::black_box;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use criterion::{BatchSize, Criterion};
use model::{Algorithm, ConnectionId, Instant, Now, UnixTime};
use sip::{Message, MessageWriter, Name};
use switch::edge::{Flow, Verdict};
use switch::turn_grant::{TurnOffer, TurnSecret};
use switch::{Effect, Input, Shard, Snapshot};

use world::{START, World};

mod world;

const ALICE: usize = 0;
const BOB: usize = 1;
const CLIENTS: [&str; 2] = ["alice.spjql", "bob.spjqf"];
/// The video offer of a browser, as captured; the answer has the same size here.
const INVITE: &str = include_str!("../../sip/tests/fixtures/invite.sip");
/// Longer than an ended call lingers: each one finds the shard at rest.
const BETWEEN_CALLS_MICROS: u64 = 40_000_000;

/// A shard, and the connections of two clients.
struct Stage {
    snapshot: Arc<Snapshot>,
    shard: Shard,
    flows: [Flow; 2],
    now_micros: u64,
}

impl Stage {
    /// The same every time: what a shard writes depends on its seed and its inputs alone.
    fn new(snapshot: &Arc<Snapshot>) -> Self {
        let flow = |at: usize| {
            Flow::new(
                ConnectionId(at as u64 + 1),
                now(0),
                Some("calls.example.com"),
            )
        };
        Self {
            snapshot: Arc::clone(snapshot),
            shard: Shard::new(0, [1; 32], Arc::clone(snapshot)),
            flows: [flow(ALICE), flow(BOB)],
            now_micros: 0,
        }
    }

    /// Gives a frame to edge and shard, and the effects to `sink`.
    fn frame(&mut self, client: usize, bytes: &[u8], mut sink: impl FnMut(Effect)) {
        let now = now(self.now_micros);
        let flow = &mut self.flows[client];
        let connection = flow.connection();
        match flow.frame(now, bytes, &self.snapshot, 1) {
            Verdict::Deliver {
                account,
                message,
                ice_servers,
                ..
            } => {
                let input = Input::Message {
                    connection,
                    account,
                    message: &message,
                    ice_servers: ice_servers.as_deref(),
                };
                self.shard.handle(now, input);
            }
            Verdict::Reply { message, .. } => sink(Effect::Send {
                connection,
                message,
            }),
            refused @ (Verdict::Ignore { .. } | Verdict::Close { .. }) => {
                panic!("not taken: {refused:?}")
            }
        }
        while let Some(effect) = self.shard.poll_effect() {
            sink(effect);
        }
    }

    /// Lets time pass, with every timeout in it.
    fn pass(&mut self, micros: u64) {
        let end = self.now_micros + micros;
        while let Some(due) = self.shard.poll_timeout()
            && due.as_micros() <= end
        {
            self.shard.handle(now(due.as_micros()), Input::Timeout);
            while let Some(effect) = self.shard.poll_effect() {
                black_box(effect);
            }
        }
        self.now_micros = end;
    }

    fn registered(world: &Registered) -> Self {
        let mut stage = Self::new(&world.snapshot);
        for (client, register) in world.registers.iter().enumerate() {
            stage.frame(client, register.as_bytes(), |effect| {
                black_box(effect);
            });
        }
        stage
    }

    fn repeat(&mut self, message: &str) {
        // One each 100 ms keeps within the pace of a connection.
        self.now_micros += 100_000;
        self.frame(BOB, black_box(message.as_bytes()), |effect| {
            black_box(effect);
        });
    }

    /// Plays the messages of calls whose clients have said these before.
    fn play(&mut self, calls: &[Vec<Line>]) {
        for call in calls {
            for line in call {
                self.frame(line.client, black_box(&line.bytes), |effect| {
                    black_box(effect);
                });
            }
            self.pass(BETWEEN_CALLS_MICROS);
        }
    }
}

fn now(micros: u64) -> Now {
    Now {
        mono: Instant::from_micros(micros),
        unix: UnixTime::from_millis(START.as_millis() + micros / 1000),
    }
}

/// What a stage with two registered clients is made of.
struct Registered {
    snapshot: Arc<Snapshot>,
    tokens: [String; 2],
    registers: [String; 2],
}

impl Registered {
    fn new() -> Self {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("the library makes keys");
        let pkcs8: Pkcs8V1Der<'_> = key.as_der().expect("a key has a DER form");
        let world = World::new(Algorithm::Rs256, pkcs8.as_ref());
        let tokens = CLIENTS.map(|client| world.token(client, "*"));
        let registers = [ALICE, BOB].map(|at| register(CLIENTS[at], &tokens[at]));
        Self {
            snapshot: world.snapshot,
            tokens,
            registers,
        }
    }

    /// The same with a TURN server that clients are sent to.
    fn with_turn(&self) -> Self {
        let offer = TurnOffer {
            secret: TurnSecret::new([7; 32]),
            host: None,
            fallback: "192.0.2.1".to_owned(),
            use_host_header: true,
            udp: Some(3478),
            tcp: Some(3478),
            tls: Some(5349),
        };
        let mut snapshot = Snapshot::clone(&self.snapshot);
        snapshot.settings.turn = Some(Arc::new(offer));
        Self {
            snapshot: Arc::new(snapshot),
            tokens: self.tokens.clone(),
            registers: self.registers.clone(),
        }
    }

    /// So many calls, as lines that can be played to a new stage again and again.
    fn calls(&self, count: usize) -> Vec<Vec<Line>> {
        let mut stage = Stage::registered(self);
        (0..count)
            .map(|number| {
                let call = Recording::default().call(&mut stage, number, &self.tokens[ALICE]);
                stage.pass(BETWEEN_CALLS_MICROS);
                call
            })
            .collect()
    }
}

const DOMAIN: &str = "testwebrtckey.webrtc-1-2-0.aculabcloud.net";

/// The REGISTER of the stock client, as it comes in on its socket; it asks for longer so that calls need no refresh.
fn register(client: &str, token: &str) -> String {
    format!(
        "REGISTER sip:{DOMAIN} SIP/2.0\r\n\
         Via: SIP/2.0/WSS cgv9m8p04rhb.invalid;branch=z9hG4bK9879586\r\n\
         To: <sip:{client}@{DOMAIN}>\r\n\
         From: <sip:{client}@{DOMAIN}>;tag=o1buhh3t1g\r\n\
         CSeq: 2 REGISTER\r\n\
         Call-ID: 3oohli0a89s0pr8j6isk\r\n\
         Max-Forwards: 70\r\n\
         Authorization: Bearer {token}\r\n\
         Contact: <sip:qatn7kod@cgv9m8p04rhb.invalid;transport=ws>;expires=3600\r\n\
         Allow: ACK,CANCEL,INVITE,MESSAGE,BYE,OPTIONS,INFO,NOTIFY,REFER\r\n\
         Supported: outbound, path, gruu\r\n\
         User-Agent: AculabCloudClient\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

fn options() -> String {
    let client = CLIENTS[BOB];
    format!(
        "OPTIONS sip:webrtc-1-2-0.aculabcloud.net SIP/2.0\r\n\
         Via: SIP/2.0/WSS cgv9m8p04rhb.invalid;branch=z9hG4bK4061019\r\n\
         To: <sip:webrtc-1-2-0.aculabcloud.net>\r\n\
         From: <sip:{client}@{DOMAIN}>;tag=3c3t615bn8\r\n\
         CSeq: 1 OPTIONS\r\n\
         Call-ID: 3oohllpqbv3cq7gccge1\r\n\
         Max-Forwards: 70\r\n\
         X-AculabTurnRequest: 1\r\n\
         Supported: outbound\r\n\
         User-Agent: AculabCloudClient\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

/// What one client said.
struct Line {
    client: usize,
    bytes: Vec<u8>,
}

/// A call as it is being made: INVITE, 180, 200, ACK and, from the caller, BYE.
#[derive(Default)]
struct Recording {
    lines: Vec<Line>,
    /// The last message that each client was sent.
    heard: [Vec<u8>; 2],
}

impl Recording {
    fn call(mut self, stage: &mut Stage, number: usize, token: &str) -> Vec<Line> {
        let (_, sdp) = INVITE.split_once("\r\n\r\n").expect("it has a body");
        let target = format!("sip:{}@{DOMAIN};transport=tcp", CLIENTS[BOB]);
        let mut invite = of_alice("INVITE", &target, number, 1);
        invite
            .header("To", format_args!("<{target}>"))
            .header("Authorization", format_args!("Bearer {token}"))
            .header(
                "Contact",
                "<sip:v6s8j7cs@c1i9f7nav83n.invalid;transport=ws;ob>",
            )
            .header("Allow", ALLOW)
            .header("Content-Type", "application/sdp");
        self.say(stage, ALICE, invite.finish_with(sdp.as_bytes()));
        for said in answers_of_bob(&self.heard[BOB], sdp) {
            self.say(stage, BOB, said);
        }

        let Ok(Message::Response(ok)) = sip::parse(&self.heard[ALICE]) else {
            panic!("Alice was not answered");
        };
        assert_eq!(ok.status, 200);
        let to = ok.headers.get(Name::To).expect("it has a To").to_owned();
        let contacts = ok.headers.contacts().expect("it is well-formed");
        let [sip::Contact::Address(peer)] = contacts.as_slice() else {
            panic!("no Contact to speak to");
        };
        let peer = peer.uri_text.to_owned();
        for (method, cseq) in [("ACK", 1), ("BYE", 2)] {
            let mut request = of_alice(method, &peer, number, cseq);
            request.header("To", &to);
            self.say(stage, ALICE, request.finish());
        }

        let Ok(Message::Request(bye)) = sip::parse(&self.heard[BOB]) else {
            panic!("Bob was not told");
        };
        assert_eq!(bye.method.as_str(), "BYE");
        let done = MessageWriter::reply(&bye, 200, "OK", None).finish();
        self.say(stage, BOB, done);
        self.lines
    }

    fn say(&mut self, stage: &mut Stage, client: usize, bytes: Vec<u8>) {
        let heard = &mut self.heard;
        stage.frame(client, &bytes, |effect| {
            if let Effect::Send {
                connection,
                message,
            } = effect
            {
                heard[connection.0 as usize - 1] = message;
            }
        });
        self.lines.push(Line { client, bytes });
    }
}

const ALLOW: &str = "ACK,CANCEL,INVITE,MESSAGE,BYE,OPTIONS,INFO,NOTIFY,REFER";

fn of_alice(method: &str, target: &str, number: usize, cseq: u32) -> MessageWriter {
    let mut writer = MessageWriter::request(method, target);
    let branch = format_args!("z9hG4bK{number:07}{cseq}");
    writer
        .header(
            "Via",
            format_args!("SIP/2.0/WSS c1i9f7nav83n.invalid;branch={branch}"),
        )
        .header(
            "From",
            format_args!("<sip:{}@{DOMAIN}>;tag=es4b7grgen", CLIENTS[ALICE]),
        )
        .header("CSeq", format_args!("{cseq} {method}"))
        .header("Call-ID", format_args!("jlebilu6g9f0q{number:07}"))
        .header("Max-Forwards", 70)
        .header("User-Agent", "AculabCloudClient")
        .header("Supported", "outbound");
    writer
}

/// 100, 180 and 200 to the INVITE that Bob was sent.
fn answers_of_bob(heard: &[u8], sdp: &str) -> [Vec<u8>; 3] {
    let Ok(Message::Request(asked)) = sip::parse(heard) else {
        panic!("Bob was not called");
    };
    let answer = |status, reason| {
        let mut writer = MessageWriter::reply(&asked, status, reason, Some("a1b2c3d4e5"));
        writer
            .header(
                "Contact",
                "<sip:qatn7kod@cgv9m8p04rhb.invalid;transport=ws>",
            )
            .header("Allow", ALLOW)
            .header("User-Agent", "AculabCloudClient");
        writer
    };
    let trying = MessageWriter::reply(&asked, 100, "Trying", None).finish();
    let mut answered = answer(200, "OK");
    answered.header("Content-Type", "application/sdp");
    [
        trying,
        answer(180, "Ringing").finish(),
        answered.finish_with(sdp.as_bytes()),
    ]
}

fn messages(criterion: &mut Criterion) {
    let world = Registered::new();
    let mut stage = Stage::registered(&world);
    criterion.bench_function("shard/REGISTER refresh, remembered token", |bench| {
        bench.iter(|| stage.repeat(&world.registers[BOB]));
    });
    let mut stage = Stage::registered(&world);
    let options = options();
    criterion.bench_function("edge/OPTIONS without a TURN server", |bench| {
        bench.iter(|| stage.repeat(&options));
    });
    let with_turn = world.with_turn();
    let mut stage = Stage::registered(&with_turn);
    criterion.bench_function("edge/OPTIONS for TURN credentials", |bench| {
        bench.iter(|| stage.repeat(&options));
    });
    for (name, world) in [
        ("shard/whole call: INVITE 100 180 200 ACK BYE 200", &world),
        ("shard/whole call, candidates learnt", &with_turn),
    ] {
        let call = world.calls(1);
        criterion.bench_function(name, |bench| {
            let ready = || Stage::registered(world);
            let play = |mut stage: Stage| {
                stage.play(&call);
                stage
            };
            bench.iter_batched(ready, play, BatchSize::SmallInput);
        });
    }
}

/// Does one kind of operation so many times.
fn count(what: &str) {
    let (operation, number) = what
        .split_once(':')
        .expect("OFFHOOK_COUNT=operation:number");
    let number: usize = number.parse().expect("OFFHOOK_COUNT=operation:number");
    let plain = Registered::new();
    let (operation, world) = match operation.strip_suffix("-turn") {
        Some(operation) => (operation, plain.with_turn()),
        None => (operation, plain),
    };
    let mut stage = Stage::registered(&world);
    match operation {
        "refresh" => counted_repeats(&mut stage, &world.registers[BOB], number),
        "options" => counted_repeats(&mut stage, &options(), number),
        "call" => counted_calls(&mut stage, &world.calls(CALLS_COUNTED)[..number]),
        other => panic!("there is no operation {other}; there are: refresh, options, call"),
    }
}

/// A function of its own, so that a tool can be told to count here alone.
#[inline(never)]
fn counted_repeats(stage: &mut Stage, message: &str, number: usize) {
    (0..number).for_each(|_| stage.repeat(message));
}

/// Likewise.
#[inline(never)]
fn counted_calls(stage: &mut Stage, calls: &[Vec<Line>]) {
    stage.play(calls);
}

/// As many as fit into the life of a registration.
const CALLS_COUNTED: usize = 80;

fn main() {
    if let Ok(what) = std::env::var("OFFHOOK_COUNT") {
        count(&what);
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    messages(&mut criterion);
    criterion.final_summary();
}
