//! An INVITE that nobody waits for any longer, and whoever takes it all the same (RFC 3261 §9.1, §13.2.2.4, §15).
//!
//! The shard has been told how it ended. A peer that takes the call after that believes to be in one: it gets its ACK and a BYE from
//! here. Never tells the shard of it.

use model::Now;
use sip::{Contact, MessageWriter, Response};

use super::asking::{Cancel, FromShard, Origin};
use super::deadlines::moment;
use super::dialog::Accepted;
use super::line::Line;
use super::outgoing::reversed_routes;
use super::rewrite;

/// In a BYE to whom has taken a call too late (RFC 3326).
const TOO_LATE: &str = "SIP;cause=408;text=\"The call was answered too late\"";

impl Line {
    /// Nobody waits for the answer to an INVITE any more; to any other request a late one is nothing.
    pub(super) fn forsake(&mut self, now: Now, id: u64, mut from: Box<FromShard>) {
        if !from.is_invite {
            return;
        }
        self.dialogs.linger(&from.dialog, now.mono);
        if from.cancel == Cancel::No {
            // If it rings after all, it is told to stop.
            from.cancel = Cancel::Waits(vec![TOO_LATE.to_owned()]);
        }
        if let Some(asked) = self.asking.get_mut(id) {
            asked.client.forsake(moment(now.mono));
            asked.gives_up = None;
            asked.origin = Origin::Forsaken(from);
        }
        self.asking.requeue(id);
    }

    /// A 2xx to such an INVITE: the first, the same again, or another's.
    pub(super) fn on_late(
        &mut self,
        now: Now,
        id: u64,
        from: Box<FromShard>,
        response: &Response<'_>,
    ) {
        let key = from.dialog.clone();
        let to_tag = response.headers.to().tag().unwrap_or_default();
        self.dialogs.linger(&key, now.mono);
        let (Some(asked), Some(dialog)) = (self.asking.get_mut(id), self.dialogs.get_mut(&key))
        else {
            return;
        };
        asked.gives_up = None;
        let accepted = Accepted {
            shard_cseq: from.cseq,
            cseq: asked.cseq,
            to_tag: to_tag.into(),
            peer: asked.to,
            // A call that goes on is not over because an INVITE in it was given up.
            is_wanted: !from.is_initial,
            routes: match from.is_initial {
                true => reversed_routes(response),
                false => dialog.routes(to_tag).to_vec(),
            },
            authorization: asked.authorization.clone(),
            ack: None,
        };
        let follows = asked.cseq.saturating_add(1);
        let is_news = dialog.accept(accepted);
        if !is_news {
            self.acknowledge_again(&key, to_tag);
        } else {
            let ack = self.follow_early(&from, response, "ACK", from.cseq, &[]);
            if let Some(ack) = rewrite::request_of(&ack) {
                self.on_shard_ack(now, &ack);
            }
            if from.is_initial {
                self.end_late(now, &from, response, follows);
            }
        }
        if let Some(asked) = self.asking.get_mut(id) {
            asked.origin = Origin::Forsaken(from);
        }
    }

    /// A BYE of our own, as a shard would send it.
    fn end_late(&mut self, now: Now, from: &FromShard, response: &Response<'_>, cseq: u32) {
        let reasons = from.cancel.reasons().iter();
        let rows: Vec<(&str, &str)> = reasons.map(|reason| ("Reason", reason.as_str())).collect();
        let number = from.cseq.saturating_add(1);
        let message = self.follow_early(from, response, "BYE", number, &rows);
        self.ask_own(now, from, message, cseq);
    }

    /// A request in the dialog that an answer to an INVITE has opened (§12.1.2).
    pub(super) fn follow_early(
        &mut self,
        from: &FromShard,
        response: &Response<'_>,
        method: &str,
        cseq: u32,
        rows: &[(&str, &str)],
    ) -> Vec<u8> {
        let branch = self.mint_branch();
        let Some(invite) = rewrite::request_of(&from.message) else {
            return Vec::new();
        };
        let target = match response.headers.sole_contact() {
            Some(Contact::Address(address)) => address.uri_text,
            Some(Contact::Star) | None => invite.uri,
        };
        let get = |name| invite.headers.get(name).unwrap_or_default();
        let to = response.headers.get(sip::Name::To).unwrap_or_default();
        let mut writer = MessageWriter::request(method, target);
        writer
            .header("Via", self.here().via(&branch))
            .header("Max-Forwards", 70)
            .header("From", get(sip::Name::From))
            .header("To", to)
            .header("Call-ID", get(sip::Name::CallId))
            .header("CSeq", format_args!("{cseq} {method}"));
        for (name, value) in rows {
            writer.header(name, value);
        }
        writer.finish()
    }
}
