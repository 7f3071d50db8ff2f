//! A telephone as whoever is called and asked.

use sip::{MessageWriter, Method, Name, Request, status};

use super::calling::push_rows;
use super::{Deed, Mischief, Phone, PhoneCall, SDP, Stand, record_routes, target};
use crate::clock::{MILLI, SECOND};

impl Phone {
    pub(super) fn on_request(&mut self, now: u64, bytes: &[u8], request: &Request<'_>) {
        let branch = request.headers.via().branch().unwrap_or_default();
        if request.method == Method::Ack {
            return self.on_ack(now, branch, request);
        }
        let key = (branch.to_owned(), request.method.to_string());
        if let Some(answer) = self.answered.get(&key) {
            let answer = answer.clone();
            return self.say(now, answer);
        }
        if request.method == Method::Invite && !self.seen.insert(branch.to_owned()) {
            return;
        }
        let is_inside = request.headers.to().tag().is_some();
        match request.method {
            Method::Invite if !is_inside => self.on_call(now, bytes, request),
            Method::Cancel => self.on_cancel(now, request),
            Method::Register | Method::Options if !is_inside => self.on_outside(now, request),
            Method::Bye
            | Method::Invite
            | Method::Update
            | Method::Info
            | Method::Options
            | Method::Message
            | Method::Prack
            | Method::Refer
            | Method::Register
            | Method::Subscribe
            | Method::Notify
            | Method::Publish
            | Method::Ack
            | Method::Other(_) => self.on_inside(now, request),
        }
    }

    fn tag(&mut self) -> String {
        self.mint()
    }

    /// Answers for good: the same again where the request comes again.
    fn answer(&mut self, now: u64, request: &Request<'_>, status: u16, tag: &str, rows: &str) {
        let reason = status::reason(status);
        let mut writer = MessageWriter::reply(request, status, reason, Some(tag));
        push_rows(&mut writer, rows);
        let message = writer.finish();
        let branch = request.headers.via().branch().unwrap_or_default();
        let key = (branch.to_owned(), request.method.to_string());
        self.answered.insert(key.clone(), message.clone());
        if request.method == Method::Invite && status >= 300 {
            let key = (key.0, "refusal".to_owned());
            self.repeats.begin(now, key, message.clone(), false);
        }
        self.say(now, message);
    }

    fn refusal(&mut self) -> Option<(u16, String)> {
        let next = self.conduct.refuses.pop_front();
        next.or_else(|| self.conduct.always.clone())
    }

    /// REGISTER and OPTIONS.
    fn on_outside(&mut self, now: u64, request: &Request<'_>) {
        let tag = self.tag();
        let refusal = match request.method == Method::Register {
            true => self.refusal(),
            false => None,
        };
        if let Some((status, rows)) = refusal {
            return self.answer(now, request, status, &tag, &rows);
        }
        let contact = request.headers.get(Name::Contact).unwrap_or_default();
        let rows = match request.method == Method::Register {
            true => format!("Contact: {contact};expires=60"),
            false => String::new(),
        };
        self.answer(now, request, 200, &tag, &rows);
    }

    fn on_call(&mut self, now: u64, bytes: &[u8], request: &Request<'_>) {
        let tag = self.tag();
        if let Some((status, rows)) = self.refusal() {
            return self.answer(now, request, status, &tag, &rows);
        }
        let headers = &request.headers;
        let get = |name| headers.get(name).unwrap_or_default();
        self.calls.push(PhoneCall {
            call_id: headers.call_id().to_owned(),
            stand: Stand::Called,
            over: None,
            is_known: true,
            own: format!("{};tag={tag}", get(Name::To)),
            remote: get(Name::From).to_owned(),
            remote_tag: None,
            target: target(headers).unwrap_or_default(),
            routes: record_routes(headers),
            cseq: 0,
            remote_cseq: headers.cseq().number,
            invite: bytes.to_vec(),
            is_unwanted: false,
            is_abandoned: false,
            is_ringing: false,
            ack: None,
            is_acknowledged: false,
        });
        let call = self.calls.len() - 1;
        if let Some(Mischief::Late(after)) = self.conduct.mischief {
            return self.later(now + after, Deed::Take(call, 200));
        }
        let trying = MessageWriter::reply(request, 100, "Trying", None).finish();
        self.say(now, trying);
        if self.conduct.rings {
            self.later(now + 50 * MILLI, Deed::Ring(call));
        }
        if let Some((status, after)) = self.conduct.takes {
            self.later(now + after, Deed::Take(call, status));
        }
    }

    fn is_called(&self, call: usize) -> bool {
        self.calls
            .get(call)
            .is_some_and(|call| call.stand == Stand::Called)
    }

    /// An answer to the INVITE of a call, with its tag.
    fn reply(&mut self, call: usize, status: u16) -> Option<MessageWriter> {
        let wrong = match self.conduct.mischief == Some(Mischief::WrongTags) {
            true => Some(self.mint()),
            false => None,
        };
        let known = &self.calls[call];
        let (_, own) = known.own.rsplit_once(";tag=")?;
        let Ok(sip::Message::Request(invite)) = sip::parse(&known.invite) else {
            return None;
        };
        let tag = Some(wrong.as_deref().unwrap_or(own));
        let mut writer = MessageWriter::reply(&invite, status, status::reason(status), tag);
        writer.header("Contact", self.contact());
        for route in invite.headers.all(Name::RecordRoute) {
            writer.header("Record-Route", route);
        }
        Some(writer)
    }

    pub(super) fn ring(&mut self, now: u64, call: usize) {
        let status = if self.conduct.is_early { 183 } else { 180 };
        if self.is_called(call)
            && let Some(mut writer) = self.reply(call, status)
        {
            let message = if status == 183 {
                writer.header("Content-Type", "application/sdp");
                writer.finish_with(SDP.as_bytes())
            } else {
                writer.finish()
            };
            self.say(now, message);
        }
    }

