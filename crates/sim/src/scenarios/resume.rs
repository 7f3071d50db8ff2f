//! Resumable signalling, frame by frame and situation by situation (docs/resume.md): what a client that speaks it by hand
//! gets, and whose a session is.

use switch::Counter;

use super::resume_sweep::{is_talking, plan, times};
use super::{Stage, scenarios};
use crate::authority::{Wish, domain};
use crate::browser::Heard;
use crate::clock::SECOND;
use crate::faults::{Cut, Faults};
use crate::raw::Raw;

scenarios! {
    session_opens: "OPEN is answered by SESSION; messages are numbered, a number that was here is dropped unread.",
    session_says_how_far: "After eight messages that ask for nothing the server says how far it is; PING asks it at once.",
    broken_heads_end_it: "A head that is none, a gap, an acknowledgement of what was never sent: the session ends at once.",
    first_frame_is_none: "A first frame that is neither OPEN nor RESUME, or none within 30 s: the socket is closed.",
    window_of_zero: "Where sessions are not resumed, `sip` is selected and the client speaks it.",
    credential_is_single_use: "A credential that was used, and whose successor is confirmed, is worth nothing to a thief.",
    credential_whose_answer_was_lost: "One whose answer was lost is taken again; the lost answer's is not.",
    late_word_of_a_socket_given_up: "RESUME that arrives on an older socket than the session has counts for nothing.",
    wrong_credentials: "Wrong credentials, a flood of them, and those of another session: GONE, and nobody else notices.",
    take_over_of_a_half_open_socket: "RESUME takes a session from a socket that still looks open, which is closed.",
    late_frames_of_the_old_socket: "A socket that stood still delivers late, when the session is elsewhere: nothing comes twice.",
    another_client_is_refused: "Another client, or one of another account, on a resumed session: 403.",
    fresh_session_of_the_same_client: "A user agent that opens a fresh session ends the one that waits, at once.",
}

/// Opens a session by hand; gives the client and its first credential.
fn opens(stage: &mut Stage, name: &str) -> (usize, String) {
    let raw = connects(stage, name);
    stage.sends(raw, "OPEN");
    let session = stage.inbox(raw).last("SESSION ").unwrap_or_default();
    (raw, credential(stage, &session))
}

fn connects(stage: &mut Stage, name: &str) -> usize {
    let raw = stage.world.add_raw(0, name);
    stage.world.script(raw, Raw::open_resumable);
    stage.until("a scripted client is connected", |world| {
        world.raw(raw).is_some_and(|raw| raw.is_open)
    });
    raw
}

/// On a socket of its own; gives it and the next credential, if there is one.
fn resumes(stage: &mut Stage, credential_shown: &str, received: u64) -> (usize, Option<String>) {
    let raw = connects(stage, "again");
    stage.sends(raw, format!("RESUME {credential_shown} {received}"));
    let session = stage.inbox(raw).last("SESSION ");
    let next = session.map(|session| credential(stage, &session));
    (raw, next)
}

fn credential(stage: &Stage, session: &str) -> String {
    let words: Vec<&str> = session.split(' ').collect();
    stage.claim(words.len() == 4 && words[2] == "60", "SESSION says all");
    words[1].to_owned()
}

fn framed(number: u64, received: u64, message: &[u8]) -> Vec<u8> {
    let mut frame = format!("{number} {received}\r\n").into_bytes();
    frame.extend_from_slice(message);
    frame
}

fn registration(stage: &mut Stage, client: &str) -> Vec<u8> {
    let token = stage.token(&Wish::all(client));
    let contact = format!("<sip:{client}@raw.invalid;transport=ws>;expires=600");
    stage.register(client, Some(&token), &contact).finish()
}

/// A registered client that speaks by hand: it has sent one message and received one.
fn registered(stage: &mut Stage, client: &str) -> (usize, String) {
    let (raw, credential) = opens(stage, client);
    let register = registration(stage, client);
    stage.sends(raw, framed(1, 0, &register));
    stage.claim(
        stage.inbox(raw).count("1 1\r\nSIP/2.0 200") == 1,
        "it is registered",
    );
    (raw, credential)
}

