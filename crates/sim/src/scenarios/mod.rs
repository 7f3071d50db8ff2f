//! Named scenarios: what must happen in one situation, exactly. Each is a test, and each can be drawn as a ladder.
//!
//! A feature begins here. A scenario asserts outcomes that a client or an operator can see; the checks of the world run
//! beside it after every step, and at the end nothing may be left.

mod application;
mod application_media;
mod cancel;
mod conference;
mod connecting;
mod connection;
mod control;
mod crowd;
mod dialog;
mod hangup;
mod identity;
mod instance;
mod interrupt;
mod limit;
mod loss;
mod nat;
mod odd;
mod operator;
mod permission;
mod registration;
mod relay;
mod resume;
mod resume_expiry;
mod resume_sweep;
mod resume_wait;
mod revoking;
mod secondary;
mod service;
mod setup;
mod sounding;
mod stage;
mod starting;
mod streaming;
mod sweep;
mod thief;
mod token;
mod trunk;
mod trunk_early;
mod trunk_name;
mod trunk_session;
mod trunk_transfer;

pub use stage::Stage;

/// A situation and what must come of it.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// One sentence.
    pub story: &'static str,
    /// Plays it; panics where something else happens.
    pub play: fn(&mut Stage),
}

/// Every scenario, by theme.
pub fn all() -> Vec<Scenario> {
    [
        registration::ALL,
        token::ALL,
        instance::ALL,
        connection::ALL,
        crowd::ALL,
        permission::ALL,
        setup::ALL,
        service::ALL,
        application::ALL,
        application_media::ALL,
        sounding::ALL,
        connecting::ALL,
        secondary::ALL,
        conference::ALL,
        interrupt::ALL,
        starting::ALL,
        control::ALL,
        streaming::ALL,
        cancel::ALL,
        hangup::ALL,
        identity::ALL,
        dialog::ALL,
        loss::ALL,
        odd::ALL,
        limit::ALL,
        operator::ALL,
        sweep::ALL,
        resume_sweep::ALL,
        resume::ALL,
        resume_wait::ALL,
        revoking::ALL,
        resume_expiry::ALL,
        nat::ALL,
        relay::ALL,
        thief::ALL,
        trunk::ALL,
        trunk_early::ALL,
        trunk_name::ALL,
        trunk_session::ALL,
        trunk_transfer::ALL,
    ]
    .concat()
}

/// The scenario of a name.
pub fn find(name: &str) -> Option<Scenario> {
    all().into_iter().find(|scenario| scenario.name == name)
}

/// Names scenarios and makes each a test.
macro_rules! scenarios {
    ($($name:ident: $story:literal,)+) => {
        pub(super) const ALL: &[crate::scenarios::Scenario] = &[
            $(crate::scenarios::Scenario { name: stringify!($name), story: $story, play: $name },)+
        ];

        #[cfg(test)]
        mod tests {
            $(
                #[test]
                fn $name() {
                    let mut stage = crate::scenarios::Stage::new();
                    super::$name(&mut stage);
                    stage.ends();
                }
            )+
        }
    };
}
pub(crate) use scenarios;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Plan;

    /// What a loss comes to is another story with sessions that outlive it.
    const STORIES_OF_LOSSES: [&str; 13] = [
        "ring_all_caller_is_lost",
        "ring_all_one_is_lost",
        "ring_all_all_are_lost",
        "in_order_lost",
        "the_server_stops",
        "silent_client_is_lost",
        "falls_back",
        "comes_back",
        "caller_that_comes_back",
        "callee_that_repeats_its_answer",
        "server_stops",
        "server_restarts",
        "server_is_killed",
    ];

    #[test]
    fn what_holds_for_plain_pages_holds_for_pages_that_resume() {
        let themes = [
            registration::ALL,
            token::ALL,
            instance::ALL,
            connection::ALL,
            permission::ALL,
            setup::ALL,
            service::ALL,
            cancel::ALL,
            hangup::ALL,
            dialog::ALL,
            odd::ALL,
            limit::ALL,
            operator::ALL,
        ];
        for scenario in themes.concat() {
            if STORIES_OF_LOSSES.contains(&scenario.name) {
                continue;
            }
            let mut stage = Stage::of(&Plan {
                resumes: true,
                ..Plan::default()
            });
            stage.title = format!("{}: ", scenario.name);
            (scenario.play)(&mut stage);
            stage.ends();
        }
    }

    #[test]
    fn no_two_scenarios_have_one_name() {
        let names: Vec<_> = all().iter().map(|scenario| scenario.name).collect();
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
    }
}
