//! What shards want that takes its time: it waits here, is done by tasks, and its answer goes back to the shard, whatever comes of it.
//!
//! Filled under a shard's lock, and emptied by a task of its own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use model::media::MediaEvent;
use model::{AccountId, PageAnswer, PageRequest, SoundAnswer, SoundRequest};
use switch::Input;
use tokio::sync::{Notify, watch};

use crate::complaint::Complaints;
use crate::shell_counter::ShellCounter;
use crate::signalling::Signalling;
use crate::sound::Sounds;
use crate::webhook::Pages;

/// One thing to do.
#[derive(Debug)]
pub(crate) enum Errand {
    /// The shard is to hear this, though there is no gateway that would say it.
    Tell(MediaEvent),
    /// A page is to be asked.
    Ask(Box<PageRequest>),
    /// A sound is to be brought.
    Bring(SoundRequest),
    /// The log is to hear this of an account's application.
    Complain(AccountId, String),
}

/// Those that wait, and whoever does them. A call has few of them at a time, and calls are bounded.
pub(crate) struct Errands {
    waiting: Mutex<VecDeque<(usize, Errand)>>,
    wake: Notify,
    /// How many are not answered yet.
    open: watch::Sender<usize>,
    pages: Arc<Pages>,
    sounds: Arc<Sounds>,
    complaints: Arc<Complaints>,
}

impl Errands {
    pub(crate) fn new(pages: Pages, sounds: Sounds) -> Self {
        Self {
            waiting: Mutex::default(),
            wake: Notify::new(),
            open: watch::Sender::new(0),
            pages: Arc::new(pages),
            sounds: Arc::new(sounds),
            complaints: Arc::default(),
        }
    }

    /// Adds to what waits, for this shard; never waits itself.
    pub(crate) fn push(&self, shard: usize, errand: Errand) {
        self.open.send_modify(|open| *open += 1);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push_back((shard, errand));
        drop(waiting);
        self.wake.notify_one();
    }

    /// How many are not answered yet.
    pub(crate) fn open(&self) -> usize {
        *self.open.borrow()
    }

    /// Does what comes; never ends.
    pub(crate) async fn run(self: Arc<Self>, signalling: Arc<Signalling>) {
        loop {
            while let Some((shard, errand)) = self.pop() {
                let done = Done(Arc::clone(&self));
                match errand {
                    Errand::Tell(event) => {
                        signalling.answer(shard, Input::Media(event));
                        drop(done);
                    }
                    Errand::Complain(account, why) => {
                        self.complaints.add(signalling.now().mono, account, &why);
                        drop(done);
                    }
                    Errand::Ask(request) => self.ask(&signalling, shard, *request, done),
                    Errand::Bring(request) => self.bring(&signalling, shard, request, done),
                }
            }
            self.wake.notified().await;
        }
    }

    /// Waits until every errand has been answered.
    pub(crate) async fn settle(&self) {
        // The sender is there as long as this is.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }

    fn ask(&self, signalling: &Arc<Signalling>, shard: usize, request: PageRequest, done: Done) {
        let id = request.id;
        let counters = &signalling.counters;
        let entry = match self.pages.enter(&request) {
            Ok(entry) => entry,
            Err(sentence) => {
                counters.add_shell(ShellCounter::PagesFull);
                let answer = PageAnswer::Failed(sentence);
                signalling.answer(shard, Input::Page { id, answer });
                return;
            }
        };
        counters.add_shell(ShellCounter::PageAsked);
        let (pages, signalling) = (Arc::clone(&self.pages), Arc::clone(signalling));
        let (account, complaints) = (request.account, Arc::clone(&self.complaints));
        tokio::spawn(async move {
            // In a task of its own, so that a bug is an answer as well.
            let asking = tokio::spawn(async move { pages.ask(&request).await });
            let answer = asking.await.unwrap_or_else(|error| {
                tracing::error!(%error, "asking an application ended by a bug");
                PageAnswer::Failed("the application was not asked: the server met a bug".to_owned())
            });
            if let PageAnswer::Failed(why) = &answer {
                signalling.counters.add_shell(ShellCounter::PageFailed);
                complaints.add(signalling.now().mono, account, why);
            }
            drop(entry);
            signalling.answer(shard, Input::Page { id, answer });
            drop(done);
        });
    }

    fn bring(&self, signalling: &Arc<Signalling>, shard: usize, request: SoundRequest, done: Done) {
        let id = request.id;
        let (sounds, signalling) = (Arc::clone(&self.sounds), Arc::clone(signalling));
        let (account, complaints) = (request.account, Arc::clone(&self.complaints));
        let place = sounds.enter(account);
        tokio::spawn(async move {
            let answer: SoundAnswer = match &place {
                Ok(_) => {
                    let bringing = tokio::spawn(sounds.bring(request));
                    bringing.await.unwrap_or_else(|error| {
                        tracing::error!(%error, "bringing a sound ended by a bug");
                        Err("the sound cannot be brought: the server met a bug".to_owned())
                    })
                }
                Err(sentence) => Err(sentence.clone()),
            };
            if let Err(why) = &answer {
                signalling.counters.add_shell(ShellCounter::SoundFailed);
                complaints.add(signalling.now().mono, account, why);
            }
            drop(place);
            signalling.answer(shard, Input::Sound { id, answer });
            drop(done);
        });
    }

    fn pop(&self) -> Option<(usize, Errand)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.pop_front()
    }
}

