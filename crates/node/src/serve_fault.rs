//! Why a node does not serve: each a sentence with what to do about it.
//!
//! Decides nothing; `serve` and what it starts say which it is.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use store::StoreError;
use store::bus::BusError;

use crate::certificate::CertificateFault;
use crate::config::ConfigFault;
use crate::media_worker::MediaFault;
use crate::provision::ProvisionError;
use crate::relay::RelayFault;
use crate::trunk_worker::TrunkFault;

/// Why a node does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration cannot be served.
    #[error(transparent)]
    Config(#[from] ConfigFault),
    /// Another server has the folder.
    #[error("another server runs on the data folder {}; stop it, or name another folder with --data", .0.display())]
    InUse(PathBuf),
    /// The folder's lock cannot be taken.
    #[error("cannot lock the data folder with {}: {source}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateFault),
    /// TLS cannot be set up.
    #[error("cannot set TLS up: {0}")]
    Tls(#[from] rustls::Error),
    /// Somebody else has the address.
    #[error(
        "cannot listen on {0}: another program does, perhaps another offhook; stop it, or name another address with \
         --listen ADDR:PORT"
    )]
    Taken(SocketAddr),
    /// Somebody else has the address of the operator's listener.
    #[error(
        "cannot listen on {0} for the admin listener: another program does, perhaps another offhook; stop it, or name another \
         address with --admin-listen ADDR:PORT"
    )]
    AdminTaken(SocketAddr),
    /// It cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}; name another address with --admin-listen ADDR:PORT"
    )]
    AdminListen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; name another address with --listen ADDR:PORT")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No thread can be started.
    #[error("cannot start the threads that serve connections: {0}")]
    Threads(io::Error),
    /// TURN cannot be served.
    #[error(transparent)]
    Relay(#[from] RelayFault),
    /// The media gateway cannot be served.
    #[error(transparent)]
    Media(#[from] MediaFault),
    /// Trunks cannot be served.
    #[error(transparent)]
    Trunk(#[from] TrunkFault),
    /// What is left of a killed server's recordings cannot be removed.
    #[error("cannot look through the files of accounts in {}: {source}", data.display())]
    Files {
        /// The data folder.
        data: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is left of a killed server's call records cannot be read.
    #[error(
        "cannot read the file of call records that wait for the store in {}: {source}; give this user the right to read and write \
         it, or move it away to go without them",
        data.display()
    )]
    Records {
        /// The data folder.
        data: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The control socket cannot be made.
    #[error("cannot make the control socket in {}: {source}", data.display())]
    Control {
        /// The data folder.
        data: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The bus that the nodes share cannot be used.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// Signals cannot be watched.
    #[error("cannot watch for signals: {0}")]
    Signals(io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was to be made first was not.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
}
