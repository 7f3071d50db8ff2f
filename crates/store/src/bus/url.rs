//! Where the bus is, and what opens it. User and password are shown nowhere.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use model::{SecretBytes, limits};
use percent_encoding::percent_decode_str;

use super::BusError;

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
const PREFIX: &str = "offhook:";
/// What may stand behind the `?`.
const PARAMETERS: &str = "prefix, ca, sentinel_user or sentinel_password";

/// Where the bus is: `redis://user:password@host:6379/0`; `rediss://` with TLS; `redis+sentinel://host,host/service` where Sentinel
/// knows who the master is; `redis+cluster://host,host` for a cluster. `valkey` is as good as `redis`.
///
/// Behind a `?`: `prefix=`, what all keys begin with (`offhook:`); `ca=`, the file of the authorities that are trusted, in PEM, rather
/// than those of the system; `sentinel_user=` and `sentinel_password=`, what Sentinel itself asks for. User and password, where they
/// have characters of a URL, are written with `%`.
#[derive(Clone, PartialEq, Eq)]
pub struct BusUrl {
    pub(super) kind: Kind,
    pub(super) is_tls: bool,
    pub(super) hosts: Vec<Host>,
    pub(super) database: u32,
    pub(super) login: Option<Login>,
    pub(super) sentinel_login: Option<Login>,
    pub(super) prefix: String,
    pub(super) ca: Option<PathBuf>,
}

/// How the place is found that commands go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is the host that is named.
    Single,
    /// The hosts are Sentinels, and know the master of this name.
    Sentinel(String),
    /// The hosts know the others of their cluster.
    Cluster,
}

/// A host and its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) port: u16,
}

/// Who we say we are; no user is the server's own default.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: Option<String>,
    pub(super) password: SecretBytes,
}

impl BusUrl {
    /// What all keys and channels begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl FromStr for BusUrl {
    type Err = BusError;

    fn from_str(text: &str) -> Result<Self, BusError> {
        read(text).map_err(|cause| BusError::Address { cause })
    }
}

impl fmt::Display for BusUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_tls { "rediss" } else { "redis" })?;
        f.write_str(match self.kind {
            Kind::Single => "://",
            Kind::Sentinel(_) => "+sentinel://",
            Kind::Cluster => "+cluster://",
        })?;
        for (index, host) in self.hosts.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            host.fmt(f)?;
        }
        if let Kind::Sentinel(service) = &self.kind {
            write!(f, "/{service}")?;
        }
        match self.database {
            0 => Ok(()),
            database => write!(f, "/{database}"),
        }
    }
}

impl fmt::Debug for BusUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BusUrl({self})")
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.contains(':') {
            true => write!(f, "[{}]:{}", self.name, self.port),
            false => write!(f, "{}:{}", self.name, self.port),
        }
    }
}

/// Errors name no part of the text in which a secret could stand.
fn read(text: &str) -> Result<BusUrl, String> {
    let (scheme, rest) = text
        .split_once("://")
        .ok_or("it does not begin with redis://")?;
    let (family, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
    let is_tls = match family {
        "redis" | "valkey" => false,
        "rediss" | "valkeys" => true,
        _ => return Err("it does not begin with redis:// or rediss://".to_owned()),
    };
    let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, hosts) = match authority.rsplit_once('@') {
        Some((login, hosts)) => (Some(read_login(login)?), hosts),
        None => (None, authority),
    };
    let port = match kind {
        "sentinel" => SENTINEL_PORT,
        _ => PORT,
    };
    let hosts: Vec<Host> = hosts
        .split(',')
        .map(|host| read_host(host, port))
        .collect::<Result<_, _>>()?;
    let (kind, database) = read_path(kind, path)?;
    if hosts.len() > limits::BUS_HOSTS {
        let max = limits::BUS_HOSTS;
        return Err(format!("it names more than {max} hosts"));
    }
    if kind == Kind::Single && hosts.len() > 1 {
        let right = "redis+sentinel:// and redis+cluster:// may";
        return Err(format!("it names several hosts, as only {right}"));
    }
    let mut url = BusUrl {
        kind,
        is_tls,
        hosts,
        database,
        login,
        sentinel_login: None,
        prefix: PREFIX.to_owned(),
        ca: None,
    };
    read_parameters(&mut url, parameters)?;
    Ok(url)
}

