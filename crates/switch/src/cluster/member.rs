//! One node among the others: who is there, what they have published, and the links to them.
//!
//! The bus keeps what each node has published, and carries posts; it may lose, repeat and turn round what it carries, forget what it
//! keeps, and be away. Never decides about calls: words and bindings go on to the shards as they come.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use model::{AccountId, ClientId, Instant, NodeNumber, limits};
use serde::{Deserialize, Serialize};

use super::links::Links;
use super::peer::{Peer, Seen};
use super::published::{Bindings, field_of, read_field};
use super::word::Word;

/// What a member is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberInput<'a> {
    /// The bus carries posts from now on, or does not.
    Bus(bool),
    /// A post came in.
    Post(&'a [u8]),
    /// [`Effect::Tell`](crate::Effect::Tell).
    Tell {
        /// Whom.
        node: NodeNumber,
        /// What.
        word: Word,
    },
    /// [`Effect::Publish`](crate::Effect::Publish).
    Publish {
        /// Whose client.
        account: AccountId,
        /// Which.
        client: ClientId,
        /// Where it is on this node.
        bindings: Bindings,
    },
    /// [`Effect::Look`](crate::Effect::Look) of a shard.
    Look {
        /// Of this one.
        shard: usize,
        /// Which look.
        look: u64,
        /// Whose client.
        account: AccountId,
        /// Which.
        client: ClientId,
    },
    /// What came of [`MemberEffect::List`]: who is alive.
    Listed(Vec<NodeNumber>),
    /// What came of [`MemberEffect::Load`].
    Loaded {
        /// Whose bindings these are.
        node: NodeNumber,
        /// What it has published, and with which version; `None`: the bus keeps nothing of it, or could not be asked.
        content: Option<Content>,
    },
    /// What came of [`MemberEffect::Write`] and [`MemberEffect::Rewrite`]: whether it was done.
    Written(bool),
    /// The bus keeps nothing of what this node has published.
    Forgotten,
    /// The instant of `poll_timeout` has come.
    Timeout,
}

/// What a member wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberEffect {
    /// Carry a post to one node.
    Post {
        /// This one.
        to: NodeNumber,
        /// The post.
        post: Vec<u8>,
    },
    /// Carry a post to all.
    PostAll(Vec<u8>),
    /// Keep these changes of what this node has published, and carry the post to all, in one step. One at a time.
    Write {
        /// What is kept then is of this version.
        version: u64,
        /// By field; `None` removes.
        changes: Vec<(String, Option<Vec<u8>>)>,
        /// For all.
        post: Vec<u8>,
    },
    /// Keep this in place of all that this node has published, then carry the post to all.
    Rewrite {
        /// What is kept then is of this version.
        version: u64,
        /// By field.
        entries: Vec<(String, Vec<u8>)>,
        /// For all.
        post: Vec<u8>,
    },
    /// This node is alive: what it has published lasts on.
    Alive {
        /// Whether it has published anything: if the bus keeps nothing of it then, say [`MemberInput::Forgotten`].
        has_published: bool,
        /// For all.
        post: Vec<u8>,
    },
    /// Find who is alive.
    List,
    /// Read what a node has published.
    Load(NodeNumber),
    /// Read what these nodes have published under one name, for a shard ([`Input::Found`](crate::Input::Found); [`Content::read`]).
    Look {
        /// For this one.
        shard: usize,
        /// Which look.
        look: u64,
        /// Whose.
        nodes: Vec<NodeNumber>,
        /// The name.
        field: String,
    },
    /// Give a word to the shard that it is for.
    Word {
        /// Who says it.
        from: NodeNumber,
        /// What.
        word: Word,
    },
    /// Tell the account's shard where a client is on another node: all that is there.
    Published {
        /// On this one.
        node: NodeNumber,
        /// Whose client.
        account: AccountId,
        /// Which.
        client: ClientId,
        /// Empty: nowhere.
        bindings: Bindings,
    },
    /// Tell every shard that what was on its way to or from a node is lost.
    Severed(NodeNumber),
    /// Tell every shard who is there, and whether they can be reached now; what is said meanwhile waits.
    Reach {
        /// All other nodes.
        nodes: Vec<NodeNumber>,
        /// Whether the bus is there.
        has_bus: bool,
    },
}

