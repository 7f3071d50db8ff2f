//! Calls to a service that clients answer for: at once, in order, in turn; one winner, and everybody else stops.

use model::{Callee, EndedBy, RingOrder, ServiceCallers};

use super::setup::reply;
use super::stage::{ANSWER, OFFER};
use super::{Stage, scenarios};
use crate::authority::Wish;
use crate::browser::{Answering, CallKey, Heard};
use crate::clock::{MILLI, SECOND};
use crate::raw::row;

scenarios! {
    ring_all: "Five clients ring; the first to answer has the call, and the others stop within 200 ms with a Reason.",
    ring_all_nobody_answers: "Nobody answers in the service's time: everybody stops, and the caller hears that nobody was reached.",
    ring_all_one_refuses: "One client refuses and the others ring on; when the last has refused, the caller hears BUSY.",
    ring_all_caller_gives_up: "The caller gives up: everybody stops.",
    ring_all_caller_is_lost: "The caller's connection is lost: everybody stops.",
    ring_all_one_is_lost: "The connection of one who rings is lost: the others ring on, and one of them answers.",
    ring_all_all_are_lost: "All who ring are lost: the caller is told.",
    ring_all_two_answer: "Two answer at the same moment: one has the call, the other is told that it was completed elsewhere.",
    ring_all_late_answer: "One answers after the caller gave up: ACK and BYE.",
    in_order: "The first rings for its time, then the second, and the first stops.",
    in_order_refused: "The first refuses: the second rings at once.",
    in_order_silent: "The first says nothing at all, not even 100: the second rings after its time.",
    in_order_late_answer: "The first answers after its time: it is sent away, and the second goes on ringing.",
    in_order_lost: "The first is lost while it rings: the second rings at once.",
    in_order_registers_late: "Somebody who registers while the one before rings is rung in turn.",
    round_robin: "Each call begins with the client behind the one that was rung first for the call before.",
    the_busy_are_skipped: "A client that talks or rings is not rung; when all are busy the caller hears BUSY.",
    nobody_is_registered: "No client of the service is registered: 480, and a record that names the service.",
    the_caller_is_not_rung: "A client of the group that calls its own service is not rung.",
    only_those_who_have_shown_a_token: "Where the account says so, a client that has shown no token may not call a service.",
    a_bad_token_is_refused: "A token that is shown with the call of a service is to be a good one.",
    talk_goes_on_in_the_dialog: "In a call of a service everything passes as between clients: re-INVITE, hang-up, record.",
    the_account_is_disabled: "The account is disabled while a service rings: everybody is told.",
    the_server_stops: "The server stops while a service rings: everybody is told.",
}

const TEAM: [&str; 5] = ["bob", "carol", "dave", "erin", "frank"];

fn team(stage: &mut Stage, clients: &[&str], order: RingOrder, ring_s: u16) {
    let authority = &mut stage.world.authority;
    authority.set_service("team", clients, order, ring_s);
    stage.world.publish();
}

fn calls_team(stage: &mut Stage, page: usize) -> CallKey {
    stage
        .world
        .app(page, |browser, now| browser.call_service(now, "team"))
        .expect("pages may call")
}

fn rings(stage: &Stage, page: usize) -> usize {
    stage.heard(page, |heard| matches!(heard, Heard::Incoming { .. }))
}

fn stopped_at(stage: &Stage, page: usize) -> Option<u64> {
    stage.heard_at(page, |heard| matches!(heard, Heard::Disconnected { .. }))
}

fn answers(stage: &mut Stage, raw: usize, invite: &str) {
    let head = reply(invite, "200 OK", "r");
    let contact =
        "Contact: <sip:raw@raw.invalid;transport=ws>\r\nContent-Type: application/sdp\r\n";
    let length = format!("Content-Length: {}\r\n\r\n{ANSWER}", ANSWER.len());
    let answer = head.replace("Content-Length: 0\r\n\r\n", &format!("{contact}{length}"));
    stage.world.script(raw, |raw| raw.send(answer));
}

