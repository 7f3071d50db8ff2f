//! The `a=crypto` rows of an SDP (RFC 4568): which keys RTP is protected with.
//!
//! Never repeats a row of a peer in a sentence, whatever is wrong with it: there may be a key anywhere in it.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use model::limits::SDP_CRYPTO;
use sdp_types::Media;
use zeroize::Zeroizing;

use super::Role;
use crate::srtp::{MasterKey, Suite};

/// Some leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Numbers that a peer may have lost and still want (RFC 4568 §6.3.7): as many as RFC 3711 has everybody remember.
const LEAST_WINDOW: u64 = 64;
/// Packets of one key (RFC 3711 §9.2).
const LONGEST_LIFETIME: u64 = 1 << 48;

/// Which RTP a leg takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Plain.
    Plain,
    /// Protected.
    Protected,
    /// Plain or protected, as the peer offers.
    Either,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crypto {
    /// Its number among the rows of an offer; that of an answer is the one that was chosen.
    pub tag: u32,
    /// What whoever wrote the row encrypts with.
    pub key: MasterKey,
}

impl Crypto {
    /// The row of ours that an answer has chosen.
    pub fn chosen<'a>(&self, ours: &'a [Self]) -> Result<&'a Self, String> {
        let is_it = |own: &&Self| own.tag == self.tag && own.key.suite() == self.key.suite();
        let own = ours.iter().find(is_it).ok_or(
            "the a=crypto row of the answer has not the tag and the suite of a row of the offer",
        )?;
        self.check_own(own)?;
        Ok(own)
    }

    /// Two that encrypt with one key can be told apart by nobody (RFC 4568 §6.1).
    pub fn check_own(&self, own: &Self) -> Result<(), String> {
        if self.key == own.key {
            return Err("the key in the a=crypto row is our own".to_owned());
        }
        Ok(())
    }

    pub(super) fn write(&self, text: &mut String) {
        let suite = self.key.suite().as_str();
        let _ = write!(text, "a=crypto:{} {suite} inline:", self.tag);
        BASE64.encode_string(self.key.expose(), text);
        text.push_str("\r\n");
    }
}

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Tag,
    Suite,
    Key,
    Lifetime,
    Mki,
    Parameter,
}

impl Fault {
    fn as_str(self) -> &'static str {
        match self {
            Self::Tag => "a tag is a number of 1 to 9 digits that no other row has",
            Self::Suite => {
                "the suites are AEAD_AES_128_GCM, AEAD_AES_256_GCM, AES_CM_128_HMAC_SHA1_80 and AES_CM_128_HMAC_SHA1_32"
            }
            Self::Key => {
                "a key is inline: and the Base64 of 30 bytes, for AEAD_AES_128_GCM of 28, for AEAD_AES_256_GCM of 44"
            }
            Self::Lifetime => "a lifetime is a number of packets, 2^48 at most",
            Self::Mki => "a row has one key, without MKI",
            Self::Parameter => "no session parameter is spoken but WSH of 64 at least",
        }
    }
}

/// The first row that can be used (RFC 4568 §5.1.2: the offerer has put the best first); an answer has one.
pub(super) fn read(role: Role, media: &Media) -> Result<Crypto, String> {
    let rows = media.attributes.iter();
    let rows = rows.filter(|attribute| attribute.attribute == "crypto");
    let (mut tags, mut fault) = (Vec::new(), None);
    let mut found = None;
    for (place, row) in rows.enumerate() {
        if place >= SDP_CRYPTO {
            return Err(format!(
                "the {role} has more than {SDP_CRYPTO} a=crypto rows"
            ));
        }
        if place > 0 && role == Role::Answer {
            return Err("the answer has more than one a=crypto row".to_owned());
        }
        match read_row(row.value.as_deref().unwrap_or_default(), &mut tags) {
            Ok(row) => found = found.or(Some(row)),
            Err(wrong) => fault = fault.or(Some(wrong)),
        }
    }
    found.ok_or_else(|| match fault {
        Some(fault) => format!(
            "the {role} has no a=crypto row that can be used: {}",
            fault.as_str()
        ),
        None => format!("the {role} asks for RTP/SAVP and has no a=crypto row"),
    })
}

fn read_row(row: &str, tags: &mut Vec<u32>) -> Result<Crypto, Fault> {
    let mut words = row.split_ascii_whitespace();
    let tag = words.next().and_then(read_tag).ok_or(Fault::Tag)?;
    if tags.contains(&tag) {
        return Err(Fault::Tag);
    }
    tags.push(tag);
    let suite = words.next().and_then(Suite::parse).ok_or(Fault::Suite)?;
    let key = read_key(suite, words.next().ok_or(Fault::Key)?)?;
    if !words.all(may_be_ignored) {
        return Err(Fault::Parameter);
    }
    Ok(Crypto { tag, key })
}

fn read_tag(text: &str) -> Option<u32> {
    let is_tag = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_tag.then(|| text.parse().ok()).flatten()
}

/// RFC 4568 §6.1: `inline:<key and salt>[|<lifetime>][|<MKI>:<its length>]`.
fn read_key(suite: Suite, text: &str) -> Result<MasterKey, Fault> {
    let (method, text) = text.split_once(':').ok_or(Fault::Key)?;
    if !method.eq_ignore_ascii_case("inline") {
        return Err(Fault::Key);
    }
    if text.contains(';') {
        return Err(Fault::Mki);
    }
    let mut parts = text.split('|');
    let key = parts.next().unwrap_or_default();
    for part in parts {
        if part.contains(':') {
            return Err(Fault::Mki);
        }
        // How long the peer encrypts with it is the peer's to know.
        read_lifetime(part).ok_or(Fault::Lifetime)?;
    }
    // As long as what 30 bytes are written with, and a little more.
    let mut bytes = Zeroizing::new([0; 48]);
    let length = BASE64.decode_slice(key, &mut *bytes);
    let length = length.map_err(|_| Fault::Key)?;
    MasterKey::read(suite, &bytes[..length]).ok_or(Fault::Key)
}

fn read_lifetime(text: &str) -> Option<u64> {
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let packets = match text.strip_prefix("2^") {
        Some(power) if is_digits(power) => 1_u64.checked_shl(power.parse().ok()?)?,
        None if is_digits(text) => text.parse().ok()?,
        Some(_) | None => return None,
    };
    (1..=LONGEST_LIFETIME).contains(&packets).then_some(packets)
}

/// RFC 4568 §6.3: what is not known must be, if there is no `-` before it.
fn may_be_ignored(parameter: &str) -> bool {
    match parameter.split_once('=') {
        Some(("WSH", window)) => window
            .parse()
            .is_ok_and(|window: u64| window >= LEAST_WINDOW),
        Some(_) | None => parameter.len() > 1 && parameter.starts_with('-'),
    }
}
