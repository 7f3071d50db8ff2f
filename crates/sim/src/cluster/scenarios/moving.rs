//! Sessions that go on at another node than the one their connection was lost on.

use super::*;

/// A registered page that resumes.
#[track_caller]
fn resuming(cluster: &mut Cluster, client: &str, node: usize) -> usize {
    registers(cluster, client, node, true)
}

/// A page's connection is lost, and the balancer sends it to this node; it goes on there.
#[track_caller]
fn moves(cluster: &mut Cluster, page: usize, node: usize, notices: bool) {
    cluster.pages[page].node = node;
    cluster.cut(page, notices);
    until(cluster, "the session goes on", |cluster| {
        cluster.is_at(page, node)
    });
    millis(cluster, 100);
    claim(cluster, cluster.lost_sessions == 0, "no session is lost");
}

#[track_caller]
fn hangs_up(cluster: &mut Cluster, page: usize, other: usize) {
    for (call, _) in cluster.pages[page].browser.open_calls() {
        cluster.app(page, |browser, now| browser.hang_up_call(now, call));
    }
    until(cluster, "both are told", |cluster| {
        is_idle(cluster, page) && is_idle(cluster, other)
    });
    millis(cluster, 500);
}

#[test]
fn a_page_that_comes_back_to_another_node_goes_on_with_its_session_there() {
    for notices in [false, true] {
        let mut cluster = Cluster::new(20, 3);
        let bob = resuming(&mut cluster, "bob", 0);
        moves(&mut cluster, bob, 1, notices);
        // It is called there, by whomever.
        for node in 0..3 {
            let listed = cluster.clients(node);
            claim(&cluster, listed.contains(&"bob".into()), "bob is listed");
            let caller = registered(&mut cluster, &format!("caller{node}"), node);
            talking(&mut cluster, caller, bob);
            hangs_up(&mut cluster, caller, bob);
        }
        let registers = cluster
            .log
            .iter()
            .filter(|row| row.contains("bob@") && row.contains("-> REGISTER"));
        claim(&cluster, registers.count() == 1, "it has registered once");
        claim(
            &cluster,
            cluster.records().len() == 3,
            "there are three records",
        );
    }
}

#[test]
fn a_call_goes_on_wherever_its_two_pages_go() {
    // Where the call lives: node 0. Where both are first, and where each goes.
    for (seed, callee_at) in [(21, 0), (22, 1)] {
        for (caller_to, callee_to) in [(0, 2), (2, callee_at), (1, 1), (2, 2), (1, 0), (2, 1)] {
            for callee_ends in [false, true] {
                let mut cluster = Cluster::new(seed, 3);
                let alice = resuming(&mut cluster, "alice", 0);
                let bob = resuming(&mut cluster, "bob", callee_at);
                talking(&mut cluster, alice, bob);
                if caller_to != 0 {
                    moves(&mut cluster, alice, caller_to, false);
                }
                if callee_to != callee_at {
                    moves(&mut cluster, bob, callee_to, true);
                }
                claim(
                    &cluster,
                    talks(&cluster, alice) && talks(&cluster, bob),
                    "both still talk",
                );
                let (first, other, by) = match callee_ends {
                    true => (bob, alice, EndedBy::Callee),
                    false => (alice, bob, EndedBy::Caller),
                };
                hangs_up(&mut cluster, first, other);
                assert_eq!(only_outcome(&cluster).0, by);
            }
        }
    }
}

#[test]
fn a_call_is_set_up_while_its_pages_go_from_node_to_node() {
    for (caller_to, callee_to) in [(1, 1), (2, 0), (1, 2), (0, 2), (2, 1)] {
        let mut cluster = Cluster::new(23, 3);
        let alice = resuming(&mut cluster, "alice", 0);
        let bob = resuming(&mut cluster, "bob", 1);
        cluster.pages[bob].browser.habit.answering = Answering::After(3 * SECOND);
        call(&mut cluster, alice, "bob");
        millis(&mut cluster, 300);
        if caller_to != 0 {
            moves(&mut cluster, alice, caller_to, false);
        }
        if callee_to != 1 {
            moves(&mut cluster, bob, callee_to, false);
        }
        until(&mut cluster, "both talk", |cluster| {
            talks(cluster, alice) && talks(cluster, bob)
        });
        millis(&mut cluster, 500);
        hangs_up(&mut cluster, bob, alice);
        assert_eq!(only_outcome(&cluster).0, EndedBy::Callee);
    }
}

