//! A script: what an application has asked for, step by step, until the call has ended.
//!
//! Knows pages, actions, keys and time, and nothing of SIP: what it wants done are [`Step`]s, which its run performs.

use std::collections::VecDeque;

use model::media::{Digit, LegId, MediaCommand, MediaEvent, Play, PlayEnd};
use model::{Instant, Page, PageAnswer, QuestionId, SoundAnswer, SoundSource, limits};
use serde_json::{Value, json};

use super::action::{Action, Connect, Prompt};
use super::aside::Aside;
use super::choosing::Choosing;
use super::conference::Wish;
use super::doing::Doing;
use super::entering::Entering;
use super::hearing::Hearing;
use super::instance::Told;
use super::page;
use super::plan::Plan;
use super::questions::Questions;
use super::streaming::Opening;
use crate::call::{End, printable};

/// Something to be done for a script.
#[derive(Debug)]
pub(crate) enum Step {
    /// A page is to be asked.
    Ask(Asking),
    /// A sound is to be brought.
    Bring {
        /// Comes back with it.
        id: QuestionId,
        /// Which.
        source: SoundSource,
    },
    /// The gateway is to be told.
    Media(MediaCommand),
    /// The call is to be taken; [`Script::on_talking`] says when the caller hears.
    Answer {
        /// Rows of the answer.
        headers: Vec<(String, String)>,
    },
    /// The caller is to hear before its call is taken; [`Script::on_let_hear`] says when it can.
    LetHear,
    /// The call is not to be taken.
    Reject {
        /// What its caller hears.
        status: u16,
    },
    /// The call is to end.
    HangUp(HangUp),
    /// Somebody is to be called; [`Script::on_connect_ended`] says when it is over.
    Connect(Connect),
    /// Whoever is called, or talks, is to go.
    Disconnect,
    /// A conference is to be entered or left.
    Confer(Wish),
    /// Whoever was called for another has nothing more to hear or say alone.
    Join,
    /// A stream is to be opened.
    Stream(Opening),
}

/// Why a script has its call end, and whose fault that is.
#[derive(Debug)]
pub(crate) enum HangUp {
    /// Nobody's: so it was wanted, in these words.
    Wanted(&'static str),
    /// The application's: where it is and what it lacks, which is its account's business alone.
    Failed(String),
}

impl HangUp {
    /// How the call ends; `by` says who ends it, from a status and the words.
    pub(super) fn end(self, by: impl FnOnce(u16, String) -> End) -> End {
        match self {
            Self::Wanted(why) => by(200, why.to_owned()),
            Self::Failed(why) => by(500, why).telling("the application failed"),
        }
    }
}

/// A page to be asked.
#[derive(Debug)]
pub(crate) struct Asking {
    /// Comes back with its answer.
    pub(crate) id: QuestionId,
    /// Where.
    pub(crate) page: Page,
    /// `action_result` and `error_result`, where there are any.
    pub(crate) told: Vec<(&'static str, Value)>,
    /// What the page before gave.
    pub(crate) token: Option<String>,
    /// Whether its answer says nothing of what is next.
    pub(crate) is_notification: bool,
}

impl Asking {
    /// Its number, the page, and what that is told of this call, as JSON.
    pub(super) fn tells(self, call: Told<'_>) -> (QuestionId, Page, String) {
        let told = Told {
            token: self.token,
            is_notification: self.is_notification,
            beside: self.told,
            ..call
        };
        (self.id, self.page, told.json())
    }
}

#[derive(Debug)]
pub(crate) struct Script {
    pub(super) leg: LegId,
    pub(super) call: String,
    plan: Plan,
    pub(super) questions: Questions,
    /// How often a page was asked.
    pages: u32,
    pub(super) token: Option<String>,
    waiting: VecDeque<Action>,
    pub(super) doing: Doing,
    /// Keys that no action has taken yet.
    pub(super) typed: VecDeque<Digit>,
    /// Whether the caller can hear.
    pub(super) is_talking: bool,
    /// Whether the error page was asked.
    has_failed: bool,
    pub(super) is_ended: bool,
    /// Plays whose end has not been told.
    plays: u32,
    pub(super) recordings: u32,
    pub(super) aside: Aside,
    pub(super) steps: Vec<Step>,
}

impl Script {
    /// One that has asked nothing yet. `call` names its recordings; `token`: what its first page is told.
    pub(crate) fn new(
        leg: LegId,
        plan: Plan,
        call: String,
        questions: Questions,
        token: Option<String>,
    ) -> Self {
        Self {
            leg,
            call,
            plan,
            questions,
            pages: 0,
            token,
            waiting: VecDeque::new(),
            doing: Doing::Nothing,
            typed: VecDeque::new(),
            is_talking: false,
            has_failed: false,
            is_ended: false,
            plays: 0,
            recordings: 0,
            aside: Aside::default(),
            steps: Vec::new(),
        }
    }

