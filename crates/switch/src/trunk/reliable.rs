//! Provisional answers that must arrive (RFC 3262): those of a peer get their PRACK from here, and ours are sent again until its
//! PRACK comes, where it wants that.
//!
//! The shard knows nothing of it: it hears each answer once, and gives each once. What follows SDP of ours waits until that has
//! arrived; what a peer's answers hold is kept for a 2xx that has none.

use std::net::SocketAddr;

use model::{Now, limits};
use sip::transaction::{Repetition, ServerKey};
use sip::{Headers, Message, MessageWriter, Method, Name, Request, Response, status};

use super::asking::{Cancel, FromShard, Origin};
use super::deadlines::moment;
use super::incoming::{answered, key_by_to};
use super::line::Line;
use super::outgoing::Attempt;
use super::serving::{Served, Unheard};
use crate::capabilities::RELIABLE;

/// What the sender of an INVITE would say that gives up, where this is what it would be answered: CANCEL (RFC 3261 §9.1), or BYE where
/// its call is taken.
fn given_up(answer: &Response<'_>, code: u16, why: &str) -> Vec<u8> {
    let headers = &answer.headers;
    let get = |name| headers.get(name).unwrap_or_default();
    let (to, number) = (headers.to().uri_text, headers.cseq().number);
    let is_taken = answer.status >= 200;
    let (method, number) = match is_taken {
        true => ("BYE", number.saturating_add(1)),
        false => ("CANCEL", number),
    };
    let mut writer = MessageWriter::request(method, to);
    writer
        .header("Via", get(Name::Via))
        .header("Max-Forwards", 70)
        .header("From", get(Name::From));
    match is_taken {
        true => writer.header("To", get(Name::To)),
        false => writer.header("To", format_args!("<{to}>")),
    };
    writer
        .header("Call-ID", get(Name::CallId))
        .header("CSeq", format_args!("{number} {method}"))
        .header("Reason", format_args!("SIP;cause={code};text=\"{why}\""));
    writer.finish()
}

fn is_taken(answer: &[u8]) -> bool {
    matches!(sip::parse(answer), Ok(Message::Response(response)) if response.status >= 200)
}

/// The last reliable answer of whom was asked.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) to_tag: String,
    /// Of the INVITE, as the peer counts.
    pub(super) cseq: u32,
    rseq: u32,
    /// The SDP that it had.
    pub(super) sdp: Option<Vec<u8>>,
}

/// Whether somebody wants its provisional answers to arrive.
pub(super) fn is_wanted(headers: &Headers<'_>) -> bool {
    headers.lists(Name::Require, RELIABLE)
}

impl Served {
    /// Whether an answer of the shard's has to wait for the PRACK of the one before: SDP would be lost, and a 2xx must not overtake it.
    pub(super) fn must_wait(&self, response: &Response<'_>) -> bool {
        let reliable = self.reliable.as_ref();
        let unheard = reliable.and_then(|reliable| reliable.unheard.as_ref());
        unheard.is_some_and(|unheard| match response.status {
            ..200 => !response.body.is_empty(),
            200..300 => unheard.has_sdp,
            _ => false,
        })
    }

    /// Keeps it until then: the last one says all that those before did.
    pub(super) fn hold(&mut self, message: &[u8]) {
        if let Some(reliable) = &mut self.reliable {
            reliable.held = Some(message.to_vec());
        }
    }
}

