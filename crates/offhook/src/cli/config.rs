//! The configuration: every value with its source.
//!
//! Reads texts and says what is wrong with them and where; what the values mean is the node's.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use node::model::limits;
use node::{ConfigFault, WebhookConfigFault};
use serde_json::json;

use super::Failure;
use super::config_bus::BusValue;
use super::config_key::{Key, OWN_KEYS};
use super::config_layers::{Layers, Source, Sourced};
use super::config_media::MediaValues;
use super::config_store::StoreValues;
use super::config_trunk::TrunkValues;
use super::config_turn::TurnValues;

const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

/// Everything that is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Effective {
    data: Sourced<PathBuf>,
    store: StoreValues,
    listen: Sourced<SocketAddr>,
    bus: BusValue,
    admin_listen: Sourced<Option<SocketAddr>>,
    tls_cert: Sourced<Option<PathBuf>>,
    tls_key: Sourced<Option<PathBuf>>,
    behind_tls_proxy: Sourced<bool>,
    domains: Sourced<Vec<String>>,
    no_answer_s: Sourced<u64>,
    resume_s: Sourced<u64>,
    drain_s: Sourced<u64>,
    softphone: Sourced<bool>,
    demo: Sourced<bool>,
    turn: TurnValues,
    media: MediaValues,
    trunk: TrunkValues,
}

impl Effective {
    /// Parses what the layers say.
    pub(crate) fn read(layers: &Layers<'_>) -> Result<Self, Failure> {
        let path = |text: &str| Ok(Some(PathBuf::from(text)));
        let listen = parse_listen(DEFAULT_LISTEN).map_err(Failure::usage)?;
        let effective = Self {
            data: layers.data(),
            store: StoreValues::read(layers),
            listen: layers.parse(&Key::LISTEN, listen, parse_listen),
            bus: BusValue::read(layers),
            admin_listen: layers.parse(&Key::ADMIN_LISTEN, None, parse_admin_listen),
            tls_cert: layers.parse(&Key::TLS_CERT, None, path),
            tls_key: layers.parse(&Key::TLS_KEY, None, path),
            behind_tls_proxy: layers.parse(&Key::BEHIND_TLS_PROXY, false, parse_switch),
            domains: layers.parse(&Key::DOMAINS, Vec::new(), parse_domains),
            no_answer_s: layers.parse(
                &Key::NO_ANSWER_S,
                limits::NO_ANSWER_TIME.as_secs(),
                parse_seconds,
            ),
            resume_s: layers.parse(
                &Key::RESUME_S,
                limits::RESUME_WINDOW.as_secs(),
                parse_seconds,
            ),
            drain_s: layers.parse(&Key::DRAIN_S, 0, parse_seconds),
            softphone: layers.parse(&Key::SOFTPHONE, true, parse_switch),
            demo: layers.parse(&Key::DEMO, true, parse_switch),
            turn: TurnValues::read(layers),
            media: MediaValues::read(layers),
            trunk: TrunkValues::read(layers),
        };
        layers.sound()?;
        Ok(effective)
    }

