//! The server: what came in goes to the room that knows what to do with it.
//!
//! Owns every table; rules of methods stand in `allocate`, `control` and `forwarding`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use stun_types::attribute::{
    AttributeStaticType as _, MessageIntegrity, MessageIntegritySha256, XorMappedAddress,
};
use stun_types::message::{BINDING, Message, MessageClass, MessageWriteVec};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH};

use crate::allocate::Opening;
use crate::allocation::Allocation;
use crate::authority::{Authority, Holder};
use crate::brake::Brake;
use crate::config::{Config, Gateway};
use crate::effect::{Counter, Effect};
use crate::indication;
use crate::input::{Client, Forward, Input, Link, Note, Now, RelayId};
use crate::nonce::Nonces;
use crate::peer_policy::spellings;
use crate::relays::Relays;
use crate::request::{self, House, Proven, Refused, Seal};
use crate::reservation::Reservation;
use crate::table::{Keyed, Table};

/// A request with everything in it that we know has some hundred bytes.
const LONGEST_REQUEST: usize = 4_096;
/// A success of Binding weighs at least this: header, XOR-MAPPED-ADDRESS of IPv4.
const SHORTEST_BINDING: usize = 32;
/// What a refusal without a proven password weighs at least: header, ERROR-CODE, REALM, NONCE, PASSWORD-ALGORITHMS.
const SHORTEST_CHALLENGE: usize = 84;
/// For one answer that is longer than what asked for it, a source may have so many that are not.
const FAIR_ANSWERS: u32 = 100;

/// See the crate.
#[derive(Debug)]
pub struct Server {
    pub(crate) config: Config,
    pub(crate) house: House,
    /// Gateways whose packets come from another address than the one that clients know.
    pub(crate) hidden: Vec<Gateway>,
    pub(crate) random: ChaCha12Rng,
    /// For answers to strangers that are longer than what they sent.
    pub(crate) brake: Brake,
    /// For those that are not: useless to forgers, and still no work without end.
    pub(crate) fair_brake: Brake,
    pub(crate) relays: Relays,
    /// Places in `allocations`.
    pub(crate) by_client: Table,
    pub(crate) allocations: Vec<Option<Allocation>>,
    pub(crate) free: Vec<u32>,
    pub(crate) by_holder: BTreeMap<Holder, Vec<u32>>,
    /// Requests that wait for their sockets.
    pub(crate) openings: BTreeMap<u32, Opening>,
    pub(crate) timers: BTreeSet<(Duration, Due)>,
    /// Ports that were set aside, by RESERVATION-TOKEN.
    pub(crate) reservations: BTreeMap<u64, Reservation>,
    /// Tokens of other servers, and the places that wait for their ports.
    pub(crate) claims: BTreeMap<u64, u32>,
    pub(crate) effects: VecDeque<Effect>,
}

/// What has its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// The end of the allocation in this place.
    Allocation(u32),
    /// The end of a reservation.
    Reservation(u64),
}

impl Server {
    /// An empty server.
    pub fn new(mut config: Config) -> Self {
        // Whatever else listens at their addresses is nobody's peer.
        let gateways = config.gateways.iter();
        let own = gateways.flat_map(|gateway| [gateway.public, gateway.local]);
        // Nor is a gateway by any other way, such as an exception of the operator's for its network.
        config.listening.extend(own.clone());
        config.machine.extend(own.map(|own| own.ip()));
        let gateways = config.gateways.iter().copied();
        let hidden = gateways.filter(|gateway| gateway.local != gateway.public);
        let mut random = ChaCha12Rng::from_seed(config.seed);
        let keyed = Keyed::new(random.next_u64(), random.next_u64());
        let bounds = config.bounds;
        Self {
            house: House {
                realm: config.realm.clone(),
                software: config.software.clone(),
                nonces: Nonces::new(config.nonce_key, bounds.nonce_life),
            },
            hidden: hidden.collect(),
            brake: Brake::new(keyed, bounds.answers_per_second, bounds.answers_burst),
            fair_brake: Brake::new(
                keyed,
                bounds.answers_per_second * FAIR_ANSWERS,
                bounds.answers_burst * FAIR_ANSWERS,
            ),
            relays: Relays::new(&config.relays, config.ports.clone(), config.share, keyed),
            by_client: Table::new(keyed),
            allocations: Vec::new(),
            free: Vec::new(),
            by_holder: BTreeMap::new(),
            openings: BTreeMap::new(),
            timers: BTreeSet::new(),
            reservations: BTreeMap::new(),
            claims: BTreeMap::new(),
            effects: VecDeque::new(),
            random,
            config,
        }
    }

