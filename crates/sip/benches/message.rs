//! How long a message takes to read and to answer: the REGISTER and the video INVITE of a browser client, as captured.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use sip::{Message, MessageWriter, Name};

const REGISTER: &[u8] = include_bytes!("../tests/fixtures/register.sip");
const INVITE: &[u8] = include_bytes!("../tests/fixtures/invite.sip");
const OPTIONS: &[u8] = include_bytes!("../tests/fixtures/options.sip");

fn answer(bytes: &[u8]) -> Vec<u8> {
    let Ok(Message::Request(request)) = sip::parse(bytes) else {
        panic!("the fixture is a request");
    };
    let mut reply = MessageWriter::reply(&request, 200, "OK", Some("a1b2c3d4e5"));
    if let Some(contact) = request.headers.get(Name::Contact) {
        reply.header("Contact", contact);
    }
    reply.finish()
}

fn messages(c: &mut Criterion) {
    for (name, bytes) in [
        ("register", REGISTER),
        ("invite", INVITE),
        ("options", OPTIONS),
    ] {
        c.bench_function(&format!("parse {name}"), |b| {
            b.iter(|| sip::parse(black_box(bytes)).is_ok())
        });
        c.bench_function(&format!("parse and answer {name}"), |b| {
            b.iter(|| answer(black_box(bytes)))
        });
    }
}

criterion_group!(benches, messages);
criterion_main!(benches);
