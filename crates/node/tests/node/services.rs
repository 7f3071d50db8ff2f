//! `/service/v1/inbound`: services as a back end configures them.

use model::{Algorithm, ClientGroup, ClientId, RingOrder, Service, ServiceTarget, limits};
use serde_json::{Value, json};

use crate::http::{Answer, Ask, ask, get};
use crate::resume::counted;
use crate::server::{Server, Site, add_account, until};

const LIST: &str = "/service/v1/inbound";
const SUPPORT: &str = "/service/v1/inbound/support";
const JSON: &str = "application/json";

fn put<'a>(target: &'a str, document: &Value) -> Ask<'a> {
    ask("PUT", target).body(JSON, document.to_string())
}

fn patch<'a>(target: &'a str, document: &Value) -> Ask<'a> {
    ask("PATCH", target).body(JSON, document.to_string())
}

fn clients(list: &[&str]) -> Value {
    json!({ "clients": { "list": list } })
}

/// Status and body.
async fn send(site: &Site, server: &Server, ask: Ask<'_>) -> (u16, Value) {
    let answer = server.send(site.log_in(ask)).await;
    assert_eq!(answer.header("content-type"), Some(JSON), "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    (answer.status, answer.json())
}

fn assert_refused(answer: &Answer, status: u16, code: &str, word: &str) {
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (status, code),
        "{answer:?}"
    );
    assert!(answer.error_text().contains(word), "{word}: {answer:?}");
}

#[tokio::test]
async fn a_service_is_put_shown_listed_replaced_and_deleted() {
    let site = Site::new().await;
    let server = site.serve().await;
    assert_eq!(send(&site, &server, get(LIST)).await, (200, json!([])));

    let filled = json!({
        "name": "support",
        "clients": { "list": ["bob", "carol"], "ring": "all", "ring_s": 20 },
    });
    let made = send(&site, &server, put(SUPPORT, &clients(&["bob", "carol"]))).await;
    assert_eq!(made, (201, filled.clone()), "defaults are filled in");
    // At once, without waiting: the answer came when everybody knew.
    assert_eq!(
        send(&site, &server, get(SUPPORT)).await,
        (200, filled.clone())
    );
    let again = send(&site, &server, put(SUPPORT, &filled)).await;
    assert_eq!(again, (200, filled.clone()));

    let sales = json!({
        "name": "Sales+1",
        "clients": { "list": ["dave"], "ring": "round_robin", "ring_s": 60 },
    });
    let made = send(&site, &server, put("/service/v1/inbound/Sales+1", &sales)).await;
    assert_eq!(made, (201, sales.clone()));
    let escaped = get("/service/v1/inbound/%53ales%2b1");
    assert_eq!(send(&site, &server, escaped).await, (200, sales.clone()));
    let listed = send(&site, &server, get(LIST)).await;
    assert_eq!(listed, (200, json!([sales, filled])));

    // What is left out of a PUT goes back to what is usual.
    let replaced = put("/service/v1/inbound/Sales+1", &clients(&["eve"]));
    let (status, replaced) = send(&site, &server, replaced).await;
    assert_eq!((status, &replaced["clients"]["ring"]), (200, &json!("all")));

    let deleted = server.send(site.log_in(ask("DELETE", SUPPORT))).await;
    assert_eq!((deleted.status, deleted.body.as_str()), (204, ""));
    assert_eq!(deleted.header("access-control-allow-origin"), Some("*"));
    assert_eq!(
        send(&site, &server, get(LIST)).await,
        (200, json!([replaced]))
    );
    for gone in [
        get(SUPPORT),
        ask("DELETE", SUPPORT),
        patch(SUPPORT, &json!({})),
    ] {
        let answer = server.send(site.log_in(gone)).await;
        assert_refused(&answer, 404, "HTTP 404", "no service 'support'");
    }
    server.stop().await;

    let server = site.serve().await;
    assert_eq!(
        send(&site, &server, get(LIST)).await,
        (200, json!([replaced]))
    );
    server.stop().await;
}

