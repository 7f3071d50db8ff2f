//! Demo mode: on this machine alone, one click makes a client of the demo account.
//!
//! Every request is looked at as if a page of somebody else had sent it through the browser of whoever sits here: the
//! peer, the host that it names (DNS rebinding) and the origin (WHATWG Fetch §3.1) must all be this machine's own. Never
//! shows a key.

use axum::body::Body;
use axum::http::header::{FORWARDED, ORIGIN, VIA};
use axum::http::{Request, Response, StatusCode};
use model::{Account, Directory};
use serde_json::json;
use switch::token::TokenRequest;

use super::answer::{Fault, json as answer_json};
use super::host::Host;
use super::parameters::Parameters;
use super::{Peer, Services, clients, token};
use crate::provision::open_demo;
use crate::signalling::random;

/// `POST /demo/client`: a token for a client of the demo account that may call anybody. Its name is made up if none is
/// given.
pub(super) async fn client(
    services: &Services,
    peer: &Peer,
    request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    admit(services, peer, &request)?;
    let parameters = Parameters::read(request, services.bounds.head_time).await?;
    let published = services.signalling.published();
    let account = account(services, &published.snapshot.directory)?;
    let made_up;
    let mut wanted: Vec<_> = parameters
        .iter()
        .filter(|(name, value)| *name == "client_id" && !value.is_empty())
        .collect();
    if wanted.is_empty() {
        made_up = free_name(services, account);
        wanted.push(("client_id", &made_up));
    }
    wanted.push(("call_client", "*"));
    let wanted = TokenRequest::from_parameters(wanted).map_err(Fault::parameters)?;
    let token = token::grant(services, &published.snapshot, account, &wanted).await?;
    Ok(answer_json(
        &json!({ "client_id": wanted.client.as_str(), "token": token }),
    ))
}

/// `GET /demo/clients`: who of the demo account is registered.
pub(super) fn registered(
    services: &Services,
    peer: &Peer,
    request: &Request<Body>,
) -> Result<Response<Body>, Fault> {
    admit(services, peer, request)?;
    let published = services.signalling.published();
    let account = account(services, &published.snapshot.directory)?;
    Ok(clients::listing(services, account))
}

/// Whether demo mode is in effect, and for this request.
pub(super) fn admit(
    services: &Services,
    peer: &Peer,
    request: &Request<Body>,
) -> Result<(), Fault> {
    account(
        services,
        &services.signalling.published().snapshot.directory,
    )?;
    let refused = |text: &str| Err(Fault::http(StatusCode::FORBIDDEN, text));
    let headers = request.headers();
    let proxies = [
        headers.get(FORWARDED),
        headers.get(VIA),
        headers.get("x-forwarded-for"),
    ];
    if !peer.address.ip().to_canonical().is_loopback() || proxies.iter().any(Option::is_some) {
        return refused(
            "Demo mode is for this machine alone: open the page on the machine that offhook runs on",
        );
    }
    let Some(host) = Host::of(request.uri(), headers).filter(Host::is_this_machine) else {
        return refused(
            "Demo mode is for this machine alone: call it localhost or 127.0.0.1 in the address",
        );
    };
    let scheme = if services.is_tls { "https" } else { "http" };
    let own = format!("{scheme}://{}", host.text);
    let is_own = |origin: &[u8]| origin.eq_ignore_ascii_case(own.as_bytes());
    // Absent where the browser is old, or no browser; `none` where a person typed the address.
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    if headers
        .get_all(ORIGIN)
        .iter()
        .any(|origin| !is_own(origin.as_bytes()))
        || site.is_some_and(|site| !matches!(site, b"same-origin" | b"none"))
    {
        return refused("Demo mode answers only to the softphone page of this server");
    }
    Ok(())
}

/// The demo account, if demo mode is in effect.
fn account<'a>(services: &Services, directory: &'a Directory) -> Result<&'a Account, Fault> {
    let off = |why: String| Fault::http(StatusCode::NOT_FOUND, format!("Demo mode is off: {why}"));
    if !services.may_demo {
        return Err(off(
            "it needs a server that listens on a loopback address, without --behind-tls-proxy and without --demo=false"
                .to_owned(),
        ));
    }
    open_demo(directory).map_err(off)
}

const MANNERS: [&str; 32] = [
    "able", "amber", "brave", "breezy", "bright", "calm", "cheery", "clever", "cosy", "daring",
    "eager", "fair", "gentle", "glad", "golden", "happy", "jolly", "keen", "kind", "lively",
    "lucky", "merry", "mild", "nimble", "proud", "quick", "quiet", "silver", "sunny", "swift",
    "warm", "wise",
];
const ANIMALS: [&str; 16] = [
    "badger", "beaver", "falcon", "finch", "fox", "hare", "heron", "lark", "lynx", "marten",
    "otter", "owl", "panda", "robin", "seal", "wren",
];
/// How often a name that is taken is drawn anew; then it gets a number.
const DRAWS: usize = 8;

/// A friendly name that nobody is registered with.
fn free_name(services: &Services, account: &Account) -> String {
    let taken = services.signalling.clients(account.id);
    let is_free = |name: &String| taken.iter().all(|one| one.client.as_str() != name);
    let mut names = (0..DRAWS).map(|_| name());
    names.find(is_free).unwrap_or_else(|| {
        let number = u16::from_be_bytes(random());
        format!("{}-{number}", name())
    })
}

fn name() -> String {
    let [manner, animal] = random::<2>().map(usize::from);
    format!(
        "{}-{}",
        MANNERS[manner % MANNERS.len()],
        ANIMALS[animal % ANIMALS.len()]
    )
}

#[cfg(test)]
mod tests {
    use model::ClientId;

    use super::*;

    #[test]
    fn every_name_is_a_client_id_and_there_are_hundreds() {
        let mut names = std::collections::BTreeSet::new();
        for manner in MANNERS {
            for animal in ANIMALS {
                let name = format!("{manner}-{animal}");
                assert!(ClientId::parse(&name).is_ok(), "{name}");
                names.insert(name);
            }
        }
        assert_eq!(names.len(), MANNERS.len() * ANIMALS.len());
        assert!(names.len() > 300 && names.contains(&name()));
    }
}
