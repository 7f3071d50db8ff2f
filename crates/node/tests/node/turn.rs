//! TURN as clients, back ends and the operator meet it: what is handed out, and by which name.
//!
//! Sends no media: relaying itself is tested where it is done.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};

use futures_util::SinkExt;
use node::ServeError;
use node::control::ask as ask_server;
use serde_json::{Value, json};
use tokio::net::{TcpStream, UdpSocket};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::http::{Answer, ask, form, get};
use crate::resume::Phone;
use crate::server::{Server, Site, in_time};
use crate::sip_proxy::Client;
use crate::words::Words;

const PATH: &str = "/v1/turn_credentials";

/// The addresses that the server says it listens on.
async fn bound(site: &Site, kind: &str) -> SocketAddr {
    let status = ask_server(site.dir.path(), json!({ "ask": "status" }));
    let status = status.await.unwrap();
    let text = status["turn"][kind][0].as_str();
    text.unwrap_or_else(|| panic!("{status}")).parse().unwrap()
}

/// The only entry of an `RTCIceServer[]`, and for how many seconds its credential is good.
fn only_server(servers: &Value) -> (Vec<String>, u64) {
    let [server] = &servers.as_array().unwrap()[..] else {
        panic!("{servers}")
    };
    let urls = server["urls"].as_array().unwrap();
    let urls = urls.iter().map(|url| url.as_str().unwrap().to_owned());
    let (until, _) = server["username"]
        .as_str()
        .unwrap()
        .split_once(':')
        .unwrap();
    assert!(
        server["credential"].as_str().unwrap().len() >= 20,
        "{server}"
    );
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    (urls.collect(), until.parse::<u64>().unwrap() - now)
}

fn from_rest(answer: &Answer) -> (Vec<String>, u64) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    only_server(&answer.json()["ice_servers"])
}

fn from_sip(answer: &str) -> (Vec<String>, u64) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("SIP/2.0 200"), "{answer}");
    only_server(&serde_json::from_str(body).unwrap())
}

fn turn_request(words: &mut Words) -> String {
    words.options().replace(
        "Content-Length:",
        "X-AculabTurnRequest: 1\r\nContent-Length:",
    )
}

async fn asks(client: &mut Client<TcpStream>) -> String {
    let options = turn_request(&mut client.words);
    client.say(options).await;
    client.hear().await
}

fn is_about(seconds: u64, wanted: u64) -> bool {
    (wanted - 5..=wanted).contains(&seconds)
}

#[tokio::test]
async fn a_client_is_handed_what_is_really_listened_on_and_more_once_it_has_shown_a_token() {
    let site = Site::new().await;
    let server = site.serve().await;
    let udp = bound(&site, "udp").await;
    assert_eq!(udp, bound(&site, "tcp").await, "one port for both");
    let urls = [
        format!("turn:{udp}?transport=udp"),
        format!("turn:{udp}?transport=tcp"),
    ];
    let token = site.token(&server, "bob").await;
    let mut bob = Client::connect(&site, &server, "bob").await;
    // The first request of a connection, and one after it.
    for _ in 0..2 {
        let (told, ttl) = from_sip(&asks(&mut bob).await);
        assert_eq!(told, urls);
        assert!(is_about(ttl, 60), "{ttl}");
    }
    bob.register(&token).await;
    let (told, ttl) = from_sip(&asks(&mut bob).await);
    assert_eq!(told, urls);
    assert!(is_about(ttl, 120), "{ttl}");

    // So it is on a session that can be resumed.
    let mut phone = Phone::registered(&site, &server, "bob").await;
    let options = turn_request(&mut phone.words);
    phone.say(&options).await;
    let (told, ttl) = from_sip(&phone.hear().await);
    assert_eq!(told, urls);
    assert!(is_about(ttl, 120), "{ttl}");
    server.stop().await;
}