    /// Asks the first page, or calls whom there is to call.
    pub(crate) fn begin(&mut self, now: Instant) {
        if let Some(page) = self.plan.first_page().cloned() {
            return self.ask(page, Vec::new());
        }
        match self.plan.clone() {
            Plan::Application(_) => {}
            Plan::Secondary(_) => self.steps.push(Step::Join),
            Plan::Ring(connect) => {
                self.steps.push(Step::Connect(connect.clone()));
                self.doing = Doing::Connecting {
                    connect,
                    hold: None,
                };
            }
            Plan::Connect(connect) => {
                self.waiting.push_back(Action::Connect(connect));
                self.next(now);
            }
        }
    }

    /// Whether the caller rings until somebody has answered.
    pub(crate) fn only_rings(&self) -> bool {
        matches!(self.plan, Plan::Ring(_))
    }

    /// Whether the call ends with the connection that it was for.
    pub(super) fn only_connects(&self) -> bool {
        matches!(self.plan, Plan::Ring(_) | Plan::Connect(_))
    }

    /// What is to be done now.
    pub(crate) fn take_steps(&mut self) -> Vec<Step> {
        std::mem::take(&mut self.steps)
    }

    /// When [`on_time`](Self::on_time) is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.doing.deadline()
    }

    /// A page has answered, or not.
    pub(crate) fn on_page(&mut self, now: Instant, id: QuestionId, answer: PageAnswer) {
        let Doing::Asking {
            id: asked,
            page,
            is_final,
        } = &self.doing
        else {
            return;
        };
        if *asked != id {
            return;
        }
        if *is_final {
            self.doing = Doing::Nothing;
            return;
        }
        let asked = page.clone();
        self.doing = Doing::Nothing;
        match page::answered(&asked, answer) {
            Ok(answer) => {
                self.token = answer.token;
                self.waiting = answer.actions;
                self.next(now);
            }
            Err(why) => self.fail(None, &why),
        }
    }

    /// A sound has come, or not.
    pub(crate) fn on_sound(&mut self, now: Instant, id: QuestionId, answer: SoundAnswer) {
        if self.on_sound_aside(id, &answer) {
            return;
        }
        let hearing = self.doing.hearing();
        match hearing.map(|hearing| hearing.on_sound(id, answer)) {
            None => {}
            Some(Ok(())) => self.play_on(now),
            Some(Err(why)) => {
                let action = self.doing.action();
                self.fail(action, &why);
            }
        }
    }

    /// The caller can hear.
    pub(crate) fn on_talking(&mut self, now: Instant) {
        self.is_talking = true;
        self.on_let_hear(now);
    }

    /// The caller can hear, though its call may not be taken.
    pub(crate) fn on_let_hear(&mut self, now: Instant) {
        if let Doing::Answering(action) = &self.doing {
            let action = action.clone();
            self.doing = Doing::Nothing;
            self.start(now, action);
        }
    }

    /// The gateway tells something of this script's leg.
    pub(crate) fn on_media(&mut self, now: Instant, event: &MediaEvent) {
        match event {
            MediaEvent::Digit { digit, .. } => self.on_digit(now, *digit),
            MediaEvent::Played { end, .. } => self.on_played(now, end),
            MediaEvent::Recorded { length, end, .. } => {
                if !self.on_recorded_aside(*end) {
                    self.on_recorded(length.as_secs_f64(), *end);
                }
            }
            MediaEvent::StreamEnded { number, end, .. } => self.on_streamed(now, *number, end),
            MediaEvent::Answered { .. }
            | MediaEvent::Offered { .. }
            | MediaEvent::Refused { .. }
            | MediaEvent::NotEntered { .. }
            | MediaEvent::Connected { .. }
            | MediaEvent::Recording { .. }
            | MediaEvent::Ended { .. } => {}
        }
    }

    /// The instant of [`deadline`](Self::deadline) has come.
    pub(crate) fn on_time(&mut self, now: Instant) {
        if self.doing.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        if let Doing::Entering(entering) = &mut self.doing {
            let entered = entering.finish();
            self.on_entered(now, entered);
        } else if let Doing::Choosing(choosing) = &mut self.doing {
            choosing.on_timeout();
            self.go_on_choosing(now);
        } else if matches!(self.doing, Doing::Keeping { .. }) {
            self.give_up_keeping();
        } else if let Doing::Streaming(_) = &self.doing {
            self.on_stream_time(now);
        } else {
            // It has slept.
            self.next(now);
        }
    }

