//! How a server ends: by SIGTERM, SIGINT (Ctrl-C) and SIGHUP (its terminal is closed). The second one ends it at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

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

    /// Waits for the first signal; from then on the next one ends the process.
    pub(crate) async fn first(mut self) {
        let name = self.next().await;
        tracing::info!("{name}: stopping; once more to stop at once");
        tokio::spawn(async move {
            let name = self.next().await;
            tracing::warn!("{name} again: stopped at once");
            // What a shell shows for a process that a signal ended.
            std::process::exit(if name == "SIGINT" { 130 } else { 143 });
        });
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hang_up.recv() => "SIGHUP",
        }
    }
}
