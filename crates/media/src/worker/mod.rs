//! A worker: thousands of sessions and their rooms on one thread, and whose datagram each one is.
//!
//! Never lets anything but an ICE check in from an address that has passed none (RFC 8445 §7.3): what is no check and comes
//! from elsewhere is dropped before a leg sees it.

mod opening;
mod reoffer;
mod rooms;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::SocketAddr;

use model::limits::ADDRESSES_PER_LEG;
use model::media::{LegEnd, LegId, MediaCommand, MediaEvent, RoomId, SessionId};
use model::{Instant, Now};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use str0m::ice::StunMessage;
use zeroize::Zeroizing;

use opening::Waiting;

use crate::codec::Encoding;
use crate::leg::{Leg, Said, Transport};
use crate::mixer::Room;
use crate::rtp::RtpPort;
use crate::sdp::Agreed;
use crate::session::Session;
use crate::srtp::MasterKey;
use crate::stream::{FromBot, ToBot};
use crate::webrtc::{Credentials, House};

/// How a worker is set up.
#[derive(Debug)]
pub struct Config {
    /// What all WebRTC legs share.
    pub house: House,
    /// Names, passwords and first numbers come from it: it must not be known to peers.
    pub seed: [u8; 32],
    /// The codecs that are spoken, the best first.
    pub preferred: Vec<Encoding>,
}

/// What comes in.
#[derive(Debug)]
pub enum Input<'a> {
    /// What the switch asks for.
    Command(MediaCommand),
    /// A datagram on the port of all WebRTC legs.
    WebRtc {
        /// Which of our addresses, as it was given in [`House::new`].
        local: SocketAddr,
        /// Whence.
        from: SocketAddr,
        /// What.
        bytes: &'a [u8],
    },
    /// A datagram on a leg's own port.
    Rtp {
        /// Whose port.
        leg: LegId,
        /// Which of its two.
        port: RtpPort,
        /// Whence.
        from: SocketAddr,
        /// What.
        bytes: &'a [u8],
    },
    /// A pair of ports is open, or could not be opened.
    RtpOpened {
        /// For whom.
        leg: LegId,
        /// The address of the first, as peers see it.
        address: Option<SocketAddr>,
    },
    /// The bot that a leg has a stream with says something.
    FromBot {
        /// Whose.
        leg: LegId,
        /// What.
        word: FromBot,
    },
    /// It is time.
    Timeout,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The switch is to be told.
    Event(MediaEvent),
    /// A datagram leaves from the port of all WebRTC legs.
    Send {
        /// From which of our addresses.
        from: SocketAddr,
        /// Where to.
        to: SocketAddr,
        /// What.
        bytes: Vec<u8>,
    },
    /// A datagram leaves from a leg's own port.
    SendRtp {
        /// Whose port.
        leg: LegId,
        /// Which of its two.
        port: RtpPort,
        /// Where to.
        to: SocketAddr,
        /// What.
        bytes: Vec<u8>,
    },
    /// A leg wants a pair of ports; [`Input::RtpOpened`] is the answer.
    OpenRtp {
        /// Which.
        leg: LegId,
    },
    /// It wants them no longer.
    CloseRtp {
        /// Which.
        leg: LegId,
    },
    /// The bot that a leg has a stream with is to be told something.
    ToBot {
        /// Whose.
        leg: LegId,
        /// What.
        word: ToBot,
    },
    /// Something is to be counted.
    Count(Counter),
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// A datagram from an address that has passed no ICE check.
    Unchecked,
    /// An ICE check for no leg of ours.
    UnknownCheck,
    /// A protected packet from where the peer of a leg is, or may be, that was not sealed by it.
    Forged,
    /// A leg that was refused.
    Refused,
}

