//! `service_start`: a back end has the application of a service call somebody.
//!
//! All of the calls of a request begin, or none. What becomes of them is `switch::Shard`'s, and told to the application's pages.

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use model::{AccountId, RecordId, ServiceName, Start, Then, limits};
use serde::Deserialize;
use serde_json::Value;
use switch::StartFault;
use switch::token::ParameterFault;

use super::answer::{Fault, json};
use super::parameters::Parameters;
use super::{Peer, Services, login};
use crate::signalling::random;

const CALLS: &str = "rest_calls";

pub(super) async fn answer(
    services: &Services,
    peer: &Peer,
    request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    let published = services.signalling.published();
    let directory = &published.snapshot.directory;
    let (account, service) = login::of_service(services, peer, request.headers(), directory)?;
    let (account, service) = (account.id, service.name.clone());
    let parameters = Parameters::read(request, services.bounds.head_time).await?;
    let calls = read(parameters.iter()).map_err(|fault| Fault::parameters(vec![fault]))?;
    let starts = calls.into_iter().map(|call| call.start(account, &service));
    let begun = services.signalling.begin_calls(account, starts.collect());
    let instances = begun.map_err(|(at, fault)| refused(at, &fault))?;
    Ok(json(&Value::from(instances)))
}

fn refused(at: usize, fault: &StartFault) -> Fault {
    match fault {
        StartFault::Destination(why) => {
            Fault::malformed(format!("Parameter '{CALLS}', call {}: 'to': {why}", at + 1))
        }
        StartFault::Connect(_)
        | StartFault::NotRegistered(_)
        | StartFault::RingsEnough(_)
        | StartFault::LineFull
        | StartFault::NoApplication
        | StartFault::TooMany
        | StartFault::Full
        | StartFault::Stopping => not_begun(fault),
    }
}

/// A call that may not be begun, whoever asks for it.
pub(super) fn not_begun(fault: &StartFault) -> Fault {
    let status = match fault {
        StartFault::Destination(_) | StartFault::Connect(_) => {
            return Fault::malformed(fault.to_string());
        }
        StartFault::NotRegistered(_) | StartFault::NoApplication => StatusCode::NOT_FOUND,
        StartFault::RingsEnough(_) => StatusCode::CONFLICT,
        StartFault::LineFull | StartFault::TooMany | StartFault::Full | StartFault::Stopping => {
            let text = fault.to_string();
            return Fault::http(StatusCode::SERVICE_UNAVAILABLE, text).retry_after(5);
        }
    };
    Fault::http(status, fault.to_string())
}

/// A call as it is asked for. What existing callers send beside is left alone.
#[derive(Deserialize)]
struct Asked {
    to: String,
    from: Option<String>,
    token: Option<String>,
    outbound_parameters: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore<T> {
    More(Vec<T>),
    One(T),
}

impl Asked {
    fn start(self, account: AccountId, service: &ServiceName) -> Start {
        let parameters = self.outbound_parameters;
        Start {
            account,
            id: RecordId(u128::from_ne_bytes(random())),
            to: self.to,
            from: self.from.unwrap_or_else(|| service.as_str().to_owned()),
            then: Then::Application {
                service: service.clone(),
                token: self.token,
                parameters: parameters.map(|given| given.to_string().into()),
            },
        }
    }

