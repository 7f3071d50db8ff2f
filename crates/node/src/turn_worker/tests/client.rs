//! A client of the tests, over each of the transports.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use stun_types::attribute::{AttributeWrite, ErrorCode, Nonce, Realm, Username, XorMappedAddress};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageType,
    MessageWrite, MessageWriteExt, MessageWriteVec, Method, TransactionId,
};
use turn_types::attribute::{ChannelNumber, RequestedTransport, XorPeerAddress, XorRelayedAddress};
use turn_types::message::{ALLOCATE, CHANNEL_BIND};

use super::stage::PATIENCE;

/// How long a question waits for its answer where it may be lost.
const AGAIN: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Udp,
    Tcp,
    Tls,
}

enum Socket {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

pub(super) struct Client {
    socket: Socket,
    local: SocketAddr,
    transactions: u128,
}

impl Client {
    pub(super) fn new(wire: Wire, to: SocketAddr) -> Self {
        let connected = || {
            let stream = TcpStream::connect(to).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.set_nodelay(true).unwrap();
            stream
        };
        let (socket, local) = match wire {
            Wire::Udp => {
                let socket = UdpSocket::bind((super::stage::ELSEWHERE, 0)).unwrap();
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                socket.connect(to).unwrap();
                let local = socket.local_addr().unwrap();
                (Socket::Udp(socket), local)
            }
            Wire::Tcp => {
                let stream = connected();
                let local = stream.local_addr().unwrap();
                (Socket::Tcp(stream), local)
            }
            Wire::Tls => {
                let stream = connected();
                let local = stream.local_addr().unwrap();
                let name = ServerName::try_from("localhost").unwrap();
                let session = ClientConnection::new(Arc::new(trusting()), name).unwrap();
                let stream = StreamOwned::new(session, stream);
                (Socket::Tls(Box::new(stream)), local)
            }
        };
        Self {
            socket,
            local,
            transactions: 0,
        }
    }

    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    pub(super) fn udp(&self) -> &UdpSocket {
        match &self.socket {
            Socket::Udp(socket) => socket,
            Socket::Tcp(_) | Socket::Tls(_) => panic!("not over UDP"),
        }
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        match &mut self.socket {
            Socket::Udp(socket) => drop(socket.send(bytes).unwrap()),
            Socket::Tcp(stream) => stream.write_all(bytes).unwrap(),
            Socket::Tls(stream) => stream.write_all(bytes).unwrap(),
        }
    }

    /// The next message, without padding.
    pub(super) fn receive(&mut self) -> Vec<u8> {
        let stream: &mut dyn Read = match &mut self.socket {
            Socket::Udp(socket) => {
                let mut bytes = vec![0; 65_536];
                let len = socket.recv(&mut bytes).unwrap();
                bytes.truncate(len);
                return bytes;
            }
            Socket::Tcp(stream) => stream,
            Socket::Tls(stream) => stream,
        };
        let mut bytes = vec![0; 4];
        stream.read_exact(&mut bytes).unwrap();
        let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        let is_channel = bytes[0] & 0xc0 == 0x40;
        let rest = if is_channel {
            length.next_multiple_of(4)
        } else {
            length + 16
        };
        bytes.resize(4 + rest, 0);
        stream.read_exact(&mut bytes[4..]).unwrap();
        if is_channel {
            bytes.truncate(4 + length);
        }
        bytes
    }

