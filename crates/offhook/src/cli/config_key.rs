//! What can be configured: each key with its names in file, environment and on the command line.
//!
//! Holds names and texts; never parses a value.

use clap::Args;

use super::Hidden;
use super::config_media_key::{MEDIA_KEYS, MediaFlags};
use super::config_trunk_key::{TRUNK_KEYS, TrunkFlags};
use super::config_turn_key::{TURN_KEYS, TurnFlags};

/// What can be configured by a file; flags and environment have the same words.
pub(crate) fn keys() -> impl Iterator<Item = &'static Key> {
    let own = OWN_KEYS.iter().chain(&TURN_KEYS);
    own.chain(&MEDIA_KEYS).chain(&TRUNK_KEYS)
}

/// Those but TURN's, media's and trunks', in the order of listings.
pub(crate) const OWN_KEYS: [Key; 15] = [
    Key::DATA,
    Key::STORE,
    Key::MIGRATE,
    Key::BUS,
    Key::LISTEN,
    Key::ADMIN_LISTEN,
    Key::TLS_CERT,
    Key::TLS_KEY,
    Key::BEHIND_TLS_PROXY,
    Key::DOMAINS,
    Key::NO_ANSWER_S,
    Key::RESUME_S,
    Key::DRAIN_S,
    Key::SOFTPHONE,
    Key::DEMO,
];

/// One thing that can be configured, by its names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// In the file.
    pub(crate) name: &'static str,
    /// On the command line.
    pub(crate) flag: &'static str,
    /// In the environment.
    pub(crate) variable: &'static str,
    /// How it is written in the file.
    pub(crate) form: Form,
    /// A right value, as it stands in the file.
    pub(crate) example: &'static str,
}

/// How a value is written in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `"text"`.
    Text,
    /// `"path"`, from the folder of the file.
    Path,
    /// `true` or `false`.
    Switch,
    /// A whole number.
    Number,
    /// `["text", "text"]`.
    List,
    /// `true`, `false`, or a whole number.
    SwitchOrNumber,
    /// A table of its own.
    Table,
}

impl Key {
    pub(crate) const DATA: Self = Self {
        name: "data",
        flag: "--data",
        variable: "OFFHOOK_DATA",
        form: Form::Path,
        example: "\"/var/lib/offhook\"",
    };
    pub(crate) const STORE: Self = Self {
        name: "store",
        flag: "--store",
        variable: "OFFHOOK_STORE",
        form: Form::Text,
        example: "\"postgres://user:password@host/database\"",
    };
    pub(crate) const MIGRATE: Self = Self {
        name: "migrate",
        flag: "--migrate",
        variable: "OFFHOOK_MIGRATE",
        form: Form::Switch,
        example: "false",
    };
    pub(crate) const BUS: Self = Self {
        name: "bus",
        flag: "--bus",
        variable: "OFFHOOK_BUS",
        form: Form::Text,
        example: "\"redis://user:password@host:6379\"",
    };
    pub(crate) const LISTEN: Self = Self {
        name: "listen",
        flag: "--listen",
        variable: "OFFHOOK_LISTEN",
        form: Form::Text,
        example: "\"127.0.0.1:8080\"",
    };
    pub(crate) const ADMIN_LISTEN: Self = Self {
        name: "admin_listen",
        flag: "--admin-listen",
        variable: "OFFHOOK_ADMIN_LISTEN",
        form: Form::Text,
        example: "\"127.0.0.1:9090\"",
    };
    pub(crate) const TLS_CERT: Self = Self {
        name: "tls_cert",
        flag: "--tls-cert",
        variable: "OFFHOOK_TLS_CERT",
        form: Form::Path,
        example: "\"fullchain.pem\"",
    };
    pub(crate) const TLS_KEY: Self = Self {
        name: "tls_key",
        flag: "--tls-key",
        variable: "OFFHOOK_TLS_KEY",
        form: Form::Path,
        example: "\"privkey.pem\"",
    };
    pub(crate) const BEHIND_TLS_PROXY: Self = Self {
        name: "behind_tls_proxy",
        flag: "--behind-tls-proxy",
        variable: "OFFHOOK_BEHIND_TLS_PROXY",
        form: Form::Switch,
        example: "true",
    };
    pub(crate) const DOMAINS: Self = Self {
        name: "domains",
        flag: "--domain",
        variable: "OFFHOOK_DOMAIN",
        form: Form::List,
        example: "[\"calls.example.com\"]",
    };
    pub(crate) const NO_ANSWER_S: Self = Self {
        name: "no_answer_s",
        flag: "--no-answer",
        variable: "OFFHOOK_NO_ANSWER",
        form: Form::Number,
        example: "60",
    };
    pub(crate) const RESUME_S: Self = Self {
        name: "resume_s",
        flag: "--resume",
        variable: "OFFHOOK_RESUME",
        form: Form::Number,
        example: "60",
    };
    pub(crate) const DRAIN_S: Self = Self {
        name: "drain_s",
        flag: "--drain",
        variable: "OFFHOOK_DRAIN",
        form: Form::Number,
        example: "60",
    };
    pub(crate) const SOFTPHONE: Self = Self {
        name: "softphone",
        flag: "--softphone",
        variable: "OFFHOOK_SOFTPHONE",
        form: Form::Switch,
        example: "false",
    };
    pub(crate) const DEMO: Self = Self {
        name: "demo",
        flag: "--demo",
        variable: "OFFHOOK_DEMO",
        form: Form::Switch,
        example: "false",
    };
}

