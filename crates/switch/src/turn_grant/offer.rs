//! What a client is told: the list of ICE servers with its credential, as `RTCIceServer[]` in JSON.
//!
//! Minted on the spot, without shared state. Never believes a stranger's host name that is not one.

use std::net::Ipv6Addr;
use std::time::Duration;

use model::{AccountId, ConnectionId, UnixTime};
use serde::Serialize;

use super::credential::{Bearer, TurnSecret, Username};

/// A host name's longest form (RFC 1035 §2.3.4).
const HOST_BYTES: usize = 253;

/// The TURN server that clients are sent to.
#[derive(Clone, Debug)]
pub struct TurnOffer {
    /// The secret of this start of the node; the [`Ledger`](super::Ledger)'s is the same.
    pub secret: TurnSecret,
    /// The operator's choice, as it stands in a URL (IPv6 in brackets).
    pub host: Option<String>,
    /// A literal address, as it stands in a URL, where nothing else is known.
    pub fallback: String,
    /// Whether the host that a client connected with leads here: not behind a proxy.
    pub use_host_header: bool,
    /// The port of `turn:` over UDP.
    pub udp: Option<u16>,
    /// The port of `turn:` over TCP.
    pub tcp: Option<u16>,
    /// The port of `turns:` over TCP.
    pub tls: Option<u16>,
}

impl TurnOffer {
    /// The list for a connection, with a credential that lives for `ttl`.
    pub(crate) fn for_connection(
        &self,
        host: Option<&ConnectedHost>,
        account: AccountId,
        connection: ConnectionId,
        shard: usize,
        now: UnixTime,
        ttl: Duration,
    ) -> String {
        let username = Username {
            until: now + ttl,
            account,
            bearer: Bearer::Connection {
                id: connection,
                shard: u32::try_from(shard).unwrap_or(u32::MAX),
            },
        };
        self.list(host, &username)
    }

    fn list(&self, connected: Option<&ConnectedHost>, username: &Username) -> String {
        let host = self.host_for(connected);
        let urls: Vec<String> = [
            self.udp
                .map(|port| format!("turn:{host}:{port}?transport=udp")),
            self.tcp
                .map(|port| format!("turn:{host}:{port}?transport=tcp")),
            self.tls
                .map(|port| format!("turns:{host}:{port}?transport=tcp")),
        ]
        .into_iter()
        .flatten()
        .collect();
        if urls.is_empty() {
            return "[]".to_owned();
        }
        let username = username.to_string();
        let credential = self.secret.password(&username);
        let server = IceServer {
            urls: &urls,
            username: &username,
            credential: &credential,
        };
        serde_json::to_string(&[server]).expect("strings alone always make JSON")
    }

    fn host_for<'a>(&'a self, connected: Option<&'a ConnectedHost>) -> &'a str {
        let connected = connected.filter(|_| self.use_host_header);
        match (&self.host, connected) {
            (Some(host), _) => host,
            (None, Some(host)) => &host.0,
            (None, None) => &self.fallback,
        }
    }
}

/// The list for a back end of the account, with a credential that lives for `ttl_s` seconds. `host`: the Host header of
/// its request; `random`: 64 bits that nobody can guess, new for each credential.
pub fn rest_credential(
    offer: &TurnOffer,
    host: Option<&str>,
    account: AccountId,
    now: UnixTime,
    ttl_s: u32,
    random: u64,
) -> String {
    let username = Username {
        until: now + Duration::from_secs(ttl_s.into()),
        account,
        bearer: Bearer::rest(random, now),
    };
    offer.list(host.and_then(ConnectedHost::parse).as_ref(), &username)
}

/// A member of `RTCIceServer[]` (W3C WebRTC §4.2.4).
#[derive(Serialize)]
struct IceServer<'a> {
    urls: &'a [String],
    username: &'a str,
    credential: &'a str,
}

/// The host of a Host header (RFC 9110 §7.2) that another host can be asked for: a name, or a literal address, IPv6 in
/// brackets; no port. `localhost` is none: what listens for it is not what TURN listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConnectedHost(Box<str>);

