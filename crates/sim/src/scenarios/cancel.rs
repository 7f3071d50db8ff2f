//! Calls that are given up before they are answered, and answers that cross (RFC 3261 §9, §13.2.2.4).

use model::EndedBy;

use super::setup::reply;
use super::stage::ANSWER;
use super::{Stage, scenarios};
use crate::authority::Wish;
use crate::browser::{CallState, Heard};
use crate::raw::{Draft, row, tag};

scenarios! {
    cancelled_while_ringing: "A ringing call is cancelled: the caller hears NOANSWER, the callee's page NORMAL.",
    cancelled_before_180: "Cancelled before the callee said anything: the CANCEL waits for its first word.",
    cancelled_before_the_invite: "Given up while candidates are gathered: no INVITE goes out at all.",
    cancel_crosses_the_answer: "A 200 that crosses the CANCEL gets ACK and BYE; the caller has its 487.",
    cancel_after_the_answer: "A CANCEL after the 200 is answered 200 and changes nothing.",
    cancel_of_nothing: "A CANCEL that fits no INVITE: 481.",
    cancel_from_another_connection: "A CANCEL with the right branch from another connection: 481, and it rings on.",
    forked_answer: "A second 200 with another tag gets ACK and BYE; the call goes on.",
    repeated_answer: "A repeated 200 gets its ACK again and is not passed on again.",
    late_refusal: "A refusal after the 200 is acknowledged and changes nothing.",
    early_bye: "A BYE of the caller before the answer ends the call like a CANCEL.",
}

/// A scripted callee and caller with a call that has reached the callee: both, the INVITE as sent, and as received.
fn ringing(stage: &mut Stage) -> (usize, usize, Draft, String) {
    let bob = stage.registered_raw("bob");
    let alice = stage.raw("alice");
    let token = stage.token(&Wish::all("alice"));
    let draft = stage.invite("alice", "bob", &token);
    stage.sends(alice, draft.finish());
    let invite = stage.inbox(bob).last("INVITE").unwrap_or_default();
    stage.claim(!invite.is_empty(), "the INVITE reaches bob");
    (alice, bob, draft, invite)
}

/// The 200 of a scripted callee.
pub(super) fn accept(invite: &str, to_tag: &str) -> String {
    reply(invite, "200 OK", to_tag).replace(
        "Content-Length: 0\r\n\r\n",
        &format!(
            "Contact: <sip:bob@raw.invalid;transport=ws>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{ANSWER}",
            ANSWER.len()
        ),
    )
}

/// A CANCEL, or the ACK of a refusal, with the branch and number of an INVITE that was written as text.
pub(super) fn as_cancel(invite: &[u8]) -> String {
    let text = String::from_utf8_lossy(invite);
    let uri = text.split(' ').nth(1).unwrap_or_default();
    format!(
        "CANCEL {uri} SIP/2.0\r\nVia: {}\r\nTo: {}\r\nFrom: {}\r\nCall-ID: {}\r\nCSeq: 1 CANCEL\r\nMax-Forwards: 70\r\n\
         Content-Length: 0\r\n\r\n",
        row(&text, "Via").unwrap_or_default(),
        row(&text, "To").unwrap_or_default(),
        row(&text, "From").unwrap_or_default(),
        row(&text, "Call-ID").unwrap_or_default(),
    )
}

fn cancelled_while_ringing(stage: &mut Stage) {
    let bob = stage.registered("bob");
    let alice = stage.page("alice");
    let call = stage.call(alice, "bob");
    stage.seconds(3);
    stage.hang_up(alice, call);
    stage.seconds(1);
    stage.claim(
        stage.cause(alice) == Some("NOANSWER"),
        "alice hears NOANSWER",
    );
    stage.claim(
        stage.cause(bob) == Some("NORMAL"),
        "bob's page rings no more",
    );
    stage.recorded(EndedBy::Caller, 487);
    stage.claim(
        stage.browser(alice).is_stopped(),
        "alice's socket is closed",
    );
}

