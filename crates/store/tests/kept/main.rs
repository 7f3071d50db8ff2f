//! The store on real files: what is kept, what is refused, and what another process sees.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod account;
mod home;
mod key;
mod open;
mod process;
mod record;
mod reopen;
mod revocation;
mod sample;
mod service;
mod usage;

/// A server works with the store in tasks that go from thread to thread.
#[tokio::test]
async fn whatever_is_asked_of_a_store_may_go_from_thread_to_thread() {
    fn may_go<T: Send>(work: T) -> T {
        work
    }
    let (home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let now = sample::NOW;
    may_go(store.directory(now)).await.unwrap();
    may_go(store.directory_version()).await.unwrap();
    may_go(store.forget_records(now, 1)).await.unwrap();
    may_go(store.end_dangling_records(now, "x")).await.unwrap();
    let mut absent = store::Absent::default();
    may_go(store.end_abandoned_records(&mut absent, now, "x"))
        .await
        .unwrap();
    may_go(store.changes()).await.unwrap();
    may_go(store.records(store::RecordQuery::default()))
        .await
        .unwrap();
    let name = model::ServiceName::parse("x").unwrap();
    let change = store.change_service(id, &name, |old| Ok::<_, ()>(old.clone()));
    may_go(change).await.expect_err("it is not there");
    may_go(store.update_account(id, store::AccountChange::default()))
        .await
        .unwrap();
    may_go(store.rotate_signing_key(id, sample::signing_key("y"), now))
        .await
        .unwrap();
    may_go(store.note_token(id, "y", now)).await.unwrap();
    let revocation = model::Revocation::new(model::Revoked::Account, now, true);
    may_go(store.revoke(id, &revocation, now)).await.unwrap();
    may_go(store.remove_revocation(id, &revocation.what))
        .await
        .unwrap();
    may_go(store.pepper()).await.unwrap();
    let address = store::Address::Folder(home.path().join("other"));
    let other = store::Store::open_at(&address, [1; 32], store::Migrate::AtOnce);
    let other = may_go(other).await.unwrap();
    may_go(store.copy_to(&other)).await.unwrap();
    may_go(other.close()).await;
}
