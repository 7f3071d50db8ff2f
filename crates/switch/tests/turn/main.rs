//! Relays and calls: what a client is offered, whom it may reach while its calls last, and what is told of them.
//!
//! Every message that is sent is judged: its candidates may be reached by whoever gets it, already.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

mod stage;

use std::sync::Arc;
use std::time::Duration;

use model::{AccountId, CallRecord, Directory, Now, RelayTraffic, RelayUsage, limits};
use serde_json::Value;
use sip::Name;
use switch::turn_grant::TurnChange;
use switch::{Counter, Effect, Input, Snapshot};

use stage::*;

#[test]
fn the_first_options_of_a_connection_and_the_next_get_its_credential() {
    let mut stage = Stage::new(Some(offer()));
    let mut usernames = Vec::new();
    for time in [60, 60] {
        let servers = stage.ice_servers(ALICE);
        let urls = &servers[0]["urls"];
        assert_eq!(urls[0], "turn:calls.example:3478?transport=udp");
        let username = servers[0]["username"].as_str().unwrap().to_owned();
        let known = stage.ledger.credential(stage.now(), &username).unwrap();
        assert_eq!(servers[0]["credential"], known.password);
        assert!(known.is_fresh && known.holder == connection(ALICE).0);
        let later = Now {
            unix: stage.now().unix + Duration::from_secs(time),
            ..stage.now()
        };
        assert!(!stage.ledger.credential(later, &username).unwrap().is_fresh);
        usernames.push(username);
        stage.pass(Duration::from_secs(30));
    }
    assert_ne!(usernames[0], usernames[1], "the second one lives longer");
    let opened = TurnChange::Opened {
        connection: connection(ALICE),
        account: AccountId(5),
    };
    assert_eq!(stage.changes, [opened]);
}

#[test]
fn a_token_that_was_shown_makes_credentials_live_longer() {
    let mut stage = Stage::new(Some(offer()));
    let expiry = |servers: &Value| {
        let username = servers[0]["username"].as_str().unwrap();
        let until: u64 = username.split(':').next().unwrap().parse().unwrap();
        until - START.as_secs()
    };
    let before = stage.ice_servers(BOB);
    assert_eq!(expiry(&before), 60);
    stage.register(BOB);
    stage.register(BOB);
    let after = stage.ice_servers(BOB);
    assert_eq!(expiry(&after), 120);
    let proven = TurnChange::Proven {
        connection: connection(BOB),
        account: AccountId(5),
    };
    assert_eq!(stage.changes[1..], [proven], "once");

    stage.invite(ALICE, BOB, "call", &sdp(&[]));
    let servers = stage.ice_servers(ALICE);
    assert_eq!(expiry(&servers), 120, "an INVITE shows a token as well");
}

#[test]
fn a_wrong_token_proves_nothing() {
    let mut stage = Stage::new(Some(offer()));
    let mut writer = out_of_dialog("REGISTER", &format!("sip:{DOMAIN}"), BOB, "r", 2);
    writer
        .header("To", format_args!("<sip:bob@{DOMAIN}>"))
        .header(
            "Authorization",
            format_args!("Bearer {}", stage.token(ALICE)),
        )
        .header("Contact", format_args!("<{}>;expires=600", contact(BOB)));
    stage.say(BOB, &writer.finish());
    assert_eq!(stage.status(BOB), 401);
    assert_eq!(stage.changes.len(), 1, "{:?}", stage.changes);
}

#[test]
fn without_a_turn_server_the_list_is_empty_and_nothing_is_learnt() {
    let mut stage = Stage::new(None);
    for _ in 0..2 {
        assert_eq!(stage.ice_servers(ALICE), Value::Array(Vec::new()));
    }
    stage.register(BOB);
    stage.invite(ALICE, BOB, "call", &sdp(&[]));
    stage.answer(BOB, 200, &sdp(&[]));
    stage.tell(Input::Lost {
        connection: connection(BOB),
    });
    assert_eq!(stage.changes, []);
}

#[test]
fn an_unknown_access_key_gets_no_credential() {
    let mut stage = Stage::new(Some(offer()));
    let mut writer = options(ALICE, "nobody.webrtc-1-2-0.aculabcloud.net");
    writer.header("X-AculabTurnRequest", "1");
    stage.say(ALICE, &writer.finish());
    assert_eq!(stage.status(ALICE), 403);
    assert_eq!(stage.changes, []);
}

#[test]
fn options_that_ask_for_no_credential_are_as_ever() {
    let mut stage = Stage::new(Some(offer()));
    for _ in 0..2 {
        stage.say(ALICE, &options(ALICE, DOMAIN).finish());
        let message = sip::parse(&stage.heard[ALICE]).unwrap();
        assert!(message.body().is_empty());
        assert_eq!(message.headers().get(Name::Accept), Some("application/sdp"));
    }
}

