//! A further offer of a leg's peer, and the name that it is checked by from then on.
//!
//! Never ends a leg: what is refused leaves it as it was.

use model::Now;
use model::media::{LegId, MediaEvent};

use super::{Effect, Worker};
use crate::leg::Reoffer;

impl Worker {
    pub(super) fn reoffer(&mut self, now: Now, leg: LegId, offer: &str) {
        let (credentials, random) = (self.draw_credentials(), self.random());
        let drawn = self.draw_key();
        let reoffer = Reoffer {
            offer,
            preferred: &self.config.preferred,
            credentials: &credentials,
            random,
            drawn: &drawn,
        };
        let answered = self
            .sessions
            .get_mut(&leg.session)
            .and_then(|session| session.reoffer(now.mono, leg.place, &reoffer, &mut self.effects));
        match answered {
            Some(Ok(answered)) => {
                if answered.is_ice_anew {
                    self.rename(leg, credentials.name);
                }
                let answer = answered.answer.into();
                self.effects
                    .push_back(Effect::Event(MediaEvent::Answered { leg, answer }));
            }
            Some(Err(sentence)) => self.refuse(leg, sentence),
            None if self.waiting.has(leg) => {
                self.refuse(leg, "the offer before is not answered yet".to_owned());
            }
            None => {}
        }
    }

    /// What a telephone says after all: it was heard early, and may be elsewhere now. What cannot be spoken leaves it as it was.
    pub(super) fn confirm(&mut self, now: Now, leg: LegId, answer: &str) {
        let random = self.random();
        let spoken = &self.config.preferred;
        let confirmed = self
            .sessions
            .get_mut(&leg.session)
            .and_then(|session| session.confirm(now.mono, leg.place, answer, spoken, random));
        if let Some(Err(sentence)) = confirmed {
            self.refuse(leg, sentence);
        }
    }

    /// Checks name it so from now on; the addresses that have passed one stay.
    fn rename(&mut self, leg: LegId, name: String) {
        if let Some(checked) = self.checked.get_mut(&leg) {
            self.by_name.remove(&checked.name);
            self.by_name.insert(name.clone(), leg);
            checked.name = name;
        }
    }
}
