//! Relays and those who mean harm: peers that inject, flood and forge; clients that steal, scan and hoard.
//!
//! What counts is what arrives: packets at peers, at forbidden addresses, and in other people's calls.

use std::net::{IpAddr, SocketAddr};

use serde_json::json;

use super::application::{application, play};
use super::nat::{Duo, conduct, flows, with_turn};
use super::relay::relayed;
use super::{Stage, scenarios};
use crate::clock::{MILLI, SECOND};
use crate::datagram::PUBLIC;
use crate::gateway::GATEWAY;
use crate::media::{IceServer, Path};
use crate::relay::{PORT, TurnPlan};
use crate::turn_client::Ask;
use crate::world::server_address;

scenarios! {
    stranger_injects: "A stranger sends to every relayed address of a call: nothing gets through.",
    stranger_floods: "Thousands of datagrams at relayed addresses and at the door leave the call as it was.",
    peer_address_is_forged: "Datagrams under the peer's own address are held to the client's bandwidth, and to no one else's.",
    server_is_forged: "Datagrams under the server's address reach a page and move nothing.",
    stolen_credential_scans: "A stolen credential tries the node's network and every kind of forbidden address: 403, and nothing arrives.",
    stolen_credential_reaches_the_call_alone: "It reaches what the victim's call named, and no other public address.",
    gateway_is_named: "Two clients name the gateway's address to each other: 403, and nothing arrives there; in a call that an application answers, it does.",
    credential_without_a_token: "A credential that was given out without a token reaches nobody.",
    credential_after_the_connection: "When its connection is gone, a credential opens nothing more and keeps nothing.",
    no_tunnel_without_a_call: "Two credentials without a call reach nothing through each other's relays.",
    forged_credential: "Another's number in the username, a later expiry, a wrong password: 401.",
    hoarder: "A client that takes all the allocations it can get has its quota, and a running call is unharmed.",
    account_hoarded: "An account at its limit does not disturb another's call.",
    garbage: "Rubbish of every length gets silence, and no answer is larger than its question.",
}

/// A page's credential of now.
fn credential(stage: &Stage, page: usize) -> IceServer {
    let media = stage.browser(page).media.as_ref();
    media
        .and_then(|media| media.servers.clone())
        .expect("the page was told of servers")
}

fn door() -> SocketAddr {
    SocketAddr::new(server_address(0), PORT)
}

/// A stranger that has allocated with this credential.
fn allocated(stage: &mut Stage, servers: &IceServer) -> usize {
    let thief = stage.world.add_stranger(PUBLIC, None);
    allocates(stage, thief, 7_000, servers);
    thief
}

fn allocates(stage: &mut Stage, thief: usize, port: u16, servers: &IceServer) {
    let (username, password) = (servers.username.clone(), servers.password.clone());
    stage.world.let_stranger(thief, |stranger, now| {
        stranger.allocates(now, port, door(), (&username, &password));
    });
    stage.millis(200);
}

fn asks(stage: &mut Stage, thief: usize, ask: Ask) {
    stage.world.let_stranger(thief, |stranger, now| {
        stranger.turns(|client| client.ask(now, ask));
    });
}

fn relayed_addresses(stage: &Stage) -> Vec<SocketAddr> {
    let relays = stage.world.relays(0).expect("this world has TURN");
    let addresses = relays.relayed().into_iter();
    addresses.map(|(address, _)| address).collect()
}

fn strange(stage: &Stage, duo: &Duo) -> u64 {
    duo.tallies(stage).iter().map(|tally| tally.strange).sum()
}

fn stranger_injects(stage: &mut Stage) {
    let duo = relayed(stage, TurnPlan::default());
    let before = strange(stage, &duo);
    let stranger = stage.world.add_stranger(PUBLIC, None);
    for address in relayed_addresses(stage) {
        stage.world.let_stranger(stranger, |stranger, _| {
            for port in [1, 5_000, PORT] {
                stranger.send(port, address, b"injected");
            }
        });
    }
    stage.seconds(2);
    stage.claim(
        strange(stage, &duo) == before,
        "no injected packet has reached a page",
    );
    flows(stage, &duo, 5, Path::Relayed);
    let got = stage.world.stranger(stranger).inbox.len();
    stage.claim(got == 0, "and the stranger was told nothing");
}

