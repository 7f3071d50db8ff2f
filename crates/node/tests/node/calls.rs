//! `/v1/calls` as a back end asks it, where nobody needs to be called: what is read of a request, and how it is refused.

use crate::http::{ask, post};
use crate::server::Site;

const RECORD: &str = "/v1/calls/0.1.7/record";

#[tokio::test]
async fn what_may_all_be_left_out_needs_no_body() {
    let site = Site::new().await;
    let server = site.serve().await;
    for bare in [
        ask("POST", RECORD),
        post(RECORD, "application/json", ""),
        post(RECORD, "application/json", "{}"),
    ] {
        let answer = server.send(site.log_in(bare)).await;
        assert_eq!(answer.status, 404, "there is no such call: {answer:?}");
    }
    let play = post("/v1/calls/0.1.7/play", "application/json", "");
    let answer = server.send(site.log_in(play)).await;
    assert_eq!(answer.status, 400, "what to play must be said: {answer:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_is_no_object_is_refused_with_one_that_would_be_right() {
    let site = Site::new().await;
    let server = site.serve().await;
    for (path, body, words) in [
        (
            "/v1/calls",
            "null",
            "The body is null; it must be an object such as {\"to\":",
        ),
        ("/v1/calls", "[]", "The body is a list;"),
        (RECORD, "null", "such as {\"seconds_max_duration\":60}"),
        ("/v1/calls/0.1.7/dtmf", "\"1\"", "The body is a string;"),
        ("/v1/calls/0.1.7/play", "7", "The body is a number;"),
        ("/v1/calls/0.1.7/transfer", "true", "{\"destinations\":"),
    ] {
        let asked = post(path, "application/json", body);
        let answer = server.send(site.log_in(asked)).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.error_text().contains(words), "{answer:?}");
    }
    server.stop().await;
}
