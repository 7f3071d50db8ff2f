//! SIP messages by the RFC: a borrowing parser, a printer, and the checks a server makes on what it receives.
//!
//! RFC 3261 (messages, headers, URIs), 3326 (Reason), 3581 (`rport`), 4475 (torture messages, held by `tests/rfc4475.rs`),
//! 7118 (one WebSocket frame is one message), 8898 (Bearer tokens).
//!
//! [`parse`] takes one complete message and borrows everything from it; the only allocation is the index of header rows,
//! bounded by [`MAX_ROWS`]. What breaks the syntax becomes a [`Malformed`] that carries what is needed to answer it.
//! [`MessageWriter`] prints front to back into one buffer.
//!
//! For peers that are no browsers: [`transaction`] holds the state of a request and its answer (§17) without a clock, [`stream`]
//! finds messages on TCP (§18.3), and [`digest`] answers challenges (RFC 8760).
//!
//! This crate never opens a socket, reads a clock or draws a random number, knows no product, and does not panic on any
//! input.

mod bytes;
pub mod digest;
mod header;
mod message;
mod method;
mod name;
mod parse;
mod print;
mod reply;
mod screen;
pub mod status;
pub mod stream;
pub mod transaction;
mod uri;
pub mod websocket;

pub use header::{BadValue, CSeq, Contact, NameAddr, Params, Reason, Via};
pub use message::{Header, Headers, Message, Request, Response};
pub use method::Method;
pub use name::Name;
pub use parse::{MAX_ROWS, Malformed, is_keep_alive, parse};
pub use print::MessageWriter;
pub use reply::ReplyHead;
pub use screen::{Capabilities, Screened, screen};
pub use uri::Uri;
