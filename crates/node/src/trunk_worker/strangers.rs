//! Who has sent requests to the socket of trunks lately and is on no trunk's list: a provider that the operator has forgotten, or anybody.
//!
//! For the operator alone, and never for the log, which names nobody. Bounded; whoever comes last takes the place of the first.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use model::limits;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Strangers(Mutex<VecDeque<SocketAddr>>);

impl Strangers {
    /// A datagram came from there. What is no request of SIP is nobody's provider.
    pub(super) fn note(&self, from: SocketAddr, bytes: &[u8]) {
        if !is_request(bytes) {
            return;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A machine has one place, whatever its ports.
        all.retain(|known| known.ip() != from.ip());
        if all.len() >= limits::TRUNK_STRANGERS {
            all.pop_front();
        }
        all.push_back(from);
    }

    /// Those that came last, the last one first.
    pub(super) fn list(&self) -> Vec<SocketAddr> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().rev().copied().collect()
    }
}

/// Whether its first line is that of a request (RFC 3261 §7.1).
fn is_request(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(limits::TRUNK_STRANGER_LINE)];
    let line = start.split(|byte| *byte == b'\r').next();
    line.is_some_and(|line| line.ends_with(b" SIP/2.0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_asked_last_are_known_by_their_machine() {
        let strangers = Strangers::default();
        let at = |text: &str| -> SocketAddr { text.parse().unwrap() };
        let options = b"OPTIONS sip:a SIP/2.0\r\n\r\n";
        for other in [b"SIP/2.0 200 OK\r\n\r\n".as_slice(), b"", b"hello"] {
            strangers.note(at("192.0.2.1:5060"), other);
        }
        assert!(strangers.list().is_empty());
        for from in ["192.0.2.1:5060", "192.0.2.2:5060", "192.0.2.1:5070"] {
            strangers.note(at(from), options);
        }
        assert_eq!(
            strangers.list(),
            [at("192.0.2.1:5070"), at("192.0.2.2:5060")]
        );
        for last in 0..=limits::TRUNK_STRANGERS {
            strangers.note(at(&format!("198.51.100.{last}:5060")), options);
        }
        assert_eq!(strangers.list().len(), limits::TRUNK_STRANGERS);
        assert!(!strangers.list().contains(&at("198.51.100.0:5060")));
    }
}
