//! A server as one node among several: what others say, and where their clients are, for the shards that it is for.
//!
//! What this server says to others goes out as [`Out::Member`](super::Out::Member).

use std::sync::Arc;

use model::{AccountId, ClientId, NodeNumber, Now};
use switch::Input;
use switch::cluster::{Audience, Bindings, MemberInput, Published, Word};
use switch::edge::shard_of;

use super::{Out, Server};

impl Server {
    /// Another node says something.
    pub fn hear(&mut self, now: Now, from: NodeNumber, mut word: Word) {
        if let Word::Moved { from, to, .. } = &word {
            self.credentials.moved(now.mono, *from, *to);
        }
        let shards = match word.audience() {
            Audience::Connection(named) => {
                let connection = match self.sessions.contains_key(&named) {
                    true => named,
                    false => self.credentials.resolve(named),
                };
                if connection.node() != self.node {
                    let word = word.of(connection);
                    let node = connection.node();
                    let input = MemberInput::Tell { node, word };
                    return self.out.push_back(Out::Member(input));
                }
                word = word.of(connection);
                let session = self.sessions.get(&connection);
                match session.and_then(|session| session.shard) {
                    Some(shard) => shard..shard + 1,
                    // Any shard says that it is gone.
                    None => 0..1,
                }
            }
            Audience::Account(account) => {
                let shard = shard_of(account, self.shards.len());
                shard..shard + 1
            }
            Audience::All => 0..self.shards.len(),
            Audience::Sessions => return self.hear_of_session(now, from, word),
        };
        for shard in shards {
            let word = word.clone();
            self.step(now, shard, Input::Told { from, word });
        }
    }

    /// Another node says where a client is.
    pub fn published(
        &mut self,
        now: Now,
        node: NodeNumber,
        account: AccountId,
        client: &ClientId,
        bindings: &[Published],
    ) {
        let shard = shard_of(account, self.shards.len());
        let input = Input::Published {
            node,
            account,
            client,
            bindings,
        };
        self.step(now, shard, input);
    }

    /// What came of a shard's look at the bus.
    pub fn found(&mut self, now: Now, shard: usize, look: u64, found: &[(NodeNumber, Bindings)]) {
        self.step(now, shard, Input::Found { look, found });
    }

    /// What was on its way to or from a node is lost.
    pub fn severed(&mut self, now: Now, node: NodeNumber) {
        for shard in 0..self.shards.len() {
            self.step(now, shard, Input::Severed(node));
        }
    }

    /// These other nodes are there; whether they can be reached now.
    pub fn reach(&mut self, now: Now, nodes: Vec<NodeNumber>, has_bus: bool) {
        let nodes: Arc<[NodeNumber]> = nodes.into();
        self.peers = Arc::clone(&nodes);
        for shard in 0..self.shards.len() {
            let nodes = Arc::clone(&nodes);
            self.step(now, shard, Input::Reach { nodes, has_bus });
        }
    }
}
