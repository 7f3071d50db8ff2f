//! The bindings of nodes.

use std::time::Duration;

use model::limits;
use store::bus::{Bus, BusError};

use crate::node::{bus, entry, node, refusal, set, until_it_changes};
use crate::server::Server;

/// In the order of their names.
async fn load(bus: &Bus, number: u16) -> Option<(u64, Vec<(String, Vec<u8>)>)> {
    let mut loaded = bus.load(node(number)).await.unwrap()?;
    loaded.entries.sort();
    Some((loaded.version, loaded.entries))
}

#[tokio::test]
async fn what_is_written_is_read_with_its_version() {
    let server = Server::start("");
    let bus = bus(&server.url());
    assert_eq!(load(&bus, 1).await, None);
    bus.rewrite(node(1), 1, &[]).await.unwrap();
    assert_eq!(load(&bus, 1).await, Some((1, vec![])));
    let changes = [set("bob", "a"), set("ann", "\0\r\n"), set("", "nameless")];
    assert_eq!(bus.write(node(1), 2, &changes, b"").await.unwrap(), Some(1));
    let changes = [
        set("bob", "b"),
        ("ann".to_owned(), None),
        ("cy".to_owned(), None),
    ];
    assert_eq!(bus.write(node(1), 7, &changes, b"").await.unwrap(), Some(2));
    let written = vec![entry("", "nameless"), entry("bob", "b")];
    assert_eq!(load(&bus, 1).await, Some((7, written)));
    assert_eq!(load(&bus, 2).await, None);
    // Of several changes of one the last counts.
    let gone = |name: &str| (name.to_owned(), None);
    let changes = [set("cy", "a"), gone("cy"), gone("bob"), set("bob", "b")];
    assert_eq!(bus.write(node(1), 8, &changes, b"").await.unwrap(), Some(7));
    let written = vec![entry("", "nameless"), entry("bob", "b")];
    assert_eq!(load(&bus, 1).await, Some((8, written)));
    // Names of ours are no names of theirs.
    let changes = [set("version", "a"), set("whole", "b")];
    assert_eq!(
        bus.write(node(1), u64::MAX, &changes, b"").await.unwrap(),
        Some(8)
    );
    let (version, entries) = load(&bus, 1).await.unwrap();
    assert_eq!((version, entries.len()), (u64::MAX, 4));
    bus.leave(node(1)).await.unwrap();
    assert_eq!(load(&bus, 1).await, None);
}

#[tokio::test]
async fn what_was_forgotten_is_not_taken_for_whole_until_it_is_written_anew() {
    let server = Server::start("");
    let bus = bus(&server.url());
    let long = Duration::from_secs(60);
    bus.rewrite(node(1), 1, &[entry("bob", "a"), entry("ann", "a")])
        .await
        .unwrap();
    assert_eq!(bus.alive(node(1), long).await.unwrap(), Some(1));
    server.say(&["FLUSHALL"]);
    assert_eq!(bus.alive(node(1), long).await.unwrap(), None);
    assert_eq!(
        bus.write(node(1), 2, &[set("bob", "b")], b"")
            .await
            .unwrap(),
        None
    );
    assert_eq!(load(&bus, 1).await, None);
    assert_eq!(bus.alive(node(1), long).await.unwrap(), None);
    let all = vec![entry("ann", "a"), entry("bob", "b")];
    bus.rewrite(node(1), 3, &all).await.unwrap();
    assert_eq!(load(&bus, 1).await, Some((3, all)));
    assert_eq!(bus.alive(node(1), long).await.unwrap(), Some(3));
}

