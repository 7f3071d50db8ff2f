//! The sockets of TURN from the start of the node to that of the workers, and what is known by them.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use switch::turn_grant::{TurnBounds, TurnOffer, TurnSecret};
use turn::RelayAddress;

use super::Relay;
use super::config::TurnConfigFault;
use super::files::FileShare;
use super::finding::{Finding, findings};
use super::machine::Machine;
use super::plan::{Bound, Plan};
use crate::certificate::Certificate;
use crate::config::Config;
use crate::control::TurnStatus;
use crate::media_worker::Doors as MediaDoors;
use crate::signalling::random;
use crate::turn_worker::{Doors, TurnFault};

/// Why TURN cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum RelayFault {
    /// What is configured does not fit this machine.
    #[error(transparent)]
    Config(#[from] TurnConfigFault),
    /// It cannot be listened for.
    #[error(transparent)]
    Listen(#[from] TurnFault),
    /// Nothing can be relayed from this address.
    #[error(
        "TURN cannot relay from {address}: {source}; give an address of this machine with --turn-relay ADDR, or switch \
         TURN off with --turn=false"
    )]
    Address {
        /// The address.
        address: IpAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The machine does not say what it is called.
    #[error(
        "cannot read the addresses of this machine, which TURN needs: {0}; --turn=false does without"
    )]
    Machine(io::Error),
}

/// Empty where TURN is switched off.
#[derive(Default)]
pub(crate) struct RelayDoors {
    plan: Option<Plan>,
    bound: Bound,
    pub(crate) doors: Option<Doors>,
}

impl RelayDoors {
    /// Takes every address, or says why not; `door` is where HTTP is listened on, `files` how many files the process may
    /// have open.
    pub(crate) fn bind(
        config: &Config,
        door: SocketAddr,
        certificate: Option<Arc<Certificate>>,
        files: Option<u64>,
    ) -> Result<Self, RelayFault> {
        if !config.turn.is_on {
            return Ok(Self::default());
        }
        let machine = Machine::read().map_err(RelayFault::Machine)?;
        let Some(plan) = Plan::new(config, &machine)? else {
            return Ok(Self::default());
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let doors = Doors::bind(plan.setup(door, certificate, cores, FileShare::of(files)))?;
        // Afterwards: of an address that is listened on as well, that is to be said.
        for relay in &plan.relays {
            let address = relay.local;
            UdpSocket::bind((address, 0))
                .map_err(|source| RelayFault::Address { address, source })?;
        }
        let bound = Bound {
            udp: doors.udp(),
            tcp: doors.tcp(),
            tls: doors.tls(),
        };
        Ok(Self {
            plan: Some(plan),
            bound,
            doors: Some(doors),
        })
    }

    /// Browsers that have no other way reach the media gateway through the relay.
    pub(crate) fn let_reach(&mut self, media: Option<&MediaDoors>) {
        if let (Some(doors), Some(media)) = (&mut self.doors, media) {
            doors.let_reach(media.gateways());
        }
    }

    /// What clients will be told, with a secret that is as old as this node.
    pub(crate) fn offer(&self, behind_proxy: bool) -> Option<TurnOffer> {
        let plan = self.plan.as_ref()?;
        Some(plan.offer(&self.bound, TurnSecret::new(random()), behind_proxy))
    }

    /// What is configured, as far as there are files for it.
    pub(crate) fn bounds(config: &Config, files: Option<u64>) -> TurnBounds {
        let mut bounds = config.turn.bounds;
        let allocations = &mut bounds.node.allocations;
        *allocations = FileShare::of(files).relays.min(*allocations);
        bounds
    }

    /// The addresses that are relayed from, with what a NAT makes of them.
    pub(crate) fn relays(&self) -> &[RelayAddress] {
        self.plan.as_ref().map_or(&[], |plan| &plan.relays)
    }

    /// Where it listens for UDP.
    pub(crate) fn udp(&self) -> &[SocketAddr] {
        &self.bound.udp
    }

    /// The loopback addresses that are listened on.
    pub(crate) fn loopbacks(&self) -> Vec<IpAddr> {
        self.plan.as_ref().map(Plan::loopbacks).unwrap_or_default()
    }

    /// What is to be said; `files` is how many files the process may have open.
    pub(crate) fn findings(&self, config: &Config, files: Option<u64>) -> Vec<Finding> {
        findings(config, self.plan.as_ref(), &self.bound, files)
    }

    /// What the operator may ask for later.
    pub(crate) fn status(&self, relay: Arc<Relay>) -> TurnStatus {
        let plan = self.plan.as_ref();
        TurnStatus {
            relay,
            bound: self.bound.clone(),
            relays: plan.map(|plan| plan.relays.clone()).unwrap_or_default(),
            ports: plan.map_or(0..=0, |plan| plan.ports.clone()),
        }
    }
}
