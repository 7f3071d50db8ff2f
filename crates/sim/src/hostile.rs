//! A client that means harm: rubbish, mutations, replays of what others sent, guessed tags, other people's tokens,
//! floods, and answers that no user agent would give.
//!
//! It may overhear every message of the world, tokens included: more than any attacker can. Whatever it does, the
//! checks must hold for everybody else.

mod tongue;

use sip::{Message, ReplyHead};

use crate::authority;
use crate::browser::{Deed, Happening};
use crate::clock::{MILLI, SECOND};
use crate::random::Random;
use crate::raw::{Draft, row, tag};
use tongue::Tongue;

/// One that means harm.
#[derive(Debug)]
pub struct Hostile {
    account: usize,
    via_host: String,
    random: Random,
    wakes: Option<u64>,
    is_open: bool,
    has_left: bool,
    number: u64,
    tokens: Vec<String>,
    overheard: Vec<Vec<u8>>,
    /// How it speaks the extension, if it does (docs/resume.md).
    tongue: Option<Tongue>,
    /// Credentials that it got hold of, too late.
    credentials: Vec<String>,
    deeds: Vec<Deed>,
}

impl Hostile {
    /// One that begins soon.
    pub fn new(now: u64, account: usize, mut random: Random) -> Self {
        Self {
            account,
            via_host: format!("{}.invalid", random.word(12)),
            wakes: Some(now + random.below(5 * SECOND)),
            random,
            is_open: false,
            has_left: false,
            number: 0,
            tokens: Vec::new(),
            overheard: Vec::new(),
            tongue: None,
            credentials: Vec::new(),
            deeds: Vec::new(),
        }
    }

    /// Gets hold of a token.
    pub fn loot(&mut self, token: String) {
        self.tokens.push(token);
    }

    /// Hears what others send.
    pub fn overhear(&mut self, frames: &[Vec<u8>]) {
        if !frames.is_empty() && self.random.happens(200) {
            self.overheard = frames.to_vec();
        }
    }

    /// Gets hold of credentials that were used up.
    pub fn pick_up(&mut self, credentials: impl Iterator<Item = String>) {
        self.credentials.extend(credentials);
        let surplus = self.credentials.len().saturating_sub(8);
        self.credentials.drain(..surplus);
    }

    /// Goes away for good.
    pub fn leave(&mut self) {
        self.has_left = true;
        self.wakes = None;
        self.deeds.push(Deed::Close);
    }

    /// Something happened.
    pub fn handle(&mut self, now: u64, what: Happening<'_>) {
        if self.has_left {
            return;
        }
        match what {
            Happening::Opened => {
                self.is_open = true;
                self.greet();
            }
            Happening::Refused | Happening::Lost => self.is_open = false,
            Happening::Frame(frame) => {
                let heard = match &mut self.tongue {
                    Some(tongue) => tongue.hears(frame),
                    None => Some(frame.to_vec()),
                };
                if let Some(message) = heard {
                    self.react(&message);
                }
            }
            Happening::Timeout if self.wakes.is_some_and(|at| at <= now) => {
                self.misbehave();
                let pause = self.random.between(50 * MILLI, 20 * SECOND);
                self.wakes = Some(now + pause);
            }
            Happening::Timeout => {}
        }
    }

    /// The next thing to do.
    pub fn poll_deed(&mut self) -> Option<Deed> {
        (!self.deeds.is_empty()).then(|| self.deeds.remove(0))
    }

    /// When it wants to be woken.
    pub fn poll_timeout(&self) -> Option<u64> {
        self.wakes
    }

    fn send(&mut self, message: impl Into<Vec<u8>>) {
        let message = message.into();
        let frame = match &mut self.tongue {
            Some(tongue) => tongue.says(&mut self.random, &message),
            None => message,
        };
        self.deeds.push(Deed::Send(frame));
    }

    /// The first frame of a socket: a session of its own, or somebody else's.
    fn greet(&mut self) {
        if let Some(tongue) = &mut self.tongue {
            let stolen = self.random.pick(&self.credentials).cloned();
            let frame = tongue.greets(&mut self.random, stolen);
            self.deeds.push(Deed::Send(frame));
        }
    }

    fn misbehave(&mut self) {
        if !self.is_open {
            if self.random.happens(500) {
                // The session that it had, if any, may still wait for it.
                self.tongue.get_or_insert_default();
                self.deeds.push(Deed::OpenResumable);
            } else {
                self.tongue = None;
                self.deeds.push(Deed::Open);
            }
            return;
        }
        if let Some(tongue) = &mut self.tongue
            && self.random.happens(150)
        {
            let frames = tongue.mumbles(&mut self.random);
            self.deeds.extend(frames.into_iter().map(Deed::Send));
            return;
        }
        match self.random.below(16) {
            0 => self.deeds.push(Deed::Close),
            1 => self.babble(),
            2 | 3 => self.replay(),
            4 | 5 => self.mutate(),
            6 => self.meddle(),
            7 => self.register(),
            8 => self.take_over(),
            9 | 10 => self.call(),
            11 => self.flood(),
            12 => self.end_registration(),
            13 => {
                let frame = b"\r\n\r\n".to_vec();
                self.send(frame);
            }
            14 => self.ask_oddly(),
            _ => self.stutter(),
        }
    }

