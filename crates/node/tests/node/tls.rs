//! TLS, and certificates that are replaced while the server runs.

use std::path::Path;
use std::sync::Arc;

use node::{ServeError, TlsFiles};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::http::get;
use crate::server::{Server, Site, until};
use crate::sip_proxy::Client;

/// Writes a new certificate for localhost.
fn renew(dir: &Path) -> (TlsFiles, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles {
        cert: dir.join("cert.pem"),
        key: dir.join("key.pem"),
    };
    std::fs::write(&files.cert, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    (files, made.cert.der().clone())
}

/// A connection that trusts this certificate and no other.
async fn connect(
    server: &Server,
    trusted: &CertificateDer<'static>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(server.address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

#[tokio::test]
async fn a_new_certificate_is_taken_up_and_open_connections_go_on() {
    let site = Site::new().await;
    let (files, first) = renew(site.dir.path());
    let mut config = site.config();
    config.tls = Some(files);
    let server = Server::start(config).await;

    let stream = connect(&server, &first).await.unwrap();
    let answer = get("/healthz").send_over(stream).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
    let stream = connect(&server, &first).await.unwrap();
    let mut bob = Client::over(stream, "wss", &site, server.address, "bob")
        .await
        .unwrap();
    assert!(bob.options().await.starts_with("SIP/2.0 200"));

    let (_, second) = renew(site.dir.path());
    until(async || connect(&server, &second).await.is_ok()).await;
    assert!(connect(&server, &first).await.is_err());
    assert!(bob.options().await.starts_with("SIP/2.0 200"));
    server.stop().await;
}

#[tokio::test]
async fn plain_http_on_a_tls_port_gets_no_answer_and_harms_nobody() {
    let site = Site::new().await;
    let (files, certificate) = renew(site.dir.path());
    let mut config = site.config();
    config.tls = Some(files);
    let server = Server::start(config).await;
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET / HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut plain, &mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert!(connect(&server, &certificate).await.is_ok());
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_stops_the_start() {
    let site = Site::new().await;
    let (files, _) = renew(site.dir.path());
    std::fs::remove_file(&files.key).unwrap();
    let mut config = site.config();
    config.tls = Some(files);
    let refused = Server::try_start(config)
        .await
        .err()
        .expect("it is refused");
    assert!(matches!(refused, ServeError::Certificate(_)), "{refused}");
    assert!(refused.to_string().contains("key.pem"), "{refused}");
}
