//! The shards as those of one node among several: what others say, and where their clients are, for whom it is for.
//!
//! Decides nothing; which shards a word is for it says itself.

use std::sync::Arc;

use model::{AccountId, ClientId, NodeNumber};
use switch::Input;
use switch::cluster::{Audience, Published, Word};
use switch::edge::shard_of;

use super::{Signalling, lock};
use crate::cluster::Cluster;

impl Signalling {
    /// None where this node works alone.
    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        self.outlets.cluster.as_deref()
    }

    /// Gives a word of another node to whom it is for.
    pub(crate) fn told(self: &Arc<Self>, from: NodeNumber, mut word: Word) {
        if let Word::Moved { from, to, .. } = &word {
            self.handovers.moved(self.now().mono, *from, *to);
        }
        let shards = match word.audience() {
            Audience::Connection(named) => {
                let connection = match lock(&self.sessions).outboxes.contains_key(&named) {
                    true => named,
                    false => self.handovers.resolve(named),
                };
                word = word.of(connection);
                if connection.node() != self.node {
                    return self.tell(connection.node(), word);
                }
                let sessions = lock(&self.sessions);
                let shard = sessions.outboxes.get(&connection);
                // Any shard knows that it is not there.
                let shard = shard.and_then(|outbox| outbox.shard()).unwrap_or(0);
                shard..shard + 1
            }
            Audience::Account(account) => {
                let shard = shard_of(account, self.shards.len());
                shard..shard + 1
            }
            Audience::All => 0..self.shards.len(),
            Audience::Sessions => return self.told_of_session(from, word),
        };
        for shard in shards {
            let word = word.clone();
            self.give(shard, Input::Told { from, word });
        }
    }

    /// Tells its shard where a client is on another node.
    pub(crate) fn published_elsewhere(
        &self,
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
        self.give(shard, input);
    }

    /// What was on its way to or from a node is lost.
    pub(crate) fn severed(&self, node: NodeNumber) {
        for shard in 0..self.shards.len() {
            self.give(shard, Input::Severed(node));
        }
    }

    /// These other nodes are there; whether they can be reached now.
    pub(crate) fn reach(&self, nodes: Vec<NodeNumber>, has_bus: bool) {
        let nodes: Arc<[NodeNumber]> = nodes.into();
        for shard in 0..self.shards.len() {
            let nodes = Arc::clone(&nodes);
            self.give(shard, Input::Reach { nodes, has_bus });
        }
    }
}
