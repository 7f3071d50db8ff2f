//! Somebody whom a run wants to call, and by which lines of trunks that was tried.
//!
//! A number whose line has no room, or no peer that answers, goes out by the next one that leads there.

use model::{ConnectionId, limits};

use super::action::Destination;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(super) to: Destination,
    tried: Vec<ConnectionId>,
    /// To take the place of a party.
    is_in_transfer: bool,
    /// The only line that may be used.
    only: Option<ConnectionId>,
}

impl Wanted {
    pub(super) fn new(to: Destination) -> Self {
        Self {
            to,
            tried: Vec::new(),
            is_in_transfer: false,
            only: None,
        }
    }

    /// To take the place of a party; `only`: by no other line.
    pub(super) fn in_transfer(to: Destination, only: Option<ConnectionId>) -> Self {
        Self {
            is_in_transfer: true,
            only,
            ..Self::new(to)
        }
    }

    pub(super) fn is_in_transfer(&self) -> bool {
        self.is_in_transfer
    }

    /// Whether a line may be used, and was not tried yet.
    pub(super) fn is_new(&self, line: ConnectionId) -> bool {
        self.only.is_none_or(|only| only == line) && !self.tried.contains(&line)
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