    /// Takes one input; a packet's way on comes straight back. Drain the effects before the next input.
    pub fn handle<'a>(
        &mut self,
        now: Now,
        input: Input<'a>,
        authority: &mut dyn Authority,
    ) -> Option<Forward<'a>> {
        match input {
            Input::FromClient { client, message } => {
                // RFC 8656 §12.4: the first two bits tell ChannelData from STUN.
                if message.first().is_some_and(|first| first & 0xc0 == 0x40) {
                    return self.on_channel_data(now, client, message, authority);
                }
                self.on_message(now, client, message, authority)
            }
            Input::FromPeer { relay, peer, data } => {
                self.on_peer(now, relay, peer, data, authority)
            }
            Input::FromSibling { from, to, data } => {
                self.on_sibling(now, from, to, data, authority)
            }
            Input::Opened { relay, is_open } => {
                self.on_opened(now, relay, is_open, authority);
                None
            }
            Input::Told { from, note } => {
                self.on_told(now, from, note, authority);
                None
            }
            Input::Gone { client } => {
                if let Some(at) = self.place_of(client) {
                    self.end(now, at, authority);
                }
                None
            }
            Input::Recheck { holder } => {
                self.on_recheck(now, holder, authority);
                None
            }
            Input::Report => {
                for allocation in self.allocations.iter_mut().flatten() {
                    allocation.report(now, authority);
                }
                None
            }
            Input::Timeout => {
                self.on_timeout(now, authority);
                None
            }
        }
    }

    /// Permissions that are not granted any more go; so do the allocations of a holder that may not stay.
    fn on_recheck(&mut self, now: Now, holder: Holder, authority: &mut dyn Authority) {
        let may_stay = authority.may_stay(now, holder);
        let places = self.by_holder.get(&holder).cloned();
        for at in places.unwrap_or_default() {
            match &mut self.allocations[at as usize] {
                Some(allocation) if may_stay => allocation.recheck(now, authority),
                Some(_) => self.end(now, at, authority),
                None => {}
            }
        }
    }

    /// The next thing to do, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When `Input::Timeout` is wanted, on the monotonic clock.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// How many allocations there are.
    pub fn allocations(&self) -> usize {
        self.by_client.len()
    }

    /// How many ports are set aside: each was admitted as an allocation is.
    pub fn reservations(&self) -> usize {
        self.reservations.len()
    }

    /// Whether a client has an allocation: the shell ends streams that have none for long.
    pub fn holds(&self, client: Client) -> bool {
        self.place_of(client).is_some()
    }

    /// What its allocations take in memory, in bytes: with room that is kept for more, and trees counted twice for what
    /// stands empty in them.
    pub fn allocation_bytes(&self) -> usize {
        let allocations = self.allocations.capacity() * size_of::<Option<Allocation>>();
        let far: usize = self
            .allocations
            .iter()
            .flatten()
            .map(Allocation::far_bytes)
            .sum();
        let holdings: usize = self
            .by_holder
            .values()
            .map(|places| 2 * size_of::<(Holder, Vec<u32>)>() + 4 * places.capacity())
            .sum();
        let timers = 2 * self.timers.len() * size_of::<(Duration, Due)>();
        let lists = self.free.capacity() * size_of::<u32>();
        allocations + far + holdings + timers + lists + self.by_client.bytes() + self.relays.bytes()
    }

    /// Where a client's allocation is.
    pub(crate) fn place_of(&self, client: Client) -> Option<u32> {
        self.by_client.find(&client, |at| {
            self.allocations[at as usize]
                .as_ref()
                .is_some_and(|allocation| allocation.client == client)
        })
    }

    pub(crate) fn count(&mut self, counter: Counter) {
        self.effects.push_back(Effect::Count(counter));
    }

    pub(crate) fn send(&mut self, client: Client, message: Vec<u8>) {
        self.effects.push_back(Effect::Send { client, message });
    }

    /// Whether an address leads to this machine, however it is spelled.
    pub(crate) fn is_ours(&self, ip: IpAddr) -> bool {
        spellings(ip).any(|ip| self.config.machine.contains(&ip) || self.relays.is_address(ip))
    }

    fn on_message<'a>(
        &mut self,
        now: Now,
        client: Client,
        bytes: &'a [u8],
        authority: &mut dyn Authority,
    ) -> Option<Forward<'a>> {
        if indication::is_send(bytes) {
            return self.on_send(now, client, bytes, authority);
        }
        match Message::from_bytes(bytes) {
            Ok(message) if message.class() == MessageClass::Request => {
                if bytes.len() <= LONGEST_REQUEST {
                    self.on_request(now, client, &message, authority);
                } else {
                    self.on_garbage(client);
                }
            }
            // Keep-alives, and answers to nothing.
            Ok(_) => {}
            Err(_) => self.on_garbage(client),
        }
        None
    }

    /// Silence; a stream that has lost its framing is of no use any more.
    pub(crate) fn on_garbage(&mut self, client: Client) {
        self.count(Counter::Dropped);
        if matches!(client.link, Link::Stream(_)) {
            self.effects.push_back(Effect::Hang { client });
        }
    }

    fn on_request(
        &mut self,
        now: Now,
        client: Client,
        request: &Message<'_>,
        authority: &mut dyn Authority,
    ) {
        let method = request.method();
        if ![BINDING, ALLOCATE, REFRESH, CREATE_PERMISSION, CHANNEL_BIND].contains(&method) {
            self.count(Counter::Dropped);
            return;
        }
        let is_sealed = [MessageIntegrity::TYPE, MessageIntegritySha256::TYPE]
            .into_iter()
            .any(|kind| request.has_attribute(kind));
        // Cheap first: whoever has had enough is not even looked at.
        let answer_len = match method {
            BINDING => SHORTEST_BINDING,
            _ if is_sealed => 0,
            _ => SHORTEST_CHALLENGE,
        };
        if request.as_bytes().len() < answer_len && !self.has_room(now, client) {
            self.count(Counter::Slowed);
            return;
        }
        let answer = if method == BINDING {
            self.bind_answer(client, request)
        } else {
            match self.house.authenticate(now, client, request, authority) {
                Ok(proven) => return self.on_proven(now, client, request, proven, authority),
                Err(refused) => {
                    if is_sealed {
                        self.count(match refused {
                            Refused::STALE_NONCE => Counter::StaleNonce,
                            _ => Counter::CredentialRefused,
                        });
                    }
                    let seal = Seal::open(request);
                    self.house.refuse(now, client, request, &seal, refused)
                }
            }
        };
        // Nobody can have more bytes sent to somebody than they send themselves, but for this allowance.
        let is_longer = answer.len() > request.as_bytes().len();
        if self.may_answer(now, client, is_longer) {
            self.send(client, answer);
        } else {
            self.count(Counter::Slowed);
        }
    }

    /// A stream's handshake has shown that its source is real; a datagram's may be anybody's.
    fn may_answer(&mut self, now: Now, client: Client, is_longer: bool) -> bool {
        let brake = if is_longer {
            &mut self.brake
        } else {
            &mut self.fair_brake
        };
        match client.link {
            Link::Stream(_) => true,
            Link::Datagram(_) => brake.take(now.mono, client.address.ip()),
        }
    }

    fn has_room(&mut self, now: Now, client: Client) -> bool {
        match client.link {
            Link::Stream(_) => true,
            Link::Datagram(_) => self.brake.has_room(now.mono, client.address.ip()),
        }
    }

    fn bind_answer(&self, client: Client, request: &Message<'_>) -> Vec<u8> {
        let seal = Seal::open(request);
        let unknown = request::unknown_attributes(request);
        if !unknown.is_empty() {
            return self.house.refuse_unknown(request, &seal, &unknown);
        }
        let mut answer = Message::builder_success(request, MessageWriteVec::with_capacity(64));
        let mapped = XorMappedAddress::new(client.address, request.transaction_id());
        request::add(&mut answer, &mapped);
        self.house.finish(answer, &seal)
    }

    fn on_proven(
        &mut self,
        now: Now,
        client: Client,
        request: &Message<'_>,
        proven: Proven,
        authority: &mut dyn Authority,
    ) {
        let unknown = request::unknown_attributes(request);
        if !unknown.is_empty() {
            let answer = self.house.refuse_unknown(request, &proven.seal, &unknown);
            self.send(client, answer);
            return;
        }
        let seal = proven.seal.clone();
        let outcome = match request.method() {
            ALLOCATE => self.on_allocate(now, client, request, proven, authority),
            REFRESH => self.on_refresh(now, client, request, &proven, authority),
            CREATE_PERMISSION => {
                self.on_create_permission(now, client, request, &proven, authority)
            }
            _ => self.on_channel_bind(now, client, request, &proven, authority),
        };
        match outcome {
            Ok(Some(answer)) => self.send(client, answer),
            // It comes when the sockets are open.
            Ok(None) => {}
            Err(refused) => {
                match refused {
                    Refused::FORBIDDEN => self.count(Counter::PeerForbidden),
                    Refused::QUOTA | Refused::CAPACITY => self.count(Counter::AllocationQuota),
                    _ => {}
                }
                let answer = self.house.refuse(now, client, request, &seal, refused);
                self.send(client, answer);
            }
        }
    }

    fn on_timeout(&mut self, now: Now, authority: &mut dyn Authority) {
        while let Some((at, due)) = self.timers.first().copied() {
            if at > now.mono {
                return;
            }
            self.timers.pop_first();
            match due {
                Due::Allocation(place) => self.end(now, place, authority),
                Due::Reservation(token) => self.forget_reservation(now, token, authority),
            }
        }
    }

    /// Ends an allocation, whatever state it is in.
    pub(crate) fn end(&mut self, now: Now, at: u32, authority: &mut dyn Authority) {
        let Some(mut allocation) = self.allocations[at as usize].take() else {
            return;
        };
        allocation.report(now, authority);
        authority.release(now, allocation.holder);
        self.free.push(at);
        let opening = self.openings.remove(&at);
        if let Some(token) = opening.and_then(|opening| opening.wish.token)
            && self.claims.get(&token) == Some(&at)
        {
            self.claims.remove(&token);
        }
        self.by_client.remove(&allocation.client, at);
        self.timers
            .remove(&(allocation.expires, Due::Allocation(at)));
        if let Some(places) = self.by_holder.get_mut(&allocation.holder) {
            places.retain(|place| *place != at);
            if places.is_empty() {
                self.by_holder.remove(&allocation.holder);
            }
        }
        for relay in allocation.relays.into_iter().flatten() {
            self.close(relay.id);
        }
        if let Some(token) = allocation.reservation {
            self.forget_unopened(now, token, authority);
        }
    }

    pub(crate) fn close(&mut self, relay: RelayId) {
        let local = self.relays.get(relay).map(|relayed| relayed.local);
        self.relays.remove(relay);
        self.effects.push_back(Effect::Close { relay });
        if let Some(local) = local.filter(|local| !self.relays.is_own_share(local.port())) {
            self.tell(self.relays.server_of(local.port()), Note::Return { local });
        }
    }
}
