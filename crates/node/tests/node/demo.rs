//! Demo mode: one click for whoever sits at this machine, and nothing for anybody else.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Algorithm, limits};
use serde_json::{Value, json};
use store::AccountChange;

use crate::http::{Answer, Ask, form, get};
use crate::server::{Server, Site, add_account, until};
use crate::sip_proxy::Client;

const CLIENT: &str = "/demo/client";
const CLIENTS: &str = "/demo/clients";
const SETTINGS: &str = "/console/settings.json";

/// A folder whose account is the demo account.
async fn demo_site() -> Site {
    let mut site = Site::new().await;
    let store = site.open_store().await;
    site.account = add_account(&store, "demo@example.com", Algorithm::EdDsa).await;
    store.close().await;
    site
}

fn local(ask: Ask<'_>) -> Ask<'_> {
    ask.header("Host", "localhost:8080")
}

async fn make(server: &Server, body: &str) -> Answer {
    server.send(local(form(CLIENT, body))).await
}

fn claims(token: &Value) -> Value {
    let part = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn one_click_makes_a_client_that_may_call_anybody() {
    let site = demo_site().await;
    let server = site.serve().await;
    let settings = server.send(local(get(SETTINGS))).await;
    assert_eq!(
        settings.json(),
        json!({ "demo": true, "demo_hindrance": "", "version": env!("CARGO_PKG_VERSION") })
    );
    for (body, wanted) in [
        ("", None),
        ("client_id=", None),
        ("client_id=bob", Some("bob")),
    ] {
        let made = make(&server, body).await;
        assert_eq!(made.status, 200, "{made:?}");
        assert_eq!(made.header("cache-control"), Some("no-store"));
        assert_eq!(made.header("access-control-allow-origin"), None);
        let made = made.json();
        let name = made["client_id"].as_str().unwrap();
        match wanted {
            Some(wanted) => assert_eq!(name, wanted),
            None => assert!(name.split('-').count() == 2, "{name}"),
        }
        let claims = claims(&made["token"]);
        assert_eq!(claims["sub"], name);
        assert_eq!(claims["iss"], site.account.webrtc_access_key.as_str());
        assert_eq!(claims["call_client"], json!(["*"]));
        assert_eq!(claims["enable_incoming"], true);
    }
    let wrong = make(&server, "client_id=a%20b").await;
    assert_eq!(
        (wrong.status, wrong.json()["error"]["code"].as_str()),
        (400, Some("0002"))
    );
    let twice = make(&server, "client_id=a&client_id=b").await;
    assert_eq!(twice.json()["error"]["code"], "0003");
    server.stop().await;
}

#[tokio::test]
async fn the_demo_clients_that_are_registered_are_listed() {
    let site = demo_site().await;
    let server = site.serve().await;
    let list = async || server.send(local(get(CLIENTS))).await.json();
    assert_eq!(list().await, json!([]));
    let token = make(&server, "client_id=bob").await.json()["token"].clone();
    let mut bob = Client::connect(&site, &server, "bob").await;
    let answer = bob.register(token.as_str().unwrap()).await;
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    let listed = list().await;
    assert_eq!(listed[0]["client_id"], "bob", "{listed}");
    assert_eq!(listed[0].as_object().unwrap().len(), 3, "{listed}");
    server.stop().await;
}

#[tokio::test]
async fn demo_tokens_count_like_others() {
    let site = demo_site().await;
    site.limit_tokens(1).await;
    let server = site.serve().await;
    assert_eq!(make(&server, "").await.status, 200);
    let refused = make(&server, "").await;
    assert_eq!(refused.status, 429, "{refused:?}");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    let question = json!({ "ask": "status" });
    let status = node::control::ask(site.dir.path(), question).await.unwrap();
    assert_eq!(status["counters"]["tokens_issued"], 1, "{status}");
    assert_eq!(status["counters"]["token_quota_reached"], 1, "{status}");
    server.stop().await;
}

#[tokio::test]
async fn pages_of_others_and_other_names_are_refused() {
    let site = demo_site().await;
    let server = site.serve().await;
    let asks: [fn() -> Ask<'static>; 2] = [|| form(CLIENT, ""), || get(CLIENTS)];
    for ask in asks {
        for (header, value) in [
            // Another name that leads here: DNS rebinding.
            ("Host", "evil.example.com"),
            ("Host", "localhost.example.com"),
            ("Host", "192.168.0.7:8080"),
            ("Host", "0.0.0.0:8080"),
        ] {
            let refused = server.send(ask().header(header, value)).await;
            assert_eq!(refused.status, 403, "{value}: {refused:?}");
            assert_eq!(refused.header("access-control-allow-origin"), None);
            assert!(!refused.json()["error"]["text"].as_str().unwrap().is_empty());
        }
        for (header, value) in [
            ("Origin", "http://evil.example.com"),
            ("Origin", "http://localhost:3000"),
            ("Origin", "https://localhost:8080"),
            ("Origin", "null"),
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-site"),
            ("X-Forwarded-For", "127.0.0.1"),
            ("Forwarded", "for=127.0.0.1"),
            ("Via", "1.1 proxy"),
        ] {
            let refused = server.send(local(ask()).header(header, value)).await;
            assert_eq!(refused.status, 403, "{header}: {value}: {refused:?}");
        }
        for (header, value) in [
            ("Origin", "http://localhost:8080"),
            ("Sec-Fetch-Site", "same-origin"),
            ("Sec-Fetch-Site", "none"),
        ] {
            let answer = server.send(local(ask()).header(header, value)).await;
            assert_eq!(answer.status, 200, "{header}: {value}: {answer:?}");
        }
        for host in ["127.0.0.1:8080", "[::1]:8080", "phone.localhost"] {
            let answer = server.send(ask().header("Host", host)).await;
            assert_eq!(answer.status, 200, "{host}: {answer:?}");
        }
    }
    let settings = server.send(get(SETTINGS)).await;
    assert_eq!(settings.json()["demo"], false, "{settings:?}");
    server.stop().await;
}

#[tokio::test]
async fn where_it_is_off_the_answer_says_how_to_switch_it_on() {
    let site = demo_site().await;
    let refusal = async |server: &Server| {
        for ask in [form(CLIENT, ""), get(CLIENTS)] {
            let answer = server.send(local(ask)).await;
            assert_eq!(answer.status, 404, "{answer:?}");
        }
        let settings = server.send(local(get(SETTINGS))).await;
        assert_eq!(settings.json()["demo"], false, "{settings:?}");
        let answer = make(server, "").await;
        let text = answer.json()["error"]["text"].as_str().unwrap().to_owned();
        // The page says it, too, where people expect the demo mode.
        let hindrance = settings.json()["demo_hindrance"].clone();
        let is_expected = !text.contains("--demo=false");
        assert_eq!(hindrance, if is_expected { text.as_str() } else { "" });
        text
    };
    for is_behind_proxy in [true, false] {
        let mut config = site.config();
        config.behind_tls_proxy = is_behind_proxy;
        config.demo = is_behind_proxy;
        let server = Server::start(config).await;
        let text = refusal(&server).await;
        assert!(
            text.contains("--behind-tls-proxy") && text.contains("--demo=false"),
            "{text}"
        );
        server.stop().await;
    }

    let other = Site::new().await;
    let server = other.serve().await;
    let text = refusal(&server).await;
    assert!(
        text.contains("offhook account create --cloud-id 1-2-0"),
        "{text}"
    );
    server.stop().await;

    let server = site.serve().await;
    assert_eq!(make(&server, "").await.status, 200);
    let id = site.account_id().await;
    let store = site.open_store().await;
    let disable = AccountChange {
        disabled: Some(true),
        ..AccountChange::default()
    };
    store.update_account(id, disable).await.unwrap();
    store.close().await;
    until(async || make(&server, "").await.status == 404).await;
    let text = refusal(&server).await;
    assert!(
        text.contains("offhook account enable 1-2-0/demo@example.com"),
        "{text}"
    );
    server.stop().await;
}

#[tokio::test]
async fn what_is_posted_has_the_bounds_of_the_web_services() {
    let site = demo_site().await;
    let server = site.serve().await;
    let large = format!("client_id={}", "x".repeat(limits::HTTP_BODY_BYTES));
    assert_eq!(make(&server, &large).await.status, 413);
    assert_eq!(server.send(local(get(CLIENT))).await.status, 405);
    server.stop().await;
}
