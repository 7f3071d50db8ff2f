//! One measurement from its beginning to its end: allocations, warming up, counting, what came late, report.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow};

use super::allocation::{Allocations, Credential, RENEW_AFTER, client_sockets};
use super::forwarder::HELLO;
use super::plan::{Load, Path, Reach};
use super::pump::{Pump, Sink, Source};
use super::report::Report;
use crate::bench::processor;

/// What is sent and not counted before the clock starts, as a part of the whole.
const WARM_UP: f64 = 0.1;
/// And at most.
const WARM_UP_MAX: Duration = Duration::from_secs(1);

/// Whose processor time is looked at: its process.
pub(super) type Watched = Option<u32>;

/// Measures a TURN server.
pub(super) fn through_turn(
    reach: &Reach,
    credential: Credential,
    load: &Load,
    watched: Watched,
) -> anyhow::Result<Report> {
    let mut allocations =
        Allocations::make(reach.server, credential, &reach.from, load.allocations)?;
    match measure(reach, &mut allocations, load, watched) {
        Ok(report) => {
            allocations.give_back()?;
            Ok(report)
        }
        Err(fault) => {
            allocations.abandon();
            Err(fault)
        }
    }
}

fn measure(
    reach: &Reach,
    allocations: &mut Allocations,
    load: &Load,
    watched: Watched,
) -> anyhow::Result<Report> {
    let peer = peer_socket(reach, &allocations.sockets()[0])?;
    let relayed = allocations.relayed();
    let peers = match load.path {
        Path::ClientPeer | Path::PeerClient => vec![peer.local_addr()?; load.allocations],
        // The first and second are a pair, the third and fourth, and so on.
        Path::RelayRelay => (0..load.allocations).map(|at| relayed[at ^ 1]).collect(),
    };
    allocations.bind(peers)?;
    let mut pump = {
        let sockets = allocations.sockets();
        let every_second = |first| sockets.iter().skip(first).step_by(2).collect();
        let (source, sink) = match load.path {
            Path::ClientPeer => (channel_data(sockets.iter().collect()), Sink::Peer(&peer)),
            Path::PeerClient => {
                let source = Source::Peer {
                    socket: &peer,
                    targets: relayed,
                };
                (source, Sink::Clients(sockets.iter().collect()))
            }
            Path::RelayRelay => (
                channel_data(every_second(0)),
                Sink::Clients(every_second(1)),
            ),
        };
        Pump::new(run_number(), load, &source, &sink)?
    };
    let what = reach.server.to_string();
    count(&mut pump, load, what, watched, || allocations.renew())
}

/// Measures a bare forwarder, which has no allocations: clients are sockets only.
pub(super) fn through_forwarder(
    reach: &Reach,
    load: &Load,
    watched: Watched,
) -> anyhow::Result<Report> {
    if load.path != Path::ClientPeer {
        return Err(anyhow!("a bare forwarder goes one way: --path client-peer"));
    }
    let sockets = client_sockets(reach.server, &reach.from, load.allocations)?;
    let peer = peer_socket(reach, &sockets[0])?;
    peer.send_to(HELLO, reach.server)?;
    let source = Source::Clients {
        sockets: sockets.iter().collect(),
        is_channel_data: false,
    };
    let mut pump = Pump::new(run_number(), load, &source, &Sink::Peer(&peer))?;
    let what = format!("bare forwarder at {}", reach.server);
    count(&mut pump, load, what, watched, || Ok(()))
}

fn channel_data(sockets: Vec<&UdpSocket>) -> Source<'_> {
    Source::Clients {
        sockets,
        is_channel_data: true,
    }
}

/// The socket that stands for all peers.
fn peer_socket(reach: &Reach, client: &UdpSocket) -> anyhow::Result<UdpSocket> {
    let own: IpAddr = match reach.peer {
        Some(own) => own,
        None => client.local_addr()?.ip(),
    };
    UdpSocket::bind(SocketAddr::new(own, 0))
        .with_context(|| format!("no socket for the peer can be opened on {own}"))
}

/// A number that the packets of an earlier run do not have.
fn run_number() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().subsec_nanos() ^ std::process::id().rotate_left(16)
}

fn count(
    pump: &mut Pump,
    load: &Load,
    what: String,
    watched: Watched,
    mut renew: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Report> {
    pump.run_for(load.length.mul_f64(WARM_UP).min(WARM_UP_MAX))?;
    pump.drain()?;
    pump.forget();
    let used = || watched.map(processor::used_by).transpose();
    let (mut elapsed, mut spent) = (Duration::ZERO, Duration::ZERO);
    loop {
        let (used_before, began) = (used()?, Instant::now());
        pump.run_for((load.length - elapsed).min(RENEW_AFTER))?;
        elapsed += began.elapsed();
        if let (Some(before), Some(after)) = (used_before, used()?) {
            spent += after.saturating_sub(before);
        }
        if elapsed >= load.length {
            break;
        }
        renew()?;
    }
    let in_time = pump.counts().received;
    pump.drain()?;
    let counts = pump.counts();
    if counts.received == 0 {
        return Err(anyhow!(
            "{} packets went in and none came out: does a firewall stand between {what} and here?",
            counts.sent
        ));
    }
    let server = watched.map(|_| spent);
    Ok(Report::new(
        what,
        load.clone(),
        elapsed,
        counts,
        in_time,
        server,
        pump.latencies(),
    ))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::thread;

    use super::super::forwarder::Forwarder;
    use super::*;

    fn forwarded(
        size: usize,
        flows: usize,
        burst: usize,
        is_segmented: bool,
        rate: Option<f64>,
    ) -> Report {
        let forwarder = Forwarder::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let reach = Reach {
            server: forwarder.address().unwrap(),
            from: Vec::new(),
            peer: None,
        };
        // It ends with the process, or when its target has gone.
        thread::spawn(move || forwarder.run(is_segmented));
        let path = Path::ClientPeer;
        let load = Load::new(path, size, flows, burst, is_segmented, None, rate, 0.1).unwrap();
        through_forwarder(&reach, &load, Some(std::process::id())).unwrap()
    }

    #[test]
    fn packets_through_a_bare_forwarder_are_counted_and_timed() {
        let report = forwarded(172, 3, 1, false, None);
        assert!(report.counts.received > 0, "{}", report.text());
        assert!(
            report.counts.received <= report.counts.sent,
            "{}",
            report.text()
        );
        assert!(report.json()["latency"]["p50_us"].as_f64() > Some(1.0));
        assert!(report.json()["server_cpu_percent"].as_f64() > Some(0.0));
    }

    #[test]
    fn segmented_rows_are_counted_packet_by_packet() {
        let report = forwarded(1_200, 1, 20, true, None);
        assert!(report.counts.received >= 20, "{}", report.text());
        assert_eq!(report.counts.sent % 20, 0, "{}", report.text());
        // Rows counted as one would be a twentieth.
        assert!(
            report.counts.received > report.counts.sent / 2,
            "{}",
            report.text()
        );
    }

    #[test]
    fn a_fixed_rate_is_never_exceeded() {
        let report = forwarded(172, 2, 1, false, Some(5_000.0));
        let most = report.elapsed.as_secs_f64() * 5_000.0 + 1.0;
        assert!(report.counts.sent > 0, "{}", report.text());
        assert!(report.counts.sent as f64 <= most, "{}", report.text());
    }
}
