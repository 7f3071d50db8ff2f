//! The connections of all lines: those that peers have made, and ours to peers, opened when there is something to send. What DNS is
//! asked runs beside them.
//!
//! Bounded for each line; a peer that cannot be reached is tried again after a pause that grows. Decides nothing about messages.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::{TrunkTransport, limits};
use switch::trunk::{Answer, NameFault};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::dns::{self, Question};
use super::outbox::Outbox;
use super::secure::Secure;
use super::stream::{Ended, Heard, Patience, serve};
use super::tcp;

/// What happens on connections.
#[derive(Debug)]
pub(super) enum Event {
    /// Somebody of a trunk has connected.
    Came {
        line: usize,
        from: SocketAddr,
        transport: TrunkTransport,
        tcp: TcpStream,
    },
    /// A whole message.
    Message {
        line: usize,
        from: SocketAddr,
        bytes: Vec<u8>,
    },
    /// DNS has answered for a line.
    Resolved {
        line: usize,
        place: usize,
        answer: Result<Answer, NameFault>,
    },
    /// A connection of ours is open.
    Open { line: usize, to: SocketAddr },
    /// A connection of ours has ended.
    Lost {
        line: usize,
        to: SocketAddr,
        outbox: Arc<Outbox>,
        /// None: it never was open.
        open_since: Option<Instant>,
        /// A sentence.
        why: String,
        is_malformed: bool,
    },
    /// One that a peer made has.
    Left {
        line: usize,
        from: SocketAddr,
        outbox: Arc<Outbox>,
        is_malformed: bool,
    },
}

/// Whether a message is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Yes,
    /// There is no connection, and none is tried now.
    No,
}

/// Ours to one peer.
struct Ours {
    /// Nothing while it rests.
    outbox: Option<Arc<Outbox>>,
    /// How often it came to nothing since it last held.
    failures: u32,
    rests_until: Instant,
}

/// See the module.
pub(super) struct Streams {
    ours: BTreeMap<(usize, SocketAddr), Ours>,
    theirs: BTreeMap<(usize, SocketAddr), Arc<Outbox>>,
    events: mpsc::Sender<Event>,
    acceptor: Option<TlsAcceptor>,
    /// How many names may be asked about now.
    asking: Arc<Semaphore>,
    /// Whatever runs ends with this.
    tasks: JoinSet<()>,
}

impl Streams {
    pub(super) fn new(events: mpsc::Sender<Event>, acceptor: Option<TlsAcceptor>) -> Self {
        Self {
            ours: BTreeMap::new(),
            theirs: BTreeMap::new(),
            events,
            acceptor,
            asking: Arc::new(Semaphore::new(limits::TRUNK_NAMES_AT_ONCE)),
            tasks: JoinSet::new(),
        }
    }

