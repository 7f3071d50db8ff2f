//! Applications of random worlds: pages that want anything, in any order, well or badly, and gateways that fail.

use model::media::LegEnd;
use model::{RecordId, ServiceName, Start, Then};
use serde_json::{Value, json};
use switch::Control;

use crate::clock::SECOND;
use crate::gateway::Bot;
use crate::random::Random;
use crate::server::account_id;
use crate::webhook::Manner;
use crate::world::World;

const BASE: &str = "https://app.example";
const PAGES: [&str; 6] = ["first", "one", "two", "three", "final", "error"];

/// A service of this name that an application answers for; what its pages want is new each time.
pub(super) fn set_up(world: &mut World, random: &mut Random, name: &str) {
    world.authority.set_application(name, BASE);
    for page in PAGES {
        let manners = (0..random.between(1, 3)).map(|_| manner(random)).collect();
        world.webhooks.replace(&format!("{BASE}/{page}"), manners);
    }
    let node = 0;
    let conduct = &mut world.gateways[node].conduct;
    conduct.refuses = random.happens(100);
    conduct.is_deaf = random.happens(100);
    conduct.is_full = random.happens(100);
    conduct.connects_after = random.below(SECOND);
    conduct.speech = random.below(10 * SECOND);
    conduct.bot = bot(random);
    world.webhooks.is_mute = random.happens(200);
}

/// Somebody presses a key, or somebody's media end.
pub(super) fn disturb(world: &mut World, random: &mut Random) {
    let legs = world.gateways[0].legs();
    let Some(&leg) = random.pick(&legs) else {
        return;
    };
    if random.happens(50) {
        let ends = [LegEnd::Silent, LegEnd::Peer];
        let end = random.pick(&ends).copied().unwrap_or(LegEnd::Peer);
        world.gateway(|gateway, now| gateway.lose(now, leg, end));
        return;
    }
    let keys = ['1', '2', '3', '#', '*', '7', 'A'];
    for _ in 0..random.between(1, 6) {
        let key = random.pick(&keys).copied().unwrap_or('1');
        world.gateway(|gateway, now| gateway.press(now, leg, key));
    }
}

/// An application calls somebody, if this service has one.
pub(super) fn begin_call(world: &mut World, random: &mut Random, services: &[String]) {
    let service = random
        .pick(services)
        .and_then(|name| ServiceName::parse(name).ok());
    let Some(service) = service else {
        return;
    };
    let id = (0..2).fold(0, |id, _| (id << 64) | u128::from(random.below(u64::MAX)));
    // What is refused is refused: the service may be one of clients, or the server may stop.
    let then = if random.happens(300) {
        let with = destination(random);
        Then::Connect(format!("{{\"destinations\":[\"{with}\"]}}").into())
    } else {
        Then::Application {
            service,
            token: None,
            parameters: random.happens(300).then(|| "[1,2]".into()),
        }
    };
    let _ = world.begin_call(Start {
        account: account_id(0),
        id: RecordId(id),
        to: destination(random),
        from: "the desk".to_owned(),
        then,
    });
}

/// The account does something to one of its calls.
pub(super) fn control(world: &mut World, random: &mut Random) {
    let control = match random.below(6) {
        0 => Ok(Control::hang_up()),
        1 => Ok(Control::stop_recording()),
        2 => Control::record(b"{}"),
        3 => Control::send_digits(b"{\"digits\":\"12\",\"party\":\"both\"}"),
        4 => {
            Control::play(b"{\"play_list\":[{\"file_to_play\":\"hello.wav\"}],\"party\":\"both\"}")
        }
        _ => {
            let with = destination(random);
            Control::transfer(format!("{{\"destinations\":[\"{with}\"]}}").as_bytes())
        }
    };
    let calls = world.going_calls(0);
    if let (Ok(control), Some(id)) = (control, random.pick(&calls)) {
        // What cannot be done is refused.
        let _ = world.control(0, id, &control);
    }
}

fn bot(random: &mut Random) -> Bot {
    let after = random.below(10 * SECOND);
    match random.below(6) {
        0 => Bot::Talks,
        1 => Bot::Closes(after),
        2 => Bot::Lost(after),
        3 => Bot::Gone,
        _ => Bot::Ends(after),
    }
}

fn destination(random: &mut Random) -> String {
    let names = ["ann", "bob", "bobby", "cy", "team-a", "team-b", "nobody"];
    match random.below(20) {
        0..3 => "tel:+441908273800".to_owned(),
        3 => "sip:desk@elsewhere.example".to_owned(),
        _ => format!("webrtc:{}", random.pick(&names).copied().unwrap_or("bob")),
    }
}

