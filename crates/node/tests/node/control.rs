//! The control socket, and one server for a folder.

use std::os::unix::fs::PermissionsExt;

use node::ServeError;
use node::control::{ControlFault, ask};
use serde_json::json;

use crate::http::get;
use crate::server::{Server, Site};
use crate::sip_proxy::Client;

#[tokio::test]
async fn a_running_server_says_who_is_registered_and_what_was_counted() {
    let site = Site::new().await;
    let server = site.serve().await;
    let data = site.dir.path();
    let mode = std::fs::metadata(data.join("control.sock"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    let token = site.token(&server, "bob").await;
    let mut bob = Client::connect(&site, &server, "bob").await;
    bob.register(&token).await;
    let login = site.account.login.to_string();
    for account in [json!(null), json!(login)] {
        let answer = ask(data, json!({ "ask": "clients", "account": account }))
            .await
            .unwrap();
        let [client] = &answer["clients"].as_array().unwrap()[..] else {
            panic!("{answer}")
        };
        assert_eq!(
            (&client["account"], &client["client_id"]),
            (&json!(login), &json!("bob"))
        );
        crate::http::assert_datetime(client["expires"].as_str().unwrap());
    }
    let answer = ask(data, json!({ "ask": "clients" })).await.unwrap();
    assert_eq!(answer["clients"].as_array().unwrap().len(), 1);

    server
        .send(get("/webrtc_registered_clients").login(&login, "wrong"))
        .await;
    let status = ask(data, json!({ "ask": "status" })).await.unwrap();
    let census = &status["census"];
    assert_eq!(census["websockets"], 1);
    assert_eq!(
        (&census["connections"], &census["registrations"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        (&census["calls"], &census["shards"]),
        (&json!(0), &json!(2))
    );
    // His registration falls due, and his token is remembered.
    assert_eq!(
        (&census["tokens_remembered"], &census["calls_lingering"]),
        (&json!(1), &json!(0))
    );
    assert!(census["timers"].as_u64().unwrap() >= 1, "{status}");
    assert_eq!(
        (
            &status["counters"]["tokens_issued"],
            &status["counters"]["logins_failed"]
        ),
        (&json!(1), &json!(1))
    );
    assert_eq!(status["listen"], server.address.to_string());
    server.stop().await;
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_in_words() {
    let site = Site::new().await;
    let server = site.serve().await;
    for (question, word) in [
        (
            json!({ "ask": "clients", "account": "1-2-0/nobody@example.com" }),
            "no account",
        ),
        (json!({ "ask": "clients", "account": "nobody" }), "login"),
        (json!({ "ask": "weather" }), "weather"),
        (json!(7), "cannot be read"),
    ] {
        let refused = ask(site.dir.path(), question)
            .await
            .unwrap_err()
            .to_string();
        assert!(refused.contains(word), "{refused}");
    }
    server.stop().await;
}

#[tokio::test]
async fn without_a_server_the_folder_is_named() {
    let site = Site::new().await;
    let asking = async || {
        ask(site.dir.path(), json!({ "ask": "status" }))
            .await
            .unwrap_err()
    };
    let fault = asking().await;
    assert!(matches!(fault, ControlFault::NoServer(_)), "{fault}");
    assert!(
        fault
            .to_string()
            .contains(&*site.dir.path().to_string_lossy()),
        "{fault}"
    );

    // A server that was killed leaves its socket behind; the next one takes its place.
    drop(std::os::unix::net::UnixListener::bind(site.dir.path().join("control.sock")).unwrap());
    assert!(matches!(asking().await, ControlFault::NoServer(_)));
    let server = site.serve().await;
    ask(site.dir.path(), json!({ "ask": "status" }))
        .await
        .unwrap();
    server.stop().await;
    assert!(matches!(asking().await, ControlFault::NoServer(_)));
    assert!(!site.dir.path().join("control.sock").exists());
}

#[tokio::test]
async fn a_folder_with_a_long_name_has_a_socket_too() {
    let site = Site::new().await;
    let mut config = site.config();
    config.data = site.dir.path().join("long".repeat(40));
    let data = config.data.clone();
    let server = Server::start(config).await;
    ask(&data, json!({ "ask": "status" })).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_folder_has_one_server_at_a_time() {
    let site = Site::new().await;
    let server = site.serve().await;
    let second = Server::try_start(site.config())
        .await
        .err()
        .expect("it is refused");
    assert!(matches!(second, ServeError::InUse(_)), "{second}");
    assert!(
        second.to_string().contains("another server runs on"),
        "{second}"
    );
    // The first one did not notice.
    ask(site.dir.path(), json!({ "ask": "status" }))
        .await
        .unwrap();
    server.stop().await;
    site.serve().await.stop().await;
}

#[tokio::test]
async fn what_cannot_be_served_is_said() {
    let site = Site::new().await;
    let mut config = site.config();
    config.listen = "0.0.0.0:0".parse().unwrap();
    let refused = Server::try_start(config)
        .await
        .err()
        .expect("it is refused");
    assert!(matches!(refused, ServeError::Config(_)), "{refused}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = site.config();
    config.listen = taken.local_addr().unwrap();
    let refused = Server::try_start(config)
        .await
        .err()
        .expect("it is refused")
        .to_string();
    assert!(
        refused.contains(&format!("cannot listen on {}", taken.local_addr().unwrap())),
        "{refused}"
    );
}
