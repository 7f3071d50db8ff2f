//! Applications of every manner on free ports of this machine, and what is told of them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::{AccountId, Page, PageMethod, PageUrl, QuestionId, SecretBytes};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_rustls::TlsAcceptor;

use super::*;

/// What an application says to each request; nothing: it says nothing at all.
type Script = Option<Vec<u8>>;

/// An application that says the same to everybody.
struct Application {
    address: SocketAddr,
    /// The requests as they came, head and body.
    heard: UnboundedReceiver<String>,
    connections: Arc<AtomicUsize>,
}

impl Application {
    async fn new(script: Script) -> Self {
        Self::with(script, None).await
    }

    async fn with(script: Script, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (told, heard) = unbounded_channel();
        let connections = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let (script, told, tls) = (script.clone(), told.clone(), tls.clone());
                tokio::spawn(async move {
                    let tell = move |request| drop(told.send(request));
                    match tls {
                        None => converse(stream, script, tell).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                converse(stream, script, tell).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            heard,
            connections,
        }
    }

    fn url(&self) -> String {
        format!("http://{}/page?key=secret", self.address)
    }
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    script: Script,
    tell: impl Fn(String),
) {
    let mut read = Vec::new();
    loop {
        while !is_whole(&read) {
            if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                return;
            }
        }
        tell(String::from_utf8(std::mem::take(&mut read)).unwrap());
        let Some(answer) = &script else {
            // As long as the other side is there.
            let _ = stream.read_buf(&mut read).await;
            return;
        };
        if stream.write_all(answer).await.is_err() || answer.is_empty() {
            return;
        }
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse().unwrap())
    });
    body.len() >= length.unwrap_or(0)
}

fn says(text: &str) -> Script {
    Some(text.as_bytes().to_vec())
}

const GREETING: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]";

/// A server that only this machine reaches.
fn local() -> Config {
    let mut config = Config::default();
    config.webhook.timeout_s = 20;
    config
}

/// One that others reach.
fn open() -> Config {
    Config {
        behind_tls_proxy: true,
        ..local()
    }
}

fn pages(config: &Config) -> Arc<Pages> {
    Arc::new(Pages::new(config).unwrap())
}

fn asked(url: &str, method: PageMethod) -> PageRequest {
    PageRequest {
        id: QuestionId(1),
        account: AccountId(1),
        page: Page {
            url: PageUrl::parse(url).unwrap(),
            method,
        },
        instance: "{\"call\":1}".to_owned(),
        secret: SecretBytes::new(b"key".to_vec()),
    }
}

async fn post(pages: &Pages, url: &str) -> PageAnswer {
    pages.ask(&asked(url, PageMethod::Post)).await
}

/// The sentence; there must be one.
async fn failed(pages: &Pages, url: &str) -> String {
    let PageAnswer::Failed(sentence) = post(pages, url).await else {
        panic!("{url} answered");
    };
    assert!(!sentence.contains("secret"), "{sentence}");
    sentence
}

fn answered(status: u16, body: &str) -> PageAnswer {
    PageAnswer::Answered {
        status,
        body: body.into(),
    }
}

