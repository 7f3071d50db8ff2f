//! The shell: sockets, threads and timers around the softswitch.
//!
//! Accepts connections (HTTP, WebSocket, TLS), relays (TURN) and carries media, hands what comes in to the pure machines of `switch`,
//! `turn` and `media`,
//! performs the effects that they ask for, and keeps what must be kept through `store`. Decides nothing about tokens,
//! registrations or calls.

mod account_file;
mod account_place;
mod admin;
pub mod call_document;
pub mod certificate;
mod clock;
mod cluster;
mod complaint;
mod config;
pub mod control;
mod core;
mod directory_watch;
mod effect;
mod errand;
mod http;
mod media_worker;
mod meter;
mod month_elsewhere;
mod outbox;
pub mod provision;
mod quota_keeper;
mod record_file;
mod record_line;
mod record_writer;
mod relay;
pub mod revocation_document;
mod serve;
mod serve_fault;
pub mod service_document;
mod shell_counter;
mod shutdown;
mod signalling;
mod sound;
pub mod telemetry;
mod telling;
mod transport;
mod trunk_worker;
mod turn_worker;
pub mod wanted_service;
pub mod wanted_trunk;
mod webhook;

pub use admin::{AdminConfigFault, admin_outlook};
pub use config::{Bounds, Config, ConfigFault, TlsFiles};
pub use media_worker::{LoneGateway, MediaConfig, MediaConfigFault, MediaFault, media_outlook};
pub use relay::{Finding, RelayFault, TurnConfig, TurnConfigFault, outlook};
pub use serve::{Started, serve, serve_until};
pub use serve_fault::ServeError;
pub use sound::SpeechConfig;
pub use trunk_worker::{TrunkConfig, TrunkConfigFault, TrunkFault};
pub use turn_worker::TurnFault;
pub use webhook::{WebhookConfig, WebhookConfigFault};
pub use {media, model, store, switch, turn};
