//! Allocations on the server under measurement: made, bound to a peer, renewed and given back.
//!
//! A TURN client of RFC 8656 over UDP with long-term credentials (RFC 8489 §9.2), many at a time. Never in the way while
//! packets are counted: it only works before, after and between.

use std::io::{Error as IoError, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};
use stun_types::attribute::{ErrorCode, Nonce, Realm, Username};
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageType,
    MessageWriteVec, TransactionId,
};
use stun_types::prelude::*;
use turn_types::attribute::{
    ChannelNumber, Lifetime, RequestedTransport, XorPeerAddress, XorRelayedAddress,
};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, REFRESH};

use super::refusal;

/// The channel that each allocation binds to its peer.
pub(super) const CHANNEL: u16 = 0x4000;
/// Everything must have been renewed after this time: permissions live 300 s, the rest longer.
pub(super) const RENEW_AFTER: Duration = Duration::from_secs(200);
/// Requests under way at once.
const AT_ONCE: usize = 64;
/// RFC 8489 §6.2.1: the first wait for an answer; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// How often a request is sent before the server counts as gone: 7.5 s in all.
const SENDINGS: u32 = 4;
/// How often a request may be made anew, because the server wants another challenge answered or has use for the port.
const TRIES: u32 = 6;
/// Seconds for which an allocation is asked and refreshed.
const LIFETIME_S: u32 = 600;
/// The longest answer that is read.
const ANSWER_MAX: usize = 2_048;

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Credential {
    pub(super) user: String,
    pub(super) password: String,
}

/// What an allocation is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wish {
    /// To be made.
    Allocate,
    /// To bind its channel to a peer, which is a permission as well.
    Bind(SocketAddr),
    /// To live on for so many seconds; none gives it back.
    Refresh(u32),
}

/// The clients' side of all allocations: a socket for each.
pub(super) struct Allocations {
    server: SocketAddr,
    credential: Credential,
    from: Vec<IpAddr>,
    /// Connected to the server.
    sockets: Vec<UdpSocket>,
    relayed: Vec<Option<SocketAddr>>,
    peers: Vec<SocketAddr>,
    challenges: Vec<Option<Challenge>>,
}

/// What the server wants requests to carry (RFC 8489 §9.2.4).
#[derive(Clone, Debug)]
struct Challenge {
    realm: String,
    nonce: String,
    /// Whether it came to this very socket: then it is good, whatever the server makes of nonces.
    is_own: bool,
}

/// A request that waits for its answer.
struct Asked {
    at: usize,
    wish: Wish,
    transaction: TransactionId,
    bytes: Vec<u8>,
    sendings: u32,
    again_at: Instant,
    /// How often it may still be made anew.
    tries: u32,
}

impl Allocations {
    /// Makes so many, each from a socket of its own, on these addresses of ours in turn if there are any.
    pub(super) fn make(
        server: SocketAddr,
        credential: Credential,
        from: &[IpAddr],
        number: usize,
    ) -> anyhow::Result<Self> {
        let mut made = Self {
            server,
            credential,
            from: from.to_vec(),
            sockets: client_sockets(server, from, number)?,
            relayed: vec![None; number],
            peers: Vec::new(),
            challenges: vec![None; number],
        };
        // The first one learns the challenge, and the others try it. Their requests are then longer than any refusal,
        // so no server takes them for an attempt to make it send more than it gets.
        let all = made.exchange(0..1, |_| Wish::Allocate).and_then(|()| {
            made.spread_challenge();
            made.exchange(1..number, |_| Wish::Allocate)
        });
        match all {
            Ok(()) => Ok(made),
            Err(fault) => {
                made.abandon();
                Err(fault)
            }
        }
    }

    /// Binds the channel of each allocation to its peer.
    pub(super) fn bind(&mut self, peers: Vec<SocketAddr>) -> anyhow::Result<()> {
        self.exchange(0..peers.len(), |at| Wish::Bind(peers[at]))?;
        self.peers = peers;
        Ok(())
    }