fn stranger_floods(stage: &mut Stage) {
    let duo = relayed(stage, TurnPlan::default());
    let stranger = stage.world.add_stranger(PUBLIC, None);
    let targets = relayed_addresses(stage);
    for round in 0..100 {
        stage.world.let_stranger(stranger, |stranger, _| {
            for target in targets.iter().copied().chain([door()]) {
                for port in 0..5 {
                    stranger.send(10_000 + port, target, &vec![round; 600]);
                }
            }
        });
        stage.millis(20);
    }
    flows(stage, &duo, 5, Path::Relayed);
}

fn peer_address_is_forged(stage: &mut Stage) {
    let duo = relayed(stage, TurnPlan::default());
    let bystanders = bystanders(stage);
    let stranger = stage.world.add_stranger(PUBLIC, None);
    let targets = relayed_addresses(stage);
    // The addresses that alice's and bob's NATs have: the only ones that their relays let in.
    let forged = ["8.0.0.2:30000", "8.0.0.3:30000"].map(|text| text.parse().expect("an address"));
    for _ in 0..400 {
        stage.world.let_stranger(stranger, |stranger, _| {
            for from in forged {
                for target in &targets {
                    stranger.forge(from, *target, &[0; 1_200]);
                }
            }
        });
        stage.millis(1);
    }
    flows(stage, &bystanders, 5, Path::Relayed);
    stage.seconds(10);
    flows(stage, &duo, 5, Path::Relayed);
}

/// Another call over relays, of other clients of the account.
fn bystanders(stage: &mut Stage) -> Duo {
    let bob = stage.answering("dora");
    let alice = stage.page("carl");
    for page in [alice, bob] {
        let home = stage.world.add_nat(crate::nat::Kind::SYMMETRIC, PUBLIC);
        stage.world.place(page, home);
    }
    let duo = super::nat::connect(stage, alice, bob);
    stage.seconds(5);
    duo
}

fn server_is_forged(stage: &mut Stage) {
    stage.restart(&with_turn(TurnPlan::default()));
    // A page without a NAT can be reached by anybody.
    let duo = super::nat::duo(stage, [PUBLIC; 2]);
    for page in [duo.alice, duo.bob] {
        conduct(stage, page, |conduct| conduct.relay_only = true);
    }
    let stranger = stage.world.add_stranger(PUBLIC, None);
    for port in (40_000..40_040).step_by(2) {
        stage.world.let_stranger(stranger, |stranger, _| {
            for page in ["9.0.0.1", "9.0.0.2"] {
                let ip: IpAddr = page.parse().expect("an address");
                let to = SocketAddr::new(ip, port);
                stranger.forge(door(), to, &[0x01, 0x14, 0, 0, 1, 2, 3]);
                stranger.forge(door(), to, &[0x40, 0, 0, 4, 1, 2, 3, 4]);
                stranger.forge(door(), to, &[0xff; 30]);
            }
        });
    }
    stage.seconds(5);
    flows(stage, &duo, 5, Path::Direct);
}

/// Every kind of address that nobody may reach.
fn forbidden() -> Vec<IpAddr> {
    [
        "127.0.0.1",
        "127.255.0.3",
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.5",
        "172.16.0.5",
        "172.31.255.5",
        "192.168.0.5",
        "169.254.169.254",
        "169.254.0.5",
        "100.64.0.5",
        "100.127.255.5",
        "224.0.0.1",
        "239.1.2.3",
        "255.255.255.255",
        "::1",
        "::",
        "::ffff:10.0.0.5",
        "::10.0.0.5",
        "64:ff9b::a00:5",
        "2002:a00:5::1",
        "2001:0:a00:5::1",
        "fe80::1",
        "fec0::1",
        "fd00::5",
        "fd00:ec2::254",
        "ff02::1",
    ]
    .map(|text| text.parse().expect("an address"))
    .to_vec()
}