impl Line {
    /// A provisional answer to an INVITE: whether it is news. If it must arrive, the peer is told that it has.
    pub(super) fn acknowledge_early(&mut self, now: Now, id: u64, response: &Response<'_>) -> bool {
        let headers = &response.headers;
        let rseq = headers
            .get(Name::RSeq)
            .and_then(|row| row.trim().parse::<u32>().ok());
        let Some(rseq) = rseq.filter(|_| response.status > 100 && is_wanted(headers)) else {
            return true;
        };
        if self.is_full(false) {
            // The peer says it again until there is room for its PRACK.
            return false;
        }
        let Some(asked) = self.asking.get_mut(id) else {
            return true;
        };
        let Origin::Shard(from) = &asked.origin else {
            return true;
        };
        let (from, cseq) = (from.clone(), asked.cseq);
        let Some(dialog) = self.dialogs.get_mut(&from.dialog) else {
            return true;
        };
        let to_tag = headers.to().tag().unwrap_or_default();
        let sdp = Some(response.body.to_vec()).filter(|sdp| !sdp.is_empty());
        let is_full = dialog.heard.len() >= limits::TRUNK_FORKS;
        let mut heard = dialog.heard.iter_mut();
        match heard.find(|heard| heard.to_tag == to_tag && heard.cseq == cseq) {
            // Any other is a repetition, or came before one that it follows (§4).
            Some(heard) if heard.rseq.checked_add(1) != Some(rseq) => return false,
            Some(heard) => {
                heard.rseq = rseq;
                heard.sdp = sdp.or(heard.sdp.take());
            }
            None if is_full => return false,
            None => dialog.heard.push(Heard {
                to_tag: to_tag.into(),
                cseq,
                rseq,
                sdp,
            }),
        }
        let next = dialog.renumber(from.cseq);
        let rack = format!("{rseq} {cseq} INVITE");
        let message = self.follow_early(&from, response, "PRACK", from.cseq, &[("RAck", &rack)]);
        self.ask_own(now, &from, message, next);
        true
    }

    /// Sends a request of our own in a dialog that the shard has begun.
    pub(super) fn ask_own(&mut self, now: Now, of: &FromShard, message: Vec<u8>, cseq: u32) {
        let Ok(Message::Request(request)) = sip::parse(&message) else {
            return;
        };
        let to_tag = request.headers.to().tag().unwrap_or_default();
        let trunk = std::sync::Arc::clone(self.trunk());
        let Some(to) = self
            .dialogs
            .get(&of.dialog)
            .map(|known| known.next_hop(to_tag, &trunk))
        else {
            return;
        };
        let branch = request
            .headers
            .via()
            .branch()
            .unwrap_or_default()
            .to_owned();
        let own = FromShard {
            via: String::new(),
            branch: branch.clone(),
            cseq: request.headers.cseq().number,
            is_invite: false,
            is_initial: false,
            dialog: of.dialog.clone(),
            tried: Vec::new(),
            cancel: Cancel::No,
            is_accepted: false,
            answered: 0,
            is_own: true,
            message: message.clone(),
        };
        let attempt = Attempt {
            to,
            branch,
            cseq,
            authorization: None,
        };
        self.launch(now, Box::new(own), attempt);
    }

    /// Our provisional answer to an INVITE whose sender wants it to arrive, with the rows that say so; nothing while the one before
    /// is not known to have (§3).
    pub(super) fn make_reliable(&mut self, now: Now, id: u64, message: &[u8]) -> Option<Vec<u8>> {
        let first = u32::try_from(self.random_bits() % 0x3fff_ffff).unwrap_or(0) + 1;
        let served = self
            .serving
            .get_mut(id)
            .filter(|served| served.unanswered.is_some())?;
        let reliable = served.reliable.as_mut()?;
        if reliable.unheard.is_some() {
            return None;
        }
        let rseq = reliable
            .rseq
            .map_or(first, |before| before.saturating_add(1));
        reliable.rseq = Some(rseq);
        let Ok(Message::Response(response)) = sip::parse(message) else {
            return None;
        };
        let mut writer = MessageWriter::response(response.status, response.reason);
        for row in response
            .headers
            .iter()
            .filter(|row| row.name != Name::ContentLength)
        {
            writer.header(row.name.as_str(), row.unfolded());
        }
        writer.header("Require", RELIABLE).header("RSeq", rseq);
        let message = writer.finish_with(response.body);
        reliable.unheard = Some(Unheard {
            repetition: Repetition::after(moment(now.mono), limits::TRANSACTION_TIME),
            message: message.clone(),
            until: now.mono + limits::TRANSACTION_TIME,
            has_sdp: !response.body.is_empty(),
        });
        Some(message)
    }

