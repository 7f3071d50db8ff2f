//! TLS with the peers of trunks: theirs is verified for the trunk's domain (RFC 5922 §7.1), ours is the server's own.
//!
//! A certificate must name the domain as a DNS name or an address; one that names it only as a SIP address (§7.1) is none here.

use std::sync::Arc;

use model::TrunkTransport;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::certificate::Certificate;
use crate::wanted_trunk::{Authority, WantedTrunk};

/// How connections to the peers of one trunk are secured.
pub(super) struct Secure {
    connector: TlsConnector,
    name: ServerName<'static>,
    /// What verifies a certificate, in words.
    roots: &'static str,
    domain: String,
}

impl Secure {
    /// By the roots of the system, or by those that the trunk names. Nothing where there is no TLS.
    pub(super) fn new(wanted: &WantedTrunk) -> Result<Option<Arc<Self>>, rustls::Error> {
        let domain = wanted.trunk.domain.clone();
        let is_tls = wanted.trunk.transport == TrunkTransport::Tls;
        let Some(name) = Self::name(&domain).filter(|_| is_tls) else {
            return Ok(None);
        };
        let (store, roots) = match &wanted.ca {
            Authority::System => (of_system(), "the root certificates of this machine"),
            Authority::Own(known) => (of(known), "the certificates in its ca_file"),
        };
        let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Some(Arc::new(Self {
            connector: Arc::new(tls).into(),
            name,
            roots,
            domain,
        })))
    }

    /// What a certificate must name; nothing if none can.
    pub(super) fn name(domain: &str) -> Option<ServerName<'static>> {
        let host = domain.trim_start_matches('[').trim_end_matches(']');
        ServerName::try_from(host.to_owned()).ok()
    }

    /// Speaks TLS, or says what stands against it.
    pub(super) async fn connect(&self, tcp: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        let connecting = self.connector.connect(self.name.clone(), tcp);
        connecting
            .await
            .map_err(|error| self.told(&error.to_string()))
    }

    /// What stands against TLS, and what would be right.
    fn told(&self, error: &str) -> String {
        // In the words of the library, which are none.
        let (error, cure) = if error.contains("CaUsedAsEndEntity") {
            (
                "its certificate may vouch for others (CA:TRUE), and is none of a host",
                "",
            )
        } else if error.contains("UnknownIssuer") {
            (
                "who has issued its certificate is not known (UnknownIssuer)",
                "; where that is an authority of the provider's own, have ca_file of the trunk name its certificate",
            )
        } else {
            (error, "")
        };
        format!(
            "TLS fails: {error}; the peer must show a certificate for {}, the domain of the trunk, that {} vouch for{cure}",
            self.domain, self.roots
        )
    }
}

fn of(certificates: &[CertificateDer<'static>]) -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates.iter().cloned());
    store
}

fn of_system() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for fault in &found.errors {
        tracing::debug!(%fault, "root certificates of the system cannot be read");
    }
    of(&found.certs)
}

/// Answers TLS with whatever certificate is loaded when a peer comes.
pub(super) fn acceptor(certificate: Arc<Certificate>) -> Result<TlsAcceptor, rustls::Error> {
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    Ok(Arc::new(config).into())
}
