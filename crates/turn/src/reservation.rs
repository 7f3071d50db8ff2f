//! Ports that are set aside: the other half of a pair, kept for whoever shows the RESERVATION-TOKEN. RFC 8656 §7.2.
//!
//! Servers that share their addresses each see some of the clients only, and both halves of a pair need not come to the
//! same one. So a token names its server; another one *claims* the port there, is *lent* it, and *returns* it at the end.
//! Never moves an allocation: only a port that nobody uses yet changes hands.

use std::net::SocketAddr;
use std::time::Duration;

use rand_chacha::rand_core::Rng;

use crate::authority::{Authority, Holder};
use crate::effect::Effect;
use crate::input::{Note, Now, RelayId};
use crate::relays::Owner;
use crate::request::Refused;
use crate::server::{Due, Server};

/// RFC 8656 §7.2: at least 30 s.
const LIFE: Duration = Duration::from_secs(30);
/// The bits of a token that name its server; the others are random.
const SERVER_BITS: u64 = 0xffff;

/// A port that was set aside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reservation {
    relay: RelayId,
    holder: Holder,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The allocation in this place waits for it.
    Opening(u32),
    /// Its token was told; it is kept until then.
    Told(Duration),
}

impl Server {
    /// Takes the port after a relayed one for whoever shows the token. It is a socket like another, and outlives the
    /// allocation: so it is admitted like one.
    pub(crate) fn set_aside(
        &mut self,
        now: Now,
        at: u32,
        even: RelayId,
        authority: &mut dyn Authority,
    ) -> Result<(), Refused> {
        let token = self.random.next_u64() & !SERVER_BITS | u64::from(self.config.share.index);
        let relay = self
            .relays
            .take_next(even, Owner::Reservation(token))
            .ok_or(Refused::CAPACITY)?;
        let (Some(allocation), Some(opening)) =
            (&mut self.allocations[at as usize], self.openings.get(&at))
        else {
            self.relays.remove(relay);
            return Err(Refused::CAPACITY);
        };
        let holder = allocation.holder;
        if let Err(denied) = authority.admit(now, holder, &opening.username) {
            self.relays.remove(relay);
            return Err(denied.into());
        }
        allocation.reservation = Some(token);
        let reservation = Reservation {
            relay,
            holder,
            stage: Stage::Opening(at),
        };
        self.reservations.insert(token, reservation);
        self.await_socket(at, relay);
        Ok(())
    }

    /// Gives an allocation the port that a token stands for: here it is open already, elsewhere it must be asked for.
    pub(crate) fn take_reserved(
        &mut self,
        now: Now,
        at: u32,
        token: u64,
        authority: &mut dyn Authority,
    ) -> Result<(), Refused> {
        let (server, own) = (server_of(token), self.config.share);
        if server != own.index {
            if server >= own.of || self.claims.contains_key(&token) {
                return Err(Refused::CAPACITY);
            }
            self.claims.insert(token, at);
            self.tell(server, Note::Claim { token });
            return Ok(());
        }
        let relay = self
            .redeem(now, token, authority)
            .ok_or(Refused::CAPACITY)?;
        self.relays.set_owner(relay, Owner::Allocation(at));
        self.give(at, relay);
        Ok(())
    }

    /// The allocation that waits for this port, if one does.
    pub(crate) fn opening_of(&self, token: u64) -> Option<u32> {
        match self.reservations.get(&token)?.stage {
            Stage::Opening(at) => Some(at),
            Stage::Told(_) => None,
        }
    }

    /// Whether an allocation waits for the word of another server.
    pub(crate) fn is_claiming(&self, at: u32) -> bool {
        let opening = self.openings.get(&at);
        let token = opening.and_then(|opening| opening.wish.token);
        token.is_some_and(|token| self.claims.get(&token) == Some(&at))
    }

