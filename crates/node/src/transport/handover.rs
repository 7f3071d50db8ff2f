//! Which sessions a client may come back to, and the way of its new socket to the task that keeps the session.
//!
//! The task that read `RESUME` uses the credential up and lays the socket down in one step, so that the socket that lies
//! there always has the newest credential. Never reads or writes a socket.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::ConnectionId;
use switch::resume::{Credential, Credentials, SocketNumber};
use tokio::sync::Notify;

use super::Place;
use super::socket::Socket;
use crate::signalling::random;

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
}

/// Where a session's next socket is laid down: one at a time, the newest.
#[derive(Default)]
struct Landing {
    arrival: Mutex<Option<Box<Arrival>>>,
    wake: Notify,
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
pub(super) struct Ticket {
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
        let landing = Arc::new(Landing::default());
        let mut table = lock(&self.table);
        let credential = table.credentials.open(session, number, random());
        table.landings.insert(session, Arc::clone(&landing));
        drop(table);
        let ticket = Ticket {
            handovers: Arc::clone(self),
            session,
            landing,
        };
        (ticket, credential)
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
        let before = lock(&landing.arrival).replace(arrival);
        landing.wake.notify_one();
        drop(table);
        drop(before);
        None
    }
}

impl Ticket {
    /// Waits for the client's next socket; safe to drop at any time.
    pub(super) async fn arrival(&self) -> Box<Arrival> {
        loop {
            if let Some(arrival) = lock(&self.landing.arrival).take() {
                return arrival;
            }
            self.landing.wake.notified().await;
        }
    }

    /// The client has its newest credential, unless a socket with a newer one is here already.
    pub(super) fn confirm(&self) {
        let mut table = lock(&self.handovers.table);
        if lock(&self.landing.arrival).is_none() {
            table.credentials.confirm(self.session);
        }
    }

    /// From now on nobody can come back; a socket that has just done so is dropped.
    pub(super) fn withdraw(&self) {
        let mut table = lock(&self.handovers.table);
        table.credentials.forget(self.session);
        table.landings.remove(&self.session);
        drop(table);
        let late = lock(&self.landing.arrival).take();
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
