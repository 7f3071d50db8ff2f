//! What follows an INVITE of a shard's: ACK (RFC 3261 §13.2.2.4, §17.1.1.3) and CANCEL (§9.1).
//!
//! Neither is passed on as it comes: a refusal is acknowledged here, and a CANCEL waits until it is one.

use std::sync::Arc;

use model::{Now, limits};
use sip::transaction::{Client, ClientKey};
use sip::{MessageWriter, Method, Name, Request};

use super::asking::{Asked, Cancel, Origin};
use super::deadlines::moment;
use super::dialog::DialogKey;
use super::line::Line;
use super::outgoing::key_by_from;
use super::rewrite::{self, Outgoing};

impl Line {
    /// That of a 2xx. Any other is that of a refusal, which was acknowledged before the shard heard of it.
    pub(super) fn on_shard_ack(&mut self, now: Now, request: &Request<'_>) {
        let key = key_by_from(&request.headers);
        let (own, trunk) = (self.here(), Arc::clone(self.trunk()));
        let to_tag = request.headers.to().tag().unwrap_or_default();
        let Some(dialog) = self.dialogs.get_mut(&key) else {
            return;
        };
        let (to, by) = (dialog.next_hop(to_tag, &trunk), dialog.source);
        let routes = dialog.routes(to_tag).to_vec();
        let cseq = request.headers.cseq().number;
        let accepted = dialog.accepted_by_mut(to_tag);
        let Some(accepted) = accepted.filter(|accepted| accepted.shard_cseq == cseq) else {
            return;
        };
        let bytes = rewrite::to_peer(
            request,
            &Outgoing {
                own,
                domain: &trunk.domain,
                branch: request.headers.via().branch().unwrap_or_default(),
                cseq: accepted.cseq,
                routes: &routes,
                authorization: accepted.authorization.as_ref(),
            },
        );
        accepted.ack = Some((to, bytes.clone()));
        self.dialogs.touch(&key, now.mono);
        self.send(by, to, bytes);
    }

    /// A 2xx has come before: the ACK was lost, or is under way. The shard, which lost nothing, is not asked for another.
    pub(super) fn acknowledge_again(&mut self, key: &DialogKey, to_tag: &str) {
        let ack = self.dialogs.get(key).and_then(|dialog| {
            let accepted = dialog.accepted_by(to_tag)?;
            Some((dialog.source, accepted.ack.clone()?))
        });
        if let Some((by, (to, ack))) = ack {
            self.send(by, to, ack);
        }
    }

    /// The ACK of a refusal.
    pub(super) fn send_ack(&mut self, id: u64) {
        let ack = self.asking.get_mut(id).and_then(|asked| {
            let ack = asked.ack.clone()?;
            Some((asked.by, asked.to, ack))
        });
        if let Some((by, to, ack)) = ack {
            self.send(by, to, ack);
        }
    }

    pub(super) fn on_shard_cancel(&mut self, now: Now, request: &Request<'_>) {
        let branch = request.headers.via().branch().unwrap_or_default();
        let Some(id) = self.asking.find_invite(branch) else {
            return self.refuse(request, 481, "no such call is on its way");
        };
        let answer = MessageWriter::reply(request, 200, "OK", Some(self.tag())).finish();
        self.deliver(answer);
        let reasons = request.headers.all(Name::Reason).map(str::to_owned);
        if let Some(asked) = self.asking.get_mut(id)
            && let Origin::Shard(from) = &mut asked.origin
            && from.cancel == Cancel::No
            && !from.is_accepted
        {
            from.cancel = Cancel::Waits(reasons.collect());
            self.send_cancel(now, id);
        }
    }

    /// A CANCEL must not come before its INVITE (§9.1), and is none once that is answered.
    pub(super) fn send_cancel(&mut self, now: Now, id: u64) {
        let reliability = self.reliability();
        let Some(asked) = self.asking.get_mut(id).filter(|asked| asked.is_heard) else {
            return;
        };
        let (from, is_forsaken) = match &mut asked.origin {
            Origin::Shard(from) => (from, false),
            Origin::Forsaken(from) => (from, true),
            Origin::Registration | Origin::Check | Origin::Nobody => return,
        };
        let Cancel::Waits(reasons) = &mut from.cancel else {
            return;
        };
        let reasons = std::mem::take(reasons);
        from.cancel = Cancel::Sent(reasons.clone());
        let dialog = from.dialog.clone();
        let Some(invite) = rewrite::request_of(&asked.sent) else {
            return;
        };
        let branch = invite.headers.via().branch().unwrap_or_default();
        let cancel = Asked {
            client: Client::new(false, reliability, moment(now.mono)),
            key: ClientKey::new(branch, Method::Cancel),
            origin: Origin::Nobody,
            to: asked.to,
            by: asked.by,
            sent: rewrite::follower(&invite, "CANCEL", None, &reasons),
            cseq: asked.cseq,
            authorization: None,
            is_heard: false,
            ack: None,
            gives_up: None,
        };
        if is_forsaken {
            asked.client.forsake(moment(now.mono));
            self.dialogs.linger(&dialog, now.mono);
        } else {
            // A peer that forgets the INVITE over it shall not leave the shard waiting (§9.1).
            asked.gives_up = Some(now.mono + limits::TRANSACTION_TIME);
        }
        self.asking.requeue(id);
        self.send_first(cancel);
    }
}
