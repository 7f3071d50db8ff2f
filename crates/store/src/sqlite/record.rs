//! Call records.

use model::{
    AccountId, CallOutcome, CallRecord, Callee, Caller, ClientId, EndedBy, RecordId, RelayTraffic,
    RelayUsage, ServiceName, TrunkName, UnixTime, limits,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row};

use super::{Sqlite, value};
use crate::{RecordQuery, StoreError};

const READ: &str = "read call records";
const SAVE: &str = "save call records";
const FORGET: &str = "delete old call records";
const END: &str = "end the records of an earlier run";
/// Rows in one statement: a few sizes, so that each is parsed once and remembered. SQLite takes 32,766 values, a record
/// has 24.
const ROWS: [usize; 3] = [128, 8, 1];
/// RFC 3261 §21.5.1: the server failed.
const DANGLING_STATUS: u16 = 500;

/// Where a record stands in the order of time: when it began, in milliseconds, and its number.
type Place = (i64, Vec<u8>);

impl Sqlite {
    pub(crate) async fn save_records(&self, records: &[CallRecord]) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut transaction = self.begin(SAVE).await?;
        let mut rest = records;
        for size in ROWS {
            let (whole, less) = rest.split_at(rest.len() / size * size);
            rest = less;
            for rows in whole.chunks(size) {
                upsert(rows)
                    .build()
                    .execute(&mut *transaction)
                    .await
                    .map_err(self.failed(SAVE))?;
            }
        }
        transaction.commit().await.map_err(self.failed(SAVE))
    }

    pub(crate) async fn records(&self, query: RecordQuery) -> Result<Vec<CallRecord>, StoreError> {
        let mut statement: QueryBuilder<sqlx::Sqlite> = QueryBuilder::new(
            "SELECT id, account_id, caller, callee, service, call_id, started_ms, ringing_ms, answered_ms, \
             ended_ms, ended_by, status, reason, \
             caller_sent_packets, caller_sent_bytes, caller_received_packets, caller_received_bytes, \
             callee_sent_packets, callee_sent_bytes, callee_received_packets, callee_received_bytes, \
             caller_trunk, callee_trunk, caller_is_service, caller_is_account \
             FROM records WHERE true",
        );
        if let Some(account) = query.account {
            statement.push(" AND account_id = ").push_bind(account.0);
        }
        if let Some(id) = query.id {
            statement
                .push(" AND id = ")
                .push_bind(id.0.to_be_bytes().to_vec());
        }
        if query.going_on {
            statement.push(" AND ended_ms IS NULL");
        }
        if let Some((started, id)) = query.after {
            statement
                .push(" AND (started_ms, id) < (")
                .push_bind(value::millis(started));
            statement
                .push(", ")
                .push_bind(id.0.to_be_bytes().to_vec())
                .push(")");
        }
        statement
            .push(" ORDER BY started_ms DESC, id DESC LIMIT ")
            .push_bind(query.limit);
        let rows = statement
            .build()
            .fetch_all(&self.readers)
            .await
            .map_err(self.failed(READ))?;
        rows.iter().map(|row| self.record(row)).collect()
    }

    pub(crate) async fn forget_records(
        &self,
        before: UnixTime,
        keep: u64,
    ) -> Result<u64, StoreError> {
        let mut forgotten = self
            .forget_oldest(None, value::millis(before), u64::MAX)
            .await?;
        for (account, beyond) in beyond(keep, self.record_counts().await?) {
            forgotten += self.forget_oldest(Some(account), i64::MAX, beyond).await?;
        }
        Ok(forgotten)
    }

    /// How many records each account has, by which it has the fewest first.
    async fn record_counts(&self) -> Result<Vec<(AccountId, u64)>, StoreError> {
        let counts: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT account_id, count(*) AS records FROM records GROUP BY account_id ORDER BY records",
        )
        .fetch_all(&self.readers)
        .await
        .map_err(self.failed(FORGET))?;
        counts
            .into_iter()
            .map(|(account, records)| Ok((value::account_id(account)?, value::count(records)?)))
            .collect::<Result<_, _>>()
            .map_err(self.damaged(FORGET))
    }

    /// Deletes the oldest `most` records that began before `before_ms`, but for those of calls that go on. The writer is
    /// held for one batch at a time: in between, whoever waits for it has a turn.
    async fn forget_oldest(
        &self,
        account: Option<AccountId>,
        before_ms: i64,
        most: u64,
    ) -> Result<u64, StoreError> {
        let (mut forgotten, mut rest) = (0, most);
        // A batch begins where the last one ended, so that calls that go on are passed over once.
        let mut start = (0, Vec::new());
        while rest > 0 {
            let batch = rest.min(limits::RECORDS_FORGOTTEN_AT_ONCE);
            let mut find = QueryBuilder::new("SELECT started_ms, id FROM records WHERE true");
            among(&mut find, account, &start);
            find.push(" AND started_ms < ").push_bind(before_ms);
            find.push(" ORDER BY started_ms, id LIMIT ")
                .push_bind(value::whole(batch));
            let found: Vec<(i64, Vec<u8>)> = find
                .build_query_as()
                .fetch_all(&self.readers)
                .await
                .map_err(self.failed(FORGET))?;
            rest -= batch;
            let Some(end) = found.last() else { break };
            forgotten += self.forget_batch(account, &start, end).await?;
            start = end.clone();
        }
        Ok(forgotten)
    }

    async fn forget_batch(
        &self,
        account: Option<AccountId>,
        start: &Place,
        end: &Place,
    ) -> Result<u64, StoreError> {
        let mut delete = QueryBuilder::new("DELETE FROM records WHERE ended_ms IS NOT NULL");
        among(&mut delete, account, start);
        delete
            .push(" AND (started_ms, id) <= (")
            .push_bind(end.0)
            .push(", ")
            .push_bind(end.1.clone())
            .push(")");
        let mut transaction = self.begin(FORGET).await?;
        let done = delete
            .build()
            .execute(&mut *transaction)
            .await
            .map_err(self.failed(FORGET))?;
        transaction.commit().await.map_err(self.failed(FORGET))?;
        Ok(done.rows_affected())
    }

    pub(crate) async fn end_dangling_records(
        &self,
        now: UnixTime,
        reason: &str,
    ) -> Result<u64, StoreError> {
        // Never before the call's own times, should the clock have been put back.
        sqlx::query(
            "UPDATE records SET ended_ms = max(?, started_ms, coalesce(ringing_ms, 0), coalesce(answered_ms, 0)), \
             ended_by = ?, status = ?, reason = ? WHERE ended_ms IS NULL",
        )
        .bind(value::millis(now))
        .bind(EndedBy::Server.as_str())
        .bind(DANGLING_STATUS)
        .bind(reason)
        .execute(&self.writer)
        .await
        .map(|done| done.rows_affected())
        .map_err(self.failed(END))
    }

    fn trunk(&self, row: &SqliteRow, column: &str) -> Result<Option<TrunkName>, StoreError> {
        let name: Option<&str> = row.try_get(column).map_err(self.failed(READ))?;
        let damaged = self.damaged(READ);
        name.map(|name| TrunkName::parse(name).map_err(|error| damaged(error.to_string())))
            .transpose()
    }

    fn caller(&self, row: &SqliteRow) -> Result<Caller, StoreError> {
        let (failed, damaged) = (self.failed(READ), self.damaged(READ));
        let caller: &str = row.try_get("caller").map_err(&failed)?;
        let is_service: bool = row.try_get("caller_is_service").map_err(&failed)?;
        let is_account: bool = row.try_get("caller_is_account").map_err(&failed)?;
        let unreadable = |error: model::InvalidName| damaged(error.to_string());
        Ok(match self.trunk(row, "caller_trunk")? {
            Some(trunk) => Caller::Number {
                number: caller.into(),
                trunk,
            },
            None if is_service => Caller::Service(ServiceName::parse(caller).map_err(unreadable)?),
            None if is_account => Caller::Account(caller.into()),
            None => Caller::Client(ClientId::parse(caller).map_err(unreadable)?),
        })
    }

    fn callee(&self, row: &SqliteRow) -> Result<Callee, StoreError> {
        let (failed, damaged) = (self.failed(READ), self.damaged(READ));
        let client = |text: &str| ClientId::parse(text).map_err(|error| damaged(error.to_string()));
        let callee: &str = row.try_get("callee").map_err(&failed)?;
        let service: Option<&str> = row.try_get("service").map_err(&failed)?;
        if let Some(trunk) = self.trunk(row, "callee_trunk")? {
            let number = callee.into();
            return Ok(Callee::Number { number, trunk });
        }
        Ok(match service {
            None => Callee::Client(client(callee)?),
            Some(name) => Callee::Service {
                name: ServiceName::parse(name).map_err(|error| damaged(error.to_string()))?,
                client: (!callee.is_empty()).then(|| client(callee)).transpose()?,
            },
        })
    }

    fn record(&self, row: &SqliteRow) -> Result<CallRecord, StoreError> {
        let (failed, damaged) = (self.failed(READ), self.damaged(READ));
        let text = |column| row.try_get::<&str, _>(column).map_err(&failed);
        let number = |column| row.try_get::<i64, _>(column).map_err(&failed);
        let time = |column| {
            let millis = row.try_get::<Option<i64>, _>(column).map_err(&failed)?;
            millis.map(value::time).transpose().map_err(&damaged)
        };
        let traffic = |packets, bytes| {
            Ok::<_, StoreError>(RelayTraffic {
                packets: value::count(number(packets)?).map_err(&damaged)?,
                bytes: value::count(number(bytes)?).map_err(&damaged)?,
            })
        };
        let id = row.try_get::<&[u8], _>("id").map_err(&failed)?;
        let outcome = match time("ended_ms")? {
            Some(at) => Some(CallOutcome {
                at,
                by: value::word(text("ended_by")?, EndedBy::parse).map_err(&damaged)?,
                status: row.try_get("status").map_err(&failed)?,
                reason: text("reason")?.to_owned(),
            }),
            None => None,
        };
        Ok(CallRecord {
            id: RecordId(u128::from_be_bytes(value::bytes(id).map_err(&damaged)?)),
            account: value::account_id(number("account_id")?).map_err(&damaged)?,
            caller: self.caller(row)?,
            callee: self.callee(row)?,
            call_id: text("call_id")?.to_owned(),
            started: value::time(number("started_ms")?).map_err(&damaged)?,
            ringing: time("ringing_ms")?,
            answered: time("answered_ms")?,
            outcome,
            relay: [
                RelayUsage {
                    sent: traffic("caller_sent_packets", "caller_sent_bytes")?,
                    received: traffic("caller_received_packets", "caller_received_bytes")?,
                },
                RelayUsage {
                    sent: traffic("callee_sent_packets", "callee_sent_bytes")?,
                    received: traffic("callee_received_packets", "callee_received_bytes")?,
                },
            ],
        })
    }
}

