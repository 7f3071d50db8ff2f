//! The words between the softswitch and the media gateway: what the one asks for, and what the other tells.
//!
//! Never holds a packet or a sample beyond what is played and what was recorded. Digits are those of RFC 4733 §3.2.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::id::FileName;

mod leg_kind;
mod stream;

pub use leg_kind::{LegKind, Network, Sdp};
pub use stream::{Stream, StreamEnd, StreamRate, StreamStop};

/// All the legs of one call at the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl SessionId {
    /// Names the shard in its upper 16 bits, so that whoever has the session finds its owner.
    pub const fn of_shard(shard: u16, call: u64) -> Self {
        Self(((shard as u64) << 48) | (call & 0xffff_ffff_ffff))
    }

    /// The shard that it was made by.
    pub const fn shard(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// The number that the shard gave.
    pub const fn call(self) -> u64 {
        self.0 & 0xffff_ffff_ffff
    }
}

/// A conference at the gateway, of legs of any sessions. It is there while somebody is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId(pub u64);

impl RoomId {
    /// Names the shard in its upper 16 bits, so that shards choose without asking each other.
    pub const fn of_shard(shard: u16, room: u64) -> Self {
        Self(((shard as u64) << 48) | (room & 0xffff_ffff_ffff))
    }

    /// The shard that it was made by.
    pub const fn shard(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// The number that the shard gave.
    pub const fn room(self) -> u64 {
        self.0 & 0xffff_ffff_ffff
    }
}

/// How a leg is in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whether the others hear it.
    pub may_talk: bool,
    /// Whether all who are there, and itself, hear that it comes.
    pub beep: bool,
}

/// One leg of a session: somebody who hears and is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegId {
    /// Whose leg.
    pub session: SessionId,
    /// Which of its legs; whoever opens it chooses.
    pub place: u8,
}

/// A key of a telephone: 0 to 9, `*`, `#`, A to D.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digit(u8);

impl Digit {
    const KEYS: &'static [u8; 16] = b"0123456789*#ABCD";

    /// From the code of its event (RFC 4733 §3.2), which is at most 15.
    pub fn from_event(event: u8) -> Option<Self> {
        (event < 16).then_some(Self(event))
    }

    /// From its key; small letters will do.
    pub fn from_key(key: char) -> Option<Self> {
        let key = u8::try_from(key.to_ascii_uppercase()).ok()?;
        let event = Self::KEYS.iter().position(|known| *known == key)?;
        Self::from_event(u8::try_from(event).ok()?)
    }

    /// The code of its event.
    pub const fn event(self) -> u8 {
        self.0
    }

    /// What is printed on the key.
    pub fn key(self) -> char {
        char::from(Self::KEYS[usize::from(self.0)])
    }
}

impl fmt::Display for Digit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.key())
    }
}

impl fmt::Debug for Digit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digit({})", self.key())
    }
}

/// One or two frequencies in a rhythm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tone {
    /// What is heard at once.
    pub frequencies_hz: Vec<u16>,
    /// Of each frequency, in decibels below the loudest sine.
    pub level_db: u8,
    /// For how long it is heard and then not, in turn; repeated to the end. Nothing: without a pause.
    pub rhythm_ms: Vec<(u16, u16)>,
    /// How long all of it lasts; for ever if not said.
    pub lasts: Option<Duration>,
}

impl Tone {
    /// Before a recording.
    pub fn beep() -> Self {
        Self {
            frequencies_hz: vec![1_000],
            level_db: 15,
            rhythm_ms: Vec::new(),
            lasts: Some(Duration::from_millis(200)),
        }
    }

    /// It rings at the other end.
    pub fn ringing() -> Self {
        Self {
            frequencies_hz: vec![400, 450],
            level_db: 20,
            rhythm_ms: vec![(400, 200), (400, 2_000)],
            lasts: None,
        }
    }

    /// The other end is busy.
    pub fn busy() -> Self {
        Self {
            frequencies_hz: vec![400],
            level_db: 20,
            rhythm_ms: vec![(375, 375)],
            lasts: None,
        }
    }
}

/// One thing to be heard.
#[derive(Clone, PartialEq, Eq)]
pub enum Sound {
    /// A whole file of a known form; WAV.
    File(Arc<[u8]>),
    /// A tone.
    Tone(Tone),
    /// Nothing, for so long.
    Silence(Duration),
    /// Keys that are pressed towards the peer, while nothing else is heard.
    Digits(Vec<Digit>),
}

