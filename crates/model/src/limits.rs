//! Every bound of the product, named, with its reason.
//!
//! Reaching a bound is counted and has a standard answer; nothing grows without one.

mod bus;
mod cluster;
mod trunk;

use std::ops::RangeInclusive;
use std::time::Duration;

pub use bus::*;
pub use cluster::*;
pub use trunk::*;

// Names.

/// A client id, so that a token with its full list of permissions stays far below a message.
pub const CLIENT_ID_BYTES: usize = 128;
/// A cloud id: three numbers.
pub const CLOUD_ID_BYTES: usize = 32;
/// A service name.
pub const SERVICE_NAME_BYTES: usize = 64;
/// A user name: an e-mail address, mostly.
pub const USERNAME_BYTES: usize = 128;

// Tokens.

/// Shortest life of a token that the web service gives out.
pub const TOKEN_TTL_MIN_S: u32 = 600;
/// Life of a token whose request does not name one.
pub const TOKEN_TTL_DEFAULT_S: u32 = 3600;
/// Longest life of a token that the web service gives out: a day.
pub const TOKEN_TTL_MAX_S: u32 = 86_400;
/// Entries of `call_client` in one token; more are better said with a prefix.
pub const CALL_PATTERNS: usize = 100;
/// A token that is longer is not looked at: ours with the longest list are below 20 KiB.
pub const TOKEN_BYTES: usize = 24 * 1024;
/// How far ahead of ours the clock of a token's issuer may be (RFC 7519 §4.1.5).
pub const TOKEN_LEEWAY_S: u64 = 5;
/// Tokens in a month for a developer account that has no limit of its own.
pub const DEVELOPER_TOKENS_MONTHLY: u64 = 1_000;
/// Verified tokens that a shard remembers; past it the one that expires first goes, and costs a signature check again.
pub const REMEMBERED_TOKENS: usize = 200_000;
/// And what they may permit, in bytes: a token may name a hundred clients.
pub const REMEMBERED_BYTES: usize = 128 * 1024 * 1024;
/// A token that a connection keeps to compare with the next; stock clients' have 700 bytes. A longer one is hashed each time.
pub const SHOWN_TOKEN_BYTES: usize = 1024;
/// Revocations that an account has at a time: a thousand logins an hour that end early, with some to spare. All are in every server's
/// memory, and are read with the directory.
pub const REVOCATIONS_PER_ACCOUNT: usize = 10_000;
/// For how long a revocation is kept after the instant that it names: as long as a token of before that can live.
pub const REVOCATION_TIME: Duration = Duration::from_secs(TOKEN_TTL_MAX_S as u64 + TOKEN_LEEWAY_S);
/// How long a rotated API key goes on working.
pub const API_KEY_GRACE_S: u64 = 86_400;

// HTTP.

/// Body of a web service request: its parameters are short.
pub const HTTP_BODY_BYTES: usize = 64 * 1024;
/// Parameters in a web service request.
pub const HTTP_PARAMETERS: usize = 256;
/// From the first byte of a connection to the end of its request's head; also for the TLS handshake.
pub const HTTP_HEAD_TIME: Duration = Duration::from_secs(10);
/// Login failures from one address before it is slowed down.
pub const LOGIN_FAILURES_BURST: u32 = 20;
/// Login failures a minute from one address after that.
pub const LOGIN_FAILURES_MINUTELY: u32 = 12;

/// Addresses that are remembered at a time; past it new failures are not, since a key has 128 bits to guess.
pub const LOGIN_FAILURE_ADDRESSES: usize = 100_000;
/// Connections of the operator's listener: whoever collects figures needs one, and whoever looks another.
pub const ADMIN_CONNECTIONS: usize = 16;
/// How long one of them may take, from its first byte to its last.
pub const ADMIN_TIME: Duration = Duration::from_secs(20);
/// Head of a request, and what hyper buffers of a body at a time: a token's permissions fit in a query.
pub const HTTP_HEAD_BYTES: usize = 16 * 1024;

// Connections.

