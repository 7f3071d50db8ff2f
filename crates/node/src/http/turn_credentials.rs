//! `/v1/turn_credentials`: TURN servers and a credential for them, for a back end of the account.
//!
//! What the credential is worth is `switch::turn_grant`'s.

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use model::limits;
use switch::Counter;
use switch::token::ParameterFault;
use switch::turn_grant::rest_credential;

use super::answer::{Fault, with_type};
use super::host::Host;
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
    let host = Host::of(request.uri(), request.headers())
        .and_then(|host| host.for_turn(&services.turn_loopbacks));
    let parameters = Parameters::read(request, services.bounds.head_time).await?;
    let ttl_s = ttl(parameters.iter()).map_err(|fault| Fault::parameters(vec![fault]))?;
    let Some(offer) = &snapshot.settings.turn else {
        let text = "TURN is switched off on this server (turn = false)";
        return Err(Fault::http(StatusCode::SERVICE_UNAVAILABLE, text));
    };
    let now = services.signalling.now().unix;
    let unguessable = u64::from_ne_bytes(random());
    let servers = rest_credential(offer, host.as_deref(), account.id, now, ttl_s, unguessable);
    services
        .signalling
        .counters
        .add(Counter::TurnCredentialIssued);
    // The list is JSON already: `RTCIceServer[]`, as it goes into an `RTCPeerConnection`.
    let body = format!(r#"{{"ice_servers":{servers},"ttl_s":{ttl_s}}}"#);
    Ok(with_type("application/json", body))
}

/// `ttl_s`, the only parameter.
fn ttl<'a>(parameters: impl Iterator<Item = (&'a str, &'a str)>) -> Result<u32, ParameterFault> {
    const NAME: &str = "ttl_s";
    let mut given = Vec::new();
    for (name, value) in parameters {
        if name != NAME {
            return Err(ParameterFault {
                code: "0002",
                text: format!(
                    "There is no parameter '{}': the only one is '{NAME}'",
                    shown(name)
                ),
            });
        }
        given.push(value);
    }
    let range = limits::TURN_REST_TTL_MIN_S..=limits::TURN_REST_TTL_MAX_S;
    match given[..] {
        [] => Ok(limits::TURN_REST_TTL_DEFAULT_S),
        [text] => {
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            let ttl_s = text
                .parse()
                .ok()
                .filter(|ttl_s| is_number && range.contains(ttl_s));
            ttl_s.ok_or_else(|| ParameterFault {
                code: "0002",
                text: format!(
                    "Parameter '{NAME}' is malformed: it must be a whole number of seconds from {} to {}",
                    range.start(),
                    range.end()
                ),
            })
        }
        [_, _, ..] => Err(ParameterFault {
            code: "0003",
            text: format!("Parameter '{NAME}' may be given only once"),
        }),
    }
}

/// As much of a name as is worth telling.
fn shown(name: &str) -> String {
    name.chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lifetime_has_a_default_and_bounds_and_is_given_once() {
        let read = |values: &[&str]| {
            let parameters = values.iter().map(|value| ("ttl_s", *value));
            ttl(parameters).map_err(|fault| (fault.code, fault.text))
        };
        assert_eq!(read(&[]), Ok(600));
        for right in [60, 600, 86_400] {
            assert_eq!(read(&[&right.to_string()]), Ok(right));
        }
        let malformed = (
            "0002",
            "Parameter 'ttl_s' is malformed: it must be a whole number of seconds from 60 to 86400"
                .to_owned(),
        );
        for wrong in ["", "59", "86401", "+600", "-60", "60.0", "99999999999"] {
            assert_eq!(read(&[wrong]), Err(malformed.clone()), "{wrong}");
        }
        assert_eq!(read(&["60", "60"]).unwrap_err().0, "0003");
        let other = ttl([("ttl_s", "60"), ("ttl", "60")].into_iter()).unwrap_err();
        assert_eq!(
            other.text,
            "There is no parameter 'ttl': the only one is 'ttl_s'"
        );
    }
}
