//! The bus: a Redis or Valkey that several nodes share. It carries messages between them, and holds every node's bindings.
//!
//! The only code that speaks its language (RESP 3: Redis 6 or later). It decides nothing: what is numbered, acknowledged, loaded or
//! taken for gone is for who calls to say. Nothing here is kept for good: a bus may forget all, and says so at [`Bus::alive`] and
//! [`Bus::write`].
//!
//! What is sent arrives once or not at all, and in the order in which it was sent if each waits for the one before. What failed may have
//! happened all the same, or happen later. Each command has a bound in time ([`limits::BUS_CONNECT_TIME`],
//! [`limits::BUS_ANSWER_TIME`]); after one that failed the next tries afresh.
//!
//! The user of an ACL needs `+@hash +@set +@string +@keyspace +@transaction +@pubsub +@connection +role +cluster|slots +cluster|info`
//! on `~offhook:*` and `&offhook:*`.

mod error;
mod hear;
mod key;
mod lane;
mod link;
mod queue;
mod sentinel;
mod url;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use model::{NodeNumber, limits};
use redis::{FromRedisValue, Pipeline, pipe};

pub use error::BusError;
pub use hear::Hearing;
pub use queue::Heard;
pub use url::BusUrl;

use key::{Keys, VERSION, WHOLE};
use lane::Lane;
use link::{SharedWay, Way};

const CLAIM: &str = "claim a number for this node";
const SEND: &str = "send a message to other nodes";
const WRITE: &str = "write the bindings of this node";
const LOAD: &str = "read the bindings of another node";
const LOOK: &str = "look for a binding on other nodes";
const ALIVE: &str = "say that this node is alive";
const NODES: &str = "ask which nodes are alive";
const LEAVE: &str = "take this node from the bus";

/// A bus. Cheap to clone; all clones are the same process to it.
#[derive(Clone)]
pub struct Bus(Arc<Inner>);

struct Inner {
    way: SharedWay,
    keys: Keys,
    /// For what is small, and waited for.
    quick: Lane,
    /// For the bindings of a whole node: what is sent meanwhile does not wait behind them.
    bulk: Lane,
    /// Which process this is.
    process: String,
}

/// What of a node's hash tells about the rest: its version, and whether it is whole.
type Head = (Option<u64>, Option<u64>);

impl Bus {
    /// A bus that is used from now on. Connects to nothing yet; reads the file of authorities, where its address names one.
    pub fn new(url: BusUrl) -> Result<Self, BusError> {
        let keys = Keys::new(url.prefix(), url.database);
        let way = Arc::new(Way::new(url)?);
        Ok(Self(Arc::new(Inner {
            quick: Lane::new(Arc::clone(&way)),
            bulk: Lane::new(Arc::clone(&way)),
            way,
            keys,
            process: format!("{:016x}{:016x}", anything(), anything()),
        })))
    }

    /// A number for a process that starts: the next of those that no node has. It is kept for [`limits::BUS_CLAIM_TIME`], and then for
    /// as long as [`Bus::alive`] says.
    pub async fn claim(&self) -> Result<NodeNumber, BusError> {
        let inner = &*self.0;
        let (_, gone) = inner.presence(CLAIM).await?;
        if !gone.is_empty() {
            let mut forget = pipe();
            forget.cmd("SREM").arg(inner.keys.nodes()).ignore();
            for node in gone {
                forget.arg(node.get());
            }
            let () = inner.quick(CLAIM, &inner.keys.nodes(), &forget).await?;
        }
        let started = inner.keys.started();
        let mut count = pipe();
        // Whoever has forgotten the count has forgotten who is alive as well: it begins anywhere, so as to meet nobody.
        let anywhere = anything() % u64::from(NodeNumber::LAST.get());
        count
            .cmd("SET")
            .arg(&started)
            .arg(anywhere)
            .arg("NX")
            .ignore();
        count.cmd("INCR").arg(&started);
        for _ in 0..NodeNumber::LAST.get() {
            let (count,): (u64,) = inner.quick(CLAIM, &started, &count).await?;
            let node = NodeNumber::of_start(count);
            if inner.take(node).await? {
                return Ok(node);
            }
        }
        let place = inner.way.place().to_owned();
        Err(BusError::NoNumber { place })
    }

