//! API access keys: what a back end logs in with.
//!
//! A key has 128 random bits, so a plain keyed hash keeps it (no slow password hash); keys are made
//! by the shell. Wrong user and wrong key cost the same and are told apart by nobody.

use aws_lc_rs::{constant_time, hmac};
use model::{Account, Directory, Login, UnixTime};

/// HMAC-SHA-256 of an API key under the store's own secret.
pub fn hash_api_key(pepper: &[u8], key: &str) -> [u8; 32] {
    let pepper = hmac::Key::new(hmac::HMAC_SHA256, pepper);
    let tag = hmac::sign(&pepper, key.as_bytes());
    tag.as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes")
}

/// The account that `login` and `key` name together. A disabled account logs in like an unknown one.
pub fn authenticate<'a>(
    directory: &'a Directory,
    pepper: &[u8],
    login: &str,
    key: &str,
    now: UnixTime,
) -> Option<&'a Account> {
    let given = hash_api_key(pepper, key);
    let account = Login::parse(login)
        .ok()
        .and_then(|login| directory.by_login(&login));
    let keys = account.map_or(&[][..], |account| &account.api_keys);
    // Two comparisons always (a rotated key and its successor), against nothing where there is none.
    let mut matches = false;
    for at in 0..keys.len().max(2) {
        let (hash, is_live) = keys.get(at).map_or(([0; 32], false), |key| {
            (key.hash, key.expires.is_none_or(|expires| now < expires))
        });
        let is_same = constant_time::verify_slices_are_equal(&hash, &given).is_ok();
        matches |= is_same & is_live;
    }
    account.filter(|account| matches && !account.disabled)
}
