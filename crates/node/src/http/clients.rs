//! `webrtc_registered_clients`: who can be called now.

use axum::body::Body;
use axum::http::{Request, Response};
use model::Account;
use serde::Serialize;

use super::answer::{Fault, json};
use super::parameters::Parameters;
use super::{Peer, Services, login};

#[derive(Serialize)]
struct Entry {
    client_id: String,
    last_modified: String,
    expires: String,
}

pub(super) async fn answer(
    services: &Services,
    peer: &Peer,
    request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    let published = services.signalling.published();
    let account = login::check(
        services,
        peer,
        request.headers(),
        &published.snapshot.directory,
    )?;
    // There are no parameters, but what cannot be read is refused here as everywhere.
    Parameters::read(request, services.bounds.head_time).await?;
    Ok(listing(services, account))
}

/// The registered clients of an account.
pub(super) fn listing(services: &Services, account: &Account) -> Response<Body> {
    let clients = services
        .signalling
        .clients(account.id)
        .into_iter()
        .map(|client| Entry {
            client_id: client.client.to_string(),
            last_modified: client.last_modified.to_string(),
            expires: client.expires.to_string(),
        });
    json(&clients.collect::<Vec<_>>())
}
