//! Where the names of a trunk lead (RFC 3263 §4): what DNS said last, in which order that is tried (RFC 2782), and when it is asked
//! again.
//!
//! An answer that fails leaves the last good one as it is. Never asks DNS: that is the shell's.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use model::{Instant, PeerName, PeerPlace, Trunk, limits};

use super::health::Candidate;
use crate::random::Random;

/// One of the hosts that a name leads to (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The least is tried first.
    pub priority: u16,
    /// How much of what those of the same priority get is for it.
    pub weight: u16,
    /// Which host that is, and the port; empty where DNS says it of the trunk's name itself.
    pub host: Box<str>,
    /// The host's, the first one first. None: DNS does not say now, and what it said of this host before holds on.
    pub addresses: Vec<SocketAddr>,
}

/// What DNS says of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// In its order, which says nothing.
    pub targets: Vec<Target>,
    /// For how long that holds.
    pub lasts: Duration,
}

/// Why a name leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFault {
    /// The first answer is waited for.
    NotYet,
    /// DNS knows no such name.
    NoSuchName,
    /// DNS knows the name, and nothing of use about it.
    NoAddress,
    /// DNS did not answer in time.
    NoAnswer,
    /// DNS did not want to answer, or could not.
    Failed,
    /// Nobody can be where it leads.
    Nobody,
    /// It leads to where other trunks are, and nowhere else.
    Anothers,
    /// It leads to our own socket, and nowhere else: each call by it would be one to us.
    Ourselves,
}

impl fmt::Display for NameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotYet => "DNS has not answered yet",
            Self::NoSuchName => "there is no such name (NXDOMAIN)",
            Self::NoAddress => "DNS has no address for it that can be reached from here",
            Self::NoAnswer => "DNS does not answer",
            Self::Failed => "DNS refuses to answer, or cannot",
            Self::Nobody => "it leads to addresses at which nobody can be",
            Self::Anothers => "it leads to addresses that other trunks have",
            Self::Ourselves => "it leads back to this server",
        })
    }
}

/// An answer without the addresses that another trunk by the same transport has: what comes from there is that one's. `at`: whose
/// answer it is. Addresses that an operator has written down are their trunk's from the start; others are whose they were first. So are
/// those in networks of another, unless they are in this one's as well.
pub fn without_others<'a>(
    answer: Result<Answer, NameFault>,
    at: usize,
    trunks: impl Iterator<Item = &'a Trunk> + Clone,
) -> Result<Answer, NameFault> {
    let Some(own) = trunks.clone().nth(at) else {
        return answer;
    };
    let is_anothers = |address: &SocketAddr| {
        let others = trunks.clone().enumerate().filter(|(of, _)| *of != at);
        let mut others = others.filter(|(_, trunk)| trunk.transport == own.transport);
        let is_own = own.has_network_of(address.ip());
        others.any(|(_, trunk)| {
            trunk.known().any(|known| same(*known, *address))
                || (!is_own && trunk.has_network_of(address.ip()))
        })
    };
    without(answer, is_anothers, NameFault::Anothers)
}

/// An answer without the addresses at which we are ourselves.
pub fn without_own(
    answer: Result<Answer, NameFault>,
    is_own: impl Fn(&SocketAddr) -> bool,
) -> Result<Answer, NameFault> {
    without(answer, is_own, NameFault::Ourselves)
}

/// `fault`: what it is if nothing is left.
fn without(
    answer: Result<Answer, NameFault>,
    is_out: impl Fn(&SocketAddr) -> bool,
    fault: NameFault,
) -> Result<Answer, NameFault> {
    let mut answer = answer?;
    let before = answer.targets.len();
    answer.targets.retain_mut(|target| {
        let was_empty = target.addresses.is_empty();
        target.addresses.retain(|address| !is_out(address));
        was_empty || !target.addresses.is_empty()
    });
    match answer.targets.is_empty() && before > 0 {
        true => Err(fault),
        false => Ok(answer),
    }
}

/// IPv4 in IPv6 is IPv4.
fn same(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && one.ip().to_canonical() == other.ip().to_canonical()
}

#[derive(Debug)]
struct Place {
    place: PeerPlace,
    /// In the order in which it is tried; of an address: nothing.
    found: Vec<Target>,
    /// What those call us.
    own: Option<SocketAddr>,
    fault: Option<NameFault>,
    due: Option<Instant>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Names(Vec<Place>);

impl Names {
    pub(super) fn new(places: &[PeerPlace], now: Instant) -> Self {
        let place = |place: &PeerPlace| Place {
            place: place.clone(),
            found: Vec::new(),
            own: None,
            fault: place.name().map(|_| NameFault::NotYet),
            due: place.name().map(|_| now),
        };
        Self(places.iter().map(place).collect())
    }

    pub(super) fn first_due(&self) -> Option<Instant> {
        self.0.iter().filter_map(|place| place.due).min()
    }

    /// Which names are to be asked about now: each once, until there is an answer.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(usize, PeerName)> {
        let mut due = Vec::new();
        for (at, place) in self.0.iter_mut().enumerate() {
            let name = place.place.name().cloned();
            if let Some(name) = name.filter(|_| place.due.is_some_and(|due| due <= now)) {
                place.due = None;
                due.push((at, name));
            }
        }
        due
    }

    /// The server is going down: nothing is asked any more.
    pub(super) fn stop(&mut self) {
        for place in &mut self.0 {
            place.due = None;
        }
    }

