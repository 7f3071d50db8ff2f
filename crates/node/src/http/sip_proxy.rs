//! `/sipproxy`: the door to SIP over WebSocket (RFC 7118, RFC 6455 §4.2), plain or resumable (docs/resume.md).
//!
//! What must be refused is refused here, before the upgrade: clients come again after that.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::http::header::{CONNECTION, SEC_WEBSOCKET_VERSION, UPGRADE};
use axum::http::{HeaderValue, Request, Response, StatusCode};
use switch::Counter;
use switch::resume::SUBPROTOCOL;

use super::answer::Fault;
use super::host::Host;
use super::{Peer, Services};
use crate::signalling::random;
use crate::transport::{Full, Place, resumable, ws};

pub(super) async fn answer(
    services: &Services,
    peer: &Peer,
    request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    let (mut parts, _) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &())
        .await
        .map_err(|why| refusal(&why))?;
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
    let upgrade = ws::bounded(upgrade.protocols(ours.iter().copied()));
    let Some(selected) = upgrade.selected_protocol() else {
        let text = "The WebSocket subprotocol must be 'sip': send Sec-WebSocket-Protocol: sip";
        return Err(Fault::http(StatusCode::BAD_REQUEST, text));
    };
    let is_resumable = selected == SUBPROTOCOL;
    let place = place(
        services,
        peer,
        services.client_address(peer, &parts.headers),
    )?;
    let signalling = Arc::clone(&services.signalling);
    let host = Host::of(&parts.uri, &parts.headers);
    let host = host.and_then(|host| host.for_turn(&services.turn_loopbacks));
    if !is_resumable {
        return Ok(upgrade.on_upgrade(move |socket| ws::run(socket, signalling, place, host)));
    }
    let handovers = Arc::clone(&services.handovers);
    let number = handovers.accept();
    Ok(upgrade.on_upgrade(move |socket| {
        resumable::enter(socket, number, place, signalling, handovers, host)
    }))
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

fn refusal(why: &WebSocketUpgradeRejection) -> Fault {
    if matches!(why, WebSocketUpgradeRejection::WebSocketKeyHeaderMissing(_)) {
        return Fault::http(
            StatusCode::BAD_REQUEST,
            "The header Sec-WebSocket-Key is missing",
        );
    }
    // No upgrade was asked for, or to something else, or in an older form.
    let text = "This path is for WebSocket clients with the subprotocol 'sip'";
    Fault::http(StatusCode::UPGRADE_REQUIRED, text)
        .with(UPGRADE, HeaderValue::from_static("websocket"))
        .with(CONNECTION, HeaderValue::from_static("Upgrade"))
        .with(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
}