    /// What the last page gave.
    pub(super) fn token(&self) -> Option<&String> {
        self.token.as_ref()
    }

    /// The action that is being done.
    pub(crate) fn action(&self) -> Option<&'static str> {
        self.doing.action()
    }

    /// Leaves off what is being done, and everything that was to come: this page says what is next, or the call ends.
    pub(crate) fn interrupt(&mut self, redirect: Option<Page>) {
        if self.is_ended {
            return;
        }
        let action = self.doing.action();
        self.leave_off();
        match redirect {
            Some(page) => {
                let told = json!({ "action": action, "interrupted": true });
                self.ask(page, vec![("action_result", told)]);
            }
            None => self.hang_up("the account has interrupted the application"),
        }
    }

    fn leave_off(&mut self) {
        let leg = self.leg;
        if self.doing.hearing().is_some() {
            self.steps.push(Step::Media(MediaCommand::StopPlay { leg }));
        }
        if self.doing.file().is_some() {
            self.steps
                .push(Step::Media(MediaCommand::StopRecord { leg }));
        }
        self.waiting.clear();
        self.typed.clear();
        self.break_off();
    }

    /// Leaves off what is being done, and everything that was to come: its party is connected with somebody else, and the call ends with
    /// that where no application says what is next.
    pub(super) fn transfer(&mut self, now: Instant, connect: Connect) {
        self.leave_off();
        if self.plan.first_page().is_none() {
            self.plan = Plan::Connect(connect.clone());
        }
        self.waiting.push_back(Action::Connect(connect));
        self.next(now);
    }

    /// The call has ended: the application is told.
    pub(crate) fn on_ended(&mut self, now: Instant) {
        if std::mem::replace(&mut self.is_ended, true) {
            return;
        }
        self.waiting.clear();
        self.leave_conference();
        if let Doing::Recording { recording, file } = &self.doing {
            self.doing = Doing::Keeping {
                file: file.clone(),
                available: recording.available.clone(),
                until: now + limits::PAGE_TIME,
            };
            return;
        }
        self.ask_final(Vec::new());
    }

    /// Something that was wanted cannot be done.
    pub(crate) fn fail(&mut self, action: Option<&'static str>, why: &str) {
        if self.is_ended {
            return;
        }
        let why = printable(why, limits::PAGE_FAULT_CHARS);
        self.waiting.clear();
        self.break_off();
        let page = self.plan.error_page().cloned();
        match page.filter(|_| !self.has_failed) {
            Some(page) => {
                self.has_failed = true;
                let error = json!({ "action": action, "result": why });
                self.ask(page, vec![("error_result", error)]);
            }
            None => self.give_up(format!("the application failed: {why}")),
        }
    }

    fn hang_up(&mut self, why: &'static str) {
        self.steps.push(Step::HangUp(HangUp::Wanted(why)));
    }

    fn give_up(&mut self, why: String) {
        self.steps.push(Step::HangUp(HangUp::Failed(why)));
    }

