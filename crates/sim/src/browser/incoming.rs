//! Requests that come to the page: INVITE and CANCEL from outside, the rest inside a dialog.
//!
//! 100 and 180 go out at once, the app's `ringing()` makes a second 180; SIP.js repeats its 200 until the ACK comes and
//! hangs up after 32 s. RFC 3261 §13.3.1.

use sip::{Contact, MessageWriter, Method, ReplyHead, Request};

use super::call::{Call, CallKey, CallState, Unacknowledged};
use super::text::sign;
use super::{Browser, Heard, TRANSACTION, Timer};
use crate::authority;
use crate::clock::{MILLI, SECOND};

impl Browser {
    /// `answer()`.
    pub fn answer(&mut self, now: u64, key: CallKey) {
        self.now = now;
        self.answer_call(key);
    }

    /// `reject(status)`.
    pub fn reject_with(&mut self, now: u64, key: CallKey, status: u16) {
        self.now = now;
        self.reject_call(key, status);
    }

    pub(super) fn answer_call(&mut self, key: CallKey) {
        let Some(at) = self.find(key) else {
            return;
        };
        if self.calls[at].state != CallState::Ringing {
            return;
        }
        if self.is_ready() {
            self.calls[at].state = CallState::Answering;
            self.gather(key);
        } else {
            self.calls[at].answer_waits = true;
        }
    }

    pub(super) fn reject_call(&mut self, key: CallKey, status: u16) {
        let Some(at) = self.find(key) else {
            return;
        };
        match self.calls[at].state {
            CallState::Ringing | CallState::Answering => self.reject(at, status),
            CallState::Established => {
                let reason = format!("SIP; cause={status}; text=\"Rejected\"");
                self.leave(at, reason);
            }
            CallState::Held
            | CallState::Gathering
            | CallState::Calling
            | CallState::Cancelled
            | CallState::Leaving
            | CallState::Gone => {}
        }
    }

    pub(super) fn reject(&mut self, at: usize, status: u16) {
        self.reply(at, status);
        self.end_call(at, "NORMAL");
    }

    pub(super) fn on_request(&mut self, request: &Request<'_>) {
        match request.method {
            Method::Cancel => self.on_cancel(request),
            Method::Ack => self.on_ack(request),
            _ if request.headers.to().tag().is_some() => self.on_dialog_request(request),
            Method::Invite => self.on_invite(request),
            Method::Options => self.answer_plainly(request, 200),
            Method::Bye
            | Method::Register
            | Method::Info
            | Method::Message
            | Method::Update
            | Method::Prack
            | Method::Subscribe
            | Method::Notify
            | Method::Publish
            | Method::Refer
            | Method::Other(_) => self.answer_plainly(request, 405),
        }
    }

    pub(super) fn answer_plainly(&mut self, request: &Request<'_>, status: u16) {
        let tag = self.random.word(10);
        let reason = sip::status::reason(status);
        let mut writer = MessageWriter::reply(request, status, reason, Some(&tag));
        sign(&mut writer, "outbound");
        self.send(writer.finish());
    }

    fn on_invite(&mut self, request: &Request<'_>) {
        if self.habit.is_dead {
            return;
        }
        self.examine_invite(request);
        let branch = request.headers.via().branch().unwrap_or_default();
        if self.calls.iter().any(|call| call.invite_branch == branch) {
            return;
        }
        if !self.may_call() {
            self.answer_plainly(request, 486);
            return;
        }
        let key = self.take_call(request, branch);
        let at = self.calls.len() - 1;
        self.reply(at, 100);
        self.reply(at, 180);
        if self.habit.rings {
            self.reply(at, 180);
        }
        let from = request.headers.from().uri;
        let kind = match from.host {
            host if host == self.domain => "client",
            host if host == format!("sip-{}.aculab.com", authority::CLOUD) => "service",
            _ => "other",
        };
        let from = from.user_decoded().into_owned();
        self.tell(Heard::Incoming {
            call: key,
            from,
            kind,
        });
        self.app_is_called(key);
    }

    /// What SIP.js and the SDK need an INVITE to be. What is in the offer is its caller's business, who may be hostile:
    /// the checks of contents see that the server changes nothing of it.
    fn examine_invite(&mut self, request: &Request<'_>) {
        let headers = &request.headers;
        let fault = if request.target().user_decoded() != self.contact_user.as_str() {
            Some("an INVITE came whose Request-URI is not the page's Contact")
        } else if request.body.is_empty() {
            Some("an INVITE came without an offer")
        } else if !matches!(headers.contacts().as_deref(), Ok([Contact::Address(_)])) {
            Some("an INVITE came without a Contact")
        } else if headers.from().tag().is_none() || headers.bearer().is_some() {
            Some("an INVITE came without a From tag, or with somebody's token")
        } else {
            None
        };
        if let Some(fault) = fault {
            self.complain(fault);
        }
    }

