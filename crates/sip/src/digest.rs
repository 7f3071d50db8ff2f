//! Digest authentication as a client does it: RFC 7616, 8760 (SHA-256 in SIP), and 2069 where a server asks for no `qop`.
//!
//! Answers challenges with what it is given: the random `cnonce` and the count of uses are its owner's. Bodies are never
//! protected (`auth-int`): servers that want only that are not answered.

use std::fmt;

use md5::Md5;
use sha2::{Digest as _, Sha256};

use crate::header::{BadValue, Items};

/// How a challenge is hashed, the best last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// What every provider knows.
    Md5,
    /// RFC 8760 §2.1.
    Sha256,
}

impl Algorithm {
    /// As it stands in a challenge.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Md5, Self::Sha256]
            .into_iter()
            .find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(text))
    }

    fn hash(self, parts: &[&str]) -> String {
        let text = parts.join(":");
        let hash = match self {
            Self::Md5 => Md5::digest(&text).to_vec(),
            Self::Sha256 => Sha256::digest(&text).to_vec(),
        };
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What a server asks for in WWW-Authenticate or Proxy-Authenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Whose user and password are wanted.
    pub realm: String,
    nonce: String,
    opaque: Option<String>,
    /// How it is answered.
    pub algorithm: Algorithm,
    /// Whether uses of the nonce are counted; servers before RFC 2617 know no such thing.
    is_counted: bool,
    /// The answer before was right but for the age of its nonce: ask nobody for another password.
    pub is_stale: bool,
}

/// Who answers. `Debug` does not show the password.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// User name in the realm.
    pub username: &'a str,
    /// Password.
    pub password: &'a str,
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?})", self.username)
    }
}

/// The request that is to be let in.
#[derive(Clone, Copy, Debug)]
pub struct Use<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its Request-URI.
    pub uri: &'a str,
    /// Random text of a client: so that the server does not choose all that is hashed.
    pub cnonce: &'a str,
    /// How often this nonce was used, with this time.
    pub count: u32,
}

