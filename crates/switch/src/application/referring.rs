//! A dialog whose other side has a call transferred (RFC 3515): our 202, and the NOTIFYs of the subscription that comes with it.
//!
//! Never decides what comes of a transfer. There is one at a time, two NOTIFYs for each, and no subscription outlives its transfer.

use model::{ConnectionId, TrunkTransfer, limits};
use sip::{MessageWriter, Request, Response};

use super::dialog::{Dialog, Said, State};
use super::refer::{Refer, Replaces};
use crate::call::{Act, Hop, mint_branch};
use crate::capabilities;
use crate::refusal;

/// What a dialog has to do with transfers; only those of trunks have.
#[derive(Debug)]
pub(super) struct Referring {
    pub(super) allowed: TrunkTransfer,
    /// How many there were.
    count: u8,
    /// The one whose end is not known yet; nor is there another before that end was told.
    going: Option<Subscription>,
    /// The branch of a NOTIFY that is not answered yet: the next thing that is said waits for it.
    asked: Option<String>,
    /// What is to be told next: of which REFER, and the status.
    due: Option<(Option<u32>, u16)>,
    /// The Reason of a BYE that follows.
    farewell: Option<String>,
}

#[derive(Debug)]
struct Subscription {
    /// The CSeq of its REFER, from the second on (§2.4.6).
    id: Option<u32>,
    is_told: bool,
}

impl Dialog {
    /// Its other side is a trunk's, and may have calls transferred to these.
    pub(crate) fn transfers(mut self, allowed: Option<TrunkTransfer>) -> Self {
        self.referring = allowed.map(|allowed| Referring {
            allowed,
            count: 0,
            going: None,
            asked: None,
            due: None,
            farewell: None,
        });
        self
    }

    /// Whether this is what a Replaces of this connection's names (RFC 3891 §3).
    pub(crate) fn is_named(&self, connection: ConnectionId, replaces: &Replaces) -> bool {
        self.leg.connection == connection
            && self.leg.local_tag == replaces.own_tag
            && *self.call_id == *replaces.call_id
            && self.remote_tag_is(&replaces.remote_tag)
    }

    fn remote_tag_is(&self, tag: &str) -> bool {
        let known = match &self.state {
            State::Calling(calling) => &calling.early_tag,
            State::Called { .. } | State::Planned | State::Talking { .. } | State::Over => {
                &self.leg.remote_tag
            }
        };
        known.as_deref() == Some(tag)
    }

    /// Whether transfers are to be had here.
    pub(super) fn has_transfers(&self) -> bool {
        let referring = self.referring.as_ref();
        referring.is_some_and(|referring| referring.allowed.is_any())
    }

