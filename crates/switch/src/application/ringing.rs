//! Those who ring, or call, for the place of a party that a transfer takes away: rows of them, as for a caller.
//!
//! A list and its times; what is said to whom is `transfer`'s.

use model::media::LegKind;
use model::{CallRecord, ConnectionId, Instant};

use super::action::{Connect, Destination};
use super::connecting::{Called, Connecting};
use super::dialog::Dialog;
use super::wanted::Wanted;

impl Called {
    /// One who calls us.
    pub(crate) fn calling(place: u8, kind: LegKind, record: CallRecord, dialog: Dialog) -> Self {
        let nobody = Destination::Address {
            user: "".into(),
            host: "".into(),
            port: None,
        };
        Self {
            place,
            wanted: Wanted::new(nobody),
            connection: dialog.connection(),
            kind,
            headers: Vec::new(),
            record,
            joined: None,
            dialog,
            bye_due: None,
        }
    }
}

impl Connecting {
    /// Those of a row ring at once; `line`: the only one that they are called by.
    pub(super) fn in_transfer(
        connect: Connect,
        from: &str,
        line: Option<ConnectionId>,
        now: Instant,
    ) -> Self {
        let row = |row: Vec<_>| row.into_iter().map(|to| Wanted::in_transfer(to, line));
        let later = connect.later.into_iter().map(|next| row(next).collect());
        Self::new(
            row(connect.destinations).collect(),
            later.collect(),
            from.to_owned(),
            connect.ring,
            now,
        )
    }

    /// One who calls.
    pub(super) fn called_by(called: Called, until: Instant) -> Self {
        let from = called.record.caller.as_str().to_owned();
        let mut known = Self::new(
            Vec::new(),
            Vec::new().into(),
            from,
            Default::default(),
            until,
        );
        known.called.push(called);
        known
    }

    /// It is tried again.
    pub(super) fn want(&mut self, again: Wanted) {
        self.wanted.push(again);
    }

    /// No further row rings.
    pub(super) fn want_nobody_later(&mut self) {
        self.later.clear();
    }

    /// Whether this row has rung for as long as it may.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.until <= now
    }

    /// The best that is to be said of those who did not take it, once nobody is left. The next row rings, if there is one.
    pub(super) fn is_alone(&mut self, now: Instant) -> Option<u16> {
        if !self.called.is_empty() || !self.wanted.is_empty() {
            return None;
        }
        match self.later.pop_front() {
            Some(next) => {
                self.wanted = next;
                self.until = now + self.ring;
                None
            }
            None => Some(self.status),
        }
    }

    /// One of them is no longer among them, for this reason.
    pub(super) fn take_out(&mut self, place: u8, status: u16) -> Option<Called> {
        let mut all = self.called.iter();
        let at = all.position(|called| called.place == place)?;
        self.note(status);
        Some(self.called.swap_remove(at))
    }
}
