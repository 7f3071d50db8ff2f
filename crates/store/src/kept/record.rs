//! Call records.

use std::collections::BTreeSet;

use model::{
    AccountId, CallOutcome, CallRecord, Callee, Caller, ClientId, EndedBy, RecordId, RelayTraffic,
    RelayUsage, ServiceName, TrunkName, UnixTime, limits,
};

use super::usage::of_account;
use crate::session::Purpose;
use crate::statement::{Row, Statement, Value};
use crate::value::{self, Unfit};
use crate::writer::Writer;
use crate::{RecordQuery, Store, StoreError, again};

const READ: &str = "read call records";
const SAVE: &str = "save call records";
const FORGET: &str = "delete old call records";
const END: &str = "end the records of an earlier run";
/// Rows in one statement: a few sizes, so that each is parsed once and remembered. SQLite takes 32,766 values, a record
/// has 26 at most.
const ROWS: [usize; 3] = [128, 8, 1];
/// RFC 3261 §21.5.1: the server failed.
const DANGLING_STATUS: u16 = 500;
/// Processes that are looked at together: more than are ever killed between two looks.
const ABSENT_AT_ONCE: u32 = 1_000;

/// Where a record stands in the order of time: when it began, in milliseconds, and its number.
type Place = (i64, Vec<u8>);