    /// The node's configuration, checked: the listen rule, and whether certificate and key can be read and fit.
    pub(crate) fn node_config(&self) -> Result<node::Config, Failure> {
        let tls = match (&self.tls_cert.value, &self.tls_key.value) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some(node::TlsFiles {
                cert: cert.clone(),
                key: key.clone(),
            }),
            (Some(_), None) => {
                return Err(alone(&Key::TLS_CERT, &self.tls_cert.source, &Key::TLS_KEY));
            }
            (None, Some(_)) => {
                return Err(alone(&Key::TLS_KEY, &self.tls_key.source, &Key::TLS_CERT));
            }
        };
        let config = node::Config {
            data: self.data.value.clone(),
            listen: self.listen.value,
            admin_listen: self.admin_listen.value,
            bus: self.bus.url(),
            tls,
            behind_tls_proxy: self.behind_tls_proxy.value,
            domains: self.domains.value.clone(),
            no_answer_s: self.no_answer_s.value,
            resume_s: self.resume_s.value,
            drain_s: self.drain_s.value,
            softphone: self.softphone.value,
            demo: self.demo.value,
            turn: self.turn.node_config(),
            media: self.media.media_config(),
            trunk: self.trunk.node_config()?,
            webhook: self.media.webhook_config(),
            speech: self.media.speech_config(),
            heap: crate::heap::gauge(),
            ..node::Config::default()
        };
        let faults = config.faults().into_iter();
        let mut sentences: Vec<_> = faults
            .flat_map(|fault| self.refused(fault).sentences())
            .collect();
        let certificate = config.tls.as_ref().map(node::certificate::load);
        if let Some(Err(fault)) = certificate {
            sentences.extend(Failure::Usage(fault.into()).sentences());
        }
        match sentences.is_empty() {
            true => Ok(config),
            false => Err(Failure::Faults(sentences)),
        }
    }

    /// What the node would say about the admin listener, TURN and the media gateway; checks everything on its way.
    pub(super) fn outlook(&self) -> Result<[Vec<node::Finding>; 3], Failure> {
        let config = self.node_config()?;
        let told = || {
            let admin = node::admin_outlook(&config)?;
            Ok([
                admin,
                node::outlook(&config)?,
                node::media_outlook(&config)?,
            ])
        };
        told().map_err(|fault| self.refused(fault))
    }

    /// The node's refusal, with the source of the value that it refuses.
    fn refused(&self, fault: ConfigFault) -> Failure {
        let source = match &fault {
            ConfigFault::OpenWithoutTls(_) => &self.listen.source,
            ConfigFault::Admin(_) => &self.admin_listen.source,
            ConfigFault::TlsTwice => &self.behind_tls_proxy.source,
            ConfigFault::NoAnswer(_) => &self.no_answer_s.source,
            ConfigFault::Resume(_) => &self.resume_s.source,
            ConfigFault::Drain(_) => &self.drain_s.source,
            ConfigFault::Domain(_) => &self.domains.source,
            ConfigFault::Shards(_) => &Source::Default,
            ConfigFault::Turn(fault) => self.turn.source_of(fault),
            ConfigFault::Media(fault) => self.media.source_of(fault),
            ConfigFault::Trunk(fault) => self.trunk.source_of(fault),
            ConfigFault::Webhook(WebhookConfigFault::Timeout(_)) => self.media.timeout_source(),
        };
        Failure::Usage(match source {
            Source::Default => fault.into(),
            // It names the flag itself.
            Source::Flag(flag) if fault.to_string().ends_with(&format!("({flag})")) => fault.into(),
            Source::Flag(_) | Source::Environment(_) | Source::File(_, _) => {
                anyhow::Error::msg(format!("{source}: {fault}"))
            }
        })
    }

    /// Each value but TURN's, media's and trunks' as text, with its source, in the order of [`OWN_KEYS`].
    pub(super) fn rows(&self) -> [(Key, String, &Source); OWN_KEYS.len()] {
        let path = |path: &Path| path.display().to_string();
        let optional = |it: &Option<PathBuf>| it.as_deref().map(path).unwrap_or_default();
        let [store, migrate] = self.store.rows();
        [
            (Key::DATA, path(&self.data.value), &self.data.source),
            store,
            migrate,
            self.bus.row(),
            (
                Key::LISTEN,
                self.listen.value.to_string(),
                &self.listen.source,
            ),
            (
                Key::ADMIN_LISTEN,
                self.admin_listen
                    .value
                    .map(|address| address.to_string())
                    .unwrap_or_default(),
                &self.admin_listen.source,
            ),
            (
                Key::TLS_CERT,
                optional(&self.tls_cert.value),
                &self.tls_cert.source,
            ),
            (
                Key::TLS_KEY,
                optional(&self.tls_key.value),
                &self.tls_key.source,
            ),
            (
                Key::BEHIND_TLS_PROXY,
                self.behind_tls_proxy.value.to_string(),
                &self.behind_tls_proxy.source,
            ),
            (
                Key::DOMAINS,
                self.domains.value.join(", "),
                &self.domains.source,
            ),
            (
                Key::NO_ANSWER_S,
                self.no_answer_s.value.to_string(),
                &self.no_answer_s.source,
            ),
            (
                Key::RESUME_S,
                self.resume_s.value.to_string(),
                &self.resume_s.source,
            ),
            (
                Key::DRAIN_S,
                self.drain_s.value.to_string(),
                &self.drain_s.source,
            ),
            (
                Key::SOFTPHONE,
                self.softphone.value.to_string(),
                &self.softphone.source,
            ),
            (Key::DEMO, self.demo.value.to_string(), &self.demo.source),
        ]
    }

    /// Those of TURN, those of media and applications, and those of trunks.
    pub(super) fn further_rows(&self) -> impl Iterator<Item = (Key, serde_json::Value, &Source)> {
        let turn = self.turn.rows().into_iter();
        turn.chain(self.media.rows()).chain(self.trunk.rows())
    }

    /// What is configured about trunks.
    pub(super) fn trunk(&self) -> &TrunkValues {
        &self.trunk
    }

    pub(super) fn json(&self) -> serde_json::Value {
        let with = |value: serde_json::Value, source: &Source| json!({ "value": value, "source": source.to_string() });
        let mut told = json!({
            "data": with(json!(self.data.value), &self.data.source),
            "store": with(json!(self.store.shown()), &self.store.url.source),
            "migrate": with(json!(self.store.migrate.value), &self.store.migrate.source),
            "bus": with(json!(self.bus.shown()), self.bus.source()),
            "listen": with(json!(self.listen.value), &self.listen.source),
            "admin_listen": with(json!(self.admin_listen.value), &self.admin_listen.source),
            "tls_cert": with(json!(self.tls_cert.value), &self.tls_cert.source),
            "tls_key": with(json!(self.tls_key.value), &self.tls_key.source),
            "behind_tls_proxy": with(json!(self.behind_tls_proxy.value), &self.behind_tls_proxy.source),
            "domains": with(json!(self.domains.value), &self.domains.source),
            "no_answer_s": with(json!(self.no_answer_s.value), &self.no_answer_s.source),
            "resume_s": with(json!(self.resume_s.value), &self.resume_s.source),
            "drain_s": with(json!(self.drain_s.value), &self.drain_s.source),
            "softphone": with(json!(self.softphone.value), &self.softphone.source),
            "demo": with(json!(self.demo.value), &self.demo.source),
        });
        for (key, value, source) in self.further_rows() {
            told[key.name] = with(value, source);
        }
        told
    }
}

