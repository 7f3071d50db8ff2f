//! What the tests of this folder share, and what an operator cannot have.

use std::net::IpAddr;
use std::sync::Arc;

use model::{AccountId, Login, PeerPlace, Trunk, TrunkMedia, TrunkName, TrunkTransport};
use switch::Snapshot;

use super::config::{TrunkConfig, TrunkConfigFault};
use super::{Door, Lines};
use crate::account_file::AccountFiles;
use crate::config::Config;
use crate::effect::Outlets;
use crate::errand::Errands;
use crate::shell_counter::ShellCounter;
use crate::signalling::{Published, Signalling};
use crate::sound::{Sounds, SpeechConfig};
use crate::telemetry::Counters;
use crate::wanted_trunk::{Authority, WantedTrunk};
use crate::webhook::Pages;

pub(super) fn trunk(name: &str, peers: &[&str]) -> Trunk {
    let peers: Vec<_> = peers.iter().map(|peer| peer.parse().unwrap()).collect();
    Trunk {
        account: AccountId(1),
        name: TrunkName::parse(name).unwrap(),
        transport: TrunkTransport::Udp,
        media: TrunkMedia::Rtp,
        places: PeerPlace::addresses(&peers),
        peers,
        former: Vec::new(),
        networks: Vec::new(),
        domain: "sip.example.com".to_owned(),
        login: None,
        registration: None,
        check: None,
        numbers: Vec::new(),
        caller: None,
        session: None,
        is_trusted: false,
        transfer: Default::default(),
    }
}

fn wanted(name: &str, peers: &[&str]) -> WantedTrunk {
    WantedTrunk {
        login: Login::parse("1-2-0/ann").unwrap(),
        trunk: trunk(name, peers),
        ca: Authority::System,
        place: format!("place of {name}"),
    }
}

fn config(trunks: Vec<WantedTrunk>) -> TrunkConfig {
    TrunkConfig {
        trunks,
        ..TrunkConfig::default()
    }
}

#[test]
fn a_fault_is_told_with_the_place_of_the_trunk() {
    let one = || wanted("one", &["192.0.2.1:5060"]);
    assert_eq!(config(vec![one()]).check(), Ok(()));
    for (trunks, words) in [
        (
            vec![wanted("none", &[])],
            "place of none: a trunk needs at least one peer",
        ),
        (
            vec![one(), wanted("two", &["192.0.2.2:5060", "192.0.2.1:5060"])],
            "place of two: 192.0.2.1:5060 is a peer of the trunk at place of one as well",
        ),
        (
            vec![wanted("six", &["[2001:db8::1]:5060"])],
            "place of six: nothing gets from 0.0.0.0:5060 to the peer [2001:db8::1]:5060",
        ),
    ] {
        let sentence = config(trunks).check().unwrap_err().to_string();
        assert!(sentence.starts_with(words), "{sentence}");
    }
    let many = (0..=model::limits::TRUNKS).map(|at| {
        let peer = format!("192.0.2.1:{}", at + 1);
        wanted(&format!("n{at}"), &[&peer])
    });
    let fault = config(many.collect()).check().unwrap_err();
    assert!(matches!(fault, TrunkConfigFault::TooMany { .. }), "{fault}");
}

#[test]
fn all_addresses_of_ipv6_reach_both_kinds_of_peers() {
    let both = || vec![wanted("both", &["192.0.2.1:5060", "[2001:db8::1]:5060"])];
    for (listen, is_right) in [
        ("[::]:5060", true),
        ("0.0.0.0:5060", false),
        ("[2001:db8::7]:5060", false),
        ("224.0.0.1:5060", false),
    ] {
        let config = TrunkConfig {
            listen: listen.parse().unwrap(),
            ..config(both())
        };
        assert_eq!(config.check().is_ok(), is_right, "{listen}");
    }
    let config = TrunkConfig {
        address: Some("0.0.0.0".parse().unwrap()),
        ..config(Vec::new())
    };
    assert!(
        config
            .check()
            .unwrap_err()
            .to_string()
            .contains("--trunk-address")
    );
}

/// A door on loopback, and the configuration of its one trunk.
fn door(peer: &str) -> (Door, TrunkConfig) {
    let config = TrunkConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        ..config(vec![wanted("one", &[peer])])
    };
    (Door::bind(&config, None).unwrap().unwrap(), config)
}

