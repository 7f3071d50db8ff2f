//! Sockets of connections: how they listen, accept and connect.
//!
//! Whoever is no peer of any trunk is closed before a byte is read or written. Knows no SIP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::{TrunkTransport, limits};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::client::TlsStream;

use super::sources::{Sources, canonical};
use super::streams::Event;
use crate::shell_counter::ShellCounter;
use crate::telemetry::Counters;

/// Connections that wait to be accepted: those of a provider after a restart.
const BACKLOG: i32 = 256;
/// How long a silent connection is left alone before the system asks whether the other end is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How long to wait when the system has no more files or memory for connections.
const PAUSE_WHEN_EXHAUSTED: Duration = Duration::from_millis(100);

/// A connection of ours.
pub(super) enum Stream {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

/// Takes an address.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // All addresses are those of IPv4 as well.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // A restart must not wait for the last connections of before.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts for ever.
pub(super) async fn accept(
    listener: Arc<TcpListener>,
    transport: TrunkTransport,
    sources: watch::Receiver<Sources>,
    events: mpsc::Sender<Event>,
    counters: Arc<Counters>,
) {
    loop {
        let (tcp, from) = match listener.accept().await {
            Ok((tcp, from)) => (tcp, canonical(from)),
            // Also that of a connection which was gone before it was accepted.
            Err(error) => {
                tracing::debug!(%error, "a connection of a trunk could not be accepted");
                tokio::time::sleep(PAUSE_WHEN_EXHAUSTED).await;
                continue;
            }
        };
        let line = sources.borrow().line(transport, from);
        let Some(line) = line else {
            counters.add_shell(ShellCounter::TrunkStrangeConnection);
            continue;
        };
        if settle(&tcp).is_ok() {
            let came = Event::Came {
                line,
                from,
                transport,
                tcp,
            };
            if events.send(came).await.is_err() {
                return;
            }
        }
    }
}

/// Connects from where the operator said that we are.
pub(super) async fn connect(local: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let to = canonical(to);
    let socket = match to.is_ipv4() {
        true => TcpSocket::new_v4()?,
        false => TcpSocket::new_v6()?,
    };
    let own = local.ip().to_canonical();
    if !own.is_unspecified() && own.is_ipv4() == to.is_ipv4() {
        socket.bind(SocketAddr::new(own, 0))?;
    }
    let stream = socket.connect(to).await?;
    settle(&stream)?;
    Ok(stream)
}

/// Messages are small and each is awaited; an end that is gone without a word is found out.
fn settle(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE))?;
    socket.set_tcp_user_timeout(Some(limits::TRUNK_STREAM_STALL_TIME))
}
