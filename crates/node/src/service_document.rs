//! A service as JSON: how it is shown, and how it is read from a stranger's document.
//!
//! `{"name":"support","clients":{"list":["bob","carol"],"ring":"all","ring_s":20}}`, or with `rest` in place of `clients`, see
//! `application`. What is not known is refused by its name, never passed over. Knows neither HTTP nor the store.

mod application;

use std::fmt;

use model::{
    ClientGroup, ClientId, InvalidGroup, RingOrder, SecretBytes, Service, ServiceName,
    ServiceTarget, limits,
};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value, json};
use switch::token::ParameterFault;

const MISSING: &str = "0001";
const MALFORMED: &str = "0002";
const REPEATED: &str = "0003";

/// The service as everybody is shown it; never the secret of its application.
pub fn shown(service: &Service) -> Value {
    let name = service.name.as_str();
    match &service.target {
        ServiceTarget::Clients(group) => {
            let list: Vec<_> = group.clients().iter().map(ClientId::as_str).collect();
            let (ring, ring_s) = (group.order().as_str(), group.ring_s());
            json!({ "name": name, "clients": { "list": list, "ring": ring, "ring_s": ring_s } })
        }
        ServiceTarget::Application(it) => json!({ "name": name, "rest": application::shown(it) }),
    }
}

/// Reads text as JSON in which no member is given twice: of two, a parser would silently take the last.
pub(crate) fn parsed(text: &[u8]) -> Result<Value, ParameterFault> {
    let Unique(document) = serde_json::from_slice(text).map_err(|error| {
        let (code, what) = match error.classify() {
            // The only one that is raised for what is well-formed.
            Category::Data => (REPEATED, "malformed"),
            Category::Io | Category::Syntax | Category::Eof => (MALFORMED, "no JSON"),
        };
        ParameterFault {
            code,
            text: format!("The body is {what}: {error}"),
        }
    })?;
    Ok(document)
}

/// What a document says of the service `name`; what it leaves out is as usual. Requests to an application are signed with `secret`.
/// An error lists what is wrong.
pub(crate) fn read(
    name: &ServiceName,
    document: &Value,
    secret: &SecretBytes,
) -> Result<Service, Vec<ParameterFault>> {
    let mut faults = Vec::new();
    let target = members(document, &mut faults).and_then(|members| {
        refuse_others(members, "", &["name", "clients", "rest"], &mut faults);
        if members
            .get("name")
            .is_some_and(|given| given != name.as_str())
        {
            faults.push(malformed(
                "name",
                &format!("it must be '{name}', as in the path"),
            ));
        }
        target(members, secret, &mut faults)
    });
    match target {
        Some(target) if faults.is_empty() => Ok(Service {
            name: name.clone(),
            target,
        }),
        Some(_) | None => {
            faults.truncate(limits::SERVICE_FAULTS);
            Err(faults)
        }
    }
}

/// What a merge patch (RFC 7396) makes of a service. An application keeps its secret; where there was none before, it is `fresh`. An
/// error lists what is wrong with the result.
pub(crate) fn patched(
    service: &Service,
    patch: &Value,
    fresh: &SecretBytes,
) -> Result<Service, Vec<ParameterFault>> {
    let mut document = shown(service);
    merge(&mut document, patch);
    let secret = match &service.target {
        ServiceTarget::Clients(_) => fresh,
        ServiceTarget::Application(application) => &application.secret,
    };
    read(&service.name, &document, secret)
}

/// Who answers: exactly one of the two.
fn target(
    members: &Map<String, Value>,
    secret: &SecretBytes,
    faults: &mut Vec<ParameterFault>,
) -> Option<ServiceTarget> {
    match (members.get("clients"), members.get("rest")) {
        (Some(clients), None) => group(clients, faults).map(ServiceTarget::Clients),
        (None, Some(rest)) => {
            application::read(rest, secret, faults).map(ServiceTarget::Application)
        }
        (Some(_), Some(_)) => {
            faults.push(ParameterFault {
                code: MALFORMED,
                text: "Members 'clients' and 'rest' exclude each other: either clients answer or an application; \
                       a PATCH takes one of them away with null"
                    .to_owned(),
            });
            None
        }
        (None, None) => {
            faults.push(missing(&["clients", "rest"]));
            None
        }
    }
}

