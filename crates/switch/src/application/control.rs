//! What an account may do to a call that goes on, as its back end says it in JSON.
//!
//! The shapes are those of docs/api.md, and in them those of pages. Doing it is `steering`'s.

use std::time::Duration;

use model::media::Digit;
use model::{FileName, limits};
use serde::Deserialize;

use super::action::{Connect, Destination, Item, Prompt};
use super::few::Few;
use super::page;
use super::shape::{MediaShape, PlayShape};

/// One thing to be done to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control(pub(crate) Wanted);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    HangUp,
    /// What is done for the first party is left off, and it is connected with somebody else.
    Transfer(Connect),
    Play {
        prompt: Prompt,
        to: Parties,
    },
    Record {
        longest: Duration,
        beep: bool,
    },
    StopRecord,
    SendDigits {
        digits: Vec<Digit>,
        to: Parties,
    },
}

/// Who of a call is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Parties {
    /// Whoever has called us, or was called first.
    #[default]
    First,
    /// Whoever that one is connected with.
    Second,
    Both,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct ControlPlayShape {
    play_list: Few<MediaShape, { limits::PLAY_SOUNDS }>,
    barge_in_on_digit: Option<bool>,
    #[serde(default)]
    party: Parties,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct ControlRecordShape {
    seconds_max_duration: Option<u32>,
    #[serde(default)]
    beep_on_start: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct ControlDigitsShape {
    digits: String,
    #[serde(default)]
    party: Parties,
}

impl Control {
    /// The call ends.
    pub fn hang_up() -> Self {
        Self(Wanted::HangUp)
    }

    /// The recording that was begun so ends.
    pub fn stop_recording() -> Self {
        Self(Wanted::StopRecord)
    }

    /// Reads what `transfer` is to do.
    pub fn transfer(body: &[u8]) -> Result<Self, String> {
        page::connect_alone(body).map(|connect| Self(Wanted::Transfer(connect)))
    }

    /// Reads what `play` is to do.
    pub fn play(body: &[u8]) -> Result<Self, String> {
        let shape: ControlPlayShape = page::object(body)?;
        let prompt = page::prompt(PlayShape {
            play_list: shape.play_list,
            barge_in_on_digit: Some(shape.barge_in_on_digit.unwrap_or(false)),
            barge_in_on_speech: false,
        })?;
        let to = shape.party;
        Ok(Self(Wanted::Play { prompt, to }))
    }

    /// Reads what `record` is to do.
    pub fn record(body: &[u8]) -> Result<Self, String> {
        let shape: ControlRecordShape = page::object(body)?;
        let most = limits::RECORD_TIME;
        let longest = shape
            .seconds_max_duration
            .map_or(most, |seconds| Duration::from_secs(seconds.into()));
        if longest.is_zero() || longest > most {
            let most = most.as_secs();
            return Err(format!("'seconds_max_duration' must be from 1 to {most}"));
        }
        let beep = shape.beep_on_start;
        Ok(Self(Wanted::Record { longest, beep }))
    }

    /// Reads what `dtmf` is to do.
    pub fn send_digits(body: &[u8]) -> Result<Self, String> {
        let shape: ControlDigitsShape = page::object(body)?;
        let most = usize::from(limits::DIGITS_ENTERED);
        let digits = shape.digits.chars().take(most + 1).map(Digit::from_key);
        let digits: Option<Vec<Digit>> = digits.collect();
        let digits = digits.filter(|digits| (1..=most).contains(&digits.len()));
        let digits = digits.ok_or_else(|| {
            format!("'digits' must be 1 to {most} of 0 to 9, A to D, '*' and '#'")
        })?;
        let to = shape.party;
        Ok(Self(Wanted::SendDigits { digits, to }))
    }

    /// The account's files that are to be heard.
    pub fn files(&self) -> Vec<&FileName> {
        let prompt = match &self.0 {
            Wanted::Play { prompt, .. } => Some(prompt),
            Wanted::Transfer(connect) => connect.hold.as_ref(),
            Wanted::HangUp
            | Wanted::Record { .. }
            | Wanted::StopRecord
            | Wanted::SendDigits { .. } => None,
        };
        let items = prompt.map_or(&[][..], |prompt| &prompt.items);
        let files = items.iter().filter_map(|item| match item {
            Item::File(name) => Some(name),
            Item::Speech { .. } | Item::Tone(_) | Item::Digits(_) => None,
        });
        files.collect()
    }

    pub(crate) fn is_hang_up(&self) -> bool {
        self.0 == Wanted::HangUp
    }

    /// Who is to be called.
    pub(crate) fn destinations(&self) -> &[Destination] {
        match &self.0 {
            Wanted::Transfer(connect) => &connect.destinations,
            Wanted::HangUp
            | Wanted::Play { .. }
            | Wanted::Record { .. }
            | Wanted::StopRecord
            | Wanted::SendDigits { .. } => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_another_form_is_told_in_plain_words() {
        let told = |read: fn(&[u8]) -> Result<Control, String>, body: &str| {
            read(body.as_bytes()).unwrap_err()
        };
        for (fault, words) in [
            (told(Control::record, "null"), "null, expected an object"),
            (told(Control::transfer, "7"), "expected an object"),
            (
                told(Control::play, r#"{"play_list":[null]}"#),
                "null, expected an object",
            ),
            (
                told(Control::play, r#"{"play_list":null}"#),
                "null, expected a list",
            ),
            (
                told(Control::record, r#"{"seconds_max_duration":"x"}"#),
                "expected a whole number",
            ),
            (
                told(Control::record, r#"{"seconds_max_duration":-1}"#),
                "expected a whole number",
            ),
        ] {
            assert!(fault.contains(words), "{fault}");
            assert!(!fault.contains("Shape"), "{fault}");
        }
    }

    #[test]
    fn what_is_to_be_done_is_read_as_pages_say_it() {
        let transfer = Control::transfer(br#"{"destinations":["webrtc:bob"]}"#).unwrap();
        assert_eq!(transfer.destinations().len(), 1);
        let play = Control::play(
            br#"{"play_list":[{"file_to_play":"a.wav"},{"text_to_say":"hello"}],"party":"both"}"#,
        )
        .unwrap();
        assert_eq!(play.files().len(), 1);
        assert!(matches!(
            play.0,
            Wanted::Play {
                to: Parties::Both,
                ..
            }
        ));
        let record = Control::record(b"{}").unwrap();
        let longest = limits::RECORD_TIME;
        let beep = false;
        assert_eq!(record.0, Wanted::Record { longest, beep });
        let digits = Control::send_digits(br#"{"digits":"1#a"}"#).unwrap();
        assert!(
            matches!(digits.0, Wanted::SendDigits { digits, to: Parties::First } if digits.len() == 3)
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let long = format!(r#"{{"digits":"{}"}}"#, "1".repeat(65));
        for (fault, word) in [
            (Control::transfer(b"{}"), "destinations"),
            (
                Control::transfer(br#"{"destinations":["bob"]}"#),
                "no destination",
            ),
            (
                Control::transfer(
                    br#"{"destinations":["webrtc:bob"],"next_page":{"url":"http://a.example/"}}"#,
                ),
                "'next_page'",
            ),
            (Control::play(br#"{"play_list":[]}"#), "'play_list'"),
            (
                Control::play(br#"{"play_list":[{"text_to_say":"a"}],"party":"third"}"#),
                "third",
            ),
            (
                Control::record(br#"{"seconds_max_duration":0}"#),
                "'seconds_max_duration'",
            ),
            (Control::send_digits(br#"{"digits":""}"#), "'digits'"),
            (Control::send_digits(br#"{"digits":"x"}"#), "'digits'"),
            (Control::send_digits(long.as_bytes()), "'digits'"),
            (Control::send_digits(b"1"), "a number, expected an object"),
            (Control::record(br#"{"file":"a"}"#), "unknown field"),
        ] {
            let why = fault.unwrap_err();
            assert!(why.contains(word), "{why}");
        }
    }
}
