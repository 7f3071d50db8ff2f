//! This node among others: carries between the bus, the member's machine and the shards.
//!
//! The machine ([`Member`]) runs where something is told to it, behind a lock of its own that nothing waits under; one task does what
//! it wants done. Decides nothing, and keeps nothing that the machine keeps.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use model::{NodeNumber, limits};
use store::bus::{Bus, BusError, BusUrl, Heard};
use switch::Input;
use switch::cluster::{Content, Member, MemberEffect, MemberInput};
use tokio::sync::{Notify, mpsc};

use crate::clock::Clock;
use crate::signalling::{Signalling, random};

/// Posts that go to the bus in one step.
const POSTS_AT_ONCE: usize = 256;

/// A post, and whom it is for; `None`: all.
type Outgoing = (Option<NodeNumber>, Vec<u8>);

/// See the module.
pub(crate) struct Cluster {
    /// The number of this process.
    pub(crate) node: NodeNumber,
    pub(crate) clock: Clock,
    bus: Bus,
    member: Mutex<Member>,
    /// The machine has something to do, or has moved its timer.
    wake: Notify,
    /// Something was acknowledged.
    settled: Notify,
}

impl Cluster {
    /// Takes a number at the bus, if there is one.
    pub(crate) async fn join(url: Option<&BusUrl>) -> Result<Option<Arc<Self>>, BusError> {
        let Some(url) = url else {
            return Ok(None);
        };
        let bus = Bus::new(url.clone())?;
        let node = bus.claim().await?;
        Ok(Some(Arc::new(Self {
            node,
            clock: Clock::start(),
            bus,
            member: Mutex::new(Member::new(node, u64::from_le_bytes(random()))),
            wake: Notify::new(),
            settled: Notify::new(),
        })))
    }

    /// Tells the machine something; never waits.
    pub(crate) fn tell(&self, input: MemberInput<'_>) {
        self.member().handle(self.clock.now().mono, input);
        self.wake.notify_one();
    }

    /// Whether a node is there, as far as is known.
    pub(crate) fn knows(&self, node: NodeNumber) -> bool {
        self.member().knows(node)
    }

    /// How many other nodes can be reached now; `None` while the bus is away.
    pub(crate) fn reaches(&self) -> Option<usize> {
        self.member().reaches()
    }

