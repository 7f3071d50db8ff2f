//! Asks applications for their pages: HTTP/1.1, plain or TLS, over connections that are used again. [`bot`] has their streams.
//!
//! Follows no redirect, reads no more than a page may have, and waits no longer than it may take. What is in a page is the shard's
//! to read; no body and no secret is logged.

pub(crate) mod bot;
mod config;
mod connector;
mod handshake;
mod request;
mod talk;
mod whole;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use model::{PageAnswer, PageRequest, limits};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use turn::PeerPolicy;

pub use self::config::{WebhookConfig, WebhookConfigFault};
use self::connector::{ASKING, ConnectFault, Connector};
use self::request::{place, request};
use crate::account_place::{NoPlace, Place, Places};
use crate::clock::Clock;
use crate::config::Config;
use crate::relay::LOOPBACK;

/// What hyper may hold of an answer's head, and of its body at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// Whoever asks; one for the node.
pub(crate) struct Pages {
    client: Client<Connector, Full<Bytes>>,
    connector: Connector,
    timeout: Duration,
    places: Arc<Places>,
}

impl Pages {
    pub(crate) fn new(config: &Config) -> Result<Self, rustls::Error> {
        let webhook = &config.webhook;
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for fault in &found.errors {
            tracing::debug!(%fault, "root certificates of the system cannot be read");
        }
        let own = webhook.roots.iter().cloned();
        roots.add_parsable_certificates(found.certs.into_iter().chain(own));
        let has_roots = !roots.is_empty();
        let mut tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut allowed = webhook.allow.clone();
        if config.is_local() {
            // Whoever can set an application up can reach this machine's loopback as well.
            allowed.extend(LOOPBACK);
        }
        let of_account = limits::PAGE_CONNECTIONS_PER_ACCOUNT;
        let connections = Places::new(limits::PAGE_CONNECTIONS, of_account);
        let connector = Connector::new(PeerPolicy { allowed }, tls, has_roots, connections);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(limits::PAGE_IDLE_TIME)
            .pool_max_idle_per_host(limits::PAGE_IDLE_CONNECTIONS)
            .http1_max_buf_size(BUFFER_BYTES)
            .set_host(false)
            .build(connector.clone());
        Ok(Self {
            client,
            connector,
            timeout: webhook.timeout(),
            places: Places::new(limits::PAGES_AT_ONCE, limits::PAGES_PER_ACCOUNT),
        })
    }

    /// A place among those that are asked at once, or a sentence that says why there is none.
    pub(crate) fn enter(&self, asked: &PageRequest) -> Result<Place, String> {
        self.places.enter(asked.account).map_err(|full| {
            let at = place(asked.page.url.as_str());
            match full {
                NoPlace::All(count) => format!(
                    "the application at {at} is not asked: this server asks {count} applications at once, as many as it may"
                ),
                NoPlace::Account(count) => format!(
                    "the application at {at} is not asked: {count} pages of this account are being asked already, as many \
                     as may be; does it answer too slowly?"
                ),
            }
        })
    }

    /// Asks a page. Comes to an end in time, whatever the application does.
    pub(crate) async fn ask(&self, asked: &PageRequest) -> PageAnswer {
        let answer = match tokio::time::timeout(self.timeout, self.exchange(asked)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!(
                "did not answer within {} s",
                self.timeout.as_secs()
            )),
        };
        answer.unwrap_or_else(|why| {
            let at = place(asked.page.url.as_str());
            PageAnswer::Failed(format!("the application at {at} {why}"))
        })
    }

    async fn exchange(&self, asked: &PageRequest) -> Result<PageAnswer, String> {
        let request = request(asked, Clock::unix())?;
        let asking = ASKING.scope(asked.account, self.client.request(request));
        let answer = asking.await.map_err(|error| told(&error))?;
        let status = answer.status().as_u16();
        let body = body(answer.into_body()).await?;
        Ok(PageAnswer::Answered { status, body })
    }
}

/// The whole body, as far as it may be that long.
async fn body(mut body: Incoming) -> Result<Vec<u8>, String> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| told(&error))?;
        let Some(part) = frame.data_ref() else {
            continue;
        };
        if whole.len() + part.len() > limits::PAGE_BYTES {
            return Err(format!(
                "answered with a page of more than {} bytes",
                limits::PAGE_BYTES
            ));
        }
        whole.extend_from_slice(part);
    }
    Ok(whole)
}

/// What went wrong, in words that follow on "the application at …".
fn told(error: &(dyn Error + 'static)) -> String {
    if let Some(fault) = chain(error).find_map(|error| error.downcast_ref::<ConnectFault>()) {
        return fault.to_string();
    }
    let hyper = chain(error).find_map(|error| error.downcast_ref::<hyper::Error>());
    match hyper {
        Some(error) if error.is_parse() => {
            format!("answered with something that is no HTTP: {error}")
        }
        Some(error) if error.is_incomplete_message() || error.is_closed() => {
            "closed the connection before its answer was whole".to_owned()
        }
        Some(_) | None => {
            let last = chain(error).last().map(ToString::to_string);
            format!("was lost while it answered: {}", last.unwrap_or_default())
        }
    }
}

/// An error, and what brought it about.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (**error).source())
}

#[cfg(test)]
mod tests;
