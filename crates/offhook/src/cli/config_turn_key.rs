//! What can be configured about TURN: names and flags, as `config_key` has them for everything else.

use clap::Args;

use super::config_key::{Form, Key};

/// The keys of TURN, in the order of listings.
pub(crate) const TURN_KEYS: [Key; 16] = [
    Key::TURN,
    Key::TURN_LISTEN,
    Key::TURN_TLS_LISTEN,
    Key::TURN_PORTS,
    Key::TURN_RELAY,
    Key::TURN_PUBLIC,
    Key::TURN_HOST,
    Key::TURN_ALLOW,
    Key::TURN_CLIENT_MBIT,
    Key::TURN_ACCOUNT_MBIT,
    Key::TURN_MBIT,
    Key::TURN_ACCOUNT_GB_MONTHLY,
    Key::TURN_GB_MONTHLY,
    Key::TURN_CLIENT_ALLOCATIONS,
    Key::TURN_ACCOUNT_ALLOCATIONS,
    Key::TURN_ALLOCATIONS,
];

/// Makes keys of their names.
macro_rules! named_keys {
    ($($constant:ident: $name:literal, $flag:literal, $variable:literal, $form:ident, $example:literal;)*) => {
        impl Key {
            $(pub(crate) const $constant: Self = Self {
                name: $name,
                flag: $flag,
                variable: $variable,
                form: Form::$form,
                example: $example,
            };)*
        }
    };
}

pub(super) use named_keys;

named_keys! {
    TURN: "turn", "--turn", "OFFHOOK_TURN", Switch, "false";
    TURN_LISTEN: "turn_listen", "--turn-listen", "OFFHOOK_TURN_LISTEN", List, "[\"0.0.0.0:3478\"]";
    TURN_TLS_LISTEN: "turn_tls_listen", "--turn-tls-listen", "OFFHOOK_TURN_TLS_LISTEN", List, "[\"0.0.0.0:5349\"]";
    TURN_PORTS: "turn_ports", "--turn-ports", "OFFHOOK_TURN_PORTS", Text, "\"49152-65535\"";
    TURN_RELAY: "turn_relay", "--turn-relay", "OFFHOOK_TURN_RELAY", List, "[\"10.0.0.5\"]";
    TURN_PUBLIC: "turn_public", "--turn-public", "OFFHOOK_TURN_PUBLIC", List, "[\"203.0.113.7\"]";
    TURN_HOST: "turn_host", "--turn-host", "OFFHOOK_TURN_HOST", Text, "\"turn.example.com\"";
    TURN_ALLOW: "turn_allow", "--turn-allow", "OFFHOOK_TURN_ALLOW", List, "[\"10.20.0.0/16\"]";
    TURN_CLIENT_MBIT: "turn_client_mbit", "--turn-client-mbit", "OFFHOOK_TURN_CLIENT_MBIT", Number, "20";
    TURN_ACCOUNT_MBIT: "turn_account_mbit", "--turn-account-mbit", "OFFHOOK_TURN_ACCOUNT_MBIT", Number, "1000";
    TURN_MBIT: "turn_mbit", "--turn-mbit", "OFFHOOK_TURN_MBIT", Number, "900";
    TURN_ACCOUNT_GB_MONTHLY: "turn_account_gb_monthly", "--turn-account-gb-monthly", "OFFHOOK_TURN_ACCOUNT_GB_MONTHLY", Number, "500";
    TURN_GB_MONTHLY: "turn_gb_monthly", "--turn-gb-monthly", "OFFHOOK_TURN_GB_MONTHLY", Number, "5000";
    TURN_CLIENT_ALLOCATIONS: "turn_client_allocations", "--turn-client-allocations", "OFFHOOK_TURN_CLIENT_ALLOCATIONS", Number, "12";
    TURN_ACCOUNT_ALLOCATIONS: "turn_account_allocations", "--turn-account-allocations", "OFFHOOK_TURN_ACCOUNT_ALLOCATIONS", Number, "2000";
    TURN_ALLOCATIONS: "turn_allocations", "--turn-allocations", "OFFHOOK_TURN_ALLOCATIONS", Number, "10000";
}

