//! See the module above: one line, as a machine. Holds its parts together; what they do stands with them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use model::{ConnectionId, Instant, Now, PeerName, Trunk, limits};

use super::asking::Asking;
use super::dialog::Dialogs;
use super::health::Health;
use super::here::Here;
use super::names::{Answer, NameFault, Names};
use super::registration::Registration;
use super::rewrite;
use super::serving::Serving;
use crate::effect::Counter;
use crate::random::Random;

/// What a line is told.
#[derive(Clone, Debug)]
pub enum LineInput<'a> {
    /// A datagram of a source that the trunk admits ([`Trunk::admits`]), or a whole message of a connection.
    Datagram {
        /// Whence; of a connection, where its other end is.
        from: SocketAddr,
        /// All of it.
        bytes: &'a [u8],
    },
    /// A connection of ours is lost, or there was none to be had.
    Lost {
        /// To whom.
        to: SocketAddr,
        /// Whether it was open: what was sent by it may have arrived.
        was_open: bool,
    },
    /// What came of [`LineEffect::Resolve`].
    Resolved {
        /// The place of the name.
        place: usize,
        /// What DNS says, without what is ours ([`without_own`](super::without_own)) and another trunk's
        /// ([`without_others`](super::without_others)).
        answer: &'a Result<Answer, NameFault>,
        /// Where whoever is there reaches our socket.
        own: Option<SocketAddr>,
    },
    /// A message that a shard sends on the line's connection.
    Send {
        /// The whole message.
        message: &'a [u8],
    },
    /// The instant of `poll_timeout` has come.
    Timeout,
    /// The server is going down: what it registered is taken back.
    Stop,
}

/// What a line wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineEffect {
    /// Send a datagram.
    Datagram {
        /// To whom.
        to: SocketAddr,
        /// All of it.
        bytes: Vec<u8>,
    },
    /// Send a message by a connection.
    Stream {
        /// By the one that came from here, if it is open.
        by: Option<SocketAddr>,
        /// Else by our own to here, which is to be opened if there is none.
        to: SocketAddr,
        /// All of it.
        bytes: Vec<u8>,
    },
    /// Give this message to the shard of the trunk's account, as [`Input::Message`](crate::Input::Message) on the line's connection.
    Deliver {
        /// A whole message that `sip::parse` takes.
        message: Vec<u8>,
    },
    /// Ask DNS about a name of the trunk's (RFC 3263 §4), by the trunk's transport. [`LineInput::Resolved`] must come of it.
    Resolve {
        /// Its place ([`Trunk::places`]).
        place: usize,
        /// Which one.
        name: PeerName,
    },
    /// The peers of the trunk are elsewhere: from now on it is admitted from there, and its shard is to know
    /// ([`Input::Trunk`](crate::Input::Trunk)). Whatever is sent there comes after this.
    Trunk(Arc<Trunk>),
    /// The line is another than it was.
    State(LineState),
    /// Add one to this counter.
    Count(Counter),
}

/// Whether calls can go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineState {
    /// The peer that is used, if any answers.
    pub peer: Option<SocketAddr>,
    /// Whether it took our registration; `None` where there is to be none.
    pub is_registered: Option<bool>,
    /// The status of the last refusal of a registration, or of the OPTIONS; 408 for none.
    pub refused: Option<u16>,
    /// The first name that DNS says nothing of use about now, by its place, and why. What it led to before is still used.
    pub name: Option<(usize, NameFault)>,
}

/// See the module.
#[derive(Debug)]
pub struct Line {
    connection: ConnectionId,
    trunk: Arc<Trunk>,
    /// Where peers reach our socket.
    own: SocketAddr,
    /// The same for those that no name leads to.
    own_at_first: SocketAddr,
    names: Names,
    pub(super) asking: Asking,
    pub(super) serving: Serving,
    pub(super) dialogs: Dialogs,
    pub(super) health: Health,
    pub(super) registration: Option<Registration>,
    random: Random,
    /// Of answers that open no dialog.
    tag: String,
    effects: VecDeque<LineEffect>,
    /// What was told last; nothing before the start.
    told: Option<LineState>,
    started: Instant,
    pub(super) is_stopping: bool,
}

