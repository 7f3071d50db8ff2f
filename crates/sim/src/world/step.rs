//! One step: the next entry of the agenda, everything that it brings about, then the checks.

use model::ConnectionId;
use switch::Closing;

use super::{Client, Event, Sleeper, World};
use crate::browser::Happening;
use crate::check::Reading;
use crate::clock::{MILLI, Rank, SECOND};
use crate::faults::Cut;
use crate::ladder::Column;
use crate::net::{Payload, Way};
use crate::server::{Out, Word};

/// What a step was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// Something happened.
    Yes,
    /// A cue is due.
    Cue(u64),
    /// Nothing is left to happen, or the run went wrong.
    No,
}

impl World {
    /// Takes the next entry.
    pub fn step(&mut self) -> Stepped {
        loop {
            if self.fault.is_some() {
                return Stepped::No;
            }
            let Some((at, event)) = self.agenda.pop() else {
                return Stepped::No;
            };
            if let Event::Wake(who) = event
                && self.armed.get(&who).is_none_or(|(_, armed)| *armed != at)
            {
                continue;
            }
            self.count_step(at);
            if let Event::Cue(number) = event {
                return Stepped::Cue(number);
            }
            self.perform(event);
            return Stepped::Yes;
        }
    }

    /// Time that never moves on is a fault of its own.
    fn count_step(&mut self, at: u64) {
        const MOST_AT_ONE_INSTANT: u64 = 100_000;
        if at > self.micros() {
            self.steps_at_instant = 0;
        }
        self.clock.advance(at);
        self.steps += 1;
        self.steps_at_instant += 1;
        if self.steps_at_instant > MOST_AT_ONE_INSTANT {
            self.fail("time stands still: somebody wants to be woken at once, again and again");
        }
    }

    fn perform(&mut self, event: Event) {
        match event {
            Event::Wake(who) => self.wake(who),
            Event::Connect(connection) => self.connect(connection),
            Event::Opened(connection) => self.is_opened(connection),
            Event::Refused(connection) => self.drop_client_end(connection, Happening::Refused),
            Event::ToServer(connection, payload) => self.at_server(connection, payload),
            Event::ToClient(connection, payload) => self.at_client(connection, payload),
            Event::ServerNotices(connection) => self.server_loses(connection, false),
            Event::ClientNotices(connection) => {
                self.drop_client_end(connection, Happening::Lost);
            }
            Event::Written(node, boot, record) => {
                if self.servers[node].boot == boot {
                    self.servers[node].book.records.insert(record.id, *record);
                }
            }
            Event::Vanish(node, boot) => {
                if self.servers[node].boot == boot {
                    self.kill(node);
                }
            }
            Event::Start(node) => {
                if !self.servers[node].is_up {
                    self.start_server(node);
                }
            }
            Event::Told(node, boot, shard, word) => {
                if self.servers[node].boot == boot && self.servers[node].is_up {
                    let now = self.now();
                    self.servers[node].told(now, shard, *word);
                    self.settle(node);
                }
            }
            Event::Parcel(parcel) => self.deliver(parcel),
            Event::Post(post) => self.on_post(post),
            Event::Cue(_) => {}
        }
    }

    fn wake(&mut self, who: Sleeper) {
        self.armed.remove(&who);
        let now = self.now();
        match who {
            Sleeper::Client(client) => self.tell(client, Happening::Timeout),
            Sleeper::Shard(node, shard) => {
                self.servers[node].wake_shard(now, shard);
                self.settle(node);
            }
            Sleeper::Flow(connection) => {
                let Some(node) = self.net.link(connection).map(|link| link.node) else {
                    return;
                };
                self.servers[node].wake_flow(now, connection);
                self.settle(node);
                self.arm_flow(node, connection);
            }
            Sleeper::Socket(session) => self.wake_socket(session),
            Sleeper::Relay(node, worker) => self.wake_relay(node, worker),
            Sleeper::Stranger(number) => self.wake_stranger(number),
            Sleeper::Gateway(node) => self.wake_gateway(node),
            Sleeper::Line(line) => self.wake_line(line),
            Sleeper::Phone(phone) => self.wake_phone(phone),
        }
    }

