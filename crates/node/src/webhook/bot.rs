//! Streams to applications: their WebSockets are opened here, by the rules of pages, and [`talk`](super::talk) carries them.
//!
//! Nothing of a stream passes a shard but its end.

use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;
use model::media::{Stream, StreamEnd};
use model::{AccountId, limits};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::Pages;
use super::connector::Connector;
use super::handshake::{address, handshake};
use super::request::place;
use super::talk::Talk;
use super::whole::Whole;
use crate::account_place::{NoPlace, Place, Places};
use crate::clock::Clock;
use crate::media_worker::Line;

/// What is read of a socket at once: several frames of live sound.
const READ_BYTES: usize = 4 * 1024;
/// What may wait in front of a socket: the longest message of ours, the greeting, and some frames.
const WRITE_BYTES: usize = 64 * 1024;

/// Whoever opens streams; one for the node.
pub(crate) struct Bots {
    connector: Connector,
    timeout: Duration,
    ping_interval: Duration,
    places: Arc<Places>,
    /// How many have not ended.
    open: watch::Sender<usize>,
}

impl Bots {
    /// By the rules of these pages.
    pub(crate) fn new(pages: &Pages) -> Self {
        let places = || Places::new(limits::STREAMS, limits::STREAMS_PER_ACCOUNT);
        Self {
            connector: pages.connector.with(places()),
            timeout: pages.timeout,
            ping_interval: limits::STREAM_PING_INTERVAL,
            places: places(),
            open: watch::Sender::new(0),
        }
    }

    /// Carries one stream from its beginning to its end, whatever the application does. Whether all went well.
    pub(crate) async fn carry(&self, account: AccountId, stream: &Stream, line: Line) -> bool {
        let _open = Open::new(&self.open);
        let failed = match self.enter(account) {
            Ok(_place) => match self.connect(account, stream).await {
                Ok(socket) => {
                    let talk = Talk::new(socket, line, self.ping_interval);
                    return talk.run(stream).await;
                }
                Err(why) => why,
            },
            Err(why) => why,
        };
        line.fail(told(stream, &failed)).await;
        false
    }

    /// Waits until every stream has ended.
    pub(crate) async fn settle(&self) {
        // The sender is there as long as this is.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }

    fn enter(&self, account: AccountId) -> Result<Place, String> {
        self.places.enter(account).map_err(|full| match full {
            NoPlace::All(count) => {
                format!("is not called: this server has {count} streams, as many as it may")
            }
            NoPlace::Account(count) => {
                format!("is not called: this account has {count} streams, as many as it may")
            }
        })
    }

    async fn connect(
        &self,
        account: AccountId,
        stream: &Stream,
    ) -> Result<WebSocketStream<Whole>, String> {
        let opening = self.open(account, stream);
        match tokio::time::timeout(self.timeout, opening).await {
            Ok(opened) => opened,
            Err(_) => Err(format!(
                "did not answer within {} s",
                self.timeout.as_secs()
            )),
        }
    }

    async fn open(
        &self,
        account: AccountId,
        stream: &Stream,
    ) -> Result<WebSocketStream<Whole>, String> {
        let request = handshake(stream, Clock::unix())?;
        let uri: Uri = stream
            .url
            .as_str()
            .parse()
            .map_err(|error| format!("has an address that cannot be read: {error}"))?;
        let connecting = self.connector.clone().connect(account, uri);
        let wire = connecting.await.map_err(|fault| fault.to_string())?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BYTES)
            .max_message_size(Some(limits::STREAM_MESSAGE_BYTES))
            .max_frame_size(Some(limits::STREAM_MESSAGE_BYTES));
        let shaking =
            client_async_with_config(request, Whole::new(wire.into_inner()), Some(config));
        match shaking.await {
            Ok((socket, _)) => Ok(socket),
            Err(Error::Http(answer)) => Err(format!(
                "answered the handshake with status {}, not 101",
                answer.status().as_u16()
            )),
            Err(error) => Err(format!("did not complete the handshake: {error}")),
        }
    }
}

/// A sentence about the application of a stream.
pub(super) fn told(stream: &Stream, why: &str) -> String {
    format!("the application at {} {why}", place(&address(stream)))
}

/// That a stream failed.
pub(super) fn failed(stream: &Stream, why: &str) -> StreamEnd {
    StreamEnd::Failed(told(stream, why))
}

/// Dropped when a stream has ended.
struct Open<'a>(&'a watch::Sender<usize>);

impl<'a> Open<'a> {
    fn new(open: &'a watch::Sender<usize>) -> Self {
        open.send_modify(|open| *open += 1);
        Self(open)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open = open.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests;
