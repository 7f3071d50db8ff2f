//! `/sipproxy`: the door to SIP over WebSocket (RFC 7118, RFC 6455 §4.2), plain or resumable (docs/resume.md).
//!
//! What must be refused is refused here, before the upgrade: clients come again after that.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{
    CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use switch::Counter;
use switch::resume::SUBPROTOCOL;
use tungstenite::handshake::derive_accept_key;

use super::answer::Fault;
use super::host::Host;
use super::{Peer, Services};
use crate::signalling::random;
use crate::transport::{Full, Place, Socket, Stream, resumable, ws};

pub(super) async fn answer(
    services: &Services,
    peer: &Peer,
    request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    let accepted = accept_key(&request)?;
    let window = services
        .signalling
        .published()
        .snapshot
        .settings
        .resume_window;
    // The first that the client offers as well; none where no session is kept.
    let ours = if window.is_zero() {
        &["sip"][..]
    } else {
        &[SUBPROTOCOL, "sip"]
    };
    let Some(selected) = ours
        .iter()
        .copied()
        .find(|protocol| offers(&request, protocol))
    else {
        let text = "The WebSocket subprotocol must be 'sip': send Sec-WebSocket-Protocol: sip";
        return Err(Fault::http(StatusCode::BAD_REQUEST, text));
    };
    let is_resumable = selected == SUBPROTOCOL;
    // Whoever comes back to a call is let in.
    if !is_resumable && services.signalling.is_stopping() {
        let text = "The server is stopping; connect again";
        return Err(Fault::http(StatusCode::SERVICE_UNAVAILABLE, text));
    }
    let place = place(
        services,
        peer,
        services.client_address(peer, request.headers()),
    )?;
    let signalling = Arc::clone(&services.signalling);
    let host = Host::of(request.uri(), request.headers());
    let host = host.and_then(|host| host.for_turn(&services.turn_loopbacks));
    // Before its client is told: then what a client says on its next socket always has a higher number.
    let resumable = is_resumable.then(|| {
        let handovers = Arc::clone(&services.handovers);
        let number = handovers.accept();
        (handovers, number)
    });
    let upgraded = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let Some(socket) = socket_of(upgraded.await) else {
            return;
        };
        // In a task of its own: what it took to get here is not kept for as long.
        match resumable {
            None => tokio::spawn(ws::run(socket, signalling, place, host)),
            Some((handovers, number)) => tokio::spawn(resumable::enter(
                socket, number, place, signalling, handovers, host,
            )),
        };
    });
    Ok(switching(accepted, selected))
}

/// RFC 6455 §4.2.2.
fn switching(accepted: String, protocol: &'static str) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    if let Ok(accepted) = HeaderValue::try_from(accepted) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accepted);
    }
    answer
}

/// The stream below, with what its client has sent already.
fn socket_of(upgraded: hyper::Result<Upgraded>) -> Option<Socket> {
    let parts = upgraded.ok()?.downcast::<TokioIo<Stream>>().ok()?;
    Some(Socket::new(parts.io.into_inner(), &parts.read_buf))
}

/// What proves that the upgrade was understood, if the request is one (RFC 6455 §4.2.1).
fn accept_key(request: &Request<Body>) -> Result<String, Fault> {
    let headers = request.headers();
    let is = |name: HeaderName, wanted: &str| {
        let mut values = headers.get_all(name).iter();
        values.any(|value| has_word(value, wanted))
    };
    let is_upgrade = request.method() == Method::GET
        && is(CONNECTION, "upgrade")
        && is(UPGRADE, "websocket")
        && is(SEC_WEBSOCKET_VERSION, "13");
    if !is_upgrade {
        return Err(no_upgrade());
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).ok_or_else(|| {
        Fault::http(
            StatusCode::BAD_REQUEST,
            "The header Sec-WebSocket-Key is missing",
        )
    })?;
    Ok(derive_accept_key(key.as_bytes()))
}

/// Whether a comma list has a word, in whatever case.
fn has_word(list: &HeaderValue, wanted: &str) -> bool {
    let words = list.as_bytes().split(|byte| *byte == b',');
    words
        .map(<[u8]>::trim_ascii)
        .any(|word| word.eq_ignore_ascii_case(wanted.as_bytes()))
}

fn offers(request: &Request<Body>, protocol: &str) -> bool {
    let mut offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    offered.any(|list| {
        let words = list.as_bytes().split(|byte| *byte == b',');
        words
            .map(<[u8]>::trim_ascii)
            .any(|word| word == protocol.as_bytes())
    })
}

/// A place among the connections, or why there is none.
fn place(services: &Services, peer: &Peer, address: IpAddr) -> Result<Arc<Place>, Fault> {
    let counters = &services.signalling.counters;
    services.capacity.upgrade(&peer.place, address).map_err(|full| match full {
        Full::Node => {
            counters.add(Counter::NodeFull);
            // Spread out, so that those who were refused together do not come together.
            let [byte] = random();
            let text = "The server has all the connections that it may have; try again";
            Fault::http(StatusCode::SERVICE_UNAVAILABLE, text).retry_after(1 + u64::from(byte % 5))
        }
        Full::Address => {
            counters.add(Counter::AddressFull);
            let text = "Your address has all the connections that it may have; close some and try again";
            Fault::http(StatusCode::TOO_MANY_REQUESTS, text).retry_after(5)
        }
    })
}

/// No upgrade was asked for, or to something else, or in an older form.
fn no_upgrade() -> Fault {
    let text = "This path is for WebSocket clients with the subprotocol 'sip'";
    Fault::http(StatusCode::UPGRADE_REQUIRED, text)
        .with(UPGRADE, HeaderValue::from_static("websocket"))
        .with(CONNECTION, HeaderValue::from_static("Upgrade"))
        .with(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
}
