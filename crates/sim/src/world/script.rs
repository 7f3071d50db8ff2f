//! What whoever drives a world can do: bring clients in, let time pass, act as operator.

use std::time::Duration;

use model::{CallRecord, FileName, Page, Start};
use switch::{Control, ControlFault, StartFault};

use super::{Client, Event, World};
use crate::authority::Wish;
use crate::browser::{Browser, Happening};
use crate::clock::{Rank, SECOND};
use crate::gateway::Gateway;
use crate::hostile::Hostile;
use crate::ladder::Column;
use crate::raw::Raw;
use crate::world::step::Stepped;

impl World {
    /// Opens a page; nothing happens until its app does something.
    pub fn add_browser(&mut self, account: usize, client: &str) -> usize {
        let browser = Browser::new(client, account, self.random.fork());
        let at = self.add(account, client, Client::Browser(Box::new(browser)));
        self.resumes[at] = self.pages_resume;
        at
    }

    /// Lets a page's sockets resume their sessions, or not; tell it before the first is opened.
    pub fn set_resumes(&mut self, page: usize, resumes: bool) {
        self.resumes[page] = resumes;
    }

    /// Adds a scripted client.
    pub fn add_raw(&mut self, account: usize, name: &str) -> usize {
        self.add(account, name, Client::Raw(Raw::default()))
    }

    /// Adds one that means harm.
    pub fn add_hostile(&mut self, account: usize, name: &str) -> usize {
        let now = self.micros();
        let mut hostile = Hostile::new(now, account, self.random.fork());
        for victim in 0..self.authority.accounts() {
            let unix = self.now().unix;
            let own = self
                .authority
                .token(victim, &Wish::all("mallory").ttl(600), unix);
            hostile.loot(own);
        }
        let at = self.add(account, name, Client::Hostile(Box::new(hostile)));
        self.serve(at);
        at
    }

    fn add(&mut self, account: usize, name: &str, client: Client) -> usize {
        self.clients.push(client);
        self.names.push(name.to_owned());
        self.accounts.push(account);
        self.sockets.push(None);
        self.resumes.push(false);
        self.away_until.push(0);
        self.clients.len() - 1
    }

    /// How many clients there are.
    pub fn client_count(&self) -> usize {
        self.clients.len()
    }

    /// The account of a client.
    pub fn account_of(&self, client: usize) -> usize {
        self.accounts[client]
    }

    /// A client that is a browser.
    pub fn browser(&self, client: usize) -> Option<&Browser> {
        match &self.clients[client] {
            Client::Browser(browser) => Some(browser),
            Client::Raw(_) | Client::Hostile(_) => None,
        }
    }

    /// A client that is scripted.
    pub fn raw(&self, client: usize) -> Option<&Raw> {
        match &self.clients[client] {
            Client::Raw(raw) => Some(raw),
            Client::Browser(_) | Client::Hostile(_) => None,
        }
    }

    /// Lets the app of a browser do something.
    pub fn app<T>(&mut self, client: usize, act: impl FnOnce(&mut Browser, u64) -> T) -> Option<T> {
        let now = self.micros();
        let Client::Browser(browser) = &mut self.clients[client] else {
            return None;
        };
        let result = act(browser, now);
        self.serve(client);
        Some(result)
    }

    /// Lets a scripted client do something.
    pub fn script(&mut self, client: usize, act: impl FnOnce(&mut Raw)) {
        if let Client::Raw(raw) = &mut self.clients[client] {
            act(raw);
            self.serve(client);
        }
    }

    /// An application begins a call; its `application_instance_id`, or why it does not.
    pub fn begin_call(&mut self, start: Start) -> Result<String, StartFault> {
        let now = self.now();
        let started = self.servers[0].begin_call(now, start);
        self.settle(0);
        started
    }

    /// Names of an account's calls that go on.
    pub fn going_calls(&self, account: usize) -> Vec<String> {
        self.servers[0].going_calls(account)
    }

    /// Why what an account did to one of its calls came to nothing.
    pub fn control_fault(&self, account: usize, id: &str) -> Option<String> {
        self.servers[0].control_fault(account, id)
    }

    /// An account does something to one of its calls; the file of a recording, or why it cannot be done.
    pub fn control(
        &mut self,
        account: usize,
        id: &str,
        control: &Control,
    ) -> Result<Option<FileName>, ControlFault> {
        let now = self.now();
        let done = self.servers[0].control(now, account, id, control);
        self.settle(0);
        done
    }

    /// An account interrupts an application.
    pub fn interrupt(&mut self, account: usize, instance: &str, redirect: Option<Page>) {
        let now = self.now();
        self.servers[0].interrupt(now, account, instance, redirect);
        self.settle(0);
    }

    /// The peer of a leg at the first server's gateway does something.
    pub fn gateway(&mut self, act: impl FnOnce(&mut Gateway, u64)) {
        let now = self.micros();
        act(&mut self.gateways[0], now);
        self.wake_gateway(0);
    }

    /// Issues a token.
    pub fn token(&mut self, account: usize, wish: &Wish) -> String {
        let now = self.now().unix;
        self.authority.token(account, wish, now)
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.micros() + u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.run_to(until);
    }

