//! What an operator chooses.
//!
//! A plain structure; where its values come from (flags, environment, a file) is the command's concern.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::limits;
use store::bus::BusUrl;
use switch::turn_grant::TurnOffer;

use crate::admin::{self, AdminConfigFault};
use crate::media_worker::{MediaConfig, MediaConfigFault};
use crate::relay::{TurnConfig, TurnConfigFault};
use crate::sound::SpeechConfig;
use crate::trunk_worker::{Lines, TrunkConfig, TrunkConfigFault};
use crate::webhook::{WebhookConfig, WebhookConfigFault};

/// The configuration of one node.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder that holds everything that is kept.
    pub data: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where the operator's figures and readiness are told; nowhere unless given.
    pub admin_listen: Option<SocketAddr>,
    /// The bus that several nodes share; without one this node works alone.
    pub bus: Option<BusUrl>,
    /// Serve TLS with this certificate.
    pub tls: Option<TlsFiles>,
    /// A proxy before us ends TLS and appends the client's address to `X-Forwarded-For`.
    pub behind_tls_proxy: bool,
    /// SIP domains of our own, beside those built into existing clients.
    pub domains: Vec<String>,
    /// How long a callee may ring, in seconds.
    pub no_answer_s: u64,
    /// How long a session waits for its client after a lost socket, in seconds (docs/resume.md); 0: no session is resumed.
    pub resume_s: u64,
    /// How long calls may go on after the server was told to stop, in seconds; 0: they end at once.
    pub drain_s: u64,
    /// Serve the softphone page at `/`.
    pub softphone: bool,
    /// Let everybody on this machine make clients of the demo account with one click; see [`Config::may_demo`].
    pub demo: bool,
    /// How many shards; as many as there are cores unless given.
    pub shards: Option<usize>,
    /// The TURN server.
    pub turn: TurnConfig,
    /// The media gateway.
    pub media: MediaConfig,
    /// SIP peers that are no browsers.
    pub trunk: TrunkConfig,
    /// How applications are asked.
    pub webhook: WebhookConfig,
    /// What makes sound of texts.
    pub speech: SpeechConfig,
    /// Bounds that are the product's, not the operator's: tests narrow them.
    pub bounds: Bounds,
    /// Says how many bytes of memory are given out, in a build that counts them.
    pub heap: Option<fn() -> usize>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("offhook-data"),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            admin_listen: None,
            bus: None,
            tls: None,
            behind_tls_proxy: false,
            domains: Vec::new(),
            no_answer_s: limits::NO_ANSWER_TIME.as_secs(),
            resume_s: limits::RESUME_WINDOW.as_secs(),
            drain_s: 0,
            softphone: true,
            demo: true,
            shards: None,
            turn: TurnConfig::default(),
            media: MediaConfig::default(),
            trunk: TrunkConfig::default(),
            webhook: WebhookConfig::default(),
            speech: SpeechConfig::default(),
            bounds: Bounds::default(),
            heap: None,
        }
    }
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM file with the certificate, followed by those that lead to its root.
    pub cert: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

/// Bounds of the transport, from `model::limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// [`limits::CONNECTIONS`].
    pub connections: usize,
    /// [`limits::CONNECTIONS_PER_ADDRESS`].
    pub connections_per_address: usize,
    /// [`limits::HTTP_HEAD_TIME`].
    pub head_time: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: limits::CONNECTIONS,
            connections_per_address: limits::CONNECTIONS_PER_ADDRESS,
            head_time: limits::HTTP_HEAD_TIME,
        }
    }
}

