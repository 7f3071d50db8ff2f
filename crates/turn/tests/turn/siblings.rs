//! Servers that share their addresses: the halves of a pair of ports may be asked for at two of them. RFC 8656 §7.2.

use std::net::SocketAddr;

use turn::{Client, Input, Link, Share};
use turn_types::attribute::{EvenPort, RequestedTransport, ReservationToken};
use turn_types::message::ALLOCATE;

use crate::client::{Answer, Out, World, address, client, config, relayed};

/// Three servers, and what they tell each other.
struct Family(Vec<World>);

impl Family {
    fn new() -> Self {
        let world = |index| {
            let mut config = config();
            config.share = Share { index, of: 3 };
            config.seed = [index as u8; 32];
            World::new(config)
        };
        Self((0..3).map(world).collect())
    }

    /// Everything that was said is heard; the answers to clients that come of it.
    fn deliver(&mut self) -> Vec<(Client, Answer)> {
        let mut answers = Vec::new();
        while let Some(from) = self.0.iter().position(|world| !world.told.is_empty()) {
            let Some((to, note)) = self.0[from].told.pop_front() else {
                continue;
            };
            let told = Input::Told {
                from: from as u16,
                note,
            };
            let (sent, out) = self.0[usize::from(to)].give(told);
            assert_eq!(out, None);
            answers.extend(sent.into_iter().map(|(to, answer)| (to, Answer(answer))));
        }
        answers
    }

    /// A packet on its way from server to server, until it comes out.
    fn pass(&mut self, mut out: Option<Out>) -> Option<Out> {
        for _ in 0..3 {
            let Some(Out::Sibling(server, from, to, data)) = out else {
                break;
            };
            let data = data.as_slice();
            out = self.0[usize::from(server)]
                .give(Input::FromSibling { from, to, data })
                .1;
        }
        out
    }

    /// The even port of a pair at this server, and the token for the other half.
    fn pair(&mut self, at: usize, port: u16) -> (SocketAddr, u64) {
        let pair = EvenPort::new(true);
        let transport = RequestedTransport::new(17);
        let answer = self.0[at].ask(client(port), 1, ALLOCATE, &[&transport, &pair]);
        let token = answer.message().attribute::<ReservationToken>();
        (relayed(&answer), token.unwrap().token())
    }

    /// Shows a token at this server; what comes once the others have been asked.
    fn show(&mut self, at: usize, me: Client, token: u64) -> Answer {
        let world = &mut self.0[at];
        // Keeps a nonce, so that nothing but the request itself is sent below.
        world.permit(me, 1, address("192.0.2.1:1"));
        let nonce = world.nonce(me);
        let transport = RequestedTransport::new(17);
        let request = world.request(ALLOCATE, &[&transport, &ReservationToken::new(token)]);
        let request = crate::client::seal(
            request,
            1,
            &nonce,
            stun_types::message::IntegrityAlgorithm::Sha1,
        );
        if let Some(answer) = world.send(me, &request) {
            return answer;
        }
        assert!(
            world.send(me, &request).is_none(),
            "a repetition changes nothing"
        );
        let mut answers = self.deliver();
        let (to, answer) = answers.pop().unwrap();
        assert!(answers.is_empty());
        assert_eq!(to, me);
        answer
    }

    fn ends(&mut self, at: usize, me: Client) {
        assert_eq!(self.0[at].refresh(me, 1, 0), 0);
        assert!(self.deliver().is_empty());
    }

    fn has_socket(&self, at: usize, local: SocketAddr) -> bool {
        self.0[at].sockets.iter().any(|(_, open)| *open == local)
    }
}

#[test]
fn the_other_half_of_a_pair_may_be_had_at_another_server() {
    let mut family = Family::new();
    let (even, token) = family.pair(0, 4_000);
    let odd = SocketAddr::new(even.ip(), even.port() + 1);
    assert!(family.has_socket(0, odd));
    let answer = family.show(2, client(4_001), token);
    assert_eq!(answer.code(), 0);
    assert_eq!(relayed(&answer), odd);
    assert!(family.has_socket(2, odd) && !family.has_socket(0, odd));
    assert_eq!(
        family.show(1, client(4_002), token).code(),
        508,
        "a token is good once"
    );
}

