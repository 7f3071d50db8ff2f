//! Applications: programs elsewhere that say, page by page, what happens to a call.
//!
//! [`page`] reads what they answer, [`script`] runs it, [`dialog`] talks SIP with their callers, and [`run`] holds the three together:
//! one run for each call. Sound is the gateway's and fetching is the shell's: both are asked by effects, and tell by inputs.
//! docs/applications.md says what applications see.

mod action;
mod aside;
mod beginning;
mod bridging;
mod calling;
mod choosing;
mod conference;
mod conferring;
mod connecting;
mod control;
mod dialog;
mod doing;
mod early;
mod entering;
mod failing;
mod few;
mod first_party;
mod going;
mod hearing;
mod instance;
mod inviting;
mod joining;
mod keys;
mod leaving;
mod linking;
mod moving;
mod onward;
mod page;
mod plan;
mod questions;
mod reaching;
mod recording;
mod refer;
mod referring;
mod refreshing;
mod renaming;
mod ringing;
mod run;
mod script;
mod seating;
mod secondary;
mod session_timer;
mod shape;
mod start;
mod starting;
mod steering;
mod streaming;
mod transfer;
mod wanted;

pub(crate) use action::{Connect, Destination};
pub(crate) use conference::Conferences;
pub(crate) use connecting::Called;
pub use control::Control;
pub(crate) use dialog::Dialog;
pub(crate) use going::{Going, TooMany};
pub use instance::{key_of_instance, record_of_instance, shard_of_instance};
pub(crate) use instance::{name as instance_name, run_of};
pub use page::check_page;
pub(crate) use plan::Plan;
pub(crate) use questions::asker;
pub(crate) use refer::{Refer, Replaces, Target};
pub(crate) use run::Run;
pub(crate) use session_timer::Asked;
pub use start::ApplicationState;
pub use starting::StartFault;
pub(crate) use transfer::Course;
