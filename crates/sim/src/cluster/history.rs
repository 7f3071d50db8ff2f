//! Who is registered, as pages know it and as lists and calls at any node show it: a history, held against a model.
//!
//! **The model.** Each client is a register with one value, *registered* or *not*. Its pages write it; the list of a node reads it, and so does
//! a call. What a page knows bounds what may be read:
//!
//! - A page *is* registered from when it has read the 200 to its REGISTER until it sends the one that takes it back, or its connection is lost.
//! - A page *may be* registered beyond that: from when it sends a REGISTER, and until its server knows that it is gone.
//!
//! **What must hold**, whatever the bus loses, repeats, delays or turns round:
//!
//! 1. *Recent*: a client of which a page has been registered for a while is on the list of every node, and is missing there for no longer than
//!    that, as when its session moves.
//! 2. *Not for ever*: a client of whose pages none may be registered any more for that while is on no list.
//! 3. *Reachable*: a call to a client whose pages have been registered on one connection for that while, and are until it ends, is not answered
//!    as if nobody were there.
//!
//! The while is [`SPREADS`] on a bus that loses nothing, and [`SPREADS_WITH_LOSS`] on one that loses up to a tenth. Between these either value may be
//! read. There is no order across nodes: one may know what another does not know yet.
//! Nodes that die and a bus that is away are not of this model; what then holds is looked at when it is over (`soak`).

use std::collections::BTreeMap;
use std::time::Duration;

use model::ConnectionId;

use super::Cluster;
use crate::browser::{Answering, CallKey};
use crate::clock::{MILLI, SECOND};

/// Until every node knows of a registration, of its end, or of its move, where what is posted arrives: a bus that has forgotten is written
/// anew within 3 s, and then read.
const SPREADS: u64 = 4 * SECOND;
/// The same where posts are lost: what is missing shows by the versions that nodes tell each second, the second time that one does.
const SPREADS_WITH_LOSS: u64 = 8 * SECOND;
/// Of a thousand posts.
const LOSS_MAX: u64 = 100;
/// How often lists are read.
const LOOKS: Duration = Duration::from_millis(100);
/// How long the session of a page that resumes may wait for it.
const WAITS: u64 = 65 * SECOND;
/// What a page is told where nobody is there.
const NOBODY: &str = "UNOBTAINABLE";
/// What happens in a run.
const DEEDS: usize = 60;

const CLIENTS: [&str; 4] = ["alice", "bob", "carol", "dave"];

/// What is known of a page, in microseconds: since when it has been registered, and on this connection; or may not be any more.
#[derive(Clone, Copy, Debug)]
enum Standing {
    Registered {
        since: u64,
        link: Option<ConnectionId>,
        linked: u64,
    },
    Unsure,
    Gone {
        since: u64,
    },
}

impl Standing {
    fn registered(before: Option<Self>, link: Option<ConnectionId>, now: u64) -> Self {
        let (since, linked) = match before {
            Some(Self::Registered {
                since,
                link: before,
                linked,
            }) if before == link => (since, linked),
            Some(Self::Registered { since, .. }) => (since, now),
            Some(Self::Unsure | Self::Gone { .. }) | None => (now, now),
        };
        Self::Registered {
            since,
            link,
            linked,
        }
    }

    fn gone(before: Option<Self>, now: u64) -> Self {
        match before {
            Some(Self::Gone { since }) => Self::Gone { since },
            Some(Self::Registered { .. } | Self::Unsure) | None => Self::Gone { since: now },
        }
    }
}

/// See the module.
#[derive(Debug)]
struct History {
    /// How long it may take until every node knows.
    spreads: u64,
    standing: BTreeMap<usize, Standing>,
    /// Since when a client that should be there is missing from the list of a node.
    missing: BTreeMap<(usize, String), u64>,
    /// Calls that have not ended: their caller, whom they call, and whether that one has been there since they began.
    calls: BTreeMap<(usize, CallKey), (String, bool)>,
}