    /// Sends to one node. Says whether somebody was there to hear it; of a cluster, whose servers do not know it, always that there was.
    pub async fn send(&self, to: NodeNumber, post: &[u8]) -> Result<bool, BusError> {
        let heard = self.0.publish(&self.0.keys.posts(to), post).await?;
        Ok(heard > 0 || self.0.way.is_cluster())
    }

    /// Sends to all nodes, this one among them.
    pub async fn send_all(&self, post: &[u8]) -> Result<(), BusError> {
        self.0.publish(&self.0.keys.posts_to_all(), post).await?;
        Ok(())
    }

    /// In one step: changes a node's bindings (`None` removes one), says which version they are now, and tells all nodes.
    /// Gives back the version that they were before. If that is not what was written last, or is none, then the bus has forgotten
    /// something, and all are to be written anew: until then nobody takes them for whole, or all but the newest.
    pub async fn write(
        &self,
        node: NodeNumber,
        version: u64,
        changes: &[(String, Option<Vec<u8>>)],
        post: &[u8],
    ) -> Result<Option<u64>, BusError> {
        // Of several changes of one the last counts.
        let changes: BTreeMap<&str, Option<&[u8]>> = changes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()))
            .collect();
        let sizes = changes
            .iter()
            .map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len));
        let bytes = sizes.sum::<usize>() + post.len();
        check_size(WRITE, bytes, limits::BUS_STEP_BYTES)?;
        check_size(SEND, post.len(), limits::BUS_POST_BYTES)?;
        let bindings = self.0.keys.bindings(node);
        let mut step = pipe();
        step.atomic();
        step.cmd("HMGET").arg(&bindings).arg(VERSION).arg(WHOLE);
        let head = step.cmd("HSET").arg(&bindings);
        head.arg(VERSION).arg(version).ignore();
        let set = changes
            .iter()
            .filter_map(|(name, value)| Some((*name, (*value)?)));
        for part in parts(set) {
            set_fields(&mut step, &bindings, &part);
        }
        let removed = changes.iter().filter(|(_, value)| value.is_none());
        for part in parts(removed.map(|(name, _)| (*name, &[][..]))) {
            step.cmd("HDEL").arg(&bindings).ignore();
            for (name, _) in part {
                step.arg(key::field(name));
            }
        }
        expire(&mut step, &bindings);
        let all = self.0.keys.posts_to_all();
        step.cmd("PUBLISH").arg(all).arg(post).ignore();
        let (head,): (Head,) = self.0.quick(WRITE, &bindings, &step).await?;
        Ok(version_of(head))
    }

    /// Writes all of a node's bindings anew. Readers see what was there before until all is written, and then all at once.
    /// Nothing else of this node may be written meanwhile.
    pub async fn rewrite(
        &self,
        node: NodeNumber,
        version: u64,
        entries: &[(String, Vec<u8>)],
    ) -> Result<(), BusError> {
        let sizes = entries.iter().map(|(name, value)| name.len() + value.len());
        check_size(WRITE, sizes.max().unwrap_or(0), limits::BUS_STEP_BYTES)?;
        let (keys, bulk) = (&self.0.keys, &self.0.bulk);
        let (bindings, fresh) = (keys.bindings(node), keys.fresh(node));
        let time = limits::BUS_ANSWER_TIME;
        let mut step = pipe();
        step.cmd("UNLINK").arg(&fresh).ignore();
        // First, so that what is begun anew in the middle, because the bus has forgotten it, is not whole.
        step.cmd("HSET")
            .arg(&fresh)
            .arg(VERSION)
            .arg(version)
            .arg(WHOLE)
            .arg(1);
        expire(&mut step, &fresh);
        let (mut fields,): (u64,) = bulk.ask(WRITE, &fresh, &step, time).await?;
        let entries = entries
            .iter()
            .map(|(name, value)| (name.as_str(), &value[..]));
        let all: Vec<_> = parts(entries).collect();
        for part in all {
            let mut step = pipe();
            step.cmd("HSET").arg(&fresh);
            for (name, value) in part {
                step.arg(key::field(name)).arg(value);
            }
            expire(&mut step, &fresh);
            let (more,): (u64,) = bulk.ask(WRITE, &fresh, &step, time).await?;
            fields += more;
        }
        let mut step = pipe();
        step.atomic();
        step.cmd("HLEN").arg(&fresh);
        step.cmd("RENAME").arg(&fresh).arg(&bindings).ignore();
        expire(&mut step, &bindings);
        let (found,): (u64,) = bulk.ask(WRITE, &bindings, &step, time).await?;
        if found == fields {
            return Ok(());
        }
        let mut step = pipe();
        step.cmd("UNLINK").arg(&bindings).ignore();
        let () = bulk.ask(WRITE, &bindings, &step, time).await?;
        Err(BusError::Damaged {
            operation: WRITE,
            place: self.0.way.place().to_owned(),
            what: format!("{found} fields of {fields} that were written"),
        })
    }

    /// All bindings of a node, and which version they are. `None`: it has none here, or some lack.
    pub async fn load(&self, node: NodeNumber) -> Result<Option<Loaded>, BusError> {
        let bindings = self.0.keys.bindings(node);
        let mut step = pipe();
        step.cmd("HGETALL").arg(&bindings);
        let time = limits::BUS_LOAD_TIME;
        let (fields,): (Vec<(String, Vec<u8>)>,) =
            self.0.bulk.ask(LOAD, &bindings, &step, time).await?;
        let (mut version, mut is_whole) = (None, false);
        let mut entries = Vec::with_capacity(fields.len());
        for (field, value) in fields {
            match key::name(&field) {
                Some(name) => entries.push((name.to_owned(), value)),
                None if field == WHOLE => is_whole = true,
                None if field == VERSION => version = number(&value),
                None => {}
            }
        }
        Ok(version
            .filter(|_| is_whole)
            .map(|version| Loaded { version, entries }))
    }

    /// One binding, as these nodes have it: those that have none are left out. One way there and back.
    pub async fn look(
        &self,
        nodes: &[NodeNumber],
        name: &str,
    ) -> Result<Vec<(NodeNumber, Vec<u8>)>, BusError> {
        let field = key::field(name);
        let bindings = |node| self.0.keys.bindings(node);
        let found: Vec<Option<Vec<u8>>> = if nodes.is_empty() {
            Vec::new()
        } else if self.0.way.is_cluster() {
            let each = nodes.iter().map(|node| async {
                let bindings = bindings(*node);
                let mut step = pipe();
                step.cmd("HGET").arg(&bindings).arg(&field);
                let (value,) = self.0.quick(LOOK, &bindings, &step).await?;
                Ok::<_, BusError>(value)
            });
            try_join_all(each).await?
        } else {
            let mut step = pipe();
            for node in nodes {
                step.cmd("HGET").arg(bindings(*node)).arg(&field);
            }
            self.0.quick(LOOK, "", &step).await?
        };
        let found = nodes.iter().zip(found);
        Ok(found
            .filter_map(|(node, value)| Some((*node, value?)))
            .collect())
    }

    /// Says that the node is alive, for as long as that. Gives back which version its bindings are here: `None` if there are none, or
    /// some lack. [`BusError::Taken`] if another process has said the same of this number.
    pub async fn alive(&self, node: NodeNumber, lasts: Duration) -> Result<Option<u64>, BusError> {
        let inner = &*self.0;
        let (presence, bindings) = (inner.keys.presence(node), inner.keys.bindings(node));
        let mut here = pipe();
        here.atomic();
        here.cmd("GET").arg(&presence);
        here.cmd("SET")
            .arg(&presence)
            .arg(&inner.process)
            .arg("PX")
            .arg(millis(lasts))
            .ignore();
        here.cmd("SADD")
            .arg(inner.keys.nodes())
            .arg(node.get())
            .ignore();
        let mut kept = pipe();
        expire(&mut kept, &bindings);
        kept.cmd("HMGET").arg(&bindings).arg(VERSION).arg(WHOLE);
        let ((who,), (head,)): ((Option<String>,), (Head,)) = tokio::try_join!(
            inner.quick(ALIVE, &presence, &here),
            inner.quick(ALIVE, &bindings, &kept),
        )?;
        match who {
            Some(who) if who != inner.process => Err(BusError::Taken(node)),
            _ => Ok(version_of(head)),
        }
    }

    /// The nodes that are alive, in the order of their numbers.
    pub async fn nodes(&self) -> Result<Vec<NodeNumber>, BusError> {
        let (alive, _) = self.0.presence(NODES).await?;
        Ok(alive)
    }

    /// Takes the node away: it is not alive any more, and has no bindings here.
    pub async fn leave(&self, node: NodeNumber) -> Result<(), BusError> {
        let keys = &self.0.keys;
        let (presence, bindings) = (keys.presence(node), keys.bindings(node));
        let mut here = pipe();
        here.cmd("DEL").arg(&presence).ignore();
        here.cmd("SREM").arg(keys.nodes()).arg(node.get()).ignore();
        let mut kept = pipe();
        kept.cmd("UNLINK")
            .arg(&bindings)
            .arg(keys.fresh(node))
            .ignore();
        tokio::try_join!(
            self.0.quick::<()>(LEAVE, &presence, &here),
            self.0.quick::<()>(LEAVE, &bindings, &kept),
        )?;
        Ok(())
    }

    /// Hears what is sent to this node and to all, for as long as it is held. Needs tokio.
    pub fn hear(&self, node: NodeNumber) -> Hearing {
        let channels = [self.0.keys.posts(node), self.0.keys.posts_to_all()];
        Hearing::begin(Arc::clone(&self.0.way), channels)
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bus({})", self.0.way.place())
    }
}

