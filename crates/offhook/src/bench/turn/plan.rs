//! What is to be measured: which way the packets go, how large they are, how many there are, at which rate.
//!
//! Only words and numbers that fit together get in: the checks stand here, and nothing behind them asks again.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::stamp::STAMP_LEN;

/// Bytes of the header of ChannelData (RFC 8656 §12.4).
pub(super) const CHANNEL_HEADER_LEN: usize = 4;
/// The most that the kernel takes in one segmented sending: an IPv4 datagram's payload.
const SEGMENTED_MAX: usize = 65_507;
/// Packets that one system call carries at most.
pub(super) const BURST_MAX: usize = 64;
/// Packets that may be under way when nothing else is said: less than the smallest receive buffer that servers are known
/// to take, more than one reading of theirs takes.
const WINDOW: usize = 128;
/// Largest payload: what is left of an Ethernet frame after IPv6, UDP and ChannelData.
const SIZE_MAX: usize = 1_448;
/// The most allocations: the ports of one address.
const ALLOCATIONS_MAX: usize = 60_000;

/// Which way packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Path {
    /// From a client through its allocation to a peer
    ClientPeer,
    /// From a peer to an allocation and its client
    PeerClient,
    /// From a client through its allocation to another client's allocation, and to that client
    RelayRelay,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientPeer => "client-peer",
            Self::PeerClient => "peer-client",
            Self::RelayRelay => "relay-relay",
        })
    }
}

/// What runs through the packets' path.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) path: Path,
    /// Payload bytes of a packet.
    pub(super) size: usize,
    /// Allocations, or sockets of ours where there is no TURN server.
    pub(super) allocations: usize,
    /// Packets that a flow sends in a row.
    pub(super) burst: usize,
    /// Such a row goes to the kernel as one buffer (UDP_SEGMENT), and comes in as one (UDP_GRO).
    pub(super) is_segmented: bool,
    pub(super) pace: Pace,
    pub(super) length: Duration,
}

/// How many packets are offered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// As many as come out at the other end, with at most so many under way.
    Window(usize),
    /// So many a second, whatever becomes of them.
    Rate(f64),
}

/// The server, and how it is reached.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    pub(super) server: SocketAddr,
    /// Our own addresses that clients send from, in turn; none: as the system chooses.
    pub(super) from: Vec<IpAddr>,
    /// Our address that stands for the peers; none: the one that clients send from.
    pub(super) peer: Option<IpAddr>,
}

impl Load {
    /// A load that makes sense, or the sentence that says why not.
    #[expect(
        clippy::too_many_arguments,
        reason = "one for each flag of the command"
    )]
    pub(super) fn new(
        path: Path,
        size: usize,
        allocations: usize,
        burst: usize,
        is_segmented: bool,
        window: Option<usize>,
        rate: Option<f64>,
        seconds: f64,
    ) -> Result<Self, String> {
        within("--size", size, STAMP_LEN, SIZE_MAX)?;
        within("--allocations", allocations, 1, ALLOCATIONS_MAX)?;
        within("--burst", burst, 1, BURST_MAX)?;
        if path == Path::RelayRelay && !allocations.is_multiple_of(2) {
            return Err(format!(
                "--path relay-relay connects allocations in pairs: --allocations wants an even number, not {allocations}"
            ));
        }
        let datagram = size + CHANNEL_HEADER_LEN;
        if is_segmented && burst * datagram > SEGMENTED_MAX {
            return Err(format!(
                "--segmented sends at most {SEGMENTED_MAX} bytes at once: that is a --burst of {} with this --size",
                SEGMENTED_MAX / datagram
            ));
        }
        if is_segmented && burst == 1 {
            return Err("--segmented wants a --burst of more than one packet".to_owned());
        }
        let pace = match (window, rate) {
            (Some(_), Some(_)) => {
                return Err(
                    "--window is for runs without --rate: a fixed rate waits for nothing"
                        .to_owned(),
                );
            }
            (None, Some(rate)) if !(1.0..=100e6).contains(&rate) => {
                return Err("--rate wants packets a second, from 1 to 100000000".to_owned());
            }
            (None, Some(rate)) => Pace::Rate(rate),
            (window, None) => Pace::Window(window.unwrap_or(WINDOW.max(4 * burst))),
        };
        if let Pace::Window(window) = pace
            && window < burst
        {
            return Err(format!("--window wants at least the --burst, {burst}"));
        }
        if !(0.05..=86_400.0).contains(&seconds) {
            return Err("--seconds wants 0.05 to 86400".to_owned());
        }
        Ok(Self {
            path,
            size,
            allocations,
            burst,
            is_segmented,
            pace,
            length: Duration::from_secs_f64(seconds),
        })
    }

    /// Flows of packets: each allocation is one, or each pair of them.
    pub(super) fn flows(&self) -> usize {
        match self.path {
            Path::ClientPeer | Path::PeerClient => self.allocations,
            Path::RelayRelay => self.allocations / 2,
        }
    }
}

fn within(flag: &str, number: usize, least: usize, most: usize) -> Result<(), String> {
    if (least..=most).contains(&number) {
        Ok(())
    } else {
        Err(format!("{flag} wants {least} to {most}, not {number}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(
        path: Path,
        size: usize,
        allocations: usize,
        burst: usize,
        segmented: bool,
    ) -> Result<Load, String> {
        Load::new(path, size, allocations, burst, segmented, None, None, 1.0)
    }

    #[test]
    fn what_does_not_fit_together_is_said() {
        let fault = |load: Result<Load, String>| load.unwrap_err();
        let whole = load(Path::ClientPeer, 172, 10, 1, false).unwrap();
        assert_eq!((whole.flows(), whole.pace), (10, Pace::Window(WINDOW)));
        assert_eq!(
            load(Path::RelayRelay, 172, 10, 1, false).unwrap().flows(),
            5
        );
        assert!(fault(load(Path::RelayRelay, 172, 9, 1, false)).contains("an even number, not 9"));
        assert_eq!(
            fault(load(Path::ClientPeer, 23, 1, 1, false)),
            "--size wants 24 to 1448, not 23"
        );
        assert!(
            fault(load(Path::ClientPeer, 1_200, 1, 60, true)).contains("a --burst of 54 with this")
        );
        assert!(fault(load(Path::ClientPeer, 1_200, 1, 1, true)).contains("more than one packet"));
        assert!(load(Path::ClientPeer, 1_200, 1, 54, true).is_ok());
        let paced = |window, rate| {
            Load::new(Path::ClientPeer, 172, 1, 8, false, window, rate, 1.0).map(|load| load.pace)
        };
        assert_eq!(paced(None, Some(50_000.0)), Ok(Pace::Rate(50_000.0)));
        assert_eq!(paced(Some(8), None), Ok(Pace::Window(8)));
        assert!(
            paced(Some(7), None)
                .unwrap_err()
                .contains("at least the --burst, 8")
        );
        assert!(paced(Some(9), Some(1.0)).is_err());
        assert!(paced(None, Some(f64::NAN)).is_err());
    }
}
