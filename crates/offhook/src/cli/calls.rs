//! `offhook calls …`: the calls that the store has records of, the newest first.

use clap::{Args, Subcommand};
use node::call_document::shown;
use node::model::{CallRecord, Directory, Login};
use node::store::RecordQuery;
use serde_json::Value;

use super::opened::{Opened, parse_login};
use super::output::{Table, count, duration, print, print_json, time};
use super::{Failure, Place};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List calls, the newest first; one that goes on has no end yet
    List(ListFlags),
}

#[derive(Args)]
pub(crate) struct ListFlags {
    /// Only of this account, such as 1-2-0/bob@example.com
    #[arg(long, value_name = "LOGIN", value_parser = parse_login)]
    account: Option<Login>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(crate) async fn run(self, place: &Place) -> Result<(), Failure> {
        match self {
            Self::List(flags) => list(place, flags).await,
        }
    }
}

async fn list(place: &Place, flags: ListFlags) -> Result<(), Failure> {
    let opened = Opened::existing(place).await?;
    let account = match &flags.account {
        Some(login) => Some(opened.account(Some(login))?.id),
        None => None,
    };
    let records = opened
        .store
        .records(RecordQuery {
            account,
            limit: flags.limit,
            ..RecordQuery::default()
        })
        .await?;
    let Opened {
        store, directory, ..
    } = opened;
    store.close().await;
    if flags.json {
        let records: Vec<_> = records
            .iter()
            .map(|record| record_json(record, &directory))
            .collect();
        print_json(&records.into())?;
    } else {
        print(list_text(&records, &directory))?;
    }
    Ok(())
}

fn list_text(records: &[CallRecord], directory: &Directory) -> String {
    let mut table = Table::new([
        "STARTED (UTC)",
        "ACCOUNT",
        "CALLER",
        "CALLEE",
        "TALKED",
        "RELAYED",
        "ENDED BY",
        "HOW",
    ]);
    for record in records {
        let (ended_by, how) = match &record.outcome {
            Some(outcome) => (
                outcome.by.as_str(),
                format!("{} {}", outcome.status, outcome.reason),
            ),
            None if record.answered.is_some() => ("", "goes on".to_owned()),
            None => ("", "rings".to_owned()),
        };
        let talked = record
            .answered
            .and(record.outcome.as_ref())
            .map(|_| duration(record.talk_time()));
        table.row([
            time(record.started),
            account_name(record, directory),
            record.caller.to_string(),
            record.callee.to_string(),
            talked.unwrap_or_default(),
            relayed(record),
            ended_by.to_owned(),
            how,
        ]);
    }
    table.or("There are no calls.")
}

/// What our relays carried for both sides in both directions.
fn relayed(record: &CallRecord) -> String {
    let [caller, callee] = record.relay;
    match caller.plus(callee).bytes() {
        0 => String::new(),
        bytes => format!("{} kB", count(bytes.div_ceil(1_000))),
    }
}

fn record_json(record: &CallRecord, directory: &Directory) -> Value {
    let mut document = shown(record);
    document["account"] = account_name(record, directory).into();
    document
}

fn account_name(record: &CallRecord, directory: &Directory) -> String {
    directory
        .account(record.account)
        .map(|account| account.login().to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use node::model::{
        AccountId, CallOutcome, Caller, ClientId, EndedBy, RecordId, RelayTraffic, RelayUsage,
        UnixTime,
    };

    use super::*;

    fn record() -> CallRecord {
        CallRecord {
            id: RecordId(7),
            account: AccountId(1),
            caller: Caller::Client(ClientId::parse("ann").unwrap()),
            callee: node::model::Callee::Client(ClientId::parse("bob").unwrap()),
            call_id: "x@y".to_owned(),
            started: UnixTime::from_secs(1_610_700_984),
            ringing: None,
            answered: None,
            outcome: None,
            relay: Default::default(),
        }
    }

    #[test]
    fn a_call_is_told_in_a_line_from_ringing_to_its_end() {
        let started = record().started;
        let answered = started + std::time::Duration::from_secs(4);
        let outcome = CallOutcome {
            at: answered + std::time::Duration::from_secs(72),
            by: EndedBy::Callee,
            status: 200,
            reason: "hung up".to_owned(),
        };
        let ringing = record();
        let talking = CallRecord {
            answered: Some(answered),
            ..record()
        };
        let ended = CallRecord {
            outcome: Some(outcome),
            ..talking.clone()
        };
        let text = list_text(&[ringing, talking, ended.clone()], &Directory::default());
        let lines: Vec<_> = text.lines().skip(1).collect();
        assert!(
            lines[0].ends_with("rings") && lines[1].ends_with("goes on"),
            "{text}"
        );
        assert!(
            lines[2].contains("1 m 12 s  -        callee    200 hung up"),
            "{text}"
        );
        let json = record_json(&ended, &Directory::default());
        assert_eq!(json["talk_ms"], 72_000);
        assert_eq!(json["ended_by"], "callee");
        assert_eq!(json["started"], "2021-01-15_08:56:24");
    }

    #[test]
    fn a_call_tells_what_was_relayed_for_each_side() {
        let traffic = |packets, bytes| RelayTraffic { packets, bytes };
        let caller = RelayUsage {
            sent: traffic(3_000, 516_000),
            received: traffic(2_990, 1_500_001),
        };
        let relayed = CallRecord {
            relay: [caller, RelayUsage::default()],
            ..record()
        };
        let text = list_text(std::slice::from_ref(&relayed), &Directory::default());
        assert!(text.contains("2,017 kB"), "{text}");
        let json = record_json(&relayed, &Directory::default());
        assert_eq!(json["relay"]["caller"]["sent"]["packets"], 3_000);
        assert_eq!(json["relay"]["caller"]["received"]["bytes"], 1_500_001);
        assert_eq!(json["relay"]["callee"]["sent"]["bytes"], 0);
    }

    #[test]
    fn a_live_call_has_no_end_in_json() {
        let json = record_json(&record(), &Directory::default());
        assert!(
            ["ended", "ended_by", "status", "reason", "talk_ms"]
                .iter()
                .all(|name| json[name].is_null())
        );
    }
}
