//! The media gateway as a pure machine.
//!
//! Datagrams, commands and both clocks come in as values; datagrams, events and wishes for ports go out.
//!
//! Never opens a socket, reads a clock or touches a file, and knows nothing of SIP, accounts or who may call whom: the switch
//! says what to do in the words of `model::media`.

pub mod audio;
pub mod codec;
pub mod compressed;
pub mod dtmf;
mod leg;
mod mixer;
pub mod player;
pub mod recorder;
pub mod rtp;
pub mod sdp;
mod session;
pub mod srtp;
pub mod stream;
pub mod tone;
pub mod wav;
pub mod webrtc;
pub mod worker;

pub use worker::{Config, Counter, Effect, Input, Worker};

#[cfg(test)]
mod tests;
