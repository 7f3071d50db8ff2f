//! Revocations: what is kept of them and for how long, their bound, and what another process sees.

use model::{AccountId, ClientId, Revocation, Revoked, TokenId, UnixTime, limits};
use store::{RevokeError, Store};

use crate::sample::{self, HOUR, NOW};

fn client(id: &str) -> Revoked {
    Revoked::Client(ClientId::parse(id).unwrap())
}

fn token(number: usize) -> Revoked {
    Revoked::Token(TokenId::parse(&format!("{number:022}")).unwrap())
}

async fn revoked(store: &Store, id: AccountId, now: UnixTime) -> Vec<Revocation> {
    let account = sample::loaded(store, id, now).await;
    account.revocations.iter().cloned().collect()
}

#[tokio::test]
async fn what_was_revoked_is_seen_by_another_process_until_it_is_taken_back() {
    let (home, store) = sample::fresh().await;
    let ann = store.create_account(sample::account("ann")).await.unwrap();
    let ben = store.create_account(sample::account("ben")).await.unwrap();
    let other = home.open().await;
    let mut version = other.directory_version().await.unwrap();
    let mut kept = Vec::new();
    for (what, ends) in [
        (token(7), true),
        (client("bob"), false),
        (client("eve"), true),
        (Revoked::Account, false),
    ] {
        let revocation = Revocation::new(what, NOW, ends);
        let answer = store.revoke(ann, &revocation, NOW).await.unwrap();
        assert_eq!(answer, revocation);
        kept.push(revocation);
        let now = other.directory_version().await.unwrap();
        assert!(now > version, "a server hears of it");
        version = now;
    }
    assert_eq!(revoked(&other, ann, NOW).await, kept);
    assert_eq!(revoked(&other, ben, NOW).await, []);

    other.remove_revocation(ann, &client("bob")).await.unwrap();
    kept.remove(1);
    assert!(store.directory_version().await.unwrap() > version);
    assert_eq!(revoked(&store, ann, NOW).await, kept);
    let error = store.remove_revocation(ann, &client("bob")).await;
    let error = error.unwrap_err();
    assert!(
        matches!(error, RevokeError::NoSuchRevocation { .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("the tokens of client bob"),
        "{error}"
    );
    let nobody = store.revoke(AccountId(77), &kept[0], NOW).await;
    assert!(matches!(nobody, Err(RevokeError::NoSuchAccount(_))));
}

#[tokio::test]
async fn of_two_of_the_same_the_later_instants_count() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let early = Revocation::new(client("bob"), NOW, true);
    let late = Revocation::new(client("bob"), NOW + HOUR, false);
    let both = Revocation {
        ends_before: early.ends_before,
        ..late.clone()
    };
    store.revoke(id, &early, NOW).await.unwrap();
    assert_eq!(store.revoke(id, &late, NOW).await.unwrap(), both);
    assert_eq!(store.revoke(id, &early, NOW).await.unwrap(), both);
    let ended = Revocation::new(client("bob"), NOW + HOUR, true);
    assert_eq!(store.revoke(id, &ended, NOW).await.unwrap(), ended);
    assert_eq!(revoked(&store, id, NOW).await, [ended]);
}

#[tokio::test]
async fn what_is_over_is_left_out_and_removed_when_another_is_kept() {
    let (home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let first = Revocation::new(client("bob"), NOW, false);
    store.revoke(id, &first, NOW).await.unwrap();
    let end = NOW + limits::REVOCATION_TIME;
    let just_before = UnixTime::from_millis(end.as_millis() - 1);
    assert_eq!(revoked(&store, id, just_before).await, [first]);
    assert_eq!(revoked(&store, id, end).await, []);

    let second = Revocation::new(token(1), end, false);
    store.revoke(id, &second, end).await.unwrap();
    let mut raw = home.raw().await;
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM revocations")
        .fetch_one(&mut raw)
        .await
        .unwrap();
    assert_eq!(rows, 1, "the first is gone");
}

#[tokio::test]
async fn it_is_kept_as_long_as_the_longest_token_of_the_account() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let far = NOW + HOUR * 1000;
    store.note_token(id, "ann", far).await.unwrap();
    let revocation = Revocation::new(Revoked::Account, NOW, false);
    let kept = store.revoke(id, &revocation, NOW).await.unwrap();
    assert_eq!(kept.kept_until, far);
}

#[tokio::test]
async fn an_account_has_only_so_many() {
    let (home, store) = sample::fresh().await;
    let ann = store.create_account(sample::account("ann")).await.unwrap();
    let ben = store.create_account(sample::account("ben")).await.unwrap();
    let mut raw = home.raw().await;
    for from in (0..limits::REVOCATIONS_PER_ACCOUNT).step_by(1000) {
        let rows = (from..from + 1000)
            .map(|number| format!("({}, 'token', '{number:022}', 0, 9000000000000000)", ann.0));
        let rows = rows.collect::<Vec<_>>().join(", ");
        let insert = format!(
            "INSERT INTO revocations (account_id, kind, name, issued_before_ms, kept_until_ms) VALUES {rows}"
        );
        sqlx::query(sqlx::AssertSqlSafe(insert))
            .execute(&mut raw)
            .await
            .unwrap();
    }
    let one_more = Revocation::new(token(limits::REVOCATIONS_PER_ACCOUNT), NOW, true);
    let error = store.revoke(ann, &one_more, NOW).await.unwrap_err();
    assert!(matches!(error, RevokeError::TooMany(_)), "{error}");
    assert!(error.to_string().contains("10000 revocations"), "{error}");
    let again = Revocation::new(token(5), NOW, true);
    store.revoke(ann, &again, NOW).await.unwrap();
    store.revoke(ben, &one_more, NOW).await.unwrap();
    let found = revoked(&store, ann, NOW).await;
    assert_eq!(found.len(), limits::REVOCATIONS_PER_ACCOUNT);
}