impl ConnectedHost {
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let header = header.trim();
        let host = match header.strip_prefix('[') {
            Some(rest) => {
                let (literal, port) = rest.split_once(']')?;
                literal.parse::<Ipv6Addr>().ok()?;
                if !(port.is_empty() || is_port(port.strip_prefix(':')?)) {
                    return None;
                }
                &header[..literal.len() + 2]
            }
            None => match header.split_once(':') {
                Some((host, port)) if is_port(port) => host,
                Some(_) => return None,
                None => header,
            },
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        let is_host = host.starts_with('[') || host.bytes().all(is_name);
        let is_local = host
            .rsplit('.')
            .next()
            .is_some_and(|last| last.eq_ignore_ascii_case("localhost"));
        let fits = (1..=HOST_BYTES).contains(&host.len());
        (is_host && fits && !is_local).then(|| Self(host.into()))
    }
}

fn is_port(text: &str) -> bool {
    text.is_empty() || text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_795_000_000);

    fn offer() -> TurnOffer {
        TurnOffer {
            secret: TurnSecret::new([7; 32]),
            host: None,
            fallback: "192.0.2.1".to_owned(),
            use_host_header: true,
            udp: Some(3478),
            tcp: Some(3479),
            tls: Some(5349),
        }
    }

    fn servers(offer: &TurnOffer, host: Option<&str>) -> Value {
        let host = host.and_then(ConnectedHost::parse);
        let ttl = Duration::from_secs(60);
        let (account, connection) = (AccountId(5), ConnectionId(9));
        let json = offer.for_connection(host.as_ref(), account, connection, 2, NOW, ttl);
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn a_browser_is_given_three_urls_and_one_credential() {
        let given = servers(&offer(), Some("calls.example.com:8443"));
        let username = "1795000060:c.1.2.5.9";
        let expected = json!([{
            "urls": [
                "turn:calls.example.com:3478?transport=udp",
                "turn:calls.example.com:3479?transport=tcp",
                "turns:calls.example.com:5349?transport=tcp",
            ],
            "username": username,
            "credential": TurnSecret::new([7; 32]).password(username),
        }]);
        assert_eq!(given, expected);
        let udp_alone = TurnOffer {
            tcp: None,
            tls: None,
            ..offer()
        };
        let urls = &servers(&udp_alone, None)[0]["urls"];
        assert_eq!(*urls, json!(["turn:192.0.2.1:3478?transport=udp"]));
        let nothing = TurnOffer {
            udp: None,
            ..udp_alone
        };
        assert_eq!(servers(&nothing, None), json!([]));
    }

    #[test]
    fn the_operators_host_comes_first_and_a_proxys_is_not_believed() {
        let url = |offer: &TurnOffer| {
            servers(offer, Some("here.example"))[0]["urls"][0]
                .as_str()
                .unwrap()
                .to_owned()
        };
        assert!(url(&offer()).starts_with("turn:here.example:"));
        let chosen = TurnOffer {
            host: Some("turn.example".to_owned()),
            ..offer()
        };
        assert!(url(&chosen).starts_with("turn:turn.example:"));
        let behind_proxy = TurnOffer {
            use_host_header: false,
            ..offer()
        };
        assert!(url(&behind_proxy).starts_with("turn:192.0.2.1:"));
        let quoting = TurnOffer {
            host: Some("a\"b\\c".to_owned()),
            ..offer()
        };
        assert!(url(&quoting).starts_with("turn:a\"b\\c:"), "escaped");
    }

    #[test]
    fn a_strangers_host_is_a_host_or_nothing() {
        let host = |header| ConnectedHost::parse(header).map(|host| host.0.to_string());
        for (header, expected) in [
            ("example.com", "example.com"),
            ("Example.com:443", "Example.com"),
            (" example.com:443 ", "example.com"),
            ("192.0.2.7:80", "192.0.2.7"),
            ("[2001:db8::7]", "[2001:db8::7]"),
            ("[2001:db8::7]:8443", "[2001:db8::7]"),
            ("xn--bcher-kva.example:", "xn--bcher-kva.example"),
        ] {
            assert_eq!(host(header).as_deref(), Some(expected), "{header}");
        }
        for bad in [
            "",
            ":80",
            "localhost",
            "LocalHost:8080",
            "x.localhost",
            "a b",
            "a\"b",
            "a?transport=udp",
            "a:b",
            "a:99999",
            "2001:db8::7",
            "[2001:db8::7",
            "[]:80",
            "[::1]x",
            "[::1%eth0]",
            "b\u{fc}cher.example",
            "a@b",
            "a/b",
        ] {
            assert_eq!(host(bad), None, "{bad}");
        }
        assert_eq!(host(&"a".repeat(HOST_BYTES + 1)), None);
    }
}
