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