/// Two pages that resume, in a call.
pub(super) fn in_call(stage: &mut Stage) -> (usize, usize) {
    stage.restart(&plan(Faults::none()));
    let bob = stage.answering("bob");
    let alice = stage.registered("alice");
    stage.talking(alice, bob);
    (alice, bob)
}

pub(super) fn sessions(stage: &Stage) -> usize {
    stage.world.server(0).sessions().len()
}

pub(super) fn counted(stage: &Stage, counter: Counter) -> u64 {
    stage.world.server(0).counted(counter)
}

fn session_opens(stage: &mut Stage) {
    let (raw, _) = registered(stage, "bob");
    stage.claim(stage.clients() == ["bob"], "bob is registered");
    let again = registration(stage, "carol");
    stage.sends(raw, framed(1, 1, &again));
    stage.claim(stage.inbox(raw).inbox.len() == 2, "nobody has read that");
    stage.sends(raw, framed(2, 1, b"\r\n\r\n"));
    stage.claim(
        stage.inbox(raw).count("2 2\r\n\r\n") == 1,
        "a keep-alive is a message",
    );
}

fn session_says_how_far(stage: &mut Stage) {
    let (raw, _) = registered(stage, "bob");
    for number in 2..=8 {
        stage.sends(raw, framed(number, 1, b"\r\n"));
    }
    stage.claim(stage.inbox(raw).count("ACK") == 0, "seven are few");
    stage.sends(raw, framed(9, 1, b"\r\n"));
    stage.claim(stage.inbox(raw).count("ACK 9") == 1, "the eighth is not");
    stage.sends(raw, framed(10, 1, b"\r\n"));
    stage.sends(raw, "PING");
    stage.claim(stage.inbox(raw).count("ACK 10") == 1, "PING asks at once");
}

fn broken_heads_end_it(stage: &mut Stage) {
    let register = registration(stage, "bob");
    let broken: [Vec<u8>; 8] = [
        b"\r\n\r\n".to_vec(),
        b"OPEN".to_vec(),
        register.clone(),
        framed(3, 1, &register),
        framed(2, 2, &register),
        b"ACK 7".to_vec(),
        b"ACK 01".to_vec(),
        b"\xff\xfe 1\r\n".to_vec(),
    ];
    for frame in broken {
        let (raw, credential) = registered(stage, "bob");
        stage.claim(stage.clients() == ["bob"], "bob is registered");
        stage.sends(raw, frame);
        stage.claim(!stage.inbox(raw).is_open, "the socket is closed");
        stage.claim(stage.clients().is_empty(), "and the session has ended");
        let (_, next) = resumes(stage, &credential, 1);
        stage.claim(next.is_none(), "for good");
    }
    let (raw, credential) = registered(stage, "bob");
    stage.world.cut(raw, Cut::BOTH);
    stage.seconds(1);
    let (again, next) = resumes(stage, &credential, 9);
    stage.claim(next.is_none(), "RESUME can be as wrong");
    stage.claim(!stage.inbox(again).is_open, "its socket is closed");
    stage.claim(sessions(stage) == 0, "and ends the session");
}

fn first_frame_is_none(stage: &mut Stage) {
    for frame in [
        "REGISTER sip:x SIP/2.0\r\n\r\n",
        "PING",
        "ACK 0",
        "1 0\r\n\r\n",
    ] {
        let raw = connects(stage, "odd");
        stage.sends(raw, frame);
        stage.claim(!stage.inbox(raw).is_open, "closed");
        stage.claim(stage.inbox(raw).inbox.is_empty(), "without a word");
    }
    let raw = connects(stage, "silent");
    stage.seconds(29);
    stage.claim(stage.inbox(raw).is_open, "29 s are fine");
    stage.seconds(2);
    stage.claim(!stage.inbox(raw).is_open, "then it is closed");
    let (raw, _) = opens(stage, "opened, and no more");
    stage.seconds(31);
    stage.claim(!stage.inbox(raw).is_open, "a session must say its account");
    stage.claim(sessions(stage) == 0, "or it ends");
}

