//! What a REGISTER refresh costs among many: the clients of one shard refresh in turn, so that each finds its memory as cold
//! as the others leave it. The frame itself is warm, as it is when it was just read; sockets and locks are not in it.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark reads the clock; the machine does not"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use criterion::Criterion;
use model::{Algorithm, ConnectionId, Instant, Now, UnixTime};
use switch::edge::{Flow, Verdict};
use switch::{Input, Shard, Snapshot};

use world::{START, World};

mod world;

const DOMAIN: &str = "testwebrtckey.webrtc-1-2-0.aculabcloud.net";
/// Between two messages of the crowd: a thousand clients keep within the pace of a connection.
const PACE_MICROS: u64 = 60;

/// A shard with many clients, each on a connection of its own.
struct Crowd {
    snapshot: Arc<Snapshot>,
    shard: Shard,
    flows: Vec<Flow>,
    tokens: Vec<String>,
    next: usize,
    now_micros: u64,
    frame: String,
}

impl Crowd {
    fn registered(count: usize) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .expect("the library makes keys");
        let pkcs8 = key.to_pkcs8v1().expect("a key has a DER form");
        let world = World::new(Algorithm::Es256, pkcs8.as_ref());
        let flow = |at| Flow::new(ConnectionId(at as u64), now(0), None);
        let mut crowd = Self {
            snapshot: Arc::clone(&world.snapshot),
            shard: Shard::new(0, [1; 32], Arc::clone(&world.snapshot)),
            flows: (0..count).map(flow).collect(),
            tokens: (0..count).map(|at| token(&world, at)).collect(),
            next: 0,
            now_micros: 0,
            frame: String::new(),
        };
        crowd.refresh(count);
        crowd
    }

    /// So many refreshes, each of the next client; the time that the shard and the edge took.
    fn refresh(&mut self, count: usize) -> Duration {
        let mut taken = Duration::ZERO;
        for _ in 0..count {
            self.write_frame();
            self.now_micros += PACE_MICROS;
            let start = Clock::now();
            self.give();
            taken += start.elapsed();
            self.next = (self.next + 1) % self.flows.len();
        }
        taken
    }

    fn give(&mut self) {
        let now = now(self.now_micros);
        let flow = &mut self.flows[self.next];
        let verdict = flow.frame(now, black_box(self.frame.as_bytes()), &self.snapshot, 1);
        let Verdict::Deliver {
            account, message, ..
        } = verdict
        else {
            panic!("not taken: {verdict:?}");
        };
        let input = Input::Message {
            connection: flow.connection(),
            account,
            message: &message,
            ice_servers: None,
        };
        self.shard.handle(now, input);
        while let Some(effect) = self.shard.poll_effect() {
            black_box(effect);
        }
        if self.shard.poll_timeout().is_some_and(|due| due <= now.mono) {
            self.shard.handle(now, Input::Timeout);
        }
    }

    /// The REGISTER of a stock client.
    fn write_frame(&mut self) {
        use std::fmt::Write as _;

        let (at, token) = (self.next, &self.tokens[self.next]);
        self.frame.clear();
        write!(
            self.frame,
            "REGISTER sip:{DOMAIN} SIP/2.0\r\n\
             Via: SIP/2.0/WSS cgv9m8{at:06}.invalid;branch=z9hG4bK9879586\r\n\
             To: <sip:bob.{at:06}@{DOMAIN}>\r\n\
             From: <sip:bob.{at:06}@{DOMAIN}>;tag=o1buhh3t1g\r\n\
             CSeq: 2 REGISTER\r\n\
             Call-ID: 3oohli0a89s0pr{at:06}\r\n\
             Max-Forwards: 70\r\n\
             Authorization: Bearer {token}\r\n\
             Contact: <sip:qa{at:06}@cgv9m8{at:06}.invalid;transport=ws>;expires=600\r\n\
             Allow: ACK,CANCEL,INVITE,MESSAGE,BYE,OPTIONS,INFO,NOTIFY,REFER\r\n\
             Supported: outbound, path, gruu\r\n\
             User-Agent: AculabCloudClient\r\n\
             Content-Length: 0\r\n\r\n"
        )
        .expect("writing to a String cannot fail");
    }
}

/// As long as one that is signed by RSA, which would take ten times as long to make.
fn token(world: &World, at: usize) -> String {
    let filling = "a".repeat(96);
    world.token(&format!("bob.{at:06}"), &format!("{filling},{filling}"))
}

fn now(micros: u64) -> Now {
    Now {
        mono: Instant::from_micros(micros),
        unix: UnixTime::from_millis(START.as_millis() + micros / 1000),
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for count in [1_000, 100_000] {
        // Made when it is asked for: the large one takes some seconds.
        let mut crowd = None;
        criterion.bench_function(&format!("crowd/REGISTER refresh among {count}"), |bench| {
            let crowd = crowd.get_or_insert_with(|| Crowd::registered(count));
            bench.iter_custom(|times| crowd.refresh(usize::try_from(times).expect("not so many")));
        });
    }
    criterion.final_summary();
}
