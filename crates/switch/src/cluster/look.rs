//! One more look at the bus for a client that is found nowhere: what another node has just published may still be on its way.
//!
//! The INVITE waits meanwhile, and is then taken as if it had come now. What is found serves that INVITE alone: the others' notices, in
//! their order, say what is known. Never waits for long, and never for many.

use std::collections::BTreeMap;

use model::{AccountId, ClientId, ConnectionId, Instant, NodeNumber, Now, limits};
use sip::Request;

use super::published::{Bindings, Published};
use crate::effect::{Counter, Effect};
use crate::location::Binding;
use crate::shard::Shard;
use crate::timer::Due;

/// INVITEs that wait, and what one that has waited may use.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    last: u64,
    waiting: BTreeMap<u64, Waiting>,
    /// Whether the INVITE that is being taken has waited.
    has_looked: bool,
    found: Option<(ClientId, Binding)>,
}

#[derive(Debug)]
struct Waiting {
    connection: ConnectionId,
    account: AccountId,
    client: ClientId,
    message: Vec<u8>,
    until: Instant,
}

impl Looks {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Where a client was found for the INVITE that is being taken.
    pub(crate) fn found(&self, client: &ClientId) -> Option<&Binding> {
        let (of, binding) = self.found.as_ref()?;
        (of == client).then_some(binding)
    }

    /// Whether this INVITE waits already.
    pub(crate) fn has(&self, connection: ConnectionId, request: &Request<'_>) -> bool {
        let branch = request.headers.via().branch();
        let is_it = |waiting: &Waiting| {
            waiting.connection == connection
                && sip::parse(&waiting.message)
                    .is_ok_and(|message| message.headers().via().branch() == branch)
        };
        self.waiting.values().any(is_it)
    }
}

impl Shard {
    /// Has the bus asked where a client is, and an INVITE for it wait. Says whether it waits.
    pub(crate) fn look(
        &mut self,
        now: Now,
        account: AccountId,
        connection: ConnectionId,
        request: &Request<'_>,
        client: &ClientId,
    ) -> bool {
        let looks = &mut self.looks;
        if looks.has_looked
            || !self.has_bus
            || self.others.is_empty()
            || looks.waiting.len() >= limits::LOOKS
        {
            return false;
        }
        looks.last += 1;
        let (look, until) = (looks.last, now.mono + limits::LOOK_TIME);
        let waiting = Waiting {
            connection,
            account,
            client: client.clone(),
            message: request.as_bytes().to_vec(),
            until,
        };
        looks.waiting.insert(look, waiting);
        self.timers.shift(Due::Look(look), None, Some(until));
        self.act(now).count(Counter::Looked);
        self.effects.push_back(Effect::Look {
            look,
            account,
            client: client.clone(),
        });
        true
    }

    /// The bus has answered, or it is time to go on without.
    pub(crate) fn on_found(&mut self, now: Now, look: u64, found: &[(NodeNumber, Bindings)]) {
        let Some(waiting) = self.stop_waiting(look) else {
            return;
        };
        let bindings = found
            .iter()
            .filter(|(node, _)| *node != self.node && self.others.contains(node))
            .flat_map(|(node, bindings)| {
                let is_its = move |of: &&Published| of.connection.node() == *node;
                bindings.iter().filter(is_its)
            });
        let newest = bindings
            .filter_map(|published| published.binding(now))
            .max_by_key(|binding| (binding.registered, binding.connection));
        self.looks.has_looked = true;
        self.looks.found = newest.map(|binding| (waiting.client, binding));
        if let Ok(message) = sip::parse(&waiting.message) {
            self.on_message(now, waiting.connection, waiting.account, &message, None);
        }
        self.looks.has_looked = false;
        self.looks.found = None;
    }

    /// A connection is gone, and what it asked for with it.
    pub(crate) fn forget_looks(&mut self, connection: ConnectionId) {
        for look in self.looks_of(connection) {
            self.stop_waiting(look);
        }
    }

    /// What a connection waits for.
    pub(crate) fn looks_of(&self, connection: ConnectionId) -> Vec<u64> {
        let waiting = self.looks.waiting.iter();
        let its = waiting.filter(|(_, waiting)| waiting.connection == connection);
        its.map(|(look, _)| *look).collect()
    }

    fn stop_waiting(&mut self, look: u64) -> Option<Waiting> {
        let waiting = self.looks.waiting.remove(&look)?;
        self.timers
            .shift(Due::Look(look), Some(waiting.until), None);
        Some(waiting)
    }
}
