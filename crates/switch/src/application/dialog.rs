//! A dialog that ends here: with whoever called an application, or whom one calls (RFC 3261 §12 to §15).
//!
//! Writes and reads what passes between us and one client; never decides what an application does.

use std::borrow::Cow;

use model::media::Sdp;
use model::{ConnectionId, Instant, limits};
use sip::{Contact, Headers, Message, MessageWriter, Method, ReplyHead, Request, Response};

use crate::call::{Act, CallKey, Hop, Leg, mint_branch};
use crate::refusal::{self, Refusal};

use super::refer::Refer;
use super::referring::Referring;
use super::session_timer::{Asked, SessionTimer};

/// What a client said that its run must know.
#[derive(Debug)]
pub(crate) enum Said {
    /// Nothing that concerns the run.
    Nothing,
    /// It takes its call back.
    Cancelled,
    /// It knows that we have taken its call.
    Acknowledges,
    /// It hangs up.
    HungUp,
    /// It wants the media otherwise; [`Dialog::reanswer`] or [`Dialog::keep_media`] is the answer.
    Reoffers(Sdp),
    /// It rings.
    Rings,
    /// It rings, and can be heard already.
    RingsAloud(Sdp),
    /// It takes our call.
    Accepts(Sdp),
    /// Nobody has said in time that its session goes on.
    Lapses,
    /// It wants somebody else to have its place; [`Dialog::conclude_refer`] says what has come of it.
    Refers(Box<Refer>),
    /// It does not take our call.
    Declines {
        /// What it says.
        status: u16,
    },
}