/// The flags of `offhook serve`, as they were typed.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ServeFlags {
    /// Listen on this address and port [env: OFFHOOK_LISTEN] [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// Work as one with all other servers that name this Redis or Valkey: redis://user:password@host:6379 [env: OFFHOOK_BUS]
    #[arg(long, value_name = "URL")]
    pub(crate) bus: Option<Hidden>,
    /// Tell figures and readiness on this address and port: /metrics, /healthz, /readyz [env: OFFHOOK_ADMIN_LISTEN] [default: nowhere]
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin_listen: Option<String>,
    /// Serve TLS with this certificate chain (PEM) [env: OFFHOOK_TLS_CERT]
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<String>,
    /// The private key of that certificate (PEM) [env: OFFHOOK_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<String>,
    /// A proxy in front of this server speaks TLS [env: OFFHOOK_BEHIND_TLS_PROXY]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) behind_tls_proxy: Option<String>,
    /// A SIP domain of our own, also given several times [env: OFFHOOK_DOMAIN, a comma list]
    #[arg(long = "domain", value_name = "DOMAIN", value_delimiter = ',')]
    pub(crate) domains: Vec<String>,
    /// How long a called client may ring [env: OFFHOOK_NO_ANSWER] [default: 60]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) no_answer: Option<String>,
    /// How long a lost client may come back to its calls; 0: not at all [env: OFFHOOK_RESUME] [default: 60]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) resume: Option<String>,
    /// How long calls may go on after a SIGTERM or `offhook drain`; 0: they end at once [env: OFFHOOK_DRAIN] [default: 0]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) drain: Option<String>,
    /// Serve the softphone page at / [env: OFFHOOK_SOFTPHONE] [default: true]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) softphone: Option<String>,
    /// On loopback, give tokens of the demo account to whoever asks from this machine [env: OFFHOOK_DEMO] [default: true]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) demo: Option<String>,
    #[command(flatten)]
    pub(crate) turn: TurnFlags,
    #[command(flatten)]
    pub(crate) media: MediaFlags,
    #[command(flatten)]
    pub(crate) trunk: TrunkFlags,
}

impl ServeFlags {
    /// These flags, and those of `weaker` that were not given here.
    pub(crate) fn or(self, weaker: Self) -> Self {
        Self {
            listen: self.listen.or(weaker.listen),
            bus: self.bus.or(weaker.bus),
            admin_listen: self.admin_listen.or(weaker.admin_listen),
            tls_cert: self.tls_cert.or(weaker.tls_cert),
            tls_key: self.tls_key.or(weaker.tls_key),
            behind_tls_proxy: self.behind_tls_proxy.or(weaker.behind_tls_proxy),
            domains: if self.domains.is_empty() {
                weaker.domains
            } else {
                self.domains
            },
            no_answer: self.no_answer.or(weaker.no_answer),
            resume: self.resume.or(weaker.resume),
            drain: self.drain.or(weaker.drain),
            softphone: self.softphone.or(weaker.softphone),
            demo: self.demo.or(weaker.demo),
            turn: self.turn.or(weaker.turn),
            media: self.media.or(weaker.media),
            trunk: self.trunk.or(weaker.trunk),
        }
    }

    /// The name of the first flag that was given.
    pub(crate) fn first_given(&self) -> Option<&'static str> {
        keys()
            .find(|key| self.text(key).is_some())
            .map(|key| key.flag)
    }

    /// What was typed for this key; a list joined by commas.
    pub(crate) fn text(&self, key: &Key) -> Option<String> {
        match key.name {
            "listen" => self.listen.clone(),
            "bus" => self.bus.as_ref().map(|url| url.0.clone()),
            "admin_listen" => self.admin_listen.clone(),
            "tls_cert" => self.tls_cert.clone(),
            "tls_key" => self.tls_key.clone(),
            "behind_tls_proxy" => self.behind_tls_proxy.clone(),
            "domains" if !self.domains.is_empty() => Some(self.domains.join(",")),
            "no_answer_s" => self.no_answer.clone(),
            "resume_s" => self.resume.clone(),
            "drain_s" => self.drain.clone(),
            "softphone" => self.softphone.clone(),
            "demo" => self.demo.clone(),
            // `--data`, `--store` and `--migrate` stand beside these flags: every command has them.
            _ => {
                let media = || self.media.text(key).or_else(|| self.trunk.text(key));
                self.turn.text(key).or_else(media)
            }
        }
    }
}