/// One SIP message; a video INVITE is about 8 KiB.
pub const MESSAGE_BYTES: usize = 64 * 1024;
/// Header rows in one message; real ones have about 16.
pub const HEADER_ROWS: usize = 96;
/// A Call-ID: it stands in a call's record. Real ones have 20 to 60 bytes.
pub const CALL_ID_BYTES: usize = 256;
/// All rows of one of From, To, Via and Contact together: a call keeps them for as long as it lasts.
pub const ADDRESS_BYTES: usize = 1_024;
/// A Contact URI: it is kept for as long as its registration. Real ones have about 60 bytes.
pub const CONTACT_BYTES: usize = 512;
/// WebSocket connections of one node.
pub const CONNECTIONS: usize = 200_000;
/// WebSocket connections from one address: a large office behind one NAT.
pub const CONNECTIONS_PER_ADDRESS: usize = 2_000;
/// Connections of one account on one shard.
pub const CONNECTIONS_PER_ACCOUNT: usize = 100_000;
/// A connection that has not said which account it belongs to is closed after this.
pub const INTRODUCTION_TIME: Duration = Duration::from_secs(30);
/// Messages a second that a connection may keep up; the SDK makes one each 30 s, a call about ten.
pub const MESSAGES_PER_SECOND: u32 = 20;
/// Messages that it may send at once before that rate counts.
pub const MESSAGES_BURST: u32 = 100;
/// Messages beyond the pace that are refused before a connection is closed.
pub const MESSAGES_BEYOND_PACE: u32 = 500;
/// What a WebSocket may hold back for a socket that takes nothing; several of the largest messages.
pub const WRITE_BUFFER_BYTES: usize = 256 * 1024;
/// Messages that violate the syntax before a connection is closed.
pub const MALFORMED_MESSAGES: u32 = 20;
/// Bytes that wait for a slow reader before its connection is closed: more than all calls that may ring, and what may be unread
/// of one more, in messages of the largest size.
pub const OUTBOX_BYTES: usize = 2 * 1024 * 1024;
/// Messages that wait for a slow reader before its connection is closed.
pub const OUTBOX_MESSAGES: usize = 256;
/// A silent connection is asked for a sign of life after this.
pub const PING_INTERVAL: Duration = Duration::from_secs(25);
/// Pings without an answer before a connection counts as lost.
pub const PINGS_UNANSWERED: u8 = 2;

/// A socket that takes nothing for so long is lost.
pub const WRITE_TIME: Duration = Duration::from_secs(30);
/// How long the two sides may take to say goodbye (RFC 6455 §7.1.1).
pub const FAREWELL_TIME: Duration = Duration::from_secs(1);
/// Connections beyond the bound that are still accepted, so that they can be told why they are refused.
pub const ROOM_FOR_REFUSALS: usize = 4_096;
/// The same for one address.
pub const ROOM_FOR_REFUSALS_PER_ADDRESS: usize = 64;

// Resumable signalling.

/// The longest that an operator may let calls go on after a server was told to stop: a day, in which most calls end by themselves.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(86_400);

/// Connections without a call that a shard closes in a second while its server is drained: their clients all come back a second later,
/// to other servers.
pub const DRAINED_AT_ONCE: usize = 500;

/// How long a session waits for its client after its socket was lost.
pub const RESUME_WINDOW: Duration = Duration::from_secs(60);
/// The longest that an operator may choose: until then the other side of a call looks at a frozen picture.
pub const RESUME_WINDOW_MAX: Duration = Duration::from_secs(600);
/// Messages that may come in before their sender is told so that it can forget them.
pub const RESUME_UNTOLD_MESSAGES: u64 = 8;
/// The same in bytes.
pub const RESUME_UNTOLD_BYTES: usize = 32 * 1024;
/// Places for kept messages that an idle session does not give back.
pub const RESUME_PLACES_KEPT: usize = 8;

// Registration.