/// RFC 7396 §2.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    let mut members = if let Value::Object(members) = target.take() {
        members
    } else {
        Map::new()
    };
    for (name, value) in patch {
        if value.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name.as_str()).or_insert(Value::Null), value);
        }
    }
    *target = Value::Object(members);
}

fn members<'a>(
    document: &'a Value,
    faults: &mut Vec<ParameterFault>,
) -> Option<&'a Map<String, Value>> {
    let members = document.as_object();
    if members.is_none() {
        faults.push(ParameterFault {
            code: MALFORMED,
            text: "The body is malformed: it must be a JSON object".to_owned(),
        });
    }
    members
}

/// Names what does not belong there: a misspelt member would be lost.
fn refuse_others(
    members: &Map<String, Value>,
    place: &str,
    known: &[&str],
    faults: &mut Vec<ParameterFault>,
) {
    for name in members
        .keys()
        .filter(|name| !known.contains(&name.as_str()))
    {
        let name: String = name.chars().take(32).collect();
        let known = known.iter().map(|known| format!("'{place}{known}'"));
        let known = known.collect::<Vec<_>>().join(", ");
        let text =
            format!("There is no member '{place}{name}': those that may be given are {known}");
        faults.push(ParameterFault {
            code: MALFORMED,
            text,
        });
        if faults.len() >= limits::SERVICE_FAULTS {
            return;
        }
    }
}

fn group(value: &Value, faults: &mut Vec<ParameterFault>) -> Option<ClientGroup> {
    let Some(members) = value.as_object() else {
        faults.push(malformed("clients", "it must be an object"));
        return None;
    };
    refuse_others(members, "clients.", &["list", "ring", "ring_s"], faults);
    let list = match members.get("list") {
        Some(list) => client_list(list, faults),
        None => {
            faults.push(missing(&["clients.list"]));
            None
        }
    };
    let order = members.get("ring").map_or(Some(RingOrder::All), |ring| {
        ring.as_str().and_then(RingOrder::parse)
    });
    if order.is_none() {
        let rule = "it must be \"all\", \"in_order\" or \"round_robin\"";
        faults.push(malformed("clients.ring", rule));
    }
    let ring_s = members
        .get("ring_s")
        .map_or(Some(limits::SERVICE_RING_DEFAULT_S), |ring_s| {
            let whole = ring_s
                .as_u64()
                .and_then(|ring_s| u16::try_from(ring_s).ok());
            whole.filter(|ring_s| (1..=limits::SERVICE_RING_MAX_S).contains(ring_s))
        });
    if ring_s.is_none() {
        let max = limits::SERVICE_RING_MAX_S;
        let rule = format!("it must be a whole number of seconds from 1 to {max}");
        faults.push(malformed("clients.ring_s", &rule));
    }
    let group = ClientGroup::new(list?, order?, ring_s?);
    let group = group.map_err(|error| {
        let member = match &error {
            InvalidGroup::Empty | InvalidGroup::TooMany(_) | InvalidGroup::Twice(_) => "list",
            InvalidGroup::Ring(_) => "ring_s",
        };
        faults.push(malformed(&format!("clients.{member}"), &error.to_string()));
    });
    group.ok()
}

fn client_list(value: &Value, faults: &mut Vec<ParameterFault>) -> Option<Vec<ClientId>> {
    const NAME: &str = "clients.list";
    let Some(list) = value.as_array() else {
        faults.push(malformed(NAME, "it must be an array of client ids"));
        return None;
    };
    if list.len() > limits::SERVICE_CLIENTS {
        let too_many = InvalidGroup::TooMany(list.len()).to_string();
        faults.push(malformed(NAME, &too_many));
        return None;
    }
    let clients: Result<_, _> = list
        .iter()
        .map(|client| {
            let id = client
                .as_str()
                .ok_or("each client id must be a string".to_owned())?;
            ClientId::parse(id).map_err(|error| error.to_string())
        })
        .collect();
    clients
        .map_err(|why| faults.push(malformed(NAME, &why)))
        .ok()
}