    pub(super) fn allow(&self) -> &'static str {
        capabilities::allow(self.has_transfers())
    }

    pub(super) fn on_refer(&mut self, request: &Request<'_>, act: &mut Act<'_>) -> Said {
        let is_talking = self.is_talking();
        let is_over = self.is_over() || self.is_taking_leave();
        let Some(referring) = &mut self.referring else {
            return self.refuse(request, &refusal::method_in_dialog(), act);
        };
        let number = request.headers.cseq().number;
        let refusal = if number <= self.leg.remote_cseq {
            Some(refusal::out_of_order())
        } else if !referring.allowed.is_any() {
            Some(refusal::no_transfers())
        } else if is_over {
            Some(refusal::no_such_call())
        } else if !is_talking {
            Some(refusal::transfer_too_early())
        } else if referring.going.is_some() || referring.due.is_some() {
            Some(refusal::transfer_pending())
        } else if referring.count >= limits::TRANSFERS_PER_DIALOG {
            Some(refusal::transfers_full())
        } else {
            None
        };
        let read = match refusal {
            Some(refusal) => Err(refusal),
            None => Refer::read(request),
        };
        if number > self.leg.remote_cseq {
            self.leg.remote_cseq = number;
        }
        let refer = match read {
            Ok(refer) => refer,
            Err(refusal) => return self.refuse(request, &refusal, act),
        };
        let id = (referring.count > 0).then_some(number);
        referring.going = Some(Subscription {
            id,
            is_told: refer.is_told,
        });
        referring.count += 1;
        let reason = sip::status::reason(202);
        let tag = Some(self.leg.local_tag.as_str());
        let mut writer = MessageWriter::reply(request, 202, reason, tag);
        writer.header("Contact", self.leg.contact());
        if !refer.is_told {
            // RFC 4488 §4
            writer.header("Refer-Sub", "false");
        }
        act.send(self.leg.connection, writer.finish());
        if let Some(referring) = self.referring.as_mut().filter(|_| refer.is_told) {
            referring.due = Some((id, 100));
            self.notify_next(act);
        }
        Said::Refers(Box::new(refer))
    }

    /// A transfer has come to its end. Nothing where there was none.
    pub(super) fn conclude_refer(&mut self, status: u16, act: &mut Act<'_>) {
        let referring = self.referring.as_mut();
        let Some((referring, going)) =
            referring.and_then(|of| of.going.take().map(|going| (of, going)))
        else {
            return;
        };
        if going.is_told {
            referring.due = Some((going.id, status));
            self.notify_next(act);
        }
    }

    /// Our BYE: it follows a NOTIFY that is not answered yet, which it must not overtake.
    pub(super) fn hang_up(&mut self, reason: &str, act: &mut Act<'_>) {
        match &mut self.referring {
            Some(referring) if referring.asked.is_some() => {
                referring.farewell.get_or_insert_with(|| reason.to_owned());
            }
            Some(_) | None => {
                self.state = State::Over;
                self.send("BYE", Some(reason), act);
            }
        }
    }

    /// Whether nothing but that BYE is still to be said.
    pub(super) fn is_taking_leave(&self) -> bool {
        self.referring
            .as_ref()
            .is_some_and(|of| of.farewell.is_some())
    }

    /// Whether something is still to be told of a transfer.
    pub(super) fn owes_notify(&self) -> bool {
        self.referring.as_ref().is_some_and(|of| of.due.is_some())
    }

    /// Its BYE has waited for long enough.
    pub(super) fn say_farewell(&mut self, act: &mut Act<'_>) {
        let referring = self.referring.as_mut();
        if let Some(reason) = referring.and_then(|of| of.farewell.take())
            && matches!(self.state, State::Talking { .. })
        {
            self.keep_media(&refusal::ended(), act);
            self.state = State::Over;
            self.send("BYE", Some(&reason), act);
        }
    }

    /// The answer to a NOTIFY: what waits for it follows.
    pub(super) fn on_notified(&mut self, response: &Response<'_>, act: &mut Act<'_>) {
        let Some(referring) = &mut self.referring else {
            return;
        };
        let branch = response.headers.via().branch();
        if response.status < 200 || branch.is_none() || referring.asked.as_deref() != branch {
            return;
        }
        referring.asked = None;
        match referring.due.is_some() {
            true => self.notify_next(act),
            false => self.say_farewell(act),
        }
    }

    fn notify_next(&mut self, act: &mut Act<'_>) {
        let Some(referring) = &mut self.referring else {
            return;
        };
        if referring.asked.is_none()
            && let Some((id, status)) = referring.due.take()
        {
            self.notify(id, status, act);
        }
    }

    /// What the INVITE that is sent for it has come to (§2.4.4, §2.4.5).
    fn notify(&mut self, id: Option<u32>, status: u16, act: &mut Act<'_>) {
        let id = id.map_or(String::new(), |id| format!(";id={id}"));
        let branch = mint_branch(self.run, act.random);
        self.leg.cseq += 1;
        if let Some(referring) = &mut self.referring {
            referring.asked = Some(branch.clone());
        }
        let hop = Hop {
            call_id: &self.call_id,
            branch: &branch,
            max_forwards: 70,
            target: None,
        };
        let mut writer = self.leg.request("NOTIFY", self.leg.cseq, &hop);
        writer
            .header("Contact", self.leg.contact())
            .header("Event", format_args!("refer{id}"));
        match status {
            ..200 => {
                let lasts = limits::TRANSFER_TIME.as_secs();
                writer.header("Subscription-State", format_args!("active;expires={lasts}"));
            }
            _ => {
                writer.header("Subscription-State", "terminated;reason=noresource");
            }
        }
        writer.header("Content-Type", "message/sipfrag;version=2.0");
        let fragment = format!("SIP/2.0 {status} {}\r\n", sip::status::reason(status));
        act.send(self.leg.connection, writer.finish_with(fragment.as_bytes()));
    }
}
