//! Applications of the world: pages that answer as they were told to, slowly, wrongly or not at all.
//!
//! Knows what it was asked, so that scenarios can look at it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use model::{PageAnswer, PageRequest, SoundAnswer, SoundRequest, SoundSource};
use serde_json::Value;

use crate::clock::{MILLI, SECOND};

/// How a page answers.
#[derive(Clone, Debug)]
pub enum Manner {
    /// With these actions.
    Actions(Value),
    /// With this, whatever it is.
    Body(u16, Vec<u8>),
    /// It is not there.
    Gone,
    /// With these actions, so many microseconds later.
    Slowly(u64, Value),
}

/// What a page was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// When.
    pub at: u64,
    /// Which.
    pub url: String,
    /// What it was told.
    pub instance: Value,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Webhooks {
    /// By address: the answers in turn; the last one again and again.
    pages: BTreeMap<String, VecDeque<Manner>>,
    /// Everything that was asked.
    pub asked: Vec<Asked>,
    /// Files that are not there.
    pub lost_files: Vec<String>,
    /// Whether texts can be spoken.
    pub is_mute: bool,
}

impl Webhooks {
    /// Lets a page answer so from now on, after what was said before.
    pub fn answer(&mut self, url: &str, manner: Manner) {
        self.pages
            .entry(url.to_owned())
            .or_default()
            .push_back(manner);
    }

    /// Lets a page answer so from now on, whatever was said before.
    pub fn replace(&mut self, url: &str, manners: VecDeque<Manner>) {
        self.pages.insert(url.to_owned(), manners);
    }

    /// The answer, and how long it takes.
    pub fn ask(&mut self, now: u64, request: &PageRequest) -> (u64, PageAnswer) {
        let url = request.page.url.to_string();
        let instance =
            serde_json::from_str(&request.instance).expect("an instance is told as JSON");
        self.asked.push(Asked {
            at: now,
            url: url.clone(),
            instance,
        });
        let answers = |actions: &Value| PageAnswer::Answered {
            status: 200,
            body: serde_json::json!({ "actions": actions, "token": "t", "api_version": "2.0" })
                .to_string()
                .into_bytes(),
        };
        let Some(manners) = self.pages.get_mut(&url) else {
            return (
                10 * MILLI,
                PageAnswer::Answered {
                    status: 404,
                    body: Vec::new(),
                },
            );
        };
        let manner = match manners.len() {
            1 => manners[0].clone(),
            _ => manners.pop_front().unwrap_or(Manner::Gone),
        };
        match manner {
            Manner::Actions(actions) => (10 * MILLI, answers(&actions)),
            Manner::Body(status, body) => (10 * MILLI, PageAnswer::Answered { status, body }),
            Manner::Gone => {
                let why = format!("the application at {url} did not answer within 5 s");
                (5 * SECOND, PageAnswer::Failed(why))
            }
            Manner::Slowly(after, actions) => (after, answers(&actions)),
        }
    }

    /// A sound, and how long it takes.
    pub fn bring(&self, request: &SoundRequest) -> (u64, SoundAnswer) {
        let bytes: Arc<[u8]> = Arc::from(&b"RIFF"[..]);
        match &request.source {
            SoundSource::File(name) if self.lost_files.iter().any(|lost| lost == name.as_str()) => {
                (MILLI, Err(format!("there is no file {name}")))
            }
            SoundSource::File(_) => (MILLI, Ok(bytes)),
            SoundSource::Speech { .. } if self.is_mute => (
                MILLI,
                Err("nothing turns texts into speech here".to_owned()),
            ),
            SoundSource::Speech { .. } => (100 * MILLI, Ok(bytes)),
        }
    }

    /// What a page was told, each time that it was asked.
    pub fn told(&self, url: &str) -> Vec<&Value> {
        let of_it = self.asked.iter().filter(|asked| asked.url == url);
        of_it.map(|asked| &asked.instance).collect()
    }
}
