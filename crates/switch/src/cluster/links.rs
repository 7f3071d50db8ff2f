//! The links between this node and the others: each word arrives once and in order, whatever the bus loses, repeats or turns round.
//!
//! What was sent is kept until its receiver has acknowledged it, and sent again meanwhile. A link that keeps too much, or for too long,
//! is broken: all that it kept is given up, and both ends learn it. Never knows what a word says.
//!
//! A post is a line of five numbers and the word behind it: `<from> <epoch> <number> <their epoch> <received>`. An epoch is one life of a
//! link in one direction; number 0 is a post without a word.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;

use bytes::Bytes;
use model::{Instant, NodeNumber, limits};

/// A post for another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Whom it is for.
    pub(super) to: NodeNumber,
    /// All of it.
    pub(super) post: Vec<u8>,
}

/// What a post brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Received<'a> {
    /// Who sent it.
    pub(super) from: NodeNumber,
    /// Its sender has given the link up and begun anew: what it still owed is lost.
    pub(super) is_anew: bool,
    /// A word that has not been here before.
    pub(super) word: Option<&'a [u8]>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Links {
    own: NodeNumber,
    last_epoch: u64,
    links: BTreeMap<NodeNumber, Link>,
    frames: VecDeque<Frame>,
    /// While the bus carries nothing nobody is late.
    is_suspended: bool,
}

/// Both directions between this node and one other.
#[derive(Debug)]
struct Link {
    epoch: u64,
    sent: u64,
    /// Words that were sent and not acknowledged, up to `sent`.
    kept: VecDeque<Bytes>,
    kept_bytes: usize,
    /// When the first of them is given up, with all others.
    given_up: Option<Instant>,
    /// When they are sent again.
    again: Option<Instant>,
    their_epoch: u64,
    received: u64,
    /// When it is said how far this side has received, unless a word says so before.
    acknowledged: Option<Instant>,
}

impl Link {
    fn new(epoch: u64) -> Self {
        Self {
            epoch,
            sent: 0,
            kept: VecDeque::new(),
            kept_bytes: 0,
            given_up: None,
            again: None,
            their_epoch: 0,
            received: 0,
            acknowledged: None,
        }
    }

    fn post(&mut self, own: NodeNumber, number: u64, word: &[u8]) -> Vec<u8> {
        self.acknowledged = None;
        // Five numbers, their spaces and a line end.
        let mut post = Vec::with_capacity(word.len() + 64);
        let (epoch, their_epoch, received) = (self.epoch, self.their_epoch, self.received);
        writeln!(post, "{own} {epoch} {number} {their_epoch} {received}")
            .expect("a Vec takes everything");
        post.extend_from_slice(word);
        post
    }

    fn acknowledge(&mut self, now: Instant, received: u64) {
        let open = self.sent.saturating_sub(received);
        let open = usize::try_from(open).unwrap_or(usize::MAX);
        if open >= self.kept.len() {
            return;
        }
        while self.kept.len() > open
            && let Some(word) = self.kept.pop_front()
        {
            self.kept_bytes -= word.len();
        }
        // Whoever acknowledges is there: the rest has its time from now on.
        let is_open = !self.kept.is_empty();
        self.given_up = is_open.then(|| now + limits::LINK_PATIENCE);
        self.again = is_open.then(|| now + limits::LINK_AGAIN);
    }
}

/// The five numbers.
struct Head {
    from: NodeNumber,
    epoch: u64,
    number: u64,
    their_epoch: u64,
    received: u64,
}

impl Head {
    fn parse(post: &[u8]) -> Option<(Self, &[u8])> {
        let end = memchr::memchr(b'\n', post)?;
        let mut numbers = std::str::from_utf8(&post[..end]).ok()?.split(' ');
        let mut next = || numbers.next()?.parse::<u64>().ok();
        let head = Self {
            from: NodeNumber::new(u16::try_from(next()?).ok()?)?,
            epoch: next()?,
            number: next()?,
            their_epoch: next()?,
            received: next()?,
        };
        numbers.next().is_none().then_some((head, &post[end + 1..]))
    }
}