/// What each packet is looked up in; nobody walks through it, so that its order decides nothing.
pub(crate) type Table<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// See the module.
#[derive(Debug)]
pub struct Worker {
    config: Config,
    random: ChaCha12Rng,
    sessions: Table<SessionId, Session>,
    rooms: BTreeMap<RoomId, Room>,
    /// Who is in which.
    seats: BTreeMap<LegId, RoomId>,
    due: BTreeMap<Beat, Instant>,
    timers: BTreeSet<(Instant, Beat)>,
    /// By the name in the check's USERNAME.
    by_name: BTreeMap<String, LegId>,
    /// By the addresses that have passed a check.
    by_address: Table<SocketAddr, LegId>,
    checked: BTreeMap<LegId, Checked>,
    waiting: Waiting,
    /// Room for what is in a protected datagram.
    clear: Vec<u8>,
    effects: VecDeque<Effect>,
}

/// Whose time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Beat {
    Session(SessionId),
    Room(RoomId),
}

#[derive(Debug)]
struct Checked {
    name: String,
    /// The oldest first.
    addresses: VecDeque<SocketAddr>,
}

impl Worker {
    /// One without sessions.
    pub fn new(config: Config) -> Self {
        Self {
            random: ChaCha12Rng::from_seed(config.seed),
            config,
            sessions: Table::default(),
            rooms: BTreeMap::new(),
            seats: BTreeMap::new(),
            due: BTreeMap::new(),
            timers: BTreeSet::new(),
            by_name: BTreeMap::new(),
            by_address: Table::default(),
            checked: BTreeMap::new(),
            waiting: Waiting::default(),
            clear: Vec::new(),
            effects: VecDeque::new(),
        }
    }

