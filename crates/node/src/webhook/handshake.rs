//! The handshake of a stream (RFC 6455 §4.1): who we are, and what proves it.

use model::UnixTime;
use model::media::Stream;
use tokio_tungstenite::tungstenite::handshake::client::{Request, generate_key};

use super::request::{AGENT, SIGNATURE, TIMESTAMP, signature, with_path};

/// Names the instance that the signature is for: a handshake has no body.
const INSTANCE: &str = "X-Offhook-Instance";

/// The address as applications know it.
pub(super) fn address(stream: &Stream) -> String {
    with_path(stream.url.as_str()).replacen("http", "ws", 1)
}

/// The request, or why there can be none; words that follow on "the application at …".
pub(super) fn handshake(stream: &Stream, now: UnixTime) -> Result<Request, String> {
    let address = address(stream);
    let host = address
        .split("://")
        .nth(1)
        .and_then(|rest| rest.split(['/', '?']).next())
        .unwrap_or_default();
    let timestamp = now.as_secs().to_string();
    Request::builder()
        .uri(&address)
        .header("Host", host)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", generate_key())
        .header("User-Agent", AGENT)
        .header(INSTANCE, &stream.instance)
        .header(
            SIGNATURE,
            signature(&stream.secret, &timestamp, &stream.instance),
        )
        .header(TIMESTAMP, timestamp)
        .body(())
        .map_err(|error| format!("has an address that cannot be read: {error}"))
}
