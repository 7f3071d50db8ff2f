//! The monthly limit on tokens.

use crate::http::{assert_datetime, get};
use crate::server::{Server, Site, until};

const TOKEN: &str = "/webrtc_generate_token?client_id=bob";

async fn status(site: &Site, server: &Server) -> u16 {
    server.send(site.log_in(get(TOKEN))).await.status
}

#[tokio::test]
async fn past_the_limit_the_answer_says_the_limit_and_when_it_resets() {
    let site = Site::new().await;
    site.limit_tokens(2).await;
    let server = site.serve().await;
    // What is refused for its parameters is not counted.
    assert_eq!(
        server
            .send(site.log_in(get("/webrtc_generate_token")))
            .await
            .status,
        400
    );
    assert_eq!(
        (status(&site, &server).await, status(&site, &server).await),
        (200, 200)
    );

    let answer = server.send(site.log_in(get(TOKEN))).await;
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (429, "HTTP 429"),
        "{answer:?}"
    );
    let text = answer.error_text();
    assert!(text.contains("limit of 2 tokens"), "{text}");
    let day = text
        .split("resets on ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    assert_datetime(&format!("{day}_00:00:00"));
    assert!(day.ends_with("-01"), "{text}");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=31 * 86_400 + 1).contains(&wait), "{wait}");
    server.stop().await;
}

#[tokio::test]
async fn the_count_survives_a_restart() {
    let site = Site::new().await;
    site.limit_tokens(3).await;
    for expected in [[200, 200], [200, 429], [429, 429]] {
        let server = site.serve().await;
        assert_eq!(
            [status(&site, &server).await, status(&site, &server).await],
            expected
        );
        server.stop().await;
    }
}

#[tokio::test]
async fn the_count_reaches_the_store_while_the_server_runs() {
    let site = Site::new().await;
    let server = site.serve().await;
    assert_eq!(
        (status(&site, &server).await, status(&site, &server).await),
        (200, 200)
    );
    let store = site.open_store().await;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let month = model::UnixTime::from_secs(now).month();
    let counts = async || store.token_counts(month).await.unwrap();
    until(async || counts().await.first().is_some_and(|(_, count)| *count == 2)).await;
    store.close().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_more_than_the_limit_however_many_ask_at_once() {
    let site = Site::new().await;
    site.limit_tokens(5).await;
    let server = site.serve().await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let ask = site.log_in(get(TOKEN));
        asking.spawn(ask.send(server.address));
    }
    let answers = asking.join_all().await;
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 200).count(),
        5
    );
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 429).count(),
        15
    );
    server.stop().await;
}