    /// Takes one input. Drain the effects before the next.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        match input {
            Input::Command(command) => self.on_command(now, command),
            Input::WebRtc { local, from, bytes } => self.on_webrtc(now, local, from, bytes),
            Input::Rtp {
                leg,
                port,
                from,
                bytes,
            } => {
                let mut clear = std::mem::take(&mut self.clear);
                self.with_leg(now, leg, |found, effects| {
                    found.on_rtp(now.mono, (port, from), bytes, &mut clear, effects)
                });
                self.clear = clear;
            }
            Input::RtpOpened { leg, address } => self.on_opened(now, leg, address),
            Input::FromBot { leg, word } => {
                self.with_leg(now, leg, |found, effects| {
                    found.on_bot(word, effects);
                    Said::default()
                });
            }
            Input::Timeout => self.on_timeout(now),
        }
    }

    /// What is to be done next.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Input::Timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Rooms that somebody is in.
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// Sessions that are there.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    fn on_command(&mut self, now: Now, command: MediaCommand) {
        let leg = match &command {
            MediaCommand::Answer { leg, kind, offer } => {
                if let Err(sentence) = self.answer(now, *leg, kind.clone(), offer) {
                    self.refuse(*leg, sentence);
                }
                return self.settle(leg.session);
            }
            MediaCommand::Offer { leg, kind } => {
                if let Err(sentence) = self.offer(now, *leg, kind.clone()) {
                    self.refuse(*leg, sentence);
                }
                return self.settle(leg.session);
            }
            MediaCommand::Accept { leg, answer } => {
                self.accept(now, *leg, answer);
                return self.settle(leg.session);
            }
            MediaCommand::Confirm { leg, answer } => {
                self.confirm(now, *leg, answer);
                return self.settle(leg.session);
            }
            MediaCommand::Reoffer { leg, offer } => {
                self.reoffer(now, *leg, offer);
                return self.settle(leg.session);
            }
            MediaCommand::Enter { leg, room, entry } => {
                return self.enter(now, *leg, *room, *entry);
            }
            MediaCommand::Leave { leg } => return self.leave(now, *leg),
            MediaCommand::Join { leg, other } => {
                let session = leg.session;
                self.leave(now, *leg);
                self.leave(
                    now,
                    LegId {
                        session,
                        place: *other,
                    },
                );
                *leg
            }
            MediaCommand::Close { session } => {
                if let Some(closing) = self.sessions.get_mut(session) {
                    closing.close(now.mono, &mut self.effects);
                }
                self.close_all_waiting(*session);
                return self.settle(*session);
            }
            MediaCommand::CloseLeg { leg } if self.waiting.has(*leg) => {
                self.close_waiting(*leg, LegEnd::Closed);
                return self.settle(leg.session);
            }
            MediaCommand::Play { leg, .. }
            | MediaCommand::StopPlay { leg }
            | MediaCommand::Record { leg, .. }
            | MediaCommand::StopRecord { leg }
            | MediaCommand::Stream { leg, .. }
            | MediaCommand::StopStream { leg, .. }
            | MediaCommand::SendDigits { leg, .. }
            | MediaCommand::Part { leg }
            | MediaCommand::CloseLeg { leg } => *leg,
        };
        if let Some(session) = self.sessions.get_mut(&leg.session) {
            session.on_command(now.mono, leg, &command, &mut self.effects);
            self.settle(leg.session);
        }
    }

    fn add(
        &mut self,
        now: Now,
        leg: LegId,
        transport: Transport,
        agreed: Agreed,
    ) -> Result<(), String> {
        let random = self.random() as u32;
        let new = Leg::new(now.mono, leg, transport, agreed, random)
            .ok_or("the codec cannot be set up")?;
        self.sessions
            .entry(leg.session)
            .or_insert_with(|| Session::new(now.mono))
            .add(new);
        Ok(())
    }

    fn random(&mut self) -> u64 {
        self.random.next_u64()
    }

    fn draw_key(&mut self) -> Zeroizing<[u8; MasterKey::BYTES]> {
        let mut drawn = Zeroizing::new([0; MasterKey::BYTES]);
        self.random.fill_bytes(&mut *drawn);
        drawn
    }

    fn refuse(&mut self, leg: LegId, sentence: String) {
        self.effects.push_back(Effect::Count(Counter::Refused));
        self.effects
            .push_back(Effect::Event(MediaEvent::Refused { leg, sentence }));
    }

    /// RFC 7983 §7: STUN begins with 0 to 3, RTP and RTCP with 128 to 191.
    fn on_webrtc(&mut self, now: Now, local: SocketAddr, from: SocketAddr, bytes: &[u8]) {
        let first = bytes.first().copied().unwrap_or(u8::MAX);
        if first < 4 {
            self.on_check(now, local, from, bytes);
            return;
        }
        let Some(leg) = self.by_address.get(&from).copied() else {
            self.effects.push_back(Effect::Count(Counter::Unchecked));
            return;
        };
        if (128..192).contains(&first) {
            let mut clear = std::mem::take(&mut self.clear);
            self.with_leg(now, leg, |found, effects| {
                found.on_protected(now.mono, bytes, &mut clear, effects)
            });
            self.clear = clear;
            return;
        }
        self.with_leg(now, leg, |found, effects| {
            found.on_handshake(now.mono, local, from, bytes, effects);
            Said::default()
        });
    }

    fn on_check(&mut self, now: Now, local: SocketAddr, from: SocketAddr, bytes: &[u8]) {
        let check = StunMessage::parse(bytes)
            .ok()
            .filter(StunMessage::is_binding_request);
        let leg = check.as_ref().and_then(|check| {
            let (ours, _) = check.split_username()?;
            self.by_name.get(ours).copied()
        });
        let (Some(check), Some(leg)) = (check, leg) else {
            self.effects.push_back(Effect::Count(Counter::UnknownCheck));
            return;
        };
        let mut has_passed = false;
        self.with_leg(now, leg, |found, effects| {
            let is_nominating = check.use_candidate();
            has_passed = found.on_check(now.mono, (local, from), bytes, is_nominating, effects);
            Said::default()
        });
        if has_passed {
            self.on_passed(leg, from);
        }
    }

    fn on_passed(&mut self, leg: LegId, from: SocketAddr) {
        let Some(checked) = self.checked.get_mut(&leg) else {
            return;
        };
        if let Some(before) = self.by_address.insert(from, leg)
            && before == leg
        {
            return;
        }
        checked.addresses.push_back(from);
        if checked.addresses.len() > ADDRESSES_PER_LEG
            && let Some(oldest) = checked.addresses.pop_front()
            && self.by_address.get(&oldest) == Some(&leg)
        {
            self.by_address.remove(&oldest);
        }
    }

    fn with_leg<'a>(
        &mut self,
        now: Now,
        leg: LegId,
        hear: impl FnOnce(&mut Leg, &mut VecDeque<Effect>) -> Said<'a>,
    ) {
        let Some(session) = self.sessions.get_mut(&leg.session) else {
            return;
        };
        if session.hear(now.mono, leg.place, hear, &mut self.effects) {
            self.settle(leg.session);
        }
    }

    fn on_timeout(&mut self, now: Now) {
        while let Some((at, beat)) = self.timers.first().copied()
            && at <= now.mono
        {
            self.set_timer(beat, None);
            match beat {
                Beat::Session(session) => {
                    if let Some(found) = self.sessions.get_mut(&session) {
                        found.on_timeout(now, &mut self.effects);
                    }
                    self.close_late(now.mono, session);
                    self.settle(session);
                }
                Beat::Room(room) => self.on_room_timeout(now, room),
            }
            // What is due at once again is left for the next turn, so that none keeps the others waiting.
            if self.due.get(&beat).is_some_and(|due| *due <= now.mono) {
                let soon = now.mono + std::time::Duration::from_millis(1);
                self.set_timer(beat, Some(soon));
            }
        }
    }

    /// After whatever happened to a session: its timer, and what is over.
    fn settle(&mut self, session: SessionId) {
        let Some(found) = self.sessions.get_mut(&session) else {
            return;
        };
        // Packets end no leg, and there are many of them.
        let over: Vec<LegId> = if found.has_lost_legs() {
            let checked = self.checked.range(legs_of(session)).map(|(leg, _)| *leg);
            let seated = self.seats.range(legs_of(session)).map(|(leg, _)| *leg);
            let legs = checked.chain(seated);
            legs.filter(|leg| found.leg(leg.place).is_none()).collect()
        } else {
            Vec::new()
        };
        let is_empty = found.is_empty() && self.waiting.count(session) == 0;
        let due = [found.poll_timeout(), self.waiting.poll_timeout(session)];
        let due = due.into_iter().flatten().min();
        for leg in over {
            self.forget(leg);
            self.vacate(leg);
        }
        if is_empty {
            self.sessions.remove(&session);
        }
        self.need_timer(Beat::Session(session), due.filter(|_| !is_empty));
    }

    fn forget(&mut self, leg: LegId) {
        if let Some(checked) = self.checked.remove(&leg) {
            self.by_name.remove(&checked.name);
            for address in checked.addresses {
                if self.by_address.get(&address) == Some(&leg) {
                    self.by_address.remove(&address);
                }
            }
        }
    }

    /// A timer that comes too early is looked at and set anew, which costs less than to move it with each packet.
    fn need_timer(&mut self, beat: Beat, due: Option<Instant>) {
        let is_early = |due: Instant| self.due.get(&beat).is_some_and(|set| *set <= due);
        if !due.is_some_and(is_early) {
            self.set_timer(beat, due);
        }
    }

    fn set_timer(&mut self, beat: Beat, due: Option<Instant>) {
        let before = match due {
            Some(due) => self.due.insert(beat, due),
            None => self.due.remove(&beat),
        };
        if before == due {
            return;
        }
        if let Some(before) = before {
            self.timers.remove(&(before, beat));
        }
        if let Some(due) = due {
            self.timers.insert((due, beat));
        }
    }

    /// RFC 8445 §5.3 asks for 24 and 128 bits at least.
    fn draw_credentials(&mut self) -> Credentials {
        let mut word = |letters: usize| {
            const ALPHABET: &[u8; 64] =
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            (0..letters)
                .map(|_| char::from(ALPHABET[(self.random.next_u32() % 64) as usize]))
                .collect::<String>()
        };
        Credentials {
            name: word(12),
            password: word(24),
        }
    }
}

/// Whatever its legs are called.
fn legs_of(session: SessionId) -> std::ops::RangeInclusive<LegId> {
    let leg = |place| LegId { session, place };
    leg(0)..=leg(u8::MAX)
}