    /// What is wrong with it.
    fn fault(&self) -> Option<String> {
        let parameters = self.outbound_parameters.as_ref();
        fault(self.from.as_deref(), self.token.as_deref(), parameters)
    }
}

/// What is wrong with what is said of a call beside whom it is for.
pub(super) fn fault(
    from: Option<&str>,
    token: Option<&str>,
    parameters: Option<&Value>,
) -> Option<String> {
    let is_name = |from: &str| {
        (1..=limits::CALL_FROM_BYTES).contains(&from.len()) && !from.chars().any(char::is_control)
    };
    if !from.is_none_or(is_name) {
        let most = limits::CALL_FROM_BYTES;
        return Some(format!(
            "'from' must be 1 to {most} bytes without control characters"
        ));
    }
    if token.map_or(0, str::len) > limits::PAGE_TOKEN_BYTES {
        let most = limits::PAGE_TOKEN_BYTES;
        return Some(format!("'token' may have {most} bytes"));
    }
    let given = parameters.map_or(0, |given| given.to_string().len());
    (given > limits::OUTBOUND_PARAMETERS_BYTES).then(|| {
        let most = limits::OUTBOUND_PARAMETERS_BYTES;
        format!("'outbound_parameters' may have {most} bytes")
    })
}

fn read<'a>(
    parameters: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<Asked>, ParameterFault> {
    let mut given = parameters.filter(|(name, _)| *name == CALLS);
    let fault = |code, text| ParameterFault { code, text };
    let Some((_, text)) = given.next() else {
        return Err(fault(
            "0001",
            format!("Mandatory parameter '{CALLS}' is missing"),
        ));
    };
    if given.next().is_some() {
        return Err(fault(
            "0003",
            format!("Parameter '{CALLS}' may be given only once"),
        ));
    }
    let malformed = |why: String| fault("0002", format!("Parameter '{CALLS}' is malformed: {why}"));
    let rule = "it must be a JSON object with a member 'to', such as {\"to\":\"webrtc:bob\"}, or a list of such objects";
    let calls = match serde_json::from_str(text) {
        Ok(OneOrMore::One(call)) => vec![call],
        Ok(OneOrMore::More(calls)) => calls,
        Err(_) => return Err(malformed(rule.to_owned())),
    };
    if calls.is_empty() || calls.len() > limits::STARTS_PER_REQUEST {
        let most = limits::STARTS_PER_REQUEST;
        return Err(malformed(format!("it may name 1 to {most} calls")));
    }
    let faults = calls.iter().enumerate();
    let mut faults = faults.filter_map(|(at, call)| Some((at, Asked::fault(call)?)));
    match faults.next() {
        Some((at, why)) => Err(malformed(format!("call {}: {why}", at + 1))),
        None => Ok(calls),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(parameters: &[(&str, &str)]) -> (&'static str, String) {
        let fault = read(parameters.iter().copied()).err().unwrap();
        (fault.code, fault.text)
    }

    #[test]
    fn one_call_or_a_list_of_them_is_read() {
        let one = r#"{"to":"webrtc:bob","from":"desk","token":"t","outbound_parameters":{"a":[1]},"other":1}"#;
        let calls = read([("rest_calls", one), ("other", "x")].into_iter()).unwrap();
        assert_eq!((calls.len(), calls[0].to.as_str()), (1, "webrtc:bob"));
        let given = calls[0].outbound_parameters.as_ref().unwrap();
        assert_eq!(given.to_string(), r#"{"a":[1]}"#);
        let two = r#"[{"to":"webrtc:bob"},{"to":"tel:112"}]"#;
        assert_eq!(read([("rest_calls", two)].into_iter()).unwrap().len(), 2);
    }

    #[test]
    fn what_is_missing_malformed_or_repeated_is_named() {
        assert_eq!(fault(&[]).0, "0001");
        let one = ("rest_calls", r#"{"to":"webrtc:bob"}"#);
        assert_eq!(fault(&[one, one]).0, "0003");
        for wrong in ["", "bob", "{}", "[]", r#"{"to":1}"#, r#"[{"from":"x"}]"#] {
            let (code, text) = fault(&[("rest_calls", wrong)]);
            assert_eq!(code, "0002", "{wrong}");
            assert!(text.contains("rest_calls"), "{text}");
        }
        let (_, text) = fault(&[("rest_calls", r#"[{"to":"x"},{"to":"x","from":""}]"#)]);
        assert!(text.contains("call 2: 'from'"), "{text}");
        let many = format!("[{}{{\"to\":\"x\"}}]", "{\"to\":\"x\"},".repeat(100));
        let (_, text) = fault(&[("rest_calls", &many)]);
        assert!(text.contains("1 to 100 calls"), "{text}");
        let long = format!(
            r#"{{"to":"x","outbound_parameters":"{}"}}"#,
            "x".repeat(9_000)
        );
        let (_, text) = fault(&[("rest_calls", &long)]);
        assert!(text.contains("outbound_parameters"), "{text}");
    }
}
