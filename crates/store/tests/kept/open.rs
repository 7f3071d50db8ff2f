//! Opening: what is made, what lasts, and what is refused with which words.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use model::UnixTime;
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use store::{RecordQuery, Store, StoreError};
use tempfile::TempDir;

use crate::sample::{self, HOUR, NOW, PEPPER};

async fn refusal(dir: &Path) -> StoreError {
    Store::open(dir, PEPPER)
        .await
        .expect_err("this is not to be opened")
}

/// The file as another program sees it.
async fn raw(dir: &Path) -> SqliteConnection {
    let file = dir.join("offhook.db");
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .connect()
        .await
        .unwrap()
}

async fn execute(connection: &mut SqliteConnection, statement: &'static str) {
    sqlx::query(statement).execute(connection).await.unwrap();
}

#[tokio::test]
async fn everything_is_there_after_it_was_opened_again() {
    let (dir, store) = sample::fresh().await;
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

    let store = Store::open(dir.path(), [8; 32]).await.unwrap();
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
    let (dir, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    drop(store);
    let store = Store::open(dir.path(), PEPPER).await.unwrap();
    assert_eq!(
        sample::loaded(&store, id, NOW).await.login().to_string(),
        "1-2-0/ann@example.com"
    );
}

#[tokio::test]
async fn folder_and_files_are_for_their_owner_alone() {
    let outer = TempDir::new().unwrap();
    let dir = outer.path().join("a/b");
    let store = Store::open(&dir, PEPPER).await.unwrap();
    store.create_account(sample::account("ann")).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    names.sort();
    assert_eq!(
        names,
        [
            "offhook.db",
            "offhook.db-shm",
            "offhook.db-wal",
            "offhook.lock"
        ]
    );
}

#[tokio::test]
async fn many_may_open_a_new_store_at_once() {
    let dir = TempDir::new().unwrap();
    let path: &'static Path = Box::leak(dir.path().to_owned().into_boxed_path());
    let openings: Vec<_> = (0..8)
        .map(|i| tokio::spawn(Store::open(path, [i; 32])))
        .collect();
    let mut peppers = Vec::new();
    for opening in openings {
        let store = opening.await.unwrap().unwrap();
        peppers.push(store.pepper().await.unwrap().expose().to_vec());
    }
    peppers.dedup();
    assert_eq!(peppers.len(), 1, "all have the same pepper");
}

#[tokio::test]
async fn a_file_in_place_of_the_folder_is_named() {
    let outer = TempDir::new().unwrap();
    let file = outer.path().join("offhook-data");
    fs::write(&file, "notes").unwrap();
    let error = refusal(&file).await;
    assert!(matches!(error, StoreError::NotAFolder { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("offhook-data is not a folder; name a folder"),
        "{text}"
    );

    let error = refusal(&file.join("inside")).await;
    assert!(matches!(error, StoreError::Folder { .. }), "{error:?}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("offhook.db");
    let text =
        "This is a text, long enough to have room for the head of a database file. ".repeat(20);
    fs::write(&file, &text).unwrap();
    let error = refusal(dir.path()).await;
    assert!(
        matches!(error, StoreError::NotADatabase { .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("offhook.db is not a database"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

#[tokio::test]
async fn a_folder_in_place_of_the_database_is_refused() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("offhook.db")).unwrap();
    let error = refusal(dir.path()).await;
    assert!(matches!(error, StoreError::Unopened { .. }), "{error:?}");
}

#[tokio::test]
async fn another_programs_database_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let mut connection = raw(dir.path()).await;
    execute(&mut connection, "CREATE TABLE recipes (name TEXT)").await;
    let error = refusal(dir.path()).await;
    assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_schema")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(tables, ["recipes"]);
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(mode, "delete");
}

#[tokio::test]
async fn a_schema_from_the_future_is_refused() {
    let (dir, store) = sample::fresh().await;
    store.close().await;
    let mut connection = raw(dir.path()).await;
    execute(
        &mut connection,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'later', true, x'00', 1)",
    )
    .await;
    let error = refusal(dir.path()).await;
    assert!(
        matches!(error, StoreError::OtherVersion { step: 9999, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_row_that_makes_no_sense_is_reported_not_guessed_at() {
    let (dir, store) = sample::fresh().await;
    store.create_account(sample::account("ann")).await.unwrap();
    let mut connection = raw(dir.path()).await;
    execute(&mut connection, "UPDATE accounts SET cloud_id = 'nowhere'").await;
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
    let (_dir, store) = sample::fresh().await;
    let clone = store.clone();
    store.close().await;
    let error = clone.directory_version().await.expect_err("it was closed");
    assert!(matches!(error, StoreError::Closed { .. }), "{error:?}");
}

#[tokio::test]
async fn the_file_is_in_write_ahead_mode_and_marked_as_ours() {
    let (dir, _store) = sample::fresh().await;
    let mut connection = raw(dir.path()).await;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(mode, "wal");
    let mark: i32 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(mark.to_be_bytes(), *b"ofhk");
}

#[tokio::test]
async fn times_at_the_ends_of_the_calendar_are_kept() {
    let (_dir, store) = sample::fresh().await;
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

#[tokio::test]
async fn a_copy_has_everything_and_takes_no_place_of_another_file() {
    let (_dir, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let record = sample::hung_up(&sample::call(id, 1));
    let kept = std::slice::from_ref(&record);
    store.save_records(kept).await.unwrap();
    let target = TempDir::new().unwrap();
    let file = target.path().join("offhook.db");
    store.copy_to(&file).await.unwrap();
    let error = store.copy_to(&file).await.expect_err("it is there");
    assert!(error.to_string().starts_with("cannot copy the store"));

    let copy = Store::open(target.path(), [8; 32]).await.unwrap();
    let pepper = store.pepper().await.unwrap();
    assert_eq!(copy.pepper().await.unwrap().expose(), pepper.expose());
    let before = sample::loaded(&store, id, NOW).await;
    assert_eq!(sample::loaded(&copy, id, NOW).await, before);
    let records = copy.records(RecordQuery::default()).await.unwrap();
    assert_eq!(records, [record]);
    copy.close().await;
    store.close().await;
}