impl Line {
    /// A line that has sent nothing yet: it begins with the first thing that it is told, and wants to be told the time at once.
    /// `own`: the address of our socket as peers know it; `seed`: for what is not to be guessed.
    pub fn new(
        connection: ConnectionId,
        trunk: Arc<Trunk>,
        own: SocketAddr,
        seed: [u8; 32],
        now: Now,
    ) -> Self {
        let mut random = Random::new(seed);
        let mut mint = || format!("{:016x}", random.bits());
        let names = Names::new(&trunk.places, now.mono);
        let candidates = names.candidates();
        let health = Health::new(candidates, trunk.check, now.mono, mint(), mint());
        let registration = trunk
            .registration
            .map(|wanted| Registration::new(wanted, mint(), mint()));
        let tag = mint();
        Self {
            connection,
            trunk,
            own,
            own_at_first: own,
            names,
            asking: Asking::new(),
            serving: Serving::new(),
            dialogs: Dialogs::new(),
            health,
            registration,
            random,
            tag,
            effects: VecDeque::new(),
            told: None,
            started: now.mono,
            is_stopping: false,
        }
    }

    /// The connection that its shard knows it by.
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Whom it leads to.
    pub fn trunk(&self) -> &Arc<Trunk> {
        &self.trunk
    }

    /// Where peers reach us.
    pub fn own(&self) -> SocketAddr {
        self.own
    }

    pub(super) fn here(&self) -> Here {
        Here {
            at: self.own,
            transport: self.trunk.transport,
        }
    }

