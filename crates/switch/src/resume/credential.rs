//! Which session a client may go on with: credentials that are good for one time.
//!
//! A session that goes on at another node takes its credentials along as a [`Pass`]; for a while it is known here where it went, so that
//! one that was given out before leads there. Draws no randomness itself and never keeps a credential that is used up.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::constant_time;
use model::{ConnectionId, Instant, limits};

use super::moved::Moves;

const SECRET_BYTES: usize = 16;

type Secret = [u8; SECRET_BYTES];

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
    moves: Moves,
}

struct Issued {
    /// The newest socket that the session had.
    socket: SocketNumber,
    newest: Secret,
    /// What was shown to get the newest. Worth something until the client has confirmed that it has the newest:
    /// the socket may have been lost with the answer. Several where the session has just come from another node: which of its sockets is
    /// the later one two nodes cannot tell.
    shown: Vec<Secret>,
}

impl Issued {
    fn is_good(&self, shown: &Secret) -> bool {
        let good = std::iter::once(&self.newest).chain(&self.shown);
        // All of them, however early one is found.
        good.fold(false, |is_good, own| {
            constant_time::verify_slices_are_equal(own, shown).is_ok() | is_good
        })
    }
}

/// What a session's credentials are worth elsewhere: those that are good, the newest first. `Debug` shows none.
#[derive(Clone, PartialEq, Eq)]
pub struct Pass(Vec<Secret>);

impl Pass {
    /// For the node that the session goes to.
    pub fn expose(&self) -> Vec<String> {
        self.0.iter().map(print_secret).collect()
    }

    /// As another node has said it.
    pub fn read(secrets: &[String]) -> Option<Self> {
        let secrets: Option<Vec<_>> = secrets.iter().map(|secret| parse_secret(secret)).collect();
        secrets
            .filter(|secrets| (1..=limits::PASS_SECRETS).contains(&secrets.len()))
            .map(Self)
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pass(hidden)")
    }
}

