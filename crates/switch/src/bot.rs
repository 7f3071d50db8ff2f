//! The control messages of a stream, in JSON: what bots say, and what they are told.
//!
//! docs/applications.md tells them. What is not known is refused: it would be lost. Sound is binary, and none of it comes here.

use std::sync::Arc;
use std::time::Duration;

use model::limits;
use model::media::{Digit, StreamStop};
use serde::Deserialize;
use serde_json::{Value, json};

/// What a bot says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BotWord {
    /// What waits is not to be heard.
    Clear,
    /// It wants to know when everything before was heard.
    Mark(String),
    /// It has done what it was to do, with this result in JSON.
    End(Arc<str>),
}

#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
enum Shape {
    Clear {},
    Mark {
        name: String,
    },
    End {
        #[serde(default)]
        result: Value,
    },
}

/// Reads a text message; what is wrong with it is said in words that follow on "the application".
pub fn read(text: &str) -> Result<BotWord, String> {
    if text.len() > limits::STREAM_CONTROL_BYTES {
        return Err(format!(
            "sent a control message of more than {} bytes",
            limits::STREAM_CONTROL_BYTES
        ));
    }
    let shape = serde_json::from_str(text)
        .map_err(|error| format!("sent what is no control message: {error}"))?;
    match shape {
        Shape::Clear {} => Ok(BotWord::Clear),
        Shape::Mark { name } if name.len() > limits::STREAM_MARK_BYTES => Err(format!(
            "sent a mark whose name has more than {} bytes",
            limits::STREAM_MARK_BYTES
        )),
        Shape::Mark { name } => Ok(BotWord::Mark(name)),
        Shape::End { result } => {
            let result = result.to_string();
            if result.len() > limits::STREAM_RESULT_BYTES {
                return Err(format!(
                    "sent a result of more than {} bytes",
                    limits::STREAM_RESULT_BYTES
                ));
            }
            Ok(BotWord::End(result.into()))
        }
    }
}

/// A key was pressed.
pub fn digit(digit: Digit) -> String {
    json!({ "event": "digit", "digit": digit.to_string() }).to_string()
}

/// A mark was reached: everything before it was heard, or was cleared.
pub fn mark(name: &str, was_heard: bool) -> String {
    json!({ "event": "mark", "name": name, "played": was_heard }).to_string()
}

/// So much sound had no room.
pub fn dropped(time: Duration) -> String {
    let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    json!({ "event": "dropped", "milliseconds": milliseconds }).to_string()
}

/// Nothing more comes.
pub fn end(why: StreamStop) -> String {
    json!({ "event": "end", "cause": why.as_str() }).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_bots_say_is_read() {
        let end = |json: &str| Ok(BotWord::End(json.into()));
        for (text, word) in [
            (r#"{"event":"clear"}"#, Ok(BotWord::Clear)),
            (
                r#"{"name":"a","event":"mark"}"#,
                Ok(BotWord::Mark("a".to_owned())),
            ),
            (r#"{"event":"end"}"#, end("null")),
            (
                r#"{"event":"end","result":{"intent":"sales","sure":0.5}}"#,
                end(r#"{"intent":"sales","sure":0.5}"#),
            ),
        ] {
            assert_eq!(read(text), word, "{text}");
        }
    }

    #[test]
    fn what_is_none_of_it_is_refused_in_words() {
        let long = |length: usize| "x".repeat(length);
        for (text, word) in [
            (String::new(), "no control message"),
            ("[]".to_owned(), "no control message"),
            (r#"{"event":"dance"}"#.to_owned(), "`dance`"),
            (r#"{"event":"clear","now":true}"#.to_owned(), "`now`"),
            (r#"{"event":"mark"}"#.to_owned(), "`name`"),
            (
                format!(r#"{{"event":"mark","name":"{}"}}"#, long(129)),
                "128 bytes",
            ),
            (
                format!(r#"{{"event":"end","result":"{}"}}"#, long(8_191)),
                "8192 bytes",
            ),
            (long(16_385), "16384 bytes"),
            ("[".repeat(1_000), "no control message"),
        ] {
            let why = read(&text).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_word_or_a_fault(text in any::<String>()) {
            let _ = read(&text);
        }
    }

    #[test]
    fn what_bots_are_told_is_json() {
        let five = Digit::from_key('5').expect("a key");
        assert_eq!(digit(five), r#"{"digit":"5","event":"digit"}"#);
        assert_eq!(
            mark("\"", false),
            r#"{"event":"mark","name":"\"","played":false}"#
        );
        assert_eq!(
            dropped(Duration::from_millis(1_500)),
            r#"{"event":"dropped","milliseconds":1500}"#
        );
        let ended = end(StreamStop::CallEnded);
        assert_eq!(ended, r#"{"cause":"call_ended","event":"end"}"#);
    }
}
