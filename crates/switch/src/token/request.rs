//! The parameters of a token request, checked.
//!
//! Knows names, forms and error codes of the web service; never HTTP, never who is asking.

use model::{CallPattern, ClientId, limits};

/// What a back end asks a token for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// The client that will use it.
    pub client: ClientId,
    /// Its life in seconds.
    pub ttl_s: u32,
    /// Whether the client may register for incoming calls.
    pub enable_incoming: bool,
    /// Whom the client may call.
    pub call_client: Vec<CallPattern>,
}

/// One thing that is wrong with the parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterFault {
    /// `0001` missing, `0002` malformed, `0003` given several times.
    pub code: &'static str,
    /// What was wrong and what would be right.
    pub text: String,
}

impl ParameterFault {
    fn missing(name: &str) -> Self {
        Self {
            code: "0001",
            text: format!("Mandatory parameter '{name}' is missing"),
        }
    }

    fn malformed(name: &str, rule: impl std::fmt::Display) -> Self {
        Self {
            code: "0002",
            text: format!("Parameter '{name}' is malformed: {rule}"),
        }
    }

    fn repeated(name: &str) -> Self {
        Self {
            code: "0003",
            text: format!("Parameter '{name}' may be given only once"),
        }
    }
}

impl TokenRequest {
    /// Reads the parameters of `webrtc_generate_token`; names that it does not know are ignored.
    pub fn from_parameters<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Vec<ParameterFault>> {
        let (mut client, mut ttl, mut incoming) = (
            Once::new("client_id"),
            Once::new("ttl"),
            Once::new("enable_incoming"),
        );
        let mut calls = Vec::new();
        for (name, value) in parameters {
            match name {
                "client_id" => client.take(value),
                "ttl" => ttl.take(value),
                "enable_incoming" => incoming.take(value),
                "call_client" => calls.push(value),
                _ => {}
            }
        }

        let mut faults = Vec::new();
        let client = client.required(&mut faults, |text| {
            ClientId::parse(text).map_err(|e| e.to_string())
        });
        let ttl_s = ttl.or(&mut faults, limits::TOKEN_TTL_DEFAULT_S, parse_ttl);
        let enable_incoming = incoming.or(&mut faults, true, parse_bool);
        let call_client = parse_calls(&calls, &mut faults);
        match client {
            Some(client) if faults.is_empty() => Ok(Self {
                client,
                ttl_s,
                enable_incoming,
                call_client,
            }),
            Some(_) | None => Err(faults),
        }
    }
}

/// A parameter that may be given once.
struct Once<'a> {
    name: &'static str,
    value: Option<&'a str>,
    repeated: bool,
}

impl<'a> Once<'a> {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            value: None,
            repeated: false,
        }
    }

    fn take(&mut self, value: &'a str) {
        self.repeated |= self.value.replace(value).is_some();
    }

    fn required<T>(
        &self,
        faults: &mut Vec<ParameterFault>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match self.value {
            None | Some("") => {
                faults.push(ParameterFault::missing(self.name));
                None
            }
            Some(_) if self.repeated => {
                faults.push(ParameterFault::repeated(self.name));
                None
            }
            Some(value) => parse(value)
                .map_err(|rule| faults.push(ParameterFault::malformed(self.name, rule)))
                .ok(),
        }
    }

    fn or<T>(
        &self,
        faults: &mut Vec<ParameterFault>,
        default: T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        match self.value {
            None => default,
            Some(_) => self.required(faults, parse).unwrap_or(default),
        }
    }
}

fn parse_ttl(text: &str) -> Result<u32, String> {
    let range = limits::TOKEN_TTL_MIN_S..=limits::TOKEN_TTL_MAX_S;
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(ttl_s) if is_number && range.contains(&ttl_s) => Ok(ttl_s),
        Ok(_) | Err(_) => Err(format!(
            "it must be a whole number of seconds from {} to {}",
            range.start(),
            range.end()
        )),
    }
}

fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("it must be 'true' or 'false'".to_owned()),
    }
}

/// Several by comma, by repetition, or both; empty entries mean none.
fn parse_calls(values: &[&str], faults: &mut Vec<ParameterFault>) -> Vec<CallPattern> {
    let mut patterns = Vec::new();
    for entry in values
        .iter()
        .flat_map(|value| value.split(','))
        .map(str::trim)
    {
        if entry.is_empty() {
            continue;
        }
        if patterns.len() == limits::CALL_PATTERNS {
            let rule = format!(
                "it names more than {} clients; use a prefix such as 'team-*'",
                limits::CALL_PATTERNS
            );
            faults.push(ParameterFault::malformed("call_client", rule));
            break;
        }
        match CallPattern::parse(entry) {
            Ok(pattern) => patterns.push(pattern),
            Err(error) => {
                faults.push(ParameterFault::malformed("call_client", error));
                break;
            }
        }
    }
    patterns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(parameters: &[(&str, &str)]) -> Vec<&'static str> {
        let faults = TokenRequest::from_parameters(parameters.iter().copied()).unwrap_err();
        faults.iter().map(|fault| fault.code).collect()
    }

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let request =
            TokenRequest::from_parameters([("client_id", "bob"), ("other", "x")]).unwrap();
        assert_eq!((request.ttl_s, request.enable_incoming), (3600, true));
        assert!(request.call_client.is_empty());
    }

    #[test]
    fn call_client_takes_commas_repeats_wildcards_and_nothing() {
        let request = TokenRequest::from_parameters([
            ("client_id", "bob"),
            ("call_client", "ann,team-*"),
            ("call_client", ""),
            ("call_client", "*"),
        ])
        .unwrap();
        let texts: Vec<_> = request
            .call_client
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(texts, ["ann", "team-*", "*"]);
    }

    #[test]
    fn each_fault_is_named_with_its_code() {
        assert_eq!(codes(&[]), ["0001"]);
        assert_eq!(codes(&[("client_id", "")]), ["0001"]);
        assert_eq!(codes(&[("client_id", "a b")]), ["0002"]);
        assert_eq!(codes(&[("client_id", "a"), ("client_id", "b")]), ["0003"]);
        for ttl in ["599", "86401", "-600", "+600", "600.0", "soon", ""] {
            assert_eq!(codes(&[("client_id", "a"), ("ttl", ttl)]).len(), 1, "{ttl}");
        }
        let all = [
            ("ttl", "1"),
            ("enable_incoming", "yes"),
            ("call_client", "*x"),
        ];
        assert_eq!(codes(&all), ["0001", "0002", "0002", "0002"]);
    }

    #[test]
    fn the_list_of_patterns_is_bounded() {
        let list = vec!["a"; limits::CALL_PATTERNS + 1].join(",");
        assert_eq!(
            codes(&[("client_id", "a"), ("call_client", &list)]),
            ["0002"]
        );
    }
}
