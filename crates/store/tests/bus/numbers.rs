//! Numbers, and who is alive.

use std::collections::BTreeSet;
use std::time::Duration;

use store::bus::BusError;

use crate::node::{bus, hear, next, node, post, refusal, until};
use crate::server::Server;

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn processes_that_start_together_have_numbers_of_their_own() {
    let server = Server::start("");
    let mut claims = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let bus = bus(&server.url());
        claims.spawn(async move { bus.claim().await.unwrap() });
    }
    let numbers: BTreeSet<_> = claims.join_all().await.into_iter().collect();
    assert_eq!(numbers.len(), 40);
}

#[tokio::test]
async fn a_number_of_a_node_that_is_alive_is_left_out() {
    let server = Server::start("");
    let (old, new) = (bus(&server.url()), bus(&server.url()));
    old.alive(node(7), LONG).await.unwrap();
    server.say(&["SET", "offhook:{nodes}:started", "5"]);
    assert_eq!(new.claim().await.unwrap(), node(8));
    // What was claimed is not alive yet, and nobody else's all the same.
    assert_eq!(new.nodes().await.unwrap(), [node(7)]);
    server.say(&["SET", "offhook:{nodes}:started", "6"]);
    assert_eq!(bus(&server.url()).claim().await.unwrap(), node(9));
    // The last number is followed by the first.
    server.say(&["SET", "offhook:{nodes}:started", "4093"]);
    assert_eq!(new.claim().await.unwrap(), node(4_095));
    assert_eq!(new.claim().await.unwrap(), node(1));
}

#[tokio::test]
async fn who_says_nothing_more_is_not_alive_any_more() {
    let server = Server::start("");
    let bus = bus(&server.url());
    bus.alive(node(1), LONG).await.unwrap();
    bus.alive(node(2), Duration::from_millis(50)).await.unwrap();
    let nodes = || async { bus.nodes().await.unwrap() };
    until("a node is gone", nodes, |nodes| *nodes == [node(1)]).await;
    bus.alive(node(2), LONG).await.unwrap();
    bus.alive(node(3), LONG).await.unwrap();
    assert_eq!(nodes().await, [node(1), node(2), node(3)]);
    bus.leave(node(2)).await.unwrap();
    assert_eq!(nodes().await, [node(1), node(3)]);
}

#[tokio::test]
async fn numbers_of_who_is_gone_are_forgotten() {
    let server = Server::start("");
    let bus = bus(&server.url());
    bus.alive(node(1), LONG).await.unwrap();
    bus.alive(node(2), Duration::from_millis(1)).await.unwrap();
    let nodes = || async { bus.nodes().await.unwrap() };
    until("a node is gone", nodes, |nodes| *nodes == [node(1)]).await;
    assert_eq!(server.say(&["SCARD", "offhook:{nodes}"]), "2\n");
    bus.claim().await.unwrap();
    assert_eq!(server.say(&["SMEMBERS", "offhook:{nodes}"]), "1\n");
}

#[tokio::test]
async fn two_processes_of_one_number_are_both_told() {
    let server = Server::start("");
    let (one, other) = (bus(&server.url()), bus(&server.url()));
    one.alive(node(1), LONG).await.unwrap();
    // A clone is the same process.
    one.clone().alive(node(1), LONG).await.unwrap();
    let taken = BusError::Taken(node(1));
    assert_eq!(refusal(other.alive(node(1), LONG)).await, taken);
    assert_eq!(refusal(one.alive(node(1), LONG)).await, taken);
}

#[tokio::test]
async fn installations_with_prefixes_of_their_own_share_a_server() {
    let server = Server::start("");
    let one = bus(&server.url());
    let other = bus(&format!("{}?prefix=other:", server.url()));
    let elsewhere = bus(&format!("{}/1", server.url()));
    one.alive(node(1), LONG).await.unwrap();
    other.alive(node(2), LONG).await.unwrap();
    elsewhere.alive(node(3), LONG).await.unwrap();
    assert_eq!(one.nodes().await.unwrap(), [node(1)]);
    assert_eq!(other.nodes().await.unwrap(), [node(2)]);
    assert_eq!(elsewhere.nodes().await.unwrap(), [node(3)]);
    let mut hearing = hear(&one, 1).await;
    for stranger in [&other, &elsewhere] {
        assert!(!stranger.send(node(1), b"not yours").await.unwrap());
        stranger.send_all(b"not yours").await.unwrap();
    }
    one.send_all(b"yours").await.unwrap();
    assert_eq!(next(&mut hearing).await, post("yours"));
}