/// The only record: who answered, how it ended.
fn answered_by(stage: &Stage) -> Option<String> {
    let records = stage.records();
    stage.claim(records.len() == 1, "there is exactly one record");
    match &records[0].callee {
        Callee::Service { name, client } if name.as_str() == "team" => {
            client.as_ref().map(ToString::to_string)
        }
        Callee::Service { .. } | Callee::Client(_) | Callee::Number { .. } => {
            panic!("{:?}", records[0].callee)
        }
    }
}

fn ring_all(stage: &mut Stage) {
    team(stage, &TEAM, RingOrder::All, 20);
    let pages = TEAM.map(|client| stage.registered(client));
    stage.habit(pages[3], Answering::After(2 * SECOND));
    let alice = stage.page("alice");
    let call = calls_team(stage, alice);
    stage.seconds(1);
    for page in pages {
        stage.claim(rings(stage, page) == 1, "everybody rings");
    }
    stage.claim(
        stage.heard(alice, |heard| *heard == Heard::Ringing(call)) == 1,
        "the caller is told once",
    );
    stage.seconds(3);
    let told = stage.heard_at(pages[3], |heard| matches!(heard, Heard::Connected(_)));
    let told = told.expect("erin talks");
    for page in [pages[0], pages[1], pages[2], pages[4]] {
        let stopped = stopped_at(stage, page).expect("the others stop");
        stage.claim(stopped < told + 200 * MILLI, "within 200 ms");
    }
    stage.claim(
        answered_by(stage).as_deref() == Some("erin"),
        "the record names both",
    );
    let from = stage.heard(
        pages[3],
        |heard| matches!(heard, Heard::Incoming { from, kind: "client", .. } if from == "alice"),
    );
    stage.claim(from == 1, "she is told who calls");
    stage.hang_up(alice, call);
    stage.seconds(1);
    stage.claim(
        stage.cause(pages[3]) == Some("NORMAL"),
        "and that it is over",
    );
    stage.recorded(EndedBy::Caller, 200);
}

fn ring_all_nobody_answers(stage: &mut Stage) {
    team(stage, &["bob", "carol"], RingOrder::All, 7);
    let bob = stage.registered("bob");
    let carol = stage.registered_raw("carol");
    let alice = stage.page("alice");
    calls_team(stage, alice);
    stage.seconds(1);
    let invite = stage.inbox(carol).last("INVITE").expect("carol rings");
    stage.sends(carol, reply(&invite, "180 Ringing", "c"));
    stage.seconds(5);
    stage.claim(stage.cause(alice).is_none(), "six seconds pass");
    stage.seconds(2);
    stage.claim(
        stage.cause(alice) == Some("UNOBTAINABLE"),
        "then the caller is told",
    );
    stage.claim(stage.cause(bob) == Some("NORMAL"), "bob stops");
    let cancel = stage.inbox(carol).last("CANCEL").expect("carol stops");
    stage.claim(
        row(&cancel, "Reason")
            .is_some_and(|reason| reason.contains("no client of the service answered")),
        "and knows why",
    );
    stage.recorded(EndedBy::Server, 480);
}

fn ring_all_one_refuses(stage: &mut Stage) {
    team(stage, &["bob", "carol"], RingOrder::All, 20);
    let (bob, carol) = (stage.registered("bob"), stage.registered("carol"));
    stage.habit(bob, Answering::Rejects(486, SECOND));
    stage.habit(carol, Answering::Rejects(603, 3 * SECOND));
    let alice = stage.page("alice");
    calls_team(stage, alice);
    stage.seconds(2);
    stage.claim(stage.cause(alice).is_none(), "carol rings on");
    stage.seconds(2);
    stage.claim(stage.cause(alice) == Some("BUSY"), "then nobody is left");
    stage.recorded(EndedBy::Callee, 486);
    stage.claim(answered_by(stage).is_none(), "nobody answered");
}

