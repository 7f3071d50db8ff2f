//! How it stands with the trunks, in the log: one line for each change, in plain words.
//!
//! Never decides what is wrong; that the lines know, and whoever connects.

use std::net::SocketAddr;

use model::Trunk;
use switch::trunk::{LineState, NameFault};

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Something is right again.
    Good(String),
    /// Something is wrong.
    Bad(String),
}

impl Word {
    pub(super) fn log(&self) {
        match self {
            Self::Good(text) => tracing::info!("{text}"),
            Self::Bad(text) => tracing::warn!("{text}"),
        }
    }
}

/// What is another about a trunk. `before` is nothing at its start, when what is right is as expected.
pub(super) fn changes(trunk: &Trunk, before: Option<LineState>, now: LineState) -> Vec<Word> {
    let name = &trunk.name;
    let mut words = Vec::new();
    let was = before.map(|before| before.peer);
    match (was, now.peer) {
        (Some(was), is) if was == is => {}
        // Its names are being resolved, as at each start.
        (None, None) if now.name.is_some() => {}
        (Some(Some(_)) | None, None) => {
            words.push(Word::Bad(format!(
                "trunk {name}: none of its peers is there{}; calls to it are refused until one is",
                status(now.refused)
            )));
        }
        (Some(Some(was)), Some(is)) => {
            words.push(Word::Bad(format!(
                "trunk {name}: {is} is used now, and not {was}"
            )));
        }
        (Some(None), Some(is)) => {
            words.push(Word::Good(format!("trunk {name}: the peer {is} is there")));
        }
        (None, Some(_)) | (Some(None), None) => {}
    }
    let refused = |state: LineState| state.refused.filter(|_| state.is_registered == Some(false));
    let was_registered = before.and_then(|before| before.is_registered);
    match now.is_registered {
        Some(true) if was_registered != Some(true) => {
            words.push(Word::Good(format!("trunk {name} is registered")));
        }
        Some(false) => {
            let is_news = was_registered == Some(true) || before.and_then(refused) != now.refused;
            if is_news && let Some(code) = now.refused.filter(|_| now.peer.is_some()) {
                let why = match code {
                    408 => "nobody answers".to_owned(),
                    503 => {
                        "the registrar cannot be reached, or says that it cannot (503)".to_owned()
                    }
                    401 | 403 | 407 => format!("{code}: are user and password right?"),
                    _ => format!("{code}"),
                };
                words.push(Word::Bad(format!(
                    "trunk {name} is not registered: {why}; it is tried again"
                )));
            }
        }
        Some(true) | None => {}
    }
    match (before.and_then(|before| before.name), now.name) {
        (was, is) if was == is => {}
        (_, Some((_, NameFault::NotYet))) => {}
        (_, Some(_)) => {
            let sentence = of_name(trunk, now);
            let word = |sentence| Word::Bad(format!("trunk {name}: {sentence}"));
            words.extend(sentence.map(word));
        }
        (Some((_, NameFault::NotYet)) | None, None) => {}
        (Some(_), None) => words.push(Word::Good(format!(
            "trunk {name}: DNS says again where its peers are"
        ))),
    }
    words
}

/// What stands against a name of a trunk's, in words.
pub(super) fn of_name(trunk: &Trunk, state: LineState) -> Option<String> {
    let (place, fault) = state.name?;
    let name = trunk.places.get(place)?;
    let then = match trunk.peers.is_empty() {
        true => "calls to it are refused until there is one",
        false => "the addresses that are known are used",
    };
    Some(format!("{name} has no address: {fault}; {then}"))
}

fn status(refused: Option<u16>) -> String {
    match refused {
        Some(408) => " (no answer to OPTIONS)".to_owned(),
        Some(code) => format!(" ({code})"),
        None => String::new(),
    }
}

/// What stands against the connections of one trunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Trouble(Option<(SocketAddr, String)>);

impl Trouble {
    /// The sentence, if there is trouble.
    pub(super) fn sentence(&self) -> Option<String> {
        let (to, why) = self.0.as_ref()?;
        Some(format!("no connection to {to}: {why}"))
    }

