//! OPTIONS outside a call: what we can do (RFC 3261 §11), or TURN credentials for a client.
//!
//! The busiest request of idle clients; answered at the edge, without a shard.

use sip::{MessageWriter, Name, Request};

use crate::refusal::ALLOW;

/// The header by which existing clients ask for TURN credentials.
const TURN_REQUEST: &str = "X-AculabTurnRequest";

/// The 200. The JSON list of ICE servers is empty: this server relays no media yet.
pub(crate) fn answer(request: &Request<'_>, to_tag: &str) -> Vec<u8> {
    let mut writer = MessageWriter::reply(request, 200, "OK", Some(to_tag));
    if request.headers.get(Name::Other(TURN_REQUEST)).is_some() {
        writer.header("Content-Type", "application/json");
        writer.finish_with(b"[]")
    } else {
        writer
            .header("Allow", ALLOW)
            .header("Accept", "application/sdp");
        writer.finish()
    }
}
