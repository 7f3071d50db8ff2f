//! Somebody whom a run wants to call, and by which lines of trunks that was tried.
//!
//! A number whose line has no room, or no peer that answers, goes out by the next one that leads there.

use model::{ConnectionId, limits};

use super::action::Destination;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) to: Destination,
    tried: Vec<ConnectionId>,
}

impl Wanted {
    pub(super) fn new(to: Destination) -> Self {
        let tried = Vec::new();
        Self { to, tried }
    }

    /// Whether a line was not tried yet.
    pub(super) fn is_new(&self, line: ConnectionId) -> bool {
        !self.tried.contains(&line)
    }

    /// It goes out by this line.
    pub(super) fn by(mut self, line: ConnectionId) -> Self {
        self.tried.push(line);
        self
    }

    /// Whether another line is to be tried, since this one has said that.
    pub(super) fn may_go_on(&self, status: u16) -> bool {
        let is_the_lines = matches!(status, 408 | 503);
        is_the_lines && self.to.needs_trunk() && self.tried.len() < limits::TRUNKS_TRIED
    }
}
