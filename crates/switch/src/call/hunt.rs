//! A call that one of several clients is to answer: who rings beside the callee, who is told to stop, and who may ring next.
//!
//! One of them is always the call's callee, so that everything else of a call need not know of the others, the [`Rival`]s:
//! they ring and stop, and whoever answers becomes the callee. Knows nothing of registrations: where the next one is to be
//! found is the shard's to say, whenever the call [is vacant](Call::is_vacant).

use std::collections::VecDeque;
use std::time::Duration;

use model::{Callee, ClientId, ConnectionId, Instant, RelayUsage, limits};
use sip::{Method, Request, Response};

use super::exchange::{Cancelling, Exchange, Progress};
use super::leg::{self, Leg};
use super::setup::{Invitation, callee_leg};
use super::teardown::Unwanted;
use super::{Act, Call, End, Phase, pass};
use crate::effect::Counter;
use crate::location::Binding;

/// Existing clients are told so when somebody else has answered (RFC 3326 §2).
const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";
const NEXT: &str = "SIP;cause=487;text=\"another client is called now\"";
pub(super) const UNANSWERED: &str = "no client of the service answered in time";
const SILENT: &str = "SIP;cause=487;text=\"no answer came in time\"";

/// What a call needs until somebody has answered it, and everybody else has stopped ringing.
#[derive(Debug)]
pub(crate) struct Hunt {
    invite: Kept,
    /// The callee's client.
    client: ClientId,
    /// What was relayed for it: the call's own once it has answered.
    usage: RelayUsage,
    /// Who has not been rung, the next one first.
    waiting: VecDeque<ClientId>,
    /// How long each rings; none where all ring at once, for as long as the call is set up.
    each: Option<Duration>,
    /// When the callee has rung for so long.
    next_at: Option<Instant>,
    rivals: Vec<Rival>,
    /// Whether somebody was there and took no call.
    was_busy: bool,
    /// Whether somebody rang and has not answered.
    was_unanswered: bool,
    vacancy: Option<Vacancy>,
    /// Connections that have nothing of the call any more.
    left: Vec<ConnectionId>,
}

/// One who rings beside the callee, or has been told to stop.
#[derive(Debug)]
struct Rival {
    client: ClientId,
    usage: RelayUsage,
    leg: Leg,
    exchange: Exchange,
}

/// The callee will not answer, and somebody else is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Vacancy {
    /// It has refused.
    Refused,
    /// It may still answer, and would be sent away.
    Stopped,
}

/// The caller's INVITE, for those who ring later.
#[derive(Debug)]
struct Kept {
    display: Box<str>,
    max_forwards: u8,
    rows: Vec<(Box<str>, Box<str>)>,
    body: Box<[u8]>,
}

impl Hunt {
    /// `client` rings first; `waiting`: who may ring after it, each for `each`.
    pub(crate) fn new(
        request: &Request<'_>,
        client: ClientId,
        waiting: VecDeque<ClientId>,
        each: Option<Duration>,
    ) -> Self {
        let mut rows = Vec::new();
        pass::each(&request.headers, |name, value| {
            rows.push((name.into(), value.to_string().into()));
        });
        Self {
            invite: Kept {
                display: leg::display_of(request).into(),
                max_forwards: leg::one_hop_less(request),
                rows,
                body: request.body.into(),
            },
            client,
            usage: RelayUsage::default(),
            waiting,
            each,
            next_at: None,
            rivals: Vec::new(),
            was_busy: false,
            was_unanswered: false,
            vacancy: None,
            left: Vec::new(),
        }
    }

    /// The callee has begun to ring.
    pub(super) fn begins(&mut self, act: &Act<'_>) {
        self.vacancy = None;
        self.next_at = self.each.map(|each| act.now.mono + each);
    }

    /// A connection is another one from now on. Says whether somebody rings there.
    pub(super) fn rename(&mut self, from: ConnectionId, to: ConnectionId) -> bool {
        let mut is_there = false;
        for rival in &mut self.rivals {
            if rival.leg.connection == from {
                rival.leg.connection = to;
                is_there = true;
            }
        }
        for left in self.left.iter_mut().filter(|left| **left == from) {
            *left = to;
        }
        is_there
    }