    /// Lets everything live on for [`RENEW_AFTER`].
    pub(super) fn renew(&mut self) -> anyhow::Result<()> {
        self.exchange(0..self.sockets.len(), |_| Wish::Refresh(LIFETIME_S))?;
        let peers = std::mem::take(&mut self.peers);
        self.bind(peers)
    }

    /// Gives everything back to the server.
    pub(super) fn give_back(mut self) -> anyhow::Result<()> {
        self.exchange(0..self.sockets.len(), |_| Wish::Refresh(0))
    }

    /// Gives back what there is without waiting for an answer: something else went wrong, and that is to be told.
    pub(super) fn abandon(self) {
        for (at, socket) in self.sockets.iter().enumerate() {
            if self.relayed[at].is_some() {
                let request = self.request(at, Wish::Refresh(0), TransactionId::generate());
                // If it is lost, the allocation ends by itself.
                let _ = socket.send(&request);
            }
        }
    }

    /// Lets all others try what the first one was challenged with.
    fn spread_challenge(&mut self) {
        let known = self.challenges[0].clone().map(Challenge::of_another);
        self.challenges[1..].fill(known);
    }

    /// The sockets to send to the server by.
    pub(super) fn sockets(&self) -> &[UdpSocket] {
        &self.sockets
    }

    /// Where the server takes packets for each.
    pub(super) fn relayed(&self) -> Vec<SocketAddr> {
        self.relayed.iter().copied().flatten().collect()
    }

    /// Asks for each of these, a few at a time, until all have been answered.
    fn exchange(
        &mut self,
        whose: Range<usize>,
        wish: impl Fn(usize) -> Wish,
    ) -> anyhow::Result<()> {
        let mut next = whose.start;
        while next < whose.end {
            let until = whose.end.min(next + AT_ONCE);
            let asked = (next..until).map(|at| self.ask(at, wish(at), TRIES));
            let mut open = asked.collect::<anyhow::Result<Vec<_>>>()?;
            while !open.is_empty() {
                self.await_answers(&mut open)?;
            }
            next = until;
        }
        Ok(())
    }

    /// Sends a request for the first time.
    fn ask(&self, at: usize, wish: Wish, tries: u32) -> anyhow::Result<Asked> {
        let transaction = TransactionId::generate();
        let asked = Asked {
            at,
            wish,
            transaction,
            bytes: self.request(at, wish, transaction),
            sendings: 1,
            again_at: Instant::now() + FIRST_WAIT,
            tries,
        };
        self.send(&asked)?;
        Ok(asked)
    }

    fn request(&self, at: usize, wish: Wish, transaction: TransactionId) -> Vec<u8> {
        let method = match wish {
            Wish::Allocate => ALLOCATE,
            Wish::Bind(_) => CHANNEL_BIND,
            Wish::Refresh(_) => REFRESH,
        };
        let kind = MessageType::from_class_method(MessageClass::Request, method);
        let mut request = Message::builder(kind, transaction, MessageWriteVec::new());
        let added = match wish {
            Wish::Allocate => request
                .add_attribute(&RequestedTransport::new(RequestedTransport::UDP))
                .and_then(|()| request.add_attribute(&Lifetime::new(LIFETIME_S))),
            Wish::Bind(peer) => request
                .add_attribute(&ChannelNumber::new(CHANNEL))
                .and_then(|()| request.add_attribute(&XorPeerAddress::new(peer, transaction))),
            Wish::Refresh(seconds) => request.add_attribute(&Lifetime::new(seconds)),
        };
        added.expect("a message that grows has room for each attribute once");
        if let Some(challenge) = &self.challenges[at] {
            self.sign(&mut request, challenge);
        }
        request.finish()
    }

