//! One connection to the server that is measured: TCP, TLS on it if the URL says so, and a WebSocket or HTTP inside.
//!
//! Never waits. What the socket does not take is kept and goes first the next time.

use std::io::{self, Read, Write};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ClientConnection;
use socket2::{Domain, Protocol, Socket, Type};

use super::frame::{Found, Framing, head_len};
use super::target::Target;

/// See the module.
pub(super) struct Link {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    framing: Framing,
    state: State,
    /// What has come of a message that is not whole.
    incoming: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Until the server has answered the upgrade.
    Upgrading,
    Open,
}

/// What has happened on a link.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News<'a> {
    Opened,
    Message(&'a [u8]),
    Ping(&'a [u8]),
}

impl Link {
    /// Begins a connection; `number` is its token, and says where it comes from.
    pub(super) fn begin(
        target: &Target,
        framing: Framing,
        number: usize,
        registry: &Registry,
    ) -> io::Result<Self> {
        let domain = Domain::for_address(target.address);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = target.source(number) {
            socket.bind(&std::net::SocketAddr::new(source, 0).into())?;
        }
        match socket.connect(&target.address.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(nix::errno::Errno::EINPROGRESS as i32) => {}
            Err(error) => return Err(error),
        }
        let mut socket = TcpStream::from_std(socket.into());
        registry.register(
            &mut socket,
            Token(number),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        let tls = target.tls.as_ref().map(|tls| {
            ClientConnection::new(tls.config.clone(), tls.name.clone())
                .map(Box::new)
                .map_err(io::Error::other)
        });
        Ok(Self {
            socket,
            tls: tls.transpose()?,
            framing,
            state: match framing {
                Framing::WebSocket => State::Upgrading,
                Framing::Http => State::Open,
            },
            incoming: Vec::new(),
        })
    }

    /// Sends what is in `outgoing`, as far as the socket takes it, and leaves the rest there.
    pub(super) fn flush(&mut self, outgoing: &mut Vec<u8>) -> io::Result<()> {
        let taken = match &mut self.tls {
            None => write_all(&mut self.socket, outgoing)?,
            Some(tls) => {
                tls.writer().write_all(outgoing)?;
                while tls.wants_write() {
                    match tls.write_tls(&mut self.socket) {
                        Ok(_) => {}
                        Err(error) if is_wait(&error) => break,
                        Err(error) => return Err(error),
                    }
                }
                outgoing.len()
            }
        };
        if taken == outgoing.len() {
            outgoing.clear();
        } else {
            outgoing.drain(..taken);
        }
        Ok(())
    }

    /// Reads what has come and tells each thing in it. `scratch` is room for it, shared by all links.
    pub(super) fn read(
        &mut self,
        scratch: &mut [u8],
        mut tell: impl FnMut(News<'_>),
    ) -> io::Result<()> {
        loop {
            let kept = self.incoming.len();
            if kept == scratch.len() {
                return Err(io::Error::other(
                    "an answer is longer than anything that is measured here",
                ));
            }
            scratch[..kept].copy_from_slice(&self.incoming);
            self.incoming.clear();
            let (read, is_over) = self.fill(&mut scratch[kept..])?;
            let mut rest = &scratch[..kept + read];
            while !rest.is_empty() {
                let (used, is_part) = self.take(rest, &mut tell)?;
                rest = &rest[used..];
                if is_part {
                    break;
                }
            }
            self.incoming.extend_from_slice(rest);
            if is_over {
                return Ok(());
            }
        }
    }

    fn take(&mut self, bytes: &[u8], tell: &mut impl FnMut(News<'_>)) -> io::Result<(usize, bool)> {
        if self.state == State::Upgrading {
            let Some(head) = head_len(bytes) else {
                return Ok((0, true));
            };
            if !bytes.starts_with(b"HTTP/1.1 101") {
                let line = bytes
                    .split(|byte| *byte == b'\r')
                    .next()
                    .unwrap_or_default();
                let line = String::from_utf8_lossy(line).into_owned();
                return Err(io::Error::other(format!(
                    "the upgrade was answered with {line}"
                )));
            }
            self.state = State::Open;
            tell(News::Opened);
            return Ok((head, false));
        }
        let (found, used) = self.framing.next(bytes);
        match found {
            Found::Message(message) => tell(News::Message(message)),
            Found::Ping(payload) => tell(News::Ping(payload)),
            Found::Other => {}
            Found::Part => return Ok((0, true)),
            Found::Close(why) => {
                let why = String::from_utf8_lossy(why);
                return Err(io::Error::other(format!(
                    "the server closed the connection: {why}"
                )));
            }
            Found::Broken => {
                return Err(io::Error::other("the server sent what is no whole frame"));
            }
        }
        Ok((used, false))
    }

    /// Reads once; says how much, and whether there is no more for now.
    fn fill(&mut self, room: &mut [u8]) -> io::Result<(usize, bool)> {
        let Some(tls) = &mut self.tls else {
            return match self.socket.read(room) {
                Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                // Less than there was room for: the socket is empty.
                Ok(read) => Ok((read, read < room.len())),
                Err(error) if is_wait(&error) => Ok((0, true)),
                Err(error) => Err(error),
            };
        };
        let is_empty = match tls.read_tls(&mut self.socket) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => false,
            Err(error) if is_wait(&error) => true,
            Err(error) => return Err(error),
        };
        tls.process_new_packets().map_err(io::Error::other)?;
        while tls.wants_write() {
            match tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if is_wait(&error) => break,
                Err(error) => return Err(error),
            }
        }
        match tls.reader().read(room) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => Ok((read, false)),
            Err(error) if is_wait(&error) => Ok((0, is_empty)),
            Err(error) => Err(error),
        }
    }
}

fn write_all(socket: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match socket.write(&bytes[sent..]) {
            Ok(more) => sent += more,
            Err(error) if is_wait(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

/// Later, or not connected yet.
fn is_wait(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected | io::ErrorKind::Interrupted
    )
}

/// What opens a WebSocket.
pub(super) fn upgrade(target: &Target) -> String {
    let Target { host, path, .. } = target;
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Origin: http://{host}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: sip\r\n\r\n"
    )
}
