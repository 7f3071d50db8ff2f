//! Random worlds: a seed, or bytes, choose servers, accounts, clients and their habits, faults, and what people and operators do.
//!
//! Nothing is asserted here beside what the world checks after every step, and that nothing is left at the end.

mod application;
mod revoking;
mod trunk;

use std::time::Duration;

use model::{RingOrder, ServiceCallers};
use switch::Counter;

use crate::authority::Wish;
use crate::browser::{Answering, CallState, Habit};
use crate::clock::{MILLI, SECOND};
use crate::datagram::{PUBLIC, Quality};
use crate::faults::{Cut, Faults};
use crate::media::Remedy;
use crate::nat::{Dependence, Kind};
use crate::net::Latency;
use crate::random::Random;
use crate::relay::TurnPlan;
use crate::world::step::Stepped;
use crate::world::{Fault, Plan, World};

/// Steps of a run unless others are asked for.
pub const USUAL_STEPS: u64 = 400;
/// Steps of a run of the fuzz target `world`.
pub const FUZZED_STEPS: u64 = 200;
/// Sets the chance of life apart from that of the world.
const LIFE: u64 = 0x05ee_d0ff_4004_0002;

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Steps taken.
    pub steps: u64,
    /// Calls that were routed.
    pub calls: usize,
    /// Sessions that went on with a new socket, and those that ended because nobody came back in time.
    pub resumed: u64,
    /// See `resumed`.
    pub expired: u64,
    /// Packets of clients that relays carried.
    pub relayed: u64,
    /// Calls of telephones that have come about and ended.
    pub telephoned: u64,
    /// The same for two runs of one seed.
    pub digest: u64,
    /// What went wrong, if anything.
    pub fault: Option<Fault>,
    /// The ladder, if it was kept.
    pub ladder: Option<String>,
}

/// Runs a seed: so many steps of life, then the end.
pub fn run(seed: u64, steps: u64, keeps_trace: bool) -> Outcome {
    let random = Random::new(seed ^ LIFE);
    live(seed, random, [steps, steps * 8], keeps_trace)
}

/// Runs what bytes choose, as the fuzz target `world` does: the first of them the seed of the network and of whatever else lies
/// below the people, the others what [`run`] leaves to chance.
pub fn run_choices(choices: &[u8], steps: u64, keeps_trace: bool) -> Outcome {
    let (first, rest) = choices.split_first().unwrap_or((&0, &[]));
    let seed = u64::from(*first);
    let random = Random::choosing(rest, seed ^ LIFE);
    live(seed, random, [steps, steps * 3], keeps_trace)
}

/// So many steps without media, and so many with it: media is many small steps.
fn live(seed: u64, mut random: Random, steps: [u64; 2], keeps_trace: bool) -> Outcome {
    let plan = plan(seed, &mut random, keeps_trace);
    let mut world = World::new(&plan);
    let mut life = Life {
        names: ["ann", "bob", "bobby", "cy", "team-a", "team-b"]
            .map(str::to_owned)
            .to_vec(),
        pages: Vec::new(),
        services: Vec::new(),
        pause: random.between(100 * MILLI, 4 * SECOND),
        resuming: random.pick(&[0, 500, 1000]).copied().unwrap_or(0),
        random,
    };
    life.populate(&mut world);
    let mut trunk_life = trunk_life(seed);
    let own = trunk::populate(&mut world, &mut trunk_life);
    life.services.extend(own);
    for _ in 0..life.random.below(4) {
        life.set_up_service(&mut world);
    }
    world.publish();
    let mut ground = plan.turn.is_some().then(|| ground(seed));
    let mut steps = steps[usize::from(ground.is_some())];
    if plan.trunk.is_some() {
        // Datagrams are many small steps as well.
        steps = steps * 3 / 2;
    }
    if let Some(ground) = &mut ground {
        place(&mut world, &life.pages, ground);
    }
    world.cue(0, 0);
    while world.steps < steps {
        match world.step() {
            Stepped::Yes => {}
            Stepped::No => break,
            Stepped::Cue(number) => {
                life.happens(&mut world);
                if plan.trunk.is_some() && trunk_life.happens(700) {
                    trunk::disturb(&mut world, &mut trunk_life, &life.services);
                }
                if let Some(ground) = &mut ground {
                    disturb_relays(&mut world, ground);
                }
                let pause = life.random.between(1, life.pause);
                world.cue(pause, number + 1);
            }
        }
    }
    if life.random.happens(200) {
        // Long enough for everything that was asked to be answered.
        world.run_for(Duration::from_secs(120));
    }
    if world.fault().is_none() {
        world.conclude();
    }
    Outcome {
        steps: world.steps,
        calls: world.calls_seen(),
        resumed: counted(&world, Counter::SessionResumed),
        expired: counted(&world, Counter::SessionExpired),
        relayed: world.relayed(),
        telephoned: trunk::talked(&world) as u64,
        digest: world.trace.digest(),
        fault: world.fault().cloned(),
        ladder: keeps_trace.then(|| world.ladder()),
    }
}

