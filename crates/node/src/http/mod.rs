//! The web services, and the door to the WebSocket transport.
//!
//! Every answer to a caller is JSON, errors included, in the documented shape; what is asked is decided by
//! `switch::token` and the shards, never here.

mod answer;
mod asset;
mod body;
mod calls;
mod clients;
mod console;
mod cors;
mod demo;
mod files;
mod form;
mod host;
mod inbound;
mod interrupt;
mod kept;
mod keys;
mod login;
mod page;
mod parameters;
mod path;
mod revocations;
mod route;
mod sip_proxy;
mod starting;
mod token;
mod turn_credentials;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::http::HeaderMap;
use model::SecretBytes;
use tokio::sync::Semaphore;

pub(crate) use files::FileDesk;
pub(crate) use login::LoginFailures;
pub(crate) use route::answer;

use crate::config::Bounds;
use crate::directory_watch::DirectoryWatch;
use crate::quota_keeper::QuotaKeeper;
use crate::signalling::Signalling;
use crate::transport::{Capacity, Handovers, Place};

/// What the services work with.
pub(crate) struct Services {
    pub(crate) signalling: Arc<Signalling>,
    pub(crate) quota: Arc<QuotaKeeper>,
    pub(crate) failures: LoginFailures,
    /// One for each thread: a signature takes longer than all else that is done for a request.
    pub(crate) signing: Semaphore,
    pub(crate) watch: Arc<DirectoryWatch>,
    /// Changes of services go to the store one at a time: what else is to be written waits for one of them at most.
    pub(crate) changes: Semaphore,
    pub(crate) files: FileDesk,
    pub(crate) pepper: SecretBytes,
    pub(crate) capacity: Arc<Capacity>,
    pub(crate) handovers: Arc<Handovers>,
    pub(crate) behind_tls_proxy: bool,
    /// Whether this server ends TLS itself.
    pub(crate) is_tls: bool,
    /// Whether the softphone page is served.
    pub(crate) has_softphone: bool,
    /// Loopback addresses that TURN listens on.
    pub(crate) turn_loopbacks: Vec<IpAddr>,
    /// See [`crate::Config::may_demo`].
    pub(crate) may_demo: bool,
    pub(crate) bounds: Bounds,
}

/// Who is at the other end of a connection.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// Its place among the connections that are open.
    pub(crate) place: Arc<Place>,
}

impl Services {
    /// The address that limits count against: the peer's, or the one that our own proxy appended last.
    fn client_address(&self, peer: &Peer, headers: &HeaderMap) -> IpAddr {
        let forwarded = || {
            let last = headers.get_all("x-forwarded-for").iter().next_back()?;
            let last = last.to_str().ok()?.rsplit(',').next()?.trim();
            // Some proxies write the port as well.
            let with_port = || last.parse::<SocketAddr>().map(|address| address.ip());
            last.parse().or_else(|_| with_port()).ok()
        };
        let address = if self.behind_tls_proxy {
            forwarded()
        } else {
            None
        };
        network(address.unwrap_or_else(|| peer.address.ip()))
    }
}

/// What one customer of a network provider holds: an IPv4 address, or the /64 of an IPv6 address (RFC 6177 §2).
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}
