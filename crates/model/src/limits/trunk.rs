//! The bounds of trunks, of what their peers send and of how they are found.

use std::time::Duration;

/// Trunks of a node; an operator writes them down by hand.
pub const TRUNKS: usize = 256;
/// Trunks by which one call is tried, each for as long as its peers take to say nothing: nobody waits for more.
pub const TRUNKS_TRIED: usize = 4;
/// Calls at a time by one trunk: what one core's gateway carries.
pub const CALLS_PER_TRUNK: usize = 1_000;
/// How long a registration with a trunk lasts unless the operator says otherwise: usual with providers (RFC 3261 §10.2.1.1 leaves it open).
pub const TRUNK_REGISTRATION: Duration = Duration::from_secs(300);
/// How often a trunk is asked whether it is there unless the operator says otherwise.
pub const TRUNK_CHECK: Duration = Duration::from_secs(30);
/// The longest that a peer is passed over because it says so itself (Retry-After, RFC 3261 §20.33): a mistaken one shall not bar a trunk.
pub const TRUNK_RETRY_AFTER: Duration = Duration::from_secs(300);
/// Peers of one trunk: two sites of a provider with a few hosts each.
pub const TRUNK_PEERS: usize = 8;
/// Addresses of one trunk, whatever its names lead to: a provider's sites with their machines. What DNS names beyond is left out.
pub const TRUNK_TARGETS: usize = 16;
/// The least time for which an answer of DNS is believed, whatever it says itself: nobody is asked more often.
pub const TRUNK_NAME_TIME_MIN: Duration = Duration::from_secs(30);
/// The most: a trunk that has moved is found again within the hour, whatever was said before.
pub const TRUNK_NAME_TIME_MAX: Duration = Duration::from_secs(3_600);
/// After so long a name is asked about again that had no answer.
pub const TRUNK_NAME_PAUSE: Duration = Duration::from_secs(10);
/// How long a name may take to be resolved, with everything that it leads to: longer, and DNS does not answer.
pub const TRUNK_NAME_PATIENCE: Duration = Duration::from_secs(5);
/// Names that are asked about at once; others wait. A server of DNS is asked for as much by a busy mail server.
pub const TRUNK_NAMES_AT_ONCE: usize = 64;
/// Records of one kind that are read of an answer of DNS: as many as there are targets, or none of use.
pub const TRUNK_NAME_RECORDS: usize = 2 * TRUNK_TARGETS;
/// Servers of DNS that an operator names: as many as a resolver asks in turn.
pub const DNS_SERVERS: usize = 4;
/// Networks whence a trunk may send besides: those of a large provider's media.
pub const TRUNK_NETWORKS: usize = 64;
/// Rules of one trunk that say which service a number reaches.
pub const TRUNK_NUMBERS: usize = 1_000;
/// A password of a trunk: longer than any that a provider gives out.
pub const TRUNK_PASSWORD_BYTES: usize = 128;
/// Machines on no trunk's list that are remembered to have sent requests.
pub const TRUNK_STRANGERS: usize = 8;
/// Bytes in which the first line of a stranger's datagram must end, to be looked at.
pub const TRUNK_STRANGER_LINE: usize = 1_024;
/// Messages of shards that wait to be given to lines: the ends of all calls of a busy server that stops. Beyond it one is lost, as on the
/// way.
pub const TRUNK_MESSAGES_WAITING: usize = 16_384;
/// Bytes of them.
pub const TRUNK_BYTES_WAITING: usize = 32 * 1024 * 1024;
/// Digits of a number: twice what E.164 allows, for prefixes of a PBX.
pub const NUMBER_DIGITS: usize = 32;
/// Requests of one trunk whose transaction has not ended, both ways: each stays half a minute (RFC 3261 §17), so that about forty
/// calls may begin or end each second. Past it requests are refused with 503; those within calls have as much room again.
pub const TRUNK_TRANSACTIONS: usize = 4_000;
/// Dialogs of one trunk at once; a node's gateway has far fewer. Past it calls are refused with 503.
pub const TRUNK_DIALOGS: usize = 4_000;
/// Answers of several telephones to one INVITE that are told apart (RFC 3261 §13.2.2.4); more are left to time out.
pub const TRUNK_FORKS: usize = 8;
/// A dialog in which nothing was said for so long is forgotten: nobody speaks for a day.
pub const TRUNK_DIALOG_TIME: Duration = Duration::from_secs(86_400);
/// A call that a peer has not answered after so long is taken back: shards and peers have long given up by then (timer C).
pub const TRUNK_RINGING_TIME: Duration = Duration::from_secs(3_600);
/// Transfers that one dialog of a trunk may ask for: more than people need, and an end to peers that send calls round in circles.
pub const TRANSFERS_PER_DIALOG: u8 = 16;
/// Transfers of one call, whoever asks for them: each needs a place of its own among the call's legs.
pub const TRANSFERS_PER_CALL: u8 = 32;
/// How long the subscription of a transfer is said to last: those who ring stop before (`no_answer`, rows of a group).
pub const TRANSFER_TIME: Duration = Duration::from_secs(600);
/// How often the sessions of a trunk's calls are refreshed unless the operator says otherwise: what RFC 4028 §4 recommends.
pub const SESSION_TIME: Duration = Duration::from_secs(1_800);
/// The shortest session (RFC 4028 §5).
pub const SESSION_TIME_MIN: Duration = Duration::from_secs(90);
/// The longest session that is asked for or kept, whatever a peer wants: a day.
pub const SESSION_TIME_MAX: Duration = Duration::from_secs(86_400);
/// After so long a refresh that was not taken is tried again: the offer that was in its way is answered then.
pub const SESSION_RETRY: Duration = Duration::from_secs(5);
/// The largest datagram: UDP over IPv4 has no room for more.
pub const TRUNK_DATAGRAM_BYTES: usize = 65_507;
/// The largest message by a connection: as much as is read of one.
pub const TRUNK_STREAM_MESSAGE_BYTES: usize = super::MESSAGE_BYTES;
/// The head of such a message; whatever providers add, it is a few KiB.
pub const TRUNK_STREAM_HEAD_BYTES: usize = 32 * 1024;
/// Connections that the peers of one trunk have made: an edge of a provider has a few dozen machines, with one or two each.
pub const TRUNK_STREAMS_IN: usize = 128;
/// Connections of ours to peers of one trunk: one to each, and to proxies that their Record-Route names.
pub const TRUNK_STREAMS_OUT: usize = 2 * TRUNK_TARGETS;
/// How long it may take to connect, with TLS: longer, and the next peer is better.
pub const TRUNK_CONNECT_TIME: Duration = Duration::from_secs(8);
/// The first pause after a connection could not be made, or was lost within such a time; it doubles each time.
pub const TRUNK_CONNECT_PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause: as often as a trunk is asked whether it is there.
pub const TRUNK_CONNECT_PAUSE_MAX: Duration = TRUNK_CHECK;
/// How long a message may take to come whole, and a connection to say its first word. Messages are small: a peer that takes longer is
/// broken, or means ill.
pub const TRUNK_STREAM_MESSAGE_TIME: Duration = Duration::from_secs(15);
/// A connection by which nothing was said for so long is closed: peers that want it open ask more often (RFC 5626 §4.4.1).
pub const TRUNK_STREAM_IDLE_TIME: Duration = Duration::from_secs(1_800);
/// How long a peer may take nothing of what is sent to it; then its connection is lost (RFC 5482).
pub const TRUNK_STREAM_STALL_TIME: Duration = Duration::from_secs(20);
/// Bytes that wait to be sent by one connection: the ends of all calls of a trunk at once. Past it the connection is closed.
pub const TRUNK_STREAM_OUTBOX_BYTES: usize = 4 * 1024 * 1024;
/// Messages of all connections that have come and wait for their lines; past it the connections wait.
pub const TRUNK_STREAM_MESSAGES: usize = 256;
/// The first pause after a registration was refused, or not answered; it doubles each time.
pub const REGISTRATION_PAUSE: Duration = Duration::from_secs(30);
/// The longest such pause.
pub const REGISTRATION_PAUSE_MAX: Duration = Duration::from_secs(600);
/// A registration is not refreshed more often than this, whatever the registrar grants.
pub const REGISTRATION_REFRESH_MIN: Duration = Duration::from_secs(5);
/// The longest registration that is asked for, whatever the registrar wants: a day.
pub const REGISTRATION_TIME_MAX: Duration = Duration::from_secs(86_400);
/// Challenges that are answered for one request: one, and one more if the nonce had become stale (RFC 7616 §3.3).
pub const CHALLENGES_ANSWERED: u8 = 2;
