//! How one packet is encrypted and authenticated, and back: AES-CM with HMAC-SHA1 (RFC 3711 §4.1.1, §4.2.1), or AES-GCM (RFC 7714).
//!
//! Never chooses an index: that no index is used twice is up to whoever seals, and that none is taken twice to whoever opens.

use std::fmt;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::EncryptingKey;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY};
use zeroize::Zeroizing;

use super::keys::{Label, MasterKey, SALT_BYTES, Suite, count, counter_key};
use super::word;

/// Bytes of the head of a report that are not encrypted (RFC 3711 §3.4).
const REPORT_HEAD: usize = 8;
/// In the last word of a report: what is before it is encrypted.
const ENCRYPTED: u32 = 1 << 31;
/// Of a tag of AES-GCM.
const GCM_TAG: usize = 16;

/// The session keys of one side, for packets or for reports.
pub(super) struct Cipher {
    salt: Zeroizing<[u8; SALT_BYTES]>,
    kind: Kind,
}

enum Kind {
    Gcm(LessSafeKey),
    Counter {
        key: Box<EncryptingKey>,
        authentication: Box<hmac::Key>,
        tag_bytes: usize,
    },
}

impl Cipher {
    /// For packets.
    pub(super) fn rtp(master: &MasterKey) -> Option<Self> {
        let labels = [Label::RtpKey, Label::RtpAuthentication, Label::RtpSalt];
        let tag_bytes = match master.suite() {
            Suite::AeadAes128Gcm => GCM_TAG,
            Suite::AesCm128HmacSha1_80 => 10,
            Suite::AesCm128HmacSha1_32 => 4,
        };
        Self::derived(master, labels, tag_bytes)
    }

    /// For reports.
    pub(super) fn rtcp(master: &MasterKey) -> Option<Self> {
        let labels = [Label::RtcpKey, Label::RtcpAuthentication, Label::RtcpSalt];
        let tag_bytes = match master.suite() {
            Suite::AeadAes128Gcm => GCM_TAG,
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => 10,
        };
        Self::derived(master, labels, tag_bytes)
    }

    fn derived(master: &MasterKey, labels: [Label; 3], tag_bytes: usize) -> Option<Self> {
        let [key, authentication, salt] = labels;
        let mut key_bytes = Zeroizing::new([0; 16]);
        let mut authentication_bytes = Zeroizing::new([0; 20]);
        let mut salt_bytes = [0; SALT_BYTES];
        master.derive(key, &mut *key_bytes)?;
        master.derive(authentication, &mut *authentication_bytes)?;
        match master.suite() {
            Suite::AeadAes128Gcm => {
                master.derive(salt, &mut salt_bytes[..12])?;
                Self::gcm(&key_bytes, &salt_bytes)
            }
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => {
                master.derive(salt, &mut salt_bytes)?;
                Self::counter(&key_bytes, &salt_bytes, &authentication_bytes, tag_bytes)
            }
        }
    }

    pub(super) fn gcm(key: &[u8; 16], salt: &[u8; SALT_BYTES]) -> Option<Self> {
        let key = UnboundKey::new(&AES_128_GCM, key).ok()?;
        Some(Self {
            salt: Zeroizing::new(*salt),
            kind: Kind::Gcm(LessSafeKey::new(key)),
        })
    }