    /// A connection could not be made; something to log unless the same is known.
    pub(super) fn fails(&mut self, trunk: &Trunk, to: SocketAddr, why: &str) -> Option<Word> {
        let known = (to, why.to_owned());
        if self.0.as_ref() == Some(&known) {
            return None;
        }
        self.0 = Some(known);
        let sentence = self.sentence()?;
        Some(Word::Bad(format!("trunk {}: {sentence}", trunk.name)))
    }

    /// One is open.
    pub(super) fn ends(&mut self, trunk: &Trunk, to: SocketAddr) -> Option<Word> {
        self.0.take_if(|(known, _)| *known == to)?;
        Some(Word::Good(format!(
            "trunk {}: there is a connection to {to} again",
            trunk.name
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::trunk;
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn state(peer: Option<&str>, is_registered: Option<bool>, refused: Option<u16>) -> LineState {
        LineState {
            peer: peer.map(at),
            is_registered,
            refused,
            name: None,
        }
    }

    #[test]
    fn each_change_is_told_once_and_what_is_right_at_the_start_is_not() {
        let (a, b) = ("192.0.2.1:5060", "192.0.2.2:5060");
        let trunk = trunk("provider", &[a, b]);
        let told = |before, now| match &changes(&trunk, before, now)[..] {
            [] => None,
            [Word::Good(text)] => Some((true, text.clone())),
            [Word::Bad(text)] => Some((false, text.clone())),
            more => panic!("{more:?}"),
        };
        let up = state(Some(a), None, None);
        let down = state(None, None, Some(408));
        assert_eq!(told(None, up), None);
        assert_eq!(told(Some(up), up), None);
        let (is_good, text) = told(Some(up), down).unwrap();
        assert!(!is_good);
        assert_eq!(
            text,
            "trunk provider: none of its peers is there (no answer to OPTIONS); calls to it are refused until one is"
        );
        let (is_good, text) = told(Some(down), up).unwrap();
        assert!(
            is_good && text.ends_with("the peer 192.0.2.1:5060 is there"),
            "{text}"
        );
        let (_, text) = told(Some(up), state(Some(b), None, Some(503))).unwrap();
        assert!(
            text.ends_with("192.0.2.2:5060 is used now, and not 192.0.2.1:5060"),
            "{text}"
        );
    }

    #[test]
    fn registrations_that_are_refused_and_taken_are_told() {
        let a = "192.0.2.1:5060";
        let trunk = trunk("provider", &[a]);
        let trying = state(Some(a), Some(false), None);
        let refused = state(Some(a), Some(false), Some(403));
        let registered = state(Some(a), Some(true), None);
        assert_eq!(changes(&trunk, None, trying), []);
        let told = |before, now| changes(&trunk, Some(before), now);
        let [Word::Bad(text)] = &told(trying, refused)[..] else {
            panic!()
        };
        assert_eq!(
            text,
            "trunk provider is not registered: 403: are user and password right?; it is tried again"
        );
        assert_eq!(told(refused, refused), []);
        let good = Word::Good("trunk provider is registered".to_owned());
        assert_eq!(told(refused, registered), [good]);
        assert!(matches!(&told(registered, refused)[..], [Word::Bad(_)]));
    }

    #[test]
    fn the_same_trouble_is_told_once() {
        let (a, b) = (at("192.0.2.1:5061"), at("192.0.2.2:5061"));
        let trunk = trunk("provider", &[]);
        let mut trouble = Trouble::default();
        let word = trouble.fails(&trunk, a, "TLS fails").unwrap();
        let told = "trunk provider: no connection to 192.0.2.1:5061: TLS fails";
        assert_eq!(word, Word::Bad(told.to_owned()));
        assert_eq!(trouble.fails(&trunk, a, "TLS fails"), None);
        assert_eq!(trouble.ends(&trunk, b), None);
        assert!(trouble.sentence().is_some());
        assert!(matches!(trouble.ends(&trunk, a), Some(Word::Good(_))));
        assert_eq!(trouble.ends(&trunk, a), None);
        assert_eq!(trouble.sentence(), None);
    }
}
