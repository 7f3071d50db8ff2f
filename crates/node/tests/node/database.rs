//! A database that goes away under a server: whatever is live goes on from memory, what must be kept waits in a file and is written when
//! it is back, and who wants a change is told to come again.

use std::net::SocketAddr;
use std::time::Duration;

use model::{CallRecord, EndedBy};
use node::Config;
use node::store::RecordQuery;
use tokio::net::TcpStream;

use crate::http::{Answer, ask, get};
use crate::open_metrics::Page;
use crate::postgres::Server as Postgres;
use crate::server::{Server, Site};
use crate::sip_proxy::Client;
use crate::words::{accept, answer};

const SERVICE: &str = "/service/v1/inbound/support";
/// A database that does not answer is given up after some seconds, by one after the other.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server on the database, and its site.
async fn serving(postgres: &Postgres) -> (Site, Server) {
    let site = Site::in_database(&postgres.url("postgres")).await;
    let server = start(&site).await;
    (site, server)
}

async fn start(site: &Site) -> Server {
    let config = Config {
        admin_listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        ..site.config()
    };
    let started = Server::try_start_on(config, site.open_store().await).await;
    started.unwrap()
}

async fn until(condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, waiting).await;
    in_time.expect("it comes in time");
}

async fn look(server: &Server, path: &str) -> Answer {
    get(path).send(server.admin_address.unwrap()).await
}

/// Records that wait, in memory and in the file.
async fn waiting(server: &Server) -> (f64, f64) {
    let page = Page::read(&look(server, "/metrics").await.body);
    let queue = |name| page.of(&format!("offhook_queue_length{{queue=\"{name}\"}}"));
    (queue("call_records"), queue("call_records_in_file"))
}

async fn hear_until(client: &mut Client<TcpStream>, beginning: &str) -> String {
    loop {
        let message = client.hear().await;
        if message.starts_with(beginning) {
            return message;
        }
    }
}

async fn registered(site: &Site, server: &Server, name: &str) -> (Client<TcpStream>, String) {
    let token = site.token(server, name).await;
    let mut client = Client::connect(site, server, name).await;
    let answer = client.register(&token).await;
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    (client, token)
}

async fn put_service(site: &Site, server: &Server) -> Answer {
    let body = r#"{"clients":{"list":["bob"]}}"#;
    let put = ask("PUT", SERVICE).body("application/json", body);
    server.send(site.log_in(put)).await
}

async fn records(site: &Site) -> Vec<CallRecord> {
    let store = site.open_store().await;
    let records = store.records(RecordQuery::default()).await.unwrap();
    store.close().await;
    records
}

/// The account's tokens of this month, as they are kept.
async fn tokens_kept(site: &Site) -> u64 {
    let since_1970 = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let now = model::UnixTime::from_secs(since_1970.as_secs());
    let store = site.open_store().await;
    let counts = store.token_counts(now.month()).await.unwrap();
    store.close().await;
    counts.iter().map(|(_, count)| count).sum()
}

/// A call from `caller` to a client that is busy.
async fn busy(caller: &mut Client<TcpStream>, token: &str, callee: &mut Client<TcpStream>) {
    let name = callee.words.name.clone();
    caller.invite(token, &name).await;
    let invite = hear_until(callee, "INVITE ").await;
    callee.say(answer(&invite, "486 Busy Here", "", "")).await;
    hear_until(caller, "SIP/2.0 486").await;
}

