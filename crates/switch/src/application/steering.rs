//! A run that its account steers from outside: what may be done to it, and doing it.
//!
//! Never looks up who is registered: whom a transfer calls, the shard finds as for a page.

use model::media::MediaCommand;
use model::{CallRecord, FileName};

use super::control::{Control, Parties, Wanted};
use super::run::Run;
use crate::call::{Act, Phase};
use crate::control::{ControlFault, hung_up};

impl Run {
    /// Those whom its first party is connected with, or who ring for it.
    pub(crate) fn connected(&self) -> impl Iterator<Item = &CallRecord> {
        let called = self.connecting.iter();
        called
            .flat_map(|connecting| &connecting.called)
            .map(|called| &called.record)
    }

    /// Its name, for its application and its account.
    pub(crate) fn instance(&self) -> &str {
        &self.instance
    }

    /// The action that is being done for its first party.
    pub(crate) fn action(&self) -> Option<&'static str> {
        self.script.action()
    }

    /// Why what was last done to it from outside came to nothing.
    pub(crate) fn control_fault(&self) -> Option<&str> {
        self.script.aside.fault.as_deref()
    }

    /// Whether this may be done now; the file that a recording will be kept in.
    pub(crate) fn check_control(
        &self,
        control: &Control,
    ) -> Result<Option<FileName>, ControlFault> {
        if self.is_over() {
            return Err(ControlFault::Ended);
        }
        if control.0 == Wanted::HangUp {
            return Ok(None);
        }
        if !matches!(self.phase, Phase::Live { .. }) {
            return Err(ControlFault::NotAnswered);
        }
        match &control.0 {
            Wanted::HangUp | Wanted::Transfer(_) => Ok(None),
            Wanted::Play { to, .. } | Wanted::SendDigits { to, .. } => match self.places(*to) {
                Some(_) => Ok(None),
                None => Err(ControlFault::NotConnected),
            },
            Wanted::Record { .. } => match self.script.recording_aside() {
                Some(file) => Ok(Some(file)),
                None => Err(ControlFault::IsRecorded),
            },
            Wanted::StopRecord if self.script.is_recorded_aside() => Ok(None),
            Wanted::StopRecord => Err(ControlFault::NotRecorded),
        }
    }

    /// Does what [`check_control`](Self::check_control) allows.
    pub(crate) fn control(&mut self, control: &Control, act: &mut Act<'_>) {
        if self.check_control(control).is_err() {
            return;
        }
        match &control.0 {
            Wanted::HangUp => self.finish(hung_up(&self.record), act),
            Wanted::Transfer(connect) => self.script.transfer(act.now.mono, connect.clone()),
            Wanted::Play { prompt, to } => {
                let places = self.places(*to).unwrap_or_default();
                self.script.play_aside(prompt, places);
            }
            Wanted::Record { longest, beep } => self.script.record_aside(*longest, *beep),
            Wanted::StopRecord => self.script.stop_recording_aside(),
            Wanted::SendDigits { digits, to } => {
                for place in self.places(*to).unwrap_or_default() {
                    let (leg, digits) = (self.leg(place), digits.clone());
                    self.tell_gateway(MediaCommand::SendDigits { leg, digits }, act);
                }
            }
        }
        self.perform(act);
    }

    /// Who is meant; nothing if somebody of them is not there.
    fn places(&self, parties: Parties) -> Option<Vec<u8>> {
        let called = self.connecting.iter();
        let mut called = called.flat_map(|connecting| &connecting.called);
        let second = called.find(|called| called.joined.is_some());
        let second = second.map(|called| called.place);
        match parties {
            Parties::First => Some(vec![self.first]),
            Parties::Second => second.map(|second| vec![second]),
            Parties::Both => second.map(|second| vec![self.first, second]),
        }
    }
}
