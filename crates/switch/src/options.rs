//! OPTIONS outside a call: what we can do (RFC 3261 §11), or TURN credentials for a client.
//!
//! The busiest request of idle clients; answered at the edge, without a shard.

use sip::{MessageWriter, Method, Name, Request};

use crate::capabilities::ALLOW;

/// The header by which existing clients ask for TURN credentials.
const TURN_REQUEST: &str = "X-AculabTurnRequest";

/// Whether it asks for TURN credentials.
pub(crate) fn asks_for_turn(request: &Request<'_>) -> bool {
    request.method == Method::Options && request.headers.get(Name::Other(TURN_REQUEST)).is_some()
}

/// The 200; to whoever asks for TURN credentials the JSON list of ICE servers, empty if there is no server.
pub(crate) fn answer(request: &Request<'_>, to_tag: &str, ice_servers: Option<&str>) -> Vec<u8> {
    let mut writer = MessageWriter::reply(request, 200, "OK", Some(to_tag));
    if asks_for_turn(request) {
        writer.header("Content-Type", "application/json");
        writer.finish_with(ice_servers.unwrap_or("[]").as_bytes())
    } else {
        writer
            .header("Allow", ALLOW)
            .header("Accept", "application/sdp");
        writer.finish()
    }
}
