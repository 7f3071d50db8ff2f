//! Trunks: a SIP peer on a UDP socket of its own, and whoever is no peer.

use std::io::ErrorKind;
use std::net::SocketAddr;

use model::{Login, NumberPattern, ServiceName, Trunk, TrunkName};
use node::control::ask;
use node::wanted_trunk::WantedTrunk;
use node::{Config, Finding, ServeError, TrunkConfig};
use serde_json::{Value, json};
use tokio::net::UdpSocket;

use crate::server::{Server, Site, until};

async fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

/// A trunk of the site's account.
fn wanted(site: &Site, peer: SocketAddr) -> WantedTrunk {
    WantedTrunk {
        login: site.account.login.clone(),
        trunk: Trunk {
            account: WantedTrunk::NOBODY,
            name: TrunkName::parse("provider").unwrap(),
            peers: vec![peer],
            networks: Vec::new(),
            domain: "127.0.0.1".to_owned(),
            login: None,
            registration: None,
            check: None,
            numbers: Vec::new(),
            caller: None,
            is_trusted: false,
        },
        place: "offhook.toml line 3".to_owned(),
    }
}

fn config(site: &Site, wanted: WantedTrunk) -> Config {
    Config {
        trunk: TrunkConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            address: None,
            trunks: vec![wanted],
        },
        ..site.config()
    }
}

fn options(from: SocketAddr, to: SocketAddr) -> String {
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
