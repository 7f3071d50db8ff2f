//! Accepts connections and serves HTTP/1.1 on them, until one of them becomes a WebSocket.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use model::limits;
use switch::Counter;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::crew::Crew;
use super::stream::Stream;
use super::tls::TlsAcceptor;
use crate::http::{self, Peer, Services, network};
use crate::shutdown::raised;

/// How long to wait when the system has no more files or memory for connections.
const PAUSE_WHEN_EXHAUSTED: Duration = Duration::from_millis(100);

/// Where connections come in.
pub(crate) struct Listener {
    pub(crate) tcp: TcpListener,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) services: Arc<Services>,
    pub(crate) crew: Arc<Crew>,
}

/// Accepts for ever.
pub(crate) async fn accept(listener: Listener) -> Infallible {
    let Listener {
        tcp,
        tls,
        services,
        crew,
    } = listener;
    let mut reported = false;
    loop {
        match tcp.accept().await {
            Ok((stream, address)) => {
                reported = false;
                welcome(stream, address, tls.clone(), &services, &crew);
            }
            // The peer was gone before it was accepted.
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if !reported {
                    tracing::error!(%error, "no connection can be accepted now");
                    reported = true;
                }
                tokio::time::sleep(PAUSE_WHEN_EXHAUSTED).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};

    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

fn welcome(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    services: &Arc<Services>,
    crew: &Crew,
) {
    let client = (!services.behind_tls_proxy).then(|| network(address.ip()));
    let Ok(place) = services.capacity.accept(client) else {
        services.signalling.counters.add(Counter::NodeFull);
        return;
    };
    // Messages are small and each one is awaited.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let peer = Peer {
        address,
        place: Arc::new(place),
    };
    let services = Arc::clone(services);
    let taken = crew.take(stream, |stream| async move {
        if !has_something_to_say(&stream, &peer, services.bounds.head_time).await {
            return;
        }
        let Some(tls) = tls else {
            tokio::spawn(serve(Stream::Plain(stream), peer, services));
            return;
        };
        // In a task of its own: the handshake's state is large and short-lived.
        tokio::spawn(async move {
            if let Some(stream) = tls.handshake(stream, services.bounds.head_time).await {
                tokio::spawn(serve(Stream::Tls(stream), peer, services));
            }
        });
    });
    if let Err(error) = taken {
        tracing::debug!(%error, "a connection could not be handed to its thread");
    }
}

/// Waits for the first byte. Until then a connection costs next to nothing, so that strangers may hold many.
async fn has_something_to_say(stream: &TcpStream, peer: &Peer, patience: Duration) -> bool {
    let mut stopping = peer.place.stopping();
    tokio::select! {
        waited = timeout(patience, stream.readable()) => matches!(waited, Ok(Ok(()))),
        () = raised(&mut stopping) => false,
    }
}

/// Serves the requests of one connection; ends early when the node stops.
async fn serve(stream: Stream, peer: Peer, services: Arc<Services>) {
    let mut stopping = peer.place.stopping();
    let head_time = services.bounds.head_time;
    let service = service_fn(move |request: Request<Incoming>| {
        let (services, peer) = (Arc::clone(&services), peer.clone());
        // Boxed, so that room for it is taken with a request, and not with the connection.
        let answer = Box::pin(http::answer(services, peer, request.map(Body::new)));
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(head_time)
        .max_buf_size(limits::HTTP_HEAD_BYTES);
    let mut connection = pin!(
        http.serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    let served = tokio::select! {
        served = &mut connection => served,
        () = raised(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection broke");
    }
}
