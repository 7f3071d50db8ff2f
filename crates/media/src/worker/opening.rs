//! Legs on their way: those that wait for their ports, and those whose peer has not answered our offer.
//!
//! Never keeps an offer beyond its time, and never lets a second answer to it count: a call that rings at several peers is the
//! first one's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use model::limits::{LEG_OFFER_TIME, MEDIA_SESSIONS};
use model::media::{LegEnd, LegId, LegKind, LegUsage, MediaEvent, Network, SessionId};
use model::{Instant, Now};

use super::{Checked, Effect, Worker, legs_of};
use crate::leg::{Said, Transport};
use crate::rtp::{Protection, RtpLeg};
use crate::sdp::{self, Agreed, Crypto, Direction, Offer, Own, Profile};
use crate::session::Session;
use crate::srtp::{MasterKey, Suite};
use crate::webrtc::{Came, Credentials, Offered, WebRtcLeg};

/// What a leg waits for.
#[derive(Debug)]
enum Wait {
    /// Its ports, to answer this offer.
    PortsToAnswer(Box<Offer>, Vec<Network>),
    /// Its ports, to offer RTP that is protected or is not.
    PortsToOffer(Vec<Network>, bool),
    /// A browser's answer.
    Browser(Box<Offered>, Credentials),
    /// A telephone's answer, which chooses one of our keys if there are any.
    Telephone(Vec<Network>, Own, Vec<Crypto>),
}

impl Wait {
    fn is_for_ports(&self) -> bool {
        match self {
            Self::PortsToAnswer(..) | Self::PortsToOffer(..) => true,
            Self::Browser(..) | Self::Telephone(..) => false,
        }
    }
}

/// The legs that are on their way.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    legs: BTreeMap<LegId, (Wait, Option<Instant>)>,
    /// Legs that were closed while their ports were opened: until those are there, no other has their name.
    closing: BTreeSet<LegId>,
}

impl Waiting {
    pub(super) fn has(&self, leg: LegId) -> bool {
        self.legs.contains_key(&leg)
    }

    /// How many of one session.
    pub(super) fn count(&self, session: SessionId) -> usize {
        self.legs.range(legs_of(session)).count()
    }

    /// When the first of a session has waited for too long.
    pub(super) fn poll_timeout(&self, session: SessionId) -> Option<Instant> {
        let of_session = self.legs.range(legs_of(session));
        of_session.filter_map(|(_, (_, due))| *due).min()
    }
}

impl Worker {
    pub(super) fn answer(
        &mut self,
        now: Now,
        leg: LegId,
        kind: LegKind,
        offer: &str,
    ) -> Result<(), String> {
        self.check_room(leg)?;
        match kind {
            LegKind::WebRtc => {
                let (credentials, random) = (self.draw_credentials(), self.random());
                let (transport, answer, agreed) = WebRtcLeg::answer(
                    &self.config.house,
                    now.mono,
                    &credentials,
                    &self.config.preferred,
                    random,
                    offer,
                )?;
                self.add_browser(now, leg, transport, agreed, credentials)?;
                let answer = answer.into();
                self.effects
                    .push_back(Effect::Event(MediaEvent::Answered { leg, answer }));
            }
            LegKind::Rtp { allowed } => {
                self.answer_telephone(now, leg, offer, Profile::Plain, allowed)?;
            }
            LegKind::Srtp {
                allowed,
                is_required,
            } => {
                let profile = match is_required {
                    true => Profile::Protected,
                    false => Profile::Either,
                };
                self.answer_telephone(now, leg, offer, profile, allowed)?;
            }
        }
        Ok(())
    }

    fn answer_telephone(
        &mut self,
        now: Now,
        leg: LegId,
        offer: &str,
        profile: Profile,
        allowed: Vec<Network>,
    ) -> Result<(), String> {
        let offer = Offer::read(offer, &self.config.preferred, profile)?;
        let wait = Wait::PortsToAnswer(Box::new(offer), allowed);
        self.wait(now, leg, wait, None);
        self.effects.push_back(Effect::OpenRtp { leg });
        Ok(())
    }

    pub(super) fn offer(&mut self, now: Now, leg: LegId, kind: LegKind) -> Result<(), String> {
        self.check_room(leg)?;
        let due = Some(now.mono + LEG_OFFER_TIME);
        match kind {
            LegKind::WebRtc => {
                let credentials = self.draw_credentials();
                let (offered, offer) = WebRtcLeg::offer(
                    &self.config.house,
                    now.mono,
                    &credentials,
                    &self.config.preferred,
                )?;
                self.wait(now, leg, Wait::Browser(Box::new(offered), credentials), due);
                let offer = offer.into();
                self.effects
                    .push_back(Effect::Event(MediaEvent::Offered { leg, offer }));
            }
            LegKind::Rtp { allowed } => {
                self.wait(now, leg, Wait::PortsToOffer(allowed, false), due);
                self.effects.push_back(Effect::OpenRtp { leg });
            }
            LegKind::Srtp { allowed, .. } => {
                self.wait(now, leg, Wait::PortsToOffer(allowed, true), due);
                self.effects.push_back(Effect::OpenRtp { leg });
            }
        }
        Ok(())
    }