fn cancelled_before_180(stage: &mut Stage) {
    let (alice, bob, draft, invite) = ringing(stage);
    stage.sends(alice, as_cancel(&draft.finish()));
    stage.claim(
        stage.inbox(alice).count("SIP/2.0 200") == 1,
        "the CANCEL has its 200",
    );
    stage.claim(
        stage.inbox(alice).count("SIP/2.0 487") == 1,
        "the INVITE has its 487",
    );
    stage.claim(
        stage.inbox(bob).count("CANCEL") == 0,
        "bob has said nothing: no CANCEL yet",
    );
    stage.sends(bob, reply(&invite, "100 Trying", "b"));
    stage.claim(stage.inbox(bob).count("CANCEL") == 1, "now he gets it");
    stage.sends(bob, reply(&invite, "487 Request Terminated", "b"));
    stage.claim(stage.inbox(bob).count("ACK") == 1, "and the ACK of his 487");
    stage.claim(
        stage.inbox(alice).count("SIP/2.0 487") == 1,
        "alice hears no more of it",
    );
    stage.recorded(EndedBy::Caller, 487);
}

fn cancelled_before_the_invite(stage: &mut Stage) {
    let bob = stage.registered("bob");
    let alice = stage.page("alice");
    let call = stage.call(alice, "bob");
    stage.until("alice gathers", |world| {
        let state = world
            .browser(alice)
            .and_then(|browser| browser.call_state(call));
        state == Some(CallState::Gathering)
    });
    stage.hang_up(alice, call);
    stage.seconds(2);
    stage.claim(stage.records().is_empty(), "no call was placed");
    let rung = stage.heard(bob, |heard| matches!(heard, Heard::Incoming { .. }));
    stage.claim(rung == 0, "bob did not ring");
}

fn cancel_crosses_the_answer(stage: &mut Stage) {
    let (alice, bob, draft, invite) = ringing(stage);
    stage.sends(bob, reply(&invite, "180 Ringing", "b1"));
    let (cancel, answer) = (as_cancel(&draft.finish()), accept(&invite, "b1"));
    // Both are under way at the same time; the CANCEL is first at the server.
    stage.world.script(alice, |raw| raw.send(cancel));
    stage.millis(1);
    stage.world.script(bob, |raw| raw.send(answer));
    stage.millis(500);
    stage.claim(
        stage.inbox(alice).count("SIP/2.0 487") == 1,
        "alice has her 487",
    );
    stage.claim(
        stage.inbox(alice).count("SIP/2.0 200 OK") == 1,
        "and one 200, that of the CANCEL",
    );
    stage.claim(stage.inbox(bob).count("ACK") == 1, "bob's 200 has its ACK");
    let bye = stage.inbox(bob).last("BYE").unwrap_or_default();
    stage.claim(tag(&bye, "To") == Some("b1"), "and a BYE in his dialog");
    stage.claim(
        row(&bye, "Reason").is_some_and(|reason| reason.starts_with("SIP;cause=487;text=")),
        "that says why",
    );
    stage.recorded(EndedBy::Caller, 487);
}

fn cancel_after_the_answer(stage: &mut Stage) {
    let (alice, bob, draft, invite) = ringing(stage);
    stage.sends(bob, accept(&invite, "b1"));
    stage.sends(alice, as_cancel(&draft.finish()));
    stage.claim(
        stage.inbox(alice).count("SIP/2.0 200") == 2,
        "the INVITE and the CANCEL have a 200",
    );
    stage.claim(stage.inbox(bob).count("CANCEL") == 0, "bob is not troubled");
    stage.claim(stage.records()[0].outcome.is_none(), "the call goes on");
}

fn cancel_of_nothing(stage: &mut Stage) {
    let raw = stage.raw("alice");
    let token = stage.token(&Wish::all("alice"));
    let invite = stage.invite("alice", "bob", &token).finish();
    stage.sends(raw, as_cancel(&invite));
    stage.claim(stage.inbox(raw).count("SIP/2.0 481") == 1, "481");
}

