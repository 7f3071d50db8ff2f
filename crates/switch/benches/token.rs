//! What tokens cost: issuing against the raw signature, checking first and remembered, and a whole
//! REGISTER through edge and shard.

use std::hint::black_box;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use criterion::{Criterion, criterion_group, criterion_main};
use model::{
    Account, AccountId, AccountKind, Algorithm, CloudId, ConnectionId, Directory, Instant, Now,
    SecretBytes, SigningKeyRow, TokenLimit, UnixTime, Username, WebRtcAccessKey,
};
use switch::edge::{Flow, Verdict};
use switch::token::{SigningKey, TokenRequest, issue, verify};
use switch::{Input, Settings, Shard, Snapshot};

const START: UnixTime = UnixTime::from_secs(1_795_000_000);

struct World {
    raw: RsaKeyPair,
    account: Account,
    snapshot: Arc<Snapshot>,
    request: TokenRequest,
}

impl World {
    fn new() -> Self {
        let raw = RsaKeyPair::generate(KeySize::Rsa2048).expect("the library makes keys");
        let pkcs8: Pkcs8V1Der<'_> = raw.as_der().expect("a key has a DER form");
        let pkcs8 = pkcs8.as_ref().to_vec();
        let kid = SigningKey::parse(Algorithm::Rs256, &pkcs8)
            .expect("it parses")
            .kid()
            .to_owned();
        let account = Account {
            id: AccountId(1),
            cloud_id: CloudId::parse("1-2-0").expect("well-formed"),
            username: Username::parse("demo@example.com").expect("well-formed"),
            kind: AccountKind::Production,
            disabled: false,
            access_key: WebRtcAccessKey::parse("testwebrtckey").expect("well-formed"),
            token_limit: TokenLimit::Unlimited,
            api_keys: Vec::new(),
            signing_keys: vec![SigningKeyRow {
                kid,
                algorithm: Algorithm::Rs256,
                pkcs8: SecretBytes::new(pkcs8),
                expires: None,
            }],
        };
        let directory = Directory::new([account.clone()]);
        let (snapshot, _) = Snapshot::new(directory, Settings::default(), &Snapshot::default());
        let parameters = [
            ("client_id", "bob.spjqf"),
            ("call_client", "*"),
            ("ttl", "86400"),
        ];
        let request = TokenRequest::from_parameters(parameters).expect("well-formed");
        Self {
            raw,
            account,
            snapshot: Arc::new(snapshot),
            request,
        }
    }

    fn token(&self) -> String {
        let keys = self
            .snapshot
            .keys
            .account(self.account.id)
            .expect("it has keys");
        issue(
            keys.signing().expect("it signs"),
            &self.account,
            &self.request,
            [7; 16],
            START,
        )
    }
}

fn at(micros: u64) -> Now {
    let unix = UnixTime::from_millis(START.as_millis() + micros / 1000);
    Now {
        mono: Instant::from_micros(micros),
        unix,
    }
}

fn tokens(criterion: &mut Criterion) {
    let world = World::new();
    let token = world.token();
    let (signed, _) = token.rsplit_once('.').expect("three parts");
    let rng = SystemRandom::new();
    let mut signature = vec![0; world.raw.public_modulus_len()];
    criterion.bench_function("token/raw RSA-2048 signature", |bench| {
        bench.iter(|| {
            let message = black_box(signed.as_bytes());
            world
                .raw
                .sign(&RSA_PKCS1_SHA256, &rng, message, &mut signature)
                .expect("it signs");
        });
    });
    criterion.bench_function("token/issue RS256", |bench| bench.iter(|| world.token()));
    let keys = world
        .snapshot
        .keys
        .account(world.account.id)
        .expect("it has keys");
    criterion.bench_function("token/check first", |bench| {
        bench.iter(|| verify(black_box(&token), &world.account, keys, START).expect("it is good"));
    });
}

/// The REGISTER of the stock client, as it comes in on its socket.
fn register(token: &str, cseq: u32) -> String {
    let domain = "testwebrtckey.webrtc-1-2-0.aculabcloud.net";
    format!(
        "REGISTER sip:{domain} SIP/2.0\r\n\
         Via: SIP/2.0/WSS cgv9m8p04rhb.invalid;branch=z9hG4bK9879586\r\n\
         To: <sip:bob.spjqf@{domain}>\r\n\
         From: <sip:bob.spjqf@{domain}>;tag=o1buhh3t1g\r\n\
         CSeq: {cseq} REGISTER\r\n\
         Call-ID: 3oohli0a89s0pr8j6isk\r\n\
         Max-Forwards: 70\r\n\
         Authorization: Bearer {token}\r\n\
         Contact: <sip:qatn7kod@cgv9m8p04rhb.invalid;transport=ws>;expires=600\r\n\
         Allow: ACK,CANCEL,INVITE,MESSAGE,BYE,OPTIONS,INFO,NOTIFY,REFER\r\n\
         Supported: outbound, path, gruu\r\n\
         User-Agent: AculabCloudClient\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

fn registers(criterion: &mut Criterion) {
    let world = World::new();
    let message = register(&world.token(), 2);
    let mut shard = Shard::new([1; 32], Arc::clone(&world.snapshot));
    let connection = ConnectionId(1);
    let mut flow = Flow::new(connection, at(0));
    let mut micros = 0;
    criterion.bench_function("shard/REGISTER refresh, remembered token", |bench| {
        bench.iter(|| {
            // A refresh each 100 ms keeps within the pace of a connection and the life of the token.
            micros = (micros + 100_000) % 80_000_000_000;
            let now = at(micros);
            match flow.frame(now, black_box(message.as_bytes()), &world.snapshot, 1) {
                Verdict::Deliver {
                    account, message, ..
                } => {
                    shard.handle(
                        now,
                        Input::Message {
                            connection,
                            account,
                            message: &message,
                        },
                    );
                }
                refused @ (Verdict::Reply { .. }
                | Verdict::Ignore { .. }
                | Verdict::Close { .. }) => {
                    panic!("not delivered: {refused:?}")
                }
            }
            while let Some(effect) = shard.poll_effect() {
                black_box(effect);
            }
        });
    });
}

criterion_group!(benches, tokens, registers);
criterion_main!(benches);
