//! The end of a server: calls, connections, what is kept, in that order.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;

use crate::server::{Server, Site};
use crate::sip_proxy::Client;
use crate::words::answer;

#[tokio::test]
async fn calls_are_ended_and_connections_closed_with_1001() {
    let site = Site::new().await;
    let server = site.serve().await;
    let (ann_token, bob_token) = (
        site.token(&server, "ann").await,
        site.token(&server, "bob").await,
    );
    let mut bob = Client::connect(&site, &server, "bob").await;
    bob.register(&bob_token).await;
    let mut ann = Client::connect(&site, &server, "ann").await;
    ann.invite(&ann_token, "bob").await;
    let invite = bob.hear().await;
    assert!(invite.starts_with("INVITE "), "{invite}");
    bob.ring(&invite).await;
    while !ann.hear().await.starts_with("SIP/2.0 180") {}
    // One that has not said who it is.
    let mut stranger = Client::connect(&site, &server, "stranger").await;

    let stopping = tokio::spawn(server.stop());
    let cancel = bob.hear().await;
    assert!(cancel.starts_with("CANCEL "), "{cancel}");
    for client in [&mut ann, &mut bob, &mut stranger] {
        let reason = client.ended().await.expect("a reason is given");
        assert_eq!(u16::from(reason.code), 1001, "{reason:?}");
    }
    stopping.await.unwrap();

    let store = site.open_store().await;
    let records = store.records(store::RecordQuery::default()).await.unwrap();
    let [record] = &records[..] else {
        panic!("{records:?}")
    };
    let outcome = record.outcome.as_ref().expect("it has ended");
    assert_eq!(outcome.by, model::EndedBy::Server, "{outcome:?}");
    store.close().await;
}

#[tokio::test]
async fn a_server_that_is_drained_lets_calls_go_on_and_serves_nobody_new() {
    let site = Site::new().await;
    let config = node::Config {
        drain_s: 3_600,
        ..site.config()
    };
    let server = Server::start(config).await;
    let address = server.address;
    let (ann_token, bob_token, cat_token) = (
        site.token(&server, "ann").await,
        site.token(&server, "bob").await,
        site.token(&server, "cat").await,
    );
    let mut bob = Client::connect(&site, &server, "bob").await;
    bob.register(&bob_token).await;
    let mut idle = Client::connect(&site, &server, "cat").await;
    idle.register(&cat_token).await;
    let mut ann = Client::connect(&site, &server, "ann").await;
    ann.invite(&ann_token, "bob").await;
    let invite = bob.hear().await;
    bob.ring(&invite).await;
    while !ann.hear().await.starts_with("SIP/2.0 180") {}

    let stopping = tokio::spawn(server.stop());
    let reason = idle.ended().await.expect("a reason is given");
    assert_eq!(u16::from(reason.code), 1001, "{reason:?}");
    let stream = TcpStream::connect(address).await.unwrap();
    let refused = Client::over(stream, "ws", &site, address, "new").await;
    let Err(Error::Http(refused)) = refused else {
        panic!("it was let in")
    };
    assert_eq!(refused.status(), 503);
    ann.invite(&ann_token, "bob").await;
    while !ann.hear().await.starts_with("SIP/2.0 503") {}
    assert!(!stopping.is_finished(), "the call goes on");

    bob.say(answer(&invite, "486 Busy Here", "", "")).await;
    while !ann.hear().await.starts_with("SIP/2.0 486") {}
    stopping.await.unwrap();
}

#[tokio::test]
async fn nobody_can_hold_it_up() {
    let site = Site::new().await;
    let server = site.serve().await;
    let address = server.address;
    // Half a request, and a WebSocket that never answers the goodbye.
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let silent = Client::connect(&site, &server, "bob").await;
    let stop = tokio::time::timeout(std::time::Duration::from_secs(5), server.stop());
    stop.await.expect("it stops in time");
    assert!(
        TcpStream::connect(address).await.is_err(),
        "the door is closed"
    );
    drop((half, silent));
}

#[tokio::test]
async fn calls_that_a_killed_server_left_are_ended_at_the_next_start() {
    let site = Site::new().await;
    let account = site.account_id().await;
    let client = |name| model::ClientId::parse(name).unwrap();
    let record = model::CallRecord {
        id: model::RecordId(7),
        account,
        caller: model::Caller::Client(client("ann")),
        callee: model::Callee::Client(client("bob")),
        call_id: "call".to_owned(),
        started: model::UnixTime::from_secs(1_900_000_000),
        ringing: None,
        answered: None,
        outcome: None,
        relay: Default::default(),
    };
    let store = site.open_store().await;
    store.save_records(&[record]).await.unwrap();
    store.close().await;

    site.serve().await.stop().await;
    let store = site.open_store().await;
    let records = store.records(store::RecordQuery::default()).await.unwrap();
    let outcome = records[0].outcome.as_ref().expect("it has ended");
    assert_eq!(outcome.by, model::EndedBy::Server);
    assert!(outcome.reason.contains("killed"), "{outcome:?}");
    store.close().await;
}
