//! Hears that the directory has changed, from a connection of its own that is made anew as often as it is lost; the same connection marks
//! this process as one that serves.
//!
//! Says only that it is time to look: what is heard tells nothing, and what was missed is made up for by one look more.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{PATIENCE, in_time, mark_serving};

/// What the triggers notify (migrations/postgres/0001_first.sql).
const CHANNEL: &str = "offhook_directory";
/// How soon a server that cannot be reached is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// How often it is seen whether the connection leads anywhere still: nobody says so when a server is gone without a word.
const PROVE_EVERY: Duration = Duration::from_secs(5);

/// Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    heard: Arc<Notify>,
    is_begun: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Listening {
    /// `writer`: the number of this process.
    pub(crate) fn begin(options: PgConnectOptions, writer: i64) -> Self {
        let heard = Arc::new(Notify::new());
        let (begun, is_begun) = watch::channel(false);
        let ear = Ear {
            heard: Arc::clone(&heard),
            begun,
            writer,
        };
        let task = tokio::spawn(ear.listen(options));
        Self {
            heard,
            is_begun,
            task,
        }
    }

    /// Waits until it listens, and others see that this process serves.
    pub(crate) async fn begun(&self) {
        let mut is_begun = self.is_begun.clone();
        // It ends with `self` alone.
        let _ = is_begun.wait_for(|is_begun| *is_begun).await;
    }

    /// Waits until something was heard since it was last asked. May be given up and asked again.
    pub(crate) async fn next(&self) {
        self.heard.notified().await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task's end of it.
struct Ear {
    heard: Arc<Notify>,
    begun: watch::Sender<bool>,
    writer: i64,
}

impl Ear {
    async fn listen(self, options: PgConnectOptions) {
        loop {
            // However it ended: it is begun anew.
            let _ = self.listen_once(options.clone()).await;
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    async fn listen_once(&self, options: PgConnectOptions) -> Result<(), sqlx::Error> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(options);
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        let begin = async {
            listener.listen(CHANNEL).await?;
            let connection = sqlx::Acquire::acquire(&mut listener).await?;
            mark_serving(connection, self.writer).await
        };
        in_time(begin).await?;
        self.begun.send_replace(true);
        // Something may have changed before it was heard of.
        self.heard.notify_one();
        loop {
            match timeout(PROVE_EVERY, listener.try_recv()).await {
                Ok(Ok(Some(_))) => self.heard.notify_one(),
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    in_time(sqlx::query("SELECT 1").execute(&mut listener)).await?;
                }
            }
        }
    }
}
