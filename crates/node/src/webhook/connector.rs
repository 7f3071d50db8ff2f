//! The way to an application: its addresses are looked up, judged, and exactly the one that was judged is connected to.
//!
//! Never goes where nobody outside could mean to send it: private networks, this machine, a cloud's metadata, in any spelling,
//! unless the operator listed them. What is no such address TURN's list says (`turn::PeerPolicy`).

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use model::{AccountId, limits};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use turn::PeerPolicy;

use crate::account_place::{NoPlace, Place, Places, Turns};

tokio::task_local! {
    /// For whom a page is asked: of a request the client tells a connector nothing but where it goes.
    pub(super) static ASKING: AccountId;
}

/// How long one of several addresses may take before the next is tried.
const NEXT_ADDRESS_AFTER: Duration = Duration::from_secs(1);
/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;

/// Why an application cannot be reached; follows on "the application at …".
#[derive(Debug)]
pub(super) enum ConnectFault {
    /// The name is nobody's.
    NoAddress(String, String),
    /// Not where we go.
    Forbidden(IpAddr, &'static str),
    /// Nobody answers there.
    Unreachable(io::ErrorKind),
    /// The other end speaks no TLS, or nobody vouches for it.
    Tls(String),
    /// There are as many connections as may be.
    Full(NoPlace),
}

impl fmt::Display for ConnectFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress(host, why) => {
                write!(f, "cannot be reached: no address of {host} is found: {why}")
            }
            Self::Forbidden(ip, kind) => write!(
                f,
                "has the address {ip} ({kind}), which this server does not call (webhook_allow says what it may)"
            ),
            Self::Unreachable(kind) => write!(f, "cannot be reached: {kind}"),
            Self::Tls(why) => write!(f, "cannot be reached: TLS fails: {why}"),
            Self::Full(NoPlace::All(count)) => write!(
                f,
                "is not asked: this server has {count} connections to applications, as many as it may have"
            ),
            Self::Full(NoPlace::Account(count)) => write!(
                f,
                "is not asked: there are {count} connections to applications of this account, as many as may be; does it ask many hosts?"
            ),
        }
    }
}

impl std::error::Error for ConnectFault {}

/// Makes connections; one for the node.
#[derive(Clone)]
pub(super) struct Connector(Arc<Inner>);

struct Inner {
    policy: PeerPolicy,
    tls: TlsConnector,
    has_roots: bool,
    connections: Arc<Places>,
    lookups: Arc<Turns>,
}

impl Connector {
    /// `has_roots`: whether any certificate can be verified at all.
    pub(super) fn new(
        policy: PeerPolicy,
        tls: ClientConfig,
        has_roots: bool,
        connections: Arc<Places>,
    ) -> Self {
        Self(Arc::new(Inner {
            policy,
            tls: Arc::new(tls).into(),
            has_roots,
            connections,
            lookups: Arc::new(Turns::new(
                limits::PAGE_LOOKUPS,
                limits::PAGE_LOOKUPS_PER_ACCOUNT,
            )),
        }))
    }

    /// The same with other places, for connections of another kind.
    pub(super) fn with(&self, connections: Arc<Places>) -> Self {
        Self(Arc::new(Inner {
            policy: self.0.policy.clone(),
            tls: self.0.tls.clone(),
            has_roots: self.0.has_roots,
            connections,
            lookups: Arc::clone(&self.0.lookups),
        }))
    }

    pub(super) async fn connect(
        self,
        account: AccountId,
        uri: Uri,
    ) -> Result<TokioIo<Stream>, ConnectFault> {
        let place = self
            .0
            .connections
            .enter(account)
            .map_err(ConnectFault::Full)?;
        let is_tls = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default();
        let host = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(host);
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let found = self.look_up(account, host, port).await?;
        let tcp = reach(&self.judge(&found)?).await?;
        // A page is one small message each way.
        let _ = tcp.set_nodelay(true);
        let wire = if is_tls {
            Wire::Tls(Box::new(self.secure(host, tcp).await?))
        } else {
            Wire::Plain(tcp)
        };
        Ok(TokioIo::new(Stream {
            wire,
            _place: place,
        }))
    }

    /// By the system's resolver. The turn lasts until the system has answered, however long nobody waits for it any more.
    async fn look_up(
        &self,
        account: AccountId,
        host: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, ConnectFault> {
        let no_address = |why: String| ConnectFault::NoAddress(host.to_owned(), why);
        let turn = self.0.lookups.take(account).await;
        let name = host.to_owned();
        let looking = tokio::task::spawn_blocking(move || {
            let found = (name.as_str(), port).to_socket_addrs();
            drop(turn);
            found.map(Vec::from_iter)
        });
        let found = looking
            .await
            .map_err(|error| no_address(error.to_string()))?;
        let found = found.map_err(|error| no_address(error.to_string()))?;
        if found.is_empty() {
            return Err(no_address("it has none".to_owned()));
        }
        Ok(found)
    }

    /// Those that may be called; a name that has only others is refused.
    fn judge(&self, found: &[SocketAddr]) -> Result<Vec<SocketAddr>, ConnectFault> {
        let mut refused = None;
        let mut good = Vec::new();
        for at in found {
            match self.0.policy.check(at.ip()) {
                Ok(()) => good.push(*at),
                Err(kind) => {
                    refused.get_or_insert(ConnectFault::Forbidden(at.ip(), kind.0));
                }
            }
        }
        good.truncate(ADDRESSES);
        match refused {
            Some(refused) if good.is_empty() => Err(refused),
            Some(_) | None => Ok(good),
        }
    }

    async fn secure(
        &self,
        host: &str,
        tcp: TcpStream,
    ) -> Result<TlsStream<TcpStream>, ConnectFault> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            ConnectFault::Tls(format!("{host} is no name that a certificate can have"))
        })?;
        self.0.tls.connect(name, tcp).await.map_err(|error| {
            let mut why = error.to_string();
            if !self.0.has_roots {
                why.push_str(" (this machine has no root certificates: install ca-certificates)");
            }
            ConnectFault::Tls(why)
        })
    }
}

/// The first of these that answers.
async fn reach(addresses: &[SocketAddr]) -> Result<TcpStream, ConnectFault> {
    let mut last = io::ErrorKind::AddrNotAvailable;
    for (at, address) in addresses.iter().enumerate() {
        let connecting = TcpStream::connect(address);
        let connected = if at + 1 == addresses.len() {
            connecting.await
        } else {
            let waited = tokio::time::timeout(NEXT_ADDRESS_AFTER, connecting).await;
            waited.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        };
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error.kind(),
        }
    }
    Err(ConnectFault::Unreachable(last))
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectFault;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, ConnectFault>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectFault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let account = ASKING.try_with(|account| *account);
        let account =
            account.expect("connections are made for pages, and each is asked for an account");
        Box::pin(self.clone().connect(account, uri))
    }
}

/// A connection, which has its place until it ends.
pub(super) struct Stream {
    wire: Wire,
    _place: Place,
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Wire::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(context),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
