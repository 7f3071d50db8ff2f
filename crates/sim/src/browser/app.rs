//! The app on the page: what it is told, and what it does by habit.

use super::call::{CallKey, CallState};
use super::{Browser, Timer};

/// What the SDK told its app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// `onIncomingState`.
    IncomingState {
        /// Whether calls can come.
        ready: bool,
        /// Why.
        cause: &'static str,
        /// Whether the SDK goes on trying.
        retry: bool,
    },
    /// `onIncoming`.
    Incoming {
        /// Which call.
        call: CallKey,
        /// Who calls.
        from: String,
        /// `client`, `service` or `other`.
        kind: &'static str,
    },
    /// `onRinging`.
    Ringing(CallKey),
    /// `onConnected`.
    Connected(CallKey),
    /// `onDisconnect`.
    Disconnected {
        /// Which call.
        call: CallKey,
        /// The cause as the SDK maps it.
        cause: &'static str,
    },
    /// A re-INVITE of its own was answered with this status.
    Reinvited(CallKey, u16),
}

/// What the app does with an incoming call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answering {
    /// Nothing by itself.
    Never,
    /// Answers after so many microseconds.
    After(u64),
    /// Rejects with this status after so many microseconds.
    Rejects(u16, u64),
}

/// How the app behaves by itself.
#[derive(Clone, Debug)]
pub struct Habit {
    /// What it does with incoming calls.
    pub answering: Answering,
    /// When it hangs up an established call, if it does.
    pub talks: Option<u64>,
    /// Calls that it takes at once (`maxConcurrent`).
    pub at_once: usize,
    /// Whether it calls `ringing()`: the second 180.
    pub rings: bool,
    /// `X-` headers for INVITE, 180 and 200.
    pub headers: Vec<(String, String)>,
    /// The page hangs as soon as it is called: it sends nothing at all, not even 100.
    pub is_dead: bool,
}

impl Default for Habit {
    fn default() -> Self {
        Self {
            answering: Answering::Never,
            talks: None,
            at_once: 1,
            rings: true,
            headers: Vec::new(),
            is_dead: false,
        }
    }
}

impl Browser {
    pub(super) fn app_is_called(&mut self, key: CallKey) {
        match self.habit.answering {
            Answering::Never => {}
            Answering::After(after) | Answering::Rejects(_, after) => {
                self.wake(after, Timer::AppDecides(key));
            }
        }
    }

    pub(super) fn app_decides(&mut self, key: CallKey) {
        if self.call_state(key) != Some(CallState::Ringing) {
            return;
        }
        match self.habit.answering {
            Answering::Never => {}
            Answering::After(_) => self.answer_call(key),
            Answering::Rejects(status, _) => self.reject_call(key, status),
        }
    }

    pub(super) fn app_is_connected(&mut self, key: CallKey) {
        if let Some(talks) = self.habit.talks {
            self.wake(talks, Timer::AppHangsUp(key));
        }
    }

    /// The last thing that its app heard of a kind.
    pub fn last_cause(&self) -> Option<&'static str> {
        self.heard.iter().rev().find_map(|(_, heard)| match heard {
            Heard::Disconnected { cause, .. } => Some(*cause),
            Heard::IncomingState { .. }
            | Heard::Incoming { .. }
            | Heard::Ringing(_)
            | Heard::Connected(_)
            | Heard::Reinvited(..) => None,
        })
    }

    /// What its app heard as the cause of a call's end.
    pub fn cause_of(&self, call: CallKey) -> Option<&'static str> {
        self.heard.iter().find_map(|(_, heard)| match heard {
            Heard::Disconnected { call: of, cause } if *of == call => Some(*cause),
            Heard::Disconnected { .. }
            | Heard::IncomingState { .. }
            | Heard::Incoming { .. }
            | Heard::Ringing(_)
            | Heard::Connected(_)
            | Heard::Reinvited(..) => None,
        })
    }

    /// The last `onIncomingState`: ready, cause, retry.
    pub fn last_state(&self) -> Option<(bool, &'static str, bool)> {
        self.heard.iter().rev().find_map(|(_, heard)| match heard {
            Heard::IncomingState {
                ready,
                cause,
                retry,
            } => Some((*ready, *cause, *retry)),
            Heard::Incoming { .. }
            | Heard::Ringing(_)
            | Heard::Connected(_)
            | Heard::Disconnected { .. }
            | Heard::Reinvited(..) => None,
        })
    }

    /// The key of the last call that came in.
    pub fn last_incoming(&self) -> Option<CallKey> {
        self.heard.iter().rev().find_map(|(_, heard)| match heard {
            Heard::Incoming { call, .. } => Some(*call),
            Heard::IncomingState { .. }
            | Heard::Ringing(_)
            | Heard::Connected(_)
            | Heard::Disconnected { .. }
            | Heard::Reinvited(..) => None,
        })
    }
}
