//! Sessions that go from one server to another: asked for, handed over and taken in (docs/resume.md).
//!
//! What a credential is worth its own server says; here it is asked, and waited for so long.

use std::collections::BTreeSet;

use model::{ConnectionId, NodeNumber, Now, limits};
use switch::cluster::{MemberInput, Moving, Word};
use switch::edge::{Flow, shard_of};
use switch::resume::{self, Claim, SocketNumber};
use switch::{Closing, Counter, Input, Shard};

use super::session::{Line, Session};
use super::{Ending, Out, Server};

/// A client that waits for its session.
#[derive(Debug)]
pub(super) struct Asking {
    /// How far it has received.
    received: u64,
    /// Whether it still does.
    pub(super) is_up: bool,
}

impl Server {
    /// Sessions that can be resumed.
    pub(super) fn resumable(&self) -> BTreeSet<ConnectionId> {
        let all = self.sessions.iter();
        all.filter(|(_, session)| session.numbers.is_some() && !session.is_closing)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Whether nothing is left that could go to another node, or ends by itself.
    pub fn is_empty(&self) -> bool {
        let engaged = self.shards.iter().map(Shard::engaged_elsewhere);
        self.calls() == 0 && engaged.sum::<usize>() == 0 && self.resumable().is_empty()
    }

    /// Whether it will stop.
    pub fn is_draining(&self) -> bool {
        self.is_draining
    }

    /// Tells clients that can go on at another server to do so, some at a time.
    pub(super) fn send_away(&mut self, now: Now) {
        if self.peers.is_empty() {
            return;
        }
        let sessions = self.sessions.values();
        let links = sessions.filter(|of| of.numbers.is_some() && !of.is_closing);
        let links: Vec<_> = links.filter_map(|of| of.link).collect();
        for link in links.into_iter().take(limits::DRAINED_AT_ONCE) {
            self.lost(now, link, false);
            self.shut(link, Closing::MOVE);
        }
    }

    /// A client has shown what is worth nothing here: another node may have its session.
    pub(super) fn ask(&mut self, now: Now, link: ConnectionId, credential: &str, received: u64) {
        let claim = self.credentials.claim(credential);
        let claim = claim.filter(|claim| self.peers.contains(&claim.session.node()));
        let Some(claim) = claim else {
            return self.say_gone(link);
        };
        if self.is_draining {
            return self.shut(link, Closing::STOPPING);
        }
        let until = now.mono + limits::FETCH_TIME;
        self.lines.insert(link, Line::Asking { until });
        let asking = Asking {
            received,
            is_up: true,
        };
        self.asking.insert(link, asking);
        self.touched.push(link);
        self.fetch(claim, link);
    }

    /// No answer came: its client may try again.
    pub(super) fn stop_asking(&mut self, link: ConnectionId) {
        if let Some(asking) = self.asking.get_mut(&link) {
            asking.is_up = false;
        }
        self.shut(link, Closing::NOT_YET);
    }

    /// Another node has something to say of sessions.
    pub(super) fn hear_of_session(&mut self, now: Now, from: NodeNumber, word: Word) {
        match word {
            Word::Fetch {
                session,
                secret,
                to,
            } => {
                let session = self.credentials.resolve(session);
                self.on_fetch(now, Claim { session, secret }, to);
            }
            Word::Here { to, moving } => self.on_here(now, from, to, *moving),
            Word::NotHere { to } => {
                if self.asking.remove(&to).is_some_and(|asking| asking.is_up) {
                    self.say_gone(to);
                }
            }
            Word::Send { .. }
            | Word::Came { .. }
            | Word::Lost { .. }
            | Word::Left { .. }
            | Word::Unbind { .. }
            | Word::Back { .. }
            | Word::Reach { .. }
            | Word::Unreach { .. }
            | Word::Relayed(_)
            | Word::Moved { .. }
            | Word::Adopt(_)
            | Word::Rehomed { .. } => {}
        }
    }

    fn on_fetch(&mut self, now: Now, claim: Claim, to: ConnectionId) {
        let holder = claim.session.node();
        if holder != self.node && self.peers.contains(&holder) {
            return self.fetch(claim, to);
        }
        if to.node() == self.node {
            return self.look_again(now, &claim, to);
        }
        if self.credentials.admits(&claim) {
            // No answer is none: its client tries again.
            self.leave(now, claim.session, to);
        } else {
            self.tell(to.node(), Word::NotHere { to });
        }
    }

    /// It has come here meanwhile, for a client that came to this server before.
    fn look_again(&mut self, now: Now, claim: &Claim, to: ConnectionId) {
        let Some(asking) = self.asking.remove(&to).filter(|asking| asking.is_up) else {
            return;
        };
        let secret = self.secret();
        let shown = format!("{}.{}", claim.session.0, claim.secret);
        match self.credentials.renew(&shown, SocketNumber(to.0), secret) {
            Some((id, next)) => self.take_over(now, id, to, asking.received, &next),
            None => self.say_gone(to),
        }
    }

    fn fetch(&mut self, claim: Claim, to: ConnectionId) {
        let word = Word::Fetch {
            session: claim.session,
            secret: claim.secret,
            to,
        };
        self.tell(claim.session.node(), word);
    }

    fn tell(&mut self, node: NodeNumber, word: Word) {
        let input = MemberInput::Tell { node, word };
        self.out.push_back(Out::Member(input));
    }

    /// Hands a session over, if it may be.
    fn leave(&mut self, now: Now, id: ConnectionId, to: ConnectionId) {
        let shard = self.sessions.get(&id).and_then(|session| session.shard);
        if let Some(shard) = shard {
            self.step(now, shard, Input::Leaving { connection: id });
        }
        let packed = self.sessions.get(&id).and_then(|session| {
            let may = !session.is_closing && !session.is_full;
            session.numbers.as_ref().filter(|_| may)?.pack()
        });
        let Some(numbers) = packed else {
            return;
        };
        let Some(pass) = self.credentials.leave(now.mono, id, to) else {
            return;
        };
        let Some(session) = self.sessions.remove(&id) else {
            return;
        };
        if let Some(link) = session.link {
            self.shut(link, Closing::REPLACED);
        }
        self.out.push_back(Out::Ended {
            session: id,
            ending: Ending::Moved,
        });
        let moving = Box::new(Moving {
            from: id,
            numbers,
            pass,
            kin: session.flow.kin(),
            resident: None,
        });
        match shard {
            Some(shard) => {
                let connection = id;
                let input = Input::Leaves {
                    connection,
                    to,
                    moving,
                };
                self.step(now, shard, input);
            }
            None => self.tell(to.node(), Word::Here { to, moving }),
        }
    }

    fn on_here(&mut self, now: Now, from: NodeNumber, to: ConnectionId, moving: Moving) {
        let asking = self.asking.remove(&to);
        let secret = self.secret();
        let next = self.credentials.arrive(
            now.mono,
            (moving.from, to),
            SocketNumber(to.0),
            moving.pass.clone(),
            secret,
        );
        let numbers = resume::Session::unpack(moving.numbers.clone());
        let flow = Flow::moved(to, now, None, &moving.kin);
        let account = moving.kin.account.filter(|_| moving.resident.is_some());
        let shard = account.map(|account| shard_of(account, self.shards.len()));
        let mut session = Session::new(flow, Some(numbers));
        session.shard = shard;
        self.sessions.insert(to, session);
        self.out.push_back(Out::Opened(to));
        if let Some(shard) = shard {
            let moving = Box::new(moving);
            let word = Word::Here { to, moving };
            self.step(now, shard, Input::Told { from, word });
        }
        match asking {
            Some(asking) if asking.is_up => self.take_over(now, to, to, asking.received, &next),
            // Its client has given up here, and may be there again at once.
            Some(_) => {
                if let Some(numbers) = self
                    .sessions
                    .get_mut(&to)
                    .and_then(|of| of.numbers.as_mut())
                {
                    numbers.lost(now.mono);
                }
                self.touched.push(to);
                self.out.push_back(Out::Suspended(to));
            }
            None => {
                self.count(Some(Counter::SessionNotKept));
                self.end(now, to, Ending::NotKept);
            }
        }
    }
}
