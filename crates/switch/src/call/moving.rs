//! A call whose client goes on at another node: its leg is another connection from then on, and nothing else changes.

use model::{ConnectionId, NodeNumber};

use super::leg::{Side, Tagged};
use super::{Act, Call, Phase};
use crate::cluster::DialogElsewhere;
use crate::refusal;

impl Call {
    /// A connection is another one from now on.
    pub(crate) fn rename(&mut self, from: ConnectionId, to: ConnectionId, act: &mut Act<'_>) {
        for side in [Side::Caller, Side::Callee] {
            let leg = self.leg_mut(side);
            if leg.connection == from {
                leg.connection = to;
                self.reach.tell_again(self.key, side, to, act);
            }
        }
        if let Some(hunt) = &mut self.hunt
            && hunt.rename(from, to)
        {
            self.reach.tell_again(self.key, Side::Callee, to, act);
        }
    }

    /// What a client on this connection has of the call, for its node: enough to end it if this node, `own`, is gone.
    pub(crate) fn dialogs_with(
        &self,
        connection: ConnectionId,
        own: NodeNumber,
    ) -> Vec<DialogElsewhere> {
        if self.is_over() {
            return Vec::new();
        }
        [Side::Caller, Side::Callee]
            .into_iter()
            .filter(|side| self.leg(*side).connection == connection)
            .filter_map(|side| self.dialog_with(side, own))
            .collect()
    }

    fn dialog_with(&self, side: Side, own: NodeNumber) -> Option<DialogElsewhere> {
        let leg = self.leg(side);
        let is_answered = matches!(self.phase, Phase::Live { .. });
        let initial = self.exchanges.iter().find(|exchange| exchange.is_initial);
        let (mut invited, mut refusal) = ((Box::default(), Box::default(), 0), None);
        if !is_answered {
            let initial = initial?;
            match side {
                Side::Caller => {
                    let answer = refusal::node_gone().answer_later(&initial.head, &leg.local_tag);
                    refusal = Some(String::from_utf8(answer).ok()?.into());
                }
                Side::Callee => {
                    invited = (
                        initial.target.clone(),
                        initial.branch.as_str().into(),
                        initial.cseq,
                    );
                }
            }
        }
        Some(DialogElsewhere {
            node: own,
            sent_by: leg.domain.clone(),
            call_id: self.call_id.clone(),
            from: format!("{};tag={}", leg.local, leg.local_tag).into(),
            to: Tagged(&leg.remote, leg.remote_tag.as_deref())
                .to_string()
                .into(),
            target: leg.target.clone(),
            invited,
            cseq: leg.cseq,
            is_answered,
            refusal,
        })
    }
}
