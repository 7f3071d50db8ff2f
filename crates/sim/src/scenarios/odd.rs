//! Clients that repeat, replay and confuse (RFC 3261 §8.2.2.2, §17.2.3, §8.2).

use switch::Counter;

use super::{Stage, scenarios};
use crate::authority::{Wish, domain};
use crate::browser::Heard;
use crate::raw::{Draft, row};

scenarios! {
    replayed_invite: "The same INVITE again on its connection is absorbed; from another user agent it is another call.",
    merged_invite: "The same call under another branch: 482.",
    stolen_invite: "A thief is the first with a copy of the call that a client makes to itself: the client's own is still a call.",
    stolen_token_from_elsewhere: "A token shown by another client's address: 401, and its owner is not troubled.",
    in_dialog_without_a_call: "Requests with a To tag that names no call: 481; ACK: silence.",
    methods_outside_a_call: "INFO, MESSAGE, UPDATE outside a call: 405; unknown methods: 501.",
    required_extension: "A Require that nobody knows: 420 with Unsupported.",
    hops_used_up: "Max-Forwards: 0 on an INVITE: 483.",
    other_scheme: "A Request-URI of another scheme: 416.",
    response_to_nothing: "Responses that answer nothing are dropped.",
    guessed_tag: "A tag that was nearly guessed is none.",
    third_party_register: "A REGISTER whose From and To differ: 403.",
    two_contacts: "A REGISTER with two Contacts: 400.",
    hostile_crowd: "Three attackers beside two honest pages: every check of the world holds, and the pages stay.",
}

fn count(stage: &Stage, raw: usize, status: &str) -> usize {
    stage.inbox(raw).count(&format!("SIP/2.0 {status}"))
}

fn replayed_invite(stage: &mut Stage) {
    let bob = stage.registered("bob");
    let alice = stage.raw("alice");
    let token = stage.token(&Wish::all("alice"));
    let invite = stage.invite("alice", "bob", &token).finish();
    for _ in 0..5 {
        stage.sends(alice, invite.clone());
    }
    let rings = stage.heard(bob, |heard| matches!(heard, Heard::Incoming { .. }));
    stage.claim(rings == 1, "bob rings once");
    stage.claim(stage.records().len() == 1, "it is one call");
    // Under a name of its own: whoever shows alice's token and her user agent's name is alice.
    let thief = stage.raw("thief");
    stage.sends(
        thief,
        String::from_utf8_lossy(&invite).replace("raw1.invalid", "thief.invalid"),
    );
    stage.claim(
        count(stage, thief, "486") == 1,
        "on another connection it is another call",
    );
    stage.claim(stage.records().len() == 2, "with its own record");
}

fn merged_invite(stage: &mut Stage) {
    stage.registered("bob");
    let alice = stage.raw("alice");
    let token = stage.token(&Wish::all("alice"));
    let draft = stage.invite("alice", "bob", &token);
    stage.sends(alice, draft.finish());
    stage.sends(alice, draft.branch("z9hG4bKanother").finish());
    stage.claim(count(stage, alice, "482") == 1, "482");
}

fn stolen_invite(stage: &mut Stage) {
    let alice = stage.raw("alice");
    let token = stage.token(&Wish::all("alice"));
    let contact = "<sip:alice@raw.invalid;transport=ws>;expires=600";
    let register = stage.register("alice", Some(&token), contact).finish();
    stage.sends(alice, register);
    let draft = stage.invite("alice", "alice", &token);
    let thief = stage.raw("thief");
    stage.sends(thief, draft.finish());
    stage.sends(alice, draft.finish());
    stage.claim(count(stage, alice, "482") == 0, "it is no repetition");
    stage.claim(count(stage, alice, "100") == 1, "but a call");
}

fn stolen_token_from_elsewhere(stage: &mut Stage) {
    let bob = stage.registered("bob");
    let token = stage.token(&Wish::all("bob"));
    let thief = stage.raw("mallory");
    let contact = "<sip:evil@raw.invalid;transport=ws>;expires=600";
    let register = stage.register("mallory", Some(&token), contact).finish();
    stage.sends(thief, register);
    stage.claim(count(stage, thief, "401") == 1, "401");
    stage.claim(stage.clients() == ["bob"], "bob alone is registered");
    stage.claim(stage.browser(bob).is_registered(), "and untroubled");
}

fn in_dialog_without_a_call(stage: &mut Stage) {
    let raw = stage.raw("alice");
    let home = domain(0);
    for (at, method) in [
        "BYE", "INFO", "INVITE", "UPDATE", "OPTIONS", "CANCEL", "ACK",
    ]
    .iter()
    .enumerate()
    {
        let to = format!("<sip:bob@{home}>;tag=a1-0123456789abcdef{at}");
        let draft = stage.draft(method, "alice", &format!("sip:bob@{home}"), &to);
        stage.sends(raw, draft.finish());
    }
    stage.claim(
        count(stage, raw, "481") == 6,
        "481 for six, nothing for the ACK",
    );
    stage.claim(stage.inbox(raw).texts().len() == 6, "and no more");
}

