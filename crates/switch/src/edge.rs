//! The edge: one connection, before any shared state.
//!
//! Checks the syntax and the pace of what a connection sends, finds the account it belongs to and so
//! the shard that owns it, and watches that it is alive. Runs on the thread that read the message,
//! without a lock. Never decides about registrations or calls.

use std::time::Duration;

use model::{AccountId, ConnectionId, Instant, Now, limits};

use crate::domain::Domain;
use crate::effect::{Closing, Counter};
use crate::input::Snapshot;
use crate::turn_grant::ConnectedHost;
use crate::{options, refusal};

/// What is to be done with a frame.
#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack while one frame is looked at"
)]
#[derive(Debug)]
pub enum Verdict<'a> {
    /// Give it to a shard as [`Input::Message`](crate::Input::Message).
    Deliver {
        /// The shard, counted from 0.
        shard: usize,
        /// The account of this connection.
        account: AccountId,
        /// The parsed message.
        message: sip::Message<'a>,
        /// The list of ICE servers that goes into its answer, if it asks for one; the shard knows none.
        ice_servers: Option<String>,
    },
    /// Send this back; no shard needs to know.
    Reply {
        /// A whole message, or a keep-alive.
        message: Vec<u8>,
        /// What to count, if anything.
        count: Option<Counter>,
    },
    /// Nothing.
    Ignore {
        /// What to count, if anything.
        count: Option<Counter>,
    },
    /// Close the connection.
    Close {
        /// Why.
        why: Closing,
        /// What to count.
        count: Counter,
    },
}

/// What is to be done when a connection's time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// Nothing yet: ask again at `poll_timeout`.
    Wait,
    /// Send a WebSocket ping.
    Ping,
    /// Close it and treat it as lost.
    Close {
        /// Why.
        why: Closing,
        /// What to count, if anything.
        count: Option<Counter>,
    },
}

/// Which of `shards` owns an account.
pub fn shard_of(account: AccountId, shards: usize) -> usize {
    account.0 as usize % shards.max(1)
}

/// Which clients may speak on a connection.
#[derive(Debug)]
enum Owner {
    /// Any of its account: a gateway may speak for many.
    Account,
    /// A resumable session's: the first that speaks, and none after it.
    First,
    /// That one.
    Client(Box<str>),
}

impl Owner {
    /// Whether `client` may speak; the first on a session takes it.
    fn admits(&mut self, client: &str) -> bool {
        match self {
            Self::Account => true,
            Self::First => {
                *self = Self::Client(client.into());
                true
            }
            Self::Client(owner) => **owner == *client,
        }
    }
}

/// Whose a resumable session is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kin {
    /// Once a request has told.
    pub account: Option<AccountId>,
    /// The only client that may speak on it.
    pub client: Option<Box<str>>,
    /// Whether a valid token was shown on it.
    pub is_proven: bool,
}

/// One connection.
#[derive(Debug)]
pub struct Flow {
    connection: ConnectionId,
    account: Option<AccountId>,
    owner: Owner,
    host: Option<ConnectedHost>,
    is_proven: bool,
    opened: Instant,
    heard: Instant,
    pinged: Instant,
    pings_unanswered: u8,
    malformed: u32,
    beyond_pace: u32,
    pace: Pace,
}

impl Flow {
    /// A connection that has just been accepted. `host`: the Host header that it came with, if any.
    pub fn new(connection: ConnectionId, now: Now, host: Option<&str>) -> Self {
        Self {
            connection,
            account: None,
            owner: Owner::Account,
            host: host.and_then(ConnectedHost::parse),
            is_proven: false,
            opened: now.mono,
            heard: now.mono,
            pinged: now.mono,
            pings_unanswered: 0,
            malformed: 0,
            beyond_pace: 0,
            pace: Pace::new(now.mono),
        }
    }

    /// A connection that outlives its sockets (docs/resume.md): it belongs to one client for good.
    pub fn resumable(connection: ConnectionId, now: Now, host: Option<&str>) -> Self {
        Self {
            owner: Owner::First,
            ..Self::new(connection, now, host)
        }
    }

