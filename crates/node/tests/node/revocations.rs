//! `/v1/revocations`: tokens are revoked, listed and given back, on one server and on all that share a database.

use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use node::Config;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{Answer, ask, get};
use crate::postgres::Server as Postgres;
use crate::server::{Server, Site, in_time, until};
use crate::sip_proxy::Client;

const PATH: &str = "/v1/revocations";
/// Within which every server is to know what was revoked.
const SOON: Duration = Duration::from_secs(1);

async fn revoke(site: &Site, server: &Server, wanted: &Value) -> Answer {
    let post = ask("POST", PATH).body("application/json", wanted.to_string());
    server.send(site.log_in(post)).await
}

async fn revoked(site: &Site, server: &Server) -> Vec<Value> {
    let list = server.send(site.log_in(get(PATH))).await;
    assert_eq!(list.status, 200, "{}", list.body);
    list.json()["revocations"].as_array().unwrap().clone()
}

async fn give_back(site: &Site, server: &Server, query: &str) -> Answer {
    let path = format!("{PATH}?{query}");
    server.send(site.log_in(ask("DELETE", &path))).await
}

/// As a back end reads it.
fn jti(token: &str) -> String {
    let claims = token.split('.').nth(1).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["jti"].as_str().unwrap().to_owned()
}

async fn registers(site: &Site, server: &Server, token: &str) -> String {
    let mut client = Client::connect(site, server, "bob").await;
    client.register(token).await
}

#[tokio::test]
async fn a_token_is_revoked_by_its_jti_and_given_back() {
    let site = Site::new().await;
    let server = site.serve().await;
    let token = site.token(&server, "bob").await;
    assert_eq!(revoked(&site, &server).await, Vec::<Value>::new());

    let wanted = json!({ "jti": jti(&token) });
    let answer = revoke(&site, &server, &wanted).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let kept = answer.json();
    assert_eq!(kept["jti"], jti(&token));
    assert_eq!(
        (&kept["end"], &kept["issued_before"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(revoked(&site, &server).await, [kept]);
    let refusal = registers(&site, &server, &token).await;
    assert!(refusal.starts_with("SIP/2.0 401 "), "{refusal}");
    assert!(refusal.contains("error=\"invalid_token\""), "{refusal}");
    assert!(refusal.contains("the token was revoked"), "{refusal}");
    let other = site.token(&server, "bob").await;
    let taken = registers(&site, &server, &other).await;
    assert!(taken.starts_with("SIP/2.0 200 "), "{taken}");

    let query = format!("jti={}", jti(&token));
    assert_eq!(give_back(&site, &server, &query).await.status, 204);
    let taken = registers(&site, &server, &token).await;
    assert!(taken.starts_with("SIP/2.0 200 "), "{taken}");
    let again = give_back(&site, &server, &query).await;
    assert_eq!(again.status, 404);
    assert!(
        again.error_text().contains("has not revoked the token"),
        "{}",
        again.body
    );
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_revoked_is_refused_with_its_code() {
    let site = Site::new().await;
    let server = site.serve().await;
    for (wanted, code, word) in [
        (json!({}), "0001", "'jti', 'client_id' and 'all'"),
        (json!([]), "0002", "a list"),
        (json!({ "jti": "x" }), "0002", "22 characters"),
        (
            json!({ "all": true, "issued_before": "soon" }),
            "0002",
            "RFC 3339",
        ),
        (
            json!({ "all": true, "issued_before": "2999-01-01T00:00:00Z" }),
            "0002",
            "lies ahead",
        ),
    ] {
        let answer = revoke(&site, &server, &wanted).await;
        assert_eq!(answer.status, 400, "{wanted}: {}", answer.body);
        assert_eq!(answer.error_code(), code, "{wanted}");
        assert!(answer.error_text().contains(word), "{}", answer.body);
    }
    let stranger = ask("POST", PATH).body("application/json", r#"{"all":true}"#);
    assert_eq!(server.send(stranger).await.status, 401);
    assert_eq!(give_back(&site, &server, "").await.status, 400);
    assert_eq!(revoked(&site, &server).await, Vec::<Value>::new());
    server.stop().await;
}

/// One server more on the same database, with a folder of its own.
async fn another(site: &Site) -> (Server, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        data: dir.path().to_owned(),
        ..site.config()
    };
    let started = Server::try_start_on(config, site.open_store().await).await;
    (started.unwrap(), dir)
}

#[tokio::test]
async fn every_server_on_a_database_refuses_and_ends_within_a_second() {
    let postgres = Postgres::start();
    let site = Site::in_database(&postgres.url("postgres")).await;
    let (first, _first_dir) = another(&site).await;
    let (second, _second_dir) = another(&site).await;
    let token = site.token(&first, "bob").await;
    let eve = site.token(&first, "eve").await;
    let mut there = Client::connect(&site, &second, "bob").await;
    assert!(there.register(&token).await.starts_with("SIP/2.0 200 "));
    let mut bystander = Client::connect(&site, &second, "eve").await;
    assert!(bystander.register(&eve).await.starts_with("SIP/2.0 200 "));

    let wanted = json!({ "client_id": "bob", "end": true });
    let began = Instant::now();
    assert_eq!(revoke(&site, &first, &wanted).await.status, 201);
    let close = in_time(there.ended()).await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let close = close.expect("it is told why");
    assert!(close.reason.contains("revoked"), "{close:?}");
    for server in [&first, &second] {
        let refusal = registers(&site, server, &token).await;
        assert!(refusal.contains("the token was revoked"), "{refusal}");
    }
    assert!(bystander.register(&eve).await.starts_with("SIP/2.0 200 "));
    assert_eq!(revoked(&site, &second).await.len(), 1);
    // A token of the same second counts as one of before.
    let seconds = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let of_before = seconds();
    until(async || seconds() > of_before).await;
    let fresh = site.token(&second, "bob").await;
    let taken = registers(&site, &first, &fresh).await;
    assert!(taken.starts_with("SIP/2.0 200 "), "{taken}");
    first.stop().await;
    second.stop().await;
}
