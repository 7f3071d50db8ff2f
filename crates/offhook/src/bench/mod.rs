//! `offhook bench`: how much a server carries, ours or another, and what that costs it.
//!
//! Each measurement runs on one thread and waits for nothing but sockets. Never part of what serves. docs/performance.md,
//! docs/turn.md and docs/media.md say how to read the figures.

mod companion;
mod latency;
mod load;
mod media;
mod processor;
mod turn;

use clap::Subcommand;

use crate::cli::Failure;

/// What can be measured.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Send packets through a TURN server and count what comes out
    ///
    /// Offers ChannelData to as many allocations as you like and says how many packets a second come out, how many are
    /// lost, and how long they take. Without --rate it offers as much as the server carries without loss.
    Turn(turn::TurnFlags),
    /// Forward packets and nothing else: the yardstick that `bench turn --forwarder` starts by itself
    Forwarder(turn::ForwarderFlags),
    /// Send packets through a media gateway, between browsers and telephones, and count what comes out
    ///
    /// Makes calls between browsers (WebRTC) and telephones (plain RTP) and says how many packets a second come out, how many
    /// are lost, what one costs and what memory a call takes. Without --rate it offers as much as the gateway carries without
    /// loss. With --codec opus everything is transcoded, at 50 packets a second each way.
    Media(media::MediaFlags),
    /// Run our media gateway by itself, told what to do by rtpengine's protocol: what `bench media` starts
    Gateway(media::GatewayFlags),
    /// Refresh registrations over SIP on WebSockets
    ///
    /// Connects and registers clients, then has them register again as fast as the server answers (--window under way at
    /// most), or so many times a second (--rate).
    Register(load::RegisterFlags),
    /// Call from client to client: INVITE, 180, 200, ACK, BYE, 200
    Calls(load::CallFlags),
    /// Hold registered clients and say what memory one takes
    Idle(load::IdleFlags),
    /// Ask the web service for tokens
    Token(load::TokenFlags),
    /// Have all clients come back at once, as after a restart of the server
    Storm(load::StormFlags),
}

impl Command {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Turn(flags) => flags.run(),
            Self::Forwarder(flags) => Ok(flags.run()?),
            Self::Media(flags) => flags.run(),
            Self::Gateway(flags) => Ok(flags.run()?),
            Self::Register(flags) => flags.run(),
            Self::Calls(flags) => flags.run(),
            Self::Idle(flags) => flags.run(),
            Self::Token(flags) => flags.run(),
            Self::Storm(flags) => flags.run(),
        }
    }
}
