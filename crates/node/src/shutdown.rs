//! How a server ends: by SIGTERM, SIGINT (Ctrl-C) and SIGHUP (its terminal is closed). Where it is drained, the first one begins that
//! and the second ends it. One more ends the process at once.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};

/// Waits until `flag` is true; whoever could set it being gone counts as that. Safe to drop at any time.
pub(crate) async fn raised(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|is_raised| *is_raised).await;
}

/// Watches for the signals from now on.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(crate) fn watch() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let hang_up = signal(SignalKind::hangup())?;
        Ok(Self {
            terminate,
            interrupt,
            hang_up,
        })
    }

    /// What says that the server is to end, and what that it is to wait for no call any more, where it is drained for so long.
    pub(crate) fn follow(mut self, drain: Duration) -> (Word, Word) {
        let (end, ended) = oneshot::channel();
        let (hurry, hurried) = oneshot::channel();
        tokio::spawn(async move {
            let mut name = self.next().await;
            let _ = end.send(());
            if drain.is_zero() {
                tracing::info!("{name}: stopping; once more to stop at once");
            } else {
                let most = drain.as_secs();
                tracing::info!(
                    "{name}: no new calls; those that go on have {most} s, and none if it comes once more"
                );
                name = self.next().await;
                // Whoever waits for calls has gone: it stops already.
                if hurry.send(()).is_err() {
                    exit(name);
                }
                tracing::info!("{name} again: stopping; once more to stop at once");
            }
            name = self.next().await;
            exit(name);
        });
        (Word(ended), Word(hurried))
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hang_up.recv() => "SIGHUP",
        }
    }
}

/// What a signal says. It can be waited for once.
pub(crate) struct Word(oneshot::Receiver<()>);

impl Word {
    pub(crate) async fn said(self) {
        let _ = self.0.await;
    }
}

/// With what a shell shows for a process that a signal ended.
fn exit(signal: &str) -> ! {
    tracing::warn!("{signal} again: stopped at once");
    std::process::exit(if signal == "SIGINT" { 130 } else { 143 })
}