    /// One thing happened; every effect is to be taken before the next.
    pub fn handle(&mut self, now: Now, input: LineInput<'_>) {
        match input {
            LineInput::Datagram { from, bytes } => self.on_datagram(now, from, bytes),
            LineInput::Send { message } => self.on_sent(now, message),
            LineInput::Lost { to, was_open } => self.on_lost(now, to, was_open),
            LineInput::Resolved { place, answer, own } => self.on_resolved(now, place, answer, own),
            LineInput::Timeout => {}
            LineInput::Stop => self.on_stop(now),
        }
        self.on_time(now);
        self.tell_state(now);
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<LineEffect> {
        self.effects.pop_front()
    }

    /// Whether something of the peer's is waited for: an answer, or an ACK. What only absorbs repetitions does not count.
    pub fn is_waiting(&self) -> bool {
        self.asking.is_waiting() || self.serving.is_waiting()
    }

    /// How much it keeps: requests that it has sent, requests of the peer's, dialogs.
    pub fn census(&self) -> [usize; 3] {
        [self.asking.len(), self.serving.len(), self.dialogs.len()]
    }

    /// When [`LineInput::Timeout`] is wanted.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.told.is_none() {
            return Some(self.started);
        }
        let registration = self.registration.as_ref().and_then(|known| known.due);
        let all = [
            self.asking.first(),
            self.serving.first(),
            self.dialogs.first_end(),
            self.health.due,
            self.health.first_rested(),
            self.names.first_due(),
            registration,
        ];
        all.into_iter().flatten().min()
    }

    /// DNS has answered: the peers are perhaps elsewhere.
    fn on_resolved(
        &mut self,
        now: Now,
        place: usize,
        answer: &Result<Answer, NameFault>,
        own: Option<SocketAddr>,
    ) {
        if self.is_stopping {
            return;
        }
        let random = &mut self.random;
        self.names.learn(place, answer, own, now.mono, random);
        self.own = self.names.own().unwrap_or(self.own_at_first);
        let candidates = self.names.candidates();
        let peers: Vec<_> = candidates.iter().map(|known| known.address).collect();
        let gone = self.trunk.known().filter(|known| !peers.contains(known));
        let is_wanted = |ip| {
            self.dialogs.has_one_with(ip)
                || self.asking.has_one_with(ip)
                || self.serving.has_one_with(ip)
        };
        let former = gone.filter(|known| is_wanted(known.ip()));
        let former: Vec<_> = former.take(limits::TRUNK_TARGETS).copied().collect();
        if peers == self.trunk.peers && former == self.trunk.former {
            return;
        }
        self.health.replace(candidates, now.mono);
        let trunk = Trunk {
            peers,
            former,
            ..Trunk::clone(&self.trunk)
        };
        self.trunk = Arc::new(trunk);
        self.effect(LineEffect::Trunk(Arc::clone(&self.trunk)));
    }

    /// Whom an initial request goes to. A registrar has calls by itself alone; others have their shares.
    pub(super) fn peer_for(&mut self, tried: &[SocketAddr]) -> Option<SocketAddr> {
        match self.registration {
            Some(_) => self.health.next(tried),
            None => self.health.draw(tried, &mut self.random),
        }
    }

    fn on_stop(&mut self, now: Now) {
        if !std::mem::replace(&mut self.is_stopping, true) {
            self.health.stop();
            self.names.stop();
            self.unregister(now);
        }
    }

    /// Whatever is due is done.
    fn on_time(&mut self, now: Now) {
        while let Some(id) = self.asking.due(now.mono) {
            self.on_asking_due(now, id);
        }
        while let Some(id) = self.serving.due(now.mono) {
            self.on_serving_due(now, id);
        }
        self.dialogs.forget_ended(now.mono);
        self.health.wake_rested(now.mono);
        for (place, name) in self.names.take_due(now.mono) {
            self.effect(LineEffect::Resolve { place, name });
        }
        let is_due = |due: Option<Instant>| due.is_some_and(|at| at <= now.mono);
        if is_due(self.health.due) {
            self.check_peers(now);
        }
        if is_due(self.registration.as_ref().and_then(|known| known.due)) {
            self.register(now);
        }
    }

    fn tell_state(&mut self, now: Now) {
        let peer = self.health.next(&[]);
        let wants_peer = |known: &Registration| peer.is_some() && known.to != peer;
        let before = self.told.and_then(|told| told.peer);
        if peer != before && !self.is_stopping && self.registration.as_ref().is_some_and(wants_peer)
        {
            self.register(now);
        }
        let registration = self.registration.as_ref();
        let refused = registration.and_then(|known| known.refused);
        let state = LineState {
            peer,
            is_registered: registration.map(|known| known.is_registered),
            refused: refused.or_else(|| self.health.refused()),
            name: self.names.fault(),
        };
        if self.told != Some(state) {
            self.told = Some(state);
            self.effects.push_back(LineEffect::State(state));
        }
    }

    /// Whether nothing more may begin; what belongs to a call has as much room again, so that calls can end.
    pub(super) fn is_full(&self, is_initial: bool) -> bool {
        let room = match is_initial {
            true => limits::TRUNK_TRANSACTIONS,
            false => limits::TRUNK_TRANSACTIONS * 2,
        };
        self.asking.len() + self.serving.len() >= room
    }

    pub(super) fn effect(&mut self, effect: LineEffect) {
        self.effects.push_back(effect);
    }

    pub(super) fn count(&mut self, counter: Counter) {
        self.effect(LineEffect::Count(counter));
    }

    pub(super) fn tag(&self) -> &str {
        &self.tag
    }

    pub(super) fn random_bits(&mut self) -> u64 {
        self.random.bits()
    }

    /// Text that nobody can guess.
    pub(super) fn mint(&mut self) -> String {
        format!("{:016x}", self.random.bits())
    }

    pub(super) fn mint_branch(&mut self) -> String {
        format!("z9hG4bK.{}", self.mint())
    }

    /// Who we are for the peer: the user that it knows.
    pub(super) fn own_address(&self) -> String {
        match &self.trunk.login {
            Some(login) => format!(
                "sip:{}@{}",
                rewrite::escaped(&login.user),
                self.trunk.domain
            ),
            None => format!("sip:{}", self.trunk.domain),
        }
    }

    /// Where that user is reached, as a Contact.
    pub(super) fn own_contact(&self) -> String {
        let login = self.trunk.login.as_ref();
        let user = login.map(|login| rewrite::escaped(&login.user));
        self.here().contact(user.as_deref()).to_string()
    }
}