    fn connect(&mut self, connection: ConnectionId) {
        let (now, micros) = (self.now(), self.micros());
        let Some(link) = self.net.link_mut(connection) else {
            return;
        };
        if !link.carrying || !link.client_up {
            return;
        }
        if micros < self.away_until[link.client] {
            // No network: the attempt fails by itself.
            link.carrying = false;
            self.agenda.at(
                micros + 100 * MILLI,
                Rank::Usual,
                Event::Refused(connection),
            );
            return;
        }
        let node = link.node;
        // A server that is drained takes back those whose sockets were lost, and nobody new.
        let is_full = self.draining[node] && !link.offers;
        let is_open = self.servers[node].is_up && !self.stopping[node] && !is_full;
        let answer = if is_open {
            link.server_up = true;
            link.boot = self.servers[node].boot;
            link.resumes = self.servers[node].accept(now, connection, link.offers);
            self.arm_flow(node, connection);
            Event::Opened(connection)
        } else {
            Event::Refused(connection)
        };
        let at = self.net.arrival(connection, Way::Down, self.micros());
        self.agenda.at(at, Rank::Usual, answer);
    }

    fn at_server(&mut self, connection: ConnectionId, payload: Payload) {
        let (now, micros) = (self.now(), self.micros());
        let Some(link) = self.net.link(connection).cloned() else {
            return;
        };
        let ends = (Column::Client(link.client), Column::Server(link.node));
        let mut arrives = link.carrying && link.server_up;
        if let Payload::Text(frame) = &payload {
            if arrives && let Some(loss) = self.faults.boundary(&mut self.fate) {
                self.strike(connection, loss);
                arrives = false;
            }
            self.trace
                .message(micros, ends, connection, frame, !arrives);
        }
        if !arrives {
            return;
        }
        match payload {
            Payload::Text(frame) => self.read(link.node, connection, &frame),
            Payload::Pong => self.servers[link.node].pong(now, connection),
            Payload::Ping => {}
            Payload::Close => self.server_loses(connection, true),
        }
        self.arm_flow(link.node, connection);
    }

    fn read(&mut self, node: usize, link: ConnectionId, frame: &[u8]) {
        let now = self.now();
        if let Some((connection, message)) = self.servers[node].receive(now, link, frame) {
            let link = self.net.link(link);
            let client = link.map(|link| &self.clients[link.client]);
            let reading = Reading {
                connection,
                from_browser: matches!(client, Some(Client::Browser(_))),
                frame: message.clone(),
            };
            let of = link.and_then(|link| link.session);
            let given = self.transcripts.server_is_given(connection, of, &message);
            self.blame(given);
            let mut checker = std::mem::take(&mut self.checkers[node]);
            checker.reads(&self.scene(node), reading);
            self.checkers[node] = checker;
            self.servers[node].message(now, connection, &message);
        }
        self.settle(node);
    }

    pub(super) fn server_loses(&mut self, connection: ConnectionId, by_goodbye: bool) {
        if let Some(node) = self.lose(connection, by_goodbye) {
            self.settle(node);
        }
    }

    /// The server's end is gone.
    fn lose(&mut self, connection: ConnectionId, by_goodbye: bool) -> Option<usize> {
        let now = self.now();
        let link = self.net.link_mut(connection)?;
        if !std::mem::replace(&mut link.server_up, false) {
            return None;
        }
        let node = link.node;
        self.trace.note(
            self.clock.micros(),
            Column::Server(node),
            &format!("#{} is gone", connection.0),
        );
        self.servers[node].lost(now, connection, by_goodbye);
        Some(node)
    }

    /// Performs what a server does until it does nothing more, then checks.
    pub(super) fn settle(&mut self, node: usize) {
        while let Some(out) = self.servers[node].poll_out() {
            self.put_out(node, out);
        }
        for shard in 0..self.servers[node].shard_count() {
            let due = self.servers[node].shard_timeout(shard);
            let late = self.faults.lateness(&mut self.fate);
            self.arm(Sleeper::Shard(node, shard), due, late);
        }
        let due = self.gateways[node].poll_timeout();
        self.arm(Sleeper::Gateway(node), due, 0);
        for touched in self.servers[node].take_touched() {
            self.arm_flow(node, touched);
        }
        self.check(node);
    }

