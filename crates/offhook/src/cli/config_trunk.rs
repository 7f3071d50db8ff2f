//! The configuration of trunks: where they are listened for, and those of the file.
//!
//! Reads the files of passwords, when a server is to start and not before: other commands may not be allowed to. Never shows one.

use std::net::{IpAddr, SocketAddr};

use node::model::{SecretBytes, TrunkTransport, limits};
use node::wanted_trunk::WantedTrunk;
use node::{TrunkConfig, TrunkConfigFault};
use serde_json::{Value, json};

use super::Failure;
use super::config_fault::Faults;
use super::config_key::Key;
use super::config_layers::{Layers, Source, Sourced};
use super::config_trunk_peer::{NamedFile, read_ca};
use super::config_trunk_table::{FileTrunk, TRUNK};
use super::config_turn::parse_list;
use super::output::Table;

/// Everything that is configured about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrunkValues {
    listen: Sourced<SocketAddr>,
    tls_listen: Sourced<SocketAddr>,
    address: Sourced<Option<IpAddr>>,
    dns: Sourced<Vec<SocketAddr>>,
    trunks: Vec<FileTrunk>,
}

impl TrunkValues {
    /// Parses what the layers say.
    pub(super) fn read(layers: &Layers<'_>) -> Self {
        let usual = TrunkConfig::default();
        Self {
            listen: layers.parse(&Key::TRUNK_LISTEN, usual.listen, parse_socket),
            tls_listen: layers.parse(&Key::TRUNK_TLS_LISTEN, usual.tls_listen, parse_socket),
            address: layers.parse(&Key::TRUNK_ADDRESS, usual.address, parse_address),
            dns: layers.parse(&Key::DNS, usual.dns, |text| {
                parse_list(text, parse_dns_server)
            }),
            trunks: layers.trunks().to_vec(),
        }
    }

    /// The node's configuration of them.
    pub(super) fn node_config(&self) -> Result<TrunkConfig, Failure> {
        let mut faults = Faults::default();
        let trunks = self.trunks.iter();
        let trunks = trunks
            .filter_map(|trunk| faults.take(with_files(trunk)))
            .collect();
        faults.sound()?;
        Ok(TrunkConfig {
            listen: self.listen.value,
            tls_listen: self.tls_listen.value,
            address: self.address.value,
            dns: self.dns.value.clone(),
            trunks,
        })
    }

    /// Where the value comes from that the node refuses; the place of a trunk stands in the fault itself.
    pub(super) fn source_of(&self, fault: &TrunkConfigFault) -> &Source {
        match fault {
            TrunkConfigFault::Listen(_) => &self.listen.source,
            TrunkConfigFault::TlsListen(_) | TrunkConfigFault::Same(_) => &self.tls_listen.source,
            TrunkConfigFault::Address(_) => &self.address.source,
            TrunkConfigFault::Dns(_) | TrunkConfigFault::DnsTooMany(_) => &self.dns.source,
            TrunkConfigFault::TooMany { .. }
            | TrunkConfigFault::Trunk { .. }
            | TrunkConfigFault::Domain { .. }
            | TrunkConfigFault::PeerTwice { .. }
            | TrunkConfigFault::Family { .. } => &Source::Default,
        }
    }

    /// Each value but those of the tables with its source, in the order of [`TRUNK_KEYS`](super::config_trunk_key::TRUNK_KEYS).
    pub(super) fn rows(&self) -> Vec<(Key, Value, &Source)> {
        vec![
            (
                Key::TRUNK_LISTEN,
                json!(self.listen.value),
                &self.listen.source,
            ),
            (
                Key::TRUNK_TLS_LISTEN,
                json!(self.tls_listen.value),
                &self.tls_listen.source,
            ),
            (
                Key::TRUNK_ADDRESS,
                json!(self.address.value),
                &self.address.source,
            ),
            (Key::DNS, json!(self.dns.value), &self.dns.source),
        ]
    }

    /// Adds a row for each trunk to those of `KEY`, `VALUE`, `SOURCE`.
    pub(super) fn add_rows(&self, table: &mut Table) {
        for WantedTrunk {
            login,
            trunk,
            ca: _,
            place,
        } in self.wanted()
        {
            let peers: Vec<String> = trunk.places.iter().map(ToString::to_string).collect();
            let by = match trunk.transport {
                TrunkTransport::Udp => "",
                TrunkTransport::Tcp => "TCP ",
                TrunkTransport::Tls => "TLS ",
            };
            let value = format!("{} of {login}: {by}{}", trunk.name, peers.join(", "));
            table.row([TRUNK.to_owned(), value, place.clone()]);
        }
    }

