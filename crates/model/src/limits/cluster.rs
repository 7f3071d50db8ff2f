//! The bounds of several nodes that work as one.

use std::time::Duration;

/// How often a node says that it is there.
pub const ALIVE_EVERY: Duration = Duration::from_secs(1);
/// For how long its bindings outlive it at the bus: whoever asks for nodes in that time takes it for one that is there.
pub const ALIVE_LASTS: Duration = Duration::from_secs(10);
/// A node that has said nothing for so long, by a bus that is there, is gone. Five times in a row nothing was heard of it.
pub const NODE_SILENCE: Duration = Duration::from_secs(5);
/// Whoever finds that its time came so much too late was itself away, and not all others.
pub const NODE_ASLEEP: Duration = Duration::from_secs(2);
/// A word that a node has not acknowledged is sent again so much later: some hundred times what a word takes.
pub const LINK_AGAIN: Duration = Duration::from_millis(200);
/// A node that acknowledges nothing for so long is given up with all that waits for it. Shorter than anybody waits who calls (RFC 3261 §17.1.1.2, 32 s).
pub const LINK_PATIENCE: Duration = Duration::from_secs(10);
/// How long it takes until it is acknowledged what has come, if nothing is said that does so before.
pub const LINK_ACKNOWLEDGES_AFTER: Duration = Duration::from_millis(50);
/// Words that wait for one node to acknowledge them: the messages of 200 ms at some 20,000 a second.
pub const LINK_WORDS: usize = 4_096;
/// Their bytes.
pub const LINK_BYTES: usize = 8 * 1024 * 1024;
/// Words that are sent again at once.
pub const LINK_AT_ONCE: usize = 64;
/// How long an INVITE for a client that is found nowhere waits for the bus: two times what an answer takes on a bad day.
pub const LOOK_TIME: Duration = Duration::from_secs(1);
/// INVITEs of a shard that wait so; past it whoever is found nowhere is called registered nowhere at once.
pub const LOOKS: usize = 1_024;
/// Calls of other nodes that a connection is known to have a part in; past it the oldest would end without a word if its node died.
pub const CALLS_ELSEWHERE: usize = 64;
/// Clients whose bindings are written in one step.
pub const PUBLISHED_AT_ONCE: usize = 256;
/// Their bytes, but for the last of them: far below what a post may have.
pub const PUBLISHED_BYTES: usize = 256 * 1024;
/// Changes of a node that are kept while what it had before is being read; past it all is read again.
pub const CHANGES_KEPT: usize = 1_024;
/// The longest pause before a node writes all its bindings anew, since the bus has forgotten them or may have; drawn by lot, so that not all do at once.
pub const REWRITE_PAUSE: Duration = Duration::from_secs(3);
/// The pause after the bus has refused something.
pub const PUBLISH_PAUSE: Duration = Duration::from_millis(500);
/// How long a node waits for another to hand a session over: far longer than an answer takes, and shorter than a client waits for
/// its own (5 s).
pub const FETCH_TIME: Duration = Duration::from_secs(3);
/// What may be kept for the client of a session that goes to another node: half of what a post may have.
pub const MOVE_BYTES: usize = 512 * 1024;
/// For how long it is known where a session went. As long as a client usually has to come back (`resume_s`), and far longer than
/// anything is on its way between nodes.
pub const MOVE_KNOWN: Duration = Duration::from_secs(60);
/// Sessions of which that is known; past it the first is forgotten. A thousand a second.
pub const MOVES_KEPT: usize = 65_536;
/// Dialogs whose call has gone to another node; past it the first is forgotten, and what its client says finds no call.
pub const HOMES_KEPT: usize = 65_536;
/// How long a drained node stays when nothing is left on it: what was on its way to it is passed on.
pub const DRAIN_LINGER: Duration = Duration::from_secs(2);
/// Secrets that may be good for a session that has just moved, whose client has not been heard since.
pub const PASS_SECRETS: usize = 4;