    fn counter(
        key: &[u8; 16],
        salt: &[u8; SALT_BYTES],
        authentication: &[u8; 20],
        tag_bytes: usize,
    ) -> Option<Self> {
        let authentication = hmac::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, authentication);
        Some(Self {
            salt: Zeroizing::new(*salt),
            kind: Kind::Counter {
                key: Box::new(counter_key(key)?),
                authentication: Box::new(authentication),
                tag_bytes,
            },
        })
    }

    /// Bytes that a packet grows by, a report by four more.
    pub(super) fn tag_bytes(&self) -> usize {
        match &self.kind {
            Kind::Gcm(_) => GCM_TAG,
            Kind::Counter { tag_bytes, .. } => *tag_bytes,
        }
    }

    /// The salt with source and index of a packet, or of a report, whose index has 31 bits (RFC 3711 §4.1.1, RFC 7714 §8.1, §9.1): what
    /// is 14 bytes from the left for counter mode is 12 for the other, whose salt has no more.
    fn block(&self, ssrc: u32, index: u64) -> [u8; 16] {
        let begins = match &self.kind {
            Kind::Gcm(_) => 2,
            Kind::Counter { .. } => 4,
        };
        let mut block = [0; 16];
        block[..SALT_BYTES].copy_from_slice(&*self.salt);
        let source = ssrc.to_be_bytes();
        let number = index.to_be_bytes();
        for (at, byte) in source.iter().chain(&number[2..]).enumerate() {
            block[begins + at] ^= byte;
        }
        block
    }

    fn nonce(&self, ssrc: u32, index: u64) -> Nonce {
        let mut nonce = [0; 12];
        nonce.copy_from_slice(&self.block(ssrc, index)[..12]);
        Nonce::assume_unique_for_key(nonce)
    }

    /// Encrypts a packet with so long a head where it stands, and adds its tag.
    pub(super) fn seal(&self, packet: &mut Vec<u8>, head: usize, index: u64) -> Option<()> {
        let ssrc = word(packet, 8)?;
        match &self.kind {
            Kind::Gcm(key) => {
                let (head, payload) = packet.split_at_mut_checked(head)?;
                let nonce = self.nonce(ssrc, index);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(&*head), payload);
                packet.extend_from_slice(tag.ok()?.as_ref());
            }
            Kind::Counter {
                key,
                authentication,
                tag_bytes,
            } => {
                count(key, self.block(ssrc, index), packet.get_mut(head..)?)?;
                let tag = packet_tag(authentication, packet, index);
                packet.extend_from_slice(&tag.as_ref()[..*tag_bytes]);
            }
        }
        Some(())
    }

    /// Writes what a packet with so long a head was before it was sealed; nothing if it was sealed by another key, or has another index.
    pub(super) fn open(
        &self,
        packet: &[u8],
        head: usize,
        index: u64,
        clear: &mut Vec<u8>,
    ) -> Option<()> {
        let ssrc = word(packet, 8)?;
        let ends = packet.len().checked_sub(self.tag_bytes())?;
        let (sealed, tag) = packet.split_at_checked(ends)?;
        let (open, payload) = sealed.split_at_checked(head)?;
        clear.clear();
        match &self.kind {
            Kind::Gcm(key) => {
                clear.extend_from_slice(open);
                clear.resize(ends, 0);
                let (nonce, aad) = (self.nonce(ssrc, index), Aad::from(open));
                let written = clear.get_mut(head..)?;
                key.open_separate_gather(nonce, aad, payload, tag, written)
                    .ok()?;
            }
            Kind::Counter {
                key,
                authentication,
                ..
            } => {
                let right = packet_tag(authentication, sealed, index);
                verify_slices_are_equal(&right.as_ref()[..tag.len()], tag).ok()?;
                clear.extend_from_slice(sealed);
                count(key, self.block(ssrc, index), clear.get_mut(head..)?)?;
            }
        }
        Some(())
    }

    /// Encrypts a report where it stands, and adds its index and its tag (RFC 3711 §3.4, RFC 7714 §9).
    pub(super) fn seal_report(&self, report: &mut Vec<u8>, index: u32) -> Option<()> {
        let ssrc = word(report, 4)?;
        let last = (index | ENCRYPTED).to_be_bytes();
        match &self.kind {
            Kind::Gcm(key) => {
                let aad = report_head(report, last)?;
                let nonce = self.nonce(ssrc, index.into());
                let encrypted = report.get_mut(REPORT_HEAD..)?;
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), encrypted);
                report.extend_from_slice(tag.ok()?.as_ref());
                report.extend_from_slice(&last);
            }
            Kind::Counter {
                key,
                authentication,
                tag_bytes,
            } => {
                let encrypted = report.get_mut(REPORT_HEAD..)?;
                count(key, self.block(ssrc, index.into()), encrypted)?;
                report.extend_from_slice(&last);
                let tag = hmac::sign(authentication, report);
                report.extend_from_slice(&tag.as_ref()[..*tag_bytes]);
            }
        }
        Some(())
    }

    /// The index of a report that says that it is encrypted: none that is not is taken.
    pub(super) fn report_index(&self, report: &[u8]) -> Option<u32> {
        let behind = match &self.kind {
            Kind::Gcm(_) => 0,
            Kind::Counter { tag_bytes, .. } => *tag_bytes,
        };
        let last = word(report, report.len().checked_sub(4 + behind)?)?;
        (last & ENCRYPTED != 0).then_some(last & !ENCRYPTED)
    }

    /// Writes what a report of this index was before it was sealed; nothing if it was sealed by another key.
    pub(super) fn open_report(&self, report: &[u8], index: u32, clear: &mut Vec<u8>) -> Option<()> {
        let ssrc = word(report, 4)?;
        clear.clear();
        match &self.kind {
            Kind::Gcm(key) => {
                let (sealed, last) = report.split_at_checked(report.len().checked_sub(4)?)?;
                let (sealed, tag) = sealed.split_at_checked(sealed.len().checked_sub(GCM_TAG)?)?;
                let aad = report_head(sealed, last.try_into().ok()?)?;
                let (head, encrypted) = sealed.split_at_checked(REPORT_HEAD)?;
                clear.extend_from_slice(head);
                clear.resize(sealed.len(), 0);
                let nonce = self.nonce(ssrc, index.into());
                let written = clear.get_mut(REPORT_HEAD..)?;
                key.open_separate_gather(nonce, Aad::from(aad), encrypted, tag, written)
                    .ok()?;
            }
            Kind::Counter {
                key,
                authentication,
                tag_bytes,
            } => {
                let ends = report.len().checked_sub(*tag_bytes)?;
                let (sealed, tag) = report.split_at_checked(ends)?;
                let right = hmac::sign(authentication, sealed);
                verify_slices_are_equal(&right.as_ref()[..tag.len()], tag).ok()?;
                clear.extend_from_slice(&sealed[..sealed.len().checked_sub(4)?]);
                let encrypted = clear.get_mut(REPORT_HEAD..)?;
                count(key, self.block(ssrc, index.into()), encrypted)?;
            }
        }
        Some(())
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher")
    }
}

/// RFC 3711 §4.2: of the packet, and how often its numbers have wrapped.
fn packet_tag(key: &hmac::Key, packet: &[u8], index: u64) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(packet);
    context.update(&((index >> 16) as u32).to_be_bytes());
    context.sign()
}

/// RFC 7714 §9.2: the head and the last word.
fn report_head(report: &[u8], last: [u8; 4]) -> Option<[u8; REPORT_HEAD + 4]> {
    let mut head = [0; REPORT_HEAD + 4];
    head[..REPORT_HEAD].copy_from_slice(report.get(..REPORT_HEAD)?);
    head[REPORT_HEAD..].copy_from_slice(&last);
    Some(head)
}
