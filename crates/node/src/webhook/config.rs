//! What an operator chooses about asking applications.

use std::time::Duration;

use model::limits;
use rustls::pki_types::CertificateDer;
use turn::Network;

/// The configuration of requests to applications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfig {
    /// How long a page may take to answer, in seconds.
    pub timeout_s: u64,
    /// Networks that may be called though they are private or of another kind that nobody outside means.
    pub allow: Vec<Network>,
    /// Roots of certificates beside those of the system: tests have their own.
    pub roots: Vec<CertificateDer<'static>>,
}

impl WebhookConfig {
    /// Says what stands against it.
    pub(crate) fn check(&self) -> Result<(), WebhookConfigFault> {
        if (1..=limits::PAGE_TIME_MAX.as_secs()).contains(&self.timeout_s) {
            Ok(())
        } else {
            Err(WebhookConfigFault::Timeout(self.timeout_s))
        }
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s)
    }
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self {
            timeout_s: limits::PAGE_TIME.as_secs(),
            allow: Vec::new(),
            roots: Vec::new(),
        }
    }
}

/// What stands against it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookConfigFault {
    /// A caller hears nothing meanwhile.
    #[error(
        "an application must be allowed to take from 1 to {max} seconds for a page, not {0} (--webhook-timeout)",
        max = limits::PAGE_TIME_MAX.as_secs()
    )]
    Timeout(u64),
}
