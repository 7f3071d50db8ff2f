//! Telling a peer where we are (RFC 3261 §10.2): at the start, again before it forgets, and not any more at the end.
//!
//! Keeps the registrar's last challenge, so that a refresh is one request.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use model::{Instant, Now, limits};
use sip::digest::Challenge;
use sip::transaction::{Client, ClientKey};
use sip::{Contact, MessageWriter, Method, Name, NameAddr, Response};

use super::asking::{Asked, Origin};
use super::challenge;
use super::deadlines::moment;
use super::here::Here;
use super::line::Line;

/// See the module.
#[derive(Debug)]
pub(super) struct Registration {
    /// How long it shall last.
    wanted: Duration,
    pub(super) due: Option<Instant>,
    pub(super) is_registered: bool,
    pub(super) refused: Option<u16>,
    /// Where the last REGISTER went.
    pub(super) to: Option<SocketAddr>,
    call_id: String,
    tag: String,
    cseq: u32,
    /// The row that answers the registrar's last challenge, that challenge, and how often it was answered.
    challenge: Option<(&'static str, Challenge, u32)>,
    /// Challenges answered since the registration fell due.
    answered: u8,
    is_lengthened: bool,
    tried: Vec<SocketAddr>,
    asked: Option<u64>,
    pause: Duration,
    is_ending: bool,
}

impl Registration {
    pub(super) fn new(wanted: Duration, call_id: String, tag: String) -> Self {
        Self {
            wanted,
            due: None,
            is_registered: false,
            refused: None,
            to: None,
            call_id,
            tag,
            cseq: 0,
            challenge: None,
            answered: 0,
            is_lengthened: false,
            tried: Vec::new(),
            asked: None,
            pause: limits::REGISTRATION_PAUSE,
            is_ending: false,
        }
    }

    fn begin_anew(&mut self) {
        self.due = None;
        self.answered = 0;
        self.is_lengthened = false;
        self.tried.clear();
    }
}

impl Line {
    /// It is time to register.
    pub(super) fn register(&mut self, now: Now) {
        let peer = self.health.next(&[]);
        let Some(registration) = &mut self.registration else {
            return;
        };
        registration.begin_anew();
        match peer {
            Some(to) => self.send_register(now, to),
            // Whoever answers first is registered with at once.
            None => registration.to = None,
        }
    }

    /// The server is going down.
    pub(super) fn unregister(&mut self, now: Now) {
        let Some(registration) = &mut self.registration else {
            return;
        };
        let was_wanted = registration.is_registered || registration.asked.is_some();
        registration.begin_anew();
        registration.is_ending = true;
        registration.is_registered = false;
        if let Some(to) = registration.to.filter(|_| was_wanted) {
            self.send_register(now, to);
        }
    }

    fn send_register(&mut self, now: Now, to: SocketAddr) {
        let branch = self.mint_branch();
        let uri = format!("sip:{}", self.trunk().domain);
        let Some(registration) = &mut self.registration else {
            return;
        };
        registration.to = Some(to);
        registration.cseq = registration.cseq.wrapping_add(1) & 0x7fff_ffff;
        let before = registration.asked.take();
        let known = registration.challenge.as_mut().map(|(name, known, count)| {
            *count += 1;
            (*name, known.clone(), *count)
        });
        if let Some(before) = before {
            self.asking.abandon(before);
        }
        let authorization = known.and_then(|(name, known, count)| {
            let value = self.answer_challenge(&known, "REGISTER", &uri, count)?;
            Some((name, value))
        });
        let Some(sent) = self.write_register(&branch, &uri, authorization.as_ref()) else {
            return;
        };
        let id = self.send_first(Asked {
            client: Client::new(false, self.reliability(), moment(now.mono)),
            key: ClientKey::new(&branch, Method::Register),
            origin: Origin::Registration,
            to,
            by: None,
            sent,
            cseq: 0,
            authorization,
            is_heard: false,
            ack: None,
            gives_up: None,
        });
        if let Some(registration) = &mut self.registration {
            registration.asked = Some(id);
        }
    }

