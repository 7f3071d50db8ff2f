//! `webrtc_generate_token`: a token for one client.

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use model::Account;
use switch::token::{AccountKeys, TokenRequest, issue};
use switch::{Counter, Snapshot};

use super::answer::{Fault, json};
use super::parameters::Parameters;
use super::{Peer, Services, login};
use crate::signalling::random;

pub(super) async fn answer(
    services: &Services,
    peer: &Peer,
    request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    let published = services.signalling.published();
    let snapshot = &*published.snapshot;
    let account = login::check(services, peer, request.headers(), &snapshot.directory)?;
    let parameters = Parameters::read(request, services.bounds.head_time).await?;
    let wanted = TokenRequest::from_parameters(parameters.iter()).map_err(Fault::parameters)?;
    let token = grant(services, snapshot, account, &wanted).await?;
    Ok(json(&serde_json::json!({ "token": token })))
}

/// Takes a token from the account's month, and signs it.
pub(super) async fn grant(
    services: &Services,
    snapshot: &Snapshot,
    account: &Account,
    wanted: &TokenRequest,
) -> Result<String, Fault> {
    let key = snapshot
        .keys
        .account(account.id)
        .and_then(AccountKeys::signing)
        .ok_or_else(|| {
            let text = "The account's signing key cannot be used; the server's log says why";
            Fault::http(StatusCode::INTERNAL_SERVER_ERROR, text)
        })?;

    let began = services.signalling.now();
    let now = began.unix;
    services.quota.take(account, now).map_err(|exceeded| {
        services.signalling.counters.add(Counter::TokenQuotaReached);
        Fault::http(StatusCode::TOO_MANY_REQUESTS, exceeded.to_string())
            .retry_after(exceeded.resets.since(now).as_secs() + 1)
    })?;
    // One after the other, and what clients have to say goes between them: a signature takes longer than a call.
    let turn = services.signing.acquire().await;
    let token = issue(key, account, wanted, random(), now);
    let signalling = &services.signalling;
    let took = signalling.clock.since(began.mono);
    tokio::task::yield_now().await;
    drop(turn);
    signalling.counters.meters.token.add(took);
    signalling.counters.add(Counter::TokenIssued);
    Ok(token)
}