fn counted(world: &World, counter: Counter) -> u64 {
    let servers = 0..world.server_count();
    servers
        .map(|node| world.server(node).counted(counter))
        .sum()
}

fn plan(seed: u64, random: &mut Random, keeps_trace: bool) -> Plan {
    let accounts = usize::try_from(random.between(1, 3)).unwrap_or(1);
    let mut faults = Faults::none();
    if random.happens(700) {
        faults.loss_per_mille = u32::try_from(random.between(1, 30)).unwrap_or(1);
    }
    if random.happens(500) {
        faults.late_wake = random.between(1, 20 * MILLI);
    }
    if random.happens(500) {
        faults.slow_record = random.between(1, SECOND);
    }
    let latency = match random.below(3) {
        0 => Latency::STEADY,
        1 => Latency {
            base: MILLI,
            spread: 100 * MILLI,
            jitter: 30 * MILLI,
        },
        // Slow enough that SIP.js repeats its answers.
        _ => Latency {
            base: 150 * MILLI,
            spread: 400 * MILLI,
            jitter: 300 * MILLI,
        },
    };
    let mut plan = Plan {
        seed,
        accounts,
        servers: if random.happens(200) { 2 } else { 1 },
        shards: usize::try_from(random.between(1, 4)).unwrap_or(1),
        latency,
        faults,
        keeps_trace,
        ..Plan::default()
    };
    let windows_s = [60, 60, 60, 0, 5, 20, 120];
    let window_s = random.pick(&windows_s).copied().unwrap_or(60);
    plan.settings.resume_window = Duration::from_secs(window_s);
    if random.happens(100) {
        plan.waiting_room = usize::try_from(random.between(0, 3)).unwrap_or(0);
    }
    plan.trunk = trunk::plan(&mut trunk_life(!seed));
    if plan.servers == 1 {
        plan.turn = turn(&mut ground(seed));
    }
    if random.happens(300) {
        plan.settings.no_answer = Duration::from_secs(random.between(2, 40));
    }
    plan
}

/// The chance of everything below the WebSockets: a world without TURN goes on as if there were none.
fn ground(seed: u64) -> Random {
    Random::new(seed ^ 0x7021_0a75_0000_0004)
}

/// The chance of trunks and telephones: a world without them goes on as if there were none.
fn trunk_life(seed: u64) -> Random {
    Random::new(seed ^ 0x7e1e_0f01_0000_0006)
}

/// One world in eight has TURN, NATs and media.
fn turn(random: &mut Random) -> Option<TurnPlan> {
    if !random.happens(125) {
        return None;
    }
    let mut plan = TurnPlan {
        workers: random.between(1, 3) as u16,
        udp: random.happens(900),
        ..TurnPlan::default()
    };
    if random.happens(500) {
        plan.quality = Quality {
            base: random.between(1, 60) * MILLI,
            jitter: random.between(0, 60) * MILLI,
            lost_per_mille: random.below(60) as u32,
            doubled_per_mille: random.below(60) as u32,
        };
    }
    if random.happens(200) {
        plan.quotas.account.allocations = random.between(2, 12) as u32;
    }
    Some(plan)
}

