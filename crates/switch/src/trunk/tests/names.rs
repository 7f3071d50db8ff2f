//! Where names lead: in which order that is tried, when DNS is asked again, and what stays when it fails.

use std::collections::BTreeMap;

use super::super::names::drawn;
use super::super::{Answer, NameFault, Target, without_others, without_own};
use super::incoming::{peer_request, reply};
use super::*;
use crate::random::Random;

const C: &str = "192.0.2.12:5060";
const NAME: &str = "sip.example.com";

fn target(priority: u16, weight: u16, addresses: &[&str]) -> Target {
    Target {
        priority,
        weight,
        host: Box::default(),
        addresses: addresses.iter().map(|at| address(at)).collect(),
    }
}

fn found(targets: &[Target], lasts: u64) -> Result<Answer, NameFault> {
    Ok(Answer {
        targets: targets.to_vec(),
        lasts: Duration::from_secs(lasts),
    })
}

fn named(places: &[&str]) -> Trunk {
    let place = |text: &&str| match text.parse() {
        Ok(address) => PeerPlace::Address(address),
        Err(_) => PeerPlace::Name(PeerName::parse(text).unwrap()),
    };
    let places: Vec<PeerPlace> = places.iter().map(place).collect();
    let peers = places.iter().filter_map(PeerPlace::address).collect();
    Trunk {
        places,
        peers,
        ..trunk(&[])
    }
}

impl Bench {
    fn resolve(&mut self, place: usize, answer: &Result<Answer, NameFault>) {
        let own = Some(address("198.51.100.9:5070"));
        self.handle(LineInput::Resolved { place, answer, own });
    }

    fn peers(&self) -> Vec<String> {
        let peers = self.line.trunk().peers.iter();
        peers.map(ToString::to_string).collect()
    }

    /// When DNS was asked since this was last asked.
    fn asked_at(&mut self) -> Vec<u64> {
        let all = std::mem::take(&mut self.names);
        all.into_iter().map(|(at, ..)| at).collect()
    }
}

#[test]
fn a_trunk_begins_without_its_name_and_has_its_peers_when_dns_answers() {
    let mut bench = Bench::new(named(&[NAME]));
    assert_eq!(bench.names[0].2.to_string(), NAME);
    let state = bench.state();
    assert_eq!(
        (state.peer, state.name),
        (None, Some((0, NameFault::NotYet)))
    );
    bench.send(&request("INVITE", 1, "z9hG4bK1-a", "", ""));
    assert!(bench.heard_one().starts_with("SIP/2.0 503"));
    bench.resolve(0, &found(&[target(20, 0, &[B]), target(10, 0, &[A])], 60));
    assert_eq!(bench.peers(), [A, B]);
    let state = bench.state();
    assert_eq!((state.peer, state.name), (Some(address(A)), None));
    assert_eq!(
        bench.trunks[0].0, 0,
        "it is admitted before anything is sent"
    );
    bench.send(&request("INVITE", 2, "z9hG4bK2-a", "", ""));
    let sent = bench.sent_one();
    assert!(row(&sent, "Via").contains("198.51.100.9:5070"), "{sent}");
}

#[test]
fn dns_is_asked_again_when_its_answer_ends_and_within_bounds() {
    let mut bench = Bench::new(named(&[NAME]));
    let one = [target(0, 0, &[A])];
    for (lasts, asked) in [(0, 30), (60, 60), (86_400, 3_600)] {
        bench.resolve(0, &found(&one, lasts));
        bench.asked_at();
        let at = bench.at;
        bench.wait(asked * 1_000 - 1);
        assert!(bench.asked_at().is_empty(), "{lasts}");
        bench.wait(1);
        assert_eq!(bench.asked_at(), [at + asked * 1_000], "{lasts}");
    }
    let at = bench.at;
    bench.resolve(0, &Err(NameFault::NoAnswer));
    bench.wait(10_000);
    assert_eq!(
        bench.asked_at(),
        [at + 10_000],
        "a failure is not waited out"
    );
    bench.handle(LineInput::Stop);
    bench.wait(4_000_000);
    assert!(bench.asked_at().is_empty());
}

