//! Services: names that clients call without knowing who answers.
//!
//! Says what a service is for; finding out who is registered, and ringing, is `switch`'s.

use std::time::Duration;

use crate::application::Application;
use crate::id::{ClientId, ServiceName};
use crate::limits;

/// A named service of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// What is called.
    pub name: ServiceName,
    /// Who answers.
    pub target: ServiceTarget,
}

/// Who answers for a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceTarget {
    /// Clients of the same account.
    Clients(ClientGroup),
    /// A program elsewhere.
    Application(Application),
}

/// In which order the clients of a group ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingOrder {
    /// All at once; the first to answer has the call.
    All,
    /// One after another, from the first of the list.
    InOrder,
    /// One after another, from the one behind the client that was rung first for the call before.
    RoundRobin,
}

impl RingOrder {
    /// The word used on the command line, in the web service and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::InOrder => "in_order",
            Self::RoundRobin => "round_robin",
        }
    }

    /// Reads the word back.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::All, Self::InOrder, Self::RoundRobin]
            .into_iter()
            .find(|order| order.as_str() == text)
    }
}

/// Clients that a service rings. Always well-formed; see [`ClientGroup::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientGroup {
    clients: Vec<ClientId>,
    order: RingOrder,
    ring_s: u16,
}

/// A group that no service can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGroup {
    /// Nobody would ring.
    #[error("a service for clients needs at least one client")]
    Empty,
    /// More than may be.
    #[error("a service has at most {max} clients, not {0}", max = limits::SERVICE_CLIENTS)]
    TooMany(usize),
    /// Somebody is named twice.
    #[error("{0} is named twice")]
    Twice(ClientId),
    /// Nobody would have the time to answer, or callers would wait for ever.
    #[error("clients ring for 1 to {max} seconds, not {0}", max = limits::SERVICE_RING_MAX_S)]
    Ring(u16),
}

impl ClientGroup {
    /// A group of at least one client, each once; `ring_s`: how long one rings, or all of them where they ring at once.
    pub fn new(
        clients: Vec<ClientId>,
        order: RingOrder,
        ring_s: u16,
    ) -> Result<Self, InvalidGroup> {
        if clients.is_empty() {
            return Err(InvalidGroup::Empty);
        }
        if clients.len() > limits::SERVICE_CLIENTS {
            return Err(InvalidGroup::TooMany(clients.len()));
        }
        let twice = (1..clients.len()).find(|at| clients[..*at].contains(&clients[*at]));
        if let Some(at) = twice {
            return Err(InvalidGroup::Twice(clients[at].clone()));
        }
        if !(1..=limits::SERVICE_RING_MAX_S).contains(&ring_s) {
            return Err(InvalidGroup::Ring(ring_s));
        }
        Ok(Self {
            clients,
            order,
            ring_s,
        })
    }

    /// Who rings, in this order.
    pub fn clients(&self) -> &[ClientId] {
        &self.clients
    }

    /// One after another, or at once.
    pub fn order(&self) -> RingOrder {
        self.order
    }

    /// How long one rings, or all of them where they ring at once, in seconds.
    pub fn ring_s(&self) -> u16 {
        self.ring_s
    }

    /// The same as a duration.
    pub fn ring(&self) -> Duration {
        Duration::from_secs(u64::from(self.ring_s))
    }
}

/// Which clients of an account may call its services: existing clients send no token with such a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceCallers {
    /// Whoever knows the account's access key, under any name.
    #[default]
    Anyone,
    /// Clients whose connection has shown a valid token of theirs.
    Proven,
}

impl ServiceCallers {
    /// The word used on the command line, in the web service and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::Proven => "proven",
        }
    }

    /// Reads the word back.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Anyone, Self::Proven]
            .into_iter()
            .find(|callers| callers.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(ids: &[&str]) -> Vec<ClientId> {
        ids.iter().map(|id| ClientId::parse(id).unwrap()).collect()
    }

    #[test]
    fn a_group_has_clients_each_once_and_a_time_to_ring() {
        let group = |ids: &[&str], ring_s| ClientGroup::new(clients(ids), RingOrder::All, ring_s);
        assert!(group(&["a", "b"], 20).is_ok());
        assert_eq!(group(&[], 20), Err(InvalidGroup::Empty));
        let twice = InvalidGroup::Twice(ClientId::parse("a").unwrap());
        assert_eq!(group(&["a", "b", "a"], 20), Err(twice));
        for ring_s in [0, limits::SERVICE_RING_MAX_S + 1] {
            assert_eq!(group(&["a"], ring_s), Err(InvalidGroup::Ring(ring_s)));
        }
        let many: Vec<_> = (0..=limits::SERVICE_CLIENTS)
            .map(|number| number.to_string())
            .collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(group(&many, 20), Err(InvalidGroup::TooMany(many.len())));
    }

    #[test]
    fn words_are_read_back() {
        for order in [RingOrder::All, RingOrder::InOrder, RingOrder::RoundRobin] {
            assert_eq!(RingOrder::parse(order.as_str()), Some(order));
        }
        for callers in [ServiceCallers::Anyone, ServiceCallers::Proven] {
            assert_eq!(ServiceCallers::parse(callers.as_str()), Some(callers));
        }
        assert_eq!(RingOrder::parse("ALL"), None);
    }
}