/// The bindings of a node, all of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Which version they are.
    pub version: u64,
    /// Each by its name, in no order.
    pub entries: Vec<(String, Vec<u8>)>,
}

impl Inner {
    async fn quick<T: FromRedisValue>(
        &self,
        operation: &'static str,
        key: &str,
        step: &Pipeline,
    ) -> Result<T, BusError> {
        let time = limits::BUS_ANSWER_TIME;
        self.quick.ask(operation, key, step, time).await
    }

    async fn publish(&self, channel: &str, post: &[u8]) -> Result<u64, BusError> {
        check_size(SEND, post.len(), limits::BUS_POST_BYTES)?;
        let mut step = pipe();
        step.cmd("PUBLISH").arg(channel).arg(post);
        let (heard,) = self.quick(SEND, channel, &step).await?;
        Ok(heard)
    }

    /// Takes a number, unless it is taken, with nothing of whoever had it before.
    async fn take(&self, node: NodeNumber) -> Result<bool, BusError> {
        let presence = self.keys.presence(node);
        let time = millis(limits::BUS_CLAIM_TIME);
        let mut take = pipe();
        take.cmd("SET")
            .arg(&presence)
            .arg(&self.process)
            .arg("NX")
            .arg("PX")
            .arg(time);
        let (taken,): (Option<String>,) = self.quick(CLAIM, &presence, &take).await?;
        if taken.is_none() {
            return Ok(false);
        }
        let bindings = self.keys.bindings(node);
        let mut empty = pipe();
        empty
            .cmd("UNLINK")
            .arg(&bindings)
            .arg(self.keys.fresh(node))
            .ignore();
        let () = self.quick(CLAIM, &bindings, &empty).await?;
        Ok(true)
    }

