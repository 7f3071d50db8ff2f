//! A script whose party has gone and left its place to another: what is being done goes on with that one.
//!
//! Whatever was being heard or said ends with the old leg, which the gateway tells as for any other.

use model::Instant;
use model::media::LegId;
use serde_json::Value;

use super::doing::Doing;
use super::script::Script;

impl Script {
    /// From now on its leg is this.
    pub(super) fn move_to(&mut self, now: Instant, leg: LegId) {
        self.leg = leg;
        self.typed.clear();
        match &self.doing {
            Doing::Conferring(_) => self.enter_room(false),
            Doing::Streaming(_) => self.tell_streamed(now, "transferred", Value::Null),
            Doing::Nothing
            | Doing::Asking { .. }
            | Doing::Answering(_)
            | Doing::Playing(_)
            | Doing::Recording { .. }
            | Doing::Entering(_)
            | Doing::Choosing(_)
            | Doing::Sleeping { .. }
            | Doing::Connecting { .. }
            | Doing::Keeping { .. } => {}
        }
    }
}