    /// Runs a task that ends with the connections.
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
        // Those that have ended are forgotten.
        while self.tasks.try_join_next().is_some() {}
    }

    /// Asks DNS for a line; what it says is an event.
    pub(super) fn resolve(
        &mut self,
        line: usize,
        place: usize,
        servers: Vec<SocketAddr>,
        question: Question,
    ) {
        let events = self.events.clone();
        let asking = Arc::clone(&self.asking);
        self.spawn(async move {
            // Never closed.
            let _turn = asking.acquire_owned().await;
            // A bug in what reads answers costs this one, and the line hears of it.
            let answer = tokio::spawn(dns::resolve(servers, question)).await;
            let answer = answer.unwrap_or(Err(NameFault::Failed));
            let resolved = Event::Resolved {
                line,
                place,
                answer,
            };
            let _ = events.send(resolved).await;
        });
    }

    /// By the connection that came from `by`, if it is open; else by ours to `to`, with `way` if there is none yet.
    pub(super) fn send(
        &mut self,
        line: usize,
        by: Option<SocketAddr>,
        way: &Way,
        mut bytes: Vec<u8>,
    ) -> Sent {
        let key = (line, way.to);
        let theirs = by.and_then(|by| self.theirs.get(&(line, by)));
        let ours = self.ours.get(&key).and_then(|ours| ours.outbox.as_ref());
        for outbox in theirs.into_iter().chain(ours) {
            match outbox.push(bytes) {
                Ok(()) => return Sent::Yes,
                // It has ended, or ends at this.
                Err(back) => bytes = back,
            }
        }
        let now = Instant::now();
        let is_resting = |ours: &Ours| ours.rests_until > now;
        if self.ours.get(&key).is_some_and(is_resting) || !self.has_room(line, way.to, now) {
            return Sent::No;
        }
        let outbox = Arc::new(Outbox::default());
        if outbox.push(bytes).is_err() {
            return Sent::No;
        }
        let ours = self.ours.entry(key).or_insert(Ours {
            outbox: None,
            failures: 0,
            rests_until: now,
        });
        ours.outbox = Some(Arc::clone(&outbox));
        self.connect(line, way.clone(), outbox);
        Sent::Yes
    }

    /// Makes room for one to this peer, if there is any to be made.
    fn has_room(&mut self, line: usize, to: SocketAddr, now: Instant) -> bool {
        self.ours.retain(|(of, peer), ours| {
            *of != line || *peer == to || ours.outbox.is_some() || ours.rests_until > now
        });
        let known = self.ours.keys().filter(|(of, _)| *of == line).count();
        self.ours.contains_key(&(line, to)) || known < limits::TRUNK_STREAMS_OUT
    }

    fn connect(&mut self, line: usize, way: Way, outbox: Arc<Outbox>) {
        let events = self.events.clone();
        self.spawn(async move {
            let to = way.to;
            let heard = Heard {
                events: events.clone(),
                line,
                from: to,
            };
            let (open_since, why, is_malformed) = match ours(&way, &outbox, &heard).await {
                Ok((since, ended)) => (Some(since), ended.to_string(), ended.is_malformed()),
                Err(why) => (None, why, false),
            };
            let lost = Event::Lost {
                line,
                to,
                outbox,
                open_since,
                why,
                is_malformed,
            };
            let _ = events.send(lost).await;
        });
    }

    /// Ours to a peer has ended: it rests, for longer each time that it comes to nothing.
    pub(super) fn lost(
        &mut self,
        line: usize,
        to: SocketAddr,
        outbox: &Arc<Outbox>,
        open_since: Option<Instant>,
    ) {
        let is_it = |ours: &&mut Ours| {
            let known = ours.outbox.as_ref();
            known.is_some_and(|known| Arc::ptr_eq(known, outbox))
        };
        // There may be another already.
        let Some(ours) = self.ours.get_mut(&(line, to)).filter(is_it) else {
            return;
        };
        let now = Instant::now();
        let has_held = open_since.is_some_and(|since| now - since >= limits::TRUNK_CONNECT_TIME);
        ours.outbox = None;
        ours.failures = if has_held { 0 } else { ours.failures + 1 };
        ours.rests_until = now + pause(ours.failures, open_since.is_some());
    }

    /// A peer has connected. False if it has too many connections: this one is closed.
    pub(super) fn came(
        &mut self,
        line: usize,
        from: SocketAddr,
        transport: TrunkTransport,
        tcp: TcpStream,
    ) -> bool {
        let known = self.theirs.keys().filter(|(of, _)| *of == line).count();
        if known >= limits::TRUNK_STREAMS_IN {
            return false;
        }
        let outbox = Arc::new(Outbox::default());
        if let Some(before) = self.theirs.insert((line, from), Arc::clone(&outbox)) {
            before.close();
        }
        let acceptor = self.acceptor.clone();
        let acceptor = acceptor.filter(|_| transport == TrunkTransport::Tls);
        let events = self.events.clone();
        self.spawn(async move {
            let heard = Heard {
                events: events.clone(),
                line,
                from,
            };
            let is_malformed = match theirs(tcp, acceptor, &outbox, &heard).await {
                Some(ended) => {
                    tracing::debug!(%from, %ended, "a connection of a trunk's peer has ended");
                    ended.is_malformed()
                }
                None => false,
            };
            let left = Event::Left {
                line,
                from,
                outbox,
                is_malformed,
            };
            let _ = events.send(left).await;
        });
        true
    }

    /// One that a peer made has ended.
    pub(super) fn left(&mut self, line: usize, from: SocketAddr, outbox: &Arc<Outbox>) {
        let key = (line, from);
        // Another may have come from there since.
        if self
            .theirs
            .get(&key)
            .is_some_and(|known| Arc::ptr_eq(known, outbox))
        {
            self.theirs.remove(&key);
        }
    }
}

/// How long a peer rests. One that was there may be there again at once, but not again and again.
fn pause(failures: u32, was_open: bool) -> Duration {
    match failures {
        0 => Duration::ZERO,
        1 if was_open => Duration::ZERO,
        _ => {
            let doubled = limits::TRUNK_CONNECT_PAUSE.saturating_mul(1 << (failures - 1).min(16));
            doubled.min(limits::TRUNK_CONNECT_PAUSE_MAX)
        }
    }
}

