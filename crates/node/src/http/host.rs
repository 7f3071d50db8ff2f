//! The host that a request names (RFC 9110 §7.2), as far as it can be believed to be one.
//!
//! Says whether that is this machine; never looks a name up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::header::HOST;
use axum::http::{HeaderMap, Uri};

/// A well-formed `Host`, or the authority of an absolute target, which is stronger (RFC 9112 §3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Host<'a> {
    /// With the port, as it came.
    pub(super) text: &'a str,
    name: Name<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name<'a> {
    /// A name or an IPv4 address: both are written in letters, digits, `-` and `.` alone.
    Plain(&'a str),
    Ipv6(Ipv6Addr),
}

impl<'a> Host<'a> {
    /// The request's host; none if there is none, more than one, or what is no host.
    pub(super) fn of(uri: &'a Uri, headers: &'a HeaderMap) -> Option<Self> {
        let mut rows = headers.get_all(HOST).iter();
        let row = rows.next()?.to_str().ok()?;
        let text = uri.authority().map_or(row, |authority| authority.as_str());
        if rows.next().is_some() {
            return None;
        }
        Self::parse(text)
    }

    fn parse(text: &'a str) -> Option<Self> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                (Name::Ipv6(address.parse().ok()?), port)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                let (name, port) = text.split_at(end);
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
                if !(1..=253).contains(&name.len()) || !name.bytes().all(is_plain) {
                    return None;
                }
                (Name::Plain(name), port)
            }
        };
        let is_port = |digits: &str| {
            digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok()
        };
        let is_right = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        is_right.then_some(Self { text, name })
    }

    /// Whether every browser takes it for the machine that it runs on (RFC 6761 §6.3, RFC 1122 §3.2.1.3).
    pub(super) fn is_this_machine(&self) -> bool {
        match self.name {
            Name::Ipv6(address) => address.to_canonical().is_loopback(),
            Name::Plain(name) => {
                let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
                name == "localhost"
                    || name.ends_with(".localhost")
                    || name
                        .parse::<Ipv4Addr>()
                        .is_ok_and(|address| address.is_loopback())
            }
        }
    }

    /// What a client is to call the TURN server, without a port: the same, but this machine's own name only where TURN listens on
    /// one of these loopback addresses, and then that one. None if the name leads nowhere.
    pub(super) fn for_turn(&self, loopbacks: &[IpAddr]) -> Option<String> {
        let named = match self.name {
            Name::Ipv6(ip) => Some(IpAddr::V6(ip).to_canonical()),
            Name::Plain(name) => name.parse().ok().map(IpAddr::V4),
        };
        let ip = if self.is_this_machine() {
            let same = named.filter(|ip| loopbacks.contains(ip));
            Some(same.or_else(|| loopbacks.first().copied())?)
        } else {
            named
        };
        match (ip, self.name) {
            (Some(IpAddr::V6(ip)), _) => Some(format!("[{ip}]")),
            (Some(IpAddr::V4(ip)), _) => Some(ip.to_string()),
            (None, Name::Plain(name)) => Some(name.to_owned()),
            (None, Name::Ipv6(_)) => None,
        }
    }

    /// Whether a Content-Security-Policy can name it: its grammar has no IPv6 addresses (CSP3 §2.3.1).
    pub(super) fn is_source(&self) -> bool {
        match self.name {
            Name::Plain(_) => true,
            Name::Ipv6(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_this_machine_are_known_by_their_form() {
        for own in [
            "localhost",
            "LOCALHOST:8080",
            "localhost.:1",
            "a.localhost",
            "127.0.0.1",
            "127.9.9.9:80",
            "[::1]",
            "[::1]:8080",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(Host::parse(own).unwrap().is_this_machine(), "{own}");
        }
        for other in [
            "localhost.example.com",
            "notlocalhost",
            "127.0.0.1.example.com",
            "128.0.0.1",
            "0.0.0.0",
            "[::2]",
            "192.168.0.1:8080",
            "offhook.example.com",
        ] {
            assert!(!Host::parse(other).unwrap().is_this_machine(), "{other}");
        }
    }

    #[test]
    fn for_turn_this_machine_is_the_loopback_address_that_is_listened_on() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let both = [ip("127.0.0.1"), ip("::1")];
        let v6 = [ip("::1")];
        for (host, loopbacks, wanted) in [
            ("localhost:8080", &both[..], Some("127.0.0.1")),
            ("a.localhost", &v6, Some("[::1]")),
            ("[::1]:8080", &both, Some("[::1]")),
            ("127.9.9.9", &both, Some("127.0.0.1")),
            ("127.0.0.1", &v6, Some("[::1]")),
            ("localhost", &[], None),
            ("127.0.0.1", &[], None),
            ("192.0.2.1:443", &[], Some("192.0.2.1")),
            ("[2001:DB8::1]:443", &both, Some("[2001:db8::1]")),
            ("[::ffff:192.0.2.1]", &both, Some("192.0.2.1")),
            ("calls.example.com:443", &both, Some("calls.example.com")),
        ] {
            let host_for_turn = Host::parse(host).unwrap().for_turn(loopbacks);
            assert_eq!(host_for_turn.as_deref(), wanted, "{host}");
        }
    }

    #[test]
    fn what_is_no_host_is_none() {
        for wrong in [
            "",
            ":80",
            "a b",
            "a;b",
            "a'b",
            "a,b",
            "a/b",
            "user@a",
            "a:b",
            "a:80:80",
            "a:65536",
            "a:+1",
            "[::1",
            "[::1]x",
            "[a]",
            "::1",
            "ä.example.com",
            "*.example.com",
        ] {
            assert_eq!(Host::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_request_has_one_host_and_an_absolute_target_is_stronger() {
        let of = |uri: &str, hosts: &[&str]| {
            let uri: Uri = uri.parse().unwrap();
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, host.parse().unwrap());
            }
            Host::of(&uri, &headers).map(|host| host.text.to_owned())
        };
        assert_eq!(of("/", &["a:1"]).as_deref(), Some("a:1"));
        assert_eq!(of("http://b/", &["a"]).as_deref(), Some("b"));
        assert_eq!(of("/", &["a", "a"]), None);
        assert_eq!(of("/", &[]), None);
    }
}
