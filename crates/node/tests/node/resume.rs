//! Resumable signalling (docs/resume.md): sessions that go from socket to socket.

use futures_util::{SinkExt, StreamExt};
use model::limits;
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::server::{Server, Site, in_time, until};
use crate::sip_proxy::Client;
use crate::words::{SDP, Words, accept, ended};

type Socket = WebSocketStream<TcpStream>;

/// A client of a session that can be resumed.
pub(crate) struct Phone {
    pub(crate) socket: Socket,
    pub(crate) words: Words,
    pub(crate) credential: String,
    pub(crate) window: u64,
    sent: u64,
    received: u64,
}

/// A socket that offers these subprotocols, and the one that was selected.
pub(crate) async fn offer(server: &Server, protocols: &str) -> (Socket, String) {
    let stream = TcpStream::connect(server.address).await.unwrap();
    offer_over(stream, server, protocols).await
}

async fn offer_over(stream: TcpStream, server: &Server, protocols: &str) -> (Socket, String) {
    let mut request = format!("ws://{}/sipproxy", server.address)
        .into_client_request()
        .unwrap();
    let headers = request.headers_mut();
    headers.insert("Sec-WebSocket-Protocol", protocols.parse().unwrap());
    let (socket, answer) = tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    let selected = answer.headers()["Sec-WebSocket-Protocol"].to_str().unwrap();
    (socket, selected.to_owned())
}

/// A socket whose first frame is this.
pub(crate) async fn dial(server: &Server, first: &str) -> Socket {
    let (mut socket, selected) = offer(server, "sip-resume, sip").await;
    assert_eq!(selected, "sip-resume");
    socket.send(Message::text(first)).await.unwrap();
    socket
}

