//! What the tests of this folder share, and what an operator cannot have.

use model::{AccountId, Login, Trunk, TrunkName};

use super::config::{TrunkConfig, TrunkConfigFault};
use crate::wanted_trunk::WantedTrunk;

pub(super) fn trunk(name: &str, peers: &[&str]) -> Trunk {
    Trunk {
        account: AccountId(1),
        name: TrunkName::parse(name).unwrap(),
        peers: peers.iter().map(|peer| peer.parse().unwrap()).collect(),
        networks: Vec::new(),
        domain: "sip.example.com".to_owned(),
        login: None,
        registration: None,
        check: None,
        numbers: Vec::new(),
        caller: None,
        is_trusted: false,
    }
}

fn wanted(name: &str, peers: &[&str]) -> WantedTrunk {
    WantedTrunk {
        login: Login::parse("1-2-0/ann").unwrap(),
        trunk: trunk(name, peers),
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
            "place of six: no datagram gets from 0.0.0.0:5060 to the peer [2001:db8::1]:5060",
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
