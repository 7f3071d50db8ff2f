//! What must hold between two inputs; the simulator asks after every step.
//!
//! Changes nothing. A sentence that comes back is a bug of ours.

use model::Now;

use crate::effect::Effect;
use crate::shard::Shard;

impl Shard {
    /// Checks everything that must hold; the error says what does not.
    pub fn check(&self, now: Now) -> Result<(), String> {
        if let Some(effect) = self.effects.front() {
            let effect: &Effect = effect;
            return Err(format!("an effect was not drained: {effect:?}"));
        }
        self.check_bindings(now)?;
        self.check_calls(now)?;
        self.check_runs(now)?;
        self.check_counts()
    }

    /// Whether nothing is left: no connection, binding, call or timer.
    pub fn is_at_rest(&self) -> bool {
        self.connections.is_empty()
            && self.location.is_empty()
            && self.calls.is_empty()
            && self.runs.is_empty()
            && self.looks.is_empty()
            && self.conferences.is_empty()
            && self.going.all() == 0
            && self.orphans.is_empty()
            && self.timers.len() == 0
            && self.per_account.is_empty()
            && self.user_agents.is_empty()
    }

    fn check_bindings(&self, now: Now) -> Result<(), String> {
        for account in self.location.accounts() {
            for (client, instances) in self.location.clients(account) {
                for binding in instances.iter() {
                    let connection = binding.connection;
                    if self.is_own(connection) && !self.connections.contains_key(&connection) {
                        return Err(format!(
                            "{client} is bound to {connection:?}, which is gone"
                        ));
                    }
                    if binding.expires <= now.mono {
                        return Err(format!("a binding of {client} has outlived its expiry"));
                    }
                }
            }
        }
        Ok(())
    }

    fn check_calls(&self, now: Now) -> Result<(), String> {
        for (key, call) in &self.calls {
            let has_outcome = call.record().outcome.is_some();
            if call.is_over() != has_outcome {
                return Err(format!("{key:?}: over and outcome do not agree"));
            }
            if call.deadline() <= now.mono {
                return Err(format!("{key:?}: its deadline has passed unnoticed"));
            }
            let is_lost =
                |connection: &model::ConnectionId| !self.connections.contains_key(connection);
            if !call.is_over() && call.connections().iter().any(is_lost) {
                return Err(format!("{key:?} goes on without one of its connections"));
            }
        }
        Ok(())
    }

    fn check_runs(&self, now: Now) -> Result<(), String> {
        let is_there = |key| self.runs.get(&key).is_some_and(|run| !run.is_over());
        self.conferences.check(is_there)?;
        let going = self.runs.values().filter(|run| !run.is_over()).count();
        if self.going.all() != going {
            let counted = self.going.all();
            return Err(format!("{counted} runs are counted, {going} go on"));
        }
        for (key, run) in &self.runs {
            if run.is_over() != run.record().outcome.is_some() {
                return Err(format!("run {key:?}: over and outcome do not agree"));
            }
            if run.deadline() < now.mono {
                return Err(format!("run {key:?}: its deadline has passed unnoticed"));
            }
            let is_lost =
                |connection: &model::ConnectionId| !self.connections.contains_key(connection);
            if !run.is_over() && run.connections().iter().any(is_lost) {
                return Err(format!(
                    "run {key:?} goes on without one of its connections"
                ));
            }
        }
        Ok(())
    }

    fn check_counts(&self) -> Result<(), String> {
        let total: usize = self.per_account.values().sum();
        if total != self.connections.len() {
            return Err(format!(
                "{total} connections are counted, {} known",
                self.connections.len()
            ));
        }
        Ok(())
    }
}