    fn put_out(&mut self, node: usize, out: Out) {
        let micros = self.micros();
        match out {
            Out::Message { session, message } => {
                let mut checker = std::mem::take(&mut self.checkers[node]);
                checker.sends(&self.scene(node), session, &message);
                self.checkers[node] = checker;
                self.transcripts.server_hands(session, &message);
                if self.packets.plan.is_some()
                    && let Ok(parsed) = sip::parse(&message)
                {
                    self.reach.sends(session, &parsed);
                }
            }
            Out::Line {
                connection,
                message,
            } => self.line_is_given(connection, &message),
            Out::Frame { link, frame } => {
                if self.net.link(link).is_some_and(|link| link.server_up) {
                    self.send_down(node, link, frame);
                }
            }
            Out::Ping(link) => self.down(link, Payload::Ping),
            Out::Close { link, why, at_once } => self.server_closes(node, link, why, at_once),
            Out::Opened(session) => self.note(node, session, "begins"),
            Out::Suspended(session) => {
                self.note(node, session, "waits");
                self.transcripts.suspends(session, micros);
            }
            Out::Resumed { session, link } => {
                self.note(node, session, &format!("goes on as #{}", link.0));
                let of = self.net.link(link).and_then(|link| link.session);
                let result = self.transcripts.resumes(session, of);
                self.blame(result);
            }
            Out::Dismissed { session, why } => {
                self.transcripts.is_dismissed(session);
                self.checkers[node].dismisses(session, why);
            }
            Out::Ended { session, ending } => {
                self.note(node, session, &format!("ends: {ending:?}"));
                self.checkers[node].loses(session);
                let result = self.transcripts.ends(session, ending, micros);
                self.blame(result);
            }
            Out::Turn(change) => self.turn_changes(node, &change),
            Out::Media(command) => {
                self.trace
                    .note(micros, Column::Server(node), &format!("media: {command:?}"));
                self.gateways[node].command(micros, command);
            }
            Out::Ask(shard, request) => {
                let note = format!("asks {}", request.page.url);
                self.trace.note(micros, Column::Server(node), &note);
                let (after, answer) = self.webhooks.ask(micros, &request);
                self.tell_shard(node, shard, after, Word::Page(request.id, answer));
            }
            Out::Bring(shard, request) => {
                let (after, answer) = self.webhooks.bring(&request);
                self.tell_shard(node, shard, after, Word::Sound(request.id, answer));
            }
            Out::Record(record) => self.keep(node, record),
            Out::Member(_) => self.fail("a server that is alone speaks to others"),
        }
    }

    fn keep(&mut self, node: usize, record: Box<model::CallRecord>) {
        let micros = self.micros();
        self.checkers[node].records(&record);
        self.record_of_trunks(&record);
        let after = self.faults.record_delay(&mut self.fate);
        let at = (micros + after).max(self.written_at[node]);
        self.written_at[node] = at;
        let boot = self.servers[node].boot;
        self.agenda
            .at(at, Rank::Wake, Event::Written(node, boot, record));
    }

    fn tell_shard(&mut self, node: usize, shard: usize, after: u64, word: Word) {
        let boot = self.servers[node].boot;
        let told = Event::Told(node, boot, shard, Box::new(word));
        self.agenda.at(self.micros() + after, Rank::Usual, told);
    }

    pub(super) fn wake_gateway(&mut self, node: usize) {
        let now = self.now();
        for event in self.gateways[node].wake(now.mono.as_micros()) {
            if self.servers[node].is_up {
                let shard = usize::from(event.leg().session.shard());
                self.servers[node].told(now, shard, Word::Media(event));
            }
        }
        self.settle(node);
    }

    fn note(&mut self, node: usize, session: ConnectionId, what: &str) {
        let note = format!("session {} {what}", session.0);
        self.trace
            .note(self.clock.micros(), Column::Server(node), &note);
    }

    fn server_closes(&mut self, node: usize, link: ConnectionId, why: Closing, at_once: bool) {
        if !self.net.link(link).is_some_and(|link| link.server_up) {
            return;
        }
        let note = format!("#{} closed: {}", link.0, why.reason);
        self.trace
            .note(self.clock.micros(), Column::Server(node), &note);
        self.down(link, Payload::Close);
        if at_once {
            self.lose(link, false);
        } else {
            // The session ends when its client has answered, or does not; until then it still reads.
            let after = self.fate.between(0, SECOND);
            self.agenda.at(
                self.micros() + after,
                Rank::Usual,
                Event::ServerNotices(link),
            );
        }
    }

    fn send_down(&mut self, node: usize, connection: ConnectionId, message: Vec<u8>) {
        if let Some(loss) = self.faults.boundary(&mut self.fate) {
            self.strike(connection, loss);
        }
        let carries = self
            .net
            .link(connection)
            .is_some_and(|link| link.carrying && link.client_up);
        if !carries && self.servers[node].stall(connection) {
            self.lose(connection, false);
            return;
        }
        self.down(connection, Payload::Text(message));
    }

    fn down(&mut self, connection: ConnectionId, payload: Payload) {
        let at = self.net.arrival(connection, Way::Down, self.micros());
        self.agenda
            .at(at, Rank::Usual, Event::ToClient(connection, payload));
    }

