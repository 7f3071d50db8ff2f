//! What can go wrong with the bus, each said with its place and with what to do about it.
//!
//! Never names a secret, nor a type of the library. What the server answers is told apart by the first word of its errors.

use model::{NodeNumber, limits};
use redis::{ErrorKind, RedisError};

/// The bus could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// Its address is not one.
    #[error(
        "cannot use the bus: its address is not right ({cause}); it has the form redis://user:password@host:6379, \
         redis+sentinel://host,host/service or redis+cluster://host,host, and begins with rediss for TLS"
    )]
    Address {
        /// What is wrong with it; never the address itself.
        cause: String,
    },
    /// The file of its authorities cannot be used.
    #[error(
        "cannot use the bus: the file {path}, the ca of its address, {cause}; have it hold the certificates of the \
         authorities that the bus's own is issued by, in PEM"
    )]
    Authority {
        /// The file.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
    /// There is no connection to it.
    #[error(
        "cannot {operation}: {place} cannot be reached ({cause}); see that Redis or Valkey runs there and that nothing \
         between stands in the way"
    )]
    Unreachable {
        /// What was to be done.
        operation: &'static str,
        /// Where the bus is.
        place: String,
        /// What stands in the way.
        cause: String,
    },
    /// Its certificate is not trusted, or it speaks no TLS.
    #[error(
        "cannot {operation}: TLS with {place} fails ({cause}); it must show a certificate for the host that its address \
         names, from an authority that this machine or the ca of the address knows"
    )]
    Untrusted {
        /// What was to be done.
        operation: &'static str,
        /// Where the bus is.
        place: String,
        /// What TLS says.
        cause: String,
    },
    /// It did not answer in time.
    #[error(
        "cannot {operation}: {place} did not answer in time; see what it is busy with, and how far away it is"
    )]
    Slow {
        /// What was to be done.
        operation: &'static str,
        /// Where the bus is.
        place: String,
    },
    /// As much waits for it as may.
    #[error(
        "cannot {operation}: as many commands wait for {place} as may (at most {max}, and {mib} MiB); see what it is busy with",
        max = limits::BUS_COMMANDS,
        mib = limits::BUS_COMMANDS_BYTES / (1024 * 1024)
    )]
    Busy {
        /// What was to be done.
        operation: &'static str,
        /// Where the bus is.
        place: String,
    },
    /// We read too slowly what it tells.
    #[error(
        "cannot hear other nodes: {mib} MiB of what {place} told wait to be read, as much as may; this node is too slow for \
         what it is sent"
    )]
    Behind {
        /// Where the bus is.
        place: String,
        /// As much as may wait.
        mib: usize,
    },
    /// It does not know us.
    #[error(
        "cannot {operation}: {place} refuses user or password ({cause}); see that those in its address are right"
    )]
    Refused {
        /// What was to be done.
        operation: &'static str,
        /// Where the bus is.
        place: String,
        /// What it said.
        cause: String,
    },
    /// It knows us, and lets us not.
    #[error(
        "cannot {operation}: {place} does not allow it ({cause}); give the user of its address the right to it by an ACL"
    )]
    Forbidden {
        /// What was to be done.
        operation: &'static str,
        /// Where the bus is.
        place: String,
        /// What it said.
        cause: String,
    },
    /// It is a replica.
    #[error(
        "cannot {operation}: {place} can be read only ({cause}); name the master, or let Sentinel find it"
    )]
    ReadOnly {
        /// What was to be done.
        operation: &'static str,
        /// Where the bus is.
        place: String,
        /// What it said.
        cause: String,
    },
    /// Its memory is used up.
    #[error(
        "cannot {operation}: {place} has no memory left; give it more (maxmemory), or leave it to offhook alone"
    )]
    Full {
        /// What was to be done.
        operation: &'static str,
        /// Where the bus is.
        place: String,
    },
    /// It is there, and not ready: it loads its data, or has no master.
    #[error("cannot {operation}: {place} is not ready ({cause}); it may be soon")]
    NotReady {
        /// What was to be done.
        operation: &'static str,
        /// Where the bus is.
        place: String,
        /// What it said.
        cause: String,
    },
    /// It holds something that cannot be ours.
    #[error(
        "cannot {operation}: {place} holds something else than was written ({what}); let nobody else use its keys, or \
         choose another prefix"
    )]
    Damaged {
        /// What was to be done.
        operation: &'static str,
        /// Where the bus is.
        place: String,
        /// What was found.
        what: String,
    },
    /// What is to be written is larger than may be.
    #[error("cannot {operation}: it has {bytes} bytes, and may have {max}")]
    TooLarge {
        /// What was to be done.
        operation: &'static str,
        /// As many bytes as it has.
        bytes: usize,
        /// As many as it may have.
        max: usize,
    },
    /// Another process has this number. Both are told: the bus may have forgotten who had it.
    #[error(
        "another process is node {0} as well; let the one that has started last claim another number"
    )]
    Taken(NodeNumber),
    /// All numbers are taken.
    #[error("cannot claim a number for this node: on {place} all {last} are taken", last = NodeNumber::LAST)]
    NoNumber {
        /// Where the bus is.
        place: String,
    },
    /// Anything else.
    #[error("cannot {operation}: {place} says: {cause}")]
    Failed {
        /// What was to be done.
        operation: &'static str,
        /// Where the bus is.
        place: String,
        /// What it said.
        cause: String,
    },
}

