//! A telephone as whoever calls, hangs up, and asks for media otherwise.

use sip::{MessageWriter, Method, Response};

use super::{Deed, Phone, PhoneCall, SDP, Stand, record_routes, target};
use crate::clock::SECOND;

/// How long it lets the other side ring.
const PATIENCE: u64 = 100 * SECOND;

impl Phone {
    /// Calls a number, or whoever else has this name; gives its number among its calls.
    pub fn call(&mut self, now: u64, called: &str) -> usize {
        self.call_with(now, called, "")
    }

    /// The same, with these rows besides.
    pub fn call_with(&mut self, now: u64, called: &str, rows: &str) -> usize {
        let (tag, call_id) = (self.mint(), self.mint());
        let own = format!("<sip:+441234567890@{}>;tag={tag}", self.domain);
        let uri = format!("sip:{called}@{}", self.server);
        self.calls.push(PhoneCall {
            call_id,
            stand: Stand::Calling,
            over: None,
            is_known: false,
            own,
            remote: format!("<{uri}>"),
            remote_tag: None,
            target: uri,
            routes: Vec::new(),
            cseq: 0,
            remote_cseq: 0,
            invite: Vec::new(),
            is_unwanted: false,
            is_abandoned: false,
            is_ringing: false,
            ack: None,
            is_acknowledged: true,
        });
        let call = self.calls.len() - 1;
        let invite = self.offer(call, rows);
        self.calls[call].invite.clone_from(&invite);
        self.ask(now, invite);
        call
    }

    /// Asks for its media otherwise, or as they were.
    pub fn hold(&mut self, now: u64, call: usize) {
        if self.calls[call].stand == Stand::Talking {
            let invite = self.offer(call, "");
            self.ask(now, invite);
        }
    }

    /// Asks for something else inside a call.
    pub fn ask_in_call(&mut self, now: u64, call: usize, method: &str) {
        if self.calls[call].stand == Stand::Talking {
            let message = self.request(call, method).finish();
            self.ask(now, message);
        }
    }

    /// Ends a call, whatever its state.
    pub fn hang_up(&mut self, now: u64, call: usize) {
        match self.calls[call].stand {
            Stand::Calling if self.calls[call].is_ringing => self.cancel(now, call),
            // A CANCEL must not overtake its INVITE.
            Stand::Calling => self.calls[call].is_unwanted = true,
            Stand::Called => self.take(now, call, 603),
            // The ACK of its 2xx is on its way, or lost (§15.1.1).
            Stand::Talking if !self.calls[call].is_acknowledged => {
                self.calls[call].is_unwanted = true;
            }
            Stand::Talking => self.bye(now, call),
            Stand::Over => {}
        }
    }

    pub(super) fn bye(&mut self, now: u64, call: usize) {
        let bye = self.request(call, "BYE").finish();
        self.ask(now, bye);
        self.end(now, call);
    }

    fn offer(&mut self, call: usize, more: &str) -> Vec<u8> {
        let rows = format!("{}\n{more}", self.conduct.rows);
        let mut writer = self.request(call, "INVITE");
        push_rows(&mut writer, &rows);
        writer.header("Content-Type", "application/sdp");
        writer.finish_with(SDP.as_bytes())
    }

    fn cancel(&mut self, now: u64, call: usize) {
        self.calls[call].is_unwanted = true;
        let message = follower(&self.calls[call].invite, "CANCEL", None);
        self.ask(now, message);
    }

    /// The other side answers.
    pub(super) fn on_response(&mut self, now: u64, response: &Response<'_>) {
        let headers = &response.headers;
        let method = headers.cseq().method;
        let branch = headers.via().branch().unwrap_or_default();
        let key = (branch.to_owned(), method.to_string());
        let call_id = headers.call_id();
        let call = self.calls.iter().rposition(|call| call.call_id == call_id);
        if method != Method::Invite {
            if response.status >= 200 {
                self.repeats.stop(&key);
            }
            return;
        }
        let Some(call) = call else {
            // One that was started anew has forgotten what it asked.
            if !self.is_plain {
                return;
            }
            return self.complain(format!(
                "a telephone has no call {call_id} that was answered"
            ));
        };
        let is_first = headers.cseq().number == 1 && self.calls[call].stand == Stand::Calling;
        match response.status {
            ..200 => {
                self.repeats.proceeds(&key, now + PATIENCE);
                let is_news = !std::mem::replace(&mut self.calls[call].is_ringing, true);
                if is_news && self.calls[call].is_unwanted {
                    self.cancel(now, call);
                }
            }
            200..300 => {
                let is_news = self.repeats.stop(&key);
                self.on_taken(now, call, response, is_news);
            }
            _ => {
                self.repeats.stop(&key);
                let to = headers.get(sip::Name::To).map(str::to_owned);
                let invite = match is_first {
                    true => self.calls[call].invite.clone(),
                    false => follower_of(response, self.address),
                };
                let ack = follower(&invite, "ACK", to.as_deref());
                self.say(now, ack);
                if is_first {
                    self.end(now, call);
                }
            }
        }
    }

