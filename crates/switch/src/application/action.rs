//! What an application can have done: each action, as checked by `page`.
//!
//! Plain values: running them is `script`'s.

use std::sync::Arc;
use std::time::Duration;

use model::media::{Digit, StreamRate, Tone};
use model::{ClientId, FileName, Number, Page, PageUrl, limits};
use sip::Uri;

/// One thing to be done in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Takes the call.
    Answer {
        /// Rows of the answer.
        headers: Vec<(String, String)>,
    },
    /// Does not take it.
    Reject {
        /// What the caller hears.
        status: u16,
    },
    /// Ends it.
    HangUp,
    /// Lets the caller hear something.
    Play(Prompt),
    /// Records what the caller says.
    Record(Recording),
    /// Takes a number, or any digits.
    Enter(Entry),
    /// Lets the caller choose.
    Menu(Menu),
    /// Connects the caller with somebody.
    Connect(Connect),
    /// Brings the caller into a conference.
    Confer(Confer),
    /// Lets the caller and a bot hear each other.
    Stream(Streaming),
    /// Does nothing for a while.
    Sleep(Duration),
    /// Asks another page.
    Redirect(Page),
}

impl Action {
    /// Its name in pages and results.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Answer { .. } => "answer",
            Self::Reject { .. } => "reject",
            Self::HangUp => "hang_up",
            Self::Play(_) => "play",
            Self::Record(_) => "record",
            Self::Enter(entry) => entry.kind.name(),
            Self::Menu(_) => "run_menu",
            Self::Connect(_) => "connect",
            Self::Confer(_) => "connect_to_conference",
            Self::Stream(_) => "stream",
            Self::Sleep(_) => "sleep",
            Self::Redirect(_) => "redirect",
        }
    }

    /// Whether it can be done only in a call that was answered.
    pub(crate) fn needs_answer(&self) -> bool {
        match self {
            Self::Answer { .. }
            | Self::Play(_)
            | Self::Record(_)
            | Self::Enter(_)
            | Self::Menu(_)
            | Self::Connect(_)
            | Self::Confer(_)
            | Self::Stream(_) => true,
            Self::Reject { .. } | Self::HangUp | Self::Sleep(_) | Self::Redirect(_) => false,
        }
    }

    /// Whether it takes keys that were pressed before it began.
    pub(crate) fn takes_digits(&self) -> bool {
        matches!(self, Self::Enter(_) | Self::Menu(_))
    }
}

/// What a caller hears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// One after the other; shared by those messages of a menu that are its prompt.
    pub(crate) items: Arc<[Item]>,
    /// Whether a key ends it.
    pub(crate) barge_in: bool,
}

/// One thing to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Speech {
        text: String,
        voice: Option<String>,
    },
    File(FileName),
    Tone(Tone),
    /// Keys that are pressed towards whoever hears the rest.
    Digits(Vec<Digit>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recording {
    pub(crate) next: Page,
    /// Told that there is a recording, beside the call.
    pub(crate) available: Option<Page>,
    /// Each of these keys ends it.
    pub(crate) stop: Keys,
    pub(crate) longest: Duration,
    /// So much silence before anything was said ends it.
    pub(crate) first_silence: Option<Duration>,
    /// So much silence after that ends it.
    pub(crate) silence: Option<Duration>,
    pub(crate) beep: bool,
}

/// Which action takes the digits: they end and tell it differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// `get_number`
    Number,
    /// `get_input`
    Input,
}

