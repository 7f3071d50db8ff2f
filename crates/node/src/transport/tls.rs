//! TLS on accepted connections: rustls with aws-lc-rs, TLS 1.2 and 1.3, HTTP/1.1 alone (RFC 7301).

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::certificate::Certificate;

/// Makes connections secure.
#[derive(Clone)]
pub(crate) struct TlsAcceptor(tokio_rustls::TlsAcceptor);

impl TlsAcceptor {
    /// With whatever certificate is loaded when a client comes.
    pub(crate) fn new(certificate: Arc<Certificate>) -> Result<Self, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(certificate);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Clients come back after each loss: let them resume, without keeping anything for them.
        config.ticketer = Ticketer::new()?;
        config.send_tls13_tickets = 1;
        Ok(Self(Arc::new(config).into()))
    }

    /// The secured connection, boxed so that the task that serves it stays small.
    pub(crate) async fn handshake(
        &self,
        stream: TcpStream,
        patience: Duration,
    ) -> Option<Box<TlsStream<TcpStream>>> {
        match tokio::time::timeout(patience, self.0.accept(stream)).await {
            Ok(Ok(stream)) => Some(Box::new(stream)),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!("a TLS handshake did not end in time");
                None
            }
        }
    }
}
