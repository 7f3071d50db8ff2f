//! The call record: who called whom, when, for how long, and how and by whom it was ended.
//!
//! Holds no SDP, no token and no header of the callers'.

use std::fmt;
use std::time::Duration;

use crate::id::{AccountId, ClientId, RecordId, ServiceName, TrunkName};
use crate::time::UnixTime;

/// Who brought a call to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// The client that placed the call.
    Caller,
    /// The client that was called.
    Callee,
    /// offhook: a timer, a lost connection, a shutdown.
    Server,
}

impl EndedBy {
    /// The word used in listings and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Callee => "callee",
            Self::Server => "server",
        }
    }

    /// Reads the word back.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Caller, Self::Callee, Self::Server]
            .into_iter()
            .find(|by| by.as_str() == text)
    }
}

/// Who called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A client, by its id.
    Client(ClientId),
    /// A service, whose application began the call.
    Service(ServiceName),
    /// The account itself, which has both sides called, in the name that it gave.
    Account(Box<str>),
    /// Somebody behind a trunk.
    Number {
        /// As the trunk tells it: a number, mostly.
        number: Box<str>,
        /// Which trunk.
        trunk: TrunkName,
    },
}

impl Caller {
    /// What the called side is told.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Client(client) => client.as_str(),
            Self::Service(name) => name.as_str(),
            Self::Account(name) => name,
            Self::Number { number, .. } => number,
        }
    }

    /// The client that called.
    pub fn client(&self) -> Option<&ClientId> {
        match self {
            Self::Client(client) => Some(client),
            Self::Service(_) | Self::Account(_) | Self::Number { .. } => None,
        }
    }

    /// The trunk that the call came by.
    pub fn trunk(&self) -> Option<&TrunkName> {
        match self {
            Self::Client(_) | Self::Service(_) | Self::Account(_) => None,
            Self::Number { trunk, .. } => Some(trunk),
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(client) => client.fmt(f),
            Self::Service(name) => write!(f, "service {name}"),
            Self::Account(name) => write!(f, "account as {name}"),
            Self::Number { number, trunk } => write!(f, "{number} by {trunk}"),
        }
    }
}

/// Who was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Callee {
    /// A client, by its id.
    Client(ClientId),
    /// A service, by its name.
    Service {
        /// Its name.
        name: ServiceName,
        /// The client that answered for it, if one did.
        client: Option<ClientId>,
    },
    /// Somebody behind a trunk.
    Number {
        /// The user part of the address that was called: a number, mostly.
        number: Box<str>,
        /// Which trunk.
        trunk: TrunkName,
    },
}

impl Callee {
    /// The client that was called, or that answered for the service.
    pub fn client(&self) -> Option<&ClientId> {
        match self {
            Self::Client(client) => Some(client),
            Self::Service { client, .. } => client.as_ref(),
            Self::Number { .. } => None,
        }
    }

    /// Who was called, in one word: a client, a number; nothing where nobody answered for a service.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Client(client) => client.as_str(),
            Self::Service { client, .. } => client.as_ref().map_or("", ClientId::as_str),
            Self::Number { number, .. } => number,
        }
    }

    /// The trunk that the call went by.
    pub fn trunk(&self) -> Option<&TrunkName> {
        match self {
            Self::Client(_) | Self::Service { .. } => None,
            Self::Number { trunk, .. } => Some(trunk),
        }
    }

    /// The service that was called.
    pub fn service(&self) -> Option<&ServiceName> {
        match self {
            Self::Client(_) | Self::Number { .. } => None,
            Self::Service { name, .. } => Some(name),
        }
    }
}

impl fmt::Display for Callee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(client) => client.fmt(f),
            Self::Service { name, client: None } => write!(f, "service {name}"),
            Self::Service {
                name,
                client: Some(client),
            } => write!(f, "{client} for service {name}"),
            Self::Number { number, trunk } => write!(f, "{number} by {trunk}"),
        }
    }
}

/// How a call came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallOutcome {
    /// When.
    pub at: UnixTime,
    /// Who ended it.
    pub by: EndedBy,
    /// The SIP status that says how: 200 for a call that was answered and hung up, else the refusal or failure.
    pub status: u16,
    /// The same in plain words.
    pub reason: String,
}

/// Packets that were relayed, and the bytes of data in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayTraffic {
    /// How many packets.
    pub packets: u64,
    /// How many bytes, without any header of TURN, UDP or IP.
    pub bytes: u64,
}

impl RelayTraffic {
    /// Both together.
    pub const fn plus(self, more: Self) -> Self {
        Self {
            packets: self.packets.saturating_add(more.packets),
            bytes: self.bytes.saturating_add(more.bytes),
        }
    }
}

/// What was relayed for one client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayUsage {
    /// From the client to its peers.
    pub sent: RelayTraffic,
    /// From its peers to the client.
    pub received: RelayTraffic,
}

impl RelayUsage {
    /// Both together.
    pub const fn plus(self, more: Self) -> Self {
        Self {
            sent: self.sent.plus(more.sent),
            received: self.received.plus(more.received),
        }
    }

    /// Bytes in both directions.
    pub const fn bytes(self) -> u64 {
        self.sent.bytes.saturating_add(self.received.bytes)
    }

    /// Whether nothing was relayed.
    pub const fn is_empty(self) -> bool {
        self.sent.packets == 0 && self.received.packets == 0
    }
}

/// One call. Written when it begins (without outcome) and again when it ends, under the same id; a third time if
/// relays tell late what they did for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// Its own number.
    pub id: RecordId,
    /// Whose call it was.
    pub account: AccountId,
    /// Who called.
    pub caller: Caller,
    /// Who was called.
    pub callee: Callee,
    /// The SIP Call-ID, the same at both ends.
    pub call_id: String,
    /// When the INVITE was accepted for routing.
    pub started: UnixTime,
    /// When the callee began to ring.
    pub ringing: Option<UnixTime>,
    /// When the callee answered.
    pub answered: Option<UnixTime>,
    /// How it ended; `None` while it goes on.
    pub outcome: Option<CallOutcome>,
    /// What our relays did for the caller and for the callee; complete once the call has ended.
    pub relay: [RelayUsage; 2],
}

impl CallRecord {
    /// Of a call that begins: nobody rings yet.
    pub fn begun(
        id: RecordId,
        account: AccountId,
        (caller, callee): (Caller, Callee),
        call_id: impl Into<String>,
        started: UnixTime,
    ) -> Self {
        Self {
            id,
            account,
            caller,
            callee,
            call_id: call_id.into(),
            started,
            ringing: None,
            answered: None,
            outcome: None,
            relay: [RelayUsage::default(); 2],
        }
    }

    /// Time from answer to end; zero for a call that was not answered or still goes on.
    pub fn talk_time(&self) -> Duration {
        match (self.answered, &self.outcome) {
            (Some(answered), Some(outcome)) => outcome.at.since(answered),
            (None, _) | (_, None) => Duration::ZERO,
        }
    }
}
