//! `/v1/calls`: the calls of an account that go on: listed, begun, shown, hung up, and steered by what stands below each.
//!
//! What may be done to a call is `switch::Shard`'s; what is asked is read by `switch::Control`, in the words of pages.

use axum::body::Body;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use model::{AccountId, CallRecord, RecordId, ServiceName, Start, Then, limits};
use serde::Deserialize;
use serde_json::{Value, json as object};
use store::RecordQuery;
use switch::token::ParameterFault;
use switch::{Control, ControlFault, GoingCall, record_of_instance};

use super::answer::{Fault, json, no_content};
use super::body::{JSON, document, must_be_object, optional_document};
use super::parameters::Parameters;
use super::{Peer, Services, files, kept, login, path, starting};
use crate::call_document::shown;
use crate::signalling::random;

/// Where the calls are listed; each is at its id below.
pub(super) const PATH: &str = "/v1/calls";

/// Said where the store does not give it.
const NOT_READ: &str = "The call has ended, if it ever was, and its record cannot be read";
const LIMIT: &str = "limit";
const AFTER: &str = "after";

/// What is below a call, and does something to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Transfer,
    Play,
    Record,
    Dtmf,
}

impl Verb {
    const ALL: [(Self, &str); 4] = [
        (Self::Transfer, "/transfer"),
        (Self::Play, "/play"),
        (Self::Record, "/record"),
        (Self::Dtmf, "/dtmf"),
    ];

    /// A body that it takes.
    fn example(self) -> &'static str {
        match self {
            Self::Transfer => r#"{"destinations":["webrtc:bob"]}"#,
            Self::Play => r#"{"play_list":[{"file_to_play":"hello.wav"}]}"#,
            Self::Record => r#"{"seconds_max_duration":60}"#,
            Self::Dtmf => r#"{"digits":"12#"}"#,
        }
    }

    /// The verb that a path ends with, and the path of its call.
    pub(super) fn of(path: &str) -> Option<(Self, &str)> {
        Self::ALL.into_iter().find_map(|(verb, end)| {
            let call = path.strip_suffix(end)?;
            is_of_one(call).then_some((verb, call))
        })
    }
}

/// Whether this is the path of one call, as far as its form goes.
pub(super) fn is_of_one(path: &str) -> bool {
    path::is_one_below(PATH, path)
}

/// The calls that go on, or one more.
pub(super) async fn all(
    services: &Services,
    peer: &Peer,
    request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    let account = login::account(services, peer, request.headers())?;
    if request.method() == Method::POST {
        return begin(services, account, request).await;
    }
    let parameters = Parameters::read(request, services.bounds.head_time).await?;
    let (limit, after) = page(parameters.iter())?;
    let signalling = &services.signalling;
    let (calls, more) = signalling.going_calls(account, after.as_deref(), limit);
    let next = calls.last().filter(|_| more).map(|call| call.id.clone());
    let calls: Vec<Value> = calls.iter().map(going).collect();
    Ok(json(&object!({ "calls": calls, "after": next })))
}

/// How many calls, and after which.
fn page<'a>(
    parameters: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(usize, Option<String>), Fault> {
    let (mut limit, mut after) = (None, None);
    for (name, value) in parameters {
        let is_repeated = match name {
            LIMIT => limit.is_some(),
            AFTER => after.is_some(),
            _ => false,
        };
        if is_repeated {
            return Err(Fault::parameters(vec![ParameterFault {
                code: "0003",
                text: format!("Parameter '{name}' may be given only once"),
            }]));
        }
        match name {
            LIMIT => {
                let most = limits::CALLS_LISTED;
                let given = value.parse().ok();
                let given = given.filter(|given| (1..=most).contains(given));
                limit = Some(given.ok_or_else(|| {
                    Fault::malformed(format!(
                        "Parameter '{LIMIT}' is malformed: it must be a whole number from 1 to {most}"
                    ))
                })?);
            }
            AFTER => {
                if record_of_instance(value).is_none() {
                    let text = "Parameter 'after' is malformed: it must be the 'after' of a list";
                    return Err(Fault::malformed(text));
                }
                after = Some(value.to_owned());
            }
            _ => {}
        }
    }
    Ok((limit.unwrap_or(100), after))
}

/// A call as it is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Asked {
    to: Option<String>,
    from: Option<String>,
    service: Option<String>,
    token: Option<String>,
    outbound_parameters: Option<Value>,
    connect: Option<Value>,
}