#[test]
fn a_session_goes_from_node_to_node_as_often_as_it_must() {
    let mut cluster = Cluster::new(24, 4);
    let alice = resuming(&mut cluster, "alice", 0);
    let bob = resuming(&mut cluster, "bob", 3);
    talking(&mut cluster, alice, bob);
    for round in 0..40 {
        moves(&mut cluster, alice, (round + 1) % 4, round % 2 == 0);
        moves(&mut cluster, bob, (round * 3 + 1) % 4, round % 3 == 0);
    }
    claim(
        &cluster,
        talks(&cluster, alice) && talks(&cluster, bob),
        "both still talk",
    );
    hangs_up(&mut cluster, bob, alice);
    assert_eq!(only_outcome(&cluster).0, EndedBy::Callee);
}

#[test]
fn what_was_said_meanwhile_arrives_at_the_node_where_the_page_is() {
    let mut cluster = Cluster::new(25, 3);
    let alice = registered(&mut cluster, "alice", 0);
    let bob = resuming(&mut cluster, "bob", 1);
    cluster.pages[bob].node = 2;
    cluster.cut(bob, false);
    // Before it has come back: its node keeps the INVITE, and hands it over.
    call(&mut cluster, alice, "bob");
    until(&mut cluster, "both talk", |cluster| {
        talks(cluster, alice) && talks(cluster, bob)
    });
    claim(&cluster, cluster.is_at(bob, 2), "bob is at the third node");
    claim(&cluster, rang(&cluster, bob) == 1, "it rang once");
    hangs_up(&mut cluster, alice, bob);
    assert_eq!(only_outcome(&cluster).0, EndedBy::Caller);
}

#[test]
fn whoever_moved_away_from_a_call_is_told_when_its_node_dies() {
    for is_answered in [false, true] {
        let mut cluster = Cluster::new(26, 3);
        let alice = resuming(&mut cluster, "alice", 0);
        let bob = resuming(&mut cluster, "bob", 1);
        if is_answered {
            talking(&mut cluster, alice, bob);
        } else {
            cluster.pages[bob].browser.habit.answering = Answering::Never;
            call(&mut cluster, alice, "bob");
            millis(&mut cluster, 300);
        }
        moves(&mut cluster, alice, 2, false);
        cluster.kill(0, None);
        let told = cluster.run_until(Duration::from_secs(8), |cluster| {
            is_idle(cluster, alice) && is_idle(cluster, bob)
        });
        claim(&cluster, told, "both are told within eight seconds");
        claim(&cluster, cluster.lost_sessions == 0, "no session is lost");
    }
}

#[test]
fn a_session_whose_node_is_gone_is_gone() {
    let mut cluster = Cluster::new(27, 2);
    let bob = resuming(&mut cluster, "bob", 0);
    cluster.pages[bob].node = 1;
    cluster.kill(0, None);
    until(&mut cluster, "the page is told", |cluster| {
        cluster.lost_sessions == 1
    });
    until(&mut cluster, "it registers anew", |cluster| {
        cluster.clients(1) == ["bob"] && cluster.pages[bob].browser.is_registered()
    });
}

#[test]
fn without_the_bus_a_client_tries_again_until_its_session_is_found() {
    let mut cluster = Cluster::new(28, 2);
    let bob = resuming(&mut cluster, "bob", 0);
    cluster.set_bus(false);
    cluster.pages[bob].node = 1;
    cluster.cut(bob, false);
    millis(&mut cluster, 12_000);
    cluster.set_bus(true);
    until(&mut cluster, "the session goes on", |cluster| {
        cluster.is_at(bob, 1)
    });
    claim(&cluster, cluster.lost_sessions == 0, "no session is lost");
}

#[test]
fn nobody_gets_a_session_of_another_node_without_its_credential() {
    let mut cluster = Cluster::new(29, 2);
    let bob = resuming(&mut cluster, "bob", 0);
    let shown = cluster.resuming(bob).unwrap().credential().to_owned();
    let (session, _) = shown.split_once('.').unwrap();
    let mallory = cluster.page("mallory", 1);
    for wrong in [
        format!("{session}.{}", "0".repeat(32)),
        format!("{session}."),
    ] {
        let answers = cluster.shows(mallory, &format!("RESUME {wrong} 0"));
        claim(
            &cluster,
            answers
                .first()
                .is_some_and(|answer| answer.starts_with("GONE ")),
            "it is told that there is no such session",
        );
    }
    millis(&mut cluster, 500);
    claim(
        &cluster,
        cluster.is_at(bob, 0),
        "the session is where it was",
    );
    moves(&mut cluster, bob, 1, false);
}

#[test]
fn an_answer_that_got_lost_with_its_socket_is_asked_for_again_at_any_node() {
    for again in 0..3 {
        let mut cluster = Cluster::new(30, 3);
        let alice = registered(&mut cluster, "alice", 2);
        let bob = resuming(&mut cluster, "bob", 0);
        talking(&mut cluster, alice, bob);
        cluster.pages[bob].node = 1;
        cluster.cut(bob, false);
        // The connection is open and RESUME under way; the answer never arrives.
        millis(&mut cluster, 17);
        cluster.pages[bob].node = again;
        cluster.cut(bob, false);
        until(&mut cluster, "the session goes on", |cluster| {
            cluster.is_at(bob, again)
        });
        millis(&mut cluster, 300);
        claim(&cluster, cluster.lost_sessions == 0, "no session is lost");
        hangs_up(&mut cluster, bob, alice);
        assert_eq!(only_outcome(&cluster).0, EndedBy::Callee);
    }
}