fn ring_all_caller_gives_up(stage: &mut Stage) {
    team(stage, &["bob", "carol"], RingOrder::All, 20);
    let (bob, carol) = (stage.registered("bob"), stage.registered("carol"));
    let alice = stage.page("alice");
    let call = calls_team(stage, alice);
    stage.seconds(2);
    stage.hang_up(alice, call);
    stage.seconds(1);
    for page in [bob, carol] {
        stage.claim(stage.cause(page) == Some("NORMAL"), "both stop");
    }
    stage.recorded(EndedBy::Caller, 487);
}

fn ring_all_caller_is_lost(stage: &mut Stage) {
    team(stage, &["bob", "carol"], RingOrder::All, 20);
    let (bob, carol) = (stage.registered("bob"), stage.registered("carol"));
    let alice = stage.page("alice");
    calls_team(stage, alice);
    stage.seconds(2);
    stage.world.close_page(alice);
    stage.seconds(1);
    for page in [bob, carol] {
        stage.claim(stage.cause(page) == Some("NORMAL"), "both stop");
    }
    stage.recorded(EndedBy::Server, 503);
}

fn ring_all_one_is_lost(stage: &mut Stage) {
    team(stage, &["bob", "carol", "dave"], RingOrder::All, 20);
    let pages = ["bob", "carol", "dave"].map(|client| stage.registered(client));
    stage.habit(pages[2], Answering::After(4 * SECOND));
    let alice = stage.page("alice");
    calls_team(stage, alice);
    stage.seconds(1);
    stage.world.close_page(pages[0]);
    stage.seconds(1);
    stage.claim(
        stage.cause(alice).is_none(),
        "the others ring on without the first",
    );
    stage.world.close_page(pages[1]);
    stage.seconds(1);
    stage.claim(stage.cause(alice).is_none(), "and without the second");
    stage.seconds(2);
    stage.claim(
        answered_by(stage).as_deref() == Some("dave"),
        "dave answers",
    );
}

fn ring_all_all_are_lost(stage: &mut Stage) {
    team(stage, &["bob", "carol"], RingOrder::All, 20);
    let (bob, carol) = (stage.registered("bob"), stage.registered("carol"));
    let alice = stage.page("alice");
    calls_team(stage, alice);
    stage.seconds(1);
    stage.world.close_page(carol);
    stage.world.close_page(bob);
    stage.seconds(1);
    stage.claim(stage.cause(alice) == Some("UNOBTAINABLE"), "nobody is left");
    stage.recorded(EndedBy::Server, 480);
}

fn ring_all_two_answer(stage: &mut Stage) {
    team(stage, &["bob", "carol"], RingOrder::All, 20);
    let raws = ["bob", "carol"].map(|client| stage.registered_raw(client));
    let alice = stage.page("alice");
    let call = calls_team(stage, alice);
    stage.seconds(1);
    for raw in raws {
        let invite = stage.inbox(raw).last("INVITE").expect("both ring");
        stage.sends(raw, reply(&invite, "180 Ringing", "r"));
    }
    for raw in raws {
        let invite = stage.inbox(raw).last("INVITE").expect("both ring");
        answers(stage, raw, &invite);
    }
    stage.seconds(1);
    let byes = raws.map(|raw| stage.inbox(raw).last("BYE"));
    let (winner, loser) = match byes {
        [None, Some(bye)] => ("bob", bye),
        [Some(bye), None] => ("carol", bye),
        [None, None] | [Some(_), Some(_)] => panic!("one wins\n{}", stage.world.ladder()),
    };
    stage.claim(
        row(&loser, "Reason") == Some("SIP;cause=200;text=\"Call completed elsewhere\""),
        "the other knows that it was completed elsewhere",
    );
    stage.claim(
        answered_by(stage).as_deref() == Some(winner),
        "the record names the winner",
    );
    stage.claim(
        stage.heard(alice, |heard| *heard == Heard::Connected(call)) == 1,
        "the caller talks",
    );
}

