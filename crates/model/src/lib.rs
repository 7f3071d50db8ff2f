//! The words of offhook: what the other crates talk about.
//!
//! Time, names, the directory of accounts and their keys, call records, and every bound of the product.
//! This crate never performs I/O, never reads a clock, and depends on no other crate of the project.

mod application;
mod directory;
mod id;
pub mod limits;
pub mod media;
mod peer;
mod record;
mod revocation;
mod service;
mod time;
mod trunk;

pub use application::{
    Application, InvalidSecret, Page, PageAnswer, PageMethod, PageRequest, QuestionId, SoundAnswer,
    SoundRequest, SoundSource, Start, Then,
};
pub use directory::{
    Account, AccountKind, Algorithm, ApiKeyHash, Directory, SecretBytes, SigningKeyRow, TokenLimit,
};
pub use id::{
    AccountId, CallPattern, ClientId, CloudId, ConnectionId, FileName, InvalidName, Login,
    NodeNumber, PageUrl, RecordId, ServiceName, TrunkName, Username, WebRtcAccessKey,
};
pub use peer::{InvalidPeerName, PeerName, PeerPlace};
pub use record::{CallOutcome, CallRecord, Callee, Caller, EndedBy, RelayTraffic, RelayUsage};
pub use revocation::{Revocation, Revocations, Revoked, Standing, TokenId};
pub use service::{ClientGroup, InvalidGroup, RingOrder, Service, ServiceCallers, ServiceTarget};
pub use time::{Instant, Now, UnixTime};
pub use trunk::{
    InvalidNumber, InvalidTrunk, Number, NumberPattern, Trunk, TrunkLogin, TrunkMedia,
    TrunkTransfer, TrunkTransport,
};
