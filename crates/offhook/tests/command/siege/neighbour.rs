//! An account that does all that it may and more, beside another one's calls.

use std::sync::atomic::Ordering;

use serde_json::Value;

use super::stranger::step_back;
use super::{MIB, Siege};
use crate::bench::BenchAccount;
use crate::harness::Folder;

/// Each client two and a half times as often as it may.
const REGISTRATIONS: &str = "register --clients 200 --rate 10000 --seconds 3";
/// A fifth of what a processor can do.
const CALLS: &str = "calls --clients 1000 --rate 2000 --seconds 3";
/// As many as a processor can sign.
const TOKENS: &str = "token --window 64 --connections 64 --seconds 1";
/// What a thousand clients and their calls may cost.
const MEMORY: u64 = 128 * MIB;

/// Lets an account run this beside the calls of another one, again and again; its reports.
fn beside(siege: &Siege, loud: &BenchAccount, words: &str) -> Vec<Value> {
    let words = loud.words(&siege.site.server, words);
    siege.stands(MEMORY, |is_over| {
        step_back();
        let mut reports = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            reports.push(siege.folder.json(&words));
        }
        reports
    })
}

#[test]
#[ignore = "of full size: cargo xtask test siege"]
fn an_account_that_does_all_that_it_may() {
    let folder = Folder::new();
    let loud = BenchAccount::new(&folder, "loud@example.com");
    let siege = Siege::serving(folder, "");

    beside(&siege, &loud, REGISTRATIONS);
    assert!(siege.counter("messages_refused_pace") > 500);

    let done = |report: &Value| report["done"].as_u64();
    let reports = beside(&siege, &loud, CALLS);
    assert!(
        reports.iter().all(|report| done(report) > Some(5_000)),
        "{reports:?}"
    );

    let reports = beside(&siege, &loud, TOKENS);
    assert!(
        reports.iter().all(|report| done(report) > Some(500)),
        "{reports:?}"
    );
}
