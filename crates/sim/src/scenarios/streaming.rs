//! Callers and bots: what opens a stream, every way that it ends, and what the pages are told.

use model::media::StreamStop;
use model::{Page, PageMethod, PageUrl};
use serde_json::{Value, json};

use super::application::{application, calls, page, play, plays, talks, told};
use super::{Stage, scenarios};
use crate::browser::CallKey;
use crate::clock::SECOND;
use crate::gateway::Bot;

scenarios! {
    bot_ends_with_a_result: "A bot is told of the call, talks, and ends with a result: the next page is told.",
    bot_closes: "A bot closes its stream in good order: the next page is told that.",
    bot_is_gone: "A bot that is not there: the error page is told where it was looked for, and the caller hears what that says.",
    bot_is_lost: "A bot that is lost while it talks: the error page is told.",
    bot_talks_too_long: "A stream that has lasted as long as it may is stopped, and the next page told.",
    hangs_up_on_a_bot: "The caller hangs up: the stream is closed, and the final page told.",
    bot_is_interrupted: "The account interrupts a stream: the bot is told, and the redirect page says what is next.",
    bots_follow_each_other: "A late end of one stream is not the end of the next.",
}

/// A page that streams to a bot, and asks `next` afterwards.
fn stream() -> Value {
    json!({ "stream": {
        "url": "wss://bot.example/audio?key=1",
        "sample_rate": 16000,
        "seconds_max_duration": 60,
        "next_page": { "url": "next" },
    } })
}

/// A caller who talks with a bot of this conduct.
fn streams(stage: &mut Stage, bot: Bot) -> (usize, CallKey) {
    stage.world.gateways[0].conduct.bot = bot;
    application(
        stage,
        &[
            ("first", json!([stream()])),
            ("next", json!([play()])),
            ("error", json!([play()])),
            ("other", json!([play()])),
        ],
    );
    let (alice, call) = calls(stage);
    talks(stage, alice);
    (alice, call)
}

fn result(stage: &Stage) -> Value {
    let result = told(stage, "next")["action_result"].clone();
    stage.claim(result["action"] == "stream", "it is the result");
    result["result"].clone()
}

fn bot_ends_with_a_result(stage: &mut Stage) {
    let (alice, _) = streams(stage, Bot::Ends(4 * SECOND));
    let opened = stage.world.gateways[0].streamed[0].clone();
    let address = "https://bot.example/audio?key=1";
    stage.claim(opened.url.as_str() == address, "it is where the page says");
    stage.claim(opened.rate.hz() == 16_000, "at the rate that it says");
    let greeting: Value = serde_json::from_str(&opened.greeting).unwrap_or_default();
    for (name, value) in [
        ("event", json!("start")),
        ("sample_rate", json!(16_000)),
        ("frame_ms", json!(20)),
        ("token", json!("t")),
    ] {
        stage.claim(greeting[name] == value, name);
    }
    let first = told(stage, "first");
    let instance = &first["application_instance_id"];
    stage.claim(
        greeting["application_instance_id"] == *instance,
        "whose it is",
    );
    stage.claim(*instance == opened.instance, "and for whom it is signed");
    let call = &greeting["this_call"];
    stage.claim(call["call_from"] == "alice", "it is told who calls");
    stage.claim(call["call_state"] == "answered", "and that it talks");
    stage.seconds(4);
    let result = result(stage);
    stage.claim(result["cause"] == "ended", "the bot has ended it");
    let given = json!({ "intent": "sales" });
    stage.claim(result["result"] == given, "with its result");
    let lasted = result["seconds_duration"].as_f64().unwrap_or(0.0);
    stage.claim((3.9..4.2).contains(&lasted), "for so long");
    stage.claim(plays(stage) == 1, "the next page is done");
    stage.seconds(2);
    stage.claim(stage.cause(alice) == Some("NORMAL"), "and the call ends");
    stage.claim(
        stage.world.gateways[0].stopped.is_empty(),
        "nothing had to be stopped",
    );
}

fn bot_closes(stage: &mut Stage) {
    streams(stage, Bot::Closes(SECOND));
    stage.seconds(2);
    let result = result(stage);
    stage.claim(result["cause"] == "closed", "it is told");
    stage.claim(result["result"].is_null(), "nothing was given");
}

/// The error page is told this of the stream, and done.
fn fails(stage: &Stage, word: &str) {
    let error = told(stage, "error")["error_result"].clone();
    stage.claim(error["action"] == "stream", "the action is named");
    let text = error["result"].as_str().unwrap_or_default();
    stage.claim(text.contains("wss://bot.example/audio"), "and the place");
    stage.claim(text.contains(word), "and why");
    stage.claim(plays(stage) == 1, "what it says is done");
}

fn bot_is_gone(stage: &mut Stage) {
    streams(stage, Bot::Gone);
    stage.seconds(6);
    fails(stage, "did not answer");
}

fn bot_is_lost(stage: &mut Stage) {
    streams(stage, Bot::Lost(3 * SECOND));
    stage.seconds(4);
    fails(stage, "was lost");
}

fn bot_talks_too_long(stage: &mut Stage) {
    streams(stage, Bot::Talks);
    stage.seconds(61);
    let result = result(stage);
    stage.claim(result["cause"] == "duration", "it is told");
    let stopped = stage.world.gateways[0].stopped.clone();
    stage.claim(stopped == [StreamStop::Duration], "and the bot");
}

fn hangs_up_on_a_bot(stage: &mut Stage) {
    let (alice, call) = streams(stage, Bot::Talks);
    stage.seconds(2);
    stage.hang_up(alice, call);
    stage.seconds(1);
    let stopped = stage.world.gateways[0].stopped.clone();
    stage.claim(stopped == [StreamStop::CallEnded], "the bot is told");
    let told = told(stage, "final");
    stage.claim(
        told["this_call"]["call_cause"] == "hung_up",
        "and the final page",
    );
}

fn interrupt(stage: &mut Stage) {
    let first = told(stage, "first");
    let instance = first["application_instance_id"].as_str();
    let instance = instance.unwrap_or_default().to_owned();
    let redirect = Page {
        url: PageUrl::parse(&page("other")).expect("it is an address"),
        method: PageMethod::Post,
    };
    stage.world.interrupt(0, &instance, Some(redirect));
}

fn bot_is_interrupted(stage: &mut Stage) {
    let (alice, _) = streams(stage, Bot::Talks);
    stage.seconds(2);
    interrupt(stage);
    stage.millis(500);
    let result = &told(stage, "other")["action_result"];
    let expected = json!({ "action": "stream", "interrupted": true });
    stage.claim(*result == expected, "the page is told what was interrupted");
    let stopped = stage.world.gateways[0].stopped.clone();
    stage.claim(stopped == [StreamStop::Interrupted], "and the bot is");
    stage.claim(stage.cause(alice).is_none(), "the caller goes on");
}

fn bots_follow_each_other(stage: &mut Stage) {
    streams(stage, Bot::Ends(3 * SECOND));
    stage.seconds(1);
    // The page streams again, to a bot that goes on; the end of the first one comes then.
    let again = crate::webhook::Manner::Actions(json!([stream()]));
    stage.world.webhooks.replace(&page("other"), [again].into());
    stage.world.gateways[0].conduct.bot = Bot::Talks;
    interrupt(stage);
    stage.seconds(5);
    let next = stage.world.webhooks.told(&page("next"));
    stage.claim(next.is_empty(), "the second one goes on");
    let streamed = stage.world.gateways[0].streamed.len();
    stage.claim(streamed == 2, "and there were two");
}