impl Store {
    /// Writes call records, all or none. A record that is there is completed: what is known of a call is never lost
    /// to an older version of its record.
    pub async fn save_records(&self, records: &[CallRecord]) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        let rounds = &rounds(records)[..];
        again(move || self.try_save_records(rounds)).await
    }

    async fn try_save_records(&self, rounds: &[Vec<&CallRecord>]) -> Result<(), StoreError> {
        let writer = self.writer().map(Writer::number);
        let mut session = self.session(Purpose::Write, SAVE).await?;
        for round in rounds {
            let mut rest = &round[..];
            for size in ROWS {
                let (whole, less) = rest.split_at(rest.len() / size * size);
                rest = less;
                for rows in whole.chunks(size) {
                    session.execute(upsert(rows, writer)).await?;
                }
            }
        }
        session.commit().await
    }

    /// Call records, the call that began last first.
    pub async fn records(&self, query: RecordQuery) -> Result<Vec<CallRecord>, StoreError> {
        let mut session = self.session(Purpose::Read, READ).await?;
        let mut statement = Statement::new("SELECT ");
        statement.push(COLUMNS).push(" FROM records WHERE true");
        if let Some(account) = query.account {
            statement.push(" AND account_id = ").push_bind(account.0);
        }
        if let Some(id) = query.id {
            statement.push(" AND id = ").push_bind(&key(id)[..]);
        }
        if query.going_on {
            statement.push(" AND ended_ms IS NULL");
        }
        if let Some((started, id)) = query.after {
            statement
                .push(" AND (started_ms, id) < (")
                .push_bind(value::millis(started))
                .push(", ")
                .push_bind(&key(id)[..])
                .push(")");
        }
        statement
            .push(" ORDER BY started_ms DESC, id DESC LIMIT ")
            .push_bind(query.limit);
        let rows = session.rows(statement).await?;
        let records = rows.iter().map(record).collect::<Result<_, _>>();
        records.map_err(|what| session.damaged(what))
    }

    /// Deletes the records of ended calls that began before `before`. If more than `keep` are left, the account with the
    /// most loses its oldest, until they fit; calls that go on keep theirs. Says how many were deleted. Other writers have
    /// a turn after each [`limits::RECORDS_FORGOTTEN_AT_ONCE`](model::limits::RECORDS_FORGOTTEN_AT_ONCE).
    pub async fn forget_records(&self, before: UnixTime, keep: u64) -> Result<u64, StoreError> {
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
        let mut session = self.session(Purpose::Read, FORGET).await?;
        let statement = Statement::new(
            "SELECT account_id, count(*) AS count FROM records GROUP BY account_id ORDER BY count(*)",
        );
        let rows = session.rows(statement).await?;
        let counts = rows.iter().map(of_account).collect::<Result<_, _>>();
        counts.map_err(|what| session.damaged(what))
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
            let Some(end) = self.batch_end(account, before_ms, &start, batch).await? else {
                break;
            };
            rest -= batch;
            let (first, last) = (&start, &end);
            forgotten += again(move || self.forget_batch(account, first, last)).await?;
            start = end;
        }
        Ok(forgotten)
    }

    /// Where the last of the oldest `batch` records after `start` stands.
    async fn batch_end(
        &self,
        account: Option<AccountId>,
        before_ms: i64,
        start: &Place,
        batch: u64,
    ) -> Result<Option<Place>, StoreError> {
        let mut session = self.session(Purpose::Read, FORGET).await?;
        let mut find = Statement::new("SELECT started_ms, id FROM records WHERE true");
        among(&mut find, account, start);
        find.push(" AND started_ms < ").push_bind(before_ms);
        find.push(" ORDER BY started_ms, id LIMIT ")
            .push_bind(value::whole(batch));
        let rows = session.rows(find).await?;
        let place = |row: &Row| Ok((row.get("started_ms")?, row.get("id")?));
        let end = rows.last().map(place).transpose();
        end.map_err(|what| session.damaged(what))
    }

    async fn forget_batch(
        &self,
        account: Option<AccountId>,
        start: &Place,
        end: &Place,
    ) -> Result<u64, StoreError> {
        let mut delete = Statement::new("DELETE FROM records WHERE ended_ms IS NOT NULL");
        among(&mut delete, account, start);
        delete
            .push(" AND (started_ms, id) <= (")
            .push_bind(end.0)
            .push(", ")
            .push_bind(end.1.clone())
            .push(")");
        let mut session = self.session(Purpose::Write, FORGET).await?;
        let deleted = session.execute(delete).await?;
        session.commit().await?;
        Ok(deleted)
    }

    /// Ends the records that an earlier run left without outcome, and says how many there were: ended by the
    /// server at `now`, with status 500 and `reason`. Only for a server that starts, and has no call yet. In a file they are all that
    /// go on, because one server alone serves on it; in a database those that this process has written itself, for an earlier one:
    /// those of others see [`Store::end_abandoned_records`].
    pub async fn end_dangling_records(
        &self,
        now: UnixTime,
        reason: &str,
    ) -> Result<u64, StoreError> {
        let own = self.writer().map(Writer::number);
        let mut end = end(now, reason);
        if let Some(own) = own {
            end.push(" AND writer = ").push_bind(own);
        }
        self.end_records(&end).await
    }

    /// Ends, in the same way, the records of processes that `absent` names and that still do not keep their [`Store::changes`]; then has
    /// `absent` name those that do not now. So whoever has lost its connection for a moment has time to come back between two looks.
    /// Nobody is absent from a file.
    pub async fn end_abandoned_records(
        &self,
        absent: &mut Absent,
        now: UnixTime,
        reason: &str,
    ) -> Result<u64, StoreError> {
        let Some(is_abandoned) = self.is_abandoned() else {
            return Ok(0);
        };
        // Should the store refuse, nobody has been looked for.
        let seen = std::mem::take(absent);
        let mut ended = 0;
        if !seen.0.is_empty() {
            let mut end = end(now, reason);
            end.push(" AND writer IN (");
            for (at, writer) in seen.0.iter().enumerate() {
                end.push(if at == 0 { "" } else { ", " }).push_bind(*writer);
            }
            end.push(") AND ").push(&is_abandoned);
            ended = self.end_records(&end).await?;
        }
        let mut session = self.session(Purpose::Read, END).await?;
        let find = format!(
            "SELECT DISTINCT writer AS found FROM records WHERE ended_ms IS NULL AND {is_abandoned} \
             ORDER BY writer LIMIT {ABSENT_AT_ONCE}"
        );
        let rows = session.rows(Statement::new(&find)).await?;
        let found = rows.iter().map(|row| row.get("found"));
        let found = found.collect::<Result<_, _>>();
        *absent = Absent(found.map_err(|what| session.damaged(what))?);
        Ok(ended)
    }

    async fn end_records(&self, end: &Statement) -> Result<u64, StoreError> {
        again(move || async move {
            let mut session = self.session(Purpose::Write, END).await?;
            let ended = session.execute(end.clone()).await?;
            session.commit().await?;
            Ok(ended)
        })
        .await
    }
}

