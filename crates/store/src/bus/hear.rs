//! Hears what other nodes send, by a connection of its own that is made anew as often as it is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use model::limits;
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::error::explain;
use super::link::SharedWay;
use super::queue::{Heard, Queue};
use super::{BusError, anything};

const HEAR: &str = "hear other nodes";

/// What a node hears; ends when it is dropped.
#[derive(Debug)]
pub struct Hearing {
    queue: Arc<Queue>,
    task: JoinHandle<()>,
}

impl Hearing {
    pub(super) fn begin(way: SharedWay, channels: [String; 2]) -> Self {
        let queue = Arc::new(Queue::default());
        let task = tokio::spawn(hear(way, channels, Arc::clone(&queue)));
        Self { queue, task }
    }

    /// Waits for what is heard next; may be given up and asked again.
    pub async fn next(&mut self) -> Heard {
        self.queue.next().await
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn hear(way: SharedWay, channels: [String; 2], queue: Arc<Queue>) {
    let mut pause = limits::BUS_PAUSE;
    loop {
        let ear = Arc::new(Ear {
            turn: queue.begin(),
            queue: Arc::clone(&queue),
            missing: AtomicUsize::new(channels.len()),
            is_full: AtomicBool::new(false),
            ended: Notify::new(),
        });
        let why = hear_once(&way, &channels, &ear).await;
        queue.down(why.to_string());
        if ear.missing.load(Ordering::Relaxed) == 0 {
            pause = limits::BUS_PAUSE;
        }
        sleep(jittered(pause)).await;
        pause = (pause * 2).min(limits::BUS_PAUSE_MAX);
    }
}

/// Hears until nothing is heard any more, and says why.
async fn hear_once(way: &SharedWay, channels: &[String; 2], ear: &Arc<Ear>) -> BusError {
    let taker = Arc::clone(ear);
    let take = move |info: PushInfo| -> Result<(), ()> {
        taker.take(info);
        Ok(())
    };
    let mut connection = match way.listen(HEAR, take).await {
        Ok(connection) => connection,
        Err(error) => return error,
    };
    let turn = way.turn();
    let subscribing = connection.subscribe(&channels[..]);
    match timeout(limits::BUS_ANSWER_TIME, subscribing).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return explain(HEAR, way.place(), &error),
        Err(_) => return too_slow(way),
    }
    tokio::select! {
        error = ping(way, &mut connection, turn) => error,
        () = ear.ended.notified() => ear.why(way.place()),
    }
}

/// Asks again and again whether the bus is there, until it is not.
async fn ping(way: &SharedWay, connection: &mut MultiplexedConnection, turn: u64) -> BusError {
    let mut missed = 0;
    while missed < limits::BUS_PINGS_MISSED {
        match timeout(limits::BUS_PING, way.ping(HEAR, connection, turn)).await {
            Ok(Ok(())) => {
                missed = 0;
                sleep(limits::BUS_PING).await;
            }
            Ok(Err(error)) => return error,
            Err(_) => missed += 1,
        }
    }
    too_slow(way)
}

/// What a connection tells by itself.
struct Ear {
    queue: Arc<Queue>,
    turn: u64,
    /// Channels that are not heard yet.
    missing: AtomicUsize,
    is_full: AtomicBool,
    ended: Notify,
}

impl Ear {
    fn take(&self, info: PushInfo) {
        if info.kind == PushKind::Subscribe {
            if self.missing.fetch_sub(1, Ordering::Relaxed) == 1 {
                self.queue.up(self.turn);
            }
        } else if info.kind == PushKind::Message {
            if let Some(Value::BulkString(post)) = info.data.into_iter().nth(1)
                && !self.queue.post(self.turn, post)
            {
                self.is_full.store(true, Ordering::Relaxed);
                self.ended.notify_one();
            }
        } else if info.kind == PushKind::Disconnection {
            self.ended.notify_one();
        }
    }

    /// Why it has ended.
    fn why(&self, place: &str) -> BusError {
        let place = place.to_owned();
        if self.is_full.load(Ordering::Relaxed) {
            let mib = limits::BUS_HEARD_BYTES / (1024 * 1024);
            return BusError::Behind { place, mib };
        }
        BusError::Unreachable {
            operation: HEAR,
            place,
            cause: "the connection was closed".to_owned(),
        }
    }
}

fn too_slow(way: &SharedWay) -> BusError {
    BusError::Slow {
        operation: HEAR,
        place: way.place().to_owned(),
    }
}

/// Between a half and the whole of it, so that nodes that have lost the bus together do not come back together.
fn jittered(pause: Duration) -> Duration {
    let half = pause / 2;
    let part = u32::try_from(anything() % 1_000).unwrap_or_default();
    half + half * part / 1_000
}
