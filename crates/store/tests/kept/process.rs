//! Two processes on one store: one sees what the other changed, and what a killed one had written is there.

use std::io::{BufRead, BufReader, Lines, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use model::Login;
use store::{Absent, RecordQuery};

use crate::home::{self, Home};
use crate::sample::{self, NOW};

/// Names the store to the other process.
const HOME: &str = "OFFHOOK_STORE_TEST_HOME";
/// What the other process prints when it has written everything.
const WRITTEN: &str = "everything is written";

/// Not a test by itself: what the other process does. It writes, says so, and waits for its end.
#[tokio::test]
#[ignore = "run by the tests of this module, in a process of its own"]
async fn the_other_process() {
    let Ok(name) = std::env::var(HOME) else {
        return;
    };
    let store = home::open_named(&name).await;
    let id = store.create_account(sample::account("ben")).await.unwrap();
    store
        .save_token_counts(NOW.month(), &[(id, 3)])
        .await
        .unwrap();
    store.save_records(&[sample::call(id, 0)]).await.unwrap();
    println!("\n{WRITTEN}");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// The other process, when it has written.
struct Other {
    child: Child,
    /// Held so that its last words do not break a pipe.
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Other {
    fn start(home: &Home) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "process::the_other_process",
                "--ignored",
                "--nocapture",
            ])
            .env(HOME, home.name())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let written = stdout.any(|line| line.unwrap() == WRITTEN);
        assert!(written, "the other process ended without having written");
        Self {
            child,
            _stdout: stdout,
        }
    }
}

#[tokio::test]
async fn what_a_killed_process_had_written_is_there() {
    let home = Home::new().await;
    let mut other = Other::start(&home);
    other.child.kill().unwrap();
    assert_eq!(other.child.wait().unwrap().signal(), Some(9));

    let store = home.open().await;
    let login = Login::parse("1-2-0/ben@example.com").unwrap();
    let id = store
        .find_account(&login)
        .await
        .unwrap()
        .expect("the account was written");
    assert_eq!(store.token_counts(NOW.month()).await.unwrap(), [(id, 3)]);
    assert_eq!(
        store.records(RecordQuery::default()).await.unwrap(),
        [sample::call(id, 0)]
    );
    const KILLED: &str = "the server was killed";
    let mut ended = store.end_dangling_records(NOW, KILLED).await.unwrap();
    let mut absent = Absent::default();
    for _ in 0..2 {
        let abandoned = store.end_abandoned_records(&mut absent, NOW, KILLED);
        ended += abandoned.await.unwrap();
    }
    assert_eq!(ended, 1);
}

#[tokio::test]
async fn a_running_process_sees_what_another_changed() {
    let (home, store) = sample::fresh().await;
    let version = store.directory_version().await.unwrap();
    let mut other = Other::start(&home);
    assert!(store.directory_version().await.unwrap() > version);
    let (directory, _) = store.directory(NOW).await.unwrap();
    assert!(directory.by_access_key("keyben").is_some());
    store
        .create_account(sample::account("ann"))
        .await
        .expect("both may write");
    drop(other.child.stdin.take());
    assert!(other.child.wait().unwrap().success());
}
