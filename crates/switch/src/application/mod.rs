//! Applications: programs elsewhere that say, page by page, what happens to a call.
//!
//! [`page`] reads what they answer, [`script`] runs it, [`dialog`] talks SIP with their callers, and [`run`] holds the three together:
//! one run for each call. Sound is the gateway's and fetching is the shell's: both are asked by effects, and tell by inputs.
//! docs/applications.md says what applications see.

mod action;
mod calling;
mod choosing;
mod conference;
mod conferring;
mod connecting;
mod dialog;
mod doing;
mod entering;
mod few;
mod first_party;
mod going;
mod hearing;
mod instance;
mod inviting;
mod linking;
mod page;
mod plan;
mod reaching;
mod recording;
mod refreshing;
mod run;
mod script;
mod session_timer;
mod shape;
mod start;
mod starting;

pub(crate) use action::Destination;
pub(crate) use conference::Conferences;
pub(crate) use going::{Going, TooMany};
pub use instance::shard_of_instance;
pub use page::check_page;
pub(crate) use plan::Plan;
pub(crate) use run::Run;
pub(crate) use session_timer::Asked;
pub use start::ApplicationState;
pub use starting::StartFault;
