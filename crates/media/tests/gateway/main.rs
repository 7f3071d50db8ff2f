//! The gateway as its peers know it: browsers made of str0m, and telephones of RTP, plain or protected, in a simulated network.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "str0m counts in the standard library's Instant; the world begins at one of them"
)]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test looks for one event among many"
)]
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod call;
mod conference;
mod door;
mod join;
mod offer;
mod phone;
mod reoffer;
mod room;
mod srtp;
mod stream;
mod way;
mod world;
