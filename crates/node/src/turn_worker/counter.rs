//! What the shell of the TURN server counts beside the server itself.

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident => $text:literal,)*) => {
        /// What is counted: each way in which sockets lose something.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum WorkerCounter {
            $($(#[doc = $doc])* $name,)*
        }

        impl WorkerCounter {
            /// Every counter, in the order of listings.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name in listings.
            pub(crate) const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// What it counts, in a sentence.
            pub(crate) const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),*),)*
                }
            }
        }
    };
}

counters! {
    /// The system did not take a packet: no room, no way, or a filter.
    Unsent => "turn_packets_unsent",
    /// A packet for a TCP or TLS client that reads too slowly was dropped.
    SlowReader => "turn_packets_dropped_slow_reader",
    /// A packet for a relayed address of another worker was dropped: too many waited.
    SiblingFull => "turn_packets_dropped_between_workers",
    /// A socket for a relayed address could not be opened.
    RelayFault => "turn_relays_not_opened",
    /// A connection was refused: there are as many as may be, of all or of its source.
    StreamsFull => "turn_connections_refused_full",
    /// A connection could not be accepted: no file is left, or no memory.
    AcceptFault => "turn_connections_not_accepted",
    /// A connection was closed: it spoke no TURN, or no TLS.
    StreamGarbage => "turn_connections_closed_garbage",
    /// A connection was closed: for too long it had no allocation, or took nothing.
    StreamIdle => "turn_connections_closed_idle",
}