#[tokio::test]
async fn peers_outside_are_told_what_a_nat_makes_of_our_address() {
    let ip = |text: &str| -> IpAddr { text.parse().unwrap() };
    let nat = [(ip("127.0.0.1"), ip("203.0.113.7"))];
    for (peer, told) in [
        ("9.9.9.9:5060", "203.0.113.7"),
        ("10.0.0.20:5060", "127.0.0.1"),
    ] {
        let (door, mut config) = door(peer);
        let trunk = config.trunks[0].trunk.clone();
        let own = door.own(&config, &trunk, &nat).unwrap();
        assert_eq!(
            (own.ip(), own.port()),
            (ip(told), door.local.unwrap().port())
        );
        config.address = Some(ip("198.51.100.1"));
        let own = door.own(&config, &trunk, &nat).unwrap();
        assert_eq!(own.ip(), ip("198.51.100.1"));
    }
    let anywhere = TrunkConfig {
        listen: "[::]:0".parse().unwrap(),
        ..config(vec![wanted("near", &["127.0.0.1:5060"])])
    };
    let door = Door::bind(&anywhere, None).unwrap().unwrap();
    let own = door
        .own(&anywhere, &anywhere.trunks[0].trunk, &nat)
        .unwrap();
    assert_eq!(own.ip(), ip("127.0.0.1"));
}

#[tokio::test]
async fn lines_have_numbers_that_no_session_has_and_what_is_for_neither_is_dropped() {
    let (door, config) = door("127.0.0.2:5060");
    let lines = Lines::new(
        vec![config.trunks[0].trunk.clone()],
        &door,
        model::NodeNumber::ALONE,
    );
    let trunks = lines.trunks();
    let data = tempfile::tempdir().unwrap();
    let sounds = Sounds::new(
        Arc::new(AccountFiles::new(data.path())),
        &SpeechConfig::default(),
    );
    let errands = Errands::new(Pages::new(&Config::default()).unwrap(), sounds);
    let outlets = Outlets {
        cluster: None,
        records: Arc::default(),
        counters: Arc::default(),
        relay: None,
        gateway: None,
        lines: None,
        errands: Arc::new(errands),
    };
    let mut snapshot = Snapshot::default();
    snapshot.settings.trunks = lines.trunks();
    let signalling = Signalling::new(1, Published::new(snapshot), outlets);
    let session = Arc::new(signalling).open();
    assert_ne!(session.connection, trunks[0].0);

    let counters = Counters::default();
    lines.put(session.connection, b"lost".to_vec(), &counters);
    lines.put(trunks[0].0, b"kept".to_vec(), &counters);
    let mail = lines.inbox.take();
    assert_eq!(mail.messages, [(0, b"kept".to_vec())]);
    let full = ShellCounter::TrunkFull.as_str();
    assert!(counters.listing().any(|count| count == (full, 0)));
}

#[test]
fn our_own_socket_is_known_by_each_of_its_addresses() {
    let nat = [(
        "10.0.0.1".parse().unwrap(),
        "203.0.113.7".parse::<IpAddr>().unwrap(),
    )];
    let told = Some("198.51.100.9".parse().unwrap());
    let is_own = |local: &str, peer: &str| {
        let (local, peer) = (local.parse().unwrap(), peer.parse().unwrap());
        super::door::is_own(local, told, peer, &nat)
    };
    for (local, peer) in [
        ("0.0.0.0:5060", "127.0.0.2:5060"),
        ("[::]:5060", "[::ffff:127.0.0.1]:5060"),
        ("0.0.0.0:5060", "203.0.113.7:5060"),
        ("0.0.0.0:5060", "198.51.100.9:5060"),
        ("192.0.2.1:5060", "192.0.2.1:5060"),
    ] {
        assert!(is_own(local, peer), "{local} {peer}");
    }
    for (local, peer) in [
        ("0.0.0.0:5060", "127.0.0.1:5070"),
        ("127.0.0.1:5060", "127.0.0.2:5060"),
        ("192.0.2.1:5060", "192.0.2.2:5060"),
    ] {
        assert!(!is_own(local, peer), "{local} {peer}");
    }
}
