//! Logins: wrong ones are answered alike, and slowed down.

use model::limits;

use crate::http::{Answer, get};
use crate::server::{Server, Site};

const CLIENTS: &str = "/webrtc_registered_clients";

/// An answer without what differs from second to second.
fn timeless(answer: &Answer) -> Answer {
    let json = answer.json();
    let mut answer = answer.clone();
    for part in ["error", "request"] {
        answer.body = answer
            .body
            .replace(json[part]["datetime"].as_str().unwrap(), "");
    }
    answer.headers.retain(|(name, _)| name != "date");
    answer
}

#[tokio::test]
async fn wrong_logins_are_answered_alike() {
    let site = Site::new().await;
    let server = site.serve().await;
    let (login, key) = (
        site.account.login.to_string(),
        site.account.api_key.expose().to_owned(),
    );
    let wrong = [
        get(CLIENTS),
        get(CLIENTS).login(&login, "wrong"),
        get(CLIENTS).login(&login, ""),
        get(CLIENTS).login("1-2-0/nobody@example.com", &key),
        get(CLIENTS).login("nobody", &key),
        get(CLIENTS).login("9-9-9/bob@example.com", &key),
        get(CLIENTS).header("Authorization", "Bearer x"),
        get(CLIENTS).header("Authorization", "Basic x"),
    ];
    let mut answers = Vec::new();
    for ask in wrong {
        let answer = server.send(ask).await;
        assert_eq!(
            (answer.status, answer.error_code().as_str()),
            (401, "HTTP 401"),
            "{answer:?}"
        );
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Basic realm=\"offhook\"")
        );
        answers.push(timeless(&answer));
    }
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:#?}"
    );
    assert_eq!(
        server.send(get(CLIENTS).login(&login, &key)).await.status,
        200
    );
    server.stop().await;
}

async fn fail(server: &Server, forwarded: Option<&str>) -> Answer {
    let mut ask = get(CLIENTS).login("1-2-0/bob@example.com", "wrong");
    if let Some(address) = forwarded {
        ask = ask.header("X-Forwarded-For", address);
    }
    server.send(ask).await
}

#[tokio::test]
async fn an_address_that_keeps_failing_is_slowed_down() {
    let site = Site::new().await;
    let server = site.serve().await;
    for _ in 0..limits::LOGIN_FAILURES_BURST {
        // Saying one is another address helps nobody without a proxy of ours.
        assert_eq!(fail(&server, Some("192.0.2.7")).await.status, 401);
    }
    let answer = fail(&server, None).await;
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (429, "HTTP 429"),
        "{answer:?}"
    );
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(
        (1..=60 / u64::from(limits::LOGIN_FAILURES_MINUTELY) + 1).contains(&wait),
        "{wait}"
    );
    // Before the check: the right key does not help either, and nothing is learnt.
    assert_eq!(server.send(site.log_in(get(CLIENTS))).await.status, 429);
    // What needs no login goes on.
    assert_eq!(server.send(get("/healthz")).await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn behind_a_proxy_the_address_is_the_one_it_appended() {
    let site = Site::new().await;
    let mut config = site.config();
    config.behind_tls_proxy = true;
    let server = Server::start(config).await;
    for _ in 0..limits::LOGIN_FAILURES_BURST {
        assert_eq!(
            fail(&server, Some("198.51.100.1, 192.0.2.7")).await.status,
            401
        );
    }
    assert_eq!(fail(&server, Some("192.0.2.7")).await.status, 429);
    assert_eq!(fail(&server, Some("192.0.2.7:49152")).await.status, 429);
    assert_eq!(fail(&server, Some("192.0.2.8")).await.status, 401);
    assert_eq!(
        fail(&server, Some("192.0.2.7, 192.0.2.9")).await.status,
        401
    );
    // One network, one client.
    for _ in 0..limits::LOGIN_FAILURES_BURST {
        assert_eq!(fail(&server, Some("2001:db8::1")).await.status, 401);
    }
    assert_eq!(fail(&server, Some("2001:db8::2")).await.status, 429);
    assert_eq!(fail(&server, Some("2001:db8:0:1::2")).await.status, 401);
    server.stop().await;
}