fn window_of_zero(stage: &mut Stage) {
    let mut without = plan(Faults::none());
    without.settings.resume_window = std::time::Duration::ZERO;
    stage.restart(&without);
    let bob = stage.answering("bob");
    let alice = stage.registered("alice");
    stage.talking(alice, bob);
    stage.world.cut(alice, Cut::BOTH);
    stage.millis(100);
    stage.claim(
        stage.cause(bob) == Some("FAILED"),
        "a loss ends the call at once",
    );
    stage.seconds(2);
    stage.claim(
        stage.clients() == ["alice", "bob"],
        "alice is back by herself",
    );
}

fn credential_is_single_use(stage: &mut Stage) {
    let (raw, first) = registered(stage, "bob");
    stage.world.cut(raw, Cut::BOTH);
    stage.seconds(1);
    let (back, second) = resumes(stage, &first, 1);
    stage.sends(back, "ACK 1");
    let (thief, stolen) = resumes(stage, &first, 1);
    stage.claim(stolen.is_none(), "it is worth nothing");
    stage.claim(stage.inbox(thief).count("GONE ") == 1, "GONE");
    stage.claim(!stage.inbox(thief).is_open, "and closed");
    stage.claim(stage.inbox(back).is_open, "its owner notices nothing");
    stage.sends(back, framed(2, 1, b"\r\n\r\n"));
    stage.claim(stage.inbox(back).count("2 2\r\n\r\n") == 1, "and goes on");
    stage.world.cut(back, Cut::BOTH);
    stage.seconds(1);
    let (_, third) = resumes(stage, &second.unwrap_or_default(), 2);
    stage.claim(third.is_some(), "with the next one");
}

fn credential_whose_answer_was_lost(stage: &mut Stage) {
    let (raw, first) = registered(stage, "bob");
    stage.world.cut(raw, Cut::BOTH);
    stage.seconds(1);
    let (lost, second) = resumes(stage, &first, 1);
    stage.world.cut(lost, Cut::BOTH);
    stage.seconds(1);
    let (_, third) = resumes(stage, &first, 1);
    stage.claim(third.is_some(), "the first is taken again");
    let (_, none) = resumes(stage, &second.unwrap_or_default(), 1);
    stage.claim(none.is_none(), "the lost one is not");
    let (_, fourth) = resumes(stage, &third.unwrap_or_default(), 1);
    stage.claim(fourth.is_some(), "the newest is");
}

fn late_word_of_a_socket_given_up(stage: &mut Stage) {
    let (raw, first) = registered(stage, "bob");
    let given_up = connects(stage, "given up");
    stage.world.cut(raw, Cut::BOTH);
    stage.seconds(1);
    let (again, second) = resumes(stage, &first, 1);
    stage.claim(second.is_some(), "it goes on");
    stage.sends(given_up, format!("RESUME {first} 1"));
    stage.claim(
        stage.inbox(given_up).count("GONE") == 1,
        "the first is good for a newer socket alone",
    );
    stage.sends(again, "PING");
    stage.claim(stage.inbox(again).count("ACK") == 1, "nobody notices");
}

fn wrong_credentials(stage: &mut Stage) {
    let (raw, own) = registered(stage, "bob");
    let (_, others) = registered(stage, "carol");
    let number = own.split('.').next().unwrap_or_default().to_owned();
    let secret = others.split('.').nth(1).unwrap_or_default().to_owned();
    let mut wrong = vec![
        String::new(),
        "x".to_owned(),
        format!("{number}."),
        format!("{number}.{secret}"),
        format!("99.{secret}"),
        format!("{own}0"),
    ];
    wrong.extend((0..50).map(|guess| format!("{number}.{guess:032x}")));
    let count = wrong.len() as u64;
    for credential in wrong {
        let (guesser, next) = resumes(stage, &credential, 0);
        stage.claim(next.is_none(), "not one of them");
        stage.claim(!stage.inbox(guesser).is_open, "one for each socket");
    }
    // The empty one makes no head at all.
    stage.claim(
        counted(stage, Counter::ResumeRefused) >= count - 1,
        "they are counted",
    );
    stage.claim(stage.clients() == ["bob", "carol"], "nobody has noticed");
    stage.claim(stage.inbox(raw).is_open, "nothing was closed");
}

