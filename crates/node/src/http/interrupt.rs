//! `rest_interrupt`: applications that leave off what they do, because their account wants it.
//!
//! What that means for a call is `switch::Shard`'s.

use axum::body::Body;
use axum::http::{Request, Response};
use model::{Page, PageMethod, PageUrl, limits};
use serde_json::{Map, Value, json as object};
use switch::ApplicationState;
use switch::token::ParameterFault;

use super::answer::{Fault, json};
use super::parameters::Parameters;
use super::{Peer, Services, login};

const INSTANCES: &str = "application_instance_ids";
const PAGE: &str = "redirect_page";
const METHOD: &str = "redirect_method";

pub(super) async fn answer(
    services: &Services,
    peer: &Peer,
    request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    let account = login::account(services, peer, request.headers())?;
    let parameters = Parameters::read(request, services.bounds.head_time).await?;
    let asked = Asked::read(parameters.iter()).map_err(Fault::parameters)?;
    let mut told = Map::new();
    for instance in asked.instances {
        let state = services
            .signalling
            .interrupt(account, &instance, asked.redirect.clone());
        let result = match state {
            ApplicationState::Unknown => object!({ "result": "no such application" }),
            ApplicationState::Completed => object!({ "result": "application already completed" }),
            ApplicationState::Runs { action: None } => object!({ "result": "interrupted" }),
            ApplicationState::Runs {
                action: Some(action),
            } => object!({ "result": "interrupted", "action": action }),
        };
        told.insert(instance, result);
    }
    Ok(json(&Value::Object(told)))
}

/// Which applications, and what they do next.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    instances: Vec<String>,
    redirect: Option<Page>,
}

impl Asked {
    fn read<'a>(
        parameters: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Vec<ParameterFault>> {
        let (mut instances, mut page, mut method) = (None, None, None);
        let mut faults = Vec::new();
        for (name, value) in parameters {
            let place = match name {
                INSTANCES => &mut instances,
                PAGE => &mut page,
                METHOD => &mut method,
                // As with tokens: what existing callers send beside is left alone.
                _ => continue,
            };
            if place.replace(value).is_some() {
                let text = format!("Parameter '{name}' may be given only once");
                faults.push(ParameterFault { code: "0003", text });
            }
        }
        let instances = instances_of(instances).map_err(|fault| faults.push(fault));
        let redirect = redirect(page, method).map_err(|fault| faults.push(fault));
        match (instances, redirect) {
            (Ok(instances), Ok(redirect)) if faults.is_empty() => Ok(Self {
                instances,
                redirect,
            }),
            (_, _) => Err(faults),
        }
    }
}

fn instances_of(given: Option<&str>) -> Result<Vec<String>, ParameterFault> {
    let Some(given) = given else {
        return Err(ParameterFault {
            code: "0001",
            text: format!("Mandatory parameter '{INSTANCES}' is missing"),
        });
    };
    let instances: Vec<String> = given.split('/').map(str::to_owned).collect();
    let is_id = |id: &String| {
        !id.is_empty()
            && id.len() <= limits::INSTANCE_ID_BYTES
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
    };
    if instances.len() > limits::INTERRUPTS || !instances.iter().all(is_id) {
        let rule = format!(
            "it must be 1 to {} values of 'application_instance_id', with '/' between them",
            limits::INTERRUPTS
        );
        return Err(malformed(INSTANCES, &rule));
    }
    Ok(instances)
}

fn redirect(page: Option<&str>, method: Option<&str>) -> Result<Option<Page>, ParameterFault> {
    let method = match method {
        None => PageMethod::Post,
        Some(method) => {
            PageMethod::parse(method).ok_or_else(|| malformed(METHOD, "it must be GET or POST"))?
        }
    };
    let url = page.map(PageUrl::parse).transpose();
    let url = url.map_err(|error| malformed(PAGE, &error.to_string()))?;
    Ok(url.map(|url| Page { url, method }))
}

fn malformed(name: &str, rule: &str) -> ParameterFault {
    ParameterFault {
        code: "0002",
        text: format!("Parameter '{name}' is malformed: {rule}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parameters: &[(&str, &str)]) -> Result<Asked, Vec<(&'static str, String)>> {
        let faults = |faults: Vec<ParameterFault>| {
            let told = faults.into_iter().map(|fault| (fault.code, fault.text));
            told.collect()
        };
        Asked::read(parameters.iter().copied()).map_err(faults)
    }

    #[test]
    fn instances_and_a_page_are_read() {
        let asked = read(&[(INSTANCES, "0.1.aa/0.2.bb"), ("more", "x")]).unwrap();
        assert_eq!((asked.instances.len(), asked.redirect), (2, None));
        let page = ("redirect_page", "https://app.example/other");
        let asked = read(&[(INSTANCES, "0.1.aa"), page, (METHOD, "GET")]).unwrap();
        let redirect = asked.redirect.unwrap();
        assert_eq!(
            (redirect.url.as_str(), redirect.method),
            (page.1, PageMethod::Get)
        );
    }

    #[test]
    fn what_is_missing_malformed_or_repeated_is_named() {
        let fault = |parameters: &[(&str, &str)]| read(parameters).unwrap_err()[0].clone();
        assert_eq!(fault(&[]).0, "0001");
        let many = vec!["0.1.a"; limits::INTERRUPTS + 1].join("/");
        for wrong in ["", "/", "a//b", "a b", "a%2fb", &"a".repeat(200), &many] {
            let (code, text) = fault(&[(INSTANCES, wrong)]);
            assert!(
                code == "0002" && text.contains(INSTANCES),
                "{wrong}: {text}"
            );
        }
        let one = (INSTANCES, "0.1.aa");
        assert_eq!(fault(&[one, one]).0, "0003");
        let (code, text) = fault(&[one, (PAGE, "ftp://x")]);
        assert!(code == "0002" && text.contains(PAGE), "{text}");
        let (code, text) = fault(&[one, (METHOD, "PUT")]);
        assert!(code == "0002" && text.contains(METHOD), "{text}");
    }
}