/// Processes that have left records of calls that go on, and that do not serve; see [`Store::end_abandoned_records`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Absent(BTreeSet<i64>);

/// What ends records that go on; more may be asked of them. Never before the call's own times, should the clock have been put back.
fn end(now: UnixTime, reason: &str) -> Statement {
    let mut end = Statement::new("UPDATE records SET ended_ms = (SELECT max(at_ms) FROM (SELECT ");
    end.push_bind(value::millis(now))
        .push(
            " AS at_ms UNION ALL SELECT started_ms UNION ALL SELECT ringing_ms UNION ALL SELECT answered_ms) AS times), \
             ended_by = ",
        )
        .push_bind(EndedBy::Server.as_str())
        .push(", status = ")
        .push_bind(DANGLING_STATUS)
        .push(", reason = ")
        .push_bind(reason)
        .push(" WHERE ended_ms IS NULL");
    end
}

/// Records in rounds, one after another: in each there is every record once and in its order, so that PostgreSQL takes a round in one
/// statement and two who write at once never wait for each other in a circle.
fn rounds(records: &[CallRecord]) -> Vec<Vec<&CallRecord>> {
    let (mut rounds, mut rest) = (Vec::new(), records.iter().collect::<Vec<_>>());
    while !rest.is_empty() {
        let mut seen = BTreeSet::new();
        let (mut round, later): (Vec<_>, _) =
            rest.into_iter().partition(|record| seen.insert(record.id));
        round.sort_by_key(|record| record.id);
        rounds.push(round);
        rest = later;
    }
    rounds
}

const COLUMNS: &str = "id, account_id, caller, callee, service, call_id, started_ms, ringing_ms, answered_ms, \
                       ended_ms, ended_by, status, reason, \
                       caller_sent_packets, caller_sent_bytes, caller_received_packets, caller_received_bytes, \
                       callee_sent_packets, callee_sent_bytes, callee_received_packets, callee_received_bytes, \
                       caller_trunk, callee_trunk, caller_is_service, caller_is_account";

fn key(id: RecordId) -> [u8; 16] {
    id.0.to_be_bytes()
}

fn trunk(row: &Row, column: &str) -> Result<Option<TrunkName>, Unfit> {
    let name: Option<&str> = row.get(column)?;
    name.map(|name| value::name(name, TrunkName::parse))
        .transpose()
}

fn caller(row: &Row) -> Result<Caller, Unfit> {
    let caller: &str = row.get("caller")?;
    let is_service: bool = row.get("caller_is_service")?;
    let is_account: bool = row.get("caller_is_account")?;
    Ok(match trunk(row, "caller_trunk")? {
        Some(trunk) => Caller::Number {
            number: caller.into(),
            trunk,
        },
        None if is_service => Caller::Service(value::name(caller, ServiceName::parse)?),
        None if is_account => Caller::Account(caller.into()),
        None => Caller::Client(value::name(caller, ClientId::parse)?),
    })
}

fn callee(row: &Row) -> Result<Callee, Unfit> {
    let client = |text: &str| value::name(text, ClientId::parse);
    let callee: &str = row.get("callee")?;
    if let Some(trunk) = trunk(row, "callee_trunk")? {
        let number = callee.into();
        return Ok(Callee::Number { number, trunk });
    }
    Ok(match row.get::<Option<&str>>("service")? {
        None => Callee::Client(client(callee)?),
        Some(name) => Callee::Service {
            name: value::name(name, ServiceName::parse)?,
            client: (!callee.is_empty()).then(|| client(callee)).transpose()?,
        },
    })
}

