//! What resumable signalling adds to a message and its answer: head read, number checked, answer numbered, copied behind its
//! head and kept, acknowledged by the next. Compare with the same REGISTER through edge and shard (bench `shard`).

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use switch::resume::{Incoming, Session};

/// About what a REGISTER and its answer have.
const REQUEST: usize = 1_300;
const ANSWER: usize = 500;

fn sessions(criterion: &mut Criterion) {
    let mut session = Session::new(Duration::from_secs(60));
    let answer = vec![b'a'; ANSWER];
    let mut number = 0;
    let mut frame = Vec::with_capacity(REQUEST + 40);
    criterion.bench_function("session: a message in, its answer out", |bencher| {
        bencher.iter(|| {
            number += 1;
            frame.clear();
            frame.extend_from_slice(format!("{number} {}\r\n", number - 1).as_bytes());
            frame.resize(REQUEST, b'r');
            match session.incoming(&frame) {
                Ok(Incoming::Message(message)) => black_box(message),
                other => panic!("the numbers are right, and yet {other:?}"),
            };
            black_box(
                session
                    .outgoing(&answer)
                    .expect("the last was acknowledged"),
            );
        });
    });
}

criterion_group!(benches, sessions);
criterion_main!(benches);
