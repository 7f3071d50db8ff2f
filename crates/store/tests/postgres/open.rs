//! Opening a database: what is made, what is refused and with which words, and who may change its tables.

use store::{Address, Migrate, Store, StoreError};

use crate::home::Home;
use crate::sample::{self, NOW, PEPPER};

async fn execute(home: &Home, statement: &'static str) {
    sqlx::raw_sql(statement)
        .execute(&mut home.raw().await)
        .await
        .unwrap();
}

#[tokio::test]
async fn another_programs_database_is_refused_and_left_alone() {
    let home = Home::new().await;
    execute(&home, "CREATE TABLE recipes (name TEXT)").await;
    for migrate in [Migrate::AtOnce, Migrate::Never] {
        let error = home.refusal(migrate).await;
        assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
    }
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
            .fetch_all(&mut home.raw().await)
            .await
            .unwrap();
    assert_eq!(tables, ["recipes"]);
}

#[tokio::test]
async fn tables_are_changed_only_where_that_is_allowed() {
    let home = Home::new().await;
    let error = home.refusal(Migrate::Never).await;
    assert!(
        matches!(error, StoreError::Unmigrated { step: 1, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("offhook migrate"), "{error}");
    home.open().await.close().await;
    let address = home.address();
    let store = Store::open_at(&address, PEPPER, Migrate::Never).await;
    let store = store.unwrap();
    store.create_account(sample::account("ann")).await.unwrap();
}

#[tokio::test]
async fn a_schema_from_the_future_is_refused() {
    let home = Home::new().await;
    home.open().await.close().await;
    execute(
        &home,
        "INSERT INTO offhook_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'later', true, '\\x00', 1)",
    )
    .await;
    for migrate in [Migrate::AtOnce, Migrate::Never] {
        let error = home.refusal(migrate).await;
        assert!(
            matches!(error, StoreError::OtherVersion { step: 9999, .. }),
            "{error:?}"
        );
        assert!(
            error
                .to_string()
                .contains("was written by another version of offhook"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_database_or_a_server_that_is_not_there_is_named_without_the_password() {
    let home = Home::new().await;
    let nowhere = home.name().replace("/kept", "/absent");
    let error = Store::open_at(&Address::parse(&nowhere).unwrap(), PEPPER, Migrate::AtOnce)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("does not exist"), "{error}");
    assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");

    let absent = "postgres://ann:hush-hush@%2Fnonexistent/calls";
    let error = Store::open_at(&Address::parse(absent).unwrap(), PEPPER, Migrate::AtOnce)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
}

#[tokio::test]
async fn a_store_that_stays_locked_is_reported_in_time() {
    let (home, store) = sample::fresh().await;
    let mut connection = home.raw().await;
    sqlx::raw_sql("BEGIN; SELECT version FROM directory_version FOR UPDATE")
        .execute(&mut connection)
        .await
        .unwrap();
    let error = store
        .rotate_api_key(model::AccountId(1), [1; 32], NOW)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            store::ChangeError::Store(StoreError::Busy { .. } | StoreError::Slow { .. })
        ),
        "{error:?}"
    );
    store
        .directory(NOW)
        .await
        .expect("readers do not wait for a writer");
}

#[tokio::test]
async fn a_text_that_postgres_cannot_keep_keeps_no_batch_from_being_written() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let mut call = sample::call(id, 0);
    call.call_id = "a\0b".to_owned();
    store
        .save_records(&[call, sample::call(id, 1)])
        .await
        .unwrap();
    let kept = store.records(store::RecordQuery::default()).await.unwrap();
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[1].call_id, "a\u{fffd}b");
}