impl History {
    fn new(spreads: u64) -> Self {
        Self {
            spreads,
            standing: BTreeMap::new(),
            missing: BTreeMap::new(),
            calls: BTreeMap::new(),
        }
    }

    /// Looks at all pages, all lists and all calls as they are now.
    fn look(&mut self, cluster: &Cluster) -> Result<(), String> {
        let now = cluster.clock.micros();
        for page in 0..cluster.pages.len() {
            let standing = self.standing_of(cluster, page, now);
            self.standing.insert(page, standing);
        }
        for node in 0..cluster.node_count() {
            self.look_at_list(cluster, node, now)?;
        }
        self.look_at_calls(cluster, now)
    }

    /// A page has begun a call.
    fn begins(&mut self, cluster: &Cluster, page: usize, call: CallKey, callee: &str) {
        let is_there = self.is_reachable(cluster, callee, cluster.clock.micros());
        let called = (callee.to_owned(), is_there);
        self.calls.insert((page, call), called);
    }

    fn standing_of(&self, cluster: &Cluster, page: usize, now: u64) -> Standing {
        let browser = &cluster.pages[page].browser;
        let before = self.standing.get(&page).copied();
        let wants = browser.wants_calls();
        if wants && browser.is_registered() && browser.is_connected() {
            Standing::registered(before, cluster.link_of(page), now)
        } else if wants || cluster.has_server(page) {
            Standing::Unsure
        } else {
            Standing::gone(before, now)
        }
    }

    fn look_at_list(&mut self, cluster: &Cluster, node: usize, now: u64) -> Result<(), String> {
        let list = cluster.clients(node);
        for client in CLIENTS {
            let is_listed = list.iter().any(|listed| listed == client);
            if is_listed && self.is_gone(cluster, client, now) {
                return Err(format!("{client} is long gone, and node {node} lists it"));
            }
            let place = (node, client.to_owned());
            if is_listed || !self.is_registered(cluster, client, now) {
                self.missing.remove(&place);
                continue;
            }
            let since = *self.missing.entry(place).or_insert(now);
            if now - since > self.spreads {
                return Err(format!(
                    "{client} is registered, and node {node} does not list it"
                ));
            }
        }
        Ok(())
    }

    fn look_at_calls(&mut self, cluster: &Cluster, now: u64) -> Result<(), String> {
        let calls = std::mem::take(&mut self.calls);
        for ((page, call), (callee, was_there)) in calls {
            let is_there = was_there && self.is_reachable(cluster, &callee, now);
            let browser = &cluster.pages[page].browser;
            match browser.cause_of(call) {
                Some(NOBODY) if is_there => {
                    let caller = &browser.client;
                    return Err(format!(
                        "{callee} is registered, and a call of {caller} finds nobody"
                    ));
                }
                Some(_) => {}
                None => {
                    self.calls.insert((page, call), (callee, is_there));
                }
            }
        }
        Ok(())
    }

    /// Whether a page of it has been registered for so long that everybody knows.
    fn is_registered(&self, cluster: &Cluster, client: &str, now: u64) -> bool {
        let mut standings = self.standings(cluster, client);
        standings.any(|(_, standing)| match standing {
            Standing::Registered { since, .. } => now - since > self.spreads,
            Standing::Unsure | Standing::Gone { .. } => false,
        })
    }

    /// Whether all pages of it have, each on one connection: a call goes to the newest, which might be one that is lost.
    fn is_reachable(&self, cluster: &Cluster, client: &str, now: u64) -> bool {
        let mut standings = self.standings(cluster, client);
        standings.all(|(_, standing)| match standing {
            Standing::Registered { linked, .. } => now - linked > self.spreads,
            Standing::Unsure | Standing::Gone { .. } => false,
        })
    }

