//! Sample accounts, keys and calls, and a store that goes away.

use std::time::Duration;

use model::{
    Account, AccountId, AccountKind, Algorithm, CallOutcome, CallRecord, Callee, ClientId, CloudId,
    EndedBy, RecordId, SecretBytes, SigningKeyRow, UnixTime, Username, WebRtcAccessKey,
};
use store::{NewAccount, Store};

use crate::home::Home;

pub(crate) const PEPPER: [u8; 32] = [7; 32];
/// 2025-06-15.
pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_749_988_800);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) async fn fresh() -> (Home, Store) {
    let home = Home::new().await;
    let store = home.open().await;
    (home, store)
}

pub(crate) fn signing_key(kid: &str) -> SigningKeyRow {
    SigningKeyRow {
        kid: kid.to_owned(),
        algorithm: Algorithm::Es256,
        pkcs8: SecretBytes::new(kid.as_bytes().repeat(100)),
        expires: None,
    }
}

/// Everything of the account follows from its name.
pub(crate) fn account(name: &str) -> NewAccount {
    let mut api_key_hash = [0; 32];
    api_key_hash[..name.len()].copy_from_slice(name.as_bytes());
    NewAccount {
        cloud_id: CloudId::parse("1-2-0").unwrap(),
        username: Username::parse(&format!("{name}@example.com")).unwrap(),
        kind: AccountKind::Developer,
        access_key: WebRtcAccessKey::parse(&format!("key{name}")).unwrap(),
        token_limit: None,
        api_key_hash,
        signing_key: signing_key(name),
    }
}

pub(crate) async fn loaded(store: &Store, id: AccountId, now: UnixTime) -> Account {
    let (directory, _) = store.directory(now).await.unwrap();
    directory
        .account(id)
        .expect("the account was created")
        .clone()
}

/// A call that began `minute` minutes after `NOW` and goes on.
pub(crate) fn call(account: AccountId, minute: u32) -> CallRecord {
    let started = NOW + Duration::from_secs(60) * minute;
    CallRecord {
        id: RecordId((0xfeed << 112) | u128::from(minute)),
        account,
        caller: model::Caller::Client(ClientId::parse("alice").unwrap()),
        callee: Callee::Client(ClientId::parse("bob").unwrap()),
        call_id: format!("call-{minute}"),
        started,
        ringing: None,
        answered: None,
        outcome: None,
        relay: Default::default(),
    }
}

/// The same call, answered and hung up by the callee.
pub(crate) fn hung_up(call: &CallRecord) -> CallRecord {
    CallRecord {
        ringing: Some(call.started + Duration::from_secs(1)),
        answered: Some(call.started + Duration::from_secs(5)),
        outcome: Some(CallOutcome {
            at: call.started + Duration::from_secs(47),
            by: EndedBy::Callee,
            status: 200,
            reason: "hung up".to_owned(),
        }),
        ..call.clone()
    }
}
