//! A client that sends exactly what it is told and keeps what it gets: for scenarios that no browser would play.

use crate::browser::{Deed, Happening};

/// A request to be written, row by row.
#[derive(Clone, Debug)]
pub struct Draft {
    method: String,
    uri: String,
    via_host: String,
    branch: String,
    from: String,
    to: String,
    call_id: String,
    cseq: u32,
    rows: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Draft {
    /// A request with everything that RFC 3261 §8.1.1 wants.
    pub fn new(method: &str, uri: &str, from: &str, to: &str, number: u64) -> Self {
        Self {
            method: method.to_owned(),
            uri: uri.to_owned(),
            via_host: "raw.invalid".to_owned(),
            branch: format!("z9hG4bKraw{number}"),
            from: from.to_owned(),
            to: to.to_owned(),
            call_id: format!("raw{number}"),
            cseq: 1,
            rows: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Under another Call-ID.
    pub fn call_id(mut self, call_id: &str) -> Self {
        call_id.clone_into(&mut self.call_id);
        self
    }

    /// With another number.
    pub fn cseq(mut self, cseq: u32) -> Self {
        self.cseq = cseq;
        self
    }

    /// In another transaction.
    pub fn branch(mut self, branch: &str) -> Self {
        branch.clone_into(&mut self.branch);
        self
    }

    /// From another user agent.
    pub fn via_host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.via_host);
        self
    }

    /// A request inside the dialog that this one has made, without its own rows; `to` is that of the answer.
    pub fn inside(mut self, method: &str, to: &str, cseq: u32) -> Self {
        method.clone_into(&mut self.method);
        to.clone_into(&mut self.to);
        self.cseq = cseq;
        self.branch = format!("{}-{cseq}", self.branch);
        self.rows.clear();
        self.body.clear();
        self
    }

    /// With one more row.
    pub fn row(mut self, name: &str, value: &str) -> Self {
        self.rows.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a token.
    pub fn token(self, token: &str) -> Self {
        self.row("Authorization", &format!("Bearer {token}"))
    }

    /// With a body.
    pub fn body(mut self, kind: &str, body: &str) -> Self {
        self.body = body.as_bytes().to_vec();
        self.row("Content-Type", kind)
    }

    /// The message.
    pub fn finish(&self) -> Vec<u8> {
        let mut text = format!(
            "{} {} SIP/2.0\r\nVia: SIP/2.0/WSS {};branch={}\r\nTo: {}\r\nFrom: {}\r\nCSeq: {} {}\r\nCall-ID: {}\r\n\
             Max-Forwards: 70\r\n",
            self.method,
            self.uri,
            self.via_host,
            self.branch,
            self.to,
            self.from,
            self.cseq,
            self.method,
            self.call_id
        );
        for (name, value) in &self.rows {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// A client that decides nothing.
#[derive(Debug, Default)]
pub struct Raw {
    /// What came in, and when.
    pub inbox: Vec<(u64, Vec<u8>)>,
    /// Whether its WebSocket is open.
    pub is_open: bool,
    deeds: Vec<Deed>,
}

impl Raw {
    /// Opens a WebSocket.
    pub fn open(&mut self) {
        self.deeds.push(Deed::Open);
    }

    /// Opens one that speaks the extension.
    pub fn open_resumable(&mut self) {
        self.deeds.push(Deed::OpenResumable);
    }

    /// Sends a text frame.
    pub fn send(&mut self, frame: impl Into<Vec<u8>>) {
        self.deeds.push(Deed::Send(frame.into()));
    }

    /// Closes the WebSocket.
    pub fn close(&mut self) {
        self.is_open = false;
        self.deeds.push(Deed::Close);
    }

    /// Something happened.
    pub fn handle(&mut self, now: u64, what: Happening<'_>) {
        match what {
            Happening::Opened => self.is_open = true,
            Happening::Refused | Happening::Lost => self.is_open = false,
            Happening::Frame(frame) => self.inbox.push((now, frame.to_vec())),
            Happening::Timeout => {}
        }
    }

    /// The next thing to do.
    pub fn poll_deed(&mut self) -> Option<Deed> {
        (!self.deeds.is_empty()).then(|| self.deeds.remove(0))
    }

    /// What came in, as text, oldest first.
    pub fn texts(&self) -> Vec<String> {
        self.inbox
            .iter()
            .map(|(_, frame)| String::from_utf8_lossy(frame).into_owned())
            .collect()
    }

    /// The last message that begins so.
    pub fn last(&self, start: &str) -> Option<String> {
        self.texts()
            .into_iter()
            .rev()
            .find(|text| text.starts_with(start))
    }

    /// How many messages begin so.
    pub fn count(&self, start: &str) -> usize {
        self.texts()
            .iter()
            .filter(|text| text.starts_with(start))
            .count()
    }
}

/// The value of the first row of this name in a message.
pub fn row<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.split("\r\n").skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The `tag` of a To or From row.
pub fn tag<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let value = row(message, name)?;
    let (_, behind) = value.split_once(";tag=")?;
    behind.split(';').next()
}

/// The `branch` of the first Via.
pub fn branch(message: &str) -> Option<&str> {
    let (_, behind) = row(message, "Via")?.split_once("branch=")?;
    behind.split([';', ',']).next()
}
