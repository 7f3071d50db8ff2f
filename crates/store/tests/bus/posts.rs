//! Messages between nodes.

use model::limits;
use store::bus::{BusError, Heard};
use tokio::time::timeout;

use crate::node::{bus, hear, next, node, post, refusal, set};
use crate::server::Server;

#[tokio::test]
async fn a_post_arrives_at_its_node_alone_and_one_to_all_at_all() {
    let server = Server::start("");
    let (one, other) = (bus(&server.url()), bus(&server.url()));
    let (mut first, mut second) = (hear(&one, 1).await, hear(&other, 2).await);
    assert!(one.send(node(2), b"to two").await.unwrap());
    assert!(other.send(node(1), b"to one").await.unwrap());
    one.send_all(b"to all").await.unwrap();
    assert!(!one.send(node(3), b"to nobody").await.unwrap());
    for (hearing, own) in [(&mut first, "to one"), (&mut second, "to two")] {
        assert_eq!(next(hearing).await, post(own));
        assert_eq!(next(hearing).await, post("to all"));
    }
    drop(second);
    let sending = || async { one.send(node(2), b"to nobody").await.unwrap() };
    crate::node::until("nobody is there", sending, |heard| !heard).await;
}

#[tokio::test]
async fn posts_may_be_any_bytes_and_keep_their_order() {
    let server = Server::start("");
    let bus = bus(&server.url());
    let mut hearing = hear(&bus, 1).await;
    let all: Vec<u8> = (0..=255).chain(*b"\r\n$3\r\n").collect();
    let large = vec![7; limits::BUS_POST_BYTES];
    for post in [&all[..], &[], &large] {
        assert!(bus.send(node(1), post).await.unwrap());
        assert_eq!(next(&mut hearing).await, Heard::Post(post.to_vec()));
    }
    for number in 0..1_000_u32 {
        bus.send(node(1), &number.to_be_bytes()).await.unwrap();
    }
    for number in 0..1_000_u32 {
        let post = Heard::Post(number.to_be_bytes().to_vec());
        assert_eq!(next(&mut hearing).await, post);
    }
    let larger = vec![7; limits::BUS_POST_BYTES + 1];
    let error = refusal(bus.send(node(1), &larger)).await;
    assert!(matches!(error, BusError::TooLarge { .. }), "{error}");
    let error = refusal(bus.send_all(&larger)).await;
    assert!(matches!(error, BusError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn what_is_given_up_while_it_waits_loses_nothing() {
    let server = Server::start("");
    let bus = bus(&server.url());
    let mut hearing = hear(&bus, 1).await;
    for number in 0..200_u32 {
        let waiting = timeout(std::time::Duration::from_micros(50), hearing.next());
        assert!(waiting.await.is_err(), "nothing was sent");
        bus.send(node(1), &number.to_be_bytes()).await.unwrap();
        let post = Heard::Post(number.to_be_bytes().to_vec());
        assert_eq!(next(&mut hearing).await, post);
    }
}

#[tokio::test]
async fn who_does_not_read_is_told_that_it_missed_something() {
    let server = Server::start("client-output-buffer-limit pubsub 0 0 0");
    let bus = bus(&server.url());
    let mut hearing = hear(&bus, 1).await;
    let large = vec![7; limits::BUS_POST_BYTES];
    for _ in 0..=limits::BUS_HEARD_BYTES / large.len() {
        bus.send(node(1), &large).await.unwrap();
    }
    let mut read = 0;
    let why = loop {
        match next(&mut hearing).await {
            Heard::Post(_) => read += 1,
            Heard::Down(why) => break why,
            Heard::Up => panic!("it was never down"),
        }
    };
    assert!(read < limits::BUS_HEARD_BYTES / large.len() + 1);
    assert!(why.contains("64 MiB of what redis://"), "{why}");
    crate::node::until_up(&mut hearing).await;
    bus.send(node(1), b"again").await.unwrap();
    assert_eq!(next(&mut hearing).await, post("again"));
}

#[tokio::test]
async fn a_change_of_bindings_tells_all_nodes_once_it_can_be_read() {
    let server = Server::start("");
    let bus = bus(&server.url());
    let mut hearing = hear(&bus, 2).await;
    let changes = [set("bob", "here")];
    bus.write(node(1), 1, &changes, b"changed").await.unwrap();
    assert_eq!(next(&mut hearing).await, post("changed"));
    let found = bus.look(&[node(1)], "bob").await.unwrap();
    assert_eq!(found, [(node(1), b"here".to_vec())]);
}