    /// From now on the token is good.
    pub(crate) fn arm_reservation(&mut self, now: Now, token: u64) {
        if let Some(reservation) = self.reservations.get_mut(&token) {
            let until = now.mono + LIFE;
            reservation.stage = Stage::Told(until);
            self.timers.insert((until, Due::Reservation(token)));
        }
    }

    /// The other half of a pair that was never told to anybody.
    pub(crate) fn forget_unopened(&mut self, now: Now, token: u64, authority: &mut dyn Authority) {
        if self.opening_of(token).is_some() {
            self.forget_reservation(now, token, authority);
        }
    }

    pub(crate) fn forget_reservation(
        &mut self,
        now: Now,
        token: u64,
        authority: &mut dyn Authority,
    ) {
        if let Some(reservation) = self.remove_reservation(now, token, authority) {
            self.close(reservation.relay);
        }
    }

    /// What another server has to say.
    pub(crate) fn on_told(
        &mut self,
        now: Now,
        from: u16,
        note: Note,
        authority: &mut dyn Authority,
    ) {
        match note {
            Note::Claim { token } => {
                let local = self.lend(now, from, token, authority);
                self.tell(from, Note::Lend { token, local });
            }
            Note::Lend { token, local } => self.on_lent(now, from, token, local, authority),
            Note::Return { local } => self.relays.take_back(local, from),
            Note::Restarted => self.on_restarted(now, from, authority),
        }
    }

    /// What was lent to it comes back, and what was asked of it is not answered any more.
    fn on_restarted(&mut self, now: Now, from: u16, authority: &mut dyn Authority) {
        self.relays.take_all_back(from);
        let asked = |(token, _): &(&u64, &u32)| server_of(**token) == from;
        let vain: Vec<(u64, u32)> = self
            .claims
            .iter()
            .filter(asked)
            .map(|(token, at)| (*token, *at))
            .collect();
        for (token, at) in vain {
            self.claims.remove(&token);
            self.give_up(now, at, Refused::CAPACITY, authority);
        }
    }

    /// The borrower opens a socket of its own, so ours is closed first.
    fn lend(
        &mut self,
        now: Now,
        to: u16,
        token: u64,
        authority: &mut dyn Authority,
    ) -> Option<SocketAddr> {
        let relay = self.redeem(now, token, authority)?;
        self.relays.set_owner(relay, Owner::Lent(to));
        self.effects.push_back(Effect::Close { relay });
        Some(self.relays.get(relay)?.local)
    }

    fn on_lent(
        &mut self,
        now: Now,
        from: u16,
        token: u64,
        local: Option<SocketAddr>,
        authority: &mut dyn Authority,
    ) {
        let Some(at) = self.claims.remove(&token) else {
            // Whoever wanted it has gone.
            if let Some(local) = local {
                self.tell(from, Note::Return { local });
            }
            return;
        };
        let relay = local.and_then(|local| self.relays.borrow_port(local, Owner::Allocation(at)));
        match relay {
            Some(relay) => {
                self.give(at, relay);
                self.await_socket(at, relay);
            }
            None => self.give_up(now, at, Refused::CAPACITY, authority),
        }
    }

    /// The relay behind a token that was told, which is good once.
    fn redeem(&mut self, now: Now, token: u64, authority: &mut dyn Authority) -> Option<RelayId> {
        if self.opening_of(token).is_some() {
            return None;
        }
        self.remove_reservation(now, token, authority)
            .map(|reservation| reservation.relay)
    }

    fn remove_reservation(
        &mut self,
        now: Now,
        token: u64,
        authority: &mut dyn Authority,
    ) -> Option<Reservation> {
        let reservation = self.reservations.remove(&token)?;
        if let Stage::Told(until) = reservation.stage {
            self.timers.remove(&(until, Due::Reservation(token)));
        }
        authority.release(now, reservation.holder);
        Some(reservation)
    }

    pub(crate) fn tell(&mut self, server: u16, note: Note) {
        self.effects.push_back(Effect::Tell { server, note });
    }
}

/// Which server a token is of.
fn server_of(token: u64) -> u16 {
    (token & SERVER_BITS) as u16
}
