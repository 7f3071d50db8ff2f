//! More calls than a shard has places for, those that ended a moment ago among them.

use super::on_processor;
use crate::bench::BenchSite;
use crate::harness::Folder;

/// `limits::CALLS`, of which an account has one shard's.
const PLACES: u64 = 200_000;
/// Calls as fast as they go: on a machine that makes 8,000 a second, all places are taken after it.
const CALLS: &str = "calls --clients 4000 --window 64 --seconds 26";

#[test]
#[ignore = "of full size: cargo xtask test siege"]
fn calls_that_have_ended_make_room_for_new_ones() {
    let folder = Folder::new();
    on_processor(0);
    let site = BenchSite::new(&folder);
    on_processor(1);
    let report = folder.json(&site.words(CALLS));
    let status = folder.json("status");
    println!(
        "{} calls, {} linger",
        report["done"], status["census"]["calls_lingering"]
    );
    assert_eq!(report["failures"].as_object().unwrap().len(), 0, "{report}");
    assert_eq!(status["counters"]["calls_refused_full"], 0, "{status}");
    let lingering = status["census"]["calls_lingering"].as_u64().unwrap();
    assert!(lingering <= PLACES, "{status}");
}