    pub(super) fn deadlines(&self) -> impl Iterator<Item = Instant> {
        let rivals = self.rivals.iter().map(|rival| rival.exchange.deadline);
        rivals.chain(self.next_at)
    }

    fn at(&self, leg_tag: &str) -> Option<usize> {
        let mut rivals = self.rivals.iter();
        rivals.position(|rival| rival.leg.local_tag == leg_tag)
    }
}

impl Call {
    /// Whether somebody is wanted in the callee's place.
    pub(crate) fn is_vacant(&self) -> bool {
        let hunt = self.hunt.as_ref();
        hunt.is_some_and(|hunt| hunt.vacancy.is_some()) && !self.is_over()
    }

    /// Whom to try next.
    pub(crate) fn next_client(&mut self) -> Option<ClientId> {
        self.hunt.as_mut()?.waiting.pop_front()
    }

    /// Somebody who might have rung has another call.
    pub(crate) fn note_busy(&mut self) {
        if let Some(hunt) = &mut self.hunt {
            hunt.was_busy = true;
        }
    }

    /// Whether this tag of ours is a rival's.
    pub(crate) fn has_rival(&self, leg_tag: &str) -> bool {
        let hunt = self.hunt.as_ref();
        hunt.is_some_and(|hunt| hunt.at(leg_tag).is_some())
    }

    /// Connections that ring for it or rang, beside the callee's.
    pub(crate) fn rival_connections(&self) -> impl Iterator<Item = ConnectionId> {
        let rivals = self.hunt.iter().flat_map(|hunt| &hunt.rivals);
        rivals.map(|rival| rival.leg.connection)
    }

    /// Whether somebody beside the callee rings on this connection, or has not read that it need not any more.
    pub(super) fn has_rival_ringing_at(&self, connection: ConnectionId) -> bool {
        let mut rivals = self.hunt.iter().flat_map(|hunt| &hunt.rivals);
        rivals.any(|rival| {
            let rings = rival.exchange.is_waiting() || rival.exchange.is_unread();
            rings && rival.leg.connection == connection
        })
    }

    /// Connections that have nothing of the call since this was last asked.
    pub(crate) fn take_left(&mut self) -> Vec<ConnectionId> {
        let Some(hunt) = &mut self.hunt else {
            return Vec::new();
        };
        let mut left = std::mem::take(&mut hunt.left);
        let is_done = hunt.rivals.is_empty() && !matches!(self.phase, Phase::Setup { .. });
        let own = self.connections();
        left.retain(|gone| !own.contains(gone) && !self.rival_connections().any(|is| is == *gone));
        if is_done {
            self.hunt = None;
        }
        left
    }

    /// Rings a client: in the callee's place if that is vacant, else beside it.
    pub(crate) fn ring(&mut self, client: &ClientId, binding: &Binding, act: &mut Act<'_>) {
        if self.is_vacant() {
            self.ring_instead(client, binding, act);
        } else {
            self.ring_beside(client, binding, act);
        }
    }

    fn ring_instead(&mut self, client: &ClientId, binding: &Binding, act: &mut Act<'_>) {
        let Some(at) = self.initial() else { return };
        let Some((leg, exchange)) = self.invite(client, binding, act) else {
            return;
        };
        let Some(hunt) = &mut self.hunt else { return };
        let old = Rival {
            client: std::mem::replace(&mut hunt.client, client.clone()),
            usage: std::mem::take(&mut hunt.usage),
            leg: std::mem::replace(&mut self.callee, leg),
            exchange: std::mem::replace(&mut self.exchanges[at], exchange),
        };
        let vacancy = hunt.vacancy;
        hunt.begins(act);
        match vacancy {
            Some(Vacancy::Stopped) => hunt.rivals.push(old.stopped(act)),
            Some(Vacancy::Refused) | None => self.part(&old, act),
        }
    }

    fn ring_beside(&mut self, client: &ClientId, binding: &Binding, act: &mut Act<'_>) {
        let Some((leg, exchange)) = self.invite(client, binding, act) else {
            return;
        };
        if let Some(hunt) = &mut self.hunt {
            hunt.rivals.push(Rival {
                client: client.clone(),
                usage: RelayUsage::default(),
                leg,
                exchange,
            });
        }
    }

