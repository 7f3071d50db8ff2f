//! What the web services say where the store does not do what they need: come again later, or not.
//!
//! Only what is changed, or was kept of calls that have ended, needs the store; everything else is answered from memory.

use axum::http::StatusCode;
use store::StoreError;

use super::Services;
use super::answer::Fault;
use crate::meter::StoreTask;

/// When to come again.
const RETRY_AFTER_S: u64 = 5;

/// Nobody waits for a store that is known to be away: `what` cannot be done.
pub(super) fn check_is_there(services: &Services, what: &str) -> Result<(), Fault> {
    let meter = &services.signalling.counters.meters.store;
    match meter.is_failing(StoreTask::Directory) {
        true => Err(later(what)),
        false => Ok(()),
    }
}

/// Whose turn it is to change something, if the store is there: whoever waited may have waited for one that is not.
pub(super) async fn turn<'a>(services: &'a Services, what: &str) -> Result<impl Drop + 'a, Fault> {
    check_is_there(services, what)?;
    let turn = services.changes.acquire().await;
    check_is_there(services, what)?;
    Ok(turn.expect("nobody closes it"))
}

/// Why `what` could not be done.
pub(super) fn refused(error: &StoreError, what: &str) -> Fault {
    tracing::error!(%error, "a web service needs the store: {what}");
    if error.is_passing() {
        return later(what);
    }
    let text = format!("{what}; the server's log says why");
    Fault::http(StatusCode::INTERNAL_SERVER_ERROR, text)
}

fn later(what: &str) -> Fault {
    let text = format!("{what} now, because the store is away or takes nothing; ask again later");
    Fault::http(StatusCode::SERVICE_UNAVAILABLE, text).retry_after(RETRY_AFTER_S)
}
