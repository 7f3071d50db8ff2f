//! Hears that the directory has changed, from a connection of its own that is made anew as often as it is lost.
//!
//! Says only that it is time to look: what is heard tells nothing, and what was missed is made up for by one look more.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::{PATIENCE, in_time, mark_serving};

/// What the triggers notify (migrations/postgres/0001_first.sql).
const CHANNEL: &str = "offhook_directory";
/// How soon a server that cannot be reached is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    heard: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Listening {
    pub(crate) fn begin(options: PgConnectOptions) -> Self {
        let heard = Arc::new(Notify::new());
        let task = tokio::spawn(listen(options, Arc::clone(&heard)));
        Self { heard, task }
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

async fn listen(options: PgConnectOptions, heard: Arc<Notify>) {
    loop {
        // However it ended: it is begun anew.
        let _ = listen_once(options.clone(), &heard).await;
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

async fn listen_once(options: PgConnectOptions, heard: &Notify) -> Result<(), sqlx::Error> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(options);
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.eager_reconnect(false);
    let begun = async {
        listener.listen(CHANNEL).await?;
        let connection = sqlx::Acquire::acquire(&mut listener).await?;
        mark_serving(connection).await
    };
    in_time(begun).await?;
    // Something may have changed before it was heard of.
    heard.notify_one();
    while listener.try_recv().await?.is_some() {
        heard.notify_one();
    }
    Ok(())
}