impl EntryKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Number => "get_number",
            Self::Input => "get_input",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: EntryKind,
    pub(crate) next: Page,
    pub(crate) prompt: Option<Prompt>,
    /// So many digits are enough.
    pub(crate) count: u8,
    /// Ends it, and is not one of them.
    pub(crate) end: Option<Digit>,
    pub(crate) valid: Keys,
    /// Plays the prompt again.
    pub(crate) help: Option<Digit>,
    /// How long all of it may take, from the end of the prompt.
    pub(crate) whole: Duration,
    /// How long to wait for the first digit.
    pub(crate) first: Option<Duration>,
    /// And for each one after it.
    pub(crate) between: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Menu {
    pub(crate) options: Vec<MenuOption>,
    pub(crate) prompt: Option<Prompt>,
    /// Plays the prompt again.
    pub(crate) help: Option<Digit>,
    pub(crate) wait: Duration,
    /// Heard one after another, each time that no digit came; when all were heard, the menu is over.
    pub(crate) on_timeout: Vec<Prompt>,
    /// The same for a digit without an option.
    pub(crate) on_invalid: Vec<Prompt>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MenuOption {
    pub(crate) digit: Digit,
    pub(crate) next: Page,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Connect {
    /// All are called at once.
    pub(crate) destinations: Vec<Destination>,
    /// Who is called, all of a row at once, when those before have not taken the call; no page can say this.
    pub(crate) later: Vec<Vec<Destination>>,
    /// What they are told who calls; the caller, if not said.
    pub(crate) from: Option<String>,
    /// What the caller hears meanwhile; ringing, if not said.
    pub(crate) hold: Option<Prompt>,
    /// How long they may ring.
    pub(crate) ring: Duration,
    /// Whether the caller hears what a number lets it hear before it answers.
    pub(crate) passes_early: bool,
    /// What whoever answers is asked before both hear each other; nothing, if not said.
    pub(crate) secondary: Option<SecondaryCall>,
    /// Asked afterwards; without it the next action runs.
    pub(crate) next: Option<Page>,
}

impl Connect {
    /// These ring, and nothing else is said.
    pub(crate) fn ringing(destinations: Vec<Destination>, ring: Duration) -> Self {
        Self {
            destinations,
            later: Vec::new(),
            from: None,
            hold: None,
            ring,
            passes_early: false,
            secondary: None,
            next: None,
        }
    }
}

/// The pages of whoever answers a `connect`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SecondaryCall {
    /// Says what happens before both hear each other.
    pub(crate) first: Option<Page>,
    /// Told when that call has ended.
    pub(crate) last: Option<Page>,
    /// Told what went wrong.
    pub(crate) error: Option<Page>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Confer {
    /// Of the account's.
    pub(crate) name: String,
    /// What the caller hears until the conference starts; nothing, if not said.
    pub(crate) hold: Option<Prompt>,
    pub(crate) participant: Participant,
    /// Asked afterwards; without it the next action runs.
    pub(crate) next: Option<Page>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Streaming {
    /// Where the bot is; `http:` and `https:` stand for `ws:` and `wss:`.
    pub(crate) url: PageUrl,
    pub(crate) rate: StreamRate,
    pub(crate) longest: Duration,
    pub(crate) next: Page,
}

/// How somebody is in a conference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Participant {
    /// Whether the others hear it.
    pub(crate) talker: bool,
    /// Whether the conference starts with it, if it has not.
    pub(crate) start_on_entry: bool,
    /// Whether it ends for everybody when this one leaves.
    pub(crate) destroy_on_exit: bool,
    pub(crate) beep_on_entry: bool,
    /// Leaves.
    pub(crate) exit: Option<Digit>,
    /// Is not heard from now on.
    pub(crate) mute: Option<Digit>,
    /// Is heard again.
    pub(crate) unmute: Option<Digit>,
}

/// Whom an application calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// `webrtc:<client>`
    Client(ClientId),
    /// `tel:<number>`, by whichever trunk comes first.
    Number(Number),
    /// `sip:<user>@<host>`, by the trunk whose domain or peer the host is.
    Address {
        /// As it stands in the address.
        user: Box<str>,
        /// Whose.
        host: Box<str>,
        /// Of a peer, where several are on one machine.
        port: Option<u16>,
    },
}

impl Destination {
    /// Whether it is reached by a trunk, and by nothing else.
    pub(crate) fn needs_trunk(&self) -> bool {
        match self {
            Self::Client(_) => false,
            Self::Number(_) | Self::Address { .. } => true,
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("webrtc", client)) => ClientId::parse(client)
                .map(Self::Client)
                .map_err(|error| error.to_string()),
            Some(("tel", number)) => {
                let number = number.split(';').next().unwrap_or_default();
                Number::parse(number)
                    .map(Self::Number)
                    .map_err(|error| error.to_string())
            }
            Some(("sip", _)) => Self::address(text),
            Some(("sips", _)) => {
                Err("'sips:' destinations ask for TLS on every hop, which no trunk can promise: give 'sip:'".to_owned())
            }
            Some(_) | None => {
                let shown: String = text.chars().take(64).collect();
                Err(format!(
                    "{shown:?} is no destination: 'webrtc:' and a client id is one, 'tel:' and a number, or a 'sip:' address"
                ))
            }
        }
    }

    fn address(text: &str) -> Result<Self, String> {
        let shown: String = text.chars().take(64).collect();
        let uri = Uri::parse(text).map_err(|why| format!("{shown:?} is no destination: {why}"))?;
        match uri
            .user
            .filter(|user| user.len() <= limits::ADDRESS_BYTES / 4)
        {
            Some(user) if uri.password.is_none() && uri.headers.is_none() => Ok(Self::Address {
                user: user.into(),
                host: uri.host.into(),
                port: uri.port,
            }),
            Some(_) | None => Err(format!(
                "{shown:?} is no destination: a 'sip:' address has a user and a host, no password and no headers"
            )),
        }
    }
}

/// Keys of a telephone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keys(u16);

impl Keys {
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut keys = Self::default();
        for key in text.chars() {
            let digit = Digit::from_key(key)
                .ok_or_else(|| format!("'{name}' takes 0 to 9, A to D, '*' and '#'"))?;
            keys.0 |= 1 << digit.event();
        }
        Ok(keys)
    }

    pub(crate) fn one(name: &str, text: &str) -> Result<Digit, String> {
        Self::at_most_one(name, text)?.ok_or_else(|| format!("'{name}' must be one key"))
    }

    pub(crate) fn at_most_one(name: &str, text: &str) -> Result<Option<Digit>, String> {
        let mut keys = text.chars();
        let (first, second) = (keys.next(), keys.next());
        let Some(first) = first else {
            return Ok(None);
        };
        let digit = Digit::from_key(first).filter(|_| second.is_none());
        digit
            .map(Some)
            .ok_or_else(|| format!("'{name}' must be one of 0 to 9, A to D, '*' and '#'"))
    }

    pub(crate) fn contains(self, digit: Digit) -> bool {
        self.0 & (1 << digit.event()) != 0
    }
}
