//! Trunks: a SIP peer on a UDP socket of its own, and whoever is no peer.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use model::{
    Login, NumberPattern, PeerPlace, SecretBytes, ServiceName, Trunk, TrunkLogin, TrunkMedia,
    TrunkName, TrunkTransport,
};
use node::control::ask;
use node::wanted_trunk::{Authority, WantedTrunk};
use node::{Config, Finding, ServeError, TrunkConfig};
use serde_json::{Value, json};
use tokio::net::UdpSocket;

use crate::server::{Server, Site, in_time, until};

async fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

/// A trunk of the site's account.
pub(crate) fn wanted(site: &Site, peer: SocketAddr) -> WantedTrunk {
    WantedTrunk {
        login: site.account.login.clone(),
        trunk: Trunk {
            account: WantedTrunk::NOBODY,
            name: TrunkName::parse("provider").unwrap(),
            transport: TrunkTransport::Udp,
            media: TrunkMedia::Rtp,
            places: PeerPlace::addresses(&[peer]),
            peers: vec![peer],
            former: Vec::new(),
            networks: Vec::new(),
            domain: "127.0.0.1".to_owned(),
            login: None,
            registration: None,
            check: None,
            numbers: Vec::new(),
            caller: None,
            session: None,
            is_trusted: false,
            transfer: Default::default(),
        },
        ca: Authority::System,
        place: "offhook.toml line 3".to_owned(),
    }
}

pub(crate) fn config(site: &Site, wanted: WantedTrunk) -> Config {
    Config {
        trunk: TrunkConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            tls_listen: "127.0.0.1:0".parse().unwrap(),
            address: None,
            dns: Vec::new(),
            trunks: vec![wanted],
        },
        ..site.config()
    }
}

