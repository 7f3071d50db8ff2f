//! HTTP Basic logins (RFC 7617), and the brake on addresses that keep failing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use model::{Account, AccountId, Directory, Instant, Login, Service, ServiceTarget, limits};
use switch::Counter;
use switch::token::authenticate;

use super::answer::Fault;
use super::{Peer, Services};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The account that a request logs in to. Everything that is wrong is answered alike.
pub(super) fn check<'a>(
    services: &Services,
    peer: &Peer,
    headers: &HeaderMap,
    directory: &'a Directory,
) -> Result<&'a Account, Fault> {
    let now = services.signalling.now();
    let pepper = services.pepper.expose();
    checked(
        services,
        peer,
        headers,
        |login, key| authenticate(directory, pepper, login, key, now.unix),
        Fault::wrong_login,
    )
}

/// The same, where its number alone is wanted.
pub(super) fn account(
    services: &Services,
    peer: &Peer,
    headers: &HeaderMap,
) -> Result<AccountId, Fault> {
    let published = services.signalling.published();
    let directory = &published.snapshot.directory;
    Ok(check(services, peer, headers, directory)?.id)
}

/// The service that a request logs in to with its own secret, which an application answers for, and its account.
pub(super) fn of_service<'a>(
    services: &Services,
    peer: &Peer,
    headers: &HeaderMap,
    directory: &'a Directory,
) -> Result<(&'a Account, &'a Service), Fault> {
    checked(
        services,
        peer,
        headers,
        |login, key| service_of(directory, login, key),
        Fault::wrong_service_login,
    )
}

fn service_of<'a>(
    directory: &'a Directory,
    login: &str,
    key: &str,
) -> Option<(&'a Account, &'a Service)> {
    let (login, name) = login.rsplit_once('/')?;
    let account = directory.by_login(&Login::parse(login).ok()?)?;
    let service = account.services.get(name)?;
    let ServiceTarget::Application(application) = &service.target else {
        return None;
    };
    let is_its = verify_slices_are_equal(application.secret.expose(), key.as_bytes()).is_ok();
    (is_its && !account.disabled).then_some((account, service))
}

/// What a login leads to, unless its address has failed too often.
fn checked<T>(
    services: &Services,
    peer: &Peer,
    headers: &HeaderMap,
    find: impl FnOnce(&str, &str) -> Option<T>,
    wrong: impl Fn() -> Fault,
) -> Result<T, Fault> {
    let address = services.client_address(peer, headers);
    let now = services.signalling.now();
    if let Err(wait) = services.failures.check(address, now.mono) {
        services.signalling.counters.add(Counter::LoginSlowed);
        let text = "Too many logins have failed from this address; wait before the next one";
        return Err(
            Fault::http(StatusCode::TOO_MANY_REQUESTS, text).retry_after(wait.as_secs() + 1)
        );
    }
    let (login, key) = basic(headers).ok_or_else(&wrong)?;
    find(&login, &key).ok_or_else(|| {
        services.failures.add(address, now.mono);
        services.signalling.counters.add(Counter::LoginFailed);
        tracing::debug!(%address, login, "login failed");
        wrong()
    })
}

/// User and password of an Authorization header.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, credentials) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64.decode(credentials.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// How often logins failed, by address: a burst is free, then a steady rate.
///
/// The generic cell rate algorithm: one instant for each address, at which its failures will be forgotten.
#[derive(Debug, Default)]
pub(crate) struct LoginFailures {
    forgotten_at: Mutex<HashMap<IpAddr, Instant>>,
}

/// What one failure costs.
const INTERVAL: Duration = Duration::from_millis(60_000 / limits::LOGIN_FAILURES_MINUTELY as u64);

impl LoginFailures {
    /// Whether this address may try; says how long to wait if not.
    fn check(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let forgotten_at = self.lock().get(&address).copied().unwrap_or(now);
        let free = INTERVAL * (limits::LOGIN_FAILURES_BURST - 1);
        match forgotten_at.since(now).checked_sub(free) {
            None | Some(Duration::ZERO) => Ok(()),
            Some(wait) => Err(wait),
        }
    }

    fn add(&self, address: IpAddr, now: Instant) {
        let mut forgotten_at = self.lock();
        if forgotten_at.len() >= limits::LOGIN_FAILURE_ADDRESSES
            && !forgotten_at.contains_key(&address)
        {
            return;
        }
        let entry = forgotten_at.entry(address).or_insert(now);
        *entry = (*entry).max(now) + INTERVAL;
    }

    /// Forgets the addresses whose failures lie back far enough.
    pub(crate) fn forget(&self, now: Instant) {
        let mut forgotten_at = self.lock();
        forgotten_at.retain(|_, at| *at > now);
        forgotten_at.shrink_to(64);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Instant>> {
        self.forgotten_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn an_address_may_fail_in_a_burst_and_then_at_a_steady_rate() {
        let failures = LoginFailures::default();
        let (mallory, bob) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        for _ in 0..limits::LOGIN_FAILURES_BURST {
            assert_eq!(failures.check(mallory, at(100)), Ok(()));
            failures.add(mallory, at(100));
        }
        assert_eq!(failures.check(mallory, at(100)), Err(INTERVAL));
        assert_eq!(failures.check(bob, at(100)), Ok(()));
        let later = at(100) + INTERVAL;
        assert_eq!(failures.check(mallory, later), Ok(()));
        failures.add(mallory, later);
        assert_eq!(failures.check(mallory, later), Err(INTERVAL));
    }

    #[test]
    fn old_failures_are_forgotten() {
        let failures = LoginFailures::default();
        failures.add(IpAddr::from([192, 0, 2, 1]), at(1));
        failures.forget(at(1));
        assert_eq!(failures.lock().len(), 1);
        failures.forget(at(1) + INTERVAL);
        assert_eq!(failures.lock().len(), 0);
    }

    #[test]
    fn basic_credentials_are_read_with_and_without_padding() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            basic(&headers)
        };
        let expected = Some(("1-2-0/a@b.c".to_owned(), "k:y".to_owned()));
        assert_eq!(read("Basic MS0yLTAvYUBiLmM6azp5"), expected);
        assert_eq!(read("bAsIc  MS0yLTAvYUBiLmM6azp5 "), expected);
        assert_eq!(read("Basic YTpi"), Some(("a".to_owned(), "b".to_owned())));
        assert_eq!(read("Basic YTo="), read("Basic YTo"));
        for wrong in [
            "Basic",
            "Bearer YTpi",
            "Basic !!",
            "Basic YQ==",
            "Basic /zo=",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