#[test]
fn each_side_reaches_what_the_other_named_and_nobody_else_does() {
    let mut stage = Stage::new(Some(offer()));
    stage.register(CAROL);
    stage.call();
    assert!(stage.reaches(BOB, "198.51.100.1") && stage.reaches(BOB, "2001:db8::a"));
    assert!(stage.reaches(ALICE, "203.0.113.1"));
    assert!(!stage.reaches(ALICE, "198.51.100.1"), "its own");
    assert!(!stage.reaches(BOB, "10.9.9.9"), "a related address is none");
    for address in ["198.51.100.1", "2001:db8::a", "203.0.113.1"] {
        assert!(!stage.reaches(CAROL, address), "{address}");
    }
}

#[test]
fn provisional_answers_and_new_offers_are_learnt_before_they_are_passed_on() {
    let mut stage = Stage::new(Some(offer()));
    stage.register(BOB);
    stage.invite(ALICE, BOB, "call", &sdp(&["198.51.100.1"]));
    stage.answer(BOB, 183, &sdp(&["203.0.113.7"]));
    assert!(stage.reaches(ALICE, "203.0.113.7"));
    let mut stage = Stage::new(Some(offer()));
    stage.call();
    // `perform` judges the order: whoever is told may reach it already.
    let more = sdp(&["198.51.100.1", "198.51.100.2"]);
    stage.in_dialog(ALICE, "INVITE", 2, "call", &more);
    assert!(stage.reaches(BOB, "198.51.100.2"));
    let told: Vec<_> = stage.changes.iter().rev().take(1).collect();
    let again = TurnChange::Reach {
        connection: connection(BOB),
        call: stage.number_of_call(),
        addresses: vec!["198.51.100.2".parse().unwrap()],
    };
    assert_eq!(told, [&again], "only what is new");
    stage.answer(BOB, 200, &sdp(&["203.0.113.2"]));
    assert!(stage.reaches(ALICE, "203.0.113.2"));
    stage.in_dialog(ALICE, "ACK", 2, "call", &sdp(&["198.51.100.3"]));
    assert!(stage.reaches(BOB, "198.51.100.3"), "an answer in an ACK");
}

#[test]
fn what_is_refused_names_nothing() {
    let mut stage = Stage::new(Some(offer()));
    stage.call();
    let before = stage.changes.len();
    // The same number again: out of order, and not passed on.
    stage.in_dialog(ALICE, "UPDATE", 1, "call", &sdp(&["198.51.100.9"]));
    assert_eq!(stage.status(ALICE), 500);
    assert_eq!(stage.changes.len(), before);
    assert!(!stage.reaches(BOB, "198.51.100.9"));
}

#[test]
fn ten_seconds_after_the_end_nothing_is_reached_any_more() {
    let mut stage = Stage::new(Some(offer()));
    stage.call();
    stage.in_dialog(ALICE, "BYE", 2, "call", "");
    stage.pass(limits::TURN_GRACE - Duration::from_millis(1));
    assert!(stage.reaches(BOB, "198.51.100.1") && stage.reaches(ALICE, "203.0.113.1"));
    stage.pass(Duration::from_millis(1));
    assert!(!stage.reaches(BOB, "198.51.100.1") && !stage.reaches(ALICE, "203.0.113.1"));
    stage.pass(limits::LINGER_TIME);
    let ended = |change: &&TurnChange| matches!(change, TurnChange::Ended { .. });
    assert_eq!(stage.changes.iter().filter(ended).count(), 2);
}

#[test]
fn a_call_that_was_refused_or_cancelled_ends_like_any_other() {
    for is_refused in [true, false] {
        let mut stage = Stage::new(Some(offer()));
        stage.register(BOB);
        stage.invite(ALICE, BOB, "call", &sdp(&["198.51.100.1"]));
        if is_refused {
            stage.answer(BOB, 486, "");
        } else {
            stage.tell(Input::Lost {
                connection: connection(ALICE),
            });
        }
        assert!(stage.reaches(BOB, "198.51.100.1"));
        stage.pass(limits::TURN_GRACE);
        assert!(!stage.reaches(BOB, "198.51.100.1"));
    }
}

#[test]
fn a_lost_connection_reaches_nothing_at_once() {
    let mut stage = Stage::new(Some(offer()));
    stage.call();
    stage.tell(Input::Lost {
        connection: connection(ALICE),
    });
    assert!(!stage.reaches(ALICE, "203.0.113.1"));
    assert!(stage.reaches(BOB, "198.51.100.1"), "for a while");
    stage.tell(Input::Lost {
        connection: connection(BOB),
    });
    stage.pass(limits::LINGER_TIME);
    assert!(stage.ledger.is_at_rest() && stage.shard.is_at_rest());
}

