//! How a client that means harm speaks the extension (docs/resume.md): mostly right, so that it is listened to, and then
//! with gaps, numbers that were there before, acknowledgements from the future, heads that are none, floods, and
//! credentials that are guessed, stolen or used up.

use crate::random::Random;
use crate::resuming::without_head;

/// What it knows of its session.
#[derive(Debug, Default)]
pub(super) struct Tongue {
    sent: u64,
    received: u64,
    credentials: Vec<String>,
}

impl Tongue {
    /// The first frame of a socket.
    pub(super) fn greets(&mut self, random: &mut Random, stolen: Option<String>) -> Vec<u8> {
        let own = random.pick(&self.credentials).cloned();
        let newest = self.credentials.last().cloned();
        let guess = format!("{}.{:032x}", random.below(40), random.bits());
        let (credential, received) = match random.below(10) {
            0 => (guess, 0),
            1 | 2 => (stolen.unwrap_or(guess), random.below(20)),
            3 => (own.unwrap_or(guess), self.received),
            4..6 => (newest.unwrap_or(guess), self.received),
            6 => (newest.unwrap_or(guess), random.below(100)),
            7 => return word(random),
            _ => {
                *self = Self::default();
                return b"OPEN".to_vec();
            }
        };
        format!("RESUME {credential} {received}").into_bytes()
    }

    /// A message behind a head that is mostly right.
    pub(super) fn says(&mut self, random: &mut Random, message: &[u8]) -> Vec<u8> {
        let (sent, received) = (self.sent, self.received);
        let head = match random.below(200) {
            0 => format!("{} {received}\r\n", sent + 2),
            1 => format!("{} {}\r\n", sent + 1, received + 5),
            2 => format!("0{} {received}\r\n", sent + 1),
            3 => format!("{} {received}\n", sent + 1),
            4 => format!("{}\r\n", u128::MAX),
            5 => String::new(),
            // A number that was there before: it must be dropped unread.
            6..14 if sent > 0 => format!("{} {received}\r\n", random.between(1, sent)),
            _ => {
                self.sent += 1;
                let told = received.saturating_sub(random.below(3));
                format!("{} {told}\r\n", self.sent)
            }
        };
        let mut frame = head.into_bytes();
        frame.extend_from_slice(message);
        frame
    }

    /// Frames that are no messages.
    pub(super) fn mumbles(&mut self, random: &mut Random) -> Vec<Vec<u8>> {
        let ack = format!("ACK {}", self.received).into_bytes();
        match random.below(6) {
            0 => vec![word(random)],
            1 => vec![b"PING".to_vec(); times(random, 700)],
            2 => vec![ack; times(random, 700)],
            3 => vec![format!("ACK {}", self.received + 1 + random.below(9)).into_bytes()],
            _ => vec![ack],
        }
    }

    /// What comes in; gives the message in it.
    pub(super) fn hears(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(frame).unwrap_or_default();
        if let Some(rest) = text.strip_prefix("SESSION ") {
            let credential = rest.split(' ').next().unwrap_or_default();
            self.credentials.push(credential.to_owned());
            let received = rest.rsplit(' ').next().and_then(|word| word.parse().ok());
            // Whatever it has sent and the server has not is not said again.
            self.sent = received.unwrap_or(self.sent);
            return None;
        }
        let (head, message) = without_head(frame)?;
        let number = head.split(' ').next()?.parse().ok()?;
        self.received = self.received.max(number);
        Some(message.to_vec())
    }
}

fn times(random: &mut Random, most: u64) -> usize {
    usize::try_from(random.between(1, most)).unwrap_or(1)
}

/// Something that is no head.
fn word(random: &mut Random) -> Vec<u8> {
    let words: [&[u8]; 9] = [
        b"",
        b"OPEN ",
        b"RESUME",
        b"ACK -1",
        b"ACK 99999999999999999999",
        b"GONE",
        b"SESSION 1.0 60 0",
        b"1 1",
        b"\xff\x00",
    ];
    let word = random.pick(&words).copied();
    word.unwrap_or_default().to_vec()
}