    /// Says this to a call.
    pub(super) fn take(&mut self, now: u64, call: usize, status: u16) {
        if !self.is_called(call) {
            return;
        }
        let rows = self.conduct.rows.clone();
        let Some(mut writer) = self.reply(call, status) else {
            return;
        };
        let message = match status {
            200 => {
                push_rows(&mut writer, &rows);
                writer.header("Content-Type", "application/sdp");
                writer.finish_with(SDP.as_bytes())
            }
            _ => writer.finish(),
        };
        let (call_id, branch) = (self.calls[call].call_id.clone(), self.branch_of(call));
        let mut fork = None;
        if status == 200 {
            self.calls[call].stand = Stand::Talking;
            let key = (call_id, "2xx".to_owned());
            self.repeats.begin(now, key, message.clone(), false);
            if self.conduct.mischief == Some(Mischief::Forks) {
                // Another telephone behind it: the tag of To is its own.
                let (_, own) = self.calls[call]
                    .own
                    .rsplit_once(";tag=")
                    .unwrap_or_default();
                let other = format!("{own}-other");
                let other = String::from_utf8_lossy(&message).replacen(own, &other, 1);
                fork = Some(other.into_bytes());
            }
            if let Some(talks) = self.conduct.talks {
                self.later(now + talks, Deed::HangUp(call));
            }
        } else {
            self.answered
                .insert((branch.clone(), "INVITE".to_owned()), message.clone());
            let key = (branch, "refusal".to_owned());
            self.repeats.begin(now, key, message.clone(), false);
            self.end(now, call);
        }
        self.say(now, message);
        if let Some(fork) = fork {
            self.say(now, fork);
        }
    }

    fn branch_of(&self, call: usize) -> String {
        match sip::parse(&self.calls[call].invite) {
            Ok(message) => message
                .headers()
                .via()
                .branch()
                .unwrap_or_default()
                .to_owned(),
            Err(_) => String::new(),
        }
    }

    fn on_cancel(&mut self, now: u64, request: &Request<'_>) {
        let tag = self.tag();
        let branch = request
            .headers
            .via()
            .branch()
            .unwrap_or_default()
            .to_owned();
        let call = (0..self.calls.len()).rev().find(|call| {
            self.calls[*call].call_id == request.headers.call_id()
                && self.branch_of(*call) == branch
        });
        let Some(call) = call else {
            return self.answer(now, request, 481, &tag, "");
        };
        self.answer(now, request, 200, &tag, "");
        match self.conduct.mischief {
            Some(Mischief::TakesCancelled) => self.later(now + SECOND, Deed::Take(call, 200)),
            Some(Mischief::Garbage | Mischief::WrongTags | Mischief::Late(_) | Mischief::Forks)
            | None => self.take(now, call, 487),
        }
    }

    fn on_ack(&mut self, now: u64, branch: &str, request: &Request<'_>) {
        self.repeats
            .stop(&(branch.to_owned(), "refusal".to_owned()));
        let Some(call) = self.find(request) else {
            return;
        };
        let key = (self.calls[call].call_id.clone(), "2xx".to_owned());
        self.repeats.stop(&key);
        let known = &mut self.calls[call];
        let is_news = !std::mem::replace(&mut known.is_acknowledged, true);
        if is_news && known.is_unwanted && known.stand == Stand::Talking {
            self.bye(now, call);
        }
    }

    /// Something inside a call.
    fn on_inside(&mut self, now: u64, request: &Request<'_>) {
        let Some(call) = self.find(request) else {
            let tag = self.tag();
            return self.answer(now, request, 481, &tag, "");
        };
        let tag = request.headers.to().tag().unwrap_or_default().to_owned();
        let number = request.headers.cseq().number;
        let known = &mut self.calls[call];
        if number <= known.remote_cseq && known.is_abandoned {
            return self.answer(now, request, 500, &tag, "");
        }
        if number <= known.remote_cseq && self.is_plain {
            let (method, call_id) = (request.method, known.call_id.clone());
            return self.complain(format!(
                "the {method} {number} of {call_id} comes after a later one"
            ));
        }
        known.remote_cseq = number;
        if let Some(target) = target(&request.headers) {
            known.target = target;
        }
        let is_over = known.stand == Stand::Over;
        if request.method == Method::Bye {
            known.is_abandoned = request
                .headers
                .reasons()
                .any(|reason| reason.cause() == Some(503));
            let key = (known.call_id.clone(), "2xx".to_owned());
            self.repeats.stop(&key);
            self.answer(now, request, if is_over { 481 } else { 200 }, &tag, "");
            return self.end(now, call);
        }
        if is_over {
            return self.answer(now, request, 481, &tag, "");
        }
        if let Some((status, rows)) = self.conduct.refuses_inside.pop_front() {
            return self.answer(now, request, status, &tag, &rows);
        }
        let rows = format!("{}\nContact: {}", self.conduct.rows, self.contact());
        if request.method != Method::Invite {
            return self.answer(now, request, 200, &tag, &rows);
        }
        let mut writer = MessageWriter::reply(request, 200, "OK", Some(&tag));
        push_rows(&mut writer, &rows);
        writer.header("Content-Type", "application/sdp");
        let message = writer.finish_with(SDP.as_bytes());
        let branch = request
            .headers
            .via()
            .branch()
            .unwrap_or_default()
            .to_owned();
        self.answered
            .insert((branch, "INVITE".to_owned()), message.clone());
        let key = (self.calls[call].call_id.clone(), "2xx".to_owned());
        self.repeats.begin(now, key, message.clone(), false);
        self.say(now, message);
    }
}