fn stolen_credential_scans(stage: &mut Stage) {
    let duo = relayed(stage, TurnPlan::default());
    let servers = credential(stage, duo.alice);
    let thief = allocated(stage, &servers);
    stage.claim(
        stage.world.stranger(thief).relayed().is_some(),
        "a credential is good for whoever has it",
    );
    let sinks: Vec<usize> = forbidden()
        .into_iter()
        .map(|address| stage.world.add_stranger(PUBLIC, Some(address)))
        .collect();
    let own: Vec<SocketAddr> = [22, 80, 443, 3478, 5432]
        .map(|port| SocketAddr::new(server_address(0), port))
        .to_vec();
    let peers = forbidden().into_iter().map(|ip| SocketAddr::new(ip, 80));
    let mut asked = 0;
    for peer in peers.chain(own) {
        let is_own = peer.ip() == server_address(0);
        if !is_own {
            asks(stage, thief, Ask::Permit(peer.ip()));
            asked += 1;
        }
        asks(stage, thief, Ask::Bind(peer));
        asked += 1;
        stage.world.let_stranger(thief, |stranger, _| {
            stranger.turns(|client| client.send_by_indication(peer, b"scan"));
            stranger.turns(|client| client.send(peer, b"scan"));
        });
        stage.millis(100);
    }
    stage.seconds(2);
    for sink in sinks {
        let got = stage.world.stranger(sink).inbox.len();
        let address = stage.world.stranger(sink).address;
        stage.claim(got == 0, &format!("{got} datagrams reached {address}"));
    }
    let refused = stage.world.stranger(thief).refusals();
    // An address of a family that the relay has not is 443 (RFC 8656 §9.1).
    let is_refused = |code: &u16| matches!(code, 403 | 443 | 440);
    let wrong: Vec<_> = refused
        .iter()
        .filter(|(_, code)| !is_refused(code))
        .collect();
    stage.claim(wrong.is_empty(), &format!("refused otherwise: {wrong:?}"));
    let is_granted = |ask: &Ask| matches!(ask, Ask::Bind(_) | Ask::Permit(_));
    let granted = stage.world.stranger(thief).granted(is_granted);
    stage.claim(granted == 0, &format!("{granted} of {asked} were granted"));
    stage.claim(
        refused.len() == asked,
        &format!("{} of {asked} were refused", refused.len()),
    );
    flows(stage, &duo, 5, Path::Relayed);
}

fn stolen_credential_reaches_the_call_alone(stage: &mut Stage) {
    let duo = relayed(stage, TurnPlan::default());
    let victim = stage.world.add_stranger(PUBLIC, None);
    let servers = credential(stage, duo.alice);
    let thief = allocated(stage, &servers);
    let ip = stage.world.stranger(victim).address;
    asks(stage, thief, Ask::Permit(ip));
    asks(stage, thief, Ask::Bind(SocketAddr::new(ip, 53)));
    for port in 1..100 {
        stage.world.let_stranger(thief, |stranger, _| {
            stranger.turns(|client| {
                client.send_by_indication(SocketAddr::new(ip, port), b"attack");
                client.send_by_channel(0x4000, b"attack");
            });
        });
    }
    stage.seconds(2);
    let got = stage.world.stranger(victim).inbox.len();
    stage.claim(got == 0, &format!("{got} datagrams reached a bystander"));
    let refused = stage.world.stranger(thief).refusals();
    stage.claim(
        refused.iter().all(|(_, code)| *code == 403) && refused.len() == 2,
        &format!("both requests are refused with 403: {refused:?}"),
    );
    let seen = stage.world.reach.seen;
    flows(stage, &duo, 5, Path::Relayed);
    stage.claim(seen > 0, "the judge has looked at what left");
}

fn gateway_is_named(stage: &mut Stage) {
    stage.restart(&with_turn(TurnPlan::default()));
    application(stage, &[("first", json!([play(), play(), play(), play()]))]);
    let sink = stage.world.add_stranger(PUBLIC, Some(GATEWAY.ip()));
    let bob = stage.answering("bob");
    let alice = stage.page("alice");
    for page in [alice, bob] {
        stage.world.place(page, PUBLIC);
        conduct(stage, page, |conduct| conduct.names = Some(GATEWAY));
    }
    let duo = super::nat::connect(stage, alice, bob);
    let tries = |stage: &mut Stage| {
        // Each call of a page has a connection of its own.
        let servers = credential(stage, alice);
        let thief = allocated(stage, &servers);
        asks(stage, thief, Ask::Permit(GATEWAY.ip()));
        asks(stage, thief, Ask::Bind(GATEWAY));
        stage.millis(500);
        stage.world.let_stranger(thief, |stranger, _| {
            stranger.turns(|client| client.send(GATEWAY, b"relayed"));
        });
        stage.seconds(1);
        let is_relayed = |payload: &[u8]| payload == b"relayed";
        let inbox = &stage.world.stranger(sink).inbox;
        let got = inbox
            .iter()
            .filter(|(_, datagram)| is_relayed(&datagram.payload))
            .count();
        (got, stage.world.stranger(thief).refusals())
    };
    let (got, refused) = tries(stage);
    let codes: Vec<_> = refused.iter().map(|(_, code)| *code).collect();
    stage.claim(
        codes == [403, 403],
        &format!("both are refused: {refused:?}"),
    );
    stage.claim(got == 0, &format!("{got} datagrams reached the gateway"));
    stage.hang_up(duo.alice, duo.out);
    stage.seconds(1);
    let called = stage
        .world
        .app(alice, |page, now| page.call_service(now, "ivr"));
    stage.claim(called.is_some(), "pages may call");
    stage.seconds(1);
    let (got, refused) = tries(stage);
    stage.claim(
        got == 1 && refused.is_empty(),
        &format!("{got} of 1 came where the call led: {refused:?}"),
    );
}

