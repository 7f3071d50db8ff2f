//! Whether the records of calls outlive the server. Reads what `offhook calls list` says, changes nothing.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use super::site::Site;
use crate::step::output_of;

/// Of which it is asked whether they are still there.
const NEWEST: &str = "300";
/// Among so many that are there after it: those of the last moment come before them.
const LOOKED_AT: &str = "20000";

const INTEGRITY: &str = "import sqlite3, sys; \
    print(sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True).execute('pragma integrity_check').fetchone()[0])";

/// The newest records that are written.
pub(super) fn newest(site: &Site) -> Result<Value, String> {
    site.json(&["calls", "list", "--limit", NEWEST])
}

/// What is wrong after the server came back: it writes down the end of what was cut off, and loses nothing that was written.
pub(super) fn check(site: &Site, before: &Value) -> Result<(), String> {
    let after = site.json(&["calls", "list", "--limit", LOOKED_AT])?;
    if let Some(fault) = fault(before, &after) {
        return Err(fault);
    }
    let mut command = Command::new("python3");
    command.args(["-c", INTEGRITY]);
    let said = output_of(command.arg(site.data().join("offhook.db")))?;
    match said.trim() {
        "ok" => Ok(()),
        said => Err(format!("the store is damaged: {said}")),
    }
}

/// How many go on.
pub(super) fn unended(records: &Value) -> usize {
    let going_on = by_id(records).filter(|(_, record)| record["ended"].is_null());
    going_on.count()
}

fn fault(before: &Value, after: &Value) -> Option<String> {
    let after: BTreeMap<_, _> = by_id(after).collect();
    for (id, record) in &after {
        let texts = ["ended", "ended_by", "reason", "started", "caller", "callee"];
        let is_whole = texts.iter().all(|name| record[*name].is_string());
        if !is_whole || !record["status"].is_u64() {
            return Some(format!(
                "call {id} has no end, or lacks something: {record}"
            ));
        }
    }
    for (id, record) in by_id(before) {
        match after.get(&id) {
            None => return Some(format!("the record of call {id} is lost")),
            Some(now) if record["ended"].is_string() && *now != record => {
                return Some(format!("the record of call {id} was {record} and is {now}"));
            }
            Some(_) => {}
        }
    }
    None
}

fn by_id(records: &Value) -> impl Iterator<Item = (String, &Value)> {
    let records = records.as_array().into_iter().flatten();
    records.map(|record| (record["id"].to_string(), record))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(id: &str, ended: Option<&str>) -> Value {
        json!({
            "id": id, "caller": "a", "callee": "b", "started": "1", "ended": ended,
            "ended_by": ended.map(|_| "caller"), "reason": ended.map(|_| "hung up"), "status": ended.map(|_| 200),
        })
    }

    #[test]
    fn records_are_kept_and_get_an_end() {
        let before = json!([record("1", Some("2")), record("2", None)]);
        let after = |first: Value, second: Value| fault(&before, &json!([first, second]));
        let ended = |id| record(id, Some("2"));
        assert_eq!(unended(&before), 1);
        assert_eq!(after(ended("1"), ended("2")), None);
        assert!(
            after(ended("1"), record("2", None))
                .unwrap()
                .contains("no end")
        );
        assert!(after(ended("1"), ended("3")).unwrap().contains("is lost"));
        assert!(
            after(record("1", Some("9")), ended("2"))
                .unwrap()
                .contains("and is")
        );
    }
}
