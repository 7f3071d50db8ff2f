//! Allocate: a request, the sockets that it needs, and its answer when they are there. RFC 8656 §7, RFC 6156.
//!
//! Never sends a packet of data.

use std::time::Duration;

use rand_chacha::rand_core::Rng;
use stun_types::AddressFamily;
use stun_types::attribute::{AttributeStaticType as _, ErrorCode, XorMappedAddress};
use stun_types::message::{Message, MessageWriteVec};
use turn_types::attribute::{
    AdditionalAddressFamily, AddressErrorCode, EvenPort, Lifetime, RequestedAddressFamily,
    RequestedTransport, ReservationToken, XorRelayedAddress,
};

use crate::allocation::{Allocation, Missing, Relay};
use crate::authority::{Authority, Holder};
use crate::effect::{Counter, Effect};
use crate::input::{Client, Now, RelayId};
use crate::relays::{Owner, Parity};
use crate::request::{Proven, Refused, Seal, add};
use crate::server::{Due, Server};

/// IANA protocol number, the one transport that is relayed.
const UDP: u8 = 17;
/// Ports that are tried before the system is believed to have none.
const ATTEMPTS: u8 = 32;
/// A request that waits for its sockets.
#[derive(Debug)]
pub(crate) struct Opening {
    request: Vec<u8>,
    pub(crate) username: Box<str>,
    seal: Seal,
    lifetime: Duration,
    /// Sockets that the shell has not answered for yet.
    waiting: Vec<RelayId>,
    attempts: u8,
    pub(crate) wish: Wish,
}

/// Which addresses a request wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    is_v6: bool,
    both: bool,
    parity: Parity,
    pub(crate) token: Option<u64>,
}

impl Server {
    /// Nothing comes back while sockets are awaited.
    pub(crate) fn on_allocate(
        &mut self,
        now: Now,
        client: Client,
        request: &Message<'_>,
        proven: Proven,
        authority: &mut dyn Authority,
    ) -> Result<Option<Vec<u8>>, Refused> {
        let holder = proven.credential.holder;
        if let Some(at) = self.place_of(client) {
            return self.on_allocate_again(now, at, request, holder, &proven.seal);
        }
        let wish = self.read_wish(request)?;
        if !proven.credential.is_fresh {
            return Err(Refused::UNAUTHENTICATED);
        }
        if self.by_client.len() >= self.config.bounds.allocations {
            return Err(Refused::CAPACITY);
        }
        authority.admit(now, holder, &proven.username)?;
        let lifetime = self.lifetime(request);
        // An allocation whose sockets never open goes by itself.
        let expires = now.mono + lifetime;
        let allocation = Allocation::new(client, holder, request.transaction_id(), expires);
        let at = self.insert(allocation);
        self.openings.insert(
            at,
            Opening {
                request: request.as_bytes().to_vec(),
                username: proven.username,
                seal: proven.seal,
                lifetime,
                waiting: Vec::new(),
                attempts: 0,
                wish,
            },
        );
        if let Err(refused) = self.open(now, at, wish, authority) {
            self.end(now, at, authority);
            return Err(refused);
        }
        Ok(self.answer_if_open(now, at))
    }

    fn insert(&mut self, allocation: Allocation) -> u32 {
        let (client, holder, expires) = (allocation.client, allocation.holder, allocation.expires);
        let at = match self.free.pop() {
            Some(at) => {
                self.allocations[at as usize] = Some(allocation);
                at
            }
            None => {
                self.allocations.push(Some(allocation));
                (self.allocations.len() - 1) as u32
            }
        };
        self.by_client.insert(&client, at);
        self.by_holder.entry(holder).or_default().push(at);
        self.timers.insert((expires, Due::Allocation(at)));
        at
    }

    /// RFC 8656 §7.2: a retransmission gets the same answer, another request 437.
    fn on_allocate_again(
        &self,
        now: Now,
        at: u32,
        request: &Message<'_>,
        holder: Holder,
        seal: &Seal,
    ) -> Result<Option<Vec<u8>>, Refused> {
        let allocation = self.allocations[at as usize]
            .as_ref()
            .filter(|allocation| {
                allocation.transaction == request.transaction_id() && allocation.holder == holder
            })
            .ok_or(Refused::MISMATCH)?;
        if self.openings.contains_key(&at) {
            return Ok(None);
        }
        let lifetime = allocation.expires.saturating_sub(now.mono);
        Ok(Some(self.success(allocation, request, seal, lifetime)))
    }

