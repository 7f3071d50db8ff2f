//! A choice by one key: `run_menu`.
//!
//! Says what is to be heard next; never plays anything itself.

use model::Instant;
use model::media::Digit;

use super::action::{Menu, MenuOption, Prompt};
use super::hearing::Hearing;

#[derive(Debug)]
pub(super) struct Choosing {
    menu: Menu,
    /// The prompt, or what is said after a mistake.
    hearing: Option<Hearing>,
    /// While a key is waited for.
    until: Option<Instant>,
    timeouts: usize,
    mistakes: usize,
    /// What is to be said next.
    message: Option<Prompt>,
    is_used_up: bool,
}

impl Choosing {
    pub(super) fn new(now: Instant, menu: Menu, prompt: Option<Hearing>) -> Self {
        Self {
            until: prompt.is_none().then(|| now + menu.wait),
            hearing: prompt,
            menu,
            timeouts: 0,
            mistakes: 0,
            message: None,
            is_used_up: false,
        }
    }

    pub(super) fn hearing(&mut self) -> Option<&mut Hearing> {
        self.hearing.as_mut().filter(|hearing| !hearing.is_heard())
    }

    /// What is heard now.
    pub(super) fn hear(&mut self, hearing: Hearing) {
        self.hearing = Some(hearing);
    }

    pub(super) fn on_heard(&mut self, now: Instant) {
        if let Some(hearing) = self.hearing().filter(|hearing| hearing.is_playing()) {
            hearing.on_heard();
            self.until = Some(now + self.menu.wait);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.until
    }

    /// No key came.
    pub(super) fn on_timeout(&mut self) {
        let message = self.menu.on_timeout.get(self.timeouts).cloned();
        self.timeouts += 1;
        self.say(message);
    }

    /// A key: the option that it chooses, if it does.
    pub(super) fn take(&mut self, digit: Digit) -> Option<MenuOption> {
        if let Some(hearing) = self.hearing() {
            hearing.on_heard();
        }
        let mut options = self.menu.options.iter();
        if let Some(option) = options.find(|option| option.digit == digit) {
            return Some(option.clone());
        }
        if Some(digit) == self.menu.help {
            let prompt = self.menu.prompt.clone();
            self.say(Some(prompt.unwrap_or_default()));
            return None;
        }
        let message = self.menu.on_invalid.get(self.mistakes).cloned();
        self.mistakes += 1;
        self.say(message);
        None
    }

    /// Whether everything was said, and no more is waited for.
    pub(super) fn is_used_up(&self) -> bool {
        self.is_used_up
    }

    pub(super) fn take_message(&mut self) -> Option<Prompt> {
        self.message.take()
    }

    fn say(&mut self, message: Option<Prompt>) {
        self.until = None;
        self.is_used_up = message.is_none();
        self.message = message;
    }
}
