//! TURN's sockets and threads: one worker for each core, with a [`turn::Server`] of its own.
//!
//! Workers share the listening addresses (SO_REUSEPORT) and nothing else: the kernel binds a client to one of them by
//! its address, and ports are dealt out so that a relayed address tells its worker. Decides nothing: whom to serve the
//! ledger says, and what a packet is, the server.

mod authority;
mod batch;
mod core;
mod counter;
mod doors;
mod frame;
mod limits;
mod port;
mod receive;
mod relay;
mod send;
mod sibling;
mod stream;
mod streams;
#[cfg(test)]
mod tests;
mod tls;
mod token;
mod worker;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::{Interest, Poll, Waker};
use switch::turn_grant::{Ledger, Relayed};
use turn::{Gateway, Network, PeerPolicy, RelayAddress, Server, Share};

use crate::certificate::Certificate;
use crate::clock::Clock;
use crate::signalling::random;
use crate::telemetry::Counters;

use self::authority::{LedgerAuthority, WorkerAuthority};
use self::sibling::Inbox;
use self::token::Token;
use self::worker::Post;

pub(crate) use self::counter::WorkerCounter;
pub(crate) use self::doors::Doors;
pub use self::doors::TurnFault;
pub(crate) use self::receive::Address;

/// A bug that comes back at once must not fill the log.
const REVIVE_AFTER: Duration = Duration::from_secs(1);

/// What to serve, and where.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// Where UDP is taken; port 0 is any that is free, for UDP and TCP alike.
    pub(crate) udp: Vec<SocketAddr>,
    /// Where TCP is taken.
    pub(crate) tcp: Vec<SocketAddr>,
    /// Where TLS is taken, if there is a certificate.
    pub(crate) tls: Vec<SocketAddr>,
    pub(crate) certificate: Option<Arc<Certificate>>,
    /// How many threads.
    pub(crate) workers: usize,
    pub(crate) relays: Vec<RelayAddress>,
    pub(crate) ports: RangeInclusive<u16>,
    /// Networks that may be peers though they are forbidden by kind.
    pub(crate) allowed: Vec<Network>,
    /// Where the node listens beside: never a peer. TURN's own are added.
    pub(crate) listening: Vec<SocketAddr>,
    /// Every address of this machine.
    pub(crate) machine: Vec<IpAddr>,
    /// Where the media gateway listens: what of this machine clients reach all the same. Known when its sockets are bound.
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) realm: String,
    pub(crate) software: Option<String>,
    /// How many allocations there may be of one worker.
    pub(crate) allocations: usize,
    /// How many TCP and TLS connections there may be of all workers, as far as their own bound allows.
    pub(crate) streams: usize,
}

/// Running workers.
pub(crate) struct Turn {
    inboxes: Arc<[Inbox]>,
    allocations: Vec<Arc<AtomicUsize>>,
    threads: Vec<JoinHandle<()>>,
}

impl Turn {
    /// What this holder may reach has become less.
    pub(crate) fn recheck(&self, holder: u64) {
        // Which worker has its allocations the kernel decided.
        for inbox in self.inboxes.iter() {
            inbox.recheck(holder);
        }
    }

    /// How many allocations there are.
    pub(crate) fn allocations(&self) -> usize {
        let counts = self.allocations.iter();
        counts.map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Reports all usage and ends; waits for the threads, so not on a thread that others wait for.
    pub(crate) fn stop(self) {
        for inbox in self.inboxes.iter() {
            inbox.stop();
        }
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a TURN worker ended by a bug");
            }
        }
    }
}

impl Doors {
    /// Serves.
    pub(crate) fn start(
        self,
        ledger: Arc<Mutex<Ledger>>,
        clock: Clock,
        report: Arc<dyn Fn(Relayed) + Send + Sync>,
        counters: Arc<Counters>,
    ) -> Result<Turn, TurnFault> {
        self.start_with(clock, counters, || {
            Box::new(LedgerAuthority::new(
                Arc::clone(&ledger),
                Arc::clone(&report),
            ))
        })
    }

