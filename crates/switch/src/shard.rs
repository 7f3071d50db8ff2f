//! A shard: everything about its accounts that is shared between connections.
//!
//! One input, then every effect, then the next input. One owner for bindings and calls, so that
//! "the newest instance wins" and "both sides hang up" are plain code. Never blocks, never fails.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use model::{
    AccountId, ClientId, ConnectionId, Instant, NodeNumber, Now, RelayUsage, ServiceName, Trunk,
    limits,
};
use sip::{Capabilities, Message, Method, Request, Response};

use crate::application::{Conferences, Going, Run, asker};
use crate::call::{Act, Call, CallKey, Side, read_branch};
use crate::capabilities;
use crate::cluster::{Homes, Looks};
use crate::connection::{Connection, UserAgent};
use crate::domain::Domain;
use crate::effect::{Counter, Effect};
use crate::input::{Input, Snapshot};
use crate::location::Location;
use crate::options;
use crate::orphan::Orphans;
use crate::random::Random;
use crate::refusal::{self, Refusal};
use crate::resume::Moves;
use crate::table::{Keyed, Table};
use crate::timer::{Due, Timers};
use crate::token::Remembered;

/// See the module.
#[derive(Debug)]
pub struct Shard {
    pub(crate) number: u16,
    pub(crate) node: NodeNumber,
    /// The other nodes that are there, and whether they can be reached now.
    pub(crate) others: Arc<[NodeNumber]>,
    pub(crate) has_bus: bool,
    pub(crate) looks: Looks,
    pub(crate) moves: Moves,
    pub(crate) homes: Homes,
    /// Connections that were ours and are another node's now, whose relayed media may still be ours.
    pub(crate) left_behind: Vec<(ConnectionId, ConnectionId)>,
    pub(crate) snapshot: Arc<Snapshot>,
    /// As those of the snapshot that it began with, where their names lead now.
    pub(crate) trunks: Arc<[(ConnectionId, Arc<Trunk>)]>,
    pub(crate) random: Random,
    pub(crate) connections: Table<ConnectionId, Connection>,
    pub(crate) per_account: BTreeMap<AccountId, usize>,
    /// The newest connection of each user agent.
    pub(crate) user_agents: Table<Arc<UserAgent>, ConnectionId>,
    pub(crate) location: Location,
    pub(crate) orphans: Orphans,
    pub(crate) remembered: Remembered,
    pub(crate) calls: BTreeMap<CallKey, Call>,
    /// Calls to applications, by keys of the same series.
    pub(crate) runs: BTreeMap<CallKey, Run>,
    pub(crate) going: Going,
    pub(crate) conferences: Conferences,
    /// Of services whose clients ring in turn: who was the first for the call before.
    pub(crate) rung_first: BTreeMap<(AccountId, ServiceName), ClientId>,
    /// Calls that have ended, the first one first; some may be forgotten already.
    ended: VecDeque<CallKey>,
    pub(crate) next_call: u64,
    pub(crate) timers: Timers,
    pub(crate) effects: VecDeque<Effect>,
    pub(crate) stopping: bool,
}

/// What a call is for others.
#[derive(Clone, Copy)]
struct Standing {
    is_over: bool,
    concerns_callee: bool,
}

impl Standing {
    fn of(call: &Call) -> Self {
        Self {
            is_over: call.is_over(),
            concerns_callee: call.concerns_callee(),
        }
    }
}

impl Shard {
    /// An empty shard. Its number is in what it names towards the gateway; its randomness comes from `seed`.
    pub fn new(number: u16, seed: [u8; 32], snapshot: Arc<Snapshot>) -> Self {
        let mut random = Random::new(seed);
        Self {
            number,
            node: NodeNumber::ALONE,
            others: Arc::default(),
            has_bus: false,
            looks: Looks::default(),
            moves: Moves::default(),
            homes: Homes::default(),
            left_behind: Vec::new(),
            location: Location::new(Keyed::new(&mut random)),
            trunks: Arc::clone(&snapshot.settings.trunks),
            snapshot,
            connections: Table::with_hasher(Keyed::new(&mut random)),
            per_account: BTreeMap::new(),
            user_agents: Table::with_hasher(Keyed::new(&mut random)),
            orphans: Orphans::new(Keyed::new(&mut random)),
            remembered: Remembered::new(Keyed::new(&mut random)),
            calls: BTreeMap::new(),
            runs: BTreeMap::new(),
            going: Going::default(),
            conferences: Conferences::default(),
            rung_first: BTreeMap::new(),
            ended: VecDeque::new(),
            next_call: 1,
            timers: Timers::default(),
            effects: VecDeque::new(),
            stopping: false,
            random,
        }
    }