#[test]
fn a_session_that_has_moved_ends_with_its_token() {
    let mut cluster = Cluster::new(33, 3);
    let alice = resuming(&mut cluster, "alice", 2);
    let bob = resuming(&mut cluster, "bob", 0);
    talking(&mut cluster, alice, bob);
    moves(&mut cluster, bob, 1, true);
    let now = cluster.now().unix;
    let taken = Taken::Client("bob".to_owned());
    cluster.authority.revoke(0, taken, now, true);
    cluster.publish();
    until(&mut cluster, "the caller is told", |cluster| {
        is_idle(cluster, alice)
    });
    millis(&mut cluster, 500);
    for node in 0..3 {
        let clients = cluster.clients(node);
        claim(&cluster, clients == ["alice"], "bob is nowhere any more");
    }
}

#[test]
fn a_hundred_rolling_restarts_with_calls_in_progress_lose_none() {
    let mut cluster = Cluster::new(31, 3);
    let pages: Vec<_> = ["alice", "bob", "carol", "dave", "erin", "frank"]
        .into_iter()
        .enumerate()
        .map(|(at, client)| resuming(&mut cluster, client, at % 3))
        .collect();
    for pair in pages.chunks(2) {
        talking(&mut cluster, pair[0], pair[1]);
    }
    let mut lost = 0;
    for round in 0..100 {
        let node = round % 3;
        let number = cluster.number_of(node);
        cluster.drain(node, Duration::from_secs(1));
        until(&mut cluster, "the node is back", |cluster| {
            cluster.is_up(node) && cluster.number_of(node) != number
        });
        millis(&mut cluster, 500);
        lost += pages.iter().filter(|page| !talks(&cluster, **page)).count();
    }
    assert_eq!((lost, cluster.lost_sessions), (0, 0));
    for pair in pages.chunks(2) {
        hangs_up(&mut cluster, pair[1], pair[0]);
    }
    let records = cluster.records();
    let by: Vec<_> = records
        .iter()
        .map(|of| of.outcome.as_ref().map(|of| of.by))
        .collect();
    assert_eq!(by, [Some(EndedBy::Callee); 3]);
    // Whoever is called afterwards is where it says.
    talking(&mut cluster, pages[0], pages[5]);
    hangs_up(&mut cluster, pages[0], pages[5]);
}

#[test]
fn a_call_that_is_set_up_as_its_node_is_drained_goes_on() {
    for (caller_at, callee_at) in [(0, 0), (0, 1), (1, 0)] {
        let mut cluster = Cluster::new(32, 3);
        let alice = resuming(&mut cluster, "alice", caller_at);
        let bob = resuming(&mut cluster, "bob", callee_at);
        cluster.pages[bob].browser.habit.answering = Answering::After(4 * SECOND);
        call(&mut cluster, alice, "bob");
        millis(&mut cluster, 300);
        let number = cluster.number_of(0);
        cluster.drain(0, Duration::from_secs(1));
        until(&mut cluster, "the node is back", |cluster| {
            cluster.is_up(0) && cluster.number_of(0) != number
        });
        claim(
            &cluster,
            talks(&cluster, alice) && talks(&cluster, bob),
            "both talk",
        );
        hangs_up(&mut cluster, alice, bob);
        assert_eq!(only_outcome(&cluster).0, EndedBy::Caller);
    }
}

#[test]
fn a_call_of_a_page_that_does_not_resume_keeps_its_node_until_it_ends() {
    // Where the call lives: with the page that stays, or with the other.
    for (caller_at, callee_at) in [(0, 0), (0, 1), (1, 0)] {
        for stays_calling in [false, true] {
            let mut cluster = Cluster::new(33, 3);
            let alice = registers(&mut cluster, "alice", caller_at, !stays_calling);
            let bob = registers(&mut cluster, "bob", callee_at, stays_calling);
            talking(&mut cluster, alice, bob);
            let stays = if stays_calling { caller_at } else { callee_at };
            let number = cluster.number_of(stays);
            cluster.drain(stays, Duration::from_secs(1));
            millis(&mut cluster, 30_000);
            claim(
                &cluster,
                talks(&cluster, alice) && talks(&cluster, bob),
                "both still talk",
            );
            hangs_up(&mut cluster, bob, alice);
            until(&mut cluster, "the node is back", |cluster| {
                cluster.is_up(stays) && cluster.number_of(stays) != number
            });
            assert_eq!(only_outcome(&cluster).0, EndedBy::Callee);
        }
    }
}
