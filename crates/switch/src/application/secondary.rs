//! Whoever has answered for a caller, and is asked by pages of its own before both hear each other.
//!
//! Its script is one like the caller's, on its own leg. Nobody else is called for it; when it ends first, its caller's script is told.

use model::media::{LegKind, MediaCommand, MediaEvent};
use model::{AccountId, CallRecord, Callee, Instant, Page, QuestionId, UnixTime};

use super::action::SecondaryCall;
use super::beginning::About;
use super::instance::{self, Told};
use super::plan::Plan;
use super::questions::{Questions, is_secondary};
use super::run::Run;
use super::script::{Asking, Script, Step};
use super::start::ApplicationState;
use super::streaming::Opening;
use crate::call::{Act, End};

/// See the module.
#[derive(Debug)]
pub(super) struct Secondary {
    place: u8,
    instance: String,
    about: About,
    record: CallRecord,
    script: Script,
    /// Both hear each other: nothing more is asked but the final page.
    is_joined: bool,
}

impl Secondary {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.script.deadline()
    }

    fn told(&self, now: UnixTime) -> Told<'_> {
        Told::of(&self.instance, &self.record, &self.about, now)
    }

    fn state(&self) -> ApplicationState {
        match self.is_joined || self.record.outcome.is_some() {
            true => ApplicationState::Completed,
            false => ApplicationState::Runs {
                action: self.script.action(),
            },
        }
    }
}

impl Run {
    /// Somebody has answered whose pages are asked first.
    pub(super) fn begin_secondary(&mut self, place: u8, pages: SecondaryCall, act: &mut Act<'_>) {
        let questions = self.after_former(act);
        let from = self.connecting.as_ref().map(|known| known.from.clone());
        let Some(called) = self.called(place) else {
            return;
        };
        let (record, kind) = (called.record.clone(), called.kind.clone());
        let token = self.script.token().cloned();
        let (call, leg) = (record.id.to_string(), self.leg(place));
        let mut script = Script::new(leg, Plan::Secondary(pages), call, questions, token);
        script.begin(act.now.mono);
        // As with a run's first party: a telephone hears at once.
        if kind != LegKind::WebRtc {
            script.on_talking(act.now.mono);
        }
        self.secondary = Some(Secondary {
            place,
            instance: instance::name(self.session.shard(), self.key, record.id),
            about: About {
                service: self.about.service.clone(),
                is_outgoing: true,
                from: from.unwrap_or_default().into(),
                to: word_of(&record.callee),
                parameters: None,
            },
            record,
            script,
            is_joined: false,
        });
    }

    /// Whoever was called before may still wait for its recording to be kept: it is told without. The numbers of its questions go on.
    fn after_former(&mut self, act: &mut Act<'_>) -> Questions {
        if let Some(former) = &mut self.secondary {
            former.script.give_up_keeping();
        }
        self.perform_secondary(act);
        let former = self.secondary.take();
        former.map_or(Questions::secondary(self.key), |former| {
            former.script.questions
        })
    }

    /// The script that asked a question.
    pub(super) fn script_of(&mut self, id: QuestionId) -> &mut Script {
        match &mut self.secondary {
            Some(secondary) if is_secondary(id) => &mut secondary.script,
            Some(_) | None => &mut self.script,
        }
    }

    /// The gateway tells something of whoever was called.
    pub(super) fn on_secondary_media(&mut self, event: &MediaEvent, act: &mut Act<'_>) {
        let place = event.leg().place;
        let secondary = self.secondary.as_mut();
        let Some(secondary) = secondary.filter(|secondary| secondary.place == place) else {
            return;
        };
        match event {
            MediaEvent::Connected { .. } => secondary.script.on_talking(act.now.mono),
            MediaEvent::Digit { .. } if secondary.is_joined => {}
            MediaEvent::Digit { .. }
            | MediaEvent::Played { .. }
            | MediaEvent::Recording { .. }
            | MediaEvent::Recorded { .. }
            | MediaEvent::StreamEnded { .. } => secondary.script.on_media(act.now.mono, event),
            MediaEvent::Answered { .. }
            | MediaEvent::Offered { .. }
            | MediaEvent::Refused { .. }
            | MediaEvent::NotEntered { .. }
            | MediaEvent::Ended { .. } => {}
        }
    }

    pub(super) fn on_secondary_time(&mut self, now: Instant) {
        if let Some(secondary) = &mut self.secondary {
            secondary.script.on_time(now);
        }
    }

