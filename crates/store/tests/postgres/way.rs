//! A way to a server by TCP that can be cut without a word: what is open then leads nowhere, and nobody is told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::server::Server;

pub(crate) struct Way {
    address: SocketAddr,
    /// How often it was cut.
    cuts: Arc<AtomicUsize>,
}

impl Way {
    pub(crate) fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, socket) = (listener.local_addr().unwrap(), server.socket());
        let cuts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&cuts);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), UnixStream::connect(&socket).unwrap());
                let ends = (client.try_clone().unwrap(), server.try_clone().unwrap());
                carry(ends.0, ends.1, Arc::clone(&counted));
                carry(server, client, Arc::clone(&counted));
            }
        });
        Self { address, cuts }
    }

    /// The address of this database by it.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://offhook:hush-hush@{}/{database}", self.address)
    }

    /// Connections that are made later lead to the server.
    pub(crate) fn cut(&self) {
        self.cuts.fetch_add(1, Ordering::Relaxed);
    }
}

/// Carries what comes, as long as the way is not cut.
fn carry<R, W>(mut from: R, mut to: W, cuts: Arc<AtomicUsize>)
where
    R: Read + Send + 'static,
    W: Write + Closes + Send + 'static,
{
    let begun = cuts.load(Ordering::Relaxed);
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        loop {
            let read = from.read(&mut bytes).unwrap_or(0);
            if cuts.load(Ordering::Relaxed) != begun {
                // Both ends stay open.
                std::mem::forget((from, to));
                return;
            }
            if read == 0 || to.write_all(&bytes[..read]).is_err() {
                return to.close();
            }
        }
    });
}

trait Closes {
    fn close(self);
}

impl Closes for TcpStream {
    fn close(self) {
        let _ = self.shutdown(std::net::Shutdown::Both);
    }
}

impl Closes for UnixStream {
    fn close(self) {
        let _ = self.shutdown(std::net::Shutdown::Both);
    }
}
