//! A master that Sentinel watches, and replaces.

use std::time::Duration;

use model::limits;
use store::bus::BusError;

use crate::node::{bus, entry, hear, next, node, post, refusal, until, until_down, until_up};
use crate::server::Server;

/// Of master and replica; and the one need not wait for more replicas before it begins.
const SECRETS: &str = "requirepass hush\nmasterauth hush\nrepl-diskless-sync-delay 0";

fn sentinel(master: &Server) -> Server {
    Server::start_sentinel(&format!(
        "sentinel monitor calls 127.0.0.1 {} 1\n\
         sentinel down-after-milliseconds calls 300\n\
         sentinel failover-timeout calls 2000\n\
         sentinel auth-pass calls hush\n\
         requirepass hush-hush",
        master.port
    ))
}

#[tokio::test]
async fn the_bus_follows_the_master() {
    let mut master = Server::start(SECRETS);
    let replica = Server::start(&format!("{SECRETS}\nreplicaof 127.0.0.1 {}", master.port));
    let info = || async { replica.say(&["-a", "hush", "INFO", "replication"]) };
    let is_in_step = |info: &String| info.contains("master_link_status:up");
    until("the replica is in step", info, is_in_step).await;
    let sentinel = sentinel(&master);
    let word = "sentinel_password=hush-hush";
    let url = |service: &str| {
        // One that is not there is no obstacle.
        let hosts = format!("127.0.0.1:1,127.0.0.1:{}", sentinel.port);
        format!("redis+sentinel://:hush@{hosts}/{service}?{word}")
    };
    let bus_here = bus(&url("calls"));
    let mut hearing = hear(&bus_here, 1).await;
    bus_here
        .rewrite(node(1), 1, &[entry("bob", "a")])
        .await
        .unwrap();
    assert!(bus_here.send(node(1), b"before").await.unwrap());
    assert_eq!(next(&mut hearing).await, post("before"));

    let error = refusal(bus(&url("others")).claim()).await;
    assert!(matches!(error, BusError::NotReady { .. }), "{error:?}");
    assert!(
        error.to_string().contains("a master of the name others"),
        "{error}"
    );

    let watching = || async { sentinel.say(&["-a", "hush-hush", "SENTINEL", "replicas", "calls"]) };
    until("Sentinel knows the replica", watching, |said| {
        said.contains("slave")
    })
    .await;
    let loading = || async { replica.say(&["-a", "hush", "EXISTS", "offhook:{n1}:bindings"]) };
    until("the replica has it", loading, |said| said.contains('1')).await;
    master.kill();
    let why = until_down(&mut hearing).await;
    assert!(why.contains("redis+sentinel://127.0.0.1:1,"), "{why}");
    until_up(&mut hearing).await;
    // The other is master now, and has it all.
    let alive = || async { bus_here.alive(node(1), Duration::from_secs(60)).await };
    let version = until("it is alive", alive, Result::is_ok).await;
    assert_eq!(version.unwrap(), Some(1));
    assert!(bus_here.send(node(1), b"after").await.unwrap());
    assert_eq!(next(&mut hearing).await, post("after"));
    assert!(replica.say(&["-a", "hush", "ROLE"]).starts_with("master"));
}

#[tokio::test]
async fn a_master_that_another_has_followed_is_left() {
    let old = Server::start(SECRETS);
    let new = Server::start(&format!("{SECRETS}\nreplicaof 127.0.0.1 {}", old.port));
    let info = || async { new.say(&["-a", "hush", "INFO", "replication"]) };
    let is_in_step = |info: &String| info.contains("master_link_status:up");
    until("the replica is in step", info, is_in_step).await;
    let sentinel = sentinel(&old);
    let address = format!("redis+sentinel://:hush@127.0.0.1:{}/calls", sentinel.port);
    let bus = bus(&format!("{address}?sentinel_password=hush-hush"));
    let mut hearing = hear(&bus, 1).await;
    assert!(bus.send(node(1), b"before").await.unwrap());
    let failing = || async { sentinel.say(&["-a", "hush-hush", "SENTINEL", "FAILOVER", "calls"]) };
    until("Sentinel can", failing, |said| said.contains("OK")).await;
    until_down(&mut hearing).await;
    until_up(&mut hearing).await;
    let sending = || async { bus.send(node(1), b"after").await };
    until("it is heard", sending, |sent| *sent == Ok(true))
        .await
        .unwrap();
    assert_eq!(next(&mut hearing).await, post("after"));
    assert!(new.say(&["-a", "hush", "ROLE"]).starts_with("master"));
}

#[tokio::test]
async fn a_sentinel_that_refuses_us_is_told_apart() {
    let master = Server::start("");
    let sentinel = sentinel(&master);
    let url = format!("redis+sentinel://127.0.0.1:{}/calls", sentinel.port);
    let error = refusal(bus(&url).claim()).await;
    assert!(matches!(error, BusError::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn a_sentinel_that_hangs_is_no_obstacle() {
    let master = Server::start("requirepass hush");
    let (mut first, second) = (sentinel(&master), sentinel(&master));
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", first.port, second.port);
    let address = format!("redis+sentinel://:hush@{hosts}/calls");
    first.freeze();
    let bus = bus(&format!("{address}?sentinel_password=hush-hush"));
    let mut hearing = hear(&bus, 1).await;
    // For as long as it is asked twice whether it is still there.
    let most = limits::BUS_PING * 3;
    let heard = tokio::time::timeout(most, hearing.next()).await;
    assert!(heard.is_err(), "{heard:?}");
    assert!(bus.send(node(1), b"hello").await.unwrap());
    assert_eq!(next(&mut hearing).await, post("hello"));
}