pub(crate) fn options(from: SocketAddr, to: SocketAddr) -> String {
    format!(
        "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKone;rport\r\nMax-Forwards: 70\r\n\
         From: <sip:provider@127.0.0.1>;tag=one\r\nTo: <sip:{to}>\r\nCall-ID: one@127.0.0.1\r\nCSeq: 1 OPTIONS\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

async fn status(site: &Site) -> Value {
    let status = ask(site.dir.path(), json!({ "ask": "status" })).await;
    status.unwrap()
}

#[tokio::test]
async fn whoever_is_no_peer_gets_no_answer_and_is_counted() {
    let site = Site::new().await;
    let peer = "127.0.0.2:5060".parse().unwrap();
    let server = Server::start(config(&site, wanted(&site, peer))).await;
    let address = server.trunk_address.unwrap();
    let stranger = socket().await;
    let bytes = options(stranger.local_addr().unwrap(), address);
    for sent in [bytes.as_bytes(), b"no SIP", b""] {
        stranger.send_to(sent, address).await.unwrap();
    }
    let counted =
        async || status(&site).await["counters"]["trunk_datagrams_dropped_unknown_source"] == 3;
    until(counted).await;
    server.stop().await;
    let answer = stranger.try_recv(&mut [0; 1]).unwrap_err();
    assert_eq!(answer.kind(), ErrorKind::WouldBlock);
}

#[tokio::test]
async fn the_status_shows_each_trunk_with_its_account() {
    let site = Site::new().await;
    let peer = "127.0.0.2:5060".parse().unwrap();
    let server = Server::start(config(&site, wanted(&site, peer))).await;
    let told = status(&site).await;
    assert_eq!(
        told["trunk_address"],
        server.trunk_address.unwrap().to_string()
    );
    let [trunk] = &told["trunks"].as_array().unwrap()[..] else {
        panic!("{told}")
    };
    assert_eq!(trunk["name"], "provider");
    assert_eq!(trunk["account"], site.account.login.to_string());
    assert_eq!(trunk["is_registered"], Value::Null);
    server.stop().await;

    let without = site.serve().await;
    let told = status(&site).await;
    assert_eq!(
        (&told["trunks"], &told["trunk_address"]),
        (&json!([]), &Value::Null)
    );
    assert!(without.trunk_address.is_none() && without.trunk.is_empty());
    without.stop().await;
}

#[tokio::test]
async fn the_address_is_taken_if_there_is_a_trunk_and_who_has_it_is_told() {
    let site = Site::new().await;
    let other = socket().await;
    let taken = other.local_addr().unwrap();
    let peer = "127.0.0.2:5060".parse().unwrap();
    let mut config = config(&site, wanted(&site, peer));
    config.trunk.listen = taken;
    let fault = Server::try_start(config.clone()).await.err().unwrap();
    assert!(matches!(fault, ServeError::Trunk(_)), "{fault}");
    let sentence = fault.to_string();
    let start = format!("cannot listen for trunks on {taken} (UDP): another program does");
    assert!(
        sentence.starts_with(&start) && sentence.contains("--trunk-listen"),
        "{sentence}"
    );
    config.trunk.trunks.clear();
    Server::start(config).await.stop().await;
}

#[tokio::test]
async fn the_account_must_be_there_and_a_service_should_be() {
    let site = Site::new().await;
    let peer = "127.0.0.2:5060".parse().unwrap();
    let nobodys = WantedTrunk {
        login: Login::parse("1-2-0/eve").unwrap(),
        ..wanted(&site, peer)
    };
    let fault = Server::try_start(config(&site, nobodys))
        .await
        .err()
        .unwrap();
    let sentence = fault.to_string();
    assert!(
        sentence.starts_with("offhook.toml line 3: there is no account 1-2-0/eve; "),
        "{sentence}"
    );

    let mut early = wanted(&site, peer);
    let rule = |number| {
        let number = NumberPattern::parse(number).unwrap();
        (number, ServiceName::parse("ivr").unwrap())
    };
    early.trunk.numbers = vec![rule("+44"), rule("*")];
    let server = Server::start(config(&site, early)).await;
    let doubts = server.trunk.iter().filter(|finding| finding.is_doubt());
    let doubts: Vec<&str> = doubts.map(Finding::text).collect();
    let [doubt] = doubts[..] else {
        panic!("{doubts:?}")
    };
    let start = "offhook.toml line 3: numbers of the trunk provider lead to services that ";
    assert!(
        doubt.starts_with(start) && doubt.contains(" does not have: ivr; "),
        "{doubt}"
    );
    server.stop().await;
}

/// The next request of this method that comes to a peer, and whence.
async fn heard(peer: &UdpSocket, method: &str) -> (String, SocketAddr) {
    let mut bytes = vec![0; 65_536];
    loop {
        let (length, from) = in_time(peer.recv_from(&mut bytes)).await.unwrap();
        let message = String::from_utf8(bytes[..length].to_vec()).unwrap();
        if message.starts_with(&format!("{method} ")) {
            return (message, from);
        }
    }
}

/// The answer to a REGISTER that grants what is asked for (RFC 3261 §10.3).
fn granted(request: &str) -> String {
    let kept = ["via:", "from:", "to:", "call-id:", "cseq:", "contact:"];
    let is_kept = |row: &&str| kept.iter().any(|name| row.to_lowercase().starts_with(name));
    let rows: Vec<&str> = request.split("\r\n").filter(is_kept).collect();
    let rows = rows
        .iter()
        .map(|row| match row.to_lowercase().starts_with("to:") {
            true => format!("{row};tag=peer\r\n"),
            false => format!("{row}\r\n"),
        });
    let rows: String = rows.collect();
    format!("SIP/2.0 200 OK\r\n{rows}Content-Length: 0\r\n\r\n")
}

fn has_expired(register: &str) -> bool {
    let register = register.to_lowercase().replace(' ', "");
    register.contains("\r\nexpires:0\r\n") || register.contains(";expires=0")
}

#[tokio::test]
async fn a_peer_that_asks_whether_we_are_there_is_answered() {
    let site = Site::new().await;
    let peer = socket().await;
    let at = peer.local_addr().unwrap();
    let server = Server::start(config(&site, wanted(&site, at))).await;
    let address = server.trunk_address.unwrap();
    let request = options(at, address);
    peer.send_to(request.as_bytes(), address).await.unwrap();
    let (answer, from) = heard(&peer, "SIP/2.0").await;
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    assert!(answer.contains("one@127.0.0.1"), "{answer}");
    assert_eq!(from, address);
    server.stop().await;
}

#[tokio::test]
async fn a_trunk_that_registers_is_shown_so_and_takes_it_back_at_the_end() {
    let site = Site::new().await;
    let peer = socket().await;
    let mut trunk = wanted(&site, peer.local_addr().unwrap());
    trunk.trunk.login = Some(TrunkLogin {
        user: "u".to_owned(),
        password: SecretBytes::new(b"p".to_vec()),
    });
    trunk.trunk.registration = Some(Duration::from_secs(300));
    let server = Server::start(config(&site, trunk)).await;
    let address = server.trunk_address.unwrap();
    let (register, from) = heard(&peer, "REGISTER").await;
    assert_eq!(from, address);
    assert!(!has_expired(&register), "{register}");
    assert!(register.contains(&address.to_string()), "{register}");
    assert_eq!(status(&site).await["trunks"][0]["is_registered"], false);
    let answer = granted(&register);
    peer.send_to(answer.as_bytes(), address).await.unwrap();
    let is_registered = async || status(&site).await["trunks"][0]["is_registered"] == true;
    until(is_registered).await;
    let shown = status(&site).await["trunks"][0]["peer"].clone();
    assert_eq!(shown, peer.local_addr().unwrap().to_string());

    let stopping = tokio::spawn(server.stop());
    loop {
        let (register, _) = heard(&peer, "REGISTER").await;
        if has_expired(&register) {
            let answer = granted(&register);
            peer.send_to(answer.as_bytes(), address).await.unwrap();
            break;
        }
    }
    stopping.await.unwrap();
}

#[tokio::test]
async fn what_a_shard_says_to_a_call_reaches_the_peer() {
    let site = Site::new().await;
    let peer = socket().await;
    let at = peer.local_addr().unwrap();
    let server = Server::start(config(&site, wanted(&site, at))).await;
    let address = server.trunk_address.unwrap();
    // The trunk has no number: it is a shard that refuses the call.
    let invite = options(at, address)
        .replace("OPTIONS", "INVITE")
        .replace("sip:127", "sip:+4420@127")
        .replace(
            "\r\nContent-Length",
            "\r\nContact: <sip:127.0.0.1>\r\nContent-Length",
        );
    peer.send_to(invite.as_bytes(), address).await.unwrap();
    loop {
        let (answer, _) = heard(&peer, "SIP/2.0").await;
        if !answer.starts_with("SIP/2.0 100 ") {
            assert!(answer.starts_with("SIP/2.0 4"), "{answer}");
            assert!(answer.contains("1 INVITE"), "{answer}");
            break;
        }
    }
    server.stop().await;
}
