//! Token counts and relayed bytes.

use model::AccountId;

use crate::sample::{self, NOW};

#[tokio::test]
async fn a_count_never_gets_smaller() {
    let (_home, store) = sample::fresh().await;
    let ann = store.create_account(sample::account("ann")).await.unwrap();
    let ben = store.create_account(sample::account("ben")).await.unwrap();
    let month = NOW.month();
    store
        .save_token_counts(month, &[(ben, 7), (ann, 10)])
        .await
        .unwrap();
    store
        .save_token_counts(month, &[(ann, 9), (ben, 8)])
        .await
        .unwrap();
    assert_eq!(
        store.token_counts(month).await.unwrap(),
        [(ann, 10), (ben, 8)]
    );
}

#[tokio::test]
async fn months_are_counted_apart() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    store
        .save_token_counts((2025, 12), &[(id, 1000)])
        .await
        .unwrap();
    store
        .save_token_counts((2026, 1), &[(id, 1)])
        .await
        .unwrap();
    assert_eq!(store.token_counts((2025, 12)).await.unwrap(), [(id, 1000)]);
    assert_eq!(store.token_counts((2026, 1)).await.unwrap(), [(id, 1)]);
    assert_eq!(store.token_counts((2024, 12)).await.unwrap(), []);
}

#[tokio::test]
async fn counts_are_saved_all_or_none() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let counts = [(id, 5), (AccountId(4711), 5)];
    store
        .save_token_counts(NOW.month(), &counts)
        .await
        .expect_err("nobody has the number 4711");
    assert_eq!(store.token_counts(NOW.month()).await.unwrap(), []);
    store
        .save_token_counts(NOW.month(), &[])
        .await
        .expect("nothing to do is no error");
}

#[tokio::test]
async fn more_counts_than_one_statement_takes_are_saved() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let counts: Vec<_> = (0..2_500).map(|tokens| (id, tokens)).collect();
    store.save_token_counts(NOW.month(), &counts).await.unwrap();
    assert_eq!(
        store.token_counts(NOW.month()).await.unwrap(),
        [(id, 2_499)]
    );
}

#[tokio::test]
async fn relayed_bytes_are_counted_apart_and_never_get_less() {
    let (_home, store) = sample::fresh().await;
    let ann = store.create_account(sample::account("ann")).await.unwrap();
    let ben = store.create_account(sample::account("ben")).await.unwrap();
    let month = NOW.month();
    store.save_token_counts(month, &[(ann, 1)]).await.unwrap();
    store
        .save_relay_bytes(month, &[(ben, 7), (ann, 1 << 40)])
        .await
        .unwrap();
    store
        .save_relay_bytes(month, &[(ann, 9), (ben, 8)])
        .await
        .unwrap();
    assert_eq!(
        store.relay_bytes(month).await.unwrap(),
        [(ann, 1 << 40), (ben, 8)]
    );
    assert_eq!(store.token_counts(month).await.unwrap(), [(ann, 1)]);
    assert_eq!(store.relay_bytes((2024, 12)).await.unwrap(), []);
}