    /// Bytes without sense.
    fn babble(&mut self) {
        let length = self.random.between(1, 400);
        let bytes: Vec<u8> = (0..length)
            .map(|_| u8::try_from(self.random.below(256)).unwrap_or(0))
            .collect();
        self.send(bytes);
    }

    fn rumour(&mut self) -> Option<Vec<u8>> {
        self.random.pick(&self.overheard).cloned()
    }

    /// Somebody else's message, as it was.
    fn replay(&mut self) {
        if let Some(frame) = self.rumour() {
            self.send(frame);
        }
    }

    /// Somebody else's message with something changed.
    fn mutate(&mut self) {
        let Some(mut frame) = self.rumour().filter(|frame| !frame.is_empty()) else {
            return;
        };
        for _ in 0..self.random.between(1, 4) {
            let at = usize::try_from(self.random.below(frame.len() as u64)).unwrap_or(0);
            match self.random.below(4) {
                0 => frame[at] = u8::try_from(self.random.below(256)).unwrap_or(0),
                1 => frame.truncate(at + 1),
                2 => frame.insert(at, b'\r'),
                _ => {
                    let copy = frame[at..].to_vec();
                    frame.extend_from_slice(&copy);
                }
            }
        }
        self.send(frame);
    }

    /// A request inside somebody else's call, with its true Call-ID and tags, or nearly.
    fn meddle(&mut self) {
        let Some(frame) = self.rumour() else {
            return;
        };
        let text = String::from_utf8_lossy(&frame).into_owned();
        let call_id = row(&text, "Call-ID").unwrap_or("x").to_owned();
        let from = row(&text, "From").unwrap_or_default().to_owned();
        let mut to = row(&text, "To").unwrap_or_default().to_owned();
        if tag(&text, "To").is_none() {
            let guess = format!(
                "{}{:x}-{:016x}",
                ["a", "b"][usize::from(self.random.happens(500))],
                self.random.below(9),
                self.random.bits()
            );
            to = format!("{to};tag={guess}");
        }
        let methods = [
            "BYE", "INFO", "INVITE", "CANCEL", "UPDATE", "MESSAGE", "ACK",
        ];
        let method = self.random.pick(&methods).copied().unwrap_or("BYE");
        let cseq = u32::try_from(self.random.between(1, 9)).unwrap_or(1);
        let (from, to) = if self.random.happens(300) {
            (to, from)
        } else {
            (from, to)
        };
        let mut draft = self
            .draft(method, "sip:anybody@nowhere.invalid", &from, &to)
            .call_id(&call_id)
            .cseq(cseq)
            .row("Contact", "<sip:mallory@raw.invalid;transport=ws>");
        if self.random.happens(500) {
            draft = draft.body("application/sdp", "v=0\r\nm=audio 9 RTP/AVP 0\r\n");
        }
        self.send(draft.finish());
    }

    fn draft(&mut self, method: &str, uri: &str, from: &str, to: &str) -> Draft {
        self.number += 1;
        let number = self.random.below(1000) * 1_000_000 + self.number;
        Draft::new(method, uri, from, to, number).via_host(&self.via_host)
    }

    fn token(&mut self) -> String {
        self.random.pick(&self.tokens).cloned().unwrap_or_default()
    }

    fn domain(&mut self) -> String {
        match self.random.below(6) {
            0 => authority::domain(self.account + 1),
            1 => "nowhere.invalid".to_owned(),
            _ => authority::domain(self.account),
        }
    }

    /// Registers as itself, with a token that may be another account's or expired.
    fn register(&mut self) {
        let (domain, token) = (self.domain(), self.token());
        let address = format!("<sip:mallory@{domain}>");
        let from = format!("{address};tag=h{}", self.number);
        let expires = self
            .random
            .pick(&[600, 60, 5, 100_000, 61])
            .copied()
            .unwrap_or(60);
        let host = self.random.below(12);
        let contact = format!("<sip:mallory@h{host}.invalid;transport=ws>;expires={expires}");
        let draft = self
            .draft("REGISTER", &format!("sip:{domain}"), &from, &address)
            .token(&token)
            .row("Contact", &contact);
        self.send(draft.finish());
    }

    /// Registers as somebody else, or with a token that it overheard.
    fn take_over(&mut self) {
        let Some(frame) = self.rumour() else {
            return;
        };
        let text = String::from_utf8_lossy(&frame).into_owned();
        let victim = row(&text, "From").unwrap_or_default().to_owned();
        let address = victim.split(";tag=").next().unwrap_or_default().to_owned();
        let stolen = row(&text, "Authorization").and_then(|value| value.strip_prefix("Bearer "));
        let token = match stolen {
            Some(token) => token.to_owned(),
            None => self.token(),
        };
        let domain = authority::domain(self.account);
        let draft = self
            .draft("REGISTER", &format!("sip:{domain}"), &victim, &address)
            .token(&token)
            .row("Contact", "<sip:evil@raw.invalid;transport=ws>;expires=90");
        self.send(draft.finish());
    }

