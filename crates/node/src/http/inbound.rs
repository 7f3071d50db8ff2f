//! `/service/v1/inbound`: the services of an account, listed, and each of them shown, put, patched and removed.
//!
//! What is shown is what calls find; a change is answered when they find it as well. What a document says is read by
//! `service_document`.

use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode};
use model::{AccountId, SecretBytes, ServiceName, limits};
use store::{Put, ServiceError};
use switch::Counter;

use super::answer::{Fault, json, no_content};
use super::body::{JSON, document};
use super::{Peer, Services, kept, login, path};
use crate::provision;
use crate::service_document::{patched, read, shown};

/// Where the services are listed; each is at its name below.
pub(super) const PATH: &str = "/service/v1/inbound";

/// Said where the store does not take it.
const NOT_KEPT: &str = "The change cannot be kept";
/// RFC 7396 §4.
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Whether this is the path of one service, as far as its form goes.
pub(super) fn is_of_one(path: &str) -> bool {
    path::is_one_below(PATH, path)
}

/// Every service of the account, by name.
pub(super) fn list(
    services: &Services,
    peer: &Peer,
    request: &Request<Body>,
) -> Result<Response<Body>, Fault> {
    let published = services.signalling.published();
    let directory = &published.snapshot.directory;
    let account = login::check(services, peer, request.headers(), directory)?;
    let list: Vec<_> = account.services.values().map(shown).collect();
    Ok(json(&list))
}

/// One service: shown, or changed as the method says.
pub(super) async fn one(
    services: &Services,
    peer: &Peer,
    request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    let published = services.signalling.published();
    let directory = &published.snapshot.directory;
    let account = login::check(services, peer, request.headers(), directory)?;
    let name = path::name_below(PATH, request.uri(), ServiceName::parse)?;
    match *request.method() {
        Method::PUT => put(services, account.id, &name, request).await,
        Method::PATCH => patch(services, account.id, &name, request).await,
        Method::DELETE => remove(services, account.id, &name).await,
        _ => {
            let service = account.services.get(&name);
            let service = service.ok_or_else(|| no_such_service(&name))?;
            Ok(json(&shown(service)))
        }
    }
}

async fn put(
    services: &Services,
    account: AccountId,
    name: &ServiceName,
    request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    let (document, _) = document(services, request, &[JSON]).await?;
    let secret = fresh_secret()?;
    let service = read(name, &document, &secret).map_err(Fault::parameters)?;
    let turn = kept::turn(services, NOT_KEPT).await?;
    let put = services.watch.store.put_service(account, &service).await;
    drop(turn);
    let put = put.map_err(|error| {
        if matches!(error, ServiceError::TooMany(_)) {
            services.signalling.counters.add(Counter::ServicesFull);
        }
        refused(error)
    })?;
    // Late or not: what is kept is seen some time.
    let _ = services.watch.catch_up().await;
    let mut response = json(&shown(&service));
    *response.status_mut() = match put {
        Put::Created => StatusCode::CREATED,
        Put::Replaced => StatusCode::OK,
    };
    Ok(response)
}

async fn patch(
    services: &Services,
    account: AccountId,
    name: &ServiceName,
    request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    let (patch, _) = document(services, request, &[JSON, MERGE_PATCH]).await?;
    let secret = fresh_secret()?;
    let turn = kept::turn(services, NOT_KEPT).await?;
    let store = &services.watch.store;
    let changed = store
        .change_service(account, name, |service| patched(service, &patch, &secret))
        .await;
    drop(turn);
    let service = changed.map_err(refused)?.map_err(Fault::parameters)?;
    // Late or not: what is kept is seen some time.
    let _ = services.watch.catch_up().await;
    Ok(json(&shown(&service)))
}

async fn remove(
    services: &Services,
    account: AccountId,
    name: &ServiceName,
) -> Result<Response<Body>, Fault> {
    let turn = kept::turn(services, NOT_KEPT).await?;
    let removed = services.watch.store.remove_service(account, name).await;
    drop(turn);
    removed.map_err(refused)?;
    // Late or not: what is kept is seen some time.
    let _ = services.watch.catch_up().await;
    Ok(no_content())
}

/// For an application that has none yet.
fn fresh_secret() -> Result<SecretBytes, Fault> {
    provision::application_secret().map_err(|error| {
        tracing::error!(%error, "a service is not changed");
        let text = "The change cannot be made; the server's log says why";
        Fault::http(StatusCode::INTERNAL_SERVER_ERROR, text)
    })
}

fn refused(error: ServiceError) -> Fault {
    match error {
        // It went while the request was read.
        ServiceError::NoSuchAccount(_) => Fault::wrong_login(),
        ServiceError::NoSuchService { name, .. } | ServiceError::NoSuchApplication { name, .. } => {
            no_such_service(&name)
        }
        ServiceError::TooMany(_) => {
            let text = format!(
                "The account has {} services already, as many as it may have; remove one first",
                limits::SERVICES_PER_ACCOUNT
            );
            Fault::http(StatusCode::CONFLICT, text)
        }
        ServiceError::Store(error) => kept::refused(&error, NOT_KEPT),
    }
}

fn no_such_service(name: &ServiceName) -> Fault {
    let text = format!("The account has no service '{name}'; {PATH} lists those that it has");
    Fault::http(StatusCode::NOT_FOUND, text)
}