/// How many records each account has to lose so that `keep` are left: whoever has the most loses first, until it has no
/// more than the next. `counts`: the fewest first.
fn beyond(keep: u64, counts: Vec<(AccountId, u64)>) -> Vec<(AccountId, u64)> {
    let (mut room, mut sharers) = (keep, counts.len() as u64);
    let mut losses = Vec::new();
    for (account, records) in counts {
        let kept = records.min(room / sharers);
        room -= kept;
        sharers -= 1;
        if records > kept {
            losses.push((account, records - kept));
        }
    }
    losses
}

/// Only records after `start`, in the order of an index.
fn among(statement: &mut QueryBuilder<sqlx::Sqlite>, account: Option<AccountId>, start: &Place) {
    if let Some(account) = account {
        statement.push(" AND account_id = ").push_bind(account.0);
    }
    statement
        .push(" AND (started_ms, id) > (")
        .push_bind(start.0)
        .push(", ")
        .push_bind(start.1.clone())
        .push(")");
}

/// Adds records, or completes those that are there.
fn upsert(records: &[CallRecord]) -> QueryBuilder<sqlx::Sqlite> {
    let mut statement = QueryBuilder::new(
        "INSERT INTO records (id, account_id, caller, callee, service, call_id, started_ms, ringing_ms, answered_ms, \
         ended_ms, ended_by, status, reason, \
         caller_sent_packets, caller_sent_bytes, caller_received_packets, caller_received_bytes, \
         callee_sent_packets, callee_sent_bytes, callee_received_packets, callee_received_bytes, \
         caller_trunk, callee_trunk, caller_is_service, caller_is_account) ",
    );
    statement.push_values(records, |mut row, record| {
        let outcome = record.outcome.as_ref();
        row.push_bind(record.id.0.to_be_bytes().to_vec())
            .push_bind(record.account.0)
            .push_bind(record.caller.as_str().to_owned())
            .push_bind(record.callee.as_str().to_owned())
            .push_bind(record.callee.service().map(|name| name.as_str().to_owned()))
            .push_bind(record.call_id.clone())
            .push_bind(value::millis(record.started))
            .push_bind(record.ringing.map(value::millis))
            .push_bind(record.answered.map(value::millis))
            .push_bind(outcome.map(|outcome| value::millis(outcome.at)))
            .push_bind(outcome.map(|outcome| outcome.by.as_str()))
            .push_bind(outcome.map(|outcome| outcome.status))
            .push_bind(outcome.map(|outcome| outcome.reason.clone()));
        for usage in record.relay {
            for traffic in [usage.sent, usage.received] {
                row.push_bind(value::whole(traffic.packets))
                    .push_bind(value::whole(traffic.bytes));
            }
        }
        let trunk = |trunk: Option<&TrunkName>| trunk.map(|name| name.as_str().to_owned());
        row.push_bind(trunk(record.caller.trunk()))
            .push_bind(trunk(record.callee.trunk()))
            .push_bind(matches!(record.caller, Caller::Service(_)))
            .push_bind(matches!(record.caller, Caller::Account(_)));
    });
    // The four columns of the outcome come together or not at all; what relays did only becomes more. A number may be called by another
    // trunk until its call has ended.
    statement.push(
        " ON CONFLICT (id) DO UPDATE SET \
         callee = CASE excluded.callee WHEN '' THEN callee ELSE excluded.callee END, \
         call_id = CASE WHEN ended_ms IS NULL THEN excluded.call_id ELSE call_id END, \
         callee_trunk = CASE WHEN ended_ms IS NULL THEN excluded.callee_trunk ELSE callee_trunk END, \
         ringing_ms = coalesce(excluded.ringing_ms, ringing_ms), \
         answered_ms = coalesce(excluded.answered_ms, answered_ms), \
         ended_ms = coalesce(excluded.ended_ms, ended_ms), \
         ended_by = coalesce(excluded.ended_by, ended_by), \
         status = coalesce(excluded.status, status), \
         reason = coalesce(excluded.reason, reason), \
         caller_sent_packets = max(caller_sent_packets, excluded.caller_sent_packets), \
         caller_sent_bytes = max(caller_sent_bytes, excluded.caller_sent_bytes), \
         caller_received_packets = max(caller_received_packets, excluded.caller_received_packets), \
         caller_received_bytes = max(caller_received_bytes, excluded.caller_received_bytes), \
         callee_sent_packets = max(callee_sent_packets, excluded.callee_sent_packets), \
         callee_sent_bytes = max(callee_sent_bytes, excluded.callee_sent_bytes), \
         callee_received_packets = max(callee_received_packets, excluded.callee_received_packets), \
         callee_received_bytes = max(callee_received_bytes, excluded.callee_received_bytes)",
    );
    statement
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(keep: u64, counts: &[u64]) -> Vec<u64> {
        let accounts = (1..).map(AccountId).zip(counts.iter().copied()).collect();
        let mut left = counts.to_vec();
        for (account, loss) in beyond(keep, accounts) {
            left[account.0 as usize - 1] -= loss;
        }
        left
    }

    #[test]
    fn whoever_has_the_most_loses_first() {
        assert_eq!(left(10, &[]), [0; 0]);
        assert_eq!(left(10, &[3, 7]), [3, 7], "they fit");
        assert_eq!(left(10, &[3, 900]), [3, 7]);
        assert_eq!(left(10, &[1, 5, 5]), [1, 4, 5], "a tie");
        assert_eq!(left(10, &[2, 6, 70, 700]), [2, 2, 3, 3]);
        assert_eq!(left(1, &[1, 1]), [0, 1]);
        assert_eq!(left(0, &[1, 2]), [0, 0]);
    }
}
