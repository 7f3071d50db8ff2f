//! A cluster: two servers that have half of the slots each.

use std::time::Duration;

use store::bus::BusError;

use crate::node::{bus, entry, hear, next, node, post, refusal, set, until, until_down, until_up};
use crate::server::{Server, free_port};

fn member() -> Server {
    Server::start_with(|port, _| {
        format!(
            "port {port}\nsave \"\"\ncluster-enabled yes\ncluster-port {}\ncluster-node-timeout 1000",
            free_port()
        )
    })
}

async fn cluster() -> [Server; 2] {
    let members = [member(), member()];
    let [one, other] = &members;
    one.say(&["CLUSTER", "ADDSLOTSRANGE", "0", "8191"]);
    other.say(&["CLUSTER", "ADDSLOTSRANGE", "8192", "16383"]);
    // The port of its bus stands behind the @ in what it says of itself.
    let said = other.say(&["CLUSTER", "NODES"]);
    let (_, rest) = said.split_once('@').unwrap();
    let bus_port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    one.say(&[
        "CLUSTER",
        "MEET",
        "127.0.0.1",
        &other.port.to_string(),
        &bus_port,
    ]);
    for member in &members {
        let info = || async { member.say(&["CLUSTER", "INFO"]) };
        until("the cluster is well", info, |info| {
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:2")
        })
        .await;
    }
    members
}

#[tokio::test]
async fn a_cluster_is_a_bus() {
    let [one, other] = cluster().await;
    let by_one = bus(&format!("redis+cluster://127.0.0.1:{}", one.port));
    // The first is not there.
    let by_other = bus(&format!(
        "redis+cluster://127.0.0.1:1,127.0.0.1:{}",
        other.port
    ));
    let (mut first, mut second) = (hear(&by_one, 1).await, hear(&by_other, 2).await);
    for (from, to, hearing) in [(&by_one, 2, &mut second), (&by_other, 1, &mut first)] {
        assert!(from.send(node(to), b"to one").await.unwrap());
        assert_eq!(next(hearing).await, post("to one"));
    }
    by_one.send_all(b"to all").await.unwrap();
    assert_eq!(next(&mut first).await, post("to all"));
    assert_eq!(next(&mut second).await, post("to all"));

    let nodes: Vec<_> = (1..=20).map(node).collect();
    for number in &nodes {
        let changes = [set("bob", &number.to_string())];
        by_one
            .rewrite(*number, 1, &[entry("ann", "a")])
            .await
            .unwrap();
        let before = by_one
            .write(*number, 2, &changes, b"changed")
            .await
            .unwrap();
        assert_eq!(before, Some(1));
        by_one
            .alive(*number, Duration::from_secs(60))
            .await
            .unwrap();
        assert_eq!(next(&mut first).await, post("changed"));
        assert_eq!(next(&mut second).await, post("changed"));
        let loaded = by_other.load(*number).await.unwrap().unwrap();
        assert_eq!((loaded.version, loaded.entries.len()), (2, 2));
    }
    // They are on both.
    for server in [&one, &other] {
        assert_ne!(server.say(&["DBSIZE"]), "0\n");
    }
    assert_eq!(by_other.nodes().await.unwrap(), nodes);
    let found = by_other.look(&nodes, "bob").await.unwrap();
    let expected: Vec<_> = nodes
        .iter()
        .map(|node| (*node, node.to_string().into_bytes()))
        .collect();
    assert_eq!(found, expected);
    let claimed = by_other.claim().await.unwrap();
    assert!(!nodes.contains(&claimed));
    by_one.leave(node(3)).await.unwrap();
    assert_eq!(by_other.load(node(3)).await.unwrap(), None);
}

#[tokio::test]
async fn a_cluster_that_lacks_a_part_is_down_and_comes_back() {
    let [one, mut other] = cluster().await;
    let bus = bus(&format!("redis+cluster://127.0.0.1:{}", one.port));
    let mut hearing = hear(&bus, 1).await;
    bus.claim().await.unwrap();
    other.kill();
    let why = until_down(&mut hearing).await;
    assert!(why.contains("the state of the cluster is not ok"), "{why}");
    let error = refusal(bus.claim()).await;
    assert!(!matches!(error, BusError::Failed { .. }), "{error:?}");
    other.start_again();
    until_up(&mut hearing).await;
    let claiming = || async { bus.claim().await };
    let claimed = until("a number is claimed", claiming, Result::is_ok).await;
    claimed.unwrap();
}
