//! Sessions of calls by trunks that somebody refreshes (RFC 4028), and those that nobody does.

use std::time::Duration;

use model::EndedBy;
use serde_json::{Value, json};

use super::trunk::{begin, called, calls_number, count, stands};
use super::{Stage, scenarios};
use crate::phone::Stand;
use crate::trunks::{TrunkPlan, Trunks};

scenarios! {
    trunk_session_we_refresh: "The peer leaves it to us: the session is refreshed when half of it is over, and again.",
    trunk_session_by_invite: "The peer knows no UPDATE: the session is refreshed by a re-INVITE with the same SDP.",
    trunk_session_lapses: "The peer is to refresh and does not: the call is ended a little before its time, with a reason.",
    trunk_session_they_refresh: "The peer refreshes in time: the call goes on.",
    trunk_session_is_unknown: "The peer says nothing of sessions: nothing is refreshed, and nothing ends.",
    trunk_session_longer_for_them: "The peer bears only longer sessions: it is asked again, and the session is as long as it wants.",
    trunk_session_longer_for_us: "A caller wants a session that is too brief: it is told the least.",
    trunk_session_of_the_gone: "The peer has forgotten the call: the refresh finds nobody, and the call is over.",
    trunk_session_is_off: "Sessions are off: nothing is said of them.",
}

fn plan(session_s: u64) -> TrunkPlan {
    TrunkPlan {
        session: (session_s > 0).then(|| Duration::from_secs(session_s)),
        ..TrunkPlan::default()
    }
}

fn wait() -> Value {
    json!([{ "answer": {} }, { "sleep": { "seconds": 3000 } }])
}

fn rows(stage: &mut Stage, rows: &str) {
    stage.world.trunks.phones[0].conduct.rows = rows.to_owned();
}

/// The application calls a number, whose telephone says this of the session.
fn calls(stage: &mut Stage, said: &str) {
    begin(stage, plan(100));
    rows(stage, said);
    calls_number(stage, json!([{ "sleep": { "seconds": 3000 } }]));
    stage.seconds(2);
    stands(stage, 0, 0, Stand::Talking);
}

#[track_caller]
fn hangs_up(stage: &mut Stage) {
    stands(stage, 0, 0, Stand::Talking);
    stage.world.phone(0, |phone, now| phone.hang_up(now, 0));
    stage.seconds(2);
    stage.claim(stage.records()[0].outcome.is_some(), "it is over");
}

fn last(stage: &Stage, start: &str) -> String {
    let found = stage.world.trunks.phones[0].last(start);
    found.unwrap_or_default().to_owned()
}

fn trunk_session_we_refresh(stage: &mut Stage) {
    calls(stage, "Session-Expires: 100;refresher=uac\nRequire: timer");
    let invite = last(stage, "INVITE ");
    stage.claim(invite.contains("Session-Expires: 100\r\n"), "we ask for it");
    stage.claim(invite.contains("Supported: timer"), "and know it");
    stage.seconds(45);
    stage.claim(count(stage, 0, "UPDATE ") == 0, "not yet");
    stage.seconds(10);
    stage.claim(count(stage, 0, "UPDATE ") == 1, "when half of it is over");
    let update = last(stage, "UPDATE ");
    stage.claim(
        update.contains("Session-Expires: 100;refresher=uac"),
        "we say who refreshes",
    );
    stage.seconds(100);
    stage.claim(count(stage, 0, "UPDATE ") == 3, "and again");
    hangs_up(stage);
}

fn trunk_session_by_invite(stage: &mut Stage) {
    calls(stage, "Session-Expires: 100;refresher=uac");
    let refuses = &mut stage.world.trunks.phones[0].conduct.refuses_inside;
    refuses.push_back((405, "Allow: INVITE, ACK, BYE, CANCEL".to_owned()));
    let offer = last(stage, "INVITE ")
        .split("\r\n\r\n")
        .nth(1)
        .map(str::to_owned);
    stage.seconds(160);
    stage.claim(count(stage, 0, "UPDATE ") == 1, "it is told once");
    stage.claim(count(stage, 0, "INVITE ") == 4, "then by INVITE");
    stage.claim(count(stage, 0, "ACK ") == 4, "each is acknowledged");
    let again = last(stage, "INVITE ")
        .split("\r\n\r\n")
        .nth(1)
        .map(str::to_owned);
    stage.claim(again == offer, "with the same SDP");
    hangs_up(stage);
}

