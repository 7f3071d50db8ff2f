//! What is measured where messages pass: each is a few relaxed additions to numbers that are there, without a lock, an allocation or
//! a name of anybody. They are read when somebody asks (`admin::figures`).
//!
//! What is only counted stands in `telemetry::Counters`, which has these as well.

mod histogram;
mod store;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use memchr::memmem::Finder;
use model::{CallOutcome, EndedBy};

pub(crate) use histogram::Histogram;
pub(crate) use store::{StoreMeter, StoreTask};

/// Methods of SIP that have a number of their own; all else is the last.
pub(crate) const SIP_METHODS: [&str; 15] = [
    "REGISTER",
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "INFO",
    "REFER",
    "NOTIFY",
    "PRACK",
    "UPDATE",
    "MESSAGE",
    "SUBSCRIBE",
    "PUBLISH",
    OTHER,
];
/// Methods of HTTP that have one.
pub(crate) const HTTP_METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", OTHER,
];
/// What is none of those that are known: anybody may send words of his own, and they are no labels.
const OTHER: &str = "other";
/// Classes of status (RFC 3261 §7.2, RFC 9110 §15), by their first digit; HTTP has no sixth.
pub(crate) const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "6xx"];
/// Who ends calls, in the order of [`EndedBy`].
pub(crate) const ENDERS: [EndedBy; 3] = [EndedBy::Caller, EndedBy::Callee, EndedBy::Server];
/// How calls end: see [`cause`].
pub(crate) const CAUSES: [&str; 9] = [
    "hung_up",
    "cancelled",
    "busy",
    "no_answer",
    "unavailable",
    "not_found",
    "refused",
    "failed",
    "cut_off",
];

/// Numbers in rows.
type Grid<const ROWS: usize, const COLUMNS: usize> = [[AtomicU64; COLUMNS]; ROWS];

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    /// Responses of SIP that left, by method and class.
    pub(crate) responses: Grid<{ SIP_METHODS.len() }, { CLASSES.len() }>,
    /// Requests of SIP that left.
    pub(crate) requests: [AtomicU64; SIP_METHODS.len()],
    /// Answers of the web services, by method and class.
    pub(crate) http: Grid<{ HTTP_METHODS.len() }, { CLASSES.len() }>,
    /// Ended calls, by who ended them and how.
    pub(crate) ends: Grid<{ ENDERS.len() }, { CAUSES.len() }>,
    /// From a REGISTER that was read to its answer in the outbox.
    pub(crate) register: Histogram,
    /// From an INVITE that was read until its 100 and what it leads to are in the outboxes.
    pub(crate) invite: Histogram,
    /// From a permitted request for a token to its signature.
    pub(crate) token: Histogram,
    pub(crate) store: StoreMeter,
}

impl Meters {
    /// A message of SIP leaves.
    pub(crate) fn leaves(&self, message: &[u8]) {
        match Kind::of(message) {
            Kind::Request { method } => one_more(&self.requests[method]),
            Kind::Response { method, class } => one_more(&self.responses[method][class]),
        }
    }

    /// A request of SIP was read so long ago, and all is done that it asks for.
    pub(crate) fn handled(&self, method: &sip::Method<'_>, took: Duration) {
        if *method == sip::Method::Register {
            self.register.add(took);
        } else if *method == sip::Method::Invite {
            self.invite.add(took);
        }
    }

    /// A request of HTTP has got this status.
    pub(crate) fn answered(&self, method: &str, status: u16) {
        if let Some(class) = class_of(status) {
            one_more(&self.http[place(&HTTP_METHODS, method.as_bytes())][class]);
        }
    }

    /// A call has ended.
    pub(crate) fn ended(&self, outcome: &CallOutcome, was_answered: bool) {
        let cause = cause(outcome.status, was_answered);
        let cause = place(&CAUSES, cause.as_bytes());
        one_more(&self.ends[outcome.by as usize][cause]);
    }
}

/// Whether messages of this method are timed.
pub(crate) fn is_timed(method: &sip::Method<'_>) -> bool {
    matches!(method, sip::Method::Register | sip::Method::Invite)
}