    /// Nobody is left who could take the vacant place: the caller is told.
    pub(crate) fn exhaust(&mut self, act: &mut Act<'_>) {
        let Some(hunt) = &mut self.hunt else { return };
        let vacancy = hunt.vacancy.take();
        let end = match (hunt.was_unanswered, hunt.was_busy) {
            (true, _) => End::server(480, UNANSWERED),
            (false, true) => End::callee(486, "every client of the service is busy"),
            (false, false) => End::callee(480, "no client of the service takes the call"),
        };
        let Some(at) = self.initial() else { return };
        self.refuse_asker(at, &end.refusal(), act);
        if vacancy == Some(Vacancy::Refused) {
            self.close(at);
        }
        self.finish(end, act);
    }

    /// The callee has refused a call that others may take.
    pub(super) fn on_declined(&mut self, at: usize, status: u16, act: &mut Act<'_>) {
        if let Some(hunt) = &mut self.hunt {
            hunt.was_busy |= is_busy(status);
        }
        self.give_way(at, Vacancy::Refused, act);
    }

    /// The callee says nothing at all: another is tried.
    pub(super) fn on_callee_silent(&mut self, at: usize, act: &mut Act<'_>) {
        self.exchanges[at].withdraw(&self.callee, &self.call_id, SILENT, act);
        self.give_way(at, Vacancy::Stopped, act);
    }

    /// The callee has rung for its time: another is tried, if there is one.
    pub(super) fn on_ring_time(&mut self, act: &mut Act<'_>) {
        let now = act.now.mono;
        let is_due = |hunt: &Hunt| hunt.next_at.is_some_and(|at| at <= now);
        if !self.hunt.as_deref().is_some_and(is_due) {
            return;
        }
        let Some(hunt) = &mut self.hunt else { return };
        hunt.next_at = None;
        if hunt.waiting.is_empty() {
            self.hang_up(End::server(480, UNANSWERED), act);
        } else if let Some(at) = self.initial() {
            self.exchanges[at].cancel(&self.callee, &self.call_id, NEXT.to_owned(), act);
            self.give_way(at, Vacancy::Stopped, act);
        }
    }

    /// The connection of one who rings is lost while others may answer. Says whether the call goes on without it.
    pub(super) fn on_ringing_lost(&mut self, connection: ConnectionId, act: &mut Act<'_>) -> bool {
        if self.caller.connection == connection {
            return false;
        }
        let Some(hunt) = &mut self.hunt else {
            return false;
        };
        for rival in &mut hunt.rivals {
            if rival.leg.connection == connection {
                hunt.was_unanswered |= rival.exchange.is_waiting();
                // It may have answered, and says so again on its next connection.
                rival.stop(act);
            }
        }
        match (self.callee.connection == connection, self.phase) {
            (true, Phase::Setup { .. }) => {
                if let Some(at) = self.initial() {
                    self.give_way(at, Vacancy::Stopped, act);
                }
                true
            }
            (is_callee, _) => !is_callee,
        }
    }

    /// Somebody else has the place of a callee that will not answer: one who rings already, or whom the shard brings.
    fn give_way(&mut self, at: usize, vacancy: Vacancy, act: &mut Act<'_>) {
        let Some(hunt) = &mut self.hunt else { return };
        hunt.was_unanswered |= vacancy == Vacancy::Stopped;
        let ringing = hunt
            .rivals
            .iter()
            .position(|rival| rival.exchange.is_waiting());
        let Some(ringing) = ringing else {
            hunt.vacancy = Some(vacancy);
            return;
        };
        self.swap(at, ringing);
        let Some(hunt) = &mut self.hunt else { return };
        match vacancy {
            Vacancy::Stopped => hunt.rivals[ringing].stop(act),
            Vacancy::Refused => {
                let old = hunt.rivals.swap_remove(ringing);
                self.part(&old, act);
            }
        }
    }

