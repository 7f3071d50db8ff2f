//! The keys that a DTLS handshake yields (RFC 5764 §4.2), which are ours and not str0m's.
//!
//! str0m says nothing of them, so its DTLS comes from a provider of ours, which keeps them back: packets and reports pass str0m by, and no key
//! is in two hands that could both seal with it. Never takes part in the handshake, and never shows a key.

#![expect(
    clippy::disallowed_types,
    reason = "str0m counts in the standard library's Instant, which only passes through here"
)]

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant as StdInstant;

use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion};
use str0m::crypto::CryptoError;
use str0m::crypto::dtls::{
    DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, ProtocolVersion, SrtpProfile,
};
use str0m::crypto::from_feature_flags;
use zeroize::Zeroizing;

use crate::srtp::{MasterKey, Suite};

/// What the handshake of one leg yields, once it is through.
pub(super) type Yield = Arc<OnceLock<Keys>>;

/// One for each side.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) ours: MasterKey,
    pub(super) theirs: MasterKey,
}

impl Keys {
    /// The keys of client and server, then their salts.
    fn read(material: &[u8], profile: SrtpProfile, is_client: bool) -> Option<Self> {
        let suite = suite(profile)?;
        let (key, salt) = (suite.key_bytes(), suite.salt_bytes());
        let side = |at: usize| {
            let salts = 2 * key;
            let mut whole = Zeroizing::new(material.get(at * key..(at + 1) * key)?.to_vec());
            whole.extend_from_slice(material.get(salts + at * salt..salts + (at + 1) * salt)?);
            MasterKey::read(suite, &whole)
        };
        let (client, server) = (side(0)?, side(1)?);
        Some(match is_client {
            true => Self {
                ours: client,
                theirs: server,
            },
            false => Self {
                ours: server,
                theirs: client,
            },
        })
    }
}

fn suite(profile: SrtpProfile) -> Option<Suite> {
    match profile {
        SrtpProfile::AES128_CM_SHA1_80 => Some(Suite::AesCm128HmacSha1_80),
        SrtpProfile::AEAD_AES_128_GCM => Some(Suite::AeadAes128Gcm),
        SrtpProfile::AEAD_AES_256_GCM => Some(Suite::AeadAes256Gcm),
        _ => None,
    }
}

thread_local! {
    /// Of the DTLS that was made last: str0m makes it inside of what is built, and hands nothing out.
    static MADE: RefCell<Option<Yield>> = const { RefCell::new(None) };
}

/// What str0m is built with, so that [`made_last`] says where the keys will be.
pub(super) fn provider() -> CryptoProvider {
    static DTLS: Keeping = Keeping;
    CryptoProvider {
        dtls_provider: &DTLS,
        ..from_feature_flags()
    }
}

/// Where the keys of whatever was built last will be; asked once, straight after.
pub(super) fn made_last() -> Option<Yield> {
    MADE.take()
}

#[derive(Debug)]
struct Keeping;

impl DtlsProvider for Keeping {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        from_feature_flags().dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: StdInstant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let provider = from_feature_flags().dtls_provider;
        let inner = provider.new_dtls(certificate, now, version, mtu)?;
        let kept = Yield::default();
        MADE.set(Some(Arc::clone(&kept)));
        Ok(Box::new(Handshake { inner, kept }))
    }
}

struct Handshake {
    inner: Box<dyn DtlsInstance>,
    kept: Yield,
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handshake")
    }
}

impl DtlsInstance for Handshake {
    fn set_active(&mut self, active: bool) {
        self.inner.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.inner.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, room: &'a mut [u8]) -> DtlsOutput<'a> {
        let is_client = self.inner.is_active();
        let output = self.inner.poll_output(room);
        if let DtlsOutput::KeyingMaterial(material, profile) = &output {
            if let Some(keys) = Keys::read(material, *profile, is_client) {
                // A handshake yields once; what came first counts.
                let _ = self.kept.set(keys);
            }
            // They are there when it is through, so it is told that instead.
            return DtlsOutput::Connected;
        }
        output
    }

    fn handle_timeout(&mut self, now: StdInstant) -> Result<(), DtlsImplError> {
        self.inner.handle_timeout(now)
    }

    fn send_application_data(&mut self, bytes: &[u8]) -> Result<usize, DtlsImplError> {
        self.inner.send_application_data(bytes)
    }

    fn is_active(&self) -> bool {
        self.inner.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.inner.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.inner.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.inner.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_has_its_key_and_its_salt() {
        for profile in SrtpProfile::ALL {
            let material: Vec<u8> = (0..profile.keying_material_len())
                .map(|at| at as u8)
                .collect();
            let suite = suite(*profile).unwrap();
            let (key, salt) = (suite.key_bytes() as u8, suite.salt_bytes() as u8);
            let client: Vec<u8> = (0..key).chain(2 * key..2 * key + salt).collect();
            let server: Vec<u8> = (key..2 * key)
                .chain(2 * key + salt..2 * (key + salt))
                .collect();
            let of_client = Keys::read(&material, *profile, true).unwrap();
            let of_server = Keys::read(&material, *profile, false).unwrap();
            assert_eq!(of_client.ours.expose(), client);
            assert_eq!(of_client.theirs.expose(), server);
            assert_eq!(of_server.ours, of_client.theirs);
            assert_eq!(of_server.theirs, of_client.ours);
            assert!(Keys::read(&material[1..], *profile, true).is_none());
        }
    }
}
