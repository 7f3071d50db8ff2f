//! Something to hear: its sounds are brought first, then played in one go, so that nothing is half heard.
//!
//! Never asks for anything itself: whoever drives it passes its wishes on.

use model::media::{Play, Sound};
use model::{QuestionId, SoundAnswer, SoundSource, limits};

use super::action::{Item, Prompt};

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Bringing,
    Playing,
    Heard,
}

#[derive(Debug)]
pub(super) struct Hearing {
    sounds: Vec<Option<Sound>>,
    /// Which question brings which of them.
    asked: Vec<(QuestionId, usize)>,
    /// Of the files that have come.
    bytes: usize,
    times: Option<u32>,
    barge_in: bool,
    stage: Stage,
}

impl Hearing {
    /// `bring` asks for one sound; `times`: how often it is heard, for ever if nothing.
    pub(super) fn new(
        prompt: &Prompt,
        times: Option<u32>,
        mut bring: impl FnMut(SoundSource) -> QuestionId,
    ) -> Self {
        let mut asked = Vec::new();
        let mut sounds = Vec::with_capacity(prompt.items.len());
        for (at, item) in prompt.items.iter().enumerate() {
            let source = match item {
                Item::Tone(tone) => {
                    sounds.push(Some(Sound::Tone(tone.clone())));
                    continue;
                }
                Item::Digits(digits) => {
                    sounds.push(Some(Sound::Digits(digits.clone())));
                    continue;
                }
                Item::File(name) => SoundSource::File(name.clone()),
                Item::Speech { text, voice } => SoundSource::Speech {
                    text: text.clone(),
                    voice: voice.clone(),
                },
            };
            asked.push((bring(source), at));
            sounds.push(None);
        }
        Self {
            sounds,
            asked,
            bytes: 0,
            times,
            barge_in: prompt.barge_in,
            stage: Stage::Bringing,
        }
    }

    pub(super) fn waits_for(&self, id: QuestionId) -> bool {
        self.asked.iter().any(|(asked, _)| *asked == id)
    }

    /// One sound has come. The error says why it has not.
    pub(super) fn on_sound(&mut self, id: QuestionId, answer: SoundAnswer) -> Result<(), String> {
        let Some(found) = self.asked.iter().position(|(asked, _)| *asked == id) else {
            return Ok(());
        };
        let (_, at) = self.asked.swap_remove(found);
        let file = answer?;
        self.bytes += file.len();
        if self.bytes > limits::PROMPT_BYTES {
            return Err(format!(
                "what is to be heard has more than {} bytes",
                limits::PROMPT_BYTES
            ));
        }
        self.sounds[at] = Some(Sound::File(file));
        Ok(())
    }

    /// What is to be played now, once, as soon as all of it is there.
    pub(super) fn play(&mut self) -> Option<Play> {
        if self.stage != Stage::Bringing || !self.asked.is_empty() {
            return None;
        }
        self.stage = Stage::Playing;
        Some(Play {
            sounds: self.sounds.iter().flatten().cloned().collect(),
            times: self.times,
            until_digit: self.barge_in,
        })
    }

    /// All of it was heard, or it was stopped.
    pub(super) fn on_heard(&mut self) {
        self.stage = Stage::Heard;
    }

    pub(super) fn is_heard(&self) -> bool {
        self.stage == Stage::Heard
    }

    pub(super) fn is_playing(&self) -> bool {
        self.stage == Stage::Playing
    }

    /// Whether a key ends it.
    pub(super) fn can_be_ended(&self) -> bool {
        self.barge_in
    }

    /// It is to be heard once more.
    pub(super) fn again(&mut self) {
        self.stage = Stage::Bringing;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::FileName;

    use super::*;

    /// They are asked for as questions 1 and 2.
    fn two_files() -> Hearing {
        let file = |name| Item::File(FileName::parse(name).unwrap());
        let prompt = Prompt {
            items: [file("a.wav"), file("b.wav")].into(),
            barge_in: true,
        };
        let mut last = 0;
        Hearing::new(&prompt, Some(1), |_| {
            last += 1;
            QuestionId(last)
        })
    }

    #[test]
    fn nothing_is_heard_before_all_of_it_is_there() {
        let mut hearing = two_files();
        assert_eq!(hearing.play(), None);
        let sound: Arc<[u8]> = Arc::from(&b"b"[..]);
        hearing.on_sound(QuestionId(2), Ok(sound.clone())).unwrap();
        hearing.on_sound(QuestionId(9), Ok(sound)).unwrap();
        assert_eq!(hearing.play(), None);
        let sound: Arc<[u8]> = Arc::from(&b"a"[..]);
        hearing.on_sound(QuestionId(1), Ok(sound.clone())).unwrap();
        let play = hearing.play().unwrap();
        assert_eq!(play.sounds[0], Sound::File(sound));
        assert_eq!(play.sounds.len(), 2);
        assert_eq!(hearing.play(), None, "it is heard once");
    }

    #[test]
    fn files_have_a_bound_together() {
        let mut hearing = two_files();
        let large: Arc<[u8]> = vec![0; limits::PROMPT_BYTES].into();
        hearing.on_sound(QuestionId(1), Ok(large)).unwrap();
        let one: Arc<[u8]> = Arc::from(&b"b"[..]);
        let why = hearing.on_sound(QuestionId(2), Ok(one)).unwrap_err();
        assert!(why.contains("more than"), "{why}");
    }
}