#[tokio::test]
async fn a_hundred_thousand_are_written_anew_and_read_while_others_are_served() {
    let server = Server::start("slowlog-log-slower-than 0\nslowlog-max-len 100000");
    let bus = bus(&server.url());
    bus.rewrite(node(1), 1, &[entry("old", "old")])
        .await
        .unwrap();
    let mut all: Vec<_> = (0..100_000)
        .map(|number| entry(&format!("client{number:06}"), &"x".repeat(100)))
        .collect();
    all.push(entry("large", &"y".repeat(limits::BUS_COMMAND_BYTES)));
    all.sort();
    let writing = bus.rewrite(node(1), 2, &all);
    tokio::pin!(writing);
    let (mut seen, nodes) = (0, [node(1)]);
    loop {
        tokio::select! {
            written = &mut writing => break written.unwrap(),
            found = bus.look(&nodes, "old") => {
                // As it was before, or else all is as it is to be.
                if found.unwrap().is_empty() {
                    assert_eq!(load(&bus, 1).await.unwrap().1.len(), all.len());
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 0, "nobody looked meanwhile");
    let (version, entries) = load(&bus, 1).await.unwrap();
    assert_eq!(version, 2);
    assert!(entries == all);
    let commands = server.say(&["SLOWLOG", "LEN"]);
    let commands: usize = commands.trim().parse().unwrap();
    assert!(
        commands > all.len() / limits::BUS_COMMAND_FIELDS,
        "{commands}"
    );
    assert_eq!(server.say(&["EXISTS", "offhook:{n1}:fresh"]), "0\n");
}

#[tokio::test]
async fn a_binding_is_looked_for_on_several_nodes_at_once() {
    let server = Server::start("");
    let bus = bus(&server.url());
    for number in [1, 2, 3] {
        let value = format!("on {number}");
        let changes = [set("bob", &value)];
        bus.write(node(number), 1, &changes[usize::from(number == 2)..], b"")
            .await
            .unwrap();
    }
    let nodes = [node(3), node(2), node(1), node(4)];
    let found = bus.look(&nodes, "bob").await.unwrap();
    assert_eq!(
        found,
        [(node(3), b"on 3".to_vec()), (node(1), b"on 1".to_vec())]
    );
    assert_eq!(bus.look(&nodes, "ann").await.unwrap(), []);
    assert_eq!(bus.look(&[], "bob").await.unwrap(), []);
}

#[tokio::test]
async fn bindings_go_when_their_node_says_nothing_any_more() {
    let server = Server::start("");
    let bus = bus(&server.url());
    let key = "offhook:{n1}:bindings";
    let most = u64::try_from(limits::BUS_BINDINGS_TIME.as_millis()).unwrap();
    let check = |after: &str| {
        let rest: u64 = server.say(&["PTTL", key]).trim().parse().expect(after);
        assert!(rest > most / 2 && rest <= most, "{after}: {rest}");
        server.say(&["PEXPIRE", key, "5000"]);
    };
    bus.rewrite(node(1), 1, &[entry("bob", "a")]).await.unwrap();
    check("rewrite");
    bus.write(node(1), 2, &[], b"").await.unwrap();
    check("write");
    bus.alive(node(1), Duration::from_secs(1)).await.unwrap();
    check("alive");
    server.say(&["PEXPIRE", key, "1"]);
    let loading = || async { load(&bus, 1).await };
    crate::node::until("the bindings are gone", loading, Option::is_none).await;
}

#[tokio::test]
async fn a_step_that_is_too_large_is_refused_and_changes_nothing() {
    let server = Server::start("");
    let bus = bus(&server.url());
    bus.rewrite(node(1), 1, &[]).await.unwrap();
    let value = "x".repeat(limits::BUS_STEP_BYTES / 2);
    let changes = [set("a", &value), set("b", &value)];
    let error = refusal(bus.write(node(1), 2, &changes, b"post")).await;
    assert!(matches!(error, BusError::TooLarge { .. }), "{error}");
    let larger = [entry("a", &value.repeat(3))];
    let error = refusal(bus.rewrite(node(1), 2, &larger)).await;
    assert!(matches!(error, BusError::TooLarge { .. }), "{error}");
    assert_eq!(load(&bus, 1).await, Some((1, vec![])));
}

#[tokio::test]
async fn a_key_that_somebody_else_wrote_is_said() {
    let server = Server::start("");
    let bus = bus(&server.url());
    server.say(&["SET", "offhook:{n1}:bindings", "text"]);
    for error in [
        refusal(bus.load(node(1))).await,
        refusal(bus.write(node(1), 1, &[set("a", "b")], b"")).await,
    ] {
        assert!(matches!(error, BusError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains("WRONGTYPE"), "{error}");
    }
}

#[tokio::test]
async fn what_the_bus_forgets_while_it_is_written_anew_is_not_taken_for_whole() {
    let server = Server::start("");
    let bus = bus(&server.url());
    let all: Vec<_> = (0..50_000)
        .map(|number| entry(&format!("client{number:06}"), "x"))
        .collect();
    for forgetting in [
        "HDEL offhook:{n1}:fresh :client000000",
        "DEL offhook:{n1}:fresh",
    ] {
        bus.rewrite(node(1), 1, &[entry("old", "old")])
            .await
            .unwrap();
        let (written, ()) = tokio::join!(
            bus.rewrite(node(1), 2, &all),
            until_it_changes(&server, forgetting),
        );
        let error = written.unwrap_err();
        assert!(matches!(error, BusError::Damaged { .. }), "{error:?}");
        assert_eq!(load(&bus, 1).await, None);
    }
}
