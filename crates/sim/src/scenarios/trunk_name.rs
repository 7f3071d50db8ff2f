//! Trunks whose peers DNS says: failover by priority, shares by weight, DNS that is slow or gone, addresses that change.

use std::time::Duration;

use serde_json::json;
use switch::trunk::{Answer, NameFault};

use super::trunk::{begin, call_to_number, called, count, stands, wait};
use super::{Stage, application::application, scenarios};
use crate::clock::SECOND;
use crate::phone::Stand;
use crate::trunks::{TrunkPlan, peer_address};

scenarios! {
    trunk_name_fails_over: "A name leads to two peers by priority and the first is gone: the call goes to the next one.",
    trunk_name_shares: "A name leads to two peers of one priority: calls are shared by their weights.",
    trunk_name_is_slow: "DNS takes its time at the start: calls are refused until it has answered, and go on then.",
    trunk_name_dns_is_gone: "DNS fails: the peers of before are used, however long that lasts.",
    trunk_name_moves: "A name leads elsewhere: calls go there, who was there gets no answer, and a call that goes on ends as it should.",
    trunk_name_leads_nowhere: "A name leads to addresses at which nobody can be: nothing is sent.",
}

/// A world with a trunk of these peers by name.
fn named(stage: &mut Stage, peers: u8, check: Option<Duration>) {
    let plan = TrunkPlan {
        peers,
        check,
        is_named: true,
        ..TrunkPlan::default()
    };
    begin(stage, plan);
    stage.seconds(1);
}

/// How many calls each telephone of the first trunk has had.
fn calls(stage: &Stage) -> Vec<usize> {
    let trunks = &stage.world.trunks;
    let phones = trunks.phones.iter().take(trunks.posts[0].peers.len());
    phones.map(|phone| phone.calls.len()).collect()
}

/// The application calls a number and hangs up.
fn rings(stage: &mut Stage, record: u128) {
    application(stage, &[("first", json!([{ "hang_up": {} }]))]);
    let begun = stage.world.begin_call(call_to_number(record));
    stage.claim(begun.is_ok(), "it may");
}

fn trunk_name_fails_over(stage: &mut Stage) {
    named(stage, 2, None);
    stage.world.trunks.phones[0].gone_until = u64::MAX;
    stage.world.trunks.phones[0].is_plain = false;
    rings(stage, 77);
    stage.seconds(40);
    stage.claim(calls(stage) == [0, 1], "the first is not there");
    stands(stage, 1, 0, Stand::Over);
}

fn trunk_name_shares(stage: &mut Stage) {
    named(stage, 2, None);
    let leads = [(peer_address(0, 0), 5, 1), (peer_address(0, 1), 5, 3)];
    stage.world.trunks.dns.leads(0, &leads);
    stage.seconds(40);
    for record in 0..40 {
        rings(stage, 100 + record);
        stage.seconds(3);
    }
    let shares = calls(stage);
    stage.claim(
        shares[0] + shares[1] == 40 && (3..20).contains(&shares[0]),
        &format!("a quarter and the rest: {shares:?}"),
    );
}

fn trunk_name_is_slow(stage: &mut Stage) {
    let plan = TrunkPlan {
        is_named: true,
        ..TrunkPlan::default()
    };
    begin(stage, plan);
    stage.world.trunks.dns.takes = 5 * SECOND;
    // The first question was asked when the server started; it is asked anew.
    stage.world.stop_server(0, Some(Duration::from_secs(1)));
    stage.seconds(3);
    rings(stage, 77);
    stage.seconds(1);
    stage.claim(calls(stage) == [0], "nobody knows yet where it is");
    stage.seconds(5);
    rings(stage, 78);
    stage.seconds(3);
    stage.claim(calls(stage) == [1], "it is found");
}

fn trunk_name_dns_is_gone(stage: &mut Stage) {
    named(stage, 1, None);
    for fault in [
        NameFault::NoAnswer,
        NameFault::NoSuchName,
        NameFault::Failed,
    ] {
        stage.world.trunks.dns.says[0] = Err(fault);
        stage.seconds(600);
    }
    rings(stage, 77);
    stage.seconds(3);
    stage.claim(calls(stage) == [1], "it is where it was");
}

fn trunk_name_moves(stage: &mut Stage) {
    named(stage, 2, Some(Duration::from_secs(30)));
    let call = called(stage, wait());
    stage
        .world
        .trunks
        .dns
        .leads(0, &[(peer_address(0, 1), 0, 0)]);
    stage.seconds(35);
    let asked = |stage: &Stage, phone| count(stage, phone, "OPTIONS ");
    let before = [asked(stage, 0), asked(stage, 1)];
    stage.claim(before[1] >= 1, "the new one is asked whether it is there");
    stands(stage, 0, call, Stand::Talking);
    stage.world.phone(0, |phone, now| phone.hang_up(now, call));
    stage.seconds(2);
    stands(stage, 0, call, Stand::Over);
    stage.claim(count(stage, 0, "SIP/2.0 200") >= 1, "its BYE is answered");
    rings(stage, 78);
    stage.seconds(140);
    stage.claim(calls(stage)[1] == 1, "calls go to the new one");
    stage.claim(asked(stage, 0) == before[0], "the old one is left alone");
    let heard = stage.world.trunks.phones[0].heard.len();
    stage.world.trunks.phones[0].is_plain = false;
    stage.world.phone(0, |phone, now| phone.call(now, "alice"));
    stage.seconds(5);
    let heard = stage.world.trunks.phones[0].heard.len() - heard;
    stage.claim(heard == 0, "and gets no answer");
}

fn trunk_name_leads_nowhere(stage: &mut Stage) {
    named(stage, 1, None);
    for bad in ["224.0.0.5:5060", "0.0.0.0:5060", "255.255.255.255:5060"] {
        let bad = bad.parse().expect("it is an address");
        stage.world.trunks.dns.leads(0, &[(bad, 0, 0)]);
        stage.seconds(40);
    }
    stage.world.trunks.dns.says[0] = Ok(Answer {
        targets: Vec::new(),
        lasts: Duration::ZERO,
    });
    stage.seconds(40);
    // Whatever is sent to whom is no peer is found by the judge.
    rings(stage, 77);
    stage.seconds(3);
    stage.claim(calls(stage) == [1], "the peer of before has the call");
}
