//! Something to hear: its sounds are brought first, then played in one go, so that nothing is half heard.
//!
//! Never asks for anything itself: whoever drives it passes its wishes on.

use model::media::{Play, Sound};
use model::{QuestionId, SoundAnswer, SoundSource};

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
            times,
            barge_in: prompt.barge_in,
            stage: Stage::Bringing,
        }
    }

    /// One sound has come. The error says why it has not.
    pub(super) fn on_sound(&mut self, id: QuestionId, answer: SoundAnswer) -> Result<(), String> {
        let Some(found) = self.asked.iter().position(|(asked, _)| *asked == id) else {
            return Ok(());
        };
        let (_, at) = self.asked.swap_remove(found);
        self.sounds[at] = Some(Sound::File(answer?));
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