    /// A peer's PRACK: it is answered here.
    pub(super) fn on_prack(&mut self, now: Now, from: SocketAddr, request: &Request<'_>) {
        let rack = request.headers.get(Name::RAck).unwrap_or_default();
        let mut words = rack.split_ascii_whitespace();
        let mut number = || words.next().and_then(|word| word.parse::<u32>().ok());
        let (rseq, cseq) = (number(), number());
        let dialog = self.dialogs.get(&key_by_to(&request.headers));
        let id = dialog.and_then(|dialog| dialog.reliable);
        let served = id.and_then(|id| self.serving.get_mut(id));
        let reliable = served.and_then(|served| {
            let cseq_of = served.cseq;
            let reliable = served.reliable.as_mut();
            reliable.filter(|known| rseq.is_some() && known.rseq == rseq && cseq == Some(cseq_of))
        });
        let mut held = None;
        let status = match reliable {
            None => 481,
            // Ours held no offer, so that this is another one.
            Some(_) if !request.body.is_empty() => 488,
            Some(reliable) => {
                reliable.unheard = None;
                held = reliable.held.take();
                200
            }
        };
        if let Some(id) = id {
            self.serving.requeue(id);
        }
        let reason = status::reason(status);
        let writer = MessageWriter::reply(request, status, reason, Some(self.tag()));
        self.reply(from, answered(writer.finish(), from));
        if let Some(held) = held {
            self.on_sent(now, &held);
        }
    }

    /// Whether this answers what no peer has sent, but we in the name of one that has given up.
    pub(super) fn is_of_own(&self, response: &Response<'_>) -> bool {
        let may_be = [Method::Cancel, Method::Bye].contains(&response.headers.cseq().method);
        let invite = ServerKey::invite_answered_by(response).filter(|_| may_be);
        invite.is_some_and(|invite| self.serving.find(&invite).is_some())
    }

    /// A peer takes its call back, which the shard has taken: for the peer it is not, as it has acknowledged too little to be told.
    /// Says whether that is so.
    pub(super) fn on_cancel_of_held(
        &mut self,
        now: Now,
        from: SocketAddr,
        request: &Request<'_>,
    ) -> bool {
        let invite = ServerKey::cancelled_by(request).filter(|_| request.method == Method::Cancel);
        let id = invite.and_then(|invite| self.serving.find(&invite));
        let served = id.and_then(|id| self.serving.get_mut(id));
        let reliable = served.and_then(|served| served.reliable.as_mut());
        let held = reliable.and_then(|reliable| reliable.held.take_if(|held| is_taken(held)));
        let Some(held) = held else {
            return false;
        };
        let tag = Some(self.tag());
        let answer = MessageWriter::reply(request, 200, status::reason(200), tag).finish();
        self.reply(from, answered(answer, from));
        self.refuse_held(now, &held, 487, "the caller has given up");
        true
    }

    /// A peer has never acknowledged what had to arrive (§3): its call is refused in place of what was to follow.
    pub(super) fn refuse_unacknowledged(&mut self, now: Now, held: &[u8]) {
        self.refuse_held(
            now,
            held,
            504,
            "a provisional answer was never acknowledged by PRACK",
        );
    }

    /// The shard is told of it as if the peer had given up.
    fn refuse_held(&mut self, now: Now, held: &[u8], code: u16, why: &str) {
        let Ok(Message::Response(response)) = sip::parse(held) else {
            return;
        };
        let mut writer = MessageWriter::response(code, status::reason(code));
        for name in [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq] {
            for row in response.headers.all(name) {
                writer.header(name.as_str(), row);
            }
        }
        writer.header("Warning", format_args!("399 offhook \"{why}\""));
        self.on_sent(now, &writer.finish());
        self.deliver(given_up(&response, code, why));
    }
}