#[tokio::test]
async fn a_page_is_asked_with_the_instance_signed_and_again_on_the_same_connection() {
    let mut application = Application::new(says(GREETING)).await;
    let pages = pages(&local());
    let url = application.url();
    assert_eq!(post(&pages, &url).await, answered(200, "[]"));
    let request = application.heard.recv().await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("POST /page?key=secret HTTP/1.1\r\n"),
        "{head}"
    );
    assert_eq!(body, "{\"call\":1}");
    let head = head.to_ascii_lowercase();
    for line in [
        format!("host: {}", application.address),
        "content-type: application/json".to_owned(),
        concat!("user-agent: offhook/", env!("CARGO_PKG_VERSION")).to_owned(),
    ] {
        assert!(head.lines().any(|other| other == line), "{head}");
    }
    let header = |name: &str| {
        let found = head.lines().find_map(|line| line.strip_prefix(name));
        found.unwrap().trim().to_owned()
    };
    let signed = format!("{}.{body}", header("x-offhook-timestamp:"));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"key");
    let tag = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
    let digits: String = tag
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(header("x-offhook-signature:"), format!("v1={digits}"));

    let get = asked(&url, PageMethod::Get);
    assert_eq!(pages.ask(&get).await, answered(200, "[]"));
    let request = application.heard.recv().await.unwrap();
    let line = "GET /page?key=secret&instance_info=%7B%22call%22%3A1%7D HTTP/1.1\r\n";
    assert!(request.starts_with(line), "{request}");
    assert_eq!(application.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn redirects_and_faults_of_an_application_come_back_as_they_are() {
    let pages = pages(&local());
    for (status, rest) in [
        (
            302,
            "Location: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        ),
        (204, "\r\n"),
        (
            500,
            "Transfer-Encoding: chunked\r\n\r\n3\r\nbad\r\n0\r\n\r\n",
        ),
    ] {
        let application = Application::new(says(&format!("HTTP/1.1 {status} X\r\n{rest}"))).await;
        let body = if status == 500 { "bad" } else { "" };
        assert_eq!(
            post(&pages, &application.url()).await,
            answered(status, body)
        );
    }
}

#[tokio::test]
async fn an_application_that_takes_too_long_is_told_as_that() {
    let mut config = local();
    config.webhook.timeout_s = 1;
    let pages = pages(&config);
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
    for script in [None, says(half)] {
        let application = Application::new(script).await;
        assert_eq!(
            failed(&pages, &application.url()).await,
            format!(
                "the application at http://{}/page did not answer within 1 s",
                application.address
            )
        );
    }
}

#[tokio::test]
async fn a_page_has_so_many_bytes_and_no_more() {
    let pages = pages(&local());
    for (length, is_right) in [(limits::PAGE_BYTES, true), (limits::PAGE_BYTES + 1, false)] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        let script = [head.into_bytes(), vec![b' '; length]].concat();
        let application = Application::new(Some(script)).await;
        match post(&pages, &application.url()).await {
            PageAnswer::Answered { body, .. } => assert!(is_right && body.len() == length),
            PageAnswer::Failed(sentence) => assert!(
                !is_right && sentence.contains("a page of more than 262144 bytes"),
                "{sentence}"
            ),
        }
    }
}

#[tokio::test]
async fn what_is_no_answer_is_told_as_what_it_is() {
    let pages = pages(&local());
    for (script, words) in [
        (
            says(""),
            "closed the connection before its answer was whole",
        ),
        (
            says("220 mail.example ESMTP\r\n\r\n"),
            "something that is no HTTP",
        ),
    ] {
        let application = Application::new(script).await;
        let sentence = failed(&pages, &application.url()).await;
        assert!(sentence.contains(words), "{sentence}");
    }
    // Nobody listens there any more.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr();
    let sentence = failed(&pages, &format!("http://{}/", gone.unwrap())).await;
    assert!(
        sentence.ends_with("cannot be reached: connection refused"),
        "{sentence}"
    );
    let nobody = format!("http://{}.example/", "x".repeat(64));
    let sentence = failed(&pages, &nobody).await;
    assert!(sentence.contains("is found"), "{sentence}");
}

#[tokio::test]
async fn private_targets_are_not_called_in_any_spelling() {
    let mut application = Application::new(says(GREETING)).await;
    let port = application.address.port();
    let guarded = pages(&open());
    for host in [
        "127.0.0.1",
        "127.9.9.9",
        "localhost",
        "2130706433",
        "0x7f.1",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        let sentence = failed(&guarded, &format!("http://{host}:{port}/")).await;
        assert!(
            sentence.contains("has the address") && sentence.contains("webhook_allow"),
            "{host}: {sentence}"
        );
    }
    assert!(application.heard.try_recv().is_err());
    assert_eq!(application.connections.load(Ordering::Relaxed), 0);
    // The operator may allow it.
    let mut config = open();
    config.webhook.allow = vec!["127.0.0.0/8".parse().unwrap()];
    let allowed = pages(&config);
    assert_eq!(
        post(&allowed, &application.url()).await,
        answered(200, "[]")
    );
    let elsewhere = failed(&allowed, "http://10.0.0.1/").await;
    assert!(elsewhere.contains("10.0.0.1 (private)"), "{elsewhere}");
}

fn tls() -> (TlsAcceptor, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let certificate = made.cert.der().clone();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    (Arc::new(config).into(), certificate)
}

#[tokio::test]
async fn tls_is_spoken_with_whom_a_root_vouches_for_by_that_name() {
    let (acceptor, root) = tls();
    let application = Application::with(says(GREETING), Some(acceptor)).await;
    let port = application.address.port();
    let by_name = format!("https://localhost:{port}/");
    let sentence = failed(&pages(&local()), &by_name).await;
    assert!(sentence.contains("TLS fails: "), "{sentence}");
    let mut config = local();
    config.webhook.roots = vec![root];
    let pages = pages(&config);
    assert_eq!(post(&pages, &by_name).await, answered(200, "[]"));
    let sentence = failed(&pages, &format!("https://127.0.0.1:{port}/")).await;
    assert!(sentence.contains("TLS fails: "), "{sentence}");
    // No TLS at the other end.
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = plain.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(b"220 mail.example ESMTP").await.unwrap();
    });
    let sentence = failed(&pages, &format!("https://localhost:{port}/")).await;
    assert!(sentence.contains("TLS fails: "), "{sentence}");
}

#[tokio::test]
async fn one_account_leaves_room_for_others() {
    let pages = pages(&local());
    let of = |account| PageRequest {
        account: AccountId(account),
        ..asked("http://a.example/?key=secret", PageMethod::Post)
    };
    let mut entries = Vec::new();
    for _ in 0..limits::PAGES_PER_ACCOUNT {
        entries.push(pages.enter(&of(1)).ok().unwrap());
    }
    let sentence = pages.enter(&of(1)).err().unwrap();
    assert!(
        sentence.starts_with("the application at http://a.example/ is not asked: 200 pages"),
        "{sentence}"
    );
    assert!(pages.enter(&of(2)).is_ok());
    entries.pop();
    assert!(pages.enter(&of(1)).is_ok());
}

#[tokio::test]
async fn connections_of_one_account_leave_room_for_others() {
    let application = Application::new(None).await;
    let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let policy = PeerPolicy {
        allowed: LOOPBACK.to_vec(),
    };
    let connector = Connector::new(policy, tls, false, Places::new(3, 2));
    let connect = |account| {
        let uri = application.url().parse().unwrap();
        connector.clone().connect(AccountId(account), uri)
    };
    let (first, _second) = (connect(1).await.unwrap(), connect(1).await.unwrap());
    let sentence = connect(1).await.err().unwrap().to_string();
    assert!(sentence.contains("2 connections to applications of this account"));
    let _other = connect(2).await.unwrap();
    let sentence = connect(3).await.err().unwrap().to_string();
    assert!(sentence.contains("this server has 3 connections"));
    drop(first);
    assert!(connect(3).await.is_ok());
}
