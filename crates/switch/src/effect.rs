//! What a shard wants done, and what it wants counted.
//!
//! The shell performs effects and the simulator breaks them; both match exhaustively.

use model::media::MediaCommand;
use model::{AccountId, CallRecord, ClientId, ConnectionId, NodeNumber, PageRequest, SoundRequest};

use crate::cluster::{Bindings, Word};
use crate::turn_grant::TurnChange;

/// One thing for the shell to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send one SIP message as one WebSocket text frame.
    Send {
        /// To this connection; nothing happens if it is gone.
        connection: ConnectionId,
        /// The whole message.
        message: Vec<u8>,
    },
    /// Close a connection after what was sent before.
    Close {
        /// This one; nothing happens if it is gone.
        connection: ConnectionId,
        /// Why, in numbers and words.
        why: Closing,
    },
    /// Keep this record of a call; the same id again replaces it.
    Record(Box<CallRecord>),
    /// Tell the [`Ledger`](crate::turn_grant::Ledger); before the next effect, so that an address may be reached before
    /// anybody is told of it.
    Turn(TurnChange),
    /// Tell the gateway.
    Media {
        /// Whose call it is.
        account: AccountId,
        /// What to tell it.
        command: MediaCommand,
    },
    /// Ask an application; [`Input::Page`](crate::Input::Page) is the answer, whatever comes of it.
    Ask(Box<PageRequest>),
    /// Bring a sound; [`Input::Sound`](crate::Input::Sound) is the answer, whatever comes of it.
    Bring(SoundRequest),
    /// Let the operator learn what was wrong with an application; it names no client.
    Complain {
        /// Whose application it is.
        account: AccountId,
        /// In a sentence.
        why: String,
    },
    /// Let all other nodes know where a client is on this one: all that is there.
    Publish {
        /// Whose client.
        account: AccountId,
        /// Which.
        client: ClientId,
        /// Empty: nowhere.
        bindings: Bindings,
    },
    /// Ask the bus where a client is; [`Input::Found`](crate::Input::Found) is the answer, if one comes.
    Look {
        /// Which look this is.
        look: u64,
        /// Whose client.
        account: AccountId,
        /// Which.
        client: ClientId,
    },
    /// Tell another node; it is told in order and once, or [`Input::Severed`](crate::Input::Severed) comes.
    Tell {
        /// Which one.
        node: NodeNumber,
        /// What.
        word: Word,
    },
    /// Add one to this counter.
    Count(Counter),
}

/// Why the server closes a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// RFC 6455 §7.4.1 status code.
    pub code: u16,
    /// At most 123 bytes (RFC 6455 §5.5).
    pub reason: &'static str,
}

impl Closing {
    /// The account was disabled or is gone.
    pub const ACCOUNT_DISABLED: Self = Self {
        code: 1008,
        reason: "the account is disabled or does not exist any more",
    };
    /// A token that was shown on it was revoked, and what was made with it ends.
    pub const TOKEN_REVOKED: Self = Self {
        code: 1008,
        reason: "the token was revoked; get a new one and connect again",
    };
    /// Too many messages that were no SIP.
    pub const TOO_MANY_MALFORMED: Self = Self {
        code: 1008,
        reason: "too many messages that break the syntax of SIP",
    };
    /// A flood of messages or pings.
    pub const FLOOD: Self = Self {
        code: 1008,
        reason: "far more messages or pings than a connection may send",
    };
    /// Nothing was said that tells the account.
    pub const NO_INTRODUCTION: Self = Self {
        code: 1008,
        reason: "no SIP request came that names an account",
    };
    /// The frame is larger than any message may be.
    pub const TOO_LARGE: Self = Self {
        code: 1009,
        reason: "a message may have 64 KiB at most",
    };
    /// Messages pile up because the client does not read.
    pub const SLOW_READER: Self = Self {
        code: 1008,
        reason: "the client does not read what is sent to it",
    };
    /// A frame that breaks the numbering of a session (RFC 6455 §7.4.1: a protocol error).
    pub const BROKEN_SESSION: Self = Self {
        code: 1002,
        reason: "a frame breaks the protocol sip-resume",
    };
    /// A session that is not there any more was asked for.
    pub const GONE: Self = Self {
        code: 1008,
        reason: "the session has ended; open a new one",
    };
    /// The node that has the session asked for does not answer now (RFC 6455 §11.7: 1013, try again later).
    pub const NOT_YET: Self = Self {
        code: 1013,
        reason: "the server that has the session does not answer; try again",
    };
    /// The client of a session did not come back in time.
    pub const EXPIRED: Self = Self {
        code: 1001,
        reason: "the client did not come back in time",
    };
    /// Its user agent has another connection.
    pub const REPLACED: Self = Self {
        code: 1008,
        reason: "the client has come back on another connection",
    };
    /// Two pings went unanswered.
    pub const NO_PONG: Self = Self {
        code: 1001,
        reason: "no answer to two pings",
    };
    /// The server will go down, and the connection has no call.
    pub const DRAINED: Self = Self {
        code: 1001,
        reason: "the server will stop; connect again",
    };
    /// The server will go down, and others are there: the client of a session goes on at one of them (RFC 6455 §11.7: 1012, service restart).
    pub const MOVE: Self = Self {
        code: 1012,
        reason: "the server will stop; come back to another",
    };
    /// The server is going down.
    pub const STOPPING: Self = Self {
        code: 1001,
        reason: "the server is stopping; connect again",
    };
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident => $text:literal,)*) => {
        /// What is counted: each bound that was reached, each kind of refusal, and the main events.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Counter {
            $($(#[doc = $doc])* $name,)*
        }

        impl Counter {
            /// Every counter, in the order of listings.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name in listings.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// What it counts, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),*),)*
                }
            }
        }
    };
}

