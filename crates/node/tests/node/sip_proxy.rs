//! The WebSocket: upgrades and their refusals, registration, calls, the ways in which a connection ends.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use model::limits;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::http::{Ask, get};
use crate::server::{Server, Site, in_time, until};
use crate::words::{SDP, Words, answer, ended};

/// One client of the account, on a connection of its own.
pub(crate) struct Client<S> {
    pub(crate) socket: WebSocketStream<S>,
    pub(crate) words: Words,
}

impl Client<TcpStream> {
    pub(crate) async fn connect(site: &Site, server: &Server, name: &str) -> Self {
        let stream = TcpStream::connect(server.address).await.unwrap();
        Self::over(stream, "ws", site, server.address, name)
            .await
            .unwrap()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) async fn over(
        stream: S,
        scheme: &str,
        site: &Site,
        address: SocketAddr,
        name: &str,
    ) -> Result<Self, Error> {
        let mut request = format!("{scheme}://{address}/sipproxy")
            .into_client_request()
            .unwrap();
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", "sip".parse().unwrap());
        let (socket, answer) = tokio_tungstenite::client_async(request, stream).await?;
        assert_eq!(answer.headers()["Sec-WebSocket-Protocol"], "sip");
        Ok(Self {
            socket,
            words: Words::of(site, name),
        })
    }

    pub(crate) async fn say(&mut self, text: String) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// The next SIP message.
    pub(crate) async fn hear(&mut self) -> String {
        loop {
            let frame = in_time(self.socket.next()).await;
            let frame = frame.expect("the connection is open").unwrap();
            if let Message::Text(text) = frame {
                return text.as_str().to_owned();
            }
            assert!(frame.is_ping(), "not a message: {frame:?}");
        }
    }

    pub(crate) async fn register(&mut self, token: &str) -> String {
        let register = self.words.register(token);
        self.say(register).await;
        self.hear().await
    }

    pub(crate) async fn options(&mut self) -> String {
        let options = self.words.options();
        self.say(options).await;
        self.hear().await
    }

    pub(crate) async fn invite(&mut self, token: &str, callee: &str) {
        self.invite_with(token, callee, SDP).await;
    }

    async fn invite_with(&mut self, token: &str, callee: &str, sdp: &str) {
        let invite = self.words.invite(token, callee, sdp);
        self.say(invite).await;
    }

    /// Says that it rings: only now may the call be cancelled (RFC 3261 §9.1).
    pub(crate) async fn ring(&mut self, invite: &str) {
        self.say(answer(invite, "180 Ringing", "", "")).await;
    }

    /// Reads to the end; the server's reason, if it gave one.
    pub(crate) async fn ended(&mut self) -> Option<CloseFrame> {
        ended(&mut self.socket).await
    }
}

async fn registered(site: &Site, server: &Server) -> String {
    server
        .send(site.log_in(get("/webrtc_registered_clients")))
        .await
        .body
}

/// A correct upgrade, but for what a test changes.
fn upgrade(version: &str, protocol: Option<&str>) -> Ask<'static> {
    let ask = get("/sipproxy")
        // A refusal leaves the connection open; `close` ends it.
        .header("Connection", "Upgrade, close")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", version)
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    match protocol {
        Some(protocol) => ask.header("Sec-WebSocket-Protocol", protocol),
        None => ask,
    }
}

