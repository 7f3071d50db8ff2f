//! What lasts when a store is closed, dropped or opened again, whatever keeps it.

use std::sync::Arc;

use model::UnixTime;
use store::{RecordQuery, StoreError};

use crate::home::Home;
use crate::sample::{self, HOUR, NOW, PEPPER};

#[tokio::test]
async fn everything_is_there_after_it_was_opened_again() {
    let (home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let record = sample::hung_up(&sample::call(id, 1));
    store
        .save_token_counts(NOW.month(), &[(id, 12)])
        .await
        .unwrap();
    store
        .save_records(std::slice::from_ref(&record))
        .await
        .unwrap();
    let (_, version) = store.directory(NOW).await.unwrap();
    let before = sample::loaded(&store, id, NOW).await;
    store.close().await;

    let store = home.open_with([8; 32]).await;
    assert_eq!(sample::loaded(&store, id, NOW).await, before);
    assert_eq!(store.directory_version().await.unwrap(), version);
    assert_eq!(store.token_counts(NOW.month()).await.unwrap(), [(id, 12)]);
    assert_eq!(
        store.records(RecordQuery::default()).await.unwrap(),
        [record]
    );
    assert_eq!(
        store.pepper().await.unwrap().expose(),
        PEPPER,
        "the first pepper stays"
    );
}

#[tokio::test]
async fn a_store_dropped_without_close_has_lost_nothing() {
    let (home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    drop(store);
    let store = home.open().await;
    assert_eq!(
        sample::loaded(&store, id, NOW).await.login().to_string(),
        "1-2-0/ann@example.com"
    );
}

#[tokio::test]
async fn many_may_open_a_new_store_at_once() {
    let home = Arc::new(Home::new().await);
    let openings: Vec<_> = (0..8)
        .map(|i| {
            let home = Arc::clone(&home);
            tokio::spawn(async move { home.open_with([i; 32]).await })
        })
        .collect();
    let mut peppers = Vec::new();
    for opening in openings {
        let store = opening.await.unwrap();
        peppers.push(store.pepper().await.unwrap().expose().to_vec());
    }
    peppers.dedup();
    assert_eq!(peppers.len(), 1, "all have the same pepper");
}

#[tokio::test]
async fn a_row_that_makes_no_sense_is_reported_not_guessed_at() {
    let (home, store) = sample::fresh().await;
    store.create_account(sample::account("ann")).await.unwrap();
    let mut connection = home.raw().await;
    sqlx::query("UPDATE accounts SET cloud_id = 'nowhere'")
        .execute(&mut connection)
        .await
        .unwrap();
    let error = store
        .directory(NOW)
        .await
        .expect_err("the cloud id has no form");
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .contains("cloud id \"nowhere\" is not valid"),
        "{error}"
    );
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let (_home, store) = sample::fresh().await;
    let clone = store.clone();
    store.close().await;
    let error = clone.directory_version().await.expect_err("it was closed");
    assert!(matches!(error, StoreError::Closed { .. }), "{error:?}");
}

#[tokio::test]
async fn times_at_the_ends_of_the_calendar_are_kept() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let never = UnixTime::from_millis(u64::MAX);
    store.rotate_api_key(id, [1; 32], never).await.unwrap();
    assert_eq!(
        sample::loaded(&store, id, NOW + HOUR * 1_000_000)
            .await
            .api_keys
            .len(),
        2
    );
}