/// Homes with NATs of every kind, and pages in them.
fn place(world: &mut World, pages: &[usize], random: &mut Random) {
    let homes: Vec<usize> = (0..random.between(1, 4))
        .map(|_| {
            let kind = nat_kind(random);
            world.add_nat(kind, PUBLIC)
        })
        .chain([PUBLIC])
        .collect();
    for &page in pages {
        if random.happens(100) {
            continue;
        }
        let home = random.pick(&homes).copied().unwrap_or(PUBLIC);
        world.place(page, home);
        let (relay_only, clings) = (random.happens(300), random.happens(100));
        let pace = random.between(300 * MILLI, 3 * SECOND);
        let remedies = [Remedy::Restarts, Remedy::HangsUp, Remedy::Endures];
        let remedy = random.pick(&remedies).copied();
        world.app(page, |browser, _| {
            if let Some(media) = &mut browser.media {
                media.conduct.relay_only = relay_only;
                media.conduct.clings = clings;
                media.conduct.pace = pace;
                media.conduct.remedy = remedy.unwrap_or(Remedy::Restarts);
            }
        });
    }
    if random.happens(300) {
        world.relay_faults.refused_per_mille = random.between(1, 500) as u32;
    }
    if random.happens(300) {
        world.relay_faults.late_socket = random.between(1, 3 * SECOND);
    }
    if random.happens(300) {
        world.relay_faults.late_recheck = random.between(1, 5 * SECOND);
    }
}

fn nat_kind(random: &mut Random) -> Kind {
    let dependence = |random: &mut Random| {
        let one = random.pick(&Dependence::ALL).copied();
        one.unwrap_or(Dependence::Endpoint)
    };
    let kind = Kind::of(dependence(random), dependence(random));
    Kind {
        hairpins: random.happens(500),
        keeps_ports: random.happens(300),
        blocks_udp: random.happens(150),
        timeout: random.between(20, 300) * SECOND,
        ..kind
    }
}

/// NATs and workers lose what they know, and strangers knock.
fn disturb_relays(world: &mut World, random: &mut Random) {
    match random.below(60) {
        0 => {
            let worker = random.below(3) as usize;
            if world
                .relays(0)
                .is_some_and(|relays| worker < relays.worker_count())
            {
                world.lose_worker(0, worker);
            }
        }
        1 | 2 => world.reboot_nat(1),
        3 => world.tell_relayed(0),
        4 => {
            let stranger = world.add_stranger(PUBLIC, None);
            let targets = world.relays(0).map_or_else(Vec::new, |r| r.relayed());
            world.let_stranger(stranger, |stranger, _| {
                for (target, _) in targets {
                    stranger.send(9, target, b"knock");
                }
            });
        }
        _ => {}
    }
}

/// The people of a world, and its operators.
struct Life {
    random: Random,
    names: Vec<String>,
    pages: Vec<usize>,
    /// Names that services have, or had.
    services: Vec<String>,
    pause: u64,
    /// How many of a thousand pages resume their sessions.
    resuming: u32,
}

impl Life {
    fn populate(&mut self, world: &mut World) {
        for account in 0..world.authority.accounts() {
            for _ in 0..self.random.between(1, 5) {
                let name = self.name();
                let page = world.add_browser(account, &name);
                let habit = self.habit();
                world.app(page, |browser, _| browser.habit = habit);
                world.set_resumes(page, self.random.happens(self.resuming));
                self.pages.push(page);
            }
        }
        if self.random.happens(500) {
            for _ in 0..self.random.between(1, 2) {
                let account = self.account(world);
                world.add_hostile(account, "mallory");
            }
        }
    }

    fn name(&mut self) -> String {
        self.random.pick(&self.names).cloned().unwrap_or_default()
    }

    fn account(&mut self, world: &World) -> usize {
        usize::try_from(self.random.below(world.authority.accounts() as u64)).unwrap_or(0)
    }