/// One of these must be there.
fn missing(names: &[&str]) -> ParameterFault {
    let names = names.iter().map(|name| format!("'{name}'"));
    let names = names.collect::<Vec<_>>().join(" or ");
    ParameterFault {
        code: MISSING,
        text: format!("Mandatory member {names} is missing"),
    }
}

fn malformed(name: &str, why: &str) -> ParameterFault {
    ParameterFault {
        code: MALFORMED,
        text: format!("Member '{name}' is malformed: {why}"),
    }
}

/// JSON in which each member is given once.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unique(value)) = seq.next_element()? {
            list.push(value);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Unique(value))) = map.next_entry::<String, Unique>()? {
            if members.contains_key(&name) {
                let name: String = name.chars().take(32).collect();
                let text = format!("member '{name}' may be given only once");
                return Err(de::Error::custom(text));
            }
            members.insert(name, value);
        }
        Ok(members.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn support() -> ServiceName {
        ServiceName::parse("support").unwrap()
    }

    fn secret(letter: char) -> SecretBytes {
        model::Application::parse_secret(&letter.to_string().repeat(43)).unwrap()
    }

    /// What a document says; the secret is made of `s`.
    pub(super) fn service(text: &str) -> Result<Service, Vec<(&'static str, String)>> {
        let document = parsed(text.as_bytes()).unwrap();
        read(&support(), &document, &secret('s')).map_err(codes)
    }

    /// What a patch makes of a service; a fresh secret is made of `letter`.
    pub(super) fn patched_with(
        service: &Service,
        patch: &Value,
        letter: char,
    ) -> Result<Service, Vec<ParameterFault>> {
        patched(service, patch, &secret(letter))
    }

    fn codes(faults: Vec<ParameterFault>) -> Vec<(&'static str, String)> {
        let told = faults.into_iter().map(|fault| (fault.code, fault.text));
        told.collect()
    }

    #[test]
    fn what_is_left_out_is_as_usual_and_what_is_shown_is_read_back() {
        let made = service(r#"{"clients":{"list":["bob","carol"]}}"#).unwrap();
        let expected =
            json!({"name":"support","clients":{"list":["bob","carol"],"ring":"all","ring_s":20}});
        assert_eq!(shown(&made), expected);
        assert_eq!(read(&support(), &expected, &secret('s')).unwrap(), made);
    }

    pub(super) fn refused(faulty: &[(&str, &str, &str)]) {
        for (text, code, word) in faulty {
            let faults = service(text).unwrap_err();
            assert_eq!(faults.len(), 1, "{text}: {faults:?}");
            assert_eq!(faults[0].0, *code, "{text}: {faults:?}");
            assert!(faults[0].1.contains(word), "{text}: {faults:?}");
        }
    }

    #[test]
    fn a_member_that_is_missing_or_not_known_is_named() {
        refused(&[
            ("{}", "0001", "'clients' or 'rest' is missing"),
            (r#"{"clients":{}}"#, "0001", "'clients.list'"),
            ("[]", "0002", "JSON object"),
            (r#"{"clients":["bob"]}"#, "0002", "'clients'"),
            (r#"{"clients":{"list":["a"],"x":0}}"#, "0002", "'clients.x'"),
            (r#"{"clients":{"list":["a"]},"x":0}"#, "0002", "'x'"),
            (
                r#"{"clients":{"list":["a"]},"name":"x"}"#,
                "0002",
                "'support'",
            ),
            (
                r#"{"clients":{"list":["a"]},"name":7}"#,
                "0002",
                "'support'",
            ),
            (
                r#"{"rest":{},"clients":{"list":["a"]}}"#,
                "0002",
                "'clients' and 'rest' exclude each other",
            ),
        ]);
    }

    #[test]
    fn a_value_that_is_wrong_is_named_with_what_would_be_right() {
        refused(&[
            (r#"{"clients":{"list":"bob"}}"#, "0002", "'clients.list'"),
            (r#"{"clients":{"list":[]}}"#, "0002", "at least one client"),
            (r#"{"clients":{"list":[7]}}"#, "0002", "a string"),
            (r#"{"clients":{"list":["b b"]}}"#, "0002", "\"b b\""),
            (
                r#"{"clients":{"list":["a","a"]}}"#,
                "0002",
                "a is named twice",
            ),
        ]);
        for ring in ["\"ALL\"", "\"in-order\"", "null", "7"] {
            let text = format!(r#"{{"clients":{{"list":["a"],"ring":{ring}}}}}"#);
            refused(&[(&text, "0002", "\"all\", \"in_order\" or \"round_robin\"")]);
        }
        for ring_s in ["0", "61", "20.5", "-1", "\"20\"", "null", "1e99"] {
            let text = format!(r#"{{"clients":{{"list":["a"],"ring_s":{ring_s}}}}}"#);
            refused(&[(&text, "0002", "from 1 to 60")]);
        }
    }

    #[test]
    fn several_faults_are_all_listed_but_not_without_end() {
        let faults = service(r#"{"x":1,"clients":{"list":"a","ring":1,"ring_s":0}}"#).unwrap_err();
        assert_eq!(faults.len(), 4, "{faults:?}");
        let many: Vec<_> = (0..5_000)
            .map(|number| format!(r#""m{number}":1"#))
            .collect();
        let faults = service(&format!("{{{}}}", many.join(","))).unwrap_err();
        assert_eq!(faults.len(), limits::SERVICE_FAULTS);
        let clients = vec![r#""b b""#; 5_000].join(",");
        let faults = service(&format!(r#"{{"clients":{{"list":[{clients}]}}}}"#)).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].1.contains("at most 32 clients, not 5000"));
    }

    #[test]
    fn a_member_that_is_given_twice_is_no_guess() {
        for (text, code) in [
            (
                r#"{"clients":{"list":["a"],"ring":"all","ring":"in_order"}}"#,
                "0003",
            ),
            (r#"[{"a":1,"a":1}]"#, "0003"),
            ("{", "0002"),
            ("", "0002"),
            ("{} {}", "0002"),
            ("{\"a\":\"\u{1}\"}", "0002"),
        ] {
            assert_eq!(parsed(text.as_bytes()).unwrap_err().code, code, "{text}");
        }
        assert_eq!(parsed(b"{\"a\":\"\xff\"}").unwrap_err().code, "0002");
        let deep = "[".repeat(50_000);
        assert_eq!(parsed(deep.as_bytes()).unwrap_err().code, "0002");
        let everything = r#"{"a":[null,true,1,-1,1.5,"x",{}]}"#;
        let expected: Value = serde_json::from_str(everything).unwrap();
        assert_eq!(parsed(everything.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn the_examples_of_rfc_7396_merge_as_they_should() {
        for (original, patch, result) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (
                r#"{"a":{"b":"c"}}"#,
                r#"{"a":{"b":"d","c":null}}"#,
                r#"{"a":{"b":"d"}}"#,
            ),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
            (r#"{"a":"foo"}"#, "null", "null"),
            (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            let json = |text: &str| parsed(text.as_bytes()).unwrap();
            let mut merged = json(original);
            merge(&mut merged, &json(patch));
            assert_eq!(merged, json(result), "{original} {patch}");
        }
    }

    #[test]
    fn a_patch_changes_what_it_names_and_null_takes_back() {
        let before =
            service(r#"{"clients":{"list":["bob"],"ring":"in_order","ring_s":5}}"#).unwrap();
        let after = |patch: Value| {
            patched_with(&before, &patch, 'n').map(|service| shown(&service)["clients"].clone())
        };
        let expected = json!({"list":["bob"],"ring":"in_order","ring_s":7});
        assert_eq!(after(json!({"clients":{"ring_s":7}})), Ok(expected));
        let expected = json!({"list":["eve"],"ring":"all","ring_s":5});
        assert_eq!(
            after(json!({"clients":{"list":["eve"],"ring":null},"rest":null})),
            Ok(expected)
        );
        assert_eq!(after(json!({})), Ok(shown(&before)["clients"].clone()));
        for (patch, code) in [
            (json!({"clients":null}), "0001"),
            (json!({"clients":{"list":null}}), "0001"),
            (json!({"name":"sales"}), "0002"),
            (json!({"rest":{}}), "0002"),
            (json!({"other":1}), "0002"),
            (json!([]), "0002"),
            (json!(null), "0002"),
        ] {
            assert_eq!(after(patch.clone()).unwrap_err()[0].code, code, "{patch}");
        }
    }
}
