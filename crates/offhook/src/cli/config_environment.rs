//! The environment as a place of configuration: its values, and names in it that were meant to be one of ours.
//!
//! Other programs may have `OFFHOOK_…` variables of their own, so only what is nearly a name of ours is refused.

use super::config_fault::Faults;
use super::config_key::keys;

const PREFIX: &str = "OFFHOOK_";

/// The environment of this process.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Notes variables of this process that are misspelt.
pub(crate) fn note_misspelt(faults: &mut Faults) {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    misspelt(names).for_each(|sentence| faults.note(sentence));
}

/// What to say of each name that is nearly one of ours.
fn misspelt(names: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    names
        .filter(|name| keys().all(|key| key.variable != name))
        .filter_map(|name| {
            let meant = nearest(name.strip_prefix(PREFIX)?)?;
            Some(format!(
                "the environment: there is no variable {name}; did you mean {meant}?"
            ))
        })
}

/// The variable that a name was meant to be: a third of its letters may be wrong.
fn nearest(given: &str) -> Option<&'static str> {
    let near = keys().filter_map(|key| {
        let known = key.variable.strip_prefix(PREFIX)?;
        let distance = strsim::levenshtein(given, known);
        (distance <= known.len() / 3).then_some((distance, key.variable))
    });
    near.min().map(|(_, variable)| variable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &str) -> Option<String> {
        misspelt([name.to_owned()].into_iter()).next()
    }

    #[test]
    fn what_is_nearly_a_name_of_ours_is_refused_with_it() {
        for (given, meant) in [
            ("OFFHOOK_LISTN", "OFFHOOK_LISTEN"),
            ("OFFHOOK_DOMAINS", "OFFHOOK_DOMAIN"),
            ("OFFHOOK_RESUME_S", "OFFHOOK_RESUME"),
            ("OFFHOOK_NO_ANSWER_S", "OFFHOOK_NO_ANSWER"),
            ("OFFHOOK_TURN_LISTENS", "OFFHOOK_TURN_LISTEN"),
        ] {
            let said = said(given).unwrap();
            assert!(said.ends_with(&format!("did you mean {meant}?")), "{said}");
        }
    }

    #[test]
    fn names_of_ours_and_names_of_others_are_left_alone() {
        for name in [
            "OFFHOOK_LISTEN",
            "OFFHOOK_TURN",
            "OFFHOOK_CONFIG",
            "OFFHOOK_LOG",
            "OFFHOOK_BENCH_API_KEY",
            "OFFHOOK_BIN",
            "OFFHOOK_SEED",
            "OFFHOOK_SDK",
            "HOOK_LISTN",
        ] {
            assert_eq!(said(name), None, "{name}");
        }
    }
}
