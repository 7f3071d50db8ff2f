//! What is made of answers, by a server of DNS that knows what it is told.

use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::Record;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::*;

/// Its address, what it was asked, and its work.
struct Server {
    at: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Rows such as `a.example A 192.0.2.1`; a name alone has no records, one with `SERVFAIL` no answer of use, one with `SILENCE` none, or
/// none to questions of the kind behind it.
async fn server(rows: &'static [&'static str]) -> Server {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let heard = Arc::clone(&asked);
    let task = tokio::spawn(async move {
        let mut buffer = [0; 4_096];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let query = Message::from_vec(&buffer[..length]).unwrap();
            let asked = &query.queries[0];
            let name = asked.name().to_ascii().trim_end_matches('.').to_owned();
            let text = format!("{} {}", asked.query_type(), name);
            heard.lock().unwrap().push(text);
            if let Some(answer) = answer(&query, &name, rows) {
                socket.send_to(&answer, from).await.unwrap();
            }
        }
    });
    Server { at, asked, task }
}

fn answer(query: &Message, name: &str, rows: &[&str]) -> Option<Vec<u8>> {
    let mut answer = Message::response(query.metadata.id, OpCode::Query);
    answer.add_query(query.queries[0].clone());
    let mut code = ResponseCode::NXDomain;
    for row in rows {
        let parts: Vec<&str> = row.split(' ').collect();
        if parts[0] != name {
            continue;
        }
        code = ResponseCode::NoError;
        match parts.get(1) {
            Some(&"SILENCE") => {
                let kind = query.queries[0].query_type().to_string();
                if parts.get(2).is_none_or(|silent| *silent == kind) {
                    return None;
                }
            }
            Some(&"SERVFAIL") => code = ResponseCode::ServFail,
            Some(kind) if *kind == query.queries[0].query_type().to_string() => {
                let owner = query.queries[0].name().clone();
                answer.add_answer(Record::from_rdata(owner, 300, record(&parts)));
            }
            Some(_) | None => {}
        }
    }
    answer.metadata.response_code = code;
    Some(answer.to_vec().unwrap())
}

fn record(parts: &[&str]) -> RData {
    let number = |at: usize| parts[at].parse().unwrap();
    let name = |at: usize| absolute(parts[at]).unwrap();
    let text = |at: usize| parts[at].as_bytes().into();
    match parts[1] {
        "A" => RData::A(parts[2].parse().unwrap()),
        "AAAA" => RData::AAAA(parts[2].parse().unwrap()),
        "SRV" => RData::SRV(SRV::new(number(2), number(3), number(4), name(5))),
        "NAPTR" => {
            let nothing: Box<[u8]> = b"".as_slice().into();
            RData::NAPTR(NAPTR::new(
                number(2),
                number(3),
                text(4),
                text(5),
                nothing,
                name(6),
            ))
        }
        other => panic!("{other}"),
    }
}

async fn ask(server: &Server, name: &str, transport: TrunkTransport) -> Result<Answer, NameFault> {
    resolve(vec![server.at], question(name, transport)).await
}

fn question(name: &str, transport: TrunkTransport) -> Question {
    Question {
        name: PeerName::parse(name).unwrap(),
        transport,
        families: Families { v4: true, v6: true },
    }
}

/// Priority, weight and addresses of each target.
fn told(answer: Result<Answer, NameFault>) -> Vec<String> {
    let mut targets = answer.unwrap().targets;
    targets.sort();
    let target = |target: &Target| {
        let addresses: Vec<String> = target.addresses.iter().map(ToString::to_string).collect();
        format!(
            "{} {} {}",
            target.priority,
            target.weight,
            addresses.join(",")
        )
    };
    targets.iter().map(target).collect()
}

#[tokio::test]
async fn naptr_leads_to_srv_and_srv_to_addresses() {
    let server = server(&[
        "p.example NAPTR 20 0 S SIP+D2U wrong.example",
        "p.example NAPTR 10 5 s sip+d2u _sip._udp.edge.example",
        "p.example NAPTR 10 0 s SIP+D2T _sip._tcp.edge.example",
        "p.example NAPTR 10 0 s SIPS+D2T secure.example",
        "_sip._udp.edge.example SRV 10 60 5070 a.example",
        "_sip._udp.edge.example SRV 20 0 5060 b.example",
        "_sip._tcp.edge.example SRV 0 0 5080 a.example",
        "secure.example SRV 1 2 5061 b.example",
        "a.example A 192.0.2.1",
        "a.example AAAA 2001:db8::1",
        "b.example A 192.0.2.2",
        "b.example A 192.0.2.3",
    ])
    .await;
    let udp = ask(&server, "p.example", TrunkTransport::Udp).await;
    assert_eq!(udp.as_ref().unwrap().lasts, Duration::from_secs(300));
    let mut udp = told(udp);
    // Both are told in one order or the other.
    udp[1] = udp[1].replace(
        "192.0.2.3:5060,192.0.2.2:5060",
        "192.0.2.2:5060,192.0.2.3:5060",
    );
    assert_eq!(
        udp,
        [
            "10 60 192.0.2.1:5070,[2001:db8::1]:5070",
            "20 0 192.0.2.2:5060,192.0.2.3:5060"
        ]
    );
    let tcp = told(ask(&server, "p.example", TrunkTransport::Tcp).await);
    assert_eq!(tcp, ["0 0 192.0.2.1:5080,[2001:db8::1]:5080"]);
    let tls = told(ask(&server, "p.example", TrunkTransport::Tls).await);
    assert!(tls[0].starts_with("1 2 192.0.2."), "{tls:?}");
}

