//! Transfers that a trunk's peer asks for: who takes whose place, what is told of it, and who may not be reached.

use model::TrunkTransfer;
use model::media::{LegId, MediaCommand};
use serde_json::json;

use crate::stage::{LINE, SECOND, Stage};

const SDP: &str = "v=0\r\nm=audio 4002 RTP/AVP 8\r\n";
const NUMBER: &str = "+447700900123 by provider";

/// A caller whom its application has connected with a number; both hear each other.
fn connected(stage: &mut Stage) -> LegId {
    let next = json!({ "url": "https://app.example.com/next", "method": "POST" });
    stage.talks_to_application(&json!([
        { "connect": { "destinations": ["tel:+447700900123"], "next_page": next } },
    ]));
    let leg = stage.gateway_offers();
    stage.responds(200, SDP);
    leg
}

fn refer_to(address: &str) -> String {
    format!("Refer-To: <{address}>\r\nReferred-By: <sip:boss@pbx.example.com>\r\n")
}

fn joins(stage: &Stage, one: u8, other: u8) -> bool {
    let found = |command: &MediaCommand| matches!(command, MediaCommand::Join { leg, other: to } if leg.place == one && *to == other);
    stage.commands.iter().any(found)
}

fn closes(stage: &Stage, place: u8) -> bool {
    let found = |command: &MediaCommand| matches!(command, MediaCommand::CloseLeg { leg } if leg.place == place);
    stage.commands.iter().any(found)
}

#[test]
fn a_caller_has_its_place_taken_by_a_number() {
    let mut stage = Stage::new(|_| {});
    let far = connected(&mut stage);
    stage.in_dialog_with("REFER", &refer_to("sip:+15550@203.0.113.1"), 3);
    assert_eq!(stage.count("SIP/2.0 202"), 1);
    assert_eq!(stage.told_of_transfer(), ["SIP/2.0 100 Trying"]);
    let notify = stage.all("NOTIFY ")[0].clone();
    assert!(notify.contains("Event: refer\r\n"), "{notify}");
    assert!(
        notify.contains("Subscription-State: active;expires="),
        "{notify}"
    );
    let target = stage.gateway_offers();
    assert!(
        stage.heard.starts_with("INVITE sip:+15550@sip.example.com"),
        "{}",
        stage.heard
    );
    assert!(
        !stage.heard.contains("Referred-By"),
        "the trunk is not trusted"
    );
    assert!(!closes(&stage, 0), "the call goes on meanwhile");
    stage.responds(180, "");
    stage.responds(200, SDP);
    assert!(
        joins(&stage, target.place, far.place),
        "{:?}",
        stage.commands
    );
    assert!(closes(&stage, 0));
    assert_eq!(
        stage.told_of_transfer(),
        ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"]
    );
    let notify = stage.all("NOTIFY ")[1].clone();
    assert!(notify.contains("terminated;reason=noresource"), "{notify}");
    assert_eq!(stage.count("BYE "), 1);
    let ended = stage.ended("service reception").unwrap();
    assert_eq!(ended, (200, "transferred to +15550".to_owned()));
    // Whoever took the place is the application's first party from now on.
    stage.callee_says("BYE", "", 1);
    assert_eq!(
        stage.ended("+15550 by provider").unwrap(),
        (200, "hung up".to_owned())
    );
    assert_eq!(stage.ended(NUMBER).unwrap().0, 200);
}

#[test]
fn whoever_was_called_has_its_place_taken_and_a_trusted_trunk_knows_by_whom() {
    let mut stage = Stage::new(|trunk| trunk.is_trusted = true);
    let far = connected(&mut stage);
    stage.callee_says("REFER", &refer_to("sip:100@sip.example.com"), 1);
    let target = stage.gateway_offers();
    assert!(
        stage.heard.starts_with("INVITE sip:100@sip.example.com"),
        "{}",
        stage.heard
    );
    assert!(
        stage
            .heard
            .contains("Referred-By: <sip:boss@pbx.example.com>")
    );
    assert!(
        stage.heard.contains("From: <sip:+441234567890@"),
        "the far end is told"
    );
    stage.responds(200, SDP);
    assert!(joins(&stage, 0, target.place) && closes(&stage, far.place));
    assert_eq!(
        stage.ended(NUMBER).unwrap(),
        (200, "transferred to 100".to_owned())
    );
    assert_eq!(stage.told_of_transfer().last(), Some(&"SIP/2.0 200 OK"));
    stage.callee_says("BYE", "", 2);
    let result = stage.asked()["action_result"]["result"].clone();
    assert_eq!(result["call_cause"], "completed", "its application goes on");
}