    /// De-registers what it does not hold.
    fn end_registration(&mut self) {
        let Some(frame) = self.rumour() else {
            return;
        };
        let text = String::from_utf8_lossy(&frame).into_owned();
        let victim = row(&text, "From").unwrap_or_default().to_owned();
        let address = victim.split(";tag=").next().unwrap_or_default().to_owned();
        let domain = authority::domain(self.account);
        let mut draft = self.draft("REGISTER", &format!("sip:{domain}"), &victim, &address);
        draft = match row(&text, "Contact").filter(|_| self.random.happens(600)) {
            Some(contact) => {
                let uri = contact.split('>').next().unwrap_or_default();
                draft.row("Contact", &format!("{uri}>;expires=0"))
            }
            None => draft.row("Contact", "*").row("Expires", "0"),
        };
        self.send(draft.finish());
    }

    /// Calls somebody whose name it overheard.
    fn call(&mut self) {
        let callee = self
            .rumour()
            .and_then(|frame| {
                let text = String::from_utf8_lossy(&frame).into_owned();
                let from = row(&text, "From")?.to_owned();
                Some(from.split("sip:").nth(1)?.split('@').next()?.to_owned())
            })
            .unwrap_or_else(|| "mallory".to_owned());
        let (domain, token) = (self.domain(), self.token());
        let from = format!("<sip:mallory@{domain}>;tag=h{}", self.random.below(50));
        let to = format!("<sip:{callee}@{domain}>");
        let mut draft = self
            .draft("INVITE", &format!("sip:{callee}@{domain}"), &from, &to)
            .token(&token)
            .row("Contact", "<sip:mallory@raw.invalid;transport=ws>")
            .row("X-Evil", "yes");
        if self.random.happens(900) {
            draft = draft.body("application/sdp", "v=0\r\nm=audio 9 RTP/AVP 0\r\n");
        }
        let invite = draft.finish();
        if self.random.happens(200) {
            self.send(invite.clone());
        }
        if self.random.happens(200) {
            self.send(draft.branch("z9hG4bKmerged").finish());
        }
        self.send(invite);
    }

    fn flood(&mut self) {
        let domain = authority::domain(self.account);
        let address = format!("<sip:mallory@{domain}>");
        let method = self
            .random
            .pick(&["OPTIONS", "REGISTER", "BYE", "INFO"])
            .copied()
            .unwrap_or("OPTIONS");
        for _ in 0..self.random.between(20, 130) {
            let from = format!("{address};tag=f{}", self.number);
            let draft = self.draft(method, &format!("sip:{domain}"), &from, &address);
            self.send(draft.finish());
        }
    }

    /// Requests that make no sense.
    fn ask_oddly(&mut self) {
        let domain = self.domain();
        let address = format!("<sip:mallory@{domain}>");
        let from = format!("{address};tag=o{}", self.number);
        let methods = [
            "SUBSCRIBE",
            "NOTIFY",
            "FOO",
            "PRACK",
            "REFER",
            "CANCEL",
            "OPTIONS",
        ];
        let method = self.random.pick(&methods).copied().unwrap_or("FOO");
        let uri = self
            .random
            .pick(&["sip:x@y", "tel:+123", "sips:a@b", "sip:", "urn:service:sos"])
            .copied()
            .unwrap_or("sip:x@y");
        let mut draft = self.draft(method, uri, &from, &address);
        if self.random.happens(300) {
            draft = draft.row("Require", "nonsense");
        }
        self.send(draft.finish());
    }

    /// One message many times.
    fn stutter(&mut self) {
        if let Some(frame) = self.rumour() {
            for _ in 0..self.random.between(2, 5) {
                self.send(frame.clone());
            }
        }
    }

    /// Answers what the server asks, in ways that no user agent would.
    fn react(&mut self, frame: &[u8]) {
        let Ok(Message::Request(request)) = sip::parse(frame) else {
            return;
        };
        let head = ReplyHead::of(&request);
        let is_invite = request.method == sip::Method::Invite;
        for _ in 0..self.random.below(5) {
            let statuses: &[u16] = if is_invite {
                &[
                    100, 180, 183, 199, 200, 200, 302, 401, 486, 487, 503, 603, 699,
                ]
            } else {
                &[100, 200, 200, 481, 500, 603]
            };
            let status = self.random.pick(statuses).copied().unwrap_or(200);
            let tag = self
                .random
                .pick(&["one", "two", "three"])
                .copied()
                .filter(|_| status != 100);
            let mut writer = head.write(status, "Whatever", tag);
            writer.header("X-Answer", status);
            if self.random.happens(800) {
                writer.header("Contact", "<sip:mallory@raw.invalid;transport=ws>");
            }
            let answer = if is_invite && status == 200 && self.random.happens(700) {
                writer.header("Content-Type", "application/sdp");
                writer.finish_with(b"v=0\r\nm=audio 9 RTP/AVP 0\r\n")
            } else {
                writer.finish()
            };
            self.send(answer);
        }
    }
}
