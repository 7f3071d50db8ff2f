//! No relay takes anybody anywhere that a call has not named, and none longer than ten seconds after it.
//!
//! Learns from the messages that a server sends which addresses each client was told, reads their candidates by itself,
//! and looks at every datagram that leaves a relayed address. Keeps the books of ledger and workers beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use model::{ConnectionId, RelayUsage};
use sip::Message;

use crate::clock::{MILLI, SECOND};
use crate::datagram::Datagram;
use crate::gateway::{GATEWAY, GATEWAY_SDP};
use crate::media::Described;
use crate::relay::Relays;

/// How long the addresses of an ended call may still be reached.
const GRACE: u64 = 10 * SECOND;

#[derive(Debug, Default)]
struct Named {
    addresses: BTreeSet<IpAddr>,
    /// Whether the gateway has described itself: no candidate of a client's leads there.
    has_gateway: bool,
    over: Option<u64>,
}

/// Who was told which addresses.
#[derive(Debug, Default)]
pub struct Reach {
    /// How late timers and workers may be, in microseconds.
    pub slack: u64,
    /// Datagrams that were looked at.
    pub seen: u64,
    /// By connection, then by the server's own tag in that dialog.
    named: BTreeMap<ConnectionId, BTreeMap<String, Named>>,
}

impl Reach {
    /// A server sends a message.
    pub fn sends(&mut self, connection: ConnectionId, message: &Message<'_>) {
        let (headers, body) = match message {
            Message::Request(request) => (&request.headers, request.body),
            Message::Response(response) => (&response.headers, response.body),
        };
        if body.is_empty() {
            return;
        }
        let tag = match message {
            Message::Request(_) => headers.from().tag().map(str::to_owned),
            Message::Response(_) => headers.to().tag().map(str::to_owned),
        };
        let described = Described::read(body);
        let is_gateway = body == GATEWAY_SDP.as_bytes();
        let Some(tag) = tag.filter(|_| !described.candidates.is_empty()) else {
            return;
        };
        let named = self.named.entry(connection).or_default();
        let named = named.entry(tag).or_default();
        let addresses = described.candidates.iter().map(|c| c.address.ip());
        named.addresses.extend(addresses);
        named.has_gateway |= is_gateway;
    }

    /// The dialogs with these tags of the server's are over.
    pub fn over(&mut self, now: u64, tags: &[String]) {
        for named in self.named.values_mut() {
            for tag in tags {
                if let Some(named) = named.get_mut(tag) {
                    named.over.get_or_insert(now);
                }
            }
            let long_ago = now.saturating_sub(GRACE + 10 * SECOND + self.slack);
            named.retain(|_, named| named.over.is_none_or(|over| over >= long_ago));
        }
        self.named.retain(|_, named| !named.is_empty());
    }

    /// The server is gone.
    pub fn vanishes(&mut self) {
        self.named.clear();
    }

    /// A datagram leaves a relayed address of this holder for a peer.
    pub fn leaves(&mut self, now: u64, holder: u64, datagram: &Datagram) -> Result<(), String> {
        self.seen += 1;
        let to = datagram.to.ip();
        if is_forbidden(to) {
            return Err(format!("a relay of #{holder} has sent to {}", datagram.to));
        }
        if to == datagram.from.ip() {
            return Err(format!(
                "a relay of #{holder} has sent to this machine: {}",
                datagram.to
            ));
        }
        let named = self.named.get(&ConnectionId(holder));
        let may = named.is_some_and(|named| {
            named.values().any(|named| {
                named.addresses.contains(&to)
                    && (datagram.to != GATEWAY || named.has_gateway)
                    && named
                        .over
                        .is_none_or(|over| now <= over + GRACE + self.slack + MILLI)
            })
        });
        if may {
            Ok(())
        } else {
            Err(format!(
                "a relay of #{holder} has sent to {}, which no call of it names",
                datagram.to
            ))
        }
    }

    /// Ledger and workers must agree on how many allocations there are, and on what was told.
    pub fn balances(&self, relays: &Relays) -> Result<(), String> {
        let (admitted, held) = (relays.admitted(), relays.allocations());
        if relays.ledger.allocations() != admitted {
            return Err(format!(
                "the ledger counts {} allocations and {admitted} were admitted",
                relays.ledger.allocations()
            ));
        }
        if relays.is_settled() && admitted as usize != held {
            return Err(format!(
                "{admitted} allocations were admitted and the servers hold {held}"
            ));
        }
        for (holder, told) in &relays.told {
            let counted = relays.counted.get(holder).copied().unwrap_or_default();
            let dropped = relays.dropped.get(holder).copied().unwrap_or_default();
            let most = RelayUsage {
                sent: counted.sent.plus(dropped),
                ..counted
            };
            if !covers(most, *told) {
                return Err(format!(
                    "for #{holder} {told:?} was accounted for and only {counted:?} relayed"
                ));
            }
        }
        Ok(())
    }

    /// Records say what shards were told: nothing more, and nothing less unless it came too late.
    pub fn records(
        &self,
        relays: &Relays,
        recorded: &BTreeMap<ConnectionId, RelayUsage>,
        may_lack: bool,
    ) -> Result<(), String> {
        for (connection, recorded) in recorded {
            let reported = relays.reported.get(connection).copied();
            let reported = reported.unwrap_or_default();
            let fits = if may_lack {
                covers(reported, *recorded)
            } else {
                reported == *recorded
            };
            if !fits {
                return Err(format!(
                    "records of #{} say {recorded:?}, and relays {reported:?}",
                    connection.0
                ));
            }
        }
        Ok(())
    }

    /// At the end everything that was relayed was accounted for, and nothing is left.
    pub fn concludes(&self, relays: &Relays) -> Result<(), String> {
        if let Some(left) = relays.census() {
            return Err(format!("nobody is there and relays are left: {left}"));
        }
        if relays.has_lost {
            return Ok(());
        }
        for (holder, counted) in &relays.counted {
            let told = relays.told.get(holder).copied().unwrap_or_default();
            if !covers(told, *counted) {
                return Err(format!(
                    "for #{holder} {counted:?} was relayed and {told:?} accounted for"
                ));
            }
        }
        Ok(())
    }
}

/// Whether nothing of `less` is beyond `more`.
pub(super) fn covers(more: RelayUsage, less: RelayUsage) -> bool {
    let counts = |usage: RelayUsage| {
        let (sent, received) = (usage.sent, usage.received);
        [sent.packets, sent.bytes, received.packets, received.bytes]
    };
    let pairs = counts(more).into_iter().zip(counts(less));
    pairs.into_iter().all(|(more, less)| more >= less)
}

/// What nobody may reach, as the issue lists it for IPv4 (the world's relays have no other).
fn is_forbidden(ip: IpAddr) -> bool {
    let IpAddr::V4(ip) = ip.to_canonical() else {
        return true;
    };
    let is_shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
    ip.octets()[0] == 0
        || ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip == Ipv4Addr::BROADCAST
        || is_shared
}
