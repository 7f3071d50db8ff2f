//! The side of a dialog that calls: our INVITE, until it is answered, and the ACKs behind it (RFC 3261 §9, §13.2, §17.1.1).
//!
//! Never decides what an answer means for a run.

use sip::{Method, Response};

use super::dialog::{Dialog, Said, State};
use crate::call::{Act, Hop, mint_branch};

impl Dialog {
    pub(super) fn on_response(&mut self, response: &Response<'_>, act: &mut Act<'_>) -> Said {
        if self.is_refresh(response) {
            return self.on_refreshed(response, act);
        }
        if response.headers.cseq().method == Method::Notify {
            self.on_notified(response, act);
        }
        if response.headers.cseq().method != Method::Invite {
            return Said::Nothing;
        }
        let State::Calling(calling) = &mut self.state else {
            return self.on_repeated(response, act);
        };
        if response.headers.via().branch() != Some(calling.branch.as_str()) {
            return Said::Nothing;
        }
        match response.status {
            ..200 => {
                calling.silent = None;
                let tag = response.headers.to().tag();
                calling.early_tag = tag.map(Into::into).or(calling.early_tag.take());
                self.send_cancel(act);
                let sound = std::str::from_utf8(response.body);
                match sound {
                    _ if response.status == 100 => Said::Nothing,
                    Ok(answer) if !answer.is_empty() => Said::RingsAloud(answer.into()),
                    Ok(_) | Err(_) => Said::Rings,
                }
            }
            200..300 => self.on_accepted(response, act),
            status => {
                self.ack_refusal(response, act);
                if status == 422 && self.asks_for_longer(response, act) {
                    return Said::Nothing;
                }
                self.opening = None;
                self.state = State::Over;
                Said::Declines { status }
            }
        }
    }

    fn on_accepted(&mut self, response: &Response<'_>, act: &mut Act<'_>) -> Said {
        self.leg.remote_tag = response.headers.to().tag().map(Into::into);
        self.refresh_target(&response.headers);
        self.opening = None;
        if let Some(session) = &mut self.session {
            session.on_accepted(&response.headers, act.now.mono);
        }
        let State::Calling(calling) = std::mem::replace(&mut self.state, State::Over) else {
            return Said::Nothing;
        };
        self.send_ack(act);
        if let Some(cancelled) = calling.cancelled {
            // It crossed our CANCEL.
            self.send("BYE", Some(&cancelled.reason), act);
            return Said::Declines { status: 487 };
        }
        self.state = State::Talking { unheard: None };
        match std::str::from_utf8(response.body) {
            Ok(answer) if !answer.is_empty() => Said::Accepts(answer.into()),
            Ok(_) | Err(_) => {
                self.state = State::Over;
                let reason = "SIP;cause=488;text=\"the answer has no SDP\"";
                self.send("BYE", Some(reason), act);
                Said::Declines { status: 488 }
            }
        }
    }

    /// A 2xx again, because our ACK is late or lost, or another fork's (RFC 3261 §13.2.2.4).
    fn on_repeated(&mut self, response: &Response<'_>, act: &mut Act<'_>) -> Said {
        let is_own = response.headers.to().tag() == self.leg.remote_tag.as_deref();
        match (200..300).contains(&response.status) {
            true if is_own => self.send_ack(act),
            true => self.let_go(response, act),
            false => {}
        }
        Said::Nothing
    }

    /// A CANCEL must not overtake its INVITE (RFC 3261 §9.1).
    pub(super) fn send_cancel(&mut self, act: &mut Act<'_>) {
        let State::Calling(calling) = &mut self.state else {
            return;
        };
        let Some(cancelled) = &mut calling.cancelled else {
            return;
        };
        if calling.silent.is_some() || std::mem::replace(&mut cancelled.is_sent, true) {
            return;
        }
        let hop = Hop {
            call_id: &self.call_id,
            branch: &calling.branch,
            max_forwards: 70,
            target: None,
        };
        let mut writer = self.leg.request("CANCEL", self.leg.cseq, &hop);
        writer.header("Reason", &cancelled.reason);
        act.send(self.leg.connection, writer.finish());
    }

    /// Nobody waits for its answer any longer: a CANCEL follows the INVITE on the same connection.
    pub(crate) fn withdraw(&mut self, act: &mut Act<'_>) {
        if let State::Calling(calling) = &mut self.state {
            calling.silent = None;
            self.send_cancel(act);
        }
        self.say_farewell(act);
        self.state = State::Over;
    }

    /// Another that was asked as well has taken our call, which is with somebody else (§13.2.2.4).
    fn let_go(&mut self, response: &Response<'_>, act: &mut Act<'_>) {
        if self.initial.is_some() || response.headers.cseq().number != self.invited {
            return;
        }
        let tag = response.headers.to().tag().map(Into::into);
        let own_tag = std::mem::replace(&mut self.leg.remote_tag, tag);
        let own_target = self.leg.target.clone();
        self.refresh_target(&response.headers);
        self.send_ack(act);
        let reason = "SIP;cause=200;text=\"Call completed elsewhere\"";
        self.send("BYE", Some(reason), act);
        (self.leg.remote_tag, self.leg.target) = (own_tag, own_target);
    }

    fn send_ack(&mut self, act: &mut Act<'_>) {
        self.acknowledge(self.invited, None, act);
    }

    /// The ACK of an INVITE with this CSeq; `refused`: the branch of one that was not taken.
    pub(super) fn acknowledge(&mut self, cseq: u32, refused: Option<&str>, act: &mut Act<'_>) {
        let branch = match refused {
            Some(branch) => branch.to_owned(),
            None => mint_branch(self.run, act.random),
        };
        let hop = Hop {
            call_id: &self.call_id,
            branch: &branch,
            max_forwards: 70,
            target: None,
        };
        let message = self.leg.request("ACK", cseq, &hop).finish();
        act.send(self.leg.connection, message);
    }

    /// Part of the INVITE's own transaction (RFC 3261 §17.1.1.3).
    fn ack_refusal(&mut self, response: &Response<'_>, act: &mut Act<'_>) {
        let State::Calling(calling) = &self.state else {
            return;
        };
        self.leg.remote_tag = response.headers.to().tag().map(Into::into);
        let hop = Hop {
            call_id: &self.call_id,
            branch: &calling.branch,
            max_forwards: 70,
            target: None,
        };
        let message = self.leg.request("ACK", self.leg.cseq, &hop).finish();
        act.send(self.leg.connection, message);
    }
}
