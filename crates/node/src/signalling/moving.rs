//! Sessions that go from node to node (docs/resume.md): handed over and taken in, each in one step under its shard's lock.
//!
//! Decides nothing: what a credential is worth `switch::resume` says, and what a shard knows of a session the shard.

use std::sync::Arc;

use model::{ConnectionId, NodeNumber};
use switch::Input;
use switch::cluster::{MemberInput, Moving, Word};
use switch::edge::{Kin, shard_of};
use switch::resume::{Claim, Full, Session as Numbers};

use super::{Session, Signalling, lock};
use crate::outbox::{Outbox, Outgoing};
use crate::transport::{Answer, Arrived};

impl Signalling {
    /// Whether something can be said to a node now.
    pub(crate) fn reaches(&self, node: NodeNumber) -> bool {
        node != self.node && self.cluster().is_some_and(|cluster| cluster.knows(node))
    }

    /// Asks for a session of another node, which is to be this connection.
    pub(crate) fn fetch(&self, claim: Claim, to: ConnectionId) {
        let Claim { session, secret } = claim;
        let word = Word::Fetch {
            session,
            secret,
            to,
        };
        self.tell(session.node(), word);
    }

    pub(super) fn tell(&self, node: NodeNumber, word: Word) {
        if let Some(cluster) = self.cluster() {
            cluster.tell(MemberInput::Tell { node, word });
        }
    }

    /// Another node has something to say of sessions.
    pub(super) fn told_of_session(self: &Arc<Self>, from: NodeNumber, word: Word) {
        match word {
            Word::Fetch {
                session,
                secret,
                to,
            } => {
                let session = self.handovers.resolve(session);
                self.on_fetch(Claim { session, secret }, to);
            }
            Word::Here { to, moving } => self.arrives(from, to, *moving),
            Word::NotHere { to } => self.handovers.answer(to, Answer::Gone),
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

    fn on_fetch(&self, claim: Claim, to: ConnectionId) {
        let holder = claim.session.node();
        if self.reaches(holder) {
            return self.fetch(claim, to);
        }
        if to.node() == self.node {
            // It has come here meanwhile, for a client that came to this node before.
            let shown = format!("{}.{}", claim.session.0, claim.secret);
            return self.handovers.answer(to, Answer::Again(shown));
        }
        if !self.handovers.fetch(&claim, to) {
            self.tell(to.node(), Word::NotHere { to });
        }
    }

    /// Hands a session over to the node of `to`, with all that was said to its client before. Says whether it could be.
    pub(crate) fn departs(
        &self,
        session: &mut Session,
        numbers: &mut Numbers,
        kin: Kin,
        to: ConnectionId,
    ) -> Result<bool, Full> {
        let connection = session.connection;
        let mut owned = session
            .shard
            .map(|shard| (shard, lock(&self.shards[shard].owned)));
        if let Some((shard, owned)) = &mut owned {
            self.step(*shard, owned, Input::Leaving { connection });
        }
        let mut is_closing = false;
        while let Some(outgoing) = session.outbox.pop().filter(|_| !is_closing) {
            match outgoing {
                Outgoing::Message(message) => _ = numbers.outgoing(&message)?,
                Outgoing::Close(_) => is_closing = true,
            }
        }
        let packed = numbers.pack().filter(|_| !is_closing);
        let ready = packed.and_then(|packed| {
            let pass = self.handovers.leave(self.now().mono, connection, to)?;
            Some((packed, pass))
        });
        // No answer is none: its client tries again.
        let Some((numbers, pass)) = ready else {
            return Ok(false);
        };
        let moving = Box::new(Moving {
            from: connection,
            numbers,
            pass,
            kin,
            resident: None,
        });
        match &mut owned {
            Some((shard, owned)) => {
                owned.outboxes.remove(&connection);
                let input = Input::Leaves {
                    connection,
                    to,
                    moving,
                };
                self.step(*shard, owned, input);
            }
            None => self.tell(to.node(), Word::Here { to, moving }),
        }
        Ok(true)
    }

    /// Takes a session in.
    fn arrives(self: &Arc<Self>, from: NodeNumber, to: ConnectionId, moving: Moving) {
        let (ticket, credential) =
            self.handovers
                .arrive(self.now().mono, (moving.from, to), moving.pass.clone());
        let numbers = Numbers::unpack(moving.numbers.clone());
        let kin = moving.kin.clone();
        let outbox = Arc::new(Outbox::default());
        lock(&self.sessions)
            .outboxes
            .insert(to, Arc::clone(&outbox));
        let account = kin.account.filter(|_| moving.resident.is_some());
        let shard = account.map(|account| shard_of(account, self.shards.len()));
        if let Some(shard) = shard {
            outbox.bind(shard);
            let mut owned = lock(&self.shards[shard].owned);
            owned.outboxes.insert(to, Arc::clone(&outbox));
            let moving = Box::new(moving);
            let word = Word::Here { to, moving };
            self.step(shard, &mut owned, Input::Told { from, word });
        }
        let session = Session {
            signalling: Arc::clone(self),
            connection: to,
            outbox,
            shard,
            expired: None,
        };
        // Where nobody waits for it, it ends here.
        let arrived = Arrived {
            session,
            numbers,
            kin,
            ticket,
            credential,
        };
        self.handovers.answer(to, Answer::Here(Box::new(arrived)));
    }
}
