//! The member `rest` of a service's document: the pages of the application that answers.
//!
//! `{"first_page":{"address":"https://app.example.com/first","method":"POST"},"final_page":{…},"error_page":{…}}`. Never shows the
//! secret that signs requests.

use model::{Application, Page, PageMethod, PageUrl, SecretBytes};
use serde_json::{Map, Value, json};
use switch::token::ParameterFault;

use super::{malformed, missing, refuse_others};

const FIRST: &str = "first_page";
const FINAL: &str = "final_page";
const ERROR: &str = "error_page";

/// The pages that there are.
pub(super) fn shown(application: &Application) -> Value {
    let pages = [
        (FIRST, Some(&application.first_page)),
        (FINAL, application.final_page.as_ref()),
        (ERROR, application.error_page.as_ref()),
    ];
    let shown = pages.into_iter().filter_map(|(name, page)| {
        let page = page?;
        let shown = json!({ "address": page.url.as_str(), "method": page.method.as_str() });
        Some((name.to_owned(), shown))
    });
    Value::Object(shown.collect())
}

/// The application that the member describes; requests to it are signed with `secret`.
pub(super) fn read(
    value: &Value,
    secret: &SecretBytes,
    faults: &mut Vec<ParameterFault>,
) -> Option<Application> {
    let Some(members) = value.as_object() else {
        faults.push(malformed("rest", "it must be an object"));
        return None;
    };
    refuse_others(members, "rest.", &[FIRST, FINAL, ERROR], faults);
    if !members.contains_key(FIRST) {
        faults.push(missing(&["rest.first_page"]));
    }
    let [first_page, final_page, error_page] =
        [FIRST, FINAL, ERROR].map(|name| page(members, name, faults));
    Some(Application {
        first_page: first_page?,
        final_page,
        error_page,
        secret: secret.clone(),
    })
}

/// The page of this name; `None` if there is none, or none that is right: then a fault says so.
fn page(
    members: &Map<String, Value>,
    name: &str,
    faults: &mut Vec<ParameterFault>,
) -> Option<Page> {
    let value = members.get(name)?;
    let place = format!("rest.{name}");
    let Some(members) = value.as_object() else {
        let rule = "it must be an object with 'address' and 'method'";
        faults.push(malformed(&place, rule));
        return None;
    };
    refuse_others(
        members,
        &format!("{place}."),
        &["address", "method"],
        faults,
    );
    let url = address(members.get("address"), &format!("{place}.address"), faults);
    let method = members.get("method").map_or(Some(PageMethod::Post), |it| {
        it.as_str().and_then(PageMethod::parse)
    });
    if method.is_none() {
        let rule = "it must be \"POST\" or \"GET\"";
        faults.push(malformed(&format!("{place}.method"), rule));
    }
    Some(Page {
        url: url?,
        method: method?,
    })
}