/// A registration's longest life: the SDK asks for 600 s.
pub const REGISTRATION_MAX_S: u32 = 3_600;
/// Its shortest, unless the token ends sooner; less is answered 423 (RFC 3261 §10.2.8).
pub const REGISTRATION_MIN_S: u32 = 60;
/// What a REGISTER without `expires` gets (RFC 3261 §10.3 leaves it to us).
pub const REGISTRATION_DEFAULT_S: u32 = 600;
/// Instances of one client at a time; the one that registered longest ago gives way.
pub const BINDINGS_PER_CLIENT: usize = 10;
/// User agents whose last answers may have got lost with their connection, for each shard.
pub const ORPHANS: usize = 10_000;
/// One such answer; ours have less than 1 KiB where the request had no rows of unusual length.
pub const ORPHAN_BYTES: usize = 4 * 1024;
/// A user agent's Via sent-by under `.invalid`; stock clients have 20 bytes.
pub const USER_AGENT_BYTES: usize = 64;
/// Such answers for one user agent.
pub const ORPHANS_PER_USER_AGENT: usize = 4;
/// How long the answer to a lost caller's INVITE is kept: its app hangs until it comes.
pub const ORPHANED_INVITE_TIME: Duration = Duration::from_secs(600);

/// A token with less left does not register: existing clients refresh 3 s before the end, and one that
/// is given less refreshes in a loop.
pub const REGISTRATION_TOKEN_REST: Duration = Duration::from_secs(5);

// Services.

/// Services of one account.
pub const SERVICES_PER_ACCOUNT: usize = 1_000;
/// Clients that one service rings: one INVITE becomes as many.
pub const SERVICE_CLIENTS: usize = 32;
/// How long the clients of a service ring unless it says otherwise.
pub const SERVICE_RING_DEFAULT_S: u16 = 20;
/// And at most: existing callers wait for a minute.
pub const SERVICE_RING_MAX_S: u16 = 60;
/// The secret that signs requests to an application: at least what HMAC-SHA-256 wants of its key (RFC 2104 §3), at most two of its
/// blocks, as longer keys gain nothing.
pub const APPLICATION_SECRET_BYTES: RangeInclusive<usize> = 32..=128;
/// Faults of one document about a service that are told: an answer is not to be longer than what was asked.
pub const SERVICE_FAULTS: usize = 16;

// Calls.

/// How long a callee may ring.
pub const NO_ANSWER_TIME: Duration = Duration::from_secs(60);
/// RFC 3261 §17.1.1.2 timers B and F (64 × T1): how long a request waits for its final answer.
pub const TRANSACTION_TIME: Duration = Duration::from_secs(32);
/// A re-INVITE waits longer: the SDK gathers candidates, a person may be asked for a permission.
pub const REINVITE_TIME: Duration = Duration::from_secs(60);
/// How long an ended call absorbs late answers and repeated requests (64 × T1).
pub const LINGER_TIME: Duration = Duration::from_secs(32);
/// Calls at a time on one connection.
pub const CALLS_PER_CONNECTION: usize = 50;
/// Calls that ring at a time on one connection: what they carry must fit into its outbox, so that a flood of
/// calls is the caller's loss and not the callee's.
pub const CALLS_RINGING_PER_CONNECTION: usize = 10;
/// Those of them that one client makes: the rest is for others.
pub const CALLS_RINGING_PER_CALLER: usize = 4;
/// Requests of a call that are open or have just been answered, both directions together.
pub const EXCHANGES_PER_CALL: usize = 32;
/// Requests of one side of a call that the other has not answered at all: together they must fit into its outbox.
pub const EXCHANGES_UNREAD: usize = 8;
/// Calls of one shard, with those that linger; the oldest of these make room for new ones.
pub const CALLS: usize = 200_000;
/// A call that nobody ended: two days.
pub const CALL_TIME: Duration = Duration::from_secs(2 * 86_400);

// Relay.