/// Rows of an INVITE besides those that every one has.
type Rows = Vec<(Cow<'static, str>, String)>;

/// How far a dialog has come.
#[derive(Debug)]
pub(super) enum State {
    /// The client calls us, and waits for our answer.
    Called { head: ReplyHead },
    /// We are to call the client, and have no offer yet.
    Planned,
    /// We call the client.
    Calling(Calling),
    /// One has taken the call of the other.
    Talking {
        /// When an answer of ours that was never acknowledged counts as lost.
        unheard: Option<Instant>,
    },
    /// Nothing more is to be said.
    Over,
}

/// Our INVITE, until it is answered.
#[derive(Debug)]
pub(super) struct Calling {
    pub(super) branch: String,
    /// When nobody waits any longer for so much as a provisional response.
    pub(super) silent: Option<Instant>,
    /// The Reason of a CANCEL that is to be sent or was.
    pub(super) cancelled: Option<Cancelled>,
    /// The tag of whoever has said last that it rings.
    pub(super) early_tag: Option<Box<str>>,
}

#[derive(Debug)]
pub(super) struct Cancelled {
    pub(super) reason: String,
    pub(super) is_sent: bool,
}

/// The INVITE that a client called us with.
#[derive(Debug)]
pub(super) struct Initial {
    branch: Box<str>,
    cseq: u32,
    sent_by: Box<str>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Dialog {
    pub(super) run: CallKey,
    pub(super) call_id: Box<str>,
    pub(super) leg: Leg,
    pub(super) state: State,
    /// Of a client that called us.
    pub(super) initial: Option<Initial>,
    /// Whether the client was told that somebody rings.
    has_rung: bool,
    /// Repeats of our first answer, and the end of a call that nobody heard, go out with it.
    first: Option<ReplyHead>,
    /// A later offer of the client, which the gateway looks at.
    pub(super) reoffer: Option<(ReplyHead, Asked)>,
    /// Of a trunk whose sessions are refreshed.
    pub(super) session: Option<SessionTimer>,
    /// What the INVITE that opened it has said of that.
    pub(super) asked: Asked,
    /// The SDP that we have sent last, where it may be wanted again.
    pub(super) sdp: Option<Sdp>,
    /// What our INVITE had, while it may have to be sent again.
    pub(super) opening: Option<(Rows, Box<str>)>,
    /// The CSeq of that INVITE.
    pub(super) invited: u32,
    /// Of a trunk.
    pub(super) referring: Option<Referring>,
}

impl Dialog {
    /// A client calls us.
    pub(crate) fn called(run: CallKey, leg: Leg, request: &Request<'_>, act: &mut Act<'_>) -> Self {
        let trying = MessageWriter::reply(request, 100, "Trying", None).finish();
        act.send(leg.connection, trying);
        let head = ReplyHead::of(request);
        Self {
            run,
            call_id: request.headers.call_id().into(),
            leg,
            state: State::Called { head: head.clone() },
            initial: Some(Initial {
                branch: request.headers.via().branch().unwrap_or_default().into(),
                cseq: request.headers.cseq().number,
                sent_by: request.headers.via().sent_by.into(),
            }),
            has_rung: false,
            first: Some(head),
            reoffer: None,
            session: None,
            asked: Asked::default(),
            sdp: None,
            opening: None,
            invited: 0,
            referring: None,
        }
    }

    /// We are to call somebody.
    pub(crate) fn planned(run: CallKey, leg: Leg, call_id: &str) -> Self {
        Self {
            run,
            call_id: call_id.into(),
            leg,
            state: State::Planned,
            initial: None,
            has_rung: false,
            first: None,
            reoffer: None,
            session: None,
            asked: Asked::default(),
            sdp: None,
            opening: None,
            invited: 0,
            referring: None,
        }
    }

    /// We call, with this offer.
    pub(crate) fn invite(
        &mut self,
        headers: &[(Cow<'static, str>, String)],
        offer: &str,
        act: &mut Act<'_>,
    ) {
        let branch = mint_branch(self.run, act.random);
        let hop = Hop {
            call_id: &self.call_id,
            branch: &branch,
            max_forwards: 70,
            target: None,
        };
        let mut writer = self.leg.request("INVITE", self.leg.cseq, &hop);
        if let Some(session) = &self.session {
            session.ask(&mut writer);
            self.opening = Some((headers.to_vec(), offer.into()));
        }
        self.invited = self.leg.cseq;
        self.send_sdp(writer, headers, offer, act);
        self.state = State::Calling(Calling {
            branch,
            silent: Some(act.now.mono + limits::TRANSACTION_TIME),
            cancelled: None,
            early_tag: None,
        });
    }

    /// Whether an offer is waited for.
    pub(crate) fn is_planned(&self) -> bool {
        matches!(self.state, State::Planned)
    }

    pub(crate) fn connection(&self) -> ConnectionId {
        self.leg.connection
    }

    /// Whether a request that came on `connection` belongs to this dialog.
    pub(crate) fn owns(&self, connection: ConnectionId, request: &Request<'_>) -> bool {
        self.leg.owns(connection, request)
    }

    /// Whether a response bears our tag.
    pub(crate) fn is_asked(&self, response: &Response<'_>) -> bool {
        response.headers.from().tag() == Some(self.leg.local_tag.as_str())
    }

    /// Whether this INVITE opened the dialog, or this CANCEL means it (RFC 3261 §17.2.3, §9.2).
    pub(crate) fn has_seen(&self, connection: ConnectionId, request: &Request<'_>) -> bool {
        self.leg.connection == connection
            && *self.call_id == *request.headers.call_id()
            && self.initial.as_ref().is_some_and(|initial| {
                request.headers.via().branch() == Some(&*initial.branch)
                    && request.headers.cseq().number == initial.cseq
                    && *initial.sent_by == *request.headers.via().sent_by
            })
    }

    /// Whether this INVITE came before under another branch (RFC 3261 §8.2.2.2).
    pub(crate) fn is_merged(&self, connection: ConnectionId, request: &Request<'_>) -> bool {
        *self.call_id == *request.headers.call_id()
            && self.leg.connection == connection
            && self.initial.is_some()
            && !self.is_over()
            && self.leg.remote_tag.as_deref() == request.headers.from().tag()
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    pub(crate) fn is_talking(&self) -> bool {
        matches!(self.state, State::Talking { .. }) && !self.is_taking_leave()
    }

    /// When an answer is overdue.
    pub(crate) fn overdue(&self) -> Option<Instant> {
        match &self.state {
            State::Talking { unheard } => *unheard,
            State::Calling(calling) => calling.silent,
            State::Called { .. } | State::Planned | State::Over => None,
        }
    }

    /// When that is, or when its session wants something.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let session = self.session_deadline().filter(|_| self.is_talking());
        self.overdue().into_iter().chain(session).min()
    }

    /// A message of the client's. Requests have been found to be this dialog's.
    pub(crate) fn on_message(&mut self, message: &Message<'_>, act: &mut Act<'_>) -> Said {
        match message {
            Message::Request(request) => self.on_request(request, act),
            Message::Response(response) => self.on_response(response, act),
        }
    }

    /// Whether it is one of a client that called us.
    pub(crate) fn has_called(&self) -> bool {
        self.initial.is_some()
    }

    /// Tells the client that somebody rings.
    pub(crate) fn ring(&mut self, act: &mut Act<'_>) {
        let State::Called { head } = &self.state else {
            return;
        };
        if !std::mem::replace(&mut self.has_rung, true) {
            let mut writer = head.write(180, "Ringing", Some(&self.leg.local_tag));
            writer.header("Contact", self.leg.contact());
            act.send(self.leg.connection, writer.finish());
        }
    }

    /// Lets the client hear something before its call is taken, with the SDP that will take it (RFC 3261 §13.3.1.1).
    pub(crate) fn progress(&mut self, answer: &str, act: &mut Act<'_>) {
        if let State::Called { head } = &self.state {
            let writer = head.write(183, "Session Progress", Some(&self.leg.local_tag));
            self.send_sdp(writer, &[], answer, act);
        }
    }

    /// Takes the client's call with this SDP.
    pub(crate) fn accept(
        &mut self,
        answer: &str,
        headers: &[(Cow<'static, str>, String)],
        act: &mut Act<'_>,
    ) {
        let State::Called { head } = &self.state else {
            return;
        };
        let mut writer = head.write(200, "OK", Some(&self.leg.local_tag));
        if let Some(session) = &mut self.session {
            session.answer(self.asked, act.now.mono, &mut writer);
        }
        self.send_sdp(writer, headers, answer, act);
        self.state = State::Talking {
            unheard: Some(act.now.mono + limits::TRANSACTION_TIME),
        };
    }

    /// Ends it from our side, whatever its state. `refusal` is what a client hears whose call was not taken, `reason` (RFC 3326)
    /// stands in a BYE or CANCEL.
    pub(crate) fn end(&mut self, refusal: &Refusal, reason: &str, act: &mut Act<'_>) {
        self.keep_media(&refusal::ended(), act);
        match &mut self.state {
            State::Called { head } => {
                let answer = refusal.answer_later(head, &self.leg.local_tag);
                act.send(self.leg.connection, answer);
                self.state = State::Over;
            }
            State::Calling(calling) => {
                calling.cancelled.get_or_insert_with(|| Cancelled {
                    reason: reason.to_owned(),
                    is_sent: false,
                });
                self.send_cancel(act);
            }
            State::Talking { .. } => self.hang_up(reason, act),
            State::Planned => self.state = State::Over,
            State::Over => {}
        }
    }

    /// The client is gone: nothing can be sent to it any more.
    pub(crate) fn lose(&mut self) {
        self.state = State::Over;
    }

    /// The gateway agrees to the client's later offer.
    pub(crate) fn reanswer(&mut self, answer: &str, act: &mut Act<'_>) {
        let Some((head, asked)) = self.reoffer.take() else {
            return;
        };
        let mut writer = head.write(200, "OK", Some(&self.leg.local_tag));
        if let Some(session) = &mut self.session {
            session.answer(asked, act.now.mono, &mut writer);
            self.sdp = Some(answer.into());
        }
        writer
            .header("Contact", self.leg.contact())
            .header("Content-Type", "application/sdp");
        act.send(self.leg.connection, writer.finish_with(answer.as_bytes()));
    }

    /// The gateway does not agree, and the media go on as they were.
    pub(crate) fn keep_media(&mut self, refusal: &Refusal, act: &mut Act<'_>) {
        if let Some((head, _)) = self.reoffer.take() {
            let answer = refusal.answer_later(&head, &self.leg.local_tag);
            act.send(self.leg.connection, answer);
        }
    }

    /// Whether a later offer of the client's waits for the gateway.
    pub(crate) fn has_reoffered(&self) -> bool {
        self.reoffer.is_some()
    }

    /// The answer that a client may still wait for whose connection was lost, with the branch and sent-by of its INVITE.
    pub(crate) fn unheard(
        &self,
        connection: ConnectionId,
    ) -> Option<(Box<str>, Box<str>, Vec<u8>)> {
        let is_open = match &self.state {
            State::Called { .. } => true,
            State::Talking { unheard } => unheard.is_some(),
            State::Planned | State::Calling(_) | State::Over => false,
        };
        let initial = self.initial.as_ref()?;
        let head = self.first.as_ref()?;
        (is_open && self.leg.connection == connection).then(|| {
            (
                initial.sent_by.clone(),
                initial.branch.clone(),
                refusal::ended().answer_later(head, &self.leg.local_tag),
            )
        })
    }

    /// The client's CANCEL of the INVITE that it called us with.
    pub(crate) fn on_cancel(&mut self, request: &Request<'_>, act: &mut Act<'_>) -> Said {
        let tag = &self.leg.local_tag;
        let answer = MessageWriter::reply(request, 200, "OK", Some(tag)).finish();
        act.send(self.leg.connection, answer);
        let State::Called { head } = &self.state else {
            return Said::Nothing;
        };
        let answer = refusal::cancelled().answer_later(head, tag);
        act.send(self.leg.connection, answer);
        self.state = State::Over;
        Said::Cancelled
    }

    fn on_request(&mut self, request: &Request<'_>, act: &mut Act<'_>) -> Said {
        match request.method {
            Method::Ack => {
                if let State::Talking { unheard } = &mut self.state
                    && unheard.take().is_some()
                {
                    return Said::Acknowledges;
                }
                Said::Nothing
            }
            Method::Bye => {
                self.reply(request, 200, act);
                self.keep_media(&refusal::ended(), act);
                let was = std::mem::replace(&mut self.state, State::Over);
                match was {
                    State::Called { head } => {
                        // RFC 3261 §15 lets a caller end an early dialog so.
                        let answer = refusal::cancelled().answer_later(&head, &self.leg.local_tag);
                        act.send(self.leg.connection, answer);
                        Said::Cancelled
                    }
                    State::Talking { .. } => Said::HungUp,
                    State::Planned | State::Calling(_) | State::Over => Said::Nothing,
                }
            }
            Method::Invite => self.on_reinvite(request, act),
            Method::Update if request.body.is_empty() => self.accept_in_order(request, act),
            Method::Update => self.refuse(request, &refusal::offer_by_invite(), act),
            Method::Info | Method::Message | Method::Options => self.accept_in_order(request, act),
            Method::Refer => self.on_refer(request, act),
            Method::Notify if self.has_transfers() => {
                self.refuse(request, &refusal::no_subscription(), act)
            }
            Method::Cancel
            | Method::Register
            | Method::Prack
            | Method::Subscribe
            | Method::Notify
            | Method::Publish
            | Method::Other(_) => self.refuse(request, &refusal::method_in_dialog(), act),
        }
    }

    fn on_reinvite(&mut self, request: &Request<'_>, act: &mut Act<'_>) -> Said {
        if !self.is_talking() {
            return self.refuse(request, &refusal::no_such_call(), act);
        }
        if request.headers.cseq().number <= self.leg.remote_cseq {
            return self.refuse(request, &refusal::out_of_order(), act);
        }
        let asked = Asked::of(&request.headers);
        if self.session.is_some() && asked.is_too_brief() {
            return self.refuse(request, &refusal::session_too_brief(), act);
        }
        let session = self.session.as_ref();
        let refresh = session.and_then(|session| session.refresh.as_ref());
        if refresh.is_some_and(|refresh| refresh.invite.is_some()) {
            return self.refuse(request, &refusal::both_offer(), act);
        }
        if self.reoffer.is_some() {
            return self.refuse(request, &refusal::invite_pending(), act);
        }
        self.leg.remote_cseq = request.headers.cseq().number;
        let Ok(offer) = std::str::from_utf8(request.body) else {
            return self.refuse(request, &refusal::not_sdp(), act);
        };
        if offer.is_empty() {
            return self.refuse(request, &refusal::no_offer(), act);
        }
        self.refresh_target(&request.headers);
        self.reoffer = Some((ReplyHead::of(request), asked));
        Said::Reoffers(offer.into())
    }

    fn accept_in_order(&mut self, request: &Request<'_>, act: &mut Act<'_>) -> Said {
        if request.headers.cseq().number <= self.leg.remote_cseq {
            return self.refuse(request, &refusal::out_of_order(), act);
        }
        self.leg.remote_cseq = request.headers.cseq().number;
        match request.method == Method::Update {
            true => self.on_update(request, act),
            false => self.reply(request, 200, act),
        }
        Said::Nothing
    }

    fn reply(&self, request: &Request<'_>, status: u16, act: &mut Act<'_>) {
        let reason = sip::status::reason(status);
        let tag = Some(self.leg.local_tag.as_str());
        let answer = MessageWriter::reply(request, status, reason, tag).finish();
        act.send(self.leg.connection, answer);
    }

    pub(super) fn refuse(
        &self,
        request: &Request<'_>,
        refusal: &Refusal,
        act: &mut Act<'_>,
    ) -> Said {
        act.send(
            self.leg.connection,
            refusal.answer(request, &self.leg.local_tag),
        );
        Said::Nothing
    }

    /// What opens a dialog, from either side: these rows, and SDP.
    fn send_sdp(
        &mut self,
        mut writer: MessageWriter,
        headers: &[(Cow<'static, str>, String)],
        sdp: &str,
        act: &mut Act<'_>,
    ) {
        writer
            .header("Contact", self.leg.contact())
            .header("Allow", self.allow())
            .header("Content-Type", "application/sdp");
        for (name, value) in headers {
            writer.header(name, value);
        }
        if self.has_transfers() {
            writer.header("Supported", "replaces");
        }
        if self.session.is_some() {
            self.sdp = Some(sdp.into());
        }
        act.send(self.leg.connection, writer.finish_with(sdp.as_bytes()));
    }

    /// A request of ours inside the dialog.
    pub(super) fn send(&mut self, method: &str, reason: Option<&str>, act: &mut Act<'_>) {
        let branch = mint_branch(self.run, act.random);
        self.leg.cseq += 1;
        let hop = Hop {
            call_id: &self.call_id,
            branch: &branch,
            max_forwards: 70,
            target: None,
        };
        let mut writer = self.leg.request(method, self.leg.cseq, &hop);
        if let Some(reason) = reason {
            writer.header("Reason", reason);
        }
        act.send(self.leg.connection, writer.finish());
    }

    /// RFC 3261 §12.2: a target refresh names a new Contact.
    pub(super) fn refresh_target(&mut self, headers: &Headers<'_>) {
        if let Some(Contact::Address(address)) = headers.sole_contact() {
            self.leg.target = address.uri_text.into();
        }
    }
}