    /// Whether none of its pages may be registered, for so long that everybody knows.
    fn is_gone(&self, cluster: &Cluster, client: &str, now: u64) -> bool {
        let mut standings = self.standings(cluster, client);
        standings.all(|(page, standing)| match standing {
            Standing::Gone { since } => {
                let waits = if cluster.pages[page].resumes {
                    WAITS
                } else {
                    0
                };
                now - since > self.spreads + waits
            }
            Standing::Unsure | Standing::Registered { .. } => false,
        })
    }

    fn standings<'a>(
        &'a self,
        cluster: &'a Cluster,
        client: &'a str,
    ) -> impl Iterator<Item = (usize, Standing)> + 'a {
        let all = self.standing.iter();
        let all = all.map(|(page, standing)| (*page, *standing));
        all.filter(move |(page, _)| cluster.pages[*page].browser.client == client)
    }
}

/// One run, in which the bus does what it can to the posts, and pages come, go, move and call; what the history shows that the model does not
/// explain, with all that happened.
pub fn run(seed: u64) -> Result<(), String> {
    let mut cluster = Cluster::new(seed, 3);
    let random = &mut cluster.random;
    cluster.bus.faults.lag = (MILLI, random.below(200) * MILLI);
    cluster.bus.faults.repetition = random.below(300);
    cluster.bus.faults.unsure = random.below(200);
    if random.below(2) == 0 {
        cluster.bus.faults.loss = 1 + random.below(LOSS_MAX);
    }
    let mut history = History::new(match cluster.bus.faults.loss {
        0 => SPREADS,
        _ => SPREADS_WITH_LOSS,
    });
    for client in CLIENTS.into_iter().chain(["bob"]) {
        open(&mut cluster, client);
    }
    for _ in 0..DEEDS {
        for _ in 0..cluster.random.below(40) {
            cluster.run_for(LOOKS);
            let looked = history.look(&cluster);
            if let Some(what) = cluster.fault().or(looked.err()) {
                return Err(format!("{what}\n{}", cluster.log.join("\n")));
            }
        }
        act(&mut cluster, &mut history);
    }
    Ok(())
}

fn open(cluster: &mut Cluster, client: &str) {
    let node = cluster.random.below(cluster.node_count() as u64) as usize;
    let page = cluster.page(client, node);
    cluster.pages[page].resumes = cluster.random.below(2) == 0;
    let after = cluster.random.below(2 * SECOND);
    let talks = cluster.random.below(5 * SECOND);
    let habit = &mut cluster.pages[page].browser.habit;
    habit.answering = Answering::After(after);
    habit.talks = Some(talks);
}

fn act(cluster: &mut Cluster, history: &mut History) {
    let page = cluster.random.below(cluster.pages.len() as u64) as usize;
    let client = cluster.pages[page].browser.client.clone();
    match cluster.random.below(12) {
        0..=3 => {
            let callee = CLIENTS[cluster.random.below(CLIENTS.len() as u64) as usize];
            if cluster.pages[page].browser.may_call() && client != callee {
                let token = cluster.token(&client);
                let call = cluster.app(page, |browser, now| browser.call(now, callee, &token));
                history.begins(cluster, page, call, callee);
            }
        }
        4..=6 => {
            let node = cluster.random.below(cluster.node_count() as u64) as usize;
            let notices = cluster.random.below(2) == 0;
            cluster.note(format!(
                "{client} loses its connection and goes to node {node}"
            ));
            cluster.pages[page].node = node;
            cluster.cut(page, notices);
        }
        7 => {
            cluster.note(format!("{client} wants no calls"));
            cluster.app(page, |browser, now| browser.disable_incoming(now));
        }
        8 => {
            cluster.note("the bus forgets".to_owned());
            cluster.bus.forget();
        }
        _ if !cluster.pages[page].browser.wants_calls() => {
            let token = cluster.token(&client);
            cluster.app(page, |browser, now| browser.enable_incoming(now, &token));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_lists_and_calls_show_of_who_is_registered_is_explained_by_one_register_a_client() {
        for seed in 0..30 {
            if let Err(what) = super::run(seed) {
                panic!("seed {seed}: {what}");
            }
        }
    }
}
