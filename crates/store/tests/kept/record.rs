//! Call records.

use model::{
    AccountId, CallOutcome, CallRecord, Callee, Caller, ClientId, EndedBy, RelayTraffic,
    RelayUsage, ServiceName, TrunkName, UnixTime, limits,
};
use store::RecordQuery;

use crate::sample::{self, HOUR, NOW};

#[tokio::test]
async fn a_record_is_completed_under_its_number() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let begun = sample::call(id, 0);
    let ended = sample::hung_up(&begun);
    store
        .save_records(std::slice::from_ref(&begun))
        .await
        .unwrap();
    assert_eq!(
        store.records(RecordQuery::default()).await.unwrap(),
        std::slice::from_ref(&begun)
    );
    store
        .save_records(std::slice::from_ref(&ended))
        .await
        .unwrap();
    assert_eq!(
        store.records(RecordQuery::default()).await.unwrap(),
        std::slice::from_ref(&ended)
    );
    store.save_records(&[begun]).await.unwrap();
    assert_eq!(
        store.records(RecordQuery::default()).await.unwrap(),
        [ended],
        "a late repeat takes nothing away"
    );
}

#[tokio::test]
async fn beginning_and_end_may_come_in_one_batch() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let begun = sample::call(id, 0);
    let ended = sample::hung_up(&begun);
    store.save_records(&[begun, ended.clone()]).await.unwrap();
    assert_eq!(
        store.records(RecordQuery::default()).await.unwrap(),
        [ended]
    );
}

#[tokio::test]
async fn whoever_calls_or_is_called_by_a_trunk_and_a_service_that_calls_are_kept() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let trunk = |name| TrunkName::parse(name).unwrap();
    let through = CallRecord {
        caller: Caller::Number {
            number: "+441234567890".into(),
            trunk: trunk("provider"),
        },
        callee: Callee::Number {
            number: "112".into(),
            trunk: trunk("pbx"),
        },
        ..sample::call(id, 1)
    };
    let begun = CallRecord {
        caller: Caller::Service(ServiceName::parse("support").unwrap()),
        ..sample::call(id, 0)
    };
    let bridged = CallRecord {
        caller: Caller::Account("the desk".into()),
        ..sample::call(id, 2)
    };
    let all = [through, begun, bridged];
    store.save_records(&all).await.unwrap();
    let mut kept = store.records(RecordQuery::default()).await.unwrap();
    kept.sort_by_key(|record| record.started);
    let mut wanted = all.to_vec();
    wanted.sort_by_key(|record| record.started);
    assert_eq!(kept, wanted);
    let one = RecordQuery {
        id: Some(all[1].id),
        ..RecordQuery::default()
    };
    assert_eq!(store.records(one).await.unwrap(), [all[1].clone()]);
}

#[tokio::test]
async fn a_number_that_another_trunk_calls_is_that_ones_until_the_end() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let by = |trunk: &str| CallRecord {
        callee: Callee::Number {
            number: "112".into(),
            trunk: TrunkName::parse(trunk).unwrap(),
        },
        call_id: format!("by-{trunk}"),
        ..sample::call(id, 0)
    };
    let (first, second) = (by("provider"), by("pbx"));
    let ended = sample::hung_up(&second);
    for record in [&first, &second, &ended, &first] {
        let record = std::slice::from_ref(record);
        store.save_records(record).await.unwrap();
    }
    let kept = store.records(RecordQuery::default()).await.unwrap();
    assert_eq!(kept, [ended], "a late repeat takes nothing away");
}

#[tokio::test]
async fn a_call_of_a_service_is_told_its_client_later() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let callee = |client: Option<&str>| Callee::Service {
        name: ServiceName::parse("support").unwrap(),
        client: client.map(|id| ClientId::parse(id).unwrap()),
    };
    let rings = CallRecord {
        callee: callee(None),
        ..sample::call(id, 0)
    };
    let answered = CallRecord {
        callee: callee(Some("carol")),
        ..sample::hung_up(&rings)
    };
    // The name of a client that was called by its own, and no service.
    let direct = sample::call(id, 1);
    store
        .save_records(&[rings.clone(), direct.clone()])
        .await
        .unwrap();
    assert_eq!(
        store.records(RecordQuery::default()).await.unwrap(),
        [direct.clone(), rings.clone()]
    );
    for late in [&answered, &rings] {
        store
            .save_records(std::slice::from_ref(late))
            .await
            .unwrap();
        assert_eq!(
            store.records(RecordQuery::default()).await.unwrap(),
            [direct.clone(), answered.clone()],
            "what is known is not lost to an older version"
        );
    }
}

