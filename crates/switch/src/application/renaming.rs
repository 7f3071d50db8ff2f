//! A run one of whose parties goes on at another node: its dialog is another connection's from then on, and nothing else changes.

use model::{ConnectionId, NodeNumber};

use super::connecting::Connecting;
use super::dialog::Dialog;
use super::dialog::State;
use super::run::Run;
use crate::call::Tagged;
use crate::cluster::DialogElsewhere;

impl Run {
    /// A connection is another one from now on.
    pub(crate) fn rename(&mut self, from: ConnectionId, to: ConnectionId) {
        self.caller.rename(from, to);
        let transfer = self.transfers.going.as_mut();
        let ringing = transfer.map(|going| &mut going.ringing);
        for connecting in self.connecting.iter_mut().chain(ringing) {
            connecting.rename(from, to);
        }
        for leaving in &mut self.leaving {
            leaving.rename(from, to);
        }
        let past = self.past.iter_mut().map(|(connection, _)| connection);
        let known = self.reached.iter_mut().chain(&mut self.left);
        for connection in past.chain(known) {
            if *connection == from {
                *connection = to;
            }
        }
    }

    /// What a client on this connection has of the run, for its node: enough to end it if this node, `own`, is gone.
    pub(crate) fn dialogs_with(
        &self,
        connection: ConnectionId,
        own: NodeNumber,
    ) -> Vec<DialogElsewhere> {
        let connecting = self.connecting.iter().flat_map(|of| &of.called);
        let called = connecting.chain(self.targets()).map(|of| &of.dialog);
        let all = std::iter::once(&self.caller).chain(called);
        all.filter(|dialog| dialog.connection() == connection)
            .filter_map(|dialog| dialog.elsewhere(own))
            .collect()
    }
}

impl Connecting {
    fn rename(&mut self, from: ConnectionId, to: ConnectionId) {
        for called in &mut self.called {
            if called.connection == from {
                called.connection = to;
            }
            called.dialog.rename(from, to);
        }
    }
}

impl Dialog {
    pub(super) fn rename(&mut self, from: ConnectionId, to: ConnectionId) {
        if self.leg.connection == from {
            self.leg.connection = to;
        }
    }

    /// Of one that talks.
    fn elsewhere(&self, own: NodeNumber) -> Option<DialogElsewhere> {
        let is_answered = match &self.state {
            State::Talking { .. } => true,
            State::Called { .. } | State::Planned | State::Calling(_) | State::Over => false,
        };
        let leg = &self.leg;
        is_answered.then(|| DialogElsewhere {
            node: own,
            sent_by: leg.domain.clone(),
            call_id: self.call_id.clone(),
            from: format!("{};tag={}", leg.local, leg.local_tag).into(),
            to: Tagged(&leg.remote, leg.remote_tag.as_deref())
                .to_string()
                .into(),
            target: leg.target.clone(),
            invited: (Box::default(), Box::default(), 0),
            cseq: leg.cseq,
            is_answered,
            refusal: None,
        })
    }
}
