//! Several nodes and a real Redis between them: what clients, operators and web services meet.

use std::path::Path;

use node::Config;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::http::get;
use crate::redis::Server as Redis;
use crate::resume::{Phone, assert_gone, call};
use crate::server::{Server, Site, until};
use crate::sip_proxy::Client;
use crate::words::{SDP, accept, answer, ended};

/// Nodes that have the same accounts. Each has a copy of the store, since a file has one server.
struct Cluster {
    site: Site,
    redis: Redis,
    nodes: Vec<(Server, TempDir)>,
    drain_s: u64,
}

impl Cluster {
    async fn new(nodes: usize) -> Self {
        let site = Site::new().await;
        let mut cluster = Self {
            site,
            redis: Redis::start(""),
            nodes: Vec::new(),
            drain_s: 0,
        };
        for _ in 0..nodes {
            cluster.add().await;
        }
        cluster
    }

    async fn add(&mut self) {
        let dir = tempfile::tempdir().unwrap();
        copy(self.site.dir.path(), dir.path());
        let config = Config {
            data: dir.path().to_owned(),
            bus: Some(self.redis.url().parse().unwrap()),
            drain_s: self.drain_s,
            ..self.site.config()
        };
        self.nodes.push((Server::start(config).await, dir));
    }

    fn node(&self, at: usize) -> &Server {
        &self.nodes[at].0
    }

    async fn client(&self, at: usize, name: &str) -> Client<TcpStream> {
        Client::connect(&self.site, self.node(at), name).await
    }

    /// A client that is registered on a node.
    async fn registered(&self, at: usize, name: &str) -> Client<TcpStream> {
        let token = self.token(name).await;
        let mut client = self.client(at, name).await;
        let registered = client.register(&token).await;
        assert!(registered.starts_with("SIP/2.0 200 "), "{registered}");
        client
    }

    async fn token(&self, name: &str) -> String {
        self.site.token(self.node(0), name).await
    }

    /// Who is registered, by the web service of a node.
    async fn clients(&self, at: usize) -> Vec<String> {
        let list = self.site.log_in(get("/webrtc_registered_clients"));
        let list = self.node(at).send(list).await.json();
        let entries = list.as_array().unwrap().iter();
        entries
            .map(|entry| entry["client_id"].as_str().unwrap().to_owned())
            .collect()
    }