fn ring_all_late_answer(stage: &mut Stage) {
    team(stage, &["bob", "carol"], RingOrder::All, 20);
    let raws = ["bob", "carol"].map(|client| stage.registered_raw(client));
    let alice = stage.page("alice");
    let call = calls_team(stage, alice);
    stage.seconds(1);
    stage.hang_up(alice, call);
    stage.seconds(1);
    for raw in raws {
        let invite = stage.inbox(raw).last("INVITE").expect("both ring");
        answers(stage, raw, &invite);
    }
    stage.seconds(1);
    for raw in raws {
        stage.claim(
            stage.inbox(raw).count("ACK") == 1,
            "its answer is acknowledged",
        );
        stage.claim(stage.inbox(raw).count("BYE") == 1, "and it is sent away");
    }
    stage.recorded(EndedBy::Caller, 487);
}

fn in_order(stage: &mut Stage) {
    team(stage, &["bob", "carol"], RingOrder::InOrder, 5);
    let (bob, carol) = (stage.registered("bob"), stage.registered("carol"));
    stage.habit(carol, Answering::After(SECOND));
    let alice = stage.page("alice");
    calls_team(stage, alice);
    stage.seconds(4);
    stage.claim(
        (rings(stage, bob), rings(stage, carol)) == (1, 0),
        "bob rings first",
    );
    stage.seconds(3);
    stage.claim(rings(stage, carol) == 1, "then carol");
    stage.claim(stage.cause(bob) == Some("NORMAL"), "and bob no more");
    stage.claim(
        answered_by(stage).as_deref() == Some("carol"),
        "she answers",
    );
}

fn in_order_refused(stage: &mut Stage) {
    team(stage, &["bob", "carol"], RingOrder::InOrder, 20);
    let (bob, carol) = (stage.registered("bob"), stage.registered("carol"));
    stage.habit(bob, Answering::Rejects(486, SECOND));
    let alice = stage.page("alice");
    calls_team(stage, alice);
    stage.seconds(2);
    stage.claim(rings(stage, carol) == 1, "carol rings at once");
    stage.habit(carol, Answering::Never);
    stage.seconds(21);
    stage.claim(
        stage.cause(alice) == Some("UNOBTAINABLE"),
        "one was busy, and the other did not answer",
    );
    stage.claim(stage.cause(carol) == Some("NORMAL"), "carol stops");
}

fn in_order_silent(stage: &mut Stage) {
    team(stage, &["bob", "carol"], RingOrder::InOrder, 5);
    let (bob, carol) = (stage.registered_raw("bob"), stage.registered("carol"));
    stage.habit(carol, Answering::After(SECOND));
    let alice = stage.page("alice");
    let call = calls_team(stage, alice);
    stage.seconds(7);
    stage.claim(rings(stage, carol) == 1, "carol rings after five seconds");
    stage.claim(
        stage.heard(alice, |heard| *heard == Heard::Connected(call)) == 1,
        "and answers",
    );
    stage.seconds(70);
    stage.claim(
        stage.inbox(bob).count("CANCEL") == 1,
        "bob is told in the end",
    );
}

fn in_order_late_answer(stage: &mut Stage) {
    team(stage, &["bob", "carol"], RingOrder::InOrder, 5);
    let (bob, carol) = (stage.registered_raw("bob"), stage.registered("carol"));
    let alice = stage.page("alice");
    let call = calls_team(stage, alice);
    stage.seconds(1);
    let invite = stage.inbox(bob).last("INVITE").expect("bob rings");
    stage.sends(bob, reply(&invite, "180 Ringing", "b"));
    stage.seconds(5);
    stage.claim(stage.inbox(bob).count("CANCEL") == 1, "bob is to stop");
    answers(stage, bob, &invite);
    stage.seconds(1);
    let bye = stage.inbox(bob).last("BYE").expect("bob is sent away");
    stage.claim(
        row(&bye, "Reason").is_some_and(|reason| reason.contains("another client is called now")),
        "and knows why",
    );
    stage.claim(rings(stage, carol) == 1, "carol rings on");
    stage.claim(
        stage.heard(alice, |heard| *heard == Heard::Connected(call)) == 0,
        "for a caller that waits",
    );
}

