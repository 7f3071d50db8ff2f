//! A lane: one connection that many use at once, made when it is needed, and given up when it is not what it was.
//!
//! Nobody waits for longer than is said, and no more than a bound of them wait: a bus that hangs costs each who asks a second or two,
//! and nothing else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::limits;
use redis::aio::AsyncPushSender;
use redis::{Arg, Cmd, FromRedisValue, Pipeline, PushInfo, PushKind};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::BusError;
use super::error::{explain, is_answered_well};
use super::link::{Link, SharedWay};

/// See above.
pub(super) struct Lane {
    way: SharedWay,
    link: Mutex<Numbered>,
    /// Held by whoever connects.
    connecting: tokio::sync::Mutex<()>,
    places: Semaphore,
}

/// The connection, if there is one, and which it is.
#[derive(Default)]
struct Numbered {
    number: u64,
    link: Option<Link>,
    /// Set when it was lost.
    lost: Arc<AtomicBool>,
    /// When it was made.
    turn: u64,
}

impl Lane {
    pub(super) fn new(way: SharedWay) -> Self {
        Self {
            way,
            link: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            places: Semaphore::new(limits::BUS_COMMANDS),
        }
    }

    /// Has the server that has `key` do what the pipeline says.
    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        operation: &'static str,
        key: &str,
        pipeline: &Pipeline,
        time: Duration,
    ) -> Result<T, BusError> {
        let place = self.way.place();
        let Ok(_places) = self.places.try_acquire_many(places(pipeline)) else {
            return Err(BusError::Busy {
                operation,
                place: place.to_owned(),
            });
        };
        let (number, mut link) = self.link(operation).await?;
        let mut at = link.at(key);
        match timeout(time, pipeline.query_async(&mut at)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                if !is_answered_well(&error) {
                    self.give_up(number);
                }
                Err(explain(operation, place, &error))
            }
            Err(_) => {
                self.give_up(number);
                let place = place.to_owned();
                Err(BusError::Slow { operation, place })
            }
        }
    }

    /// The connection that there is, or a new one. Many may want one at once: one makes it.
    async fn link(&self, operation: &'static str) -> Result<(u64, Link), BusError> {
        if let Some(link) = self.current() {
            return Ok(link);
        }
        let connecting = async {
            let _turn = self.connecting.lock().await;
            if let Some(link) = self.current() {
                return Ok(link);
            }
            let lost = Arc::new(AtomicBool::new(false));
            let link = self.way.connect(operation, ear(&lost)).await?;
            let mut numbered = self.link.lock().unwrap_or_else(PoisonError::into_inner);
            numbered.number += 1;
            numbered.link = Some(link.clone());
            numbered.lost = lost;
            numbered.turn = self.way.turn();
            Ok((numbered.number, link))
        };
        match timeout(limits::BUS_CONNECT_TIME, connecting).await {
            Ok(linked) => linked,
            Err(_) => Err(self.way.too_late(operation)),
        }
    }

    fn current(&self) -> Option<(u64, Link)> {
        let numbered = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        let link = numbered.link.clone()?;
        let is_lost = numbered.lost.load(Ordering::Relaxed);
        let is_right = numbered.turn == self.way.turn();
        (is_right && !is_lost).then_some((numbered.number, link))
    }

    /// The next to ask connects anew. Those who wait for answers by it may still get them.
    fn give_up(&self, number: u64) {
        let mut numbered = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        if numbered.number == number {
            numbered.link = None;
        }
    }
}

/// How many places a command takes: one, and more for what is large.
fn places(pipeline: &Pipeline) -> u32 {
    let arguments = pipeline.cmd_iter().flat_map(Cmd::args_iter);
    let sizes = arguments.map(|argument| {
        let Arg::Simple(bytes) = argument else {
            return 0;
        };
        bytes.len()
    });
    let share = limits::BUS_COMMANDS_BYTES / limits::BUS_COMMANDS;
    u32::try_from(1 + sizes.sum::<usize>() / share).unwrap_or(u32::MAX)
}

/// Hears when a connection is lost, so that nobody has to find out by it.
fn ear(lost: &Arc<AtomicBool>) -> impl AsyncPushSender + use<> {
    let lost = Arc::clone(lost);
    move |info: PushInfo| -> Result<(), ()> {
        if info.kind == PushKind::Disconnection {
            lost.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}