fn take_over_of_a_half_open_socket(stage: &mut Stage) {
    let (old, credential) = registered(stage, "bob");
    let (new, next) = resumes(stage, &credential, 1);
    stage.claim(next.is_some(), "it goes on");
    stage.claim(!stage.inbox(old).is_open, "the old socket is closed");
    stage.claim(stage.clients() == ["bob"], "and bob is registered");
    stage.sends(new, framed(2, 1, b"\r\n\r\n"));
    stage.claim(stage.inbox(new).count("2 2\r\n\r\n") == 1, "as before");
}

fn late_frames_of_the_old_socket(stage: &mut Stage) {
    let (alice, bob) = in_call(stage);
    for (page, other) in [(alice, bob), (bob, alice)] {
        let key = super::resume_sweep::call_of(&stage.world, page).expect("they talk");
        stage.world.hinder(page, 40 * SECOND);
        stage
            .world
            .app(page, |browser, now| browser.reinvite(now, key));
        stage.seconds(16);
        stage.claim(
            counted(stage, Counter::SessionResumed) > 0,
            "the session is on another socket",
        );
        stage.seconds(40);
        let changed = times(&stage.world, page, |heard| {
            matches!(heard, Heard::Reinvited(_, 200))
        });
        stage.claim(changed == 1, "the re-INVITE came once");
        stage.claim(is_talking(&stage.world, other), "and they talk on");
    }
}

fn another_client_is_refused(stage: &mut Stage) {
    let (raw, credential) = registered(stage, "bob");
    stage.world.cut(raw, Cut::BOTH);
    stage.seconds(1);
    let (raw, _) = resumes(stage, &credential, 1);
    let carol = registration(stage, "carol");
    stage.sends(raw, framed(2, 1, &carol));
    stage.claim(
        stage.inbox(raw).count("2 2\r\nSIP/2.0 403") == 1,
        "another client: 403",
    );
    let token = stage.world.token(1, &Wish::all("bob"));
    let home = domain(1);
    let address = format!("<sip:bob@{home}>");
    let from = format!("{address};tag=f");
    let foreign = crate::raw::Draft::new("REGISTER", &format!("sip:{home}"), &from, &address, 77)
        .token(&token)
        .row("Contact", "<sip:bob@raw.invalid;transport=ws>;expires=600");
    stage.sends(raw, framed(3, 2, &foreign.finish()));
    stage.claim(
        stage.inbox(raw).count("3 3\r\nSIP/2.0 403") == 1,
        "another account: 403",
    );
    stage.claim(stage.clients() == ["bob"], "bob alone is registered");
}

fn fresh_session_of_the_same_client(stage: &mut Stage) {
    let (raw, credential) = opens(stage, "bob");
    let token = stage.token(&Wish::all("bob"));
    let contact = "<sip:bob@agent.invalid;transport=ws>;expires=600";
    let register = |stage: &mut Stage| {
        let draft = stage.register("bob", Some(&token), contact);
        framed(1, 0, &draft.via_host("agent.invalid").finish())
    };
    let first = register(stage);
    stage.sends(raw, first);
    stage.world.cut(raw, Cut::BOTH);
    stage.seconds(1);
    stage.claim(stage.world.server(0).waiting() == 1, "one session waits");
    let (fresh, _) = opens(stage, "bob");
    let second = register(stage);
    stage.sends(fresh, second);
    stage.claim(sessions(stage) == 1, "it has ended at once");
    stage.claim(stage.clients() == ["bob"], "and bob is registered");
    let (_, next) = resumes(stage, &credential, 1);
    stage.claim(next.is_none(), "the old one cannot come back");
    stage.claim(stage.inbox(fresh).is_open, "the fresh one goes on");
}