#[tokio::test]
async fn without_naptr_srv_is_asked_and_without_srv_the_host() {
    let server = server(&[
        "s.example",
        "_sip._udp.s.example SRV 0 0 5070 a.example",
        "_sips._tcp.s.example SRV 0 0 5071 a.example",
        "a.example A 192.0.2.1",
        "none.example",
        "_sip._udp.none.example SRV 0 0 0 .",
        "none.example A 192.0.2.9",
        "half.example A 192.0.2.9",
        "_sip._udp.half.example SRV 0 0 5070 a.example",
        "_sip._udp.half.example SRV 1 0 5070 gone.example",
    ])
    .await;
    let s = told(ask(&server, "s.example", TrunkTransport::Udp).await);
    assert_eq!(s, ["0 0 192.0.2.1:5070"]);
    let s = told(ask(&server, "s.example", TrunkTransport::Tls).await);
    assert_eq!(s, ["0 0 192.0.2.1:5071"]);
    for (name, transport, address) in [
        ("a.example", TrunkTransport::Udp, "0 0 192.0.2.1:5060"),
        ("a.example", TrunkTransport::Tls, "0 0 192.0.2.1:5061"),
        ("a.example:7000", TrunkTransport::Tcp, "0 0 192.0.2.1:7000"),
        ("s.example:7000", TrunkTransport::Tcp, ""),
    ] {
        let asked = ask(&server, name, transport).await;
        match address {
            "" => assert_eq!(asked, Err(NameFault::NoAddress)),
            address => assert_eq!(told(asked), [address]),
        }
    }
    let none = ask(&server, "none.example", TrunkTransport::Udp).await;
    assert_eq!(none, Err(NameFault::NoAddress), "decidedly no such service");
    let half = ask(&server, "half.example", TrunkTransport::Udp)
        .await
        .unwrap();
    assert_eq!(
        (half.targets.len(), half.lasts),
        (1, Duration::ZERO),
        "asked again soon"
    );
    let asked = server.asked.lock().unwrap().clone();
    assert!(
        !asked.contains(&"SRV _sip._tcp.s.example".to_owned()),
        "a port says that it is a host"
    );
}

#[tokio::test]
async fn what_dns_does_not_say_is_told_apart() {
    let server = server(&[
        "broken.example SERVFAIL",
        "_sip._udp.broken.example SERVFAIL",
        "bad-srv.example A 192.0.2.1",
        "_sip._udp.bad-srv.example SERVFAIL",
        "silent.example SILENCE",
    ])
    .await;
    for (name, fault) in [
        ("nobody.example", NameFault::NoSuchName),
        ("broken.example", NameFault::Failed),
        ("bad-srv.example", NameFault::Failed),
        ("silent.example:5060", NameFault::NoAnswer),
    ] {
        let asked = ask(&server, name, TrunkTransport::Udp).await;
        assert_eq!(asked, Err(fault), "{name}");
    }
    let at = UdpSocket::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let question = Question {
        name: PeerName::parse("a.example").unwrap(),
        transport: TrunkTransport::Udp,
        families: Families {
            v4: true,
            v6: false,
        },
    };
    assert_eq!(resolve(vec![at], question).await, Err(NameFault::NoAnswer));
}

#[tokio::test]
async fn what_is_not_answered_does_not_cost_what_is() {
    const ROWS: &[&str] = &[
        "p.example SILENCE NAPTR",
        "_sip._udp.p.example SRV 0 0 5070 a.example",
        "_sip._udp.p.example SRV 1 0 5070 silent.example",
        "a.example A 192.0.2.1",
        "silent.example SILENCE",
    ];
    // Each of them is waited for, twice.
    let servers = [
        server(ROWS).await,
        server(ROWS).await,
        server(ROWS).await,
        server(ROWS).await,
    ];
    let all = servers.iter().map(|server| server.at).collect();
    let answer = resolve(all, question("p.example", TrunkTransport::Udp)).await;
    assert_eq!(
        answer.as_ref().map(|answer| answer.lasts),
        Ok(Duration::ZERO)
    );
    // The other host may still be where it was.
    assert_eq!(told(answer), ["0 0 192.0.2.1:5070", "1 0 "]);
}

#[test]
fn of_too_many_records_the_same_are_read_each_time() {
    let host = |at: u16| absolute(&format!("h{at}.example")).unwrap();
    let service = |at: u16| RData::SRV(SRV::new(at % 2, 0, 5060, host(at)));
    let mut all: Vec<RData> = (0..100).map(service).collect();
    let first = read(all.iter(), RecordType::SRV);
    assert_eq!(first.len(), limits::TRUNK_NAME_RECORDS);
    let is_first = |record: &RData| matches!(record, RData::SRV(host) if host.priority == 0);
    assert!(first.iter().all(is_first), "what is tried last is left out");
    all.rotate_left(61);
    assert_eq!(read(all.iter(), RecordType::SRV), first);
    // The way there does not count.
    let ways = (0..100).map(|at| RData::CNAME(hickory_resolver::proto::rr::rdata::CNAME(host(at))));
    let mut all: Vec<RData> = ways.collect();
    let address = RData::A("192.0.2.1".parse().unwrap());
    all.push(address.clone());
    assert_eq!(read(all.iter(), RecordType::A), [address]);
}

#[test]
fn a_socket_reaches_its_own_kind() {
    let of = |text: &str| {
        let Families { v4, v6 } = Families::of(text.parse().unwrap());
        (v4, v6)
    };
    assert_eq!(of("0.0.0.0"), (true, false));
    assert_eq!(of("::"), (true, true));
    assert_eq!(of("2001:db8::1"), (false, true));
    assert_eq!(of("::ffff:192.0.2.1"), (true, false));
}
