//! What can be configured about trunks besides their tables: names and flags, as `config_key` has them for everything else.

use clap::Args;

use super::config_key::{Form, Key};
use super::config_turn_key::named_keys;

/// Their keys, in the order of listings.
pub(crate) const TRUNK_KEYS: [Key; 4] = [
    Key::TRUNK_LISTEN,
    Key::TRUNK_TLS_LISTEN,
    Key::TRUNK_ADDRESS,
    Key::DNS,
];

named_keys! {
    TRUNK_LISTEN: "trunk_listen", "--trunk-listen", "OFFHOOK_TRUNK_LISTEN", Text, "\"0.0.0.0:5060\"";
    TRUNK_TLS_LISTEN: "trunk_tls_listen", "--trunk-tls-listen", "OFFHOOK_TRUNK_TLS_LISTEN", Text, "\"0.0.0.0:5061\"";
    TRUNK_ADDRESS: "trunk_address", "--trunk-address", "OFFHOOK_TRUNK_ADDRESS", Text, "\"203.0.113.7\"";
    DNS: "dns", "--dns", "OFFHOOK_DNS", List, "[\"192.0.2.53\"]";
}

/// Their flags, as they were typed.
#[derive(Args, Clone, Debug, Default)]
#[command(
    next_help_heading = "Trunks (docs/trunks.md; each has a variable, such as OFFHOOK_TRUNK_LISTEN)"
)]
pub(crate) struct TrunkFlags {
    /// Where the peers of trunks send SIP to, UDP and TCP; bound for what a trunk of the file uses [default: 0.0.0.0:5060]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) trunk_listen: Option<String>,
    /// The same for TLS; needs a certificate (--tls-cert) [default: 0.0.0.0:5061]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) trunk_tls_listen: Option<String>,
    /// What the peers of trunks call this machine [default: what packets to them come from, or what --media-public says of it]
    #[arg(long, value_name = "ADDR")]
    pub(crate) trunk_address: Option<String>,
    /// Ask this server of DNS where the peers of trunks are that have names; again for each [default: as /etc/resolv.conf says]
    #[arg(long, value_name = "ADDR[:PORT]")]
    pub(crate) dns: Vec<String>,
}

impl TrunkFlags {
    /// These flags, and those of `weaker` that were not given here.
    pub(super) fn or(self, weaker: Self) -> Self {
        let dns = match self.dns.is_empty() {
            true => weaker.dns,
            false => self.dns,
        };
        Self {
            dns,
            trunk_listen: self.trunk_listen.or(weaker.trunk_listen),
            trunk_tls_listen: self.trunk_tls_listen.or(weaker.trunk_tls_listen),
            trunk_address: self.trunk_address.or(weaker.trunk_address),
        }
    }

    /// What was typed for this key.
    pub(super) fn text(&self, key: &Key) -> Option<String> {
        match key.name {
            "trunk_listen" => self.trunk_listen.clone(),
            "trunk_tls_listen" => self.trunk_tls_listen.clone(),
            "trunk_address" => self.trunk_address.clone(),
            "dns" => (!self.dns.is_empty()).then(|| self.dns.join(",")),
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
        flags: TrunkFlags,
    }

    #[test]
    fn every_key_has_a_flag_that_gives_its_text_and_names_alike() {
        for key in TRUNK_KEYS {
            assert_eq!(key.flag, format!("--{}", key.name.replace('_', "-")));
            assert_eq!(key.variable, format!("OFFHOOK_{}", key.name.to_uppercase()));
            let word = format!("{}=word", key.flag);
            let line = Line::try_parse_from(["offhook", &word]).ok().unwrap();
            assert_eq!(line.flags.text(&key).as_deref(), Some("word"), "{key:?}");
            let weaker = TrunkFlags::default().or(line.flags);
            assert_eq!(weaker.text(&key).as_deref(), Some("word"), "{key:?}");
            for other in TRUNK_KEYS.iter().filter(|other| other.name != key.name) {
                assert_eq!(weaker.text(other), None, "{key:?} {other:?}");
            }
        }
    }
}
