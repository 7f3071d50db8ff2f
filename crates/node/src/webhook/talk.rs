//! One stream on its WebSocket (RFC 6455): what the gateway has for the bot goes out, and what the bot says comes in.
//!
//! Reads no faster than a stream may speak, waits for no reader, and keeps nothing: the queue of sound is the gateway's.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use media::stream::{FromBot, ToBot};
use model::limits::{
    FAREWELL_TIME, PINGS_UNANSWERED, STREAM_BYTES_PER_SECOND, STREAM_MESSAGE_BYTES,
    STREAM_MESSAGES_PER_SECOND, STREAM_WRITE_TIME,
};
use model::media::{Stream, StreamEnd};
use switch::bot::{self, BotWord};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::bot::failed;
use super::whole::{Whole, is_endless};
use crate::media_worker::{Line, Told};

/// A reason of a close frame (RFC 6455 §5.5).
const REASON_BYTES: usize = 123;
/// Within which a pace is counted.
const SECOND: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Talk {
    socket: WebSocketStream<Whole>,
    line: Line,
    pace: Pace,
    ping_interval: Duration,
    /// Whether anything was heard since the last ping was due, and pings without an answer.
    was_heard: bool,
    unanswered: u8,
}

/// How it goes on after something happened.
enum Next {
    On,
    /// We have nothing more to say; the gateway knows.
    Over(CloseCode, String),
    /// The gateway is to be told, and the bot by this code.
    End(StreamEnd, CloseCode),
}

/// A fault of the bot's, with the words that follow on "the application at …".
struct Fault(CloseCode, String);

impl Talk {
    pub(super) fn new(socket: WebSocketStream<Whole>, line: Line, ping_interval: Duration) -> Self {
        Self {
            socket,
            line,
            pace: Pace::new(),
            ping_interval,
            was_heard: true,
            unanswered: 0,
        }
    }

    /// To the end. Whether all went well.
    pub(super) async fn run(mut self, stream: &Stream) -> bool {
        let greeting = Message::text(stream.greeting.as_str());
        let mut next = match self.send(greeting).await {
            Ok(()) => Next::On,
            Err(fault) => fault.end(stream),
        };
        // What was said before anybody listened is not heard late.
        while let Next::On = next
            && let Ok(told) = self.line.told.try_recv()
        {
            if !matches!(told, Told::Word(ToBot::Sound(_))) {
                let told = self.tell(Some(told)).await;
                next = told.unwrap_or_else(|fault| fault.end(stream));
            }
        }
        let mut pings = pings(self.ping_interval);
        while let Next::On = next {
            let happened = tokio::select! {
                told = self.line.told.recv() => self.tell(told).await,
                message = self.socket.next(), if self.pace.is_open() => self.on_message(message).await,
                () = self.pace.opens(), if !self.pace.is_open() => {
                    self.pace = Pace::new();
                    Ok(Next::On)
                }
                _ = pings.tick() => self.ping().await,
            };
            next = happened.unwrap_or_else(|fault| fault.end(stream));
        }
        match next {
            Next::On => true,
            Next::Over(code, reason) => {
                let went_well = code == CloseCode::Normal;
                self.close(code, &reason).await;
                went_well
            }
            Next::End(end, code) => {
                let went_well = !matches!(end, StreamEnd::Failed(_));
                let reason = match &end {
                    StreamEnd::Failed(why) => why.clone(),
                    StreamEnd::Result(_) | StreamEnd::Closed | StreamEnd::Stopped(_) => {
                        String::new()
                    }
                };
                self.line.say(FromBot::End(end)).await;
                self.close(code, &reason).await;
                went_well
            }
        }
    }

    /// What the gateway has for the bot.
    async fn tell(&mut self, told: Option<Told>) -> Result<Next, Fault> {
        let message = match told {
            Some(Told::Word(word)) => match word {
                ToBot::Sound(bytes) => Message::binary(bytes),
                ToBot::Digit(digit) => Message::text(bot::digit(digit)),
                ToBot::Mark { name, was_heard } => Message::text(bot::mark(&name, was_heard)),
                ToBot::Dropped(time) => Message::text(bot::dropped(time)),
            },
            Some(Told::End(end)) => return self.end(end).await,
            // The gateway met a bug.
            None => return Ok(Next::Over(CloseCode::Error, String::new())),
        };
        self.send(message).await.map(|()| Next::On)
    }

    async fn end(&mut self, end: StreamEnd) -> Result<Next, Fault> {
        match end {
            StreamEnd::Stopped(why) => {
                self.send(Message::text(bot::end(why))).await?;
                Ok(Next::Over(CloseCode::Normal, String::new()))
            }
            StreamEnd::Failed(why) => Ok(Next::Over(CloseCode::Policy, why)),
            StreamEnd::Result(_) | StreamEnd::Closed => {
                Ok(Next::Over(CloseCode::Normal, String::new()))
            }
        }
    }

