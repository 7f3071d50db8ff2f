//! What nodes say to each other, and how it is written: a line of JSON, and behind it the SIP message if there is one.
//!
//! Knows nothing of calls. A word that a node does not know is garbled to it: nodes of two versions beside each other say only what
//! both know.

use std::borrow::Cow;
use std::net::IpAddr;

use model::{AccountId, ClientId, ConnectionId, RelayTraffic, RelayUsage};
use serde::{Deserialize, Serialize};

use super::elsewhere::Dialog;
use super::moving::{Moving, Written};
use crate::call::PackedCall;
use crate::turn_grant::Relayed;
#[cfg(doc)]
use crate::turn_grant::TurnChange;

/// One thing that a node says to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// Send this on a connection of yours.
    Send {
        /// This one.
        connection: ConnectionId,
        /// The whole message.
        message: Vec<u8>,
    },
    /// This came on a connection of mine, and belongs to a call of yours.
    Came {
        /// On this one.
        connection: ConnectionId,
        /// Whose connection that is.
        account: AccountId,
        /// The whole message.
        message: Vec<u8>,
    },
    /// A connection of mine is gone, or never was.
    Lost {
        /// This one.
        connection: ConnectionId,
    },
    /// No call of mine has to do with a connection of yours any more.
    Left {
        /// This one.
        connection: ConnectionId,
    },
    /// A client has ended a registration that you hold.
    Unbind {
        /// Whose client.
        account: AccountId,
        /// Which.
        client: ClientId,
        /// The registration, by its Contact.
        contact: Box<str>,
    },
    /// A user agent has come to a connection of mine: send it what it may still wait for.
    Back {
        /// This one.
        connection: ConnectionId,
        /// Whose client.
        account: AccountId,
        /// Which.
        client: ClientId,
        /// The Via sent-by that the user agent keeps.
        sent_by: Box<str>,
        /// The branch of its first request, and whether that is a REGISTER.
        branch: Box<str>,
        /// See `branch`.
        registers: bool,
    },
    /// A connection of yours may reach these addresses in a call of mine ([`TurnChange::Reach`]).
    Reach {
        /// This one.
        connection: ConnectionId,
        /// The call.
        call: u64,
        /// Literal addresses in canonical form.
        addresses: Vec<IpAddr>,
    },
    /// It may not any more ([`TurnChange::Ended`]).
    Unreach {
        /// This one.
        connection: ConnectionId,
        /// The call.
        call: u64,
    },
    /// What my relays did for a connection of mine in a call of yours.
    Relayed(Relayed),
    /// A client has come to me with this for a session of yours: hand it over.
    Fetch {
        /// The session, by its connection.
        session: ConnectionId,
        /// What the client shows.
        secret: Box<str>,
        /// The connection that it is to be.
        to: ConnectionId,
    },
    /// Here it is, and not mine any more.
    Here {
        /// The connection that it is now.
        to: ConnectionId,
        /// All of it.
        moving: Box<Moving>,
    },
    /// What was shown is worth nothing here.
    NotHere {
        /// The connection that was asked for.
        to: ConnectionId,
    },
    /// A session has come to me from another node, and is a connection of mine.
    Moved {
        /// What it was.
        from: ConnectionId,
        /// What it is.
        to: ConnectionId,
        /// Whose.
        account: AccountId,
        /// Clients that are registered on it.
        clients: Vec<ClientId>,
    },
    /// Here is a call of mine, and not mine any more: I am drained.
    Adopt(Box<PackedCall>),
    /// A call that a connection of yours has part in is mine now.
    Rehomed {
        /// The connection.
        connection: ConnectionId,
        /// What its client has of the call.
        dialog: Box<Dialog>,
    },
}

/// Which shards of the node that hears a word it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The one that has this connection; any, if it is not there any more.
    Connection(ConnectionId),
    /// The one that has this account.
    Account(AccountId),
    /// All.
    All,
    /// None: whoever keeps sessions.
    Sessions,
}

/// The line before the message.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Head {
    Send(u64),
    Came(u64, u32),
    Lost(u64),
    Left(u64),
    Unbind(u32, String, Box<str>),
    Back(u64, u32, String, Box<str>, Box<str>, bool),
    Reach(u64, u64, Vec<IpAddr>),
    Unreach(u64, u64),
    /// Account, connection, call; packets and bytes sent, packets and bytes received.
    Relayed(u32, u64, u64, [u64; 4]),
    Fetch(u64, Box<str>, u64),
    Here(u64, Box<Written>),
    NotHere(u64),
    Moved(u64, u64, u32, Vec<String>),
    Adopt(Box<PackedCall>),
    Rehomed(u64, Box<Dialog>),
}

