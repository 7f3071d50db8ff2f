//! Trunks by TCP and TLS: a SIP peer with connections of its own, and whoever is no peer.

use std::net::SocketAddr;
use std::sync::Arc;

use model::TrunkTransport;
use node::Config;
use node::control::ask;
use node::wanted_trunk::Authority;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::server::{Server, Site, in_time, until};
use crate::trunk::{config, options, wanted};

async fn peer() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

/// A site whose trunk is by this transport; it is asked every 5 s whether it is there.
fn by(site: &Site, transport: TrunkTransport, peer: SocketAddr, ca: Authority) -> Config {
    let mut wanted = wanted(site, peer);
    wanted.trunk.transport = transport;
    wanted.trunk.check = Some(std::time::Duration::from_secs(5));
    wanted.ca = ca;
    config(site, wanted)
}

async fn status(site: &Site) -> Value {
    let status = ask(site.dir.path(), json!({ "ask": "status" })).await;
    status.unwrap()
}

/// The next message on a connection, whose head is all there is of it.
async fn heard(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(in_time(stream.read_u8()).await.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

fn by_tcp(request: &str) -> String {
    request.replace("SIP/2.0/UDP", "SIP/2.0/TCP")
}

#[tokio::test]
async fn a_peer_is_asked_by_a_connection_of_ours_and_answered_by_its_own() {
    let site = Site::new().await;
    let (listener, at) = peer().await;
    let server = Server::start(by(&site, TrunkTransport::Tcp, at, Authority::System)).await;
    let (mut ours, _) = in_time(listener.accept()).await.unwrap();
    let asked = heard(&mut ours).await;
    assert!(asked.starts_with("OPTIONS "), "{asked}");
    assert!(asked.contains("Via: SIP/2.0/TCP "), "{asked}");

    let address = server.trunk_address.unwrap();
    let mut theirs = TcpStream::connect(address).await.unwrap();
    let request = by_tcp(&options(theirs.local_addr().unwrap(), address));
    let stream = format!("\r\n\r\n{request}{request}");
    theirs.write_all(stream.as_bytes()).await.unwrap();
    let mut pong = [0; 2];
    in_time(theirs.read_exact(&mut pong)).await.unwrap();
    assert_eq!(&pong, b"\r\n");
    for _ in 0..2 {
        let answer = heard(&mut theirs).await;
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
        assert!(answer.contains(";transport=tcp>"), "{answer}");
    }
    // A connection that is lost is made anew, and what was under way by it goes again.
    drop(ours);
    let (mut ours, _) = in_time(listener.accept()).await.unwrap();
    assert_eq!(heard(&mut ours).await, asked);
    drop(theirs);
    server.stop().await;
}

#[tokio::test]
async fn whoever_is_no_peer_is_closed_without_a_byte() {
    let site = Site::new().await;
    let peer = "127.0.0.2:5060".parse().unwrap();
    let server = Server::start(by(&site, TrunkTransport::Tcp, peer, Authority::System)).await;
    let address = server.trunk_address.unwrap();
    let mut stranger = TcpStream::connect(address).await.unwrap();
    assert_eq!(in_time(stranger.read(&mut [0; 1])).await.unwrap(), 0);
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut bad = socket.connect(address).await.unwrap();
    bad.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(in_time(bad.read(&mut [0; 1])).await.unwrap(), 0);
    let counted = async || {
        let counters = &status(&site).await["counters"];
        counters["trunk_connections_closed_unknown_source"] == 1
            && counters["trunk_connections_closed_malformed"] == 1
    };
    until(counted).await;
    server.stop().await;
}

/// A certificate for this name, and who answers with it.
fn identity(name: &str) -> (TlsAcceptor, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let certificate = made.cert.der().clone();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    (Arc::new(config).into(), certificate)
}

#[tokio::test]
async fn by_tls_a_peer_is_spoken_to_if_its_certificate_is_for_the_domain() {
    let site = Site::new().await;
    let (acceptor, certificate) = identity("127.0.0.1");
    let (listener, at) = peer().await;
    let ca = Authority::Own(vec![certificate]);
    let server = Server::start(by(&site, TrunkTransport::Tls, at, ca.clone())).await;
    let (tcp, _) = in_time(listener.accept()).await.unwrap();
    let mut ours = in_time(acceptor.accept(tcp)).await.unwrap();
    let asked = heard(&mut ours).await;
    assert!(asked.contains("Via: SIP/2.0/TLS "), "{asked}");
    assert_eq!(status(&site).await["trunks"][0]["trouble"], Value::Null);
    let doubts = server.trunk.iter().filter(|finding| finding.is_doubt());
    let has_none = |text: &str| text.contains("has no TLS certificate");
    assert!(doubts.map(|doubt| doubt.text()).any(has_none));
    server.stop().await;

    let (acceptor, other) = identity("sip.example.com");
    for ca in [ca, Authority::Own(vec![other])] {
        let server = Server::start(by(&site, TrunkTransport::Tls, at, ca)).await;
        let (tcp, _) = in_time(listener.accept()).await.unwrap();
        // Nothing is said to it.
        assert!(in_time(acceptor.accept(tcp)).await.is_err());
        let trouble = async || status(&site).await["trunks"][0]["trouble"].is_string();
        until(trouble).await;
        let told = status(&site).await["trunks"][0]["trouble"].clone();
        let told = told.as_str().unwrap();
        assert!(
            told.starts_with(&format!("no connection to {at}: TLS fails: ")),
            "{told}"
        );
        assert!(
            told.contains("a certificate for 127.0.0.1, the domain of the trunk"),
            "{told}"
        );
        server.stop().await;
    }
}
