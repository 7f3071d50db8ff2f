//! `offhook clients list` and `offhook status`: what only the running server knows.

use std::net::TcpStream;

use serde_json::json;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

use crate::harness::{Folder, Server};

const SERVE: &str = "serve --listen 127.0.0.1:0";

/// Opens the WebRTC interface and registers `bob`; the answer must be a 200.
fn register(server: &Server, access_key: &str, token: &str) -> WebSocket<TcpStream> {
    let mut request = format!("ws://{}/sipproxy", server.address)
        .into_client_request()
        .unwrap();
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", HeaderValue::from_static("sip"));
    let stream = TcpStream::connect(server.address).unwrap();
    let (mut socket, _) = tungstenite::client(request, stream).unwrap();
    let domain = format!("{access_key}.webrtc-1-2-0.aculabcloud.net");
    let lines = [
        format!("REGISTER sip:{domain} SIP/2.0"),
        "Via: SIP/2.0/WSS uahost1.invalid;branch=z9hG4bK1".to_owned(),
        format!("To: <sip:bob@{domain}>"),
        format!("From: <sip:bob@{domain}>;tag=t1"),
        "CSeq: 2 REGISTER".to_owned(),
        "Call-ID: c1".to_owned(),
        "Max-Forwards: 70".to_owned(),
        format!("Authorization: Bearer {}", token.trim_end()),
        "Contact: <sip:user1@uahost1.invalid;transport=ws>;expires=600".to_owned(),
        "Content-Length: 0\r\n\r\n".to_owned(),
    ];
    socket.send(Message::text(lines.join("\r\n"))).unwrap();
    let answer = socket.read().unwrap().into_text().unwrap();
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    socket
}

#[test]
fn clients_and_status_are_asked_from_the_running_server() {
    let folder = Folder::new();
    folder.account("a@b.c");
    for line in ["clients list", "status"] {
        let sentence = folder.fails(1, line);
        assert!(
            sentence.contains("no server runs on the data folder"),
            "{sentence}"
        );
        assert_eq!(sentence.lines().count(), 1);
    }
    let server = folder.serve(SERVE);
    assert_eq!(folder.ok("clients list"), "No client is registered.\n");
    assert_eq!(folder.json("clients list --account 1-2-0/a@b.c"), json!([]));
    assert!(
        folder
            .fails(1, "clients list --account 1-2-0/x")
            .contains("there is no account 1-2-0/x")
    );
    let status = folder.json("status");
    assert_eq!(status["census"]["registrations"], 0);
    assert_eq!(status["accounts"], 1);
    assert!(folder.ok("status").contains(&server.address.to_string()));
    assert!(server.stop().success());
    assert!(folder.fails(1, "status").contains("no server runs"));
}

#[test]
fn a_registered_client_is_listed_until_its_account_is_disabled() {
    let folder = Folder::new();
    let made = folder.json("account create --cloud-id 1-2-0 --username a@b.c");
    folder.account("d@e.f");
    let server = folder.serve(SERVE);
    let token = folder.ok("token create --account 1-2-0/a@b.c --client-id bob");
    let mut socket = register(&server, made["webrtc_access_key"].as_str().unwrap(), &token);

    let listed = folder.json("clients list");
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let bob = &listed[0];
    assert_eq!(
        (&bob["account"], &bob["client_id"]),
        (&json!("1-2-0/a@b.c"), &json!("bob"))
    );
    assert!(
        bob["last_modified"].as_str() < bob["expires"].as_str(),
        "{bob}"
    );
    assert_eq!(folder.json("clients list --account 1-2-0/a@b.c"), listed);
    assert_eq!(folder.json("clients list --account 1-2-0/d@e.f"), json!([]));
    let text = folder.ok("clients list");
    assert!(
        text.lines()
            .nth(1)
            .unwrap()
            .starts_with("1-2-0/a@b.c  bob     20"),
        "{text}"
    );
    let status = folder.json("status");
    assert_eq!(status["census"]["registrations"], 1);
    assert_eq!(status["counters"]["registrations"], 1);

    folder.ok("account disable 1-2-0/a@b.c");
    let Message::Close(Some(closing)) = socket.read().unwrap() else {
        panic!("the connection of a disabled account must be closed");
    };
    assert_eq!(closing.code, CloseCode::Policy);
    assert_eq!(folder.ok("clients list"), "No client is registered.\n");
}
