//! What tokens cost: issuing against the raw signature, and checking for the first time. What a remembered token costs
//! is in the REGISTER refresh of the benchmark `shard`.

use std::hint::black_box;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
};
use criterion::{Criterion, criterion_group, criterion_main};
use model::Algorithm;
use switch::token::{TokenRequest, verify};

use world::{START, World};

mod world;

fn tokens(criterion: &mut Criterion) {
    let raw = RsaKeyPair::generate(KeySize::Rsa2048).expect("the library makes keys");
    let pkcs8: Pkcs8V1Der<'_> = raw.as_der().expect("a key has a DER form");
    let world = World::new(Algorithm::Rs256, pkcs8.as_ref());
    let token = world.token("bob.spjqf", "*");
    let (signed, _) = token.rsplit_once('.').expect("three parts");
    let rng = SystemRandom::new();
    let mut signature = vec![0; raw.public_modulus_len()];
    criterion.bench_function("token/raw RSA-2048 signature", |bench| {
        bench.iter(|| {
            let message = black_box(signed.as_bytes());
            raw.sign(&RSA_PKCS1_SHA256, &rng, message, &mut signature)
                .expect("it signs");
        });
    });
    let public = raw.public_key();
    let public = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public.as_ref())
        .expect("a public key is one");
    criterion.bench_function("token/raw RSA-2048 verification", |bench| {
        bench.iter(|| {
            let message = black_box(signed.as_bytes());
            public
                .verify_sig(message, &signature)
                .expect("it was signed by this key");
        });
    });
    let parameters = [
        ("client_id", "bob.spjqf"),
        ("call_client", "*"),
        ("ttl", "86400"),
    ];
    let request = TokenRequest::from_parameters(parameters).expect("well-formed");
    criterion.bench_function("token/issue RS256", |bench| {
        bench.iter(|| world.issue(black_box(&request)));
    });
    let keys = world.snapshot.keys.account(world.account.id);
    let keys = keys.expect("it has keys");
    criterion.bench_function("token/check first", |bench| {
        bench.iter(|| verify(black_box(&token), &world.account, keys, START).expect("it is good"));
    });
}

criterion_group!(benches, tokens);
criterion_main!(benches);