    /// The peer's answer; whoever comes second is not heard.
    pub(super) fn accept(&mut self, now: Now, leg: LegId, answer: &str) {
        let is_for_ports = |(wait, _): &(Wait, _)| wait.is_for_ports();
        if self.waiting.legs.get(&leg).is_none_or(is_for_ports) {
            return;
        }
        let Some((wait, _)) = self.waiting.legs.remove(&leg) else {
            return;
        };
        let accepted = match wait {
            Wait::Browser(offered, credentials) => {
                self.accept_browser(now, leg, *offered, credentials, answer)
            }
            Wait::Telephone(allowed, own, crypto) => {
                let accepted = self.accept_telephone(now, leg, &allowed, own, crypto, answer);
                if accepted.is_err() {
                    self.effects.push_back(Effect::CloseRtp { leg });
                }
                accepted
            }
            Wait::PortsToAnswer(..) | Wait::PortsToOffer(..) => Ok(()),
        };
        if let Err(sentence) = accepted {
            self.refuse(leg, sentence);
        }
    }

    fn accept_browser(
        &mut self,
        now: Now,
        leg: LegId,
        offered: Offered,
        credentials: Credentials,
        answer: &str,
    ) -> Result<(), String> {
        let mut came: Vec<Came> = Vec::new();
        let random = self.random();
        let spoken = &self.config.preferred;
        let accepted = offered.accept(now.mono, spoken, random, answer, &mut came);
        let (transport, agreed) = accepted?;
        self.add_browser(now, leg, transport, agreed, credentials)?;
        self.with_leg(now, leg, |found, effects| {
            found.on_came(came, effects);
            Said::default()
        });
        Ok(())
    }

    fn accept_telephone(
        &mut self,
        now: Now,
        leg: LegId,
        allowed: &[Network],
        own: Own,
        crypto: Vec<Crypto>,
        answer: &str,
    ) -> Result<(), String> {
        let profile = match crypto.is_empty() {
            true => Profile::Plain,
            false => Profile::Protected,
        };
        let answer = Offer::read_answer(answer, &self.config.preferred, profile)?;
        let transport = self.rtp_leg(now, &answer, allowed, own, crypto)?;
        self.add(now, leg, transport, answer.agreed)
    }

    /// The ports are there: our answer.
    fn answer_from(
        &mut self,
        now: Now,
        leg: LegId,
        own: Own,
        offer: &Offer,
        allowed: &[Network],
    ) -> Result<(), String> {
        let crypto = offer.crypto.as_ref().map(|theirs| Crypto {
            tag: theirs.tag,
            key: MasterKey::drawn(theirs.key.suite(), &self.draw_key()),
        });
        let answer = offer.answer(&own, crypto.as_ref()).into();
        let crypto = crypto.into_iter().collect();
        let transport = self.rtp_leg(now, offer, allowed, own, crypto)?;
        self.add(now, leg, transport, offer.agreed)?;
        self.effects
            .push_back(Effect::Event(MediaEvent::Answered { leg, answer }));
        Ok(())
    }

    /// A key for each suite that we offer.
    fn draw_crypto(&mut self) -> Vec<Crypto> {
        let rows = (1..).zip(Suite::OFFERED);
        rows.map(|(tag, suite)| Crypto {
            tag,
            key: MasterKey::drawn(suite, &self.draw_key()),
        })
        .collect()
    }