/// What a node has published, as the bus keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// It goes up with each change.
    pub version: u64,
    /// By field.
    pub entries: Vec<(String, Vec<u8>)>,
}

impl Content {
    /// The bindings that a node has published under a name; what cannot be read is as good as nothing.
    pub fn read(value: &[u8]) -> Bindings {
        serde_json::from_slice(value).unwrap_or_default()
    }
}

/// A post for all.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Notice {
    Alive { node: u16, version: u64 },
    Changed(Changed),
    Rewritten { node: u16, version: u64 },
    Leaves { node: u16 },
}

/// One step of what a node publishes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Changed {
    pub(super) node: u16,
    pub(super) version: u64,
    pub(super) changes: Vec<(String, Bindings)>,
}

/// See the module.
#[derive(Debug)]
pub struct Member {
    own: NodeNumber,
    links: Links,
    peers: BTreeMap<NodeNumber, Peer>,
    has_bus: bool,
    next_alive: Option<Instant>,
    publisher: Publisher,
    effects: VecDeque<MemberEffect>,
}

/// What this node publishes.
#[derive(Debug, Default)]
struct Publisher {
    version: u64,
    /// As the bus should keep it.
    entries: BTreeMap<String, Vec<u8>>,
    /// What differs there, as far as is known.
    dirty: BTreeSet<String>,
    is_writing: bool,
    /// When all of it is written anew.
    rewrites: Option<Instant>,
    seed: u64,
}

impl Publisher {
    /// As much of what has changed as one step may have.
    fn next_fields(&mut self) -> Vec<String> {
        let (mut fields, mut bytes) = (Vec::new(), 0);
        while fields.len() < limits::PUBLISHED_AT_ONCE
            && bytes < limits::PUBLISHED_BYTES
            && let Some(field) = self.dirty.pop_first()
        {
            bytes += self.entries.get(&field).map_or(0, Vec::len);
            fields.push(field);
        }
        fields
    }
}

impl Member {
    /// The node `own`, which knows nobody yet. What is drawn by lot comes from `seed`.
    pub fn new(own: NodeNumber, seed: u64) -> Self {
        Self {
            own,
            links: Links::new(own),
            peers: BTreeMap::new(),
            has_bus: false,
            next_alive: None,
            publisher: Publisher {
                seed,
                ..Publisher::default()
            },
            effects: VecDeque::new(),
        }
    }

    /// Takes one input. Drain the effects before the next.
    pub fn handle(&mut self, now: Instant, input: MemberInput<'_>) {
        match input {
            MemberInput::Bus(is_there) => self.on_bus(now, is_there),
            MemberInput::Post(post) if post.first() == Some(&b'{') => self.on_notice(now, post),
            MemberInput::Post(post) => self.on_post(now, post),
            MemberInput::Tell { node, word } => self.on_tell(now, node, &word),
            MemberInput::Publish {
                account,
                client,
                bindings,
            } => self.on_publish(&field_of(account, &client), &bindings),
            MemberInput::Look {
                shard,
                look,
                account,
                client,
            } => self.effects.push_back(MemberEffect::Look {
                shard,
                look,
                nodes: self.peers.keys().copied().collect(),
                field: field_of(account, &client),
            }),
            MemberInput::Listed(nodes) => {
                for node in nodes {
                    self.meet(now, node);
                }
            }
            MemberInput::Loaded { node, content } => self.on_loaded(node, content),
            MemberInput::Written(is_done) => {
                self.publisher.is_writing = false;
                if !is_done {
                    self.rewrite_later(now, limits::PUBLISH_PAUSE);
                }
            }
            MemberInput::Forgotten => self.rewrite_later(now, limits::REWRITE_PAUSE),
            MemberInput::Timeout => self.on_timeout(now),
        }
        self.write(now);
        while let Some(frame) = self.links.poll_frame() {
            self.effects.push_back(MemberEffect::Post {
                to: frame.to,
                post: frame.post,
            });
        }
    }

    /// The next thing to do, in order.
    pub fn poll_effect(&mut self) -> Option<MemberEffect> {
        self.effects.pop_front()
    }

