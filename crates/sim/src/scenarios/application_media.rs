//! What the gateway and the caller's media can do to a call that an application answers.

use model::EndedBy;
use model::media::LegEnd;
use serde_json::json;

use super::application::{application, calls, leg, play, plays, talks, told};
use super::{Stage, scenarios};

scenarios! {
    no_media: "The gateway refuses: 488 in plain words, and the final page is told.",
    never_heard: "The caller's media never come: the call ends after a while.",
    media_end_before_the_bye: "A browser that hangs up closes its media a moment before its BYE comes: it has hung up.",
    media_end: "The caller's media end: the call ends and the caller is told.",
    hold_and_video: "The caller offers anew: the gateway answers, and the call goes on.",
    offers_and_hangs_up: "The caller hangs up while the gateway looks at its new offer: both requests are answered.",
}

fn no_media(stage: &mut Stage) {
    application(stage, &[("first", json!([play()]))]);
    stage.world.gateways[0].conduct.refuses = true;
    let (alice, _) = calls(stage);
    stage.seconds(1);
    stage.claim(stage.cause(alice) == Some("FAILED"), "the caller is told");
    let (_, status, reason) = stage.only_outcome();
    stage.claim(
        status == 488 && reason.contains("no room"),
        "in plain words",
    );
    stage.claim(
        told(stage, "final")["this_call"]["call_cause"] == "failed",
        "and the page",
    );
}

fn never_heard(stage: &mut Stage) {
    application(stage, &[("first", json!([play()]))]);
    stage.world.gateways[0].conduct.is_deaf = true;
    let (alice, _) = calls(stage);
    stage.seconds(32);
    stage.claim(stage.cause(alice).is_some(), "the caller is told");
    stage.claim(plays(stage) == 0, "nothing was played into the void");
    stage.recorded(EndedBy::Server, 503);
}

fn media_end(stage: &mut Stage) {
    let actions = json!([play(), { "sleep": { "seconds": 60 } }]);
    application(stage, &[("first", actions)]);
    let (alice, _) = calls(stage);
    talks(stage, alice);
    let leg = leg(stage);
    stage
        .world
        .gateway(|gateway, now| gateway.lose(now, leg, LegEnd::Peer));
    stage.seconds(1);
    stage.claim(stage.cause(alice).is_none(), "a BYE may be on its way");
    stage.seconds(2);
    stage.claim(stage.cause(alice).is_some(), "the caller is told");
    stage.recorded(EndedBy::Server, 503);
}

fn hold_and_video(stage: &mut Stage) {
    let actions = json!([play(), { "sleep": { "seconds": 60 } }]);
    application(stage, &[("first", actions)]);
    let (alice, call) = calls(stage);
    talks(stage, alice);
    stage
        .world
        .app(alice, |browser, now| browser.reinvite(now, call));
    stage.seconds(2);
    stage.claim(stage.cause(alice).is_none(), "the call goes on");
    stage.hang_up(alice, call);
    stage.seconds(1);
    stage.recorded(EndedBy::Caller, 200);
}

fn offers_and_hangs_up(stage: &mut Stage) {
    let actions = json!([play(), { "sleep": { "seconds": 60 } }]);
    application(stage, &[("first", actions)]);
    let (alice, call) = calls(stage);
    talks(stage, alice);
    stage.world.app(alice, |browser, now| {
        browser.reinvite(now, call);
        browser.hang_up_call(now, call);
    });
    stage.seconds(100);
    stage.recorded(EndedBy::Caller, 200);
}

fn media_end_before_the_bye(stage: &mut Stage) {
    let actions = json!([play(), { "sleep": { "seconds": 60 } }]);
    application(stage, &[("first", actions)]);
    let (alice, call) = calls(stage);
    talks(stage, alice);
    let leg = leg(stage);
    stage
        .world
        .gateway(|gateway, now| gateway.lose(now, leg, LegEnd::Peer));
    stage.millis(300);
    stage.hang_up(alice, call);
    stage.seconds(1);
    stage.recorded(EndedBy::Caller, 200);
    let told = told(stage, "final");
    stage.claim(
        told["this_call"]["call_cause"] == "hung_up",
        "the page is told so",
    );
}
