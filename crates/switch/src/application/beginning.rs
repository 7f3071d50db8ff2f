//! What a run begins with, and its first step.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use model::media::{LegId, LegKind, MediaCommand, Sdp, SessionId};
use model::{CallRecord, Instant};

use super::dialog::Dialog;
use super::instance;
use super::plan::Plan;
use super::questions::Questions;
use super::run::{CALLER, Run};
use super::script::Script;
use super::transfer::Transfers;
use crate::call::{Act, CallKey, Phase};
use crate::effect::Counter;

/// What its application is told of a run all the time.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) service: Box<str>,
    /// Whether the application has begun the call. Its caller is the one that it called, then.
    pub(crate) is_outgoing: bool,
    /// Who calls.
    pub(crate) from: Box<str>,
    /// Whom that one has called.
    pub(crate) to: Box<str>,
    /// JSON.
    pub(crate) parameters: Option<Arc<str>>,
}

/// What a run begins with.
pub(crate) struct Beginning {
    pub(crate) key: CallKey,
    pub(crate) shard: u16,
    pub(crate) plan: Plan,
    pub(crate) dialog: Dialog,
    /// What the caller speaks.
    pub(crate) kind: LegKind,
    pub(crate) about: About,
    /// The caller's, if it is one that calls.
    pub(crate) offer: Option<Sdp>,
    /// Rows of the INVITE, if it is one that is called.
    pub(crate) headers: Vec<(Cow<'static, str>, String)>,
    /// What the first page is told.
    pub(crate) token: Option<String>,
    pub(crate) record: CallRecord,
    /// How long it may leave its caller without an answer.
    pub(crate) until: Instant,
    pub(crate) is_strangers: bool,
}

impl Run {
    /// Asks the application's first page, or the gateway for an offer to whom it calls.
    pub(crate) fn begin(beginning: Beginning, act: &mut Act<'_>) -> Self {
        let Beginning {
            key,
            shard,
            plan,
            dialog,
            kind,
            about,
            offer,
            headers,
            token,
            record,
            until,
            is_strangers,
        } = beginning;
        let secret = match &plan {
            Plan::Application(application) => Some(application.secret.clone()),
            Plan::Secondary(_) | Plan::Ring(_) | Plan::Connect(_) => None,
        };
        let session = SessionId::of_shard(shard, key.0);
        let leg = LegId {
            session,
            place: CALLER,
        };
        let instance = instance::name(shard, key, record.id);
        act.count(Counter::CallRouted);
        act.record(&record);
        let mut run = Self {
            key,
            session,
            account: record.account,
            is_strangers,
            script: Script::new(leg, plan, record.id.to_string(), Questions::of(key), token),
            instance,
            secret,
            caller: dialog,
            kind,
            about,
            offer,
            early: None,
            onward: None,
            headers,
            phase: Phase::Setup { until },
            record,
            connecting: None,
            leaving: Vec::new(),
            secondary: None,
            past: VecDeque::new(),
            first: CALLER,
            last_place: CALLER,
            transfers: Transfers::default(),
            wishes: VecDeque::new(),
            reached: Vec::new(),
            left: Vec::new(),
            reach_ends: None,
            bye_due: None,
        };
        if run.about.is_outgoing {
            let kind = run.kind.clone();
            run.tell_gateway(MediaCommand::Offer { leg, kind }, act);
        } else {
            run.script.begin(act.now.mono);
        }
        run.perform(act);
        run
    }
}
