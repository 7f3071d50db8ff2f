//! Clients of one shard, driven by bytes: for the fuzz target and for the test that replays what it found. They register, call,
//! answer, hang up, repeat what others have said, lose their connections and come back, while accounts and keys change.
//!
//! Decides nothing about right and wrong: what comes of it is the judge's.

#![allow(dead_code, reason = "each fuzz target uses a part")]
#![allow(clippy::unwrap_used, reason = "a step that fails is a finding")]

mod client;
mod judge;
mod ministry;

use std::sync::Arc;
use std::time::Duration;

use model::{AccountId, ConnectionId, Instant, Now, RelayUsage, limits};
use sip::{Message, MessageWriter, Method};
use switch::edge::{Flow, Verdict};
use switch::{Effect, Input, Shard, Snapshot};

use client::{Client, Dialog};
use judge::Judge;
use ministry::{Ministry, START};

const CLIENTS: usize = 8;
/// Steps of one input, and frames that are kept to be repeated.
const STEPS: usize = 150;
const FRAMES: usize = 64;
/// By which a step may let time pass, in milliseconds: what the timers of a shard wait for, and a little beside it.
const PAUSES_MS: [u64; 16] = [
    1,
    50,
    1_000,
    4_000,
    9_000,
    10_000,
    31_000,
    32_000,
    33_000,
    60_000,
    61_000,
    300_000,
    599_000,
    601_000,
    3_600_000,
    172_800_000,
];
const METHODS: [&str; 10] = [
    "BYE", "INVITE", "INFO", "UPDATE", "OPTIONS", "MESSAGE", "PRACK", "REFER", "CANCEL", "ACK",
];
const STATUSES: [u16; 16] = [
    100, 180, 183, 200, 200, 200, 202, 302, 401, 408, 481, 486, 487, 491, 503, 603,
];

/// The first byte chooses the settings, then four bytes make a step.
pub(crate) fn walk(bytes: &[u8]) {
    let Some((settings, steps)) = bytes.split_first() else {
        return;
    };
    let mut crowd = Crowd::new(*settings);
    for step in steps.as_chunks().0.iter().take(STEPS) {
        crowd.step(*step);
    }
    crowd.end();
}

struct Crowd {
    shard: Shard,
    ministry: Ministry,
    snapshot: Arc<Snapshot>,
    micros: u64,
    clients: Vec<Client>,
    /// Connections that their clients have left without a word.
    ghosts: Vec<ConnectionId>,
    connections: u64,
    /// Branches, tags and Call-IDs are numbered.
    numbers: u32,
    frames: Vec<Vec<u8>>,
    judge: Judge,
}

impl Crowd {
    fn new(settings: u8) -> Self {
        let mut ministry = Ministry::new(settings);
        let snapshot = ministry.publish();
        Self {
            shard: Shard::new(0, [7; 32], Arc::clone(&snapshot)),
            ministry,
            snapshot,
            micros: 1_000_000,
            clients: (0..CLIENTS).map(Client::new).collect(),
            ghosts: Vec::new(),
            connections: 0,
            numbers: 0,
            frames: Vec::new(),
            judge: Judge::default(),
        }
    }

    fn now(&self) -> Now {
        Now {
            mono: Instant::from_micros(self.micros),
            unix: START + Duration::from_micros(self.micros),
        }
    }

    /// Four bytes: what, who, with whom or which, and how.
    fn step(&mut self, [what, who, with, how]: [u8; 4]) {
        let who = usize::from(who) % CLIENTS;
        match what % 18 {
            0 | 1 => self.register(who, with, how),
            2 | 3 => self.invite(who, with, how),
            4..7 => self.answer(who, who, with, how),
            // What somebody else was asked.
            7 => self.answer(who, usize::from(with) % CLIENTS, with, how),
            8 => self.acknowledge(who, with),
            9 | 10 => self.ask_in_dialog(who, who, with, how),
            11 => self.ask_in_dialog(who, usize::from(with) % CLIENTS, with, how),
            12 => self.cancel(who, with),
            13 => self.repeat(who, with, how),
            14 => self.pass(PAUSES_MS[usize::from(how % 16)] * 1_000),
            15 => self.leave(who, with, how),
            16 => self.change(with, how),
            _ => self.odd(who, with, how),
        }
    }