    /// Takes one input. Drain the effects before the next.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        match input {
            Input::Message {
                connection,
                account,
                message,
                ice_servers,
            } => {
                self.on_message(now, connection, account, message, ice_servers);
            }
            Input::Relayed {
                connection,
                call,
                usage,
            } => self.on_relayed(now, connection, CallKey(call), usage),
            Input::Lost { connection } => self.on_connection_lost(now, connection, None),
            Input::Expired { connection, waited } => {
                self.on_connection_lost(now, connection, Some(waited));
            }
            Input::Media(event) => self.on_media(now, event),
            Input::Page { id, answer } => {
                self.drive_run(now, asker(id), |run, act| run.on_page(id, answer, act));
            }
            Input::Sound { id, answer } => {
                self.drive_run(now, asker(id), |run, act| run.on_sound(id, answer, act));
            }
            Input::Start(start) => self.start(now, start),
            Input::Interrupt {
                account,
                instance,
                redirect,
            } => self.interrupt(now, account, instance, redirect),
            Input::Control {
                account,
                id,
                control,
            } => self.control(now, account, id, control),
            Input::Trunk(line, trunk) => self.on_trunk(line, trunk),
            Input::Leaving { connection } => self.on_leaving(now, connection),
            Input::Leaves {
                connection,
                to,
                moving,
            } => self.on_leaves(now, connection, to, moving),
            Input::Told { from, word } => self.on_told(now, from, word),
            Input::Published {
                node,
                account,
                client,
                bindings,
            } => self.on_published(now, node, account, client, bindings),
            Input::Found { look, found } => self.on_found(now, look, found),
            Input::Severed(node) => self.on_severed(now, node),
            Input::Reach { nodes, has_bus } => self.on_reach(now, nodes, has_bus),
            Input::Snapshot(snapshot) => self.on_snapshot(now, snapshot),
            Input::Timeout => self.on_timeout(now),
            Input::Drain { resumable } => self.on_drain(now, resumable),
            Input::Stop => self.on_stop(now),
        }
    }

    /// The next thing to do, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        let effect = self.effects.pop_front()?;
        Some(self.addressed(effect))
    }

    /// When `Input::Timeout` is wanted.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first()
    }

    pub(crate) fn act(&mut self, now: Now) -> Act<'_> {
        Act {
            now,
            random: &mut self.random,
            effects: &mut self.effects,
            has_relay: self.snapshot.settings.turn.is_some(),
        }
    }

    /// A tag for an answer that opens no dialog.
    pub(crate) fn plain_tag(&mut self) -> String {
        format!("{:016x}", self.random.bits())
    }

    pub(crate) fn account_of_host(&self, host: &str) -> Option<AccountId> {
        let key = Domain::parse(host, &self.snapshot.settings).access_key()?;
        self.snapshot
            .directory
            .by_access_key(key)
            .map(|account| account.id)
    }

    pub(crate) fn calls_of(&self, connection: ConnectionId) -> impl Iterator<Item = &Call> {
        let keys = self
            .connections
            .get(&connection)
            .map_or(&[][..], |known| &known.calls);
        keys.iter().filter_map(|key| self.calls.get(key))
    }

    pub(crate) fn on_message(
        &mut self,
        now: Now,
        connection: ConnectionId,
        account: AccountId,
        message: &Message<'_>,
        ice_servers: Option<&str>,
    ) {
        if self.pass_on(connection, account, message) {
            return;
        }
        match message {
            Message::Request(request) if !self.is_own(connection) => {
                self.on_request(now, connection, account, request, message, None);
            }
            Message::Request(request) => {
                if self.introduce(now, connection, account, request) {
                    self.on_request(now, connection, account, request, message, ice_servers);
                }
            }
            Message::Response(_) if self.is_dismissed(connection) => {}
            Message::Response(response) => {
                self.on_response(now, connection, account, response, message);
            }
        }
    }

    /// What a connection may ask for.
    fn capabilities(&self, connection: ConnectionId) -> &'static Capabilities {
        match self.trunk_of(connection) {
            Some(_) => &capabilities::TRUNKS,
            None => &capabilities::CLIENTS,
        }
    }

    fn on_request(
        &mut self,
        now: Now,
        connection: ConnectionId,
        account: AccountId,
        request: &Request<'_>,
        message: &Message<'_>,
        ice_servers: Option<&str>,
    ) {
        if request.method == Method::Cancel {
            self.on_cancel(now, connection, request);
        } else if let Err(screened) = sip::screen(request, self.capabilities(connection)) {
            self.refuse(now, connection, request, &refusal::screened(screened));
        } else if let Some(tag) = request.headers.to().tag() {
            self.on_dialog_request(now, connection, tag, request, message);
        } else {
            match request.method {
                Method::Register if self.trunk_of(connection).is_some() => {
                    self.refuse(now, connection, request, &refusal::trunk_registers());
                }
                Method::Register => self.on_register(account, connection, request, now),
                Method::Invite => self.on_invite(account, connection, request, now),
                Method::Options => {
                    let tag = self.plain_tag();
                    let answer = options::answer(request, &tag, ice_servers);
                    self.act(now).send(connection, answer);
                }
                Method::Bye => self.refuse(now, connection, request, &refusal::no_such_call()),
                Method::Ack
                | Method::Cancel
                | Method::Info
                | Method::Message
                | Method::Update
                | Method::Prack
                | Method::Subscribe
                | Method::Notify
                | Method::Publish
                | Method::Refer
                | Method::Other(_) => {
                    self.refuse(now, connection, request, &refusal::method_outside_dialog());
                }
            }
        }
    }

    fn on_dialog_request(
        &mut self,
        now: Now,
        connection: ConnectionId,
        tag: &str,
        request: &Request<'_>,
        message: &Message<'_>,
    ) {
        let found = self.read_tag(tag).filter(|(key, side)| {
            self.calls
                .get(key)
                .is_some_and(|call| call.leg(*side).owns(connection, request))
        });
        match found {
            Some((key, side)) => {
                self.drive(now, key, |call, act| call.on_message(side, message, act));
            }
            None if let Some(party) = self.run_of(connection, tag, request) => {
                self.on_run_message(now, party, message);
            }
            None => {
                self.act(now).count(Counter::RequestStray);
                self.refuse(now, connection, request, &refusal::no_such_call());
            }
        }
    }

    /// A CANCEL has the branch of the request that it means (RFC 3261 §9.1).
    fn on_cancel(&mut self, now: Now, connection: ConnectionId, request: &Request<'_>) {
        let meant = self.connections.get(&connection).and_then(|known| {
            let has_seen = |key: &CallKey| match self.calls.get(key) {
                Some(call) => call.has_seen(connection, request),
                None => {
                    let run = self.runs.get(key);
                    run.is_some_and(|run| run.has_seen(connection, request))
                }
            };
            known.calls.iter().copied().find(has_seen)
        });
        match meant {
            Some(key) if self.runs.contains_key(&key) => {
                self.drive_run(now, key, |run, act| run.on_cancel(request, act));
            }
            Some(key) => self.drive(now, key, |call, act| {
                call.on_cancel(connection, request, act)
            }),
            None => {
                self.act(now).count(Counter::RequestStray);
                self.refuse(now, connection, request, &refusal::nothing_to_cancel());
            }
        }
    }

    /// A response answers a request of ours, or nothing.
    fn on_response(
        &mut self,
        now: Now,
        connection: ConnectionId,
        account: AccountId,
        response: &Response<'_>,
        message: &Message<'_>,
    ) {
        if let Some(party) = self.run_answered(connection, response) {
            return self.on_run_message(now, party, message);
        }
        let Some((key, ours)) = self.answered(response) else {
            return self.act(now).count(Counter::ResponseStray);
        };
        let call = &self.calls[&key];
        let tag = response.headers.from().tag().unwrap_or_default();
        if call.has_rival(tag) && call.record().account == account {
            self.drive(now, key, |call, act| {
                call.on_rival_response(tag, connection, response, act);
            });
        } else if call.leg(ours).connection == connection {
            self.drive(now, key, |call, act| call.on_message(ours, message, act));
        } else if call.record().account == account && (200..300).contains(&response.status) {
            self.drive(now, key, |call, act| {
                call.on_stray_answer(ours, connection, response, act);
            });
        } else {
            self.act(now).count(Counter::ResponseStray);
        }
    }

    /// The call whose branch and tag a response bears, and the side that was asked.
    fn answered(&self, response: &Response<'_>) -> Option<(CallKey, Side)> {
        let branch = response.headers.via().branch().unwrap_or_default();
        let key = read_branch(branch)?;
        let tag = response.headers.from().tag()?;
        let (tagged, ours) = self.read_tag(tag)?;
        let call = self.calls.get(&key).filter(|_| tagged == key)?;
        let is_ours = tag == call.leg(ours).local_tag || call.has_rival(tag);
        is_ours.then_some((key, ours))
    }

    pub(crate) fn refuse(
        &mut self,
        now: Now,
        connection: ConnectionId,
        request: &Request<'_>,
        refusal: &Refusal,
    ) {
        if request.method == Method::Ack {
            return;
        }
        let tag = self.plain_tag();
        self.act(now)
            .send(connection, refusal.answer(request, &tag));
    }

    /// Lets a call act, then moves its timer to where it now belongs.
    pub(crate) fn drive(
        &mut self,
        now: Now,
        key: CallKey,
        step: impl FnOnce(&mut Call, &mut Act<'_>),
    ) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let before = call.deadline();
        let mut act = Act {
            now,
            random: &mut self.random,
            effects: &mut self.effects,
            has_relay: self.snapshot.settings.turn.is_some(),
        };
        let was = Standing::of(call);
        step(call, &mut act);
        self.timers
            .shift(Due::Call(key), Some(before), Some(call.deadline()));
        self.after_step(now, key, was);
    }

    /// What a step of a call has changed for others.
    fn after_step(&mut self, now: Now, key: CallKey, was: Standing) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let (left, is_over) = (call.take_left(), call.is_over());
        for left in left {
            self.part(left, key);
        }
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        if !was.is_over && is_over {
            self.ended.push_back(key);
        }
        // What lingers is not to be walked through at each call that the same client gets.
        let [caller, callee] = call.connections();
        if was.concerns_callee
            && !call.concerns_callee()
            && caller != callee
            && let Some(known) = self.connections.get_mut(&callee)
        {
            known.calls.retain(|known| *known != key);
        }
        if call.is_vacant() {
            self.fill(now, key);
        }
    }

    /// A run has ended; it lingers as calls do.
    pub(crate) fn note_ended(&mut self, key: CallKey) {
        self.ended.push_back(key);
    }

    /// Whether there is room for one more call. Those that have ended and linger give theirs up, the oldest first: what may
    /// still come late for them is worth less than a call.
    pub(crate) fn has_room(&mut self, now: Now) -> bool {
        self.has_room_for(now, 1)
    }

    /// Whether there is room for so many.
    pub(crate) fn has_room_for(&mut self, now: Now, calls: usize) -> bool {
        while self.calls.len() + self.runs.len() + calls > limits::CALLS {
            let Some(key) = self.ended.pop_front() else {
                return false;
            };
            self.forget_ended(now, key);
        }
        true
    }

    /// A relay tells what it did for one side of a call.
    pub(crate) fn on_relayed(
        &mut self,
        now: Now,
        connection: ConnectionId,
        key: CallKey,
        usage: RelayUsage,
    ) {
        let connection = self.moves.resolve(connection);
        if self.runs.contains_key(&key) {
            return self.drive_run(now, key, |run, act| {
                run.on_relayed_usage(connection, usage, act);
            });
        }
        let Some(call) = self.calls.get_mut(&key) else {
            self.act(now).count(Counter::RelayUsageLate);
            return;
        };
        let mut act = Act {
            now,
            random: &mut self.random,
            effects: &mut self.effects,
            has_relay: true,
        };
        call.on_relayed_usage(connection, usage, &mut act);
    }

    fn on_timeout(&mut self, now: Now) {
        self.remembered.forget_expired(now.unix);
        while let Some((_, due)) = self.timers.pop(now.mono) {
            match due {
                Due::Client(account, client) => {
                    let (again, has_ended) = self.location.on_due(account, &client, now.mono);
                    if has_ended {
                        self.publish(account, &client);
                    }
                    self.timers.shift(Due::Client(account, client), None, again);
                }
                Due::Call(key) => self.on_call_due(now, key),
                Due::Look(look) => self.on_found(now, look, &[]),
                Due::Orphan => {
                    self.orphans.forget_ended(now.mono);
                    self.forget_heard(now);
                    self.timers
                        .shift(Due::Orphan, None, self.orphans.first_end());
                }
            }
        }
    }

    fn on_call_due(&mut self, now: Now, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else {
            return self.on_run_due(now, key);
        };
        let mut act = Act {
            now,
            random: &mut self.random,
            effects: &mut self.effects,
            has_relay: self.snapshot.settings.turn.is_some(),
        };
        let was = Standing::of(call);
        if call.on_deadline(&mut act) {
            return self.forget_ended(now, key);
        }
        self.timers
            .shift(Due::Call(key), None, Some(call.deadline()));
        self.after_step(now, key, was);
    }

    /// Nothing more is absorbed for a call.
    fn forget_ended(&mut self, now: Now, key: CallKey) {
        let Some(call) = self.calls.get(&key) else {
            self.forget_run(now, key);
            return;
        };
        // A caller that has not acknowledged its end by now may have lost its connection unnoticed.
        let [caller, _] = call.connections();
        if let Some((sent_by, orphan)) = call.unheard(caller, now) {
            self.keep_orphan(now, caller, &sent_by, orphan);
        }
        self.forget_call(key);
        let is_gone = |key: &CallKey| !self.calls.contains_key(key) && !self.runs.contains_key(key);
        while self.ended.pop_front_if(|key| is_gone(key)).is_some() {}
    }

    fn forget_call(&mut self, key: CallKey) {
        let Some(call) = self.calls.remove(&key) else {
            return;
        };
        self.timers
            .shift(Due::Call(key), Some(call.deadline()), None);
        self.forget_home(&call);
        for connection in call
            .connections()
            .into_iter()
            .chain(call.rival_connections())
        {
            self.part(connection, key);
        }
    }
}
