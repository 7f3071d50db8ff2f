//! Several instances of one client: the newest gets the calls (wire.md §3 REGISTER).

use super::{Stage, scenarios};
use crate::browser::{Answering, Heard};
use crate::clock::SECOND;
use crate::faults::Cut;

scenarios! {
    newest_instance_wins: "Of two pages of one client the one that registered last is called.",
    falls_back: "When the newest instance goes, the one before is called again.",
    refresh_does_not_win: "A refresh does not make an older instance the newest.",
    eleventh_instance: "An eleventh instance displaces the one that registered longest ago.",
}

fn incoming(stage: &Stage, page: usize) -> usize {
    stage.heard(page, |heard| matches!(heard, Heard::Incoming { .. }))
}

fn ring(stage: &mut Stage, callee: &str) {
    let alice = stage.page("alice");
    let call = stage.call(alice, callee);
    stage.seconds(1);
    stage.hang_up(alice, call);
    stage.seconds(1);
    stage.world.close_page(alice);
    stage.seconds(1);
}

fn newest_instance_wins(stage: &mut Stage) {
    let (old, new) = (stage.registered("bob"), stage.registered("bob"));
    stage.claim(
        stage.clients() == ["bob"],
        "the list has one entry for a client",
    );
    ring(stage, "bob");
    stage.claim(
        (incoming(stage, old), incoming(stage, new)) == (0, 1),
        "the new page rings",
    );
}

fn falls_back(stage: &mut Stage) {
    let (old, new) = (stage.registered("bob"), stage.registered("bob"));
    stage.world.close_page(new);
    stage.seconds(1);
    ring(stage, "bob");
    stage.claim(incoming(stage, old) == 1, "the old page rings again");
    let newer = stage.registered("bob");
    stage.world.cut(newer, Cut::SERVER);
    stage.millis(100);
    ring(stage, "bob");
    stage.claim(incoming(stage, old) == 2, "also after a loss");
}

fn refresh_does_not_win(stage: &mut Stage) {
    let old = stage.registered("bob");
    stage.seconds(300);
    let new = stage.registered("bob");
    stage.seconds(400);
    ring(stage, "bob");
    stage.claim(
        (incoming(stage, old), incoming(stage, new)) == (0, 1),
        "the new page rings",
    );
}

fn eleventh_instance(stage: &mut Stage) {
    let pages: Vec<usize> = (0..11).map(|_| stage.registered("bob")).collect();
    for page in pages.iter().skip(1) {
        stage.habit(*page, Answering::Rejects(486, SECOND));
        stage.world.close_page(*page);
    }
    stage.seconds(1);
    stage.claim(
        stage.clients().is_empty(),
        "the first of eleven had given way",
    );
}
