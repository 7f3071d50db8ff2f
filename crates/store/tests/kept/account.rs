//! Accounts and the directory.

use model::{AccountId, AccountKind, Login, TokenLimit, limits};
use store::{AccountChange, ChangeError, CreateError};

use crate::sample::{self, NOW};

#[tokio::test]
async fn a_created_account_is_in_the_directory_whole() {
    let (_home, store) = sample::fresh().await;
    let new = sample::account("ann");
    let id = store.create_account(new.clone()).await.unwrap();
    let (directory, _) = store.directory(NOW).await.unwrap();
    let account = directory.by_access_key("keyann").unwrap();
    assert_eq!(account.id, id);
    assert_eq!(
        (&account.cloud_id, &account.username),
        (&new.cloud_id, &new.username)
    );
    assert_eq!(account.kind, AccountKind::Developer);
    assert!(!account.disabled);
    assert_eq!(
        account.token_limit,
        TokenLimit::Monthly(limits::DEVELOPER_TOKENS_MONTHLY)
    );
    assert_eq!(account.api_keys.len(), 1);
    assert_eq!(
        (account.api_keys[0].hash, account.api_keys[0].expires),
        (new.api_key_hash, None)
    );
    assert_eq!(account.signing_keys, [new.signing_key]);
}

#[tokio::test]
async fn accounts_keep_their_own_keys() {
    let (_home, store) = sample::fresh().await;
    for name in ["ann", "ben", "cat"] {
        store.create_account(sample::account(name)).await.unwrap();
    }
    let (directory, _) = store.directory(NOW).await.unwrap();
    let kids: Vec<_> = directory
        .accounts()
        .map(|account| account.signing_keys[0].kid.as_str())
        .collect();
    assert_eq!(kids, ["ann", "ben", "cat"]);
}

#[tokio::test]
async fn an_account_is_found_by_its_login() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let login = |text| Login::parse(text).unwrap();
    assert_eq!(
        store
            .find_account(&login("1-2-0/ann@example.com"))
            .await
            .unwrap(),
        Some(id)
    );
    assert_eq!(
        store
            .find_account(&login("1-2-1/ann@example.com"))
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn logins_and_access_keys_are_unique_and_a_refusal_leaves_no_trace() {
    let (_home, store) = sample::fresh().await;
    store.create_account(sample::account("ann")).await.unwrap();
    let version = store.directory_version().await.unwrap();

    let mut again = sample::account("ben");
    again.username = sample::account("ann").username;
    let error = store
        .create_account(again)
        .await
        .expect_err("the login is taken");
    assert!(
        matches!(&error, CreateError::LoginTaken(login) if login.to_string() == "1-2-0/ann@example.com")
    );

    let mut again = sample::account("ben");
    again.access_key = sample::account("ann").access_key;
    let error = store
        .create_account(again)
        .await
        .expect_err("the access key is taken");
    assert!(matches!(&error, CreateError::AccessKeyTaken(key) if key.as_str() == "keyann"));

    assert_eq!(store.directory_version().await.unwrap(), version);
    assert_eq!(store.directory(NOW).await.unwrap().0.accounts().count(), 1);
    store
        .create_account(sample::account("ben"))
        .await
        .expect("another account is welcome");
}

#[tokio::test]
async fn of_many_who_want_the_same_login_at_once_one_gets_it() {
    let (home, store) = sample::fresh().await;
    let other = home.open().await;
    let attempts: Vec<_> = (0..10)
        .map(|i| {
            let store = if i % 2 == 0 {
                store.clone()
            } else {
                other.clone()
            };
            tokio::spawn(async move { store.create_account(sample::account("ann")).await })
        })
        .collect();
    let mut created = 0;
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(_) => created += 1,
            Err(CreateError::LoginTaken(_)) => {}
            Err(error @ (CreateError::AccessKeyTaken(_) | CreateError::Store(_))) => {
                panic!("{error}")
            }
        }
    }
    assert_eq!(created, 1);
}

#[tokio::test]
async fn a_change_touches_what_it_names() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let before = sample::loaded(&store, id, NOW).await;

    let disable = AccountChange {
        disabled: Some(true),
        ..AccountChange::default()
    };
    store.update_account(id, disable).await.unwrap();
    let after = sample::loaded(&store, id, NOW).await;
    assert!(after.disabled);
    assert_eq!(
        model::Account {
            disabled: false,
            ..after
        },
        before
    );

    let nothing = AccountChange::default();
    store.update_account(id, nothing).await.unwrap();
    assert!(sample::loaded(&store, id, NOW).await.disabled);
}

