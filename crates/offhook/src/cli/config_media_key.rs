//! What can be configured about the media gateway and applications: names and flags, as `config_key` has them for everything else.

use clap::Args;

use super::config_key::{Form, Key};
use super::config_turn_key::named_keys;

/// Their keys, in the order of listings.
pub(crate) const MEDIA_KEYS: [Key; 7] = [
    Key::MEDIA,
    Key::MEDIA_LISTEN,
    Key::MEDIA_PUBLIC,
    Key::MEDIA_RTP_PORTS,
    Key::WEBHOOK_TIMEOUT_S,
    Key::WEBHOOK_ALLOW,
    Key::SPEECH_COMMAND,
];

named_keys! {
    MEDIA: "media", "--media", "OFFHOOK_MEDIA", Switch, "false";
    MEDIA_LISTEN: "media_listen", "--media-listen", "OFFHOOK_MEDIA_LISTEN", List, "[\"0.0.0.0:3479\"]";
    MEDIA_PUBLIC: "media_public", "--media-public", "OFFHOOK_MEDIA_PUBLIC", List, "[\"203.0.113.7\"]";
    MEDIA_RTP_PORTS: "media_rtp_ports", "--media-rtp-ports", "OFFHOOK_MEDIA_RTP_PORTS", Text, "\"20000-29999\"";
    WEBHOOK_TIMEOUT_S: "webhook_timeout_s", "--webhook-timeout", "OFFHOOK_WEBHOOK_TIMEOUT", Number, "5";
    WEBHOOK_ALLOW: "webhook_allow", "--webhook-allow", "OFFHOOK_WEBHOOK_ALLOW", List, "[\"10.20.0.0/16\"]";
    SPEECH_COMMAND: "speech_command", "--speech-command", "OFFHOOK_SPEECH_COMMAND", Text, "\"espeak-ng --stdin --stdout\"";
}

/// Their flags, as they were typed.
#[derive(Args, Clone, Debug, Default)]
#[command(
    next_help_heading = "Media and applications (docs/operating.md; each has a variable OFFHOOK_…)"
)]
pub(crate) struct MediaFlags {
    /// Carry the media of services that applications answer [default: true]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) media: Option<String>,
    /// Listen here for the media of browsers, UDP; again for each [default: the address of --listen, port 3479]
    #[arg(long, value_name = "ADDR:PORT", value_delimiter = ',')]
    pub(crate) media_listen: Vec<String>,
    /// What a NAT before this machine makes of it, one for each address [default: what --turn-public says]
    #[arg(long, value_name = "ADDR", value_delimiter = ',')]
    pub(crate) media_public: Vec<String>,
    /// UDP ports of plain RTP [default: 20000-29999]
    #[arg(long, value_name = "FIRST-LAST")]
    pub(crate) media_rtp_ports: Option<String>,
    /// How long an application may take to answer [default: 5]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) webhook_timeout: Option<String>,
    /// A private network where applications may be; again for each
    #[arg(long, value_name = "NETWORK", value_delimiter = ',')]
    pub(crate) webhook_allow: Vec<String>,
    /// What makes a WAV file of a text [default: espeak-ng --stdin --stdout, if it is installed]
    #[arg(long, value_name = "PROGRAM ARG…")]
    pub(crate) speech_command: Option<String>,
}

impl MediaFlags {
    /// These flags, and those of `weaker` that were not given here.
    pub(super) fn or(self, weaker: Self) -> Self {
        let list = |own: Vec<String>, weaker| if own.is_empty() { weaker } else { own };
        Self {
            media: self.media.or(weaker.media),
            media_listen: list(self.media_listen, weaker.media_listen),
            media_public: list(self.media_public, weaker.media_public),
            media_rtp_ports: self.media_rtp_ports.or(weaker.media_rtp_ports),
            webhook_timeout: self.webhook_timeout.or(weaker.webhook_timeout),
            webhook_allow: list(self.webhook_allow, weaker.webhook_allow),
            speech_command: self.speech_command.or(weaker.speech_command),
        }
    }

    /// What was typed for this key; a list joined by commas.
    pub(super) fn text(&self, key: &Key) -> Option<String> {
        let list = |list: &[String]| (!list.is_empty()).then(|| list.join(","));
        match key.name {
            "media" => self.media.clone(),
            "media_listen" => list(&self.media_listen),
            "media_public" => list(&self.media_public),
            "media_rtp_ports" => self.media_rtp_ports.clone(),
            "webhook_timeout_s" => self.webhook_timeout.clone(),
            "webhook_allow" => list(&self.webhook_allow),
            "speech_command" => self.speech_command.clone(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flags: MediaFlags,
    }

    #[test]
    fn every_key_has_a_flag_that_gives_its_text_and_names_alike() {
        for key in MEDIA_KEYS {
            let name = key.name.trim_end_matches("_s");
            assert_eq!(key.flag, format!("--{}", name.replace('_', "-")));
            assert_eq!(key.variable, format!("OFFHOOK_{}", name.to_uppercase()));
            let word = format!("{}=word", key.flag);
            let line = Line::try_parse_from(["offhook", &word]).ok().unwrap();
            assert_eq!(line.flags.text(&key).as_deref(), Some("word"), "{key:?}");
            let weaker = MediaFlags::default().or(line.flags);
            assert_eq!(weaker.text(&key).as_deref(), Some("word"), "{key:?}");
            for other in MEDIA_KEYS.iter().filter(|other| other.name != key.name) {
                assert_eq!(weaker.text(other), None, "{key:?} {other:?}");
            }
        }
    }
}
