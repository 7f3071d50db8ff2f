//! Bencode, as far as the control protocol of rtpengine (`ng`) speaks it: texts, numbers, lists, dictionaries.
//!
//! Any bytes are read or refused; never deeper than the protocol goes.

use std::collections::BTreeMap;

/// How deep lists and dictionaries may lie in each other.
const DEPTH: usize = 16;

/// A dictionary: its keys are in order, as bencode wants them.
pub(super) type Dictionary = BTreeMap<String, Value>;

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Number(i64),
    Text(String),
    List(Vec<Self>),
    Dictionary(Dictionary),
}

impl Value {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub(super) fn texts(texts: &[&str]) -> Self {
        Self::List(texts.iter().map(|text| Self::text(text)).collect())
    }

    /// Appends it as it goes on the wire.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Number(number) => out.extend(format!("i{number}e").as_bytes()),
            Self::Text(text) => write_text(text, out),
            Self::List(values) => {
                out.push(b'l');
                values.iter().for_each(|value| value.write(out));
                out.push(b'e');
            }
            Self::Dictionary(entries) => {
                out.push(b'd');
                for (key, value) in entries {
                    write_text(key, out);
                    value.write(out);
                }
                out.push(b'e');
            }
        }
    }

    /// Reads a whole value and nothing behind it.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let value = reader.value(DEPTH)?;
        reader.0.is_empty().then_some(value)
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend(format!("{}:", text.len()).as_bytes());
    out.extend(text.as_bytes());
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Option<Value> {
        let deeper = depth.checked_sub(1)?;
        match self.0.first()? {
            b'i' => {
                self.take(1)?;
                self.number(b'e').map(Value::Number)
            }
            b'l' => {
                self.take(1)?;
                let mut values = Vec::new();
                while !self.is_end()? {
                    values.push(self.value(deeper)?);
                }
                Some(Value::List(values))
            }
            b'd' => {
                self.take(1)?;
                let mut entries = Dictionary::new();
                while !self.is_end()? {
                    let key = self.text()?;
                    entries.insert(key, self.value(deeper)?);
                }
                Some(Value::Dictionary(entries))
            }
            _ => self.text().map(Value::Text),
        }
    }

    /// Whether an `e` is next, which is taken.
    fn is_end(&mut self) -> Option<bool> {
        let is_end = *self.0.first()? == b'e';
        if is_end {
            self.take(1)?;
        }
        Some(is_end)
    }

    /// A text; bytes that are none are replaced.
    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number(b':')?).ok()?;
        Some(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn number(&mut self, end: u8) -> Option<i64> {
        let length = self.0.iter().position(|byte| *byte == end)?;
        let digits = std::str::from_utf8(self.take(length)?).ok()?;
        self.take(1)?;
        digits.parse().ok()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(length)?;
        self.0 = left;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let entries = [
            ("command", Value::text("offer")),
            ("flags", Value::texts(&["a", ""])),
            ("count", Value::Number(-3)),
            ("sdp", Value::text("v=0\r\n")),
        ];
        let entries = entries.map(|(key, value)| (key.to_owned(), value));
        let whole = Value::Dictionary(Dictionary::from(entries));
        let mut bytes = Vec::new();
        whole.write(&mut bytes);
        assert_eq!(
            String::from_utf8_lossy(&bytes),
            "d7:command5:offer5:counti-3e5:flagsl1:a0:e3:sdp5:v=0\r\ne"
        );
        assert_eq!(Value::read(&bytes), Some(whole));
    }

    #[test]
    fn what_is_no_bencode_is_refused() {
        for bytes in [
            "", "5:four", "i1", "ie", "l1:a", "d1:a", "di1e1:ae", "1:ab", "-1:", "x",
        ] {
            assert_eq!(Value::read(bytes.as_bytes()), None, "{bytes}");
        }
        assert_eq!(Value::read("l".repeat(40).as_bytes()), None);
    }
}
