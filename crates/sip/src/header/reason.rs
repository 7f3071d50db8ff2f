//! Reason (RFC 3326): why a request came, as in `SIP;cause=486;text="Busy Here"`.

use crate::bytes;
use crate::header::params::check_params;
use crate::header::{BadValue, Params};

/// One reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reason<'a> {
    /// `SIP`, `Q.850` or any other, in the case it was written.
    pub protocol: &'a str,
    /// `cause`, `text` and others.
    pub params: Params<'a>,
}

impl<'a> Reason<'a> {
    /// Reads one reason.
    pub fn parse(item: &'a str) -> Result<Self, BadValue> {
        let item = bytes::trim(item);
        let end = bytes::run(item.as_bytes(), bytes::TOKEN);
        if end == 0 {
            return Err(BadValue("must begin with a protocol, as in SIP;cause=486"));
        }
        Ok(Self {
            protocol: &item[..end],
            params: check_params(bytes::trim_start(&item[end..]))?,
        })
    }

    /// The `cause`, if it is a number.
    pub fn cause(&self) -> Option<u16> {
        self.params
            .value("cause")
            .and_then(|cause| cause.parse().ok())
    }

    /// The `text`, without its quotes.
    pub fn text(&self) -> Option<&'a str> {
        self.params.value("text")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes() {
        let reason = Reason::parse("SIP;cause=486;text=\"Busy Here\"").unwrap();
        assert_eq!(
            (reason.protocol, reason.cause(), reason.text()),
            ("SIP", Some(486), Some("Busy Here"))
        );
        let reason = Reason::parse("Q.850 ;cause=16 ; text=\"a, b\"").unwrap();
        assert_eq!((reason.cause(), reason.text()), (Some(16), Some("a, b")));
        assert_eq!(Reason::parse("SIP;cause=lots").unwrap().cause(), None);
        assert!(Reason::parse(";cause=1").is_err());
    }
}
