//! A binding as its node publishes it, and the name under which it does.
//!
//! Times are those of the calendar: nodes share no other clock. Which of two registrations is the newer they decide by it, so the
//! clocks of nodes have to agree as well as registrations are to be told apart.

use std::time::Duration;

use model::{AccountId, ClientId, ConnectionId, Now, UnixTime};
use serde::{Deserialize, Serialize};

use crate::location::Binding;

/// What a node says of one client: where it is there, newest last.
pub type Bindings = Vec<Published>;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    pub(crate) contact: Box<str>,
    pub(crate) domain: Box<str>,
    pub(crate) call_id: Box<str>,
    pub(crate) cseq: u32,
    #[serde(with = "number")]
    pub(crate) connection: ConnectionId,
    #[serde(with = "millis")]
    pub(crate) registered: UnixTime,
    #[serde(with = "millis")]
    pub(crate) modified: UnixTime,
    #[serde(with = "millis")]
    pub(crate) expires: UnixTime,
}

impl Published {
    pub(crate) fn of(binding: &Binding) -> Self {
        Self {
            contact: binding.contact.clone(),
            domain: binding.domain.clone(),
            call_id: binding.call_id.clone(),
            cseq: binding.cseq,
            connection: binding.connection,
            registered: binding.registered,
            modified: binding.modified,
            expires: binding.expires_unix,
        }
    }

    /// The same registration on the connection that its client has now. It stays behind all that are older, and is newer than itself where
    /// it was.
    pub(crate) fn on(mut self, connection: ConnectionId) -> Self {
        self.connection = connection;
        self.registered = moved(self.registered);
        self
    }

    /// Unless it has expired.
    pub(crate) fn binding(&self, now: Now) -> Option<Binding> {
        let lasts = self.expires.since(now.unix);
        (!lasts.is_zero()).then(|| Binding {
            contact: self.contact.clone(),
            domain: self.domain.clone(),
            call_id: self.call_id.clone(),
            cseq: self.cseq,
            connection: self.connection,
            registered: self.registered,
            modified: self.modified,
            expires: now.mono + lasts,
            expires_unix: self.expires,
        })
    }
}

/// When a registration counts as made that has gone to another connection with its session.
pub(crate) fn moved(registered: UnixTime) -> UnixTime {
    registered + Duration::from_millis(1)
}

/// What a client's bindings are published under.
pub(super) fn field_of(account: AccountId, client: &ClientId) -> String {
    format!("{}/{client}", account.0)
}

/// The client that something is published for.
pub(super) fn read_field(field: &str) -> Option<(AccountId, ClientId)> {
    let (account, client) = field.split_once('/')?;
    let account = AccountId(account.parse().ok()?);
    Some((account, ClientId::parse(client).ok()?))
}

/// A node by its number.
pub(super) mod node {
    use model::NodeNumber;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::cluster) fn serialize<S: Serializer>(
        node: &NodeNumber,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_u16(node.get())
    }

    pub(in crate::cluster) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<NodeNumber, D::Error> {
        let number = u16::deserialize(from)?;
        NodeNumber::new(number).ok_or_else(|| D::Error::custom("no node has this number"))
    }
}

/// Several.
pub(super) mod nodes {
    use model::NodeNumber;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::cluster) fn serialize<S: Serializer>(
        nodes: &[NodeNumber],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(nodes.iter().map(|node| node.get()))
    }

    pub(in crate::cluster) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<NodeNumber>, D::Error> {
        let numbers = Vec::<u16>::deserialize(from)?;
        Ok(numbers.into_iter().filter_map(NodeNumber::new).collect())
    }
}

mod number {
    use model::ConnectionId;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        connection: &ConnectionId,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_u64(connection.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<ConnectionId, D::Error> {
        u64::deserialize(from).map(ConnectionId)
    }
}

mod millis {
    use model::UnixTime;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &UnixTime, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(time.as_millis())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<UnixTime, D::Error> {
        u64::deserialize(from).map(UnixTime::from_millis)
    }
}