    /// RFC 8656 §7.2, RFC 6156 §4.2: what may stand beside what.
    fn read_wish(&self, request: &Message<'_>) -> Result<Wish, Refused> {
        let transport = request
            .attribute::<RequestedTransport>()
            .map_err(|_| Refused::BAD_REQUEST)?;
        if transport.protocol() != UDP {
            return Err(Refused::TRANSPORT_NOT_SUPPORTED);
        }
        let has = |kind| request.has_attribute(kind);
        let (has_token, has_even) = (has(ReservationToken::TYPE), has(EvenPort::TYPE));
        let (has_family, has_both) = (
            has(RequestedAddressFamily::TYPE),
            has(AdditionalAddressFamily::TYPE),
        );
        if has_token && (has_even || has_family || has_both) || has_family && has_both {
            return Err(Refused::BAD_REQUEST);
        }
        let parity = match request.attribute::<EvenPort>() {
            Ok(even) if even.requested() => Parity::Pair,
            Ok(_) => Parity::Even,
            Err(_) if has_even => return Err(Refused::BAD_REQUEST),
            Err(_) => Parity::Any,
        };
        if has_both {
            let additional = request
                .attribute::<AdditionalAddressFamily>()
                .map_err(|_| Refused::BAD_REQUEST)?;
            if parity == Parity::Pair || additional.family() != AddressFamily::IPV6 {
                return Err(Refused::BAD_REQUEST);
            }
        }
        let token = request
            .attribute::<ReservationToken>()
            .ok()
            .map(|token| token.token());
        if has_token && token.is_none() {
            return Err(Refused::BAD_REQUEST);
        }
        let is_v6 = match request.attribute::<RequestedAddressFamily>() {
            Ok(family) => family.family() == AddressFamily::IPV6,
            Err(_) if has_family => return Err(Refused::FAMILY_NOT_SUPPORTED),
            Err(_) => false,
        };
        if token.is_none() && !has_both && !self.relays.has_family(is_v6) {
            return Err(Refused::FAMILY_NOT_SUPPORTED);
        }
        Ok(Wish {
            is_v6,
            both: has_both,
            parity,
            token,
        })
    }

    /// RFC 8656 §7.2: what is asked for, within our bounds.
    pub(crate) fn lifetime(&self, request: &Message<'_>) -> Duration {
        let bounds = &self.config.bounds;
        let asked = request
            .attribute::<Lifetime>()
            .map_or(0, |life| life.seconds());
        Duration::from_secs(u64::from(asked)).clamp(bounds.lifetime_default, bounds.lifetime_max)
    }

    /// Takes the ports that an opening wants and has the shell open them.
    fn open(
        &mut self,
        now: Now,
        at: u32,
        wish: Wish,
        authority: &mut dyn Authority,
    ) -> Result<(), Refused> {
        if let Some(token) = wish.token {
            return self.take_reserved(now, at, token, authority);
        }
        if !wish.both {
            return self.open_family(now, at, wish, wish.is_v6, authority);
        }
        // RFC 8656 §7.2: one of them is enough.
        let one = self.open_family(now, at, wish, false, authority);
        let other = self.open_family(now, at, wish, true, authority);
        for (outcome, is_v6) in [(one, false), (other, true)] {
            if let Err(Refused(code)) = outcome {
                self.miss(at, Missing { is_v6, code });
            }
        }
        one.or(other)
            .map_err(|_| one.err().unwrap_or(Refused::CAPACITY))
    }

    fn miss(&mut self, at: u32, missing: Missing) {
        if let Some(allocation) = &mut self.allocations[at as usize] {
            allocation.missing = Some(missing);
        }
    }

    fn open_family(
        &mut self,
        now: Now,
        at: u32,
        wish: Wish,
        is_v6: bool,
        authority: &mut dyn Authority,
    ) -> Result<(), Refused> {
        if !self.relays.has_family(is_v6) {
            return Err(Refused::FAMILY_NOT_SUPPORTED);
        }
        let start = self.random.next_u64();
        let owner = Owner::Allocation(at);
        let relay = self
            .relays
            .take(is_v6, wish.parity, start, owner)
            .ok_or(Refused::CAPACITY)?;
        self.give(at, relay);
        self.await_socket(at, relay);
        if wish.parity == Parity::Pair {
            self.set_aside(now, at, relay, authority)?;
        }
        Ok(())
    }

    pub(crate) fn give(&mut self, at: u32, relay: RelayId) {
        if let Some(relayed) = self.relays.get(relay)
            && let Some(allocation) = &mut self.allocations[at as usize]
        {
            let public = relayed.public;
            allocation.relays[usize::from(public.is_ipv6())] = Some(Relay { id: relay, public });
        }
    }

    pub(crate) fn await_socket(&mut self, at: u32, relay: RelayId) {
        if let Some(relayed) = self.relays.get(relay) {
            let local = relayed.local;
            self.effects.push_back(Effect::Open { relay, local });
        }
        if let Some(opening) = self.openings.get_mut(&at) {
            opening.waiting.push(relay);
        }
    }

