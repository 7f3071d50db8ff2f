//! Which sessions a client may come back to, and the way of its new socket to the task that keeps the session.
//!
//! The task that read `RESUME` uses the credential up and lays the socket down in one step, so that the socket that lies
//! there always has the newest credential. In a cluster what is laid down may be the wish of another node, where the client has come back;
//! and a client here may wait for what another node has. Never reads or writes a socket.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{ConnectionId, Instant, limits};
use switch::edge::Kin;
use switch::resume::{Claim, Credential, Credentials, Pass, Session as Numbers, SocketNumber};
use tokio::sync::{Notify, oneshot};

use super::Place;
use super::socket::Socket;
use crate::signalling::{Session, random};

/// Every session of the node that can be resumed.
#[derive(Default)]
pub(crate) struct Handovers {
    accepted: AtomicU64,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    credentials: Credentials,
    landings: HashMap<ConnectionId, Arc<Landing>>,
    /// Clients that wait for sessions of other nodes, by the connection that each is to be.
    asking: HashMap<ConnectionId, Asking>,
}

/// A client that waits for its session.
struct Asking {
    number: SocketNumber,
    answer: oneshot::Sender<Answer>,
}

/// What comes of asking another node.
pub(crate) enum Answer {
    /// It is here now.
    Here(Box<Arrived>),
    /// It has come here meanwhile, and this is good for it.
    Again(String),
    /// There is none.
    Gone,
}

/// A session that has come from another node.
pub(crate) struct Arrived {
    pub(crate) session: Session,
    pub(crate) numbers: Numbers,
    pub(crate) kin: Kin,
    pub(crate) ticket: Ticket,
    pub(crate) credential: Credential,
}

/// Where a session's next socket is laid down: one at a time, the newest.
#[derive(Default)]
struct Landing {
    /// How often its client was told to go to another node.
    told: AtomicU64,
    next: Mutex<Option<Next>>,
    wake: Notify,
}

/// Where a session goes on.
pub(super) enum Next {
    /// On a new socket.
    Here(Box<Arrival>),
    /// At another node, as this connection.
    There(ConnectionId),
    /// Wherever its client comes to next: this node is drained.
    Away,
}

/// A client that has come back.
pub(super) struct Arrival {
    pub(super) socket: Socket,
    pub(super) place: Arc<Place>,
    /// How far the client has received.
    pub(super) received: u64,
    /// Its next credential.
    pub(super) credential: Credential,
}

/// What a session holds; without it nobody can come back to it.
pub(crate) struct Ticket {
    handovers: Arc<Handovers>,
    session: ConnectionId,
    landing: Arc<Landing>,
}

