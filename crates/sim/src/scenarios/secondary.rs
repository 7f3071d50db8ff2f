//! Callees who are asked by pages of their own before both are joined: announced, accepted, refused, lost.

use model::{Page, PageMethod, PageUrl};
use serde_json::{Value, json};

use super::application::{application, calls, leg, page, play, talks, told};
use super::{Stage, scenarios};
use crate::browser::CallKey;
use crate::faults::Cut;

scenarios! {
    announced: "Whoever answers hears who calls, by a page of its own, while the caller hears hold media; then both are joined, and both applications are told of the end.",
    accepts_by_a_key: "Whoever answers presses a key to take the call.",
    refuses_by_a_key: "Whoever answers presses a key that refuses: the caller's application is told, and goes on.",
    hangs_up_before_it_is_joined: "Whoever answers hangs up while it is asked: nobody has taken the call, the caller's application is told.",
    secondary_page_is_gone: "The page of whoever answers does not answer: its error page is told, and what that says is done.",
    secondary_fails: "A page of whoever answers fails and there is no error page: the connection has failed.",
    secondary_connects_nobody: "Whoever is called for another cannot be connected further: its error page is told.",
    caller_leaves_while_another_is_asked: "The caller hangs up while whoever answered is asked: that one is told, and its final page too.",
    recorded_before_it_is_joined: "Whoever answers says something and hangs up: the final page of that call is told the file.",
    secondary_is_interrupted: "The account interrupts the pages of whoever answers, and nobody can once both talk.",
    secondary_without_pages: "A secondary call that names no first page is joined at once, and its final page is told.",
    asked_and_lost: "Whoever answered is lost while it is asked: the caller's application goes on.",
}

/// alice's application calls bob, whose own pages are these.
fn connects(stage: &mut Stage, secondary: Value, pages: &[(&str, Value)]) -> (usize, CallKey) {
    let music = json!({ "play": { "play_list": [{ "file_to_play": "music.wav" }] } });
    let connect = json!([{ "connect": {
        "destinations": ["webrtc:bob"],
        "call_from": "desk",
        "hold_media": music,
        "secondary_call": secondary,
        "next_page": { "url": "next" },
    } }]);
    let sleep = json!([{ "sleep": { "seconds": 60 } }]);
    let mut all = vec![("first", connect), ("next", sleep)];
    all.extend_from_slice(pages);
    application(stage, &all);
    calls(stage)
}

fn own_pages() -> Value {
    json!({
        "first_page": { "url": "announce" },
        "final_page": { "url": "over" },
        "error_page": { "url": "mishap" },
    })
}

/// bob has answered and hears.
fn asked(stage: &mut Stage, announce: Value) -> (usize, CallKey, usize) {
    let bob = stage.answering("bob");
    let over = json!([]);
    let pages = [
        ("announce", announce),
        ("over", over.clone()),
        ("mishap", over),
    ];
    let (alice, call) = connects(stage, own_pages(), &pages);
    talks(stage, alice);
    talks(stage, bob);
    (alice, call, bob)
}

fn is_joined(stage: &Stage) -> bool {
    stage.world.gateways[0].is_joined(leg(stage).session)
}

fn result(stage: &Stage) -> Value {
    told(stage, "next")["action_result"]["result"].clone()
}

fn hangs_up(stage: &mut Stage, page: usize) {
    let incoming = stage.browser(page).last_incoming().expect("it was called");
    stage.hang_up(page, incoming);
}

fn press(stage: &mut Stage, key: char) {
    let legs = stage.world.gateways[0].legs();
    let last = legs.last().copied().expect("bob has a leg");
    stage
        .world
        .gateway(|gateway, now| gateway.press(now, last, key));
    stage.millis(500);
}

fn menu() -> Value {
    json!([{ "run_menu": {
        "menu_options": [
            { "digit": "1", "next_page": { "url": "yes" } },
            { "digit": "2", "next_page": { "url": "no" } },
        ],
    } }])
}

