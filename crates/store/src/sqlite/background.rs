//! Threads that step back: what is written for later must not hold up a call that is set up now.

use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// Three tenths of a core that somebody else wants as well: enough for the records of all the calls that the rest can carry.
const NICENESS: i32 = 4;

/// Does something on a thread that steps back; threads that are started meanwhile inherit that, as the one by which sqlx
/// writes does.
pub(super) async fn run<T: Send + 'static>(
    work: impl Future<Output = Result<T, sqlx::Error>> + Send + 'static,
) -> Result<T, sqlx::Error> {
    let (done, is_done) = oneshot::channel();
    let thread = move || {
        // Refused or not: it is a courtesy.
        let _ = rustix::process::nice(NICENESS);
        let worked = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(sqlx::Error::Io)
            .and_then(|runtime| runtime.block_on(work));
        // Whoever wanted it may have gone.
        let _ = done.send(worked);
    };
    std::thread::Builder::new()
        .name("store".to_owned())
        .spawn(thread)
        .map_err(sqlx::Error::Io)?;
    is_done.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}
