//! An offer of ours to a browser, and its answer.
//!
//! Never takes a check or a datagram: whoever comes before the answer comes once more.

use std::fmt;

use model::Instant;
use str0m::Rtc;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, MediaKind, Mid};

use super::description::{agreed, in_our_words, refusal};
use super::keying::Yield;
use super::{Came, Credentials, House, WebRtcLeg};
use crate::codec::Encoding;
use crate::sdp::{Agreed, Browser, Role};

impl WebRtcLeg {
    /// An offer of ours: audio in these codecs, the best first. Returns it with what waits for its answer.
    pub fn offer(
        house: &House,
        now: Instant,
        credentials: &Credentials,
        spoken: &[Encoding],
    ) -> Result<(Offered, String), String> {
        let clocks: &[u32] = if spoken.contains(&Encoding::Opus) {
            &[48_000, 8_000]
        } else {
            &[8_000]
        };
        let (mut rtc, keys) = house.build(house.config(credentials, spoken, clocks), now)?;
        let mut changes = rtc.sdp_api();
        let name = || Some("offhook".to_owned());
        let mid = changes.add_media(MediaKind::Audio, Direction::SendRecv, name(), name(), None);
        let (offer, pending) = changes.apply().ok_or("there is nothing to offer")?;
        let offer = in_our_words(&offer.to_sdp_string(), 1);
        let offered = Offered {
            rtc,
            keys,
            house: house.clone(),
            mid,
            pending,
        };
        Ok((offered, offer))
    }
}

/// A browser that was asked to talk, and has not answered.
pub struct Offered {
    rtc: Rtc,
    keys: Yield,
    house: House,
    mid: Mid,
    pending: SdpPendingOffer,
}

impl fmt::Debug for Offered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offered")
            .field("mid", &self.mid)
            .finish_non_exhaustive()
    }
}

impl Offered {
    /// Takes the answer; what is wrong with it is said in a sentence.
    pub fn accept(
        self,
        now: Instant,
        spoken: &[Encoding],
        random: u64,
        answer: &str,
        came: &mut Vec<Came>,
    ) -> Result<(WebRtcLeg, Agreed), String> {
        let read = Browser::read(Role::Answer, answer, spoken)?;
        if Mid::from(read.mid.as_str()) != self.mid {
            return Err(format!(
                "the audio of the answer has a=mid:{}, and that of the offer {}",
                read.mid, self.mid
            ));
        }
        let sdp = SdpAnswer::from_sdp_string(&read.reduced)
            .map_err(|error| format!("the SDP cannot be read: {error}"))?;
        let rtc = (self.rtc, self.keys);
        let mut leg = WebRtcLeg::new(rtc, self.house, self.mid, now, random);
        // Time has passed since the offer.
        leg.wake(now, came);
        leg.rtc
            .sdp_api()
            .accept_answer(self.pending, sdp)
            .map_err(|error| refusal(Role::Answer, &error))?;
        leg.drain(now, Ok(()), came);
        let agreed = agreed(&leg.rtc, leg.mid, &read.agreed, Role::Answer)?;
        leg.be_told(&read, &agreed);
        Ok((leg, agreed))
    }
}