fn announced(stage: &mut Stage) {
    let (alice, _, bob) = asked(stage, json!([play(), play()]));
    let call = told(stage, "announce");
    let first = told(stage, "first");
    stage.claim(
        call["application_instance_id"] != first["application_instance_id"],
        "it is a call of its own",
    );
    for (name, value) in [
        ("call_direction", "out"),
        ("call_from", "desk"),
        ("call_to", "bob"),
        ("call_target", "bob"),
        ("call_state", "answered"),
    ] {
        stage.claim(call["this_call"][name] == value, name);
    }
    stage.claim(!is_joined(stage), "nobody hears the other yet");
    let hears = stage.world.gateways[0].hears(leg(stage));
    stage.claim(hears.is_some(), "the caller hears hold media");
    stage.seconds(2);
    stage.claim(is_joined(stage), "then both do");
    let hears = stage.world.gateways[0].hears(leg(stage));
    stage.claim(hears.is_none(), "and no hold media");
    stage.seconds(3);
    hangs_up(stage, bob);
    stage.seconds(1);
    let lasted = result(stage)["seconds_connected_duration"].as_f64();
    stage.claim(
        lasted.is_some_and(|lasted| (2.5..4.0).contains(&lasted)),
        "what counts is how long they talked",
    );
    stage.claim(result(stage)["call_cause"] == "completed", "and the end");
    let over = told(stage, "over");
    stage.claim(over["this_call"]["call_cause"] == "hung_up", "it is told");
    stage.claim(
        over["application_instance_id"] == call["application_instance_id"],
        "as the same call",
    );
    stage.claim(stage.cause(alice).is_none(), "the caller is still there");
}

fn accepts_by_a_key(stage: &mut Stage) {
    let bob = stage.answering("bob");
    let pages = [
        ("announce", menu()),
        ("yes", json!([])),
        ("over", json!([])),
    ];
    let (alice, _) = connects(stage, own_pages(), &pages);
    talks(stage, alice);
    talks(stage, bob);
    press(stage, '1');
    let chosen = told(stage, "yes")["action_result"]["result"].clone();
    stage.claim(chosen["selected_digit"] == "1", "its page is told");
    stage.claim(is_joined(stage), "both hear each other");
}

fn refuses_by_a_key(stage: &mut Stage) {
    let bob = stage.answering("bob");
    let no = json!([{ "reject": { "cause": "busy" } }]);
    let pages = [("announce", menu()), ("no", no), ("over", json!([]))];
    let (alice, _) = connects(stage, own_pages(), &pages);
    talks(stage, alice);
    talks(stage, bob);
    press(stage, '2');
    stage.claim(stage.cause(bob).is_some(), "bob's call ends");
    stage.claim(result(stage)["call_cause"] == "busy", "the cause is told");
    stage.claim(
        result(stage)["seconds_connected_duration"] == 0.0,
        "nobody talked",
    );
    stage.claim(
        told(stage, "over")["this_call"]["call_cause"] == "busy",
        "to both",
    );
    stage.claim(stage.cause(alice).is_none(), "the caller is still there");
}

fn hangs_up_before_it_is_joined(stage: &mut Stage) {
    let (alice, _, bob) = asked(stage, json!([{ "sleep": { "seconds": 60 } }]));
    stage.seconds(2);
    hangs_up(stage, bob);
    stage.seconds(1);
    stage.claim(
        result(stage)["call_cause"] == "no_answer",
        "nobody took the call",
    );
    let hears = stage.world.gateways[0].hears(leg(stage));
    stage.claim(hears.is_none(), "hold media ends");
    let over = told(stage, "over");
    stage.claim(over["this_call"]["call_cause"] == "hung_up", "it is told");
    stage.claim(stage.cause(alice).is_none(), "the caller is still there");
}

fn secondary_page_is_gone(stage: &mut Stage) {
    let bob = stage.answering("bob");
    let pages = [("mishap", json!([play()])), ("over", json!([]))];
    connects(stage, own_pages(), &pages);
    talks(stage, bob);
    let why = told(stage, "mishap")["error_result"]["result"].to_string();
    stage.claim(why.contains("404"), "the error page is told why");
    stage.seconds(2);
    stage.claim(is_joined(stage), "what it says is done");
}