/// Nothing of what is live needs the database, and nothing of what is to be kept is lost while it is away in this way.
async fn goes_on_without(away: fn(&mut Postgres), back: fn(&mut Postgres)) {
    let mut postgres = Postgres::start();
    let (site, server) = serving(&postgres).await;
    let (mut bob, _) = registered(&site, &server, "bob").await;
    let (mut ann, ann_token) = registered(&site, &server, "ann").await;
    ann.invite(&ann_token, "bob").await;
    let invite = hear_until(&mut bob, "INVITE ").await;
    bob.say(accept(&invite)).await;
    let ok = hear_until(&mut ann, "SIP/2.0 200").await;
    let ack = ann.words.within(&ok, "ACK", "");
    ann.say(ack).await;
    hear_until(&mut bob, "ACK ").await;

    away(&mut postgres);
    let bye = ann.words.within(&ok, "BYE", "");
    ann.say(bye).await;
    let bye = hear_until(&mut bob, "BYE ").await;
    bob.say(answer(&bye, "200 OK", "", "")).await;
    hear_until(&mut ann, "SIP/2.0 200").await;
    let (mut cat, _) = registered(&site, &server, "cat").await;
    busy(&mut ann, &ann_token, &mut cat).await;
    busy(&mut ann, &ann_token, &mut bob).await;
    until(async || waiting(&server).await == (0.0, 3.0)).await;

    let refused = put_service(&site, &server).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert!(
        refused.error_text().contains("ask again later"),
        "{refused:?}"
    );
    let ended = get("/v1/calls/0.1.00000000000000000000000000000007");
    assert_eq!(server.send(site.log_in(ended)).await.status, 503);
    for path in [
        "/service/v1/inbound",
        "/v1/calls",
        "/webrtc_registered_clients",
    ] {
        assert_eq!(
            server.send(site.log_in(get(path))).await.status,
            200,
            "{path}"
        );
    }
    until(async || look(&server, "/readyz").await.status == 503).await;
    assert_eq!(look(&server, "/healthz").await.status, 200);

    back(&mut postgres);
    until(async || waiting(&server).await == (0.0, 0.0)).await;
    until(async || look(&server, "/readyz").await.status == 200).await;
    until(async || put_service(&site, &server).await.status != 503).await;
    until(async || tokens_kept(&site).await == 3).await;
    let kept = records(&site).await;
    let by = kept.iter().map(|record| {
        let outcome = record.outcome.as_ref().unwrap();
        (outcome.status, outcome.by)
    });
    let mut by: Vec<_> = by.collect();
    by.sort_by_key(|(status, _)| *status);
    let busy = (486, EndedBy::Callee);
    assert_eq!(by, [(200, EndedBy::Caller), busy, busy]);
    server.stop().await;
    assert_eq!(records(&site).await, kept, "each is there once");
}

#[tokio::test]
async fn what_is_live_goes_on_without_a_database_that_was_killed_and_what_is_kept_comes_later() {
    goes_on_without(Postgres::crash, Postgres::start_again).await;
}

#[tokio::test]
async fn what_is_live_goes_on_without_a_database_that_does_not_answer_and_what_is_kept_comes_later()
{
    goes_on_without(Postgres::freeze, Postgres::thaw).await;
}

/// When the server last read what others have counted in this month, since 1970.
async fn has_heard_at(server: &Server) -> f64 {
    let page = Page::read(&look(server, "/metrics").await.body);
    let series = "offhook_store_last_success_seconds{task=\"month_elsewhere\"}";
    page.of(series)
}

#[tokio::test]
async fn a_monthly_limit_holds_on_all_servers_together() {
    let postgres = Postgres::start();
    let site = Site::in_database(&postgres.url("postgres")).await;
    site.limit_tokens(3).await;
    let first = start(&site).await;
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        admin_listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        data: dir.path().to_owned(),
        ..site.config()
    };
    let second = Server::try_start_on(config, site.open_store().await).await;
    let second = second.unwrap();
    let path = "/webrtc_generate_token?client_id=ann";
    let ask = async |server: &Server| server.send(site.log_in(get(path))).await.status;
    for _ in 0..3 {
        assert_eq!(ask(&first).await, 200);
    }
    until(async || tokens_kept(&site).await == 3).await;
    // What it reads next may have been asked for before; what comes after that has not.
    for _ in 0..2 {
        let heard = has_heard_at(&second).await;
        until(async || has_heard_at(&second).await > heard).await;
    }
    assert_eq!(ask(&second).await, 429);
    assert_eq!(tokens_kept(&site).await, 3);
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn a_server_that_stops_without_its_database_leaves_the_records_to_the_next() {
    let mut postgres = Postgres::start();
    let (site, server) = serving(&postgres).await;
    let (mut bob, _) = registered(&site, &server, "bob").await;
    let (mut ann, ann_token) = registered(&site, &server, "ann").await;
    ann.invite(&ann_token, "bob").await;
    hear_until(&mut bob, "INVITE ").await;
    postgres.freeze();
    server.stop().await;
    postgres.thaw();
    start(&site).await.stop().await;
    let records = records(&site).await;
    let [record] = &records[..] else {
        panic!("{records:?}")
    };
    let outcome = record.outcome.as_ref().unwrap();
    assert!(!outcome.reason.contains("killed"), "{outcome:?}");
}