#[tokio::test]
async fn a_limit_of_its_own_outlives_a_change_of_kind_and_can_be_given_back() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let limit_after = async |change| {
        store.update_account(id, change).await.unwrap();
        sample::loaded(&store, id, NOW).await.token_limit
    };
    let kind = |kind| AccountChange {
        kind: Some(kind),
        ..AccountChange::default()
    };
    let limit = |limit| AccountChange {
        token_limit: Some(limit),
        ..AccountChange::default()
    };
    let by_kind = TokenLimit::Monthly(limits::DEVELOPER_TOKENS_MONTHLY);

    assert_eq!(
        limit_after(kind(AccountKind::Production)).await,
        TokenLimit::Unlimited
    );
    assert_eq!(
        limit_after(limit(Some(TokenLimit::Monthly(0)))).await,
        TokenLimit::Monthly(0)
    );
    assert_eq!(
        limit_after(kind(AccountKind::Developer)).await,
        TokenLimit::Monthly(0)
    );
    assert_eq!(
        limit_after(limit(Some(TokenLimit::Unlimited))).await,
        TokenLimit::Unlimited
    );
    assert_eq!(limit_after(limit(None)).await, by_kind);
}

#[tokio::test]
async fn a_limit_given_at_creation_holds() {
    let (_home, store) = sample::fresh().await;
    let new = store::NewAccount {
        token_limit: Some(TokenLimit::Monthly(3)),
        ..sample::account("ann")
    };
    let id = store.create_account(new).await.unwrap();
    assert_eq!(
        sample::loaded(&store, id, NOW).await.token_limit,
        TokenLimit::Monthly(3)
    );
}

#[tokio::test]
async fn nobody_cannot_be_changed() {
    let (_home, store) = sample::fresh().await;
    let nobody = AccountId(4711);
    let error = store
        .update_account(nobody, AccountChange::default())
        .await
        .expect_err("nobody is there");
    assert!(matches!(error, ChangeError::NoSuchAccount(id) if id == nobody));
    let error = store
        .rotate_api_key(nobody, [1; 32], NOW)
        .await
        .expect_err("nobody is there");
    assert!(matches!(error, ChangeError::NoSuchAccount(id) if id == nobody));
    let error = store
        .rotate_signing_key(nobody, sample::signing_key("x"), NOW)
        .await
        .expect_err("nobody is there");
    assert!(matches!(error, ChangeError::NoSuchAccount(id) if id == nobody));
}

#[tokio::test]
async fn every_change_of_the_directory_grows_its_version_as_other_handles_see_it() {
    let (home, store) = sample::fresh().await;
    let other = home.open().await;
    let mut version = other.directory_version().await.unwrap();
    let mut grown = async |what: &str| {
        let now = other.directory_version().await.unwrap();
        assert!(now > version, "{what}");
        assert_eq!(other.directory(NOW).await.unwrap().1, now, "{what}");
        version = now;
    };

    let id = store.create_account(sample::account("ann")).await.unwrap();
    grown("an account was created").await;
    let disable = AccountChange {
        disabled: Some(true),
        ..AccountChange::default()
    };
    store.update_account(id, disable).await.unwrap();
    grown("it was disabled").await;
    store
        .rotate_api_key(id, [1; 32], NOW + sample::HOUR)
        .await
        .unwrap();
    grown("its API key was rotated").await;
    store
        .rotate_signing_key(id, sample::signing_key("ann2"), NOW + sample::HOUR)
        .await
        .unwrap();
    grown("its signing key was rotated").await;
}

#[tokio::test]
async fn what_the_directory_does_not_show_leaves_its_version() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let version = store.directory_version().await.unwrap();
    store
        .save_token_counts(NOW.month(), &[(id, 5)])
        .await
        .unwrap();
    store.save_records(&[sample::call(id, 0)]).await.unwrap();
    store
        .note_token(id, "ann", NOW + sample::HOUR)
        .await
        .unwrap();
    store.directory(NOW).await.unwrap();
    assert_eq!(store.directory_version().await.unwrap(), version);
}
