//! Rotation and expiry of keys.

use model::{AccountId, UnixTime};
use store::{ChangeError, Store};

use crate::sample::{self, HOUR, NOW};

async fn api_keys(store: &Store, id: AccountId, now: UnixTime) -> Vec<(u8, Option<UnixTime>)> {
    let account = sample::loaded(store, id, now).await;
    account
        .api_keys
        .iter()
        .map(|key| (key.hash[0], key.expires))
        .collect()
}

async fn signing_keys(
    store: &Store,
    id: AccountId,
    now: UnixTime,
) -> Vec<(String, Option<UnixTime>)> {
    let account = sample::loaded(store, id, now).await;
    account
        .signing_keys
        .iter()
        .map(|key| (key.kid.clone(), key.expires))
        .collect()
}

#[tokio::test]
async fn a_rotated_api_key_works_until_its_grace_ends() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let end = NOW + HOUR;
    store.rotate_api_key(id, [1; 32], end).await.unwrap();
    let last_moment = UnixTime::from_millis(end.as_millis() - 1);
    assert_eq!(
        api_keys(&store, id, last_moment).await,
        [(b'a', Some(end)), (1, None)]
    );
    assert_eq!(api_keys(&store, id, end).await, [(1, None)]);
    assert_eq!(
        api_keys(&store, id, NOW).await,
        [(1, None)],
        "what expired was deleted"
    );
}

#[tokio::test]
async fn each_rotated_key_keeps_its_own_expiry() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    store
        .rotate_api_key(id, [1; 32], NOW + HOUR * 2)
        .await
        .unwrap();
    store.rotate_api_key(id, [2; 32], NOW + HOUR).await.unwrap();
    let expected = [
        (b'a', Some(NOW + HOUR * 2)),
        (1, Some(NOW + HOUR)),
        (2, None),
    ];
    assert_eq!(api_keys(&store, id, NOW).await, expected);
    assert_eq!(
        api_keys(&store, id, NOW + HOUR).await,
        [(b'a', Some(NOW + HOUR * 2)), (2, None)]
    );
}

#[tokio::test]
async fn a_key_without_grace_is_gone_at_once() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    store.rotate_api_key(id, [1; 32], NOW).await.unwrap();
    assert_eq!(api_keys(&store, id, NOW).await, [(1, None)]);
}

#[tokio::test]
async fn a_key_that_is_there_is_no_new_one() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let hash = sample::account("ann").api_key_hash;
    let error = store
        .rotate_api_key(id, hash, NOW + HOUR)
        .await
        .expect_err("it has this one");
    assert!(matches!(error, ChangeError::KeyTaken(of) if of == id));
    let error = store
        .rotate_signing_key(id, sample::signing_key("ann"), NOW + HOUR)
        .await
        .expect_err("it has this one");
    assert!(matches!(error, ChangeError::KeyTaken(of) if of == id));
    assert_eq!(api_keys(&store, id, NOW).await, [(b'a', None)]);
    assert_eq!(
        signing_keys(&store, id, NOW).await,
        [("ann".to_owned(), None)]
    );
}

#[tokio::test]
async fn a_rotated_signing_key_verifies_until_its_last_token_expires() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    store
        .rotate_signing_key(id, sample::signing_key("ann2"), NOW + HOUR)
        .await
        .unwrap();
    let expected = [
        ("ann".to_owned(), Some(NOW + HOUR)),
        ("ann2".to_owned(), None),
    ];
    assert_eq!(signing_keys(&store, id, NOW).await, expected);
    assert_eq!(
        signing_keys(&store, id, NOW + HOUR).await,
        [("ann2".to_owned(), None)]
    );
}

#[tokio::test]
async fn a_token_of_long_life_keeps_its_key() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    store.note_token(id, "ann", NOW + HOUR * 100).await.unwrap();
    store.note_token(id, "ann", NOW + HOUR * 50).await.unwrap();
    store
        .rotate_signing_key(id, sample::signing_key("ann2"), NOW + HOUR)
        .await
        .unwrap();
    assert_eq!(
        signing_keys(&store, id, NOW).await[0],
        ("ann".to_owned(), Some(NOW + HOUR * 100))
    );

    // A token made with the old key, by a process that had it loaded.
    let version = store.directory_version().await.unwrap();
    store.note_token(id, "ann", NOW + HOUR * 200).await.unwrap();
    assert_eq!(
        signing_keys(&store, id, NOW).await[0],
        ("ann".to_owned(), Some(NOW + HOUR * 200))
    );
    assert!(
        store.directory_version().await.unwrap() > version,
        "a server must learn the new expiry"
    );

    store.note_token(id, "ann2", NOW + HOUR).await.unwrap();
    assert_eq!(
        signing_keys(&store, id, NOW).await[1],
        ("ann2".to_owned(), None),
        "the current one stays so"
    );
    let error = store
        .note_token(id, "other", NOW)
        .await
        .expect_err("there is no such key");
    assert!(matches!(error, ChangeError::NoSuchKey { kid, .. } if kid == "other"));
}

#[tokio::test]
async fn a_deletion_of_expired_keys_is_seen_by_its_version() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    store.rotate_api_key(id, [1; 32], NOW + HOUR).await.unwrap();
    let (_, version) = store.directory(NOW + HOUR).await.unwrap();
    assert_eq!(
        store.directory_version().await.unwrap(),
        version,
        "what was loaded has the deletion in it"
    );
}

#[tokio::test]
async fn keys_print_without_their_secret() {
    let printed = format!("{:?}", sample::account("ann"));
    assert!(printed.contains("SecretBytes(300 bytes)"), "{printed}");
}
