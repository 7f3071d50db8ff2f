//! Calls that the page places: INVITE, CANCEL, ACK (RFC 3261 §13.2, §9.1; RFC 6026 for repeated 2xx).

use sip::{Contact, Response};

use super::call::{Call, CallKey, CallState, cause_of};
use super::text::{ALLOW, Head, sign};
use super::{Browser, Heard, Waiting};
use crate::authority;

impl Browser {
    /// `callClient`.
    pub fn call(&mut self, now: u64, callee: &str, token: &str) -> CallKey {
        let host = format!("{};transport=tcp", self.domain);
        self.place(now, &format!("sip:{callee}@{host}"), Some(token))
    }

    /// `callService`: without a token.
    pub fn call_service(&mut self, now: u64, service: &str) -> CallKey {
        let cloud = authority::CLOUD;
        let uri = format!("sip:{service}@sip-{cloud}.aculab.com;transport=tcp");
        self.place(now, &uri, None)
    }

    /// Calls any address: what another client of ours might do.
    pub fn place(&mut self, now: u64, uri: &str, token: Option<&str>) -> CallKey {
        self.now = now;
        self.start();
        self.made += 1;
        let key = CallKey(self.made);
        let call = Call {
            key,
            state: CallState::Held,
            is_caller: true,
            token: token.map(str::to_owned),
            headers: self.habit.headers.clone(),
            call_id: self.random.word(20),
            local_tag: self.random.word(10),
            remote_tag: None,
            local: format!("<{}>", self.address()),
            remote: format!("<{uri}>"),
            invite_uri: uri.to_owned(),
            target: uri.to_owned(),
            cseq: 1,
            remote_cseq: 0,
            invite_branch: String::new(),
            invite_cseq: 1,
            invite: None,
            heard: false,
            cancel_waits: false,
            cause: None,
            bye_after_ack: None,
            unacknowledged: None,
            answer_waits: false,
            acks: Vec::new(),
            reinvite: None,
            reinvited: None,
        };
        self.forget_gone();
        self.calls.push(call);
        let at = self.calls.len() - 1;
        self.go_on(at);
        key
    }

    /// Socket and credentials may be there now.
    pub(super) fn go_on(&mut self, at: usize) {
        if !self.is_ready() {
            return;
        }
        let key = self.calls[at].key;
        if self.calls[at].state == CallState::Held {
            self.calls[at].state = CallState::Gathering;
            self.gather(key);
        } else if std::mem::take(&mut self.calls[at].answer_waits) {
            self.answer_call(key);
        }
    }

    pub(super) fn on_gathered(&mut self, key: CallKey) {
        let Some(at) = self.find(key) else {
            return;
        };
        match self.calls[at].state {
            CallState::Gathering => self.invite(at),
            CallState::Answering => self.accept(at),
            CallState::Held
            | CallState::Calling
            | CallState::Cancelled
            | CallState::Ringing
            | CallState::Established
            | CallState::Leaving
            | CallState::Gone => {}
        }
    }

    fn invite(&mut self, at: usize) {
        let (branch, sdp) = (self.branch(), self.sdp(self.calls[at].key));
        let call = &self.calls[at];
        let from = format!("{};tag={}", call.local, call.local_tag);
        let mut writer = self.head(&Head {
            method: "INVITE",
            uri: &call.invite_uri,
            branch: &branch,
            to: &call.remote,
            from: &from,
            cseq: call.invite_cseq,
            call_id: &call.call_id,
        });
        if let Some(token) = &call.token {
            writer.header("Authorization", format_args!("Bearer {token}"));
        }
        for (name, value) in &call.headers {
            writer.header(name, value);
        }
        writer
            .header("Contact", self.contact(true))
            .header("Allow", ALLOW);
        sign(&mut writer, "outbound");
        writer.header("Content-Type", "application/sdp");
        let message = writer.finish_with(&sdp);
        self.calls[at].state = CallState::Calling;
        self.calls[at].invite_branch.clone_from(&branch);
        let key = self.calls[at].key;
        self.ask(&branch, "INVITE", Waiting::Invite(key), message);
    }

    pub(super) fn cancel(&mut self, at: usize) {
        self.calls[at].state = CallState::Cancelled;
        self.calls[at].cause.get_or_insert("NOANSWER");
        if self.calls[at].heard {
            self.send_cancel(at);
        } else {
            self.calls[at].cancel_waits = true;
        }
    }

    fn send_cancel(&mut self, at: usize) {
        let call = &self.calls[at];
        let branch = call.invite_branch.clone();
        let from = format!("{};tag={}", call.local, call.local_tag);
        let mut writer = self.head(&Head {
            method: "CANCEL",
            uri: &call.invite_uri,
            branch: &branch,
            to: &call.remote,
            from: &from,
            cseq: call.invite_cseq,
            call_id: &call.call_id,
        });
        sign(&mut writer, "outbound");
        self.ask(&branch, "CANCEL", Waiting::Nothing, writer.finish());
    }

