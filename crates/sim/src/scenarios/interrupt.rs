//! Applications that their account interrupts.

use model::{EndedBy, Page, PageMethod, PageUrl};
use serde_json::{Value, json};

use super::application::{application, calls, page, talks, told};
use super::{Stage, scenarios};

scenarios! {
    interrupted: "An application is interrupted while it plays: the redirect page is told what was interrupted, and says what is next.",
    interrupted_for_good: "Without a page the call ends, and the final page is told.",
    interrupted_in_a_connection: "An application is interrupted while its caller talks: the other side is told, and the caller goes on.",
    interrupted_by_another: "Nobody interrupts the application of another account, nor one that he does not know.",
    interrupted_too_late: "An application whose call has ended is not interrupted.",
}

fn redirect() -> Option<Page> {
    Some(Page {
        url: PageUrl::parse(&page("other")).expect("it is an address"),
        method: PageMethod::Post,
    })
}

fn long_tone() -> Value {
    json!({ "play": { "play_list": [{ "tone": { "frequencies_hz": [440], "milliseconds": 60000 } }] } })
}

fn instance(stage: &Stage) -> String {
    let first = &stage.world.webhooks.asked[0].instance;
    first["application_instance_id"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn interrupted(stage: &mut Stage) {
    let other = json!([long_tone()]);
    application(
        stage,
        &[
            ("first", json!([long_tone(), { "hang_up": {} }])),
            ("other", other),
        ],
    );
    let (alice, _) = calls(stage);
    talks(stage, alice);
    let instance = instance(stage);
    stage.world.interrupt(0, &instance, redirect());
    stage.seconds(5);
    let result = &told(stage, "other")["action_result"];
    let expected = json!({ "action": "play", "interrupted": true });
    stage.claim(*result == expected, "it is told what was interrupted");
    stage.claim(
        stage.cause(alice).is_none(),
        "the rest of the first page is not done",
    );
    stage.claim(stage.world.gateways[0].played.len() == 2, "what it says is");
}

fn interrupted_for_good(stage: &mut Stage) {
    application(stage, &[("first", json!([long_tone()]))]);
    let (alice, _) = calls(stage);
    talks(stage, alice);
    let instance = instance(stage);
    stage.world.interrupt(0, &instance, None);
    stage.seconds(1);
    stage.claim(stage.cause(alice) == Some("NORMAL"), "the caller is told");
    stage.recorded(EndedBy::Callee, 200);
    stage.claim(
        told(stage, "final")["this_call"]["call_cause"] == "completed",
        "and the page",
    );
}

fn interrupted_in_a_connection(stage: &mut Stage) {
    let bob = stage.answering("bob");
    let connect = json!([{ "connect": { "destinations": ["webrtc:bob"] } }]);
    application(
        stage,
        &[("first", connect), ("other", json!([long_tone()]))],
    );
    let (alice, _) = calls(stage);
    talks(stage, alice);
    stage.seconds(4);
    let instance = instance(stage);
    stage.world.interrupt(0, &instance, redirect());
    stage.seconds(1);
    stage.claim(stage.cause(bob).is_some(), "bob is told");
    stage.claim(stage.cause(alice).is_none(), "alice goes on");
    let records = stage.records();
    let mut ended = records.iter().filter_map(|record| record.outcome.as_ref());
    stage.claim(
        ended.any(|outcome| outcome.by == EndedBy::Server && outcome.status == 200),
        "their call was one that was answered",
    );
    stage.claim(
        told(stage, "other")["action_result"]["action"] == "connect",
        "as the page says",
    );
}

fn interrupted_by_another(stage: &mut Stage) {
    application(stage, &[("first", json!([long_tone()]))]);
    let (alice, _) = calls(stage);
    talks(stage, alice);
    let instance = instance(stage);
    stage.world.interrupt(1, &instance, None);
    let guessed = format!("{}0", &instance[..instance.len() - 1]);
    for stranger in [guessed.as_str(), "", "0.1.2", "nonsense", "ffff.1.2"] {
        if stranger != instance {
            stage.world.interrupt(0, stranger, None);
        }
    }
    stage.seconds(1);
    stage.claim(stage.cause(alice).is_none(), "the call goes on");
}

fn interrupted_too_late(stage: &mut Stage) {
    application(stage, &[("first", json!([]))]);
    calls(stage);
    stage.seconds(1);
    let instance = instance(stage);
    stage.world.interrupt(0, &instance, redirect());
    stage.seconds(1);
    stage.claim(
        stage.world.webhooks.told(&page("other")).is_empty(),
        "nothing comes of it",
    );
}