    /// One that has come from another node, on a socket that named this host.
    pub fn moved(connection: ConnectionId, now: Now, host: Option<&str>, kin: &Kin) -> Self {
        Self {
            account: kin.account,
            owner: match &kin.client {
                Some(client) => Owner::Client(client.clone()),
                None => Owner::First,
            },
            is_proven: kin.is_proven,
            ..Self::new(connection, now, host)
        }
    }

    /// Whose it is, for another node.
    pub fn kin(&self) -> Kin {
        let client = match &self.owner {
            Owner::Client(client) => Some(client.clone()),
            Owner::Account | Owner::First => None,
        };
        Kin {
            account: self.account,
            client,
            is_proven: self.is_proven,
        }
    }

    /// The shard has seen a valid token on it ([`TurnChange::Proven`](crate::turn_grant::TurnChange)).
    pub fn proven(&mut self) {
        self.is_proven = true;
    }

    /// The connection has a new socket: its clocks begin anew.
    pub fn resumed(&mut self, now: Now) {
        self.opened = now.mono;
        self.pinged = now.mono;
        self.alive(now);
    }

    /// Which connection this is.
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// The account that the connection belongs to, once a message has told.
    pub fn account(&self) -> Option<AccountId> {
        self.account
    }

    /// A text or binary frame came in (RFC 7118 §4.2: one frame, one message).
    pub fn frame<'a>(
        &mut self,
        now: Now,
        frame: &'a [u8],
        snapshot: &Snapshot,
        shards: usize,
    ) -> Verdict<'a> {
        self.alive(now);
        // RFC 5626 §3.5.1: a double CRLF asks for a single one; a single one is an answer.
        if frame.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            return if frame == b"\r\n\r\n" {
                Verdict::Reply {
                    message: b"\r\n".to_vec(),
                    count: None,
                }
            } else {
                Verdict::Ignore { count: None }
            };
        }
        if frame.len() > limits::MESSAGE_BYTES {
            return Verdict::Close {
                why: Closing::TOO_LARGE,
                count: Counter::TooLarge,
            };
        }
        let message = match sip::parse(frame) {
            Ok(message) => message,
            Err(malformed) => return self.malformed(malformed),
        };
        let is_in_pace = self.pace.take(now.mono);
        if self.is_flood(is_in_pace) {
            return Verdict::Close {
                why: Closing::FLOOD,
                count: Counter::TooManyMessages,
            };
        }
        let mut ice_servers = None;
        match &message {
            sip::Message::Request(request) if !is_in_pace => {
                let refusal = refusal::too_many_messages(request);
                return reply(request, refusal, Counter::TooManyMessages);
            }
            sip::Message::Request(request) => {
                if let Some(refusal) = refuse_form(request) {
                    return reply(request, refusal, Counter::Malformed);
                }
                let is_first = self.account.is_none();
                if let Some(verdict) = self.check(request, snapshot) {
                    return verdict;
                }
                ice_servers = self.ice_servers(now, request, snapshot, shards);
                // The shard must see a connection's first request, whatever it is.
                if !is_first && needs_no_shard(request) {
                    let tag = refusal::STATELESS_TAG;
                    return Verdict::Reply {
                        message: options::answer(request, tag, ice_servers.as_deref()),
                        count: None,
                    };
                }
            }
            sip::Message::Response(response) => {
                if let Some(counter) = drop_response(response, is_in_pace) {
                    return Verdict::Ignore {
                        count: Some(counter),
                    };
                }
            }
        }
        match self.account {
            Some(account) => Verdict::Deliver {
                shard: shard_of(account, shards),
                account,
                message,
                ice_servers,
            },
            // A response on a connection that never sent a request answers nothing of ours.
            None => Verdict::Ignore {
                count: Some(Counter::ResponseStray),
            },
        }
    }

    /// A ping came in; it counts like a message. Says why to close the connection if there are too many.
    pub fn ping(&mut self, now: Now) -> Option<Closing> {
        self.alive(now);
        let is_in_pace = self.pace.take(now.mono);
        self.is_flood(is_in_pace).then_some(Closing::FLOOD)
    }

    /// A pong, or any other sign of life, came in.
    pub fn alive(&mut self, now: Now) {
        self.heard = now.mono;
        self.pings_unanswered = 0;
    }

    /// When `timeout` wants to be called.
    pub fn poll_timeout(&self) -> Instant {
        let ping = self.heard.max(self.pinged) + limits::PING_INTERVAL;
        match self.account {
            Some(_) => ping,
            None => ping.min(self.opened + limits::INTRODUCTION_TIME),
        }
    }

    /// The instant of `poll_timeout` has come.
    pub fn timeout(&mut self, now: Now) -> Liveness {
        if now.mono < self.poll_timeout() {
            return Liveness::Wait;
        }
        if self.account.is_none() && now.mono >= self.opened + limits::INTRODUCTION_TIME {
            return Liveness::Close {
                why: Closing::NO_INTRODUCTION,
                count: None,
            };
        }
        if self.pings_unanswered >= limits::PINGS_UNANSWERED {
            return Liveness::Close {
                why: Closing::NO_PONG,
                count: Some(Counter::NoPong),
            };
        }
        self.pings_unanswered += 1;
        self.pinged = now.mono;
        Liveness::Ping
    }

    fn is_flood(&mut self, is_in_pace: bool) -> bool {
        self.beyond_pace += u32::from(!is_in_pace);
        self.beyond_pace > limits::MESSAGES_BEYOND_PACE
    }

    fn malformed<'a>(&mut self, malformed: sip::Malformed<'_>) -> Verdict<'a> {
        self.malformed += 1;
        if self.malformed >= limits::MALFORMED_MESSAGES {
            return Verdict::Close {
                why: Closing::TOO_MANY_MALFORMED,
                count: Counter::Malformed,
            };
        }
        let count = Some(Counter::Malformed);
        match refusal::malformed(&malformed) {
            Some(message) => Verdict::Reply { message, count },
            None => Verdict::Ignore { count },
        }
    }

    /// Whether a request may go on to a shard; says what to do with it if not.
    fn check<'a>(
        &mut self,
        request: &sip::Request<'a>,
        snapshot: &Snapshot,
    ) -> Option<Verdict<'a>> {
        let from = request.headers.from();
        let account = Domain::parse(from.uri.host, &snapshot.settings)
            .access_key()
            .and_then(|key| snapshot.directory.by_access_key(key))
            .filter(|account| !account.disabled);
        match account {
            Some(account) if self.account.is_none_or(|bound| bound == account.id) => {
                if !self.owner.admits(&from.uri.user_decoded()) {
                    let refusal = refusal::second_client(request);
                    return Some(reply(request, refusal, Counter::IdentityRefused));
                }
                self.account = Some(account.id);
                None
            }
            Some(_) => Some(reply(
                request,
                refusal::second_account(request),
                Counter::IdentityRefused,
            )),
            None => Some(reply(
                request,
                refusal::unknown_account(request),
                Counter::IdentityRefused,
            )),
        }
    }

    /// The list of ICE servers for whoever asks, if there is a TURN server.
    fn ice_servers(
        &self,
        now: Now,
        request: &sip::Request<'_>,
        snapshot: &Snapshot,
        shards: usize,
    ) -> Option<String> {
        let offer = snapshot.settings.turn.as_ref()?;
        let account = self.account.filter(|_| options::asks_for_turn(request))?;
        let ttl = if self.is_proven {
            limits::TURN_CREDENTIAL_TIME
        } else {
            limits::TURN_CREDENTIAL_UNPROVEN_TIME
        };
        let shard = shard_of(account, shards);
        let host = self.host.as_ref();
        Some(offer.for_connection(host, account, self.connection, shard, now.unix, ttl))
    }
}

