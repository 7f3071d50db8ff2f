//! Calls that applications begin: who may be called, and what a run is made of that has nobody yet.
//!
//! The application is asked its first page when somebody has answered; a call that nobody takes is told to its final page.

use model::{
    Application, CallOutcome, CallRecord, Callee, Caller, EndedBy, Now, PageRequest, QuestionId,
    ServiceTarget, Start, limits,
};

use super::action::Destination;
use super::calling::Outgoing;
use super::dialog::Dialog;
use super::instance::{self, Told};
use super::plan::Plan;
use super::run::{About, Beginning, CALLER, Run};
use crate::call::CallKey;
use crate::effect::{Counter, Effect};
use crate::shard::Shard;
use crate::timer::Due;

/// Why an application cannot begin a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartFault {
    /// There is none.
    #[error("no application answers for a service of this name")]
    NoApplication,
    /// Nobody can be meant.
    #[error("{0}")]
    Destination(String),
    /// The account has as many as it may have.
    #[error("no more than {max} calls of an account may have an application at a time", max = limits::APPLICATION_CALLS_PER_ACCOUNT)]
    TooMany,
    /// The server's are.
    #[error("there are as many calls as may be; try again in a few seconds")]
    Full,
    /// It is going down.
    #[error("the server is stopping")]
    Stopping,
}

impl Shard {
    /// Whether applications may begin all of these calls, and the `application_instance_id`s that they will have if they are the next inputs
    /// ([`Input::Start`](crate::Input::Start)). The error says which of them may not.
    pub fn check_starts(
        &mut self,
        now: Now,
        starts: &[Start],
    ) -> Result<Vec<String>, (usize, StartFault)> {
        for (at, start) in starts.iter().enumerate() {
            self.application_of(start)
                .ok_or((at, StartFault::NoApplication))?;
            let to = Destination::parse(&start.to);
            let to = to.map_err(|why| (at, StartFault::Destination(why)))?;
            if to.needs_trunk() && self.trunk_for(start.account, &to).is_none() {
                let why = format!("no trunk of the account leads to {}", shown(&to));
                return Err((at, StartFault::Destination(why)));
            }
            let more = starts[..=at].iter();
            let more = more.filter(|other| other.account == start.account);
            if more.count() > self.going.room(start.account) {
                return Err((at, StartFault::TooMany));
            }
        }
        if self.stopping {
            return Err((0, StartFault::Stopping));
        }
        if !self.has_room_for(now, starts.len()) {
            return Err((0, StartFault::Full));
        }
        let keys = (self.next_call..).map(CallKey);
        let names = starts.iter().zip(keys);
        let names = names.map(|(start, key)| instance::name(self.number, key, start.id));
        Ok(names.collect())
    }

    pub(crate) fn start(&mut self, now: Now, start: Start) {
        let application = self.application_of(&start).cloned();
        let (Some(application), Ok(to)) = (application, Destination::parse(&start.to)) else {
            return;
        };
        let key = self.next_key();
        let about = About {
            from: start
                .from
                .as_deref()
                .unwrap_or(start.service.as_str())
                .into(),
            to: shown(&to).into(),
            service: start.service.as_str().into(),
            is_outgoing: true,
            parameters: start.parameters.clone(),
        };
        match self.outgoing(now, key, &start, &about, to) {
            Ok(outgoing) => self.call_out(now, key, start, about, application, outgoing),
            Err((status, callee)) => {
                self.tell_unreachable(now, key, &start, &about, &application, status, callee);
            }
        }
    }

    fn application_of(&self, start: &Start) -> Option<&Application> {
        let account = self.snapshot.directory.account(start.account);
        let account = account.filter(|account| !account.disabled)?;
        match &account.services.get(&start.service)?.target {
            ServiceTarget::Application(application) => Some(application),
            ServiceTarget::Clients(_) => None,
        }
    }