/// How a connection to a peer is made.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) to: SocketAddr,
    /// Where we are, as the operator said: connections leave from there.
    pub(super) local: SocketAddr,
    pub(super) secure: Option<Arc<Secure>>,
}

/// Connects and serves. A sentence if there was no connection to be had.
async fn ours(way: &Way, outbox: &Outbox, heard: &Heard) -> Result<(Instant, Ended), String> {
    let opening = async {
        let stream = tcp::connect(way.local, way.to).await;
        let stream = stream.map_err(|error| format!("nobody answers there: {error}"))?;
        Ok::<_, String>(match &way.secure {
            Some(secure) => tcp::Stream::Secure(Box::new(secure.connect(stream).await?)),
            None => tcp::Stream::Plain(stream),
        })
    };
    let opened = tokio::time::timeout(limits::TRUNK_CONNECT_TIME, opening).await;
    let stream = opened.unwrap_or_else(|_| {
        let limit = limits::TRUNK_CONNECT_TIME.as_secs();
        Err(format!("nobody answers there within {limit} s"))
    })?;
    let since = Instant::now();
    let (line, to) = (heard.line, way.to);
    let _ = heard.events.send(Event::Open { line, to }).await;
    let ended = match stream {
        tcp::Stream::Plain(stream) => serve(stream, outbox, Patience::OURS, heard).await,
        tcp::Stream::Secure(stream) => serve(stream, outbox, Patience::OURS, heard).await,
    };
    Ok((since, ended))
}

/// Serves one that a peer has made; nothing if it could not be secured.
async fn theirs(
    tcp: TcpStream,
    acceptor: Option<TlsAcceptor>,
    outbox: &Outbox,
    heard: &Heard,
) -> Option<Ended> {
    let Some(acceptor) = acceptor else {
        return Some(serve(tcp, outbox, Patience::THEIRS, heard).await);
    };
    let securing = tokio::time::timeout(limits::TRUNK_CONNECT_TIME, acceptor.accept(tcp));
    match securing.await.ok()? {
        Ok(stream) => Some(serve(stream, outbox, Patience::THEIRS, heard).await),
        Err(error) => {
            tracing::debug!(%error, "a TLS handshake with the peer of a trunk failed");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_peer_rests_longer_each_time() {
        let seconds = |failures, was_open| pause(failures, was_open).as_secs();
        let told = [0, 1, 2, 3, 6, 60].map(|failures| seconds(failures, false));
        assert_eq!(told, [0, 1, 2, 4, 30, 30]);
        let told = [0, 1, 2].map(|failures| seconds(failures, true));
        assert_eq!(told, [0, 0, 2]);
    }

    async fn read(stream: &mut TcpStream) -> [u8; 3] {
        let mut bytes = [0; 3];
        stream.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    #[tokio::test]
    async fn what_is_for_a_connection_that_is_gone_goes_by_ours() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let way = Way {
            to,
            local: "127.0.0.1:0".parse().unwrap(),
            secure: None,
        };
        let (tell, mut events) = mpsc::channel(16);
        let mut streams = Streams::new(tell, None);
        let mut theirs = TcpStream::connect(to).await.unwrap();
        let (near, from) = listener.accept().await.unwrap();
        assert!(streams.came(0, from, TrunkTransport::Tcp, near));
        assert_eq!(
            streams.send(0, Some(from), &way, b"one".to_vec()),
            Sent::Yes
        );
        assert_eq!(&read(&mut theirs).await, b"one");
        drop(theirs);
        let left = events.recv().await.unwrap();
        assert!(matches!(left, Event::Left { .. }), "{left:?}");
        // Its task has ended, whether or not that was looked at.
        assert_eq!(
            streams.send(0, Some(from), &way, b"two".to_vec()),
            Sent::Yes
        );
        let (mut ours, _) = listener.accept().await.unwrap();
        assert_eq!(&read(&mut ours).await, b"two");
        assert!(matches!(events.recv().await, Some(Event::Open { .. })));
        drop((ours, listener));
        for was_open in [true, false] {
            let lost = events.recv().await.unwrap();
            let Event::Lost {
                outbox, open_since, ..
            } = lost
            else {
                panic!("{lost:?}")
            };
            assert_eq!(open_since.is_some(), was_open);
            streams.lost(0, to, &outbox, open_since);
            let sent = streams.send(0, None, &way, b"three".to_vec());
            assert_eq!(sent == Sent::Yes, was_open, "it rests");
        }
    }
}