/// The next frame of a socket; none if there is none any more.
pub(crate) async fn frame(socket: &mut Socket) -> Option<String> {
    loop {
        match in_time(socket.next()).await?.ok()? {
            Message::Text(text) => return Some(text.as_str().to_owned()),
            Message::Binary(bytes) => return Some(String::from_utf8_lossy(&bytes).into_owned()),
            Message::Close(_) => return None,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

/// Credential, window and how far the server has received.
fn welcome(frame: &str) -> (String, u64, u64) {
    let words: Vec<_> = frame.split(' ').collect();
    let ["SESSION", credential, window, received] = words[..] else {
        panic!("no SESSION: {frame}")
    };
    let number = |text: &str| text.parse().unwrap();
    (credential.to_owned(), number(window), number(received))
}

/// The answer to a RESUME that finds nothing.
pub(crate) async fn assert_gone(server: &Server, credential: &str) {
    let mut socket = dial(server, &format!("RESUME {credential} 0")).await;
    let gone = frame(&mut socket).await.expect("it is told");
    assert!(gone.starts_with("GONE ") && gone.len() > 10, "{gone}");
    let reason = ended(&mut socket).await.expect("a reason is given");
    assert_eq!(u16::from(reason.code), 1008, "{reason:?}");
}

impl Phone {
    pub(crate) async fn open(site: &Site, server: &Server, name: &str) -> Self {
        let mut socket = dial(server, "OPEN").await;
        let (credential, window, received) = welcome(&frame(&mut socket).await.unwrap());
        assert_eq!(received, 0);
        Self {
            socket,
            words: Words::of(site, name),
            credential,
            window,
            sent: 0,
            received: 0,
        }
    }

    /// One that has registered.
    pub(crate) async fn registered(site: &Site, server: &Server, name: &str) -> Self {
        let token = site.token(server, name).await;
        let mut phone = Self::open(site, server, name).await;
        let register = phone.words.register(&token);
        phone.say(&register).await;
        let answer = phone.hear().await;
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        phone
    }

    /// Goes on, on a new socket; the one before is dropped after that. Gives how far the server has received.
    pub(crate) async fn resume(&mut self, server: &Server) -> u64 {
        let stream = TcpStream::connect(server.address).await.unwrap();
        self.resume_over(stream, server).await
    }

    async fn resume_over(&mut self, stream: TcpStream, server: &Server) -> u64 {
        let first = format!("RESUME {} {}", self.credential, self.received);
        let (mut socket, _) = offer_over(stream, server, "sip-resume").await;
        socket.send(Message::text(first)).await.unwrap();
        let (credential, _, received) = welcome(&frame(&mut socket).await.unwrap());
        assert_ne!(credential, self.credential);
        self.credential = credential;
        self.socket = socket;
        received
    }

    /// Loses its socket without a goodbye, and waits until the server has noticed.
    pub(crate) async fn lose(&mut self, site: &Site) {
        self.socket.get_mut().shutdown_now();
        until(async || census(site, "sessions_waiting").await == 1).await;
    }

    pub(crate) async fn raw(&mut self, frame: impl Into<String>) {
        self.socket.send(Message::text(frame.into())).await.unwrap();
    }

    /// Says how far it is: it has its newest credential.
    pub(crate) async fn acknowledge(&mut self) {
        self.raw(format!("ACK {}", self.received)).await;
    }

    /// A message under the next number.
    pub(crate) async fn say(&mut self, message: &str) {
        self.sent += 1;
        self.say_as(self.sent, message).await;
    }

    async fn say_as(&mut self, number: u64, message: &str) {
        self.raw(format!("{number} {}\r\n{message}", self.received))
            .await;
    }

    /// The next message; numbers must go up by one.
    pub(crate) async fn hear(&mut self) -> String {
        loop {
            let frame = frame(&mut self.socket).await.expect("the socket is open");
            if frame.starts_with("ACK ") {
                continue;
            }
            let (head, message) = frame.split_once("\r\n").unwrap();
            let (number, received) = head.split_once(' ').unwrap();
            let received: u64 = received.parse().unwrap();
            assert_eq!(number, (self.received + 1).to_string(), "{frame}");
            assert!(received <= self.sent, "{frame}");
            self.received += 1;
            return message.to_owned();
        }
    }
}

/// Ends a connection as a network does: no close frame.
trait ShutdownNow {
    fn shutdown_now(&mut self);
}

impl ShutdownNow for TcpStream {
    fn shutdown_now(&mut self) {
        // RST instead of FIN.
        let _ = self.set_zero_linger();
        let socket = std::os::fd::AsFd::as_fd(self).try_clone_to_owned().unwrap();
        let _ = std::net::TcpStream::from(socket).shutdown(std::net::Shutdown::Both);
    }
}

pub(crate) async fn status(site: &Site) -> Value {
    let question = serde_json::json!({ "ask": "status" });
    node::control::ask(site.dir.path(), question).await.unwrap()
}

pub(crate) async fn census(site: &Site, name: &str) -> u64 {
    let status = status(site).await;
    status["census"][name].as_u64().unwrap()
}

pub(crate) async fn counted(site: &Site, name: &str) -> u64 {
    let status = status(site).await;
    status["counters"][name].as_u64().unwrap()
}

/// A call to Bob, answered; gives the 200 that the caller got.
pub(crate) async fn call(
    site: &Site,
    server: &Server,
    ann: &mut Client<TcpStream>,
    bob: &mut Phone,
) -> String {
    let token = site.token(server, &ann.words.name).await;
    ann.invite(&token, "bob").await;
    let invite = bob.hear().await;
    assert!(invite.starts_with("INVITE "), "{invite}");
    bob.say(&accept(&invite)).await;
    let ok = loop {
        let answer = ann.hear().await;
        if answer.starts_with("SIP/2.0 200") {
            break answer;
        }
        assert!(answer.starts_with("SIP/2.0 1"), "{answer}");
    };
    let ack = ann.words.within(&ok, "ACK", "");
    ann.say(ack).await;
    let ack = bob.hear().await;
    assert!(ack.starts_with("ACK "), "{ack}");
    ok
}

#[tokio::test]
async fn a_session_goes_on_with_nothing_lost_and_nothing_twice() {
    let site = Site::new().await;
    let server = site.serve().await;
    let mut bob = Phone::registered(&site, &server, "bob").await;
    assert_eq!(bob.window, limits::RESUME_WINDOW.as_secs());
    // An answer that Bob never got.
    let options = bob.words.options();
    bob.say(&options).await;
    bob.hear().await;
    bob.received -= 1;
    bob.lose(&site).await;

    // What comes meanwhile waits.
    let token = site.token(&server, "ann").await;
    let mut ann = Client::connect(&site, &server, "ann").await;
    ann.invite(&token, "bob").await;
    let trying = ann.hear().await;
    assert!(trying.starts_with("SIP/2.0 100"), "{trying}");

    assert_eq!(bob.resume(&server).await, 2);
    let again = bob.hear().await;
    assert!(
        again.starts_with("SIP/2.0 200") && again.contains("OPTIONS"),
        "{again}"
    );
    let invite = bob.hear().await;
    assert!(invite.starts_with("INVITE "), "{invite}");
    // Bob repeats what he does not know to have arrived; it is answered once.
    bob.say_as(2, &options).await;
    let fresh = bob.words.options();
    bob.say(&fresh).await;
    let answer = bob.hear().await;
    assert!(answer.contains(fresh.lines().find(|row| row.starts_with("CSeq")).unwrap()));
    let listed = server.send(site.log_in(crate::http::get("/webrtc_registered_clients")));
    assert!(listed.await.body.contains("bob"));
    assert_eq!(counted(&site, "sessions_resumed").await, 1);
    assert_eq!(census(&site, "sessions_waiting").await, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_call_lives_through_many_lost_sockets_and_ends_with_its_bye() {
    let site = Site::new().await;
    let server = site.serve().await;
    let mut bob = Phone::registered(&site, &server, "bob").await;
    let mut ann = Client::connect(&site, &server, "ann").await;
    let ok = call(&site, &server, &mut ann, &mut bob).await;
    for round in 0..10 {
        let info = ann.words.within(&ok, "INFO", &format!("round {round}"));
        if round % 2 == 0 {
            bob.lose(&site).await;
            ann.say(info).await;
        } else {
            // The server has not noticed the loss; and the message may be lost in the old socket.
            ann.say(info).await;
        }
        bob.resume(&server).await;
        bob.acknowledge().await;
        let info = bob.hear().await;
        assert!(info.ends_with(&format!("round {round}")), "{info}");
        bob.say(&crate::words::answer(&info, "200 OK", "", ""))
            .await;
        let answer = ann.hear().await;
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    }
    let bye = ann.words.within(&ok, "BYE", "");
    ann.say(bye).await;
    let bye = bob.hear().await;
    assert!(bye.starts_with("BYE "), "{bye}");
    assert_eq!(counted(&site, "sessions_resumed").await, 10);
    assert_eq!(counted(&site, "calls_lost_connection").await, 0);
    server.stop().await;
}

#[tokio::test]
async fn the_last_socket_has_the_session_and_what_the_one_before_did_not_read() {
    let site = Site::new().await;
    let server = site.serve().await;
    let mut bob = Phone::registered(&site, &server, "bob").await;
    let narrow = TcpSocket::new_v4().unwrap();
    narrow.set_recv_buffer_size(4096).unwrap();
    let narrow = narrow.connect(server.address).await.unwrap();
    bob.resume_over(narrow, &server).await;
    // More than that socket takes; Bob reads nothing of it, and the server is in the middle of a write.
    let sdp = format!("{SDP}a=x:{}\r\n", "x".repeat(60_000));
    let mut callers = Vec::new();
    for name in ["ann", "cat"] {
        let token = site.token(&server, name).await;
        let mut caller = Client::connect(&site, &server, name).await;
        for _ in 0..limits::CALLS_RINGING_PER_CALLER {
            let invite = caller.words.invite(&token, "bob", &sdp);
            caller.say(invite).await;
            assert!(caller.hear().await.starts_with("SIP/2.0 100"));
        }
        callers.push(caller);
    }
    let first = format!("RESUME {} {}", bob.credential, bob.received);
    let mut socket = dial(&server, &first).await;
    bob.credential = welcome(&frame(&mut socket).await.unwrap()).0;
    let mut before = std::mem::replace(&mut bob.socket, socket);
    for _ in 0..callers.len() * limits::CALLS_RINGING_PER_CALLER {
        assert!(bob.hear().await.starts_with("INVITE "));
    }
    assert!(
        ended(&mut before).await.is_none(),
        "it is dropped, not closed"
    );
    assert_eq!(census(&site, "websockets").await, 1 + callers.len() as u64);
    server.stop().await;
}

#[tokio::test]
async fn of_five_sockets_with_the_same_credential_one_has_the_session() {
    let site = Site::new().await;
    let server = site.serve().await;
    let mut bob = Phone::registered(&site, &server, "bob").await;
    let first = format!("RESUME {} {}", bob.credential, bob.received);
    let mut attempts = JoinSet::new();
    for _ in 0..5 {
        let (mut socket, _) = offer(&server, "sip-resume").await;
        let first = Message::text(first.clone());
        attempts.spawn(async move {
            socket.send(first).await.unwrap();
            // Until its client says something, each answer may be a lost one: all are taken whose socket is newer.
            let answer = frame(&mut socket).await?;
            let credential = answer.starts_with("SESSION ").then(|| welcome(&answer).0)?;
            Some((socket, credential))
        });
    }
    let attempts: Vec<_> = attempts.join_all().await;
    let mut alive = Vec::new();
    for (mut socket, credential) in attempts.into_iter().flatten() {
        let _ = socket.send(Message::text("PING")).await;
        if frame(&mut socket).await.is_some() {
            alive.push((socket, credential));
        }
    }
    let [(socket, credential)] = <[_; 1]>::try_from(alive).expect("one is left");
    (bob.socket, bob.credential) = (socket, credential);
    let options = bob.words.options();
    bob.say(&options).await;
    assert!(bob.hear().await.starts_with("SIP/2.0 200"));
    assert_eq!(census(&site, "connections").await, 1);
    bob.lose(&site).await;
    bob.resume(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn what_comes_late_on_a_socket_that_was_given_up_counts_for_nothing() {
    let site = Site::new().await;
    let server = site.serve().await;
    let mut bob = Phone::registered(&site, &server, "bob").await;
    let first = bob.credential.clone();
    let (mut given_up, _) = offer(&server, "sip-resume").await;
    bob.resume(&server).await;
    // The server does not know yet that the answer has arrived: the credential alone would be taken again.
    let late = Message::text(format!("RESUME {first} 0"));
    given_up.send(late).await.unwrap();
    let answer = frame(&mut given_up).await.unwrap();
    assert!(answer.starts_with("GONE "), "{answer}");
    let options = bob.words.options();
    bob.say(&options).await;
    assert!(bob.hear().await.starts_with("SIP/2.0 200"));
    server.stop().await;
}

#[tokio::test]
async fn a_credential_is_good_for_one_time_unless_its_answer_got_lost() {
    let site = Site::new().await;
    let server = site.serve().await;
    let mut bob = Phone::registered(&site, &server, "bob").await;
    let first = bob.credential.clone();
    // The answer gets lost with the socket, twice.
    bob.resume(&server).await;
    let lost = std::mem::replace(&mut bob.credential, first.clone());
    bob.resume(&server).await;
    assert_gone(&server, &lost).await;
    // Now it has arrived, and says so.
    bob.raw("PING").await;
    assert!(frame(&mut bob.socket).await.unwrap().starts_with("ACK "));
    for worthless in [&first, &lost] {
        assert_gone(&server, worthless).await;
    }
    assert_eq!(counted(&site, "resumes_refused").await, 3);
    let options = bob.words.options();
    bob.say(&options).await;
    assert!(bob.hear().await.starts_with("SIP/2.0 200"));
    server.stop().await;
}

#[tokio::test]
async fn wrong_credentials_and_those_of_other_sessions_are_worth_nothing() {
    let site = Site::new().await;
    let server = site.serve().await;
    let bob = Phone::open(&site, &server, "bob").await;
    let eve = Phone::open(&site, &server, "eve").await;
    let (number, _) = bob.credential.split_once('.').unwrap();
    let (_, secret) = eve.credential.split_once('.').unwrap();
    for wrong in [
        format!("{number}.{secret}"),
        format!("{number}.{}", "0".repeat(32)),
        format!("999.{secret}"),
        number.to_owned(),
        "x".to_owned(),
    ] {
        assert_gone(&server, &wrong).await;
    }
    assert_eq!(counted(&site, "resumes_refused").await, 5);
    assert_eq!(counted(&site, "sessions_resumed").await, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_session_is_one_clients_for_good() {
    let site = Site::new().await;
    let server = site.serve().await;
    let mut bob = Phone::registered(&site, &server, "bob").await;
    bob.lose(&site).await;
    bob.resume(&server).await;
    let eve = Words::of(&site, "eve").options();
    bob.say(&eve).await;
    let refused = bob.hear().await;
    assert!(refused.starts_with("SIP/2.0 403"), "{refused}");
    server.stop().await;
}

#[tokio::test]
async fn pings_are_answered_and_messages_acknowledged_at_the_latest_after_eight() {
    let site = Site::new().await;
    let server = site.serve().await;
    let mut bob = Phone::open(&site, &server, "bob").await;
    bob.raw("PING").await;
    assert_eq!(frame(&mut bob.socket).await.unwrap(), "ACK 0");
    // Messages that nothing answers.
    for _ in 0..limits::RESUME_UNTOLD_MESSAGES {
        bob.say("\r\n").await;
    }
    assert_eq!(frame(&mut bob.socket).await.unwrap(), "ACK 8");
    // A keep-alive is a message like any other (RFC 5626 §3.5.1).
    bob.say("\r\n\r\n").await;
    assert_eq!(frame(&mut bob.socket).await.unwrap(), "1 9\r\n\r\n");
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_comes_in_a_binary_frame() {
    let site = Site::new().await;
    let server = site.serve().await;
    let mut bob = Phone::registered(&site, &server, "bob").await;
    let token = site.token(&server, "ann").await;
    let mut ann = Client::connect(&site, &server, "ann").await;
    let invite = ann.words.invite(&token, "bob", &format!("{SDP}s=?\r\n"));
    let bytes: Vec<_> = invite.bytes().collect();
    let at = bytes.iter().rposition(|byte| *byte == b'?').unwrap();
    let bytes = [&bytes[..at], b"\xff", &bytes[at + 1..]].concat();
    ann.socket.send(Message::binary(bytes)).await.unwrap();
    for _ in 0..2 {
        let Some(Ok(Message::Binary(frame))) = in_time(bob.socket.next()).await else {
            panic!("no binary frame")
        };
        assert!(frame.starts_with(b"2 1\r\nINVITE ") && frame.contains(&0xff));
        // Kept and repeated as it was.
        let first = format!("RESUME {} 1", bob.credential);
        bob.socket = dial(&server, &first).await;
        bob.credential = welcome(&frame_text(&mut bob.socket).await).0;
    }
    server.stop().await;
}

async fn frame_text(socket: &mut Socket) -> String {
    frame(socket).await.expect("the socket is open")
}