    /// DNS has answered. `own`: what whoever is there calls us.
    pub(super) fn learn(
        &mut self,
        at: usize,
        answer: &Result<Answer, NameFault>,
        own: Option<SocketAddr>,
        now: Instant,
        random: &mut Random,
    ) {
        let Some(place) = self.0.get_mut(at) else {
            return;
        };
        if place.place.name().is_none() {
            return;
        }
        let usable = match answer {
            Ok(answer) => usable(&with_known(&answer.targets, &place.found)),
            Err(fault) => Err(*fault),
        };
        let lasts = match answer {
            Ok(answer) if usable.is_ok() => answer
                .lasts
                .clamp(limits::TRUNK_NAME_TIME_MIN, limits::TRUNK_NAME_TIME_MAX),
            Ok(_) | Err(_) => limits::TRUNK_NAME_PAUSE,
        };
        place.due = Some(now + lasts);
        match usable {
            Err(fault) => place.fault = Some(fault),
            Ok(targets) => {
                place.fault = None;
                place.own = own;
                // Servers of DNS turn their answers round: whoever says the same in another order has said nothing new.
                if sorted(&targets) != sorted(&place.found) {
                    place.found = ordered(targets, random);
                }
            }
        }
    }

    /// Whom to try, in this order. Addresses that the operator has written down are among them in any case.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let literals = self.0.iter().filter_map(|place| place.place.address());
        let literals: Vec<SocketAddr> = literals.collect();
        let mut room = limits::TRUNK_TARGETS.saturating_sub(literals.len());
        let mut all: Vec<Candidate> = Vec::new();
        for (at, place) in self.0.iter().enumerate() {
            let rank = |priority: u16| (at as u32) << 16 | u32::from(priority);
            if let Some(address) = place.place.address() {
                all.push(Candidate::alone(address, rank(0)));
            }
            for (host, target) in place.found.iter().enumerate() {
                for address in &target.addresses {
                    let is_known = literals.contains(address)
                        || all.iter().any(|known| known.address == *address);
                    if is_known || room == 0 {
                        continue;
                    }
                    room -= 1;
                    all.push(Candidate {
                        address: *address,
                        rank: rank(target.priority),
                        host: (at, host),
                        weight: target.weight,
                    });
                }
            }
        }
        all
    }

    /// What the first that is tried calls us; nothing where that is no name's.
    pub(super) fn own(&self) -> Option<SocketAddr> {
        let is_known = |place: &&Place| place.place.address().is_some() || !place.found.is_empty();
        self.0.iter().find(is_known)?.own
    }

    /// The first name about which DNS said nothing of use last, by its place.
    pub(super) fn fault(&self) -> Option<(usize, NameFault)> {
        let mut all = self.0.iter().enumerate();
        all.find_map(|(at, place)| Some((at, place.fault?)))
    }
}

/// Hosts that DNS says nothing of now are where they were before.
fn with_known(targets: &[Target], known: &[Target]) -> Vec<Target> {
    let mut targets = targets.to_vec();
    for target in &mut targets {
        if target.addresses.is_empty()
            && let Some(before) = known.iter().find(|known| known.host == target.host)
        {
            target.addresses.clone_from(&before.addresses);
        }
    }
    targets
}

/// Without addresses at which nobody can be. Those of this machine and of private networks may be those of a PBX.
fn usable(targets: &[Target]) -> Result<Vec<Target>, NameFault> {
    let mut usable = Vec::new();
    for target in targets.iter().take(limits::TRUNK_NAME_RECORDS) {
        let addresses = target.addresses.iter().map(|address| {
            let ip = address.ip().to_canonical();
            SocketAddr::new(ip, address.port())
        });
        let addresses: Vec<_> = addresses.filter(may_be_a_peer).collect();
        if !addresses.is_empty() {
            let host = target.host.clone();
            usable.push(Target {
                addresses,
                host,
                ..*target
            });
        }
    }
    match (targets.is_empty(), usable.is_empty()) {
        (true, _) => Err(NameFault::NoAddress),
        (false, true) => Err(NameFault::Nobody),
        (false, false) => Ok(usable),
    }
}

fn may_be_a_peer(address: &SocketAddr) -> bool {
    let ip = address.ip();
    let is_all = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !is_all
}

/// However they are turned round.
fn sorted(targets: &[Target]) -> Vec<Target> {
    let mut all = targets.to_vec();
    for target in &mut all {
        target.addresses.sort_unstable();
    }
    all.sort_unstable();
    all
}

/// By priority, and by weight among those with the same.
fn ordered(mut targets: Vec<Target>, random: &mut Random) -> Vec<Target> {
    targets.sort_by_key(|target| target.priority);
    let mut done = Vec::with_capacity(targets.len());
    while let Some(first) = targets.first() {
        let priority = first.priority;
        let same = targets
            .iter()
            .take_while(|target| target.priority == priority);
        let weights: Vec<u16> = same.map(|target| target.weight).collect();
        let at = match weights.iter().all(|weight| *weight == 0) {
            true => (random.bits() % weights.len() as u64) as usize,
            false => drawn(&weights, random),
        };
        done.push(targets.remove(at));
    }
    done
}

/// One of these by its weight, as RFC 2782 has it: those without weight have a very small chance.
pub(super) fn drawn(weights: &[u16], random: &mut Random) -> usize {
    let sum: u64 = weights.iter().copied().map(u64::from).sum();
    let mut rest = random.bits() % (sum + 1);
    let weightless = weights.iter().position(|weight| *weight == 0);
    if let Some(weightless) = weightless.filter(|_| rest == 0) {
        return weightless;
    }
    for (at, weight) in weights.iter().enumerate() {
        let weight = u64::from(*weight);
        if weight != 0 && rest <= weight {
            return at;
        }
        rest = rest.saturating_sub(weight);
    }
    0
}