fn read_login(text: &str) -> Result<Login, String> {
    let (user, password) = text.split_once(':').ok_or(
        "it has a user without a password; before the @ stands user:password, or :password",
    )?;
    let (user, password) = (decode(user)?, decode(password)?);
    if password.is_empty() {
        return Err("the password before its @ is empty".to_owned());
    }
    Ok(Login {
        user: (!user.is_empty()).then_some(user),
        password: SecretBytes::new(password.into_bytes()),
    })
}

fn read_host(text: &str, default_port: u16) -> Result<Host, String> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest
                .split_once(']')
                .ok_or("a host begins with [ and does not end with ]")?;
            (name, port.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        },
    };
    let is_of_a_host = |c: char| c.is_ascii_alphanumeric() || ".-_:%".contains(c);
    if name.is_empty() || !name.chars().all(is_of_a_host) {
        return Err("it names no host, or one with characters that no host has".to_owned());
    }
    let port = match port {
        None => default_port,
        Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or(
            "a port is a number from 1 to 65535 (in a password / is written %2F, and ? %3F)",
        )?,
    };
    Ok(Host {
        name: name.to_owned(),
        port,
    })
}

fn read_path(kind: &str, path: &str) -> Result<(Kind, u32), String> {
    let (kind, database) = match kind {
        "" => (Kind::Single, path),
        "cluster" => (Kind::Cluster, path),
        "sentinel" => {
            let (service, database) = path.split_once('/').unwrap_or((path, ""));
            let service = decode(service)?;
            if service.is_empty() || service.chars().any(|c| c.is_whitespace() || c.is_control()) {
                return Err(
                    "behind its hosts stands no /name of the service that Sentinel watches"
                        .to_owned(),
                );
            }
            (Kind::Sentinel(service), database)
        }
        _ => {
            return Err("its scheme is neither redis, redis+sentinel nor redis+cluster".to_owned());
        }
    };
    let database = match database {
        "" => 0,
        number => number
            .parse()
            .map_err(|_| "the database behind its hosts is a number")?,
    };
    if kind == Kind::Cluster && database != 0 {
        return Err("a cluster has no database but 0".to_owned());
    }
    Ok((kind, database))
}

fn read_parameters(url: &mut BusUrl, parameters: &str) -> Result<(), String> {
    let (mut user, mut password) = (None, None);
    for parameter in parameters.split('&').filter(|text| !text.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = decode(value)?;
        match name {
            "prefix" => url.prefix = value,
            "ca" if value.is_empty() => return Err("its ca names no file".to_owned()),
            "ca" => url.ca = Some(value.into()),
            "sentinel_user" => user = Some(value),
            "sentinel_password" => password = Some(SecretBytes::new(value.into_bytes())),
            _ => return Err(format!("it has a parameter that is none of {PARAMETERS}")),
        }
    }
    let is_of_a_prefix = |c: char| c.is_ascii_alphanumeric() || ":._-/".contains(c);
    if url.prefix.is_empty() || !url.prefix.chars().all(is_of_a_prefix) {
        return Err("its prefix is not of letters, digits and :._-/".to_owned());
    }
    if url.prefix.len() > limits::BUS_PREFIX_BYTES {
        let max = limits::BUS_PREFIX_BYTES;
        return Err(format!("its prefix is longer than {max} bytes"));
    }
    if url.ca.is_some() && !url.is_tls {
        return Err("it names a ca, and has no TLS: rediss:// has".to_owned());
    }
    let is_sentinel = matches!(url.kind, Kind::Sentinel(_));
    if (user.is_some() || password.is_some()) && !is_sentinel {
        return Err(
            "it has a sentinel_user or sentinel_password, and is no redis+sentinel://".to_owned(),
        );
    }
    url.sentinel_login = match (user, password) {
        (user, Some(password)) => Some(Login { user, password }),
        (Some(_), None) => {
            return Err("it has a sentinel_user without a sentinel_password".to_owned());
        }
        (None, None) => None,
    };
    Ok(())
}

