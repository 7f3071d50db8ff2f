//! Several nodes on one database: they count, rotate and create at once, and hear of each other's changes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use store::{Absent, Address, ChangeError, CreateError, Migrate, RecordQuery, Store};
use tokio::time::timeout;

use crate::home::Home;
use crate::sample::{self, HOUR, NOW};
use crate::server::Server;
use crate::way::Way;

/// Far less than the second within which a change is to be known, far more than it takes.
const SOON: Duration = Duration::from_millis(900);
/// A server that was stopped and started again is found within this time.
const BACK: Duration = Duration::from_secs(20);

async fn two() -> (Home, [Store; 2]) {
    let (home, store) = sample::fresh().await;
    let other = home.open().await;
    (home, [store, other])
}

#[tokio::test]
async fn what_nodes_count_at_once_adds_up() {
    let (home, stores) = two().await;
    let ann = stores[0]
        .create_account(sample::account("ann"))
        .await
        .unwrap();
    let ben = stores[0]
        .create_account(sample::account("ben"))
        .await
        .unwrap();
    let month = NOW.month();
    // As nodes do: they begin with what is kept, and write what they have now.
    for store in &stores {
        assert_eq!(store.token_counts(month).await.unwrap(), []);
        assert_eq!(store.relay_bytes(month).await.unwrap(), []);
    }
    let counting: Vec<_> = stores
        .iter()
        .cloned()
        .map(|store| {
            tokio::spawn(async move {
                for count in 1..=30 {
                    let order = if count % 2 == 0 {
                        [(ann, count), (ben, 2 * count)]
                    } else {
                        [(ben, 2 * count), (ann, count)]
                    };
                    store.save_token_counts(month, &order).await.unwrap();
                    store.save_relay_bytes(month, &order).await.unwrap();
                    // What may have been written is written again.
                    store.save_token_counts(month, &order).await.unwrap();
                }
            })
        })
        .collect();
    for counting in counting {
        counting.await.unwrap();
    }
    let expected = [(ann, 60), (ben, 120)];
    for store in &stores {
        let elsewhere = store.token_counts_elsewhere(month).await.unwrap();
        assert_eq!(
            BTreeMap::from_iter(elsewhere),
            [(ann, 30), (ben, 60)].into()
        );
        assert_eq!(store.token_counts(month).await.unwrap(), expected);
        assert_eq!(store.relay_bytes(month).await.unwrap(), expected);
    }
    // A node that starts again goes on from all of it.
    let again = home.open().await;
    assert_eq!(again.token_counts(month).await.unwrap(), expected);
    assert_eq!(again.token_counts_elsewhere(month).await.unwrap(), []);
    again.save_token_counts(month, &[(ann, 61)]).await.unwrap();
    assert_eq!(
        stores[0].token_counts(month).await.unwrap(),
        [(ann, 61), (ben, 120)]
    );
}

#[tokio::test]
async fn of_many_rotations_at_once_each_is_made_and_one_key_is_the_current() {
    let (_home, stores) = two().await;
    let id = stores[0]
        .create_account(sample::account("ann"))
        .await
        .unwrap();
    let rotations: Vec<_> = (0..20_u8)
        .map(|number| {
            let store = stores[usize::from(number % 2)].clone();
            tokio::spawn(async move {
                let kid = format!("ann{number}");
                store
                    .rotate_signing_key(id, sample::signing_key(&kid), NOW + HOUR)
                    .await?;
                store.note_token(id, &kid, NOW + HOUR * 2).await?;
                store.rotate_api_key(id, [number + 1; 32], NOW + HOUR).await
            })
        })
        .collect();
    for rotation in rotations {
        rotation.await.unwrap().unwrap();
    }
    let account = sample::loaded(&stores[1], id, NOW).await;
    assert_eq!(
        (account.api_keys.len(), account.signing_keys.len()),
        (21, 21)
    );
    let current = |expires: &[Option<model::UnixTime>]| {
        expires.iter().filter(|expires| expires.is_none()).count()
    };
    let api: Vec<_> = account.api_keys.iter().map(|key| key.expires).collect();
    let signing: Vec<_> = account.signing_keys.iter().map(|key| key.expires).collect();
    assert_eq!((current(&api), current(&signing)), (1, 1));
    // Those whose tokens live longer verify as long.
    for key in &account.signing_keys {
        let noted = key.kid != "ann" && key.expires.is_some();
        assert!(!noted || key.expires == Some(NOW + HOUR * 2), "{key:?}");
    }
}

