//! Transfers that a trunk's peer asks for, in their shard: whom the peer may name, and which call it means (RFC 3515, RFC 3891).
//!
//! Whom a trunk's own calls reach, its transfers do; what goes out goes by the same trunk, unless the operator says otherwise. Doing it
//! is the run's.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use model::{CallRecord, Callee, Caller, ConnectionId, Now, Number, Trunk, TrunkTransfer};
use sip::Request;

use super::route::{caller_of, shown};
use crate::application::{
    Called, Connect, Course, Destination, Dialog, Plan, Refer, Replaces, Run, Target,
};
use crate::call::{CallKey, Leg, mint_party_tag, read_party_tag};
use crate::refusal::{self, Refusal};
use crate::router::{caller_target, check_offer};
use crate::shard::Shard;

/// What is to be done for a REFER.
enum Way {
    /// Somebody rings.
    Ring(Connect, Option<ConnectionId>),
    /// An application answers.
    Serve(Callee, Plan),
    /// The far ends of two calls are to hear each other.
    Join(CallKey, u8),
}

impl Shard {
    /// What a run's party has asked for is done, or refused.
    pub(crate) fn carry_transfers(&mut self, now: Now, key: CallKey) {
        while let Some(run) = self.runs.get_mut(&key)
            && let Some((place, refer)) = run.take_refer()
        {
            match self.way_of(now, (key, place), &refer) {
                Ok(Way::Ring(connect, line)) => {
                    let replaces = refer.replaces.as_ref().map(Replaces::row);
                    let course = Course {
                        connect,
                        line,
                        referred_by: refer.referred_by,
                        replaces,
                    };
                    self.drive_run(now, key, |run, act| run.begin_transfer(place, course, act));
                }
                Ok(Way::Serve(callee, plan)) => {
                    self.drive_run(now, key, |run, act| run.serve(place, &callee, plan, act));
                }
                Ok(Way::Join(other, of_other)) => {
                    self.join_calls(now, (key, place), (other, of_other));
                }
                Err(status) => self.drive_run(now, key, |run, act| {
                    run.refuse_transfer(place, status, act);
                }),
            }
        }
    }

    fn way_of(&mut self, now: Now, (key, place): (CallKey, u8), refer: &Refer) -> Result<Way, u16> {
        let run = self.runs.get(&key).ok_or(481_u16)?;
        let line = run.dialog(place).ok_or(481_u16)?.connection();
        let trunk = Arc::clone(self.trunk_of(line).ok_or(481_u16)?);
        let caller = run.transferred_caller(place);
        let Target {
            user, host, port, ..
        } = &refer.to;
        let is_theirs = is_at(&trunk, host, *port);
        if let Some(replaces) = &refer.replaces {
            match self.find_replaced(line, replaces) {
                Some((other, of_other)) if other != key => {
                    return Ok(Way::Join(other, of_other));
                }
                // A call of two others at the peer, for all that we know.
                None if is_theirs => {}
                Some(_) | None => return Err(481),
            }
        }
        if let Some(way) = self.way_out(&trunk, line, &refer.to) {
            return way;
        }
        let planned = self.plan_for(&trunk, &caller, user);
        let (callee, plan) = planned.map_err(|refusal| refusal.status)?;
        if !self.has_room(now) {
            return Err(503);
        }
        match plan {
            Plan::Ring(connect) => Ok(Way::Ring(beside_two(connect), None)),
            Plan::Application(_) => Ok(Way::Serve(callee, plan)),
            Plan::Secondary(_) | Plan::Connect(_) => Err(603),
        }
    }

    /// By a trunk, where an address leads to one: what the operator pays for, so that it is allowed by word alone.
    fn way_out(&self, trunk: &Trunk, line: ConnectionId, to: &Target) -> Option<Result<Way, u16>> {
        let Target {
            user,
            escaped,
            host,
            port,
        } = to;
        let address = |of: &Trunk| Destination::Address {
            user: escaped.clone(),
            host: of.domain.as_str().into(),
            port: None,
        };
        let is_elsewhere = |(other, of_it): &&(ConnectionId, Arc<Trunk>)| {
            *other != line && of_it.account == trunk.account && is_at(of_it, host, *port)
        };
        let (to, only) = if is_at(trunk, host, *port) {
            (address(trunk), Some(line))
        } else if let Some((other, of_it)) = self.trunks.iter().find(is_elsewhere) {
            (address(of_it), Some(*other))
        } else {
            let number = Number::parse(user).ok()?;
            if trunk.service_for(&number).is_some() {
                return None;
            }
            let is_own = trunk.transfer == TrunkTransfer::Own;
            (Destination::Number(number), is_own.then_some(line))
        };
        let is_allowed = match trunk.transfer {
            TrunkTransfer::None | TrunkTransfer::Inward => false,
            TrunkTransfer::Own => only == Some(line),
            TrunkTransfer::Any => true,
        };
        Some(match is_allowed {
            true => Ok(Way::Ring(self.connect_to(to), only)),
            false => Err(403),
        })
    }