#[test]
fn a_port_that_was_lent_is_reached_from_every_server() {
    let mut family = Family::new();
    let (even, token) = family.pair(0, 4_000);
    let borrower = client(4_001);
    let odd = relayed(&family.show(2, borrower, token));
    let other = Client {
        link: Link::Stream(9),
        ..client(4_009)
    };
    let of_other = family.0[1].allocate(other, 2);
    for peer in [even, of_other] {
        assert_eq!(family.0[2].permit(borrower, 1, peer), 0);
    }
    for (at, from, user) in [(0, client(4_000), 1), (1, other, 2)] {
        assert_eq!(family.0[at].bind(from, user, 0x4001, odd), 0);
        let out = family.0[at].channel_data(from, 0x4001, b"hello");
        let Some(Out::Client(to, _)) = family.pass(out) else {
            panic!("from server {at}");
        };
        assert_eq!(to, borrower);
    }
    let back = family.0[2].send_indication(borrower, of_other, b"salut");
    let arrived = family.pass(back);
    assert_eq!(
        arrived,
        Some(Out::Client(other, b"\x40\x01\x00\x05salut\0\0\0".to_vec()))
    );
}

#[test]
fn a_port_that_was_lent_comes_back_with_the_end_of_the_allocation() {
    let mut family = Family::new();
    let (even, token) = family.pair(0, 4_000);
    let odd = relayed(&family.show(1, client(4_001), token));
    family.ends(1, client(4_001));
    assert!(!family.has_socket(1, odd));
    family.ends(0, client(4_000));
    // Both halves are free: sooner or later the same pair is dealt out again.
    let again = (0..1_000).any(|number| {
        let port = 5_000 + number;
        let is_same = family.pair(0, port).0 == even;
        family.ends(0, client(port));
        family.0[0].pass(30);
        is_same
    });
    assert!(again);
}

#[test]
fn a_port_for_somebody_who_has_gone_is_returned_at_once() {
    let mut family = Family::new();
    let (_, token) = family.pair(0, 4_000);
    let me = Client {
        link: Link::Stream(1),
        ..client(4_001)
    };
    let nonce = family.0[1].nonce(me);
    let transport = RequestedTransport::new(17);
    let request = family.0[1].request(ALLOCATE, &[&transport, &ReservationToken::new(token)]);
    let sha1 = stun_types::message::IntegrityAlgorithm::Sha1;
    let request = crate::client::seal(request, 1, &nonce, sha1);
    assert!(family.0[1].send(me, &request).is_none());
    family.0[1].give(Input::Gone { client: me });
    assert!(family.deliver().is_empty());
    assert_eq!(family.0[1].server.allocations(), 0);
    assert!(family.0[1].sockets.is_empty());
}

#[test]
fn a_port_that_the_system_does_not_give_to_the_borrower_is_508_and_goes_back() {
    let mut family = Family::new();
    let (_, token) = family.pair(0, 4_000);
    family.0[1].refuse_opens = 1;
    assert_eq!(family.show(1, client(4_001), token).code(), 508);
    assert_eq!(family.0[1].server.allocations(), 0);
}

#[test]
fn tokens_that_nobody_gave_are_508_wherever_they_point() {
    let mut family = Family::new();
    for token in [0, 1, 2, 3, u64::MAX] {
        assert_eq!(family.show(0, client(4_001), token).code(), 508, "{token}");
    }
    // A note that nobody can have sent by right changes nothing.
    let (even, _) = family.pair(0, 4_000);
    let returned = turn::Note::Return { local: even };
    family.0[0].give(Input::Told {
        from: 1,
        note: returned,
    });
    assert!(family.has_socket(0, even));
    assert_eq!(family.0[0].refresh(client(4_000), 1, 600), 0);
}

#[test]
fn a_server_that_starts_again_gives_back_what_it_borrowed_and_keeps_nobody_waiting() {
    let mut family = Family::new();
    let (even, token) = family.pair(0, 4_000);
    let odd = relayed(&family.show(1, client(4_001), token));
    let (_, unheard) = family.pair(1, 4_002);
    let me = client(4_003);
    let nonce = family.0[0].nonce(me);
    let transport = RequestedTransport::new(17);
    let request = family.0[0].request(ALLOCATE, &[&transport, &ReservationToken::new(unheard)]);
    let sha1 = stun_types::message::IntegrityAlgorithm::Sha1;
    let request = crate::client::seal(request, 1, &nonce, sha1);
    assert!(family.0[0].send(me, &request).is_none());
    family.0[0].told.clear();
    // Whoever sends to a lent port is led on; after the restart there is nobody.
    let lost = Input::Told {
        from: 1,
        note: turn::Note::Restarted,
    };
    let (answers, _) = family.0[0].give(lost);
    let [(to, answer)] = answers.try_into().unwrap();
    assert_eq!((to, Answer(answer).code()), (me, 508));
    family.ends(0, client(4_000));
    let again = (0..1_000).any(|number| {
        let port = 5_000 + number;
        let is_same = family.pair(0, port).0 == even;
        family.ends(0, client(port));
        family.0[0].pass(30);
        is_same
    });
    assert!(again, "{odd} is free again");
}