impl Links {
    /// Of the node `own`, which has none yet.
    pub(super) fn new(own: NodeNumber) -> Self {
        Self {
            own,
            last_epoch: 0,
            links: BTreeMap::new(),
            frames: VecDeque::new(),
            is_suspended: false,
        }
    }

    /// Has a word sent. Where more waits already than may, the link is given up and the word with it: treat `to` as gone.
    #[must_use]
    pub(super) fn send(&mut self, now: Instant, to: NodeNumber, word: Vec<u8>) -> bool {
        let link = self.link(to);
        if link.kept.len() >= limits::LINK_WORDS
            || link.kept_bytes + word.len() > limits::LINK_BYTES
        {
            self.give_up(now, to);
            return false;
        }
        link.sent += 1;
        link.given_up.get_or_insert(now + limits::LINK_PATIENCE);
        link.again.get_or_insert(now + limits::LINK_AGAIN);
        let number = link.sent;
        link.kept_bytes += word.len();
        link.kept.push_back(word.into());
        let word = link.kept[link.kept.len() - 1].clone();
        let own = self.own;
        let post = self.link(to).post(own, number, &word);
        if !self.is_suspended {
            self.frames.push_back(Frame { to, post });
        }
        true
    }

    /// A post came in; `None` for what is none, or from an earlier life of its link.
    pub(super) fn received<'a>(&mut self, now: Instant, post: &'a [u8]) -> Option<Received<'a>> {
        let (head, word) = Head::parse(post)?;
        let from = head.from;
        if from == self.own {
            return None;
        }
        let link = self.link(from);
        if head.their_epoch == link.epoch {
            link.acknowledge(now, head.received);
        }
        let mut is_anew = false;
        if head.epoch != link.their_epoch {
            // A life begins with its first word.
            if head.epoch < link.their_epoch || head.number != 1 {
                return None;
            }
            is_anew = link.their_epoch != 0;
            link.their_epoch = head.epoch;
            link.received = 0;
        }
        let is_next = head.number == link.received + 1;
        link.received += u64::from(is_next);
        let word = Some(word).filter(|word| is_next && !word.is_empty());
        if head.number != 0 {
            link.acknowledged
                .get_or_insert(now + limits::LINK_ACKNOWLEDGES_AFTER);
        }
        Some(Received {
            from,
            is_anew,
            word,
        })
    }

    /// The bus has come or gone. What waits is sent again when it has come, and has its time from then on.
    pub(super) fn suspend(&mut self, now: Instant, is_suspended: bool) {
        self.is_suspended = is_suspended;
        if !is_suspended {
            for link in self.links.values_mut() {
                if !link.kept.is_empty() {
                    link.given_up = Some(now + limits::LINK_PATIENCE);
                    link.again = Some(now);
                }
            }
        }
    }

    /// Nothing is known of it any more: its number is another's when it comes again.
    pub(super) fn forget(&mut self, node: NodeNumber) {
        self.links.remove(&node);
        self.frames.retain(|frame| frame.to != node);
    }

    /// Whether everything that was sent is acknowledged.
    pub(super) fn is_settled(&self) -> bool {
        self.links.values().all(|link| link.kept.is_empty())
    }

    /// The next post to send.
    pub(super) fn poll_frame(&mut self) -> Option<Frame> {
        self.frames.pop_front()
    }

    /// When `on_timeout` is wanted.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if self.is_suspended {
            return None;
        }
        let links = self.links.values();
        links
            .flat_map(|link| [link.given_up, link.again, link.acknowledged])
            .flatten()
            .min()
    }

    /// Sends again what is not acknowledged, and says what has come; the nodes whose links are given up.
    pub(super) fn on_timeout(&mut self, now: Instant) -> Vec<NodeNumber> {
        let mut lost = Vec::new();
        if self.is_suspended {
            return lost;
        }
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let own = self.own;
        for (to, link) in &mut self.links {
            if is_due(link.given_up) {
                lost.push(*to);
                continue;
            }
            if is_due(link.again) {
                link.again = Some(now + limits::LINK_AGAIN);
                let first = link.sent - link.kept.len() as u64 + 1;
                let words: Vec<Bytes> = link
                    .kept
                    .iter()
                    .take(limits::LINK_AT_ONCE)
                    .cloned()
                    .collect();
                for (number, word) in (first..).zip(words) {
                    let post = link.post(own, number, &word);
                    self.frames.push_back(Frame { to: *to, post });
                }
            }
            if is_due(link.acknowledged) {
                let post = link.post(own, 0, b"");
                self.frames.push_back(Frame { to: *to, post });
            }
        }
        for node in &lost {
            self.give_up(now, *node);
        }
        lost
    }

    fn link(&mut self, node: NodeNumber) -> &mut Link {
        let last_epoch = &mut self.last_epoch;
        self.links.entry(node).or_insert_with(|| {
            *last_epoch += 1;
            Link::new(*last_epoch)
        })
    }

    /// What waits for a node is given up: this direction begins anew, with a word that says nothing but that.
    fn give_up(&mut self, now: Instant, node: NodeNumber) {
        self.frames.retain(|frame| frame.to != node);
        self.last_epoch += 1;
        let epoch = self.last_epoch;
        if let Some(link) = self.links.get_mut(&node) {
            let fresh = Link {
                their_epoch: link.their_epoch,
                received: link.received,
                acknowledged: link.acknowledged,
                ..Link::new(epoch)
            };
            *link = fresh;
            let is_sent = self.send(now, node, Vec::new());
            debug_assert!(is_sent, "a fresh link has room");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn node(number: u16) -> NodeNumber {
        NodeNumber::new(number).unwrap()
    }

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    /// Two nodes and what is on its way between them.
    struct Pair {
        nodes: [Links; 2],
        heard: [Vec<String>; 2],
        anew: [u32; 2],
    }

    impl Pair {
        fn new() -> Self {
            Self {
                nodes: [Links::new(node(1)), Links::new(node(2))],
                heard: [Vec::new(), Vec::new()],
                anew: [0, 0],
            }
        }

        fn say(&mut self, at: Instant, from: usize, word: &str) {
            let to = node(2 - from as u16);
            assert!(self.nodes[from].send(at, to, word.into()));
        }

        fn posts(&mut self, from: usize) -> Vec<Vec<u8>> {
            std::iter::from_fn(|| self.nodes[from].poll_frame())
                .map(|frame| frame.post)
                .collect()
        }

        fn hear(&mut self, now: Instant, to: usize, post: &[u8]) {
            let Some(received) = self.nodes[to].received(now, post) else {
                return;
            };
            self.anew[to] += u32::from(received.is_anew);
            if let Some(word) = received.word {
                self.heard[to].push(String::from_utf8(word.to_vec()).unwrap());
            }
        }

        /// Everything arrives.
        fn carry(&mut self, now: Instant, from: usize) {
            for post in self.posts(from) {
                self.hear(now, 1 - from, &post);
            }
        }
    }

    #[test]
    fn words_arrive_once_and_in_order_whatever_the_bus_does() {
        let mut pair = Pair::new();
        for word in ["a", "b", "c"] {
            pair.say(at(0), 0, word);
        }
        let posts = pair.posts(0);
        // The first is lost, the second comes twice and late.
        for which in [2, 1, 1] {
            pair.hear(at(1), 1, &posts[which]);
        }
        assert!(pair.heard[1].is_empty());
        let due = at(0) + limits::LINK_AGAIN;
        assert_eq!(pair.nodes[0].poll_timeout(), Some(due));
        assert!(pair.nodes[0].on_timeout(due).is_empty());
        pair.carry(due, 0);
        assert_eq!(pair.heard[1], ["a", "b", "c"]);
        let due = due + limits::LINK_ACKNOWLEDGES_AFTER;
        pair.nodes[1].on_timeout(due);
        pair.carry(due, 1);
        assert_eq!(pair.nodes[0].poll_timeout(), None);
        assert_eq!(pair.nodes[1].poll_timeout(), None);
        assert_eq!(pair.anew, [0, 0]);
    }

    #[test]
    fn a_word_says_what_has_come() {
        let mut pair = Pair::new();
        pair.say(at(0), 0, "question");
        pair.carry(at(1), 0);
        pair.say(at(2), 1, "answer");
        pair.carry(at(3), 1);
        assert_eq!(pair.nodes[0].links[&node(2)].kept.len(), 0);
        assert_eq!(pair.heard, [["answer"], ["question"]]);
    }

    #[test]
    fn a_link_that_nobody_acknowledges_is_given_up_and_begins_anew() {
        let mut pair = Pair::new();
        pair.say(at(0), 0, "heard");
        pair.carry(at(0), 0);
        pair.nodes[1].on_timeout(at(1000));
        pair.carry(at(1000), 1);
        pair.say(at(2000), 0, "lost");
        pair.posts(0);
        let (lost, now) = loop {
            let now = pair.nodes[0].poll_timeout().unwrap();
            let lost = pair.nodes[0].on_timeout(now);
            if !lost.is_empty() {
                break (lost, now);
            }
            pair.posts(0);
        };
        assert_eq!(
            (lost, now),
            (vec![node(2)], at(2000) + limits::LINK_PATIENCE)
        );
        // That it begins anew is said at once, and again until it is heard.
        let again = pair.nodes[0].poll_timeout().unwrap();
        pair.nodes[0].on_timeout(again);
        pair.carry(again, 0);
        assert_eq!(pair.anew, [0, 1]);
        pair.say(again, 0, "anew");
        pair.say(again, 1, "and the other direction goes on");
        pair.carry(again, 0);
        pair.carry(again, 1);
        assert_eq!(pair.heard[1], ["heard", "anew"]);
        assert_eq!((pair.anew, pair.heard[0].len()), ([0, 1], 1));
    }

    #[test]
    fn while_the_bus_is_away_nobody_is_late() {
        let mut pair = Pair::new();
        pair.nodes[0].suspend(at(0), true);
        pair.say(at(0), 0, "patience");
        assert!(pair.posts(0).is_empty());
        assert_eq!(pair.nodes[0].poll_timeout(), None);
        let back = at(0) + Duration::from_secs(3600);
        pair.nodes[0].suspend(back, false);
        assert_eq!(pair.nodes[0].poll_timeout(), Some(back));
        assert!(pair.nodes[0].on_timeout(back).is_empty());
        pair.carry(back, 0);
        assert_eq!(pair.heard[1], ["patience"]);
    }

    #[test]
    fn a_link_keeps_no_more_than_it_may() {
        let mut links = Links::new(node(1));
        for _ in 0..limits::LINK_WORDS {
            assert!(links.send(at(0), node(2), vec![0]));
        }
        assert!(!links.send(at(0), node(2), vec![0]));
        assert_eq!(std::iter::from_fn(|| links.poll_frame()).count(), 1);
        assert!(!links.send(at(0), node(2), vec![0; limits::LINK_BYTES + 1]));
    }

    #[test]
    fn what_is_no_post_is_nothing() {
        let mut links = Links::new(node(1));
        for post in [
            &b""[..],
            b"2 1 1 0 0",
            b"0 1 1 0 0\n",
            b"4096 1 1 0 0\n",
            b"2 1 1 0\n",
            b"2 1 1 0 0 0\n",
            b"2 -1 1 0 0\n",
            b"1 1 1 0 0\nfrom itself",
        ] {
            assert_eq!(links.received(at(0), post), None);
        }
    }
}
