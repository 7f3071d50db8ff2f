//! Threads that serve connections: one for each core, each with a runtime of its own.
//!
//! A connection stays on its thread. So its task is found in a plain queue, first come first served, and no other core is
//! woken for it; docs/decisions/0015-a-runtime-a-core.md has the figures. Never does anything by itself.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// After how many tasks it is looked whose messages have come. Few, so that a call does not wait for many others' signatures.
const TURNS: u32 = 8;

/// See the module.
pub(crate) struct Crew {
    hands: Vec<Hand>,
    /// Whose turn it is.
    next: AtomicUsize,
    /// Closed when the threads shall end.
    stop: watch::Sender<()>,
}

struct Hand {
    runtime: Handle,
    thread: JoinHandle<()>,
}

impl Crew {
    /// Starts so many threads.
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(());
        let hand = |number| {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .event_interval(TURNS)
                .build()?;
            let handle = runtime.handle().clone();
            let mut stopped = stopped.clone();
            let work = move || {
                runtime.block_on(async {
                    // An error means that nobody is left to stop it.
                    while stopped.changed().await.is_ok() {}
                });
            };
            let thread = std::thread::Builder::new().name(format!("connections-{number}"));
            Ok(Hand {
                runtime: handle,
                thread: thread.spawn(work)?,
            })
        };
        Ok(Self {
            hands: (0..threads.max(1)).map(hand).collect::<io::Result<_>>()?,
            next: AtomicUsize::new(0),
            stop,
        })
    }

    /// Hands a connection to the next thread, where `serve` makes a task of it.
    pub(crate) fn take<F>(
        &self,
        stream: TcpStream,
        serve: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) -> io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stream = stream.into_std()?;
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let hand = &self.hands[turn % self.hands.len()];
        hand.runtime.spawn(async move {
            // Registers with this thread's reactor; fails where there is no room for it.
            if let Ok(stream) = TcpStream::from_std(stream) {
                tokio::spawn(serve(stream));
            }
        });
        Ok(())
    }

    /// Ends the threads, and whatever still runs on them. Waits for them.
    pub(crate) fn stop(self) {
        let Self { hands, stop, .. } = self;
        drop(stop);
        for hand in hands {
            let _ = hand.thread.join();
        }
    }
}