    /// Whether the server has closed the connection, as soon as it says anything.
    pub(super) fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        let read = match &mut self.socket {
            Socket::Udp(_) => panic!("UDP is never closed"),
            Socket::Tcp(stream) => stream.read(&mut byte),
            Socket::Tls(stream) => stream.read(&mut byte),
        };
        match read {
            Ok(read) => read == 0,
            Err(error) => !matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            ),
        }
    }

    pub(super) fn request(&mut self, method: Method) -> MessageWriteVec {
        self.transactions += 1;
        let kind = MessageType::from_class_method(MessageClass::Request, method);
        let transaction: TransactionId = self.transactions.into();
        Message::builder(kind, transaction, MessageWriteVec::new())
    }

    /// Sends a request; the answer must be the next message.
    pub(super) fn ask(&mut self, request: MessageWriteVec) -> Vec<u8> {
        self.send(&request.finish());
        let answer = self.receive();
        let message = Message::from_bytes(&answer).unwrap();
        assert_eq!(message.transaction_id(), self.transactions.into());
        answer
    }

    /// Our address, as the server sees it.
    pub(super) fn binding(&mut self) -> SocketAddr {
        let request = self.request(BINDING);
        let answer = self.ask(request);
        let message = Message::from_bytes(&answer).unwrap();
        let mapped = message.attribute::<XorMappedAddress>().unwrap();
        mapped.addr(message.transaction_id())
    }

    /// Asks over UDP until there is an answer: some questions may be lost.
    pub(super) fn wait_for_binding(&mut self) {
        self.udp().set_read_timeout(Some(AGAIN)).unwrap();
        let mut byte = [0];
        while {
            let request = self.request(BINDING);
            self.send(&request.finish());
            self.udp().recv(&mut byte).is_err()
        } {}
    }

    fn nonce(&mut self) -> String {
        let mut request = self.request(ALLOCATE);
        request.add_attribute(&RequestedTransport::new(17)).unwrap();
        let answer = self.ask(request);
        let message = Message::from_bytes(&answer).unwrap();
        let nonce = message.attribute::<Nonce>().unwrap();
        nonce.nonce().to_owned()
    }

    pub(super) fn sealed(
        &mut self,
        username: &str,
        method: Method,
        attributes: &[&dyn AttributeWrite],
    ) -> MessageWriteVec {
        let nonce = self.nonce();
        let mut request = self.request(method);
        for attribute in attributes {
            request.add_attribute(*attribute).unwrap();
        }
        request
            .add_attribute(&Username::new(username).unwrap())
            .unwrap();
        request
            .add_attribute(&Realm::new("offhook").unwrap())
            .unwrap();
        request.add_attribute(&Nonce::new(&nonce).unwrap()).unwrap();
        let key = LongTermKeyCredentials::new(
            username.to_owned(),
            format!("p-{username}"),
            "offhook".to_owned(),
        );
        request
            .add_message_integrity(&key.into(), IntegrityAlgorithm::Sha1)
            .unwrap();
        request
    }

    /// The relayed address of a new allocation.
    pub(super) fn allocate(&mut self, user: u64) -> SocketAddr {
        let name = format!("u{user}");
        let request = self.sealed(&name, ALLOCATE, &[&RequestedTransport::new(17)]);
        let answer = self.ask(request);
        let message = Message::from_bytes(&answer).unwrap();
        assert_eq!(message.class(), MessageClass::Success);
        let relayed = message.attribute::<XorRelayedAddress>().unwrap();
        relayed.addr(message.transaction_id())
    }

    /// 0 for success.
    pub(super) fn bind(&mut self, user: u64, number: u16, peer: SocketAddr) -> u16 {
        // The one after that which asks for a nonce.
        let transaction = (self.transactions + 2).into();
        let peer = XorPeerAddress::new(peer, transaction);
        let name = format!("u{user}");
        let request = self.sealed(&name, CHANNEL_BIND, &[&ChannelNumber::new(number), &peer]);
        let answer = self.ask(request);
        let message = Message::from_bytes(&answer).unwrap();
        if message.class() == MessageClass::Success {
            0
        } else {
            message.attribute::<ErrorCode>().unwrap().code()
        }
    }

    /// Sends a packet through a channel, padded as streams need it.
    pub(super) fn send_channel(&mut self, number: u16, data: &[u8]) {
        let mut message = channel(number, data);
        if !matches!(self.socket, Socket::Udp(_)) {
            message.resize(message.len().next_multiple_of(4), 0);
        }
        self.send(&message);
    }
}

pub(super) fn channel(number: u16, data: &[u8]) -> Vec<u8> {
    let mut message = number.to_be_bytes().to_vec();
    message.extend((data.len() as u16).to_be_bytes());
    message.extend(data);
    message
}

/// Takes any certificate: which one it is, is not what these tests ask.
fn trusting() -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting))
        .with_no_client_auth()
}

#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