    fn write_register(
        &self,
        branch: &str,
        uri: &str,
        authorization: Option<&(&'static str, String)>,
    ) -> Option<Vec<u8>> {
        let registration = self.registration.as_ref()?;
        let lasts = match registration.is_ending {
            true => 0,
            false => registration.wanted.as_secs(),
        };
        let address = self.own_address();
        let mut writer = MessageWriter::request("REGISTER", uri);
        writer
            .header("Via", self.here().via(branch))
            .header("Max-Forwards", 70)
            .header("From", format_args!("<{address}>;tag={}", registration.tag))
            .header("To", format_args!("<{address}>"))
            .header("Call-ID", &registration.call_id)
            .header("CSeq", format_args!("{} REGISTER", registration.cseq))
            .header("Contact", self.own_contact())
            .header("Expires", lasts);
        if let Some((name, value)) = authorization {
            writer.header(name, value);
        }
        Some(writer.finish())
    }

    /// The registrar answers.
    pub(super) fn on_registration_answer(&mut self, now: Now, response: &Response<'_>) {
        let (own, trunk) = (self.here(), std::sync::Arc::clone(self.trunk()));
        let Some(registration) = &mut self.registration else {
            return;
        };
        registration.asked = None;
        let to = registration.to;
        if let Some((name, asked)) = challenge::of(response)
            && (registration.answered == 0
                || (asked.is_stale && registration.answered < limits::CHALLENGES_ANSWERED))
        {
            registration.answered += 1;
            registration.challenge = Some((name, asked, 0));
            if let Some(to) = to {
                self.send_register(now, to);
            }
            return;
        }
        if response.status == 423
            && let Some(least) = min_expires(response)
            && !registration.is_lengthened
        {
            registration.is_lengthened = true;
            registration.wanted = least.min(limits::REGISTRATION_TIME_MAX);
            if let Some(to) = to {
                self.send_register(now, to);
            }
            return;
        }
        if let Some(to) = to.filter(|_| response.status == 503) {
            self.health.rests(to, response, now.mono);
        }
        if response.status >= 300 {
            return self.on_registration_failed(now, response.status);
        }
        if registration.is_ending {
            return;
        }
        let user = trunk.login.as_ref().map_or("", |login| &login.user);
        let lasts = granted(response, own, user).unwrap_or(registration.wanted);
        registration.is_registered = true;
        registration.refused = None;
        registration.pause = limits::REGISTRATION_PAUSE;
        let refresh = (lasts * 4 / 5).max(limits::REGISTRATION_REFRESH_MIN);
        registration.due = Some(now.mono + refresh);
    }

    /// It was refused, or nobody answered (408).
    pub(super) fn on_registration_failed(&mut self, now: Now, status: u16) {
        let Some(registration) = &mut self.registration else {
            return;
        };
        registration.asked = None;
        registration.is_registered = false;
        if registration.is_ending {
            return;
        }
        registration.refused = Some(status);
        if matches!(status, 408 | 503)
            && let Some(to) = registration.to
        {
            registration.tried.push(to);
            // Not doubted: one that takes everything but registrations would be asked, and registered with, without end.
            self.health.fails(to, status);
            if let Some(next) = self.health.next(&registration.tried) {
                return self.send_register(now, next);
            }
        }
        registration.due = Some(now.mono + registration.pause);
        registration.pause = (registration.pause * 2).min(limits::REGISTRATION_PAUSE_MAX);
        // Its nonce may be what it did not like.
        registration.challenge = None;
    }
}

/// How long our binding lasts: its own `expires`, or that of all (RFC 3261 §10.2.4). A registrar may have written down where our
/// datagrams seem to come from; then it is known by its user.
fn granted(response: &Response<'_>, own: Here, user: &str) -> Option<Duration> {
    let contacts = response.headers.contacts().unwrap_or_default();
    let addresses = || {
        contacts.iter().filter_map(|contact| match contact {
            Contact::Address(address) => Some(address),
            Contact::Star => None,
        })
    };
    let own_host = match own.at.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let expires = |address: &NameAddr<'_>| address.param("expires")?.parse::<u32>().ok();
    let of_ours = addresses()
        .filter(|address| address.uri.host == own_host)
        .filter(|address| address.uri.port.unwrap_or(own.transport.port()) == own.at.port())
        .find_map(expires);
    let of_user = || {
        let same = addresses().filter(|address| address.uri.user_decoded() == user);
        same.filter_map(expires).min()
    };
    let of_all = || response.headers.expires().ok().flatten();
    let seconds = of_ours.or_else(of_user).or_else(of_all)?;
    Some(Duration::from_secs(u64::from(seconds)).min(limits::REGISTRATION_TIME_MAX))
}

fn min_expires(response: &Response<'_>) -> Option<Duration> {
    let seconds = response
        .headers
        .get(Name::MinExpires)?
        .parse::<u32>()
        .ok()?;
    Some(Duration::from_secs(u64::from(seconds)))
}