fn in_order_lost(stage: &mut Stage) {
    team(stage, &["bob", "carol"], RingOrder::InOrder, 20);
    let (bob, carol) = (stage.registered("bob"), stage.registered("carol"));
    let alice = stage.page("alice");
    calls_team(stage, alice);
    stage.seconds(1);
    stage.world.close_page(bob);
    stage.seconds(1);
    stage.claim(rings(stage, carol) == 1, "carol rings");
    stage.claim(stage.cause(alice).is_none(), "and the caller waits");
}

fn in_order_registers_late(stage: &mut Stage) {
    team(stage, &["bob", "carol", "dave"], RingOrder::InOrder, 5);
    let bob = stage.registered("bob");
    let alice = stage.page("alice");
    calls_team(stage, alice);
    stage.seconds(2);
    let dave = stage.answering("dave");
    stage.seconds(6);
    stage.claim(rings(stage, bob) == 1, "bob rang");
    stage.claim(
        rings(stage, dave) == 1,
        "and dave, who was not there before",
    );
    stage.claim(answered_by(stage).as_deref() == Some("dave"), "he answers");
}

fn round_robin(stage: &mut Stage) {
    team(stage, &["bob", "carol", "dave"], RingOrder::RoundRobin, 20);
    let pages = ["bob", "carol"].map(|client| stage.registered(client));
    let mut first = Vec::new();
    for _ in 0..3 {
        let alice = stage.page("alice");
        let before = pages.map(|page| rings(stage, page));
        let call = calls_team(stage, alice);
        stage.seconds(1);
        let rung = (0..2).find(|at| rings(stage, pages[*at]) > before[*at]);
        first.extend(rung);
        stage.hang_up(alice, call);
        stage.seconds(1);
    }
    // Dave is away: his turn is bob's.
    stage.claim(first == [0, 1, 0], "bob, carol, bob");
}

fn the_busy_are_skipped(stage: &mut Stage) {
    team(stage, &["bob", "carol"], RingOrder::All, 20);
    let (bob, carol) = (stage.answering("bob"), stage.answering("carol"));
    let erin = stage.page("erin");
    stage.talking(erin, bob);
    let alice = stage.page("alice");
    calls_team(stage, alice);
    stage.seconds(2);
    stage.claim(
        (rings(stage, bob), rings(stage, carol)) == (1, 1),
        "carol alone rings",
    );
    let late = stage.page("frank");
    calls_team(stage, late);
    stage.seconds(1);
    stage.claim(stage.cause(late) == Some("BUSY"), "now all are busy");
}

fn nobody_is_registered(stage: &mut Stage) {
    team(stage, &["bob", "carol"], RingOrder::All, 20);
    let alice = stage.page("alice");
    calls_team(stage, alice);
    stage.seconds(1);
    stage.claim(
        stage.cause(alice) == Some("UNOBTAINABLE"),
        "the caller hears it",
    );
    stage.recorded(EndedBy::Server, 480);
    stage.claim(answered_by(stage).is_none(), "the record names the service");
}

fn the_caller_is_not_rung(stage: &mut Stage) {
    team(stage, &["alice", "bob"], RingOrder::InOrder, 20);
    let (alice, bob) = (stage.registered("alice"), stage.registered("bob"));
    calls_team(stage, alice);
    stage.seconds(1);
    stage.claim(
        (rings(stage, alice), rings(stage, bob)) == (0, 1),
        "bob rings",
    );
}

fn only_those_who_have_shown_a_token(stage: &mut Stage) {
    team(stage, &["bob"], RingOrder::All, 20);
    let authority = &mut stage.world.authority;
    authority.set_service_callers(0, ServiceCallers::Proven);
    stage.world.publish();
    let bob = stage.registered("bob");
    let alice = stage.page("alice");
    calls_team(stage, alice);
    stage.seconds(1);
    stage.claim(stage.cause(alice) == Some("FAILED"), "a stranger may not");
    stage.claim(rings(stage, bob) == 0, "and nobody rings");
    let carol = stage.registered("carol");
    calls_team(stage, carol);
    stage.seconds(1);
    stage.claim(rings(stage, bob) == 1, "whoever has registered may");
    // Another name than the one that was proven is no better than none.
    let raw = stage.registered_raw("dave");
    let invite = service_invite(stage, "erin");
    stage.sends(raw, invite.finish());
    let refused = stage.inbox(raw).last("SIP/2.0 403").unwrap_or_default();
    stage.claim(refused.contains("erin has not here"), "in its own name");
}