fn record(row: &Row) -> Result<CallRecord, Unfit> {
    let time = |column| value::optional_time(row.get(column)?);
    let traffic = |packets, bytes| {
        Ok::<_, Unfit>(RelayTraffic {
            packets: value::count(row.get(packets)?)?,
            bytes: value::count(row.get(bytes)?)?,
        })
    };
    let outcome = match time("ended_ms")? {
        Some(at) => Some(CallOutcome {
            at,
            by: value::word(row.get("ended_by")?, EndedBy::parse)?,
            status: value::small(row.get("status")?)?,
            reason: row.get("reason")?,
        }),
        None => None,
    };
    Ok(CallRecord {
        id: RecordId(u128::from_be_bytes(value::bytes(row.get("id")?)?)),
        account: value::account_id(row.get("account_id")?)?,
        caller: caller(row)?,
        callee: callee(row)?,
        call_id: row.get("call_id")?,
        started: value::time(row.get("started_ms")?)?,
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
fn among(statement: &mut Statement, account: Option<AccountId>, start: &Place) {
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

/// Adds records, or completes those that are there. Where several processes write, a record is that one's which wrote it last: a call may go
/// from one to another.
fn upsert(records: &[&CallRecord], writer: Option<i64>) -> Statement {
    let mut statement = Statement::new("INSERT INTO records (");
    let last = if writer.is_some() { ", writer" } else { "" };
    statement.push(COLUMNS).push(last).push(") ");
    statement.push_rows(records, |record| {
        let mut values = values(record);
        values.extend(writer.map(Value::from));
        values
    });
    // The four columns of the outcome come together or not at all; what relays did only becomes more. A number may be called by another
    // trunk until its call has ended.
    statement.push(
        " ON CONFLICT (id) DO UPDATE SET \
         callee = CASE excluded.callee WHEN '' THEN records.callee ELSE excluded.callee END, \
         call_id = CASE WHEN records.ended_ms IS NULL THEN excluded.call_id ELSE records.call_id END, \
         callee_trunk = CASE WHEN records.ended_ms IS NULL THEN excluded.callee_trunk ELSE records.callee_trunk END",
    );
    for column in [
        "ringing_ms",
        "answered_ms",
        "ended_ms",
        "ended_by",
        "status",
        "reason",
    ] {
        let newer = format!(", {column} = coalesce(excluded.{column}, records.{column})");
        statement.push(&newer);
    }
    if writer.is_some() {
        statement.push(", writer = excluded.writer");
    }
    for side in ["caller", "callee"] {
        for way in ["sent", "received"] {
            for unit in ["packets", "bytes"] {
                let column = format!("{side}_{way}_{unit}");
                let larger = format!(
                    ", {column} = CASE WHEN excluded.{column} > records.{column} \
                     THEN excluded.{column} ELSE records.{column} END"
                );
                statement.push(&larger);
            }
        }
    }
    statement
}

/// In the order of [`COLUMNS`].
fn values(record: &CallRecord) -> Vec<Value> {
    let outcome = record.outcome.as_ref();
    let mut values: Vec<Value> = vec![
        key(record.id)[..].into(),
        record.account.0.into(),
        record.caller.as_str().into(),
        record.callee.as_str().into(),
        record.callee.service().map(ServiceName::as_str).into(),
        record.call_id.as_str().into(),
        value::millis(record.started).into(),
        record.ringing.map(value::millis).into(),
        record.answered.map(value::millis).into(),
        outcome.map(|outcome| value::millis(outcome.at)).into(),
        outcome.map(|outcome| outcome.by.as_str()).into(),
        outcome.map(|outcome| outcome.status).into(),
        outcome.map(|outcome| outcome.reason.as_str()).into(),
    ];
    for usage in record.relay {
        for traffic in [usage.sent, usage.received] {
            values.push(value::whole(traffic.packets).into());
            values.push(value::whole(traffic.bytes).into());
        }
    }
    values.extend([
        record.caller.trunk().map(TrunkName::as_str).into(),
        record.callee.trunk().map(TrunkName::as_str).into(),
        matches!(record.caller, Caller::Service(_)).into(),
        matches!(record.caller, Caller::Account(_)).into(),
    ]);
    values
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
