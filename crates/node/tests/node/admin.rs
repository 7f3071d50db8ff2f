//! The operator's listener: figures that move with what happens, readiness that turns, and no more than that.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use node::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::{Answer, ask, get};
use crate::open_metrics::Page;
use crate::server::{Server, Site};
use crate::sip_proxy::Client;
use crate::words::accept;

fn watched(site: &Site) -> Config {
    Config {
        admin_listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        ..site.config()
    }
}

async fn look(server: &Server, path: &str) -> Answer {
    get(path).send(server.admin_address.unwrap()).await
}

async fn page(server: &Server) -> (Page, String) {
    let answer = look(server, "/metrics").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    (Page::read(&answer.body), answer.body)
}

/// Until the figures are so; what they are then.
async fn until(server: &Server, is_so: impl Fn(&Page) -> bool) -> (Page, String) {
    let waiting = async {
        loop {
            let (page, text) = page(server).await;
            if is_so(&page) {
                return (page, text);
            }
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    in_time.expect("the figures never get there")
}

/// Two clients with tokens, one of them registered, which the other calls.
const WHILE_IT_RINGS: [(&str, f64); 15] = [
    ("offhook_connections{transport=\"ws\"}", 2.0),
    ("offhook_bindings", 1.0),
    ("offhook_calls{state=\"ringing\"}", 1.0),
    ("offhook_calls{state=\"answered\"}", 0.0),
    ("offhook_tokens_issued_total", 2.0),
    ("offhook_registrations_total", 1.0),
    (
        "offhook_request_duration_seconds_count{request=\"register\"}",
        1.0,
    ),
    (
        "offhook_request_duration_seconds_count{request=\"invite\"}",
        1.0,
    ),
    (
        "offhook_request_duration_seconds_count{request=\"token\"}",
        2.0,
    ),
    (
        "offhook_sip_responses_sent_total{method=\"REGISTER\",status=\"2xx\"}",
        1.0,
    ),
    (
        "offhook_sip_responses_sent_total{method=\"OPTIONS\",status=\"2xx\"}",
        1.0,
    ),
    (
        "offhook_sip_responses_sent_total{method=\"INVITE\",status=\"1xx\"}",
        2.0,
    ),
    ("offhook_sip_requests_sent_total{method=\"INVITE\"}", 1.0),
    (
        "offhook_http_requests_total{method=\"GET\",status=\"2xx\"}",
        2.0,
    ),
    (
        "offhook_http_requests_total{method=\"GET\",status=\"1xx\"}",
        2.0,
    ),
];

#[tokio::test]
async fn figures_follow_what_happens_and_name_nobody() {
    let site = Site::new().await;
    let server = Server::start(watched(&site)).await;
    let (before, _) = page(&server).await;
    assert_eq!(before.of("offhook_bindings"), 0.0);
    let tokens = [
        site.token(&server, "annette").await,
        site.token(&server, "bertold").await,
    ];
    let mut bob = Client::connect(&site, &server, "bertold").await;
    bob.register(&tokens[1]).await;
    let mut ann = Client::connect(&site, &server, "annette").await;
    ann.options().await;
    ann.invite(&tokens[0], "bertold").await;
    let invite = bob.hear().await;
    bob.ring(&invite).await;
    while !ann.hear().await.starts_with("SIP/2.0 180") {}
    // What took so long is taken down behind the message.
    let timed = |page: &Page, request: &str| {
        page.of(&format!(
            "offhook_request_duration_seconds_count{{request=\"{request}\"}}"
        ))
    };
    let (ringing, _) = until(&server, |page| {
        timed(page, "register") == 1.0 && timed(page, "invite") == 1.0
    })
    .await;
    for (series, wanted) in WHILE_IT_RINGS {
        assert_eq!(ringing.of(series), wanted, "{series}");
    }

    bob.say(accept(&invite)).await;
    let ok = ann.hear().await;
    let (answered, _) = page(&server).await;
    assert_eq!(answered.of("offhook_calls{state=\"answered\"}"), 1.0);
    for method in ["ACK", "BYE"] {
        let request = ann.words.within(&ok, method, "");
        ann.say(request).await;
    }
    let ended = "offhook_calls_ended_total{by=\"caller\",cause=\"hung_up\"}";
    let (over, text) = until(&server, |page| {
        page.of(ended) == 1.0
            && page.of("offhook_store_write_duration_seconds_count{task=\"call_records\"}") > 0.0
            && page.of("offhook_store_last_success_seconds{task=\"directory\"}") > 0.0
    })
    .await;
    assert_eq!(over.of("offhook_calls{state=\"lingering\"}"), 1.0);
    assert_eq!(
        over.of("offhook_store_faults_total{task=\"call_records\"}"),
        0.0
    );

    names_nobody(&site, &text);
    server.stop().await;
}

fn names_nobody(site: &Site, text: &str) {
    let account = &site.account;
    let login = account.login.to_string();
    let key = account.webrtc_access_key.to_string();
    let secret = account.api_key.expose();
    for private in ["annette", "bertold", "127.0.0.1", &login, &key, secret] {
        assert!(!text.contains(private), "{private} is in the figures");
    }
}

#[tokio::test]
async fn every_figure_stands_in_the_table_and_the_other_way_round() {
    let site = Site::new().await;
    let server = Server::start(watched(&site)).await;
    let (page, _) = page(&server).await;
    let shown: BTreeSet<_> = page
        .families
        .iter()
        .map(|(name, kind)| match kind.as_str() {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name.clone(),
        })
        .collect();
    let table = include_str!("../../../../docs/operating.md");
    let table: BTreeSet<_> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `offhook_")?.split(['`', '{']).next())
        .map(|name| format!("offhook_{name}"))
        // In a build that counts its memory.
        .filter(|name| name != "offhook_heap_bytes")
        .collect();
    assert_eq!(shown, table);
    server.stop().await;
}

#[tokio::test]
async fn readiness_turns_when_it_stops_and_it_lives_to_the_end() {
    let site = Site::new().await;
    let server = Server::start(watched(&site)).await;
    for (path, said) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let answer = look(&server, path).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, said));
    }
    // It does not answer the goodbye, so that the end takes a moment.
    let silent = Client::connect(&site, &server, "bob").await;
    let admin = server.admin_address.unwrap();
    let stopping = tokio::spawn(server.stop());
    let refusal = loop {
        let answer = get("/readyz").send(admin).await;
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!(refusal.status, 503, "{refusal:?}");
    assert!(
        refusal.body.contains("the server is stopping"),
        "{refusal:?}"
    );
    assert_eq!(get("/healthz").send(admin).await.status, 200);
    stopping.await.unwrap();
    let gone = TcpStream::connect(admin).await;
    assert!(gone.is_err(), "the listener has gone with the server");
    drop(silent);
}

#[tokio::test]
async fn what_it_does_not_serve_it_says_and_nobody_holds_it() {
    let site = Site::new().await;
    let mut config = watched(&site);
    config.bounds.head_time = Duration::from_millis(100);
    let server = Server::start(config).await;
    let admin = server.admin_address.unwrap();
    for path in ["/", "/metrics/", "/webrtc_generate_token", "/sipproxy"] {
        let answer = look(&server, path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.body.contains("/metrics, /healthz and /readyz"));
    }
    let posted = ask("POST", "/metrics").send(admin).await;
    assert_eq!(
        (posted.status, posted.header("allow")),
        (405, Some("GET, HEAD"))
    );
    assert!(posted.body.contains("GET and HEAD"), "{posted:?}");
    let head = ask("HEAD", "/metrics").send(admin).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let large = get("/metrics").header("X", &"x".repeat(64 * 1024));
    assert_eq!(large.send(admin).await.status, 431);
    // More than may be served at once say nothing: they are cut, and others are served.
    let mut silent = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(admin).await.unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\n")
            .await
            .unwrap();
        silent.push(stream);
    }
    assert_eq!(look(&server, "/healthz").await.status, 200);
    let mut rest = Vec::new();
    let _ = silent[0].read_to_end(&mut rest).await;
    let rest = String::from_utf8(rest).unwrap();
    assert!(
        rest.is_empty() || rest.starts_with("HTTP/1.1 408"),
        "{rest}"
    );
    // The public listener has nothing of this.
    for path in ["/metrics", "/readyz"] {
        assert_eq!(server.send(get(path)).await.status, 404, "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_told_with_its_flag() {
    let site = Site::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = site.config();
    config.admin_listen = Some(taken.local_addr().unwrap());
    let Err(refusal) = Server::try_start(config).await else {
        panic!("it must not start");
    };
    assert!(refusal.to_string().contains("--admin-listen"), "{refusal}");
}