#[tokio::test]
async fn a_patch_merges() {
    let site = Site::new().await;
    let server = site.serve().await;
    let document = json!({ "clients": { "list": ["bob"], "ring": "in_order", "ring_s": 5 } });
    send(&site, &server, put(SUPPORT, &document)).await;
    for (change, list, ring, ring_s) in [
        (
            json!({ "clients": { "ring_s": 7 } }),
            json!(["bob"]),
            "in_order",
            7,
        ),
        (
            json!({ "clients": { "list": ["eve", "bob"] } }),
            json!(["eve", "bob"]),
            "in_order",
            7,
        ),
        (
            json!({ "clients": { "ring": null }, "rest": null }),
            json!(["eve", "bob"]),
            "all",
            7,
        ),
        (json!({}), json!(["eve", "bob"]), "all", 7),
    ] {
        let expected = json!({
            "name": "support",
            "clients": { "list": list, "ring": ring, "ring_s": ring_s },
        });
        let patched = send(&site, &server, patch(SUPPORT, &change)).await;
        assert_eq!(patched, (200, expected.clone()), "{change}");
        assert_eq!(send(&site, &server, get(SUPPORT)).await, (200, expected));
    }
    let merge_patch = ask("PATCH", SUPPORT).body(
        "application/merge-patch+json",
        r#"{"clients":{"ring_s":9}}"#,
    );
    let (status, patched) = send(&site, &server, merge_patch).await;
    assert_eq!((status, &patched["clients"]["ring_s"]), (200, &json!(9)));

    for (change, code, word) in [
        (json!({ "clients": null }), "0001", "'clients'"),
        (
            json!({ "clients": { "list": null } }),
            "0001",
            "'clients.list'",
        ),
        (json!({ "clients": { "list": [] } }), "0002", "at least one"),
        (json!({ "name": "sales" }), "0002", "'support'"),
        (json!({ "rest": {} }), "0002", "exclude each other"),
        (json!([]), "0002", "JSON object"),
    ] {
        let answer = server.send(site.log_in(patch(SUPPORT, &change))).await;
        assert_refused(&answer, 400, code, word);
    }
    let (_, unchanged) = send(&site, &server, get(SUPPORT)).await;
    assert_eq!(unchanged, patched, "what is refused changes nothing");
    server.stop().await;
}

#[tokio::test]
async fn an_application_is_put_patched_and_replaced_and_its_secret_is_never_shown() {
    let site = Site::new().await;
    let id = site.account_id().await;
    let server = site.serve().await;
    let store = site.open_store().await;
    let secret = async || {
        let (directory, _) = store.directory(model::UnixTime::default()).await.unwrap();
        match &directory.account(id).unwrap().services["support"].target {
            ServiceTarget::Application(application) => application.secret.clone(),
            ServiceTarget::Clients(_) => panic!("clients answer"),
        }
    };
    let first = json!({ "rest": { "first_page": { "address": "https://app.example.com/first" } } });
    let page = |address: &str, method: &str| json!({ "address": address, "method": method });
    let filled = json!({ "name": "support", "rest": {
        "first_page": page("https://app.example.com/first", "POST"),
    } });
    let made = send(&site, &server, put(SUPPORT, &first)).await;
    assert_eq!(made, (201, filled.clone()), "defaults are filled in");
    assert_eq!(
        send(&site, &server, get(LIST)).await,
        (200, json!([filled]))
    );
    let made = secret().await;
    assert_eq!(made.expose().len(), 43);

    let more = json!({ "rest": {
        "final_page": { "address": "http://127.0.0.1:8000/final", "method": "GET" },
        "error_page": { "address": "https://app.example.com/error" },
    } });
    let patched = json!({ "name": "support", "rest": {
        "first_page": page("https://app.example.com/first", "POST"),
        "final_page": page("http://127.0.0.1:8000/final", "GET"),
        "error_page": page("https://app.example.com/error", "POST"),
    } });
    let answer = send(&site, &server, patch(SUPPORT, &more)).await;
    assert_eq!(answer, (200, patched.clone()));
    assert_eq!(send(&site, &server, get(SUPPORT)).await, (200, patched));

    let clients_now = json!({ "rest": null, "clients": { "list": ["bob"] } });
    let (status, answer) = send(&site, &server, patch(SUPPORT, &clients_now)).await;
    assert_eq!(
        (status, answer["clients"]["list"].clone()),
        (200, json!(["bob"]))
    );
    let back = json!({ "clients": null, "rest": first["rest"] });
    let answer = send(&site, &server, patch(SUPPORT, &back)).await;
    assert_eq!(answer, (200, filled.clone()));
    let replaced = send(&site, &server, put(SUPPORT, &first)).await;
    assert_eq!(replaced, (200, filled));
    assert_eq!(secret().await, made, "the application needs no new one");

    let deleted = server.send(site.log_in(ask("DELETE", SUPPORT))).await;
    assert_eq!(deleted.status, 204);
    send(&site, &server, put(SUPPORT, &first)).await;
    assert_ne!(secret().await, made);
    store.close().await;
    server.stop().await;
}

