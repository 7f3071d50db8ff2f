//! When a session is over unless somebody says that it goes on (RFC 4028): what both sides agree on, and when it falls due.
//!
//! Sends nothing; says what stands in messages, and reads it.

use std::time::Duration;

use model::{Instant, limits};
use sip::{Headers, MessageWriter, Name};

const MIN_SE: Name<'static> = Name::Other("Min-SE");

/// What a request says of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    lasts: Option<Duration>,
    /// No shorter than this.
    least: Duration,
    /// Whether whoever asks wants to refresh it.
    by_asker: Option<bool>,
    /// Whether whoever asks knows of it.
    is_known: bool,
}

impl Asked {
    pub(crate) fn of(headers: &Headers<'_>) -> Self {
        let (lasts, refresher) = session_expires(headers).unzip();
        Self {
            lasts,
            least: seconds(headers.get(MIN_SE)).unwrap_or_default(),
            by_asker: refresher
                .flatten()
                .map(|refresher| refresher == Refresher::Uac),
            is_known: headers.lists(Name::Supported, "timer")
                || headers.lists(Name::Require, "timer"),
        }
    }

    /// Whether it is shorter than we bear, and whoever asks can be told (§9).
    pub(crate) fn is_too_brief(&self) -> bool {
        self.is_known
            && self
                .lasts
                .is_some_and(|lasts| lasts < limits::SESSION_TIME_MIN)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refresher {
    Uac,
    Uas,
}

/// What is agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Agreed {
    lasts: Duration,
    is_ours: bool,
    /// When we say that it goes on, or try again to.
    refresh: Instant,
    /// When it is over.
    ends: Instant,
}

/// A refresh of ours that is not answered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refresh {
    pub(crate) branch: String,
    /// Of a re-INVITE; an UPDATE has no ACK.
    pub(crate) invite: Option<u32>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Refresh,
    /// Nobody has said that it goes on.
    Over,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct SessionTimer {
    wanted: Duration,
    /// What the other side bears, as far as it has said.
    least: Duration,
    agreed: Option<Agreed>,
    pub(crate) refresh: Option<Refresh>,
    /// The other side has refused UPDATE.
    pub(crate) needs_invite: bool,
    /// It has told what it bears for this request.
    is_raised: bool,
}

impl SessionTimer {
    pub(crate) fn new(wanted: Duration) -> Self {
        Self {
            wanted,
            least: limits::SESSION_TIME_MIN,
            agreed: None,
            refresh: None,
            needs_invite: false,
            is_raised: false,
        }
    }

    fn wish(&self) -> Duration {
        self.wanted.max(self.least)
    }

    /// What stands in a request of ours. In a refresh whoever refreshes says so (§7.4).
    pub(crate) fn ask(&self, writer: &mut MessageWriter) {
        let lasts = self
            .agreed
            .map_or(self.wish(), |agreed| agreed.lasts.max(self.least));
        let refresher = if self.agreed.is_some() {
            ";refresher=uac"
        } else {
            ""
        };
        let lasts = lasts.as_secs();
        writer
            .header("Supported", "timer")
            .header("Session-Expires", format_args!("{lasts}{refresher}"));
        if self.least > limits::SESSION_TIME_MIN {
            writer.header("Min-SE", self.least.as_secs());
        }
    }

    /// A 422: whether to ask again, for longer (§7.3).
    pub(crate) fn raise(&mut self, headers: &Headers<'_>) -> bool {
        let least = seconds(headers.get(MIN_SE)).filter(|least| *least > self.least);
        let least = least.filter(|least| *least <= limits::SESSION_TIME_MAX);
        if let Some(least) = least
            && !std::mem::replace(&mut self.is_raised, true)
        {
            self.least = least;
            return true;
        }
        false
    }

    /// A 2xx to a request of ours (§7.2): without the row the session lasts.
    pub(crate) fn on_accepted(&mut self, headers: &Headers<'_>, now: Instant) {
        self.is_raised = false;
        self.agreed = session_expires(headers).map(|(lasts, refresher)| {
            let is_ours = refresher != Some(Refresher::Uas);
            agreed(lasts, is_ours, now)
        });
    }

    /// Our 2xx to a request that asked for this (§9).
    pub(crate) fn answer(&mut self, asked: Asked, now: Instant, writer: &mut MessageWriter) {
        if !asked.is_known && asked.lasts.is_none() {
            self.agreed = None;
            return;
        }
        let wish = self.wish().max(asked.least);
        let lasts = asked.lasts.map_or(wish, |lasts| lasts.min(wish));
        let is_theirs = asked.is_known && asked.by_asker.unwrap_or(true);
        let refresher = if is_theirs { "uac" } else { "uas" };
        writer.header("Supported", "timer").header(
            "Session-Expires",
            format_args!("{};refresher={refresher}", lasts.as_secs()),
        );
        if is_theirs {
            writer.header("Require", "timer");
        }
        self.agreed = Some(agreed(lasts, !is_theirs, now));
    }

    /// Our refresh was not taken, for now.
    pub(crate) fn put_off(&mut self, now: Instant) {
        if let Some(agreed) = &mut self.agreed {
            agreed.refresh = now + limits::SESSION_RETRY;
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let agreed = self.agreed?;
        match agreed.is_ours && self.refresh.is_none() {
            true => Some(agreed.refresh.min(agreed.ends)),
            false => Some(agreed.ends),
        }
    }

    pub(crate) fn due(&self, now: Instant) -> Option<Due> {
        let agreed = self
            .agreed
            .filter(|_| self.deadline().is_some_and(|at| at <= now))?;
        match agreed.ends <= now {
            true => Some(Due::Over),
            false => Some(Due::Refresh),
        }
    }
}

/// A session that is refreshed when half of it is over, and ended a little before its time (§10).
fn agreed(lasts: Duration, is_ours: bool, now: Instant) -> Agreed {
    let lasts = lasts.clamp(limits::SESSION_TIME_MIN, limits::SESSION_TIME_MAX);
    let before = (lasts / 3).min(limits::TRANSACTION_TIME);
    Agreed {
        lasts,
        is_ours,
        refresh: now + lasts / 2,
        ends: now + (lasts - before),
    }
}

fn session_expires(headers: &Headers<'_>) -> Option<(Duration, Option<Refresher>)> {
    let row = headers.get(Name::SessionExpires)?;
    let lasts = seconds(Some(row))?;
    let parameters = row.split(';').skip(1).filter_map(|one| one.split_once('='));
    let mut refreshers =
        parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("refresher"));
    let refresher = refreshers.next().and_then(|(_, who)| match who.trim() {
        who if who.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
        who if who.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
        _ => None,
    });
    Some((lasts, refresher))
}

/// The seconds in front of parameters.
fn seconds(row: Option<&str>) -> Option<Duration> {
    let digits = row?.split(';').next()?.trim();
    let seconds = digits.parse::<u32>().ok()?;
    Some(Duration::from_secs(u64::from(seconds)))
}