impl Handovers {
    /// A socket is about to be accepted. To be asked before its client is told so: then what a client says on its next
    /// socket always has a higher number.
    pub(crate) fn accept(&self) -> SocketNumber {
        SocketNumber(self.accepted.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// A session begins; gives its first credential.
    pub(super) fn open(
        self: &Arc<Self>,
        session: ConnectionId,
        number: SocketNumber,
    ) -> (Ticket, Credential) {
        let mut table = lock(&self.table);
        let credential = table.credentials.open(session, number, random());
        (self.ticket(&mut table, session), credential)
    }

    fn ticket(self: &Arc<Self>, table: &mut Table, session: ConnectionId) -> Ticket {
        let landing = Arc::new(Landing::default());
        table.landings.insert(session, Arc::clone(&landing));
        Ticket {
            handovers: Arc::clone(self),
            session,
            landing,
        }
    }

    /// Whom to ask about a credential that is worth nothing here.
    pub(super) fn claim(&self, credential: &str) -> Option<Claim> {
        lock(&self.table).credentials.claim(credential)
    }

    /// A client waits for a session of another node, which is to be this connection.
    pub(super) fn ask(&self, to: ConnectionId, number: SocketNumber) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        let asking = Asking { number, answer };
        lock(&self.table).asking.insert(to, asking);
        answered
    }

    /// Nobody waits any more.
    pub(super) fn stop_asking(&self, to: ConnectionId) {
        lock(&self.table).asking.remove(&to);
    }

    /// Another node has answered.
    pub(crate) fn answer(&self, to: ConnectionId, answer: Answer) {
        let asking = lock(&self.table).asking.remove(&to);
        if let Some(asking) = asking {
            let _ = asking.answer.send(answer);
        }
    }

    /// Another node wants a session. Says whether what it was shown is good.
    pub(crate) fn fetch(&self, claim: &Claim, to: ConnectionId) -> bool {
        let table = lock(&self.table);
        let landing = table.landings.get(&claim.session);
        let Some(landing) = landing.filter(|_| table.credentials.admits(claim)) else {
            return false;
        };
        let before = lock(&landing.next).replace(Next::There(to));
        landing.wake.notify_one();
        drop(table);
        drop(before);
        true
    }

    /// Has clients told to go on at another node, where `may_move`: some at a time, those first that were told least. Which sessions there are
    /// that can.
    pub(crate) fn send_away(&self, may_move: bool) -> BTreeSet<ConnectionId> {
        if !may_move {
            return BTreeSet::new();
        }
        let table = lock(&self.table);
        let mut all: Vec<_> = table.landings.iter().collect();
        all.sort_by_key(|(session, landing)| (landing.told.load(Ordering::Relaxed), **session));
        for (_, landing) in all.iter().take(limits::DRAINED_AT_ONCE) {
            landing.told.fetch_add(1, Ordering::Relaxed);
            lock(&landing.next).get_or_insert(Next::Away);
            landing.wake.notify_one();
        }
        all.iter().map(|(session, _)| **session).collect()
    }

    /// A session goes to another node, as `to`.
    pub(crate) fn leave(
        &self,
        now: Instant,
        session: ConnectionId,
        to: ConnectionId,
    ) -> Option<Pass> {
        lock(&self.table).credentials.leave(now, session, to)
    }

    /// One comes from another node, where it was `from`.
    pub(crate) fn arrive(
        self: &Arc<Self>,
        now: Instant,
        (from, session): (ConnectionId, ConnectionId),
        pass: Pass,
    ) -> (Ticket, Credential) {
        let mut table = lock(&self.table);
        let asking = table.asking.get(&session);
        let number = asking.map_or(SocketNumber(0), |asking| asking.number);
        let moved = (from, session);
        let credential = table.credentials.arrive(now, moved, number, pass, random());
        (self.ticket(&mut table, session), credential)
    }

    /// A session has gone from one node to another.
    pub(crate) fn moved(&self, now: Instant, from: ConnectionId, to: ConnectionId) {
        lock(&self.table).credentials.moved(now, from, to);
    }

    /// What has become of a session, if it went to another node not long ago.
    pub(crate) fn resolve(&self, session: ConnectionId) -> ConnectionId {
        lock(&self.table).credentials.resolve(session)
    }

    /// Hands a socket to the session that its client names; gives it back if there is none.
    pub(super) fn resume(
        &self,
        credential: &str,
        received: u64,
        number: SocketNumber,
        socket: Socket,
        place: Arc<Place>,
    ) -> Option<Socket> {
        let mut table = lock(&self.table);
        let renewed = table.credentials.renew(credential, number, random());
        let known = renewed.and_then(|(session, credential)| {
            let landing = table.landings.get(&session)?;
            Some((Arc::clone(landing), credential))
        });
        let Some((landing, credential)) = known else {
            return Some(socket);
        };
        let arrival = Box::new(Arrival {
            socket,
            place,
            received,
            credential,
        });
        // One that was laid down before has a credential that is worth nothing now.
        let before = lock(&landing.next).replace(Next::Here(arrival));
        landing.wake.notify_one();
        drop(table);
        drop(before);
        None
    }
}

impl Ticket {
    /// Waits for the client's next socket, or the node that it is at; safe to drop at any time.
    pub(super) async fn next(&self) -> Next {
        loop {
            if let Some(next) = lock(&self.landing.next).take() {
                return next;
            }
            self.landing.wake.notified().await;
        }
    }

    /// The client has its newest credential, unless a socket with a newer one is here already.
    pub(super) fn confirm(&self) {
        let mut table = lock(&self.handovers.table);
        if lock(&self.landing.next).is_none() {
            table.credentials.confirm(self.session);
        }
    }

    /// From now on nobody can come back; a socket that has just done so is dropped.
    pub(super) fn withdraw(&self) {
        let mut table = lock(&self.handovers.table);
        table.credentials.forget(self.session);
        table.landings.remove(&self.session);
        drop(table);
        let late = lock(&self.landing.next).take();
        drop(late);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.withdraw();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
