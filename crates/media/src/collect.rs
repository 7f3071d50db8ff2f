//! Digits that are waited for: how many, until which, and for how long.
//!
//! Never plays or stops anything; its leg says when what is played has ended.

use model::Instant;
use model::limits::DIGITS_COLLECTED;
use model::media::{Collect, CollectEnd, Digit};

/// One wait.
#[derive(Debug)]
pub(crate) struct Collecting {
    rule: Collect,
    digits: Vec<Digit>,
    /// None while something is played that is to be heard first.
    due: Option<Instant>,
}

impl Collecting {
    pub(crate) fn new(now: Instant, rule: &Collect, is_playing: bool) -> Self {
        let mut rule = rule.clone();
        rule.most = rule.most.clamp(1, DIGITS_COLLECTED);
        Self {
            due: (!is_playing).then(|| now + rule.first_within),
            digits: Vec::new(),
            rule,
        }
    }

    /// What is played has ended.
    pub(crate) fn on_played(&mut self, now: Instant) {
        if self.digits.is_empty() {
            self.due.get_or_insert(now + self.rule.first_within);
        }
    }

    /// A key; why it is enough, if it is.
    pub(crate) fn on_key(&mut self, now: Instant, digit: Digit) -> Option<CollectEnd> {
        if self.rule.end == Some(digit) {
            return Some(CollectEnd::EndDigit);
        }
        self.digits.push(digit);
        self.due = Some(now + self.rule.next_within);
        (self.digits.len() >= usize::from(self.rule.most)).then_some(CollectEnd::Full)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    pub(crate) fn on_timeout(&self, now: Instant) -> Option<CollectEnd> {
        let is_late = self.due.is_some_and(|due| now >= due);
        is_late.then_some(if self.digits.is_empty() {
            CollectEnd::FirstLate
        } else {
            CollectEnd::NextLate
        })
    }

    pub(crate) fn into_digits(self) -> Vec<Digit> {
        self.digits
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn rule(most: u8) -> Collect {
        Collect {
            most,
            end: Digit::from_key('#'),
            first_within: Duration::from_secs(5),
            next_within: Duration::from_secs(2),
        }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn digit(key: char) -> Digit {
        Digit::from_key(key).unwrap()
    }

    #[test]
    fn enough_or_the_last_one_ends_it() {
        let mut two = Collecting::new(at(0), &rule(2), false);
        assert_eq!(two.on_key(at(1), digit('1')), None);
        assert_eq!(two.on_key(at(1), digit('2')), Some(CollectEnd::Full));
        assert_eq!(two.into_digits(), [digit('1'), digit('2')]);
        let mut many = Collecting::new(at(0), &rule(9), false);
        assert_eq!(many.on_key(at(1), digit('1')), None);
        assert_eq!(many.on_key(at(1), digit('#')), Some(CollectEnd::EndDigit));
        assert_eq!(many.into_digits(), [digit('1')]);
    }

    #[test]
    fn it_waits_from_the_end_of_what_is_played_and_then_from_digit_to_digit() {
        let mut wait = Collecting::new(at(0), &rule(9), true);
        assert_eq!(wait.poll_timeout(), None);
        wait.on_played(at(10));
        assert_eq!(wait.on_timeout(at(14)), None);
        assert_eq!(wait.on_timeout(at(15)), Some(CollectEnd::FirstLate));
        wait.on_key(at(15), digit('1'));
        assert_eq!(wait.on_timeout(at(16)), None);
        assert_eq!(wait.on_timeout(at(17)), Some(CollectEnd::NextLate));
    }
}