#[tokio::test]
async fn records_of_any_number_come_newest_first_in_pages() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    // Two calls in each minute, so that a page can end between calls of the same time.
    let mut calls: Vec<CallRecord> = (0..1_200).map(|number| sample::call(id, number)).collect();
    for (number, call) in (0_u32..).zip(&mut calls) {
        call.started = sample::call(id, number / 2).started;
    }
    store.save_records(&calls).await.unwrap();

    let mut query = RecordQuery {
        limit: 7,
        ..RecordQuery::default()
    };
    let mut listed = Vec::new();
    while listed.len() <= calls.len() {
        let page = store.records(query).await.unwrap();
        let Some(last) = page.last() else { break };
        query.after = Some((last.started, last.id));
        listed.extend(page);
    }
    calls.reverse();
    assert_eq!(listed, calls);
}

#[tokio::test]
async fn a_listing_can_be_of_one_account_and_of_calls_that_go_on() {
    let (_home, store) = sample::fresh().await;
    let ann = store.create_account(sample::account("ann")).await.unwrap();
    let ben = store.create_account(sample::account("ben")).await.unwrap();
    let calls = [
        sample::call(ann, 1),
        sample::hung_up(&sample::call(ann, 2)),
        sample::call(ben, 3),
    ];
    store.save_records(&calls).await.unwrap();
    let of_ann = RecordQuery {
        account: Some(ann),
        ..RecordQuery::default()
    };
    assert_eq!(
        store.records(of_ann).await.unwrap(),
        [calls[1].clone(), calls[0].clone()]
    );
    let going_on = RecordQuery {
        going_on: true,
        ..RecordQuery::default()
    };
    assert_eq!(
        store.records(going_on).await.unwrap(),
        [calls[2].clone(), calls[0].clone()]
    );
    let both = RecordQuery {
        going_on: true,
        ..of_ann
    };
    assert_eq!(store.records(both).await.unwrap(), [calls[0].clone()]);
}

#[tokio::test]
async fn what_was_relayed_comes_late_and_never_gets_less() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let traffic = |packets, bytes| RelayTraffic { packets, bytes };
    let usage = |n| RelayUsage {
        sent: traffic(n, n + 1),
        received: traffic(n + 2, n + 3),
    };
    let ended = sample::hung_up(&sample::call(id, 0));
    let late = CallRecord {
        relay: [usage(10), usage(20)],
        ..ended.clone()
    };
    for record in [&ended, &late, &ended] {
        store
            .save_records(std::slice::from_ref(record))
            .await
            .unwrap();
    }
    assert_eq!(store.records(RecordQuery::default()).await.unwrap(), [late]);
}

#[tokio::test]
async fn records_are_saved_all_or_none() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let calls = [sample::call(id, 0), sample::call(AccountId(4711), 1)];
    store
        .save_records(&calls)
        .await
        .expect_err("nobody has the number 4711");
    assert_eq!(store.records(RecordQuery::default()).await.unwrap(), []);
    store
        .save_records(&[])
        .await
        .expect("nothing to do is no error");
}

#[tokio::test]
async fn calls_that_a_killed_process_left_are_ended() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let ended = sample::hung_up(&sample::call(id, 0));
    let answered = CallRecord {
        answered: Some(NOW + HOUR),
        ..sample::call(id, 1)
    };
    let ringing = sample::call(id, 2);
    store
        .save_records(&[ended.clone(), answered.clone(), ringing.clone()])
        .await
        .unwrap();

    let now = NOW + HOUR * 2;
    assert_eq!(
        store
            .end_dangling_records(now, "the server was killed")
            .await
            .unwrap(),
        2
    );
    let outcome = |at: UnixTime| CallOutcome {
        at,
        by: EndedBy::Server,
        status: 500,
        reason: "the server was killed".to_owned(),
    };
    let expected = [
        CallRecord {
            outcome: Some(outcome(now)),
            ..ringing
        },
        CallRecord {
            outcome: Some(outcome(now)),
            ..answered
        },
        ended,
    ];
    assert_eq!(
        store.records(RecordQuery::default()).await.unwrap(),
        expected
    );
    assert_eq!(store.end_dangling_records(now, "again").await.unwrap(), 0);
}