fn one_more(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// The place of a word, or the last.
fn place(words: &[&str], word: &[u8]) -> usize {
    let known = words.iter().position(|known| known.as_bytes() == word);
    known.unwrap_or(words.len() - 1)
}

fn class_of(status: u16) -> Option<usize> {
    usize::from(status / 100)
        .checked_sub(1)
        .filter(|class| *class < CLASSES.len())
}

/// The status of a call's record in one of few words.
fn cause(status: u16, was_answered: bool) -> &'static str {
    match status {
        200..300 => "hung_up",
        _ if was_answered => "cut_off",
        487 => "cancelled",
        486 | 600 => "busy",
        408 => "no_answer",
        480 => "unavailable",
        404 | 410 | 484 | 604 => "not_found",
        500..600 => "failed",
        _ => "refused",
    }
}

/// What a message of ours is, by its places in the tables.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Request { method: usize },
    Response { method: usize, class: usize },
}

impl Kind {
    /// Looks at the first line, and at a response's CSeq, which we write under its full name.
    fn of(message: &[u8]) -> Self {
        static CSEQ: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\nCSeq: "));

        let Some(status) = message.strip_prefix(b"SIP/2.0 ") else {
            let method = message.split(|byte| *byte == b' ').next();
            let method = place(&SIP_METHODS, method.unwrap_or_default());
            return Self::Request { method };
        };
        let first = status.first().copied().unwrap_or_default();
        let class = usize::from(first.saturating_sub(b'1')).min(CLASSES.len() - 1);
        let row = CSEQ.find(status).map(|at| &status[at + 2..]);
        let line = row.and_then(|row| row.split(|byte| *byte == b'\r').next());
        let method = line.and_then(|line| line.rsplit(|byte| *byte == b' ').next());
        let method = place(&SIP_METHODS, method.unwrap_or_default());
        Self::Response { method, class }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(message: &str) -> (&'static str, Option<&'static str>) {
        match Kind::of(message.as_bytes()) {
            Kind::Request { method } => (SIP_METHODS[method], None),
            Kind::Response { method, class } => (SIP_METHODS[method], Some(CLASSES[class])),
        }
    }

    #[test]
    fn a_message_is_known_by_its_first_line_and_its_cseq() {
        let invite = "INVITE sip:bob@a SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n";
        assert_eq!(kind(invite), ("INVITE", None));
        let ringing = "SIP/2.0 180 Ringing\r\nTo: <sip:x>\r\nCSeq: 1 INVITE\r\n\r\n";
        assert_eq!(kind(ringing), ("INVITE", Some("1xx")));
        let refused = "SIP/2.0 603 Decline\r\nCSeq: 7 REGISTER\r\nTo: <sip:x>\r\n\r\n";
        assert_eq!(kind(refused), ("REGISTER", Some("6xx")));
        for strange in [
            "",
            "X",
            "SIP/2.0 ",
            "SIP/2.0 999 x\r\n\r\n",
            "FROB sip:a SIP/2.0",
        ] {
            assert_eq!(kind(strange).0, OTHER, "{strange}");
        }
    }

    #[test]
    fn every_end_of_a_call_has_a_word() {
        for status in 100..700 {
            for was_answered in [false, true] {
                let cause = cause(status, was_answered);
                assert!(CAUSES.contains(&cause), "{cause}");
            }
        }
        for (at, by) in ENDERS.into_iter().enumerate() {
            assert_eq!(by as usize, at);
        }
        let ends = [
            (200, true),
            (487, false),
            (486, false),
            (503, true),
            (403, false),
        ];
        let words = ends.map(|(status, was_answered)| cause(status, was_answered));
        assert_eq!(
            words,
            ["hung_up", "cancelled", "busy", "cut_off", "refused"]
        );
    }

    #[test]
    fn what_is_no_known_method_of_http_has_no_name_of_its_own() {
        let meters = Meters::default();
        meters.answered("GET", 101);
        meters.answered("FROB", 405);
        meters.answered("GET", 1000);
        let count =
            |method: usize, class: usize| meters.http[method][class].load(Ordering::Relaxed);
        assert_eq!((count(0, 0), count(HTTP_METHODS.len() - 1, 3)), (1, 1));
        let all = meters.http.iter().flatten();
        assert_eq!(
            all.map(|count| count.load(Ordering::Relaxed)).sum::<u64>(),
            2
        );
    }
}