    /// Whom to call, and how; or the status that says why not, and who was meant.
    fn outgoing(
        &mut self,
        now: Now,
        key: CallKey,
        start: &Start,
        about: &About,
        to: Destination,
    ) -> Result<Outgoing, (u16, Option<Callee>)> {
        let (account, party) = (start.account, (key, CALLER));
        if let Destination::Client(client) = to {
            let caller = Caller::Service(start.service.clone());
            return match self.may_ring(account, &caller, &client) {
                Ok(binding) => {
                    let act = &mut self.act(now);
                    Ok(Outgoing::to_client(
                        party,
                        &about.from,
                        &client,
                        &binding,
                        act,
                    ))
                }
                Err(status) => Err((status, Some(Callee::Client(client)))),
            };
        }
        let (line, trunk) = self.trunk_for(account, &to).ok_or((404, None))?;
        if !self.has_room_on_line(line) {
            return Err((503, None));
        }
        self.know_line(line, account);
        let act = &mut self.act(now);
        let outgoing = Outgoing::to_number(party, &about.from, &about.to, line, &trunk, act);
        Ok(outgoing)
    }

    fn call_out(
        &mut self,
        now: Now,
        key: CallKey,
        start: Start,
        about: About,
        application: Application,
        outgoing: Outgoing,
    ) {
        let (account, connection) = (start.account, outgoing.leg.connection);
        let record = record_of(&start, outgoing.callee, now);
        let beginning = Beginning {
            key,
            shard: self.number,
            plan: Plan::Application(application),
            dialog: Dialog::planned(key, outgoing.leg, &record.call_id)
                .timed(outgoing.session, None),
            kind: outgoing.kind,
            about,
            offer: None,
            headers: outgoing.headers,
            token: start.token,
            record,
            until: now.mono + self.snapshot.settings.no_answer,
            is_strangers: false,
        };
        let run = Run::begin(beginning, &mut self.act(now));
        if let Some(known) = self.connections.get_mut(&connection) {
            known.note_call(key);
        }
        self.timers
            .shift(Due::Call(key), None, Some(run.deadline()));
        self.runs.insert(key, run);
        self.going.begin(account, false);
    }

    /// Nobody can be called: there is no run, but its record, and its final page is told.
    #[expect(clippy::too_many_arguments, reason = "what a call is made of")]
    fn tell_unreachable(
        &mut self,
        now: Now,
        key: CallKey,
        start: &Start,
        about: &About,
        application: &Application,
        status: u16,
        callee: Option<Callee>,
    ) {
        let nobody = Callee::Service {
            name: start.service.clone(),
            client: None,
        };
        let mut record = record_of(start, callee.unwrap_or(nobody), now);
        record.outcome = Some(CallOutcome {
            at: now.unix,
            by: EndedBy::Server,
            status,
            reason: match status {
                404 => format!("{} is not registered", about.to),
                503 => "the trunk has as many calls as it may have".to_owned(),
                _ => format!("{} has as many calls ringing as may be", about.to),
            },
        });
        let instance = instance::name(self.number, key, start.id);
        let mut act = self.act(now);
        act.count(Counter::CallRefused);
        act.record(&record);
        let Some(page) = application.final_page.clone() else {
            return;
        };
        let told = Told {
            instance: &instance,
            record: &record,
            about,
            now: now.unix,
            token: start.token.clone(),
            beside: Vec::new(),
        };
        act.effects.push_back(Effect::Ask(Box::new(PageRequest {
            id: QuestionId((key.0 << 20) + 1),
            account: start.account,
            page,
            instance: told.json(),
            secret: application.secret.clone(),
        })));
    }
}

fn record_of(start: &Start, callee: Callee, now: Now) -> CallRecord {
    CallRecord {
        id: start.id,
        account: start.account,
        caller: Caller::Service(start.service.clone()),
        callee,
        call_id: start.id.to_string(),
        started: now.unix,
        ringing: None,
        answered: None,
        outcome: None,
        relay: Default::default(),
    }
}

/// Whom a destination names, in one word.
fn shown(to: &Destination) -> String {
    match to {
        Destination::Client(client) => client.to_string(),
        Destination::Number(number) => number.to_string(),
        Destination::Address { user, .. } => user.to_string(),
    }
}