fn address(
    value: Option<&Value>,
    place: &str,
    faults: &mut Vec<ParameterFault>,
) -> Option<PageUrl> {
    let Some(value) = value else {
        faults.push(missing(&[place]));
        return None;
    };
    let url = value
        .as_str()
        .ok_or_else(|| "it must be a string".to_owned())
        .and_then(|text| PageUrl::parse(text).map_err(|error| error.to_string()));
    url.map_err(|why| faults.push(malformed(place, &why))).ok()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{patched_with, refused, service};
    use super::super::{read, shown};
    use super::*;

    const FULL: &str = r#"{"rest":{"first_page":{"address":"https://a.example.com/first"},
        "final_page":{"address":"http://127.0.0.1:8000/?x=1","method":"GET"},
        "error_page":{"address":"https://a.example.com/error","method":"POST"}}}"#;

    #[test]
    fn pages_are_asked_by_post_unless_they_say_otherwise_and_what_is_shown_is_read_back() {
        let made = service(FULL).unwrap();
        let expected = json!({ "name": "support", "rest": {
            "first_page": { "address": "https://a.example.com/first", "method": "POST" },
            "final_page": { "address": "http://127.0.0.1:8000/?x=1", "method": "GET" },
            "error_page": { "address": "https://a.example.com/error", "method": "POST" },
        } });
        assert_eq!(shown(&made), expected, "and no secret");
        let secret = Application::parse_secret(&"s".repeat(43)).unwrap();
        assert_eq!(read(&made.name, &expected, &secret).unwrap(), made);

        let made = service(r#"{"rest":{"first_page":{"address":"http://a","method":"GET"}}}"#);
        let expected = json!({ "name": "support", "rest": {
            "first_page": { "address": "http://a", "method": "GET" },
        } });
        assert_eq!(shown(&made.unwrap()), expected, "only what there is");
    }

    #[test]
    fn what_a_page_lacks_or_gets_wrong_is_named() {
        let rest = |text: &str| format!(r#"{{"rest":{text}}}"#);
        let first = |text: &str| rest(&format!(r#"{{"first_page":{text}}}"#));
        let other = |text: &str| {
            rest(&format!(
                r#"{{"first_page":{{"address":"http://a"}},{text}}}"#
            ))
        };
        for (text, code, word) in [
            (rest("7"), "0002", "'rest' is malformed: it must be an obj"),
            (rest("null"), "0002", "'rest'"),
            (rest("{}"), "0001", "'rest.first_page' is missing"),
            (first("{}"), "0001", "'rest.first_page.address' is missing"),
            (first(r#""http://a""#), "0002", "'rest.first_page'"),
            (first("null"), "0002", "'rest.first_page'"),
            (
                first(r#"{"address":7}"#),
                "0002",
                "'rest.first_page.address' is malformed: it must be a string",
            ),
            (
                first(r#"{"address":"app.example.com"}"#),
                "0002",
                "page address \"app.example.com\" is not valid: a URL of http",
            ),
            (
                first(r#"{"address":"http://a","url":1}"#),
                "0002",
                "'rest.first_page.url'",
            ),
            (
                other(r#""last_page":{}"#),
                "0002",
                "no member 'rest.last_page': those that may be given are 'rest.first_page'",
            ),
            (
                other(r#""final_page":{"method":"GET"}"#),
                "0001",
                "'rest.final_page.address'",
            ),
            (other(r#""error_page":null"#), "0002", "'rest.error_page'"),
        ] {
            refused(&[(&text, code, word)]);
        }
        for method in ["\"PUT\"", "\"post\"", "null", "1"] {
            let text = first(&format!(r#"{{"address":"http://a","method":{method}}}"#));
            refused(&[(
                &text,
                "0002",
                "'rest.first_page.method' is malformed: it must be \"POST\" or \"GET\"",
            )]);
        }
        let long = format!("http://a/{}", "x".repeat(2_048));
        let text = first(&format!(r#"{{"address":"{long}"}}"#));
        refused(&[(&text, "0002", "at most 2,048 characters")]);
    }

    #[test]
    fn a_patch_keeps_the_secret_and_takes_pages_away() {
        let before = service(FULL).unwrap();
        let after = |patch: Value| patched_with(&before, &patch, 'n').unwrap();
        let changed = after(json!({ "rest": {
            "first_page": { "method": "GET" },
            "final_page": null,
            "error_page": { "address": "https://b.example.com/", "method": null },
        } }));
        let expected = json!({
            "first_page": { "address": "https://a.example.com/first", "method": "GET" },
            "error_page": { "address": "https://b.example.com/", "method": "POST" },
        });
        assert_eq!(shown(&changed)["rest"], expected);
        let secret = |service: &model::Service| match &service.target {
            model::ServiceTarget::Application(it) => Some(it.secret.clone()),
            model::ServiceTarget::Clients(_) => None,
        };
        assert_eq!(secret(&changed), secret(&before));

        let clients = after(json!({ "rest": null, "clients": { "list": ["bob"] } }));
        assert_eq!(shown(&clients)["clients"]["list"], json!(["bob"]));
        let back = json!({ "clients": null, "rest": { "first_page": { "address": "http://a" } } });
        let back = patched_with(&clients, &back, 'n').unwrap();
        let fresh = Application::parse_secret(&"n".repeat(43)).unwrap();
        assert_eq!(secret(&back), Some(fresh));

        for (patch, code, word) in [
            (json!({ "rest": null }), "0001", "'clients' or 'rest'"),
            (
                json!({ "clients": { "list": ["bob"] } }),
                "0002",
                "exclude each other",
            ),
            (
                json!({ "rest": { "first_page": null } }),
                "0001",
                "'rest.first_page'",
            ),
        ] {
            let faults = patched_with(&before, &patch, 'n').unwrap_err();
            assert_eq!((faults.len(), faults[0].code), (1, code), "{patch}");
            assert!(faults[0].text.contains(word), "{patch}: {faults:?}");
        }
    }
}