#[tokio::test]
async fn what_a_document_gets_wrong_is_named() {
    let site = Site::new().await;
    let server = site.serve().await;
    for (document, code, word) in [
        ("", "0002", "no JSON"),
        ("{", "0002", "no JSON"),
        ("7", "0002", "JSON object"),
        ("{}", "0001", "'clients'"),
        (
            r#"{"clients":{"list":["bob"],"rings":1}}"#,
            "0002",
            "'clients.rings'",
        ),
        (
            r#"{"clients":{"list":["bob"]},"color":1}"#,
            "0002",
            "'color'",
        ),
        (
            r#"{"clients":{"list":["bob","bob"]}}"#,
            "0002",
            "bob is named twice",
        ),
        (
            r#"{"clients":{"list":["bob"],"ring_s":61}}"#,
            "0002",
            "from 1 to 60",
        ),
        (
            r#"{"clients":{"list":["bob"],"ring":"x"}}"#,
            "0002",
            "\"in_order\"",
        ),
        (
            r#"{"clients":{"list":["bob"]},"clients":{}}"#,
            "0003",
            "'clients'",
        ),
        (
            r#"{"name":"sales","clients":{"list":["bob"]}}"#,
            "0002",
            "'support'",
        ),
    ] {
        let asked = ask("PUT", SUPPORT)
            .body("Application/JSON; charset=utf-8", document)
            .announcing(document.len());
        let answer = server.send(site.log_in(asked)).await;
        assert_refused(&answer, 400, code, word);
    }
    let several = json!({ "x": 1, "clients": { "list": ["b b"], "ring_s": 0 } });
    let answer = server.send(site.log_in(put(SUPPORT, &several))).await;
    assert_refused(&answer, 400, "0002", "'x'");
    let details = answer.json()["error"]["details"].clone();
    assert_eq!(details.as_array().unwrap().len(), 3, "{details}");
    assert_eq!(send(&site, &server, get(LIST)).await, (200, json!([])));
    server.stop().await;
}

