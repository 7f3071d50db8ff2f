//! What is to be heard, as pages say it: texts, files, tones and keys, one after the other.

use model::media::{Digit, Tone};
use model::{FileName, limits};

use super::super::action::{Item, Prompt};
use super::super::shape::{MediaShape, PlayShape, PromptShape, ToneShape};
use super::{Fault, wait};

pub(super) fn unwrapped(shape: PromptShape) -> Result<Prompt, Fault> {
    match (shape.play, shape.play_list) {
        (Some(play), None) => prompt(play),
        (None, Some(play_list)) => prompt(PlayShape {
            play_list,
            barge_in_on_digit: shape.barge_in_on_digit,
            barge_in_on_speech: shape.barge_in_on_speech,
        }),
        (Some(_), Some(_)) | (None, None) => Err(
            "what is to be heard is said in 'play', as {\"play\":{\"play_list\":[…]}}".to_owned(),
        ),
    }
}

pub(super) fn optional(shape: Option<PromptShape>) -> Result<Option<Prompt>, Fault> {
    shape.map(unwrapped).transpose()
}

pub(in crate::application) fn prompt(shape: PlayShape) -> Result<Prompt, Fault> {
    if shape.barge_in_on_speech {
        return Err(
            "there is no speech recognition here: leave 'barge_in_on_speech' out".to_owned(),
        );
    }
    if shape.play_list.is_empty() || shape.play_list.len() > limits::PLAY_SOUNDS {
        return Err(format!(
            "'play_list' must have 1 to {} members",
            limits::PLAY_SOUNDS
        ));
    }
    Ok(Prompt {
        items: shape
            .play_list
            .into_iter()
            .map(item)
            .collect::<Result<_, _>>()?,
        barge_in: shape.barge_in_on_digit.unwrap_or(true),
    })
}

fn item(shape: MediaShape) -> Result<Item, Fault> {
    match (
        shape.text_to_say,
        shape.file_to_play,
        shape.tone,
        shape.digits,
    ) {
        (Some(text), None, None, None) => {
            if text.len() > limits::SPEECH_BYTES {
                return Err(format!(
                    "'text_to_say' may have {} bytes",
                    limits::SPEECH_BYTES
                ));
            }
            Ok(Item::Speech {
                text,
                voice: shape.tts_voice,
            })
        }
        (None, Some(file), None, None) => {
            let name = FileName::parse(file.trim_start_matches('/'));
            Ok(Item::File(name.map_err(|error| error.to_string())?))
        }
        (None, None, Some(tone), None) => tone_of(&tone).map(Item::Tone),
        (None, None, None, Some(digits)) => digits_of(&digits).map(Item::Digits),
        (_, _, _, _) => Err(
            "a member of 'play_list' is one of 'text_to_say', 'file_to_play', 'tone' and 'digits'"
                .to_owned(),
        ),
    }
}

fn digits_of(keys: &str) -> Result<Vec<Digit>, Fault> {
    let digits: Option<Vec<Digit>> = keys
        .chars()
        .take(limits::DIGITS_PLAYED + 1)
        .map(Digit::from_key)
        .collect();
    digits
        .filter(|digits| (1..=limits::DIGITS_PLAYED).contains(&digits.len()))
        .ok_or_else(|| {
            format!(
                "'digits' must be 1 to {} of 0 to 9, A to D, '*' and '#'",
                limits::DIGITS_PLAYED
            )
        })
}

fn tone_of(shape: &ToneShape) -> Result<Tone, Fault> {
    let is_heard = |hz: &u16| (50..=3_500).contains(hz);
    let count = shape.frequencies_hz.len();
    if count == 0 || count > limits::TONE_FREQUENCIES || !shape.frequencies_hz.iter().all(is_heard)
    {
        return Err(format!(
            "'tone.frequencies_hz' must be 1 to {} frequencies from 50 to 3500",
            limits::TONE_FREQUENCIES
        ));
    }
    let lasts = wait("tone.milliseconds", shape.milliseconds.into())?;
    Ok(Tone {
        frequencies_hz: shape.frequencies_hz.to_vec(),
        level_db: 15,
        rhythm_ms: Vec::new(),
        lasts: Some(lasts),
    })
}