#[test]
fn a_disabled_account_is_closed_once_whatever_changes_behind_it() {
    let mut stage = Stage::new(Some(offer()));
    stage.ice_servers(ALICE);
    let mut account = stage.account.clone();
    account.disabled = true;
    let settings = stage.snapshot.settings.clone();
    let directory = Directory::new([account]);
    let (snapshot, _) = Snapshot::new(directory, settings, &stage.snapshot);
    let snapshot = Arc::new(snapshot);
    for _ in 0..2 {
        stage.tell(Input::Snapshot(Arc::clone(&snapshot)));
    }
    let gone = TurnChange::Gone {
        connection: connection(ALICE),
    };
    assert_eq!(stage.changes[1..], [gone], "once");
}

#[test]
fn a_server_that_stops_withdraws_everything_at_once() {
    let mut stage = Stage::new(Some(offer()));
    stage.call();
    stage.tell(Input::Stop);
    assert!(!stage.reaches(BOB, "198.51.100.1") && !stage.reaches(ALICE, "203.0.113.1"));
}

#[test]
fn a_side_may_name_so_many_addresses_and_no_more() {
    let mut stage = Stage::new(Some(offer()));
    stage.register(BOB);
    let addresses: Vec<_> = (0..=limits::TURN_CANDIDATES)
        .map(|at| format!("198.51.100.{at}"))
        .collect();
    let names: Vec<_> = addresses.iter().map(String::as_str).collect();
    let target = format!("sip:bob@{DOMAIN}");
    let mut writer = out_of_dialog("INVITE", &target, ALICE, "call", 1);
    writer
        .header("To", format_args!("<{target}>"))
        .header(
            "Authorization",
            format_args!("Bearer {}", stage.token(ALICE)),
        )
        .header("Contact", format_args!("<{}>", contact(ALICE)))
        .header("Content-Type", "application/sdp");
    let message = writer.finish_with(sdp(&names).as_bytes());
    let Ok(message) = sip::parse(&message) else {
        panic!("it is SIP");
    };
    // Past the judge of messages: he is told of more than he may reach.
    stage.shard.handle(
        stage.now(),
        Input::Message {
            connection: connection(ALICE),
            account: AccountId(5),
            message: &message,
            ice_servers: None,
        },
    );
    let mut named = 0;
    let mut counted = 0;
    while let Some(effect) = stage.shard.poll_effect() {
        match effect {
            Effect::Turn(TurnChange::Reach { addresses, .. }) => named += addresses.len(),
            Effect::Count(Counter::CandidatesIgnored) => counted += 1,
            Effect::Turn(_)
            | Effect::Count(_)
            | Effect::Send { .. }
            | Effect::Close { .. }
            | Effect::Record(_)
            | Effect::Media { .. }
            | Effect::Ask(_)
            | Effect::Bring(_)
            | Effect::Complain { .. }
            | Effect::Publish { .. }
            | Effect::Look { .. }
            | Effect::Tell { .. } => {}
        }
    }
    assert_eq!((named, counted), (limits::TURN_CANDIDATES, 1));
}

#[test]
fn what_relays_did_stands_in_the_record_even_if_they_tell_late() {
    let mut stage = Stage::new(Some(offer()));
    stage.call();
    let call = stage.number_of_call();
    let usage = |bytes| RelayUsage {
        sent: RelayTraffic { packets: 1, bytes },
        received: RelayTraffic {
            packets: 2,
            bytes: bytes + 1,
        },
    };
    let relayed = |client, call, bytes| Input::Relayed {
        connection: connection(client),
        call,
        usage: usage(bytes),
    };
    let before = stage.records.len();
    stage.tell(relayed(ALICE, call, 100));
    stage.tell(relayed(CAROL, call, 100));
    assert_eq!(stage.counted.last(), Some(&Counter::RelayUsageLate));
    assert_eq!(stage.records.len(), before, "it can wait for the end");
    stage.in_dialog(ALICE, "BYE", 2, "call", "");
    let ended = stage.records.last().unwrap().clone();
    assert_eq!(ended.relay, [usage(100), RelayUsage::default()]);
    stage.tell(relayed(BOB, call, 7));
    stage.tell(relayed(ALICE, call, 1));
    let late = stage.records.last().unwrap().clone();
    assert_eq!(late.relay, [usage(100).plus(usage(1)), usage(7)]);
    assert_eq!(
        CallRecord {
            relay: ended.relay,
            ..late
        },
        ended,
        "nothing else has changed"
    );
    stage.pass(limits::LINGER_TIME);
    let records = stage.records.len();
    stage.tell(relayed(BOB, call, 7));
    assert_eq!(stage.records.len(), records);
    assert_eq!(stage.counted.last(), Some(&Counter::RelayUsageLate));
}
