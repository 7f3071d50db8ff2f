//! The gateway by itself, with its sockets and its thread, and no server around it: what `offhook bench gateway` measures.
//!
//! Never part of what serves: whoever holds it is shard and account in one.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use model::AccountId;
use model::media::{MediaCommand, MediaEvent};

use super::plan::{Place, Plan};
use super::{Doors, Gateway, Media, MediaFault};
use crate::account_file::AccountFiles;
use crate::clock::Clock;
use crate::telemetry::Counters;

const ACCOUNT: AccountId = AccountId(1);

/// See the module.
pub struct LoneGateway {
    gateway: Gateway,
    media: Media,
    events: Receiver<MediaEvent>,
    counters: Arc<Counters>,
}

impl LoneGateway {
    /// Serves browsers at `listen`, and telephones at ports of the same address; `data` is where recordings would be.
    pub fn start(
        listen: SocketAddr,
        rtp_ports: RangeInclusive<u16>,
        data: &Path,
    ) -> Result<Self, MediaFault> {
        let place = Place {
            local: listen,
            public: listen.ip(),
        };
        let doors = Doors::open(Plan::of(vec![place], rtp_ports))?;
        let gateway = doors.gateway();
        let (told, events) = channel();
        let counters = Arc::<Counters>::default();
        let media = doors.start(
            Clock::start(),
            Arc::new(AccountFiles::new(data)),
            // Nobody listens any more: then nothing is to be told.
            Arc::new(move |event| drop(told.send(event))),
            // Nobody asks for a stream.
            Arc::new(|_, _, _| {}),
            Arc::clone(&counters),
        )?;
        Ok(Self {
            gateway,
            media,
            events,
            counters,
        })
    }

    /// Never waits.
    pub fn put(&self, command: MediaCommand) {
        self.gateway.put(ACCOUNT, command, &self.counters);
    }

    /// What it has to say next; waits for it. Nothing: it has ended.
    pub fn next_event(&self) -> Option<MediaEvent> {
        self.events.recv().ok()
    }

    /// Ends every session, and waits for that.
    pub fn stop(self) {
        self.media.stop();
    }
}