    fn at_client(&mut self, connection: ConnectionId, payload: Payload) {
        let micros = self.micros();
        let Some(link) = self.net.link(connection).cloned() else {
            return;
        };
        let ends = (Column::Server(link.node), Column::Client(link.client));
        let mut arrives = link.carrying && link.client_up;
        if let Payload::Text(frame) = &payload {
            if arrives && let Some(loss) = self.faults.boundary(&mut self.fate) {
                self.strike(connection, loss);
                arrives = false;
            }
            self.trace
                .message(micros, ends, connection, frame, !arrives);
        }
        if !arrives {
            return;
        }
        match payload {
            Payload::Text(frame) => self.frame_comes(connection, &frame),
            Payload::Ping => {
                let at = self.net.arrival(connection, Way::Up, micros);
                self.agenda
                    .at(at, Rank::Usual, Event::ToServer(connection, Payload::Pong));
            }
            Payload::Pong => {}
            Payload::Close => {
                let at = self.net.arrival(connection, Way::Up, micros);
                self.agenda
                    .at(at, Rank::Usual, Event::ToServer(connection, Payload::Close));
                self.drop_client_end(connection, Happening::Lost);
            }
        }
    }

    pub(super) fn tell_client(&mut self, connection: ConnectionId, what: Happening<'_>) {
        let Some(client) = self.net.link(connection).map(|link| link.client) else {
            return;
        };
        if self.sockets[client] == Some(connection) {
            self.tell(client, what);
        }
    }

    pub(super) fn tell(&mut self, client: usize, what: Happening<'_>) {
        let now = self.micros();
        if let Client::Hostile(hostile) = &mut self.clients[client] {
            hostile.overhear(&self.rumours);
            let spent = self.resuming.values().filter_map(|r| r.spent().cloned());
            hostile.pick_up(spent);
        }
        self.clients[client].handle(now, what);
        self.serve(client);
    }

    fn drop_client_end(&mut self, connection: ConnectionId, what: Happening<'_>) {
        let Some(link) = self.net.link_mut(connection) else {
            return;
        };
        link.client_up = false;
        let (client, session) = (link.client, link.session);
        if let Some(session) = session {
            self.link_is_gone(session, connection);
        } else if self.sockets[client] == Some(connection) {
            self.sockets[client] = None;
            self.tell(client, what);
        }
    }

    pub(super) fn arm_flow(&mut self, node: usize, connection: ConnectionId) {
        let due = self.servers[node].flow_timeout(connection);
        self.arm(Sleeper::Flow(connection), due, 0);
    }

    /// The process is gone: its connections break.
    pub(super) fn kill(&mut self, node: usize) {
        self.trace
            .note(self.clock.micros(), Column::Server(node), "is gone");
        self.servers[node].vanish();
        self.checkers[node].vanishes();
        self.transcripts.vanishes(node);
        self.vanish_relays(node);
        self.vanish_lines(node);
        self.gateways[node].vanish();
        for connection in self.net.at_server(node) {
            if let Some(link) = self.net.link_mut(connection) {
                link.server_up = false;
            }
            self.cut_connection(
                connection,
                Cut {
                    client_after: 5 * MILLI,
                    server_after: None,
                },
            );
        }
    }

    fn check(&mut self, node: usize) {
        let mut checker = std::mem::take(&mut self.checkers[node]);
        let (now, micros) = (self.now(), self.micros());
        let mut result = checker
            .settles(&self.scene(node))
            .and_then(|()| self.servers[node].check(now))
            .and_then(|()| self.transcripts.check(micros));
        if result.is_ok() && checker.reference.take_changed() {
            result = self.compare(node, &mut checker);
        }
        if self.packets.plan.is_some() {
            let (faults, late) = (self.relay_faults, self.faults.late_wake);
            self.reach.slack = late + faults.late_recheck;
            self.reach.over(micros, &checker.take_ended());
        }
        self.checkers[node] = checker;
        if let Err(sentence) = result {
            self.fail(sentence);
        }
    }

    /// The server's list of registered clients and the reference's must be the same.
    fn compare(&self, node: usize, checker: &mut crate::check::Checker) -> Result<(), String> {
        let slack = self.faults.late_wake + 2 * MILLI;
        for account in 0..self.authority.accounts() {
            let (wanted, open) = checker.reference.registered(account, self.micros(), slack);
            let found: Vec<_> = self.servers[node]
                .clients(account, self.now())
                .into_iter()
                .map(|found| (found.client.to_string(), found.last_modified, found.expires))
                .filter(|(client, _, _)| !open.contains(client))
                .collect();
            if found != wanted {
                return Err(format!(
                    "account {account} has {found:?} registered and should have {wanted:?}"
                ));
            }
        }
        Ok(())
    }
}