    pub(super) fn ask(&mut self, page: Page, told: Vec<(&'static str, Value)>) {
        if self.pages >= limits::APPLICATION_PAGES {
            let most = limits::APPLICATION_PAGES;
            return self.give_up(format!("the application has asked for its {most} pages"));
        }
        self.pages += 1;
        let id = self.questions.next();
        self.steps.push(Step::Ask(Asking {
            id,
            page: page.clone(),
            told,
            token: self.token.clone(),
            is_notification: false,
        }));
        self.doing = Doing::Asking {
            id,
            page,
            is_final: self.is_ended,
        };
    }

    /// Tells a page something while the call goes on; its answer is not looked at.
    pub(super) fn notify(&mut self, page: Page, told: Vec<(&'static str, Value)>) {
        self.pages += 1;
        self.steps.push(Step::Ask(Asking {
            id: self.questions.next(),
            page,
            told,
            token: self.token.clone(),
            is_notification: true,
        }));
    }

    pub(super) fn ask_with_result(&mut self, page: Page, action: &'static str, result: Value) {
        let result = json!({ "action": action, "result": result });
        self.ask(page, vec![("action_result", result)]);
    }

    pub(super) fn ask_final(&mut self, told: Vec<(&'static str, Value)>) {
        self.doing = Doing::Nothing;
        if let Some(page) = self.plan.final_page().cloned() {
            // The last one is always told.
            self.pages = 0;
            self.ask(page, told);
        }
    }

    /// Goes on with the next action.
    pub(super) fn next(&mut self, now: Instant) {
        self.doing = Doing::Nothing;
        match self.waiting.pop_front() {
            None if self.plan.is_secondary() => self.steps.push(Step::Join),
            None => self.hang_up("the application has nothing more to do"),
            Some(Action::Connect(connect)) if connect.passes_early && !self.is_talking => {
                self.doing = Doing::Answering(Action::Connect(connect));
                self.steps.push(Step::LetHear);
            }
            Some(action) if action.needs_answer() && !self.is_talking => {
                let headers = match &action {
                    Action::Answer { headers } => headers.clone(),
                    Action::Reject { .. }
                    | Action::HangUp
                    | Action::Play(_)
                    | Action::Record(_)
                    | Action::Enter(_)
                    | Action::Menu(_)
                    | Action::Connect(_)
                    | Action::Confer(_)
                    | Action::Stream(_)
                    | Action::Sleep(_)
                    | Action::Redirect(_) => Vec::new(),
                };
                self.doing = Doing::Answering(action);
                self.steps.push(Step::Answer { headers });
            }
            Some(action) => self.start(now, action),
        }
    }

    fn start(&mut self, now: Instant, action: Action) {
        if !action.takes_digits() && !matches!(action, Action::Play(_)) {
            self.typed.clear();
        }
        match action {
            Action::Answer { .. } => self.next(now),
            Action::Reject { status } if self.is_talking && !self.plan.is_secondary() => {
                let why = format!("a call that was answered cannot be rejected with {status}");
                self.fail(Some("reject"), &why);
            }
            Action::Reject { status } => self.steps.push(Step::Reject { status }),
            Action::HangUp => self.hang_up("the application hung up"),
            Action::Play(prompt) => {
                let hearing = self.bring(&prompt, Some(1));
                self.doing = Doing::Playing(hearing);
                self.play_on(now);
            }
            Action::Record(recording) => self.record(recording),
            Action::Enter(entry) => {
                let hearing = entry
                    .prompt
                    .as_ref()
                    .map(|prompt| self.bring(prompt, Some(1)));
                self.doing = Doing::Entering(Entering::new(now, entry, hearing));
                self.take_typed(now);
                self.play_on(now);
            }
            Action::Menu(menu) => {
                let hearing = menu
                    .prompt
                    .as_ref()
                    .map(|prompt| self.bring(prompt, Some(1)));
                self.doing = Doing::Choosing(Choosing::new(now, menu, hearing));
                self.take_typed(now);
                self.play_on(now);
            }
            Action::Connect(_) | Action::Confer(_) if self.plan.is_secondary() => {
                let why =
                    "whoever is called for somebody else is connected with nobody but that one";
                self.fail(Some(action.name()), why);
            }
            Action::Connect(connect) => self.connect(now, connect),
            Action::Confer(confer) => self.confer(now, confer),
            Action::Stream(streaming) => self.stream(now, streaming),
            Action::Sleep(time) => self.doing = Doing::Sleeping { until: now + time },
            Action::Redirect(page) => self.ask(page, Vec::new()),
        }
    }

    pub(super) fn bring(&mut self, prompt: &Prompt, times: Option<u32>) -> Hearing {
        let mut steps = std::mem::take(&mut self.steps);
        let hearing = Hearing::new(prompt, times, |source| {
            let id = self.questions.next();
            steps.push(Step::Bring { id, source });
            id
        });
        self.steps = steps;
        hearing
    }

    pub(super) fn play(&mut self, play: Play) {
        self.plays += 1;
        self.aside.is_last = false;
        self.steps.push(Step::Media(MediaCommand::Play {
            leg: self.leg,
            play,
        }));
    }

    /// Plays what is there to be played, if all of it is.
    pub(super) fn play_on(&mut self, now: Instant) {
        let hearing = self.doing.hearing();
        let Some(play) = hearing.and_then(Hearing::play) else {
            return;
        };
        if play.sounds.is_empty() {
            // Nothing is to be heard: it was.
            self.plays += 1;
            self.on_played(now, &PlayEnd::Finished);
        } else {
            self.play(play);
        }
    }

    fn on_played(&mut self, now: Instant, end: &PlayEnd) {
        self.plays = self.plays.saturating_sub(1);
        if self.plays > 0 {
            // What was played before, and has made room.
            return;
        }
        if let PlayEnd::Unplayable(why) = end
            && !self.on_unplayable_aside(why)
        {
            let (action, why) = (self.doing.action(), why.clone());
            return self.fail(action, &why);
        }
        if let Doing::Playing(hearing) = &self.doing {
            if hearing.is_playing() {
                self.next(now);
            }
        } else if let Doing::Entering(entering) = &mut self.doing {
            entering.on_heard(now);
        } else if let Doing::Choosing(choosing) = &mut self.doing {
            choosing.on_heard(now);
        } else {
            self.hear_on();
            self.play_on(now);
        }
    }
}
