//! A plain HTTP/1.1 client that shows every byte of an answer: one request, one connection.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Ask<'a> {
    method: &'a str,
    target: &'a str,
    headers: Vec<String>,
    body: Vec<u8>,
    /// The length that is announced, if it is not that of the body.
    announced: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

pub(crate) fn get(target: &str) -> Ask<'_> {
    ask("GET", target)
}

pub(crate) fn ask<'a>(method: &'a str, target: &'a str) -> Ask<'a> {
    Ask {
        method,
        target,
        headers: Vec::new(),
        body: Vec::new(),
        announced: None,
    }
}

/// A POST of a body of this type.
pub(crate) fn post<'a>(target: &'a str, content_type: &str, body: impl Into<Vec<u8>>) -> Ask<'a> {
    ask("POST", target).body(content_type, body)
}

pub(crate) fn form<'a>(target: &'a str, body: &str) -> Ask<'a> {
    post(target, "application/x-www-form-urlencoded", body)
}

impl Ask<'_> {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push(format!("{name}: {value}\r\n"));
        self
    }

    /// With a body of this type.
    pub(crate) fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("Content-Type", content_type)
    }

    /// Says that the body is so long, whatever is sent.
    pub(crate) fn announcing(mut self, length: usize) -> Self {
        self.announced = Some(length);
        self
    }

    pub(crate) fn login(self, login: &str, key: &str) -> Self {
        let credentials = STANDARD.encode(format!("{login}:{key}"));
        self.header("Authorization", &format!("Basic {credentials}"))
    }

    pub(crate) async fn send(self, address: SocketAddr) -> Answer {
        self.send_over(TcpStream::connect(address).await.unwrap())
            .await
    }

    pub(crate) async fn send_over(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Answer {
        let mut request = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        request.extend(self.headers.iter().map(String::as_str));
        for (name, value) in [("Host", "ws.example.com"), ("Connection", "close")] {
            let is_given = |header: &String| header.starts_with(&format!("{name}:"));
            if !self.headers.iter().any(is_given) {
                request.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        if self.method == "POST" || self.announced.is_some() || !self.body.is_empty() {
            let length = self.announced.unwrap_or(self.body.len());
            request.push_str(&format!("Content-Length: {length}\r\n"));
        }
        request.push_str("\r\n");
        let mut bytes = request.into_bytes();
        bytes.extend(&self.body);
        // A server that refuses early need not read it all.
        let _ = stream.write_all(&bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        Answer::parse(&String::from_utf8(answer).unwrap())
    }
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no whole answer: {text:?}"));
        let mut lines = head.lines();
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Self {
            status,
            headers,
            body: body.to_owned(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// The code of an error, after checking the shape of the whole.
    pub(crate) fn error_code(&self) -> String {
        let json = self.json();
        let (error, request) = (&json["error"], &json["request"]);
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{self:?}"
        );
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        assert_eq!(
            self.header("access-control-allow-origin"),
            Some("*"),
            "{self:?}"
        );
        assert!(!error["text"].as_str().unwrap().is_empty(), "{self:?}");
        for datetime in [&error["datetime"], &request["datetime"]] {
            assert_datetime(datetime.as_str().unwrap());
        }
        let code = error["code"].as_str().unwrap();
        assert_eq!(
            error["link"],
            format!("/docs/errors#{}", code.replace(' ', "-"))
        );
        assert!(!request["url"].as_str().unwrap().contains('?'), "{self:?}");
        code.to_owned()
    }

    pub(crate) fn error_text(&self) -> String {
        self.json()["error"]["text"].as_str().unwrap().to_owned()
    }
}

/// `YYYY-MM-DD_hh:mm:ss`.
pub(crate) fn assert_datetime(text: &str) {
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000-00-00_00:00:00", "{text}");
}
