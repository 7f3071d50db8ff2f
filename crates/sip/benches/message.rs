//! How long a message takes to read and to answer: the REGISTER and the video INVITE of a browser client, as captured.
//!
//! With `OFFHOOK_COUNT=register:1000` (or `invite`, `options`) it only parses that so many times and ends, for a tool that
//! counts instructions in the functions whose names begin with `counted`.

use std::hint::black_box;

use criterion::Criterion;
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

const MESSAGES: [(&str, &[u8]); 3] = [
    ("register", REGISTER),
    ("invite", INVITE),
    ("options", OPTIONS),
];

fn messages(c: &mut Criterion) {
    for (name, bytes) in MESSAGES {
        c.bench_function(&format!("parse {name}"), |b| {
            b.iter(|| sip::parse(black_box(bytes)).is_ok())
        });
        c.bench_function(&format!("parse and answer {name}"), |b| {
            b.iter(|| answer(black_box(bytes)))
        });
    }
}

/// Parses one kind of message so many times.
fn count(what: &str) {
    let (wanted, number) = what.split_once(':').expect("OFFHOOK_COUNT=message:number");
    let number = number.parse().expect("OFFHOOK_COUNT=message:number");
    let known = MESSAGES.iter().find(|(name, _)| *name == wanted);
    let (_, bytes) = known.expect("there are: register, invite, options");
    counted_parses(bytes, number);
}

/// A function of its own, so that a tool can be told to count here alone.
#[inline(never)]
fn counted_parses(bytes: &[u8], number: usize) {
    for _ in 0..number {
        black_box(sip::parse(black_box(bytes)).is_ok());
    }
}

fn main() {
    if let Ok(what) = std::env::var("OFFHOOK_COUNT") {
        count(&what);
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    messages(&mut criterion);
    criterion.final_summary();
}
