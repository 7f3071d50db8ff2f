//! What a shard does on the line of a trunk: who is reached by which number, and how an application's calls go out.
//!
//! The line's own work, between a shard and UDP, is not here: messages are those that a line delivers and takes.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

mod early;
mod stage;
mod starting;
mod transfer;

use model::media::{LegKind, MediaCommand};
use model::{Callee, Caller, SecretBytes, TrunkLogin};
use serde_json::json;
use stage::{LINE, SECOND, Stage};

#[test]
fn a_number_reaches_its_application_by_plain_rtp() {
    let mut stage = Stage::new(|_| {});
    stage.invites("+441908273800");
    assert_eq!(stage.status(), 100);
    let told = stage.asked();
    assert_eq!(told["this_call"]["call_from"], "+441234567890");
    assert_eq!(told["this_call"]["call_to"], "+441908273800");
    assert_eq!(told["this_call"]["call_target"], "reception");
    stage.page(&json!([{ "answer": {} }, { "sleep": { "seconds": 60 } }]));
    let Some(MediaCommand::Answer { kind, offer, .. }) = stage.commands.last() else {
        panic!("{:?}", stage.commands);
    };
    assert!(offer.contains("m=audio 4000 RTP/AVP 8"), "{}", &**offer);
    let LegKind::Rtp { allowed } = kind else {
        panic!("a trunk speaks plain RTP");
    };
    assert!(allowed[0].contains("192.0.2.10".parse().unwrap()));
    stage.gateway_answers(0);
    assert_eq!(stage.status(), 200);
    assert!(stage.heard.contains("m=audio 20000"), "{}", stage.heard);
    stage.in_dialog("ACK");
    stage.in_dialog("BYE");
    assert_eq!(stage.status(), 200);
    let record = stage.records.last().unwrap();
    assert_eq!(record.caller.to_string(), "+441234567890 by provider");
    assert_eq!(record.callee.service().unwrap().as_str(), "reception");
    assert_eq!(record.outcome.as_ref().unwrap().status, 200);
}

#[test]
fn a_telephone_that_says_nothing_is_talked_to() {
    let mut stage = Stage::new(|_| {});
    stage.invites("+441908273800");
    let tone = json!({ "tone": { "frequencies_hz": [440], "milliseconds": 500 } });
    stage.page(&json!([{ "play": { "play_list": [tone] } }]));
    stage.gateway_answers(0);
    assert_eq!(stage.status(), 200);
    let plays = |stage: &Stage| {
        let all = stage.commands.iter();
        all.filter(|command| matches!(command, MediaCommand::Play { .. }))
            .count()
    };
    assert_eq!(plays(&stage), 0, "it may not know yet that it is answered");
    stage.in_dialog("ACK");
    assert_eq!(plays(&stage), 1);
    stage.in_dialog("ACK");
    stage.gateway_hears(0);
    assert_eq!(plays(&stage), 1, "once");
}

#[test]
fn a_call_that_cannot_be_is_refused_in_words() {
    let mut stage = Stage::new(|_| {});
    stage.invites("+15550");
    assert_eq!(stage.status(), 404);
    assert!(stage.heard.contains("has the number"), "{}", stage.heard);
    stage.invites("not%20a%20name");
    assert_eq!(stage.status(), 404);
    stage.invites("alice");
    assert_eq!(stage.status(), 480, "she is not registered");
    stage.invites("112");
    assert_eq!(stage.status(), 404, "its service is not there");
    let why = "the number 112 of this trunk leads to the service nobody, which does not exist";
    assert!(stage.heard.contains(why), "{}", stage.heard);
    let record = stage.records.last().unwrap();
    assert_eq!(record.outcome.as_ref().unwrap().reason, why);
    stage.invites("113");
    assert_eq!(stage.status(), 480, "none of its clients is registered");
    let ended = stage
        .records
        .iter()
        .filter(|record| record.outcome.is_some());
    let callees = ended.map(|record| record.callee.to_string());
    let expected = [
        "+15550 by provider",
        "not a name by provider",
        "alice",
        "112 by provider",
        "service desks",
    ];
    assert_eq!(callees.collect::<Vec<_>>(), expected, "each is in the list");
    stage.says(&stage.request("REGISTER", "+441908273800", "", 1));
    assert_eq!(stage.status(), 403);
    stage.disable();
    stage.invites("+441908273800");
    assert_eq!(stage.status(), 403);
    assert!(stage.heard.contains("is disabled"), "{}", stage.heard);
}