    /// Lets time pass until an instant.
    pub fn run_to(&mut self, until: u64) {
        while self.agenda.next_due().is_some_and(|due| due <= until) {
            if self.step() == Stepped::No {
                break;
            }
        }
        self.clock.advance(until);
    }

    /// Lets time pass until something holds; says whether it came to hold within `limit`.
    pub fn run_until(&mut self, limit: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let until = self.micros() + u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
        while !holds(self) {
            if self.agenda.next_due().is_none_or(|due| due > until) || self.step() == Stepped::No {
                return holds(self);
            }
        }
        true
    }

    /// Tells every server what the store now holds.
    pub fn publish(&mut self) {
        for node in 0..self.servers.len() {
            self.publish_to(node);
        }
    }

    fn publish_to(&mut self, node: usize) {
        if !self.servers[node].is_up {
            return;
        }
        let now = self.now();
        let (snapshot, view) = self.authority.publish();
        let checker = &mut self.checkers[node];
        let accounts: Vec<_> = self.servers[node]
            .sessions()
            .into_iter()
            .filter(|connection| {
                let reference = &checker.reference;
                let has_call = checker.has_call(*connection);
                let account = reference.account(*connection);
                let shown = &reference.shown;
                account.is_some_and(|account| !view.is_active(account))
                    || shown.must_end(&self.authority, &view, *connection, has_call)
            })
            .collect();
        checker.ends_calls(|connection| accounts.contains(&connection));
        checker.reference.view_changes(&view);
        self.trace
            .note(self.clock.micros(), Column::Server(node), "new snapshot");
        self.servers[node].publish(now, snapshot, view);
        self.settle(node);
    }

    /// Tells a server that it will stop, and how many calls still go on there. To be said again each second.
    pub fn drain_server(&mut self, node: usize) -> usize {
        let now = self.now();
        self.trace
            .note(self.clock.micros(), Column::Server(node), "is drained");
        self.draining[node] = true;
        self.servers[node].drain(now);
        self.settle(node);
        self.servers[node].calls()
    }

    /// Tells a server to stop; it is gone a second later and comes back after `away`, if at all.
    pub fn stop_server(&mut self, node: usize, away: Option<Duration>) {
        if !self.servers[node].is_up || self.stopping[node] {
            return;
        }
        let (now, micros) = (self.now(), self.micros());
        self.trace.note(micros, Column::Server(node), "stops");
        self.stopping[node] = true;
        self.checkers[node].ends_calls(|_| true);
        self.servers[node].stop(now);
        self.settle(node);
        self.stop_lines(node);
        let boot = self.servers[node].boot;
        self.agenda
            .at(micros + SECOND, Rank::Usual, Event::Vanish(node, boot));
        self.come_back(node, SECOND, away);
    }

    /// Kills a server without a word.
    pub fn crash_server(&mut self, node: usize, away: Option<Duration>) {
        if self.servers[node].is_up {
            // What was not written yet is lost with the process.
            self.servers[node].boot += 1;
            self.kill(node);
            self.come_back(node, 0, away);
        }
    }

    fn come_back(&mut self, node: usize, after: u64, away: Option<Duration>) {
        if let Some(away) = away {
            let away = u64::try_from(away.as_micros()).unwrap_or(u64::MAX);
            let at = self.micros() + after + away;
            self.agenda.at(at, Rank::Usual, Event::Start(node));
        }
    }

    /// Every client leaves: pages are closed, scripts end.
    pub fn everybody_leaves(&mut self) {
        for client in 0..self.clients.len() {
            match &mut self.clients[client] {
                Client::Browser(browser) => browser.reload(),
                Client::Raw(raw) => raw.close(),
                Client::Hostile(hostile) => hostile.leave(),
            }
            self.serve(client);
        }
    }

    /// Closes the page of one client, without a goodbye.
    pub fn close_page(&mut self, client: usize) {
        self.app(client, |browser, _| browser.reload());
    }

    /// Ends a run: everybody leaves, a quarter of an hour passes, and nothing may be left. (A half-open connection is
    /// found within two minutes; answers that may have got lost with it are kept for ten.)
    pub fn conclude(&mut self) {
        self.faults.loss_per_mille = 0;
        self.faults.heal();
        self.everybody_leaves();
        self.trunks_leave();
        self.run_for(Duration::from_secs(900));
        for node in 0..self.servers.len() {
            if self.fault.is_some() {
                return;
            }
            if let Err(sentence) = self.checkers[node].concludes() {
                self.fail(sentence);
            }
            self.conclude_relays(node);
            self.conclude_lines();
            if !self.resuming.is_empty() {
                self.fail("nobody is there and a resuming socket is left");
            }
            if !self.servers[node].is_at_rest() {
                let left = self.servers[node].census();
                self.fail(format!("nobody is there and something is left: {left}"));
            }
        }
    }

    /// Records that were written, on all servers, oldest first.
    pub fn written(&self) -> Vec<CallRecord> {
        let mut records: Vec<CallRecord> = self
            .servers
            .iter()
            .flat_map(|server| server.book.records.values().cloned())
            .collect();
        records.sort_by_key(|record| (record.started, record.id));
        records
    }

    /// Something happens to a client that the network has no part in.
    pub fn happen(&mut self, client: usize, what: Happening<'_>) {
        self.tell(client, what);
    }
}