fn trunk_session_lapses(stage: &mut Stage) {
    calls(stage, "Session-Expires: 120;refresher=uas");
    stage.seconds(84);
    stands(stage, 0, 0, Stand::Talking);
    stage.seconds(6);
    stands(stage, 0, 0, Stand::Over);
    let bye = last(stage, "BYE ");
    stage.claim(bye.contains("cause=408"), &format!("it is told why: {bye}"));
    stage.recorded(EndedBy::Server, 408);
}

fn trunk_session_they_refresh(stage: &mut Stage) {
    calls(stage, "Session-Expires: 100;refresher=uas");
    rows(
        stage,
        "Supported: timer\nSession-Expires: 100;refresher=uac",
    );
    for _ in 0..4 {
        stage.seconds(50);
        stage.world.phone(0, |phone, now| phone.hold(now, 0));
        stage.seconds(1);
        let answer = last(stage, "SIP/2.0 200");
        stage.claim(
            answer.contains("Session-Expires: 100;refresher=uac"),
            "we agree",
        );
    }
    hangs_up(stage);
}

fn trunk_session_is_unknown(stage: &mut Stage) {
    calls(stage, "");
    stage.seconds(600);
    stage.claim(count(stage, 0, "UPDATE ") == 0, "nothing is refreshed");
    hangs_up(stage);
}

fn trunk_session_longer_for_them(stage: &mut Stage) {
    begin(stage, plan(100));
    rows(stage, "Session-Expires: 300;refresher=uac");
    let conduct = &mut stage.world.trunks.phones[0].conduct;
    conduct.refuses.push_back((422, "Min-SE: 300".to_owned()));
    calls_number(stage, json!([{ "sleep": { "seconds": 3000 } }]));
    stage.seconds(3);
    let invite = last(stage, "INVITE ");
    let longer = invite.contains("Session-Expires: 300\r\n") && invite.contains("Min-SE: 300");
    stage.claim(
        longer && invite.contains("CSeq: 2 INVITE"),
        &format!("it is asked again: {invite}"),
    );
    stage.seconds(160);
    stage.claim(count(stage, 0, "UPDATE ") == 1, "and refreshed as it wants");
    // What was refused does not make the line forget the call.
    stage.seconds(2000);
    hangs_up(stage);
}

fn trunk_session_longer_for_us(stage: &mut Stage) {
    begin(stage, plan(1800));
    rows(stage, "Supported: timer\nSession-Expires: 30");
    let number = Trunks::number_of("ivr");
    super::application::application(stage, &[("first", wait())]);
    stage.world.phone(0, |phone, now| phone.call(now, &number));
    stage.seconds(1);
    stage.claim(
        last(stage, "SIP/2.0 422").contains("Min-SE: 90"),
        "it is told the least",
    );
    rows(stage, "Supported: timer\nSession-Expires: 90;refresher=uas");
    let call = called(stage, wait());
    let answer = last(stage, "SIP/2.0 200");
    stage.claim(
        answer.contains("Session-Expires: 90;refresher=uas"),
        "now it is taken",
    );
    stage.seconds(50);
    stage.claim(count(stage, 0, "UPDATE ") == 1, "and refreshed by us");
    stage.world.phone(0, |phone, now| phone.hang_up(now, call));
    stage.seconds(2);
}

fn trunk_session_of_the_gone(stage: &mut Stage) {
    calls(stage, "Session-Expires: 100;refresher=uac");
    stage.world.phone(0, |phone, _| phone.restart());
    stage.seconds(55);
    stage.claim(count(stage, 0, "UPDATE ") == 1, "it is asked");
    stage.recorded(EndedBy::Server, 408);
}

fn trunk_session_is_off(stage: &mut Stage) {
    begin(stage, plan(0));
    rows(stage, "Supported: timer\nSession-Expires: 90;refresher=uac");
    let call = called(stage, wait());
    let answer = last(stage, "SIP/2.0 200");
    stage.claim(!answer.contains("Session-Expires"), "nothing is said of it");
    stage.seconds(300);
    stands(stage, 0, call, Stand::Talking);
    hangs_up(stage);
}
