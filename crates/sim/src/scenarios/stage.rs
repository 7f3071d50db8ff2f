//! A world with the words in which scenarios are told. Panics, with the ladder, where something else happens.

use std::time::Duration;

use model::{CallRecord, EndedBy};

use crate::authority::{Wish, domain};
use crate::browser::{Answering, Browser, CallKey, CallState, Heard};
use crate::clock::{MILLI, SECOND};
use crate::raw::{Draft, Raw};
use crate::world::{Plan, World};

/// A scenario's world.
#[derive(Debug)]
pub struct Stage {
    /// The world.
    pub world: World,
    /// Which of many variations is played, for whoever reads of its failure.
    pub title: String,
    /// The boundary from which on a story may be disturbed.
    pub mark: u64,
    numbers: u64,
}

impl Stage {
    /// A good network, one server, two accounts.
    pub fn new() -> Self {
        Self::of(&Plan::default())
    }

    /// Another world.
    pub fn of(plan: &Plan) -> Self {
        Self {
            world: World::new(plan),
            title: String::new(),
            mark: 0,
            numbers: 0,
        }
    }

    /// Begins anew in another world.
    pub fn restart(&mut self, plan: &Plan) {
        *self = Self::of(plan);
    }

    /// The end: everybody leaves, and nothing may be left.
    #[track_caller]
    pub fn ends(&mut self) {
        self.fine();
        self.world.conclude();
        self.fine();
    }

    /// Panics if a check has failed.
    #[track_caller]
    pub fn fine(&self) {
        if let Some(fault) = self.world.fault() {
            panic!("{}{fault}\n{}", self.title, self.world.ladder());
        }
    }

    /// Panics with this sentence unless it holds.
    #[track_caller]
    pub fn claim(&self, holds: bool, sentence: &str) {
        self.fine();
        if !holds {
            panic!("{}{sentence}\n{}", self.title, self.world.ladder());
        }
    }

    /// Lets seconds pass.
    #[track_caller]
    pub fn seconds(&mut self, seconds: u64) {
        self.world.run_for(Duration::from_secs(seconds));
        self.fine();
    }

    /// Lets milliseconds pass.
    #[track_caller]
    pub fn millis(&mut self, millis: u64) {
        self.world.run_for(Duration::from_millis(millis));
        self.fine();
    }

    /// Lets time pass until something holds, or panics after a minute.
    #[track_caller]
    pub fn until(&mut self, sentence: &str, holds: impl Fn(&World) -> bool) {
        let came = self.world.run_until(Duration::from_secs(60), holds);
        self.claim(came, &format!("never came: {sentence}"));
    }

    /// Lets time pass until something holds, for so many seconds at most; says whether it came to hold.
    #[track_caller]
    pub fn waits(&mut self, seconds: u64, holds: impl Fn(&World) -> bool) -> bool {
        let came = self.world.run_until(Duration::from_secs(seconds), holds);
        self.fine();
        came
    }

    /// A token of account 0.
    pub fn token(&mut self, wish: &Wish) -> String {
        self.world.token(0, wish)
    }

    /// A page of account 0 that is registered and does nothing by itself.
    #[track_caller]
    pub fn registered(&mut self, client: &str) -> usize {
        self.registered_with(0, &Wish::all(client))
    }

    /// A registered page with this token.
    #[track_caller]
    pub fn registered_with(&mut self, account: usize, wish: &Wish) -> usize {
        let page = self.world.add_browser(account, &wish.client);
        let token = self.world.token(account, wish);
        self.world
            .app(page, |browser, now| browser.enable_incoming(now, &token));
        self.until(&format!("{} is registered", wish.client), |world| {
            world.browser(page).is_some_and(Browser::is_registered)
        });
        page
    }

    /// A page of account 0 that is loaded and no more.
    pub fn page(&mut self, client: &str) -> usize {
        self.world.add_browser(0, client)
    }

    /// A registered page that answers after a second.
    #[track_caller]
    pub fn answering(&mut self, client: &str) -> usize {
        let page = self.registered(client);
        self.habit(page, Answering::After(SECOND));
        page
    }

    /// What a page does with incoming calls.
    pub fn habit(&mut self, page: usize, answering: Answering) {
        self.world
            .app(page, |browser, _| browser.habit.answering = answering);
    }

    /// A page calls, with a token that permits everything.
    pub fn call(&mut self, page: usize, callee: &str) -> CallKey {
        let client = self.browser(page).client.clone();
        let account = self.browser(page).account;
        let token = self.world.token(account, &Wish::all(&client));
        self.call_with(page, callee, &token)
    }

    /// A page calls with this token.
    pub fn call_with(&mut self, page: usize, callee: &str, token: &str) -> CallKey {
        self.world
            .app(page, |browser, now| browser.call(now, callee, token))
            .expect("scenarios let pages call")
    }

    /// Two pages in a call: the caller's and the callee's keys of it.
    #[track_caller]
    pub fn talking(&mut self, caller: usize, callee: usize) -> (CallKey, CallKey) {
        let name = self.browser(callee).client.clone();
        let out = self.call(caller, &name);
        self.until("both talk", |world| {
            let is_up = |page: usize| {
                world.browser(page).is_some_and(|browser| {
                    browser
                        .open_calls()
                        .iter()
                        .any(|(_, state)| *state == CallState::Established)
                })
            };
            is_up(caller) && is_up(callee)
        });
        self.millis(200);
        let incoming = self
            .browser(callee)
            .last_incoming()
            .expect("the callee was called");
        (out, incoming)
    }