    fn sign(&self, request: &mut MessageWriteVec, challenge: &Challenge) {
        let Credential { user, password } = &self.credential;
        let Challenge { realm, nonce, .. } = challenge;
        let key = LongTermKeyCredentials::new(user.clone(), password.clone(), realm.clone())
            .make_key(IntegrityAlgorithm::Sha1);
        let signed = Username::new(user)
            .and_then(|username| request.add_attribute(&username))
            .and_then(|()| request.add_attribute(&Realm::new(realm)?))
            .and_then(|()| request.add_attribute(&Nonce::new(nonce)?))
            .and_then(|()| request.add_message_integrity_with_key(&key, IntegrityAlgorithm::Sha1));
        signed.expect("the user was checked, realm and nonce came in a message");
    }

    fn send(&self, asked: &Asked) -> anyhow::Result<()> {
        match self.sockets[asked.at].send(&asked.bytes) {
            // The fate of an earlier packet: nobody may have listened yet. If nobody does, the wait has its end.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
            sent => sent
                .map(drop)
                .with_context(|| format!("nothing can be sent to {}", self.server)),
        }
    }

    /// Waits until something happens to one of the requests, and goes on with all that something happened to.
    fn await_answers(&mut self, open: &mut Vec<Asked>) -> anyhow::Result<()> {
        let now = Instant::now();
        for asked in open.iter_mut().filter(|asked| asked.again_at <= now) {
            if asked.sendings == SENDINGS {
                return Err(anyhow!(refusal::silence(self.server)));
            }
            asked.again_at = now + FIRST_WAIT * 2_u32.pow(asked.sendings);
            asked.sendings += 1;
            self.send(asked)?;
        }
        let first = open.iter().map(|asked| asked.again_at).min();
        let wait = first.map_or(FIRST_WAIT, |at| at.saturating_duration_since(now));
        let readable = self.readable(open, wait)?;
        for (at, ready) in readable.into_iter().enumerate().rev() {
            if ready && let Some(next) = self.read(&open[at])? {
                match next {
                    Next::Settled => drop(open.swap_remove(at)),
                    Next::Again(asked) => open[at] = asked,
                }
            }
        }
        Ok(())
    }

    /// Which of the requests' sockets have something to read, after at most this time.
    fn readable(&self, open: &[Asked], wait: Duration) -> anyhow::Result<Vec<bool>> {
        let mut watched: Vec<_> = open
            .iter()
            .map(|asked| PollFd::new(self.sockets[asked.at].as_fd(), PollFlags::POLLIN))
            .collect();
        // One more, so that what is due is due when the wait is over.
        let wait_ms = u16::try_from(wait.as_millis() + 1).unwrap_or(u16::MAX);
        match poll(&mut watched, PollTimeout::from(wait_ms)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("the answers cannot be waited for"),
        }
        Ok(watched
            .iter()
            .map(|watched| watched.any().unwrap_or_default())
            .collect())
    }

    /// Reads one datagram: how a request goes on, if that was its answer.
    fn read(&mut self, asked: &Asked) -> anyhow::Result<Option<Next>> {
        let mut answer = [0; ANSWER_MAX];
        let socket = self.sockets[asked.at].as_raw_fd();
        let length = match recv(socket, &mut answer, MsgFlags::MSG_DONTWAIT) {
            Ok(length) => length,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
            Err(Errno::ECONNREFUSED) => bail!(refusal::nobody(self.server)),
            Err(error) => {
                return Err(IoError::from(error))
                    .with_context(|| format!("nothing can be read from {}", self.server));
            }
        };
        match Message::from_bytes(&answer[..length]) {
            Ok(message) if message.transaction_id() == asked.transaction => {
                self.answered(asked, &message).map(Some)
            }
            // A packet that was still under way, or an answer to a repetition.
            Ok(_) | Err(_) => Ok(None),
        }
    }

