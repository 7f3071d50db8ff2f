//! Resumable signalling: a session that outlives its WebSocket (docs/resume.md).
//!
//! [`head`] reads and writes what stands before each message, [`Session`] numbers messages and keeps what the client has not
//! acknowledged, [`Credentials`] says which session a client may go on with. A session is one connection to its shard, on
//! however many sockets. Never looks into SIP, never knows a socket.

mod credential;
mod head;
mod moved;
mod session;

pub use credential::{Claim, Credential, Credentials, Pass, SocketNumber};
pub use head::{Broken, Opening};
pub use moved::Moves;
pub use session::{Full, Incoming, Packed, Session};

/// The WebSocket subprotocol (RFC 6455 §1.9).
pub const SUBPROTOCOL: &str = "sip-resume";

/// What a server answers to a `RESUME` whose session is not there.
pub const GONE: &str = "GONE the session has ended; open a new one";
