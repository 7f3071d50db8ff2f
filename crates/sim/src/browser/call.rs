//! One call of the page: its dialog and how far it has come.

use sip::{ReplyHead, Request};

use super::{Browser, Heard, Waiting};

/// A call of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallKey(pub u32);

/// How far a call has come, as its page sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// Outgoing: waits for a socket and TURN credentials.
    Held,
    /// Outgoing: candidates are gathered, the INVITE comes next.
    Gathering,
    /// Outgoing: the INVITE is out.
    Calling,
    /// Outgoing: cancelled, the final answer is awaited.
    Cancelled,
    /// Incoming: 180 is out.
    Ringing,
    /// Incoming: the app has answered, candidates are gathered.
    Answering,
    /// The 200 is out or in.
    Established,
    /// Over for the app; a BYE waits for the ACK that must come first.
    Leaving,
    /// Over.
    Gone,
}

/// An INVITE of the other side that was answered with a 2xx, until its ACK comes.
#[derive(Debug)]
pub(super) struct Unacknowledged {
    pub(super) branch: String,
    pub(super) cseq: u32,
    pub(super) answer: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) key: CallKey,
    pub(super) state: CallState,
    pub(super) is_caller: bool,
    /// `None` for a service.
    pub(super) token: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) call_id: String,
    pub(super) local_tag: String,
    pub(super) remote_tag: Option<String>,
    pub(super) local: String,
    pub(super) remote: String,
    /// Request-URI of the INVITE, then of what follows inside the dialog.
    pub(super) invite_uri: String,
    pub(super) target: String,
    pub(super) cseq: u32,
    pub(super) remote_cseq: u32,
    pub(super) invite_branch: String,
    pub(super) invite_cseq: u32,
    /// The rows that answers to the INVITE repeat (incoming).
    pub(super) invite: Option<ReplyHead>,
    /// Whether anything but silence came back (outgoing), and a CANCEL that waits for it.
    pub(super) heard: bool,
    pub(super) cancel_waits: bool,
    pub(super) cause: Option<&'static str>,
    /// The app wants to leave as soon as the ACK has come.
    pub(super) bye_after_ack: Option<String>,
    pub(super) unacknowledged: Option<Unacknowledged>,
    pub(super) answer_waits: bool,
    /// ACKs of 2xx by their To tag, to repeat them.
    pub(super) acks: Vec<(String, Vec<u8>)>,
    /// Branch and CSeq of a re-INVITE of ours that is open.
    pub(super) reinvite: Option<(String, u32)>,
    /// A re-INVITE of the other side, by its branch.
    pub(super) reinvited: Option<String>,
}

impl Call {
    pub(super) fn is_gone(&self) -> bool {
        self.state == CallState::Gone
    }

    pub(super) fn has_dialog(&self) -> bool {
        matches!(self.state, CallState::Established | CallState::Leaving)
    }

    /// Whether a request belongs to this dialog (RFC 3261 §12.2.2).
    pub(super) fn owns(&self, request: &Request<'_>) -> bool {
        self.call_id == request.headers.call_id()
            && request.headers.to().tag() == Some(self.local_tag.as_str())
            && request.headers.from().tag() == self.remote_tag.as_deref()
    }
}

impl Browser {
    /// The state of a call.
    pub fn call_state(&self, key: CallKey) -> Option<CallState> {
        self.find(key).map(|at| self.calls[at].state)
    }

    /// The SIP Call-ID of a call: the app's `callId()`.
    pub fn call_id(&self, key: CallKey) -> Option<&str> {
        self.find(key).map(|at| self.calls[at].call_id.as_str())
    }

    /// The tags of a call as its page knows them: its own and the other's.
    pub fn call_tags(&self, key: CallKey) -> Option<(String, String)> {
        let call = &self.calls[self.find(key)?];
        Some((call.local_tag.clone(), call.remote_tag.clone()?))
    }