fn methods_outside_a_call(stage: &mut Stage) {
    let raw = stage.raw("alice");
    let home = domain(0);
    let to = format!("<sip:bob@{home}>");
    for method in ["INFO", "MESSAGE", "UPDATE", "SUBSCRIBE", "REFER", "PUBLISH"] {
        let draft = stage.draft(method, "alice", &format!("sip:bob@{home}"), &to);
        stage.sends(raw, draft.finish());
    }
    stage.claim(count(stage, raw, "405") == 6, "405");
    let last = stage.inbox(raw).last("SIP/2.0 405").unwrap_or_default();
    stage.claim(row(&last, "Allow").is_some(), "with Allow");
    let draft = stage.draft("DANCE", "alice", &format!("sip:bob@{home}"), &to);
    stage.sends(raw, draft.finish());
    stage.claim(count(stage, raw, "501") == 1, "501");
    let draft = stage.draft("BYE", "alice", &format!("sip:bob@{home}"), &to);
    stage.sends(raw, draft.finish());
    stage.claim(count(stage, raw, "481") == 1, "481 for a BYE of nothing");
}

fn required_extension(stage: &mut Stage) {
    let raw = stage.raw("alice");
    let home = domain(0);
    let draft = stage
        .draft(
            "OPTIONS",
            "alice",
            &format!("sip:{home}"),
            &format!("<sip:{home}>"),
        )
        .row("Require", "100rel, timer");
    stage.sends(raw, draft.finish());
    let answer = stage.inbox(raw).last("SIP/2.0 420").unwrap_or_default();
    stage.claim(
        row(&answer, "Unsupported") == Some("100rel"),
        "420 names it",
    );
}

fn hops_used_up(stage: &mut Stage) {
    stage.registered("bob");
    let raw = stage.raw("alice");
    let token = stage.token(&Wish::all("alice"));
    let invite = stage.invite("alice", "bob", &token).finish();
    let text = String::from_utf8_lossy(&invite).replace("Max-Forwards: 70", "Max-Forwards: 0");
    stage.sends(raw, text);
    stage.claim(count(stage, raw, "483") == 1, "483");
}

fn other_scheme(stage: &mut Stage) {
    let raw = stage.raw("alice");
    let draft = stage.draft("INVITE", "alice", "tel:+441234", "<tel:+441234>");
    stage.sends(raw, draft.finish());
    stage.claim(count(stage, raw, "416") == 1, "416");
}

fn response_to_nothing(stage: &mut Stage) {
    let raw = stage.registered_raw("bob");
    for branch in ["z9hG4bK1-0000000000000000", "z9hG4bKx", ""] {
        let response = format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/WSS x.invalid;branch={branch}\r\nTo: <sip:a@b>;tag=1\r\n\
             From: <sip:c@d>;tag=a1-0000000000000000\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        );
        stage.sends(raw, response);
    }
    stage.claim(stage.inbox(raw).texts().len() == 1, "nothing comes back");
}

fn guessed_tag(stage: &mut Stage) {
    let bob = stage.answering("bob");
    let alice = stage.page("alice");
    let (out, _) = stage.talking(alice, bob);
    let (own, ours) = stage.browser(alice).call_tags(out).expect("they talk");
    let call_id = stage
        .browser(alice)
        .call_id(out)
        .unwrap_or_default()
        .to_owned();
    let raw = stage.raw("mallory");
    let last = if ours.ends_with('0') { '1' } else { '0' };
    let near = format!("{}{last}", &ours[..ours.len() - 1]);
    let home = domain(0);
    for (number, tag) in [(1, near), (2, ours)] {
        let from = format!("<sip:alice@{home}>;tag={own}");
        let to = format!("<sip:bob@{home}>;tag={tag}");
        let bye = Draft::new("BYE", &format!("sip:bob@{home}"), &from, &to, number)
            .call_id(&call_id)
            .cseq(50);
        stage.sends(raw, bye.finish());
    }
    stage.claim(
        count(stage, raw, "481") == 2,
        "481, even with the right tag",
    );
    stage.claim(stage.cause(alice).is_none(), "they talk on");
}

fn third_party_register(stage: &mut Stage) {
    let raw = stage.raw("alice");
    let token = stage.token(&Wish::all("alice"));
    let home = domain(0);
    let draft = stage
        .draft(
            "REGISTER",
            "alice",
            &format!("sip:{home}"),
            &format!("<sip:bob@{home}>"),
        )
        .token(&token)
        .row(
            "Contact",
            "<sip:alice@raw.invalid;transport=ws>;expires=600",
        );
    stage.sends(raw, draft.finish());
    stage.claim(count(stage, raw, "403") == 1, "403");
    stage.claim(stage.clients().is_empty(), "nobody is registered");
}

fn two_contacts(stage: &mut Stage) {
    let raw = stage.raw("alice");
    let token = stage.token(&Wish::all("alice"));
    let contacts = "<sip:a@raw.invalid>;expires=600, <sip:b@raw.invalid>;expires=600";
    let register = stage.register("alice", Some(&token), contacts).finish();
    stage.sends(raw, register);
    stage.claim(count(stage, raw, "400") == 1, "400");
    stage.claim(stage.clients().is_empty(), "nobody is registered");
}

fn hostile_crowd(stage: &mut Stage) {
    let bob = stage.answering("bob");
    let alice = stage.page("alice");
    for _ in 0..3 {
        stage.world.add_hostile(0, "mallory");
    }
    for _ in 0..5 {
        let call = stage.call(alice, "bob");
        stage.seconds(30);
        stage.hang_up(alice, call);
        stage.seconds(10);
        let connected = stage.heard(alice, |heard| *heard == Heard::Connected(call));
        // None: an attacker that overheard bob's token is his newest instance, and may let it ring.
        stage.claim(connected <= 1, "a call is answered once at most");
    }
    stage.claim(stage.browser(bob).is_connected(), "bob's page is there");
    stage.claim(
        stage.world.server(0).counted(Counter::CallRouted) > 0,
        "calls were routed",
    );
}