    /// A response of one who rings beside the callee, or did.
    pub(crate) fn on_rival_response(
        &mut self,
        leg_tag: &str,
        connection: ConnectionId,
        response: &Response<'_>,
        act: &mut Act<'_>,
    ) {
        let Some(hunt) = &mut self.hunt else { return };
        let Some(number) = hunt.at(leg_tag) else {
            return;
        };
        let rival = &mut hunt.rivals[number];
        // Answers to our CANCEL and BYE ask for nothing more.
        if response.headers.cseq().method != Method::Invite
            || response.headers.via().branch() != Some(rival.exchange.branch.as_str())
        {
            return;
        }
        let is_at_home = rival.leg.connection == connection;
        let may_win = rival.exchange.is_waiting() && is_at_home;
        match response.status {
            ..200 if is_at_home => {
                rival
                    .exchange
                    .on_provisional(&rival.leg, &self.call_id, act);
                if let Phase::Setup { until } = self.phase
                    && rival.exchange.is_waiting()
                {
                    rival.exchange.deadline = until;
                    self.on_ringing(response, act);
                }
            }
            200..300 if may_win => {
                if let Some(at) = self.initial() {
                    self.swap(at, number);
                    self.on_setup_response(at, response, act);
                }
            }
            200..300 => {
                rival.exchange.cancelling = Cancelling::No;
                rival.exchange.deadline = act.now.mono + limits::TRANSACTION_TIME;
                self.send_away(number, connection, response, act);
            }
            300.. if is_at_home => {
                rival
                    .exchange
                    .ack_refusal(&rival.leg, &self.call_id, response, act);
                hunt.was_busy |= is_busy(response.status) && rival.exchange.is_waiting();
                let gone = hunt.rivals.swap_remove(number);
                self.part(&gone, act);
            }
            _ => {}
        }
    }

    /// A rival has answered too late.
    fn send_away(
        &self,
        number: usize,
        connection: ConnectionId,
        response: &Response<'_>,
        act: &mut Act<'_>,
    ) {
        let Some(hunt) = &self.hunt else { return };
        let rival = &hunt.rivals[number];
        let reason = match self.phase {
            Phase::Live { .. } => ELSEWHERE.to_owned(),
            Phase::Setup { .. } => NEXT.to_owned(),
            Phase::Over { .. } => self.reason_of_end(),
        };
        let unwanted = Unwanted {
            leg: &rival.leg,
            exchange: &rival.exchange,
            connection,
            reason,
        };
        unwanted.hang_up(self.key, &self.call_id, response, act);
    }

    /// Somebody has answered: the others need not ring any more.
    pub(super) fn on_won(&mut self, act: &mut Act<'_>) {
        let Some(hunt) = &mut self.hunt else { return };
        hunt.waiting.clear();
        self.record.relay[1] = std::mem::take(&mut hunt.usage);
        if let Callee::Service { client, .. } = &mut self.record.callee {
            *client = Some(hunt.client.clone());
        }
        self.stop_rivals(ELSEWHERE, act);
    }

    /// Nobody need ring any more beside the callee.
    pub(super) fn stop_rivals(&mut self, reason: &str, act: &mut Act<'_>) {
        let Some(hunt) = &mut self.hunt else { return };
        hunt.next_at = None;
        hunt.vacancy = None;
        // Whoever has won has taken it already.
        count_lost(std::mem::take(&mut hunt.usage), act);
        for rival in &mut hunt.rivals {
            if rival.exchange.is_waiting() {
                let (leg, exchange) = (&rival.leg, &mut rival.exchange);
                exchange.cancel(leg, &self.call_id, reason.to_owned(), act);
                rival.stop(act);
            }
        }
    }

    /// What is due of the others.
    pub(super) fn on_rivals_due(&mut self, act: &mut Act<'_>) {
        let now = act.now.mono;
        let Some(hunt) = &mut self.hunt else { return };
        let mut gone = Vec::new();
        for mut rival in std::mem::take(&mut hunt.rivals) {
            let was_waiting = rival.exchange.is_waiting();
            let is_wanted = matches!(rival.exchange.cancelling, Cancelling::Wanted(_));
            if now < rival.exchange.deadline {
                hunt.rivals.push(rival);
            } else if was_waiting || is_wanted {
                hunt.was_unanswered |= was_waiting;
                let (leg, exchange) = (&rival.leg, &mut rival.exchange);
                exchange.withdraw(leg, &self.call_id, SILENT, act);
                rival.stop(act);
                hunt.rivals.push(rival);
            } else {
                gone.push(rival);
            }
        }
        for rival in gone {
            self.part(&rival, act);
        }
    }