/// The flags of TURN, as they were typed.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "TURN (docs/operating.md; each has a variable OFFHOOK_TURN…)")]
pub(crate) struct TurnFlags {
    /// Relay media for browsers that cannot reach each other [default: true]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) turn: Option<String>,
    /// Listen here for STUN and TURN, UDP and TCP; again for each [default: the address of --listen, port 3478]
    #[arg(long, value_name = "ADDR:PORT", value_delimiter = ',')]
    pub(crate) turn_listen: Vec<String>,
    /// Listen here for TURN over TLS; again for each [default: the same addresses, port 5349, with a certificate]
    #[arg(long, value_name = "ADDR:PORT", value_delimiter = ',')]
    pub(crate) turn_tls_listen: Vec<String>,
    /// UDP ports to relay from [default: 49152-65535]
    #[arg(long, value_name = "FIRST-LAST")]
    pub(crate) turn_ports: Option<String>,
    /// An address of this machine to relay from; again for each [default: those that TURN listens on]
    #[arg(long, value_name = "ADDR", value_delimiter = ',')]
    pub(crate) turn_relay: Vec<String>,
    /// What a NAT before this machine makes of it, one for each address to relay from
    #[arg(long, value_name = "ADDR", value_delimiter = ',')]
    pub(crate) turn_public: Vec<String>,
    /// What clients are to call this machine for TURN [default: what they called it when they connected]
    #[arg(long, value_name = "HOST")]
    pub(crate) turn_host: Option<String>,
    /// A private network that clients may reach through the relay; again for each
    #[arg(long, value_name = "NETWORK", value_delimiter = ',')]
    pub(crate) turn_allow: Vec<String>,
    /// Mbit/s of one client, both directions together; 0: no limit [default: 20]
    #[arg(long, value_name = "MBIT")]
    pub(crate) turn_client_mbit: Option<String>,
    /// Mbit/s of one account; 0: no limit [default: 1000]
    #[arg(long, value_name = "MBIT")]
    pub(crate) turn_account_mbit: Option<String>,
    /// Mbit/s of this server; 0: no limit [default: 0]
    #[arg(long, value_name = "MBIT")]
    pub(crate) turn_mbit: Option<String>,
    /// Gigabytes of one account in a calendar month; 0: no limit [default: 0]
    #[arg(long, value_name = "GB")]
    pub(crate) turn_account_gb_monthly: Option<String>,
    /// Gigabytes of this server in a calendar month; 0: no limit [default: 0]
    #[arg(long, value_name = "GB")]
    pub(crate) turn_gb_monthly: Option<String>,
    /// Allocations of one client at a time [default: 12]
    #[arg(long, value_name = "N")]
    pub(crate) turn_client_allocations: Option<String>,
    /// Allocations of one account at a time [default: 2000]
    #[arg(long, value_name = "N")]
    pub(crate) turn_account_allocations: Option<String>,
    /// Allocations of this server at a time [default: 100000]
    #[arg(long, value_name = "N")]
    pub(crate) turn_allocations: Option<String>,
}

impl TurnFlags {
    /// These flags, and those of `weaker` that were not given here.
    pub(super) fn or(self, weaker: Self) -> Self {
        let list = |own: Vec<String>, weaker| if own.is_empty() { weaker } else { own };
        Self {
            turn: self.turn.or(weaker.turn),
            turn_listen: list(self.turn_listen, weaker.turn_listen),
            turn_tls_listen: list(self.turn_tls_listen, weaker.turn_tls_listen),
            turn_ports: self.turn_ports.or(weaker.turn_ports),
            turn_relay: list(self.turn_relay, weaker.turn_relay),
            turn_public: list(self.turn_public, weaker.turn_public),
            turn_host: self.turn_host.or(weaker.turn_host),
            turn_allow: list(self.turn_allow, weaker.turn_allow),
            turn_client_mbit: self.turn_client_mbit.or(weaker.turn_client_mbit),
            turn_account_mbit: self.turn_account_mbit.or(weaker.turn_account_mbit),
            turn_mbit: self.turn_mbit.or(weaker.turn_mbit),
            turn_account_gb_monthly: self
                .turn_account_gb_monthly
                .or(weaker.turn_account_gb_monthly),
            turn_gb_monthly: self.turn_gb_monthly.or(weaker.turn_gb_monthly),
            turn_client_allocations: self
                .turn_client_allocations
                .or(weaker.turn_client_allocations),
            turn_account_allocations: self
                .turn_account_allocations
                .or(weaker.turn_account_allocations),
            turn_allocations: self.turn_allocations.or(weaker.turn_allocations),
        }
    }

    /// What was typed for this key; a list joined by commas.
    pub(super) fn text(&self, key: &Key) -> Option<String> {
        let list = |list: &[String]| (!list.is_empty()).then(|| list.join(","));
        match key.name {
            "turn" => self.turn.clone(),
            "turn_listen" => list(&self.turn_listen),
            "turn_tls_listen" => list(&self.turn_tls_listen),
            "turn_ports" => self.turn_ports.clone(),
            "turn_relay" => list(&self.turn_relay),
            "turn_public" => list(&self.turn_public),
            "turn_host" => self.turn_host.clone(),
            "turn_allow" => list(&self.turn_allow),
            "turn_client_mbit" => self.turn_client_mbit.clone(),
            "turn_account_mbit" => self.turn_account_mbit.clone(),
            "turn_mbit" => self.turn_mbit.clone(),
            "turn_account_gb_monthly" => self.turn_account_gb_monthly.clone(),
            "turn_gb_monthly" => self.turn_gb_monthly.clone(),
            "turn_client_allocations" => self.turn_client_allocations.clone(),
            "turn_account_allocations" => self.turn_account_allocations.clone(),
            "turn_allocations" => self.turn_allocations.clone(),
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
        flags: TurnFlags,
    }

    #[test]
    fn every_key_has_a_flag_that_gives_its_text_and_names_alike() {
        for key in TURN_KEYS {
            assert_eq!(key.flag, format!("--{}", key.name.replace('_', "-")));
            assert_eq!(key.variable, format!("OFFHOOK_{}", key.name.to_uppercase()));
            let word = format!("{}=word", key.flag);
            let line = Line::try_parse_from(["offhook", &word]).ok().unwrap();
            assert_eq!(line.flags.text(&key).as_deref(), Some("word"), "{key:?}");
            let weaker = TurnFlags::default().or(line.flags);
            assert_eq!(weaker.text(&key).as_deref(), Some("word"), "{key:?}");
            for other in TURN_KEYS.iter().filter(|other| other.name != key.name) {
                assert_eq!(weaker.text(other), None, "{key:?} {other:?}");
            }
        }
    }
}