/// Life of a TURN credential for a connection that has shown a valid token: existing clients fetch one each 30 s and
/// expect about two minutes.
pub const TURN_CREDENTIAL_TIME: Duration = Duration::from_secs(120);
/// Life of one for a connection that has not: whoever knows the public access key gets it.
pub const TURN_CREDENTIAL_UNPROVEN_TIME: Duration = Duration::from_secs(60);
/// Shortest life of a TURN credential that the web service gives out.
pub const TURN_REST_TTL_MIN_S: u32 = 60;
/// Life of one whose request does not name one: time to open a page and place a call.
pub const TURN_REST_TTL_DEFAULT_S: u32 = 600;
/// Longest life of one that the web service gives out: a day.
pub const TURN_REST_TTL_MAX_S: u32 = 86_400;
/// How long after it was given out a web service's credential may keep allocations: no call can tell when they end.
pub const TURN_REST_TIME: Duration = Duration::from_secs(86_400);
/// How long an allocation that serves no call may be refreshed after its credential has expired: a page may gather
/// long before it calls.
pub const TURN_IDLE_TIME: Duration = Duration::from_secs(600);
/// How long the addresses of an ended call may still be reached: what is on its way, and a page that closes late.
pub const TURN_GRACE: Duration = Duration::from_secs(10);
/// Addresses that one side of a call may name as candidates; a browser with many interfaces has about 20.
pub const TURN_CANDIDATES: usize = 64;
/// Allocations of one client: a browser makes one for each interface and URL, and again at an ICE restart.
pub const TURN_CLIENT_ALLOCATIONS: u32 = 12;
/// Bytes a second of one client, both directions together: 20 Mbit/s, several videos of high quality.
pub const TURN_CLIENT_RATE: u64 = 2_500_000;
/// Allocations of a connection that has shown no token: one gathering of a browser with two interfaces.
pub const TURN_UNPROVEN_ALLOCATIONS: u32 = 6;
/// Bytes a second of such a connection: 0.5 Mbit/s, enough for the checks before a call.
pub const TURN_UNPROVEN_RATE: u64 = 62_500;
/// Connections that have shown no token have at most this part of what their account and the node have, so that
/// strangers cannot take all of it: half.
pub const TURN_UNPROVEN_SHARE: u32 = 2;
/// Allocations of one account.
pub const TURN_ACCOUNT_ALLOCATIONS: u32 = 2_000;
/// Bytes a second of one account, both directions together: 1 Gbit/s, a whole network card of most machines.
pub const TURN_ACCOUNT_RATE: u64 = 125_000_000;
/// Allocations of the node: some more than there are ports on one address.
pub const TURN_ALLOCATIONS: u32 = 100_000;
/// Less than this is not given out of a bandwidth: it would be asked for again with each packet.
pub const TURN_LEASE_MIN: u32 = 4_096;

// Applications.