/// Says what `error` means for `operation` in `place`.
pub(super) fn explain(operation: &'static str, place: &str, error: &RedisError) -> BusError {
    let place = place.to_owned();
    if error.is_timeout() {
        return BusError::Slow { operation, place };
    }
    if let Some(code) = first_code(error) {
        return explain_code(operation, place, &code, said(error));
    }
    let (kind, cause) = (error.kind(), said(error));
    let is = |kinds: &[ErrorKind]| kinds.contains(&kind);
    if is(&[ErrorKind::Io]) && is_of_tls(&cause) {
        return BusError::Untrusted {
            operation,
            place,
            cause,
        };
    }
    if is(&[ErrorKind::Io, ErrorKind::ClusterConnectionNotFound]) {
        return BusError::Unreachable {
            operation,
            place,
            cause,
        };
    }
    if is(&[ErrorKind::Parse, ErrorKind::UnexpectedReturnType]) {
        return BusError::Damaged {
            operation,
            place,
            what: cause,
        };
    }
    BusError::Failed {
        operation,
        place,
        cause,
    }
}

/// Whether the connection is as good as before: the server has answered, and is the right one.
pub(super) fn is_answered_well(error: &RedisError) -> bool {
    let elsewhere = [
        "READONLY",
        "MASTERDOWN",
        "CLUSTERDOWN",
        "NOREPLICAS",
        "NOAUTH",
        "MOVED",
    ];
    first_code(error).is_some_and(|code| !elsewhere.contains(&code.as_str()))
}

/// The first word of what the server answered; of a step it refused, that of the first command that it refused.
fn first_code(error: &RedisError) -> Option<String> {
    let inner = error.clone().into_server_errors();
    let inner = inner.as_deref().and_then(<[_]>::first);
    inner
        .map(|(_, error)| error.code().to_owned())
        .or_else(|| error.code().map(str::to_owned))
}

/// What the server, or the system, said.
fn said(error: &RedisError) -> String {
    let inner = error.clone().into_server_errors();
    let Some((_, inner)) = inner.as_deref().and_then(<[_]>::first) else {
        return if error.kind() == ErrorKind::Io && error.to_string() == "broken pipe" {
            "the connection was closed".to_owned()
        } else {
            error.to_string()
        };
    };
    match inner.details() {
        Some(details) => format!("{} {details}", inner.code()),
        None => inner.code().to_owned(),
    }
}

/// In the words of the library for TLS, which says no more.
fn is_of_tls(cause: &str) -> bool {
    ["certificate", "corrupt message", "fatal alert", "handshake"]
        .iter()
        .any(|word| cause.contains(word))
}

fn explain_code(operation: &'static str, place: String, code: &str, cause: String) -> BusError {
    match code {
        "WRONGPASS" | "NOAUTH" => BusError::Refused {
            operation,
            place,
            cause,
        },
        "ERR" if cause.contains("unknown command") && cause.contains("HELLO") => BusError::Failed {
            operation,
            place,
            cause: format!(
                "{cause}; it must be Redis 6 or later, or Valkey, and have the command HELLO"
            ),
        },
        "NOPERM" => BusError::Forbidden {
            operation,
            place,
            cause,
        },
        "READONLY" => BusError::ReadOnly {
            operation,
            place,
            cause,
        },
        "OOM" => BusError::Full { operation, place },
        "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "NOREPLICAS" | "TRYAGAIN" | "BUSY"
        | "MISCONF" => BusError::NotReady {
            operation,
            place,
            cause,
        },
        "WRONGTYPE" => BusError::Damaged {
            operation,
            place,
            what: cause,
        },
        _ => BusError::Failed {
            operation,
            place,
            cause,
        },
    }
}

#[cfg(test)]
mod tests {
    use redis::{RedisError, ServerErrorKind, make_extension_error};

    use super::*;

    fn of_server(code: &str) -> RedisError {
        make_extension_error(code.to_owned(), Some("it says why".to_owned()))
    }

    #[test]
    fn what_a_server_answers_is_told_apart() {
        let place = "redis://a:6379";
        for (code, is_it) in [
            ("NOAUTH", "refuses user or password (NOAUTH it says why)"),
            ("NOREPLICAS", "is not ready (NOREPLICAS it says why)"),
            ("MISCONF", "is not ready (MISCONF it says why)"),
            ("OOM", "has no memory left"),
            ("ODD", "says: ODD it says why"),
        ] {
            let said = explain("do it", place, &of_server(code)).to_string();
            let whole = format!("cannot do it: redis://a:6379 {is_it}");
            assert!(said.starts_with(&whole), "{said}");
        }
        let loading = ErrorKind::Server(ServerErrorKind::BusyLoading);
        let loading = explain("do it", place, &RedisError::from((loading, "loading")));
        assert!(matches!(loading, BusError::NotReady { .. }), "{loading:?}");
    }

    #[test]
    fn a_server_that_is_not_the_right_one_is_looked_for_anew() {
        assert!(is_answered_well(&of_server("OOM")));
        assert!(is_answered_well(&of_server("NOPERM")));
        for elsewhere in ["READONLY", "NOREPLICAS", "CLUSTERDOWN"] {
            assert!(!is_answered_well(&of_server(elsewhere)), "{elsewhere}");
        }
        let closed = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(!is_answered_well(&closed.into()));
    }
}
