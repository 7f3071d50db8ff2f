//! A script: what an application has asked for, step by step, until the call has ended.
//!
//! Knows pages, actions, keys and time, and nothing of SIP: what it wants done are [`Step`]s, which its run performs.

use std::collections::VecDeque;

use model::media::{Digit, LegId, MediaCommand, MediaEvent, Play, PlayEnd};
use model::{Application, Instant, Page, PageAnswer, QuestionId, SoundAnswer, SoundSource, limits};
use serde_json::{Value, json};

use super::action::{Action, Connect, Prompt};
use super::choosing::Choosing;
use super::conference::Wish;
use super::doing::Doing;
use super::entering::{Entered, Entering};
use super::hearing::Hearing;
use super::page;
use super::plan::Plan;
use super::streaming::Opening;
use crate::call::printable;

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
    /// The call is not to be taken.
    Reject {
        /// What its caller hears.
        status: u16,
    },
    /// The call is to end.
    HangUp {
        /// 200, or what went wrong.
        status: u16,
        /// Why, in words.
        reason: String,
    },
    /// Somebody is to be called; [`Script::on_connect_ended`] says when it is over.
    Connect(Connect),
    /// Whoever is called, or talks, is to go.
    Disconnect,
    /// A conference is to be entered or left.
    Confer(Wish),
    /// A stream is to be opened.
    Stream(Opening),
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
}

#[derive(Debug)]
pub(crate) struct Script {
    pub(super) leg: LegId,
    pub(super) call: String,
    plan: Plan,
    /// The first of its questions is the next one after this.
    last_question: u64,
    /// How often a page was asked.
    pages: u32,
    pub(super) token: Option<String>,
    waiting: VecDeque<Action>,
    pub(super) doing: Doing,
    /// Keys that no action has taken yet.
    typed: VecDeque<Digit>,
    /// Whether the caller can hear.
    is_talking: bool,
    /// Whether the error page was asked.
    has_failed: bool,
    pub(super) is_ended: bool,
    /// Plays whose end has not been told.
    plays: u32,
    pub(super) recordings: u32,
    pub(super) steps: Vec<Step>,
}

impl Script {
    /// One that has asked nothing yet. `call` names its recordings; `questions`: its questions are numbered from there; `token`: what its
    /// first page is told.
    pub(crate) fn new(
        leg: LegId,
        plan: Plan,
        call: String,
        questions: u64,
        token: Option<String>,
    ) -> Self {
        Self {
            leg,
            call,
            plan,
            last_question: questions,
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
            steps: Vec::new(),
        }
    }

    /// Asks the first page, or calls whom there is to call.
    pub(crate) fn begin(&mut self) {
        match self.plan.clone() {
            Plan::Application(application) => self.ask(application.first_page, Vec::new()),
            Plan::Ring(connect) => {
                self.steps.push(Step::Connect(connect.clone()));
                self.doing = Doing::Connecting {
                    connect,
                    hold: None,
                };
            }
        }
    }

    /// Whether the caller rings until somebody has answered.
    pub(crate) fn only_rings(&self) -> bool {
        matches!(self.plan, Plan::Ring(_))
    }

