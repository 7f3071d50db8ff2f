//! What a round does, drawn from seed and number. Starts nothing.

use std::fmt;

use super::dice::Dice;

/// Accounts, each with its own load: clients of one account would answer each other's calls.
pub(super) const ACCOUNTS: usize = 3;
/// Clients of each generator at most, where there are one, two or three: the first thousand of each come from the same loopback
/// address, and the server takes 2,000 from one.
const CLIENTS_MAX: [u64; ACCOUNTS] = [3_000, 950, 600];

/// What a pair needs for a call beside its talk, on a busy machine.
const SET_UP_S: u64 = 1;

/// The part of the run that a round belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The server is killed or stopped again and again.
    Restarts,
    /// It lives on, so that its memory can be judged, and serves `ws:`.
    Plain,
    /// The same with `wss:`.
    Tls,
}

impl Stage {
    pub(super) const ALL: [Self; 3] = [Self::Restarts, Self::Plain, Self::Tls];
    /// When each is over, in hundredths of the time, and how many rounds it has at least.
    const SHARES: [(u64, usize); 3] = [(30, 2), (65, 1), (100, 1)];

    /// The stage of the next round; none when the time is over. `done`: the rounds of each so far.
    pub(super) fn next(elapsed_s: u64, total_s: u64, done: [usize; 3]) -> Option<Self> {
        let stages = Self::ALL.into_iter().zip(Self::SHARES).zip(done);
        stages
            .filter(|((_, (percent, least)), done)| {
                done < least || elapsed_s * 100 < total_s * percent
            })
            .map(|((stage, _), _)| stage)
            .next()
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Restarts => "restarts",
            Self::Plain => "ws",
            Self::Tls => "wss",
        }
    }
}

/// One round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) loads: Vec<Load>,
    /// How and when the server ends.
    pub(super) end: Option<(End, u64)>,
    /// Whether the server that is started then speaks TLS.
    pub(super) is_tls_next: bool,
    pub(super) act: Option<(Act, u64)>,
    /// Connections that say nonsense, half of a request, or nothing.
    pub(super) strangers: u64,
    /// Registered clients with resumable sessions that vanish.
    pub(super) vanishing: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Kill,
    Stop,
}

/// What the operator does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Disables the account and enables it again.
    Disable(usize),
    RotateApiKey(usize),
    RotateSigningKey(usize),
}

/// A generator; the account is that of its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) kind: Kind,
    pub(super) seconds: u64,
    pub(super) fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Register {
        clients: u64,
        rate: u64,
    },
    Calls {
        clients: u64,
        rate: u64,
        talk_s: u64,
    },
    Burst {
        clients: u64,
        window: u64,
    },
    Idle {
        clients: u64,
    },
    Token {
        rate: u64,
    },
    Storm {
        clients: u64,
    },
    Turn {
        allocations: u64,
        rate: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Ends by itself, and nothing of it may fail.
    Undisturbed,
    Killed {
        after_ms: u64,
    },
    /// Reads nothing for a while, and is killed then.
    Paused {
        after_ms: u64,
        for_ms: u64,
    },
}

impl Round {
    pub(super) fn draw(seed: u64, number: u64, stage: Stage) -> Self {
        let mut dice = Dice::of(seed, number);
        let count = 1 + usize::from(!dice.one_in(4)) + usize::from(dice.one_in(3));
        let most = CLIENTS_MAX[count - 1];
        let loads: Vec<_> = (0..count)
            .map(|_| Load::draw(&mut dice, most, stage))
            .collect();
        let act = dice.one_in(3).then(|| Act::draw(&mut dice));
        let act = act.map(|act| (act, dice.between(1_500, 5_000)));
        let strangers = if dice.one_in(3) {
            dice.between(50, 300)
        } else {
            0
        };
        let vanishing = if dice.one_in(3) {
            dice.between(5, 40)
        } else {
            0
        };
        let end = if dice.one_in(2) { End::Kill } else { End::Stop };
        let end = (end, dice.between(2_500, 7_000));
        let is_tls_next = dice.one_in(3);
        Self {
            loads,
            end: (stage == Stage::Restarts).then_some(end),
            is_tls_next,
            act,
            strangers,
            vanishing,
        }
    }

    /// Whether something happens to this load that may make it fail.
    pub(super) fn disturbs(&self, place: usize) -> bool {
        let is_disabled = self.act.is_some_and(|(act, _)| match act {
            Act::Disable(account) => account == place,
            Act::RotateApiKey(_) | Act::RotateSigningKey(_) => false,
        });
        self.end.is_some() || is_disabled || self.loads[place].fate != Fate::Undisturbed
    }
}

