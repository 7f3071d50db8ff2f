//! Registering, refreshing, replacing a token, de-registering; what ends a registration (wire.md §3 REGISTER).

use switch::Counter;

use super::{Stage, scenarios};
use crate::authority::Wish;
use crate::browser::Heard;
use crate::clock::SECOND;
use crate::faults::Cut;

scenarios! {
    register: "A page with a token registers, and appears in the list of registered clients.",
    refresh: "A registration is refreshed 3 s before its end and never leaves the list.",
    token_replacement: "A new token on a registered page registers again at once and ends later.",
    deregistration: "A page de-registers without a token on the connection that holds its registration, and goes.",
    deregistration_in_a_call: "A page that de-registers during a call leaves the list, and the call goes on.",
    deregistration_by_another_connection: "Another connection cannot end a registration without a token, and can with one.",
    deregistration_of_everything: "Contact: * with Expires: 0 ends what the connection holds; without Expires it is refused.",
    registration_ends_with_its_token: "A registration never outlives its token, whatever expires= was asked for.",
    too_brief: "A registration of less than a minute is answered 423 with Min-Expires.",
    old_cseq: "A REGISTER that is older than the one before is refused, the same one again is not.",
    list_shows_the_time_of_the_refresh: "The list tells when a client registered last and until when.",
    silent_client_is_lost: "A client that answers no ping is lost after two, and its registration with it.",
}

fn register(stage: &mut Stage) {
    let bob = stage.registered("bob");
    stage.claim(stage.clients() == ["bob"], "bob is in the list");
    stage.claim(
        stage.browser(bob).last_state() == Some((true, "NORMAL", true)),
        "the app is told ready, NORMAL, retry",
    );
    stage.claim(
        stage.world.server(0).counted(Counter::Registered) == 1,
        "one registration was counted",
    );
}

fn refresh(stage: &mut Stage) {
    let bob = stage.registered("bob");
    for _ in 0..60 {
        stage.seconds(30);
        stage.claim(stage.clients() == ["bob"], "bob stays in the list");
    }
    let told = stage.heard(bob, |heard| matches!(heard, Heard::IncomingState { .. }));
    stage.claim(told == 1, "the app is not told of refreshes");
    stage.claim(
        stage.world.server(0).counted(Counter::Registered) == 1,
        "a refresh is no new registration",
    );
}

fn token_replacement(stage: &mut Stage) {
    let bob = stage.registered_with(0, &Wish::all("bob").ttl(120));
    let end = |stage: &Stage| stage.world.server(0).clients(0, stage.world.now())[0].expires;
    let before = end(stage);
    let token = stage.token(&Wish::all("bob").ttl(3600));
    stage
        .world
        .app(bob, |browser, now| browser.enable_incoming(now, &token));
    stage.seconds(1);
    stage.claim(end(stage) > before, "the registration now ends later");
    stage.seconds(300);
    stage.claim(stage.clients() == ["bob"], "and outlives the first token");
    let ready = stage.heard(bob, |heard| {
        matches!(heard, Heard::IncomingState { ready: true, .. })
    });
    stage.claim(ready == 2, "the app is told of both");
}

fn deregistration(stage: &mut Stage) {
    let bob = stage.registered("bob");
    stage
        .world
        .app(bob, |browser, now| browser.disable_incoming(now));
    stage.claim(
        stage.browser(bob).last_state() == Some((false, "DISCONNECTED", false)),
        "the app is told at once",
    );
    stage.seconds(1);
    stage.claim(stage.clients().is_empty(), "nobody is in the list");
    stage.claim(
        stage.browser(bob).is_stopped(),
        "the page has closed its socket",
    );
}

fn deregistration_in_a_call(stage: &mut Stage) {
    let bob = stage.answering("bob");
    let alice = stage.page("alice");
    let (call, _) = stage.talking(alice, bob);
    stage
        .world
        .app(bob, |browser, now| browser.disable_incoming(now));
    stage.seconds(30);
    stage.claim(stage.clients().is_empty(), "nobody is in the list");
    stage.claim(stage.cause(bob).is_none(), "the call goes on");
    stage.hang_up(alice, call);
    stage.seconds(1);
    stage.claim(stage.cause(bob) == Some("NORMAL"), "and ends as usual");
    stage.claim(stage.browser(bob).is_stopped(), "then the socket is closed");
}

fn deregistration_by_another_connection(stage: &mut Stage) {
    let bob = stage.registered("bob");
    let contact = format!(
        "<sip:{}@{};transport=ws>;expires=0",
        stage.browser(bob).contact_user(),
        stage.browser(bob).via_host()
    );
    let other = stage.raw("other");
    let without = stage.register("bob", None, &contact).finish();
    stage.sends(other, without);
    stage.claim(
        stage.inbox(other).last("SIP/2.0 403").is_some(),
        "403 without a token",
    );
    stage.claim(stage.clients() == ["bob"], "bob is still there");

    let all = stage
        .register("bob", None, "*")
        .row("Expires", "0")
        .finish();
    stage.sends(other, all);
    stage.claim(
        stage.inbox(other).count("SIP/2.0 403") == 2,
        "nor may it end all of them",
    );
    stage.claim(stage.clients() == ["bob"], "bob is still there");

    let token = stage.token(&Wish::all("bob"));
    let with = stage.register("bob", Some(&token), &contact).finish();
    stage.sends(other, with);
    stage.claim(
        stage.inbox(other).last("SIP/2.0 200").is_some(),
        "200 with a token",
    );
    stage.claim(stage.clients().is_empty(), "bob is gone");
}