fn alone(given: &Key, source: &Source, missing: &Key) -> Failure {
    Failure::usage(format!(
        "{} is given (by {source}) without {}: TLS needs both, so give {} FILE as well",
        given.name, missing.name, missing.flag
    ))
}

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "it must be an IP address and a port, such as 127.0.0.1:8080 or [::]:443".to_owned()
    })
}

fn parse_admin_listen(text: &str) -> Result<Option<SocketAddr>, String> {
    text.parse()
        .map(Some)
        .map_err(|_| "it must be an IP address and a port, such as 127.0.0.1:9090".to_owned())
}

pub(super) fn parse_switch(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err("it must be true or false".to_owned()),
    }
}

fn parse_domains(text: &str) -> Result<Vec<String>, String> {
    // An empty list takes back what a weaker source said.
    if text.is_empty() {
        return Ok(Vec::new());
    }
    Ok(text
        .split(',')
        .map(|domain| domain.trim().to_ascii_lowercase())
        .collect())
}

pub(super) fn parse_seconds(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| "it must be a whole number of seconds".to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Place;
    use super::super::config_file::ConfigFile;
    use super::super::config_key::{ServeFlags, keys};
    use super::*;

    pub(in super::super) fn read(
        flags: &ServeFlags,
        variables: &[(&str, &str)],
        file: &str,
    ) -> Result<Effective, String> {
        let environment = |name: &str| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, text)| (*text).to_owned())
        };
        let file = ConfigFile::sound(Path::new("/etc/offhook.toml"), file)?;
        let place = Place::default();
        let layers = Layers::new(&place, flags, &environment, Some(file));
        let effective = Effective::read(&layers).map_err(|failure| failure.sentence())?;
        Ok(effective)
    }

    fn refusal(variables: &[(&str, &str)]) -> String {
        let read = read(&ServeFlags::default(), variables, "");
        read.map_or_else(
            |fault| fault,
            |effective| effective.node_config().unwrap_err().sentence(),
        )
    }

    #[test]
    fn flags_are_stronger_than_environment_than_file_than_default() {
        let flags = ServeFlags {
            listen: Some("127.0.0.1:1".to_owned()),
            ..ServeFlags::default()
        };
        let variables = [
            ("OFFHOOK_LISTEN", "127.0.0.1:2"),
            ("OFFHOOK_NO_ANSWER", "20"),
            ("OFFHOOK_TLS_CERT", ""),
        ];
        let file = "listen = \"127.0.0.1:3\"\nno_answer_s = 30\nbehind_tls_proxy = true\ntls_cert = \"c.pem\"\n";
        let effective = read(&flags, &variables, file).unwrap();
        assert_eq!(effective.listen.value.port(), 1);
        assert_eq!(effective.listen.source, Source::Flag("--listen"));
        assert_eq!(effective.no_answer_s.value, 20);
        assert_eq!(
            effective.no_answer_s.source,
            Source::Environment("OFFHOOK_NO_ANSWER")
        );
        assert!(effective.behind_tls_proxy.value);
        assert_eq!(
            effective.behind_tls_proxy.source.to_string(),
            "/etc/offhook.toml line 3"
        );
        assert_eq!(
            effective.tls_cert.value.as_deref(),
            Some(Path::new("/etc/c.pem"))
        );
        assert_eq!(effective.data.source, Source::Default);
        assert!(effective.domains.value.is_empty());
    }

    #[test]
    fn each_limit_of_turn_goes_where_it_belongs() {
        let file = "turn_client_mbit = 8\nturn_account_mbit = 16\nturn_mbit = 24\nturn_account_gb_monthly = 2\n\
                    turn_gb_monthly = 3\nturn_client_allocations = 4\nturn_account_allocations = 5\nturn_allocations = 6";
        let effective = read(&ServeFlags::default(), &[], file).unwrap();
        let bounds = effective.turn.node_config().bounds;
        let quotas = [bounds.client, bounds.account, bounds.node];
        let rates = [1_000_000, 2_000_000, 3_000_000].map(Some);
        assert_eq!(quotas.map(|quota| quota.rate), rates, "bytes a second");
        assert_eq!(quotas.map(|quota| quota.allocations), [4, 5, 6]);
        assert_eq!(bounds.account_monthly, Some(2_000_000_000));
        assert_eq!(bounds.node_monthly, Some(3_000_000_000));
        assert!(bounds.unproven.allocations <= 4);
    }

    #[test]
    fn lists_are_read_the_same_way_from_every_source() {
        let domains = |effective: Effective| effective.domains.value;
        let wanted = ["a.example.com", "b.example.com"];
        let none = ServeFlags::default();
        let flags = ServeFlags {
            domains: wanted.map(str::to_owned).into(),
            ..none.clone()
        };
        assert_eq!(domains(read(&flags, &[], "").unwrap()), wanted);
        let variable = [("OFFHOOK_DOMAIN", "A.example.com, b.example.com")];
        assert_eq!(domains(read(&none, &variable, "").unwrap()), wanted);
        let file = "domains = [\"a.example.com\", \"b.example.com\"]";
        assert_eq!(domains(read(&none, &[], file).unwrap()), wanted);
    }

    #[test]
    fn a_wrong_value_is_told_with_its_source_and_what_would_be_right() {
        let none = ServeFlags::default();
        for (variable, text, right) in [
            ("OFFHOOK_LISTEN", "8080", "127.0.0.1:8080"),
            ("OFFHOOK_LISTEN", "0.0.0.0:8080", "--behind-tls-proxy"),
            ("OFFHOOK_ADMIN_LISTEN", "9090", "127.0.0.1:9090"),
            ("OFFHOOK_ADMIN_LISTEN", "127.0.0.1:8080", "--admin-listen"),
            ("OFFHOOK_TLS_KEY", "k.pem", "--tls-cert FILE"),
            (
                "OFFHOOK_STORE",
                "mysql://a/b",
                "postgres://user:password@host",
            ),
            ("OFFHOOK_MIGRATE", "later", "true or false"),
            ("OFFHOOK_NO_ANSWER", "0", "from 1 to 3600"),
            ("OFFHOOK_NO_ANSWER", "soon", "whole number of seconds"),
            ("OFFHOOK_RESUME", "601", "from 0 to 600"),
            ("OFFHOOK_SOFTPHONE", "off", "true or false"),
            ("OFFHOOK_DEMO", "on", "true or false"),
            ("OFFHOOK_BEHIND_TLS_PROXY", "maybe", "true or false"),
            ("OFFHOOK_DOMAIN", "https://example.com", "calls.example.com"),
            ("OFFHOOK_DOMAIN", "a..b", "calls.example.com"),
            ("OFFHOOK_TURN", "off", "true or false"),
            ("OFFHOOK_TURN_LISTEN", "3478", "0.0.0.0:3478"),
            ("OFFHOOK_TURN_LISTEN", "224.0.0.1:3478", "--turn-listen"),
            (
                "OFFHOOK_TURN_TLS_LISTEN",
                "127.0.0.1:5349",
                "--tls-cert FILE",
            ),
            ("OFFHOOK_TURN_PORTS", "50000", "49152-65535"),
            ("OFFHOOK_TURN_PORTS", "50000-50000", "at least two ports"),
            ("OFFHOOK_TURN_RELAY", "0.0.0.0", "address of this machine"),
            ("OFFHOOK_TURN_RELAY", "eth0", "203.0.113.7"),
            ("OFFHOOK_TURN_PUBLIC", "0.0.0.0", "address that a NAT puts"),
            (
                "OFFHOOK_TURN_HOST",
                "turn.example.com:3478",
                "without a port",
            ),
            (
                "OFFHOOK_TURN_ALLOW",
                "10.1.2.3/8",
                "did you mean 10.0.0.0/8?",
            ),
            ("OFFHOOK_TURN_CLIENT_MBIT", "fast", "from 0 to 1000000"),
            ("OFFHOOK_TURN_GB_MONTHLY", "-1", "gigabytes"),
            ("OFFHOOK_TURN_ALLOCATIONS", "0", "from 1 to 1000000"),
        ] {
            let sentence = refusal(&[(variable, text)]);
            assert!(sentence.contains(variable), "{sentence}");
            assert!(sentence.contains(right), "{sentence}");
        }
        let flags = ServeFlags {
            no_answer: Some("0".to_owned()),
            ..none.clone()
        };
        let effective = read(&flags, &[], "").unwrap();
        let sentence = effective.node_config().unwrap_err().sentence();
        assert_eq!(sentence.matches("--no-answer").count(), 1, "{sentence}");
        let sentence = read(&none, &[], "\nlisten = \"here\"").unwrap_err();
        assert!(
            sentence.starts_with(
                "/etc/offhook.toml line 2: \"here\" will not do: it must be an IP address"
            ),
            "{sentence}"
        );
    }

    #[test]
    fn every_key_has_names_of_its_own() {
        for key in keys() {
            assert!(
                key.flag.starts_with("--") && key.variable.starts_with("OFFHOOK_"),
                "{key:?}"
            );
            let same = keys().filter(|other| other.name == key.name).count();
            assert_eq!(same, 1, "{key:?}");
        }
    }
}