/// The address of a page; what browsers and proxies take at least.
pub const PAGE_URL_BYTES: usize = 2_048;
/// The answer of a page: hundreds of actions.
pub const PAGE_BYTES: usize = 256 * 1024;
/// Actions of one page.
pub const PAGE_ACTIONS: usize = 256;
/// How long a page may take to answer: a caller hears nothing meanwhile.
pub const PAGE_TIME: Duration = Duration::from_secs(5);
/// A sentence about what went wrong with a page: it may repeat what a stranger wrote.
pub const PAGE_FAULT_CHARS: usize = 400;
/// The token that a page gives and is given back.
pub const PAGE_TOKEN_BYTES: usize = 8 * 1024;
/// Pages that one call may ask: a queue that asks each ten seconds has enough for a day.
pub const APPLICATION_PAGES: u32 = 10_000;
/// Calls of one account at a time that applications answer: a fifth of the gateway's sessions, as with pages, so that none takes those
/// of others.
pub const APPLICATION_CALLS_PER_ACCOUNT: usize = MEDIA_SESSIONS / 5;
/// Those of them that come from connections on which no token was shown: half, so that those who know but the public access key leave
/// room for the account's own clients.
pub const APPLICATION_CALLS_OF_STRANGERS: usize = APPLICATION_CALLS_PER_ACCOUNT / 2;
/// How long an application may do nothing.
pub const APPLICATION_SLEEP: Duration = Duration::from_secs(3_600);
/// How long one action may wait for a key or an answer.
pub const APPLICATION_WAIT: Duration = Duration::from_secs(3_600);
/// How long digits may be entered, where the page does not say.
pub const APPLICATION_ENTRY: Duration = Duration::from_secs(30);
/// How long the next digit is waited for, where the page does not say.
pub const APPLICATION_BETWEEN_DIGITS: Duration = Duration::from_secs(5);
/// Digits that are entered at once, and keys that wait to be taken.
pub const DIGITS_ENTERED: u8 = 64;
/// Options of one menu: as many as there are keys.
pub const MENU_OPTIONS: usize = 16;
/// What a menu says after one kind of mistake.
pub const MENU_MESSAGES: usize = 10;
/// Whom one `connect` calls at once: as many as a session has legs beside the caller's.
pub const CONNECT_DESTINATIONS: usize = 3;
/// What an application says of who calls: as long as the id of a client.
pub const CALL_FROM_BYTES: usize = CLIENT_ID_BYTES;
/// Records of those whom one call was connected to, kept for what relays tell late.
pub const PAST_CALLEES: usize = 8;
/// The name of a conference.
pub const CONFERENCE_NAME_BYTES: usize = 128;
/// The `application_instance_id` that a stranger gives; ours have some 50.
pub const INSTANCE_ID_BYTES: usize = 128;
/// Applications that one request interrupts.
pub const INTERRUPTS: usize = 100;
/// A browser that hangs up closes its media first; its BYE may be so much later.
pub const MEDIA_END_GRACE: Duration = Duration::from_secs(2);
/// Rows that an application adds to its answer.
pub const ANSWER_HEADERS: usize = 16;
/// The value of one of them.
pub const ANSWER_HEADER_BYTES: usize = 1_024;
/// The name of a file.
pub const FILE_NAME_BYTES: usize = 128;
/// All files of one play together: as much as one of them may have.
pub const PROMPT_BYTES: usize = PLAY_FILE_BYTES;
/// A text to be spoken: some ten minutes of speech.
pub const SPEECH_BYTES: usize = 8 * 1024;
/// How long it may take to be made into sound.
pub const SPEECH_TIME: Duration = Duration::from_secs(10);
/// The longest that an operator may let pages take: until then a caller hears nothing.
pub const PAGE_TIME_MAX: Duration = Duration::from_secs(30);
/// Pages that are asked at once: as many as there are calls in some seconds, and each is an open file.
pub const PAGES_AT_ONCE: usize = 1_000;
/// Those of them that are one account's: an application that hangs keeps none of another account waiting.
pub const PAGES_PER_ACCOUNT: usize = 200;
/// Connections to applications, with those that wait to be used again.
pub const PAGE_CONNECTIONS: usize = 2_000;
/// Those of them that one account made: twice as many as it may ask pages at once.
pub const PAGE_CONNECTIONS_PER_ACCOUNT: usize = 2 * PAGES_PER_ACCOUNT;
/// How long a connection to an application waits to be used again: common servers close theirs after 5 s, and a request that
/// meets the close is lost.
pub const PAGE_IDLE_TIME: Duration = Duration::from_secs(4);
/// Connections to one application that wait to be used again.
pub const PAGE_IDLE_CONNECTIONS: usize = 32;
/// Host names that are looked up at once; each takes a thread.
pub const PAGE_LOOKUPS: usize = 64;
/// Those of them that are for one account: a quarter, so that one whose names nobody answers for keeps no other waiting.
pub const PAGE_LOOKUPS_PER_ACCOUNT: usize = 16;
/// Sounds that are brought at once.
pub const SOUNDS_AT_ONCE: usize = 256;
/// Those of them that are one account's: half, so that others hear theirs while one waits for its programs that speak.
pub const SOUNDS_PER_ACCOUNT: usize = 128;
/// Programs that speak at once; each takes a core while it does.
pub const SPEECHES_AT_ONCE: usize = 8;
/// Those of them that speak for one account: half.
pub const SPEECHES_PER_ACCOUNT: usize = 4;
/// Sounds in memory, with those that are being heard: the longest file for eight accounts, or an hour of telephone speech for each of
/// forty. Beyond it nothing more is read. What programs that speak are saying comes to it.
pub const SOUND_BYTES: usize = 1024 * 1024 * 1024;
/// Those of one account: the two longest files, or ten seconds of speech of 22,050 Hz for each of six hundred callers.
pub const SOUND_BYTES_PER_ACCOUNT: usize = 256 * 1024 * 1024;
/// What a spoken text may become: the longest, at 22,050 Hz, with room.
pub const SPEECH_SOUND_BYTES: usize = 32 * 1024 * 1024;
/// Sounds that are kept in memory though nobody hears them any more: some minutes of telephone speech for a hundred accounts.
pub const SOUND_CACHE_BYTES: usize = 64 * 1024 * 1024;
/// Files of one account.
pub const FILES_PER_ACCOUNT: usize = 10_000;
/// Files that are uploaded at once.
pub const UPLOADS_AT_ONCE: usize = 64;
/// Those of them that are one account's.
pub const UPLOADS_PER_ACCOUNT: usize = 4;
/// How long an upload may take: the longest file at 2 Mbit/s.
pub const UPLOAD_TIME: Duration = Duration::from_secs(600);
/// How long nothing may come of it: a network that is lost for a while.
pub const UPLOAD_STALL_TIME: Duration = Duration::from_secs(30);
/// Bytes of them: about 180 hours of telephone speech.
pub const FILE_BYTES_PER_ACCOUNT: u64 = 10 * 1024 * 1024 * 1024;
/// How long the writer of recordings goes by what it knows of an account's files: to look takes some 10 ms for 10,000 of them, for which
/// the recordings of all accounts wait. What was removed leaves room so much later.
pub const FILE_ROOM_TIME: Duration = Duration::from_secs(5);