#[tokio::test]
async fn of_many_who_create_at_once_each_gets_a_number_or_is_told_why_not() {
    let (_home, stores) = two().await;
    let creations: Vec<_> = (0..20)
        .map(|number| {
            let store = stores[number % 2].clone();
            // Everybody is wanted twice.
            let new = sample::account(&format!("ann{}", number / 2));
            tokio::spawn(async move { store.create_account(new).await })
        })
        .collect();
    let (mut numbers, mut refused) = (BTreeSet::new(), 0);
    for creation in creations {
        match creation.await.unwrap() {
            Ok(id) => assert!(numbers.insert(id), "{id:?} was given twice"),
            Err(CreateError::LoginTaken(_)) => refused += 1,
            Err(error @ (CreateError::AccessKeyTaken(_) | CreateError::Store(_))) => {
                panic!("{error}")
            }
        }
    }
    assert_eq!((numbers.len(), refused), (10, 10));
}

#[tokio::test]
async fn versions_are_committed_in_their_order() {
    let (_home, stores) = two().await;
    let id = stores[0]
        .create_account(sample::account("ann"))
        .await
        .unwrap();
    let [store, other] = stores;
    let writing = tokio::spawn(async move {
        for number in 0..50 {
            let changed = other.rotate_api_key(id, [number + 1; 32], NOW + HOUR).await;
            changed.unwrap();
        }
    });
    // A directory of the same version is the same.
    let mut seen = std::collections::BTreeMap::new();
    while !writing.is_finished() {
        let (directory, version) = store.directory(NOW).await.unwrap();
        let keys = directory.account(id).unwrap().api_keys.len();
        assert_eq!(*seen.entry(version).or_insert(keys), keys);
    }
    writing.await.unwrap();
    assert_eq!(sample::loaded(&store, id, NOW).await.api_keys.len(), 51);
}

#[tokio::test]
async fn records_of_one_call_from_two_nodes_are_one_record() {
    let (_home, stores) = two().await;
    let id = stores[0]
        .create_account(sample::account("ann"))
        .await
        .unwrap();
    let begun: Vec<_> = (0..200).map(|minute| sample::call(id, minute)).collect();
    let ended: Vec<_> = begun.iter().rev().map(sample::hung_up).collect();
    let [store, other] = stores;
    let reader = store.clone();
    let writing = [
        tokio::spawn(async move { store.save_records(&begun).await }),
        tokio::spawn(async move { other.save_records(&ended).await }),
    ];
    for writing in writing {
        writing.await.unwrap().unwrap();
    }
    let query = RecordQuery {
        limit: 1_000,
        ..RecordQuery::default()
    };
    let kept = reader.records(query).await.unwrap();
    assert_eq!(kept.len(), 200);
    assert!(kept.iter().all(|record| record.outcome.is_some()));
}

/// Looks for nodes that are gone, until some are; nothing is ended meanwhile.
async fn until_absent(store: &Store, absent: &mut Absent) {
    let looking = async {
        while *absent == Absent::default() {
            let ended = store.end_abandoned_records(absent, NOW, "killed").await;
            assert_eq!(ended.unwrap(), 0);
            tokio::task::yield_now().await;
        }
    };
    timeout(BACK, looking).await.expect("it is seen to be gone");
}

