//! What is done with records that the store refuses, is slow to take, or cannot take.

use std::path::PathBuf;
use std::sync::mpsc::channel;

use model::{AccountId, Service, ServiceName, ServiceTarget, UnixTime};
use store::RecordQuery;
use tempfile::TempDir;

use super::*;
use crate::provision::{demo_account, open_store};
use crate::record_line::tests::{ended, record};

fn secret() -> SecretBytes {
    SecretBytes::new(b"secret".to_vec())
}

/// A data folder, and the account in its store.
async fn site() -> (TempDir, AccountId) {
    let dir = TempDir::new().unwrap();
    let store = open_store(dir.path()).await.unwrap();
    let demo = demo_account(&store, UnixTime::from_secs(1)).await.unwrap();
    let account = store.find_account(&demo.unwrap().login).await.unwrap();
    store.close().await;
    (dir, account.unwrap())
}

async fn closed(dir: &TempDir) -> Store {
    let store = open_store(dir.path()).await.unwrap();
    store.close().await;
    store
}

fn writer(dir: &TempDir) -> Arc<RecordWriter> {
    Arc::new(RecordWriter::open(dir.path(), &secret()).unwrap())
}

/// What is kept, by number.
async fn kept(dir: &TempDir) -> Vec<CallRecord> {
    let store = open_store(dir.path()).await.unwrap();
    let mut kept = store.records(RecordQuery::default()).await.unwrap();
    store.close().await;
    kept.sort_by_key(|record| record.id);
    kept
}

/// Runs the writer until it has nothing more to do, or is told to stop and cannot do it.
async fn finish(writer: &Arc<RecordWriter>, store: &Store, counters: &Arc<Counters>) {
    let (_finish, finished) = watch::channel(true);
    let running = Arc::clone(writer).run(store.clone(), Arc::clone(counters), finished);
    running.await;
}

#[tokio::test]
async fn what_the_store_refuses_waits_in_the_file_and_the_newest_is_written() {
    let (dir, account) = site().await;
    let (writer, counters) = (writer(&dir), Arc::default());
    let refusing = closed(&dir).await;
    writer.keep(record(1, account));
    finish(&writer, &refusing, &counters).await;
    let trouble = counters.meters.store.trouble();
    assert!(trouble.is_some_and(|why| why.contains("call records")));
    assert_eq!((writer.waiting(), writer.waiting_in_file()), (0, 1));
    writer.keep(ended(&record(1, account)));
    writer.keep(record(2, account));
    finish(&writer, &refusing, &counters).await;
    assert_eq!((writer.waiting(), writer.waiting_in_file()), (0, 3));

    let store = open_store(dir.path()).await.unwrap();
    writer.keep(record(3, account));
    finish(&writer, &store, &counters).await;
    assert_eq!((writer.waiting(), writer.waiting_in_file()), (0, 0));
    assert_eq!((counters.meters.store.trouble(), writer.lost()), (None, 0));
    let first = ended(&record(1, account));
    let expected = [first, record(2, account), record(3, account)];
    assert_eq!(kept(&dir).await, expected);
    store.close().await;
}

#[tokio::test]
async fn the_usual_way_needs_no_file() {
    let (dir, account) = site().await;
    let (writer, counters) = (writer(&dir), Arc::default());
    let store = open_store(dir.path()).await.unwrap();
    writer.keep(record(1, account));
    finish(&writer, &store, &counters).await;
    let mut files = std::fs::read_dir(dir.path()).unwrap();
    let is_waiting = |name: &std::ffi::OsStr| name.to_string_lossy().ends_with(".waiting");
    assert!(!files.any(|file| is_waiting(&file.unwrap().file_name())));
    assert_eq!(kept(&dir).await, [record(1, account)]);
    store.close().await;
}

#[tokio::test]
async fn what_a_killed_server_has_left_in_the_file_is_written_first() {
    let (dir, account) = site().await;
    let killed = writer(&dir);
    let many: Vec<_> = (0..2_500).map(|id| ended(&record(id, account))).collect();
    killed.append(many.clone()).await.unwrap();
    killed.append(vec![record(7, account)]).await.unwrap();
    drop(killed);
    let started = writer(&dir);
    assert_eq!(started.waiting_in_file(), 2_501);
    let refusing = closed(&dir).await;
    let refused = started.recover(&refusing).await;
    assert!(matches!(refused, Err(RecoverFault::Store(_))));
    let store = open_store(dir.path()).await.unwrap();
    started.recover(&store).await.unwrap();
    assert_eq!((started.waiting_in_file(), started.lost()), (0, 0));
    let query = RecordQuery {
        limit: 5_000,
        ..RecordQuery::default()
    };
    let mut kept = store.records(query).await.unwrap();
    kept.sort_by_key(|record| record.id);
    assert_eq!(kept, many, "each once, and none older than it was");
    store.close().await;
}

#[tokio::test]
async fn a_record_whose_account_is_gone_keeps_no_other_from_being_written() {
    let (dir, account) = site().await;
    let (writer, counters) = (writer(&dir), Arc::default());
    let store = open_store(dir.path()).await.unwrap();
    for (id, account) in [(1, account), (2, AccountId(4_711)), (3, account)] {
        writer.keep(record(id, account));
    }
    finish(&writer, &store, &counters).await;
    assert_eq!((writer.lost(), counters.meters.store.trouble()), (1, None));
    assert_eq!(kept(&dir).await, [record(1, account), record(3, account)]);
    store.close().await;
}