    async fn on_message(&mut self, message: Option<Result<Message, Error>>) -> Result<Next, Fault> {
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(broken(error)),
            None => return Err(lost("the connection was closed without a goodbye")),
        };
        self.was_heard = true;
        self.unanswered = 0;
        self.socket.get_mut().is_whole();
        self.pace.count(message.len());
        let word = match message {
            Message::Binary(bytes) => FromBot::Sound(samples(&bytes)?),
            Message::Text(text) => {
                let word = bot::read(&text).map_err(|why| Fault(CloseCode::Policy, why))?;
                match word {
                    BotWord::Clear => FromBot::Clear,
                    BotWord::Mark(name) => FromBot::Mark(name),
                    BotWord::End(result) => {
                        return Ok(Next::End(StreamEnd::Result(result), CloseCode::Normal));
                    }
                }
            }
            Message::Close(frame) => return closed(frame),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return Ok(Next::On),
        };
        match self.line.say(word).await {
            true => Ok(Next::On),
            // It has ended meanwhile: that is the last that is told.
            false => match self.line.told.recv().await {
                Some(Told::Word(_)) => Ok(Next::On),
                told @ (Some(Told::End(_)) | None) => self.tell(told).await,
            },
        }
    }

    /// It is time to look whether anybody is there.
    async fn ping(&mut self) -> Result<Next, Fault> {
        if std::mem::take(&mut self.was_heard) {
            return Ok(Next::On);
        }
        if self.unanswered == PINGS_UNANSWERED {
            return Err(lost("it does not answer pings"));
        }
        self.unanswered += 1;
        let ping = Message::Ping(Default::default());
        self.send(ping).await.map(|()| Next::On)
    }

    async fn send(&mut self, message: Message) -> Result<(), Fault> {
        match timeout(STREAM_WRITE_TIME, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(broken(error)),
            Err(_) => Err(Fault(
                CloseCode::Policy,
                "does not take what is sent to it".to_owned(),
            )),
        }
    }

    /// Says goodbye, and waits a moment for the answer.
    async fn close(mut self, code: CloseCode, reason: &str) {
        let cut = reason.floor_char_boundary(REASON_BYTES);
        let frame = CloseFrame {
            code,
            reason: reason[..cut].into(),
        };
        let goodbye = async {
            // One that has said goodbye is answered, and one that is broken takes none.
            let is_said = match self.socket.close(Some(frame)).await {
                Ok(()) => true,
                Err(_) => self.socket.flush().await.is_ok(),
            };
            if is_said {
                while let Some(Ok(_)) = self.socket.next().await {}
                // What is not read would have the system take the goodbye back.
                let wire = self.socket.get_mut().wire();
                let _ = tokio::io::copy(wire, &mut tokio::io::sink()).await;
            }
        };
        let _ = timeout(FAREWELL_TIME, goodbye).await;
    }
}

impl Fault {
    fn end(self, stream: &Stream) -> Next {
        let Self(code, why) = self;
        Next::End(failed(stream, &why), code)
    }
}

/// The first one is due after an interval.
fn pings(interval: Duration) -> Interval {
    let mut pings = interval_at(Instant::now() + interval, interval);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings
}

fn samples(bytes: &[u8]) -> Result<Vec<i16>, Fault> {
    let (pairs, rest) = bytes.as_chunks();
    if rest.is_empty() {
        return Ok(pairs.iter().map(|pair| i16::from_le_bytes(*pair)).collect());
    }
    let length = bytes.len();
    let why = format!("sent {length} bytes of sound: samples have two each");
    Err(Fault(CloseCode::Unsupported, why))
}

/// The bot has said goodbye.
fn closed(frame: Option<CloseFrame>) -> Result<Next, Fault> {
    match frame {
        None => Ok(Next::End(StreamEnd::Closed, CloseCode::Normal)),
        Some(frame) if frame.code == CloseCode::Normal => {
            Ok(Next::End(StreamEnd::Closed, CloseCode::Normal))
        }
        Some(frame) => Err(Fault(
            CloseCode::Normal,
            format!(
                "closed the stream with {}: {:?}",
                u16::from(frame.code),
                frame.reason.as_str()
            ),
        )),
    }
}

fn lost(why: &str) -> Fault {
    Fault(CloseCode::Away, format!("was lost: {why}"))
}

fn broken(error: Error) -> Fault {
    if let Error::Capacity(_) = error {
        let why = format!("sent a message of more than {STREAM_MESSAGE_BYTES} bytes");
        return Fault(CloseCode::Size, why);
    }
    if let Error::Utf8(_) = error {
        let why = "sent text that is not UTF-8".to_owned();
        return Fault(CloseCode::Invalid, why);
    }
    if let Error::Protocol(fault) = &error
        && !matches!(fault, ProtocolError::ResetWithoutClosingHandshake)
    {
        let why = format!("breaks the protocol of WebSockets: {fault}");
        return Fault(CloseCode::Protocol, why);
    }
    if let Error::Io(fault) = &error
        && is_endless(fault)
    {
        return Fault(CloseCode::Size, fault.to_string());
    }
    lost(&error.to_string())
}

/// What is read within a second.
struct Pace {
    until: Instant,
    messages: u32,
    bytes: usize,
}

impl Pace {
    fn new() -> Self {
        Self {
            until: Instant::now() + SECOND,
            messages: 0,
            bytes: 0,
        }
    }

    fn count(&mut self, bytes: usize) {
        let now = Instant::now();
        if now >= self.until {
            *self = Self::new();
        }
        self.messages += 1;
        self.bytes += bytes;
    }

    fn is_open(&self) -> bool {
        self.messages < STREAM_MESSAGES_PER_SECOND && self.bytes < STREAM_BYTES_PER_SECOND
    }

    fn opens(&self) -> impl Future<Output = ()> + use<> {
        sleep_until(self.until)
    }
}