    fn habit(&mut self) -> Habit {
        let answering = match self.random.below(5) {
            0 => Answering::Never,
            1 => {
                let status = self.random.pick(&[486, 480, 603, 500, 503, 404]).copied();
                Answering::Rejects(status.unwrap_or(486), self.random.below(5 * SECOND))
            }
            _ => Answering::After(self.random.below(10 * SECOND)),
        };
        let talks = self
            .random
            .happens(600)
            .then(|| self.random.below(60 * SECOND));
        let headers = (0..self.random.below(3))
            .map(|at| (format!("X-Row-{}", at / 2), self.random.word(5)))
            .collect();
        Habit {
            answering,
            talks,
            at_once: usize::try_from(self.random.between(1, 3)).unwrap_or(1),
            rings: self.random.happens(800),
            headers,
            is_dead: self.random.happens(50),
        }
    }

    /// One thing that somebody does.
    fn happens(&mut self, world: &mut World) {
        match self.random.below(48) {
            46..48 => application::control(world, &mut self.random),
            44..46 => application::begin_call(world, &mut self.random, &self.services),
            40..44 => application::disturb(world, &mut self.random),
            0 => self.operate(world),
            1 | 2 => {
                if let Some(&page) = self.random.pick(&self.pages) {
                    let cut = self.random.pick(&Cut::ALL).copied().unwrap_or(Cut::BOTH);
                    world.cut(page, cut);
                }
            }
            3 => {
                if let Some(&page) = self.random.pick(&self.pages) {
                    self.disturb(world, page);
                }
            }
            _ => {
                if let Some(&page) = self.random.pick(&self.pages) {
                    self.use_page(world, page);
                }
            }
        }
    }

    /// The network of a page goes away, or stands still and delivers late.
    fn disturb(&mut self, world: &mut World, page: usize) {
        if self.random.happens(500) {
            world.hinder(page, self.random.below(40 * SECOND));
        } else {
            let cut = self.random.pick(&Cut::ALL).copied().unwrap_or(Cut::BOTH);
            world.cut(page, cut);
            world.take_away(page, self.random.below(100 * SECOND));
        }
    }

    fn use_page(&mut self, world: &mut World, page: usize) {
        let Some(browser) = world.browser(page) else {
            return;
        };
        let open = browser.open_calls();
        let (wants, may_call) = (browser.wants_calls(), browser.may_call());
        if let Some((call, state)) = self.random.pick(&open).copied()
            && self.random.happens(500)
        {
            self.use_call(world, page, call, state);
            return;
        }
        match self.random.below(12) {
            0..4 if !wants => self.enable(world, page),
            4 => self.enable(world, page),
            5 if wants => _ = world.app(page, |browser, now| browser.disable_incoming(now)),
            6 if self.random.happens(300) => world.close_page(page),
            _ if may_call => self.call(world, page),
            _ => {}
        }
    }

    fn use_call(
        &mut self,
        world: &mut World,
        page: usize,
        call: crate::browser::CallKey,
        state: CallState,
    ) {
        let what = self.random.below(8);
        world.app(page, |browser, now| match (state, what) {
            (CallState::Ringing, 0..4) => browser.answer(now, call),
            (CallState::Ringing, 4) => browser.reject_with(now, call, 486),
            (CallState::Established, 0..3) => _ = browser.reinvite(now, call),
            (CallState::Established, 3) => browser.ask_in_dialog(now, call, "INFO", "tone=1"),
            (CallState::Established, 4) => browser.ask_in_dialog(now, call, "UPDATE", ""),
            (CallState::Established, 5) => browser.cancel_reinvite(now, call),
            (CallState::Established, 6) => browser.reject_with(now, call, 603),
            (_, 7) => browser.hang_up_call(now, call),
            (_, _) => {}
        });
    }

    fn wish(&mut self, client: &str) -> Wish {
        let mut wish = Wish::all(client);
        match self.random.below(10) {
            0 => wish.ttl_s = u32::try_from(self.random.between(1, 90)).unwrap_or(1),
            1 => wish = wish.outgoing_only(),
            2 => wish = wish.calling(&["bob", "team-*"]),
            3 => wish = wish.calling(&[]),
            _ => {}
        }
        wish
    }