    fn application(&self) -> Option<&Application> {
        match &self.plan {
            Plan::Application(application) => Some(application),
            Plan::Ring(_) => None,
        }
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
                self.on_recorded(length.as_secs_f64(), *end)
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
        } else if let Doing::Keeping { file, .. } = &self.doing {
            let file = file.clone();
            self.tell_recorded(&file, 0.0);
        } else if let Doing::Streaming(_) = &self.doing {
            self.on_stream_time(now);
        } else {
            // It has slept.
            self.next(now);
        }
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
        match redirect {
            Some(page) => {
                let told = json!({ "action": action, "interrupted": true });
                self.ask(page, vec![("action_result", told)]);
            }
            None => self.hang_up(
                200,
                "the account has interrupted the application".to_owned(),
            ),
        }
    }

    /// The call has ended: the application is told.
    pub(crate) fn on_ended(&mut self, now: Instant) {
        if std::mem::replace(&mut self.is_ended, true) {
            return;
        }
        self.waiting.clear();
        self.leave_conference();
        if let Doing::Recording { file, .. } = &self.doing {
            let (file, until) = (file.clone(), now + limits::PAGE_TIME);
            self.doing = Doing::Keeping { file, until };
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
        let page = self
            .application()
            .and_then(|known| known.error_page.clone());
        match page.filter(|_| !self.has_failed) {
            Some(page) => {
                self.has_failed = true;
                let error = json!({ "action": action, "result": why });
                self.ask(page, vec![("error_result", error)]);
            }
            None => self.hang_up(500, format!("the application failed: {why}")),
        }
    }

    fn hang_up(&mut self, status: u16, reason: String) {
        self.steps.push(Step::HangUp { status, reason });
    }

    pub(super) fn ask(&mut self, page: Page, told: Vec<(&'static str, Value)>) {
        if self.pages >= limits::APPLICATION_PAGES {
            let most = limits::APPLICATION_PAGES;
            return self.hang_up(
                500,
                format!("the application has asked for its {most} pages"),
            );
        }
        self.pages += 1;
        let id = self.next_question();
        self.steps.push(Step::Ask(Asking {
            id,
            page: page.clone(),
            told,
            token: self.token.clone(),
        }));
        self.doing = Doing::Asking {
            id,
            page,
            is_final: self.is_ended,
        };
    }

    pub(super) fn ask_with_result(&mut self, page: Page, action: &'static str, result: Value) {
        let result = json!({ "action": action, "result": result });
        self.ask(page, vec![("action_result", result)]);
    }

    pub(super) fn ask_final(&mut self, told: Vec<(&'static str, Value)>) {
        self.doing = Doing::Nothing;
        let page = self
            .application()
            .and_then(|known| known.final_page.clone());
        if let Some(page) = page {
            // The last one is always told.
            self.pages = 0;
            self.ask(page, told);
        }
    }

    pub(super) fn next_question(&mut self) -> QuestionId {
        self.last_question += 1;
        QuestionId(self.last_question)
    }

    /// Goes on with the next action.
    pub(super) fn next(&mut self, now: Instant) {
        self.doing = Doing::Nothing;
        match self.waiting.pop_front() {
            None => self.hang_up(200, "the application has nothing more to do".to_owned()),
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
            Action::Reject { status } if self.is_talking => {
                let why = format!("a call that was answered cannot be rejected with {status}");
                self.fail(Some("reject"), &why);
            }
            Action::Reject { status } => self.steps.push(Step::Reject { status }),
            Action::HangUp => self.hang_up(200, "the application hung up".to_owned()),
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
            let id = self.next_question();
            steps.push(Step::Bring { id, source });
            id
        });
        self.steps = steps;
        hearing
    }

    pub(super) fn play(&mut self, play: Play) {
        self.plays += 1;
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
        if let PlayEnd::Unplayable(why) = end {
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
        }
    }

    fn on_digit(&mut self, now: Instant, digit: Digit) {
        if self.is_ended {
            return;
        }
        match &self.doing {
            Doing::Recording { recording, .. } if recording.stop.contains(digit) => {
                self.steps
                    .push(Step::Media(MediaCommand::StopRecord { leg: self.leg }));
            }
            Doing::Playing(hearing) if !hearing.can_be_ended() => {}
            Doing::Entering(_)
            | Doing::Choosing(_)
            | Doing::Playing(_)
            | Doing::Nothing
            | Doing::Asking { .. }
            | Doing::Answering(_)
            | Doing::Sleeping { .. } => {
                if self.typed.len() < usize::from(limits::DIGITS_ENTERED) {
                    self.typed.push_back(digit);
                }
                self.take_typed(now);
            }
            Doing::Conferring(_) => self.on_conference_digit(now, digit),
            // A bot is told of keys by the gateway.
            Doing::Streaming(_) => {}
            Doing::Recording { .. } | Doing::Connecting { .. } | Doing::Keeping { .. } => {}
        }
    }

    /// Gives keys to the action that takes them.
    fn take_typed(&mut self, now: Instant) {
        while let Some(digit) = self.typed.pop_front() {
            if !self.doing.takes_digits() {
                return self.typed.push_front(digit);
            }
            let hearing = self.doing.hearing();
            let stops = hearing.map(|hearing| (hearing.can_be_ended(), hearing.is_playing()));
            match stops {
                Some((false, _)) => continue,
                Some((true, true)) => {
                    self.steps
                        .push(Step::Media(MediaCommand::StopPlay { leg: self.leg }));
                }
                Some((true, false)) | None => {}
            }
            self.take(now, digit);
        }
    }

    fn take(&mut self, now: Instant, digit: Digit) {
        if let Doing::Entering(entering) = &mut self.doing {
            match entering.take(now, digit) {
                Some(entered) => self.on_entered(now, entered),
                None => self.play_on(now),
            }
        } else if let Doing::Choosing(choosing) = &mut self.doing {
            match choosing.take(digit) {
                Some(option) => {
                    let result = json!({ "selected_digit": option.digit.to_string() });
                    self.ask_with_result(option.next, "run_menu", result);
                }
                None => self.go_on_choosing(now),
            }
        }
    }

    fn on_entered(&mut self, now: Instant, entered: Entered) {
        let name = entered.kind.name();
        match entered.result() {
            Some(result) => self.ask_with_result(entered.next, name, result),
            None => self.next(now),
        }
    }

    /// The menu wants to say something, or waits, or is over.
    fn go_on_choosing(&mut self, now: Instant) {
        let Doing::Choosing(choosing) = &mut self.doing else {
            return;
        };
        if choosing.is_used_up() {
            return self.next(now);
        }
        if let Some(prompt) = choosing.take_message() {
            let hearing = self.bring(&prompt, Some(1));
            if let Doing::Choosing(choosing) = &mut self.doing {
                choosing.hear(hearing);
            }
        }
        self.play_on(now);
    }
}