impl Asked {
    fn start(self, account: AccountId) -> Result<Start, Fault> {
        let parameters = self.outbound_parameters;
        let (from, token) = (self.from.as_deref(), self.token.as_deref());
        if let Some(why) = starting::fault(from, token, parameters.as_ref()) {
            return Err(Fault::malformed(why));
        }
        let to = self.to.ok_or_else(|| missing("to"))?;
        let (from, then) = match (self.service, self.connect) {
            (Some(service), None) => {
                let service = ServiceName::parse(&service)
                    .map_err(|error| Fault::malformed(format!("'service': {error}")))?;
                let from = self.from.unwrap_or_else(|| service.as_str().to_owned());
                let parameters = parameters.map(|given| given.to_string().into());
                let token = self.token;
                (
                    from,
                    Then::Application {
                        service,
                        token,
                        parameters,
                    },
                )
            }
            (None, Some(connect)) => {
                if self.token.is_some() || parameters.is_some() {
                    let text =
                        "'token' and 'outbound_parameters' are for the application of a 'service'";
                    return Err(Fault::malformed(text));
                }
                let from = self.from.ok_or_else(|| missing("from"))?;
                (from, Then::Connect(connect.to_string().into()))
            }
            (Some(_), Some(_)) | (None, None) => {
                let text = "A call needs either 'service', whose application says what happens when it is answered, or 'connect', \
                            which says whom it is connected with then";
                return Err(Fault::malformed(text));
            }
        };
        Ok(Start {
            account,
            id: RecordId(u128::from_ne_bytes(random())),
            to,
            from,
            then,
        })
    }
}

fn missing(name: &str) -> Fault {
    Fault::parameters(vec![ParameterFault {
        code: "0001",
        text: format!("Mandatory member '{name}' is missing"),
    }])
}