    pub(super) fn on_invite_answer(&mut self, key: CallKey, response: &Response<'_>) {
        let Some(at) = self.find(key) else {
            return;
        };
        self.calls[at].heard = true;
        match response.status {
            ..200 => {
                self.media_hears(key, response.body);
                // SIP.js sends a CANCEL that waited as soon as the transaction proceeds.
                if std::mem::take(&mut self.calls[at].cancel_waits) {
                    self.send_cancel(at);
                } else if response.status == 180 && self.calls[at].state == CallState::Calling {
                    self.tell(Heard::Ringing(key));
                }
            }
            200..300 => self.on_accepted(at, response),
            status => {
                self.acknowledge_refusal(at, response);
                self.end_call(at, cause_of(status));
            }
        }
    }

    fn on_accepted(&mut self, at: usize, response: &Response<'_>) {
        let has_answer = !response.body.is_empty();
        if self.calls[at].state == CallState::Calling && has_answer {
            self.learn_dialog(at, response);
            self.calls[at].state = CallState::Established;
            self.send_ack(at, response, self.calls[at].invite_cseq);
            let key = self.calls[at].key;
            self.media_hears(key, response.body);
            self.media_starts(key);
            self.tell(Heard::Connected(key));
            self.app_is_connected(key);
        } else {
            // Cancelled, or an answer without a session description: acknowledge and leave (`ackAndBye`).
            self.learn_dialog(at, response);
            self.send_ack(at, response, self.calls[at].invite_cseq);
            self.send_bye(at, "");
            self.end_call(at, "FAILED");
        }
    }

    fn learn_dialog(&mut self, at: usize, response: &Response<'_>) {
        let contacts = response.headers.contacts().unwrap_or_default();
        let call = &mut self.calls[at];
        call.remote_tag = response.headers.to().tag().map(str::to_owned);
        match contacts.as_slice() {
            [Contact::Address(address)] => call.target = address.uri_text.to_owned(),
            [] | [Contact::Star] | [_, _, ..] => {
                self.complain("a 200 to INVITE has no Contact");
            }
        }
    }

    pub(super) fn send_ack(&mut self, at: usize, response: &Response<'_>, cseq: u32) {
        let branch = self.branch();
        let call = &self.calls[at];
        let to_tag = response.headers.to().tag().unwrap_or_default().to_owned();
        let from = format!("{};tag={}", call.local, call.local_tag);
        let mut writer = self.head(&Head {
            method: "ACK",
            uri: &call.target,
            branch: &branch,
            to: &format!("{};tag={to_tag}", call.remote),
            from: &from,
            cseq,
            call_id: &call.call_id,
        });
        sign(&mut writer, "outbound");
        let ack = writer.finish();
        self.calls[at]
            .acks
            .push((format!("{cseq} {to_tag}"), ack.clone()));
        self.send(ack);
    }

    /// The transaction's own ACK: branch and Request-URI of the INVITE (RFC 3261 §17.1.1.3).
    pub(super) fn acknowledge_refusal(&mut self, at: usize, response: &Response<'_>) {
        let call = &self.calls[at];
        let to = response.headers.get(sip::Name::To).unwrap_or_default();
        let branch = response.headers.via().branch().unwrap_or_default();
        let is_first = branch == call.invite_branch;
        let uri = if is_first {
            &call.invite_uri
        } else {
            &call.target
        };
        let from = format!("{};tag={}", call.local, call.local_tag);
        let writer = self.head(&Head {
            method: "ACK",
            uri,
            branch,
            to,
            from: &from,
            cseq: response.headers.cseq().number,
            call_id: &call.call_id,
        });
        self.send(writer.finish());
    }

    /// A response to a transaction that is over: a 2xx that is repeated gets its ACK again.
    pub(super) fn on_late_answer(&mut self, response: &Response<'_>) {
        let headers = &response.headers;
        if !(200..300).contains(&response.status) || headers.cseq().method != sip::Method::Invite {
            return;
        }
        let wanted = format!(
            "{} {}",
            headers.cseq().number,
            headers.to().tag().unwrap_or_default()
        );
        let ack = self
            .calls
            .iter()
            .filter(|call| call.call_id == headers.call_id())
            .flat_map(|call| &call.acks)
            .find(|(key, _)| *key == wanted)
            .map(|(_, ack)| ack.clone());
        match ack {
            Some(ack) => _ = self.send(ack),
            None if self.timed_out.contains(headers.call_id()) => {}
            None => self.complain("a 2xx to an INVITE came that the page never acknowledged"),
        }
    }

    pub(super) fn on_invite_failed(&mut self, key: CallKey, status: u16) {
        if let Some(at) = self.find(key) {
            self.end_call(at, cause_of(status));
        }
    }
}