fn manner(random: &mut Random) -> Manner {
    match random.below(12) {
        0 => Manner::Gone,
        1 => Manner::Body(500, b"oops".to_vec()),
        2 => Manner::Body(200, b"{\"actions\":[{\"play\":{}}]}".to_vec()),
        3 => Manner::Body(204, Vec::new()),
        4 => Manner::Slowly(random.below(4 * SECOND), actions(random)),
        _ => Manner::Actions(actions(random)),
    }
}

fn actions(random: &mut Random) -> Value {
    let count = random.below(5);
    Value::Array((0..count).map(|_| action(random)).collect())
}

fn next(random: &mut Random) -> Value {
    let page = random.pick(&PAGES[..4]).copied().unwrap_or("one");
    json!({ "url": page })
}

fn play(random: &mut Random) -> Value {
    let sound = match random.below(4) {
        3 => json!({ "digits": "12#" }),
        0 => {
            json!({ "tone": { "frequencies_hz": [440], "milliseconds": random.between(1, 3000) } })
        }
        1 => json!({ "text_to_say": "hello" }),
        _ => json!({ "file_to_play": "music.wav" }),
    };
    json!({ "play_list": [sound], "barge_in_on_digit": random.happens(700) })
}

fn action(random: &mut Random) -> Value {
    let next = next(random);
    let prompt = json!({ "play": play(random) });
    match random.below(20) {
        0 => json!({ "answer": { "extra_sip_headers": [{ "name": "X-Way", "value": "in" }] } }),
        1 => json!({ "reject": { "cause": "busy" } }),
        2 => json!({ "hang_up": {} }),
        3 => json!({ "sleep": { "seconds": random.below(5) } }),
        4 => json!({ "redirect": { "next_page": next } }),
        5 => {
            let mut record =
                json!({ "next_page": next, "seconds_max_duration": random.between(1, 8) });
            if random.happens(300) {
                record["recording_available_page"] = record["next_page"].clone();
            }
            json!({ "record": record })
        }
        6 => {
            json!({ "get_number": { "next_page": next, "prompt": prompt, "digit_count": random.below(5) } })
        }
        7 => json!({ "get_input": { "next_page": next, "prompt": prompt } }),
        8 => json!({ "run_menu": {
            "prompt": prompt,
            "seconds_digit_timeout": random.between(1, 5),
            "menu_options": [{ "digit": "1", "next_page": next }],
        } }),
        9..13 => connect(random, &next),
        13..16 => confer(random, &next),
        16..18 => json!({ "stream": {
            "url": "wss://bot.example/audio",
            "seconds_max_duration": random.between(1, 20),
            "next_page": next,
        } }),
        _ => json!({ "play": play(random) }),
    }
}

fn confer(random: &mut Random, next: &Value) -> Value {
    let names = ["lobby", "yard"];
    let mut confer = json!({
        "name": random.pick(&names).copied().unwrap_or("lobby"),
        "conference_participant": {
            "talker": random.happens(700),
            "start_on_entry": random.happens(600),
            "destroy_on_exit": random.happens(300),
            "exit_digit": "#",
            "mute_digit": "1",
        },
    });
    if random.happens(500) {
        confer["next_page"] = next.clone();
    }
    if random.happens(400) {
        confer["hold_media"] = json!({ "play": play(random) });
    }
    json!({ "connect_to_conference": confer })
}

fn connect(random: &mut Random, next: &Value) -> Value {
    let count = random.between(1, 3);
    let destinations: Vec<String> = (0..count).map(|_| destination(random)).collect();
    let mut connect = json!({
        "destinations": destinations,
        "seconds_answer_timeout": random.between(1, 20),
    });
    if random.happens(500) {
        connect["next_page"] = next.clone();
    }
    if random.happens(400) {
        connect["pass_early_media"] = json!(true);
    }
    if random.happens(300) {
        connect["hold_media"] = json!({ "play": play(random) });
    }
    if random.happens(400) {
        let page = |random: &mut Random| random.happens(700).then(|| self::next(random));
        let mut secondary = json!({});
        for name in ["first_page", "final_page", "error_page"] {
            if let Some(page) = page(random) {
                secondary[name] = page;
            }
        }
        connect["secondary_call"] = secondary;
    }
    if random.happens(300) {
        connect["call_from"] = json!("the desk");
    }
    json!({ "connect": connect })
}