    /// When `MemberInput::Timeout` is wanted.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.has_bus {
            return None;
        }
        let silent = self.peers.values().map(Peer::gone_at);
        // What is being written comes first.
        let rewrites = self
            .publisher
            .rewrites
            .filter(|_| !self.publisher.is_writing);
        let own = [self.next_alive, rewrites, self.links.poll_timeout()];
        silent.chain(own.into_iter().flatten()).min()
    }

    /// Whether a node is there, as far as is known.
    pub fn knows(&self, node: NodeNumber) -> bool {
        self.peers.contains_key(&node)
    }

    /// How many other nodes can be reached now; `None` while the bus is away.
    pub fn reaches(&self) -> Option<usize> {
        self.has_bus.then_some(self.peers.len())
    }

    /// Whether every node has what was said to it.
    pub fn is_settled(&self) -> bool {
        self.links.is_settled() && self.effects.is_empty()
    }

    /// What all are told last: this node leaves.
    pub fn farewell(&self) -> Vec<u8> {
        notice(&Notice::Leaves {
            node: self.own.get(),
        })
    }

    fn on_bus(&mut self, now: Instant, is_there: bool) {
        if is_there == self.has_bus {
            return;
        }
        self.has_bus = is_there;
        self.links.suspend(now, !is_there);
        if is_there {
            self.wake(now);
            self.effects.push_back(MemberEffect::List);
            self.next_alive = Some(now);
            // What the bus keeps may be older than this, or nothing. Whoever comes for the first time keeps nobody waiting.
            let most = match self.publisher.version {
                0 => Duration::from_micros(1),
                _ => limits::REWRITE_PAUSE,
            };
            self.rewrite_later(now, most);
        } else {
            self.publisher.is_writing = false;
        }
        self.tell_reach();
    }

    /// Nobody is blamed for a time in which nothing could be heard.
    fn wake(&mut self, now: Instant) {
        for peer in self.peers.values_mut() {
            peer.hear(now);
        }
    }

    fn on_post(&mut self, now: Instant, post: &[u8]) {
        let Some(received) = self.links.received(now, post) else {
            return;
        };
        let from = received.from;
        self.meet(now, from);
        if received.is_anew {
            self.effects.push_back(MemberEffect::Severed(from));
        }
        if let Some(Ok(word)) = received.word.map(Word::parse) {
            self.effects.push_back(MemberEffect::Word { from, word });
        }
    }

    fn on_tell(&mut self, now: Instant, node: NodeNumber, word: &Word) {
        if self.peers.contains_key(&node) && !self.links.send(now, node, word.to_bytes()) {
            self.effects.push_back(MemberEffect::Severed(node));
        }
    }

    fn on_notice(&mut self, now: Instant, post: &[u8]) {
        let Ok(notice) = serde_json::from_slice(post) else {
            return;
        };
        let (node, seen) = match notice {
            Notice::Alive { node, version } => (node, Seen::Version(version)),
            Notice::Changed(changed) => (changed.node, Seen::Change(changed)),
            Notice::Rewritten { node, .. } => (node, Seen::Rewritten),
            Notice::Leaves { node } => {
                if let Some(node) = NodeNumber::new(node) {
                    self.part_with(node);
                }
                return;
            }
        };
        let Some(node) = NodeNumber::new(node).filter(|node| *node != self.own) else {
            return;
        };
        self.meet(now, node);
        let peer = self.peers.get_mut(&node).expect("it was met just now");
        if peer.see(seen) {
            self.effects.push_back(MemberEffect::Load(node));
        }
        self.pass_published(node);
    }

    fn on_loaded(&mut self, node: NodeNumber, content: Option<Content>) {
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        if peer.loaded(content) {
            self.effects.push_back(MemberEffect::Load(node));
        }
        self.pass_published(node);
    }

    fn pass_published(&mut self, node: NodeNumber) {
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        for (field, bindings) in peer.take_published() {
            if let Some((account, client)) = read_field(&field) {
                self.effects.push_back(MemberEffect::Published {
                    node,
                    account,
                    client,
                    bindings,
                });
            }
        }
    }

    /// A node has been heard of.
    fn meet(&mut self, now: Instant, node: NodeNumber) {
        if node == self.own {
            return;
        }
        if let Some(peer) = self.peers.get_mut(&node) {
            return peer.hear(now);
        }
        self.peers.insert(node, Peer::met(now));
        self.effects.push_back(MemberEffect::Load(node));
        self.tell_reach();
    }

    fn part_with(&mut self, node: NodeNumber) {
        if let Some(peer) = self.peers.remove(&node) {
            self.links.forget(node);
            // First, so that whoever has to find somebody else now does not find somebody there.
            self.tell_reach();
            self.effects.push_back(MemberEffect::Severed(node));
            for field in peer.into_fields() {
                if let Some((account, client)) = read_field(&field) {
                    self.effects.push_back(MemberEffect::Published {
                        node,
                        account,
                        client,
                        bindings: Bindings::new(),
                    });
                }
            }
        }
    }

    fn tell_reach(&mut self) {
        self.effects.push_back(MemberEffect::Reach {
            nodes: self.peers.keys().copied().collect(),
            has_bus: self.has_bus,
        });
    }

    fn on_timeout(&mut self, now: Instant) {
        if !self.has_bus {
            return;
        }
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let due = self.next_alive.unwrap_or(now);
        if now.since(due) >= limits::NODE_ASLEEP {
            self.wake(now);
        }
        if is_due(self.next_alive) {
            let post = notice(&Notice::Alive {
                node: self.own.get(),
                version: self.publisher.version,
            });
            let has_published = !self.publisher.is_writing && self.publisher.version > 0;
            self.effects.push_back(MemberEffect::Alive {
                has_published,
                post,
            });
            self.next_alive = Some(now + limits::ALIVE_EVERY);
        }
        let silent: Vec<_> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.gone_at() <= now)
            .map(|(node, _)| *node)
            .collect();
        for node in silent {
            self.part_with(node);
        }
        for node in self.links.on_timeout(now) {
            self.effects.push_back(MemberEffect::Severed(node));
        }
    }

    fn on_publish(&mut self, field: &str, bindings: &Bindings) {
        let publisher = &mut self.publisher;
        if bindings.is_empty() {
            if publisher.entries.remove(field).is_none() {
                return;
            }
        } else {
            let value = serde_json::to_vec(bindings).expect("bindings are texts and numbers");
            publisher.entries.insert(field.to_owned(), value);
        }
        publisher.dirty.insert(field.to_owned());
    }

    /// Everything is written anew after a pause of this length at most.
    fn rewrite_later(&mut self, now: Instant, most: Duration) {
        let publisher = &mut self.publisher;
        // Knuth's generator: a lot that two nodes do not share needs no more.
        publisher.seed = publisher
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let micros = (publisher.seed >> 33) % most.as_micros() as u64;
        let at = now + Duration::from_micros(micros);
        publisher.rewrites.get_or_insert(at);
    }

    /// Writes what has changed, or everything.
    fn write(&mut self, now: Instant) {
        let publisher = &mut self.publisher;
        if !self.has_bus || publisher.is_writing {
            return;
        }
        let node = self.own.get();
        match publisher.rewrites {
            Some(at) if at > now => {}
            Some(_) => {
                publisher.rewrites = None;
                publisher.dirty.clear();
                publisher.is_writing = true;
                publisher.version += 1;
                let version = publisher.version;
                let entries = publisher.entries.clone().into_iter().collect();
                let post = notice(&Notice::Rewritten { node, version });
                self.effects.push_back(MemberEffect::Rewrite {
                    version,
                    entries,
                    post,
                });
            }
            None if publisher.dirty.is_empty() => {}
            None => {
                let fields = publisher.next_fields();
                publisher.is_writing = true;
                publisher.version += 1;
                let version = publisher.version;
                let parsed = |value: &Vec<u8>| serde_json::from_slice(value).unwrap_or_default();
                let changed = Changed {
                    node,
                    version,
                    changes: fields
                        .iter()
                        .map(|field| {
                            let value = publisher.entries.get(field);
                            (field.clone(), value.map_or_else(Bindings::new, parsed))
                        })
                        .collect(),
                };
                let changes = fields.into_iter().map(|field| {
                    let value = publisher.entries.get(&field).cloned();
                    (field, value)
                });
                self.effects.push_back(MemberEffect::Write {
                    version,
                    changes: changes.collect(),
                    post: notice(&Notice::Changed(changed)),
                });
            }
        }
    }
}

fn notice(notice: &Notice) -> Vec<u8> {
    serde_json::to_vec(notice).expect("a notice is texts and numbers")
}