#[tokio::test]
async fn calls_of_a_node_are_ended_by_others_when_it_is_gone_and_not_before() {
    let (_home, [serving, other]) = two().await;
    let id = serving
        .create_account(sample::account("ann"))
        .await
        .unwrap();
    let call = sample::call(id, 0);
    let changes = serving.changes().await.unwrap();
    serving
        .save_records(std::slice::from_ref(&call))
        .await
        .unwrap();
    let mut absent = Absent::default();
    for _ in 0..2 {
        let dangling = other.end_dangling_records(NOW, "killed").await;
        assert_eq!(dangling.unwrap(), 0, "a node that starts ends its own");
        let abandoned = other.end_abandoned_records(&mut absent, NOW, "killed");
        assert_eq!(abandoned.await.unwrap(), 0, "it is there");
    }
    drop(changes);
    until_absent(&other, &mut absent).await;
    // It was away for a moment.
    let changes = serving.changes().await.unwrap();
    let abandoned = other.end_abandoned_records(&mut absent, NOW, "killed");
    assert_eq!(abandoned.await.unwrap(), 0, "it is back");
    drop(changes);
    until_absent(&other, &mut absent).await;
    let abandoned = other.end_abandoned_records(&mut absent, NOW, "killed");
    assert_eq!(abandoned.await.unwrap(), 1);
    let reason = async || {
        let records = other.records(RecordQuery::default()).await.unwrap();
        let [record] = &records[..] else {
            panic!("{records:?}")
        };
        record.outcome.clone().unwrap().reason
    };
    assert_eq!(reason().await, "killed");
    // It was alive after all, and knows better.
    let ended = sample::hung_up(&call);
    serving.save_records(&[ended]).await.unwrap();
    assert_eq!(reason().await, "hung up");
}

#[tokio::test]
async fn a_call_that_has_gone_to_another_node_is_not_ended_with_the_one_that_began_it() {
    let (_home, [began, other]) = two().await;
    let id = began.create_account(sample::account("ann")).await.unwrap();
    let [stayed, gone] = [sample::call(id, 0), sample::call(id, 1)];
    let changes = began.changes().await.unwrap();
    let _there = other.changes().await.unwrap();
    let both = [stayed, gone];
    began.save_records(&both).await.unwrap();
    other.save_records(&both[1..]).await.unwrap();
    drop(changes);
    let mut absent = Absent::default();
    until_absent(&other, &mut absent).await;
    let abandoned = other.end_abandoned_records(&mut absent, NOW, "killed");
    assert_eq!(abandoned.await.unwrap(), 1);
    for record in other.records(RecordQuery::default()).await.unwrap() {
        assert_eq!(record.outcome.is_some(), record.id == both[0].id);
    }
}

#[tokio::test]
async fn nodes_on_two_schemas_of_one_database_know_nothing_of_each_other() {
    let home = Home::new().await;
    for name in ["one", "two"] {
        let create = sqlx::AssertSqlSafe(format!("CREATE SCHEMA {name}"));
        sqlx::raw_sql(create)
            .execute(&mut home.raw().await)
            .await
            .unwrap();
    }
    let open = async |schema: &str| {
        let url = format!("{}?options=-csearch_path%3D{schema}", home.name());
        let address = Address::parse(&url).unwrap();
        Store::open_at(&address, [1; 32], Migrate::AtOnce)
            .await
            .unwrap()
    };
    // Both are the first process on their tables.
    let (one, two) = (open("one").await, open("two").await);
    let _serving = one.changes().await.unwrap();
    let id = two.create_account(sample::account("ann")).await.unwrap();
    two.save_records(&[sample::call(id, 0)]).await.unwrap();
    let (other, mut absent) = (open("two").await, Absent::default());
    until_absent(&other, &mut absent).await;
    let ended = other.end_abandoned_records(&mut absent, NOW, "killed");
    assert_eq!(ended.await.unwrap(), 1);
}

#[tokio::test]
async fn a_node_that_starts_ends_what_it_has_written_for_an_earlier_run() {
    let (_home, [starting, other]) = two().await;
    let id = other.create_account(sample::account("ann")).await.unwrap();
    let _changes = starting.changes().await.unwrap();
    starting.save_records(&[sample::call(id, 0)]).await.unwrap();
    other.save_records(&[sample::call(id, 1)]).await.unwrap();
    let ended = starting.end_dangling_records(NOW, "killed").await;
    assert_eq!(ended.unwrap(), 1);
}