fn secondary_fails(stage: &mut Stage) {
    let bob = stage.answering("bob");
    let secondary = json!({ "first_page": { "url": "nothing" } });
    connects(stage, secondary, &[]);
    talks(stage, bob);
    stage.seconds(1);
    stage.claim(result(stage)["call_cause"] == "failed", "it is told");
    stage.claim(stage.cause(bob).is_some(), "bob's call ends");
}

fn secondary_connects_nobody(stage: &mut Stage) {
    let connect = json!([{ "connect": { "destinations": ["webrtc:carol"] } }]);
    asked(stage, connect);
    stage.seconds(1);
    let error = told(stage, "mishap")["error_result"].clone();
    stage.claim(error["action"] == "connect", "which action");
    let why = error["result"].to_string();
    stage.claim(why.contains("connected with nobody"), "and why");
    stage.claim(is_joined(stage), "that page has nothing more to do");
}

fn caller_leaves_while_another_is_asked(stage: &mut Stage) {
    let (alice, call, bob) = asked(stage, json!([{ "sleep": { "seconds": 60 } }]));
    stage.seconds(1);
    stage.hang_up(alice, call);
    stage.seconds(1);
    stage.claim(stage.cause(bob) == Some("NORMAL"), "bob is told");
    let over = told(stage, "over");
    stage.claim(over["this_call"]["call_cause"] == "completed", "its page");
    told(stage, "final");
    stage.claim(stage.world.gateways[0].legs().is_empty(), "no leg is left");
}

fn recorded_before_it_is_joined(stage: &mut Stage) {
    let record = json!([{ "record": { "next_page": { "url": "said" } } }]);
    let (_, _, bob) = asked(stage, record);
    stage.seconds(1);
    hangs_up(stage, bob);
    stage.seconds(1);
    let told = told(stage, "over")["action_result"].clone();
    stage.claim(told["action"] == "record", "what was recorded");
    stage.claim(told["result"]["contains_sound"] == true, "is told");
}

fn secondary_is_interrupted(stage: &mut Stage) {
    let bob = stage.answering("bob");
    let sleep = json!([{ "sleep": { "seconds": 60 } }]);
    let pages = [
        ("announce", sleep),
        ("other", json!([play()])),
        ("over", json!([])),
    ];
    let (alice, _) = connects(stage, own_pages(), &pages);
    talks(stage, alice);
    talks(stage, bob);
    let instance = told(stage, "announce")["application_instance_id"].clone();
    let instance = instance.as_str().unwrap_or_default().to_owned();
    let redirect = || {
        Some(Page {
            url: PageUrl::parse(&page("other")).expect("it is an address"),
            method: PageMethod::Post,
        })
    };
    stage.world.interrupt(0, &instance, redirect());
    stage.millis(500);
    let told_other = told(stage, "other")["action_result"].clone();
    let expected = json!({ "action": "sleep", "interrupted": true });
    stage.claim(told_other == expected, "it leaves off");
    stage.seconds(2);
    stage.claim(is_joined(stage), "and goes on as that page says");
    stage.world.interrupt(0, &instance, redirect());
    stage.seconds(1);
    told(stage, "other");
    stage.claim(is_joined(stage), "both talk");
}

fn secondary_without_pages(stage: &mut Stage) {
    let bob = stage.answering("bob");
    let secondary = json!({ "final_page": { "url": "over" } });
    connects(stage, secondary, &[("over", json!([]))]);
    talks(stage, bob);
    stage.claim(is_joined(stage), "at once");
    hangs_up(stage, bob);
    stage.seconds(1);
    let over = told(stage, "over");
    stage.claim(over["this_call"]["call_cause"] == "hung_up", "it is told");
    stage.claim(result(stage)["call_cause"] == "completed", "to both");
}

fn asked_and_lost(stage: &mut Stage) {
    let (alice, _, bob) = asked(stage, json!([{ "sleep": { "seconds": 60 } }]));
    stage.world.cut(bob, Cut::BOTH);
    stage.seconds(1);
    stage.claim(result(stage)["call_cause"] == "dropped", "it is told");
    let over = told(stage, "over");
    stage.claim(over["this_call"]["call_cause"] == "dropped", "to both");
    stage.claim(stage.cause(alice).is_none(), "the caller is still there");
}