    /// Does what the machine wants done; never ends.
    pub(crate) async fn run(self: Arc<Self>, signalling: Arc<Signalling>) {
        let mut hearing = self.bus.hear(self.node);
        let (posts, outgoing) = mpsc::channel(limits::LINK_WORDS);
        let sending = send(self.bus.clone(), outgoing);
        let working = async {
            loop {
                self.perform(&signalling, &posts);
                let due = self.member().poll_timeout();
                let due = async {
                    match due {
                        Some(due) => tokio::time::sleep_until(self.clock.deadline(due)).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    heard = hearing.next() => self.hear(heard),
                    () = self.wake.notified() => {}
                    () = due => self.tell(MemberInput::Timeout),
                }
            }
        };
        tokio::join!(sending, working);
    }

    /// Waits until the other nodes have what was said to them.
    pub(crate) async fn settle(&self) {
        loop {
            // Asked for before it looks, so that nothing is missed between.
            let settled = self.settled.notified();
            if self.member().is_settled() {
                return;
            }
            settled.await;
        }
    }

    /// Says farewell.
    pub(crate) async fn leave(&self) {
        let farewell = self.member().farewell();
        let left = async {
            self.bus.send_all(&farewell).await?;
            self.bus.leave(self.node).await
        };
        if let Err(error) = left.await {
            tracing::warn!(%error, "the other nodes will find by themselves that this one is gone");
        }
    }

    fn hear(&self, heard: Heard) {
        match heard {
            Heard::Up => {
                tracing::info!(node = self.node.get(), "the bus is there");
                self.tell(MemberInput::Bus(true));
            }
            Heard::Down(why) => {
                tracing::warn!(%why, "the bus is away: calls on this node go on, others cannot be reached");
                self.tell(MemberInput::Bus(false));
            }
            Heard::Post(post) => self.tell(MemberInput::Post(&post)),
        }
        self.settled.notify_waiters();
    }

    fn perform(self: &Arc<Self>, signalling: &Arc<Signalling>, posts: &mpsc::Sender<Outgoing>) {
        loop {
            let Some(effect) = self.member().poll_effect() else {
                return;
            };
            match effect {
                // What finds no room is lost as on any bus: it is sent again.
                MemberEffect::Post { to, post } => {
                    let _ = posts.try_send((Some(to), post));
                }
                MemberEffect::PostAll(post) => {
                    let _ = posts.try_send((None, post));
                }
                MemberEffect::Write {
                    version,
                    changes,
                    post,
                } => self.write(version, changes, post),
                MemberEffect::Rewrite {
                    version,
                    entries,
                    post,
                } => self.rewrite(version, entries, post),
                MemberEffect::Alive {
                    has_published,
                    post,
                } => self.alive(has_published, post),
                MemberEffect::List => self.list(),
                MemberEffect::Load(node) => self.load(node),
                MemberEffect::Look {
                    shard,
                    look,
                    nodes,
                    field,
                } => self.look(signalling, (shard, look), nodes, field),
                MemberEffect::Word { from, word } => signalling.told(from, word),
                MemberEffect::Published {
                    node,
                    account,
                    client,
                    bindings,
                } => signalling.published_elsewhere(node, account, &client, &bindings),
                MemberEffect::Severed(node) => {
                    tracing::warn!(
                        node = node.get(),
                        "another node is gone or does not answer; calls with its clients end"
                    );
                    signalling.severed(node);
                }
                MemberEffect::Reach { nodes, has_bus } => {
                    tracing::info!(nodes = nodes.len(), has_bus, "other nodes that are there");
                    signalling.reach(nodes, has_bus);
                }
            }
        }
    }

    fn write(
        self: &Arc<Self>,
        version: u64,
        changes: Vec<(String, Option<Vec<u8>>)>,
        post: Vec<u8>,
    ) {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let written = this.bus.write(this.node, version, &changes, &post).await;
            let is_done = match written {
                Ok(before) => before.is_some_and(|before| before + 1 == version),
                Err(error) => {
                    tracing::warn!(%error, "the bindings of this node are written anew in a moment");
                    false
                }
            };
            this.tell(MemberInput::Written(is_done));
        });
    }

    fn rewrite(self: &Arc<Self>, version: u64, entries: Vec<(String, Vec<u8>)>, post: Vec<u8>) {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let written = async {
                this.bus.rewrite(this.node, version, &entries).await?;
                this.bus.send_all(&post).await
            };
            let written = written.await;
            if let Err(error) = &written {
                tracing::warn!(%error, "the bindings of this node are written anew in a moment");
            }
            this.tell(MemberInput::Written(written.is_ok()));
        });
    }

    fn alive(self: &Arc<Self>, has_published: bool, post: Vec<u8>) {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            match this.bus.alive(this.node, limits::ALIVE_LASTS).await {
                Ok(None) if has_published => this.tell(MemberInput::Forgotten),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "this node may be taken for gone"),
            }
            // Whoever cannot be told hears nothing, and finds by itself what that means.
            let _ = this.bus.send_all(&post).await;
        });
    }

    fn list(self: &Arc<Self>) {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            // Those that are there say so themselves within a second.
            let nodes = this.bus.nodes().await.unwrap_or_default();
            this.tell(MemberInput::Listed(nodes));
        });
    }

    fn load(self: &Arc<Self>, node: NodeNumber) {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let loaded = this.bus.load(node).await;
            if let Err(error) = &loaded {
                tracing::warn!(%error, "the bindings of another node are read again in a moment");
            }
            let content = loaded.ok().flatten().map(|loaded| Content {
                version: loaded.version,
                entries: loaded.entries,
            });
            this.tell(MemberInput::Loaded { node, content });
        });
    }

    /// Asks the bus for a shard; what fails has found nothing.
    fn look(
        self: &Arc<Self>,
        signalling: &Arc<Signalling>,
        (shard, look): (usize, u64),
        nodes: Vec<NodeNumber>,
        field: String,
    ) {
        let (this, signalling) = (Arc::clone(self), Arc::clone(signalling));
        tokio::spawn(async move {
            let found = this.bus.look(&nodes, &field).await.unwrap_or_default();
            let found = found.into_iter();
            let found: Vec<_> = found
                .map(|(node, value)| (node, Content::read(&value)))
                .collect();
            let found = &found;
            signalling.answer(shard, Input::Found { look, found });
        });
    }

    fn member(&self) -> MutexGuard<'_, Member> {
        self.member.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends posts in the order in which they come; as many at once as wait.
async fn send(bus: Bus, mut outgoing: mpsc::Receiver<Outgoing>) {
    let mut posts = Vec::with_capacity(POSTS_AT_ONCE);
    while outgoing.recv_many(&mut posts, POSTS_AT_ONCE).await > 0 {
        let sent = posts.iter().map(|(to, post)| async {
            // What is lost is sent again by its link.
            match to {
                Some(to) => drop(bus.send(*to, post).await),
                None => drop(bus.send_all(post).await),
            }
        });
        join_all(sent).await;
        posts.clear();
    }
}
