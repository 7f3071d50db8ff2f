//! Nonces that need no memory: time and address under a secret (RFC 8489 §9.2, §18.1).
//!
//! Says whether a nonce is ours, of this client and young enough; never keeps one.

use std::hash::Hasher;
use std::net::SocketAddr;
use std::time::Duration;

use siphasher::sip::SipHasher24;

use crate::input::Now;

/// RFC 8489 §9.2: the cookie, and the security features: password algorithms, no user names hidden.
const COOKIE: &str = "obMatJos2gAAA";
/// Hexadecimal digits of time and proof.
const DIGITS: usize = 8 + 16;

#[derive(Clone, Debug)]
pub(crate) struct Nonces {
    key: (u64, u64),
    life: Duration,
}

impl Nonces {
    pub(crate) fn new(key: [u8; 16], life: Duration) -> Self {
        let key = u128::from_be_bytes(key);
        Self {
            key: ((key >> 64) as u64, key as u64),
            life,
        }
    }

    /// A fresh one.
    pub(crate) fn mint(&self, now: Now, client: SocketAddr) -> String {
        let time = now.unix_s as u32;
        format!("{COOKIE}{time:08x}{:016x}", self.proof(time, client))
    }

    /// Whether it is ours, of this client, and not too old.
    pub(crate) fn is_good(&self, now: Now, client: SocketAddr, nonce: &str) -> bool {
        let Some(digits) = nonce.strip_prefix(COOKIE) else {
            return false;
        };
        if digits.len() != DIGITS || !digits.is_ascii() {
            return false;
        }
        let (time, proof) = digits.split_at(8);
        let (Ok(time), Ok(proof)) = (
            u32::from_str_radix(time, 16),
            u64::from_str_radix(proof, 16),
        ) else {
            return false;
        };
        // Workers share a clock; a second's difference is rounding.
        let age = (now.unix_s as u32).wrapping_add(1).wrapping_sub(time);
        u64::from(age) <= self.life.as_secs() + 1 && proof == self.proof(time, client)
    }

    fn proof(&self, time: u32, client: SocketAddr) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.key.0, self.key.1);
        hasher.write_u32(time);
        match client {
            SocketAddr::V4(client) => hasher.write(&client.ip().octets()),
            SocketAddr::V6(client) => hasher.write(&client.ip().octets()),
        }
        hasher.write_u16(client.port());
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(unix_s: u64) -> Now {
        Now {
            mono: Duration::ZERO,
            unix_s,
        }
    }

    #[test]
    fn a_nonce_is_good_for_its_client_and_its_time_alone() {
        let nonces = Nonces::new([7; 16], Duration::from_secs(600));
        let client = "192.0.2.1:4000".parse().unwrap();
        let other = "192.0.2.1:4001".parse().unwrap();
        let nonce = nonces.mint(at(10_000), client);
        assert!(nonces.is_good(at(10_000), client, &nonce));
        assert!(nonces.is_good(at(10_600), client, &nonce));
        assert!(!nonces.is_good(at(10_602), client, &nonce));
        assert!(!nonces.is_good(at(9_000), client, &nonce));
        assert!(!nonces.is_good(at(10_000), other, &nonce));
        let foreign = Nonces::new([8; 16], Duration::from_secs(600));
        assert!(!foreign.is_good(at(10_000), client, &nonce));
        for broken in ["", COOKIE, "obMatJos2gAAA00002710ééééééé1", &nonce[1..]] {
            assert!(!nonces.is_good(at(10_000), client, broken), "{broken}");
        }
    }
}