    /// A relay tells what it did for one of those who ring: it is the call's if that one answers.
    pub(super) fn on_hunt_usage(
        &mut self,
        connection: ConnectionId,
        usage: RelayUsage,
        act: &mut Act<'_>,
    ) {
        let is_callee = self.callee.connection == connection;
        let Some(hunt) = self.hunt.as_mut().filter(|_| self.record.outcome.is_none()) else {
            return count_lost(usage, act);
        };
        let mut rivals = hunt.rivals.iter_mut();
        let rival = rivals.find(|rival| rival.leg.connection == connection);
        match rival {
            _ if is_callee => hunt.usage = hunt.usage.plus(usage),
            Some(rival) => rival.usage = rival.usage.plus(usage),
            None => count_lost(usage, act),
        }
    }

    /// The last chance to take back what was never read.
    pub(super) fn withdraw_rivals(&mut self, act: &mut Act<'_>) {
        let Some(hunt) = &mut self.hunt else { return };
        count_lost(hunt.usage, act);
        for rival in &mut hunt.rivals {
            count_lost(rival.usage, act);
            if matches!(rival.exchange.cancelling, Cancelling::Wanted(_)) {
                rival.exchange.withdraw(&rival.leg, &self.call_id, "", act);
            }
        }
    }

    /// An INVITE to one more client.
    fn invite(
        &mut self,
        client: &ClientId,
        binding: &Binding,
        act: &mut Act<'_>,
    ) -> Option<(Leg, Exchange)> {
        let Phase::Setup { until } = self.phase else {
            return None;
        };
        let initial = &self.exchanges[self.initial()?];
        let hunt = self.hunt.as_ref()?;
        let (caller, display) = (&self.record.caller, &hunt.invite.display);
        let leg = callee_leg(self.key, caller, display, client, binding, act);
        let branch = leg::mint_branch(self.key, act.random);
        let unheard = until.min(act.now.mono + limits::TRANSACTION_TIME);
        let exchange = initial.beside(&leg, branch, unheard);
        self.reach.tell_also(self.key, leg.connection, act);
        let invitation = Invitation {
            call_id: &self.call_id,
            leg: &leg,
            branch: &exchange.branch,
            max_forwards: hunt.invite.max_forwards,
            body: &hunt.invite.body,
        };
        let message = invitation.write(|writer| {
            for (name, value) in &hunt.invite.rows {
                writer.header(name, value);
            }
        });
        act.send(leg.connection, message);
        Some((leg, exchange))
    }

    /// The callee and a rival take each other's places.
    fn swap(&mut self, at: usize, rival: usize) {
        let Some(hunt) = &mut self.hunt else { return };
        let rival = &mut hunt.rivals[rival];
        std::mem::swap(&mut self.callee, &mut rival.leg);
        std::mem::swap(&mut hunt.client, &mut rival.client);
        std::mem::swap(&mut hunt.usage, &mut rival.usage);
        std::mem::swap(&mut self.exchanges[at], &mut rival.exchange);
    }

    /// Somebody has nothing of the call any more.
    fn part(&mut self, gone: &Rival, act: &mut Act<'_>) {
        let connection = gone.leg.connection;
        count_lost(gone.usage, act);
        if let Some(hunt) = &mut self.hunt {
            hunt.left.push(connection);
        }
        let is_here = self.connections().contains(&connection)
            || self.rival_connections().any(|is| is == connection);
        if !is_here {
            self.reach.end_for(self.key, connection, act);
        }
    }
}

impl Rival {
    /// It need not ring any more; a late answer of its is sent away.
    fn stop(&mut self, act: &Act<'_>) {
        self.exchange.progress = Progress::Abandoned;
        self.exchange.deadline = act.now.mono + limits::TRANSACTION_TIME;
    }

    fn stopped(mut self, act: &Act<'_>) -> Self {
        self.stop(act);
        self
    }
}

/// What was relayed for somebody who did not get the call is in no record.
fn count_lost(usage: RelayUsage, act: &mut Act<'_>) {
    if !usage.is_empty() {
        act.count(Counter::RelayUsageLate);
    }
}

/// Whether a client was there and did not want to talk.
fn is_busy(status: u16) -> bool {
    matches!(status, 486 | 600 | 603)
}
