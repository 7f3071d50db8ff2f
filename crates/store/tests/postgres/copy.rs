//! Copies between a folder and a database, both ways: everything is there again, or nothing.

use model::{AccountId, Service, ServiceName, ServiceTarget};
use model::{ClientGroup, ClientId, Revocation, Revoked, RingOrder};
use store::{AccountChange, Copied, CopyError, RecordQuery, Store};
use tempfile::TempDir;

use crate::home::Home;
use crate::sample::{self, HOUR, NOW};

const RECORDS: u32 = 2_500;

async fn in_folder() -> (TempDir, Store) {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path(), [9; 32]).await.unwrap();
    (dir, store)
}

/// Something of everything.
async fn fill(store: &Store) -> Copied {
    let ann = store.create_account(sample::account("ann")).await.unwrap();
    let ben = store.create_account(sample::account("ben")).await.unwrap();
    let change = AccountChange {
        disabled: Some(true),
        ..AccountChange::default()
    };
    store.update_account(ben, change).await.unwrap();
    store
        .rotate_api_key(ann, [1; 32], NOW + HOUR)
        .await
        .unwrap();
    store.note_token(ann, "ann", NOW + HOUR * 9).await.unwrap();
    let key = sample::signing_key("ann2");
    store
        .rotate_signing_key(ann, key, NOW + HOUR)
        .await
        .unwrap();
    let clients = ["bob", "eve"].map(|id| ClientId::parse(id).unwrap());
    let service = Service {
        name: ServiceName::parse("support").unwrap(),
        target: ServiceTarget::Clients(
            ClientGroup::new(clients.into(), RingOrder::InOrder, 15).unwrap(),
        ),
    };
    store.put_service(ann, &service).await.unwrap();
    let bob = Revoked::Client(ClientId::parse("bob").unwrap());
    for (what, ends) in [(bob, true), (Revoked::Account, false)] {
        let revocation = Revocation::new(what, NOW, ends);
        store.revoke(ann, &revocation, NOW).await.unwrap();
    }
    for month in [(2025, 5), (2025, 6)] {
        let counts = [(ann, 7), (ben, 1 << 40)];
        store.save_token_counts(month, &counts).await.unwrap();
        store.save_relay_bytes(month, &counts).await.unwrap();
    }
    let records: Vec<_> = (0..RECORDS)
        .map(|minute| {
            let call = sample::call([ann, ben][minute as usize % 2], minute);
            if minute % 3 == 0 {
                call
            } else {
                sample::hung_up(&call)
            }
        })
        .collect();
    store.save_records(&records).await.unwrap();
    Copied {
        accounts: 2,
        keys: 6,
        services: 1,
        revocations: 2,
        counts: 8,
        records: RECORDS.into(),
    }
}

/// Everything that a store shows.
async fn shown(store: &Store) -> impl PartialEq + std::fmt::Debug + use<> {
    let (directory, _) = store.directory(NOW).await.unwrap();
    let accounts: Vec<_> = directory.accounts().cloned().collect();
    let mut counts = Vec::new();
    for month in [(2025, 5), (2025, 6)] {
        counts.push(store.token_counts(month).await.unwrap());
        counts.push(store.relay_bytes(month).await.unwrap());
    }
    let query = RecordQuery {
        limit: RECORDS + 1,
        ..RecordQuery::default()
    };
    let records = store.records(query).await.unwrap();
    let pepper = store.pepper().await.unwrap().expose().to_vec();
    (accounts, counts, records, pepper)
}

/// A store that was copied to can be written as any other.
async fn goes_on(store: &Store) {
    let new = store.create_account(sample::account("cat")).await.unwrap();
    assert_eq!(new, AccountId(3), "no number is given twice");
    store
        .save_token_counts((2025, 6), &[(new, 1)])
        .await
        .unwrap();
    store
        .rotate_api_key(AccountId(1), [2; 32], NOW)
        .await
        .unwrap();
    let key = sample::signing_key("ann3");
    let rotated = store.rotate_signing_key(AccountId(1), key, NOW).await;
    rotated.unwrap();
    let account = sample::loaded(store, AccountId(1), NOW).await;
    let noted = account.signing_keys.iter().find(|key| key.kid == "ann");
    assert_eq!(noted.unwrap().expires, Some(NOW + HOUR * 9));
}

#[tokio::test]
async fn a_folder_is_copied_to_a_database_and_back_with_everything_the_same() {
    let (_dir, folder) = in_folder().await;
    let expected = fill(&folder).await;
    let (_home, database) = sample::fresh().await;
    assert_eq!(folder.copy_to(&database).await.unwrap(), expected);
    assert_eq!(shown(&database).await, shown(&folder).await);

    let (_back_dir, back) = in_folder().await;
    assert_eq!(database.copy_to(&back).await.unwrap(), expected);
    assert_eq!(shown(&back).await, shown(&folder).await);

    let (_other_home, other) = sample::fresh().await;
    assert_eq!(database.copy_to(&other).await.unwrap(), expected);
    assert_eq!(shown(&other).await, shown(&folder).await);
    for store in [&database, &back, &other] {
        goes_on(store).await;
    }
}

#[tokio::test]
async fn what_several_nodes_have_counted_goes_over_as_one() {
    let (home, one) = sample::fresh().await;
    let other = home.open().await;
    let id = one.create_account(sample::account("ann")).await.unwrap();
    for (store, count) in [(&one, 3), (&other, 4)] {
        store
            .save_token_counts((2025, 6), &[(id, count)])
            .await
            .unwrap();
    }
    let (_dir, folder) = in_folder().await;
    one.copy_to(&folder).await.unwrap();
    assert_eq!(folder.token_counts((2025, 6)).await.unwrap(), [(id, 7)]);
}

#[tokio::test]
async fn a_store_that_has_accounts_is_not_copied_to() {
    let (_dir, folder) = in_folder().await;
    fill(&folder).await;
    let (_home, database) = sample::fresh().await;
    database
        .create_account(sample::account("eve"))
        .await
        .unwrap();
    let before = shown(&database).await;
    let error = folder.copy_to(&database).await.unwrap_err();
    assert!(matches!(error, CopyError::NotEmpty(_)), "{error:?}");
    assert!(
        error.to_string().contains("has accounts already"),
        "{error}"
    );
    assert!(!error.to_string().contains("hush"), "{error}");
    assert_eq!(shown(&database).await, before);
}

#[tokio::test]
async fn a_copy_that_fails_leaves_nothing_behind() {
    let (_dir, folder) = in_folder().await;
    fill(&folder).await;
    let home = Home::new().await;
    let database = home.open().await;
    let before = shown(&database).await;
    sqlx::raw_sql("ALTER TABLE records ADD CHECK (caller <> 'alice')")
        .execute(&mut home.raw().await)
        .await
        .unwrap();
    let error = folder.copy_to(&database).await.unwrap_err();
    assert!(matches!(error, CopyError::Store(_)), "{error:?}");
    assert_eq!(shown(&database).await, before);
    database
        .create_account(sample::account("ann"))
        .await
        .expect("nothing is locked");
}
