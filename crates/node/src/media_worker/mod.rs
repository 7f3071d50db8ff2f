//! The media gateway's sockets and its thread, which drives one [`media::Worker`]; and the thread that writes recordings.
//!
//! Decides nothing: what is heard and said the worker knows, and who is connected the shards say. Commands come by an inbox that
//! never waits; events go back to the shard that made the session.

mod config;
mod datagrams;
mod doors;
mod inbox;
mod lone;
mod plan;
mod ports;
mod recordings;
mod streams;
#[cfg(test)]
mod tests;
mod token;
mod worker;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use media::codec::Encoding;
use model::media::{LegEnd, LegUsage, MediaCommand, MediaEvent};
use model::{AccountId, limits};

use crate::account_file::AccountFiles;
use crate::clock::Clock;
use crate::relay::{Finding, Machine, turn_plan};
use crate::shell_counter::ShellCounter;
use crate::signalling::random;
use crate::telemetry::Counters;

pub use self::config::{MediaConfig, MediaConfigFault};
pub(crate) use self::doors::Doors;
pub use self::doors::MediaFault;
use self::inbox::{Inbox, opened_by};
pub use self::lone::LoneGateway;
use self::plan::Plan;
use self::recordings::Recordings;
use self::streams::Streams;
pub(crate) use self::streams::{Dial, Line, Told};
use self::worker::Post;
use crate::config::{Config, ConfigFault};

/// A bug that comes back at once must not fill the log.
const REVIVE_AFTER: Duration = Duration::from_secs(1);

/// Tells a shard what the gateway has to say.
pub(crate) type Deliver = Arc<dyn Fn(MediaEvent) + Send + Sync>;

/// What `offhook config check` can say about the gateway without binding anything.
pub fn media_outlook(config: &Config) -> Result<Vec<Finding>, ConfigFault> {
    config.check()?;
    // Without its interfaces a machine has no addresses, which is then what is said.
    let machine = Machine::read().unwrap_or_default();
    let turn = turn_plan(config, &machine)?;
    let (relays, listen) = turn
        .as_ref()
        .map_or((&[][..], &[][..]), |turn| (&turn.relays, &turn.listen));
    let plan = Plan::new(config, &machine, relays, listen)?;
    Ok(with_speech(config, plan.as_ref().map(Plan::findings)))
}

/// What is to be said of the gateway at the start.
pub(crate) fn findings(config: &Config, doors: Option<&Doors>) -> Vec<Finding> {
    with_speech(config, doors.map(Doors::findings))
}

/// Without a gateway nobody is spoken to.
fn with_speech(config: &Config, gateway: Option<Vec<Finding>>) -> Vec<Finding> {
    let Some(mut findings) = gateway else {
        return vec![Finding::Fact(OFF.to_owned())];
    };
    findings.push(config.speech.finding());
    findings
}

const OFF: &str =
    "media: the media gateway is off: calls to services that applications answer are refused";

/// Where commands for the gateway go.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    inbox: Arc<Inbox>,
    legs: Arc<AtomicUsize>,
}

impl Gateway {
    /// Never waits.
    pub(crate) fn put(&self, account: AccountId, command: MediaCommand, counters: &Counters) {
        if !self.inbox.put(account, command) {
            counters.add_shell(ShellCounter::MediaFull);
        }
    }

    /// How many commands wait for the worker.
    pub(crate) fn waiting(&self) -> usize {
        self.inbox.waiting()
    }

    /// How many legs there are.
    pub(crate) fn legs(&self) -> usize {
        self.legs.load(Ordering::Relaxed)
    }
}

/// What a shard is to hear where there is no gateway, if it hears anything.
pub(crate) fn refusal_without_gateway(command: &MediaCommand) -> Option<MediaEvent> {
    opened_by(command).map(|leg| MediaEvent::Refused {
        leg,
        sentence: "this server has no media gateway: it was switched off (media = false)"
            .to_owned(),
    })
}

/// The running gateway.
pub(crate) struct Media {
    inbox: Arc<Inbox>,
    thread: JoinHandle<()>,
}

impl Media {
    /// Performs what the shards have said, ends every session, and completes every recording; waits for all of it, so not on a
    /// thread that others wait for.
    pub(crate) fn stop(self) {
        self.inbox.stop();
        if self.thread.join().is_err() {
            tracing::error!("the media gateway ended by a bug");
        }
    }
}

impl Doors {
    /// Serves. `deliver` may wait for a shard; a bug in it is reported and harms nobody else.
    pub(crate) fn start(
        self,
        clock: Clock,
        files: Arc<AccountFiles>,
        deliver: Deliver,
        dial: Dial,
        counters: Arc<Counters>,
    ) -> Result<Media, MediaFault> {
        let deliver: Deliver = Arc::new(move |event| {
            // It was reported where it happened.
            let _ = catch_unwind(AssertUnwindSafe(|| deliver(event)));
        });
        let house = self.house(clock.epoch())?;
        let recordings = Recordings::start(files, Arc::clone(&deliver), Arc::clone(&counters))?;
        let inbox = Arc::clone(&self.inbox);
        let streams = Streams::new(dial, Arc::clone(&inbox));
        let post = Post {
            poll: self.poll,
            doors: self.sockets,
            inbox: self.inbox,
            rtp: self.plan.rtp,
            rtp_ports: self.plan.rtp_ports,
            clock,
            counters,
            deliver,
            recordings,
            streams,
            commands: Default::default(),
            given_up: Default::default(),
            legs: Default::default(),
            count: self.legs,
        };
        let thread = std::thread::Builder::new().name("media-0".to_owned());
        let thread = thread.spawn(move || keep_working(post, &house))?;
        Ok(Media { inbox, thread })
    }
}

/// Works until it is told to stop; a bug costs every session, and nothing else.
fn keep_working(mut post: Post, house: &media::webrtc::House) {
    loop {
        let config = media::Config {
            house: house.clone(),
            seed: random(),
            preferred: vec![Encoding::Opus, Encoding::Pcma, Encoding::Pcmu],
        };
        let work = || worker::work(&mut post, media::Worker::new(config));
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(())) => break,
            Ok(Err(error)) => {
                tracing::error!(%error, "the media gateway failed and is started again");
            }
            Err(_) => tracing::error!("the media gateway ended by a bug and is started again"),
        }
        lose_all(&mut post);
        std::thread::sleep(REVIVE_AFTER);
    }
    post.recordings.finish();
}

/// The sessions are gone; the shards must hear it.
fn lose_all(post: &mut Post) {
    for (leg, _) in std::mem::take(&mut post.legs) {
        post.tell(MediaEvent::Ended {
            leg,
            end: LegEnd::Peer,
            usage: LegUsage::default(),
        });
    }
    post.streams.lose_all();
    post.count.store(0, Ordering::Relaxed);
}

/// What is said of a leg that was given up.
fn too_much() -> String {
    format!(
        "the media gateway has too much to do: {} commands wait for it",
        limits::MEDIA_COMMANDS_WAITING
    )
}
