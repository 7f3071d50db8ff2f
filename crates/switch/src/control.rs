//! Calls as their account sees and steers them: which go on, and what is done to one from outside.
//!
//! What goes directly between two clients can be seen and ended; only a call that the media gateway is part of can be steered.

use model::{AccountId, CallRecord, FileName, Now, limits};

use crate::application::{Control, Destination, instance_name, run_of};
use crate::call::{CallKey, End};
use crate::shard::Shard;

/// A call that goes on, or has just ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoingCall {
    /// Its name: of a call to or by an application, its `application_instance_id`.
    pub id: String,
    /// As it will be kept.
    pub record: CallRecord,
    /// What the gateway has to do with it; nothing where it goes directly between two clients.
    pub run: Option<GoingRun>,
}

/// What the gateway has to do with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoingRun {
    /// The action that its application has it do.
    pub action: Option<&'static str>,
    /// Those whom its first party is connected with, or who ring for it.
    pub connected: Vec<CallRecord>,
    /// Why what was last played or recorded by [`Control`] came to nothing.
    pub fault: Option<String>,
}

/// Some of an account's calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoingCalls {
    /// In the order in which they began.
    pub calls: Vec<GoingCall>,
    /// From where to look on; nothing: there are no more.
    pub next: Option<u64>,
}

/// Why something cannot be done to a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlFault {
    /// The account has none of this name.
    #[error(
        "the account has no call of this id, which applications are told as application_instance_id"
    )]
    NoSuchCall,
    /// It has ended.
    #[error("the call has ended")]
    Ended,
    /// It has not been answered.
    #[error("the call has not been answered; this can be done when it is")]
    NotAnswered,
    /// Two clients have it with each other.
    #[error(
        "the call goes directly between its clients, and can only be hung up; calls that an application, a trunk or this web service has a part in can be steered"
    )]
    IsDirect,
    /// Somebody is meant who is not there.
    #[error("the first party is not connected with anybody, so there is no second")]
    NotConnected,
    /// One recording at a time.
    #[error("the call is being recorded already")]
    IsRecorded,
    /// There is nothing to be stopped.
    #[error("the call is not being recorded by this web service")]
    NotRecorded,
    /// Nobody of those who are to be called is here.
    #[error("nobody of those whom it is to be connected with is registered")]
    NotRegistered,
    /// Whoever is to be called cannot be meant.
    #[error("{0}")]
    Destination(String),
}

impl Shard {
    /// Calls of an account that go on, from this one on. So many are looked at in one go that nobody waits for long; there may be more even
    /// where nothing was found.
    pub fn going_calls(&self, account: AccountId, from: u64) -> GoingCalls {
        let from = CallKey(from);
        let mut calls = self.calls.range(from..).peekable();
        let mut runs = self.runs.range(from..).peekable();
        let mut found = Vec::new();
        for _ in 0..limits::CALLS_LOOKED_AT {
            let of_calls = calls.peek().map(|(key, _)| **key);
            let of_runs = runs.peek().map(|(key, _)| **key);
            let key = match (of_calls, of_runs) {
                (None, None) => {
                    return GoingCalls {
                        calls: found,
                        next: None,
                    };
                }
                (Some(key), None) | (None, Some(key)) => key,
                (Some(one), Some(other)) => one.min(other),
            };
            calls.next_if(|(of, _)| **of == key);
            runs.next_if(|(of, _)| **of == key);
            let call = self.call_of(account, key);
            found.extend(call.filter(|call| call.record.outcome.is_none()));
        }
        let next = match (calls.peek(), runs.peek()) {
            (None, None) => None,
            (Some((key, _)), None) | (None, Some((key, _))) => Some(key.0),
            (Some((one, _)), Some((other, _))) => Some(one.0.min(other.0)),
        };
        GoingCalls { calls: found, next }
    }

    /// The call of this name, if it goes on or has just ended.
    pub fn going_call(&self, account: AccountId, id: &str) -> Option<GoingCall> {
        let call = self.call_of(account, run_of(id)?)?;
        (call.id == id).then_some(call)
    }

    fn call_of(&self, account: AccountId, key: CallKey) -> Option<GoingCall> {
        if let Some(run) = self.runs.get(&key) {
            return (run.record().account == account).then(|| GoingCall {
                id: run.instance().to_owned(),
                record: run.record().clone(),
                run: Some(GoingRun {
                    action: run.action(),
                    connected: run.connected().cloned().collect(),
                    fault: run.control_fault().map(str::to_owned),
                }),
            });
        }
        let call = self.calls.get(&key)?;
        let record = call.record();
        (record.account == account).then(|| GoingCall {
            id: instance_name(self.number, key, record.id),
            record: record.clone(),
            run: None,
        })
    }

    /// Whether this may be done to a call of the account now, if it is the next input ([`Input::Control`](crate::Input::Control)); the file
    /// that a recording will be kept in.
    pub fn check_control(
        &self,
        account: AccountId,
        id: &str,
        control: &Control,
    ) -> Result<Option<FileName>, ControlFault> {
        let key = run_of(id).ok_or(ControlFault::NoSuchCall)?;
        for to in control.destinations() {
            self.check_leads(account, to)
                .map_err(ControlFault::Destination)?;
        }
        let may = self.may_control(account, (key, id), control)?;
        match control.destinations().is_empty() || self.is_anybody_here(account, control) {
            true => Ok(may),
            false => Err(ControlFault::NotRegistered),
        }
    }

    /// The same, whomever a transfer names.
    fn may_control(
        &self,
        account: AccountId,
        (key, id): (CallKey, &str),
        control: &Control,
    ) -> Result<Option<FileName>, ControlFault> {
        if let Some(run) = self.runs.get(&key) {
            return match run.record().account == account && run.instance() == id {
                true => run.check_control(control),
                false => Err(ControlFault::NoSuchCall),
            };
        }
        match self.calls.get(&key) {
            Some(call) if self.is_named(account, key, call.record(), id) => {
                if call.is_over() {
                    Err(ControlFault::Ended)
                } else if control.is_hang_up() {
                    Ok(None)
                } else {
                    Err(ControlFault::IsDirect)
                }
            }
            Some(_) | None => Err(ControlFault::NoSuchCall),
        }
    }

    /// Whether somebody of those whom a transfer calls could be rung: a client that is registered, or a number.
    fn is_anybody_here(&self, account: AccountId, control: &Control) -> bool {
        let mut all = control.destinations().iter();
        all.any(|to| match to {
            Destination::Client(client) => self.newest(account, client).is_some(),
            Destination::Number(_) | Destination::Address { .. } => true,
        })
    }

    fn is_named(&self, account: AccountId, key: CallKey, record: &CallRecord, id: &str) -> bool {
        record.account == account && instance_name(self.number, key, record.id) == id
    }

    pub(crate) fn control(&mut self, now: Now, account: AccountId, id: &str, control: &Control) {
        let Some(key) = run_of(id).filter(|_| self.check_control(account, id, control).is_ok())
        else {
            return;
        };
        if self.runs.contains_key(&key) {
            return self.drive_run(now, key, |run, act| run.control(control, act));
        }
        self.drive(now, key, |call, act| {
            let end = hung_up(call.record());
            call.hang_up(end, act);
        });
    }
}

/// How a call ends that its account hangs up.
pub(crate) fn hung_up(record: &CallRecord) -> End {
    let status = match record.answered {
        Some(_) => 200,
        None => 480,
    };
    End::server(status, "the account hung up")
}