    fn take_call(&mut self, request: &Request<'_>, branch: &str) -> CallKey {
        self.made += 1;
        let key = CallKey(self.made);
        let (from, to) = (request.headers.from(), request.headers.to());
        let target = match request.headers.contacts().as_deref() {
            Ok([Contact::Address(address)]) => address.uri_text.to_owned(),
            Ok(_) | Err(_) => String::new(),
        };
        let call = Call {
            key,
            state: CallState::Ringing,
            is_caller: false,
            token: None,
            headers: self.habit.headers.clone(),
            call_id: request.headers.call_id().to_owned(),
            local_tag: self.random.word(10),
            remote_tag: from.tag().map(str::to_owned),
            local: format!("<{}>", to.uri_text),
            remote: format!("<{}>", from.uri_text),
            invite_uri: String::new(),
            target,
            cseq: 0,
            remote_cseq: request.headers.cseq().number,
            invite_branch: branch.to_owned(),
            invite_cseq: request.headers.cseq().number,
            invite: Some(ReplyHead::of(request)),
            heard: true,
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
        self.media_hears(key, request.body);
        key
    }

    /// An answer to the INVITE of an incoming call, without a body.
    fn reply(&mut self, at: usize, status: u16) {
        let call = &self.calls[at];
        let Some(head) = &call.invite else {
            return;
        };
        let tag = (status > 100).then_some(call.local_tag.as_str());
        let mut writer = head.write(status, sip::status::reason(status), tag);
        if status == 180 {
            for (name, value) in &call.headers {
                writer.header(name, value);
            }
        }
        sign(&mut writer, "outbound");
        if status == 180 {
            writer.header("Contact", self.contact(false));
        }
        let message = writer.finish();
        self.send(message);
    }

    pub(super) fn accept(&mut self, at: usize) {
        let sdp = self.sdp(self.calls[at].key);
        let call = &self.calls[at];
        let Some(head) = &call.invite else {
            return;
        };
        let mut writer = head.write(200, "OK", Some(&call.local_tag));
        for (name, value) in &call.headers {
            writer.header(name, value);
        }
        sign(&mut writer, "outbound");
        writer
            .header("Contact", self.contact(false))
            .header("Content-Type", "application/sdp");
        let answer = writer.finish_with(&sdp);
        let call = &mut self.calls[at];
        call.state = CallState::Established;
        call.unacknowledged = Some(Unacknowledged {
            branch: call.invite_branch.clone(),
            cseq: call.invite_cseq,
            answer: answer.clone(),
        });
        let key = call.key;
        self.send(answer);
        self.media_starts(key);
        self.tell(Heard::Connected(key));
        self.app_is_connected(key);
        self.wake(500 * MILLI, Timer::RepeatAnswer(key, 500 * MILLI));
        self.wake(TRANSACTION, Timer::NoAck(key));
    }

    pub(super) fn repeat_answer(&mut self, key: CallKey, pause: u64) {
        let Some(at) = self.find(key) else {
            return;
        };
        if self.calls[at].is_gone() {
            return;
        }
        if let Some(unacknowledged) = &self.calls[at].unacknowledged {
            let answer = unacknowledged.answer.clone();
            self.send(answer);
            let pause = (pause * 2).min(4 * SECOND);
            self.wake(pause, Timer::RepeatAnswer(key, pause));
        }
    }

    /// SIP.js `onAckTimeout`: BYE.
    pub(super) fn on_no_ack(&mut self, key: CallKey) {
        let Some(at) = self.find(key) else {
            return;
        };
        let is_initial = self.calls[at]
            .unacknowledged
            .as_ref()
            .is_some_and(|open| open.branch == self.calls[at].invite_branch);
        if is_initial && self.calls[at].has_dialog() {
            self.calls[at].unacknowledged = None;
            let reason = self.calls[at].bye_after_ack.take().unwrap_or_default();
            self.send_bye(at, &reason);
            self.end_call(at, "NORMAL");
        }
    }

    fn on_cancel(&mut self, request: &Request<'_>) {
        let branch = request.headers.via().branch().unwrap_or_default();
        let found = self
            .calls
            .iter()
            .position(|call| !call.is_caller && call.invite_branch == branch);
        match found {
            Some(at) => {
                self.answer_plainly(request, 200);
                if matches!(
                    self.calls[at].state,
                    CallState::Ringing | CallState::Answering
                ) {
                    self.reply(at, 487);
                    // Both versions of the SDK tell the callee's app NORMAL.
                    self.end_call(at, "NORMAL");
                }
            }
            // A re-INVITE is answered at once, so nothing is left to cancel.
            None if self.knows_reinvite(branch) => self.answer_plainly(request, 200),
            None => self.answer_plainly(request, 481),
        }
    }
}
