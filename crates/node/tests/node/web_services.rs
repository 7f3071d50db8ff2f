//! The web services as their callers know them: methods, content types, parameters, errors, CORS.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Algorithm, limits};
use serde_json::{Value, json};

use crate::http::{Ask, ask, form, get, post};
use crate::server::{Server, Site, add_account, until};

const TOKEN: &str = "/webrtc_generate_token";
const CLIENTS: &str = "/webrtc_registered_clients";

/// Header and claims of a token.
fn decode(token: &str) -> (Value, Value) {
    let parts: Vec<_> = token.split('.').collect();
    assert_eq!(parts.len(), 3, "{token}");
    let part =
        |at: usize| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[at]).unwrap()).unwrap();
    (part(0), part(1))
}

async fn claims(site: &Site, server: &Server, ask: Ask<'_>) -> Value {
    let answer = server.send(site.log_in(ask)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    decode(answer.json()["token"].as_str().unwrap()).1
}

fn multipart(parts: &[(&str, &str)]) -> Vec<u8> {
    let part = |(name, value): &(&str, &str)| {
        format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let mut body: String = parts.iter().map(part).collect();
    body.push_str("--XX--\r\n");
    body.into_bytes()
}

#[tokio::test]
async fn a_token_is_what_the_documentation_shows() {
    let site = Site::with(Algorithm::Rs256).await;
    let server = site.serve().await;
    let target = format!("{TOKEN}?client_id=bob&ttl=600&enable_incoming=false&call_client=ann");
    let answer = server.send(site.log_in(get(&target))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.json().as_object().unwrap().len(), 1);

    let (header, claims) = decode(answer.json()["token"].as_str().unwrap());
    assert_eq!(
        (&header["alg"], &header["typ"]),
        (&json!("RS256"), &json!("JWT"))
    );
    assert_eq!(claims["aud"], "1-2-0");
    assert_eq!(claims["iss"], site.account.webrtc_access_key.as_str());
    assert_eq!(claims["sub"], "bob");
    assert_eq!(claims["scope"], json!(["webrtcclient"]));
    assert_eq!(claims["iat"], claims["nbf"]);
    assert_eq!(
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
        600
    );

    // Its key is public, and nothing private of it.
    let answer = server.send(get("/.well-known/jwks.json")).await;
    assert_eq!(
        (answer.status, answer.header("cache-control")),
        (200, Some("public, max-age=300"))
    );
    let jwks = answer.json();
    let key = jwks["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["kid"] == header["kid"])
        .unwrap();
    assert_eq!((&key["kty"], &key["alg"]), (&json!("RSA"), &json!("RS256")));
    assert_eq!(key["d"], Value::Null);
    server.stop().await;
}

#[tokio::test]
async fn get_and_both_kinds_of_post_mean_the_same() {
    let site = Site::new().await;
    let server = site.serve().await;
    let parts = [
        ("client_id", "bob"),
        ("ttl", "700"),
        ("call_client", "ann,team-*"),
        ("call_client", "eve+1"),
    ];
    let query = format!("{TOKEN}?client_id=bob&ttl=700&call_client=ann,team-*&call_client=eve%2B1");
    let body = "client_id=bob&ttl=700&call_client=ann%2Cteam-%2a&call_client=eve%2B1";
    let asks = [
        get(&query),
        // Real callers send these with GET.
        get(&query).header("Content-Type", "application/json"),
        form(TOKEN, body),
        post(
            TOKEN,
            "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
            body,
        ),
        post(TOKEN, "multipart/form-data; boundary=XX", multipart(&parts)),
        // Query and body together.
        form(
            "/webrtc_generate_token?client_id=bob&ttl=700",
            "call_client=ann,team-*&call_client=eve%2B1",
        ),
        // A POST with everything in its query.
        ask("POST", &query),
    ];
    for ask in asks {
        let claims = claims(&site, &server, ask).await;
        assert_eq!(claims["sub"], "bob");
        assert_eq!(
            claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
            700
        );
        assert_eq!(claims["enable_incoming"], true);
        assert_eq!(claims["call_client"], json!(["ann", "team-*", "eve+1"]));
    }
    server.stop().await;
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let site = Site::new().await;
    let server = site.serve().await;
    for target in [
        CLIENTS,
        "/webrtc_generate_token?client_id=bob",
        "/",
        "/healthz",
        "/docs/errors",
    ] {
        let with_body = server.send(site.log_in(get(target))).await;
        let without = server.send(site.log_in(ask("HEAD", target))).await;
        assert_eq!(
            (without.status, without.body.as_str()),
            (200, ""),
            "{target}"
        );
        let length =
            |answer: &crate::http::Answer| answer.header("content-length").map(str::to_owned);
        assert_eq!(length(&without), length(&with_body), "{target}");
    }
    server.stop().await;
}

#[tokio::test]
async fn defaults_hold_and_an_empty_list_permits_nobody() {
    let site = Site::new().await;
    let server = site.serve().await;
    for target in [
        format!("{TOKEN}?client_id=bob"),
        format!("{TOKEN}?client_id=bob&call_client="),
    ] {
        let claims = claims(&site, &server, get(&target)).await;
        assert_eq!(
            claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
            3600
        );
        assert_eq!(claims["enable_incoming"], true);
        assert_eq!(claims["call_client"], json!([]));
    }
    server.stop().await;
}

#[tokio::test]
async fn faults_have_their_codes_and_several_are_all_listed() {
    let site = Site::new().await;
    let server = site.serve().await;
    for (query, code, word) in [
        ("", "0001", "client_id"),
        ("client_id=", "0001", "client_id"),
        ("client_id=b%20b", "0002", "client_id"),
        ("client_id=bob&ttl=599", "0002", "ttl"),
        ("client_id=bob&ttl=86401", "0002", "ttl"),
        ("client_id=bob&ttl=1h", "0002", "ttl"),
        (
            "client_id=bob&enable_incoming=yes",
            "0002",
            "enable_incoming",
        ),
        ("client_id=bob&call_client=*x", "0002", "call_client"),
        ("client_id=bob&client_id=eve", "0003", "client_id"),
        ("client_id=bob&ttl=600&ttl=600", "0003", "ttl"),
        ("client_id=%ff", "0002", "UTF-8"),
        ("client_id=%4", "0002", "hexadecimal"),
    ] {
        let target = format!("{TOKEN}?{query}");
        let answer = server.send(site.log_in(get(&target))).await;
        assert_eq!(
            (answer.status, answer.error_code().as_str()),
            (400, code),
            "{query}: {answer:?}"
        );
        assert!(answer.error_text().contains(word), "{query}: {answer:?}");
        assert_eq!(answer.json()["request"]["url"], TOKEN);
        assert_eq!(answer.json()["error"].get("details"), None, "{query}");
    }

    let answer = server
        .send(site.log_in(get("/webrtc_generate_token?ttl=1&call_client=a*b")))
        .await;
    assert_eq!((answer.status, answer.error_code().as_str()), (400, "0001"));
    let json = answer.json();
    let details = json["error"]["details"].as_array().unwrap();
    assert_eq!(details.len(), 3, "{json}");
    assert_eq!(details[0], json["error"]["text"]);
    server.stop().await;
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused() {
    let site = Site::new().await;
    let server = site.serve().await;
    let multipart_type = "multipart/form-data; boundary=XX";
    let too_long = format!("client_id={}", "x".repeat(limits::HTTP_BODY_BYTES));
    let too_many = "a=b&".repeat(limits::HTTP_PARAMETERS + 1);
    for (asked, status, code) in [
        (post(TOKEN, "application/json", "{}"), 415, "HTTP 415"),
        (post(TOKEN, "text/plain", ""), 415, "HTTP 415"),
        (form(TOKEN, "client_id=%zz"), 400, "0002"),
        (post(TOKEN, "application/x-www-form-urlencoded", *b"client_id=\xff"), 400, "0002"),
        (form(TOKEN, &too_many), 400, "0002"),
        (form(TOKEN, &too_long), 413, "HTTP 413"),
        (post(TOKEN, "multipart/form-data", multipart(&[("client_id", "bob")])), 400, "0002"),
        (post(TOKEN, multipart_type, "client_id=bob"), 400, "0002"),
        (post(TOKEN, multipart_type, "--XX\r\nContent-Disposition: form-data\r\n\r\nbob\r\n--XX--\r\n"), 400, "0002"),
        (
            post(TOKEN, multipart_type, *b"--XX\r\nContent-Disposition: form-data; name=\"client_id\"\r\n\r\n\xff\r\n--XX--\r\n"),
            400,
            "0002",
        ),
        (post(CLIENTS, multipart_type, "nonsense"), 400, "0002"),
    ] {
        let answer = server.send(site.log_in(asked)).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (status, code), "{answer:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let site = Site::new().await;
    let mut config = site.config();
    config.bounds.head_time = std::time::Duration::from_secs(1);
    let server = Server::start(config).await;
    // The client says that there is more than it sends, and reads until the server closes.
    let answer = server
        .send(site.log_in(form(TOKEN, "client_id=bob")).announcing(100))
        .await;
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (408, "HTTP 408"),
        "{answer:?}"
    );
    server.stop().await;
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_in_the_same_shape() {
    let site = Site::new().await;
    let server = site.serve().await;
    for target in [
        "/nothing",
        "/webrtc_generate_token/",
        "/WEBRTC_GENERATE_TOKEN",
        "/sipproxy/x",
    ] {
        let answer = server.send(site.log_in(get(target))).await;
        assert_eq!(
            (answer.status, answer.error_code().as_str()),
            (404, "HTTP 404"),
            "{target}"
        );
    }
    for (method, target, allowed) in [
        ("PUT", TOKEN, "GET, HEAD, POST, OPTIONS"),
        ("DELETE", CLIENTS, "GET, HEAD, POST, OPTIONS"),
        ("POST", "/.well-known/jwks.json", "GET, HEAD, OPTIONS"),
        ("POST", "/sipproxy", "GET"),
        ("OPTIONS", "/healthz", "GET, HEAD"),
    ] {
        let answer = server.send(site.log_in(ask(method, target))).await;
        assert_eq!(
            (answer.status, answer.error_code().as_str()),
            (405, "HTTP 405"),
            "{method} {target}"
        );
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {target}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_preflight_needs_no_login() {
    let site = Site::new().await;
    let server = site.serve().await;
    for target in [TOKEN, CLIENTS] {
        let preflight = ask("OPTIONS", target)
            .header("Origin", "https://app.example.com")
            .header("Access-Control-Request-Method", "POST");
        let answer = server.send(preflight).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        let methods = answer.header("access-control-allow-methods").unwrap();
        assert!(
            methods.contains("GET") && methods.contains("POST"),
            "{methods}"
        );
        assert_eq!(
            answer.header("access-control-allow-headers"),
            Some("Authorization, Content-Type")
        );
        assert_eq!(answer.header("access-control-max-age"), Some("86400"));

        let wanting =
            ask("OPTIONS", target).header("Access-Control-Request-Headers", "authorization,x-own");
        let answer = server.send(wanting).await;
        assert_eq!(
            answer.header("access-control-allow-headers"),
            Some("authorization,x-own")
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn nobody_is_registered_at_first_and_any_host_will_do() {
    let site = Site::new().await;
    let server = site.serve().await;
    for asked in [get(CLIENTS), form(CLIENTS, ""), form(CLIENTS, "any=thing")] {
        let answer = server.send(site.log_in(asked)).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "[]"),
            "{answer:?}"
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    server.stop().await;
}

#[tokio::test]
async fn people_and_probes_find_something() {
    let site = Site::new().await;
    let server = site.serve().await;
    for (target, word) in [
        ("/docs/services", "offhook is running"),
        ("/healthz", "ok"),
        ("/docs/errors", "0003"),
    ] {
        let answer = server.send(get(target)).await;
        assert_eq!(answer.status, 200, "{target}");
        assert!(answer.body.contains(word), "{target}: {answer:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_link_of_each_error_leads_to_its_place_on_a_page() {
    let site = Site::new().await;
    let server = site.serve().await;
    let page = server.send(get("/docs/errors")).await;
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    for asked in [
        site.log_in(get(TOKEN)),
        site.log_in(get("/webrtc_generate_token?client_id=bob&ttl=soon")),
        site.log_in(get("/webrtc_generate_token?client_id=bob&client_id=eve")),
        get(CLIENTS),
        get("/nothing"),
        ask("PUT", TOKEN),
        get("/sipproxy"),
    ] {
        let answer = server.send(asked).await;
        let link = answer.json()["error"]["link"].clone();
        let (path, anchor) = link.as_str().unwrap().split_once('#').unwrap();
        assert_eq!(path, "/docs/errors", "{answer:?}");
        let place = format!("id=\"{anchor}\"");
        assert_eq!(page.body.matches(&place).count(), 1, "{answer:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn changes_of_accounts_are_seen_while_running() {
    let site = Site::new().await;
    let server = site.serve().await;
    let id = site.account_id().await;
    let store = site.open_store().await;

    let eve = add_account(&store, "eve@example.com", Algorithm::Es256).await;
    let keys = async || {
        server.send(get("/.well-known/jwks.json")).await.json()["keys"]
            .as_array()
            .unwrap()
            .len()
    };
    until(async || keys().await == 2).await;
    let eves = get(CLIENTS).login(&eve.login.to_string(), eve.api_key.expose());
    assert_eq!(server.send(eves).await.status, 200);

    let change = store::AccountChange {
        disabled: Some(true),
        ..Default::default()
    };
    store.update_account(id, change).await.unwrap();
    until(async || server.send(site.log_in(get(CLIENTS))).await.status == 401).await;
    store.close().await;
    server.stop().await;
}
