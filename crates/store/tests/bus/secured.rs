//! Passwords, rights and TLS.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use store::bus::BusError;

use crate::node::{bus, hear, next, node, post, refusal, set, until, until_down};
use crate::server::{Server, free_port};

fn url(server: &Server, login: &str) -> String {
    format!("redis://{login}@127.0.0.1:{}", server.port)
}

#[tokio::test]
async fn who_has_the_password_comes_in_and_nobody_else() {
    let server = Server::start("requirepass hush/hush");
    let right = bus(&url(&server, ":hush%2Fhush"));
    let mut hearing = hear(&right, 1).await;
    right.send(node(1), b"hello").await.unwrap();
    assert_eq!(next(&mut hearing).await, post("hello"));
    for wrong in [
        url(&server, ":hush"),
        url(&server, "ann:hush"),
        server.url(),
    ] {
        let wrong = bus(&wrong);
        let error = refusal(wrong.send(node(1), b"hello")).await;
        assert!(matches!(error, BusError::Refused { .. }), "{error:?}");
        let why = until_down(&mut wrong.hear(node(1))).await;
        assert!(why.contains("refuses user or password"), "{why}");
        assert!(!why.contains("hush"), "{why}");
    }
}

#[tokio::test]
async fn the_rights_that_are_named_are_enough_and_what_lacks_is_said() {
    let rights = "+@hash +@set +@string +@keyspace +@transaction +@pubsub +@connection";
    let server = Server::start(&format!(
        "user node on >hush ~offhook:* &offhook:* -@all {rights}\n\
         user deaf on >hush ~offhook:* -@all {rights}\n\
         user dumb on >hush ~offhook:* &offhook:* -@all {rights} -publish -hset"
    ));
    let bus_of = |user: &str| bus(&url(&server, &format!("{user}:hush")));
    let able = bus_of("node");
    let mut hearing = hear(&able, 1).await;
    let number = able.claim().await.unwrap();
    able.alive(number, std::time::Duration::from_secs(60))
        .await
        .unwrap();
    assert_eq!(able.nodes().await.unwrap(), [number]);
    able.rewrite(number, 1, &[]).await.unwrap();
    let changes = [set("bob", "a"), ("ann".to_owned(), None)];
    able.write(number, 2, &changes, b"changed").await.unwrap();
    assert_eq!(next(&mut hearing).await, post("changed"));
    assert_eq!(able.load(number).await.unwrap().unwrap().version, 2);
    assert_eq!(able.look(&[number], "bob").await.unwrap().len(), 1);
    able.leave(number).await.unwrap();

    let why = until_down(&mut bus_of("deaf").hear(node(1))).await;
    assert!(why.contains("does not allow it (NOPERM"), "{why}");
    for error in [
        refusal(bus_of("dumb").send(node(1), b"hello")).await,
        refusal(bus_of("dumb").write(node(1), 1, &changes, b"")).await,
        refusal(bus_of("deaf").send_all(b"hello")).await,
    ] {
        assert!(matches!(error, BusError::Forbidden { .. }), "{error:?}");
    }
}

/// A server that speaks TLS only, with a certificate for 127.0.0.1, and the file of whoever issued it.
fn secured(lines: &str) -> (Server, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Another name than what it issues has.
    let name = &mut authority.distinguished_name;
    name.push(DnType::CommonName, "authority");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut own = CertificateParams::new(Vec::new()).unwrap();
    own.subject_alt_names = vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
    let own = own.signed_by(&key, &authority).unwrap();
    let write = |dir: &Path, name: &str, text: String| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let folder = std::cell::RefCell::default();
    let server = Server::start_with(|port, dir| {
        *folder.borrow_mut() = write(dir, "ca.pem", authority.pem());
        let ca = folder.borrow();
        let (cert, key) = (
            write(dir, "cert.pem", own.pem()),
            write(dir, "key.pem", key.serialize_pem()),
        );
        format!(
            "port 0\ntls-port {port}\ntls-cert-file {cert}\ntls-key-file {key}\ntls-ca-cert-file {ca}\n\
             tls-auth-clients no\nsave \"\"\nrequirepass hush\n{lines}"
        )
    });
    (server, folder.into_inner())
}

#[tokio::test]
async fn tls_trusts_the_authority_that_is_named_and_no_other() {
    let (server, ca) = secured("");
    let address = format!("rediss://:hush@127.0.0.1:{}", server.port);
    let right = bus(&format!("{address}?ca={ca}"));
    let mut hearing = hear(&right, 1).await;
    right.send(node(1), b"hello").await.unwrap();
    assert_eq!(next(&mut hearing).await, post("hello"));
    // Those of this machine have not issued it.
    let wrong = bus(&address);
    let error = refusal(wrong.claim()).await;
    assert!(matches!(error, BusError::Untrusted { .. }), "{error:?}");
    let why = until_down(&mut wrong.hear(node(1))).await;
    assert!(why.contains("UnknownIssuer"), "{why}");
    // And it is none for this name.
    let named = format!("rediss://:hush@localhost:{}?ca={ca}", server.port);
    let error = refusal(bus(&named).claim()).await;
    assert!(matches!(error, BusError::Untrusted { .. }), "{error:?}");
}

#[tokio::test]
async fn a_cluster_may_be_secured_as_well() {
    let lines = format!(
        "cluster-enabled yes\ntls-cluster yes\ncluster-port {}",
        free_port()
    );
    let (server, ca) = secured(&lines);
    let say = |words: &[&str]| {
        let secrets = ["--tls", "--cacert", &ca, "-a", "hush"];
        server.say(&[&secrets, words].concat())
    };
    assert_eq!(say(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), "OK\n");
    let info = || async { say(&["CLUSTER", "INFO"]) };
    let is_well = |info: &String| info.contains("cluster_state:ok");
    until("the cluster is well", info, is_well).await;
    let address = format!("rediss+cluster://:hush@127.0.0.1:{}", server.port);
    let right = bus(&format!("{address}?ca={ca}"));
    let mut hearing = hear(&right, 1).await;
    right.rewrite(node(1), 1, &[]).await.unwrap();
    let changes = [set("bob", "a")];
    right.write(node(1), 2, &changes, b"changed").await.unwrap();
    assert_eq!(next(&mut hearing).await, post("changed"));
    assert_eq!(right.load(node(1)).await.unwrap().unwrap().version, 2);
    let error = refusal(bus(&address).claim()).await;
    assert!(matches!(error, BusError::Untrusted { .. }), "{error:?}");
}

#[tokio::test]
async fn tls_where_there_is_none_and_none_where_there_is_fail_soon() {
    let plain = Server::start("");
    let error = refusal(bus(&format!("rediss://127.0.0.1:{}", plain.port)).claim()).await;
    let said = error.to_string();
    assert!(said.contains("127.0.0.1"), "{said}");
    let (server, _) = secured("");
    let error = refusal(bus(&url(&server, ":hush")).claim()).await;
    assert!(matches!(error, BusError::Unreachable { .. }), "{error:?}");
}

#[test]
fn a_file_of_authorities_that_is_none_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let url = format!("rediss://:hush@127.0.0.1?ca={}", path.display());
    let new = || store::bus::Bus::new(url.parse().unwrap()).unwrap_err();
    let error = new();
    assert!(error.to_string().contains("cannot be read"), "{error}");
    std::fs::write(&path, "no certificate").unwrap();
    let error = new();
    assert!(
        error.to_string().contains("holds no certificate"),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("hush"), "{error:?}");
}
