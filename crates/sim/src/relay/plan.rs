//! What the relays of a world are set up with.

use switch::turn_grant::TurnBounds;
use turn::Bounds;

use crate::datagram::Quality;

/// What relays are set up with.
#[derive(Clone, Debug)]
pub struct TurnPlan {
    /// Threads of the shell, each with a server of its own.
    pub workers: u16,
    /// Whether TURN listens on UDP and on TCP.
    pub udp: bool,
    /// See `udp`.
    pub tcp: bool,
    /// What clients, accounts and the node may use.
    pub quotas: TurnBounds,
    /// What a worker holds.
    pub bounds: Bounds,
    /// How good the datagram network is.
    pub quality: Quality,
}

impl Default for TurnPlan {
    fn default() -> Self {
        Self {
            workers: 2,
            udp: true,
            tcp: true,
            quotas: TurnBounds::default(),
            bounds: Bounds::default(),
            quality: Quality::STEADY,
        }
    }
}
