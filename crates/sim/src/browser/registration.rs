//! `TokenRegisterer` of the SDK: one registration, from token to token.
//!
//! Keeps its quirks: a REGISTER that was lost with its socket blocks it until the old transaction is answered or times
//! out; after any refusal the client drops its token; de-registration carries no token. RFC 3261 §10.2.

use sip::{Contact, Name, Response};

use super::text::{ALLOW, Head, sign};
use super::{Browser, Heard, Socket, Timer, Waiting};
use crate::clock::SECOND;

const EXPIRES_S: u32 = 600;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Initial,
    Registered,
    Unregistered,
    Terminated,
}

#[derive(Debug)]
pub(super) struct Registerer {
    pub(super) id: u32,
    call_id: String,
    from_tag: String,
    cseq: u32,
    state: State,
    waiting: bool,
    change_pending: bool,
    force_notify: bool,
    user_token: String,
    disposed: bool,
    closes_when_answered: bool,
    expires_s: u32,
    refresh_at: Option<u64>,
    ends_at: Option<u64>,
}

impl Registerer {
    pub(super) fn is_registered(&self) -> bool {
        self.state == State::Registered
    }
}

impl Browser {
    /// `enableIncoming`: be called, or go on being called with a new token.
    pub fn enable_incoming(&mut self, now: u64, token: &str) {
        self.now = now;
        self.token = token.to_owned();
        self.start();
        self.register_again();
    }

    /// `disableIncoming`.
    pub fn disable_incoming(&mut self, now: u64) {
        self.now = now;
        self.token.clear();
        if let Some(id) = self.current.take() {
            self.dispose(id);
        }
        self.check_stop();
    }

    pub(super) fn register_again(&mut self) {
        if self.current.is_none() {
            self.made += 1;
            let registerer = Registerer {
                id: self.made,
                call_id: self.random.word(20),
                from_tag: self.random.word(10),
                cseq: 1,
                state: State::Initial,
                waiting: false,
                change_pending: false,
                force_notify: false,
                user_token: String::new(),
                disposed: false,
                closes_when_answered: false,
                expires_s: EXPIRES_S,
                refresh_at: None,
                ends_at: None,
            };
            self.current = Some(self.made);
            self.registerers.push(registerer);
        }
        if self.socket == Socket::Open
            && let Some(id) = self.current
            && let Some(at) = self.registerer(id)
        {
            self.registerers[at].user_token = self.token.clone();
            self.registerers[at].change_pending = true;
            if !self.registerers[at].waiting {
                self.process_change(id);
            }
        }
    }

    pub(super) fn refresh(&mut self, id: u32, due: u64) {
        if let Some(at) = self.registerer(id)
            && self.registerers[at].refresh_at == Some(due)
        {
            self.registerers[at].refresh_at = None;
            self.register(id);
        }
    }

    pub(super) fn registration_ended(&mut self, id: u32, due: u64) {
        if let Some(at) = self.registerer(id)
            && self.registerers[at].ends_at == Some(due)
        {
            self.unregistered(id, "FAILED");
        }
    }

    fn registerer(&self, id: u32) -> Option<usize> {
        self.registerers.iter().position(|r| r.id == id)
    }

    fn process_change(&mut self, id: u32) {
        let Some(at) = self.registerer(id) else {
            return;
        };
        let registerer = &mut self.registerers[at];
        if registerer.change_pending {
            registerer.change_pending = false;
            registerer.force_notify = true;
            self.register(id);
        }
    }

    fn register(&mut self, id: u32) {
        let Some(at) = self.registerer(id) else {
            return;
        };
        if self.registerers[at].disposed || self.registerers[at].waiting {
            return;
        }
        let expires = self.registerers[at].expires_s;
        self.send_register(id, at, expires);
    }

    /// Without a token, as the SDK does it.
    fn unregister(&mut self, id: u32) {
        if let Some(at) = self.registerer(id)
            && !self.registerers[at].waiting
        {
            self.registerers[at].refresh_at = None;
            self.send_register(id, at, 0);
        }
    }

    fn send_register(&mut self, id: u32, at: usize, expires: u32) {
        let branch = self.branch();
        let registerer = &mut self.registerers[at];
        registerer.cseq += 1;
        registerer.waiting = true;
        let registerer = &self.registerers[at];
        let address = format!("<{}>", self.address());
        let from = format!("{address};tag={}", registerer.from_tag);
        let mut writer = self.head(&Head {
            method: "REGISTER",
            uri: &format!("sip:{}", self.domain),
            branch: &branch,
            to: &address,
            from: &from,
            cseq: registerer.cseq,
            call_id: &registerer.call_id,
        });
        if expires > 0 {
            let token = &registerer.user_token;
            writer.header("Authorization", format_args!("Bearer {token}"));
        }
        let contact = self.contact(false);
        writer.header("Contact", format_args!("{contact};expires={expires}"));
        if expires > 0 {
            writer.header("Allow", ALLOW);
        }
        sign(&mut writer, "outbound, path, gruu");
        let waiting = Waiting::Register {
            registerer: id,
            unbinds: expires == 0,
        };
        self.ask(&branch, "REGISTER", waiting, writer.finish());
    }