#[tokio::test]
async fn a_call_never_ends_before_it_was_answered() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let answered = CallRecord {
        answered: Some(NOW + HOUR),
        ..sample::call(id, 0)
    };
    store.save_records(&[answered]).await.unwrap();
    store
        .end_dangling_records(NOW, "the clock was put back")
        .await
        .unwrap();
    let records = store.records(RecordQuery::default()).await.unwrap();
    assert_eq!(
        records[0].outcome.as_ref().map(|outcome| outcome.at),
        Some(NOW + HOUR)
    );
}

#[tokio::test]
async fn old_calls_are_forgotten_and_those_that_go_on_are_not() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let calls: Vec<_> = (0..3).map(|minute| sample::call(id, minute)).collect();
    let (old, recent) = (sample::hung_up(&calls[0]), sample::hung_up(&calls[2]));
    store
        .save_records(&[old, calls[1].clone(), recent.clone()])
        .await
        .unwrap();
    assert_eq!(store.forget_records(recent.started, 10).await.unwrap(), 1);
    assert_eq!(
        store.records(RecordQuery::default()).await.unwrap(),
        [recent, calls[1].clone()]
    );
}

#[tokio::test]
async fn the_newest_calls_are_kept_and_no_more() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let calls: Vec<_> = (0..5)
        .map(|minute| sample::hung_up(&sample::call(id, minute)))
        .collect();
    store.save_records(&calls).await.unwrap();
    let long_ago = UnixTime::from_secs(1);
    assert_eq!(store.forget_records(long_ago, 2).await.unwrap(), 3);
    assert_eq!(store.forget_records(long_ago, 2).await.unwrap(), 0);
    let left = store.records(RecordQuery::default()).await.unwrap();
    assert_eq!(left, [calls[4].clone(), calls[3].clone()]);
}

#[tokio::test]
async fn a_flood_of_one_account_costs_no_other_a_record() {
    let (_home, store) = sample::fresh().await;
    let quiet = store.create_account(sample::account("ann")).await.unwrap();
    let flooder = store.create_account(sample::account("ben")).await.unwrap();
    let ended = |account, minute| sample::hung_up(&sample::call(account, minute));
    let few: Vec<_> = (0..4).map(|minute| ended(quiet, minute)).collect();
    let mut many: Vec<_> = (4..50).map(|minute| ended(flooder, minute)).collect();
    store.save_records(&few).await.unwrap();
    store.save_records(&many).await.unwrap();

    let long_ago = UnixTime::from_secs(1);
    assert_eq!(store.forget_records(long_ago, 10).await.unwrap(), 40);
    let mut expected = many.split_off(many.len() - 6);
    expected.splice(..0, few);
    expected.reverse();
    assert_eq!(
        store.records(RecordQuery::default()).await.unwrap(),
        expected
    );
}

#[tokio::test]
async fn many_records_are_forgotten_wholly_and_others_write_meanwhile() {
    const BATCHES: u32 = 12;
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let count = limits::RECORDS_FORGOTTEN_AT_ONCE as u32 * (BATCHES - 1) + 1;
    for by_age in [true, false] {
        // All of one time, the first still going on.
        let mut calls: Vec<_> = (0..=count)
            .map(|number| CallRecord {
                started: NOW,
                ..sample::hung_up(&sample::call(id, number))
            })
            .collect();
        calls[0].outcome = None;
        store.save_records(&calls).await.unwrap();
        let (before, keep) = if by_age {
            (NOW + HOUR, u64::MAX)
        } else {
            (UnixTime::from_secs(1), 0)
        };

        let forget = store.forget_records(before, keep);
        let mut forget = std::pin::pin!(forget);
        let (counts, mut writes) = ([(id, 1)], 0);
        let forgotten = loop {
            tokio::select! {
                biased;
                forgotten = &mut forget => break forgotten.unwrap(),
                written = store.save_token_counts(NOW.month(), &counts) => written.unwrap(),
            }
            writes += 1;
        };
        assert_eq!(forgotten, u64::from(count));
        assert!(writes >= BATCHES - 1, "only {writes} had a turn");
        let left = store.records(RecordQuery::default()).await.unwrap();
        assert_eq!(left, calls[..1]);
    }
}

#[tokio::test]
async fn a_record_of_an_account_that_is_gone_is_told_from_a_store_that_refuses() {
    let (_home, store) = sample::fresh().await;
    let error = store.save_records(&[sample::call(AccountId(77), 0)]).await;
    let error = error.unwrap_err();
    assert!(
        matches!(error, store::StoreError::NoAccount { .. }),
        "{error:?}"
    );
    assert!(!error.is_passing());
}
