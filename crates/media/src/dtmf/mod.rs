//! Keys of telephones: as events in RTP (RFC 4733) and as pairs of tones (ITU-T Q.23, Q.24).
//!
//! Never decides what a digit means.

mod audible;
mod event;
mod reader;
mod writer;

pub use audible::{Detector, digit_tone};
pub use event::TelephoneEvent;
pub use reader::{EventReader, Heard};
pub use writer::{EventPacket, EventWriter};