#[test]
fn what_came_of_a_transfer_is_told_before_the_next_begins() {
    let mut stage = Stage::new(|_| {});
    connected(&mut stage);
    stage.is_deaf = true;
    stage.in_dialog_with("REFER", &refer_to("sip:+15550@203.0.113.1"), 3);
    let notify = stage.heard.clone();
    stage.gateway_offers();
    stage.responds(486, "");
    assert_eq!(stage.told_of_transfer(), ["SIP/2.0 100 Trying"]);
    stage.in_dialog_with("REFER", &refer_to("sip:+15551@203.0.113.1"), 4);
    assert_eq!(
        stage.status(),
        491,
        "the 486 waits for an answer to the 100"
    );
    stage.answers(&notify);
    assert_eq!(
        stage.told_of_transfer().last(),
        Some(&"SIP/2.0 486 Busy Here")
    );
    stage.in_dialog_with("REFER", &refer_to("sip:+15551@203.0.113.1"), 5);
    assert_eq!(stage.count("SIP/2.0 202"), 2);
    stage.in_dialog_with("BYE", "", 6);
    stage.in_dialog_with("REFER", &refer_to("sip:+15551@203.0.113.1"), 7);
    assert_eq!(stage.status(), 481, "it has hung up");
}

#[test]
fn a_user_goes_out_with_the_escapes_that_it_came_with() {
    let mut stage = Stage::new(|_| {});
    connected(&mut stage);
    for (at, user) in ["1%40198.51.100.9%3Bx=", "%22%3E%3Csip:2", "%C3%28"]
        .iter()
        .enumerate()
    {
        let user = user.replace("sip:", "sip%3A");
        let address = format!("sip:{user}@sip.example.com");
        stage.in_dialog_with("REFER", &refer_to(&address), 3 + at as u32);
        stage.gateway_offers();
        let (first, _) = stage.heard.split_once("\r\n").unwrap();
        assert_eq!(first, format!("INVITE {address} SIP/2.0"));
        assert!(
            stage.heard.contains(&format!("To: <{address}>\r\n")),
            "{}",
            stage.heard
        );
        stage.responds(486, "");
    }
}

#[test]
fn a_transfer_that_nobody_takes_leaves_the_call_as_it_was() {
    let mut stage = Stage::new(|_| {});
    connected(&mut stage);
    stage.in_dialog_with("REFER", &refer_to("sip:+15550@203.0.113.1"), 3);
    stage.gateway_offers();
    stage.in_dialog_with("REFER", &refer_to("sip:+15551@203.0.113.1"), 4);
    assert_eq!(stage.status(), 491, "one at a time");
    stage.responds(486, "");
    assert_eq!(
        stage.told_of_transfer().last(),
        Some(&"SIP/2.0 486 Busy Here")
    );
    assert!(!closes(&stage, 0) && stage.count("BYE ") == 0);
    stage.in_dialog_with("REFER", &refer_to("sip:alice@203.0.113.1"), 5);
    assert_eq!(
        stage.told_of_transfer().last(),
        Some(&"SIP/2.0 404 Not Found"),
        "she is not here"
    );
    let notify = stage.all("NOTIFY ").last().unwrap().to_string();
    assert!(notify.contains("Event: refer;id=5"), "{notify}");
    stage.in_dialog_with("BYE", "", 6);
    assert_eq!(
        stage.ended("service reception").unwrap(),
        (200, "hung up".to_owned())
    );
}

#[test]
fn whoever_asks_may_hang_up_at_once() {
    for (status, body) in [(200, SDP), (486, "")] {
        let mut stage = Stage::new(|_| {});
        let far = connected(&mut stage);
        stage.in_dialog_with("REFER", &refer_to("sip:+15550@203.0.113.1"), 3);
        let target = stage.gateway_offers();
        stage.in_dialog_with("BYE", "", 4);
        assert_eq!(stage.ended("service reception"), None, "it goes on");
        let rings = |command: &MediaCommand| matches!(command, MediaCommand::Play { leg, .. } if *leg == far);
        assert!(
            stage.commands.iter().any(rings),
            "who is left hears that it rings"
        );
        stage.responds(status, body);
        match status {
            200 => assert!(joins(&stage, target.place, far.place)),
            _ => assert_eq!(stage.ended("service reception").unwrap().0, 200),
        }
        assert!(
            stage
                .told_of_transfer()
                .last()
                .unwrap()
                .contains(&status.to_string())
        );
    }
}

