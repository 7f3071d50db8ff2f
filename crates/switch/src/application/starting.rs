//! Calls that accounts begin: who may be called, and what a run is made of that has nobody yet.
//!
//! An application is asked its first page when somebody has answered; a call that nobody takes is told to its final page.

use model::{
    AccountId, CallOutcome, CallRecord, Callee, Caller, EndedBy, Now, PageRequest, ServiceTarget,
    Start, Then, limits,
};

use super::action::Destination;
use super::beginning::{About, Beginning};
use super::calling::Outgoing;
use super::dialog::Dialog;
use super::instance::{self, Told};
use super::onward::Onward;
use super::page;
use super::plan::Plan;
use super::questions::Questions;
use super::run::{CALLER, Run};
use super::wanted::Wanted;
use crate::call::CallKey;
use crate::effect::{Counter, Effect};
use crate::shard::Shard;
use crate::timer::Due;

/// Why an account cannot begin a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartFault {
    /// There is none.
    #[error("no application answers for a service of this name")]
    NoApplication,
    /// Nobody can be meant.
    #[error("{0}")]
    Destination(String),
    /// What it is to be connected with cannot be meant.
    #[error("{0}")]
    Connect(String),
    /// Who is to be called is not here.
    #[error("{0} is not registered")]
    NotRegistered(String),
    /// Who is to be called has enough to do.
    #[error("{0} has as many calls ringing as may be")]
    RingsEnough(String),
    /// The trunks that lead to who is to be called have enough to do.
    #[error("the trunk has as many calls as it may have")]
    LineFull,
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
    /// Whether all of these calls may be begun, and the names (`application_instance_id`) that they will have if they are the next inputs
    /// ([`Input::Start`](crate::Input::Start)). The error says which of them may not.
    pub fn check_starts(
        &mut self,
        now: Now,
        starts: &[Start],
    ) -> Result<Vec<String>, (usize, StartFault)> {
        for (at, start) in starts.iter().enumerate() {
            self.check_start(start).map_err(|fault| (at, fault))?;
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

    fn check_start(&self, start: &Start) -> Result<(), StartFault> {
        let to = Destination::parse(&start.to).map_err(StartFault::Destination)?;
        self.check_leads(start.account, &to)
            .map_err(StartFault::Destination)?;
        if let Plan::Connect(connect) = self.plan_of(start)? {
            let mut with = connect.destinations.iter();
            with.try_for_each(|to| self.check_leads(start.account, to))
                .map_err(StartFault::Connect)?;
        }
        Ok(())
    }

    /// Whether whom a call is for can be reached now. Without asking, [`Input::Start`](crate::Input::Start) tells the application's final page.
    pub fn check_reached(&self, start: &Start) -> Result<(), StartFault> {
        self.check_start(start)?;
        let to = Destination::parse(&start.to).map_err(StartFault::Destination)?;
        let Destination::Client(client) = to else {
            let mut lines = self.trunks_for(start.account, &to).into_iter();
            return match lines.any(|(line, _)| self.has_room_on_line(line)) {
                true => Ok(()),
                false => Err(StartFault::LineFull),
            };
        };
        match self.may_ring(start.account, &caller_of(start), &client) {
            Ok(_) => Ok(()),
            Err(404) => Err(StartFault::NotRegistered(client.to_string())),
            Err(_) => Err(StartFault::RingsEnough(client.to_string())),
        }
    }

    /// The error says that no trunk leads there.
    pub(crate) fn check_leads(&self, account: AccountId, to: &Destination) -> Result<(), String> {
        if to.needs_trunk() && self.trunks_for(account, to).is_empty() {
            return Err(format!("no trunk of the account leads to {}", shown(to)));
        }
        Ok(())
    }

    pub(crate) fn start(&mut self, now: Now, start: Start) {
        let (Ok(plan), Ok(to)) = (self.plan_of(&start), Destination::parse(&start.to)) else {
            return;
        };
        let key = self.next_key();
        let (service, parameters) = match &start.then {
            Then::Application {
                service,
                parameters,
                ..
            } => (service.as_str(), parameters.clone()),
            Then::Connect(_) => ("", None),
        };
        let about = About {
            from: start.from.as_str().into(),
            to: shown(&to).into(),
            service: service.into(),
            is_outgoing: true,
            parameters,
        };
        match self.outgoing(now, key, &start, &about, to) {
            None => {}
            Some(Ok((outgoing, wanted))) => {
                self.call_out(now, key, start, about, plan, outgoing, wanted);
            }
            Some(Err((status, callee))) => {
                self.tell_unreachable(now, key, &start, &about, &plan, status, callee);
            }
        }
    }

    /// What becomes of a call when it is answered.
    fn plan_of(&self, start: &Start) -> Result<Plan, StartFault> {
        let account = self.snapshot.directory.account(start.account);
        let account = account.filter(|account| !account.disabled);
        let account = account.ok_or(StartFault::NoApplication)?;
        match &start.then {
            Then::Connect(connect) => page::connect_alone(connect.as_bytes())
                .map(Plan::Connect)
                .map_err(StartFault::Connect),
            Then::Application { service, .. } => match account.services.get(service) {
                Some(service) => match &service.target {
                    ServiceTarget::Application(application) => {
                        Ok(Plan::Application(application.clone()))
                    }
                    ServiceTarget::Clients(_) => Err(StartFault::NoApplication),
                },
                None => Err(StartFault::NoApplication),
            },
        }
    }

    /// Whom to call, and how; or the status that says why not, and who was meant. Nothing where no trunk leads there.
    fn outgoing(
        &mut self,
        now: Now,
        key: CallKey,
        start: &Start,
        about: &About,
        to: Destination,
    ) -> Option<Result<(Outgoing, Wanted), (u16, Callee)>> {
        let (account, party) = (start.account, (key, CALLER));
        let wanted = Wanted::new(to.clone());
        if let Destination::Client(client) = to {
            return Some(match self.may_ring(account, &caller_of(start), &client) {
                Ok(binding) => {
                    let act = &mut self.act(now);
                    let outgoing = Outgoing::to_client(party, &about.from, &client, &binding, act);
                    Ok((outgoing, wanted))
                }
                Err(status) => Err((status, Callee::Client(client))),
            });
        }
        let lines = self.trunks_for(account, &to);
        let (_, first) = lines.first()?;
        let callee = Callee::Number {
            number: about.to.clone(),
            trunk: first.name.clone(),
        };
        let (line, trunk) = match self.next_line(account, &wanted) {
            Ok(next) => next,
            Err(status) => return Some(Err((status, callee))),
        };
        let act = &mut self.act(now);
        let outgoing = Outgoing::to_number(party, &about.from, &about.to, line, &trunk, act);
        Some(Ok((outgoing, wanted.by(line))))
    }

    #[expect(clippy::too_many_arguments, reason = "what a call is made of")]
    fn call_out(
        &mut self,
        now: Now,
        key: CallKey,
        start: Start,
        about: About,
        plan: Plan,
        outgoing: Outgoing,
        wanted: Wanted,
    ) {
        let (account, connection) = (start.account, outgoing.leg.connection);
        let record = record_of(&start, outgoing.callee, now);
        let beginning = Beginning {
            key,
            shard: self.number,
            plan,
            dialog: Dialog::planned(key, outgoing.leg, &record.call_id)
                .timed(outgoing.session, None)
                .transfers(outgoing.transfers),
            kind: outgoing.kind,
            about,
            offer: None,
            headers: outgoing.headers,
            token: start.token().cloned(),
            record,
            until: now.mono + self.snapshot.settings.no_answer,
            is_strangers: false,
        };
        let mut run = Run::begin(beginning, &mut self.act(now));
        run.onward = Some(Onward::new(wanted));
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
        plan: &Plan,
        status: u16,
        callee: Callee,
    ) {
        let mut record = record_of(start, callee, now);
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
        let Plan::Application(application) = plan else {
            return;
        };
        let Some(page) = application.final_page.clone() else {
            return;
        };
        let told = Told {
            token: start.token().cloned(),
            ..Told::of(&instance, &record, about, now.unix)
        };
        act.effects.push_back(Effect::Ask(Box::new(PageRequest {
            id: Questions::of(key).next(),
            account: start.account,
            page,
            instance: told.json(),
            secret: application.secret.clone(),
        })));
    }
}

fn caller_of(start: &Start) -> Caller {
    match &start.then {
        Then::Application { service, .. } => Caller::Service(service.clone()),
        Then::Connect(_) => Caller::Account(start.from.as_str().into()),
    }
}

fn record_of(start: &Start, callee: Callee, now: Now) -> CallRecord {
    let (id, parties) = (start.id, (caller_of(start), callee));
    CallRecord::begun(id, start.account, parties, id.to_string(), now.unix)
}

/// Whom a destination names, in one word.
fn shown(to: &Destination) -> String {
    match to {
        Destination::Client(client) => client.to_string(),
        Destination::Number(number) => number.to_string(),
        Destination::Address { user, .. } => user.to_string(),
    }
}
