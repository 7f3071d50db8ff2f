//! What is logged: above debug nobody is named, and no secret ever.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing_subscriber::filter::LevelFilter;

use crate::server::Site;
use crate::sip_proxy::Client;
use crate::words::accept;

/// Everything that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Of all threads of this process, from now on.
fn logged_from(level: LevelFilter) -> Log {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    log
}

#[tokio::test]
async fn nobody_is_named_above_debug() {
    let log = logged_from(LevelFilter::INFO);
    let site = Site::new().await;
    let server = site.serve().await;
    let tokens = [
        site.token(&server, "rosalind").await,
        site.token(&server, "celia").await,
    ];
    let mut callee = Client::connect(&site, &server, "celia").await;
    callee.register(&tokens[1]).await;
    let mut caller = Client::connect(&site, &server, "rosalind").await;
    caller.invite(&tokens[0], "celia").await;
    let invite = callee.hear().await;
    callee.say(accept(&invite)).await;
    while !caller.hear().await.starts_with("SIP/2.0 200") {}
    // What is refused is no reason to name anybody.
    caller.say("rosalind celia\r\n\r\n".to_owned()).await;
    caller.register("no.token.rosalind").await;
    // A call that goes on ends with the server.
    server.stop().await;
    let log = log.text();
    assert!(log.contains("serving") && log.contains("stopped"), "{log}");
    let account = &site.account;
    let (login, key) = (
        account.login.to_string(),
        account.webrtc_access_key.to_string(),
    );
    let secret = account.api_key.expose();
    for private in ["rosalind", "celia", &tokens[0], &login, &key, secret] {
        let line = log.lines().find(|line| line.contains(private));
        assert_eq!(line, None, "{private} is named");
    }
}