    pub(super) fn on_opened(&mut self, now: Now, leg: LegId, address: Option<SocketAddr>) {
        let is_for_ports = |(wait, _): &(Wait, _)| wait.is_for_ports();
        if !self.waiting.legs.get(&leg).is_some_and(is_for_ports) {
            // It was closed while its ports were opened.
            if self.waiting.closing.remove(&leg) && address.is_some() {
                self.effects.push_back(Effect::CloseRtp { leg });
            }
            return;
        }
        let Some((wait, due)) = self.waiting.legs.remove(&leg) else {
            return;
        };
        let own = address.map(|local| Own {
            session: self.random(),
            version: 1,
            local,
        });
        match (own, wait) {
            (None, _) => self.refuse(leg, "no pair of ports is free".to_owned()),
            (Some(own), Wait::PortsToAnswer(offer, allowed)) => {
                if let Err(sentence) = self.answer_from(now, leg, own, &offer, &allowed) {
                    self.effects.push_back(Effect::CloseRtp { leg });
                    self.refuse(leg, sentence);
                }
            }
            (Some(own), Wait::PortsToOffer(allowed, is_protected)) => {
                let crypto = match is_protected {
                    true => self.draw_crypto(),
                    false => Vec::new(),
                };
                let offer = sdp::offer(&own, &self.config.preferred, &crypto).into();
                self.wait(now, leg, Wait::Telephone(allowed, own, crypto), due);
                self.effects
                    .push_back(Effect::Event(MediaEvent::Offered { leg, offer }));
            }
            (Some(_), Wait::Browser(..) | Wait::Telephone(..)) => {}
        }
        self.settle(leg.session);
    }

    /// Every leg that was asked for ends once: refused, or ended.
    pub(super) fn close_waiting(&mut self, leg: LegId, end: LegEnd) {
        let Some((wait, _)) = self.waiting.legs.remove(&leg) else {
            return;
        };
        match wait {
            Wait::PortsToAnswer(..) | Wait::PortsToOffer(..) => {
                self.waiting.closing.insert(leg);
            }
            Wait::Browser(..) => {}
            Wait::Telephone(..) => self.effects.push_back(Effect::CloseRtp { leg }),
        }
        self.effects.push_back(Effect::Event(MediaEvent::Ended {
            leg,
            end,
            usage: LegUsage::default(),
        }));
    }

    pub(super) fn close_all_waiting(&mut self, session: SessionId) {
        self.close_those_waiting(session, LegEnd::Closed, |_| true);
    }

    /// Offers that nobody has answered in time.
    pub(super) fn close_late(&mut self, now: Instant, session: SessionId) {
        let is_late = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        self.close_those_waiting(session, LegEnd::Silent, is_late);
    }

    fn close_those_waiting(
        &mut self,
        session: SessionId,
        end: LegEnd,
        is_one: impl Fn(Option<Instant>) -> bool,
    ) {
        let legs: Vec<LegId> = self
            .waiting
            .legs
            .range(legs_of(session))
            .filter(|(_, (_, due))| is_one(*due))
            .map(|(leg, _)| *leg)
            .collect();
        for leg in legs {
            self.close_waiting(leg, end);
        }
    }

    /// Whether a leg of this name can be there.
    fn check_room(&self, leg: LegId) -> Result<(), String> {
        let session = self.sessions.get(&leg.session);
        if session.is_none() && self.sessions.len() >= MEDIA_SESSIONS {
            return Err(format!("the gateway has its {MEDIA_SESSIONS} sessions"));
        }
        let taken = self.waiting.count(leg.session);
        let has_room = session.is_none_or(|session| session.has_room(leg.place, taken));
        if !has_room || self.waiting.has(leg) {
            return Err("the session has no room for this leg".to_owned());
        }
        if self.waiting.closing.contains(&leg) {
            return Err("the ports of the leg that had this name are not closed yet".to_owned());
        }
        Ok(())
    }

    fn wait(&mut self, now: Now, leg: LegId, wait: Wait, due: Option<Instant>) {
        self.sessions
            .entry(leg.session)
            .or_insert_with(|| Session::new(now.mono));
        self.waiting.legs.insert(leg, (wait, due));
    }

    fn rtp_leg(
        &mut self,
        now: Now,
        peer: &Offer,
        allowed: &[Network],
        own: Own,
        crypto: Vec<Crypto>,
    ) -> Result<Transport, String> {
        let mut transport = RtpLeg::new(
            now.mono,
            self.random(),
            peer.agreed.encoding.clock(),
            peer.media,
            peer.control,
            allowed,
        );
        transport.mute(match peer.direction {
            Direction::Both | Direction::Receive => false,
            Direction::Send | Direction::Neither => true,
        });
        if let Some(theirs) = &peer.crypto {
            transport = transport.protected(Protection::new(crypto, theirs)?);
        }
        Ok(Transport::Rtp(Box::new(transport), own))
    }

    fn add_browser(
        &mut self,
        now: Now,
        leg: LegId,
        transport: WebRtcLeg,
        agreed: Agreed,
        credentials: Credentials,
    ) -> Result<(), String> {
        self.add(now, leg, Transport::WebRtc(Box::new(transport)), agreed)?;
        self.by_name.insert(credentials.name.clone(), leg);
        let checked = Checked {
            name: credentials.name,
            addresses: VecDeque::new(),
        };
        self.checked.insert(leg, checked);
        Ok(())
    }
}