    /// Whoever was called has gone, as its record says.
    pub(super) fn end_secondary(&mut self, place: u8, record: &CallRecord, now: Instant) {
        let secondary = self.secondary.as_mut();
        let secondary = secondary.filter(|secondary| secondary.place == place);
        if let Some(secondary) = secondary.filter(|known| known.record.id == record.id) {
            secondary.record = record.clone();
            secondary.script.on_ended(now);
        }
    }

    /// What its script wants, once. Says whether there was anything.
    pub(super) fn perform_secondary(&mut self, act: &mut Act<'_>) -> bool {
        let Some(secondary) = &mut self.secondary else {
            return false;
        };
        let (place, steps) = (secondary.place, secondary.script.take_steps());
        let is_any = !steps.is_empty();
        for step in steps {
            self.secondary_step(place, step, act);
        }
        is_any
    }

    fn secondary_step(&mut self, place: u8, step: Step, act: &mut Act<'_>) {
        match step {
            Step::Ask(asking) => self.ask_secondary(asking, act),
            Step::Bring { id, source } => self.bring(id, source, act),
            Step::Media(command) => self.tell_gateway(command, act),
            Step::Reject { status } => {
                let end = End::server(status, "rejected by the application");
                self.end_called(place, end, act);
            }
            Step::HangUp(why) => self.end_called(place, why.end(End::server), act),
            Step::Join => self.join_secondary(place, act),
            Step::Stream(opening) => self.stream_secondary(opening, act),
            // It was answered, and calls nobody.
            Step::Answer { .. }
            | Step::LetHear
            | Step::Connect(_)
            | Step::Disconnect
            | Step::Confer(_) => {}
        }
    }

    fn end_called(&mut self, place: u8, end: End, act: &mut Act<'_>) {
        self.end_callee(place, end, act);
        self.end_if_alone(act);
    }

    fn join_secondary(&mut self, place: u8, act: &mut Act<'_>) {
        if let Some(secondary) = &mut self.secondary {
            secondary.is_joined = true;
        }
        self.join_callee(place, act);
    }

    fn stream_secondary(&self, opening: Opening, act: &mut Act<'_>) {
        let (Some(secondary), Some(secret)) = (&self.secondary, &self.secret) else {
            return;
        };
        let told = secondary.told(act.now.unix);
        let command = opening.command(self.leg(secondary.place), told, secret);
        self.tell_gateway(command, act);
    }

    fn ask_secondary(&self, asking: Asking, act: &mut Act<'_>) {
        let Some(secondary) = &self.secondary else {
            return;
        };
        let (id, page, told) = asking.tells(secondary.told(act.now.unix));
        self.push_ask(id, page, told, act);
    }

    /// What becomes of the application that this names, if it is one of this run's.
    pub(crate) fn application(&self, account: AccountId, instance: &str) -> ApplicationState {
        if self.account != account {
            return ApplicationState::Unknown;
        }
        let secondary = self.secondary.as_ref();
        if let Some(secondary) = secondary.filter(|secondary| secondary.instance == instance) {
            return secondary.state();
        }
        match self.is_named(instance) {
            false => ApplicationState::Unknown,
            true if self.is_over() => ApplicationState::Completed,
            true => ApplicationState::Runs {
                action: self.script.action(),
            },
        }
    }

    /// The application that this names is to leave off what it does.
    pub(crate) fn interrupt(&mut self, instance: &str, redirect: Option<Page>, act: &mut Act<'_>) {
        match &mut self.secondary {
            Some(secondary) if secondary.instance == instance => {
                secondary.script.interrupt(redirect);
            }
            Some(_) | None => self.script.interrupt(redirect),
        }
        self.perform(act);
    }

    /// Both hear each other from now on.
    pub(super) fn join_callee(&mut self, place: u8, act: &mut Act<'_>) {
        let now = act.now.unix;
        let Some(called) = self.called(place) else {
            return;
        };
        called.joined = Some(now);
        self.answer_early(act);
        self.script.on_connected();
        let (leg, other) = (self.leg(self.first), place);
        self.tell_gateway(MediaCommand::Join { leg, other }, act);
    }
}

/// Whom a page is told that was called.
pub(super) fn word_of(callee: &Callee) -> Box<str> {
    match callee {
        Callee::Client(client) => client.as_str().into(),
        Callee::Number { number, .. } => number.clone(),
        Callee::Service { name, .. } => name.as_str().into(),
    }
}