/// Keeps the store of this folder locked until it is told to end.
fn lock_store(
    dir: PathBuf,
    account: AccountId,
) -> (std::thread::JoinHandle<()>, std::sync::mpsc::Sender<()>) {
    let (locked, is_locked) = channel();
    let (end, ended) = channel();
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
    };
    let locking = std::thread::spawn(move || {
        runtime().unwrap().block_on(async {
            let store = open_store(&dir).await.unwrap();
            let name = ServiceName::parse("support").unwrap();
            let bob = model::ClientId::parse("bob").unwrap();
            let group = model::ClientGroup::new(vec![bob], model::RingOrder::All, 20);
            let service = Service {
                name: name.clone(),
                target: ServiceTarget::Clients(group.unwrap()),
            };
            store.put_service(account, &service).await.unwrap();
            let change = |old: &Service| {
                locked.send(()).unwrap();
                ended.recv().unwrap();
                Ok::<_, ()>(old.clone())
            };
            store
                .change_service(account, &name, change)
                .await
                .unwrap()
                .unwrap();
            store.close().await;
        });
    });
    is_locked.recv().unwrap();
    (locking, end)
}

#[tokio::test]
async fn nothing_is_in_memory_alone_while_another_process_keeps_the_store_locked() {
    let (dir, account) = site().await;
    let (writer, counters) = (writer(&dir), Arc::default());
    let store = open_store(dir.path()).await.unwrap();
    let (locking, end) = lock_store(dir.path().to_owned(), account);
    let (stop, finished) = watch::channel(false);
    let running = Arc::clone(&writer).run(store.clone(), counters, finished);
    let running = tokio::spawn(running);
    for id in 1..=2 {
        writer.keep(record(id, account));
        let in_file = async {
            while writer.waiting_in_file() < id as usize {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), in_file).await.unwrap();
    }
    end.send(()).unwrap();
    locking.join().unwrap();
    let written = async {
        while writer.waiting_in_file() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), written).await.unwrap();
    stop.send_replace(true);
    running.await.unwrap();
    assert_eq!(kept(&dir).await, [record(1, account), record(2, account)]);
    store.close().await;
}

#[tokio::test]
async fn what_neither_store_nor_disk_takes_waits_in_memory() {
    let (dir, account) = site().await;
    let (elsewhere, counters) = (TempDir::new().unwrap(), Arc::default());
    let folder = elsewhere.path().join("gone");
    std::fs::create_dir(&folder).unwrap();
    let writer = Arc::new(RecordWriter::open(&folder, &secret()).unwrap());
    std::fs::remove_dir(&folder).unwrap();
    let (_finish, finished) = watch::channel(false);
    let mut taker = Taker {
        store: closed(&dir).await,
        counters,
        refusals: Telling::default(),
    };
    writer.keep(record(1, account));
    let batch = writer.next(&mut finished.clone()).await.unwrap();
    assert!(!writer.write(&mut taker, batch, &finished).await);
    assert_eq!((writer.waiting(), writer.waiting_in_file()), (1, 0));
    taker.store = open_store(dir.path()).await.unwrap();
    writer.wake.notify_one();
    let batch = writer.next(&mut finished.clone()).await.unwrap();
    assert!(writer.write(&mut taker, batch, &finished).await);
    assert_eq!((writer.waiting(), writer.lost()), (0, 0));
    assert_eq!(kept(&dir).await, [record(1, account)]);
    taker.store.close().await;
}

#[test]
fn what_waits_in_memory_is_bounded() {
    let dir = TempDir::new().unwrap();
    let writer = RecordWriter::open(dir.path(), &secret()).unwrap();
    for id in 0..limits::RECORDS_WAITING as u128 + 2 {
        writer.keep(record(id, AccountId(1)));
    }
    assert_eq!(writer.lost(), 2);
    // A call whose record waits already goes on being recorded.
    writer.keep(record(0, AccountId(1)));
    assert_eq!(writer.lost(), 2);
}

#[tokio::test]
async fn a_damaged_record_is_counted_once_however_often_the_store_refuses_the_others() {
    let (dir, account) = site().await;
    let (before, counters) = (writer(&dir), Arc::default());
    before
        .append((1..=3).map(|id| record(id, account)).collect())
        .await
        .unwrap();
    let files = std::fs::read_dir(dir.path()).unwrap();
    let mut paths = files.map(|file| file.unwrap().path());
    let path = paths.find(|path| path.extension().is_some_and(|end| end == "waiting"));
    let path = path.unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let writer = writer(&dir);
    let refusing = closed(&dir).await;
    for _ in 0..2 {
        finish(&writer, &refusing, &counters).await;
        assert_eq!((writer.waiting_in_file(), writer.lost()), (3, 0));
    }
    let store = open_store(dir.path()).await.unwrap();
    finish(&writer, &store, &counters).await;
    assert_eq!((writer.waiting_in_file(), writer.lost()), (0, 1));
    assert_eq!(kept(&dir).await, [record(1, account), record(3, account)]);
    store.close().await;
}
