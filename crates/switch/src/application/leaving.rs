//! Whoever was called and has gone: it may have to be told, or to say, one thing more.
//!
//! Never keeps anybody for longer than a transaction lasts.

use model::{ConnectionId, Instant, limits};
use sip::Message;

use super::dialog::{Dialog, Said};
use super::run::Run;
use crate::call::Act;

/// Somebody who is to be told, or is to say, one thing more.
#[derive(Debug)]
pub(super) struct Leaving {
    place: u8,
    dialog: Dialog,
    until: Instant,
}

impl Leaving {
    /// A connection is another one from now on.
    pub(super) fn rename(&mut self, from: ConnectionId, to: ConnectionId) {
        self.dialog.rename(from, to);
    }
}

impl Run {
    /// Nothing more is wanted of it.
    pub(super) fn see_off(&mut self, place: u8, dialog: Dialog, act: &mut Act<'_>) {
        if dialog.is_over() && !dialog.owes_notify() {
            return self.leave(dialog.connection());
        }
        self.leaving.push(Leaving {
            place,
            dialog,
            until: act.now.mono + limits::TRANSACTION_TIME,
        });
    }

    /// Those who have gone are told, or say, what is left to be said.
    pub(super) fn on_leaving_message(
        &mut self,
        place: u8,
        message: &Message<'_>,
        act: &mut Act<'_>,
    ) {
        let mut all = self.leaving.iter_mut();
        if let Some(leaving) = all.find(|leaving| leaving.place == place) {
            let said = leaving.dialog.on_message(message, act);
            if let Said::Refers(_) = said {
                leaving.dialog.conclude_refer(481, act);
            }
        }
        self.forget_those_who_left(act);
    }

    /// Nobody waits any longer for what is to be answered before a BYE.
    pub(crate) fn say_farewells(&mut self, act: &mut Act<'_>) {
        self.caller.say_farewell(act);
        for leaving in &mut self.leaving {
            leaving.dialog.say_farewell(act);
        }
    }

    pub(super) fn forget_those_who_left(&mut self, act: &mut Act<'_>) {
        let now = act.now.mono;
        for mut leaving in std::mem::take(&mut self.leaving) {
            if leaving.until <= now {
                leaving.dialog.withdraw(act);
            }
            let is_done = leaving.dialog.is_over() && !leaving.dialog.owes_notify();
            if is_done || leaving.until <= now {
                self.leave(leaving.dialog.connection());
            } else {
                self.leaving.push(leaving);
            }
        }
    }

    /// When the first of them is waited for no longer.
    pub(super) fn leaving_until(&self) -> Option<Instant> {
        self.leaving.iter().map(|leaving| leaving.until).min()
    }

    pub(super) fn leaving_dialog(&self, place: u8) -> Option<&Dialog> {
        let mut all = self.leaving.iter();
        all.find(|leaving| leaving.place == place)
            .map(|leaving| &leaving.dialog)
    }

    pub(super) fn leaving_connections(&self) -> impl Iterator<Item = ConnectionId> {
        self.leaving
            .iter()
            .map(|leaving| leaving.dialog.connection())
    }

    pub(super) fn lose_leaving(&mut self, connection: ConnectionId) {
        self.leaving
            .retain(|leaving| leaving.dialog.connection() != connection);
    }
}