// Media.

/// Sessions of one worker of the gateway: several times what one core can carry.
pub const MEDIA_SESSIONS: usize = 10_000;
/// Legs of one session: who calls, whom it is connected to, and two more who ring at the same time.
pub const LEGS_PER_SESSION: usize = 4;
/// Rooms of one worker: each has somebody in it, and one core carries fewer.
pub const MEDIA_ROOMS: usize = 1_000;
/// Conferences of one account, with those that have not started: a fifth of the rooms, as with its calls.
pub const CONFERENCES_PER_ACCOUNT: usize = MEDIA_ROOMS / 5;
/// Parties of one room: more than one core carries in most codecs.
pub const ROOM_PARTIES: usize = 100;
/// Parties of a room that are heard at once, the loudest: more are not understood, and each one needs an encoding of its own.
pub const ROOM_TALKERS: usize = 5;
/// Addresses of one WebRTC leg that have passed an ICE check; a browser nominates one of about five.
pub const ADDRESSES_PER_LEG: usize = 16;
/// How long a WebRTC leg waits for its peer: a browser gives up its checks after half of it.
pub const LEG_CONNECT_TIME: Duration = Duration::from_secs(30);
/// How long an offer of the gateway waits for its answer: longer than any telephone rings.
pub const LEG_OFFER_TIME: Duration = Duration::from_secs(300);
/// How long a key is pressed towards a peer: what most telephones do, and more than twice what must be understood (ITU-T Q.24).
pub const DIGIT_TIME: Duration = Duration::from_millis(100);
/// And the pause after it.
pub const DIGIT_PAUSE: Duration = Duration::from_millis(80);
/// The longest that a key may be held: beyond it the other side hears it end.
pub const DIGIT_TIME_MAX: Duration = Duration::from_secs(6);
/// A key whose end never comes has ended when nothing was heard of it for so long: several packets of 50 ms (RFC 4733 §2.5.2.2).
pub const DIGIT_LOST_TIME: Duration = Duration::from_millis(200);
/// Digits that wait to be sent on one leg: a long number and a code.
pub const DIGITS_WAITING: usize = 64;
/// One file that is played: 10 minutes of the quality of a compact disc in stereo.
pub const PLAY_FILE_BYTES: usize = 128 * 1024 * 1024;
/// The head of a compressed file that is decoded by tables of its own; those of any encoder have some 8 KiB.
pub const DECODER_HEAD_BYTES: usize = 256 * 1024;
/// Values in all of these tables: eight times what the usual encoder makes, and 2 MiB.
pub const DECODER_TABLE: u64 = 512 * 1024;
/// Compressed files that are decoded at once, each of another account: each takes a core while it lasts.
pub const DECODINGS_AT_ONCE: usize = 4;
/// Sounds in one play.
pub const PLAY_SOUNDS: usize = 64;
/// Keys of one sound: as many as fit into one play where they are heard as tones with pauses.
pub const DIGITS_PLAYED: usize = PLAY_SOUNDS / 2;
/// Frequencies of one tone.
pub const TONE_FREQUENCIES: usize = 4;
/// Beats in the rhythm of one tone.
pub const TONE_BEATS: usize = 16;
/// A recording: an hour. It leaves in parts, so that it is not held here.
pub const RECORD_TIME: Duration = Duration::from_secs(3_600);
/// The most silence that a recording waits for before it ends; it is held here so long.
pub const RECORD_SILENCE: Duration = Duration::from_secs(60);
/// One part of a recording: a second.
pub const RECORD_PART: Duration = Duration::from_secs(1);
/// Bytes of recordings that wait for the disk: what a thousand of them make in two seconds. Beyond it a recording is lost.
pub const RECORDING_BYTES_WAITING: usize = 64 * 1024 * 1024;
/// Streams to applications at once: each is an open file, and half a minute of sound at most waits in it.
pub const STREAMS: usize = 1_000;
/// Those of them that are one account's: a fifth, as with pages.
pub const STREAMS_PER_ACCOUNT: usize = STREAMS / 5;
/// The longest stream, and how long one may be where the page does not say.
pub const STREAM_TIME: Duration = Duration::from_secs(3_600);
/// Sound of an application that waits to be heard: a long answer that is sent as fast as it is made. Beyond it sound is dropped, and the
/// application told.
pub const STREAM_SOUND: Duration = Duration::from_secs(30);
/// How long sound of an application waits for more of it before it is heard: packets of live sound come unevenly.
pub const STREAM_LEAD: Duration = Duration::from_millis(40);
/// One message of an application: two seconds of sound at 16 kHz.
pub const STREAM_MESSAGE_BYTES: usize = 64 * 1024;
/// What is read of it on the wire, with the heads of its fragments; more is a message without an end.
pub const STREAM_MESSAGE_WIRE_BYTES: usize = 4 * STREAM_MESSAGE_BYTES;
/// One that is control, in JSON: a result, and what stands around it.
pub const STREAM_CONTROL_BYTES: usize = 16 * 1024;
/// What an application gives as the result of a stream, in JSON: as much as a page's token.
pub const STREAM_RESULT_BYTES: usize = PAGE_TOKEN_BYTES;
/// The name of a mark.
pub const STREAM_MARK_BYTES: usize = 128;
/// Marks of one stream that wait for the sound before them: two a second.
pub const STREAM_MARKS: usize = 64;
/// Messages that wait to be sent to one application: five seconds of sound. One that takes them no faster is given up.
pub const STREAM_WORDS_WAITING: usize = 256;
/// Messages of one application that wait for the gateway: what comes meanwhile waits in its socket.
pub const STREAM_WORDS_COMING: usize = 16;
/// Messages of one application that are read in a second: twenty times those of live sound. The others wait in its socket.
pub const STREAM_MESSAGES_PER_SECOND: u32 = 1_000;
/// Bytes of them: thirty times live sound at 16 kHz.
pub const STREAM_BYTES_PER_SECOND: usize = 1024 * 1024;
/// How long a message to an application may wait for its socket: what comes meanwhile is as much as may wait.
pub const STREAM_WRITE_TIME: Duration = Duration::from_secs(5);
/// A stream whose application says nothing for so long is asked for a sign of life; [`PINGS_UNANSWERED`] without an answer and it is lost.
pub const STREAM_PING_INTERVAL: Duration = Duration::from_secs(10);
/// Commands that wait for the gateway: some milliseconds of its work. Beyond it the leg that one is for is given up.
pub const MEDIA_COMMANDS_WAITING: usize = 2_048;
/// Those of them that are one account's: half, so that a burst of its calls costs legs of its own.
pub const MEDIA_COMMANDS_PER_ACCOUNT: usize = MEDIA_COMMANDS_WAITING / 2;
/// Pairs of ports that are tried for a plain RTP leg before it is refused: others use ports of the range as well.
pub const RTP_PORT_ATTEMPTS: usize = 64;