    fn token(&mut self, world: &mut World, page: usize) -> String {
        let client = world
            .browser(page)
            .map_or_else(String::new, |browser| browser.client.clone());
        let client = if self.random.happens(30) {
            self.name()
        } else {
            client
        };
        let account = if self.random.happens(30) {
            self.account(world)
        } else {
            world.account_of(page)
        };
        let wish = self.wish(&client);
        world.token(account, &wish)
    }

    fn enable(&mut self, world: &mut World, page: usize) {
        let token = self.token(world, page);
        world.app(page, |browser, now| browser.enable_incoming(now, &token));
    }

    fn call(&mut self, world: &mut World, page: usize) {
        let (mut callee, token) = (self.name(), self.token(world, page));
        let is_service = self.random.happens(250);
        if is_service && self.random.happens(800) {
            let known = self.random.pick(&self.services).cloned();
            callee = known.unwrap_or(callee);
        }
        world.app(page, |browser, now| {
            if is_service {
                browser.call_service(now, &callee);
            } else {
                browser.call(now, &callee, &token);
            }
        });
    }

    /// A service of one of the names that pages call.
    fn set_up_service(&mut self, world: &mut World) {
        let (name, clients) = (self.name(), self.names.clone());
        self.services.push(name.clone());
        if self.random.happens(400) {
            return application::set_up(world, &mut self.random, &name);
        }
        let first = usize::try_from(self.random.below(clients.len() as u64)).unwrap_or(0);
        let clients: Vec<&str> = clients[first..].iter().map(String::as_str).collect();
        let orders = [RingOrder::All, RingOrder::InOrder, RingOrder::RoundRobin];
        let order = self.random.pick(&orders).copied().unwrap_or(RingOrder::All);
        let ring_s = u16::try_from(self.random.between(1, 20)).unwrap_or(1);
        world.authority.set_service(&name, &clients, order, ring_s);
        let callers = [ServiceCallers::Anyone, ServiceCallers::Proven];
        if let Some(callers) = self.random.pick(&callers) {
            world.authority.set_service_callers(0, *callers);
        }
    }

    fn operate(&mut self, world: &mut World) {
        let node = usize::try_from(self.random.below(world.server_count() as u64)).unwrap_or(0);
        let away = Some(Duration::from_micros(self.random.below(20 * SECOND)));
        let account = self.account(world);
        match self.random.below(9) {
            8 => {
                let name = self.name();
                revoking::act(world, &mut self.random, account, name);
            }
            6 | 7 => {
                self.set_up_service(world);
                world.publish();
            }
            0 => world.stop_server(node, away),
            1 => world.crash_server(node, away),
            2 => {
                world.authority.set_disabled(account, true);
                world.publish();
            }
            3 | 4 => {
                world.authority.set_disabled(account, false);
                world.publish();
            }
            _ => {
                let end = world.now().unix + Duration::from_secs(3600);
                let keep = self.random.happens(500).then_some(end);
                world.authority.rotate(account, keep);
                world.publish();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_is_one_run_byte_for_byte() {
        for seed in [1, 7, 42] {
            let (first, second) = (run(seed, 300, true), run(seed, 300, true));
            assert_eq!(first.ladder, second.ladder, "seed {seed}");
            assert_eq!(first.digest, second.digest, "seed {seed}");
        }
        assert_ne!(run(1, 300, false).digest, run(2, 300, false).digest);
    }

    #[test]
    fn a_few_hundred_worlds_hold() {
        let (mut resumed, mut expired, mut relayed, mut telephoned) = (0, 0, 0, 0);
        for seed in 0..300 {
            let outcome = run(seed, USUAL_STEPS, false);
            if let Some(fault) = outcome.fault {
                panic!("seed {seed}: {fault}\ncargo run -p sim -- run --seed {seed} --ladder");
            }
            resumed += outcome.resumed;
            expired += outcome.expired;
            relayed += outcome.relayed;
            telephoned += outcome.telephoned;
        }
        assert!(telephoned > 30, "telephones have had {telephoned} calls");
        assert!(
            resumed > 100 && expired > 50,
            "{resumed} sessions were resumed, {expired} expired: the worlds must exercise both"
        );
        assert!(relayed > 1_000, "relays have carried {relayed} packets");
    }
}