impl fmt::Debug for Sound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(bytes) => write!(f, "File({} bytes)", bytes.len()),
            Self::Tone(tone) => write!(f, "{tone:?}"),
            Self::Silence(time) => write!(f, "Silence({time:?})"),
            Self::Digits(digits) => write!(f, "Digits({})", digits.len()),
        }
    }
}

/// What a leg is to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Play {
    /// One after the other.
    pub sounds: Vec<Sound>,
    /// How often; nothing for without end.
    pub times: Option<u32>,
    /// Whether a digit ends it.
    pub until_digit: bool,
}

/// How a leg is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// At most so long.
    pub longest: Duration,
    /// So much silence before anything was heard ends it.
    pub first_silence: Option<Duration>,
    /// So much silence after that ends it, and is not kept.
    pub silence: Option<Duration>,
    /// Whether a beep is played first.
    pub beep: bool,
    /// Whether a digit ends it.
    pub until_digit: bool,
    /// Whether what a joined leg says is in it as well.
    pub both: bool,
    /// The file of the account that it goes to; the gateway leaves that to whoever drives it.
    pub file: FileName,
}

/// What the switch asks of the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaCommand {
    /// A new leg that answers this offer.
    Answer {
        /// Its name, which must be new.
        leg: LegId,
        /// What it speaks.
        kind: LegKind,
        /// The peer's SDP.
        offer: Sdp,
    },
    /// Lets it hear this, in place of what it hears.
    Play {
        /// Who hears it.
        leg: LegId,
        /// What.
        play: Play,
    },
    /// Ends what it hears.
    StopPlay {
        /// Who hears it.
        leg: LegId,
    },
    /// Records what it says.
    Record {
        /// Who speaks.
        leg: LegId,
        /// How.
        record: Record,
    },
    /// Ends the recording.
    StopRecord {
        /// Who speaks.
        leg: LegId,
    },
    /// Lets an application hear what it says, and it what that says: [`MediaEvent::StreamEnded`] is told once, whatever comes of it.
    Stream {
        /// Who hears and speaks.
        leg: LegId,
        /// Where to, and how.
        stream: Box<Stream>,
    },
    /// Ends the stream at once.
    StopStream {
        /// Who hears and speaks.
        leg: LegId,
        /// Why.
        why: StreamStop,
    },
    /// Presses keys towards the peer.
    SendDigits {
        /// To whom.
        leg: LegId,
        /// Which keys.
        digits: Vec<Digit>,
    },
    /// Lets two legs of one session hear each other.
    Join {
        /// One.
        leg: LegId,
        /// The place of the other.
        other: u8,
    },
    /// Separates it from whoever it hears.
    Part {
        /// One of the two.
        leg: LegId,
    },
    /// Lets it hear everybody in a room, and them it; out of another room, and away from whoever it is joined with. Once more for a
    /// leg that is there: its entry is another from now on. [`MediaEvent::NotEntered`] if there is no room for it.
    Enter {
        /// Who.
        leg: LegId,
        /// Where.
        room: RoomId,
        /// How.
        entry: Entry,
    },
    /// Takes it out of the room that it is in.
    Leave {
        /// Who.
        leg: LegId,
    },
    /// A new leg that asks a peer to talk: [`MediaEvent::Offered`] is the answer.
    Offer {
        /// Its name, which must be new.
        leg: LegId,
        /// What it speaks.
        kind: LegKind,
    },
    /// What the peer says to our offer.
    Accept {
        /// Whose.
        leg: LegId,
        /// The peer's SDP.
        answer: Sdp,
    },
    /// What a telephone says to our offer in the end, which has been heard early: where it is and what it speaks may be otherwise.
    Confirm {
        /// Whose.
        leg: LegId,
        /// The peer's SDP.
        answer: Sdp,
    },
    /// The peer of a leg offers anew: [`MediaEvent::Answered`], or [`MediaEvent::Refused`] and the leg goes on as it was.
    Reoffer {
        /// Whose.
        leg: LegId,
        /// The peer's SDP.
        offer: Sdp,
    },
    /// Ends one leg of a session.
    CloseLeg {
        /// Which.
        leg: LegId,
    },
    /// Ends a session with all its legs.
    Close {
        /// Which.
        session: SessionId,
    },
}