#[tokio::test]
async fn what_a_document_gets_wrong_of_an_application_is_named() {
    let site = Site::new().await;
    let server = site.serve().await;
    for (document, code, word) in [
        (
            r#"{"rest":{"first_page":{"address":"app.example.com","method":"POST"}}}"#,
            "0002",
            "'rest.first_page.address' is malformed: page address \"app.example.com\"",
        ),
        (
            r#"{"rest":{"first_page":{"address":"http://a","method":"HEAD"}}}"#,
            "0002",
            "'rest.first_page.method' is malformed: it must be \"POST\" or \"GET\"",
        ),
        (
            r#"{"rest":{"final_page":{"address":"http://a"}}}"#,
            "0001",
            "'rest.first_page'",
        ),
        (
            r#"{"clients":{"list":["bob"]},"rest":{"first_page":{"address":"http://a"}}}"#,
            "0002",
            "'clients' and 'rest' exclude each other",
        ),
    ] {
        let asked = ask("PUT", SUPPORT).body(JSON, document);
        let answer = server.send(site.log_in(asked)).await;
        assert_refused(&answer, 400, code, word);
    }
    assert_eq!(send(&site, &server, get(LIST)).await, (200, json!([])));
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_json_document_for_a_service_is_refused() {
    let site = Site::new().await;
    let server = site.serve().await;
    let document = clients(&["bob"]).to_string();
    for (method, content_type, status) in [
        ("PUT", "application/x-www-form-urlencoded", 415),
        ("PUT", "text/plain", 415),
        ("PUT", "application/merge-patch+json", 415),
        ("PATCH", "multipart/form-data; boundary=XX", 415),
    ] {
        let asked = ask(method, SUPPORT).body(content_type, document.clone());
        let answer = server.send(site.log_in(asked)).await;
        assert_refused(&answer, status, "HTTP 415", "application/json");
    }
    let untyped = server.send(site.log_in(ask("PUT", SUPPORT))).await;
    assert_refused(&untyped, 415, "HTTP 415", "application/json");
    let long = format!("{document}{}", " ".repeat(limits::HTTP_BODY_BYTES));
    let answer = server
        .send(site.log_in(ask("PUT", SUPPORT).body(JSON, long)))
        .await;
    assert_refused(&answer, 413, "HTTP 413", "bytes at most");

    let long = format!("{LIST}/{}", "x".repeat(65));
    for (target, word) in [
        ("/service/v1/inbound/a%20b", "\"a b\""),
        ("/service/v1/inbound/a%2Fb", "\"a/b\""),
        ("/service/v1/inbound/a%zz", "hexadecimal"),
        ("/service/v1/inbound/%ff", "UTF-8"),
        (&long, "1 to 64 characters"),
    ] {
        for asked in [put(target, &clients(&["bob"])), get(target)] {
            let answer = server.send(site.log_in(asked)).await;
            assert_refused(&answer, 400, "0002", word);
        }
    }
    for target in [
        "/service/v1/inbound/",
        "/service/v1/inbound/a/b",
        "/service/v1",
    ] {
        let answer = server.send(site.log_in(get(target))).await;
        assert_refused(&answer, 404, "HTTP 404", "nothing at this path");
    }
    for (method, target, allowed) in [
        ("POST", LIST, "GET, HEAD, OPTIONS"),
        ("PUT", LIST, "GET, HEAD, OPTIONS"),
        ("POST", SUPPORT, "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"),
    ] {
        let answer = server.send(site.log_in(ask(method, target))).await;
        assert_refused(&answer, 405, "HTTP 405", allowed);
        assert_eq!(answer.header("allow"), Some(allowed));
    }
    let preflight = server.send(ask("OPTIONS", SUPPORT)).await;
    assert_eq!(preflight.status, 204);
    let methods = preflight.header("access-control-allow-methods").unwrap();
    assert!(methods.contains("PATCH"), "{methods}");
    server.stop().await;
}

#[tokio::test]
async fn nobody_sees_or_changes_the_services_of_another() {
    let site = Site::new().await;
    let store = site.open_store().await;
    let eve = add_account(&store, "eve@example.com", Algorithm::EdDsa).await;
    store.close().await;
    let server = site.serve().await;
    send(&site, &server, put(SUPPORT, &clients(&["bob"]))).await;
    let document = clients(&["eve"]);
    let login = eve.login.to_string();
    for asked in [
        get(SUPPORT),
        patch(SUPPORT, &document),
        ask("DELETE", SUPPORT),
    ] {
        let answer = server.send(asked.login(&login, eve.api_key.expose())).await;
        assert_refused(&answer, 404, "HTTP 404", "no service 'support'");
    }
    let own = put(SUPPORT, &document).login(&login, eve.api_key.expose());
    assert_eq!(server.send(own).await.status, 201);
    for (method, target) in [
        ("GET", LIST),
        ("GET", SUPPORT),
        ("PUT", SUPPORT),
        ("PATCH", SUPPORT),
        ("DELETE", SUPPORT),
    ] {
        let asked = ask(method, target).body(JSON, "{");
        let answer = server.send(asked.login(&login, "wrong")).await;
        assert_refused(&answer, 401, "HTTP 401", "HTTP Basic");
    }
    let (_, kept) = send(&site, &server, get(SUPPORT)).await;
    assert_eq!(kept["clients"]["list"], json!(["bob"]));
    server.stop().await;
}

#[tokio::test]
async fn an_account_that_has_all_the_services_it_may_have_gets_no_other() {
    let site = Site::new().await;
    let id = site.account_id().await;
    let store = site.open_store().await;
    let bob = vec![ClientId::parse("bob").unwrap()];
    let group = ClientGroup::new(bob, RingOrder::All, 20).unwrap();
    for number in 0..limits::SERVICES_PER_ACCOUNT {
        let service = Service {
            name: model::ServiceName::parse(&format!("s{number}")).unwrap(),
            target: ServiceTarget::Clients(group.clone()),
        };
        store.put_service(id, &service).await.unwrap();
    }
    store.close().await;
    let server = site.serve().await;
    let answer = server
        .send(site.log_in(put(SUPPORT, &clients(&["bob"]))))
        .await;
    assert_refused(&answer, 409, "HTTP 409", "1000 services");
    assert_eq!(counted(&site, "services_refused_full").await, 1);
    let replaced = put("/service/v1/inbound/s7", &clients(&["eve"]));
    assert_eq!(send(&site, &server, replaced).await.0, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_change_by_another_process_is_seen_and_one_by_many_at_once_is_whole() {
    let site = Site::new().await;
    let id = site.account_id().await;
    let server = site.serve().await;
    let store = site.open_store().await;
    let (_, made) = send(&site, &server, put(SUPPORT, &clients(&["bob"]))).await;
    let (directory, _) = store.directory(model::UnixTime::default()).await.unwrap();
    let kept = directory.account(id).unwrap().services["support"].clone();
    assert_eq!(node::service_document::shown(&kept), made);

    store.remove_service(id, &kept.name).await.unwrap();
    until(async || server.send(site.log_in(get(SUPPORT))).await.status == 404).await;
    store.close().await;

    send(&site, &server, put(SUPPORT, &clients(&["bob"]))).await;
    let ring_s = json!({ "clients": { "ring_s": 33 } });
    let order = json!({ "clients": { "ring": "in_order" } });
    let list = json!({ "clients": { "list": ["ann", "bob"] } });
    let (one, other, third) = tokio::join!(
        send(&site, &server, patch(SUPPORT, &ring_s)),
        send(&site, &server, patch(SUPPORT, &order)),
        send(&site, &server, patch(SUPPORT, &list)),
    );
    assert_eq!((one.0, other.0, third.0), (200, 200, 200));
    let (_, merged) = send(&site, &server, get(SUPPORT)).await;
    let expected = json!({ "list": ["ann", "bob"], "ring": "in_order", "ring_s": 33 });
    assert_eq!(merged["clients"], expected);
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_kept_is_said_and_leaves_what_was_there() {
    let site = Site::new().await;
    let id = site.account_id().await;
    let server = site.serve().await;
    let (_, before) = send(&site, &server, put(SUPPORT, &clients(&["bob"]))).await;

    // Another process is in the middle of a change, and stays there for longer than anybody waits for it.
    let (held, is_held) = tokio::sync::oneshot::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let store = site.open_store().await;
    let runtime = tokio::runtime::Handle::current();
    let holder = std::thread::spawn(move || {
        let name = model::ServiceName::parse("support").unwrap();
        let change = store.change_service(id, &name, |_| {
            held.send(()).unwrap();
            released.recv().unwrap_err();
            Err("never mind")
        });
        runtime.block_on(change).unwrap().unwrap_err()
    });
    is_held.await.unwrap();
    let answer = server
        .send(site.log_in(put(SUPPORT, &clients(&["eve"]))))
        .await;
    assert_refused(&answer, 503, "HTTP 503", "cannot be kept");
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(
        send(&site, &server, get(SUPPORT)).await,
        (200, before),
        "nor does whoever reads wait"
    );
    drop(release);
    holder.join().unwrap();
    let replaced = send(&site, &server, put(SUPPORT, &clients(&["eve"]))).await;
    assert_eq!(replaced.0, 200);
    server.stop().await;
}