    /// Nobody says anything any more, then everybody is gone: every question has its answer, and nothing is left.
    fn end(&mut self) {
        self.pass(400_000_000);
        self.judge.settled(self.micros);
        for who in 0..CLIENTS {
            self.lose(who, None);
        }
        for ghost in std::mem::take(&mut self.ghosts) {
            self.give_loss(ghost, None);
        }
        let census = self.shard.census();
        assert_eq!(
            (census.connections, census.registrations, census.calls),
            (0, 0, 0)
        );
        self.pass(40_000_000);
        self.pass(limits::ORPHANED_INVITE_TIME.as_micros() as u64);
        assert!(
            self.shard.is_at_rest(),
            "something is left: {:?}",
            self.shard
        );
        assert_eq!(self.shard.poll_timeout(), None);
        self.judge.ends();
    }

    fn number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }

    fn pass(&mut self, micros: u64) {
        let end = self.micros + micros;
        let mut turns = 0;
        while let Some(due) = self.shard.poll_timeout()
            && due.as_micros() <= end
        {
            self.micros = self.micros.max(due.as_micros());
            self.give(Input::Timeout);
            let next = self.shard.poll_timeout();
            assert!(
                next.is_none_or(|at| at > self.now().mono),
                "a timer that stays due"
            );
            turns += 1;
            assert!(turns < 10_000, "far more timers than there are things");
        }
        self.micros = end;
        self.judge.is_late(end);
    }

    fn give(&mut self, input: Input<'_>) {
        let now = self.now();
        self.shard.handle(now, input);
        let mut effects = 0;
        while let Some(effect) = self.shard.poll_effect() {
            effects += 1;
            assert!(effects < 5_000, "one input has too many effects");
            if let Effect::Send {
                connection,
                message,
            } = &effect
            {
                self.deliver(*connection, message);
            }
            self.judge.take(&self.ministry, now, &effect);
        }
        self.judge.over();
        self.shard.check(now).unwrap();
    }

    /// Keeps what a client may answer or acknowledge.
    fn deliver(&mut self, connection: ConnectionId, message: &[u8]) {
        let client = self
            .clients
            .iter_mut()
            .find(|client| client.connection == Some(connection));
        if let Some(client) = client {
            client.receive(message);
        }
    }

    /// A frame on the connection of `who`, which is opened if there is none.
    fn send(&mut self, who: usize, frame: &[u8]) {
        if self.frames.len() == FRAMES {
            self.frames.remove(0);
        }
        self.frames.push(frame.to_vec());
        let now = self.now();
        let connection = match self.clients[who].connection {
            Some(connection) => connection,
            None => {
                self.connections += 1;
                let connection = ConnectionId(self.connections);
                self.clients[who].open(Flow::new(connection, now, Some("calls.example.com")));
                self.judge.opens(connection);
                connection
            }
        };
        self.judge.reads(self.micros, connection, frame);
        let snapshot = Arc::clone(&self.snapshot);
        let flow = self.clients[who].flow.as_mut().unwrap();
        match flow.frame(now, frame, &snapshot, 1) {
            Verdict::Deliver {
                account,
                message,
                ice_servers,
                ..
            } => {
                self.judge.tells(connection, account);
                self.give(Input::Message {
                    connection,
                    account,
                    message: &message,
                    ice_servers: ice_servers.as_deref(),
                });
            }
            Verdict::Reply { message, .. } => {
                self.judge.take(
                    &self.ministry,
                    now,
                    &Effect::Send {
                        connection,
                        message,
                    },
                );
                self.judge.over();
            }
            Verdict::Ignore { .. } => self.judge.over(),
            Verdict::Close { why, .. } => {
                let effect = Effect::Close { connection, why };
                self.judge.take(&self.ministry, now, &effect);
                self.judge.over();
                // The shell reads no more of it.
                self.lose(who, None);
            }
        }
    }

    fn register(&mut self, who: usize, with: u8, how: u8) {
        let token = self
            .ministry
            .token(&self.clients[who], how, self.now().unix);
        let number = self.number();
        let frame = self.clients[who].register(number, with, token.as_deref());
        self.send(who, &frame);
    }

    fn invite(&mut self, who: usize, with: u8, how: u8) {
        let token = self
            .ministry
            .token(&self.clients[who], how, self.now().unix);
        let number = self.number();
        let frame = self.clients[who].invite(number, with, how, token.as_deref());
        self.send(who, &frame);
    }

    /// `who` answers what `asked` was asked.
    fn answer(&mut self, who: usize, asked: usize, with: u8, how: u8) {
        let inbox = &mut self.clients[asked].inbox;
        if inbox.is_empty() {
            return;
        }
        let at = usize::from(with >> 3) % inbox.len();
        let status = STATUSES[usize::from(how % 16)];
        let question = if status >= 200 && how < 0xc0 {
            inbox.remove(at)
        } else {
            inbox[at].clone()
        };
        let tag = format!("t{who}{}", if with % 8 == 7 { "fork" } else { "" });
        let Ok(Message::Request(request)) = sip::parse(&question) else {
            return;
        };
        if let Some(dialog) = Dialog::called(&request, &tag)
            && status < 300
        {
            self.clients[who].learn(dialog);
        }
        let mut writer = MessageWriter::reply(&request, status, "as it is", Some(&tag));
        writer.header("Contact", self.clients[who].contact());
        let frame = if request.method == Method::Invite && status < 300 {
            writer.header("Content-Type", "application/sdp");
            writer.finish_with(self.clients[who].offer().as_bytes())
        } else {
            writer.finish()
        };
        self.send(who, &frame);
    }

    fn acknowledge(&mut self, who: usize, with: u8) {
        let number = self.number();
        if let Some(frame) = self.clients[who].acknowledge(number, usize::from(with)) {
            self.send(who, &frame);
        }
    }

    /// `who` asks something in a dialog of `whose`.
    fn ask_in_dialog(&mut self, who: usize, whose: usize, with: u8, how: u8) {
        let number = self.number();
        let method = METHODS[usize::from(how % 16) % METHODS.len()];
        let ahead = [1, 1, 1, 1, 0, 2, 1, 1][usize::from(how >> 5)];
        let dialogs = &mut self.clients[whose].dialogs;
        if dialogs.is_empty() {
            return;
        }
        let at = usize::from(with >> 3) % dialogs.len();
        dialogs[at].cseq = dialogs[at].cseq.wrapping_add(ahead) & 0xffff;
        let dialog = dialogs[at].clone();
        let frame = self.clients[who].ask(number, method, &dialog);
        self.send(who, &frame);
    }

    fn cancel(&mut self, who: usize, with: u8) {
        if let Some(frame) = self.clients[who].cancel(usize::from(with)) {
            self.send(who, &frame);
        }
    }

    /// Says again what was said by anybody, as it was or with one byte changed.
    fn repeat(&mut self, who: usize, with: u8, how: u8) {
        let Some(at) = usize::from(with).checked_rem(self.frames.len()) else {
            return;
        };
        let mut frame = self.frames[at].clone();
        let Some(place) = (usize::from(how) * 7).checked_rem(frame.len()) else {
            return self.send(who, &frame);
        };
        match how % 8 {
            1 => frame[place] ^= 0x20,
            2 => frame.truncate(place),
            3 => drop(frame.remove(place)),
            _ => {}
        }
        self.send(who, &frame);
    }

    /// A connection is lost, or its client goes on with another and says nothing of it.
    fn leave(&mut self, who: usize, with: u8, how: u8) {
        match with % 4 {
            0 => {
                self.ghosts.extend(self.clients[who].leave());
            }
            1 if !self.ghosts.is_empty() => {
                let ghost = self.ghosts.remove(usize::from(how) % self.ghosts.len());
                self.give_loss(ghost, None);
            }
            2 => self.lose(who, Some(Duration::from_secs(how.into()))),
            _ => self.lose(who, None),
        }
    }

    fn lose(&mut self, who: usize, waited: Option<Duration>) {
        if let Some(connection) = self.clients[who].leave() {
            self.give_loss(connection, waited);
        }
    }

    fn give_loss(&mut self, connection: ConnectionId, waited: Option<Duration>) {
        self.judge.loses(connection);
        self.give(match waited {
            Some(waited) => Input::Expired { connection, waited },
            None => Input::Lost { connection },
        });
        self.judge.has_lost(connection);
    }

    /// Accounts and keys change.
    fn change(&mut self, with: u8, how: u8) {
        self.ministry.change(usize::from(with) % 2, how);
        self.snapshot = self.ministry.publish();
        self.give(Input::Snapshot(Arc::clone(&self.snapshot)));
    }

    fn odd(&mut self, who: usize, with: u8, how: u8) {
        match how % 4 {
            0 => {
                let number = self.number();
                let frame = self.clients[who].options(number, with);
                self.send(who, &frame);
            }
            1 => {
                let told = self.judge.reach(usize::from(with));
                let (connection, call) = told.unwrap_or((ConnectionId(999), with.into()));
                self.give(Input::Relayed {
                    connection,
                    call,
                    usage: RelayUsage::default(),
                });
            }
            2 if how == 0xfe => {
                self.give(Input::Stop);
            }
            // A timer that comes early.
            _ => self.give(Input::Timeout),
        }
    }
}

/// The SIP domain of an account.
fn domain(account: AccountId) -> String {
    format!("key{}.webrtc-1-2-0.aculabcloud.net", account.0)
}