    /// Of the numbers that have been alive: those that are, and those that are not.
    async fn presence(
        &self,
        operation: &'static str,
    ) -> Result<(Vec<NodeNumber>, Vec<NodeNumber>), BusError> {
        let nodes = self.keys.nodes();
        let mut step = pipe();
        step.cmd("SMEMBERS").arg(&nodes);
        let (numbers,): (Vec<u16>,) = self.quick(operation, &nodes, &step).await?;
        let mut known: Vec<NodeNumber> = numbers.into_iter().filter_map(NodeNumber::new).collect();
        if known.is_empty() {
            return Ok((known, Vec::new()));
        }
        known.sort_unstable();
        let mut step = pipe();
        step.cmd("MGET");
        for node in &known {
            step.arg(self.keys.presence(*node));
        }
        let (present,): (Vec<Option<String>>,) = self.quick(operation, &nodes, &step).await?;
        let alive: BTreeSet<NodeNumber> = known
            .iter()
            .zip(present)
            .filter_map(|(node, process)| process.map(|_| *node))
            .collect();
        Ok(known.into_iter().partition(|node| alive.contains(node)))
    }
}

/// Parts that are each one command, by how many fields they have and how large they are.
fn parts<'a>(
    entries: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> impl Iterator<Item = Vec<(&'a str, &'a [u8])>> {
    let mut entries = entries.peekable();
    std::iter::from_fn(move || {
        let (mut part, mut bytes) = (Vec::new(), 0);
        while let Some((name, value)) = entries.peek() {
            let more = name.len() + value.len();
            let is_full = part.len() == limits::BUS_COMMAND_FIELDS
                || bytes + more > limits::BUS_COMMAND_BYTES;
            if is_full && !part.is_empty() {
                break;
            }
            bytes += more;
            part.extend(entries.next());
        }
        (!part.is_empty()).then_some(part)
    })
}

