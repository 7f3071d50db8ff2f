//! A parsed message: its start line, its header rows in order, its body; all borrowed from the bytes it was read from.
//! What every message must hold was checked by [`parse`](crate::parse), so those accessors cannot fail; the others read
//! their rows when asked.

use std::borrow::Cow;

use crate::bytes;
use crate::header::{BadValue, CSeq, Contact, Items, NameAddr, Reason, Via, check_contacts};
use crate::method::Method;
use crate::name::Name;
use crate::uri::Uri;

/// A message.
#[derive(Clone, Debug)]
pub enum Message<'a> {
    /// A request.
    Request(Request<'a>),
    /// A response.
    Response(Response<'a>),
}

impl<'a> Message<'a> {
    /// The header rows.
    pub fn headers(&self) -> &Headers<'a> {
        match self {
            Self::Request(request) => &request.headers,
            Self::Response(response) => &response.headers,
        }
    }

    /// The body.
    pub fn body(&self) -> &'a [u8] {
        match self {
            Self::Request(request) => request.body,
            Self::Response(response) => response.body,
        }
    }

    /// The whole message as it came.
    pub fn as_bytes(&self) -> &'a [u8] {
        match self {
            Self::Request(request) => request.bytes,
            Self::Response(response) => response.bytes,
        }
    }
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The method; the CSeq row names the same.
    pub method: Method<'a>,
    /// The Request-URI as written; its syntax was checked.
    pub uri: &'a str,
    /// The header rows.
    pub headers: Headers<'a>,
    /// The body.
    pub body: &'a [u8],
    pub(crate) target: Uri<'a>,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Request<'a> {
    /// The whole request as it came.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The Request-URI, split into its parts.
    pub fn target(&self) -> &Uri<'a> {
        &self.target
    }
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response<'a> {
    /// From 100 to 699.
    pub status: u16,
    /// The reason phrase; may be empty.
    pub reason: &'a str,
    /// The header rows.
    pub headers: Headers<'a>,
    /// The body.
    pub body: &'a [u8],
    pub(crate) bytes: &'a [u8],
}

/// One header row.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// Its name.
    pub name: Name<'a>,
    /// Its value, trimmed. It may be folded: CR LF and white space then stand for one space.
    pub value: &'a str,
}

impl<'a> Header<'a> {
    /// The value on one line.
    pub fn unfolded(&self) -> Cow<'a, str> {
        unfolded(self.value)
    }
}

/// Each fold, with the white space around it, becomes one space (RFC 3261 §7.3.1).
pub(crate) fn unfolded(value: &str) -> Cow<'_, str> {
    let Some(mut fold) = memchr::memchr(b'\r', value.as_bytes()) else {
        return Cow::Borrowed(value);
    };
    let mut line = String::with_capacity(value.len());
    let mut rest = value;
    loop {
        line.push_str(bytes::trim_end(&rest[..fold]));
        line.push(' ');
        rest = bytes::trim_start(&rest[fold..]);
        match memchr::memchr(b'\r', rest.as_bytes()) {
            Some(next) => fold = next,
            None => break,
        }
    }
    line.push_str(rest);
    Cow::Owned(line)
}

/// The header rows of a message, in order.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    pub(crate) rows: Vec<Header<'a>>,
    pub(crate) call_id: &'a str,
    pub(crate) cseq: CSeq<'a>,
    pub(crate) from: NameAddr<'a>,
    pub(crate) to: NameAddr<'a>,
    pub(crate) via: Via<'a>,
    pub(crate) contact: Option<Contact<'a>>,
    pub(crate) contact_count: usize,
    pub(crate) max_forwards: Option<u8>,
}

impl<'a> Headers<'a> {
    /// Every row in order.
    pub fn iter(&self) -> impl Iterator<Item = &Header<'a>> {
        self.rows.iter()
    }

    /// The value of the first row of this name.
    pub fn get(&self, name: Name<'_>) -> Option<&'a str> {
        let name = name.settled();
        self.rows
            .iter()
            .find(|row| row.name == name)
            .map(|row| row.value)
    }

    /// The values of all rows of this name.
    pub fn all(&self, name: Name<'_>) -> impl Iterator<Item = &'a str> {
        let name = name.settled();
        self.rows
            .iter()
            .filter(move |row| row.name == name)
            .map(|row| row.value)
    }

    /// The items of all rows of this name, which hold comma lists. Commas in quotes and angle brackets do not part.
    pub fn items(&self, name: Name<'_>) -> impl Iterator<Item = &'a str> {
        self.all(name).flat_map(|value| Items(Some(value)))
    }

    /// Whether a comma list names this token, in any case: `Supported`, `Require` and their like.
    pub fn lists(&self, name: Name<'_>, token: &str) -> bool {
        self.items(name)
            .any(|item| item.eq_ignore_ascii_case(token))
    }

    /// The Call-ID.
    pub fn call_id(&self) -> &'a str {
        self.call_id
    }

    /// The CSeq.
    pub fn cseq(&self) -> CSeq<'a> {
        self.cseq
    }

    /// The From address.
    pub fn from(&self) -> NameAddr<'a> {
        self.from
    }

    /// The To address.
    pub fn to(&self) -> NameAddr<'a> {
        self.to
    }

    /// The topmost Via.
    pub fn via(&self) -> Via<'a> {
        self.via
    }

    /// The Max-Forwards, if the row is there.
    pub fn max_forwards(&self) -> Option<u8> {
        self.max_forwards
    }

    /// The first item of the Contact rows.
    pub fn contact(&self) -> Option<&Contact<'a>> {
        self.contact.as_ref()
    }

    /// The only item of the Contact rows; `None` if there are several.
    pub fn sole_contact(&self) -> Option<&Contact<'a>> {
        self.contact.as_ref().filter(|_| self.contact_count == 1)
    }

    /// Every item of the Contact rows.
    pub fn contacts(&self) -> Result<Vec<Contact<'a>>, BadValue> {
        let mut contacts = Vec::new();
        for value in self.all(Name::Contact) {
            check_contacts(value, |contact| contacts.push(contact))?;
        }
        Ok(contacts)
    }

    /// The Expires row in seconds, if it is there. RFC 3261 §20.19 lets a server read a malformed value as 3600.
    pub fn expires(&self) -> Result<Option<u32>, BadValue> {
        match self.get(Name::Expires) {
            None => Ok(None),
            Some(value) => bytes::number(value, u32::MAX)
                .map(Some)
                .ok_or(BadValue("must be a number of seconds from 0 to 4294967295")),
        }
    }

    /// The token of the first `Authorization: Bearer` row (RFC 8898). Rows of other schemes are passed over.
    pub fn bearer(&self) -> Option<&'a str> {
        self.all(Name::Authorization).find_map(|value| {
            let (scheme, token) = value.split_at_checked(6)?;
            let behind = bytes::trim_start(token);
            (scheme.eq_ignore_ascii_case("bearer")
                && behind.len() < token.len()
                && !behind.is_empty())
            .then_some(behind)
        })
    }

    /// Why the request came (RFC 3326); rows that cannot be read are passed over.
    pub fn reasons(&self) -> impl Iterator<Item = Reason<'a>> {
        self.items(Name::Reason)
            .filter_map(|item| Reason::parse(item).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::unfolded;

    #[test]
    fn a_fold_and_the_space_round_it_is_one_space() {
        assert_eq!(unfolded("a \t\r\n\t b\r\n c"), "a b c");
        assert_eq!(unfolded("a  b"), "a  b");
        assert_eq!(unfolded(""), "");
    }
}
