//! Via (RFC 3261 §20.42, RFC 3581): where a request passed, and where its responses go.

use crate::bytes;
use crate::header::params::check_params;
use crate::header::{BadValue, Params, split_item};
use crate::uri;

/// One hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Via<'a> {
    /// `WSS`, `WS`, `UDP`, `TCP`, `TLS` or any other, in the case it was written.
    pub transport: &'a str,
    /// `host[:port]`, as it was written.
    pub sent_by: &'a str,
    /// `branch`, `received`, `rport` and others.
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    /// Reads one hop.
    pub fn parse(item: &'a str) -> Result<Self, BadValue> {
        const SHAPE: BadValue =
            BadValue("must be written as SIP/2.0/TRANSPORT host;branch=z9hG4bK...");
        let rest = bytes::trim_start(item);
        let (_, rest) = split_token(rest).ok_or(SHAPE)?;
        let (_, rest) = slash(rest).and_then(split_token).ok_or(SHAPE)?;
        let (transport, rest) = slash(rest).and_then(split_token).ok_or(SHAPE)?;
        let place = bytes::trim_start(rest);
        if place.len() == rest.len() {
            return Err(SHAPE);
        }
        let mut end = uri::host_end(place)?;
        let mut behind = bytes::trim_start(&place[end..]);
        if let Some(port) = behind.strip_prefix(':') {
            let port = bytes::trim_start(port);
            let digits = port
                .bytes()
                .position(|byte| !byte.is_ascii_digit())
                .unwrap_or(port.len());
            uri::port(&port[..digits])?;
            end = place.len() - port.len() + digits;
            behind = bytes::trim_start(&port[digits..]);
        }
        Ok(Self {
            transport,
            sent_by: &place[..end],
            params: check_params(behind)?,
        })
    }

    /// The `branch` parameter, which names the transaction.
    pub fn branch(&self) -> Option<&'a str> {
        self.params.value("branch")
    }

    /// The `received` parameter: the address that the next hop saw.
    pub fn received(&self) -> Option<&'a str> {
        self.params.value("received")
    }

    /// RFC 3581: `None` without `rport`, `Some(None)` where it asks, `Some(Some(port))` where it was answered.
    pub fn rport(&self) -> Option<Option<u16>> {
        self.params
            .get("rport")
            .map(|value| value.and_then(|port| uri::port(port).ok()))
    }
}

fn split_token(text: &str) -> Option<(&str, &str)> {
    match bytes::run(text.as_bytes(), bytes::TOKEN) {
        0 => None,
        end => Some(text.split_at(end)),
    }
}

fn slash(text: &str) -> Option<&str> {
    bytes::trim_start(text)
        .strip_prefix('/')
        .map(bytes::trim_start)
}

/// Checks one Via row. Returns its first hop.
pub(crate) fn check_vias(value: &str) -> Result<Via<'_>, BadValue> {
    let (item, mut rest) = split_item(value);
    let first = Via::parse(item)?;
    while let Some(list) = rest {
        let (item, behind) = split_item(list);
        Via::parse(item)?;
        rest = behind;
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops() {
        let via = Via::parse("SIP / 2.0\t/ UDP first.example.com : 4000 ;ttl=16 ;maddr=224.2.0.1 ;branch=z9hG4bKa7c6a8dlze.1").unwrap();
        assert_eq!(
            (via.transport, via.sent_by),
            ("UDP", "first.example.com : 4000")
        );
        assert_eq!(
            (via.branch(), via.rport()),
            (Some("z9hG4bKa7c6a8dlze.1"), None)
        );
        let via =
            Via::parse("SIP/2.0/WSS [2001:db8::1]:443;received=2001:db8::2;rport=5062;branch=b")
                .unwrap();
        assert_eq!(
            (via.sent_by, via.received()),
            ("[2001:db8::1]:443", Some("2001:db8::2"))
        );
        assert_eq!(via.rport(), Some(Some(5062)));
        assert_eq!(
            Via::parse("SIP/2.0/WS a;rport").unwrap().rport(),
            Some(None)
        );
    }

    #[test]
    fn what_is_no_hop() {
        for item in [
            "",
            "SIP/2.0/WSS",
            "SIP/2.0 WSS a",
            "SIP/2.0/WSSa",
            "SIP/2.0/WSS a:x",
            "SIP/2.0/WSS a b",
            "SIP/2.0/WSS ;x",
            "SIP/2.0/WSS a:",
            "SIP/2.0/WSS a;",
        ] {
            assert!(Via::parse(item).is_err(), "{item:?} was read as a Via");
        }
        assert!(check_vias("SIP/2.0/WS a, ").is_err(), "no empty items");
        assert!(check_vias("SIP/2.0/WS a,SIP/2.0/WS b").is_ok());
    }
}
