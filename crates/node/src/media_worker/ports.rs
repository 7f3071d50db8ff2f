//! The pairs of ports of plain RTP legs: opened when a leg wants one, closed with it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use media::rtp::RtpPort;
use mio::net::UdpSocket;
use mio::{Interest, Registry};
use model::limits::RTP_PORT_ATTEMPTS;
use model::media::LegId;

use super::doors::open_pair;
use super::plan::Place;
use super::token::{Token, port_bit};

/// See the module.
#[derive(Debug)]
pub(super) struct Ports {
    place: Place,
    range: RangeInclusive<u16>,
    /// The even port that is tried next: one that was just closed may still be sent to, so it comes last again.
    next: u16,
    /// Nobody walks through them.
    pairs: HashMap<u64, Pair>,
    by_leg: HashMap<LegId, u64>,
    last: u64,
}

#[derive(Debug)]
struct Pair {
    leg: LegId,
    sockets: [UdpSocket; 2],
    /// Which of them is going to be read.
    is_noted: [bool; 2],
}

impl Ports {
    /// `seed` says where in the range it begins, so that nobody knows the ports of the next leg.
    pub(super) fn new(place: Place, range: RangeInclusive<u16>, seed: u64) -> Self {
        let mut ports = Self {
            place,
            next: 0,
            range,
            pairs: HashMap::new(),
            by_leg: HashMap::new(),
            last: 0,
        };
        let count = ports.count();
        ports.next = ports.first() + 2 * (seed % u64::from(count)) as u16;
        ports
    }

    /// Whether they are ports of an IPv4 address.
    pub(super) fn is_v4(&self) -> bool {
        self.place.local.is_ipv4()
    }

    /// Opens a pair; says the address of the first as peers see it.
    pub(super) fn open(&mut self, leg: LegId, registry: &Registry) -> Option<SocketAddr> {
        let attempts = RTP_PORT_ATTEMPTS.min(self.count().into());
        for _ in 0..attempts {
            let even = SocketAddr::new(self.place.local.ip(), self.turn());
            let Ok(mut sockets) = open_pair(even) else {
                continue;
            };
            self.last += 1;
            let number = self.last;
            for port in [RtpPort::Rtp, RtpPort::Rtcp] {
                let token = Token::Rtp(number, port).into();
                registry
                    .register(&mut sockets[port_bit(port)], token, Interest::READABLE)
                    .ok()?;
            }
            self.close(leg);
            let is_noted = [false; 2];
            let pair = Pair {
                leg,
                sockets,
                is_noted,
            };
            self.pairs.insert(number, pair);
            self.by_leg.insert(leg, number);
            return Some(SocketAddr::new(self.place.public, even.port()));
        }
        None
    }

    /// Closes a leg's pair, if it has one.
    pub(super) fn close(&mut self, leg: LegId) {
        if let Some(number) = self.by_leg.remove(&leg) {
            self.pairs.remove(&number);
        }
    }

    /// One of a pair is going to be read; whether that is news.
    pub(super) fn note(&mut self, number: u64, port: RtpPort) -> bool {
        let Some(pair) = self.pairs.get_mut(&number) else {
            return false;
        };
        !std::mem::replace(&mut pair.is_noted[port_bit(port)], true)
    }

    /// It is read now.
    pub(super) fn turn_to(&mut self, number: u64, port: RtpPort) {
        if let Some(pair) = self.pairs.get_mut(&number) {
            pair.is_noted[port_bit(port)] = false;
        }
    }

    /// Where datagrams of this pair come in, and whose it is.
    pub(super) fn socket(&self, number: u64, port: RtpPort) -> Option<(LegId, &UdpSocket)> {
        let pair = self.pairs.get(&number)?;
        Some((pair.leg, &pair.sockets[port_bit(port)]))
    }

    /// Where a leg's datagrams go out.
    pub(super) fn of_leg(&self, leg: LegId, port: RtpPort) -> Option<&UdpSocket> {
        let pair = self.pairs.get(self.by_leg.get(&leg)?)?;
        Some(&pair.sockets[port_bit(port)])
    }

    fn turn(&mut self) -> u16 {
        let even = self.next;
        let last = self.first() + 2 * (self.count() - 1);
        self.next = if even >= last { self.first() } else { even + 2 };
        even
    }

    fn first(&self) -> u16 {
        self.range.start().next_multiple_of(2)
    }

    /// How many pairs there are; the configuration was checked for one at least.
    fn count(&self) -> u16 {
        (self.range.end() - self.first()).div_ceil(2).max(1)
    }
}

#[cfg(test)]
mod tests {
    use mio::Poll;
    use model::media::SessionId;

    use super::*;

    fn ports(range: RangeInclusive<u16>) -> Ports {
        let place = Place {
            local: "127.0.0.1:0".parse().unwrap(),
            public: "203.0.113.7".parse().unwrap(),
        };
        Ports::new(place, range, 0)
    }

    #[test]
    fn every_even_port_of_the_range_has_its_turn() {
        let turns = |range| {
            let mut ports = ports(range);
            (0..ports.count() + 1)
                .map(|_| ports.turn())
                .collect::<Vec<_>>()
        };
        assert_eq!(turns(20_000..=20_003), [20_000, 20_002, 20_000]);
        assert_eq!(turns(20_001..=20_004), [20_002, 20_002]);
        assert_eq!(turns(20_000..=20_001), [20_000, 20_000]);
        assert_eq!(*turns(1_024..=65_535).last().unwrap(), 1_024);
    }

    #[test]
    fn a_pair_is_the_legs_until_it_is_closed_and_one_that_is_taken_is_passed_over() {
        let poll = Poll::new().unwrap();
        let leg = |place| LegId {
            session: SessionId(1),
            place,
        };
        // A pair that is free now, with one beside it that is taken.
        let (mut found, mut taken) = (None, None);
        for even in (30_000..32_000).step_by(4) {
            let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
            if let (Ok(beside), Ok(_)) = (open_pair(at(even)), open_pair(at(even + 2))) {
                (found, taken) = (Some(even), Some(beside));
                break;
            }
        }
        let (first, _taken) = (found.unwrap(), taken.unwrap());
        let mut ports = ports(first..=first + 3);
        let address = ports.open(leg(0), poll.registry()).unwrap();
        assert_eq!(address.to_string(), format!("203.0.113.7:{}", first + 2));
        assert_eq!(ports.open(leg(1), poll.registry()), None);
        assert!(ports.of_leg(leg(0), RtpPort::Rtcp).is_some());
        ports.close(leg(0));
        assert!(ports.of_leg(leg(0), RtpPort::Rtcp).is_none());
        assert!(ports.open(leg(1), poll.registry()).is_some());
    }
}
