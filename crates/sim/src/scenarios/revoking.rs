//! Tokens that are revoked: by their name, of a client, of an account, before an instant; with and without the end of what was made
//! with them (docs/api.md, `/v1/revocations`).

use model::{EndedBy, RingOrder, ServiceCallers, UnixTime};
use switch::Counter;

use super::{Stage, scenarios};
use crate::authority::{Taken, Wish};

scenarios! {
    one_token_is_revoked: "A token is revoked by its jti: it is refused, and another of the same client and second is not.",
    a_client_is_revoked: "The tokens of a client are revoked: what is registered stays until its refresh, whose token is refused.",
    an_account_is_revoked: "All tokens of an account are revoked: new ones work, and other accounts never notice.",
    tokens_before_an_instant: "Tokens that were issued before an instant are refused, later ones are not.",
    revoked_with_its_end: "A client is revoked with all that it has: its call ends with a Reason, its registration at once.",
    one_token_ends_alone: "A token is revoked with its end: a client that has registered with another since stays.",
    a_call_by_a_revoked_token: "A client called with one token and is registered with another: revoking the first ends the call.",
    services_ask_no_more: "A client whose token was revoked speaks for itself no more: a service that wants clients proven refuses it.",
    a_revocation_is_taken_back: "A revocation is taken back: the token works again.",
}

/// Whether a REGISTER as bob with this token is refused as one that is revoked.
#[track_caller]
fn is_refused(stage: &mut Stage, token: &str) -> bool {
    let raw = stage.raw("raw");
    let contact = "<sip:raw@raw.invalid;transport=ws>;expires=600";
    let register = stage.register("bob", Some(token), contact).finish();
    stage.sends(raw, register);
    let texts = stage.inbox(raw).texts();
    stage.claim(texts.len() == 1, "there is exactly one answer");
    let is_challenge = texts[0].contains("error=\"invalid_token\"");
    let answer = texts[0].clone();
    let is_revoked = answer.starts_with("SIP/2.0 401 ") && answer.contains("the token was revoked");
    let is_taken = answer.starts_with("SIP/2.0 200 ");
    stage.claim(is_revoked || is_taken, "it is taken, or told why not");
    stage.claim(is_revoked == is_challenge, "in the words of bad tokens");
    is_revoked
}

#[track_caller]
fn refused(stage: &mut Stage, token: &str, sentence: &str) {
    let is_refused = is_refused(stage, token);
    stage.claim(is_refused, sentence);
}

#[track_caller]
fn accepted(stage: &mut Stage, token: &str, sentence: &str) {
    let is_refused = is_refused(stage, token);
    stage.claim(!is_refused, sentence);
}

fn revoke(stage: &mut Stage, taken: Taken, before: UnixTime, ends: bool) {
    stage.world.authority.revoke(0, taken, before, ends);
    stage.world.publish();
}

fn revoke_now(stage: &mut Stage, taken: Taken, ends: bool) {
    let now = stage.world.now().unix;
    revoke(stage, taken, now, ends);
}

fn bob() -> Taken {
    Taken::Client("bob".to_owned())
}

fn counted(stage: &Stage, counter: Counter) -> u64 {
    stage.world.server(0).counted(counter)
}

fn one_token_is_revoked(stage: &mut Stage) {
    let tokens = [(); 2].map(|()| stage.token(&Wish::all("bob")));
    revoke_now(stage, Taken::Token(tokens[0].clone()), false);
    refused(stage, &tokens[0], "the one is refused");
    accepted(stage, &tokens[1], "the other is not");
    stage.claim(
        counted(stage, Counter::TokenRevoked) == 1 && counted(stage, Counter::TokenRefused) == 1,
        "it is counted",
    );
}

fn a_client_is_revoked(stage: &mut Stage) {
    let page = stage.registered("bob");
    let alice = stage.registered("alice");
    stage.seconds(1);
    revoke_now(stage, bob(), false);
    stage.claim(stage.clients() == ["alice", "bob"], "nobody is thrown out");
    stage.seconds(600);
    stage.claim(stage.clients() == ["alice"], "until the refresh");
    stage.claim(
        stage.browser(page).last_state().map(|(_, cause, _)| cause) == Some("INVALIDTOKEN"),
        "the app hears why",
    );
    stage.claim(stage.browser(alice).is_registered(), "alice stays");
    let fresh = stage.token(&Wish::all("bob"));
    accepted(stage, &fresh, "a new token works");
}

fn an_account_is_revoked(stage: &mut Stage) {
    let other = stage.registered_with(1, &Wish::all("eve"));
    let old = stage.token(&Wish::all("bob"));
    stage.seconds(1);
    revoke_now(stage, Taken::All, true);
    refused(stage, &old, "what there was is refused");
    stage.seconds(1);
    let fresh = stage.token(&Wish::all("bob"));
    accepted(stage, &fresh, "a new token works");
    stage.seconds(700);
    stage.claim(
        stage.browser(other).is_registered(),
        "another account goes on",
    );
}