fn deregistration_of_everything(stage: &mut Stage) {
    let bob = stage.registered_raw("bob");
    let bad = stage.register("bob", None, "*").finish();
    stage.sends(bob, bad);
    stage.claim(
        stage.inbox(bob).last("SIP/2.0 400").is_some(),
        "400 without Expires: 0",
    );
    stage.claim(stage.clients() == ["bob"], "bob is still there");
    let good = stage
        .register("bob", None, "*")
        .row("Expires", "0")
        .finish();
    stage.sends(bob, good);
    stage.claim(stage.clients().is_empty(), "bob is gone");
}

fn registration_ends_with_its_token(stage: &mut Stage) {
    let raw = stage.raw("bob");
    let token = stage.token(&Wish::all("bob").ttl(100));
    let contact = "<sip:bob@raw.invalid;transport=ws>;expires=600";
    let register = stage.register("bob", Some(&token), contact).finish();
    stage.sends(raw, register);
    let answer = stage.inbox(raw).last("SIP/2.0 200").unwrap_or_default();
    stage.claim(
        answer.contains("<sip:bob@raw.invalid;transport=ws>;expires=100\r\n"),
        "the answer says when it ends",
    );
    stage.seconds(99);
    stage.claim(
        stage.clients() == ["bob"],
        "bob is there while his token is good",
    );
    stage.seconds(1);
    stage.claim(stage.clients().is_empty(), "and not longer");

    // A page refreshes 3 s before the end, when its token is too old to register with.
    let carol = stage.registered_with(0, &Wish::all("carol").ttl(100));
    stage.seconds(99);
    let state = stage.browser(carol).last_state();
    stage.claim(
        matches!(state, Some((false, "INVALIDTOKEN", _))),
        "its app is told that the token is used up",
    );
}

fn too_brief(stage: &mut Stage) {
    let raw = stage.raw("bob");
    let token = stage.token(&Wish::all("bob"));
    let contact = "<sip:bob@raw.invalid;transport=ws>;expires=59";
    let register = stage.register("bob", Some(&token), contact).finish();
    stage.sends(raw, register);
    let answer = stage.inbox(raw).last("SIP/2.0 423").unwrap_or_default();
    stage.claim(
        answer.contains("\r\nMin-Expires: 60\r\n"),
        "423 names the least",
    );
    stage.claim(stage.clients().is_empty(), "nothing was registered");
}

fn old_cseq(stage: &mut Stage) {
    let raw = stage.raw("bob");
    let token = stage.token(&Wish::all("bob"));
    let contact = "<sip:bob@raw.invalid;transport=ws>;expires=600";
    let draft = stage.register("bob", Some(&token), contact).cseq(7);
    for (cseq, branch) in [
        (7, "z9hG4bKa"),
        (7, "z9hG4bKb"),
        (6, "z9hG4bKc"),
        (8, "z9hG4bKd"),
    ] {
        let register = draft.clone().cseq(cseq).branch(branch).finish();
        stage.sends(raw, register);
    }
    stage.claim(
        stage.inbox(raw).count("SIP/2.0 200") == 3,
        "three are in order",
    );
    stage.claim(stage.inbox(raw).count("SIP/2.0 500") == 1, "one is not");
}

fn list_shows_the_time_of_the_refresh(stage: &mut Stage) {
    stage.registered("bob");
    let entry = |stage: &Stage| stage.world.server(0).clients(0, stage.world.now())[0].clone();
    let first = entry(stage);
    stage.claim(
        first.expires.since(first.last_modified).as_secs() == 600,
        "it was asked for 600 s",
    );
    stage.seconds(610);
    let later = entry(stage);
    let between = later.last_modified.since(first.last_modified).as_secs();
    stage.claim((596..=598).contains(&between), "refreshed at expires - 3 s");
}

fn silent_client_is_lost(stage: &mut Stage) {
    let bob = stage.registered("bob");
    stage.world.cut(
        bob,
        Cut {
            client_after: 600 * SECOND,
            server_after: None,
        },
    );
    stage.seconds(70);
    stage.claim(
        stage.clients() == ["bob"],
        "two pings are out, none was missed twice",
    );
    stage.seconds(40);
    stage.claim(stage.clients().is_empty(), "the connection is lost");
    stage.claim(
        stage.world.server(0).counted(Counter::NoPong) == 1,
        "and that was counted",
    );
}