#[tokio::test]
async fn connections_that_lead_nowhere_are_given_up_and_others_made() {
    let server = Server::start();
    let way = Way::to(&server);
    let home = Home::on(|name| way.url(name)).await;
    let store = home.open().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let changes = store.changes().await.unwrap();
    // It looks as it begins.
    timeout(BACK, changes.next()).await.unwrap();
    let busy: Vec<_> = (0..16)
        .map(|minute| {
            let store = store.clone();
            tokio::spawn(async move { store.save_records(&[sample::call(id, minute)]).await })
        })
        .collect();
    for saving in busy {
        saving.await.unwrap().unwrap();
    }
    way.cut();
    let written = async {
        let call = [sample::call(id, 16)];
        while store.save_records(&call).await.is_err() {}
    };
    timeout(BACK, written).await.expect("there is another way");
    let other = home.open().await;
    let heard = async {
        for key in 1_u8.. {
            other
                .rotate_api_key(id, [key; 32], NOW + HOUR)
                .await
                .unwrap();
            if timeout(SOON / 3, changes.next()).await.is_ok() {
                return;
            }
        }
    };
    timeout(BACK, heard).await.expect("it listens again");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_and_found_again() {
    let mut server = Server::start();
    let home = Home::on(|name| server.url(name)).await;
    let store = home.open().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let changes = store.changes().await.unwrap();
    server.freeze();
    let call = sample::call(id, 0);
    let error = timeout(BACK, store.save_records(std::slice::from_ref(&call)));
    let error = error.await.expect("it is given up").unwrap_err();
    assert!(error.is_passing(), "{error:?}");
    server.thaw();
    let written = async {
        while store
            .save_records(std::slice::from_ref(&call))
            .await
            .is_err()
        {}
    };
    timeout(BACK, written).await.expect("it is written later");
    let records = store.records(RecordQuery::default()).await.unwrap();
    assert_eq!(records, [call]);
    let other = home.open().await;
    let mut absent = Absent::default();
    for _ in 0..2 {
        let abandoned = other.end_abandoned_records(&mut absent, NOW, "killed");
        assert_eq!(abandoned.await.unwrap(), 0, "it never went away");
    }
    drop(changes);
}

#[tokio::test]
async fn a_change_is_heard_by_another_node_at_once() {
    let (_home, [store, other]) = two().await;
    let changes = other.changes().await.unwrap();
    timeout(BACK, changes.next())
        .await
        .expect("it looks as it begins");
    let id = store.create_account(sample::account("ann")).await.unwrap();
    timeout(SOON, changes.next())
        .await
        .expect("an account was created");
    let nothing = timeout(Duration::from_millis(50), changes.next()).await;
    assert!(nothing.is_err(), "nothing more has happened");
    store.rotate_api_key(id, [1; 32], NOW + HOUR).await.unwrap();
    timeout(SOON, changes.next())
        .await
        .expect("a key was rotated");
    store
        .save_token_counts(NOW.month(), &[(id, 1)])
        .await
        .unwrap();
    store.save_records(&[sample::call(id, 0)]).await.unwrap();
    let nothing = timeout(Duration::from_millis(50), changes.next()).await;
    assert!(nothing.is_err(), "neither is in the directory");
}

#[tokio::test]
async fn a_server_that_goes_away_and_comes_back_is_found_again() {
    is_found_again_after(Server::stop).await;
}

#[tokio::test]
async fn a_server_that_was_killed_is_found_again() {
    is_found_again_after(Server::crash).await;
}

async fn is_found_again_after(end: fn(&mut Server)) {
    let mut server = Server::start();
    let home = Home::on(|name| server.url(name)).await;
    let store = home.open().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let changes = store.changes().await.unwrap();
    timeout(BACK, changes.next()).await.unwrap();
    end(&mut server);
    let call = sample::call(id, 0);
    let error = store.save_records(std::slice::from_ref(&call)).await;
    let error = error.expect_err("nobody is there");
    assert!(
        matches!(error, store::StoreError::Unreachable { .. }),
        "{error:?}"
    );
    server.start_again();
    timeout(BACK, changes.next())
        .await
        .expect("what was missed is looked for");
    let written = async {
        while store
            .save_records(std::slice::from_ref(&call))
            .await
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(BACK, written).await.expect("it is written later");
    let other = home.open().await;
    other.rotate_api_key(id, [1; 32], NOW + HOUR).await.unwrap();
    timeout(SOON, changes.next()).await.expect("it hears again");
    let error: Result<(), ChangeError> = store.rotate_api_key(id, [1; 32], NOW).await;
    assert!(matches!(error, Err(ChangeError::KeyTaken(_))), "{error:?}");
}