    /// The same for programs.
    pub(super) fn in_json(&self) -> Value {
        let shown = self.wanted().map(|wanted| {
            json!({
                "account": wanted.login.to_string(),
                "name": wanted.trunk.name.as_str(),
                "transport": wanted.trunk.transport.as_str(),
                "peers": wanted.trunk.places.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "source": wanted.place,
            })
        });
        shown.collect()
    }

    fn wanted(&self) -> impl Iterator<Item = &WantedTrunk> {
        self.trunks.iter().map(|trunk| &trunk.wanted)
    }
}

/// The trunk, with what stands in its files.
fn with_files(trunk: &FileTrunk) -> Result<WantedTrunk, String> {
    let mut wanted = trunk.wanted.clone();
    if let Some(file) = &trunk.ca_file {
        wanted.ca = read_ca(file)?;
    }
    if let Some(NamedFile { path, place }) = &trunk.password_file
        && let Some(login) = &mut wanted.trunk.login
    {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            format!("{place}: the password file {shown} cannot be read: {error}")
        })?;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        login.password =
            parse_password(text).map_err(|rule| format!("{place}: in {shown}, {rule}"))?;
    }
    Ok(wanted)
}

/// The sentence does not repeat it.
pub(super) fn parse_password(text: &str) -> Result<SecretBytes, String> {
    let is_right = (1..=limits::TRUNK_PASSWORD_BYTES).contains(&text.len())
        && !text.chars().any(char::is_control);
    is_right
        .then(|| SecretBytes::new(text.as_bytes().to_vec()))
        .ok_or_else(|| {
            format!(
                "a password must have 1 to {} bytes and no line ends or other control characters",
                limits::TRUNK_PASSWORD_BYTES
            )
        })
}

fn parse_socket(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "it must be an IP address and a port, such as 0.0.0.0:5060 or [::]:5060".to_owned()
    })
}

/// Port 53 is the usual one.
fn parse_dns_server(text: &str) -> Result<SocketAddr, String> {
    let alone = text.parse().map(|ip| SocketAddr::new(ip, 53));
    text.parse().or(alone).map_err(|_| {
        "it must be an IP address, perhaps with a port, such as 192.0.2.53 or 127.0.0.1:5353"
            .to_owned()
    })
}

fn parse_address(text: &str) -> Result<Option<IpAddr>, String> {
    text.parse()
        .map(Some)
        .map_err(|_| "it must be an IP address without a port, such as 203.0.113.7".to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::config_file::ConfigFile;
    use super::super::config_trunk_key::TRUNK_KEYS;
    use super::*;

    #[test]
    fn the_pages_have_every_key_and_what_holds_without_it() {
        let page = include_str!("../../../../docs/trunks.md");
        for Key { name, .. } in TRUNK_KEYS {
            assert!(page.contains(&format!("| `{name} = ")), "{name}");
        }
        assert!(page.contains(&format!("| `{}` |", TrunkConfig::default().listen)));
        assert!(page.contains(&format!("| `{}` |", TrunkConfig::default().tls_listen)));
        for key in super::super::config_trunk_table::key_names() {
            assert!(page.contains(&format!("| `{key}` |")), "{key}");
        }
        for usual in [limits::TRUNK_REGISTRATION, limits::TRUNK_CHECK] {
            assert!(
                page.contains(&format!("{} s", usual.as_secs())),
                "{usual:?}"
            );
        }
    }

    #[test]
    fn a_file_of_a_password_is_read_when_it_is_needed_and_its_line_end_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("offhook.toml");
        let text = "[[trunk]]\naccount = \"1-2-0/a@b.c\"\nname = \"t\"\npeers = [\"192.0.2.1\"]\nuser = \"u\"\n\
                    password_file = \"kept\"\n";
        let read = || {
            let file = ConfigFile::sound(Path::new(&file), text).unwrap();
            with_files(&file.trunks()[0])
        };
        let sentence = read().unwrap_err();
        assert!(
            sentence.contains("offhook.toml line 6: the password file ")
                && sentence.contains("kept cannot be read: "),
            "{sentence}"
        );
        for (kept, password) in [("s3cret\n", "s3cret"), (" two words\r\n", " two words")] {
            std::fs::write(folder.path().join("kept"), kept).unwrap();
            let login = read().unwrap().trunk.login.unwrap();
            assert_eq!(login.password.expose(), password.as_bytes());
        }
        for wrong in ["\n", "one\ntwo\n", &"z".repeat(129)] {
            std::fs::write(folder.path().join("kept"), wrong).unwrap();
            let sentence = read().unwrap_err();
            assert!(sentence.contains("1 to 128 bytes"), "{sentence}");
            // The name of a folder may have any letters.
            let folder = folder.path().display().to_string();
            let sentence = sentence.replace(&folder, "");
            assert!(!sentence.contains("two") && !sentence.contains("zz"));
        }
    }
}
