//! SIP domains: whose address is this?
//!
//! Knows the host names built into existing clients and the operator's own; never resolves anything.

use model::CloudId;

use crate::input::Settings;

/// What a host name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Domain<'a> {
    /// An account's clients: `<key>.webrtc-<cloud>.aculabcloud.net` or `<key>.<own domain>`.
    Account { key: &'a str },
    /// Services: `sip-<cloud>.aculab.com` or `sip.<own domain>`.
    Service,
    /// Something else.
    Other,
}

impl<'a> Domain<'a> {
    pub(crate) fn parse(host: &'a str, settings: &Settings) -> Self {
        if is_built_in(host, "sip-", ".aculab.com") {
            return Self::Service;
        }
        let Some((label, rest)) = host.split_once('.') else {
            return Self::Other;
        };
        let is_own = settings
            .domains
            .iter()
            .any(|domain| domain.eq_ignore_ascii_case(rest));
        if is_own && label.eq_ignore_ascii_case("sip") {
            Self::Service
        } else if is_own || is_built_in(rest, "webrtc-", ".aculabcloud.net") {
            Self::Account { key: label }
        } else {
            Self::Other
        }
    }

    pub(crate) fn access_key(self) -> Option<&'a str> {
        match self {
            Self::Account { key } => Some(key),
            Self::Service | Self::Other => None,
        }
    }
}

/// The host that services have beside the domain of an account's clients: existing clients tell their apps by it that a
/// service calls.
pub(crate) fn service_host(domain: &str) -> String {
    let rest = domain.split_once('.').map_or(domain, |(_, rest)| rest);
    let cloud = rest
        .strip_prefix("webrtc-")
        .and_then(|rest| rest.strip_suffix(".aculabcloud.net"));
    match cloud {
        Some(cloud) => format!("sip-{cloud}.aculab.com"),
        None => format!("sip.{rest}"),
    }
}

/// `<prefix><cloud id><suffix>`; host names are case-insensitive.
fn is_built_in(host: &str, prefix: &str, suffix: &str) -> bool {
    let Some(middle) = host.len().checked_sub(prefix.len() + suffix.len()) else {
        return false;
    };
    let (head, rest) = host.as_bytes().split_at(prefix.len());
    let (cloud, tail) = rest.split_at(middle);
    head.eq_ignore_ascii_case(prefix.as_bytes())
        && tail.eq_ignore_ascii_case(suffix.as_bytes())
        && std::str::from_utf8(cloud).is_ok_and(CloudId::is_valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_a_host_beside_each_domain_of_clients() {
        let settings = Settings {
            domains: vec!["calls.example.com".to_owned()],
            ..Settings::default()
        };
        for domain in ["k.webrtc-1-2-0.aculabcloud.net", "k.calls.example.com"] {
            let host = service_host(domain);
            assert_eq!(Domain::parse(&host, &settings), Domain::Service, "{host}");
        }
    }

    #[test]
    fn hosts_of_existing_clients_and_our_own_are_known() {
        let settings = Settings {
            domains: vec!["calls.example.com".to_owned()],
            ..Settings::default()
        };
        let domain = |host| Domain::parse(host, &settings);
        let account = Domain::Account { key: "testkey" };
        assert_eq!(domain("testkey.webrtc-1-2-0.aculabcloud.net"), account);
        assert_eq!(domain("testkey.WebRTC-0-2-0.AculabCloud.net"), account);
        assert_eq!(domain("testkey.calls.example.com"), account);
        assert_eq!(domain("sip.calls.example.com"), Domain::Service);
        assert_eq!(domain("sip-1-2-0.aculab.com"), Domain::Service);
        for other in [
            "",
            "localhost",
            "webrtc-1-2-0.aculabcloud.net",
            "k.webrtc-x.aculabcloud.net",
            "calls.example.com",
            "sip-.aculab.com",
        ] {
            assert_eq!(domain(other), Domain::Other, "{other}");
        }
    }
}