    /// Serves whom the authority wants, of which each worker has its own.
    fn start_with(
        self,
        clock: Clock,
        counters: Arc<Counters>,
        authority: impl Fn() -> Box<dyn WorkerAuthority>,
    ) -> Result<Turn, TurnFault> {
        let configs = self.configs();
        let mut polls = Vec::new();
        let mut inboxes = Vec::new();
        for _ in &self.workers {
            let poll = Poll::new()?;
            inboxes.push(Inbox::new(Waker::new(poll.registry(), Token::Mail.into())?));
            polls.push(poll);
        }
        let mut turn = Turn {
            inboxes: inboxes.into(),
            allocations: Vec::new(),
            threads: Vec::new(),
        };
        let sockets = self.workers.into_iter().zip(polls).zip(configs);
        for (index, ((doors, poll), config)) in sockets.enumerate() {
            let allocations = Arc::new(AtomicUsize::new(0));
            turn.allocations.push(Arc::clone(&allocations));
            let mut post = Post {
                index,
                poll,
                doors: doors.ports,
                listeners: doors.listeners,
                inboxes: Arc::clone(&turn.inboxes),
                clock,
                counters: Arc::clone(&counters),
                allocations,
                bounds: self.bounds,
                tls: self.tls_config.clone(),
            };
            register(&mut post)?;
            let authority = authority();
            let thread = std::thread::Builder::new().name(format!("turn-{index}"));
            let thread = thread.spawn(move || keep_working(post, config, authority));
            match thread {
                Ok(thread) => turn.threads.push(thread),
                Err(error) => {
                    turn.stop();
                    return Err(error.into());
                }
            }
        }
        Ok(turn)
    }

    /// One for each worker.
    fn configs(&self) -> Vec<turn::Config> {
        let setup = &self.setup;
        let own = [self.udp(), self.tcp(), self.tls()];
        let listening: Vec<_> = setup
            .listening
            .iter()
            .copied()
            .chain(own.into_iter().flatten())
            .collect();
        let nonce_key = random();
        let of = u16::try_from(self.workers.len()).unwrap_or(u16::MAX);
        let config = |index| turn::Config {
            realm: setup.realm.clone(),
            software: setup.software.clone(),
            relays: setup.relays.clone(),
            ports: setup.ports.clone(),
            share: Share { index, of },
            listening: listening.clone(),
            machine: setup.machine.clone(),
            peers: PeerPolicy {
                allowed: setup.allowed.clone(),
            },
            gateways: setup.gateways.clone(),
            nonce_key,
            seed: random(),
            bounds: turn::Bounds {
                allocations: setup.allocations,
                ..turn::Bounds::default()
            },
        };
        (0..of).map(config).collect()
    }
}

fn register(post: &mut Post) -> std::io::Result<()> {
    let registry = post.poll.registry();
    for (index, door) in post.doors.iter().enumerate() {
        let token = Token::Door(index as u16).into();
        registry.register(
            &mut mio::unix::SourceFd(&door.fd()),
            token,
            Interest::READABLE,
        )?;
    }
    for (index, listener) in post.listeners.iter_mut().enumerate() {
        let token = Token::Listener(index as u16).into();
        registry.register(&mut listener.socket, token, Interest::READABLE)?;
    }
    Ok(())
}

/// Works until it is told to stop; a bug costs the allocations of this worker, and nothing else.
fn keep_working(mut post: Post, config: turn::Config, mut authority: Box<dyn WorkerAuthority>) {
    loop {
        let config = turn::Config {
            seed: random(),
            ..config.clone()
        };
        let work = || worker::work(&mut post, Server::new(config), authority.as_mut());
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => tracing::error!(%error, "a TURN worker failed and is started again"),
            Err(_) => tracing::error!("a TURN worker ended by a bug and is started again"),
        }
        post.allocations.store(0, Ordering::Relaxed);
        let now = post.clock.now();
        authority.abandon(turn::Now {
            mono: Duration::from_micros(now.mono.as_micros()),
            unix_s: now.unix.as_secs(),
        });
        let others = post.inboxes.iter().enumerate();
        for (_, inbox) in others.filter(|(index, _)| *index != post.index) {
            inbox.tell(post.index as u16, turn::Note::Restarted);
        }
        std::thread::sleep(REVIVE_AFTER);
    }
}