fn cancel_from_another_connection(stage: &mut Stage) {
    let (alice, bob, draft, invite) = ringing(stage);
    stage.sends(bob, reply(&invite, "180 Ringing", "b1"));
    let stranger = stage.raw("stranger");
    stage.sends(stranger, as_cancel(&draft.finish()));
    stage.claim(
        stage.inbox(stranger).count("SIP/2.0 481") == 1,
        "481 to the stranger",
    );
    stage.claim(stage.inbox(bob).count("CANCEL") == 0, "bob rings on");
    stage.claim(
        stage.inbox(alice).count("SIP/2.0 487") == 0,
        "alice waits on",
    );
}

fn forked_answer(stage: &mut Stage) {
    let (alice, bob, _, invite) = ringing(stage);
    stage.sends(bob, accept(&invite, "b1"));
    stage.sends(bob, accept(&invite, "b2"));
    stage.claim(
        stage.inbox(alice).count("SIP/2.0 200") == 1,
        "alice has one 200",
    );
    let acks: Vec<_> = texts_to(stage, bob, "ACK");
    stage.claim(acks == ["b2"], "the fork has its ACK");
    stage.claim(texts_to(stage, bob, "BYE") == ["b2"], "and its BYE");
    stage.claim(stage.records()[0].outcome.is_none(), "the call goes on");
}

/// The To tags of the requests of a method that a scripted client got.
fn texts_to(stage: &Stage, raw: usize, method: &str) -> Vec<String> {
    stage
        .inbox(raw)
        .texts()
        .iter()
        .filter(|text| text.starts_with(method))
        .filter_map(|text| tag(text, "To").map(str::to_owned))
        .collect()
}

fn repeated_answer(stage: &mut Stage) {
    let bob = stage.registered_raw("bob");
    let alice = stage.page("alice");
    stage.call(alice, "bob");
    stage.seconds(1);
    let invite = stage.inbox(bob).last("INVITE").unwrap_or_default();
    stage.sends(bob, accept(&invite, "b1"));
    stage.claim(stage.inbox(bob).count("ACK") == 1, "bob has his ACK");
    stage.sends(bob, accept(&invite, "b1"));
    stage.claim(stage.inbox(bob).count("ACK") == 2, "and again");
    let acks: Vec<String> = stage
        .inbox(bob)
        .texts()
        .into_iter()
        .filter(|text| text.starts_with("ACK"))
        .collect();
    stage.claim(acks[0] == acks[1], "the very same");
    let connected = stage.heard(alice, |heard| matches!(heard, Heard::Connected(_)));
    stage.claim(connected == 1, "alice is connected once");
}

fn late_refusal(stage: &mut Stage) {
    let (alice, bob, _, invite) = ringing(stage);
    stage.sends(bob, accept(&invite, "b1"));
    stage.sends(bob, reply(&invite, "486 Busy Here", "b1"));
    stage.claim(
        stage.inbox(bob).count("ACK") == 1,
        "the 486 is acknowledged",
    );
    stage.claim(
        stage.inbox(alice).count("SIP/2.0 486") == 0,
        "alice does not hear of it",
    );
    stage.claim(stage.records()[0].outcome.is_none(), "the call goes on");
}

fn early_bye(stage: &mut Stage) {
    let (alice, bob, draft, invite) = ringing(stage);
    stage.sends(bob, reply(&invite, "180 Ringing", "b1"));
    let ringing = stage.inbox(alice).last("SIP/2.0 180").unwrap_or_default();
    let text = String::from_utf8_lossy(&draft.finish()).into_owned();
    let bye = Draft::new(
        "BYE",
        "sip:any@key0.webrtc-1-2-0.aculabcloud.net",
        row(&text, "From").unwrap_or_default(),
        row(&ringing, "To").unwrap_or_default(),
        77,
    )
    .call_id(row(&text, "Call-ID").unwrap_or_default())
    .cseq(2);
    stage.sends(alice, bye.finish());
    stage.claim(
        stage.inbox(alice).count("SIP/2.0 200") == 1,
        "the BYE has its 200",
    );
    stage.claim(
        stage.inbox(alice).count("SIP/2.0 487") == 1,
        "the INVITE has its 487",
    );
    stage.claim(stage.inbox(bob).count("CANCEL") == 1, "bob rings no more");
    stage.recorded(EndedBy::Caller, 487);
}
