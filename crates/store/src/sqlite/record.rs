//! Call records.

use model::{
    CallOutcome, CallRecord, ClientId, EndedBy, RecordId, RelayTraffic, RelayUsage, UnixTime,
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
/// has twenty.
const ROWS: [usize; 3] = [128, 8, 1];
/// RFC 3261 §21.5.1: the server failed.
const DANGLING_STATUS: u16 = 500;

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
            "SELECT id, account_id, caller, callee, call_id, started_ms, ringing_ms, answered_ms, \
             ended_ms, ended_by, status, reason, \
             caller_sent_packets, caller_sent_bytes, caller_received_packets, caller_received_bytes, \
             callee_sent_packets, callee_sent_bytes, callee_received_packets, callee_received_bytes \
             FROM records WHERE true",
        );
        if let Some(account) = query.account {
            statement.push(" AND account_id = ").push_bind(account.0);
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
        let mut transaction = self.begin(FORGET).await?;
        let forgotten = sqlx::query(
            "DELETE FROM records WHERE ended_ms IS NOT NULL AND started_ms < max(?, coalesce( \
             (SELECT started_ms FROM records ORDER BY started_ms DESC, id DESC LIMIT 1 OFFSET ?), 0))",
        )
        .bind(value::millis(before))
        .bind(i64::try_from(keep.saturating_sub(1)).unwrap_or(i64::MAX))
        .execute(&mut *transaction)
        .await
        .map_err(self.failed(FORGET))?
        .rows_affected();
        transaction.commit().await.map_err(self.failed(FORGET))?;
        Ok(forgotten)
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

    fn record(&self, row: &SqliteRow) -> Result<CallRecord, StoreError> {
        let (failed, damaged) = (self.failed(READ), self.damaged(READ));
        let text = |column| row.try_get::<&str, _>(column).map_err(&failed);
        let number = |column| row.try_get::<i64, _>(column).map_err(&failed);
        let time = |column| {
            let millis = row.try_get::<Option<i64>, _>(column).map_err(&failed)?;
            millis.map(value::time).transpose().map_err(&damaged)
        };
        let client =
            |column| ClientId::parse(text(column)?).map_err(|error| damaged(error.to_string()));
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
            caller: client("caller")?,
            callee: client("callee")?,
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

/// Adds records, or completes those that are there.
fn upsert(records: &[CallRecord]) -> QueryBuilder<sqlx::Sqlite> {
    let mut statement = QueryBuilder::new(
        "INSERT INTO records (id, account_id, caller, callee, call_id, started_ms, ringing_ms, answered_ms, \
         ended_ms, ended_by, status, reason, \
         caller_sent_packets, caller_sent_bytes, caller_received_packets, caller_received_bytes, \
         callee_sent_packets, callee_sent_bytes, callee_received_packets, callee_received_bytes) ",
    );
    statement.push_values(records, |mut row, record| {
        let outcome = record.outcome.as_ref();
        row.push_bind(record.id.0.to_be_bytes().to_vec())
            .push_bind(record.account.0)
            .push_bind(record.caller.as_str().to_owned())
            .push_bind(record.callee.as_str().to_owned())
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
    });
    // The four columns of the outcome come together or not at all; what relays did only becomes more.
    statement.push(
        " ON CONFLICT (id) DO UPDATE SET \
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