    async fn until_listed(&self, at: usize, names: &[&str]) {
        until(async || self.clients(at).await == names).await;
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

async fn hears(client: &mut Client<TcpStream>, beginning: &str) -> String {
    loop {
        let message = client.hear().await;
        if message.starts_with(beginning) {
            return message;
        }
    }
}

/// Two clients in a call; the caller's 200 and the callee's INVITE.
async fn connected(
    cluster: &Cluster,
    caller: &mut Client<TcpStream>,
    callee: &mut Client<TcpStream>,
) -> (String, String) {
    let token = cluster.token(&caller.words.name).await;
    let name = callee.words.name.clone();
    caller.invite(&token, &name).await;
    let invite = hears(callee, "INVITE ").await;
    callee.ring(&invite).await;
    hears(caller, "SIP/2.0 180 ").await;
    callee.say(accept(&invite)).await;
    let ok = hears(caller, "SIP/2.0 200 ").await;
    let ack = caller.words.within(&ok, "ACK", "");
    caller.say(ack).await;
    hears(callee, "ACK ").await;
    (ok, invite)
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_on_different_nodes_are_listed_on_all_and_call_each_other() {
    let cluster = Cluster::new(3).await;
    let mut ann = cluster.registered(0, "ann").await;
    let mut bob = cluster.registered(1, "bob").await;
    for at in 0..3 {
        cluster.until_listed(at, &["ann", "bob"]).await;
    }
    let (ok, _) = connected(&cluster, &mut ann, &mut bob).await;
    let bye = ann.words.within(&ok, "BYE", "");
    ann.say(bye).await;
    hears(&mut ann, "SIP/2.0 200 ").await;
    let bye = hears(&mut bob, "BYE ").await;
    bob.say(answer(&bye, "200 OK", "", "")).await;

    // Whoever leaves is gone everywhere.
    drop(bob);
    for at in 0..3 {
        cluster.until_listed(at, &["ann"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_joins_knows_all_and_one_that_leaves_takes_its_clients_along() {
    let mut cluster = Cluster::new(2).await;
    let mut ann = cluster.registered(0, "ann").await;
    let mut bob = cluster.registered(1, "bob").await;
    cluster.add().await;
    cluster.until_listed(2, &["ann", "bob"]).await;
    connected(&cluster, &mut ann, &mut bob).await;
    let (leaving, _dir) = cluster.nodes.remove(1);
    leaving.stop().await;
    let bye = hears(&mut ann, "BYE ").await;
    assert!(bye.contains("Reason: SIP"), "{bye}");
    for at in 0..2 {
        cluster.until_listed(at, &["ann"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_a_node_goes_on_alone_and_afterwards_knows_all_again() {
    let mut cluster = Cluster::new(2).await;
    let mut ann = cluster.registered(0, "ann").await;
    let mut cat = cluster.registered(0, "cat").await;
    let _bob = cluster.registered(1, "bob").await;
    cluster.until_listed(0, &["ann", "bob", "cat"]).await;
    cluster.redis.kill();
    // As soon as it is noticed, whoever calls across is told so.
    let token = cluster.token("ann").await;
    loop {
        ann.invite(&token, "bob").await;
        let refused = loop {
            let said = ann.hear().await;
            if !said.starts_with("SIP/2.0 1") {
                break said;
            }
        };
        if refused.contains("cannot be reached") {
            assert!(refused.starts_with("SIP/2.0 480 "), "{refused}");
            break;
        }
    }
    let (ok, _) = connected(&cluster, &mut ann, &mut cat).await;
    let bye = ann.words.within(&ok, "BYE", "");
    ann.say(bye).await;
    hears(&mut cat, "BYE ").await;
    let _eve = cluster.registered(0, "eve").await;
    cluster.redis.start_again();
    cluster.until_listed(1, &["ann", "bob", "cat", "eve"]).await;
    cluster.until_listed(0, &["ann", "bob", "cat", "eve"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_back_to_another_node_goes_on_there_with_its_call() {
    let cluster = Cluster::new(3).await;
    let mut ann = cluster.registered(0, "ann").await;
    let mut bob = Phone::registered(&cluster.site, cluster.node(1), "bob").await;
    cluster.until_listed(0, &["ann", "bob"]).await;
    let ok = call(&cluster.site, cluster.node(0), &mut ann, &mut bob).await;
    for round in 0..9 {
        let to = (round + 2) % 3;
        let info = ann.words.within(&ok, "INFO", &format!("round {round}"));
        ann.say(info).await;
        bob.resume(cluster.node(to)).await;
        bob.acknowledge().await;
        let info = bob.hear().await;
        assert!(info.ends_with(&format!("round {round}")), "{info}");
        bob.say(&answer(&info, "200 OK", "", "")).await;
        hears(&mut ann, "SIP/2.0 200 ").await;
        cluster.until_listed(to, &["ann", "bob"]).await;
    }
    // Who has no credential gets nothing, and harms nobody.
    let (session, _) = bob.credential.split_once('.').unwrap();
    let wrong = format!("{session}.{}", "0".repeat(32));
    assert_gone(cluster.node(0), &wrong).await;

    let bye = ann.words.within(&ok, "BYE", "");
    ann.say(bye).await;
    let bye = bob.hear().await;
    assert!(bye.starts_with("BYE "), "{bye}");
}

/// A call of two clients that resume; gives the 200 that the caller got.
async fn talking(cluster: &Cluster, ann: &mut Phone, bob: &mut Phone) -> String {
    let token = cluster.token("ann").await;
    let invite = ann.words.invite(&token, "bob", SDP);
    ann.say(&invite).await;
    let invite = bob.hear().await;
    assert!(invite.starts_with("INVITE "), "{invite}");
    bob.say(&accept(&invite)).await;
    let ok = loop {
        let said = ann.hear().await;
        if said.starts_with("SIP/2.0 200 ") {
            break said;
        }
    };
    let ack = ann.words.within(&ok, "ACK", "");
    ann.say(&ack).await;
    assert!(bob.hear().await.starts_with("ACK "));
    ok
}

#[tokio::test(flavor = "multi_thread")]
async fn rolling_restarts_lose_no_call_of_clients_that_resume() {
    let mut cluster = Cluster::new(0).await;
    cluster.drain_s = 60;
    for _ in 0..3 {
        cluster.add().await;
    }
    let mut ann = Phone::registered(&cluster.site, cluster.node(0), "ann").await;
    let mut bob = Phone::registered(&cluster.site, cluster.node(1), "bob").await;
    cluster.until_listed(0, &["ann", "bob"]).await;
    let ok = talking(&cluster, &mut ann, &mut bob).await;
    let mut places = [0, 1];
    // Each node that was there at first, and two of those that came in their place.
    for round in 0..5 {
        let (leaving, _dir) = cluster.nodes.remove(0);
        let leaves = tokio::spawn(leaving.stop());
        for (place, phone) in places.iter_mut().zip([&mut ann, &mut bob]) {
            if *place > 0 {
                *place -= 1;
                continue;
            }
            let told = ended(&mut phone.socket).await.expect("it is told why");
            assert_eq!(u16::from(told.code), 1012, "{told:?}");
            *place = round % 2;
            phone.resume(cluster.node(*place)).await;
            phone.acknowledge().await;
        }
        leaves.await.unwrap();
        cluster.add().await;
        cluster.until_listed(2, &["ann", "bob"]).await;
        let info = ann.words.within(&ok, "INFO", &format!("round {round}"));
        ann.say(&info).await;
        let info = bob.hear().await;
        assert!(info.ends_with(&format!("round {round}")), "{info}");
        bob.say(&answer(&info, "200 OK", "", "")).await;
        let said = ann.hear().await;
        assert!(said.starts_with("SIP/2.0 200 "), "{said}");
    }
    let bye = ann.words.within(&ok, "BYE", "");
    ann.say(&bye).await;
    assert!(bob.hear().await.starts_with("BYE "));
    let said = ann.hear().await;
    assert!(said.starts_with("SIP/2.0 200 "), "{said}");
}