    /// The app of a page hangs up, rejects or gives up.
    pub fn hang_up(&mut self, page: usize, call: CallKey) {
        self.world
            .app(page, |browser, now| browser.hang_up_call(now, call));
    }

    /// A page.
    pub fn browser(&self, page: usize) -> &Browser {
        self.world
            .browser(page)
            .expect("scenarios know their pages")
    }

    /// What a page's app was told of the end of its last call.
    pub fn cause(&self, page: usize) -> Option<&'static str> {
        self.browser(page).last_cause()
    }

    /// How often an app was told something.
    pub fn heard(&self, page: usize, what: impl Fn(&Heard) -> bool) -> usize {
        self.browser(page)
            .heard
            .iter()
            .filter(|(_, heard)| what(heard))
            .count()
    }

    /// When an app was told something first, in microseconds.
    pub fn heard_at(&self, page: usize, what: impl Fn(&Heard) -> bool) -> Option<u64> {
        let found = self.browser(page).heard.iter().find(|(_, h)| what(h));
        found.map(|(at, _)| *at)
    }

    /// The records that were written, oldest first.
    pub fn records(&self) -> Vec<CallRecord> {
        self.world.written()
    }

    /// The only record: who ended the call, with which status, in which words.
    #[track_caller]
    pub fn only_outcome(&self) -> (EndedBy, u16, String) {
        let records = self.records();
        self.claim(records.len() == 1, "there is exactly one call record");
        match &records[0].outcome {
            Some(outcome) => (outcome.by, outcome.status, outcome.reason.clone()),
            None => panic!("the call has no outcome\n{}", self.world.ladder()),
        }
    }

    /// Panics unless the only record says this.
    #[track_caller]
    pub fn recorded(&self, by: EndedBy, status: u16) {
        let (found, code, reason) = self.only_outcome();
        self.claim(
            (found, code) == (by, status),
            &format!("the record says {found:?} {code} {reason:?}, not {by:?} {status}"),
        );
    }

    /// Who is registered in account 0.
    pub fn clients(&self) -> Vec<String> {
        self.world
            .server(0)
            .clients(0, self.world.now())
            .into_iter()
            .map(|client| client.client.to_string())
            .collect()
    }

    /// A scripted client of account 0 with an open WebSocket.
    #[track_caller]
    pub fn raw(&mut self, name: &str) -> usize {
        let raw = self.world.add_raw(0, name);
        self.world.script(raw, Raw::open);
        self.until("a scripted client is connected", |world| {
            world.raw(raw).is_some_and(|raw| raw.is_open)
        });
        raw
    }

    /// What a scripted client got.
    pub fn inbox(&self, raw: usize) -> &Raw {
        self.world.raw(raw).expect("scenarios know their scripts")
    }

    /// A scripted client sends, and a quarter of a second passes.
    #[track_caller]
    pub fn sends(&mut self, raw: usize, frame: impl Into<Vec<u8>>) {
        let frame = frame.into();
        self.world.script(raw, |raw| raw.send(frame));
        self.millis(250);
    }

    /// A request of `client` outside a dialog, in account 0.
    pub fn draft(&mut self, method: &str, client: &str, uri: &str, to: &str) -> Draft {
        self.numbers += 1;
        let from = format!("<sip:{client}@{}>;tag=from{}", domain(0), self.numbers);
        // A user agent of its own for each: nobody gets another's late answers.
        Draft::new(method, uri, &from, to, self.numbers)
            .via_host(&format!("raw{}.invalid", self.numbers))
    }

    /// A REGISTER as `client` with this Contact row.
    pub fn register(&mut self, client: &str, token: Option<&str>, contact: &str) -> Draft {
        let home = domain(0);
        let to = format!("<sip:{client}@{home}>");
        let draft = self
            .draft("REGISTER", client, &format!("sip:{home}"), &to)
            .row("Contact", contact);
        match token {
            Some(token) => draft.token(token),
            None => draft,
        }
    }

    /// An INVITE with an offer.
    pub fn invite(&mut self, client: &str, callee: &str, token: &str) -> Draft {
        let uri = format!("sip:{callee}@{}", domain(0));
        let to = format!("<{uri}>");
        self.draft("INVITE", client, &uri, &to)
            .token(token)
            .row("Contact", "<sip:raw@raw.invalid;transport=ws>")
            .body("application/sdp", OFFER)
    }

    /// A scripted client that is registered under this name.
    #[track_caller]
    pub fn registered_raw(&mut self, client: &str) -> usize {
        let raw = self.raw(client);
        let token = self.token(&Wish::all(client));
        let contact = format!("<sip:{client}@raw.invalid;transport=ws>;expires=600");
        let register = self.register(client, Some(&token), &contact).finish();
        self.sends(raw, register);
        let is_bound = self.clients().contains(&client.to_owned());
        self.claim(is_bound, "the scripted client is registered");
        raw
    }

    /// Microseconds of a time that is told in milliseconds.
    pub fn in_millis(micros: u64) -> u64 {
        micros / MILLI
    }
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

/// The offer of scripted clients.
pub(super) const OFFER: &str =
    "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n";
/// Their answer.
pub(super) const ANSWER: &str =
    "v=0\r\no=- 3 4 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n";