/// A credential that another node has to look at.
#[derive(Clone, PartialEq, Eq)]
pub struct Claim {
    /// The session, by its number there.
    pub session: ConnectionId,
    /// What is shown for it.
    pub secret: Box<str>,
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claim({:?}, hidden)", self.session)
    }
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
            shown: Vec::new(),
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
        let session = self.moves.resolve(session);
        let issued = self.sessions.get_mut(&session)?;
        if !issued.is_good(&shown) || socket <= issued.socket {
            return None;
        }
        issued.socket = socket;
        issued.newest = secret;
        issued.shown = vec![shown];
        Some((session, print(session, &secret)))
    }

    /// Whom to ask about a credential whose session is not among these: the node of its session, or of what that has become.
    pub fn claim(&self, credential: &str) -> Option<Claim> {
        let (session, shown) = parse(credential)?;
        let session = self.moves.resolve(session);
        let is_elsewhere = !self.sessions.contains_key(&session);
        is_elsewhere.then(|| Claim {
            session,
            secret: print_secret(&shown).into(),
        })
    }

    /// Whether what another node was shown is good for a session of this one.
    pub fn admits(&self, claim: &Claim) -> bool {
        let issued = self.sessions.get(&claim.session);
        let shown = parse_secret(&claim.secret);
        issued
            .zip(shown)
            .is_some_and(|(issued, shown)| issued.is_good(&shown))
    }

    /// A session goes to another node, as `to`: nobody can come back to it here.
    pub fn leave(&mut self, now: Instant, session: ConnectionId, to: ConnectionId) -> Option<Pass> {
        let issued = self.sessions.remove(&session)?;
        self.moves.note(now, session, to);
        let mut secrets = vec![issued.newest];
        secrets.extend(issued.shown);
        secrets.truncate(limits::PASS_SECRETS);
        Some(Pass(secrets))
    }

    /// A session comes from another node, where it was `from`; gives its next credential.
    pub fn arrive(
        &mut self,
        now: Instant,
        (from, session): (ConnectionId, ConnectionId),
        socket: SocketNumber,
        pass: Pass,
        secret: [u8; SECRET_BYTES],
    ) -> Credential {
        self.moves.note(now, from, session);
        let issued = Issued {
            socket,
            newest: secret,
            shown: pass.0,
        };
        self.sessions.insert(session, issued);
        print(session, &secret)
    }

    /// A session has gone from one node to another.
    pub fn moved(&mut self, now: Instant, from: ConnectionId, to: ConnectionId) {
        self.moves.note(now, from, to);
    }

    /// What has become of a session, if it went to another node not long ago.
    pub fn resolve(&self, session: ConnectionId) -> ConnectionId {
        self.moves.resolve(session)
    }

    /// The client has its newest credential.
    pub fn confirm(&mut self, session: ConnectionId) {
        if let Some(issued) = self.sessions.get_mut(&session) {
            issued.shown.clear();
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

fn print(session: ConnectionId, secret: &Secret) -> Credential {
    Credential(format!("{}.{}", session.0, print_secret(secret)))
}

fn print_secret(secret: &Secret) -> String {
    format!("{:032x}", u128::from_be_bytes(*secret))
}

fn parse(credential: &str) -> Option<(ConnectionId, Secret)> {
    let (session, secret) = credential.split_once('.')?;
    let secret = parse_secret(secret)?;
    Some((ConnectionId(session.parse().ok()?), secret))
}

fn parse_secret(secret: &str) -> Option<Secret> {
    if secret.len() != 2 * SECRET_BYTES {
        return None;
    }
    let secret = u128::from_str_radix(secret, 16).ok()?;
    Some(secret.to_be_bytes())
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
    fn a_session_that_has_moved_takes_what_is_good_along_and_is_found_from_where_it_was() {
        let now = Instant::from_micros(0);
        let (here, there) = (SESSION, ConnectionId(9));
        let (mut node, mut other) = (Node::default(), Node::default());
        let first = node.open(here, 1);
        let second = node.renew(first.expose(), 2).unwrap();
        let claim = other.credentials.claim(first.expose()).unwrap();
        assert!(node.credentials.admits(&claim));
        let wrong = Claim {
            secret: "0".repeat(32).into(),
            ..claim.clone()
        };
        assert!(!node.credentials.admits(&wrong));

        let pass = node.credentials.leave(now, here, there).unwrap();
        let pass = Pass::read(&pass.expose()).unwrap();
        let socket = other.accept();
        let third = other
            .credentials
            .arrive(now, (here, there), socket, pass, [3; 16]);
        // Which of the three the client has got nobody knows before it has shown one.
        assert!(!node.credentials.admits(&claim));
        for held in [&first, &second] {
            let claim = node.credentials.claim(held.expose()).unwrap();
            assert_eq!(claim.session, there);
            assert!(other.credentials.admits(&claim));
        }
        other.credentials.confirm(there);
        for spent in [&first, &second] {
            let claim = node.credentials.claim(spent.expose()).unwrap();
            assert!(!other.credentials.admits(&claim));
        }
        assert!(
            other
                .credentials
                .renew(third.expose(), SocketNumber(9), [4; 16])
                .is_some()
        );
    }

    #[test]
    fn a_pass_is_read_as_it_was_written_and_nothing_else_is() {
        for wrong in [&[][..], &["x".repeat(32)], &["0".repeat(31)]] {
            assert_eq!(Pass::read(wrong), None);
        }
        let many = vec!["0".repeat(32); limits::PASS_SECRETS + 1];
        assert_eq!(Pass::read(&many), None);
    }

    #[test]
    fn nothing_shows_a_secret() {
        let mut node = Node::default();
        let first = node.open(SESSION, 0xab);
        let shown = format!("{:?} {first:?}", node.credentials);
        assert!(!shown.contains("abab"), "{shown}");
    }
}