    fn on_taken(&mut self, now: u64, call: usize, response: &Response<'_>, is_news: bool) {
        let headers = &response.headers;
        if !is_news && let Some(ack) = self.calls[call].ack.clone() {
            return self.say(now, ack);
        }
        let known = &mut self.calls[call];
        known.remote_tag = headers.to().tag().map(str::to_owned);
        if let Some(target) = target(headers) {
            known.target = target;
        }
        // It may have given up before.
        let is_late = known.stand == Stand::Over && known.ack.is_none();
        let is_first = known.stand == Stand::Calling || is_late;
        if is_first {
            known.routes = record_routes(headers);
            known.routes.reverse();
            known.stand = Stand::Talking;
            known.is_known = true;
        }
        let (number, last) = (headers.cseq().number, known.cseq);
        known.cseq = number - 1;
        let ack = self.request(call, "ACK").finish();
        let known = &mut self.calls[call];
        known.cseq = last;
        known.ack = Some(ack.clone());
        let is_unwanted = known.is_unwanted || is_late;
        self.say(now, ack);
        if is_first && is_unwanted {
            return self.bye(now, call);
        }
        if is_first && let Some(talks) = self.conduct.talks {
            self.later(now + talks, Deed::HangUp(call));
        }
    }

    /// Nobody has answered in time.
    pub(super) fn on_timed_out(&mut self, now: u64, branch: &str, method: &str) {
        let of_branch = |invite: &[u8]| String::from_utf8_lossy(invite).contains(branch);
        match method {
            "INVITE" => {
                let mut all = self.calls.iter();
                let call = all.position(|call| of_branch(&call.invite));
                match call {
                    Some(call) if self.calls[call].stand == Stand::Calling => {
                        if self.calls[call].is_ringing && !self.calls[call].is_unwanted {
                            self.cancel(now, call);
                        }
                        self.end(now, call);
                    }
                    // A later one: the other side does not hear any more (§12.2.1.2).
                    Some(_) | None => {}
                }
            }
            // Its 2xx was never acknowledged (§13.3.1.4).
            "2xx" => {
                let call = self.calls.iter().rposition(|call| call.call_id == branch);
                if let Some(call) = call.filter(|call| self.calls[*call].stand == Stand::Talking) {
                    self.bye(now, call);
                }
            }
            _ => {}
        }
    }
}

/// Whole rows, with their line ends.
pub(super) fn push_rows(writer: &mut MessageWriter, rows: &str) {
    for row in rows.lines() {
        if let Some((name, value)) = row.split_once(':') {
            writer.header(name.trim(), value.trim());
        }
    }
}

/// ACK of a refusal, or CANCEL (§9.1, §17.1.1.3).
fn follower(invite: &[u8], method: &str, to: Option<&str>) -> Vec<u8> {
    let Ok(sip::Message::Request(invite)) = sip::parse(invite) else {
        return Vec::new();
    };
    let get = |name| invite.headers.get(name).unwrap_or_default();
    let mut writer = MessageWriter::request(method, invite.uri);
    writer
        .header("Via", get(sip::Name::Via))
        .header("Max-Forwards", 70)
        .header("From", get(sip::Name::From))
        .header("To", to.unwrap_or(get(sip::Name::To)))
        .header("Call-ID", get(sip::Name::CallId))
        .header(
            "CSeq",
            format_args!("{} {method}", invite.headers.cseq().number),
        );
    writer.finish()
}

/// A stand-in for the INVITE that this refuses: what an ACK repeats.
fn follower_of(response: &Response<'_>, address: std::net::SocketAddr) -> Vec<u8> {
    let get = |name| response.headers.get(name).unwrap_or_default();
    let branch = response.headers.via().branch().unwrap_or_default();
    let mut writer = MessageWriter::request("INVITE", response.headers.to().uri_text);
    writer
        .header(
            "Via",
            format_args!("SIP/2.0/UDP {address};branch={branch};rport"),
        )
        .header("Max-Forwards", 70)
        .header("From", get(sip::Name::From))
        .header("To", get(sip::Name::To))
        .header("Call-ID", get(sip::Name::CallId))
        .header("CSeq", get(sip::Name::CSeq));
    writer.finish()
}
