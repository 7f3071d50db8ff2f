//! A bus that is killed, hangs, starts again, or cannot do what it is asked.

use std::time::{Duration, Instant};

use model::limits;
use store::bus::{BusError, Heard};
use tokio::task::JoinSet;

use crate::node::{bus, entry, hear, next, node, post, refusal, set, until_down, until_up};
use crate::server::{Server, free_port};

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_bus_that_is_killed_is_gone_and_is_there_again_when_it_is_started() {
    let mut server = Server::start("");
    let bus = bus(&server.url());
    let mut hearing = hear(&bus, 1).await;
    bus.rewrite(node(1), 1, &[entry("bob", "a")]).await.unwrap();
    server.kill();
    let why = until_down(&mut hearing).await;
    assert!(
        why.starts_with("cannot hear other nodes: redis://127.0.0.1:"),
        "{why}"
    );
    for error in [
        refusal(bus.send(node(1), b"lost")).await,
        refusal(bus.alive(node(1), LONG)).await,
        refusal(bus.load(node(1))).await,
        refusal(bus.claim()).await,
    ] {
        assert!(matches!(error, BusError::Unreachable { .. }), "{error:?}");
        let said = error.to_string();
        assert!(said.contains("cannot be reached ("), "{said}");
        assert!(!said.contains("broken pipe"), "{said}");
    }
    server.start_again();
    until_up(&mut hearing).await;
    assert!(bus.send(node(1), b"again").await.unwrap());
    bus.send_all(b"to all").await.unwrap();
    assert_eq!(next(&mut hearing).await, post("again"));
    assert_eq!(next(&mut hearing).await, post("to all"));
    // It keeps nothing.
    assert_eq!(bus.alive(node(1), LONG).await.unwrap(), None);
    assert_eq!(bus.load(node(1)).await.unwrap(), None);
    assert_eq!(bus.nodes().await.unwrap(), [node(1)]);
}

#[tokio::test]
async fn a_bus_that_hangs_costs_each_a_bounded_time_and_is_found_out() {
    let mut server = Server::start("");
    let bus = bus(&server.url());
    let mut hearing = hear(&bus, 1).await;
    bus.send(node(1), b"before").await.unwrap();
    assert_eq!(next(&mut hearing).await, post("before"));
    server.freeze();
    let frozen = Instant::now();
    // By the connection that there is, then by one that cannot be made.
    let error = refusal(bus.send(node(1), b"lost")).await;
    assert!(matches!(error, BusError::Slow { .. }), "{error:?}");
    let mut asking = JoinSet::new();
    for _ in 0..100 {
        let bus = bus.clone();
        asking.spawn(async move { refusal(bus.send(node(1), b"lost")).await });
    }
    for error in asking.join_all().await {
        let said = error.to_string();
        assert!(said.contains("no connection within 1000 ms"), "{said}");
    }
    let why = until_down(&mut hearing).await;
    assert!(why.contains("did not answer in time"), "{why}");
    // A second until it is asked, and two without an answer; and what a busy machine adds.
    let pings = limits::BUS_PING * (1 + limits::BUS_PINGS_MISSED);
    assert!(
        frozen.elapsed() < pings + Duration::from_secs(3),
        "{:?}",
        frozen.elapsed()
    );
    server.thaw();
    until_up(&mut hearing).await;
    assert!(bus.send(node(1), b"again").await.unwrap());
    // What reached it while it hung, it has told nobody: there was no ear.
    assert_eq!(next(&mut hearing).await, post("again"));
}

#[tokio::test]
async fn no_more_than_a_bound_wait_for_a_bus_that_hangs() {
    let mut server = Server::start("");
    let bus = bus(&server.url());
    bus.send_all(b"it is connected").await.unwrap();
    server.freeze();
    let mut asking = JoinSet::new();
    for _ in 0..limits::BUS_COMMANDS + 10 {
        let bus = bus.clone();
        asking.spawn(async move { bus.send_all(b"lost").await.unwrap_err() });
    }
    let errors = asking.join_all().await;
    let is_busy = |error: &&BusError| matches!(error, BusError::Busy { .. });
    assert_eq!(errors.iter().filter(is_busy).count(), 10);
    // Large ones count for more.
    let large = vec![7; limits::BUS_POST_BYTES];
    let most = limits::BUS_COMMANDS_BYTES / limits::BUS_POST_BYTES;
    let mut asking = JoinSet::new();
    for _ in 0..most + 10 {
        let (bus, large) = (bus.clone(), large.clone());
        asking.spawn(async move { bus.send_all(&large).await.unwrap_err() });
    }
    let errors = asking.join_all().await;
    assert!(errors.iter().filter(is_busy).count() >= 10);
    assert!(!errors.iter().all(|error| is_busy(&error)));
    server.thaw();
    bus.send_all(b"again").await.unwrap();
}

#[tokio::test]
async fn where_nobody_answers_is_said_and_said_once() {
    let bus = bus(&format!("redis://ann:hush@127.0.0.1:{}", free_port()));
    let mut hearing = bus.hear(node(1));
    let why = until_down(&mut hearing).await;
    assert!(why.contains("Connection refused"), "{why}");
    assert!(!why.contains("hush"), "{why}");
    let error = refusal(bus.send(node(1), b"lost")).await;
    assert!(error.to_string().contains("Connection refused"), "{error}");
    // It is tried again meanwhile, more than once.
    let again = tokio::time::timeout(limits::BUS_PAUSE * 10, hearing.next()).await;
    assert!(again.is_err(), "{again:?}");
}

#[tokio::test]
async fn a_connection_that_is_closed_is_made_anew() {
    let server = Server::start("");
    let bus = bus(&server.url());
    let mut hearing = hear(&bus, 1).await;
    for _ in 0..5 {
        bus.send_all(b"it is connected").await.unwrap();
        assert_eq!(next(&mut hearing).await, post("it is connected"));
        server.say(&["CLIENT", "KILL", "TYPE", "normal"]);
        server.say(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        let why = until_down(&mut hearing).await;
        assert!(why.contains("the connection was closed"), "{why}");
        assert_eq!(next(&mut hearing).await, Heard::Up);
        // Nobody has to find out that it is closed.
        bus.send_all(b"again").await.unwrap();
        assert_eq!(next(&mut hearing).await, post("again"));
    }
}

#[tokio::test]
async fn a_replica_is_no_bus() {
    let master = Server::start("");
    let lines = format!("replicaof 127.0.0.1 {}", master.port);
    let replica = Server::start(&lines);
    let error = refusal(bus(&replica.url()).write(node(1), 1, &[set("a", "b")], b"")).await;
    assert!(matches!(error, BusError::ReadOnly { .. }), "{error:?}");
}

#[tokio::test]
async fn a_bus_without_memory_says_so() {
    let server = Server::start("maxmemory 1");
    let error = refusal(bus(&server.url()).write(node(1), 1, &[set("a", "b")], b"")).await;
    assert!(matches!(error, BusError::Full { .. }), "{error:?}");
    let error = refusal(bus(&server.url()).alive(node(1), LONG)).await;
    assert!(matches!(error, BusError::Full { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_too_old_is_told_apart() {
    let server = Server::start("rename-command HELLO \"\"");
    let error = refusal(bus(&server.url()).claim()).await;
    assert!(error.to_string().contains("Redis 6 or later"), "{error}");
}
