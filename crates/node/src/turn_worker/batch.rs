//! The packets of one batch on their way out, brought together by where they go.
//!
//! Order is kept between packets that take the same way.

use std::net::SocketAddr;
use std::time::Duration;

use turn::{Client, Forward, Link};

use super::core::Core;
use super::counter::WorkerCounter;
use super::send::{Parcel, Sender};

/// What is reused from batch to batch.
pub(super) struct Batch {
    forwards: Vec<Forward<'static>>,
    order: Vec<Place>,
    sender: Sender,
}

/// Where a packet belongs: its way out (a socket) in the highest 32 bits, then its address, then its number in the
/// batch in the lowest 32. So that sorting brings flows together and keeps their order.
type Place = u128;

const RELAY: u32 = 1 << 31;
const WHOLE: u32 = 1;

impl Batch {
    pub(super) fn new() -> Self {
        Self {
            forwards: Vec::new(),
            order: Vec::new(),
            sender: Sender::new(),
        }
    }

    /// An empty vector for the packets of a batch, with room that was used before.
    pub(super) fn begin<'a>(&mut self) -> Vec<Forward<'a>> {
        std::mem::take(&mut self.forwards)
    }

    /// Sends everything, and takes the vector back.
    pub(super) fn finish(
        &mut self,
        core: &mut Core<'_>,
        now: Duration,
        forwards: Vec<Forward<'_>>,
    ) {
        self.order.clear();
        for (number, forward) in forwards.iter().enumerate() {
            if let Some(place) = route(core, forward) {
                self.order.push(place | number as Place);
            }
        }
        if self.order.len() > 1 {
            self.order.sort();
        }
        for flow in self.order.chunk_by(|one, next| one >> 96 == next >> 96) {
            let of = |place: &Place| &forwards[*place as u32 as usize];
            let port = match of(&flow[0]) {
                Forward::ToPeer { relay, .. } => core.relays.port(*relay),
                Forward::ToClient {
                    client:
                        Client {
                            link: Link::Datagram(door),
                            ..
                        },
                    ..
                } => core.doors.get_mut(usize::from(*door)),
                Forward::ToClient { .. } | Forward::ToSibling { .. } => None,
            };
            let lost = match port {
                Some(port) => {
                    if let Forward::ToPeer { dont_fragment, .. } = of(&flow[0]) {
                        port.keep_whole(*dont_fragment);
                    }
                    let parcels = flow.iter().filter_map(|place| parcel(of(place)));
                    self.sender.send(port, parcels)
                }
                None => flow.len() as u64,
            };
            core.count(WorkerCounter::Unsent, lost);
        }
        self.forwards = emptied(forwards);
        core.streams.flush(now);
        core.post();
    }
}

/// The allocation of a vector whose borrows have ended, for the next ones.
fn emptied(mut forwards: Vec<Forward<'_>>) -> Vec<Forward<'static>> {
    forwards.clear();
    forwards.into_iter().map_while(|_| None).collect()
}

/// Says where a packet belongs; what needs no place is passed on at once.
fn route(core: &mut Core<'_>, forward: &Forward<'_>) -> Option<Place> {
    match *forward {
        Forward::ToPeer {
            relay,
            peer,
            dont_fragment,
            ..
        } => {
            let way = RELAY | relay.index << 1 | if dont_fragment { WHOLE } else { 0 };
            Some(place(way, peer))
        }
        Forward::ToClient {
            client,
            ref head,
            data,
            padding,
        } => match client.link {
            Link::Datagram(door) => Some(place(door.into(), client.address)),
            Link::Stream(number) => {
                let padding = &[0; 3][..usize::from(padding).min(3)];
                if !core
                    .streams
                    .push_packet(number, [head.as_bytes(), data, padding])
                {
                    core.count(WorkerCounter::SlowReader, 1);
                }
                None
            }
        },
        Forward::ToSibling {
            server,
            from,
            to,
            data,
        } => {
            core.send_sibling(server, from, to, data);
            None
        }
    }
}

/// Two addresses may share a place; then their flows are not joined, and nothing else.
fn place(way: u32, address: SocketAddr) -> Place {
    let flow = match address {
        SocketAddr::V4(address) => u64::from(address.ip().to_bits()) << 16,
        SocketAddr::V6(address) => {
            let bits = address.ip().to_bits();
            ((bits >> 64) as u64).rotate_left(32) ^ (bits as u64).rotate_left(16)
        }
    };
    Place::from(way) << 96 | Place::from(flow ^ u64::from(address.port())) << 32
}

fn parcel<'a>(forward: &'a Forward<'a>) -> Option<Parcel<'a>> {
    match forward {
        Forward::ToPeer { peer, data, .. } => Some(Parcel {
            to: *peer,
            head: &[],
            data,
            padding: 0,
        }),
        Forward::ToClient {
            client,
            head,
            data,
            padding,
        } => Some(Parcel {
            to: client.address,
            head: head.as_bytes(),
            data,
            padding: *padding,
        }),
        Forward::ToSibling { .. } => None,
    }
}
