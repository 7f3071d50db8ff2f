//! What the ledger lets through and what it does not.

use std::time::Duration;

use model::{Instant, RelayTraffic};

use super::super::offer::rest_credential;
use super::super::{Quota, TurnOffer};
use super::*;

const ACCOUNT: AccountId = AccountId(5);
const OTHER: AccountId = AccountId(6);
/// In the middle of a month.
const START: u64 = 1_795_000_000;

fn at(secs: u64) -> Now {
    Now {
        mono: Instant::from_micros(secs * 1_000_000),
        unix: UnixTime::from_secs(START + secs),
    }
}

fn secret() -> TurnSecret {
    TurnSecret::new([7; 32])
}

fn opened(ledger: &mut Ledger, connection: u64, account: AccountId) {
    let connection = ConnectionId(connection);
    ledger.apply(&TurnChange::Opened {
        connection,
        account,
    });
}

fn proven(ledger: &mut Ledger, connection: u64, account: AccountId) {
    opened(ledger, connection, account);
    let connection = ConnectionId(connection);
    ledger.apply(&TurnChange::Proven {
        connection,
        account,
    });
}

fn reach(connection: u64, call: u64, addresses: &[&str]) -> TurnChange {
    TurnChange::Reach {
        connection: ConnectionId(connection),
        call,
        addresses: addresses.iter().map(|text| ip(text)).collect(),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn username(connection: u64, account: AccountId, until: u64) -> String {
    let id = ConnectionId(connection);
    Username {
        until: UnixTime::from_secs(START + until),
        account,
        bearer: Bearer::Connection { id, shard: 0 },
    }
    .to_string()
}

fn rest_username(account: AccountId, now: u64, ttl_s: u32, random: u64) -> String {
    let offer = TurnOffer {
        secret: secret(),
        host: None,
        fallback: "192.0.2.1".to_owned(),
        use_host_header: true,
        udp: Some(3478),
        tcp: None,
        tls: None,
    };
    let json = rest_credential(&offer, None, account, at(now).unix, ttl_s, random);
    let servers: serde_json::Value = serde_json::from_str(&json).unwrap();
    servers[0]["username"].as_str().unwrap().to_owned()
}

fn usage(sent: u64, received: u64) -> RelayUsage {
    let traffic = |bytes| RelayTraffic { packets: 1, bytes };
    RelayUsage {
        sent: traffic(sent),
        received: traffic(received),
    }
}

#[test]
fn a_connections_credential_is_good_while_it_is_open_and_fresh_until_it_expires() {
    let mut ledger = Ledger::new(secret(), TurnBounds::default());
    let name = username(9, ACCOUNT, 60);
    assert_eq!(ledger.credential(at(0), &name), None, "nobody opened it");
    opened(&mut ledger, 9, ACCOUNT);
    let known = ledger.credential(at(59), &name).unwrap();
    assert!(known.holder == 9 && known.is_fresh);
    assert_eq!(known.password, secret().password(&name));
    assert!(!ledger.credential(at(60), &name).unwrap().is_fresh);
    let foreign = username(9, OTHER, 60);
    assert_eq!(ledger.credential(at(0), &foreign), None);
    let connection = ConnectionId(9);
    assert_eq!(ledger.apply(&TurnChange::Gone { connection }), Some(9));
    assert_eq!(ledger.credential(at(1), &name), None);
    assert!(ledger.is_at_rest());
}

#[test]
fn whoever_changes_a_username_does_not_know_its_password() {
    let mut ledger = Ledger::new(secret(), TurnBounds::default());
    for connection in 0..0x200 {
        opened(&mut ledger, connection, ACCOUNT);
    }
    let name = username(0x19, ACCOUNT, 60);
    let password = ledger.credential(at(0), &name).unwrap().password;
    let mut read = 0;
    for place in 0..name.len() {
        for byte in (b' '..=b'~').filter(|byte| *byte != name.as_bytes()[place]) {
            let mut changed = name.clone().into_bytes();
            changed[place] = byte;
            let changed = String::from_utf8(changed).unwrap();
            if let Some(known) = ledger.credential(at(0), &changed) {
                assert_ne!(known.password, password, "{changed}");
                read += 1;
            }
        }
    }
    assert!(read > 0, "some are well-formed and named another");
    let other_start = Ledger::new(TurnSecret::new([8; 32]), TurnBounds::default());
    assert_eq!(other_start.credential(at(0), &name), None);
}

#[test]
fn only_addresses_of_its_own_calls_may_be_reached_and_only_while_they_last() {
    let mut ledger = Ledger::new(secret(), TurnBounds::default());
    for connection in [1, 2, 3] {
        proven(&mut ledger, connection, ACCOUNT);
    }
    ledger.apply(&reach(1, 11, &["198.51.100.1", "2001:db8::1"]));
    ledger.apply(&reach(1, 12, &["198.51.100.2"]));
    ledger.apply(&reach(1, 12, &["198.51.100.1"]));
    ledger.apply(&reach(2, 11, &["203.0.113.2"]));
    let mut tag = |holder, peer| ledger.reach(at(0), holder, ip(peer), false);
    assert_eq!(tag(1, "198.51.100.2"), Some(12));
    assert_eq!(tag(1, "198.51.100.1"), Some(12), "the newest that named it");
    assert_eq!(tag(1, "::ffff:198.51.100.1"), Some(12));
    assert_eq!(tag(1, "2001:db8::1"), Some(11));
    assert_eq!(tag(1, "203.0.113.2"), None, "the other side's");
    assert_eq!(tag(3, "198.51.100.1"), None, "another client's call");
    assert_eq!(tag(77, "198.51.100.1"), None, "nobody");

    let ended = |connection, call| TurnChange::Ended {
        connection: ConnectionId(connection),
        call,
    };
    assert_eq!(ledger.apply(&ended(1, 12)), Some(1));
    assert_eq!(ledger.apply(&ended(1, 12)), None, "already");
    let mut tag = |holder, peer| ledger.reach(at(0), holder, ip(peer), false);
    assert_eq!(tag(1, "198.51.100.2"), None);
    assert_eq!(tag(1, "198.51.100.1"), Some(11));
}

#[test]
fn the_gateway_is_entered_by_whom_a_call_led_there_whatever_others_have_named() {
    let mut ledger = Ledger::new(secret(), TurnBounds::default());
    for connection in [1, 2] {
        proven(&mut ledger, connection, ACCOUNT);
    }
    // Of the two that name it to each other, neither has a way there.
    ledger.apply(&reach(1, 11, &["198.51.100.1"]));
    ledger.apply(&reach(2, 11, &["198.51.100.1"]));
    let gateway = |connection, call| TurnChange::Gateway {
        connection: ConnectionId(connection),
        call,
    };
    assert_eq!((ledger.enter(1), ledger.enter(2)), (None, None));
    ledger.apply(&gateway(1, 12));
    ledger.apply(&gateway(1, 13));
    ledger.apply(&reach(1, 14, &["203.0.113.1"]));
    assert_eq!(ledger.enter(1), Some(13), "the newest that led there");
    assert_eq!(ledger.enter(2), None, "another client's call");
    assert_eq!(ledger.reach(at(0), 1, ip("198.51.100.1"), false), Some(11));
    assert_eq!(ledger.reach(at(0), 1, ip("192.0.2.9"), true), Some(14));
    for call in [13, 12] {
        assert_eq!(ledger.enter(1), Some(call));
        let connection = ConnectionId(1);
        let ended = TurnChange::Ended { connection, call };
        assert_eq!(ledger.apply(&ended), Some(1));
    }
    assert_eq!(ledger.enter(1), None);

    let connection = ConnectionId(2);
    ledger.apply(&gateway(2, 15));
    ledger.apply(&TurnChange::Gone { connection });
    ledger.apply(&gateway(2, 16));
    assert_eq!(ledger.enter(2), None, "it is gone");
    let name = rest_username(ACCOUNT, 0, 600, u64::MAX);
    let holder = ledger.credential(at(0), &name).unwrap().holder;
    ledger.admit(at(0), holder, &name).unwrap();
    assert_eq!(ledger.enter(holder), None, "a web service has no call");
}

#[test]
fn our_own_relays_may_be_reached_and_count_for_the_call_that_named_them() {
    let mut ledger = Ledger::new(secret(), TurnBounds::default());
    opened(&mut ledger, 1, ACCOUNT);
    let own = ip("192.0.2.1");
    assert_eq!(ledger.reach(at(0), 1, own, true), None, "no call yet");
    ledger.apply(&reach(1, 11, &["192.0.2.1"]));
    ledger.apply(&reach(1, 12, &[]));
    assert_eq!(ledger.reach(at(0), 1, own, true), Some(11));
    assert_eq!(ledger.reach(at(0), 1, ip("192.0.2.9"), true), Some(12));
    let connection = ConnectionId(1);
    ledger.apply(&TurnChange::Gone { connection });
    assert_eq!(ledger.reach(at(0), 1, own, true), None);
}

#[test]
fn allocations_stay_for_calls_and_idle_ones_go() {
    let mut ledger = Ledger::new(secret(), TurnBounds::default());
    proven(&mut ledger, 1, ACCOUNT);
    ledger.admit(at(0), 1, &username(1, ACCOUNT, 120)).unwrap();
    let idle = 120 + limits::TURN_IDLE_TIME.as_secs();
    assert!(ledger.may_stay(at(idle - 1), 1));
    assert!(!ledger.may_stay(at(idle), 1));
    ledger.apply(&reach(1, 11, &[]));
    assert!(ledger.may_stay(at(100_000), 1), "its call goes on");
    let connection = ConnectionId(1);
    assert_eq!(ledger.apply(&TurnChange::Gone { connection }), Some(1));
    assert!(!ledger.may_stay(at(1), 1));
    assert!(!ledger.is_at_rest(), "its allocation is still there");
    ledger.release(at(1), 1);
    assert!(ledger.is_at_rest());
}

#[test]
fn a_web_services_credential_reaches_what_it_likes_for_a_day() {
    let mut ledger = Ledger::new(secret(), TurnBounds::default());
    let name = rest_username(ACCOUNT, 0, 600, u64::MAX);
    let known = ledger.credential(at(599), &name).unwrap();
    assert!(known.is_fresh && known.holder >> 63 == 1);
    let holder = known.holder;
    assert_eq!(ledger.reach(at(0), holder, ip("203.0.113.1"), false), None);
    ledger.admit(at(0), holder, &name).unwrap();
    let peer = ip("203.0.113.1");
    assert_eq!(ledger.reach(at(0), holder, peer, false), Some(0));
    ledger.used(at(1), holder, 0, usage(3, 4));
    assert_eq!(ledger.poll_report(), None, "no call to tell");
    assert_eq!(ledger.spent(at(1).unix, ACCOUNT), 7);

    let day = limits::TURN_REST_TIME.as_secs();
    assert!(!ledger.credential(at(day - 1), &name).unwrap().is_fresh);
    assert!(ledger.may_stay(at(day - 1), holder));
    assert_eq!(ledger.credential(at(day), &name), None);
    assert!(!ledger.may_stay(at(day), holder));
    ledger.release(at(day), holder);
    assert!(ledger.is_at_rest());
}

#[test]
fn a_client_at_its_limit_takes_nothing_from_another() {
    let mut ledger = Ledger::new(secret(), TurnBounds::default());
    proven(&mut ledger, 1, ACCOUNT);
    proven(&mut ledger, 2, ACCOUNT);
    let greedy = username(1, ACCOUNT, 120);
    for _ in 0..limits::TURN_CLIENT_ALLOCATIONS {
        ledger.admit(at(0), 1, &greedy).unwrap();
    }
    assert_eq!(ledger.admit(at(0), 1, &greedy), Err(Full::Holder));
    ledger.admit(at(0), 2, &username(2, ACCOUNT, 120)).unwrap();
    let taken: u64 = std::iter::repeat_with(|| ledger.lease(at(0), 1, 65_536))
        .take_while(|granted| *granted > 0)
        .map(u64::from)
        .sum();
    assert!(taken <= limits::TURN_CLIENT_RATE && taken > limits::TURN_CLIENT_RATE - 4_096);
    assert_eq!(ledger.lease(at(0), 2, 65_536), 65_536);
    assert_eq!(ledger.lease(at(1), 1, 65_536), 65_536, "a second later");
    ledger.release(at(1), 1);
    ledger.admit(at(1), 1, &greedy).unwrap();
}

#[test]
fn strangers_leave_half_of_an_account_to_its_clients() {
    let quota = |allocations| Quota {
        allocations,
        rate: Some(1_000_000),
    };
    let bounds = TurnBounds {
        account: quota(10),
        node: quota(12),
        ..TurnBounds::default()
    };
    let mut ledger = Ledger::new(secret(), bounds);
    for connection in 1..=6 {
        opened(&mut ledger, connection, ACCOUNT);
    }
    let admit =
        |ledger: &mut Ledger, id, account| ledger.admit(at(0), id, &username(id, account, 60));
    for connection in 1..=5 {
        admit(&mut ledger, connection, ACCOUNT).unwrap();
    }
    assert_eq!(admit(&mut ledger, 6, ACCOUNT), Err(Full::Holder));
    proven(&mut ledger, 7, ACCOUNT);
    for _ in 0..5 {
        admit(&mut ledger, 7, ACCOUNT).unwrap();
    }
    assert_eq!(admit(&mut ledger, 7, ACCOUNT), Err(Full::Holder));
    proven(&mut ledger, 8, OTHER);
    admit(&mut ledger, 8, OTHER).unwrap();
    admit(&mut ledger, 8, OTHER).unwrap();
    assert_eq!(admit(&mut ledger, 8, OTHER), Err(Full::Node));

    // A stranger that shows its token gives its part back to the others.
    for connection in 1..=4 {
        ledger.release(at(0), connection);
    }
    proven(&mut ledger, 5, ACCOUNT);
    for connection in 1..=4 {
        admit(&mut ledger, connection, ACCOUNT).unwrap();
    }
    assert_eq!(ledger.allocations(), 12);
}

#[test]
fn a_month_is_never_exceeded_and_the_next_one_begins_anew() {
    let bounds = TurnBounds {
        account_monthly: Some(100_000),
        ..TurnBounds::default()
    };
    let mut ledger = Ledger::new(secret(), bounds);
    ledger.restore(at(0).unix, [(ACCOUNT, 40_000), (OTHER, 99_999)]);
    for (connection, account) in [(1, ACCOUNT), (2, OTHER)] {
        proven(&mut ledger, connection, account);
        let name = username(connection, account, 120);
        ledger.admit(at(0), connection, &name).unwrap();
    }
    assert_eq!(ledger.lease(at(0), 2, 1_200), 0);
    assert_eq!(ledger.lease(at(0), 1, 50_000), 50_000);
    assert_eq!(ledger.lease(at(0), 1, 50_000), 10_000);
    assert_eq!(ledger.lease(at(0), 1, 1), 0, "all of it is lent");
    ledger.used(at(1), 1, 3, usage(20_000, 10_000));
    assert_eq!(ledger.lease(at(1), 1, 50_000), 0);
    ledger.release(at(1), 1);
    let name = username(1, ACCOUNT, 120);
    ledger.admit(at(2), 1, &name).unwrap();
    assert_eq!(ledger.lease(at(2), 1, 50_000), 30_000, "what was not used");
    let month = at(0).unix.month();
    let spent = MonthSpent {
        month,
        bytes: vec![(ACCOUNT, 70_000)],
    };
    assert_eq!(ledger.take_spent(), [spent]);
    assert_eq!(ledger.take_spent(), []);

    ledger.used(at(3), 1, 3, usage(1, 0));
    let next = Now {
        mono: at(4).mono,
        unix: at(0).unix.next_month(),
    };
    ledger.used(next, 1, 3, usage(0, 5));
    assert_eq!(ledger.spent(next.unix, ACCOUNT), 5);
    let spent = ledger.take_spent();
    assert_eq!(spent.len(), 2, "the end of the old month is not lost");
    assert_eq!(spent[0].bytes, [(ACCOUNT, 70_001)]);
    assert_eq!(spent[1].bytes, [(ACCOUNT, 5)]);
}

#[test]
fn what_other_servers_relayed_counts_towards_the_month_and_is_not_written_as_ones_own() {
    let bounds = TurnBounds {
        account_monthly: Some(100_000),
        node_monthly: Some(150_000),
        ..TurnBounds::default()
    };
    let mut ledger = Ledger::new(secret(), bounds);
    ledger.restore(at(0).unix, [(ACCOUNT, 10_000)]);
    let month = at(0).unix.month();
    ledger.hear(month, [(ACCOUNT, 60_000), (OTHER, 70_000)]);
    ledger.hear((month.0 - 1, month.1), [(ACCOUNT, 1_000_000)]);
    proven(&mut ledger, 1, ACCOUNT);
    let name = username(1, ACCOUNT, 120);
    ledger.admit(at(0), 1, &name).unwrap();
    assert_eq!(ledger.spent(at(0).unix, ACCOUNT), 70_000);
    assert_eq!(ledger.lease(at(0), 1, 50_000), 10_000, "all bytes together");
    ledger.hear(month, [(ACCOUNT, 60_000)]);
    assert_eq!(ledger.lease(at(0), 1, 50_000), 20_000);
    ledger.used(at(1), 1, 3, usage(1_000, 0));
    let spent = ledger.take_spent();
    assert_eq!(spent[0].bytes, [(ACCOUNT, 11_000)]);
    let next = at(0).unix.next_month();
    assert_eq!(ledger.spent(next, ACCOUNT), 0);
}

#[test]
fn an_account_at_its_limit_takes_nothing_from_another_and_all_share_the_nodes() {
    let rate = |rate| Quota {
        rate: Some(rate),
        ..TurnBounds::default().account
    };
    let bounds = TurnBounds {
        client: rate(1_000_000),
        account: rate(300_000),
        node: rate(500_000),
        account_monthly: Some(400_000),
        node_monthly: Some(450_000),
        ..TurnBounds::default()
    };
    let mut ledger = Ledger::new(secret(), bounds);
    for (connection, account) in [(1, ACCOUNT), (2, ACCOUNT), (3, OTHER)] {
        proven(&mut ledger, connection, account);
        let name = username(connection, account, 120);
        ledger.admit(at(0), connection, &name).unwrap();
    }
    let all = |ledger: &mut Ledger, secs, connection| -> u64 {
        std::iter::repeat_with(|| ledger.lease(at(secs), connection, 10_000))
            .take_while(|granted| *granted > 0)
            .map(u64::from)
            .sum()
    };
    let near = |taken: u64, whole: u64| taken <= whole && taken + 10_000 > whole;
    assert!(near(all(&mut ledger, 0, 1), 300_000), "the account's rate");
    assert_eq!(
        all(&mut ledger, 0, 2),
        0,
        "which is that of all its clients"
    );
    // The node has 200,000 more for this second, and 150,000 for this month.
    assert!(
        near(all(&mut ledger, 0, 3), 150_000),
        "another account goes on"
    );
    assert_eq!(all(&mut ledger, 1, 3), 0, "the node's month is lent out");
}

#[test]
fn what_was_relayed_is_told_once_for_each_call() {
    let mut ledger = Ledger::new(secret(), TurnBounds::default());
    proven(&mut ledger, 1, ACCOUNT);
    ledger.used(at(0), 1, 11, usage(1, 2));
    ledger.used(at(0), 1, 12, usage(10, 20));
    ledger.used(at(0), 1, 11, usage(3, 4));
    let told = ledger.poll_report().unwrap();
    assert_eq!(
        (told.account, told.connection, told.call),
        (ACCOUNT, ConnectionId(1), 11)
    );
    assert_eq!(told.usage, usage(1, 2).plus(usage(3, 4)));
    assert_eq!(ledger.poll_report().unwrap().usage, usage(10, 20));
    assert_eq!(ledger.poll_report(), None);
}

#[test]
fn a_bucket_brings_its_rate_however_often_it_is_asked() {
    let quota = Quota {
        allocations: 9,
        rate: Some(10_000),
    };
    let bounds = TurnBounds {
        client: quota,
        ..TurnBounds::default()
    };
    let mut ledger = Ledger::new(secret(), bounds);
    proven(&mut ledger, 1, ACCOUNT);
    ledger.admit(at(0), 1, &username(1, ACCOUNT, 120)).unwrap();
    let mut granted = 0;
    for micros in (0..10_000_000).step_by(333) {
        let now = Now {
            mono: Instant::from_micros(micros),
            unix: at(0).unix,
        };
        granted += u64::from(ledger.lease(now, 1, 1_000));
    }
    // Ten seconds, and the one second that a bucket holds.
    assert!((109_000..=110_000).contains(&granted), "{granted}");
}

#[test]
fn a_disabled_account_has_no_web_service_credentials() {
    let mut ledger = Ledger::new(secret(), TurnBounds::default());
    let names = [ACCOUNT, OTHER].map(|account| rest_username(account, 0, 600, 44));
    let holder = ledger.credential(at(0), &names[0]).unwrap().holder;
    ledger.admit(at(0), holder, &names[0]).unwrap();
    let account = |id: AccountId, disabled| model::Account {
        id,
        cloud_id: model::CloudId::parse("1-2-0").unwrap(),
        username: model::Username::parse(&format!("u{}", id.0)).unwrap(),
        kind: model::AccountKind::Production,
        disabled,
        access_key: model::WebRtcAccessKey::parse(&format!("k{}", id.0)).unwrap(),
        token_limit: model::TokenLimit::Unlimited,
        api_keys: Vec::new(),
        signing_keys: Vec::new(),
        services: Default::default(),
        service_callers: Default::default(),
        revocations: Default::default(),
    };
    let directory = Directory::new([account(ACCOUNT, true), account(OTHER, false)]);
    assert_eq!(ledger.publish(&directory), [holder]);
    assert_eq!(ledger.reach(at(0), holder, ip("203.0.113.1"), false), None);
    assert_eq!(ledger.credential(at(0), &names[0]), None);
    assert!(ledger.credential(at(0), &names[1]).is_some());
}

#[test]
fn a_clock_that_is_put_back_harms_nothing() {
    let mut ledger = Ledger::new(secret(), TurnBounds::default());
    proven(&mut ledger, 1, ACCOUNT);
    ledger.admit(at(9), 1, &username(1, ACCOUNT, 120)).unwrap();
    assert_eq!(ledger.lease(at(9), 1, 1_000), 1_000);
    let before = Now {
        mono: at(9).mono,
        unix: at(0).unix.before(Duration::from_secs(90 * 86_400)),
    };
    ledger.used(before, 1, 3, usage(1, 1));
    assert_eq!(ledger.spent(at(9).unix, ACCOUNT), 2);
}
