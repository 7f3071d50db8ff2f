//! `webrtc_registered_clients`: who can be called now.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{Request, Response};
use futures_util::stream;
use model::Account;
use serde::Serialize;
use switch::RegisteredClient;

use super::answer::{Fault, json, with_type};
use super::parameters::Parameters;
use super::{Peer, Services, login};

/// Clients of a list that are written together: some 45 KiB.
const PIECE: usize = 500;

#[derive(Serialize)]
struct Entry<'a> {
    client_id: &'a str,
    last_modified: String,
    expires: String,
}

impl<'a> Entry<'a> {
    fn of(client: &'a RegisteredClient) -> Self {
        Self {
            client_id: client.client.as_str(),
            last_modified: client.last_modified.to_string(),
            expires: client.expires.to_string(),
        }
    }
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

/// The registered clients of an account, by client id.
pub(super) fn listing(services: &Services, account: &Account) -> Response<Body> {
    written(services.signalling.clients(account.id))
}

/// A long list leaves in pieces as its reader takes them, and is never there as one text.
fn written(clients: Vec<RegisteredClient>) -> Response<Body> {
    if clients.len() <= PIECE {
        return json(&clients.iter().map(Entry::of).collect::<Vec<_>>());
    }
    let pieces = stream::iter(pieces(clients).map(Ok::<_, Infallible>));
    with_type("application/json", Body::from_stream(pieces))
}

fn pieces(clients: Vec<RegisteredClient>) -> impl Iterator<Item = Vec<u8>> {
    let last = clients.len().div_ceil(PIECE);
    (0..last).map(move |piece| {
        let from = piece * PIECE;
        let until = clients.len().min(from + PIECE);
        let entries: Vec<_> = clients[from..until].iter().map(Entry::of).collect();
        let mut text = serde_json::to_vec(&entries).expect("strings serialise");
        // Each is a list of its own; together they are one.
        if piece > 0 {
            text[0] = b',';
        }
        if piece + 1 < last {
            text.pop();
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use axum::body::HttpBody;
    use axum::http::header::CONTENT_LENGTH;
    use http_body_util::BodyExt;
    use model::{ClientId, UnixTime};

    use super::*;

    fn clients(number: usize) -> Vec<RegisteredClient> {
        let client = |at| RegisteredClient {
            client: ClientId::parse(&format!("c{at:05}")).unwrap(),
            last_modified: UnixTime::from_secs(1_800_000_000),
            expires: UnixTime::from_secs(1_800_000_600),
        };
        (0..number).map(client).collect()
    }

    #[tokio::test]
    async fn a_list_of_any_length_is_one_list_in_the_order_that_it_had() {
        for number in [0, 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 1, 10_000] {
            let response = written(clients(number));
            let is_whole = response.headers().contains_key(CONTENT_LENGTH)
                || response.body().size_hint().exact().is_some();
            assert_eq!(is_whole, number <= PIECE, "{number}");
            let text = response.into_body().collect().await.unwrap().to_bytes();
            let list: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
            assert_eq!(list.len(), number);
            for (at, entry) in list.iter().enumerate() {
                assert_eq!(entry["client_id"], format!("c{at:05}"));
            }
        }
    }
}
