//! The way of a request inside a dialog: by routers that leave its target alone, and by those of RFC 2543, which do not
//! (RFC 3261 §12.2.1.1, §16.12).
//!
//! Never decides to which address it goes.

use sip::NameAddr;

/// What stands in a request that has a way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// The Request-URI.
    pub(super) uri: String,
    /// The Route rows, the next hop first.
    pub(super) routes: Vec<String>,
}

impl Way {
    /// To `target`, by these routes. A first router without `lr` wants its own address in the Request-URI and the target's behind all
    /// others.
    pub(super) fn to(target: String, routes: &[String]) -> Self {
        let strict = routes.split_first().and_then(|(first, rest)| {
            let first = NameAddr::parse(first).ok()?;
            (!first.uri.params.has("lr")).then(|| (as_target(first.uri_text), rest))
        });
        match strict {
            None => Self {
                uri: target,
                routes: routes.to_vec(),
            },
            Some((uri, rest)) => {
                let mut routes = rest.to_vec();
                routes.push(format!("<{target}>"));
                Self { uri, routes }
            }
        }
    }
}

/// A URI without what may not stand in a Request-URI (§19.1.1): headers, and the method.
fn as_target(uri: &str) -> String {
    let bare = uri.split_once('?').map_or(uri, |(bare, _)| bare);
    let is_method = |part: &str| {
        let name = part.split_once('=').map_or(part, |(name, _)| name);
        name.trim().eq_ignore_ascii_case("method")
    };
    let mut parts = bare.split(';');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts.filter(|part| !is_method(part)) {
        text.push(';');
        text.push_str(part);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(routes: &[&str]) -> Way {
        let routes: Vec<String> = routes.iter().map(|&route| route.to_owned()).collect();
        Way::to("sip:gw@192.0.2.10".to_owned(), &routes)
    }

    #[test]
    fn a_loose_router_leaves_the_target_where_it_is() {
        assert_eq!(way(&[]).uri, "sip:gw@192.0.2.10");
        let loose = way(&["<sip:a;lr>", "<sip:b>"]);
        assert_eq!(loose.uri, "sip:gw@192.0.2.10");
        assert_eq!(loose.routes, ["<sip:a;lr>", "<sip:b>"]);
        assert_eq!(way(&["nonsense"]).routes, ["nonsense"]);
    }

    #[test]
    fn a_strict_router_gets_its_own_address_and_the_target_comes_last() {
        let strict = way(&["<sip:a;method=INVITE;x=y?Subject=z>;p=q", "<sip:b;lr>"]);
        assert_eq!(strict.uri, "sip:a;x=y");
        assert_eq!(strict.routes, ["<sip:b;lr>", "<sip:gw@192.0.2.10>"]);
    }
}
