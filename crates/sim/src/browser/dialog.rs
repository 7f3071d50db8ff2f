//! Inside a dialog: BYE, re-INVITE with its glare, INFO, and what SIP.js does not take (RFC 3261 §12.2, §14, §15).

use sip::{Contact, MessageWriter, Method, Request, Response};

use super::call::{CallKey, CallState, Unacknowledged, cause_of};
use super::text::{Head, sign};
use super::{Browser, Heard, Timer, Waiting};
use crate::clock::MILLI;

/// Methods of SIP.js inside a dialog.
const ALLOW: &str =
    "ACK,BYE,CANCEL,INFO,INVITE,MESSAGE,NOTIFY,OPTIONS,PRACK,REFER,REGISTER,SUBSCRIBE";

impl Browser {
    /// `addStream`, screen share and their like: a new offer. Says whether SIP.js lets it go out.
    pub fn reinvite(&mut self, now: u64, key: CallKey) -> bool {
        self.now = now;
        let Some(at) = self.find(key) else {
            return false;
        };
        let call = &self.calls[at];
        let is_free = call.state == CallState::Established
            && call.reinvite.is_none()
            && call.unacknowledged.is_none();
        if !is_free {
            return false;
        }
        let sdp = self.sdp(key);
        let contact = self.contact(self.calls[at].is_caller);
        let (branch, mut writer) = self.dialog_request(at, "INVITE");
        writer.header("Allow", ALLOW).header("Contact", contact);
        sign(&mut writer, "outbound");
        writer.header("Content-Type", "application/sdp");
        let message = writer.finish_with(&sdp);
        self.calls[at].reinvite = Some((branch.clone(), self.calls[at].cseq));
        self.calls[at].heard = false;
        self.ask(&branch, "INVITE", Waiting::Reinvite(key), message);
        true
    }

    /// A request that existing clients never send by themselves, but that other SIP software does.
    pub fn ask_in_dialog(&mut self, now: u64, key: CallKey, method: &str, body: &str) {
        self.now = now;
        let Some(at) = self.find(key) else {
            return;
        };
        if self.calls[at].state != CallState::Established {
            return;
        }
        let contact = self.contact(self.calls[at].is_caller);
        let (branch, mut writer) = self.dialog_request(at, method);
        writer.header("Contact", contact);
        sign(&mut writer, "outbound");
        if !body.is_empty() {
            writer.header("Content-Type", "text/plain");
        }
        let message = writer.finish_with(body.as_bytes());
        self.ask(&branch, method, Waiting::Nothing, message);
    }

    /// Hangs up with a Reason; SIP.js sends no BYE before the ACK of its 200 has come.
    pub(super) fn leave(&mut self, at: usize, reason: String) {
        let call = &mut self.calls[at];
        let waits = call
            .unacknowledged
            .as_ref()
            .is_some_and(|open| open.branch == call.invite_branch);
        if waits {
            call.state = CallState::Leaving;
            call.bye_after_ack = Some(reason);
            return;
        }
        self.send_bye(at, &reason);
        self.end_call(at, "NORMAL");
    }

    pub(super) fn send_bye(&mut self, at: usize, reason: &str) {
        let (branch, mut writer) = self.dialog_request(at, "BYE");
        if !reason.is_empty() {
            writer.header("Reason", reason);
        }
        sign(&mut writer, "outbound");
        self.ask(&branch, "BYE", Waiting::Nothing, writer.finish());
    }

    fn dialog_request(&mut self, at: usize, method: &str) -> (String, MessageWriter) {
        let branch = self.branch();
        self.calls[at].cseq += 1;
        let call = &self.calls[at];
        let to_tag = call.remote_tag.as_deref().unwrap_or_default();
        let writer = self.head(&Head {
            method,
            uri: &call.target,
            branch: &branch,
            to: &format!("{};tag={to_tag}", call.remote),
            from: &format!("{};tag={}", call.local, call.local_tag),
            cseq: call.cseq,
            call_id: &call.call_id,
        });
        (branch, writer)
    }

    pub(super) fn on_dialog_request(&mut self, request: &Request<'_>) {
        let found = self
            .calls
            .iter()
            .position(|call| call.has_dialog() && call.owns(request));
        let Some(at) = found else {
            self.answer_plainly(request, 481);
            return;
        };
        if request.target().user_decoded() != self.contact_user.as_str() {
            self.complain("a request came whose Request-URI is not the page's Contact");
        }
        let cseq = request.headers.cseq().number;
        if cseq <= self.calls[at].remote_cseq {
            self.complain("a request came whose CSeq is not above the one before");
        }
        self.calls[at].remote_cseq = cseq;
        match request.method {
            Method::Bye => self.on_bye(at, request),
            Method::Invite => self.on_reinvite(at, request),
            Method::Info | Method::Message => self.answer_plainly(request, 200),
            Method::Update => {
                let reason = sip::status::reason(405);
                let mut writer = MessageWriter::reply(request, 405, reason, None);
                writer.header("Allow", ALLOW);
                self.send(writer.finish());
            }
            Method::Options
            | Method::Ack
            | Method::Cancel
            | Method::Register
            | Method::Prack
            | Method::Subscribe
            | Method::Notify
            | Method::Publish
            | Method::Refer
            | Method::Other(_) => self.answer_plainly(request, 501),
        }
    }

