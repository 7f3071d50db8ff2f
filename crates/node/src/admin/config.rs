//! Whether the operator's listener may be where it is to be, and what is to be said of that place.

use std::net::SocketAddr;

use crate::config::{Config, ConfigFault};
use crate::relay::Finding;

/// It cannot be served like that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminConfigFault {
    /// Clients and the operator would have one door.
    #[error(
        "the admin listener cannot be on {0}, where clients are served: give it a port of its own (--admin-listen ADDR:PORT), \
         such as 127.0.0.1:9090"
    )]
    SameAsListen(SocketAddr),
}

/// Says what stands against it.
pub(crate) fn check(config: &Config) -> Result<(), AdminConfigFault> {
    let Some(admin) = config.admin_listen else {
        return Ok(());
    };
    let (ip, public) = (admin.ip(), config.listen.ip());
    let is_met = ip == public || ip.is_unspecified() || public.is_unspecified();
    if admin.port() != 0 && admin.port() == config.listen.port() && is_met {
        return Err(AdminConfigFault::SameAsListen(admin));
    }
    Ok(())
}

/// What `offhook config check` can say about it without binding anything.
pub fn admin_outlook(config: &Config) -> Result<Vec<Finding>, ConfigFault> {
    config.check()?;
    Ok(findings(config.admin_listen))
}

/// What is to be said about the listener on this address.
pub(crate) fn findings(address: Option<SocketAddr>) -> Vec<Finding> {
    let Some(address) = address else {
        return Vec::new();
    };
    let mut findings = vec![Finding::Fact(format!(
        "admin: figures are at http://{address}/metrics, readiness at /readyz"
    ))];
    if !address.ip().to_canonical().is_loopback() {
        findings.push(Finding::Doubt(format!(
            "admin: {address} can be reached from other machines, and it asks nobody for a login and has no TLS: let a firewall, or a \
             network of its own, admit only those that collect the figures"
        )));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: &str, admin: &str) -> Config {
        Config {
            listen: listen.parse().unwrap(),
            admin_listen: Some(admin.parse().unwrap()),
            ..Config::default()
        }
    }

    #[test]
    fn clients_and_the_operator_have_doors_of_their_own() {
        for admin in ["127.0.0.1:8080", "0.0.0.0:8080"] {
            let refusal = config("127.0.0.1:8080", admin).check().unwrap_err();
            assert!(refusal.to_string().contains("--admin-listen"), "{refusal}");
        }
        for admin in ["127.0.0.1:9090", "127.0.0.2:8080", "[::1]:8080"] {
            assert_eq!(config("127.0.0.1:8080", admin).check(), Ok(()), "{admin}");
        }
        assert_eq!(config("127.0.0.1:0", "127.0.0.1:0").check(), Ok(()));
    }

    #[test]
    fn whoever_opens_it_to_others_is_told_that_nobody_is_asked_for_a_login() {
        assert!(findings(None).is_empty());
        let doubts = |address: &str| {
            let findings = findings(Some(address.parse().unwrap()));
            findings.into_iter().filter(Finding::is_doubt).count()
        };
        assert_eq!(doubts("127.0.0.1:9090") + doubts("[::1]:9090"), 0);
        assert_eq!(["0.0.0.0:9090", "10.0.0.1:9090"].map(doubts), [1, 1]);
    }
}
