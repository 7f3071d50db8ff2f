//! `offhook calls list`.

use std::time::Duration;

use node::model::{
    AccountId, CallOutcome, CallRecord, ClientId, EndedBy, Login, RecordId, UnixTime,
};
use node::provision;

use crate::harness::Folder;

fn record(account: AccountId, number: u128, caller: &str) -> CallRecord {
    let started = UnixTime::from_secs(1_610_700_984) + Duration::from_secs(number as u64);
    CallRecord {
        id: RecordId(number),
        account,
        caller: node::model::Caller::Client(ClientId::parse(caller).unwrap()),
        callee: node::model::Callee::Client(ClientId::parse("bob").unwrap()),
        call_id: format!("call-{number}"),
        started,
        ringing: Some(started),
        answered: None,
        outcome: None,
        relay: Default::default(),
    }
}

fn ended(record: CallRecord) -> CallRecord {
    let answered = record.started + Duration::from_secs(2);
    let at = answered + Duration::from_secs(72);
    let outcome = CallOutcome {
        at,
        by: EndedBy::Caller,
        status: 200,
        reason: "hung up".to_owned(),
    };
    CallRecord {
        answered: Some(answered),
        outcome: Some(outcome),
        ..record
    }
}

fn keep(folder: &Folder, make: impl Fn(AccountId, AccountId) -> Vec<CallRecord>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = provision::open_store(&folder.data()).await.unwrap();
        let (directory, _) = store.directory(UnixTime::default()).await.unwrap();
        let id = |login| {
            directory
                .by_login(&Login::parse(login).unwrap())
                .unwrap()
                .id
        };
        let records = make(id("1-2-0/a@b.c"), id("1-2-0/d@e.f"));
        store.save_records(&records).await.unwrap();
        store.close().await;
    });
}

#[test]
fn calls_are_listed_newest_first_and_by_account() {
    let folder = Folder::new();
    folder.account("a@b.c");
    folder.account("d@e.f");
    assert_eq!(folder.ok("calls list"), "There are no calls.\n");
    assert_eq!(folder.ok("calls list --json"), "[]\n");
    keep(&folder, |one, other| {
        vec![
            ended(record(one, 1, "ann")),
            record(other, 2, "zoe"),
            record(one, 3, "eve"),
        ]
    });

    let calls = folder.json("calls list");
    let callers: Vec<_> = calls
        .as_array()
        .unwrap()
        .iter()
        .map(|call| &call["caller"])
        .collect();
    assert_eq!(callers, ["eve", "zoe", "ann"]);
    assert_eq!(calls[2]["account"], "1-2-0/a@b.c");
    assert_eq!(calls[2]["talk_ms"], 72_000);
    assert_eq!(calls[2]["ended_by"], "caller");
    assert!(calls[0]["ended"].is_null() && calls[0]["ringing"].is_string());

    let one = folder.json("calls list --account 1-2-0/a@b.c --limit 1");
    assert_eq!(one.as_array().unwrap().len(), 1);
    assert_eq!(one[0]["caller"], "eve");
    let text = folder.ok("calls list --account 1-2-0/a@b.c");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[1].ends_with("rings"), "{text}");
    assert!(
        lines[2].starts_with("2021-01-15 08:56:25") && lines[2].contains("1 m 12 s"),
        "{text}"
    );
}
