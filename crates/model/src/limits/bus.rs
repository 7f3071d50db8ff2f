//! The bounds of the bus that several nodes share.

use std::time::Duration;

/// How long it may take to connect to the bus, with TLS and password: it is in the next rack, or the node works alone.
pub const BUS_CONNECT_TIME: Duration = Duration::from_secs(1);
/// How long the bus may take to answer: it does in a millisecond, and what is asked waits in somebody's call.
pub const BUS_ANSWER_TIME: Duration = Duration::from_secs(1);
/// How long a node's bindings may take to come whole: 100,000 of them are some 20 MiB.
pub const BUS_LOAD_TIME: Duration = Duration::from_secs(5);
/// Commands that wait for an answer of the bus; past it a further one fails at once.
pub const BUS_COMMANDS: usize = 4_096;
/// And their bytes: a large one takes the places of several.
pub const BUS_COMMANDS_BYTES: usize = 64 * 1024 * 1024;
/// Places that the address of a bus may name: a cluster tells of its others itself.
pub const BUS_HOSTS: usize = 16;
/// What all keys of an installation begin with.
pub const BUS_PREFIX_BYTES: usize = 64;
/// The largest message to other nodes: a SIP message and what is said of it, many times over.
pub const BUS_POST_BYTES: usize = 1024 * 1024;
/// The largest step: what changed since the last, and the message that tells of it. More is better written anew.
pub const BUS_STEP_BYTES: usize = 4 * 1024 * 1024;
/// Fields in one command, so that the bus keeps nobody waiting: some 0.5 ms.
pub const BUS_COMMAND_FIELDS: usize = 512;
/// And their bytes.
pub const BUS_COMMAND_BYTES: usize = 256 * 1024;
/// What has been heard and waits to be read, in bytes; past it the node is too slow, and hears anew.
pub const BUS_HEARD_BYTES: usize = 64 * 1024 * 1024;
/// How often whoever hears asks whether the bus is there, and how long it waits for the answer.
pub const BUS_PING: Duration = Duration::from_secs(1);
/// Answers that may be missing one after another before the bus is taken for gone.
pub const BUS_PINGS_MISSED: u32 = 2;
/// The first pause after the bus could not be heard; it doubles each time.
pub const BUS_PAUSE: Duration = Duration::from_millis(50);
/// The longest such pause.
pub const BUS_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long the bindings of a node stay on the bus after it was last alive: whether they are good the node's presence says.
pub const BUS_BINDINGS_TIME: Duration = Duration::from_secs(60);
/// How long a number that was claimed is nobody else's, until its node says that it is alive.
pub const BUS_CLAIM_TIME: Duration = Duration::from_secs(10);
