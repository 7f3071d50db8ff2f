//! Bots of every manner on free ports of this machine: what they are told, what they may say, and what is told of them.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use media::stream::{FromBot, ToBot};
use model::media::{Digit, StreamRate, StreamStop};
use model::{PageUrl, SecretBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::task::JoinHandle;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::*;
use crate::config::Config;
use crate::media_worker::Told;

/// The gateway's end of a stream, and the bot's.
struct Scene {
    told: Sender<Told>,
    said: Receiver<FromBot>,
    bot: WebSocketStream<TcpStream>,
    /// Of the handshake.
    path: String,
    headers: Vec<(String, String)>,
    carrying: JoinHandle<bool>,
}

fn bots(config: &Config) -> Arc<Bots> {
    Arc::new(Bots::new(&Pages::new(config).unwrap()))
}

/// A server that only this machine reaches.
fn local() -> Config {
    let mut config = Config::default();
    config.webhook.timeout_s = 20;
    config
}

fn stream(address: SocketAddr) -> Stream {
    Stream {
        number: 1,
        url: PageUrl::parse(&format!("http://{address}/audio?key=secret")).unwrap(),
        rate: StreamRate::Hz8000,
        greeting: r#"{"event":"start"}"#.to_owned(),
        instance: "0.1.2".to_owned(),
        secret: SecretBytes::new(b"key".to_vec()),
    }
}

fn carry(bots: &Arc<Bots>, stream: Stream, line: Line) -> JoinHandle<bool> {
    let bots = Arc::clone(bots);
    tokio::spawn(async move { bots.carry(AccountId(1), &stream, line).await })
}

impl Scene {
    async fn new() -> Self {
        Self::with(&bots(&local())).await
    }

    async fn with(bots: &Arc<Bots>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (line, told, said) = Line::new();
        let carrying = carry(bots, stream(listener.local_addr().unwrap()), line);
        let (tcp, _) = listener.accept().await.unwrap();
        let (mut path, mut headers) = (String::new(), Vec::new());
        #[allow(clippy::result_large_err, reason = "the library has it so")]
        let look = |request: &Request, answer: Response| {
            path = request.uri().to_string();
            headers = request
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect();
            Ok(answer)
        };
        let mut bot = accept_hdr_async(tcp, look).await.unwrap();
        let greeting = bot.next().await.unwrap().unwrap();
        assert_eq!(greeting, Message::text(r#"{"event":"start"}"#));
        Self {
            told,
            said,
            bot,
            path,
            headers,
            carrying,
        }
    }

    fn header(&self, name: &str) -> &str {
        let mut headers = self.headers.iter();
        &headers.find(|(known, _)| known == name).unwrap().1
    }

    async fn tell(&self, word: ToBot) {
        self.told.send(Told::Word(word)).await.unwrap();
    }

    async fn says(&mut self, message: Message) {
        self.bot.send(message).await.unwrap();
    }

    /// The next message that the bot gets.
    async fn hears(&mut self) -> Message {
        self.bot.next().await.unwrap().unwrap()
    }

    /// The code of the goodbye that the bot gets.
    async fn goodbye(&mut self) -> u16 {
        self.goodbye_frame().await.code.into()
    }

    async fn goodbye_frame(&mut self) -> CloseFrame {
        loop {
            if let Message::Close(frame) = self.hears().await {
                return frame.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_bot_hears_and_is_heard_and_its_handshake_is_signed() {
    let mut scene = Scene::new().await;
    assert_eq!(scene.path, "/audio?key=secret");
    let timestamp = scene.header("x-offhook-timestamp");
    let signature = super::super::request::signature(
        &SecretBytes::new(b"key".to_vec()),
        timestamp,
        scene.header("x-offhook-instance"),
    );
    assert_eq!(scene.header("x-offhook-instance"), "0.1.2");
    assert_eq!(scene.header("x-offhook-signature"), signature);
    scene.tell(ToBot::Sound(vec![7; 320])).await;
    assert_eq!(scene.hears().await, Message::binary(vec![7; 320]));
    let digit = Digit::from_key('5').unwrap();
    scene.tell(ToBot::Digit(digit)).await;
    let text = Message::text(r#"{"digit":"5","event":"digit"}"#);
    assert_eq!(scene.hears().await, text);
    for (message, word) in [
        (
            Message::binary(vec![1, 0, 255, 255]),
            FromBot::Sound(vec![1, -1]),
        ),
        (Message::text(r#"{"event":"clear"}"#), FromBot::Clear),
        (
            Message::text(r#"{"event":"mark","name":"a"}"#),
            FromBot::Mark("a".to_owned()),
        ),
        (
            Message::text(r#"{"event":"end","result":[1]}"#),
            FromBot::End(StreamEnd::Result("[1]".into())),
        ),
    ] {
        scene.says(message).await;
        assert_eq!(scene.said.recv().await, Some(word));
    }
    assert_eq!(scene.goodbye().await, 1_000);
    drop(scene.bot);
    assert!(scene.carrying.await.unwrap());
}

#[tokio::test]
async fn what_breaks_the_rules_is_told_to_both_sides() {
    let frame = |code: u16| {
        let (code, reason) = (code.into(), "too hot".into());
        Message::Close(Some(CloseFrame { code, reason }))
    };
    for (message, code, words) in [
        (Message::text("hello"), 1_008, "no control message"),
        (Message::text(r#"{"event":"dance"}"#), 1_008, "`dance`"),
        (Message::binary(vec![1; 3]), 1_003, "3 bytes of sound"),
        (Message::binary(vec![1; 65_538]), 1_009, "more than 65536"),
        (frame(1_011), 1_011, "with 1011: \"too hot\""),
        (frame(4_000), 4_000, "with 4000: \"too hot\""),
    ] {
        let mut scene = Scene::new().await;
        scene.says(message).await;
        let Some(FromBot::End(StreamEnd::Failed(why))) = scene.said.recv().await else {
            panic!("{words}: it failed");
        };
        assert!(why.contains(words) && why.contains("/audio "), "{why}");
        assert!(
            why.starts_with("the application at ws://127.0.0.1:"),
            "{why}"
        );
        assert!(!why.contains("secret"), "{why}");
        assert_eq!(scene.goodbye().await, code, "{why}");
        drop(scene.bot);
        assert!(!scene.carrying.await.unwrap());
    }
}

#[tokio::test]
async fn a_bot_that_says_goodbye_has_ended_it_and_one_that_is_gone_is_lost() {
    let mut scene = Scene::new().await;
    scene.bot.close(None).await.unwrap();
    let end = FromBot::End(StreamEnd::Closed);
    assert_eq!(scene.said.recv().await, Some(end));
    assert!(scene.hears().await.is_close(), "it is answered");
    drop(scene.bot);
    assert!(scene.carrying.await.unwrap());
    let mut scene = Scene::new().await;
    drop(scene.bot);
    let Some(FromBot::End(StreamEnd::Failed(why))) = scene.said.recv().await else {
        panic!("it failed");
    };
    assert!(why.contains("was lost: "), "{why}");
}

/// Bots that are asked for a sign of life at every moment.
fn impatient() -> Arc<Bots> {
    let mut bots = Bots::new(&Pages::new(&local()).unwrap());
    bots.ping_interval = Duration::from_millis(50);
    Arc::new(bots)
}

#[tokio::test]
async fn a_bot_that_answers_no_ping_is_lost_after_two() {
    let mut scene = Scene::with(&impatient()).await;
    // It reads nothing meanwhile, and so answers nothing.
    let Some(FromBot::End(StreamEnd::Failed(why))) = scene.said.recv().await else {
        panic!("it failed");
    };
    assert!(why.ends_with("was lost: it does not answer pings"), "{why}");
    for _ in 0..limits::PINGS_UNANSWERED {
        assert!(scene.hears().await.is_ping());
    }
    let Message::Close(Some(frame)) = scene.hears().await else {
        panic!("it is told, and there was no ping more");
    };
    assert_eq!(u16::from(frame.code), 1_001);
    drop(scene.bot);
    assert!(!scene.carrying.await.unwrap());
}

#[tokio::test]
async fn a_bot_that_answers_pings_may_be_silent() {
    let mut scene = Scene::with(&impatient()).await;
    // Each is answered when the next message is read.
    for _ in 0..3 * limits::PINGS_UNANSWERED {
        assert!(scene.hears().await.is_ping());
    }
    assert!(scene.said.try_recv().is_err(), "it goes on");
}

#[tokio::test]
async fn frames_that_break_the_protocol_are_answered_with_a_goodbye_that_says_so() {
    for (frame, code, words) in [
        (&[0xc2, 0][..], 1_002, "reserved bits"),
        (&[0x83, 0], 1_002, "invalid opcode"),
        (&[0x81, 1, 0xff], 1_007, "not UTF-8"),
    ] {
        let mut scene = Scene::new().await;
        scene.bot.get_mut().write_all(frame).await.unwrap();
        let Some(FromBot::End(StreamEnd::Failed(why))) = scene.said.recv().await else {
            panic!("{words}: it failed");
        };
        assert!(why.to_lowercase().contains(&words.to_lowercase()), "{why}");
        let goodbye = scene.goodbye_frame().await;
        assert_eq!(u16::from(goodbye.code), code, "{why}");
        assert!(why.starts_with(goodbye.reason.as_str()), "{goodbye:?}");
        assert!(!goodbye.reason.is_empty(), "{why}");
    }
}

#[tokio::test]
async fn a_message_in_fragments_without_end_is_given_up() {
    let mut scene = Scene::new().await;
    // Binary, not the last; then continuations that hold nothing.
    let mut fragments = vec![0x02, 0];
    fragments.resize(2 * limits::STREAM_MESSAGE_WIRE_BYTES, 0);
    let wire = scene.bot.get_mut();
    let (_, said) = tokio::join!(wire.write_all(&fragments), scene.said.recv());
    let Some(FromBot::End(StreamEnd::Failed(why))) = said else {
        panic!("it failed");
    };
    assert!(why.contains("fragments without end"), "{why}");
    assert_eq!(scene.goodbye().await, 1_009);
}

#[tokio::test]
async fn a_bot_is_told_why_the_stream_ends() {
    for why in [
        StreamStop::CallEnded,
        StreamStop::Interrupted,
        StreamStop::Duration,
    ] {
        let mut scene = Scene::new().await;
        let end = Told::End(StreamEnd::Stopped(why));
        scene.told.send(end).await.unwrap();
        let text = format!(r#"{{"cause":"{}","event":"end"}}"#, why.as_str());
        assert_eq!(scene.hears().await, Message::text(text));
        assert_eq!(scene.goodbye().await, 1_000);
        drop(scene.bot);
        assert!(scene.carrying.await.unwrap());
    }
    let mut scene = Scene::new().await;
    let end = StreamEnd::Failed("too many marks".to_owned());
    scene.told.send(Told::End(end)).await.unwrap();
    assert_eq!(scene.goodbye().await, 1_008);
    // The gateway met a bug.
    let mut scene = Scene::new().await;
    drop(scene.told);
    let Message::Close(Some(frame)) = scene.bot.next().await.unwrap().unwrap() else {
        panic!("it is closed");
    };
    assert_eq!(u16::from(frame.code), 1_011);
}

/// What is told of a stream that is not to be had.
async fn refused(bots: &Arc<Bots>, stream: Stream) -> String {
    let (line, _told, mut said) = Line::new();
    let carrying = carry(bots, stream, line);
    let Some(FromBot::End(StreamEnd::Failed(why))) = said.recv().await else {
        panic!("it failed");
    };
    assert!(!carrying.await.unwrap());
    assert!(!why.contains("secret"), "{why}");
    why
}

#[tokio::test]
async fn what_is_not_to_be_had_is_told_by_the_rules_of_pages() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let mut head = [0; 4_096];
            let _ = tcp.read(&mut head).await;
            let answer = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n";
            let _ = tcp.write_all(answer).await;
        }
    });
    let why = refused(&bots(&local()), stream(address)).await;
    assert!(why.contains("with status 302, not 101"), "{why}");
    // One that others reach calls nobody here.
    let open = Config {
        behind_tls_proxy: true,
        ..local()
    };
    let why = refused(&bots(&open), stream(address)).await;
    assert!(why.contains("webhook_allow"), "{why}");
    // Nobody listens there any more.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr();
    let why = refused(&bots(&local()), stream(gone.unwrap())).await;
    assert!(
        why.ends_with("cannot be reached: connection refused"),
        "{why}"
    );
    // One that never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = local();
    config.webhook.timeout_s = 1;
    let why = refused(&bots(&config), stream(silent.local_addr().unwrap())).await;
    assert!(why.ends_with("did not answer within 1 s"), "{why}");
}

#[tokio::test]
async fn one_account_leaves_room_for_others() {
    let bots = bots(&local());
    let places: Vec<_> = (0..limits::STREAMS_PER_ACCOUNT)
        .map(|_| bots.enter(AccountId(1)).unwrap())
        .collect();
    let why = bots.enter(AccountId(1)).unwrap_err();
    assert!(why.contains("this account has 200 streams"), "{why}");
    assert!(bots.enter(AccountId(2)).is_ok());
    drop(places);
    assert!(bots.enter(AccountId(1)).is_ok());
}
