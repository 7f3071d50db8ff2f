//! The configuration of the media gateway and of applications: texts to values, each with its source.
//!
//! Says what is wrong with a text; what the values mean together is the node's.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use node::turn::Network;
use node::{MediaConfig, MediaConfigFault, SpeechConfig, WebhookConfig};
use serde_json::{Value, json};

use super::config::{parse_seconds, parse_switch};
use super::config_key::Key;
use super::config_layers::{Layers, Source, Sourced};
use super::config_turn::{parse_address, parse_list, parse_network, parse_range};

/// Everything that is configured about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaValues {
    is_on: Sourced<bool>,
    listen: Sourced<Vec<SocketAddr>>,
    public: Sourced<Vec<IpAddr>>,
    rtp_ports: Sourced<RangeInclusive<u16>>,
    timeout_s: Sourced<u64>,
    allow: Sourced<Vec<Network>>,
    speech: Sourced<Option<Vec<String>>>,
}

impl MediaValues {
    /// Parses what the layers say.
    pub(super) fn read(layers: &Layers<'_>) -> Self {
        let usual = MediaConfig::default();
        let webhook = WebhookConfig::default();
        let sockets = |text: &str| parse_list(text, parse_socket);
        let addresses = |text: &str| parse_list(text, parse_address);
        let networks = |text: &str| parse_list(text, parse_network);
        Self {
            is_on: layers.parse(&Key::MEDIA, usual.is_on, parse_switch),
            listen: layers.parse(&Key::MEDIA_LISTEN, usual.listen, sockets),
            public: layers.parse(&Key::MEDIA_PUBLIC, usual.public, addresses),
            rtp_ports: layers.parse(&Key::MEDIA_RTP_PORTS, usual.rtp_ports, parse_ports),
            timeout_s: layers.parse(&Key::WEBHOOK_TIMEOUT_S, webhook.timeout_s, parse_seconds),
            allow: layers.parse(&Key::WEBHOOK_ALLOW, webhook.allow, networks),
            speech: layers.parse(&Key::SPEECH_COMMAND, None, parse_command),
        }
    }

    /// The node's configuration of the gateway.
    pub(super) fn media_config(&self) -> MediaConfig {
        MediaConfig {
            is_on: self.is_on.value,
            listen: self.listen.value.clone(),
            public: self.public.value.clone(),
            rtp_ports: self.rtp_ports.value.clone(),
        }
    }

    /// The node's configuration of how applications are asked.
    pub(super) fn webhook_config(&self) -> WebhookConfig {
        WebhookConfig {
            timeout_s: self.timeout_s.value,
            allow: self.allow.value.clone(),
            ..WebhookConfig::default()
        }
    }

    /// The node's configuration of speech.
    pub(super) fn speech_config(&self) -> SpeechConfig {
        SpeechConfig {
            command: self.speech.value.clone(),
        }
    }

    /// Where the value comes from that the node refuses.
    pub(super) fn source_of(&self, fault: &MediaConfigFault) -> &Source {
        match fault {
            MediaConfigFault::Ports { .. } => &self.rtp_ports.source,
            MediaConfigFault::Listen(_) | MediaConfigFault::OfTurn(_) => &self.listen.source,
            MediaConfigFault::Public(_) | MediaConfigFault::Pairs { .. } => &self.public.source,
            MediaConfigFault::NoAddress => &Source::Default,
        }
    }

    /// Where the time comes from that an application has.
    pub(super) fn timeout_source(&self) -> &Source {
        &self.timeout_s.source
    }

    /// Each value with its source, in the order of [`MEDIA_KEYS`](super::config_media_key::MEDIA_KEYS).
    pub(super) fn rows(&self) -> Vec<(Key, Value, &Source)> {
        let ports = &self.rtp_ports.value;
        let ports = format!("{}-{}", ports.start(), ports.end());
        let allow: Vec<_> = self.allow.value.iter().map(Network::to_string).collect();
        let speech = self.speech.value.as_ref().map(|words| words.join(" "));
        vec![
            (Key::MEDIA, self.is_on.value.into(), &self.is_on.source),
            (
                Key::MEDIA_LISTEN,
                json!(self.listen.value),
                &self.listen.source,
            ),
            (
                Key::MEDIA_PUBLIC,
                json!(self.public.value),
                &self.public.source,
            ),
            (Key::MEDIA_RTP_PORTS, ports.into(), &self.rtp_ports.source),
            (
                Key::WEBHOOK_TIMEOUT_S,
                self.timeout_s.value.into(),
                &self.timeout_s.source,
            ),
            (Key::WEBHOOK_ALLOW, json!(allow), &self.allow.source),
            (Key::SPEECH_COMMAND, json!(speech), &self.speech.source),
        ]
    }
}

fn parse_socket(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "each must be an IP address and a port, such as 0.0.0.0:3479 or [::]:3479".to_owned()
    })
}

fn parse_ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    parse_range(text, "20000-29999")
}

/// A program and its arguments; nothing of it is read by a command shell.
fn parse_command(text: &str) -> Result<Option<Vec<String>>, String> {
    let words: Vec<_> = text.split_whitespace().map(ToOwned::to_owned).collect();
    if words.is_empty() {
        return Err(
            "it must be a program and its arguments, such as espeak-ng --stdin --stdout".to_owned(),
        );
    }
    Ok(Some(words))
}

#[cfg(test)]
mod tests {
    use super::super::config_media_key::MEDIA_KEYS;
    use super::*;

    #[test]
    fn operating_md_has_every_key_and_what_holds_without_it() {
        let page = include_str!("../../../../docs/operating.md");
        for Key { name, .. } in MEDIA_KEYS {
            let cells = [format!("`{name}`"), format!("`{name} = ")];
            assert!(cells.iter().any(|cell| page.contains(cell)), "{name}");
        }
        let usual = MediaConfig::default();
        for row in [
            format!("| `media = false` | `{}` |", usual.is_on),
            format!(
                "` | {}-{} |",
                usual.rtp_ports.start(),
                usual.rtp_ports.end()
            ),
            format!(
                "| `webhook_timeout_s = 5` | {} |",
                WebhookConfig::default().timeout_s
            ),
        ] {
            assert!(page.contains(&row), "{row}");
        }
    }

    #[test]
    fn a_command_is_a_program_and_its_arguments() {
        let words = parse_command("say  --fast").unwrap().unwrap();
        assert_eq!(words, ["say", "--fast"]);
        assert!(parse_command(" ").unwrap_err().contains("espeak-ng"));
        assert!(parse_ports("1").unwrap_err().contains("20000-29999"));
        assert!(parse_socket("1").unwrap_err().contains("0.0.0.0:3479"));
    }
}