#[test]
fn a_trusted_trunk_says_who_calls_and_another_does_not() {
    let mut trusted = Stage::new(|trunk| trunk.is_trusted = true);
    let asserted = "P-Asserted-Identity: <tel:+449999>\r\n";
    trusted.invites_with("+441908273800", asserted);
    assert_eq!(trusted.asked()["this_call"]["call_from"], "+449999");
    let mut other = Stage::new(|_| {});
    other.invites_with("+441908273800", asserted);
    assert_eq!(other.asked()["this_call"]["call_from"], "+441234567890");
}

#[test]
fn a_provider_that_calls_the_user_who_registered_says_the_number_in_to() {
    let mut stage = Stage::new(|trunk| {
        trunk.login = Some(TrunkLogin {
            user: "acme".to_owned(),
            password: SecretBytes::new(b"secret".to_vec()),
        });
    });
    let invite = stage.request("INVITE", "+441908273800", "", 1);
    stage.says(&invite.replacen("INVITE sip:+441908273800", "INVITE sip:acme", 1));
    assert_eq!(stage.asked()["this_call"]["call_to"], "+441908273800");
}

#[test]
fn an_application_connects_its_caller_to_a_number() {
    let mut stage = Stage::new(|trunk| trunk.is_trusted = true);
    stage
        .talks_to_application(&json!([{ "connect": { "destinations": ["tel:+44 7700 900123"] } }]));
    let leg = stage.gateway_offers();
    let invite = stage.heard.clone();
    assert!(
        invite.starts_with("INVITE sip:+447700900123@sip.example.com SIP/2.0"),
        "{invite}"
    );
    assert!(
        invite.contains("From: <sip:+441234567890@sip.example.com>"),
        "{invite}"
    );
    let identity = "P-Asserted-Identity: <sip:+441234567890@sip.example.com>";
    assert!(invite.contains(identity), "{invite}");
    assert!(invite.contains("m=audio 20002"), "{invite}");
    stage.responds(180, "");
    stage.responds(200, "v=0\r\nm=audio 4002 RTP/AVP 8\r\n");
    assert!(
        stage.heard.starts_with("ACK sip:gw@192.0.2.10"),
        "{}",
        stage.heard
    );
    let joined = |command: &MediaCommand| matches!(command, MediaCommand::Join { other, .. } if *other == leg.place);
    assert!(stage.commands.iter().any(joined), "{:?}", stage.commands);
    stage.in_dialog("BYE");
    let all: Vec<String> = stage
        .records
        .iter()
        .map(|record| record.callee.to_string())
        .collect();
    assert!(
        all.contains(&"+447700900123 by provider".to_owned()),
        "{all:?}"
    );
    let to_number = stage
        .records
        .iter()
        .rfind(|record| matches!(record.callee, Callee::Number { .. }))
        .unwrap();
    assert!(to_number.outcome.is_some() && to_number.answered.is_some());
    assert!(matches!(to_number.caller, Caller::Number { .. }));
}

#[test]
fn a_number_that_is_busy_is_told_and_one_without_a_trunk_too() {
    let mut stage = Stage::new(|_| {});
    let next = json!({ "url": "https://app.example.com/next", "method": "POST" });
    stage.talks_to_application(&json!([
        { "connect": { "destinations": ["sip:desk@SIP.example.com"], "next_page": next } },
    ]));
    stage.gateway_offers();
    assert!(
        stage.heard.starts_with("INVITE sip:desk@sip.example.com"),
        "{}",
        stage.heard
    );
    stage.responds(486, "");
    assert!(stage.heard.starts_with("ACK "), "{}", stage.heard);
    let result = stage.asked()["action_result"]["result"].clone();
    assert_eq!(result["call_cause"], "busy");
    stage.page(&json!([
        { "connect": { "destinations": ["sip:desk@elsewhere.example.com"], "next_page": next } },
    ]));
    let result = stage.asked()["action_result"]["result"].clone();
    assert_eq!(result["call_cause"], "unobtainable");
}

/// A page asks for what no application may.
fn fails(stage: &mut Stage) {
    stage.page(&json!([{ "whistle": {} }]));
}

/// The record says what was wrong, and the other side heard no more than that something was.
fn only_the_account_learns_why(stage: &Stage, callee: &str) {
    let (status, why) = stage.ended(callee).unwrap();
    assert_eq!(status, 500);
    assert!(why.contains("whistle"), "{why}");
    let told = "Reason: SIP;cause=500;text=\"the application failed\"\r\n";
    assert!(stage.heard.contains(told), "{}", stage.heard);
    assert!(!stage.heard.contains("whistle"), "{}", stage.heard);
}

