//! Replays the corpus of the fuzz target `world`: each of these worlds holds.

use std::path::Path;

use sim::soak;

#[test]
fn worlds_that_were_looked_for() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/world");
    let mut replayed = 0;
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let outcome = soak::run_choices(&std::fs::read(&path).unwrap(), soak::FUZZED_STEPS, false);
        if let Some(fault) = outcome.fault {
            let path = path.display();
            panic!("{fault}\ncargo run -p sim -- replay {path} --ladder");
        }
        replayed += 1;
    }
    assert!(replayed >= 16);
}
