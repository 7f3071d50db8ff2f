//! `/v1/revocations`: tokens of an account that are taken back before their end: revoked, listed, and given back.
//!
//! A change is answered when this server works with it. What it does to a token is `switch`'s.

use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode};
use model::{AccountId, Revoked, limits};
use serde_json::{Value, json as object};
use store::RevokeError;
use switch::Counter;
use switch::token::ParameterFault;

use super::answer::{Fault, json, no_content};
use super::body::{JSON, document, must_be_object};
use super::parameters::Parameters;
use super::{Peer, Services, kept, login};
use crate::revocation_document::{meant, read, shown};

/// Where they are.
pub(super) const PATH: &str = "/v1/revocations";

/// Said where the store does not take it.
const NOT_KEPT: &str = "The change cannot be kept";

pub(super) async fn answer(
    services: &Services,
    peer: &Peer,
    request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    let published = services.signalling.published();
    let directory = &published.snapshot.directory;
    let account = login::check(services, peer, request.headers(), directory)?;
    match *request.method() {
        Method::POST => revoke(services, account.id, request).await,
        Method::DELETE => give_back(services, account.id, request).await,
        _ => {
            let now = services.signalling.now().unix;
            let revocations = account.revocations.iter();
            let kept = revocations.filter(|revocation| now < revocation.kept_until);
            let list: Vec<Value> = kept.map(shown).collect();
            Ok(json(&object!({ "revocations": list })))
        }
    }
}

async fn revoke(
    services: &Services,
    account: AccountId,
    request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    let (document, _) = document(services, request, &[JSON]).await?;
    must_be_object(&document, r#"{"client_id":"bob","end":true}"#)?;
    let wanted = read(document).map_err(|fault| Fault::parameters(vec![fault]))?;
    let now = services.signalling.now().unix;
    let revocation = wanted.at(now).map_err(Fault::malformed)?;
    let turn = kept::turn(services, NOT_KEPT).await?;
    let revoked = services.watch.store.revoke(account, &revocation, now).await;
    drop(turn);
    let revoked = revoked.map_err(|error| {
        if matches!(error, RevokeError::TooMany(_)) {
            services.signalling.counters.add(Counter::RevocationsFull);
        }
        refused(error)
    })?;
    let ends = revocation.ends_before.is_some();
    let what = &revoked.what;
    tracing::info!(account = account.0, ends, "a back end has revoked {what}");
    // Late or not: what is kept is seen some time.
    let _ = services.watch.catch_up().await;
    let mut response = json(&shown(&revoked));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

async fn give_back(
    services: &Services,
    account: AccountId,
    request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    let parameters = Parameters::read(request, services.bounds.head_time).await?;
    let what = named(parameters.iter()).map_err(|fault| Fault::parameters(vec![fault]))?;
    let turn = kept::turn(services, NOT_KEPT).await?;
    let removed = services.watch.store.remove_revocation(account, &what).await;
    drop(turn);
    removed.map_err(refused)?;
    tracing::info!(
        account = account.0,
        "a back end has taken the revocation of {what} back"
    );
    // Late or not: what is kept is seen some time.
    let _ = services.watch.catch_up().await;
    Ok(no_content())
}

/// Which revocation a query means.
fn named<'a>(
    parameters: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Revoked, ParameterFault> {
    let (mut jti, mut client, mut all) = (None, None, None);
    for (name, value) in parameters {
        let place = match name {
            "jti" => &mut jti,
            "client_id" => &mut client,
            "all" => &mut all,
            _ => continue,
        };
        if place.replace(value).is_some() {
            return Err(ParameterFault {
                code: "0003",
                text: format!("Parameter '{name}' may be given only once"),
            });
        }
    }
    meant(jti, client, all.map(|all| all == "true"))
}

fn refused(error: RevokeError) -> Fault {
    match error {
        // It went while the request was read.
        RevokeError::NoSuchAccount(_) => Fault::wrong_login(),
        RevokeError::NoSuchRevocation { what, .. } => {
            let text = format!("The account has not revoked {what}; {PATH} lists what it has");
            Fault::http(StatusCode::NOT_FOUND, text)
        }
        RevokeError::TooMany(_) => {
            let text = format!(
                "The account has {} revocations already, as many as it may have; revoke clients, or all tokens, in place of single ones",
                limits::REVOCATIONS_PER_ACCOUNT
            );
            Fault::http(StatusCode::CONFLICT, text)
        }
        RevokeError::Store(error) => kept::refused(&error, NOT_KEPT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_one_revocation() {
        let named = |given: &[(&'static str, &'static str)]| named(given.iter().copied());
        assert_eq!(named(&[("all", "true")]).unwrap(), Revoked::Account);
        assert_eq!(
            named(&[("client_id", "bob"), ("other", "x")])
                .unwrap()
                .to_string(),
            "the tokens of client bob"
        );
        assert_eq!(named(&[]).unwrap_err().code, "0001");
        assert_eq!(named(&[("all", "yes")]).unwrap_err().code, "0002");
        let twice = [("jti", "a"), ("jti", "a")];
        assert_eq!(named(&twice).unwrap_err().code, "0003");
    }
}
