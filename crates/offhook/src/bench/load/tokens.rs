//! Tokens for the clients, from the web service of the server, before anything is measured; and the measurement of that web
//! service itself.

use std::collections::HashMap;
use std::io;
use std::time::Instant;

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::course::Course;
use super::frame::{Framing, head_len};
use super::swarm::{Actor, Next, Outbox, Swarm};
use super::target::Target;

/// Connections by which tokens are taken.
const LANES: usize = 16;
/// Longest life that the web service gives.
const TTL_S: u32 = 86_400;

/// Who may ask for tokens.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) api_key: String,
}

impl Login {
    /// The request for a token of this client, who may call everybody.
    pub(super) fn request(&self, target: &Target, client: &str) -> String {
        let login = STANDARD.encode(format!("{}:{}", self.user, self.api_key));
        let host = &target.host;
        format!(
            "GET /webrtc_generate_token?client_id={client}&call_client=*&ttl={TTL_S} HTTP/1.1\r\nHost: {host}\r\n\
             Authorization: Basic {login}\r\n\r\n"
        )
    }
}

/// One token for each of these clients, in their order.
pub(super) fn fetch(
    target: &Target,
    login: &Login,
    clients: &[String],
) -> anyhow::Result<Vec<String>> {
    let mut swarm = Swarm::new(target, Framing::Http, LANES)?;
    let mut fetcher = Fetcher {
        requests: clients
            .iter()
            .map(|client| login.request(target, client))
            .collect(),
        asked: 0,
        under_way: HashMap::new(),
        tokens: vec![String::new(); clients.len()],
        left: clients.len(),
        fault: None,
        is_begun: false,
    };
    swarm.run(&mut fetcher)?;
    match fetcher.fault {
        Some(fault) => Err(fault),
        None => Ok(fetcher.tokens),
    }
}

struct Fetcher {
    requests: Vec<String>,
    asked: usize,
    /// Whose token the connection waits for.
    under_way: HashMap<usize, usize>,
    tokens: Vec<String>,
    left: usize,
    fault: Option<anyhow::Error>,
    is_begun: bool,
}

impl Fetcher {
    fn ask(&mut self, outbox: &mut Outbox, at: usize) {
        if let Some(request) = self.requests.get(self.asked) {
            outbox.send(at, request.as_bytes());
            self.under_way.insert(at, self.asked);
            self.asked += 1;
        }
    }
}

impl Actor for Fetcher {
    fn opened(&mut self, _: &mut Outbox, _: usize) {}

    fn message(&mut self, outbox: &mut Outbox, at: usize, message: &[u8]) {
        let Some(client) = self.under_way.remove(&at) else {
            return;
        };
        match token_in(message) {
            Ok(token) => self.tokens[client] = token,
            Err(fault) => self.fault = Some(fault),
        }
        self.left -= 1;
        self.ask(outbox, at);
    }

    fn lost(&mut self, _: &mut Outbox, _: usize, why: &io::Error) {
        self.fault = Some(anyhow!("the connection for tokens broke: {why}"));
    }

    fn turn(&mut self, outbox: &mut Outbox, _: Instant) -> Next {
        if !std::mem::replace(&mut self.is_begun, true) {
            for at in 0..LANES {
                outbox.open(at);
                self.ask(outbox, at);
            }
        }
        if self.left == 0 || self.fault.is_some() {
            Next::Done
        } else {
            Next::Message
        }
    }
}

fn token_in(answer: &[u8]) -> anyhow::Result<String> {
    let head = head_len(answer).unwrap_or(answer.len());
    let body = &answer[head..];
    let object: Value = serde_json::from_slice(body).context("the web service answered no JSON")?;
    if let Some(token) = object["token"].as_str() {
        return Ok(token.to_owned());
    }
    let text = object["error"]["text"]
        .as_str()
        .unwrap_or("without a token");
    Err(anyhow!("the web service answered: {text}"))
}

/// Asks for tokens as fast as it goes.
pub(super) struct TokenLoad {
    request: String,
    course: Course,
    idle: Vec<usize>,
    since: Vec<Option<Instant>>,
    is_begun: bool,
}

impl TokenLoad {
    pub(super) fn new(request: String, connections: usize, course: Course) -> Self {
        Self {
            request,
            course,
            idle: (0..connections).rev().collect(),
            since: vec![None; connections],
            is_begun: false,
        }
    }

    pub(super) fn into_course(self) -> Course {
        self.course
    }
}

impl Actor for TokenLoad {
    fn opened(&mut self, _: &mut Outbox, _: usize) {}

    fn message(&mut self, _: &mut Outbox, at: usize, message: &[u8]) {
        let Some(since) = self.since[at].take() else {
            return;
        };
        self.idle.push(at);
        if message.starts_with(b"HTTP/1.1 200 ") {
            self.course.done(since);
        } else {
            let line = message
                .split(|byte| *byte == b'\r')
                .next()
                .unwrap_or_default();
            self.course
                .failed(String::from_utf8_lossy(line).into_owned());
        }
    }

    fn lost(&mut self, outbox: &mut Outbox, at: usize, why: &io::Error) {
        if self.since[at].take().is_some() {
            self.course.failed(why.to_string());
            self.idle.push(at);
        }
        outbox.open(at);
    }

    fn turn(&mut self, outbox: &mut Outbox, now: Instant) -> Next {
        if !std::mem::replace(&mut self.is_begun, true) {
            (0..self.since.len()).for_each(|at| outbox.open(at));
            return Next::Message;
        }
        while let Some(at) = self.idle.pop() {
            let Some(since) = self.course.start(now) else {
                self.idle.push(at);
                break;
            };
            self.since[at] = Some(since);
            outbox.send(at, self.request.as_bytes());
        }
        self.course.next(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_or_the_words_of_the_refusal_are_found() {
        let answer = |body: &str| token_in(format!("HTTP/1.1 200 OK\r\n\r\n{body}").as_bytes());
        assert_eq!(answer(r#"{"token":"e.y.J"}"#).unwrap(), "e.y.J");
        let refused = answer(r#"{"error":{"code":"0002","text":"no such client"}}"#);
        assert!(refused.unwrap_err().to_string().contains("no such client"));
    }
}
