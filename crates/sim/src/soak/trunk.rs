//! Trunks of random worlds: telephones that call numbers and are called, well or badly, on networks of any kind.

use std::time::Duration;

use model::TrunkTransfer;

use super::application;
use crate::clock::SECOND;
use crate::datagram::Quality;
use crate::phone::{Conduct, Mischief, Stand};
use crate::random::Random;
use crate::trunks::{NAMES, TrunkPlan, Trunks};
use crate::world::World;

/// One world in seven has trunks.
pub(super) fn plan(random: &mut Random) -> Option<TrunkPlan> {
    if !random.happens(140) {
        return None;
    }
    let mut plan = TrunkPlan {
        peers: random.between(1, 2) as u8,
        registration: random.happens(300).then(|| Duration::from_secs(60)),
        check: random
            .happens(300)
            .then(|| Duration::from_secs(random.between(5, 40))),
        session: random
            .happens(500)
            .then(|| Duration::from_secs(random.between(90, 200))),
        is_trusted: random.happens(500),
        is_named: random.happens(400),
        has_spare: random.happens(300),
        transfer: match random.below(6) {
            0 => TrunkTransfer::None,
            1 => TrunkTransfer::Inward,
            2 => TrunkTransfer::Any,
            _ => TrunkTransfer::Own,
        },
        ..TrunkPlan::default()
    };
    if random.happens(700) {
        plan.quality = Quality {
            base: random.between(1, 100) * 1_000,
            jitter: random.between(0, 800) * 1_000,
            lost_per_mille: random.below(150) as u32,
            doubled_per_mille: random.below(300) as u32,
        };
    }
    Some(plan)
}

/// Telephones get their habits, and an application for whom they call; its service.
pub(super) fn populate(world: &mut World, random: &mut Random) -> Option<String> {
    if world.trunks.phones.is_empty() {
        return None;
    }
    application::set_up(world, random, NAMES[0]);
    for phone in &mut world.trunks.phones {
        phone.conduct = conduct(random);
        phone.is_plain = phone.conduct.mischief.is_none();
    }
    Some(NAMES[0].to_owned())
}

fn conduct(random: &mut Random) -> Conduct {
    let mut conduct = Conduct {
        takes: match random.below(6) {
            0 => None,
            1 => Some((486, random.below(5 * SECOND))),
            _ => Some((200, random.below(10 * SECOND))),
        },
        rings: random.happens(800),
        is_early: random.happens(300),
        talks: random.happens(600).then(|| random.below(40 * SECOND)),
        slow: if random.happens(200) {
            random.below(3 * SECOND)
        } else {
            0
        },
        ..Conduct::default()
    };
    if random.happens(150) {
        conduct.mischief = Some(match random.below(5) {
            0 => Mischief::Garbage,
            1 => Mischief::WrongTags,
            2 => Mischief::TakesCancelled,
            3 => Mischief::Late(random.between(1, 70) * SECOND),
            _ => Mischief::Forks,
        });
    }
    if random.happens(50) {
        conduct.always = Some(refusal(random));
    }
    conduct
}

fn refusal(random: &mut Random) -> (u16, String) {
    let challenge = "Digest realm=\"r, s\", nonce=\"n\", qop=\"auth\"";
    match random.below(6) {
        0 => (503, format!("Retry-After: {}", random.between(1, 400))),
        1 => (503, String::new()),
        2 => (
            401,
            format!("WWW-Authenticate: {challenge}, {challenge}, algorithm=SHA-256"),
        ),
        3 => (407, format!("Proxy-Authenticate: {challenge}")),
        4 => (401, format!("WWW-Authenticate: {challenge}, stale=true")),
        _ => (480, String::new()),
    }
}

/// Something happens at a telephone.
pub(super) fn disturb(world: &mut World, random: &mut Random, services: &[String]) {
    let count = world.trunks.phones.len();
    if count == 0 {
        return;
    }
    let at = random.below(count as u64) as usize;
    let open = world.trunks.phones[at].open();
    let call = random.pick(&open).copied();
    match (random.below(26), call) {
        (0, _) => world.phone(at, |phone, _| phone.restart()),
        (1, _) => {
            let until = world.micros() + random.below(60 * SECOND);
            let phone = &mut world.trunks.phones[at];
            phone.gone_until = until;
            phone.is_plain = false;
        }
        (2, _) => {
            let refusal = refusal(random);
            world.trunks.phones[at].conduct.refuses.push_back(refusal);
        }
        (3..9, Some(call)) => world.phone(at, |phone, now| phone.hang_up(now, call)),
        (9..11, Some(call)) => world.phone(at, |phone, now| phone.hold(now, call)),
        (11, Some(call)) => {
            let methods = ["INFO", "UPDATE", "OPTIONS", "REFER", "KEEPALIVE"];
            let method = random.pick(&methods).copied().unwrap_or("INFO");
            world.phone(at, |phone, now| phone.ask_in_call(now, call, method));
        }
        (13..16, Some(call)) => transfer(world, random, at, call, &open),
        (12, _) => {
            let stranger = "198.51.100.66:5060".parse().expect("it is an address");
            let phone = &world.trunks.phones[at];
            let (own, said) = (phone.server(), phone.heard.last());
            let said = said.map_or_else(Vec::new, |(_, text)| text.clone().into_bytes());
            world.knock(stranger, own, &said);
        }
        (13 | 14, _) => {
            let line = random.below(world.trunks.posts.len() as u64) as usize;
            let peers = world.trunks.posts[line].peers.clone();
            world.trunks.dns.disturb(random, line, &peers);
        }
        (_, _) => {
            let called = match random.below(10) {
                0 => "+15550".to_owned(),
                1..4 => random
                    .pick(&NAMES[1..])
                    .copied()
                    .unwrap_or("ann")
                    .to_owned(),
                _ => Trunks::number_of(random.pick(services).map_or("ivr", String::as_str)),
            };
            if open.len() < 4 {
                world.phone(at, |phone, now| phone.call(now, &called));
            }
        }
    }
}

/// A telephone has a call transferred, or calls to take the place of one; well or badly.
fn transfer(world: &mut World, random: &mut Random, at: usize, call: usize, open: &[usize]) {
    let other = random.pick(open).copied().unwrap_or(call);
    let user = match random.below(5) {
        0 => "+15550".to_owned(),
        1 => Trunks::number_of(NAMES[0]),
        _ => random
            .pick(&NAMES[1..])
            .copied()
            .unwrap_or("ann")
            .to_owned(),
    };
    let is_odd = random.happens(100);
    let leaves = random.happens(200);
    let what = random.below(10);
    let anybody = random.below(world.trunks.phones.len() as u64) as usize;
    match what {
        0..2 => world.phone(at, |phone, now| phone.join(now, call, other)),
        2 => {
            if let Some(replaces) = world.trunks.phones[at].replaces(other) {
                world.phone(anybody, |phone, now| phone.replace(now, &replaces));
            }
        }
        _ => world.phone(at, |phone, now| {
            let to = match is_odd {
                true => "http://example.com".to_owned(),
                false => phone.at_server(&user),
            };
            phone.refer(now, call, &to, "Referred-By: <sip:boss@example.com>");
            if leaves {
                phone.hang_up(now, call);
            }
        }),
    }
}

/// How many calls have had somebody talking.
pub(super) fn talked(world: &World) -> usize {
    let calls = world.trunks.phones.iter().flat_map(|phone| &phone.calls);
    calls
        .filter(|call| call.is_known && call.stand == Stand::Over)
        .count()
}