    fn on_bye(&mut self, at: usize, request: &Request<'_>) {
        self.answer_plainly(request, 200);
        let reason = request.headers.get(sip::Name::Reason).unwrap_or_default();
        let cause = cause_in(reason);
        self.calls[at].unacknowledged = None;
        self.end_call(at, cause.unwrap_or("NORMAL"));
    }

    fn on_reinvite(&mut self, at: usize, request: &Request<'_>) {
        let call = &mut self.calls[at];
        if call.unacknowledged.is_some() {
            self.answer_plainly(request, 500);
            return;
        }
        if call.reinvite.is_some() {
            self.answer_plainly(request, 491);
            return;
        }
        if let Ok([Contact::Address(address)]) = request.headers.contacts().as_deref() {
            call.target = address.uri_text.to_owned();
        }
        let branch = request
            .headers
            .via()
            .branch()
            .unwrap_or_default()
            .to_owned();
        let (cseq, key) = (request.headers.cseq().number, call.key);
        self.media_hears(key, request.body);
        let sdp = self.sdp(key);
        let mut writer = MessageWriter::reply(request, 200, "OK", None);
        sign(&mut writer, "outbound");
        writer
            .header("Contact", self.contact(self.calls[at].is_caller))
            .header("Content-Type", "application/sdp");
        let answer = writer.finish_with(&sdp);
        self.calls[at].reinvited = Some(branch.clone());
        self.calls[at].unacknowledged = Some(Unacknowledged {
            branch,
            cseq,
            answer: answer.clone(),
        });
        self.send(answer);
        self.wake(500 * MILLI, Timer::RepeatAnswer(key, 500 * MILLI));
    }

    pub(super) fn knows_reinvite(&self, branch: &str) -> bool {
        self.calls
            .iter()
            .any(|call| call.reinvited.as_deref() == Some(branch))
    }

    pub(super) fn on_ack(&mut self, request: &Request<'_>) {
        let found = self.calls.iter().position(|call| call.owns(request));
        let Some(at) = found else {
            return;
        };
        let cseq = request.headers.cseq().number;
        let is_awaited = self.calls[at]
            .unacknowledged
            .as_ref()
            .is_some_and(|open| open.cseq == cseq);
        if is_awaited {
            self.calls[at].unacknowledged = None;
            if let Some(reason) = self.calls[at].bye_after_ack.take() {
                self.send_bye(at, &reason);
                self.end_call(at, "NORMAL");
            }
        }
    }

    pub(super) fn on_reinvite_answer(&mut self, key: CallKey, response: &Response<'_>) {
        let Some(at) = self.find(key) else {
            return;
        };
        self.calls[at].heard = true;
        if response.status < 200 {
            return;
        }
        let cseq = response.headers.cseq().number;
        self.calls[at].reinvite = None;
        if response.status < 300 {
            if let Ok([Contact::Address(address)]) = response.headers.contacts().as_deref() {
                self.calls[at].target = address.uri_text.to_owned();
            }
            self.send_ack(at, response, cseq);
            self.offer_is_answered(key);
            self.media_hears(key, response.body);
        } else {
            self.acknowledge_refusal(at, response);
            self.offer_again(key);
        }
        self.tell(Heard::Reinvited(key, response.status));
    }

    pub(super) fn on_reinvite_failed(&mut self, key: CallKey) {
        if let Some(at) = self.find(key) {
            self.calls[at].reinvite = None;
            self.offer_again(key);
        }
    }

    /// A re-INVITE that is taken back: the SDK has no way to, other software does.
    pub fn cancel_reinvite(&mut self, now: u64, key: CallKey) {
        self.now = now;
        let Some(at) = self.find(key) else {
            return;
        };
        let call = &self.calls[at];
        let Some((branch, cseq)) = call.reinvite.clone() else {
            return;
        };
        let to_tag = call.remote_tag.as_deref().unwrap_or_default();
        let mut writer = self.head(&Head {
            method: "CANCEL",
            uri: &call.target,
            branch: &branch,
            to: &format!("{};tag={to_tag}", call.remote),
            from: &format!("{};tag={}", call.local, call.local_tag),
            cseq,
            call_id: &call.call_id,
        });
        sign(&mut writer, "outbound");
        self.ask(&branch, "CANCEL", Waiting::Nothing, writer.finish());
    }
}

/// The SDK's own pattern: `SIP\s*;\s*cause\s*=\s*([0-9]{3})\s*;`, the last semicolon included.
fn cause_in(reason: &str) -> Option<&'static str> {
    let behind = &reason[reason.find("SIP")? + 3..];
    let behind = behind.trim_start().strip_prefix(';')?;
    let behind = behind.trim_start().strip_prefix("cause")?;
    let behind = behind.trim_start().strip_prefix('=')?.trim_start();
    let (digits, behind) = behind.split_at_checked(3)?;
    let status = digits.parse().ok()?;
    behind
        .trim_start()
        .starts_with(';')
        .then(|| cause_of(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_counts_only_with_a_semicolon_behind_it() {
        assert_eq!(cause_in("SIP;cause=486;text=\"Busy Here\""), Some("BUSY"));
        assert_eq!(cause_in("SIP ; cause = 480 ; x"), Some("UNOBTAINABLE"));
        assert_eq!(cause_in("SIP;cause=486"), None);
        assert_eq!(cause_in("Q.850;cause=16;text=\"x\""), None);
    }
}