/// Dropped when an errand has been answered.
struct Done(Arc<Errands>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0
            .open
            .send_modify(|open| *open = open.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use model::media::{LegId, SessionId};
    use model::{FileName, Page, PageMethod, PageUrl, QuestionId, SecretBytes, SoundSource};
    use switch::Snapshot;

    use super::*;
    use crate::account_file::AccountFiles;
    use crate::config::Config;
    use crate::effect::Outlets;
    use crate::signalling::Published;
    use crate::sound::SpeechConfig;

    #[tokio::test]
    async fn every_errand_is_answered_and_counted() {
        let data = tempfile::tempdir().unwrap();
        let files = Arc::new(AccountFiles::new(data.path()));
        let sounds = Sounds::new(files, &SpeechConfig::default());
        let pages = Pages::new(&Config::default()).unwrap();
        let errands = Arc::new(Errands::new(pages, sounds));
        let outlets = Outlets {
            cluster: None,
            records: Arc::default(),
            counters: Arc::default(),
            relay: None,
            gateway: None,
            lines: None,
            errands: Arc::clone(&errands),
        };
        let published = Published::new(Snapshot::default());
        let signalling = Arc::new(Signalling::new(1, published, outlets));
        errands.settle().await;
        // Nobody listens at port 1 of this machine.
        let page = Page {
            url: PageUrl::parse("http://127.0.0.1:1/").unwrap(),
            method: PageMethod::Post,
        };
        let asked = PageRequest {
            id: QuestionId(1),
            account: AccountId(1),
            page,
            instance: "{}".to_owned(),
            secret: SecretBytes::new(Vec::new()),
        };
        errands.push(0, Errand::Ask(Box::new(asked)));
        let brought = SoundRequest {
            id: QuestionId(2),
            account: AccountId(1),
            source: SoundSource::File(FileName::parse("none.wav").unwrap()),
        };
        errands.push(0, Errand::Bring(brought));
        // A shard that is not there is told nothing, and harms nobody.
        for shard in [0, 9] {
            let session = SessionId::of_shard(shard, 1);
            let refused = MediaEvent::Refused {
                leg: LegId { session, place: 0 },
                sentence: "no".to_owned(),
            };
            errands.push(usize::from(shard), Errand::Tell(refused));
        }
        let running = tokio::spawn(Arc::clone(&errands).run(Arc::clone(&signalling)));
        errands.settle().await;
        running.abort();
        let count = |counter: ShellCounter| {
            let mut listing = signalling.counters.listing();
            listing
                .find(|(name, _)| *name == counter.as_str())
                .unwrap()
                .1
        };
        assert_eq!(count(ShellCounter::PageAsked), 1);
        assert_eq!(count(ShellCounter::PageFailed), 1);
        assert_eq!(count(ShellCounter::SoundFailed), 1);
    }
}