#[test]
fn what_an_application_lacks_its_caller_does_not_learn() {
    let mut stage = Stage::new(|_| {});
    stage.invites("+441908273800");
    fails(&mut stage);
    assert_eq!(stage.status(), 500);
    only_the_account_learns_why(&stage, "service reception");
    let mut stage = Stage::new(|_| {});
    stage.talks_to_application(&json!([{ "redirect": { "next_page": { "url": "next" } } }]));
    fails(&mut stage);
    assert_eq!(stage.count("BYE "), 1);
    only_the_account_learns_why(&stage, "service reception");
}

#[test]
fn what_an_application_lacks_whom_it_calls_does_not_learn() {
    let mut stage = Stage::new(|_| {});
    stage.talks_to_application(&json!([{ "connect": {
        "destinations": ["tel:+447700900123"],
        "pass_early_media": true,
        "secondary_call": { "first_page": { "url": "announce" } },
        "next_page": { "url": "next" },
    } }]));
    stage.gateway_offers();
    let answer = "v=0\r\nm=audio 4002 RTP/AVP 8\r\n";
    stage.responds(183, answer);
    stage.responds(200, answer);
    fails(&mut stage);
    assert_eq!(stage.count("BYE "), 1);
    only_the_account_learns_why(&stage, "+447700900123 by provider");
}

#[test]
fn a_line_without_an_answer_is_followed_by_the_next_one_that_leads_there() {
    for status in [503, 408] {
        let mut stage = Stage::with_second();
        stage.talks_to_application(
            &json!([{ "connect": { "destinations": ["tel:+447700900123"] } }]),
        );
        stage.gateway_offers();
        assert_eq!(stage.invited_on, LINE);
        stage.responds(status, "");
        let leg = stage.gateway_offers();
        assert_eq!(stage.invited_on, SECOND, "{status}");
        let invite = "INVITE sip:+447700900123@other.example.com SIP/2.0";
        assert!(stage.heard.starts_with(invite), "{}", stage.heard);
        stage.responds(200, "v=0\r\nm=audio 4002 RTP/AVP 8\r\n");
        let joined = |command: &MediaCommand| matches!(command, MediaCommand::Join { other, .. } if *other == leg.place);
        assert!(stage.commands.iter().any(joined), "{:?}", stage.commands);
        stage.in_dialog("BYE");
        let callees = stage.records.iter().map(|record| record.callee.to_string());
        let callees: Vec<String> = callees.collect();
        for callee in ["+447700900123 by provider", "+447700900123 by other"] {
            assert!(callees.iter().any(|known| known == callee), "{callees:?}");
        }
    }
}

#[test]
fn when_no_line_has_an_answer_it_is_told_and_who_refuses_is_asked_once() {
    let next = json!({ "url": "https://app.example.com/next", "method": "POST" });
    let connect = |to: &str| json!([{ "connect": { "destinations": [to], "next_page": next } }]);
    for (to, statuses, cause) in [
        ("tel:+447700900123", vec![503, 408], "no_answer"),
        ("tel:+447700900123", vec![503, 503], "dropped"),
        ("tel:+447700900123", vec![503, 486], "busy"),
        ("tel:+447700900123", vec![486], "busy"),
        ("tel:+447700900123", vec![480], "no_answer"),
        ("sip:desk@sip.example.com", vec![503], "dropped"),
    ] {
        let mut stage = Stage::with_second();
        stage.talks_to_application(&connect(to));
        for status in &statuses {
            stage.gateway_offers();
            stage.responds(*status, "");
        }
        let result = stage.asked()["action_result"]["result"].clone();
        assert_eq!(result["call_cause"], cause, "{to} {statuses:?}");
    }
}

#[test]
fn a_disabled_account_ends_what_passes_and_an_enabled_one_begins_anew() {
    let mut stage = Stage::new(|_| {});
    stage.talks_to_application(&json!([{ "sleep": { "seconds": 60 } }]));
    stage.disable();
    assert!(stage.heard.starts_with("BYE "), "{}", stage.heard);
    stage.enable();
    stage.invites("+441908273800");
    assert_eq!(stage.status(), 100);
    assert_eq!(stage.shard.check(stage.now()), Ok(()));
    assert!(stage.closed.is_empty(), "{LINE:?} is never closed");
}

#[test]
fn a_copy_of_an_invite_is_refused_and_not_absorbed() {
    let mut stage = Stage::new(|_| {});
    stage.invites("+441908273800");
    let copy = stage.request("INVITE", "+441908273800", "", 1);
    // A line gives a request once: what comes again is another, and whoever sent it waits for an answer.
    for again in [
        copy.clone(),
        copy.replace("UDP 192.0.2.10;", "UDP 192.0.2.99;"),
    ] {
        stage.says(&again);
        assert_eq!(stage.status(), 482);
    }
}