#[test]
fn the_last_good_answer_stays_when_dns_fails() {
    let mut bench = Bench::new(named(&[NAME]));
    bench.resolve(0, &found(&[target(0, 0, &[A])], 60));
    for (answer, fault) in [
        (Err(NameFault::NoAnswer), NameFault::NoAnswer),
        (Err(NameFault::NoSuchName), NameFault::NoSuchName),
        (found(&[], 60), NameFault::NoAddress),
        (
            found(
                &[target(
                    0,
                    0,
                    &[
                        "224.0.0.1:5060",
                        "0.0.0.0:5060",
                        "[::ffff:255.255.255.255]:1",
                        "192.0.2.1:0",
                    ],
                )],
                60,
            ),
            NameFault::Nobody,
        ),
    ] {
        bench.resolve(0, &answer);
        let state = bench.state();
        assert_eq!(
            (state.peer, state.name),
            (Some(address(A)), Some((0, fault)))
        );
    }
    let told = bench.states.len();
    bench.resolve(0, &Err(NameFault::Nobody));
    assert_eq!(bench.states.len(), told, "the same is told once");
    bench.resolve(0, &found(&[target(0, 0, &[B, "224.0.0.1:5060"])], 60));
    assert_eq!(
        (bench.peers(), bench.state().name),
        (vec![B.to_owned()], None)
    );
    let own = [target(0, 0, &["127.0.0.1:5080", "10.0.0.1:5060"])];
    bench.resolve(0, &found(&own, 60));
    assert_eq!(bench.peers(), ["127.0.0.1:5080", "10.0.0.1:5060"]);
}

#[test]
fn a_host_that_dns_says_nothing_of_is_where_it_was() {
    let mut bench = Bench::new(named(&[NAME]));
    let host = |name: &str, addresses: &[&str]| Target {
        host: name.into(),
        ..target(0, 0, addresses)
    };
    let both = [host("a", &[A]), host("b", &[B])];
    bench.resolve(0, &found(&both, 60));
    let moved = found(&[host("a", &[C]), host("b", &[]), host("c", &[])], 0);
    let own = bench.line.trunk().as_ref().clone();
    bench.resolve(0, &without_others(moved, 0, [&own].into_iter()));
    let mut peers = bench.peers();
    peers.sort();
    assert_eq!(peers, [B, C]);
    assert_eq!(bench.state().name, None);
    bench.resolve(0, &found(&[host("a", &[C])], 60));
    assert_eq!(bench.peers(), [C], "it is a host of the name no longer");
}

#[test]
fn the_same_in_another_order_is_no_news_and_what_is_known_of_a_peer_is_kept() {
    let mut bench = Bench::new(Trunk {
        check: Some(Duration::from_secs(30)),
        ..named(&[NAME])
    });
    bench.resolve(0, &found(&[target(0, 0, &[A, B]), target(5, 0, &[C])], 60));
    assert_eq!(bench.trunks.len(), 1);
    bench.resolve(0, &found(&[target(5, 0, &[C]), target(0, 0, &[B, A])], 60));
    assert_eq!(
        (bench.trunks.len(), bench.peers()),
        (1, vec![A.into(), B.into(), C.into()])
    );
    bench.wait(65_000);
    assert_eq!(bench.state().peer, None);
    bench.resolve(0, &found(&[target(0, 0, &[B])], 60));
    assert_eq!(bench.state().peer, None, "it is still silent");
    bench.resolve(
        0,
        &found(
            &[target(0, 0, &[B]), target(1, 0, &["192.0.2.13:5060"])],
            60,
        ),
    );
    assert_eq!(bench.state().peer, Some(address("192.0.2.13:5060")));
}

