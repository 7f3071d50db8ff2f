//! What a script is doing at the moment, and what each of its states has in common with the others.
//!
//! Never goes on by itself: that is `script`'s.

use model::media::RoomId;
use model::{FileName, Instant, Page, QuestionId};

use super::action::{Action, Confer, Connect, Recording};
use super::choosing::Choosing;
use super::entering::Entering;
use super::hearing::Hearing;

/// What is being done.
#[derive(Debug)]
pub(super) enum Doing {
    /// Nothing yet, or nothing any more.
    Nothing,
    /// An answer is awaited.
    Asking {
        id: QuestionId,
        page: Page,
        is_final: bool,
    },
    /// The caller cannot hear yet, and this action wants that.
    Answering(Action),
    Playing(Hearing),
    Recording {
        recording: Recording,
        file: FileName,
    },
    Entering(Entering),
    Choosing(Choosing),
    Sleeping {
        until: Instant,
    },
    Connecting {
        connect: Connect,
        hold: Option<Hearing>,
    },
    Conferring(Conferring),
    /// The caller and a bot hear each other.
    Streaming(Streamed),
    /// The call has ended, and its recording is being kept.
    Keeping {
        file: FileName,
        /// Told of it then.
        available: Option<Page>,
        until: Instant,
    },
}

/// A stream that is there, or on its way.
#[derive(Debug)]
pub(super) struct Streamed {
    pub(super) number: u64,
    pub(super) next: Page,
    pub(super) since: Instant,
    pub(super) until: Instant,
}

/// In a conference, or waiting for it to start.
#[derive(Debug)]
pub(super) struct Conferring {
    pub(super) confer: Confer,
    /// What is heard until then.
    pub(super) hold: Option<Hearing>,
    /// Once it has started: where, and since when.
    pub(super) room: Option<(RoomId, Instant)>,
    pub(super) is_muted: bool,
}

impl Doing {
    /// The name of the action that is being done.
    pub(super) fn action(&self) -> Option<&'static str> {
        match self {
            Self::Nothing | Self::Asking { .. } => None,
            Self::Answering(action) => Some(action.name()),
            Self::Playing(_) => Some("play"),
            Self::Recording { .. } | Self::Keeping { .. } => Some("record"),
            Self::Entering(entering) => Some(entering.name()),
            Self::Choosing(_) => Some("run_menu"),
            Self::Sleeping { .. } => Some("sleep"),
            Self::Connecting { .. } => Some("connect"),
            Self::Conferring(_) => Some("connect_to_conference"),
            Self::Streaming(_) => Some("stream"),
        }
    }

    /// When it goes on by time alone.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Nothing
            | Self::Asking { .. }
            | Self::Answering(_)
            | Self::Playing(_)
            | Self::Recording { .. }
            | Self::Connecting { .. }
            | Self::Conferring(_) => None,
            Self::Entering(entering) => entering.deadline(),
            Self::Choosing(choosing) => choosing.deadline(),
            Self::Sleeping { until }
            | Self::Streaming(Streamed { until, .. })
            | Self::Keeping { until, .. } => Some(*until),
        }
    }

    /// What the caller hears, or is about to hear.
    pub(super) fn hearing(&mut self) -> Option<&mut Hearing> {
        match self {
            Self::Playing(hearing) => Some(hearing),
            Self::Entering(entering) => entering.hearing(),
            Self::Choosing(choosing) => choosing.hearing(),
            Self::Connecting { hold, .. } => hold.as_mut(),
            Self::Conferring(conferring) => conferring.hold.as_mut(),
            Self::Nothing
            | Self::Asking { .. }
            | Self::Answering(_)
            | Self::Recording { .. }
            | Self::Sleeping { .. }
            | Self::Streaming(_)
            | Self::Keeping { .. } => None,
        }
    }

    /// Whether it takes keys as they come.
    pub(super) fn takes_digits(&self) -> bool {
        matches!(self, Self::Entering(_) | Self::Choosing(_))
    }

    /// The file that is being recorded.
    pub(super) fn file(&self) -> Option<&FileName> {
        match self {
            Self::Recording { file, .. } | Self::Keeping { file, .. } => Some(file),
            Self::Nothing
            | Self::Asking { .. }
            | Self::Answering(_)
            | Self::Playing(_)
            | Self::Entering(_)
            | Self::Choosing(_)
            | Self::Sleeping { .. }
            | Self::Connecting { .. }
            | Self::Streaming(_)
            | Self::Conferring(_) => None,
        }
    }
}
