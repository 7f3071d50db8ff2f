//! Master keys as an SDP carries them (RFC 4568 §6.1, RFC 7714 §14.1), and the session keys that are made of them (RFC 3711 §4.3).
//!
//! Never shows a key, and wipes it when it is no longer needed.

use std::fmt;

use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroizing;

/// Bytes of every key of AES-128.
const KEY_BYTES: usize = 16;
/// Of the longest salt (RFC 3711 §8.2).
pub(super) const SALT_BYTES: usize = 14;

/// How packets are encrypted and authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// AES in Galois/counter mode (RFC 7714): both in one, with a tag of 128 bits.
    AeadAes128Gcm,
    /// AES in counter mode, and HMAC-SHA1 with a tag of 80 bits (RFC 4568 §6.2.1).
    AesCm128HmacSha1_80,
    /// The same with a tag of 32 bits, of reports 80 bits (RFC 4568 §6.2.2).
    AesCm128HmacSha1_32,
}

impl Suite {
    /// Every one.
    pub const ALL: [Self; 3] = [
        Self::AeadAes128Gcm,
        Self::AesCm128HmacSha1_80,
        Self::AesCm128HmacSha1_32,
    ];

    /// Those of our offers, the best first.
    pub const OFFERED: [Self; 2] = [Self::AeadAes128Gcm, Self::AesCm128HmacSha1_80];

    /// Its name in an SDP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    /// By its name; capitals do not count (RFC 4568 §9.1).
    pub fn parse(name: &str) -> Option<Self> {
        let is_it = |suite: &Self| suite.as_str().eq_ignore_ascii_case(name);
        Self::ALL.into_iter().find(is_it)
    }

    /// Bytes of a master key with its salt.
    pub const fn master_bytes(self) -> usize {
        match self {
            Self::AeadAes128Gcm => KEY_BYTES + 12,
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => KEY_BYTES + SALT_BYTES,
        }
    }
}

/// What one side encrypts with.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    suite: Suite,
    bytes: Zeroizing<[u8; Self::BYTES]>,
}

impl MasterKey {
    /// Of the longest one.
    pub const BYTES: usize = KEY_BYTES + SALT_BYTES;

    /// Key and salt as they stand in an SDP; nothing if they are not as long as the suite wants.
    pub fn read(suite: Suite, bytes: &[u8]) -> Option<Self> {
        let mut key = Zeroizing::new([0; Self::BYTES]);
        if bytes.len() != suite.master_bytes() {
            return None;
        }
        key[..bytes.len()].copy_from_slice(bytes);
        Some(Self { suite, bytes: key })
    }

    /// A key of ours, of bytes that nobody can foretell.
    pub fn drawn(suite: Suite, random: &[u8; Self::BYTES]) -> Self {
        let mut bytes = Zeroizing::new(*random);
        bytes[suite.master_bytes()..].fill(0);
        Self { suite, bytes }
    }

    /// What it is for.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Key and salt themselves; whoever calls this answers for where they go.
    pub fn expose(&self) -> &[u8] {
        &self.bytes[..self.suite.master_bytes()]
    }

    /// A session key, filled to its end. A shorter salt counts as if zeros followed it (RFC 7714 §11).
    pub(super) fn derive(&self, label: Label, made: &mut [u8]) -> Option<()> {
        let cipher = counter_key(&self.bytes[..KEY_BYTES])?;
        let mut block = [0; 16];
        block[..SALT_BYTES].copy_from_slice(&self.bytes[KEY_BYTES..]);
        // RFC 3711 §4.3.1: keys are made once, so that the label alone is added.
        block[7] ^= label as u8;
        made.fill(0);
        count(&cipher, block, made)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.suite.as_str())
    }
}

/// What a session key is for (RFC 3711 §4.3.2).
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Label {
    RtpKey = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpKey = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// AES in counter mode with a key of 16 bytes.
pub(super) fn counter_key(key: &[u8]) -> Option<EncryptingKey> {
    EncryptingKey::ctr(UnboundCipherKey::new(&AES_128, key).ok()?).ok()
}

/// Adds the key stream that begins at this block, which is what encrypts and what decrypts.
pub(super) fn count(key: &EncryptingKey, block: [u8; 16], bytes: &mut [u8]) -> Option<()> {
    let begins = EncryptionContext::Iv128(FixedLength::from(block));
    key.less_safe_encrypt(bytes, begins).ok()?;
    Some(())
}