    fn connect_to(&self, to: Destination) -> Connect {
        Connect::ringing(vec![to], self.snapshot.settings.no_answer)
    }

    /// The dialog of this line that a Replaces names, if it goes on.
    fn find_replaced(&self, line: ConnectionId, replaces: &Replaces) -> Option<(CallKey, u8)> {
        let (key, place) = read_party_tag(&replaces.own_tag)?;
        let dialog = self.runs.get(&key)?.dialog(place)?;
        dialog.is_named(line, replaces).then_some((key, place))
    }

    /// Two calls of one trunk become one.
    fn join_calls(&mut self, now: Now, one: (CallKey, u8), other: (CallKey, u8)) {
        let word = |of: (CallKey, u8)| {
            let run = self.runs.get(&of.0).filter(|run| run.can_part_with(of.1))?;
            Some(run.transferred_caller(of.1).as_str().to_owned())
        };
        let (Some(of_one), Some(of_other)) = (word(one), word(other)) else {
            return self.drive_run(now, one.0, |run, act| {
                run.refuse_transfer(one.1, 603, act);
            });
        };
        let room = self.conferences.nameless(self.number);
        self.drive_run(now, one.0, |run, act| {
            run.bridge(one.1, (other.0, room, &of_other), act);
        });
        self.drive_run(now, other.0, |run, act| {
            run.bridge(other.1, (one.0, room, &of_one), act);
        });
    }

    /// An INVITE of a trunk's that is to take the place of a call (RFC 3891 §3).
    pub(super) fn replace_leg(
        &mut self,
        trunk: &Trunk,
        connection: ConnectionId,
        request: &Request<'_>,
        replaces: &Replaces,
        now: Now,
    ) -> Result<(), Refusal> {
        let found = self.find_replaced(connection, replaces);
        let (key, place) = found.ok_or_else(refusal::nothing_to_replace)?;
        let run = self
            .runs
            .get(&key)
            .ok_or_else(refusal::nothing_to_replace)?;
        run.check_replaced(place, replaces.is_early_only)?;
        check_offer(request)?;
        let target = caller_target(request)?;
        let offer = std::str::from_utf8(request.body).map_err(|_| refusal::not_sdp())?;
        let called = shown(&request.target().user_decoded());
        let caller = Caller::Number {
            number: caller_of(trunk, request).into(),
            trunk: trunk.name.clone(),
        };
        let callee = run.replaced_callee(place).unwrap_or(Callee::Number {
            number: called.into(),
            trunk: trunk.name.clone(),
        });
        let (account, kind) = (trunk.account, trunk.leg_kind());
        self.drive_run(now, key, |run: &mut Run, act| {
            let new = run.next_place();
            let local_tag = mint_party_tag(key, new, act.random);
            let leg = Leg::calling(connection, request, target, local_tag);
            let id = act.random.record_id();
            let (parties, call_id) = ((caller, callee), request.headers.call_id());
            let record = CallRecord::begun(id, account, parties, call_id, now.unix);
            let dialog = Dialog::called(key, leg, request, act)
                .timed(trunk.session, Some(request))
                .transfers(Some(trunk.transfer));
            let called = Called::calling(new, kind, record, dialog);
            run.begin_replacement(place, called, offer, act);
        });
        Ok(())
    }
}

/// Whether a host is that of a trunk's addresses, or one of its peers.
fn is_at(trunk: &Trunk, host: &str, port: Option<u16>) -> bool {
    let ip: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    let Some(ip) = ip else {
        return trunk.domain.eq_ignore_ascii_case(host);
    };
    let is_peer = |peer: &SocketAddr| {
        peer.ip().to_canonical() == ip.to_canonical() && port.is_none_or(|port| port == peer.port())
    };
    trunk.peers.iter().any(is_peer)
}

/// Those who ring at once have a place beside the two who talk.
fn beside_two(mut connect: Connect) -> Connect {
    let rows = [connect.destinations].into_iter().chain(connect.later);
    let most = model::limits::LEGS_PER_SESSION - 2;
    let rows = rows.flat_map(|row| {
        let parts: Vec<Vec<Destination>> = row.chunks(most).map(<[_]>::to_vec).collect();
        parts
    });
    let mut rows = rows.collect::<Vec<_>>().into_iter();
    connect.destinations = rows.next().unwrap_or_default();
    connect.later = rows.collect();
    connect
}