#[test]
fn who_may_not_be_reached_is_not() {
    let mut stage = Stage::with_second();
    connected(&mut stage);
    stage.in_dialog_with("REFER", &refer_to("sip:+15550@other.example.com"), 3);
    assert_eq!(
        stage.told_of_transfer().last(),
        Some(&"SIP/2.0 403 Forbidden")
    );
    stage.in_dialog_with("REFER", &refer_to("sip:112@203.0.113.1"), 4);
    assert_eq!(
        stage.told_of_transfer().last(),
        Some(&"SIP/2.0 404 Not Found"),
        "its service is not there"
    );
    stage.in_dialog_with("REFER", &refer_to("tel:+15550"), 5);
    stage.gateway_offers();
    assert_eq!(
        stage.invited_on, LINE,
        "a number goes back by the trunk that it came by"
    );
    stage.responds(503, "");
    assert_eq!(stage.invited_on, LINE, "and by no other");
    assert_eq!(
        stage.told_of_transfer().last(),
        Some(&"SIP/2.0 503 Service Unavailable")
    );

    let mut inward = Stage::new(|trunk| trunk.transfer = TrunkTransfer::Inward);
    connected(&mut inward);
    let invited = inward.count("INVITE ");
    for (to, cseq) in [("tel:+15550", 3), ("sip:205@192.0.2.10", 4)] {
        inward.in_dialog_with("REFER", &refer_to(to), cseq);
        let told = inward.told_of_transfer();
        assert_eq!(told.last(), Some(&"SIP/2.0 403 Forbidden"), "{to}");
    }
    assert_eq!(inward.count("INVITE "), invited, "nobody pays for it");

    let mut any = Stage::with_second_and(TrunkTransfer::Any);
    connected(&mut any);
    any.in_dialog_with("REFER", &refer_to("sip:+15550@other.example.com"), 3);
    any.gateway_offers();
    assert_eq!(any.invited_on, SECOND);

    let mut none = Stage::new(|trunk| trunk.transfer = TrunkTransfer::None);
    connected(&mut none);
    assert!(!none.all("INVITE ")[0].contains("REFER"));
    none.in_dialog_with("REFER", &refer_to("tel:+15550"), 3);
    assert_eq!(none.status(), 603);
    assert!(none.heard.contains("'transfer'"), "{}", none.heard);
}

#[test]
fn what_is_wrong_with_a_refer_is_said() {
    let mut stage = Stage::new(|_| {});
    stage.says(&stage.request("REFER", "+441908273800", &refer_to("tel:+15550"), 1));
    assert_eq!(stage.status(), 405, "it belongs to no call");
    connected(&mut stage);
    let mut cseq = 2;
    for (rows, status) in [
        ("", 400),
        ("Refer-To: <http://example.com/>\r\n", 416),
        ("Refer-To: <sip:1@h?body=x>\r\n", 400),
    ] {
        cseq += 1;
        stage.in_dialog_with("REFER", rows, cseq);
        assert_eq!(stage.status(), status, "{rows}");
    }
    stage.in_dialog_with("REFER", &refer_to("tel:+15550"), 3);
    assert_eq!(stage.status(), 500, "out of order");
    stage.in_dialog_with("NOTIFY", "Event: refer\r\n", 9);
    assert_eq!(stage.status(), 481);
    assert_eq!(stage.count("NOTIFY "), 0);
}

#[test]
fn who_wants_to_be_told_nothing_is_not() {
    let mut stage = Stage::new(|_| {});
    connected(&mut stage);
    let rows = format!("{}Refer-Sub: false\r\n", refer_to("tel:+15550"));
    stage.in_dialog_with("REFER", &rows, 3);
    assert!(stage.all("SIP/2.0 202")[0].contains("Refer-Sub: false"));
    stage.gateway_offers();
    stage.responds(200, SDP);
    assert_eq!((stage.count("NOTIFY "), stage.count("BYE ")), (0, 1));
}

