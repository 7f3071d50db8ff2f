//! How sessions that could be resumed end, and what they never get in the way of.

use futures_util::{SinkExt, StreamExt};
use model::limits;
use store::AccountChange;
use tokio_tungstenite::tungstenite::Message;

use crate::http::get;
use crate::resume::{Phone, assert_gone, call, census, counted, dial, frame, offer, status};
use crate::server::{Server, Site, until};
use crate::sip_proxy::Client;
use crate::words::{accept, answer, ended};

async fn registered(site: &Site, server: &Server) -> String {
    let list = site.log_in(get("/webrtc_registered_clients"));
    server.send(list).await.body
}

#[tokio::test]
async fn after_the_window_the_other_side_is_told_and_the_session_is_gone() {
    let site = Site::new().await;
    let mut config = site.config();
    config.resume_s = 1;
    let server = Server::start(config).await;
    let mut bob = Phone::registered(&site, &server, "bob").await;
    assert_eq!(bob.window, 1);
    let mut ann = Client::connect(&site, &server, "ann").await;
    call(&site, &server, &mut ann, &mut bob).await;
    bob.lose(&site).await;
    let bye = ann.hear().await;
    assert!(bye.starts_with("BYE "), "{bye}");
    let reason = bye.lines().find(|row| row.starts_with("Reason: ")).unwrap();
    assert!(reason.contains("did not come back in 1 s"), "{reason}");
    assert_eq!(registered(&site, &server).await, "[]");
    assert_gone(&server, &bob.credential).await;
    assert_eq!(counted(&site, "sessions_expired").await, 1);
    assert_eq!(census(&site, "sessions_waiting").await, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_goodbye_ends_the_session_at_once() {
    let site = Site::new().await;
    let server = site.serve().await;
    let mut bob = Phone::registered(&site, &server, "bob").await;
    let mut ann = Client::connect(&site, &server, "ann").await;
    call(&site, &server, &mut ann, &mut bob).await;
    bob.socket.close(None).await.unwrap();
    let bye = ann.hear().await;
    assert!(bye.starts_with("BYE "), "{bye}");
    assert_eq!(registered(&site, &server).await, "[]");
    assert_gone(&server, &bob.credential).await;
    server.stop().await;
}

#[tokio::test]
async fn an_account_that_is_disabled_ends_its_sessions_that_wait() {
    let site = Site::new().await;
    let server = site.serve().await;
    let mut bob = Phone::registered(&site, &server, "bob").await;
    bob.lose(&site).await;
    let id = site.account_id().await;
    let store = site.open_store().await;
    let disable = AccountChange {
        disabled: Some(true),
        ..AccountChange::default()
    };
    store.update_account(id, disable).await.unwrap();
    store.close().await;
    until(async || census(&site, "sessions_waiting").await == 0).await;
    assert_gone(&server, &bob.credential).await;
    server.stop().await;
}

#[tokio::test]
async fn a_user_agent_that_registers_on_another_session_ends_the_one_that_waits() {
    let site = Site::new().await;
    let server = site.serve().await;
    let mut before = Phone::registered(&site, &server, "bob").await;
    before.lose(&site).await;
    let _after = Phone::registered(&site, &server, "bob").await;
    until(async || census(&site, "sessions_waiting").await == 0).await;
    assert_gone(&server, &before.credential).await;
    assert!(registered(&site, &server).await.contains("bob"));
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_stops_waits_for_nobody() {
    let site = Site::new().await;
    let server = site.serve().await;
    let mut bob = Phone::registered(&site, &server, "bob").await;
    let mut ann = Client::connect(&site, &server, "ann").await;
    call(&site, &server, &mut ann, &mut bob).await;
    bob.lose(&site).await;
    // One that has not said which session it is for, and one that is there.
    let (mut silent, _) = offer(&server, "sip-resume").await;
    let mut eve = Phone::open(&site, &server, "eve").await;
    let stopping = tokio::spawn(server.stop());
    let bye = ann.hear().await;
    assert!(bye.starts_with("BYE "), "{bye}");
    for socket in [&mut silent, &mut eve.socket, &mut ann.socket] {
        let reason = ended(socket).await.expect("a reason is given");
        assert_eq!(u16::from(reason.code), 1001, "{reason:?}");
    }
    stopping.await.unwrap();

    // The next server knows nothing of the session.
    let server = site.serve().await;
    assert_gone(&server, &bob.credential).await;
    server.stop().await;
}

#[tokio::test]
async fn where_no_session_is_kept_plain_sip_is_selected() {
    let site = Site::new().await;
    let mut config = site.config();
    config.resume_s = 0;
    let server = Server::start(config).await;
    let (_socket, selected) = offer(&server, "sip-resume, sip").await;
    assert_eq!(selected, "sip");
    server.stop().await;
    let server = site.serve().await;
    for (offered, wanted) in [
        ("sip", "sip"),
        ("sip, sip-resume", "sip-resume"),
        ("xmpp, sip-resume", "sip-resume"),
    ] {
        assert_eq!(offer(&server, offered).await.1, wanted, "{offered}");
    }
    server.stop().await;
}

#[tokio::test]
async fn more_than_may_wait_ends_the_session() {
    let site = Site::new().await;
    let server = site.serve().await;
    let mut bob = Phone::registered(&site, &server, "bob").await;
    let mut calls = Vec::new();
    // Of each call few may be unread, so it takes many.
    for number in 0..=limits::OUTBOX_MESSAGES / limits::EXCHANGES_UNREAD {
        let mut ann = Client::connect(&site, &server, &format!("ann-{number}")).await;
        let ok = call(&site, &server, &mut ann, &mut bob).await;
        calls.push((ann, ok));
    }
    bob.lose(&site).await;
    for (ann, ok) in &mut calls {
        for _ in 0..limits::EXCHANGES_UNREAD {
            let info = ann.words.within(ok, "INFO", "hello");
            ann.say(info).await;
        }
    }
    until(async || counted(&site, "connections_closed_slow_reader").await == 1).await;
    assert_gone(&server, &bob.credential).await;
    assert_eq!(registered(&site, &server).await, "[]");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_never_acknowledges_is_closed() {
    let site = Site::new().await;
    let server = site.serve().await;
    let mut bob = Phone::open(&site, &server, "bob").await;
    // Keep-alives are answered and have no pace; Bob reads the answers and never says so.
    for number in 1..=limits::OUTBOX_MESSAGES + 1 {
        let asked = bob
            .socket
            .send(Message::text(format!("{number} 0\r\n\r\n\r\n")));
        asked.await.unwrap();
    }
    let reason = ended(&mut bob.socket).await.expect("a reason is given");
    assert_eq!(u16::from(reason.code), 1008, "{reason:?}");
    assert_gone(&server, &bob.credential).await;
    server.stop().await;
}

#[tokio::test]
async fn what_breaks_the_protocol_is_closed_with_1002_and_ends_the_session() {
    let site = Site::new().await;
    let server = site.serve().await;
    for first in [
        "",
        "HELLO",
        "OPEN ",
        "RESUME",
        "RESUME 1.2",
        "PING",
        "REGISTER sip:x SIP/2.0\r\n\r\n",
    ] {
        let mut socket = dial(&server, first).await;
        let reason = ended(&mut socket).await.expect("a reason is given");
        assert_eq!(u16::from(reason.code), 1002, "{first}: {reason:?}");
    }
    for broken in [
        "",
        "OPEN",
        "\r\n\r\n",
        "OPTIONS sip:x SIP/2.0\r\n\r\n",
        "2 0\r\n\r\n",
        "1 1\r\n\r\n",
        "01 0\r\n\r\n",
        "1 0",
        "ACK 1",
        "ACK -1",
        "99999999999999999999 0\r\n\r\n",
    ] {
        let mut bob = Phone::open(&site, &server, "bob").await;
        bob.raw(broken).await;
        let reason = ended(&mut bob.socket).await.expect("a reason is given");
        assert_eq!(u16::from(reason.code), 1002, "{broken:?}: {reason:?}");
        assert_gone(&server, &bob.credential).await;
    }
    // What was never sent, or is forgotten, cannot be gone on with.
    let bob = Phone::registered(&site, &server, "bob").await;
    let mut socket = dial(&server, &format!("RESUME {} 7", bob.credential)).await;
    let reason = ended(&mut socket).await.expect("a reason is given");
    assert_eq!(u16::from(reason.code), 1002, "{reason:?}");
    assert_eq!(registered(&site, &server).await, "[]");
    server.stop().await;
}

#[tokio::test]
async fn too_large_messages_and_floods_are_closed_as_ever() {
    let site = Site::new().await;
    let server = site.serve().await;
    for bytes in [limits::MESSAGE_BYTES + 1, 2 * limits::MESSAGE_BYTES] {
        let mut bob = Phone::open(&site, &server, "bob").await;
        let large = format!("1 0\r\n{}", "x".repeat(bytes));
        let _ = bob.socket.send(Message::text(large)).await;
        let reason = ended(&mut bob.socket).await.expect("a reason is given");
        assert_eq!(u16::from(reason.code), 1009, "{bytes}: {reason:?}");
    }
    let bob = Phone::open(&site, &server, "bob").await;
    let (mut sink, mut stream) = bob.socket.split();
    let flood =
        tokio::spawn(async move { while sink.send(Message::text("ACK 0")).await.is_ok() {} });
    let mut reason = None;
    while let Some(Ok(message)) = stream.next().await {
        if let Message::Close(frame) = message {
            reason = frame;
        }
    }
    assert_eq!(reason.map(|reason| u16::from(reason.code)), Some(1008));
    flood.await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn where_there_is_no_room_to_wait_a_lost_session_ends_at_once() {
    let site = Site::new().await;
    let mut config = site.config();
    config.bounds.connections_per_address = 1;
    let server = Server::start(config).await;
    let mut bob = Phone::open(&site, &server, "bob").await;
    bob.lose(&site).await;
    let eve = Phone::open(&site, &server, "eve").await;
    let credential = eve.credential.clone();
    drop(eve);
    until(async || counted(&site, "sessions_not_kept").await == 1).await;
    assert_gone(&server, &credential).await;
    // Bob's place is still his.
    until(async || census(&site, "websockets").await == 0).await;
    bob.resume(&server).await;
    assert_eq!(census(&site, "sessions_waiting").await, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_message_of_a_plain_client_reaches_a_resumed_one_and_back() {
    let site = Site::new().await;
    let server = site.serve().await;
    let mut bob = Phone::registered(&site, &server, "bob").await;
    let token = site.token(&server, "ann").await;
    let mut ann = Client::connect(&site, &server, "ann").await;
    bob.lose(&site).await;
    ann.invite(&token, "bob").await;
    assert!(ann.hear().await.starts_with("SIP/2.0 100"));
    bob.resume(&server).await;
    let invite = bob.hear().await;
    // The answer is on its way when the socket is lost again.
    bob.say(&answer(&invite, "180 Ringing", "", "")).await;
    bob.say(&accept(&invite)).await;
    while !ann.hear().await.starts_with("SIP/2.0 200") {}
    bob.lose(&site).await;
    assert_eq!(bob.resume(&server).await, 3);
    bob.raw("PING").await;
    assert_eq!(frame(&mut bob.socket).await.unwrap(), "ACK 3");
    let status = status(&site).await;
    assert_eq!(status["counters"]["sessions_resumed"], 2, "{status}");
    server.stop().await;
}