impl Challenge {
    /// Reads the value of one challenge.
    pub fn parse(value: &str) -> Result<Self, BadValue> {
        let rest = match value.trim_start().split_once([' ', '\t']) {
            Some((scheme, rest)) if scheme.trim_end().eq_ignore_ascii_case("Digest") => rest,
            Some(_) | None => return Err(BadValue("it must be a Digest challenge")),
        };
        let parameters = parameters(rest)?;
        let get = |name: &str| {
            let mut found = parameters.iter();
            found.find(|(known, _)| known.eq_ignore_ascii_case(name))
        };
        let text = |name: &str| get(name).map(|(_, value)| value.clone());
        let algorithm = match get("algorithm") {
            None => Algorithm::Md5,
            Some((_, name)) => {
                Algorithm::parse(name).ok_or(BadValue("its algorithm must be MD5 or SHA-256"))?
            }
        };
        let is_counted = match get("qop") {
            None => false,
            Some((_, list))
                if list
                    .split(',')
                    .any(|qop| qop.trim().eq_ignore_ascii_case("auth")) =>
            {
                true
            }
            Some(_) => return Err(BadValue("its qop must be auth")),
        };
        Ok(Self {
            realm: text("realm").ok_or(BadValue("it must have a realm"))?,
            nonce: text("nonce").ok_or(BadValue("it must have a nonce"))?,
            opaque: text("opaque"),
            algorithm,
            is_counted,
            is_stale: text("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }

    /// Those of a row that can be answered: one row may hold several, with commas between them and inside them (RFC 3261 §20.44 allows
    /// a row for each alone; servers of HTTP's kind do otherwise, RFC 9110 §11.6.1).
    pub fn parse_all(value: &str) -> Vec<Self> {
        let mut written: Vec<String> = Vec::new();
        for item in Items(Some(value)) {
            match written.last_mut() {
                Some(last) if !begins_challenge(item) => {
                    last.push(',');
                    last.push_str(item);
                }
                Some(_) | None => written.push(item.to_owned()),
            }
        }
        let written = written.iter();
        written.filter_map(|text| Self::parse(text).ok()).collect()
    }

    /// The strongest of several challenges for one realm (RFC 8760 §2.4: the server's order is not to be followed against strength).
    pub fn strongest(challenges: impl IntoIterator<Item = Self>) -> Option<Self> {
        challenges
            .into_iter()
            .max_by_key(|challenge| challenge.algorithm)
    }

    /// The value of Authorization or Proxy-Authorization (RFC 7616 §3.4).
    pub fn answer(&self, who: Credentials<'_>, of: Use<'_>) -> String {
        let count = format!("{:08x}", of.count);
        let secret = self
            .algorithm
            .hash(&[who.username, &self.realm, who.password]);
        let request = self.algorithm.hash(&[of.method, of.uri]);
        let response = if self.is_counted {
            let parts = [&secret, &self.nonce, &count, of.cnonce, "auth", &request];
            self.algorithm.hash(&parts)
        } else {
            self.algorithm.hash(&[&secret, &self.nonce, &request])
        };
        let mut value = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\", algorithm={}",
            quoted(who.username),
            quoted(&self.realm),
            quoted(&self.nonce),
            quoted(of.uri),
            self.algorithm.as_str(),
        );
        if self.is_counted {
            value += &format!(", qop=auth, cnonce={}, nc={count}", quoted(of.cnonce));
        }
        if let Some(opaque) = &self.opaque {
            value += &format!(", opaque={}", quoted(opaque));
        }
        value
    }
}

/// Whether an item of a comma list is the name of a scheme, with its first parameter or without one.
fn begins_challenge(item: &str) -> bool {
    match item.split_once([' ', '\t']) {
        Some((word, rest)) => !word.contains('=') && !rest.trim_start().starts_with('='),
        None => !item.contains('='),
    }
}

/// A quoted string (RFC 3261 §25.1).
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

/// `name=value, name="quoted value"`: values without quotes and escapes.
fn parameters(text: &str) -> Result<Vec<(&str, String)>, BadValue> {
    const SHAPE: BadValue =
        BadValue("parameters must be written as name=value, with commas between them");
    let mut found = Vec::new();
    let mut rest = text.trim();
    loop {
        let (name, value) = rest.split_once('=').ok_or(SHAPE)?;
        let (value, behind) = match value.trim_start().strip_prefix('"') {
            Some(inner) => unquoted(inner).ok_or(SHAPE)?,
            None => {
                let end = value.find(',').unwrap_or(value.len());
                (value[..end].trim().to_owned(), &value[end..])
            }
        };
        let name = name.trim();
        if name.is_empty() || name.contains([',', '"', ' ']) {
            return Err(SHAPE);
        }
        found.push((name, value));
        rest = behind.trim();
        if rest.is_empty() {
            return Ok(found);
        }
        rest = rest.strip_prefix(',').ok_or(SHAPE)?.trim_start();
    }
}

/// What stands before the closing quote, and what behind it.
fn unquoted(inner: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut letters = inner.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((text, &inner[at + 1..])),
            '\\' => text.push(letters.next()?.1),
            _ => text.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const MUFASA: Credentials<'static> = Credentials {
        username: "Mufasa",
        password: "Circle of Life",
    };

    /// The parameter of this name in an answer.
    fn parameter(answer: &str, name: &str) -> Option<String> {
        let found = parameters(answer.strip_prefix("Digest ").unwrap()).unwrap();
        let mut found = found.into_iter();
        found
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    #[test]
    fn the_example_of_rfc_7616_in_both_algorithms() {
        let of = Use {
            method: "GET",
            uri: "/dir/index.html",
            cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            count: 1,
        };
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            (
                "SHA-256",
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
        ] {
            let challenge = Challenge::parse(&format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            ))
            .unwrap();
            let answer = challenge.answer(MUFASA, of);
            assert_eq!(parameter(&answer, "response").as_deref(), Some(response));
            assert_eq!(parameter(&answer, "nc").as_deref(), Some("00000001"));
            assert_eq!(parameter(&answer, "qop").as_deref(), Some("auth"));
            assert_eq!(parameter(&answer, "algorithm").as_deref(), Some(algorithm));
            let opaque = parameter(&answer, "opaque").unwrap();
            assert!(opaque.starts_with("FQhe/"));
        }
    }

    #[test]
    fn a_server_that_counts_nothing_is_answered_as_it_was_before() {
        // RFC 2617 §3.5 with the response of RFC 2069: H(H(A1):nonce:H(A2)).
        let challenge = Challenge::parse(
            "digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"",
        )
        .unwrap();
        let who = Credentials {
            username: "Mufasa",
            password: "CircleOfLife",
        };
        let of = Use {
            method: "GET",
            uri: "/dir/index.html",
            cnonce: "0a4f113b",
            count: 1,
        };
        let answer = challenge.answer(who, of);
        assert_eq!(
            parameter(&answer, "response").as_deref(),
            Some("1949323746fe6a43ef61f9606e7febea")
        );
        assert_eq!(parameter(&answer, "nc"), None);
        assert_eq!(parameter(&answer, "cnonce"), None);
    }

    #[test]
    fn what_is_quoted_is_read_and_written_with_its_escapes() {
        let challenge =
            Challenge::parse(r#"Digest realm="a \"b\", c=d",nonce = "n\\1" , stale=TRUE"#).unwrap();
        assert_eq!(challenge.realm, r#"a "b", c=d"#);
        assert!(challenge.is_stale);
        let of = Use {
            method: "REGISTER",
            uri: "sip:example.com",
            cnonce: "c",
            count: 1,
        };
        let answer = challenge.answer(MUFASA, of);
        assert!(
            answer.contains(r#"realm="a \"b\", c=d", nonce="n\\1""#),
            "{answer}"
        );
    }

    #[test]
    fn what_cannot_be_answered_is_refused() {
        for bad in [
            "",
            "Digest",
            "Basic realm=\"x\"",
            "Digest realm=\"x\"",
            "Digest nonce=\"x\"",
            "Digest realm=\"x, nonce=\"y\"",
            "Digest realm=\"x\" nonce=\"y\"",
            "Digest realm=\"x\", nonce=\"y\\",
            "Digest realm=\"x\", nonce=\"y\", algorithm=MD5-sess",
            "Digest realm=\"x\", nonce=\"y\", qop=\"auth-int\"",
            "Digest =\"x\", nonce=\"y\"",
        ] {
            assert!(Challenge::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_strongest_challenge_is_answered() {
        let challenge = |algorithm: &str| {
            Challenge::parse(&format!(
                "Digest realm=\"r\", nonce=\"n\", algorithm={algorithm}"
            ))
            .unwrap()
        };
        let both = [challenge("MD5"), challenge("sha-256"), challenge("MD5")];
        let best = Challenge::strongest(both).unwrap();
        assert_eq!(best.algorithm, Algorithm::Sha256);
        assert_eq!(Challenge::strongest([]), None);
    }

    #[test]
    fn several_challenges_may_stand_in_one_row() {
        let realms = |row: &str| {
            let all = Challenge::parse_all(row).into_iter();
            all.map(|known| (known.realm, known.algorithm))
                .collect::<Vec<_>>()
        };
        let (md5, sha) = (Algorithm::Md5, Algorithm::Sha256);
        let both = r#"Digest realm="a, Digest b", nonce="1,2", qop="auth,auth-int", algorithm=MD5,
 Digest realm = "c", nonce="3", algorithm=SHA-256"#;
        let both = both.replace('\n', "\r\n");
        assert_eq!(
            realms(&both),
            [("a, Digest b".into(), md5), ("c".into(), sha)]
        );
        let known =
            r#"Negotiate, Basic realm="x", Digest realm="r",nonce="n", NTLM, Digest realm="half"#;
        assert_eq!(realms(known), [("r".into(), md5)]);
        assert_eq!(
            realms(r#",, Digest realm="r", nonce="n",,"#),
            [("r".into(), md5)]
        );
        assert!(realms("").is_empty() && realms("\"").is_empty());
    }

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(format!("{MUFASA:?}"), "Credentials(\"Mufasa\")");
    }
}