#[test]
fn places_are_tried_in_their_order_and_addresses_are_always_among_them() {
    let mut bench = Bench::new(named(&["one.example.com", B, "two.example.com:5070"]));
    assert_eq!(bench.names.len(), 2);
    let own = address(OWN);
    assert_eq!((bench.line.own(), bench.peers()), (own, vec![B.into()]));
    bench.resolve(2, &found(&[target(0, 0, &[C])], 60));
    assert_eq!(
        (bench.line.own(), bench.peers()),
        (own, vec![B.into(), C.into()])
    );
    let many: Vec<String> = (1..40).map(|at| format!("203.0.113.{at}:5060")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut all = many.clone();
    all.push(B);
    bench.resolve(0, &found(&[target(0, 0, &all)], 60));
    let peers = bench.peers();
    assert_eq!(peers.len(), model::limits::TRUNK_TARGETS);
    assert_eq!((peers[0].as_str(), peers[15].as_str()), (many[0], B));
    assert_eq!(bench.line.own(), address("198.51.100.9:5070"));
}

#[test]
fn who_is_called_has_its_share_by_weight() {
    let mut bench = Bench::new(named(&[NAME]));
    bench.resolve(
        0,
        &found(
            &[target(0, 1, &[A]), target(0, 3, &[B]), target(1, 9, &[C])],
            60,
        ),
    );
    let mut shares: BTreeMap<SocketAddr, u32> = BTreeMap::new();
    for call in 0..400 {
        let branch = format!("z9hG4bK{call}-a");
        let text = request("INVITE", 1, &branch, "", "").replace("call-1", &format!("call-{call}"));
        bench.send(&text);
        let (_, to, _) = bench.sent().remove(0);
        *shares.entry(to).or_default() += 1;
    }
    let of = |at| shares.get(&address(at)).copied().unwrap_or(0);
    assert!((80..160).contains(&of(A)), "{shares:?}");
    assert_eq!((of(A) + of(B), of(C)), (400, 0));
}

#[test]
fn weights_are_drawn_as_rfc_2782_has_it() {
    let mut random = Random::new([7; 32]);
    let mut shares = [0; 4];
    for _ in 0..10_000 {
        shares[drawn(&[10, 0, 60, 29], &mut random)] += 1;
    }
    let [ten, none, sixty, thirty] = shares;
    assert!(
        (900..1_200).contains(&ten) && (50..160).contains(&none),
        "{shares:?}"
    );
    assert!(
        (5_700..6_200).contains(&sixty) && (2_700..3_100).contains(&thirty),
        "{shares:?}"
    );
    assert_eq!(drawn(&[5], &mut random), 0);
    // Each begins about a quarter of the orders, where nobody has a weight.
    let mut firsts: BTreeMap<String, u32> = BTreeMap::new();
    let all = ["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1", "192.0.2.4:1"];
    let all = all.map(|at| target(0, 0, &[at]));
    for seed in 0..200 {
        let (own, connection) = (address(OWN), ConnectionId(7));
        let mut line = Line::new(
            connection,
            Arc::new(named(&[NAME])),
            own,
            [seed; 32],
            now(0),
        );
        let answer = found(&all, 60);
        let input = LineInput::Resolved {
            place: 0,
            answer: &answer,
            own: None,
        };
        line.handle(now(0), input);
        *firsts.entry(line.trunk().peers[0].to_string()).or_default() += 1;
    }
    assert!(
        firsts.len() == 4 && firsts.values().all(|count| (25..80).contains(count)),
        "{firsts:?}"
    );
}

#[test]
fn a_call_goes_on_with_whom_the_name_led_to_before() {
    let mut bench = Bench::new(named(&[NAME]));
    bench.resolve(0, &found(&[target(0, 0, &[A])], 60));
    bench.send(&request("INVITE", 1, "z9hG4bK1-a", "", ""));
    let sent = bench.sent_one();
    bench.hear(A, &answer(&sent, 200, ""));
    bench.send(&request("ACK", 1, "z9hG4bK1-b", "peer", ""));
    bench.resolve(0, &found(&[target(0, 0, &[B])], 60));
    let trunk = Arc::clone(bench.line.trunk());
    assert_eq!(
        (&trunk.peers[..], &trunk.former[..]),
        (&[address(B)][..], &[address(A)][..])
    );
    assert!(trunk.admits(address(A).ip()));
    bench.sent();
    bench.send(&request("BYE", 2, "z9hG4bK1-c", "peer", ""));
    let (_, to, bye) = bench.sent().remove(0);
    assert_eq!(to, address(A));
    bench.hear(A, &answer(&bye, 200, ""));
    bench.wait(100_000);
    bench.resolve(0, &found(&[target(0, 0, &[B])], 60));
    assert!(bench.line.trunk().former.is_empty());
    bench.ends_empty();
}

#[test]
fn whoever_was_there_before_begins_nothing_and_stays_no_longer_than_its_calls() {
    let mut bench = Bench::new(named(&[NAME]));
    bench.resolve(0, &found(&[target(0, 0, &[A])], 60));
    bench.hear(A, &peer_request("INVITE", "z9hG4bKp1", "", 7));
    let given = bench.heard_one();
    bench.send(&reply(&given, 180, "p0.1-2"));
    bench.resolve(0, &found(&[target(0, 0, &[B])], 60));
    assert_eq!(bench.line.trunk().former, [address(A)]);
    bench.sent();
    let strangers = |bench: &mut Bench, at: u32| {
        let other = |method: &str, to_tag: &str| {
            let branch = format!("z9hG4bKx{at}{method}{to_tag}");
            peer_request(method, &branch, to_tag, 1).replace("call-2", "call-3")
        };
        for message in [
            other("INVITE", ""),
            other("OPTIONS", ""),
            other("CANCEL", ""),
            other("BYE", "p0.9-9"),
        ] {
            bench.hear(A, &message);
        }
        assert!(bench.sent().is_empty() && bench.heard().is_empty());
        assert_eq!(
            std::mem::take(&mut bench.counts),
            [Counter::RequestStray; 4]
        );
    };
    strangers(&mut bench, 0);
    // Its own call ends as ever.
    bench.hear(A, &peer_request("CANCEL", "z9hG4bKp1", "", 7));
    assert!(bench.heard_one().starts_with("CANCEL "));
    bench.send(&reply(&given, 487, "p0.1-2"));
    assert!(bench.sent_one().starts_with("SIP/2.0 487"));
    bench.hear(A, &peer_request("ACK", "z9hG4bKp1", "p0.1-2", 7));
    for at in 1..6 {
        strangers(&mut bench, at);
        bench.wait(20_000);
    }
    bench.resolve(0, &found(&[target(0, 0, &[B])], 60));
    assert!(bench.line.trunk().former.is_empty());
    bench.hear(B, &peer_request("OPTIONS", "z9hG4bKp9", "", 7));
    assert!(bench.sent_one().starts_with("SIP/2.0 200"));
}

#[test]
fn a_registration_follows_the_name() {
    let mut bench = Bench::new(Trunk {
        registration: Some(Duration::from_secs(300)),
        ..named(&[NAME])
    });
    assert!(bench.sent().is_empty());
    bench.resolve(0, &found(&[target(0, 0, &[A])], 60));
    let (_, to, sent) = bench.sent().remove(0);
    assert!(to == address(A) && sent.starts_with("REGISTER "));
    bench.hear(A, &answer(&sent, 200, ""));
    bench.resolve(0, &found(&[target(0, 0, &[B])], 60));
    let (_, to, sent) = bench.sent().remove(0);
    assert!(to == address(B) && sent.starts_with("REGISTER "));
}

#[test]
fn an_address_of_another_trunk_is_not_taken() {
    let other = trunk(&[A]);
    let by_tcp = Trunk {
        transport: TrunkTransport::Tcp,
        ..trunk(&[B])
    };
    let own = named(&[NAME]);
    let trunks = [&other, &own, &by_tcp];
    let all = || trunks.iter().copied();
    let both = found(
        &[
            target(0, 0, &["[::ffff:192.0.2.10]:5060", B]),
            target(1, 0, &[A]),
        ],
        60,
    );
    assert_eq!(
        without_others(both, 1, all()),
        found(&[target(0, 0, &[B])], 60)
    );
    let one = found(&[target(0, 0, &[A])], 60);
    assert_eq!(
        without_others(one.clone(), 1, all()),
        Err(NameFault::Anothers)
    );
    assert_eq!(without_others(one.clone(), 0, all()), one);
    let none = found(&[], 60);
    assert_eq!(without_others(none.clone(), 1, all()), none);
}

#[test]
fn an_address_in_the_network_of_another_trunk_is_taken_only_where_it_is_our_own_as_well() {
    let network = |ip: &str| model::media::Network::new(ip.parse().unwrap(), 24).unwrap();
    let other = Trunk {
        networks: vec![network("203.0.113.0")],
        ..trunk(&[A])
    };
    let mut own = named(&[NAME]);
    let there = found(&[target(0, 0, &["[::ffff:203.0.113.7]:5070"])], 60);
    let led = |own: &Trunk| without_others(there.clone(), 1, [&other, own].into_iter());
    assert_eq!(led(&own), Err(NameFault::Anothers));
    own.networks = vec![network("203.0.113.0")];
    assert_eq!(led(&own), there);
    own.networks.clear();
    own.transport = TrunkTransport::Tcp;
    assert_eq!(led(&own), there);
}

#[test]
fn a_name_does_not_lead_back_to_us() {
    let is_own = |peer: &SocketAddr| *peer == address(A);
    let both = found(&[target(0, 0, &[A]), target(1, 0, &[A, B])], 60);
    let other = found(&[target(1, 0, &[B])], 60);
    assert_eq!(without_own(both, is_own), other);
    let none = without_own(found(&[target(0, 0, &[A])], 60), is_own);
    assert_eq!(none, Err(NameFault::Ourselves));
}