fn tokens_before_an_instant(stage: &mut Stage) {
    let early = stage.token(&Wish::all("bob"));
    stage.seconds(10);
    let cut = UnixTime::from_secs(stage.world.now().unix.as_secs());
    let late = stage.token(&Wish::all("bob"));
    stage.seconds(10);
    for taken in [bob(), Taken::All] {
        revoke(stage, taken, cut, false);
        refused(stage, &early, "issued before");
        accepted(stage, &late, "issued in that second");
        stage.world.authority.unrevoke(0);
    }
    let after = UnixTime::from_millis(cut.as_millis() + 1);
    revoke(stage, Taken::All, after, false);
    refused(stage, &late, "a second that was not over counts as before");
}

fn revoked_with_its_end(stage: &mut Stage) {
    let callee = stage.answering("bob");
    let alice = stage.registered("alice");
    stage.talking(alice, callee);
    stage.seconds(1);
    revoke_now(stage, bob(), true);
    stage.claim(stage.clients() == ["alice"], "bob is gone at once");
    stage.seconds(1);
    stage.claim(stage.cause(alice) == Some("FAILED"), "alice is told");
    stage.claim(stage.cause(callee) == Some("FAILED"), "so is bob");
    let (by, status, reason) = stage.only_outcome();
    stage.claim(
        (by, status) == (EndedBy::Server, 403) && reason == "the token was revoked",
        "the record says why",
    );
    stage.seconds(5);
    stage.claim(stage.clients() == ["alice"], "bob does not come back");
    stage.claim(
        counted(stage, Counter::ConnectionRevoked) == 1,
        "it is counted",
    );
}

fn one_token_ends_alone(stage: &mut Stage) {
    let old = stage.token(&Wish::all("bob"));
    let page = stage.page("bob");
    let enable = |stage: &mut Stage, token: &str| {
        let token = token.to_owned();
        stage
            .world
            .app(page, |browser, now| browser.enable_incoming(now, &token));
        stage.seconds(1);
    };
    enable(stage, &old);
    let fresh = stage.token(&Wish::all("bob"));
    enable(stage, &fresh);
    revoke_now(stage, Taken::Token(old.clone()), true);
    stage.seconds(1);
    stage.claim(stage.browser(page).is_registered(), "bob stays");
    stage.claim(
        counted(stage, Counter::ConnectionRevoked) == 0,
        "nothing was closed",
    );
    revoke_now(stage, Taken::Token(fresh), true);
    stage.claim(stage.clients().is_empty(), "and goes with the other");
}

fn a_call_by_a_revoked_token(stage: &mut Stage) {
    stage.answering("bob");
    let alice = stage.registered("alice");
    let token = stage.token(&Wish::all("alice"));
    stage.call_with(alice, "bob", &token);
    stage.seconds(3);
    revoke_now(stage, Taken::Token(token), true);
    stage.seconds(1);
    stage.recorded(EndedBy::Server, 403);
    stage.seconds(5);
    stage.claim(
        stage.clients() == ["alice", "bob"],
        "alice has come back with the token that she is registered with",
    );
}

fn services_ask_no_more(stage: &mut Stage) {
    let order = RingOrder::All;
    stage
        .world
        .authority
        .set_service("desk", &["carol"], order, 20);
    let proven = ServiceCallers::Proven;
    stage.world.authority.set_service_callers(0, proven);
    stage.world.publish();
    stage.registered("carol");
    let raw = stage.registered_raw("bob");
    let call = |stage: &mut Stage| {
        let uri = "sip:desk@sip-1-2-0.aculab.com";
        let draft = stage.draft("INVITE", "bob", uri, &format!("<{uri}>"));
        let invite = draft
            .row("Contact", "<sip:raw@raw.invalid;transport=ws>")
            .body("application/sdp", super::stage::OFFER);
        stage.sends(raw, invite.finish());
    };
    call(stage);
    stage.claim(stage.inbox(raw).count("SIP/2.0 180") == 1, "carol rings");
    stage.seconds(1);
    revoke_now(stage, bob(), false);
    call(stage);
    let refusal = stage.inbox(raw).last("SIP/2.0 401").unwrap_or_default();
    stage.claim(
        refusal.contains("the token was revoked"),
        "the next call is refused",
    );
    stage.seconds(1);
    let fresh = stage.token(&Wish::all("bob"));
    let contact = "<sip:bob@raw.invalid;transport=ws>;expires=600";
    let register = stage.register("bob", Some(&fresh), contact).finish();
    stage.sends(raw, register);
    call(stage);
    stage.claim(
        stage.inbox(raw).count("SIP/2.0 401") == 1,
        "until a new token is shown",
    );
}

fn a_revocation_is_taken_back(stage: &mut Stage) {
    let token = stage.token(&Wish::all("bob"));
    stage.seconds(1);
    revoke_now(stage, bob(), false);
    refused(stage, &token, "it is refused");
    stage.world.authority.unrevoke(0);
    stage.world.publish();
    accepted(stage, &token, "and taken again");
}