#[tokio::test]
async fn clients_are_sent_to_the_host_that_they_came_to() {
    let site = Site::new().await;
    let server = site.serve().await;
    let port = bound(&site, "udp").await.port();
    for (host, wanted) in [
        ("calls.example.com:443", "calls.example.com"),
        ("localhost:8080", "127.0.0.1"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("no host", "127.0.0.1"),
    ] {
        let answer = site.log_in(get(PATH)).header("Host", host);
        let (urls, _) = from_rest(&server.send(answer).await);
        assert_eq!(
            urls[0],
            format!("turn:{wanted}:{port}?transport=udp"),
            "{host}"
        );
    }
    // The same for a WebSocket.
    let mut request = format!("ws://{}/sipproxy", server.address)
        .into_client_request()
        .unwrap();
    let headers = request.headers_mut();
    headers.insert("Sec-WebSocket-Protocol", "sip".parse().unwrap());
    headers.insert("Host", "calls.example.com".parse().unwrap());
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    let mut words = Words::of(&site, "bob");
    socket
        .send(Message::text(turn_request(&mut words)))
        .await
        .unwrap();
    let mut bob = Client { socket, words };
    let (urls, _) = from_sip(&bob.hear().await);
    assert_eq!(
        urls[1],
        format!("turn:calls.example.com:{port}?transport=tcp")
    );
    server.stop().await;
}

#[tokio::test]
async fn a_configured_host_is_told_to_everybody_and_a_proxys_name_to_nobody() {
    let site = Site::new().await;
    let host = "calls.example.com";
    for (turn_host, wanted) in [
        (Some("turn.example.com"), "turn.example.com"),
        (None, "127.0.0.1"),
    ] {
        let mut config = site.config();
        config.behind_tls_proxy = true;
        config.turn.host = turn_host.map(str::to_owned);
        let server = Server::start(config).await;
        let asked = site.log_in(get(PATH)).header("Host", host);
        let (urls, _) = from_rest(&server.send(asked).await);
        assert!(urls[0].starts_with(&format!("turn:{wanted}:")), "{urls:?}");
        let doubts: Vec<_> = server.turn.iter().filter(|one| one.is_doubt()).collect();
        let is_told = doubts
            .iter()
            .any(|one| one.text().contains("--turn-host NAME"));
        assert_eq!(is_told, turn_host.is_none(), "{doubts:?}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_back_end_takes_credentials_with_its_login() {
    let site = Site::new().await;
    let server = site.serve().await;
    let mut usernames = BTreeSet::new();
    for (asked, wanted) in [
        (get(PATH), 600),
        (get("/v1/turn_credentials?ttl_s=86400"), 86_400),
        (form(PATH, "ttl_s=60"), 60),
    ] {
        let answer = server.send(site.log_in(asked)).await;
        let (_, ttl) = from_rest(&answer);
        assert!(is_about(ttl, wanted), "{ttl}");
        assert_eq!(answer.json()["ttl_s"], wanted);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        usernames.insert(answer.json()["ice_servers"][0]["username"].to_string());
    }
    assert_eq!(usernames.len(), 3, "each has its own");
    let status = ask_server(site.dir.path(), json!({ "ask": "status" }))
        .await
        .unwrap();
    assert_eq!(status["counters"]["turn_credentials_issued"], 3);

    for (asked, status, code) in [
        (
            site.log_in(get("/v1/turn_credentials?ttl_s=59")),
            400,
            "0002",
        ),
        (
            site.log_in(get("/v1/turn_credentials?ttl_s=60&ttl_s=60")),
            400,
            "0003",
        ),
        (get(PATH), 401, "HTTP 401"),
        (
            get(PATH).login("1-2-0/bob@example.com", "wrong"),
            401,
            "HTTP 401",
        ),
        (site.log_in(ask("PUT", PATH)), 405, "HTTP 405"),
    ] {
        let answer = server.send(asked).await;
        assert_eq!(
            (answer.status, answer.error_code().as_str()),
            (status, code),
            "{answer:?}"
        );
    }
    assert_eq!(server.send(ask("OPTIONS", PATH)).await.status, 204);
    server.stop().await;
}

#[tokio::test]
async fn switched_off_clients_are_told_of_none_and_back_ends_why() {
    let site = Site::new().await;
    let mut config = site.config();
    config.turn.is_on = false;
    let server = Server::start(config).await;
    let mut bob = Client::connect(&site, &server, "bob").await;
    for _ in 0..2 {
        let answer = asks(&mut bob).await;
        assert!(answer.ends_with("\r\n\r\n[]"), "{answer}");
    }
    let answer = server.send(site.log_in(get(PATH))).await;
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (503, "HTTP 503"),
        "{answer:?}"
    );
    assert_eq!(
        answer.error_text(),
        "TURN is switched off on this server (turn = false)"
    );
    let status = ask_server(site.dir.path(), json!({ "ask": "status" }))
        .await
        .unwrap();
    assert_eq!(status["turn"], Value::Null);
    server.stop().await;
}

#[tokio::test]
async fn the_operator_sees_where_it_listens_and_hears_it_at_the_start() {
    let site = Site::new().await;
    let server = site.serve().await;
    let udp = bound(&site, "udp").await;
    let status = ask_server(site.dir.path(), json!({ "ask": "status" }))
        .await
        .unwrap();
    let turn = &status["turn"];
    assert_eq!(
        turn["relays"],
        json!([{ "local": "127.0.0.1", "public": "127.0.0.1" }])
    );
    assert_eq!(
        (&turn["ports"], &turn["allocations"]),
        (&json!("49152-65535"), &json!(0))
    );
    assert_eq!(turn["bytes_this_month"], 0);
    assert_eq!(turn["tls"], json!([]));
    assert_eq!(status["counters"]["turn_allocations"], 0);
    let port = udp.port();
    assert_eq!(
        server.turn[0].text(),
        format!(
            "TURN: clients are told turn:HOST:{port}?transport=udp, turn:HOST:{port}?transport=tcp; HOST is the host that a \
             client connected with (127.0.0.1 for localhost)"
        )
    );
    assert!(
        server.turn.iter().all(|one| !one.is_doubt()),
        "{:?}",
        server.turn
    );
    server.stop().await;
}

#[tokio::test]
async fn it_answers_who_asks_for_his_address_until_the_server_stops() {
    let site = Site::new().await;
    let server = site.serve().await;
    let udp = bound(&site, "udp").await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    // RFC 8489 §5: a Binding request.
    let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    request.extend([7; 12]);
    socket.send_to(&request, udp).await.unwrap();
    let mut answer = [0; 1_500];
    let (length, from) = in_time(socket.recv_from(&mut answer)).await.unwrap();
    assert_eq!(from, udp);
    assert_eq!(answer[..2], [1, 1], "a success: {:?}", &answer[..length]);
    assert_eq!(answer[4..20], request[4..20]);
    server.stop().await;
    UdpSocket::bind(udp)
        .await
        .expect("the address is free again");
}

#[tokio::test]
async fn an_address_that_is_taken_is_said_with_the_way_out() {
    let site = Site::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = site.config();
    config.turn.listen = vec![taken.local_addr().unwrap()];
    let refused = Server::try_start(config)
        .await
        .err()
        .expect("it is refused");
    assert!(matches!(refused, ServeError::Relay(_)), "{refused}");
    let said = refused.to_string();
    for part in [
        &*taken.local_addr().unwrap().to_string(),
        "--turn-listen ADDR",
        "--turn=false",
    ] {
        assert!(said.contains(part), "{said}");
    }

    let mut config = site.config();
    config.turn.relay = vec!["192.0.2.77".parse().unwrap()];
    let refused = Server::try_start(config)
        .await
        .err()
        .expect("it is refused")
        .to_string();
    assert!(
        refused.starts_with("TURN cannot relay from 192.0.2.77: ")
            && refused.contains("--turn-relay ADDR"),
        "{refused}"
    );
}