/// What every request must have beside the syntax, so that it can be kept track of.
pub(crate) fn refuse_form(request: &sip::Request<'_>) -> Option<Vec<u8>> {
    if request.headers.via().branch().is_none_or(str::is_empty) {
        Some(refusal::no_branch(request))
    } else if request.headers.call_id().len() > limits::CALL_ID_BYTES {
        Some(refusal::long_call_id(request))
    } else {
        long_address(&request.headers).map(|name| refusal::long_address(request, name))
    }
}

/// Whether a response goes no further, and as what that counts.
fn drop_response(response: &sip::Response<'_>, is_in_pace: bool) -> Option<Counter> {
    if is_in_pace {
        long_address(&response.headers).map(|_| Counter::Malformed)
    } else {
        Some(Counter::TooManyMessages)
    }
}

/// The first of the rows that calls keep that is too long.
pub(crate) fn long_address(headers: &sip::Headers<'_>) -> Option<&'static str> {
    let kept = [
        (sip::Name::From, "From"),
        (sip::Name::To, "To"),
        (sip::Name::Via, "Via"),
        (sip::Name::Contact, "Contact"),
    ];
    let length = |name| headers.all(name).map(str::len).sum::<usize>();
    kept.into_iter()
        .find(|(name, _)| length(*name) > limits::ADDRESS_BYTES)
        .map(|(_, name)| name)
}

/// Whether a request can be answered without shared state.
fn needs_no_shard(request: &sip::Request<'_>) -> bool {
    request.method == sip::Method::Options
        && request.headers.to().tag().is_none()
        && request.headers.get(sip::Name::Require).is_none()
}

/// An ACK is never answered (RFC 3261 §17.1.1.3); everything else is.
fn reply<'a>(request: &sip::Request<'_>, message: Vec<u8>, count: Counter) -> Verdict<'a> {
    if request.method == sip::Method::Ack {
        Verdict::Ignore { count: Some(count) }
    } else {
        Verdict::Reply {
            message,
            count: Some(count),
        }
    }
}

