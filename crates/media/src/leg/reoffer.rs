//! A further offer of a leg's peer (RFC 3264 §8): hold, another address, another codec, ICE anew.
//!
//! Never changes anything before all of it is known to be good: what is refused leaves the leg as it was.

use std::collections::VecDeque;

use model::Instant;

use super::{Leg, Transport};
use crate::codec::Encoding;
use crate::dtmf::EventWriter;
use crate::rtp::JitterBuffer;
use crate::sdp::{Agreed, Crypto, Direction, Offer, Profile};
use crate::srtp::MasterKey;
use crate::webrtc::Credentials;
use crate::worker::Effect;

const NO_TELEPHONE: &str = "the leg is one of WebRTC";

/// What the worker knows and the leg does not.
#[derive(Debug)]
pub(crate) struct Reoffer<'a> {
    pub(crate) offer: &'a str,
    /// The codecs that are spoken, the best first.
    pub(crate) preferred: &'a [Encoding],
    /// For a peer that begins its ICE anew.
    pub(crate) credentials: &'a Credentials,
    pub(crate) random: u64,
    /// For a peer that changes its key.
    pub(crate) drawn: &'a [u8; MasterKey::BYTES],
}

/// Our answer.
#[derive(Debug)]
pub(crate) struct Reanswer {
    pub(crate) answer: String,
    /// The credentials are in it.
    pub(crate) is_ice_anew: bool,
    /// Whoever is joined with it has to know.
    pub(crate) is_codec_new: bool,
}

impl Leg {
    /// Answers it, or says in a sentence why not.
    pub(crate) fn reoffer(
        &mut self,
        now: Instant,
        reoffer: &Reoffer<'_>,
        effects: &mut VecDeque<Effect>,
    ) -> Result<Reanswer, String> {
        let Transport::WebRtc(leg) = &mut self.transport else {
            return self.reoffer_rtp(now, reoffer);
        };
        let mut came = Vec::new();
        let (offer, credentials) = (reoffer.offer, reoffer.credentials);
        let (answer, is_ice_anew) =
            leg.reoffer(now, credentials, &self.agreed, offer, &mut came)?;
        self.on_came(came, effects);
        Ok(Reanswer {
            answer,
            is_ice_anew,
            is_codec_new: false,
        })
    }

    /// What a telephone says in the end to the offer that it has answered early. True: it speaks another codec.
    pub(crate) fn confirm(
        &mut self,
        now: Instant,
        answer: &str,
        spoken: &[Encoding],
        random: u64,
    ) -> Result<bool, String> {
        if !self.is_rtp() {
            return Ok(false);
        }
        let answer = Offer::read_answer(answer, spoken, self.profile())?;
        let rows = self.crypto_rows(&answer, None)?;
        self.speak_as(now, &answer, rows, random)
    }

    /// What a leg was it stays: plain, or protected.
    fn profile(&self) -> Profile {
        match &self.transport {
            Transport::Rtp(leg, _) if leg.protection().is_some() => Profile::Protected,
            Transport::Rtp(..) | Transport::WebRtc(_) => Profile::Plain,
        }
    }

    /// The rows of keys that stand in our SDP when this of the peer's is agreed on: those of before, of which an answer chooses, or
    /// one to an offer, which takes new bytes for a new key.
    fn crypto_rows(
        &self,
        peer: &Offer,
        drawn: Option<&[u8; MasterKey::BYTES]>,
    ) -> Result<Vec<Crypto>, String> {
        let protection = match &self.transport {
            Transport::Rtp(leg, _) => leg.protection(),
            Transport::WebRtc(_) => None,
        };
        let (Some(protection), Some(theirs)) = (protection, &peer.crypto) else {
            return Ok(Vec::new());
        };
        for own in protection.rows() {
            theirs.check_own(own)?;
        }
        let rows = match drawn {
            Some(drawn) => vec![protection.reanswer(theirs, drawn)],
            None => protection.rows().to_vec(),
        };
        theirs.chosen(&rows)?;
        Ok(rows)
    }

    fn reoffer_rtp(&mut self, now: Instant, reoffer: &Reoffer<'_>) -> Result<Reanswer, String> {
        // What is spoken is spoken on, if the peer still can.
        let spoken = self.agreed.encoding;
        let others = reoffer.preferred.iter().filter(|other| **other != spoken);
        let preferred: Vec<Encoding> = std::iter::once(&spoken).chain(others).copied().collect();
        let offer = Offer::read(reoffer.offer, &preferred, self.profile())?;
        let rows = self.crypto_rows(&offer, Some(reoffer.drawn))?;
        let crypto = rows.first().cloned();
        let is_codec_new = self.speak_as(now, &offer, rows, reoffer.random)?;
        let Transport::Rtp(_, own) = &mut self.transport else {
            return Err(NO_TELEPHONE.to_owned());
        };
        own.version += 1;
        Ok(Reanswer {
            answer: offer.answer(own, crypto.as_ref()),
            is_ice_anew: false,
            is_codec_new,
        })
    }

    /// To where the peer is now, in what it speaks now. True: that is another codec.
    fn speak_as(
        &mut self,
        now: Instant,
        peer: &Offer,
        rows: Vec<Crypto>,
        random: u64,
    ) -> Result<bool, String> {
        let is_codec_new = self.agree(peer.agreed)?;
        let Transport::Rtp(leg, _) = &mut self.transport else {
            return Err(NO_TELEPHONE.to_owned());
        };
        if let Some(theirs) = &peer.crypto {
            leg.renew_keys(random, rows, theirs)?;
        }
        leg.change_clock(random, peer.agreed.encoding.clock());
        leg.move_to(now, peer.media, peer.control);
        leg.mute(match peer.direction {
            Direction::Both | Direction::Receive => false,
            Direction::Send | Direction::Neither => true,
        });
        Ok(is_codec_new)
    }

    /// Speaks what is agreed from now on, at the rate that the leg has until it settles. True: it is another codec.
    fn agree(&mut self, agreed: Agreed) -> Result<bool, String> {
        let is_codec_new = agreed.encoding != self.agreed.encoding;
        if is_codec_new {
            self.codec = agreed
                .encoding
                .codec_adapted(self.codec.rate())
                .map_err(|error| error.to_string())?;
            self.jitter = JitterBuffer::default();
            self.forward = None;
            self.was_sending = false;
        }
        if agreed.events != self.agreed.events {
            self.keys_out = agreed.events.map(|events| EventWriter::new(events.clock));
        }
        self.agreed = agreed;
        self.listen_for_tones();
        if is_codec_new {
            self.suits = agreed.encoding.rate();
            self.settle();
        }
        Ok(is_codec_new)
    }
}
