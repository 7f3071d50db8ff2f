//! Which session a client may go on with: credentials that are good for one time.
//!
//! Draws no randomness itself and never keeps a credential that is used up.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::constant_time;
use model::ConnectionId;

const SECRET_BYTES: usize = 16;

/// What a client shows to go on with a session: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(String);

impl Credential {
    /// The credential itself, for the client that it is for.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(hidden)")
    }
}

/// Sockets of a node in the order in which they were accepted.
///
/// A client goes on to its next socket when it has given the last one up. What it said there may still arrive, later
/// than what it says on the next: it counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SocketNumber(pub u64);

/// The credentials of every session of a node.
#[derive(Default)]
pub struct Credentials {
    sessions: BTreeMap<ConnectionId, Issued>,
}

struct Issued {
    /// The newest socket that the session had.
    socket: SocketNumber,
    newest: [u8; SECRET_BYTES],
    /// What was shown to get the newest. Worth something until the client has confirmed that it has the newest:
    /// the socket may have been lost with the answer.
    shown: Option<[u8; SECRET_BYTES]>,
}

impl Credentials {
    /// The first credential of a session. `secret` comes from the operating system.
    pub fn open(
        &mut self,
        session: ConnectionId,
        socket: SocketNumber,
        secret: [u8; SECRET_BYTES],
    ) -> Credential {
        let issued = Issued {
            socket,
            newest: secret,
            shown: None,
        };
        self.sessions.insert(session, issued);
        print(session, &secret)
    }

    /// Uses a credential up, and gives its session and the next one; nothing if it is worth nothing (any more), or comes
    /// on a socket that is older than the session's.
    pub fn renew(
        &mut self,
        credential: &str,
        socket: SocketNumber,
        secret: [u8; SECRET_BYTES],
    ) -> Option<(ConnectionId, Credential)> {
        let (session, shown) = parse(credential)?;
        let issued = self.sessions.get_mut(&session)?;
        let is_known = |own: &[u8]| constant_time::verify_slices_are_equal(own, &shown).is_ok();
        let is_newest = is_known(&issued.newest);
        let is_good = is_newest || issued.shown.is_some_and(|own| is_known(&own));
        if !is_good || socket <= issued.socket {
            return None;
        }
        issued.socket = socket;
        issued.newest = secret;
        issued.shown = Some(shown);
        Some((session, print(session, &secret)))
    }

    /// The client has its newest credential.
    pub fn confirm(&mut self, session: ConnectionId) {
        if let Some(issued) = self.sessions.get_mut(&session) {
            issued.shown = None;
        }
    }

    /// A session has ended.
    pub fn forget(&mut self, session: ConnectionId) {
        self.sessions.remove(&session);
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials(of {} sessions, hidden)", self.len())
    }
}

fn print(session: ConnectionId, secret: &[u8; SECRET_BYTES]) -> Credential {
    Credential(format!(
        "{}.{:032x}",
        session.0,
        u128::from_be_bytes(*secret)
    ))
}

fn parse(credential: &str) -> Option<(ConnectionId, [u8; SECRET_BYTES])> {
    let (session, secret) = credential.split_once('.')?;
    if secret.len() != 2 * SECRET_BYTES {
        return None;
    }
    let secret = u128::from_str_radix(secret, 16).ok()?;
    Some((ConnectionId(session.parse().ok()?), secret.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: ConnectionId = ConnectionId(7);

    /// Credentials, and sockets that are accepted one after the other.
    #[derive(Default)]
    struct Node {
        credentials: Credentials,
        sockets: u64,
    }

    impl Node {
        fn accept(&mut self) -> SocketNumber {
            self.sockets += 1;
            SocketNumber(self.sockets)
        }

        fn open(&mut self, session: ConnectionId, secret: u8) -> Credential {
            let socket = self.accept();
            self.credentials.open(session, socket, [secret; 16])
        }

        fn renew(&mut self, shown: &str, secret: u8) -> Option<Credential> {
            let socket = self.accept();
            self.renew_on(socket, shown, secret)
        }

        fn renew_on(
            &mut self,
            socket: SocketNumber,
            shown: &str,
            secret: u8,
        ) -> Option<Credential> {
            let (session, next) = self.credentials.renew(shown, socket, [secret; 16])?;
            assert_eq!(session, SESSION);
            Some(next)
        }
    }

    #[test]
    fn a_credential_is_worth_nothing_once_its_successor_is_confirmed() {
        let mut node = Node::default();
        let first = node.open(SESSION, 1);
        let second = node.renew(first.expose(), 2).unwrap();
        node.credentials.confirm(SESSION);
        assert_eq!(node.renew(first.expose(), 3), None);
        assert!(node.renew(second.expose(), 4).is_some());
    }

    #[test]
    fn a_credential_whose_successor_got_lost_is_taken_again_and_the_lost_one_is_not() {
        let mut node = Node::default();
        let first = node.open(SESSION, 1);
        let lost = node.renew(first.expose(), 2).unwrap();
        let third = node.renew(first.expose(), 3).unwrap();
        assert_eq!(node.renew(lost.expose(), 4), None);
        // The third came in, but not the word that it did.
        let fourth = node.renew(third.expose(), 5).unwrap();
        assert_eq!(node.renew(first.expose(), 6), None);
        assert!(node.renew(fourth.expose(), 7).is_some());
    }

    #[test]
    fn what_comes_late_on_an_older_socket_counts_for_nothing() {
        let mut node = Node::default();
        let first = node.open(SESSION, 1);
        let given_up = node.accept();
        let second = node.renew(first.expose(), 2).unwrap();
        assert_eq!(node.renew_on(given_up, first.expose(), 3), None);
        assert!(node.renew(second.expose(), 4).is_some());
    }

    #[test]
    fn wrong_and_foreign_and_ended_credentials_are_worth_nothing() {
        let mut node = Node::default();
        let first = node.open(SESSION, 1);
        node.open(ConnectionId(8), 2);
        let others = first.expose().replacen("7.", "8.", 1);
        let longer = format!("{}0", first.expose());
        for wrong in ["", "7", "7.", "7.01", "x.01", &others, &longer] {
            assert_eq!(node.renew(wrong, 3), None, "{wrong}");
        }
        node.credentials.forget(SESSION);
        assert_eq!(node.renew(first.expose(), 4), None);
    }

    #[test]
    fn nothing_shows_a_secret() {
        let mut node = Node::default();
        let first = node.open(SESSION, 0xab);
        let shown = format!("{:?} {first:?}", node.credentials);
        assert!(!shown.contains("abab"), "{shown}");
    }
}