impl Act {
    fn draw(dice: &mut Dice) -> Self {
        let account = dice.between(0, ACCOUNTS as u64 - 1) as usize;
        match dice.between(0, 3) {
            0 => Self::RotateApiKey(account),
            1 => Self::RotateSigningKey(account),
            _ => Self::Disable(account),
        }
    }
}

impl Load {
    fn draw(dice: &mut Dice, most: u64, stage: Stage) -> Self {
        let pairs = |dice: &mut Dice| 2 * dice.between(most / 8, most / 2);
        let kind = match dice.between(0, 9) {
            0 => Kind::Register {
                clients: dice.between(most / 4, most),
                rate: dice.between(200, 2_000),
            },
            // What the allocator keeps after a burst would hide a leak.
            4 if stage == Stage::Restarts => Kind::Burst {
                clients: pairs(dice),
                window: dice.between(16, 200),
            },
            // The more talk, the more are cut off when something dies.
            1..=4 => {
                let (clients, rate, talk_s) =
                    (pairs(dice), dice.between(30, 150), dice.between(1, 4));
                // What no pair is free for cannot be offered, and is a failure.
                let rate = rate.min(clients / 2 / (talk_s + SET_UP_S));
                Kind::Calls {
                    clients,
                    rate,
                    talk_s,
                }
            }
            5 => Kind::Idle {
                clients: dice.between(most / 4, most),
            },
            6 => Kind::Token {
                rate: dice.between(50, 400),
            },
            7 => Kind::Storm {
                clients: dice.between(most / 4, most),
            },
            _ => Kind::Turn {
                allocations: dice.between(2, 10),
                rate: dice.between(200, 1_500),
            },
        };
        let seconds = match kind {
            // As fast as it goes, so in short.
            Kind::Burst { .. } => 2,
            Kind::Register { .. }
            | Kind::Calls { .. }
            | Kind::Idle { .. }
            | Kind::Token { .. }
            | Kind::Storm { .. }
            | Kind::Turn { .. } => dice.between(4, 9),
        };
        let after_ms = dice.between(1_500, 1_000 * seconds + 1_500);
        let fate = match dice.between(0, 3) {
            0 => Fate::Killed { after_ms },
            1 => Fate::Paused {
                after_ms,
                for_ms: dice.between(500, 4_000),
            },
            _ => Fate::Undisturbed,
        };
        Self {
            kind,
            seconds,
            fate,
        }
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, load) in self.loads.iter().enumerate() {
            let comma = if place > 0 { "; " } else { "" };
            write!(f, "{comma}{load}")?;
        }
        match self.act {
            Some((Act::Disable(account), _)) => write!(f, "; account {account} disabled")?,
            Some((Act::RotateApiKey(account), _)) => write!(f, "; API key {account} rotated")?,
            Some((Act::RotateSigningKey(account), _)) => {
                write!(f, "; signing key {account} rotated")?
            }
            None => {}
        }
        if self.strangers > 0 {
            write!(f, "; {} strangers", self.strangers)?;
        }
        if self.vanishing > 0 {
            write!(f, "; {} vanish", self.vanishing)?;
        }
        match self.end {
            Some((End::Kill, at_ms)) => write!(f, "; server SIGKILL at {at_ms} ms"),
            Some((End::Stop, at_ms)) => write!(f, "; server SIGTERM at {at_ms} ms"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Register { clients, rate } => write!(f, "register {clients} at {rate}/s"),
            Kind::Calls {
                clients,
                rate,
                talk_s,
            } => write!(f, "calls {clients} at {rate}/s of {talk_s} s"),
            Kind::Burst { clients, window } => write!(f, "calls {clients}, {window} at once"),
            Kind::Idle { clients } => write!(f, "idle {clients}"),
            Kind::Token { rate } => write!(f, "tokens {rate}/s"),
            Kind::Storm { clients } => write!(f, "storm {clients}"),
            Kind::Turn { allocations, rate } => write!(f, "turn {allocations} at {rate}/s"),
        }?;
        match self.fate {
            Fate::Undisturbed => Ok(()),
            Fate::Killed { after_ms } => write!(f, " killed at {after_ms} ms"),
            Fate::Paused { after_ms, for_ms } => {
                write!(f, " paused at {after_ms} ms, killed after {for_ms}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(kind: Kind) -> u64 {
        match kind {
            Kind::Register { clients, .. }
            | Kind::Calls { clients, .. }
            | Kind::Burst { clients, .. }
            | Kind::Idle { clients }
            | Kind::Storm { clients } => clients,
            Kind::Token { .. } | Kind::Turn { .. } => 0,
        }
    }

    fn rounds(stage: Stage) -> Vec<Round> {
        (0..300)
            .map(|number| Round::draw(7, number, stage))
            .collect()
    }

    #[test]
    fn a_seed_repeats_its_rounds_and_another_one_draws_others() {
        assert_eq!(rounds(Stage::Tls), rounds(Stage::Tls));
        assert_ne!(Round::draw(7, 0, Stage::Tls), Round::draw(8, 0, Stage::Tls));
    }

    #[test]
    fn there_is_a_free_pair_for_each_call() {
        let rounds = Stage::ALL.into_iter().flat_map(rounds);
        let mut calls = 0;
        for load in rounds.flat_map(|round| round.loads) {
            if let Kind::Calls {
                clients,
                rate,
                talk_s,
            } = load.kind
            {
                calls += 1;
                assert!(
                    rate > 0 && clients / 2 >= rate * (talk_s + SET_UP_S),
                    "{load}"
                );
            }
        }
        assert!(calls > 100);
    }

    #[test]
    fn the_server_dies_in_the_first_stage_only_and_both_ways() {
        let ends: Vec<_> = rounds(Stage::Restarts)
            .iter()
            .filter_map(|round| round.end.map(|(end, _)| end))
            .collect();
        assert_eq!(ends.len(), 300);
        assert!(ends.contains(&End::Kill) && ends.contains(&End::Stop));
        assert!(rounds(Stage::Plain).iter().all(|round| round.end.is_none()));
    }

    #[test]
    fn every_kind_and_fate_is_drawn_within_the_bounds() {
        let rounds = [rounds(Stage::Plain), rounds(Stage::Restarts)].concat();
        let loads: Vec<_> = rounds.iter().flat_map(|round| &round.loads).collect();
        let words: Vec<_> = loads.iter().map(|load| load.to_string()).collect();
        for kind in [
            "register", "of", "at once", "idle", "tokens", "storm", "turn", "paused",
        ] {
            assert!(words.iter().any(|text| text.contains(kind)), "no {kind}");
        }
        for round in &rounds {
            let from_one = |load: &Load| clients(load.kind).min(1_000);
            let from_one: u64 = round.loads.iter().map(from_one).sum();
            assert!(from_one < 1_950 && round.loads.len() <= ACCOUNTS, "{round}");
        }
        let is_whole = |round: &Round| (0..round.loads.len()).any(|at| !round.disturbs(at));
        assert!(rounds.iter().filter(|round| is_whole(round)).count() > 150);
    }

    #[test]
    fn stages_share_the_time_and_none_is_left_out() {
        assert_eq!(Stage::next(0, 60, [0; 3]), Some(Stage::Restarts));
        assert_eq!(Stage::next(18, 60, [2, 0, 0]), Some(Stage::Plain));
        assert_eq!(Stage::next(40, 60, [2, 9, 0]), Some(Stage::Tls));
        assert_eq!(Stage::next(60, 60, [2, 9, 9]), None);
        // A run that is too short for all has a round of each all the same.
        assert_eq!(Stage::next(90, 60, [1, 0, 0]), Some(Stage::Restarts));
        assert_eq!(Stage::next(90, 60, [2, 0, 0]), Some(Stage::Plain));
        assert_eq!(Stage::next(90, 60, [2, 1, 0]), Some(Stage::Tls));
        assert_eq!(Stage::next(90, 60, [2, 1, 1]), None);
    }

    #[test]
    fn whoever_is_killed_disabled_or_loses_the_server_is_disturbed() {
        let load = |fate| Load {
            kind: Kind::Idle { clients: 1 },
            seconds: 1,
            fate,
        };
        let mut round = Round {
            loads: vec![load(Fate::Undisturbed), load(Fate::Killed { after_ms: 1 })],
            end: None,
            is_tls_next: false,
            act: Some((Act::RotateApiKey(0), 1)),
            strangers: 1,
            vanishing: 0,
        };
        assert!(!round.disturbs(0) && round.disturbs(1));
        round.act = Some((Act::Disable(0), 1));
        assert!(round.disturbs(0));
        round.act = None;
        round.end = Some((End::Stop, 1));
        assert!(round.disturbs(0));
    }
}
