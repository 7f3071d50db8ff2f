//! Tokens that must not work, each with its exact answer (RFC 8898, RFC 6750 §3, wire.md §3 REGISTER).

use switch::Counter;

use super::{Stage, scenarios};
use crate::authority::Wish;
use crate::browser::Browser;

scenarios! {
    garbled_token: "A token whose text was changed: 401 with error=\"invalid_token\", the app hears INVALIDTOKEN.",
    expired_token: "An expired token is told so, with the time.",
    foreign_token: "Another account's token is none here.",
    token_of_another_client: "A client cannot register or call with another client's token of its account.",
    token_without_incoming: "A token without the incoming permission: 403, and no invalid_token.",
    no_token: "A REGISTER without a token is challenged by Bearer alone, never by Digest.",
    token_of_a_lost_key: "After the key was replaced outright, old tokens are refused and new ones work.",
    token_of_a_rotated_key: "A rotated key verifies on until its time.",
    ending_token: "A token with less than five seconds left does not register.",
    verified_once: "A refresh with the same token needs no second signature check.",
}

fn enable(stage: &mut Stage, page: usize, token: &str) {
    stage
        .world
        .app(page, |browser, now| browser.enable_incoming(now, token));
    stage.seconds(1);
}

/// What a scripted client gets for a REGISTER as `client` with this token.
fn answer_to(stage: &mut Stage, client: &str, token: Option<&str>) -> String {
    let raw = stage.raw("raw");
    let contact = "<sip:raw@raw.invalid;transport=ws>;expires=600";
    let register = stage.register(client, token, contact).finish();
    stage.sends(raw, register);
    let texts = stage.inbox(raw).texts();
    stage.claim(texts.len() == 1, "there is exactly one answer");
    texts[0].clone()
}

fn is_invalid(stage: &Stage, answer: &str, words: &str) {
    stage.claim(answer.starts_with("SIP/2.0 401 "), "401");
    stage.claim(
        answer.contains("\r\nWWW-Authenticate: Bearer realm=\"offhook\", error=\"invalid_token\""),
        "the challenge says error=\"invalid_token\"",
    );
    stage.claim(answer.contains(words), &format!("it says why: {words}"));
    stage.claim(stage.clients().is_empty(), "nobody is registered");
}

fn garbled_token(stage: &mut Stage) {
    let mut token = stage.token(&Wish::all("bob"));
    let letter = if token.split_off(token.len() - 9).starts_with('A') {
        'B'
    } else {
        'A'
    };
    token.push(letter);
    token.push_str("AAAAAAAA");
    let bob = stage.page("bob");
    enable(stage, bob, &token);
    stage.claim(
        stage
            .browser(bob)
            .last_state()
            .map(|(ready, cause, _)| (ready, cause))
            == Some((false, "INVALIDTOKEN")),
        "the app hears INVALIDTOKEN",
    );
    stage.claim(
        !stage.browser(bob).wants_calls(),
        "the SDK has dropped the token",
    );
    let answer = answer_to(stage, "bob", Some(&token));
    is_invalid(stage, &answer, "signature");
    let answer = answer_to(stage, "bob", Some("rubbish"));
    is_invalid(stage, &answer, "not a token");
    stage.claim(
        stage.world.server(0).counted(Counter::TokenRefused) == 3,
        "each refusal was counted",
    );
}

fn expired_token(stage: &mut Stage) {
    let token = stage.token(&Wish::all("bob").ttl(60));
    stage.seconds(61);
    let answer = answer_to(stage, "bob", Some(&token));
    is_invalid(stage, &answer, "expired at 2026-01-01_00:01:00 UTC");
}

fn foreign_token(stage: &mut Stage) {
    let token = stage.world.token(1, &Wish::all("bob"));
    let answer = answer_to(stage, "bob", Some(&token));
    is_invalid(stage, &answer, "another account");
}

fn token_of_another_client(stage: &mut Stage) {
    let token = stage.token(&Wish::all("carol"));
    let answer = answer_to(stage, "bob", Some(&token));
    is_invalid(stage, &answer, "carol");
    stage.registered("dave");
    let raw = stage.raw("raw");
    let invite = stage.invite("bob", "dave", &token).finish();
    stage.sends(raw, invite);
    stage.claim(
        stage.inbox(raw).count("SIP/2.0 401") == 1,
        "nor can it call",
    );
}

fn token_without_incoming(stage: &mut Stage) {
    let token = stage.token(&Wish::all("bob").outgoing_only());
    let answer = answer_to(stage, "bob", Some(&token));
    stage.claim(answer.starts_with("SIP/2.0 403 "), "403");
    stage.claim(
        !answer.contains("invalid_token"),
        "the token itself is good",
    );
    stage.claim(stage.clients().is_empty(), "nobody is registered");
    let bob = stage.page("bob");
    enable(stage, bob, &token);
    stage.claim(
        stage
            .browser(bob)
            .last_state()
            .map(|(ready, cause, _)| (ready, cause))
            == Some((false, "FAILED")),
        "the app hears FAILED",
    );
}

fn no_token(stage: &mut Stage) {
    let answer = answer_to(stage, "bob", None);
    is_invalid(stage, &answer, "no token was sent");
    stage.claim(!answer.contains("Digest"), "no Digest challenge");
}

fn token_of_a_lost_key(stage: &mut Stage) {
    let bob = stage.registered("bob");
    stage.world.authority.rotate(0, None);
    stage.world.publish();
    stage.claim(stage.clients() == ["bob"], "who is registered stays so");
    stage.seconds(600);
    stage.claim(stage.clients().is_empty(), "until the refresh");
    stage.claim(
        stage.browser(bob).last_state().map(|(_, cause, _)| cause) == Some("INVALIDTOKEN"),
        "the app hears why",
    );
    let token = stage.token(&Wish::all("bob"));
    enable(stage, bob, &token);
    stage.claim(stage.clients() == ["bob"], "a new token works");
}

fn token_of_a_rotated_key(stage: &mut Stage) {
    let old = stage.token(&Wish::all("bob"));
    let end = stage.world.now().unix + std::time::Duration::from_secs(100);
    stage.world.authority.rotate(0, Some(end));
    stage.world.publish();
    let bob = stage.page("bob");
    enable(stage, bob, &old);
    stage.claim(
        stage.browser(bob).is_registered(),
        "the old key verifies on",
    );
    stage.seconds(100);
    let answer = answer_to(stage, "carol", Some(&old));
    stage.claim(
        answer.starts_with("SIP/2.0 401 "),
        "and no longer than that",
    );
}

fn ending_token(stage: &mut Stage) {
    let token = stage.token(&Wish::all("bob").ttl(60));
    stage.seconds(56);
    let answer = answer_to(stage, "bob", Some(&token));
    is_invalid(stage, &answer, "too soon");
}

fn verified_once(stage: &mut Stage) {
    let bob = stage.registered("bob");
    stage.seconds(1900);
    let checks = stage.world.server(0).counted(Counter::TokenVerified);
    stage.claim(checks == 1, "one signature check in half an hour");
    stage.claim(stage.browser(bob).is_registered(), "and bob is registered");
    stage.until("bob stays", |world| {
        world.browser(bob).is_some_and(Browser::is_registered)
    });
}