/// It is not what a node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what came from another node is none of the words that nodes say")]
pub struct Garbled;

impl Word {
    /// Who is to be told.
    pub fn audience(&self) -> Audience {
        match self {
            Self::Send { connection, .. }
            | Self::Left { connection }
            | Self::Reach { connection, .. }
            | Self::Unreach { connection, .. }
            | Self::Rehomed { connection, .. } => Audience::Connection(*connection),
            Self::Adopt(call) => Audience::Account(call.account()),
            Self::Came { account, .. }
            | Self::Moved { account, .. }
            | Self::Unbind { account, .. }
            | Self::Back { account, .. } => Audience::Account(*account),
            Self::Relayed(relayed) => Audience::Account(relayed.account),
            Self::Lost { .. } => Audience::All,
            Self::Fetch { .. } | Self::Here { .. } | Self::NotHere { .. } => Audience::Sessions,
        }
    }

    /// The same of what its connection is now.
    #[must_use]
    pub fn of(mut self, now: ConnectionId) -> Self {
        match &mut self {
            Self::Send { connection, .. }
            | Self::Left { connection }
            | Self::Reach { connection, .. }
            | Self::Unreach { connection, .. }
            | Self::Rehomed { connection, .. } => *connection = now,
            Self::Came { .. }
            | Self::Lost { .. }
            | Self::Unbind { .. }
            | Self::Back { .. }
            | Self::Relayed(_)
            | Self::Fetch { .. }
            | Self::Here { .. }
            | Self::NotHere { .. }
            | Self::Moved { .. }
            | Self::Adopt(_) => {}
        }
        self
    }

    /// As it travels.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (head, message) = self.head();
        let mut bytes = Vec::with_capacity(64 + message.len());
        serde_json::to_writer(&mut bytes, &head).expect("a word is made of numbers and texts");
        bytes.push(b'\n');
        bytes.extend_from_slice(&message);
        bytes
    }

    /// The line, and what stands behind it.
    fn head(&self) -> (Head, Cow<'_, [u8]>) {
        let mut behind = Cow::Borrowed(&[][..]);
        let head = match self {
            Self::Send {
                connection,
                message,
            } => {
                behind = message.into();
                Head::Send(connection.0)
            }
            Self::Came {
                connection,
                account,
                message,
            } => {
                behind = message.into();
                Head::Came(connection.0, account.0)
            }
            Self::Lost { connection } => Head::Lost(connection.0),
            Self::Left { connection } => Head::Left(connection.0),
            Self::Unbind {
                account,
                client,
                contact,
            } => Head::Unbind(account.0, client.as_str().to_owned(), contact.clone()),
            Self::Back {
                connection,
                account,
                client,
                sent_by,
                branch,
                registers,
            } => {
                let client = client.as_str().to_owned();
                let (sent_by, branch) = (sent_by.clone(), branch.clone());
                Head::Back(connection.0, account.0, client, sent_by, branch, *registers)
            }
            Self::Reach {
                connection,
                call,
                addresses,
            } => Head::Reach(connection.0, *call, addresses.clone()),
            Self::Unreach { connection, call } => Head::Unreach(connection.0, *call),
            Self::Relayed(relayed) => relayed_head(relayed),
            Self::Fetch {
                session,
                secret,
                to,
            } => Head::Fetch(session.0, secret.clone(), to.0),
            Self::Here { to, moving } => {
                let (written, frames) = moving.write();
                behind = frames.into();
                Head::Here(to.0, Box::new(written))
            }
            Self::NotHere { to } => Head::NotHere(to.0),
            Self::Moved {
                from,
                to,
                account,
                clients,
            } => Head::Moved(from.0, to.0, account.0, write_clients(clients)),
            Self::Adopt(call) => Head::Adopt(call.clone()),
            Self::Rehomed { connection, dialog } => Head::Rehomed(connection.0, dialog.clone()),
        };
        (head, behind)
    }

    /// Reads it.
    pub fn parse(bytes: &[u8]) -> Result<Self, Garbled> {
        let end = memchr::memchr(b'\n', bytes).ok_or(Garbled)?;
        let (head, message) = (&bytes[..end], bytes[end + 1..].to_vec());
        Ok(match serde_json::from_slice(head).map_err(|_| Garbled)? {
            Head::Send(connection) => Self::Send {
                connection: ConnectionId(connection),
                message,
            },
            Head::Came(connection, account) => Self::Came {
                connection: ConnectionId(connection),
                account: AccountId(account),
                message,
            },
            Head::Lost(connection) => Self::Lost {
                connection: ConnectionId(connection),
            },
            Head::Left(connection) => Self::Left {
                connection: ConnectionId(connection),
            },
            Head::Unbind(account, client, contact) => Self::Unbind {
                account: AccountId(account),
                client: ClientId::parse(&client).map_err(|_| Garbled)?,
                contact,
            },
            Head::Back(connection, account, client, sent_by, branch, registers) => Self::Back {
                connection: ConnectionId(connection),
                account: AccountId(account),
                client: ClientId::parse(&client).map_err(|_| Garbled)?,
                sent_by,
                branch,
                registers,
            },
            Head::Reach(connection, call, addresses) => Self::Reach {
                connection: ConnectionId(connection),
                call,
                addresses,
            },
            Head::Unreach(connection, call) => Self::Unreach {
                connection: ConnectionId(connection),
                call,
            },
            Head::Relayed(account, connection, call, usage) => {
                Self::Relayed(read_relayed(account, connection, call, usage))
            }
            Head::Fetch(session, secret, to) => Self::Fetch {
                session: ConnectionId(session),
                secret,
                to: ConnectionId(to),
            },
            Head::Here(to, written) => Self::Here {
                to: ConnectionId(to),
                moving: Box::new(written.read(&message).ok_or(Garbled)?),
            },
            Head::NotHere(to) => Self::NotHere {
                to: ConnectionId(to),
            },
            Head::Moved(from, to, account, clients) => Self::Moved {
                from: ConnectionId(from),
                to: ConnectionId(to),
                account: AccountId(account),
                clients: read_clients(&clients).ok_or(Garbled)?,
            },
            Head::Adopt(call) => Self::Adopt(call),
            Head::Rehomed(connection, dialog) => Self::Rehomed {
                connection: ConnectionId(connection),
                dialog,
            },
        })
    }
}

