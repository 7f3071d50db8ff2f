//! What these tests do again and again.

use std::time::Duration;

use model::NodeNumber;
use store::bus::{Bus, BusError, Heard, Hearing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::server::Server;

/// Longer than anything takes that goes well.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn bus(url: &str) -> Bus {
    Bus::new(url.parse().unwrap()).unwrap()
}

pub(crate) fn node(number: u16) -> NodeNumber {
    NodeNumber::new(number).unwrap()
}

pub(crate) async fn next(hearing: &mut Hearing) -> Heard {
    let heard = timeout(PATIENCE, hearing.next()).await;
    heard.expect("something is heard")
}

/// What hears this node, from now on.
pub(crate) async fn hear(bus: &Bus, number: u16) -> Hearing {
    let mut hearing = bus.hear(node(number));
    assert_eq!(next(&mut hearing).await, Heard::Up);
    hearing
}

pub(crate) fn post(text: &str) -> Heard {
    Heard::Post(text.as_bytes().to_vec())
}

/// Why nothing is heard, once nothing is.
pub(crate) async fn until_down(hearing: &mut Hearing) -> String {
    loop {
        if let Heard::Down(why) = next(hearing).await {
            return why;
        }
    }
}

pub(crate) async fn until_up(hearing: &mut Hearing) {
    while next(hearing).await != Heard::Up {}
}

/// Asks again and again, until the answer is one that is waited for.
pub(crate) async fn until<T, F: Future<Output = T>>(
    what: &str,
    ask: impl Fn() -> F,
    is_it: impl Fn(&T) -> bool,
) -> T {
    let asking = async {
        loop {
            let answer = ask().await;
            if is_it(&answer) {
                return answer;
            }
            yield_now().await;
        }
    };
    timeout(PATIENCE, asking)
        .await
        .unwrap_or_else(|_| panic!("{what}, in the end"))
}

/// That this fails in words without secrets, within what it is bounded by.
pub(crate) async fn refusal<T: std::fmt::Debug>(
    asking: impl Future<Output = Result<T, BusError>>,
) -> BusError {
    use model::limits::{BUS_ANSWER_TIME, BUS_CONNECT_TIME};
    // A machine that does much else is given some time.
    let most = BUS_CONNECT_TIME + BUS_ANSWER_TIME + Duration::from_secs(1);
    let error = timeout(most, asking)
        .await
        .expect("it fails in time")
        .expect_err("it fails");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("hush"), "{shown}");
    error
}

/// A binding to be set.
pub(crate) fn set(name: &str, value: &str) -> (String, Option<Vec<u8>>) {
    (name.to_owned(), Some(value.into()))
}

pub(crate) fn entry(name: &str, value: &str) -> (String, Vec<u8>) {
    (name.to_owned(), value.into())
}

/// Another program, which says the same again and again until it has changed something.
pub(crate) async fn until_it_changes(server: &Server, command: &str) {
    let saying = async {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port))
            .await
            .unwrap();
        let mut answer = [0; 4];
        while answer != *b":1\r\n" {
            let line = format!("{command}\r\n");
            stream.write_all(line.as_bytes()).await.unwrap();
            stream.read_exact(&mut answer).await.unwrap();
        }
    };
    timeout(PATIENCE, saying).await.expect("it has changed");
}

#[test]
fn whatever_is_asked_may_be_asked_on_any_thread() {
    fn is_of_any_thread(_: impl Send) {}
    let bus = bus("redis://127.0.0.1");
    let (node, nodes) = (node(1), [node(1)]);
    is_of_any_thread(async { bus.claim().await });
    is_of_any_thread(async { bus.send(node, b"").await });
    is_of_any_thread(async { bus.send_all(b"").await });
    is_of_any_thread(async { bus.write(node, 1, &[], b"").await });
    is_of_any_thread(async { bus.rewrite(node, 1, &[]).await });
    is_of_any_thread(async { bus.load(node).await });
    is_of_any_thread(async { bus.look(&nodes, "bob").await });
    is_of_any_thread(async { bus.alive(node, PATIENCE).await });
    is_of_any_thread(async { bus.nodes().await });
    is_of_any_thread(async { bus.leave(node).await });
}
