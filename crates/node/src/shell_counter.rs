//! What the shell counts of the sockets of gateway and trunks, and of what it does for applications.

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident => $text:literal,)*) => {
        /// What is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum ShellCounter {
            $($(#[doc = $doc])* $name,)*
        }

        impl ShellCounter {
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
    /// A datagram came from an address that has passed no ICE check.
    MediaUnchecked => "media_datagrams_dropped_unchecked",
    /// An ICE check was for no leg of ours.
    MediaUnknownCheck => "media_checks_of_no_leg",
    /// A protected packet was changed on its way, or sealed by somebody else.
    MediaForged => "media_datagrams_dropped_forged",
    /// The system did not take a datagram: no room, no way, or a filter.
    MediaUnsent => "media_datagrams_unsent",
    /// The gateway refused a leg.
    MediaRefused => "media_legs_refused",
    /// A leg was given up: too many commands waited for the gateway.
    MediaFull => "media_legs_refused_full",
    /// A pair of ports could not be opened.
    MediaPortFault => "media_ports_not_opened",
    /// A recording was kept.
    RecordingKept => "recordings_kept",
    /// A recording could not be kept.
    RecordingLost => "recordings_not_kept",
    /// A page of an application was asked.
    PageAsked => "pages_asked",
    /// A page gave no answer.
    PageFailed => "pages_failed",
    /// A stream was to be opened.
    StreamAsked => "streams_asked",
    /// A stream was not to be had, was lost, or its application broke its rules.
    StreamFailed => "streams_failed",
    /// A page was not asked: too many were at once.
    PagesFull => "pages_refused_full",
    /// A datagram came to the socket of trunks from nowhere that a trunk may send from.
    TrunkStranger => "trunk_datagrams_dropped_unknown_source",
    /// A connection came to the socket of trunks from nowhere that a trunk may come from.
    TrunkStrangeConnection => "trunk_connections_closed_unknown_source",
    /// A peer of a trunk had too many connections for another.
    TrunkConnectionFull => "trunk_connections_closed_full",
    /// A peer of a trunk sent what is no SIP by a connection.
    TrunkConnectionMalformed => "trunk_connections_closed_malformed",
    /// The system did not take a datagram for a trunk's peer.
    TrunkUnsent => "trunk_datagrams_unsent",
    /// A shard's message for a trunk was lost: too much waited.
    TrunkFull => "trunk_messages_dropped_full",
    /// A message that a line had for its shard could not be read.
    TrunkUnread => "trunk_messages_not_read",
    /// A sound could not be brought.
    SoundFailed => "sounds_failed",
}
