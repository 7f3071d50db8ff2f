//! Data: from a client to a peer, from a peer to a client, and from client to client where both relayed addresses are
//! ours. RFC 8656 §11, §12.
//!
//! No allocation, no copy, no question to the authority but for the next lease. What is not permitted is dropped in silence.

use std::net::SocketAddr;

use stun_types::message::Message;
use turn_types::channel::ChannelData;

use crate::allocation::Permission;
use crate::authority::Authority;
use crate::effect::Counter;
use crate::indication::{self, Parcel};
use crate::input::{Client, Forward, Head, Link, Now, RelayId};
use crate::relays::Owner;
use crate::server::Server;

/// Where a peer is.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Out into the network.
    Out,
    /// One of the gateways of this machine, by its place.
    Gateway(usize),
    /// A client of ours: the allocation in this place.
    Own(u32),
    /// A client of another server with which we share our addresses.
    Sibling(u16),
}

impl Server {
    pub(crate) fn on_channel_data<'a>(
        &mut self,
        now: Now,
        client: Client,
        message: &'a [u8],
        authority: &mut dyn Authority,
    ) -> Option<Forward<'a>> {
        let Some(at) = self.place_of(client) else {
            self.on_garbage(client);
            return None;
        };
        let parcel = ChannelData::parse_header(message)
            .ok()
            .and_then(|(number, len)| {
                let allocation = self.allocations[at as usize].as_ref()?;
                Some(Parcel {
                    peer: allocation.channel(now.mono, number)?,
                    data: message.get(4..4 + len)?,
                    dont_fragment: false,
                })
            });
        match parcel {
            Some(parcel) => self.forward(now, at, parcel, authority),
            None => self.drop_packet(),
        }
    }

    /// A Send indication (RFC 8656 §11.2).
    pub(crate) fn on_send<'a>(
        &mut self,
        now: Now,
        client: Client,
        message: &'a [u8],
        authority: &mut dyn Authority,
    ) -> Option<Forward<'a>> {
        match (self.place_of(client), indication::read_send(message)) {
            (Some(at), Some(parcel)) => self.forward(now, at, parcel, authority),
            (_, None) if Message::from_bytes(message).is_err() => {
                self.on_garbage(client);
                None
            }
            (Some(_) | None, _) => self.drop_packet(),
        }
    }

    /// From the client of an allocation to a peer.
    fn forward<'a>(
        &mut self,
        now: Now,
        at: u32,
        parcel: Parcel<'a>,
        authority: &mut dyn Authority,
    ) -> Option<Forward<'a>> {
        let Parcel { peer, data, .. } = parcel;
        let lease = self.config.bounds.lease;
        let allocation = self.allocations[at as usize].as_ref()?;
        let found = allocation.relay_for(peer.ip()).and_then(|relay| {
            let place = allocation.permitted(now.mono, peer.ip())?;
            let permission = allocation.permission(place);
            let way = self.way_to(peer, permission)?;
            Some((relay, place, way))
        });
        let Some((relay, place, way)) = found else {
            return self.drop_packet();
        };
        let allocation = self.allocations[at as usize].as_mut()?;
        let Some(usage) = allocation.pass(now, place, data.len(), lease, authority) else {
            self.count(Counter::BandwidthQuota);
            return None;
        };
        usage.sent.add(data.len());
        let to_peer = |peer| Forward::ToPeer {
            relay: relay.id,
            peer,
            data,
            dont_fragment: parcel.dont_fragment,
        };
        match way {
            Way::Out => Some(to_peer(peer)),
            Way::Gateway(at) => Some(to_peer(self.config.gateways[at].local)),
            Way::Own(other) => self.receive(now, other, relay.public, data, authority),
            Way::Sibling(server) => Some(Forward::ToSibling {
                server,
                from: relay.public,
                to: peer,
                data,
            }),
        }
    }

    /// How packets for a permitted peer go; nothing if they go nowhere.
    fn way_to(&self, peer: SocketAddr, permission: &Permission) -> Option<Way> {
        let port = peer.port();
        // Before all else: its port may be one of those that we relay from, or a listener's of another transport.
        if permission.may_enter
            && let Some(at) = self.gateway_at(peer)
        {
            return Some(Way::Gateway(at));
        }
        if permission.is_relay && self.relays.has_port(port) {
            if let Some(relayed) = self.relays.find(peer) {
                return match relayed.owner {
                    Owner::Allocation(at) => Some(Way::Own(at)),
                    Owner::Reservation(_) => None,
                    Owner::Lent(server) => Some(Way::Sibling(server)),
                };
            }
            if !self.relays.is_own_share(port) {
                return Some(Way::Sibling(self.relays.server_of(port)));
            }
        }
        (permission.may_leave && port != 0 && !self.is_listening(peer)).then_some(Way::Out)
    }

    pub(crate) fn on_sibling<'a>(
        &mut self,
        now: Now,
        from: SocketAddr,
        to: SocketAddr,
        data: &'a [u8],
        authority: &mut dyn Authority,
    ) -> Option<Forward<'a>> {
        let owner = self.relays.find(to).map(|relayed| relayed.owner);
        if let Some(Owner::Lent(server)) = owner {
            return Some(Forward::ToSibling {
                server,
                from,
                to,
                data,
            });
        }
        self.deliver(now, owner, from, data, authority)
    }

    pub(crate) fn on_peer<'a>(
        &mut self,
        now: Now,
        relay: RelayId,
        peer: SocketAddr,
        data: &'a [u8],
        authority: &mut dyn Authority,
    ) -> Option<Forward<'a>> {
        let owner = self.relays.get(relay).map(|relayed| relayed.owner);
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let mut hidden = self.hidden.iter();
        let gateway = hidden.find(|gateway| gateway.local == peer);
        let peer = gateway.map_or(peer, |gateway| gateway.public);
        self.deliver(now, owner, peer, data, authority)
    }

    /// To whoever has the relayed address where a packet has arrived.
    fn deliver<'a>(
        &mut self,
        now: Now,
        owner: Option<Owner>,
        peer: SocketAddr,
        data: &'a [u8],
        authority: &mut dyn Authority,
    ) -> Option<Forward<'a>> {
        match owner {
            Some(Owner::Allocation(at)) => self.receive(now, at, peer, data, authority),
            Some(Owner::Reservation(_) | Owner::Lent(_)) | None => self.drop_packet(),
        }
    }

    /// From a peer to the client of an allocation (RFC 8656 §11.3, §12.6).
    fn receive<'a>(
        &mut self,
        now: Now,
        at: u32,
        peer: SocketAddr,
        data: &'a [u8],
        authority: &mut dyn Authority,
    ) -> Option<Forward<'a>> {
        let lease = self.config.bounds.lease;
        let allocation = self.allocations[at as usize].as_mut()?;
        let place = allocation.permitted(now.mono, peer.ip());
        let Some(place) = place.filter(|_| data.len() <= MAX_DATA) else {
            return self.drop_packet();
        };
        let Some(usage) = allocation.pass(now, place, data.len(), lease, authority) else {
            self.count(Counter::BandwidthQuota);
            return None;
        };
        usage.received.add(data.len());
        let client = allocation.client;
        let number = allocation.channel_to(now.mono, peer);
        let head = match number {
            Some(number) => channel_head(number, data.len()),
            None => indication::data_head(peer, data.len(), &mut self.random),
        };
        // A datagram says how long it is; streams and attributes are padded.
        let must_pad = number.is_none() || matches!(client.link, Link::Stream(_));
        let padding = if must_pad {
            data.len().wrapping_neg() as u8 % 4
        } else {
            0
        };
        Some(Forward::ToClient {
            client,
            head,
            data,
            padding,
        })
    }

    fn drop_packet<'a>(&mut self) -> Option<Forward<'a>> {
        self.count(Counter::Dropped);
        None
    }
}

/// What fits into a message whose length has 16 bits, with the longest head.
const MAX_DATA: usize = u16::MAX as usize - Head::MAX - 3;

fn channel_head(number: u16, len: usize) -> Head {
    let ([a, b], [c, d]) = (number.to_be_bytes(), (len as u16).to_be_bytes());
    Head::new(&[a, b, c, d])
}