fn set_fields(step: &mut Pipeline, key: &str, part: &[(&str, &[u8])]) {
    step.cmd("HSET").arg(key).ignore();
    for (name, value) in part {
        step.arg(key::field(name)).arg(*value);
    }
}

/// Bindings go if their node says nothing any more.
fn expire(step: &mut Pipeline, key: &str) {
    let time = millis(limits::BUS_BINDINGS_TIME);
    step.cmd("PEXPIRE").arg(key).arg(time).ignore();
}

fn millis(time: Duration) -> u64 {
    // Zero would be refused.
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

fn version_of((version, whole): Head) -> Option<u64> {
    version.filter(|_| whole.is_some())
}

fn number(value: &[u8]) -> Option<u64> {
    str::from_utf8(value).ok()?.parse().ok()
}

fn check_size(operation: &'static str, bytes: usize, max: usize) -> Result<(), BusError> {
    if bytes > max {
        return Err(BusError::TooLarge {
            operation,
            bytes,
            max,
        });
    }
    Ok(())
}

/// A number that is another in each process and each time; no secret.
fn anything() -> u64 {
    RandomState::new().hash_one(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_bounded_and_nothing_is_lost() {
        let large = vec![0; limits::BUS_COMMAND_BYTES / 2];
        let huge = vec![0; limits::BUS_COMMAND_BYTES * 2];
        let values = [&large[..], &large, &large, &huge, &[]];
        let sizes =
            |parts: Vec<Vec<(&str, &[u8])>>| -> Vec<usize> { parts.iter().map(Vec::len).collect() };
        let of_values = parts(values.iter().map(|value| ("", *value))).collect();
        assert_eq!(sizes(of_values), [2, 1, 1, 1]);
        let most = limits::BUS_COMMAND_FIELDS;
        let many = std::iter::repeat_n(("name", &b"value"[..]), most * 2 + 1);
        assert_eq!(sizes(parts(many).collect()), [most, most, 1]);
        assert_eq!(parts(std::iter::empty()).count(), 0);
    }
}
