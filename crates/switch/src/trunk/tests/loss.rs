//! Two lines, each the other's peer, with a network between them that loses, repeats and reorders.

use super::*;
use crate::random::Random;

const FAR: &str = "192.0.2.10:5060";

/// Two lines; the near one's shard calls, the far one's is called.
struct World {
    lines: [Line; 2],
    at: u64,
    /// When, at which line, what.
    under_way: Vec<(u64, usize, Vec<u8>)>,
    random: Random,
    heard: [Vec<String>; 2],
    /// Of the INVITE and the BYE that the far shard has got.
    asked: Vec<String>,
}

impl World {
    fn new(seed: u8) -> Self {
        let line = |own: &str, peer: &str| {
            let trunk = Arc::new(trunk(&[peer]));
            Line::new(ConnectionId(1), trunk, address(own), [seed; 32], now(0))
        };
        Self {
            lines: [line(OWN, FAR), line(FAR, OWN)],
            at: 0,
            under_way: Vec::new(),
            random: Random::new([seed; 32]),
            heard: [Vec::new(), Vec::new()],
            asked: Vec::new(),
        }
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random.bits() % 100 < percent
    }

    fn handle(&mut self, which: usize, input: LineInput<'_>) {
        self.lines[which].handle(now(self.at), input);
        while let Some(effect) = self.lines[which].poll_effect() {
            match effect {
                LineEffect::Datagram { bytes, .. } => {
                    for _ in 0..2 {
                        if self.chance(70) {
                            let at = self.at + 1 + self.random.bits() % 700;
                            self.under_way.push((at, 1 - which, bytes.clone()));
                        }
                    }
                }
                LineEffect::Deliver { message } => {
                    let message = String::from_utf8(message).unwrap();
                    if which == 1 && !message.starts_with("ACK ") {
                        self.asked.push(message.clone());
                    }
                    self.heard[which].push(message);
                }
                LineEffect::Resolve { .. }
                | LineEffect::Trunk(_)
                | LineEffect::State(_)
                | LineEffect::Count(_)
                | LineEffect::Stream { .. } => {}
            }
        }
    }

    /// A pair of datagrams in ten is lost, most come twice. Until nothing is left of it or for so long.
    fn run(&mut self, time: u64) {
        let until = self.at + time;
        loop {
            let due = |line: &Line| line.poll_timeout().map(|at| at.as_micros().div_ceil(1_000));
            let timers = self.lines.iter().filter_map(due).min();
            let datagram = self.under_way.iter().map(|(at, ..)| *at).min();
            let next = timers.into_iter().chain(datagram).min();
            let Some(next) = next.filter(|next| *next <= until) else {
                break;
            };
            self.at = self.at.max(next);
            if datagram == Some(next) {
                let found = self.under_way.iter().position(|(at, ..)| *at == next);
                let (_, to, bytes) = self.under_way.swap_remove(found.unwrap());
                let from = address([FAR, OWN][to]);
                self.handle(
                    to,
                    LineInput::Datagram {
                        from,
                        bytes: &bytes,
                    },
                );
            }
            for which in 0..2 {
                self.handle(which, LineInput::Timeout);
            }
            self.serve();
        }
        self.at = until;
    }

    /// The far shard takes what it is asked.
    fn serve(&mut self) {
        for asked in std::mem::take(&mut self.asked) {
            for status in [100, 180, 200] {
                if status == 200 || asked.starts_with("INVITE ") {
                    let reply = super::incoming::reply(&asked, status, "far");
                    let message = reply.as_bytes();
                    self.handle(1, LineInput::Send { message });
                }
            }
        }
    }

    fn send(&mut self, message: &str) {
        let message = message.as_bytes();
        self.handle(0, LineInput::Send { message });
    }

    fn count(&self, which: usize, start: &str, method: &str) -> usize {
        let is_it = |message: &&String| {
            message.starts_with(start) && row(message, "CSeq").ends_with(method)
        };
        self.heard[which].iter().filter(is_it).count()
    }
}

#[test]
fn each_shard_hears_everything_once_whatever_the_network_does() {
    for seed in 0..=255 {
        let mut world = World::new(seed);
        world.send(&request("INVITE", 1, "z9hG4bK1-a", "", "v=0"));
        world.run(20_000);
        assert_eq!(world.count(1, "INVITE ", "INVITE"), 1, "seed {seed}");
        assert_eq!(world.count(0, "SIP/2.0 200", "INVITE"), 1, "seed {seed}");
        world.send(&request("ACK", 1, "z9hG4bK1-b", "far", ""));
        world.run(20_000);
        assert_eq!(world.count(1, "ACK ", "ACK"), 1, "seed {seed}");
        world.send(&request("BYE", 2, "z9hG4bK1-c", "far", ""));
        world.run(40_000);
        assert_eq!(world.count(1, "BYE ", "BYE"), 1, "seed {seed}");
        assert_eq!(world.count(0, "SIP/2.0 200", "BYE"), 1, "seed {seed}");
        assert_eq!(
            world.heard[1].len(),
            3,
            "seed {seed}: {:#?}",
            world.heard[1]
        );
        world.run(200_000_000);
        for line in &world.lines {
            let left = (line.asking.len(), line.serving.len(), line.dialogs.len());
            assert_eq!(left, (0, 0, 0), "seed {seed}");
        }
    }
}
