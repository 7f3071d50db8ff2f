//! What it costs to bring 1 KiB to another node: by the bus, and by a connection of its own with mutual TLS, both on loopback. And
//! what bindings cost: one change, and those of a whole node.
//!
//! `cargo bench -p store --bench bus`, with `redis-server` on the path. Both ends run in this process, on two threads.

#![allow(clippy::unwrap_used, reason = "a measurement fails by panicking")]
#![allow(clippy::print_stdout, reason = "it prints what it measures")]

#[allow(dead_code, reason = "the tests do more with it")]
#[path = "../tests/bus/server.rs"]
mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::NodeNumber;
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use store::bus::{Bus, Heard, Hearing};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use server::Server;

const BYTES: usize = 1024;
const TRIPS: usize = 10_000;
const MESSAGES: usize = 100_000;
const BINDING: usize = 200;
/// Senders that share the connection.
const SENDERS: usize = 64;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load before: {}", load.trim());
    let server = Server::start("");
    let (one, mut first) = node(&server, 1).await;
    let (other, mut second) = node(&server, 2).await;
    let echo = tokio::spawn(async move {
        loop {
            let post = next(&mut second).await;
            other.send(number(1), &post).await.unwrap();
        }
    });
    let post = vec![7; BYTES];
    let mut times = Vec::new();
    for _ in 0..TRIPS {
        let begun = Instant::now();
        // Its answer is not waited for: what counts is that it arrives.
        let ((), sent) = tokio::join!(
            async {
                next(&mut first).await;
                times.push(begun.elapsed());
            },
            one.send(number(2), &post),
        );
        sent.unwrap();
    }
    report("1 KiB by Redis, there and back", times);
    echo.abort();
    throughput_of_the_bus(&server).await;
    bindings(&server).await;

    let (mut near, mut far) = secured().await;
    let echo = tokio::spawn(async move {
        let mut frame = vec![0; BYTES];
        loop {
            far.read_exact(&mut frame).await.unwrap();
            far.write_all(&frame).await.unwrap();
            far.flush().await.unwrap();
        }
    });
    let (mut times, mut frame) = (Vec::new(), vec![7; BYTES]);
    for _ in 0..TRIPS {
        let begun = Instant::now();
        near.write_all(&frame).await.unwrap();
        near.flush().await.unwrap();
        near.read_exact(&mut frame).await.unwrap();
        times.push(begun.elapsed());
    }
    report("1 KiB by TLS, there and back", times);
    echo.abort();
    throughput_of_tls().await;
}

async fn throughput_of_the_bus(server: &Server) {
    let (from, _) = node(server, 3).await;
    let (_to, mut hearing) = node(server, 4).await;
    let begun = Instant::now();
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let (from, post) = (from.clone(), vec![7; BYTES]);
        senders.spawn(async move {
            for _ in 0..MESSAGES / SENDERS {
                from.send(number(4), &post).await.unwrap();
            }
        });
    }
    for _ in 0..MESSAGES / SENDERS * SENDERS {
        next(&mut hearing).await;
    }
    rate(
        "Redis, one way, 64 senders on one connection",
        begun.elapsed(),
    );
}

async fn bindings(server: &Server) {
    let (bus, _hearing) = node(server, 5).await;
    let entry = |number: usize| (format!("client{number:06}@1-2-0"), vec![7; BINDING]);
    let all: Vec<_> = (0..MESSAGES).map(entry).collect();
    let begun = Instant::now();
    bus.rewrite(number(5), 1, &all).await.unwrap();
    let (written, begun) = (begun.elapsed(), Instant::now());
    let loaded = bus.load(number(5)).await.unwrap().unwrap();
    let read = begun.elapsed();
    assert_eq!(loaded.entries.len(), MESSAGES);
    println!(
        "{MESSAGES} bindings of {BINDING} bytes: written anew in {written:?}, read in {read:?}"
    );
    let mut times = Vec::new();
    for version in 2..2 + TRIPS as u64 {
        let begun = Instant::now();
        let changes = [(format!("client{version:06}@1-2-0"), Some(vec![7; BINDING]))];
        let told = vec![7; BINDING];
        bus.write(number(5), version, &changes, &told)
            .await
            .unwrap();
        times.push(begun.elapsed());
    }
    report("one binding changed and told of", times);
}

async fn throughput_of_tls() {
    let (near, far) = secured().await;
    let (mut near, mut far) = (BufWriter::new(near), BufReader::new(far));
    let begun = Instant::now();
    let sending = tokio::spawn(async move {
        let frame = vec![7; BYTES];
        for _ in 0..MESSAGES {
            near.write_all(&frame).await.unwrap();
        }
        near.flush().await.unwrap();
        near
    });
    let mut frame = vec![0; BYTES];
    for _ in 0..MESSAGES {
        far.read_exact(&mut frame).await.unwrap();
    }
    rate("TLS, one way, one connection", begun.elapsed());
    sending.await.unwrap();
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| times[(times.len() as f64 * share) as usize];
    let (p50, p99) = (at(0.5), at(0.99));
    println!("{what}: p50 {p50:?}, p99 {p99:?} ({} times)", times.len());
}

fn rate(what: &str, time: Duration) {
    let rate = MESSAGES as f64 / time.as_secs_f64();
    println!("{what}: {rate:.0} messages of {BYTES} bytes a second");
}

fn number(node: u16) -> NodeNumber {
    NodeNumber::new(node).unwrap()
}

async fn node(server: &Server, node: u16) -> (Bus, Hearing) {
    let bus = Bus::new(server.url().parse().unwrap()).unwrap();
    let mut hearing = bus.hear(number(node));
    assert_eq!(hearing.next().await, Heard::Up);
    (bus, hearing)
}

async fn next(hearing: &mut Hearing) -> Vec<u8> {
    match hearing.next().await {
        Heard::Post(post) => post,
        heard @ (Heard::Up | Heard::Down(_)) => panic!("{heard:?}"),
    }
}

/// Both ends of a connection on which each shows a certificate of the authority that both trust.
async fn secured() -> (
    impl AsyncRead + AsyncWrite + Unpin,
    impl AsyncRead + AsyncWrite + Unpin,
) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let own = own.signed_by(&key, &authority).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let (roots, provider) = (Arc::new(roots), Arc::new(default_provider()));
    let shown = || {
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        (vec![own.der().clone()], key)
    };
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
    let (certificates, own_key) = shown();
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(certificates, own_key)
        .unwrap();
    let (certificates, own_key) = shown();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates, own_key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connecting = async {
        let tcp = TcpStream::connect(address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let connector = TlsConnector::from(Arc::new(client));
        connector.connect(name, tcp).await.unwrap()
    };
    let accepting = async {
        let (tcp, _) = listener.accept().await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(server));
        acceptor.accept(tcp).await.unwrap()
    };
    tokio::join!(connecting, accepting)
}