fn credential_without_a_token(stage: &mut Stage) {
    let duo = relayed(stage, TurnPlan::default());
    let page = stage.page("mallory");
    stage.world.place(page, PUBLIC);
    // A call without a token: its page asks for servers first, and is refused the call.
    stage
        .world
        .app(page, |browser, now| browser.call_service(now, "nobody"));
    stage.seconds(1);
    let servers = credential(stage, page);
    let thief = allocated(stage, &servers);
    let victim = stage.world.add_stranger(PUBLIC, None);
    let ip = stage.world.stranger(victim).address;
    asks(stage, thief, Ask::Permit(ip));
    stage.world.let_stranger(thief, |stranger, _| {
        stranger.turns(|client| client.send_by_indication(SocketAddr::new(ip, 9), b"attack"));
    });
    stage.seconds(1);
    let got = stage.world.stranger(victim).inbox.len();
    stage.claim(got == 0, "nothing reaches anybody");
    let granted = |ask: &Ask| matches!(ask, Ask::Permit(_));
    let granted = stage.world.stranger(thief).granted(granted);
    stage.claim(granted == 0, "and nothing was granted");
    flows(stage, &duo, 5, Path::Relayed);
}

fn credential_after_the_connection(stage: &mut Stage) {
    let duo = relayed(stage, TurnPlan::default());
    let servers = credential(stage, duo.alice);
    let thief = allocated(stage, &servers);
    stage.world.close_page(duo.alice);
    stage.seconds(2);
    let before = stage.world.stranger(thief).refusals().len();
    allocates(stage, thief, 7_002, &servers);
    stage.seconds(2);
    let refused = stage.world.stranger(thief).refusals();
    stage.claim(
        refused.len() > before && refused.last() == Some(&(Ask::Allocate, 401)),
        &format!("a new allocation is refused with 401: {refused:?}"),
    );
    stage
        .world
        .let_stranger(thief, |stranger, _| stranger.leaves());
}

fn no_tunnel_without_a_call(stage: &mut Stage) {
    stage.restart(&with_turn(TurnPlan::default()));
    let pages = ["ann", "ben"].map(|name| stage.registered(name));
    for page in pages {
        stage.world.place(page, PUBLIC);
    }
    stage.seconds(31);
    let ends = pages.map(|page| {
        let servers = credential(stage, page);
        allocated(stage, &servers)
    });
    let relayed = ends.map(|end| stage.world.stranger(end).relayed().expect("an allocation"));
    for (at, end) in ends.into_iter().enumerate() {
        let peer = relayed[1 - at];
        asks(stage, end, Ask::Permit(peer.ip()));
        asks(stage, end, Ask::Bind(peer));
        stage.millis(200);
        stage.world.let_stranger(end, |stranger, _| {
            stranger.turns(|client| client.send_by_indication(peer, b"tunnel"));
        });
    }
    stage.seconds(1);
    for end in ends {
        let stranger = stage.world.stranger(end);
        let codes: Vec<u16> = stranger.refusals().iter().map(|(_, code)| *code).collect();
        stage.claim(codes == [403, 403], &format!("refused with {codes:?}"));
        stage.claim(stranger.relayed_to_it() == 0, "and nothing came through");
    }
}

