//! Who may call whom, and what a caller is told who may not (wire.md §3 INVITE).

use model::EndedBy;

use super::{Stage, scenarios};
use crate::authority::{Wish, domain};
use crate::browser::Heard;
use crate::raw::row;

scenarios! {
    not_registered: "A callee that is not registered: 480, UNOBTAINABLE, and a record.",
    no_permission: "A token without permission for this callee: 403, FAILED, nobody rings, and a record.",
    wildcard: "A lone * permits every client.",
    prefix: "A trailing * permits a prefix and no more.",
    empty_permission: "A token without call_client calls nobody.",
    invite_with_bad_token: "An INVITE with a bad token: 401 with error=\"invalid_token\".",
    between_accounts: "A call into another account: 403.",
    unknown_destination: "A Request-URI that names nobody: 404.",
    service_call: "A call to a service: 404 while there are none.",
    without_offer: "An INVITE without SDP: 488; with another body: 415.",
    expired_while_registered: "A call with an expired token is refused although its client is registered.",
    unknown_account: "A From host that names no account: 403 for everything.",
    second_account_on_a_connection: "A connection belongs to the account of its first request.",
}

fn rings(stage: &Stage, page: usize) -> bool {
    stage.heard(page, |heard| matches!(heard, Heard::Incoming { .. })) > 0
}

fn call_with(stage: &mut Stage, wish: &Wish, callee: &str) -> usize {
    let page = stage.page(&wish.client);
    let token = stage.token(wish);
    stage.call_with(page, callee, &token);
    stage.seconds(2);
    page
}

fn not_registered(stage: &mut Stage) {
    let alice = call_with(stage, &Wish::all("alice"), "bob");
    stage.claim(
        stage.cause(alice) == Some("UNOBTAINABLE"),
        "alice hears UNOBTAINABLE",
    );
    stage.recorded(EndedBy::Server, 480);
    stage.claim(
        stage.browser(alice).is_stopped(),
        "her socket is closed again",
    );
}

fn no_permission(stage: &mut Stage) {
    let bob = stage.registered("bob");
    let alice = call_with(
        stage,
        &Wish::all("alice").calling(&["carol", "bobby"]),
        "bob",
    );
    stage.claim(stage.cause(alice) == Some("FAILED"), "alice hears FAILED");
    stage.claim(!rings(stage, bob), "bob does not ring");
    stage.recorded(EndedBy::Server, 403);
}

fn wildcard(stage: &mut Stage) {
    let bob = stage.registered("bob");
    call_with(stage, &Wish::all("alice").calling(&["*"]), "bob");
    stage.claim(rings(stage, bob), "bob rings");
}

fn prefix(stage: &mut Stage) {
    let (inside, outside) = (stage.registered("team-a"), stage.registered("tea"));
    let wish = Wish::all("alice").calling(&["team-*"]);
    call_with(stage, &wish, "team-a");
    let wish = Wish::all("carol").calling(&["team-*"]);
    let carol = call_with(stage, &wish, "tea");
    stage.claim(rings(stage, inside), "team-a rings");
    stage.claim(!rings(stage, outside), "tea does not");
    stage.claim(stage.cause(carol) == Some("FAILED"), "carol hears FAILED");
}

fn empty_permission(stage: &mut Stage) {
    let bob = stage.registered("bob");
    let alice = call_with(stage, &Wish::all("alice").calling(&[]), "bob");
    stage.claim(stage.cause(alice) == Some("FAILED"), "alice hears FAILED");
    stage.claim(!rings(stage, bob), "bob does not ring");
}

fn invite_with_bad_token(stage: &mut Stage) {
    let bob = stage.registered("bob");
    let foreign = stage.world.token(1, &Wish::all("alice"));
    let raw = stage.raw("alice");
    let invite = stage.invite("alice", "bob", &foreign).finish();
    stage.sends(raw, invite);
    let answer = stage.inbox(raw).last("SIP/2.0 401").unwrap_or_default();
    stage.claim(
        answer.contains("error=\"invalid_token\""),
        "401 says invalid_token",
    );
    stage.claim(!rings(stage, bob), "bob does not ring");
    stage.claim(
        stage.records().is_empty(),
        "whoever shows no token leaves no record",
    );
}