    fn answered(&mut self, asked: &Asked, answer: &Message<'_>) -> anyhow::Result<Next> {
        if answer.has_class(MessageClass::Success) {
            if matches!(asked.wish, Wish::Allocate) {
                let relayed = answer.attribute::<XorRelayedAddress>().map_err(|_| {
                    anyhow!("the server made an allocation and did not say at which address")
                })?;
                self.relayed[asked.at] = Some(relayed.addr(answer.transaction_id()));
            }
            return Ok(Next::Settled);
        }
        let Ok(error) = answer.attribute::<ErrorCode>() else {
            bail!("the server refused a request and did not say why");
        };
        if asked.tries > 0 && self.can_go_on(asked.at, asked.wish, &error, answer)? {
            return self
                .ask(asked.at, asked.wish, asked.tries - 1)
                .map(Next::Again);
        }
        let made = self.relayed.iter().flatten().count();
        bail!(refusal::sentence(
            &error,
            asked.wish,
            &self.credential.user,
            made
        ))
    }

    /// Prepares another try; false if the refusal was the server's last word.
    fn can_go_on(
        &mut self,
        at: usize,
        wish: Wish,
        error: &ErrorCode,
        answer: &Message<'_>,
    ) -> anyhow::Result<bool> {
        let challenge = &mut self.challenges[at];
        match (error.code(), Challenge::of(answer)) {
            (401, Some(_)) if challenge.as_ref().is_some_and(|known| known.is_own) => Ok(false),
            (401 | 438, Some(wanted)) => {
                *challenge = Some(wanted);
                Ok(true)
            }
            // It still knows the port from someone before us (RFC 8656 §7.4): another one will do.
            (437, _) if matches!(wish, Wish::Allocate) => {
                self.sockets[at] = client_socket(self.server, &self.from, at)?;
                *challenge = challenge.take().map(Challenge::of_another);
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

/// How a request goes on after an answer.
enum Next {
    Settled,
    /// It was asked anew, with what the server wanted.
    Again(Asked),
}

impl Challenge {
    fn of(answer: &Message<'_>) -> Option<Self> {
        let realm = answer.attribute::<Realm>().ok()?.realm().to_owned();
        let nonce = answer.attribute::<Nonce>().ok()?.nonce().to_owned();
        Some(Self {
            realm,
            nonce,
            is_own: true,
        })
    }

    /// The same at another socket.
    fn of_another(self) -> Self {
        Self {
            is_own: false,
            ..self
        }
    }
}

/// Sockets that are connected to the server, each with a port of its own.
pub(super) fn client_sockets(
    server: SocketAddr,
    from: &[IpAddr],
    number: usize,
) -> anyhow::Result<Vec<UdpSocket>> {
    (0..number)
        .map(|at| client_socket(server, from, at))
        .collect()
}

fn client_socket(server: SocketAddr, from: &[IpAddr], at: usize) -> anyhow::Result<UdpSocket> {
    let own = match (from.len(), server) {
        (0, SocketAddr::V4(_)) => Ipv4Addr::UNSPECIFIED.into(),
        (0, SocketAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
        (addresses, _) => from[at % addresses],
    };
    let socket =
        UdpSocket::bind((own, 0)).with_context(|| format!("no socket can be opened on {own}"))?;
    socket
        .connect(server)
        .with_context(|| format!("{server} cannot be reached from {own}"))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const REALM: &str = "here";

    /// A TURN server in name: it knows one user, one nonce, makes three allocations and forbids the peer `forbidden`.
    fn answer(request: &Message<'_>, forbidden: Option<SocketAddr>) -> Vec<u8> {
        let refused = |code| {
            let mut answer = Message::builder_error(request, MessageWriteVec::new());
            let nonce = if code == 438 { "new" } else { "old" };
            answer
                .add_attribute(&ErrorCode::new(code, "").unwrap())
                .unwrap();
            answer.add_attribute(&Realm::new(REALM).unwrap()).unwrap();
            answer.add_attribute(&Nonce::new(nonce).unwrap()).unwrap();
            answer.finish()
        };
        let key = LongTermKeyCredentials::new("u".to_owned(), "p".to_owned(), REALM.to_owned());
        let is_known = request.validate_integrity(&key.into()).is_ok();
        let transaction = request.transaction_id();
        match request.attribute::<Nonce>() {
            Err(_) => return refused(401),
            Ok(_) if !is_known => return refused(401),
            Ok(nonce) if nonce.nonce() != "new" => return refused(438),
            Ok(_) => {}
        }
        let peer = request.attribute::<XorPeerAddress>().ok();
        if peer.map(|peer| peer.addr(transaction)) == forbidden && forbidden.is_some() {
            return refused(403);
        }
        let mut answer = Message::builder_success(request, MessageWriteVec::new());
        if request.has_method(ALLOCATE) {
            let relayed = SocketAddr::from(([192, 0, 2, 1], 49_152));
            answer
                .add_attribute(&XorRelayedAddress::new(relayed, transaction))
                .unwrap();
        }
        answer.finish()
    }

    /// Starts it on a port of its own; it ends with the process.
    fn server(forbidden: Option<SocketAddr>, quota: usize) -> SocketAddr {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        thread::spawn(move || {
            let (mut bytes, mut made) = ([0; ANSWER_MAX], 0);
            loop {
                let (length, from) = socket.recv_from(&mut bytes).unwrap();
                let request = Message::from_bytes(&bytes[..length]).unwrap();
                let mut said = answer(&request, forbidden);
                let is_success = Message::from_bytes(&said)
                    .unwrap()
                    .has_class(MessageClass::Success);
                if is_success && request.has_method(ALLOCATE) {
                    made += 1;
                    if made > quota {
                        let mut full = Message::builder_error(&request, MessageWriteVec::new());
                        full.add_attribute(&ErrorCode::new(486, "").unwrap())
                            .unwrap();
                        said = full.finish();
                    }
                }
                socket.send_to(&said, from).unwrap();
            }
        });
        address
    }

    fn make(server: SocketAddr, password: &str, number: usize) -> anyhow::Result<Allocations> {
        let credential = Credential {
            user: "u".to_owned(),
            password: password.to_owned(),
        };
        Allocations::make(server, credential, &[], number)
    }

    #[test]
    fn allocations_are_made_bound_renewed_and_given_back() {
        // More than go at once.
        let number = AT_ONCE + 2;
        let mut made = make(server(None, number), "p", number).unwrap();
        assert_eq!(made.relayed().len(), number);
        assert_eq!(made.sockets().len(), number);
        let peer = SocketAddr::from(([127, 0, 0, 1], 9));
        made.bind(vec![peer; number]).unwrap();
        made.renew().unwrap();
        made.give_back().unwrap();
    }

    #[test]
    fn a_refusal_ends_the_work_with_its_sentence() {
        let fault = |made: anyhow::Result<Allocations>| made.map(drop).unwrap_err().to_string();
        let unknown = fault(make(server(None, 1), "q", 1));
        assert!(unknown.contains("does not know user `u`"), "{unknown}");
        let full = fault(make(server(None, 2), "p", 3));
        assert!(full.contains("the quota of user `u` is full"), "{full}");
        let peer = SocketAddr::from(([127, 0, 0, 1], 9));
        let mut made = make(server(Some(peer), 1), "p", 1).unwrap();
        let forbidden = made.bind(vec![peer]).unwrap_err().to_string();
        assert!(
            forbidden.contains("forbids the peer 127.0.0.1:9"),
            "{forbidden}"
        );
    }

    #[test]
    fn a_port_at_which_nobody_listens_is_told_at_once() {
        // Bound and closed again: nobody has it.
        let gone = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|socket| socket.local_addr())
            .unwrap();
        let fault = make(gone, "p", 1).map(drop).unwrap_err().to_string();
        assert_eq!(fault, format!("nobody listens on UDP at {gone}"));
    }
}