fn service_invite(stage: &mut Stage, client: &str) -> crate::raw::Draft {
    let uri = "sip:team@sip-1-2-0.aculab.com;transport=tcp";
    stage
        .draft("INVITE", client, uri, &format!("<{uri}>"))
        .row("Contact", "<sip:raw@raw.invalid;transport=ws>")
        .body("application/sdp", OFFER)
}

fn a_bad_token_is_refused(stage: &mut Stage) {
    team(stage, &["bob"], RingOrder::All, 20);
    let bob = stage.registered("bob");
    let raw = stage.raw("alice");
    let of_carol = stage.token(&Wish::all("carol"));
    for token in ["nonsense", &of_carol] {
        let invite = service_invite(stage, "alice").token(token).finish();
        stage.sends(raw, invite);
    }
    stage.claim(stage.inbox(raw).count("SIP/2.0 401") == 2, "401 for each");
    stage.claim(rings(stage, bob) == 0, "nobody rings");
    let good = stage.token(&Wish::all("alice").calling(&[]));
    let invite = service_invite(stage, "alice").token(&good).finish();
    stage.sends(raw, invite);
    stage.claim(
        rings(stage, bob) == 1,
        "a good one need not name the service",
    );
}

fn talk_goes_on_in_the_dialog(stage: &mut Stage) {
    team(stage, &["bob", "carol"], RingOrder::All, 20);
    let (bob, _carol) = (stage.answering("bob"), stage.registered("carol"));
    let alice = stage.page("alice");
    let call = calls_team(stage, alice);
    stage.seconds(2);
    stage
        .world
        .app(alice, |browser, now| browser.reinvite(now, call));
    stage.seconds(2);
    stage.claim(
        stage.heard(alice, |heard| *heard == Heard::Reinvited(call, 200)) == 1,
        "bob takes the re-INVITE",
    );
    let incoming = stage.browser(bob).last_incoming().expect("bob talks");
    stage.claim(
        stage.browser(alice).call_id(call) == stage.browser(bob).call_id(incoming),
        "callId() is the same at both ends",
    );
    // Longer than those who lost are remembered.
    stage.seconds(100);
    stage.hang_up(bob, incoming);
    stage.seconds(1);
    stage.claim(
        stage.cause(alice) == Some("NORMAL"),
        "the caller hears NORMAL",
    );
    stage.recorded(EndedBy::Callee, 200);
}

fn the_account_is_disabled(stage: &mut Stage) {
    team(stage, &["bob", "carol"], RingOrder::All, 20);
    let (bob, carol) = (stage.registered("bob"), stage.registered("carol"));
    let alice = stage.page("alice");
    calls_team(stage, alice);
    stage.seconds(1);
    stage.world.authority.set_disabled(0, true);
    stage.world.publish();
    stage.seconds(1);
    for page in [alice, bob, carol] {
        stage.claim(stage.cause(page).is_some(), "everybody is told");
    }
    stage.recorded(EndedBy::Server, 403);
}

fn the_server_stops(stage: &mut Stage) {
    team(stage, &["bob", "carol"], RingOrder::InOrder, 20);
    let (bob, _carol) = (stage.registered("bob"), stage.registered("carol"));
    let alice = stage.page("alice");
    calls_team(stage, alice);
    stage.seconds(1);
    stage.world.stop_server(0, None);
    stage.seconds(1);
    for page in [alice, bob] {
        stage.claim(stage.cause(page).is_some(), "everybody is told");
    }
    stage.recorded(EndedBy::Server, 503);
}