#[test]
fn an_application_alone_goes_on_with_whoever_takes_the_place() {
    let mut stage = Stage::new(|_| {});
    stage.talks_to_application(&json!([{ "sleep": { "seconds": 60 } }]));
    stage.in_dialog_with("REFER", &refer_to("tel:+15550"), 3);
    stage.gateway_offers();
    stage.responds(200, SDP);
    assert!(closes(&stage, 0));
    stage.callee_says("BYE", "", 1);
    assert_eq!(
        stage.ended("+15550 by provider").unwrap(),
        (200, "hung up".to_owned())
    );
}

#[test]
fn an_invite_takes_the_place_of_a_call() {
    let mut stage = Stage::new(|_| {});
    let far = connected(&mut stage);
    let [call_id, own, theirs] = stage.answered_dialog();
    let strange = format!("Replaces: {call_id};to-tag={own};from-tag=other\r\n");
    stage.invites_with("+15550", &strange);
    assert_eq!(stage.status(), 481);
    let early = format!("Replaces: {call_id};to-tag={own};from-tag={theirs};early-only\r\n");
    stage.invites_with("+15550", &early);
    assert_eq!(stage.status(), 486);
    stage.invites_with("+15550", "Replaces: nonsense\r\n");
    assert_eq!(stage.status(), 400);
    let replaces = format!("Replaces: {call_id};to-tag={own};from-tag={theirs}\r\n");
    stage.invites_with("+15550", &replaces);
    stage.gateway_answers(2);
    assert_eq!(stage.count("SIP/2.0 200"), 2, "{}", stage.heard);
    stage.in_dialog("ACK");
    assert!(joins(&stage, 2, far.place) && closes(&stage, 0));
    assert_eq!(stage.count("BYE "), 1);
    stage.in_dialog_with("BYE", "", 3);
    assert_eq!(stage.count("BYE "), 2, "all is over");
    assert_eq!(stage.ended(NUMBER).unwrap().0, 200);
}

#[test]
fn an_invite_picks_up_a_call_that_rings() {
    let mut stage = Stage::new(|_| {});
    stage.talks_to_application(&json!([{ "connect": { "destinations": ["tel:+447700900123"] } }]));
    stage.gateway_offers();
    stage.responds(180, "");
    let [call_id, own, theirs] = stage.invited_dialog();
    let replaces = format!("Replaces: {call_id};to-tag={own};from-tag={theirs};early-only\r\n");
    stage.invites_with("100", &replaces);
    stage.gateway_answers(2);
    assert!(joins(&stage, 0, 2), "{:?}", stage.commands);
    assert_eq!(stage.count("CANCEL "), 1, "the other one stops");
}

#[test]
fn the_far_ends_of_two_calls_hear_each_other() {
    let mut stage = Stage::new(|_| {});
    connected(&mut stage);
    let [call_id, own, theirs] = stage.answered_dialog();
    connected(&mut stage);
    let replaces = format!("{call_id}%3Bto-tag%3D{own}%3Bfrom-tag%3D{theirs}");
    let wrong = refer_to("sip:+15550@203.0.113.1?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2");
    stage.in_dialog_with("REFER", &wrong, 3);
    let status = "SIP/2.0 481 Call/Transaction Does Not Exist";
    assert_eq!(stage.told_of_transfer().last(), Some(&status));
    let refer = refer_to(&format!("sip:+15550@203.0.113.1?Replaces={replaces}"));
    stage.in_dialog_with("REFER", &refer, 4);
    assert_eq!(stage.told_of_transfer().last(), Some(&"SIP/2.0 200 OK"));
    assert_eq!(stage.count("BYE "), 2, "both legs of the peer end");
    let entered = stage.commands.iter().filter_map(|command| {
        if let MediaCommand::Enter { leg, room, .. } = command {
            return Some((leg.place, *room));
        }
        None
    });
    let entered: Vec<_> = entered.collect();
    assert!(
        entered.len() == 2 && entered[0] == entered[1],
        "{entered:?}"
    );
    let transferred = |reason: &str| {
        let all = stage.records.iter();
        let of_it = all.filter(|record| {
            let outcome = record.outcome.as_ref();
            outcome.is_some_and(|outcome| outcome.reason == reason)
        });
        of_it.count()
    };
    assert_eq!(transferred("transferred to +447700900123"), 2);
    // One hangs up: so does what the other was connected to.
    stage.callee_says("BYE", "", 1);
    let result = stage.asked()["action_result"]["result"].clone();
    assert_eq!(result["call_cause"], "completed");
}