fn between_accounts(stage: &mut Stage) {
    let other = stage.registered_with(1, &Wish::all("bob"));
    let alice = stage.page("alice");
    let token = stage.token(&Wish::all("alice"));
    let uri = format!("sip:bob@{}", domain(1));
    stage
        .world
        .app(alice, |browser, now| browser.place(now, &uri, Some(&token)));
    stage.seconds(2);
    stage.claim(stage.cause(alice) == Some("FAILED"), "alice hears FAILED");
    stage.claim(!rings(stage, other), "nobody rings");
    let raw = stage.raw("alice");
    let to = format!("<{uri}>");
    let invite = stage
        .draft("INVITE", "alice", &uri, &to)
        .token(&token)
        .row("Contact", "<sip:raw@raw.invalid;transport=ws>")
        .body("application/sdp", super::stage::OFFER)
        .finish();
    stage.sends(raw, invite);
    stage.claim(stage.inbox(raw).count("SIP/2.0 403") == 1, "403");
}

fn unknown_destination(stage: &mut Stage) {
    let raw = stage.raw("alice");
    let token = stage.token(&Wish::all("alice"));
    for uri in [
        "sip:bob@example.com".to_owned(),
        format!("sip:bob%20smith@{}", domain(0)),
        format!("sip:bob@{}", domain(7)),
    ] {
        let to = format!("<{uri}>");
        let invite = stage
            .draft("INVITE", "alice", &uri, &to)
            .token(&token)
            .row("Contact", "<sip:raw@raw.invalid;transport=ws>")
            .body("application/sdp", super::stage::OFFER)
            .finish();
        stage.sends(raw, invite);
    }
    stage.claim(
        stage.inbox(raw).count("SIP/2.0 404") == 3,
        "404 three times",
    );
}

fn service_call(stage: &mut Stage) {
    let alice = stage.page("alice");
    stage
        .world
        .app(alice, |browser, now| browser.call_service(now, "pizza"));
    stage.seconds(2);
    stage.claim(
        stage.cause(alice) == Some("UNOBTAINABLE"),
        "alice hears UNOBTAINABLE",
    );
}

fn without_offer(stage: &mut Stage) {
    let bob = stage.registered("bob");
    let raw = stage.raw("alice");
    let token = stage.token(&Wish::all("alice"));
    let uri = format!("sip:bob@{}", domain(0));
    let to = format!("<{uri}>");
    let bare = stage
        .draft("INVITE", "alice", &uri, &to)
        .token(&token)
        .row("Contact", "<sip:raw@raw.invalid;transport=ws>");
    let other = bare
        .clone()
        .branch("z9hG4bKother")
        .call_id("other")
        .body("text/plain", "hello");
    stage.sends(raw, bare.finish());
    stage.claim(
        stage.inbox(raw).count("SIP/2.0 488") == 1,
        "488 without a body",
    );
    stage.sends(raw, other.finish());
    let answer = stage.inbox(raw).last("SIP/2.0 415").unwrap_or_default();
    stage.claim(
        row(&answer, "Accept") == Some("application/sdp"),
        "415 says what is taken",
    );
    stage.claim(!rings(stage, bob), "bob does not ring");
}

fn expired_while_registered(stage: &mut Stage) {
    stage.registered("bob");
    let old = stage.token(&Wish::all("alice").ttl(60));
    stage.seconds(61);
    let alice = stage.page("alice");
    stage.call_with(alice, "bob", &old);
    stage.seconds(2);
    stage.claim(stage.cause(alice) == Some("FAILED"), "alice hears FAILED");
}

fn unknown_account(stage: &mut Stage) {
    let raw = stage.raw("nobody");
    for (method, number) in [("OPTIONS", 1), ("REGISTER", 2), ("INVITE", 3), ("BYE", 4)] {
        let from = "<sip:bob@key77.webrtc-1-2-0.aculabcloud.net>;tag=x";
        let draft =
            crate::raw::Draft::new(method, "sip:a@b.invalid", from, "<sip:a@b.invalid>", number);
        stage.sends(raw, draft.finish());
    }
    stage.claim(stage.inbox(raw).count("SIP/2.0 403") == 4, "403 four times");
    stage.seconds(31);
    stage.claim(
        !stage.inbox(raw).is_open,
        "who does not introduce itself is closed",
    );
}

fn second_account_on_a_connection(stage: &mut Stage) {
    let raw = stage.registered_raw("bob");
    let token = stage.world.token(1, &Wish::all("bob"));
    let address = format!("<sip:bob@{}>", domain(1));
    let from = format!("{address};tag=x");
    let register = crate::raw::Draft::new(
        "REGISTER",
        &format!("sip:{}", domain(1)),
        &from,
        &address,
        99,
    )
    .token(&token)
    .row("Contact", "<sip:bob@raw.invalid;transport=ws>;expires=600");
    stage.sends(raw, register.finish());
    stage.claim(stage.inbox(raw).count("SIP/2.0 403") == 1, "403");
    let clients = stage.world.server(0).clients(1, stage.world.now());
    stage.claim(clients.is_empty(), "nobody is registered there");
}