/// A configuration that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigFault {
    /// Tokens and calls would cross a network in the clear.
    #[error(
        "refusing to listen on {0} without TLS, because keys and calls would cross the network in the clear: give \
         --tls-cert FILE and --tls-key FILE, or --behind-tls-proxy if a proxy before this server ends TLS, or listen \
         on 127.0.0.1"
    )]
    OpenWithoutTls(SocketAddr),
    /// Both say who ends TLS.
    #[error(
        "--behind-tls-proxy and --tls-cert exclude each other: either a proxy ends TLS or this server does; drop one"
    )]
    TlsTwice,
    /// Nobody could ever answer.
    #[error("a callee must be allowed to ring from 1 to {max} seconds, not {0} (--no-answer)", max = Self::NO_ANSWER_MAX_S)]
    NoAnswer(u64),
    /// Nobody looks at a frozen picture for so long.
    #[error(
        "a session may wait from 0 to {max} seconds for its client, not {0} (--resume); 0 resumes none",
        max = limits::RESUME_WINDOW_MAX.as_secs()
    )]
    Resume(u64),
    /// Longer than anybody waits for a server.
    #[error(
        "calls may go on from 0 to {max} seconds after the server was told to stop, not {0} (--drain); 0 ends them at once",
        max = limits::DRAIN_TIME_MAX.as_secs()
    )]
    Drain(u64),
    /// Not a host name.
    #[error(
        "the domain {0:?} is not a host name: give letters, digits, '-' and '.' alone, such as calls.example.com"
    )]
    Domain(String),
    /// No shard, no service.
    #[error("the number of shards must be from 1 to {max}, not {0}", max = Self::SHARDS_MAX)]
    Shards(usize),
    /// The operator's listener cannot be there.
    #[error(transparent)]
    Admin(#[from] AdminConfigFault),
    /// The TURN server cannot be run like that.
    #[error(transparent)]
    Turn(#[from] TurnConfigFault),
    /// The media gateway cannot be run like that.
    #[error(transparent)]
    Media(#[from] MediaConfigFault),
    /// Trunks cannot be served like that.
    #[error(transparent)]
    Trunk(#[from] TrunkConfigFault),
    /// Applications cannot be asked like that.
    #[error(transparent)]
    Webhook(#[from] WebhookConfigFault),
}

impl ConfigFault {
    const NO_ANSWER_MAX_S: u64 = 3_600;
    const SHARDS_MAX: usize = 1_024;
}

impl Config {
    /// Says what stands against serving with this configuration; reads no file.
    pub fn check(&self) -> Result<(), ConfigFault> {
        self.faults().into_iter().next().map_or(Ok(()), Err)
    }

    /// All that cannot be, as far as it can be seen at once.
    pub fn faults(&self) -> Vec<ConfigFault> {
        let mut faults = Vec::new();
        if self.tls.is_some() && self.behind_tls_proxy {
            faults.push(ConfigFault::TlsTwice);
        }
        let is_protected = self.tls.is_some() || self.behind_tls_proxy;
        if !self.listen.ip().to_canonical().is_loopback() && !is_protected {
            faults.push(ConfigFault::OpenWithoutTls(self.listen));
        }
        if !(1..=ConfigFault::NO_ANSWER_MAX_S).contains(&self.no_answer_s) {
            faults.push(ConfigFault::NoAnswer(self.no_answer_s));
        }
        if self.resume_s > limits::RESUME_WINDOW_MAX.as_secs() {
            faults.push(ConfigFault::Resume(self.resume_s));
        }
        if self.drain_s > limits::DRAIN_TIME_MAX.as_secs() {
            faults.push(ConfigFault::Drain(self.drain_s));
        }
        let domains = self.domains.iter().filter(|domain| !is_host_name(domain));
        faults.extend(domains.cloned().map(ConfigFault::Domain));
        if let Some(shards) = self.shards
            && !(1..=ConfigFault::SHARDS_MAX).contains(&shards)
        {
            faults.push(ConfigFault::Shards(shards));
        }
        faults.extend(admin::check(self).err().map(ConfigFault::from));
        let turn = self.turn.check(self.tls.is_some());
        faults.extend(turn.err().map(ConfigFault::from));
        faults.extend(self.media.check().err().map(ConfigFault::from));
        faults.extend(self.trunk.check().err().map(ConfigFault::from));
        faults.extend(self.webhook.check().err().map(ConfigFault::from));
        faults
    }

    /// Whether demo mode may be in effect: only people of this machine reach the server, and no proxy hides who they are.
    /// It is in effect if the demo account exists besides.
    pub fn may_demo(&self) -> bool {
        self.demo && self.is_local()
    }

    /// Whether only people of this machine reach the web services.
    pub(crate) fn is_local(&self) -> bool {
        !self.behind_tls_proxy && self.listen.ip().to_canonical().is_loopback()
    }

    /// What the shards need to know of it, the TURN server that clients are sent to, and the trunks.
    pub(crate) fn settings(
        &self,
        turn: Option<Arc<TurnOffer>>,
        lines: Option<&Lines>,
    ) -> switch::Settings {
        switch::Settings {
            domains: self.domains.clone(),
            no_answer: Duration::from_secs(self.no_answer_s),
            resume_window: Duration::from_secs(self.resume_s),
            turn,
            trunks: lines.map(Lines::trunks).unwrap_or_default(),
        }
    }

    /// As many shards as were asked for, or as there are cores.
    pub(crate) fn shard_count(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.shards.unwrap_or_else(cores).max(1)
    }
}

/// RFC 1123 §2.1.
pub(crate) fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(address: &str) -> Config {
        Config {
            listen: address.parse().unwrap(),
            ..Config::default()
        }
    }

    #[test]
    fn loopback_needs_no_tls() {
        for address in [
            "127.0.0.1:80",
            "127.9.9.9:80",
            "[::1]:80",
            "[::ffff:127.0.0.1]:80",
        ] {
            assert_eq!(listening(address).check(), Ok(()), "{address}");
        }
    }

    #[test]
    fn other_addresses_need_tls_or_a_proxy_and_the_refusal_says_so() {
        for address in ["0.0.0.0:80", "192.168.0.1:80", "[::]:80"] {
            let mut config = listening(address);
            let refusal = config.check().unwrap_err().to_string();
            assert!(
                refusal.contains("--tls-cert FILE") && refusal.contains("--behind-tls-proxy"),
                "{refusal}"
            );
            config.behind_tls_proxy = true;
            assert_eq!(config.check(), Ok(()));
            config.tls = Some(TlsFiles {
                cert: "c.pem".into(),
                key: "k.pem".into(),
            });
            assert_eq!(config.check(), Err(ConfigFault::TlsTwice));
            config.behind_tls_proxy = false;
            assert_eq!(config.check(), Ok(()));
        }
    }

    #[test]
    fn demo_mode_is_for_this_machine_alone() {
        assert!(listening("127.0.0.1:80").may_demo());
        assert!(listening("[::1]:80").may_demo());
        assert!(!listening("0.0.0.0:80").may_demo());
        assert!(!listening("192.168.0.1:80").may_demo());
        let local = || listening("127.0.0.1:80");
        let behind_proxy = Config {
            behind_tls_proxy: true,
            ..local()
        };
        let switched_off = Config {
            demo: false,
            ..local()
        };
        assert!(!behind_proxy.may_demo() && !switched_off.may_demo());
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let base = Config::default;
        assert!(
            Config {
                no_answer_s: 0,
                ..base()
            }
            .check()
            .is_err()
        );
        assert!(
            Config {
                shards: Some(0),
                ..base()
            }
            .check()
            .is_err()
        );
        for (resume_s, is_right) in [(0, true), (600, true), (601, false)] {
            let config = Config { resume_s, ..base() };
            assert_eq!(config.check().is_ok(), is_right, "{resume_s}");
        }
        for domain in ["", "https://x", "a..b", "-a.b", "a b"] {
            assert!(
                Config {
                    domains: vec![domain.to_owned()],
                    ..base()
                }
                .check()
                .is_err(),
                "{domain}"
            );
        }
        assert!(
            Config {
                domains: vec!["calls.example.com".to_owned()],
                ..base()
            }
            .check()
            .is_ok()
        );
    }
}
