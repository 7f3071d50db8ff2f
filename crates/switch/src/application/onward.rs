//! Whom an application calls by a number: by the next line that leads there, where one has no room or no answer.
//!
//! Such a call is one and the same for its application: its record says the line that was tried last. Never calls anybody a second time
//! who has said no.

use model::Now;
use model::media::MediaCommand;

use super::calling::Outgoing;
use super::dialog::Dialog;
use super::run::{CALLER, Run};
use super::wanted::Wanted;
use crate::call::{Act, Phase};
use crate::shard::Shard;

/// See the module.
#[derive(Debug)]
pub(super) struct Onward {
    wanted: Wanted,
    /// What the last line has said, until there is another.
    refused: Option<u16>,
}

impl Onward {
    pub(super) fn new(wanted: Wanted) -> Self {
        let refused = None;
        Self { wanted, refused }
    }
}

impl Run {
    /// Whether another line is to be found, since the last one has said this.
    pub(super) fn goes_on(&mut self, status: u16) -> bool {
        let is_setup = matches!(self.phase, Phase::Setup { .. });
        let onward = self.onward.as_mut().filter(|_| is_setup);
        let Some(onward) = onward.filter(|onward| onward.wanted.may_go_on(status)) else {
            return false;
        };
        onward.refused = Some(status);
        true
    }

    /// Who is to be called by another line, and what the one before has said.
    fn take_onward(&mut self) -> Option<(Wanted, u16)> {
        let onward = self.onward.as_mut()?;
        let refused = onward.refused.take()?;
        Some((onward.wanted.clone(), refused))
    }

    /// There is another line: the gateway is to offer what that one is told.
    fn call_onward(&mut self, wanted: Wanted, outgoing: Outgoing, act: &mut Act<'_>) {
        self.onward = Some(Onward::new(wanted));
        self.leave(self.caller.connection());
        let call_id = act.random.record_id().to_string();
        self.caller =
            Dialog::planned(self.key, outgoing.leg, &call_id).timed(outgoing.session, None);
        self.record.call_id = call_id;
        self.record.callee = outgoing.callee;
        act.record(&self.record);
        (self.kind, self.headers) = (outgoing.kind, outgoing.headers);
        let (leg, kind) = (self.leg(CALLER), self.kind.clone());
        self.tell_gateway(MediaCommand::CloseLeg { leg }, act);
        self.tell_gateway(MediaCommand::Offer { leg, kind }, act);
    }
}

impl Shard {
    /// Calls whom a run calls by the next line, if the last one was of no use.
    pub(super) fn go_onward(&mut self, now: Now, run: &mut Run) {
        let Some((wanted, refused)) = run.take_onward() else {
            return;
        };
        let found = self.next_line(run.record().account, &wanted);
        let act = &mut self.act(now);
        let Ok((line, trunk)) = found else {
            run.finish_declined(refused, act);
            return run.perform(act);
        };
        let (party, from, to) = (
            (run.key, CALLER),
            run.about.from.clone(),
            run.about.to.clone(),
        );
        let outgoing = Outgoing::to_number(party, &from, &to, line, &trunk, act);
        run.call_onward(wanted.by(line), outgoing, act);
    }
}