/// Packets that wait in one jitter buffer: half a second of packets of 20 ms.
pub const JITTER_PACKETS: usize = 25;
/// How long a plain RTP leg that expects a peer behind a NAT takes the first source of an allowed network for it.
pub const RTP_LATCH_TIME: Duration = Duration::from_secs(2);
/// Sources that one key of a peer's is taken for: what each has sent is known as long as the key is good, lest it come again. A telephone has
/// one, and a new one each time that it begins anew.
pub const SRTP_SOURCES: usize = 64;
/// Between two RTCP reports of a leg on average (RFC 3550 §6.2).
pub const RTCP_INTERVAL: Duration = Duration::from_secs(5);
/// An SDP that the gateway reads; a browser's audio and video offer with every codec has about 8 KiB.
pub const SDP_BYTES: usize = 32 * 1024;
/// Rows of keys in it; a telephone offers one for each suite that it has, six at most.
pub const SDP_CRYPTO: usize = 16;
/// Lines of it.
pub const SDP_LINES: usize = 1_024;
/// Media descriptions of it.
pub const SDP_MEDIA: usize = 16;

/// What a back end may have an application told of a call that it begins, in JSON: as much as a page's token.
pub const OUTBOUND_PARAMETERS_BYTES: usize = PAGE_TOKEN_BYTES;
/// Lines of the log about an account whose application fails, within the next: whoever tries things out sees each.
pub const COMPLAINT_LINES: usize = 10;
/// For how long an account that has had so many is not heard of again.
pub const COMPLAINT_PAUSE: Duration = Duration::from_secs(60);
/// Accounts that are remembered for it; those beyond them are not heard of for a minute.
pub const COMPLAINING_ACCOUNTS: usize = 1_024;
/// Files that cannot be played and are remembered as such: each would be decoded again for each call that wants it.
pub const SOUNDS_REFUSED: usize = 256;
/// Calls that are looked at in one go for a list of those of an account: a few hundred microseconds, for which others wait.
pub const CALLS_LOOKED_AT: usize = 1_000;
/// Calls that one page of such a list may have.
pub const CALLS_LISTED: usize = 1_000;
/// Calls that one request may begin.
pub const STARTS_PER_REQUEST: usize = 100;

// Records.

/// Records that may wait for the store in memory: those of a quarter of a second, or more where neither it nor the disk takes any.
pub const RECORDS_WAITING: usize = 10_000;
/// Lines of the file in which records wait for a store that takes none: some 250 MB, the calls of an hour at 70 a second.
pub const RECORDS_IN_FILE: usize = 500_000;
/// Records that are kept at most: about 8 GB, at some 800 bytes each. Past it the account with the most loses its oldest.
pub const RECORDS: u64 = 10_000_000;
/// Records that are deleted in one transaction: some 10 ms, for which whatever else is to be written waits.
pub const RECORDS_FORGOTTEN_AT_ONCE: u64 = 200;
/// How long the record of an ended call is kept: a year and a day.
pub const RECORD_AGE: Duration = Duration::from_secs(366 * 86_400);
