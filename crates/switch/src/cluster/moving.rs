//! A session on its way from one node to another, as it is said: whose it is, how far its messages are, and what its shard knows of it.
//!
//! Decides nothing: who hands it over and who takes it in is another's ([`session`](super::session)).

use std::time::Duration;

use bytes::Bytes;
use model::{AccountId, ClientId, ConnectionId};
use serde::{Deserialize, Serialize};

use super::elsewhere::Elsewhere;
use super::published::Published;
use super::word::read_clients;
use crate::edge::Kin;
use crate::marks::PackedMark;
use crate::resume::{Packed, Pass};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moving {
    /// The connection that it was.
    pub from: ConnectionId,
    /// How far its messages are.
    pub numbers: Packed,
    /// What its client may show.
    pub pass: Pass,
    /// Whose it is.
    pub kin: Kin,
    /// What its shard knew; nothing, if no shard had heard of it.
    pub resident: Option<Resident>,
}

/// What a shard knows of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resident {
    /// The user agent: its client, and the Via sent-by that it keeps.
    pub(super) user_agent: Option<(String, Box<str>)>,
    /// Whether the user agent has shown its token, and whether any was shown.
    pub(super) is_proven: bool,
    pub(super) is_trusted: bool,
    /// Clients that have registered on it.
    pub(super) clients: Vec<String>,
    /// The tokens that it has shown for what it has.
    pub(super) marks: Vec<PackedMark>,
    /// What of that is in effect.
    pub(super) bindings: Vec<(String, Published)>,
    /// What calls of other nodes than the one that takes it have of it.
    pub(super) elsewhere: Elsewhere,
}

impl Resident {
    pub(super) fn clients(&self) -> Vec<ClientId> {
        read_clients(&self.clients).unwrap_or_default()
    }
}

/// As it stands in the line before the frames.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Written {
    from: u64,
    received: u64,
    sent: u64,
    window_ms: u64,
    /// Bytes of each frame.
    kept: Vec<usize>,
    secrets: Vec<String>,
    account: Option<u32>,
    client: Option<Box<str>>,
    is_proven: bool,
    resident: Option<Resident>,
}

impl Moving {
    /// Its line, and the frames behind it.
    pub(super) fn write(&self) -> (Written, Vec<u8>) {
        let Packed {
            received,
            sent,
            window,
            kept,
        } = &self.numbers;
        let written = Written {
            from: self.from.0,
            received: *received,
            sent: *sent,
            window_ms: u64::try_from(window.as_millis()).unwrap_or(u64::MAX),
            kept: kept.iter().map(Bytes::len).collect(),
            secrets: self.pass.expose(),
            account: self.kin.account.map(|account| account.0),
            client: self.kin.client.clone(),
            is_proven: self.kin.is_proven,
            resident: self.resident.clone(),
        };
        (written, kept.concat())
    }
}

impl Written {
    /// Nothing, if it cannot be.
    pub(super) fn read(self, frames: &[u8]) -> Option<Moving> {
        let mut rest = frames;
        let mut kept = Vec::new();
        for length in self.kept {
            let (frame, behind) = rest.split_at_checked(length)?;
            kept.push(Bytes::copy_from_slice(frame));
            rest = behind;
        }
        let is_whole = rest.is_empty() && kept.len() as u64 <= self.sent;
        is_whole.then_some(())?;
        Some(Moving {
            from: ConnectionId(self.from),
            numbers: Packed {
                received: self.received,
                sent: self.sent,
                window: Duration::from_millis(self.window_ms),
                kept,
            },
            pass: Pass::read(&self.secrets)?,
            kin: Kin {
                account: self.account.map(AccountId),
                client: self.client,
                is_proven: self.is_proven,
            },
            resident: self.resident,
        })
    }
}

#[cfg(test)]
impl Moving {
    /// One with all that can be.
    pub(super) fn example() -> Self {
        use model::{NodeNumber, UnixTime};

        let now = UnixTime::from_secs(9);
        let published = Published {
            contact: "sip:x@y.invalid".into(),
            domain: "a.example".into(),
            call_id: "c".into(),
            cseq: 2,
            connection: ConnectionId(7),
            registered: now,
            modified: now,
            expires: now,
        };
        let mut elsewhere = Elsewhere::default();
        elsewhere.joins(NodeNumber::LAST, Vec::new());
        Self {
            from: ConnectionId(7),
            numbers: Packed {
                received: 3,
                sent: 5,
                window: Duration::from_secs(60),
                kept: vec![
                    b"4 3\r\n\xff\n".to_vec().into(),
                    Bytes::from_static(b"5 3\r\n"),
                ],
            },
            pass: Pass::read(&["0123456789abcdef".repeat(2)]).unwrap(),
            kin: Kin {
                account: Some(AccountId(1)),
                client: Some("bob".into()),
                is_proven: true,
            },
            resident: Some(Resident {
                user_agent: Some(("bob".into(), "z.invalid".into())),
                is_proven: true,
                is_trusted: true,
                clients: vec!["bob".into()],
                marks: Vec::new(),
                bindings: vec![("bob".into(), published)],
                elsewhere,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_whole_is_not_read() {
        let (written, frames) = Moving::example().write();
        assert_eq!(written.read(&frames[1..]), None);
        let (mut written, frames) = Moving::example().write();
        written.sent = 1;
        assert_eq!(written.read(&frames), None);
        let (mut written, frames) = Moving::example().write();
        written.secrets.clear();
        assert_eq!(written.read(&frames), None);
    }
}