#[tokio::test]
async fn what_is_no_sip_websocket_is_refused_before_the_upgrade() {
    let site = Site::new().await;
    let server = site.serve().await;
    let answer = server.send(get("/sipproxy")).await;
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (426, "HTTP 426"),
        "{answer:?}"
    );
    assert_eq!(answer.header("upgrade"), Some("websocket"));

    let answer = server.send(upgrade("8", Some("sip")).header("X", "")).await;
    assert_eq!(
        (answer.status, answer.header("sec-websocket-version")),
        (426, Some("13")),
        "{answer:?}"
    );

    for protocol in [None, Some("chat"), Some("SIPX, xmpp")] {
        let answer = server.send(upgrade("13", protocol)).await;
        assert_eq!(
            (answer.status, answer.error_code().as_str()),
            (400, "HTTP 400"),
            "{answer:?}"
        );
        assert!(
            answer.error_text().contains("Sec-WebSocket-Protocol: sip"),
            "{answer:?}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_full_node_and_a_full_address_say_so_before_the_upgrade() {
    let site = Site::new().await;
    for (connections, per_address, status, most) in [(1, 10, 503, 5), (10, 1, 429, 60)] {
        for behind_tls_proxy in [false, true] {
            let mut config = site.config();
            config.behind_tls_proxy = behind_tls_proxy;
            config.bounds.connections = connections;
            config.bounds.connections_per_address = per_address;
            let server = Server::start(config).await;
            let mut first = Client::connect(&site, &server, "bob").await;
            first.options().await;

            let stream = TcpStream::connect(server.address).await.unwrap();
            let refused = Client::over(stream, "ws", &site, server.address, "eve").await;
            let Err(Error::Http(answer)) = refused else {
                panic!("not refused: {:?}", refused.err())
            };
            assert_eq!(answer.status(), status);
            let wait: u64 = answer.headers()["retry-after"]
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            assert!((1..=most).contains(&wait), "{wait}");
            let body = String::from_utf8(answer.body().clone().unwrap_or_default()).unwrap();
            assert!(body.contains(&format!("HTTP {status}")), "{body}");

            first.socket.close(None).await.unwrap();
            first.ended().await;
            // The place is free again as soon as the server has noticed.
            until(async || {
                let stream = TcpStream::connect(server.address).await.unwrap();
                Client::over(stream, "ws", &site, server.address, "eve")
                    .await
                    .is_ok()
            })
            .await;
            server.stop().await;
        }
    }
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let site = Site::new().await;
    let mut config = site.config();
    config.bounds.head_time = std::time::Duration::from_millis(50);
    let server = Server::start(config).await;
    for start in ["", "GET / HTTP/1.1\r\nHost: "] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        // Ends because the server closes.
        let _ = stream.read_to_end(&mut rest).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_registers_is_listed_and_leaves_with_its_connection() {
    let site = Site::new().await;
    let server = site.serve().await;
    let token = site.token(&server, "bob").await;
    let mut bob = Client::connect(&site, &server, "bob").await;
    let answer = bob.register(&token).await;
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    let list: serde_json::Value = serde_json::from_str(&registered(&site, &server).await).unwrap();
    let [entry] = &list.as_array().unwrap()[..] else {
        panic!("{list}")
    };
    assert_eq!(entry["client_id"], "bob");
    assert_eq!(entry.as_object().unwrap().len(), 3);
    for time in ["last_modified", "expires"] {
        crate::http::assert_datetime(entry[time].as_str().unwrap());
    }
    // The connection is cut without a goodbye.
    drop(bob);
    until(async || registered(&site, &server).await == "[]").await;
    server.stop().await;
}

#[tokio::test]
async fn binary_frames_and_keep_alives_are_taken() {
    let site = Site::new().await;
    let server = site.serve().await;
    let mut bob = Client::connect(&site, &server, "bob").await;
    let options = bob.words.options();
    bob.socket
        .send(Message::binary(options.into_bytes()))
        .await
        .unwrap();
    assert!(bob.hear().await.starts_with("SIP/2.0 200"));
    bob.say("\r\n\r\n".to_owned()).await;
    assert_eq!(bob.hear().await, "\r\n");
    server.stop().await;
}

#[tokio::test]
async fn a_call_is_routed_between_two_connections_and_a_lost_one_ends_it() {
    let site = Site::new().await;
    let server = site.serve().await;
    let (ann_token, bob_token) = (
        site.token(&server, "ann").await,
        site.token(&server, "bob").await,
    );
    let mut bob = Client::connect(&site, &server, "bob").await;
    assert!(bob.register(&bob_token).await.starts_with("SIP/2.0 200"));
    let mut ann = Client::connect(&site, &server, "ann").await;
    ann.invite(&ann_token, "bob").await;
    let invite = bob.hear().await;
    assert!(
        invite.starts_with("INVITE sip:contact@bob.invalid"),
        "{invite}"
    );
    assert!(
        invite.contains("\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"),
        "{invite}"
    );
    assert!(
        !invite.contains(&ann_token),
        "a token is nobody else's: {invite}"
    );

    bob.ring(&invite).await;
    // Trying, perhaps, and the ringing of the other side.
    while !ann.hear().await.starts_with("SIP/2.0 180") {}
    drop(ann);
    let cancel = bob.hear().await;
    assert!(cancel.starts_with("CANCEL "), "{cancel}");

    // The record of the call is in the store once the server has stopped, at the latest.
    bob.socket.close(None).await.unwrap();
    server.stop().await;
    let store = site.open_store().await;
    let records = store.records(store::RecordQuery::default()).await.unwrap();
    let [record] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!(
        (record.caller.as_str(), record.callee.to_string().as_str()),
        ("ann", "bob")
    );
    assert!(record.outcome.is_some(), "{record:?}");
    store.close().await;
}

#[tokio::test]
async fn a_callee_that_does_not_answer_stops_ringing_when_the_time_has_come() {
    let site = Site::new().await;
    let mut config = site.config();
    config.no_answer_s = 1;
    let server = Server::start(config).await;
    let (ann_token, bob_token) = (
        site.token(&server, "ann").await,
        site.token(&server, "bob").await,
    );
    let mut bob = Client::connect(&site, &server, "bob").await;
    assert!(bob.register(&bob_token).await.starts_with("SIP/2.0 200"));
    let mut ann = Client::connect(&site, &server, "ann").await;
    ann.invite(&ann_token, "bob").await;
    let invite = bob.hear().await;
    bob.ring(&invite).await;
    let cancel = bob.hear().await;
    assert!(cancel.starts_with("CANCEL "), "{cancel}");
    while !ann.hear().await.starts_with("SIP/2.0 480") {}
    server.stop().await;
}

#[tokio::test]
async fn a_message_that_is_too_large_closes_the_connection_with_1009() {
    let site = Site::new().await;
    let server = site.serve().await;
    for bytes in [
        limits::MESSAGE_BYTES + 1,
        limits::MESSAGE_BYTES + 2,
        10 * limits::MESSAGE_BYTES,
    ] {
        let mut bob = Client::connect(&site, &server, "bob").await;
        // The server may close before it has read it all.
        let _ = bob.socket.send(Message::text("x".repeat(bytes))).await;
        let reason = bob.ended().await.expect("a reason is given");
        assert_eq!(u16::from(reason.code), 1009, "{bytes}: {reason:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn too_many_malformed_messages_close_the_connection() {
    let site = Site::new().await;
    let server = site.serve().await;
    let mut bob = Client::connect(&site, &server, "bob").await;
    for _ in 0..limits::MALFORMED_MESSAGES {
        let _ = bob.socket.send(Message::text("nonsense")).await;
    }
    let reason = bob.ended().await.expect("a reason is given");
    assert_eq!(u16::from(reason.code), 1008, "{reason:?}");
    server.stop().await;
}

const CALLS_IN_WHICH_MUCH_IS_SAID: usize = 24;

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_its_registration_goes() {
    let site = Site::new().await;
    let server = site.serve().await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(server.address).await.unwrap();
    let mut bob = Client::over(stream, "ws", &site, server.address, "bob")
        .await
        .unwrap();
    let token = site.token(&server, "bob").await;
    assert!(bob.register(&token).await.starts_with("SIP/2.0 200"));

    // He answers many calls, and reads no more. In each as much is said to him as may be: together more than the system and his
    // outbox hold.
    let mut calls = Vec::new();
    for number in 0..CALLS_IN_WHICH_MUCH_IS_SAID {
        let name = format!("ann-{number}");
        let token = site.token(&server, &name).await;
        let mut ann = Client::connect(&site, &server, &name).await;
        ann.invite(&token, "bob").await;
        let invite = bob.hear().await;
        bob.say(crate::words::accept(&invite)).await;
        let ok = loop {
            let answer = ann.hear().await;
            if answer.starts_with("SIP/2.0 200") {
                break answer;
            }
        };
        calls.push((ann, ok));
    }
    let much = "x".repeat(60_000);
    for (ann, ok) in &mut calls {
        for _ in 0..limits::EXCHANGES_UNREAD {
            let info = ann.words.within(ok, "INFO", &much);
            // Their own calls end with him.
            let _ = ann.socket.send(Message::text(info)).await;
        }
    }
    let status = async || {
        let question = serde_json::json!({ "ask": "status" });
        node::control::ask(site.dir.path(), question).await.unwrap()
    };
    until(async || registered(&site, &server).await == "[]").await;
    let status = status().await;
    assert_eq!(
        status["counters"]["connections_closed_slow_reader"], 1,
        "{status}"
    );
    drop(bob);
    server.stop().await;
}