/// A token bucket: a burst at once, then a steady rate.
#[derive(Debug)]
struct Pace {
    /// Messages that may still be sent at once, in thousandths.
    left: u32,
    filled: Instant,
}

impl Pace {
    const FULL: u32 = limits::MESSAGES_BURST * 1000;

    fn new(now: Instant) -> Self {
        Self {
            left: Self::FULL,
            filled: now,
        }
    }

    fn take(&mut self, now: Instant) -> bool {
        // Thousandths of a message for each millisecond: the rate itself.
        let elapsed: Duration = now.since(self.filled);
        let millis = u32::try_from(elapsed.as_millis()).unwrap_or(u32::MAX);
        if millis > 0 {
            let earned = millis.saturating_mul(limits::MESSAGES_PER_SECOND);
            self.left = self.left.saturating_add(earned).min(Self::FULL);
            self.filled = now;
        }
        if self.left < 1000 {
            return false;
        }
        self.left -= 1000;
        true
    }
}

#[cfg(test)]
mod tests {
    use model::UnixTime;

    use super::*;

    fn at(secs: u64) -> Now {
        Now {
            mono: Instant::from_micros(secs * 1_000_000),
            unix: UnixTime::from_secs(secs),
        }
    }

    #[test]
    fn a_session_that_said_nothing_gets_its_time_anew_with_a_new_socket() {
        let mut flow = Flow::resumable(ConnectionId(1), at(0), None);
        let later = 2 * limits::INTRODUCTION_TIME.as_secs();
        flow.resumed(at(later));
        assert_eq!(flow.timeout(at(later)), Liveness::Wait);
        assert!(flow.poll_timeout() > at(later).mono);
    }

    #[test]
    fn a_flood_of_pings_is_closed_and_a_few_are_not() {
        let mut flow = Flow::new(ConnectionId(1), at(0), None);
        for second in 0..1_000 {
            assert_eq!(flow.ping(at(second)), None);
        }
        let allowed = limits::MESSAGES_BURST + limits::MESSAGES_BEYOND_PACE;
        let closed = (0..=allowed).find_map(|_| flow.ping(at(1_000)));
        assert_eq!(closed, Some(Closing::FLOOD));
    }
}
