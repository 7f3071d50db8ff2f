//! The control protocol of rtpengine (`ng`), as far as a measurement needs it: a message is a cookie, a space and a dictionary,
//! one in each UDP datagram.
//!
//! Never waits longer for an answer than is said here.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, anyhow};

use super::bencode::{Dictionary, Value};

/// A message is no longer than a datagram.
pub(super) const DATAGRAM: usize = 65_536;
/// How long an answer may take before the question is asked again, and how often that is done.
const PATIENCE: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 3;

/// A media gateway that is told what to do.
pub(super) struct Control {
    socket: UdpSocket,
    asked: u64,
}

impl Control {
    pub(super) fn new(gateway: SocketAddr) -> anyhow::Result<Self> {
        let any = SocketAddr::new(gateway.ip(), 0);
        let socket = UdpSocket::bind(any)
            .or_else(|_| UdpSocket::bind("0.0.0.0:0"))
            .context("no socket can be opened")?;
        socket.connect(gateway)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, asked: 0 })
    }

    /// Asks, and gives what was answered; an error is what the gateway says against it.
    pub(super) fn ask(&mut self, command: &str, more: Dictionary) -> anyhow::Result<Dictionary> {
        self.asked += 1;
        let cookie = format!("{}-{}", std::process::id(), self.asked);
        let mut entries = more;
        entries.insert("command".to_owned(), Value::text(command));
        let message = message(&cookie, entries);
        let mut bytes = vec![0; DATAGRAM];
        for _ in 0..ATTEMPTS {
            self.socket
                .send(&message)
                .context("the media gateway cannot be asked")?;
            // An answer to an earlier question is passed over.
            while let Ok(length) = self.socket.recv(&mut bytes) {
                let Some((of, answer)) = read(&bytes[..length]) else {
                    continue;
                };
                if of == cookie {
                    return checked(command, answer);
                }
            }
        }
        Err(anyhow!(
            "the media gateway does not answer: does it speak the ng protocol there?"
        ))
    }
}

fn checked(command: &str, answer: Dictionary) -> anyhow::Result<Dictionary> {
    match word(&answer, "result") {
        Some("ok" | "pong") => Ok(answer),
        Some(_) | None => Err(anyhow!(
            "the media gateway does not do `{command}`: {}",
            word(&answer, "error-reason").unwrap_or("it does not say why")
        )),
    }
}

/// A text of a dictionary.
pub(super) fn word<'a>(entries: &'a Dictionary, key: &str) -> Option<&'a str> {
    match entries.get(key)? {
        Value::Text(text) => Some(text),
        Value::Number(_) | Value::List(_) | Value::Dictionary(_) => None,
    }
}

/// A message as it goes on the wire.
pub(super) fn message(cookie: &str, entries: Dictionary) -> Vec<u8> {
    let mut bytes = format!("{cookie} ").into_bytes();
    Value::Dictionary(entries).write(&mut bytes);
    bytes
}

/// The cookie and the dictionary.
pub(super) fn read(bytes: &[u8]) -> Option<(&str, Dictionary)> {
    let end = bytes.iter().position(|byte| *byte == b' ')?;
    let cookie = std::str::from_utf8(&bytes[..end]).ok()?;
    match Value::read(&bytes[end + 1..])? {
        Value::Dictionary(entries) => Some((cookie, entries)),
        Value::Number(_) | Value::Text(_) | Value::List(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_a_cookie_and_a_dictionary() {
        let entries = Dictionary::from([("result".to_owned(), Value::text("ok"))]);
        let bytes = message("7-1", entries.clone());
        assert_eq!(bytes, b"7-1 d6:result2:oke");
        assert_eq!(read(&bytes), Some(("7-1", entries)));
        assert_eq!(read(b"7-1"), None);
        assert_eq!(read(b"7-1 i1e"), None);
    }

    #[test]
    fn a_refusal_is_told_with_its_reason() {
        let refused = Dictionary::from([
            ("result".to_owned(), Value::text("error")),
            ("error-reason".to_owned(), Value::text("no ports")),
        ]);
        let sentence = checked("offer", refused).unwrap_err().to_string();
        assert_eq!(sentence, "the media gateway does not do `offer`: no ports");
    }
}