/// Why something that was played ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlayEnd {
    /// All of it was heard.
    Finished,
    /// It was to end, or something else was played.
    Stopped,
    /// A digit came.
    Digit(Digit),
    /// It is no sound, says this sentence.
    Unplayable(String),
}

/// Why a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordEnd {
    /// It has the length it may have.
    Full,
    /// Nobody spoke.
    Silence,
    /// A digit came.
    Digit(Digit),
    /// It was to end.
    Stopped,
    /// The leg ended.
    Lost,
    /// It could not be kept.
    Unkept,
}

/// Why a leg is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegEnd {
    /// The switch closed it.
    Closed,
    /// The peer never came, or is silent for too long.
    Silent,
    /// The peer ended its DTLS, or it failed.
    Peer,
}

/// What a leg has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegUsage {
    /// RTP packets from the peer.
    pub packets_in: u64,
    /// Their bytes, without UDP.
    pub bytes_in: u64,
    /// RTP packets to the peer.
    pub packets_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Packets that never came.
    pub lost: u64,
}

/// What the gateway tells the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaEvent {
    /// The leg is there, with this answer.
    Answered {
        /// Which.
        leg: LegId,
        /// Our SDP.
        answer: Sdp,
    },
    /// The leg asks its peer to talk, with this offer.
    Offered {
        /// Which.
        leg: LegId,
        /// Our SDP.
        offer: Sdp,
    },
    /// The leg is not to be had, says this sentence.
    Refused {
        /// Which.
        leg: LegId,
        /// Why, in words that name the fault.
        sentence: String,
    },
    /// The leg is not in the room, says this sentence; it goes on as it was.
    NotEntered {
        /// Which.
        leg: LegId,
        /// The room.
        room: RoomId,
        /// Why.
        sentence: String,
    },
    /// The peer can be heard.
    Connected {
        /// Which.
        leg: LegId,
    },
    /// The peer pressed a key.
    Digit {
        /// Which leg.
        leg: LegId,
        /// Which key.
        digit: Digit,
    },
    /// What was played has ended.
    Played {
        /// To whom.
        leg: LegId,
        /// Why.
        end: PlayEnd,
        /// How much of it was heard.
        heard: Duration,
    },
    /// A piece of a recording: what follows the header of the WAV file, in order.
    Recording {
        /// Who spoke.
        leg: LegId,
        /// The samples' bytes.
        part: Vec<u8>,
    },
    /// A recording has ended.
    Recorded {
        /// Who spoke.
        leg: LegId,
        /// The head of the WAV file, to be put in front of its parts.
        head: Vec<u8>,
        /// How long it is.
        length: Duration,
        /// Why.
        end: RecordEnd,
    },
    /// A stream has ended.
    StreamEnded {
        /// Who heard and spoke.
        leg: LegId,
        /// Which, by the number of [`Stream::number`].
        number: u64,
        /// Why.
        end: StreamEnd,
    },
    /// The leg is no more.
    Ended {
        /// Which.
        leg: LegId,
        /// Why.
        end: LegEnd,
        /// What it has carried.
        usage: LegUsage,
    },
}

impl MediaEvent {
    /// Which leg it is of.
    pub fn leg(&self) -> LegId {
        let (Self::Answered { leg, .. }
        | Self::Offered { leg, .. }
        | Self::Refused { leg, .. }
        | Self::NotEntered { leg, .. }
        | Self::Connected { leg }
        | Self::Digit { leg, .. }
        | Self::Played { leg, .. }
        | Self::Recording { leg, .. }
        | Self::Recorded { leg, .. }
        | Self::StreamEnded { leg, .. }
        | Self::Ended { leg, .. }) = self;
        *leg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_names_its_shard() {
        let room = RoomId::of_shard(7, (1 << 48) | 9);
        assert_eq!((room.shard(), room.room()), (7, 9));
    }

    #[test]
    fn every_key_has_its_event_and_nothing_else_is_a_key() {
        for event in 0..16 {
            let digit = Digit::from_event(event).unwrap();
            assert_eq!(Digit::from_key(digit.key()), Some(digit));
            assert_eq!(digit.event(), event);
        }
        assert_eq!(Digit::from_key('#').map(Digit::event), Some(11));
        assert_eq!(Digit::from_key('d').map(Digit::event), Some(15));
        assert_eq!(Digit::from_event(16), None);
        assert_eq!(Digit::from_key('E'), None);
        assert_eq!(Digit::from_key('٣'), None);
    }
}