fn relayed_head(relayed: &Relayed) -> Head {
    let RelayUsage { sent, received } = relayed.usage;
    let usage = [sent.packets, sent.bytes, received.packets, received.bytes];
    Head::Relayed(relayed.account.0, relayed.connection.0, relayed.call, usage)
}

fn read_relayed(account: u32, connection: u64, call: u64, usage: [u64; 4]) -> Relayed {
    let [sent, sent_bytes, received, bytes] = usage;
    let traffic = |packets, bytes| RelayTraffic { packets, bytes };
    Relayed {
        account: AccountId(account),
        connection: ConnectionId(connection),
        call,
        usage: RelayUsage {
            sent: traffic(sent, sent_bytes),
            received: traffic(received, bytes),
        },
    }
}

fn write_clients(clients: &[ClientId]) -> Vec<String> {
    let clients = clients.iter().map(|client| client.as_str().to_owned());
    clients.collect()
}

pub(super) fn read_clients(clients: &[String]) -> Option<Vec<ClientId>> {
    clients
        .iter()
        .map(|client| ClientId::parse(client).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn every_word_reads_as_it_was_said() {
        let connection = ConnectionId(0x0fff_0000_0000_0001);
        let account = AccountId(7);
        let message = b"BYE sip:a@b SIP/2.0\r\n\r\n\n\0".to_vec();
        let words = [
            Word::Send {
                connection,
                message: message.clone(),
            },
            Word::Came {
                connection,
                account,
                message,
            },
            Word::Lost { connection },
            Word::Left { connection },
            Word::Unbind {
                account,
                client: ClientId::parse("bob").unwrap(),
                contact: "sip:\"x\"@y.invalid".into(),
            },
            Word::Back {
                connection,
                account,
                client: ClientId::parse("bob").unwrap(),
                sent_by: "x.invalid".into(),
                branch: "z9hG4bK1".into(),
                registers: true,
            },
            Word::Reach {
                connection,
                call: u64::MAX,
                addresses: vec![IpAddr::V6(Ipv6Addr::LOCALHOST)],
            },
            Word::Unreach {
                connection,
                call: 0,
            },
            Word::Relayed(Relayed {
                account,
                connection,
                call: 3,
                usage: RelayUsage::default(),
            }),
            Word::Fetch {
                session: connection,
                secret: "0".repeat(32).into(),
                to: connection,
            },
            Word::Here {
                to: connection,
                moving: Box::new(Moving::example()),
            },
            Word::NotHere { to: connection },
            Word::Moved {
                from: connection,
                to: ConnectionId(5),
                account,
                clients: vec![ClientId::parse("bob").unwrap()],
            },
        ];
        for word in words {
            assert_eq!(Word::parse(&word.to_bytes()), Ok(word));
        }
        for garbled in [&b""[..], b"{}", b"{}\n", b"{\"shout\":1}\n", b"\xff\n"] {
            assert_eq!(Word::parse(garbled), Err(Garbled));
        }
    }
}
