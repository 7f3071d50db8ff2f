//! TLS of one stream: rustls as a machine, between the bytes of the socket and those of the client.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::{ServerConfig, ServerConnection};

use crate::certificate::Certificate;

/// For all streams of all workers: with whatever certificate is loaded when a client comes.
pub(super) fn server_config(
    certificate: Arc<Certificate>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    // Clients come back after each loss: let them resume, without keeping anything for them.
    config.ticketer = Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// One TLS connection.
pub(super) struct Tls {
    session: ServerConnection,
    /// What is to be sealed with the next records: a batch of packets shares one.
    plain: Vec<u8>,
}

/// What came of the bytes that a socket gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// So many bytes of the client.
    Bytes(usize),
    /// So many, and it says that these are the last.
    Last(usize),
    /// It does not speak TLS, or not with us.
    Fault,
}

impl Tls {
    pub(super) fn new(config: &Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let mut session = ServerConnection::new(Arc::clone(config))?;
        // The stream's queue has its own bound, and takes everything at once.
        session.set_buffer_limit(None);
        Ok(Self {
            session,
            plain: Vec::new(),
        })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Opens what came from the socket. What the client said is written to `plain`, which has room for `sealed` and for
    /// a record whose last byte was missing.
    pub(super) fn open(&mut self, mut sealed: &[u8], plain: &mut [u8]) -> Opened {
        let mut opened = 0;
        while !sealed.is_empty() {
            if self.session.read_tls(&mut sealed).is_err() {
                return Opened::Fault;
            }
            let Ok(state) = self.session.process_new_packets() else {
                return Opened::Fault;
            };
            loop {
                match self.session.reader().read(&mut plain[opened..]) {
                    Ok(0) => break,
                    Ok(read) => opened += read,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(_) => return Opened::Fault,
                }
            }
            if state.peer_has_closed() {
                return Opened::Last(opened);
            }
        }
        Opened::Bytes(opened)
    }

    /// Takes bytes for the client.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.plain.extend_from_slice(bytes);
    }

    /// How many bytes wait to be sealed.
    pub(super) fn waiting(&self) -> usize {
        self.plain.len()
    }

    /// Seals everything, and adds it to what the socket is to take.
    pub(super) fn seal(&mut self, sealed: &mut Vec<u8>) {
        if !self.plain.is_empty() && self.session.writer().write_all(&self.plain).is_ok() {
            self.plain.clear();
        }
        while self.session.wants_write() {
            // A vector takes everything.
            if self.session.write_tls(sealed).is_err() {
                return;
            }
        }
    }

    pub(super) fn say_goodbye(&mut self) {
        self.session.send_close_notify();
    }
}
