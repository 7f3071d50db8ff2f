//! See the module above: one line, as a machine.

use std::net::SocketAddr;
use std::sync::Arc;

use model::{ConnectionId, Instant, Now, Trunk};

use crate::effect::Counter;

/// What a line is told.
#[derive(Clone, Debug)]
pub enum LineInput<'a> {
    /// A datagram of a source that the trunk admits ([`Trunk::admits`]).
    Datagram {
        /// Whence.
        from: SocketAddr,
        /// All of it.
        bytes: &'a [u8],
    },
    /// A message that a shard sends on the line's connection.
    Send {
        /// The whole message.
        message: &'a [u8],
    },
    /// The instant of `poll_timeout` has come.
    Timeout,
    /// The server is going down: what it registered is taken back.
    Stop,
}

/// What a line wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineEffect {
    /// Send a datagram.
    Datagram {
        /// To whom.
        to: SocketAddr,
        /// All of it.
        bytes: Vec<u8>,
    },
    /// Give this message to the shard of the trunk's account, as [`Input::Message`](crate::Input::Message) on the line's connection.
    Deliver {
        /// A whole message that `sip::parse` takes.
        message: Vec<u8>,
    },
    /// The line is another than it was.
    State(LineState),
    /// Add one to this counter.
    Count(Counter),
}

/// Whether calls can go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineState {
    /// The peer that is used, if any answers.
    pub peer: Option<SocketAddr>,
    /// Whether it took our registration; `None` where there is to be none.
    pub is_registered: Option<bool>,
    /// The status of the last refusal of a registration, or of the OPTIONS; 408 for none.
    pub refused: Option<u16>,
}

/// See the module.
#[derive(Debug)]
pub struct Line {
    connection: ConnectionId,
    trunk: Arc<Trunk>,
    /// Where peers reach our socket.
    own: SocketAddr,
}

impl Line {
    /// A line that has sent nothing yet. `own`: the address of our socket as peers know it; `seed`: for what is not to be guessed.
    pub fn new(
        connection: ConnectionId,
        trunk: Arc<Trunk>,
        own: SocketAddr,
        _seed: [u8; 32],
        _now: Now,
    ) -> Self {
        Self {
            connection,
            trunk,
            own,
        }
    }

    /// The connection that its shard knows it by.
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Whom it leads to.
    pub fn trunk(&self) -> &Arc<Trunk> {
        &self.trunk
    }

    /// Where peers reach us.
    pub fn own(&self) -> SocketAddr {
        self.own
    }

    /// One thing happened; every effect is to be taken before the next.
    pub fn handle(&mut self, _now: Now, _input: LineInput<'_>) {}

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<LineEffect> {
        None
    }

    /// When [`LineInput::Timeout`] is wanted.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}