counters! {
    /// A token was issued.
    TokenIssued => "tokens_issued",
    /// A token request exceeded the account's month.
    TokenQuotaReached => "token_quota_reached",
    /// A service was refused: the account has all it may have.
    ServicesFull => "services_refused_full",
    /// A revocation was refused: the account has all it may have.
    RevocationsFull => "revocations_refused_full",
    /// A web service was called with a wrong user or key.
    LoginFailed => "logins_failed",
    /// An address was slowed down after many wrong logins.
    LoginSlowed => "logins_slowed",
    /// A WebSocket upgrade was refused: the node has all the connections it may have.
    NodeFull => "upgrades_refused_node_full",
    /// A WebSocket upgrade was refused: the address has all the connections it may have.
    AddressFull => "upgrades_refused_address_full",
    /// A connection was refused: its account has all it may have.
    AccountFull => "connections_refused_account_full",
    /// A session went on with a new socket.
    SessionResumed => "sessions_resumed",
    /// A session went to another node, where its client came back.
    SessionLeft => "sessions_handed_over",
    /// A session came from another node.
    SessionCame => "sessions_taken_over",
    /// A session ended because its client did not come back in time.
    SessionExpired => "sessions_expired",
    /// A session ended with its socket: there was no room to wait for its client.
    SessionNotKept => "sessions_not_kept",
    /// A session was asked for that was not there (any more), or with a wrong credential.
    ResumeRefused => "resumes_refused",
    /// A message was no SIP.
    Malformed => "messages_malformed",
    /// A frame was larger than a message may be.
    TooLarge => "messages_too_large",
    /// A message was refused: its connection sends too many.
    TooManyMessages => "messages_refused_pace",
    /// A client was closed because it does not read.
    SlowReader => "connections_closed_slow_reader",
    /// A connection did not answer pings.
    NoPong => "connections_closed_no_pong",
    /// A client that was called was found nowhere, and the bus was asked once more.
    Looked => "clients_looked_for",
    /// A call lost a client with the node that the client was connected to.
    LostWithNode => "connections_lost_with_their_node",
    /// A client registered anew (refreshes are not counted).
    Registered => "registrations",
    /// A token was refused.
    TokenRefused => "tokens_refused",
    /// A token was refused because it was revoked; it is among those that were refused, too.
    TokenRevoked => "tokens_refused_revoked",
    /// A connection was closed because what it has was made with a token that was revoked.
    ConnectionRevoked => "connections_closed_revoked",
    /// A token was verified by its signature (not remembered).
    TokenVerified => "tokens_verified",
    /// An answer to an orphaned REGISTER was repeated on a new connection.
    RegisterRescued => "registers_rescued",
    /// A caller that came back was told that its call has ended.
    InviteRescued => "invites_rescued",
    /// A call was routed to a client.
    CallRouted => "calls_routed",
    /// A call was answered.
    CallAnswered => "calls_answered",
    /// A call went from a node that is drained to one of its clients'.
    CallLeft => "calls_handed_over",
    /// A call came from a node that is drained.
    CallCame => "calls_taken_over",
    /// A call was refused before it reached a client.
    CallRefused => "calls_refused",
    /// A call was refused: its connection, or the shard, has all it may have.
    CallsFull => "calls_refused_full",
    /// A call was refused: its account, or the strangers of it, has as many that applications answer as it may have.
    ApplicationCallsFull => "application_calls_refused_full",
    /// A request was refused: its From names no active account, or another account or client than its connection's.
    IdentityRefused => "identities_refused",
    /// A request inside a call, or a CANCEL, came from a connection that has no such call; or one of no call from where a trunk was.
    RequestStray => "requests_of_no_call",
    /// An answer was dropped: nothing was asked of its connection under that branch and tag.
    ResponseStray => "responses_to_nothing",
    /// A call ended because a connection was lost.
    CallLost => "calls_lost_connection",
    /// A TURN credential was given out by the web service.
    TurnCredentialIssued => "turn_credentials_issued",
    /// A message named more candidate addresses than its side of the call may have.
    CandidatesIgnored => "turn_candidates_ignored",
    /// A relay told what it did for a call that is forgotten.
    RelayUsageLate => "turn_usage_late",
}