    pub(super) fn on_registered(&mut self, id: u32, unbinds: bool, response: &Response<'_>) {
        match response.status {
            ..200 => {}
            200..300 if unbinds => {
                self.unregistered(id, "NORMAL");
                self.answered(id);
            }
            200..300 => {
                let contacts = response.headers.contacts().unwrap_or_default();
                let own = contacts.iter().find_map(|contact| match contact {
                    Contact::Address(address)
                        if address.uri.user_decoded() == self.contact_user.as_str() =>
                    {
                        address.param("expires")?.parse::<u64>().ok()
                    }
                    Contact::Address(_) | Contact::Star => None,
                });
                match own {
                    Some(expires) => self.registered(id, expires),
                    None => {
                        self.complain("a 200 to REGISTER does not list the Contact with expires=");
                        self.unregistered(id, "FAILED");
                    }
                }
                self.answered(id);
            }
            423 if !unbinds => {
                let least = response.headers.get(Name::MinExpires);
                match (
                    least.and_then(|text| text.parse().ok()),
                    self.registerer(id),
                ) {
                    (Some(least), Some(at)) => {
                        self.registerers[at].expires_s = least;
                        self.answered(id);
                        self.register(id);
                    }
                    (None, _) | (_, None) => {
                        self.unregistered(id, "FAILED");
                        self.answered(id);
                    }
                }
            }
            status => {
                let challenge = response.headers.get(Name::WwwAuthenticate);
                let is_invalid =
                    challenge.is_some_and(|text| text.contains("error=\"invalid_token\""));
                let cause = match status {
                    _ if unbinds => "FAILED",
                    _ if is_invalid => "INVALIDTOKEN",
                    503 => "DISCONNECTED",
                    _ => "FAILED",
                };
                self.unregistered(id, cause);
                self.answered(id);
            }
        }
    }

    pub(super) fn on_register_failed(&mut self, id: u32, unbinds: bool, status: u16) {
        let cause = if status == 503 && !unbinds {
            "DISCONNECTED"
        } else {
            "FAILED"
        };
        self.unregistered(id, cause);
        self.answered(id);
    }

    /// `waitingToggle(false)`.
    fn answered(&mut self, id: u32) {
        let Some(at) = self.registerer(id) else {
            return;
        };
        self.registerers[at].waiting = false;
        if std::mem::take(&mut self.registerers[at].closes_when_answered) {
            self.close_registerer(id);
        }
        self.process_change(id);
    }

    fn registered(&mut self, id: u32, expires: u64) {
        let Some(at) = self.registerer(id) else {
            return;
        };
        let (refresh, end) = (
            (expires * SECOND).saturating_sub(3 * SECOND),
            expires * SECOND,
        );
        let registerer = &mut self.registerers[at];
        registerer.refresh_at = Some(self.now + refresh);
        registerer.ends_at = Some(self.now + end);
        self.wake(refresh, Timer::Refresh(id));
        self.wake(end, Timer::Expired(id));
        self.become_state(id, State::Registered, "NORMAL");
    }

    fn unregistered(&mut self, id: u32, cause: &'static str) {
        if let Some(at) = self.registerer(id) {
            self.registerers[at].refresh_at = None;
            self.registerers[at].ends_at = None;
            self.become_state(id, State::Unregistered, cause);
        }
    }

    /// `stateTransition`, and what the client does in its listener.
    fn become_state(&mut self, id: u32, state: State, cause: &'static str) {
        let Some(at) = self.registerer(id) else {
            return;
        };
        let registerer = &mut self.registerers[at];
        if registerer.state == State::Terminated {
            return;
        }
        let retry = registerer.change_pending || registerer.refresh_at.is_some();
        let notify = registerer.state != state || registerer.force_notify;
        registerer.state = state;
        if !notify || state == State::Terminated {
            return;
        }
        registerer.force_notify = false;
        let ready = state == State::Registered;
        let retry =
            retry || (self.started && !self.token.is_empty() && self.socket != Socket::Open);
        self.tell(Heard::IncomingState {
            ready,
            cause,
            retry,
        });
        if !ready
            && !self.token.is_empty()
            && let Some(current) = self.current.take()
        {
            self.token.clear();
            self.dispose(current);
            self.check_stop();
        }
    }

    fn dispose(&mut self, id: u32) {
        let Some(at) = self.registerer(id) else {
            return;
        };
        if std::mem::replace(&mut self.registerers[at].disposed, true) {
            return;
        }
        if self.registerers[at].waiting {
            self.registerers[at].closes_when_answered = true;
        } else {
            self.close_registerer(id);
        }
    }

    fn close_registerer(&mut self, id: u32) {
        let Some(at) = self.registerer(id) else {
            return;
        };
        if self.registerers[at].state == State::Registered {
            self.unregister(id);
            self.unregistered(id, "DISCONNECTED");
        }
        self.become_state(id, State::Terminated, "");
        if let Some(at) = self.registerer(id) {
            self.registerers[at].refresh_at = None;
            self.registerers[at].ends_at = None;
        }
    }
}
