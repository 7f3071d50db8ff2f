//! The media of a page's calls: candidates into session descriptions and out of them, and what to do when no way works.
//!
//! A page without media of its own writes descriptions without candidates and gathers for a moment, as before.

use super::call::{CallKey, CallState};
use super::{Browser, Timer};
use crate::clock::{MILLI, SECOND};
use crate::media::{Media, News, Remedy};

impl Browser {
    /// What the media of its calls has to say.
    pub fn talk(&mut self, now: u64) {
        self.now = now;
        while let Some(news) = self.media.as_mut().and_then(|media| media.poll_news()) {
            match news {
                News::Gathered(key) => self.on_media_gathered(key),
                News::Broken(key) => self.on_media_broken(key),
            }
        }
    }

    /// Candidates are gathered; `Timer::Gathered` or the media says when that is done.
    pub(super) fn gather(&mut self, key: CallKey) {
        let (now, time) = (self.now, self.gathering_time());
        match &mut self.media {
            Some(media) => media.gather(now, key),
            None => self.wake(time, Timer::Gathered(key)),
        }
    }

    /// The other side's session description has come.
    pub(super) fn media_hears(&mut self, key: CallKey, sdp: &[u8]) {
        let now = self.now;
        if let Some(media) = &mut self.media
            && !sdp.is_empty()
        {
            media.hears(now, key, sdp);
        }
    }

    /// Both descriptions are there.
    pub(super) fn media_starts(&mut self, key: CallKey) {
        let now = self.now;
        if let Some(media) = &mut self.media {
            media.starts(now, key);
        }
    }

    pub(super) fn media_ends(&mut self, key: CallKey) {
        let now = self.now;
        if let Some(media) = &mut self.media {
            media.ends(now, key);
        }
    }

    /// The ufrag and the candidates for a description.
    pub(super) fn media_lines(&self, key: CallKey) -> Option<(String, String)> {
        self.media.as_ref().and_then(|media| media.describes(key))
    }

    /// An offer that was refused or crossed another is made again.
    pub(super) fn offer_again(&mut self, key: CallKey) {
        if self
            .media
            .as_ref()
            .is_some_and(|media| media.owes_offer(key))
        {
            let pause = self.random.between(300 * MILLI, 3 * SECOND);
            self.wake(pause, Timer::OffersAgain(key));
        }
    }

    pub(super) fn on_offer_due(&mut self, key: CallKey) {
        let is_owed = self
            .media
            .as_ref()
            .is_some_and(|media| media.owes_offer(key));
        if is_owed && !self.reinvite(self.now, key) {
            self.offer_again(key);
        }
    }

    /// The other side has answered the offer.
    pub(super) fn offer_is_answered(&mut self, key: CallKey) {
        if let Some(media) = &mut self.media {
            media.offer_is_answered(key);
        }
    }

    fn on_media_gathered(&mut self, key: CallKey) {
        if self.call_state(key) == Some(CallState::Established) {
            self.on_offer_due(key);
        } else {
            self.on_gathered(key);
        }
    }

    fn on_media_broken(&mut self, key: CallKey) {
        let now = self.now;
        let remedy = self.media.as_ref().map(|media| media.conduct.remedy);
        if self.call_state(key) != Some(CallState::Established) {
            return;
        }
        match (remedy, self.find(key)) {
            (Some(Remedy::Restarts), _) => {
                if let Some(media) = &mut self.media {
                    media.restart(now, key);
                }
            }
            (Some(Remedy::HangsUp), Some(at)) => {
                let reason = "SIP;cause=500;text=\"No way for the media works any more\"";
                self.leave(at, reason.to_owned());
            }
            (Some(Remedy::Endures | Remedy::HangsUp) | None, _) => {}
        }
    }

    pub(super) fn media_timeout(&self) -> Option<u64> {
        self.media.as_ref().and_then(|media| media.poll_timeout())
    }

    pub(super) fn wake_media(&mut self) {
        let now = self.now;
        if let Some(media) = &mut self.media {
            media.timeout(now);
        }
    }

    pub(super) fn reloaded_media(&mut self) -> Option<Box<Media>> {
        let media = self.media.as_mut()?;
        Some(Box::new(media.reloaded()))
    }
}