    /// Calls that are not over.
    pub fn open_calls(&self) -> Vec<(CallKey, CallState)> {
        self.calls
            .iter()
            .filter(|call| !call.is_gone())
            .map(|call| (call.key, call.state))
            .collect()
    }

    /// Whether the app may place one more call.
    pub fn may_call(&self) -> bool {
        self.open_calls().len() < self.habit.at_once
    }

    /// The app hangs up, rejects or gives up, as `disconnect()` does.
    pub fn hang_up_call(&mut self, now: u64, key: CallKey) {
        self.now = now;
        self.hang_up(key);
    }

    pub(super) fn find(&self, key: CallKey) -> Option<usize> {
        self.calls.iter().position(|call| call.key == key)
    }

    pub(super) fn has_heard(&self, key: CallKey) -> bool {
        self.find(key).is_some_and(|at| self.calls[at].heard)
    }

    /// Calls that are over, once nothing more is to be heard of what was asked in them.
    pub(super) fn forget_gone(&mut self) {
        let waiting = &self.waiting;
        let is_waited_for = |key: CallKey| {
            let mut all = waiting.values();
            all.any(|waiting| {
                matches!(waiting, Waiting::Invite(of) | Waiting::Reinvite(of) if *of == key)
            })
        };
        self.calls
            .retain(|call| !call.is_gone() || is_waited_for(call.key));
    }

    pub(super) fn hang_up(&mut self, key: CallKey) {
        let Some(at) = self.find(key) else {
            return;
        };
        match self.calls[at].state {
            CallState::Held | CallState::Gathering => self.end_call(at, "NOANSWER"),
            CallState::Calling => self.cancel(at),
            CallState::Ringing | CallState::Answering => self.reject(at, 486),
            CallState::Established => self.leave(at, String::new()),
            CallState::Cancelled | CallState::Leaving | CallState::Gone => {}
        }
    }

    /// The socket is gone: the SDK ends every call with FAILED and can send nothing.
    ///
    /// Two calls outlive the socket in SIP.js. A callee whose 200 has had no ACK yet repeats it on the next socket, and
    /// leaves when the ACK comes or 32 s have passed. A caller whose INVITE has had no final answer waits for one on
    /// whatever socket, and its app may place no other call meanwhile.
    pub(super) fn lose_call(&mut self, at: usize) {
        let call = &mut self.calls[at];
        if call.is_gone() {
            return;
        }
        call.reinvite = None;
        if call.state != CallState::Held {
            call.cause.get_or_insert("FAILED");
        }
        let waits_for_ack = call.has_dialog()
            && call
                .unacknowledged
                .as_ref()
                .is_some_and(|open| open.branch == call.invite_branch);
        if waits_for_ack {
            call.state = CallState::Leaving;
            call.bye_after_ack.get_or_insert_default();
            return;
        }
        if matches!(call.state, CallState::Calling | CallState::Cancelled) {
            call.cancel_waits = !call.heard;
            call.state = CallState::Cancelled;
            return;
        }
        call.unacknowledged = None;
        call.state = CallState::Gone;
        let (call, cause) = (call.key, call.cause.unwrap_or("NOANSWER"));
        self.media_ends(call);
        self.tell(Heard::Disconnected { call, cause });
    }

    pub(super) fn end_call(&mut self, at: usize, cause: &'static str) {
        let call = &mut self.calls[at];
        if call.is_gone() {
            return;
        }
        call.state = CallState::Gone;
        let cause = call.cause.unwrap_or(cause);
        let call = call.key;
        self.media_ends(call);
        self.tell(Heard::Disconnected { call, cause });
        self.check_stop();
    }
}

/// `_get_reason_from_sip_code`.
pub(super) fn cause_of(status: u16) -> &'static str {
    match status {
        487 => "NOANSWER",
        486 | 600 | 603 => "BUSY",
        404 | 410 | 480 | 604 => "UNOBTAINABLE",
        200..=209 => "NORMAL",
        _ => "FAILED",
    }
}