fn forged_credential(stage: &mut Stage) {
    let duo = relayed(stage, TurnPlan::default());
    let good = credential(stage, duo.alice);
    let other = credential(stage, duo.bob);
    let (until, name) = good.username.split_once(':').expect("it has an expiry");
    let later = until.parse::<u64>().expect("a number") + 1_000_000;
    let forged = [
        (other.username.clone(), good.password.clone()),
        (format!("{later}:{name}"), good.password.clone()),
        (format!("{name}:{until}"), good.password.clone()),
        (good.username.clone(), String::new()),
        (good.username.clone(), "guess".to_owned()),
        (String::new(), String::new()),
        (good.username.replace(":c.", ":r."), good.password.clone()),
    ];
    let thief = stage.world.add_stranger(PUBLIC, None);
    for (at, (username, password)) in forged.into_iter().enumerate() {
        let servers = IceServer {
            username,
            password,
            ..good.clone()
        };
        allocates(stage, thief, 7_000 + at as u16, &servers);
        let refused = stage.world.stranger(thief).refusals();
        stage.claim(
            refused.len() == at + 1 && refused[at].1 == 401,
            &format!("try {at} is refused with 401: {refused:?}"),
        );
    }
    flows(stage, &duo, 5, Path::Relayed);
}

fn hoarder(stage: &mut Stage) {
    let duo = relayed(stage, TurnPlan::default());
    let mallory = stage.registered("mallory");
    stage.world.place(mallory, PUBLIC);
    stage.seconds(31);
    let servers = credential(stage, mallory);
    let thief = stage.world.add_stranger(PUBLIC, None);
    let tries = model::limits::TURN_CLIENT_ALLOCATIONS as u16 + 20;
    for port in 0..tries {
        allocates(stage, thief, 7_000 + port, &servers);
    }
    let granted = stage
        .world
        .stranger(thief)
        .granted(|ask| *ask == Ask::Allocate);
    stage.claim(
        granted == model::limits::TURN_CLIENT_ALLOCATIONS as usize,
        &format!("{granted} allocations were granted"),
    );
    let refused = stage.world.stranger(thief).refusals();
    stage.claim(
        refused.len() == 20 && refused.iter().all(|(_, code)| *code == 486),
        &format!("the others are refused with 486: {refused:?}"),
    );
    flows(stage, &duo, 5, Path::Relayed);
    stage
        .world
        .let_stranger(thief, |stranger, _| stranger.leaves());
    let again = bystanders(stage);
    flows(stage, &again, 5, Path::Relayed);
}

fn account_hoarded(stage: &mut Stage) {
    let mut turn = TurnPlan::default();
    turn.quotas.account.allocations = 8;
    let duo = relayed(stage, turn);
    let mallory = stage.registered_with(1, &crate::authority::Wish::all("mallory"));
    stage.world.place(mallory, PUBLIC);
    stage.seconds(31);
    let servers = credential(stage, mallory);
    let thief = stage.world.add_stranger(PUBLIC, None);
    for port in 0..12 {
        allocates(stage, thief, 7_000 + port, &servers);
    }
    let refused = stage.world.stranger(thief).refusals();
    stage.claim(refused.len() == 4, "the other account has its eight");
    flows(stage, &duo, 5, Path::Relayed);
    stage
        .world
        .let_stranger(thief, |stranger, _| stranger.leaves());
}

fn garbage(stage: &mut Stage) {
    let duo = relayed(stage, TurnPlan::default());
    let stranger = stage.world.add_stranger(PUBLIC, None);
    let mut random = stage.world.random.fork();
    for length in 0..300_usize {
        let mut rubbish: Vec<u8> = (0..length).map(|_| random.bits() as u8).collect();
        if length >= 20 && length % 3 == 0 {
            // The cookie of STUN, and nothing that fits it.
            rubbish[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
        }
        stage.world.let_stranger(stranger, |stranger, _| {
            stranger.send(1_000, door(), &rubbish);
        });
    }
    stage.seconds(1);
    let answers = &stage.world.stranger(stranger).inbox;
    let bytes: usize = answers.iter().map(|(_, answer)| answer.payload.len()).sum();
    stage.claim(
        bytes < 300 * 150,
        &format!("{} answers of {bytes} bytes came", answers.len()),
    );
    stage.claim(answers.is_empty(), "rubbish gets silence");
    conduct(stage, duo.alice, |conduct| conduct.pace = 200 * MILLI);
    flows(stage, &duo, 5, Path::Relayed);
    stage.claim(stage.world.micros() > SECOND, "and time goes on");
}