async fn begin(
    services: &Services,
    account: AccountId,
    request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    let (document, _) = document(services, request, &[JSON]).await?;
    must_be_object(&document, r#"{"to":"webrtc:bob","service":"ivr"}"#)?;
    let asked =
        Asked::deserialize(document).map_err(|error| Fault::malformed(error.to_string()))?;
    let start = asked.start(account)?;
    let begun = services.signalling.begin_reached(start);
    let call = begun.map_err(|fault| starting::not_begun(&fault))?;
    let mut response = json(&going(&call));
    *response.status_mut() = StatusCode::CREATED;
    if let Ok(location) = HeaderValue::from_str(&format!("{PATH}/{}", call.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// One call: shown, or hung up.
pub(super) async fn one(
    services: &Services,
    peer: &Peer,
    request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    let account = login::account(services, peer, request.headers())?;
    let id = id(request.uri().path());
    if request.method() == Method::DELETE {
        let control = Control::hang_up();
        let hung_up = services.signalling.control(account, id, &control);
        hung_up.map_err(|fault| not_done(&fault))?;
        return Ok(no_content());
    }
    if let Some(call) = services.signalling.going_call(account, id) {
        return Ok(json(&going(&call)));
    }
    let record = ended(services, account, id).await?;
    let record = record.ok_or_else(|| not_done(&ControlFault::NoSuchCall))?;
    Ok(json(&told(id, &record)))
}

/// Something is done to a call.
pub(super) async fn control(
    services: &Services,
    peer: &Peer,
    verb: Verb,
    request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    let account = login::account(services, peer, request.headers())?;
    let path = request.uri().path().to_owned();
    let id = Verb::of(&path).map_or("", |(_, call)| id(call));
    let control = if request.method() == Method::DELETE {
        Ok(Control::stop_recording())
    } else {
        let (document, body) = match verb {
            Verb::Record => optional_document(services, request, &[JSON]).await?,
            Verb::Transfer | Verb::Play | Verb::Dtmf => {
                document(services, request, &[JSON]).await?
            }
        };
        must_be_object(&document, verb.example())?;
        match verb {
            Verb::Transfer => Control::transfer(&body),
            Verb::Play => Control::play(&body),
            Verb::Record => Control::record(&body),
            Verb::Dtmf => Control::send_digits(&body),
        }
    };
    let control =
        control.map_err(|why| Fault::malformed(format!("The body is malformed: {why}")))?;
    for file in control.files() {
        files::check_is_there(services, account, file).await?;
    }
    let done = services.signalling.control(account, id, &control);
    match done.map_err(|fault| not_done(&fault))? {
        Some(file) => Ok(json(&object!({ "filename": file.as_str() }))),
        None => Ok(no_content()),
    }
}

/// The id in the path of a call.
fn id(path: &str) -> &str {
    path.get(PATH.len() + 1..).unwrap_or_default()
}

/// A call that has ended, as it was kept.
async fn ended(
    services: &Services,
    account: AccountId,
    id: &str,
) -> Result<Option<CallRecord>, Fault> {
    let Some(record) = record_of_instance(id) else {
        return Ok(None);
    };
    let query = RecordQuery {
        account: Some(account),
        id: Some(record),
        limit: 1,
        ..RecordQuery::default()
    };
    kept::check_is_there(services, NOT_READ)?;
    let found = services.watch.store.records(query).await;
    let mut found = found.map_err(|error| kept::refused(&error, NOT_READ))?;
    // One that goes on has another name than this.
    Ok(found.pop().filter(|record| record.outcome.is_some()))
}

fn going(call: &GoingCall) -> Value {
    let mut document = told(&call.id, &call.record);
    document["is_direct"] = call.run.is_none().into();
    if let Some(run) = &call.run {
        let connected = run.connected.iter().map(|record| {
            object!({
                "call": record.id.to_string(),
                "callee": record.callee.as_str(),
                "callee_trunk": record.callee.trunk().map(|trunk| trunk.as_str()),
                "state": state(record),
            })
        });
        document["connected"] = connected.collect::<Vec<_>>().into();
        document["action"] = run.action.into();
        document["fault"] = run.fault.clone().into();
    }
    document
}

fn told(id: &str, record: &CallRecord) -> Value {
    let mut document = shown(record);
    document["call"] = document["id"].take();
    document["id"] = id.into();
    document["state"] = state(record).into();
    document
}

fn state(record: &CallRecord) -> &'static str {
    match (&record.outcome, record.answered) {
        (Some(_), _) => "ended",
        (None, Some(_)) => "answered",
        (None, None) => "ringing",
    }
}

fn not_done(fault: &ControlFault) -> Fault {
    let text = fault.to_string();
    match fault {
        ControlFault::NoSuchCall => Fault::http(
            StatusCode::NOT_FOUND,
            format!("{text}; {PATH} lists those that go on"),
        ),
        ControlFault::NotRegistered => Fault::http(StatusCode::NOT_FOUND, text),
        ControlFault::Destination(_) => Fault::malformed(text),
        ControlFault::Ended
        | ControlFault::NotAnswered
        | ControlFault::IsDirect
        | ControlFault::NotConnected
        | ControlFault::IsRecorded
        | ControlFault::NotRecorded => Fault::http(StatusCode::CONFLICT, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(asked: Value) -> Result<Start, String> {
        let asked = Asked::deserialize(asked).map_err(|error| error.to_string())?;
        asked
            .start(AccountId(1))
            .map_err(|fault| fault.text().to_owned())
    }

    #[test]
    fn a_call_is_for_an_application_or_for_somebody_else() {
        let made = start(object!({ "to": "webrtc:bob", "service": "ivr", "token": "t" })).unwrap();
        assert_eq!(made.from, "ivr");
        assert!(matches!(made.then, Then::Application { .. }));
        let connect = object!({ "destinations": ["tel:112"] });
        let made =
            start(object!({ "to": "webrtc:bob", "from": "desk", "connect": connect })).unwrap();
        assert_eq!(
            made.then,
            Then::Connect(r#"{"destinations":["tel:112"]}"#.into())
        );
        for (asked, word) in [
            (object!({}), "'to'"),
            (object!({ "to": "webrtc:bob" }), "either 'service'"),
            (
                object!({ "to": "webrtc:bob", "service": "ivr", "connect": {} }),
                "either",
            ),
            (object!({ "to": "webrtc:bob", "connect": {} }), "'from'"),
            (
                object!({ "to": "webrtc:bob", "from": "", "connect": {} }),
                "'from'",
            ),
            (
                object!({ "to": "webrtc:bob", "from": "a", "token": "t", "connect": {} }),
                "'token'",
            ),
            (object!({ "to": "webrtc:bob", "service": " " }), "'service'"),
            (object!({ "to": "webrtc:bob", "servce": "ivr" }), "servce"),
        ] {
            let why = start(asked).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
    }

    #[test]
    fn what_is_below_a_call_is_known() {
        let call = "/v1/calls/0.1.7";
        assert_eq!(Verb::of("/v1/calls/0.1.7/play"), Some((Verb::Play, call)));
        for path in [
            "/v1/calls/play",
            "/v1/calls//play",
            "/v1/calls/a/b/play",
            "/v1/calls/0.1.7/x",
        ] {
            assert_eq!(Verb::of(path), None, "{path}");
        }
        assert_eq!(id(call), "0.1.7");
    }

    #[test]
    fn a_list_is_as_long_as_is_wanted_within_its_bound() {
        let read = |given: &[(&'static str, &'static str)]| page(given.iter().copied());
        assert_eq!(read(&[]).unwrap(), (100, None));
        assert_eq!(read(&[("limit", "7"), ("other", "x")]).unwrap().0, 7);
        for wrong in [
            ("limit", "0"),
            ("limit", "1001"),
            ("limit", "x"),
            ("after", "x"),
        ] {
            assert!(read(&[wrong]).is_err(), "{wrong:?}");
        }
        for name in ["limit", "after"] {
            let after = "0.1.00000000000000000000000000000007";
            let (limit, after) = (("limit", "1"), ("after", after));
            let given = if name == "limit" { limit } else { after };
            assert!(read(&[given]).is_ok(), "{name} once");
            let fault = read(&[given, given]).unwrap_err();
            let text = format!("Parameter '{name}' may be given only once");
            assert_eq!(fault.text(), text);
        }
    }
}