fn decode(text: &str) -> Result<String, String> {
    percent_decode_str(text)
        .decode_utf8()
        .map(|text| text.into_owned())
        .map_err(|_| "it has a %, and what it stands for is no UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> BusUrl {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn each_form_is_read_and_shown_without_what_opens_it() {
        for (text, shown) in [
            ("redis://cache", "redis://cache:6379"),
            ("valkeys://ann:hush@cache:7000/2", "rediss://cache:7000/2"),
            ("redis://:hush@[::1]/0", "redis://[::1]:6379"),
            (
                "redis+sentinel://ann:hush@a,b:7/offhook/3?sentinel_password=hush",
                "redis+sentinel://a:26379,b:7/offhook/3",
            ),
            (
                "rediss+cluster://a:1,b:2?ca=/etc/ca.pem&prefix=two:",
                "rediss+cluster://a:1,b:2",
            ),
        ] {
            assert_eq!(url(text).to_string(), shown);
            assert_eq!(format!("{:?}", url(text)), format!("BusUrl({shown})"));
        }
    }

    #[test]
    fn a_login_may_have_characters_of_an_url() {
        let login = url("redis://an%40n:h%2Fu%3Ash@a").login.unwrap();
        assert_eq!(login.user.as_deref(), Some("an@n"));
        assert_eq!(login.password.expose(), b"h/u:sh");
        assert_eq!(url("redis://:hush@a").login.unwrap().user, None);
        assert_eq!(url("redis://a").prefix(), "offhook:");
    }

    #[test]
    fn what_is_wrong_is_said_and_no_secret_with_it() {
        for (wrong, said) in [
            ("hush", "does not begin with redis://"),
            ("http://ann:hush@a", "redis:// or rediss://"),
            ("redis+hush://a", "neither redis, redis+sentinel"),
            ("redis://hush@a", "a user without a password"),
            ("redis://ann:@hush", "is empty"),
            ("redis://ann:hush@", "names no host"),
            ("redis://ann:hu/sh@a", "a port is a number"),
            ("redis://ann:hush@a:hush", "a port is a number"),
            ("redis://ann:hush@a:0", "a port is a number"),
            ("redis://ann:hush@[::1", "does not end with ]"),
            ("redis://ann:hush@a,b", "several hosts"),
            ("redis://ann:hush@a/hush", "is a number"),
            ("redis+cluster://ann:hush@a/1", "no database but 0"),
            ("redis+sentinel://ann:hush@a", "no /name of the service"),
            ("redis://ann:hush@a?pasword=hush", "none of prefix, ca"),
            ("redis://ann:hush@a?prefix={hush}", "its prefix is not of"),
            ("redis://ann:hush@a?ca=/hush", "has no TLS"),
            ("rediss://ann:hush@a?ca=", "names no file"),
            (
                "redis://ann:hush@a?sentinel_password=hush",
                "is no redis+sentinel",
            ),
            (
                "redis+sentinel://a/s?sentinel_user=hush",
                "without a sentinel_password",
            ),
            ("redis://ann:%ffhush@a", "no UTF-8"),
        ] {
            let error = BusUrl::from_str(wrong).expect_err(wrong);
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(said), "{wrong}: {shown}");
            assert!(!shown.contains("hush"), "{wrong}: {shown}");
        }
        let many = format!("redis+cluster://{}", ["a"; limits::BUS_HOSTS + 1].join(","));
        assert!(BusUrl::from_str(&many).is_err());
        let long = "p".repeat(limits::BUS_PREFIX_BYTES + 1);
        assert!(BusUrl::from_str(&format!("redis://a?prefix={long}")).is_err());
    }
}
