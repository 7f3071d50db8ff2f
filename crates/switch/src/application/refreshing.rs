//! A dialog whose session somebody must refresh (RFC 4028): by UPDATE, or by a re-INVITE with the same SDP where the other side knows
//! none (RFC 3311).
//!
//! What is agreed on `session_timer` knows; that a session is over is the run's to act on.

use std::time::Duration;

use sip::{MessageWriter, Method, Request, Response};

use super::dialog::{Dialog, Said, State};
use super::run::Run;
use super::session_timer::{Asked, Due, Refresh, SessionTimer};
use crate::call::{Act, Hop, mint_branch};
use crate::refusal;

impl Dialog {
    /// Its session is to be refreshed, this often; `called`: by the INVITE that has opened it.
    pub(crate) fn timed(mut self, lasts: Option<Duration>, called: Option<&Request<'_>>) -> Self {
        self.session = lasts.map(SessionTimer::new);
        self.asked = called
            .map(|request| Asked::of(&request.headers))
            .unwrap_or_default();
        self
    }

    /// When [`on_session_due`](Self::on_session_due) is wanted.
    pub(super) fn session_deadline(&self) -> Option<model::Instant> {
        self.session.as_ref()?.deadline()
    }

    /// The session is to be refreshed, or is over.
    pub(crate) fn on_session_due(&mut self, act: &mut Act<'_>) -> Said {
        let session = self
            .session
            .as_mut()
            .filter(|_| matches!(self.state, State::Talking { .. }));
        let Some(session) = session else {
            return Said::Nothing;
        };
        match session.due(act.now.mono) {
            None => {}
            Some(Due::Over) => return Said::Lapses,
            // Two offers at a time would be one too many (RFC 3261 §14.1).
            Some(Due::Refresh) if session.needs_invite && self.reoffer.is_some() => {
                session.put_off(act.now.mono);
            }
            Some(Due::Refresh) => self.refresh_session(act),
        }
        Said::Nothing
    }

    fn refresh_session(&mut self, act: &mut Act<'_>) {
        let branch = mint_branch(self.run, act.random);
        let Some(session) = &mut self.session else {
            return;
        };
        self.leg.cseq += 1;
        let is_invite = session.needs_invite;
        let method = if is_invite { "INVITE" } else { "UPDATE" };
        session.refresh = Some(Refresh {
            branch: branch.clone(),
            invite: is_invite.then_some(self.leg.cseq),
        });
        let hop = Hop {
            call_id: &self.call_id,
            branch: &branch,
            max_forwards: 70,
            target: None,
        };
        let mut writer = self.leg.request(method, self.leg.cseq, &hop);
        writer.header("Contact", self.leg.contact());
        session.ask(&mut writer);
        let message = match &self.sdp {
            Some(sdp) if is_invite => {
                writer.header("Content-Type", "application/sdp");
                writer.finish_with(sdp.as_bytes())
            }
            Some(_) | None => writer.finish(),
        };
        act.send(self.leg.connection, message);
    }

    /// Whether this answers our refresh.
    pub(super) fn is_refresh(&self, response: &Response<'_>) -> bool {
        let refresh = self
            .session
            .as_ref()
            .and_then(|session| session.refresh.as_ref());
        refresh.is_some_and(|refresh| {
            response.headers.via().branch() == Some(&*refresh.branch)
                && matches!(
                    response.headers.cseq().method,
                    Method::Invite | Method::Update
                )
        })
    }

    pub(super) fn on_refreshed(&mut self, response: &Response<'_>, act: &mut Act<'_>) -> Said {
        if response.status < 200 {
            return Said::Nothing;
        }
        let refresh = self
            .session
            .as_mut()
            .and_then(|session| session.refresh.take());
        if let Some(Refresh {
            invite: Some(cseq),
            branch,
        }) = refresh
        {
            self.acknowledge(cseq, (response.status >= 300).then_some(&*branch), act);
        }
        if !self.is_talking() {
            return Said::Nothing;
        }
        let Some(session) = &mut self.session else {
            return Said::Nothing;
        };
        match response.status {
            ..300 => {
                session.on_accepted(&response.headers, act.now.mono);
                self.refresh_target(&response.headers);
            }
            422 if session.raise(&response.headers) => self.refresh_session(act),
            405 | 501 if !session.needs_invite && self.sdp.is_some() => {
                session.needs_invite = true;
                if self.reoffer.is_some() {
                    session.put_off(act.now.mono);
                } else {
                    self.refresh_session(act);
                }
            }
            // It knows of no such call, or does not hear us any more (§10).
            408 | 481 => return Said::Lapses,
            _ => session.put_off(act.now.mono),
        }
        Said::Nothing
    }

    /// The client's UPDATE without SDP: it says that the session goes on, or where it is now.
    pub(super) fn on_update(&mut self, request: &Request<'_>, act: &mut Act<'_>) {
        let tag = Some(self.leg.local_tag.as_str());
        let asked = Asked::of(&request.headers);
        let mut writer = MessageWriter::reply(request, 200, "OK", tag);
        writer.header("Contact", self.leg.contact());
        if let Some(session) = self.session.as_mut() {
            if asked.is_too_brief() {
                self.refuse(request, &refusal::session_too_brief(), act);
                return;
            }
            session.answer(asked, act.now.mono, &mut writer);
        }
        let answer = writer.finish();
        self.refresh_target(&request.headers);
        act.send(self.leg.connection, answer);
    }

    /// A 422 to our first INVITE. Says whether it is sent again.
    pub(super) fn asks_for_longer(&mut self, response: &Response<'_>, act: &mut Act<'_>) -> bool {
        let is_wanted =
            matches!(&self.state, State::Calling(calling) if calling.cancelled.is_none());
        let Some(session) = self.session.as_mut().filter(|_| is_wanted) else {
            return false;
        };
        if !session.raise(&response.headers) {
            return false;
        }
        let Some((headers, offer)) = self.opening.take() else {
            return false;
        };
        self.leg.cseq += 1;
        self.leg.remote_tag = None;
        self.invite(&headers, &offer, act);
        true
    }
}

impl Run {
    /// The sessions of those whom the caller is connected to.
    pub(super) fn refresh_callees(&mut self, act: &mut Act<'_>) {
        let connecting = self.connecting.iter_mut();
        let called = connecting.flat_map(|connecting| &mut connecting.called);
        let said: Vec<_> = called
            .map(|called| (called.place, called.dialog.on_session_due(act)))
            .collect();
        for (place, said) in said {
            self.on_callee_said(place, said, act);
        }
    }
}