    /// A socket is there, or is not.
    pub(crate) fn on_opened(
        &mut self,
        now: Now,
        relay: RelayId,
        is_open: bool,
        authority: &mut dyn Authority,
    ) {
        let at = match self.relays.get(relay).map(|relayed| relayed.owner) {
            Some(Owner::Allocation(at)) => at,
            Some(Owner::Reservation(token)) => match self.opening_of(token) {
                Some(at) => at,
                None => return,
            },
            Some(Owner::Lent(_)) | None => return,
        };
        let Some(opening) = self.openings.get_mut(&at) else {
            return;
        };
        let Some(waiting) = opening.waiting.iter().position(|other| *other == relay) else {
            return;
        };
        if is_open {
            opening.waiting.remove(waiting);
        } else if let Err(refused) = self.on_not_opened(now, at, relay, authority) {
            self.give_up(now, at, refused, authority);
            return;
        }
        if let Some(answer) = self.answer_if_open(now, at)
            && let Some(allocation) = &self.allocations[at as usize]
        {
            self.send(allocation.client, answer);
        }
    }

    /// Somebody else has the port: another one of the family is tried, and a pair anew, so that it stays one.
    fn on_not_opened(
        &mut self,
        now: Now,
        at: u32,
        relay: RelayId,
        authority: &mut dyn Authority,
    ) -> Result<(), Refused> {
        let Some(is_v6) = self
            .relays
            .get(relay)
            .map(|relayed| relayed.local.is_ipv6())
        else {
            return Ok(());
        };
        let Some(allocation) = &mut self.allocations[at as usize] else {
            return Ok(());
        };
        let failed = allocation.relays[usize::from(is_v6)].take();
        let has_other = allocation.relays[usize::from(!is_v6)].is_some();
        if let Some(token) = allocation.reservation.take() {
            self.forget_reservation(now, token, authority);
        }
        if let Some(failed) = failed {
            self.close(failed.id);
        }
        let Some(opening) = self.openings.get_mut(&at) else {
            return Ok(());
        };
        let is_there = |relay: &RelayId| self.relays.get(*relay).is_some();
        opening.waiting.retain(is_there);
        opening.attempts += 1;
        let wish = opening.wish;
        // Whoever shows a token wants that port and no other.
        let outcome = if opening.attempts < ATTEMPTS && wish.token.is_none() {
            self.open_family(now, at, wish, is_v6, authority)
        } else {
            opening.attempts = 0;
            Err(Refused::CAPACITY)
        };
        match outcome {
            Err(Refused(code)) if has_other => {
                self.miss(at, Missing { is_v6, code });
                Ok(())
            }
            outcome => outcome,
        }
    }

    pub(crate) fn give_up(
        &mut self,
        now: Now,
        at: u32,
        refused: Refused,
        authority: &mut dyn Authority,
    ) {
        let Some(opening) = self.openings.remove(&at) else {
            return;
        };
        let client = self.allocations[at as usize]
            .as_ref()
            .map(|allocation| allocation.client);
        self.end(now, at, authority);
        self.count(Counter::AllocationQuota);
        if let Some(client) = client
            && let Ok(request) = Message::from_bytes(&opening.request)
        {
            let answer = self
                .house
                .refuse(now, client, &request, &opening.seal, refused);
            self.send(client, answer);
        }
    }

    /// The answer, once every socket is open.
    fn answer_if_open(&mut self, now: Now, at: u32) -> Option<Vec<u8>> {
        if !self.openings.get(&at)?.waiting.is_empty() || self.is_claiming(at) {
            return None;
        }
        let opening = self.openings.remove(&at)?;
        self.count(Counter::Allocated);
        let reservation = self.allocations[at as usize].as_ref()?.reservation;
        if let Some(token) = reservation {
            self.arm_reservation(now, token);
        }
        let allocation = self.allocations[at as usize].as_ref()?;
        let request = Message::from_bytes(&opening.request).ok()?;
        Some(self.success(allocation, &request, &opening.seal, opening.lifetime))
    }

    /// RFC 8656 §7.3.
    fn success(
        &self,
        allocation: &Allocation,
        request: &Message<'_>,
        seal: &Seal,
        lifetime: Duration,
    ) -> Vec<u8> {
        let transaction = request.transaction_id();
        let mut answer = Message::builder_success(request, MessageWriteVec::with_capacity(160));
        for relay in allocation.relays.iter().flatten() {
            add(
                &mut answer,
                &XorRelayedAddress::new(relay.public, transaction),
            );
        }
        add(&mut answer, &Lifetime::new(lifetime.as_secs() as u32));
        if let Some(token) = allocation.reservation {
            add(&mut answer, &ReservationToken::new(token));
        }
        let mapped = XorMappedAddress::new(allocation.client.address, transaction);
        add(&mut answer, &mapped);
        if let Some(missing) = allocation.missing
            && let Ok(code) = ErrorCode::new(missing.code, "")
        {
            let family = if missing.is_v6 {
                AddressFamily::IPV6
            } else {
                AddressFamily::IPV4
            };
            add(&mut answer, &AddressErrorCode::new(family, code));
        }
        self.house.finish(answer, seal)
    }
}
