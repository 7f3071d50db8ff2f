//! Who should be registered, and which calls may ring: computed from tokens and events alone.
//!
//! Much simpler than the switch, on purpose: lists instead of tables, the world's memory of what it issued instead of
//! signatures. After every step both must agree.

use std::collections::{BTreeMap, BTreeSet};

use model::{ConnectionId, ServiceCallers, UnixTime, limits};
use sip::{Message, Method, Response};

use crate::authority::{Authority, Issued, View, account_of, service_of};
use crate::check::{Reading, Scene};
use crate::raw::row;
use crate::shown::Shown;

/// One instance of a client.
#[derive(Clone, Debug)]
pub struct Bound {
    contact: String,
    connection: ConnectionId,
    /// When it ends on the monotonic clock, in microseconds.
    ends: u64,
    ends_unix: UnixTime,
    modified: UnixTime,
}

/// What a REGISTER or INVITE asks for.
#[derive(Clone, Debug)]
struct Asked {
    account: Option<usize>,
    client: String,
    token: Option<String>,
    contact: Option<String>,
    expires_s: u64,
    /// User and host of the Request-URI.
    target: (String, String),
    method: &'static str,
    key: (String, String),
}

/// Who should be registered.
#[derive(Debug, Default)]
pub struct Reference {
    clients: BTreeMap<(usize, String), Vec<Bound>>,
    /// Clients with a binding that came back in the moment between its end and the server's notice of that: whether
    /// it kept its place or is the newest is open.
    open: BTreeSet<(usize, String)>,
    accounts: BTreeMap<ConnectionId, usize>,
    /// Clients that have registered or shown a good token, and where.
    proven: BTreeSet<(ConnectionId, String)>,
    /// Tokens that were shown for what there is.
    pub(crate) shown: Shown,
    asked: Option<Asked>,
    has_changed: bool,
}

impl Reference {
    /// A server reads a message.
    pub(crate) fn read(&mut self, view: &View, reading: &Reading, message: &Message<'_>) {
        let Message::Request(request) = message else {
            return;
        };
        let from = request.headers.from();
        let account = account_of(from.uri.host);
        // A request of no active account is refused, and introduces nobody.
        if let Some(account) = account.filter(|account| view.is_active(*account)) {
            self.accounts.entry(reading.connection).or_insert(account);
        }
        let method = match (request.method, request.headers.to().tag()) {
            (Method::Register, _) => "REGISTER",
            (Method::Invite, None) => "INVITE",
            _ => return,
        };
        let text = String::from_utf8_lossy(&reading.frame);
        let contact = row(&text, "Contact")
            .or_else(|| row(&text, "m"))
            .unwrap_or("");
        let (uri, params) = split_contact(contact);
        let seconds = params
            .split(';')
            .find_map(|param| param.trim().strip_prefix("expires="))
            .and_then(|value| value.trim().parse().ok())
            .or_else(|| row(&text, "Expires")?.parse().ok())
            .unwrap_or(600);
        let target = request.target();
        self.asked = Some(Asked {
            account,
            client: from.uri.user_decoded().into_owned(),
            token: request.headers.bearer().map(str::to_owned),
            contact: (!uri.is_empty()).then(|| uri.to_owned()),
            expires_s: seconds,
            target: (target.user_decoded().into_owned(), target.host.to_owned()),
            method,
            key: crate::check::transaction(message),
        });
    }

    /// The server answers what it has just read. `ringing`: how many INVITEs a connection has not answered.
    pub(crate) fn answered(
        &mut self,
        scene: &Scene<'_>,
        reading: &Reading,
        response: &Response<'_>,
        ringing: &dyn Fn(ConnectionId) -> usize,
    ) -> Result<(), String> {
        let Some(asked) = self.asked.clone() else {
            return Ok(());
        };
        let message = Message::Response(response.clone());
        if crate::check::transaction(&message) != asked.key {
            return Ok(());
        }
        if good_token(scene.authority, scene.view, &asked, scene.now.unix).is_some() {
            self.proven
                .insert((reading.connection, asked.client.clone()));
            let token = asked.token.as_deref().unwrap_or_default();
            let binds = asked.contact.is_some() && asked.expires_s > 0;
            if asked.method == "INVITE" || (binds && response.status == 200) {
                self.shown
                    .note(scene.authority, reading.connection, asked.method, token);
            }
        }
        if response.status < 200 {
            return Ok(());
        }
        match asked.method {
            "REGISTER" => self.register_answered(scene, reading, &asked, response.status),
            _ => self.invite_answered(scene, reading, &asked, response.status, ringing),
        }
    }

    /// An INVITE goes out to `connection`: may it?
    pub(crate) fn permits_ring(
        &self,
        scene: &Scene<'_>,
        reading: &Reading,
        connection: ConnectionId,
    ) -> Result<(), String> {
        let asked = self
            .asked
            .as_ref()
            .filter(|asked| asked.method == "INVITE")
            .ok_or("an INVITE went out that no INVITE asked for")?;
        let issued = good_token(scene.authority, scene.view, asked, scene.now.unix)
            .ok_or_else(|| format!("{} rings somebody without a good token", asked.client))?;
        let (callee, host) = &asked.target;
        if account_of(host) != Some(issued.account)
            || self.accounts.get(&reading.connection) != Some(&issued.account)
        {
            return Err(format!("{} rings in another account", asked.client));
        }
        if !issued.may_call(callee) {
            return Err(format!(
                "{} rings {callee} without permission",
                asked.client
            ));
        }
        self.is_newest(scene, issued.account, callee, connection)
    }

    /// The service that is asked for.
    pub(crate) fn asked_service(&self) -> Option<&str> {
        let asked = self.asked.as_ref()?;
        let (user, host) = &asked.target;
        service_of(user, host).filter(|_| asked.method == "INVITE")
    }

    /// A service is called: may it be?
    pub(crate) fn permits_service_call(
        &self,
        scene: &Scene<'_>,
        reading: &Reading,
    ) -> Result<(), String> {
        let asked = self.asked.as_ref().ok_or("nothing was asked")?;
        let account = asked
            .account
            .filter(|account| scene.view.is_active(*account));
        let account = account.ok_or("a service of no account rings")?;
        if self.accounts.get(&reading.connection) != Some(&account) {
            return Err(format!("{} calls another account's service", asked.client));
        }
        let who = (reading.connection, asked.client.clone());
        let is_proven = match &asked.token {
            Some(_) => good_token(scene.authority, scene.view, asked, scene.now.unix).is_some(),
            None => self.proven.contains(&who),
        };
        let must_be =
            asked.token.is_some() || scene.view.service_callers(account) == ServiceCallers::Proven;
        if must_be && !is_proven {
            return Err(format!(
                "{} calls a service and has shown nothing",
                asked.client
            ));
        }
        Ok(())
    }

    /// The clients of the service that is asked for.
    pub(crate) fn asked_clients<'v>(
        &self,
        scene: &Scene<'v>,
        caller: ConnectionId,
    ) -> Option<&'v [String]> {
        let service = self.asked_service()?;
        let account = self.accounts.get(&caller).copied();
        let clients = account.and_then(|account| scene.view.service(account, service));
        Some(clients.unwrap_or_default())
    }

    /// A client rings for a service that was called on the connection `caller`: may it?
    pub(crate) fn permits_service_ring(
        &self,
        scene: &Scene<'_>,
        clients: &[String],
        caller: ConnectionId,
        client: &str,
        connection: ConnectionId,
    ) -> Result<(), String> {
        let account = self.accounts.get(&caller).copied();
        let account = account.ok_or("a service rings for a caller of no account")?;
        if !clients.iter().any(|of_it| of_it == client) {
            return Err(format!(
                "{client} rings for a service and is none of its clients, {clients:?}"
            ));
        }
        self.is_newest(scene, account, client, connection)
    }

    /// Whether the newest instance of a client is on this connection.
    fn is_newest(
        &self,
        scene: &Scene<'_>,
        account: usize,
        callee: &str,
        connection: ConnectionId,
    ) -> Result<(), String> {
        // While the server may be late to notice an end, either instance is right.
        let now = scene.now.mono.as_micros();
        let newest = |at: u64| {
            let bound = self.clients.get(&(account, callee.to_owned()))?;
            let live = bound.iter().rev().find(|bound| bound.ends > at)?;
            Some(live.connection)
        };
        let right = [newest(now), newest(now.saturating_sub(scene.late_wake))];
        if self.open.contains(&(account, callee.to_owned())) {
            return Ok(());
        }
        if right == [None, None] {
            return Err(format!("{callee} rings and is not registered"));
        }
        if !right.contains(&Some(connection)) {
            return Err(format!(
                "{callee} rings on #{} and its newest instance is on {right:?}",
                connection.0
            ));
        }
        Ok(())
    }

    /// A connection is gone for the server.
    pub(crate) fn loses(&mut self, connection: ConnectionId) {
        self.accounts.remove(&connection);
        self.shown.loses(connection);
        self.proven.retain(|(where_to, _)| *where_to != connection);
        self.retain(|bound| bound.connection != connection);
    }

    /// Accounts may have been switched off.
    pub fn view_changes(&mut self, view: &View) {
        self.has_changed = true;
        self.clients
            .retain(|(account, _), _| view.is_active(*account));
    }

    /// The server is gone.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The account that a connection belongs to.
    pub fn account(&self, connection: ConnectionId) -> Option<usize> {
        self.accounts.get(&connection).copied()
    }

    pub(crate) fn settles(&mut self) {
        self.asked = None;
    }

    /// Whether something has changed since this was asked last.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// Who is registered for calls of an account now, when that last changed, and until when; `slack` microseconds
    /// around an end either answer is right, and the client is left out.
    pub fn registered(
        &mut self,
        account: usize,
        now: u64,
        slack: u64,
    ) -> (Vec<(String, UnixTime, UnixTime)>, Vec<String>) {
        self.retain(|bound| bound.ends + slack >= now);
        let mut certain = Vec::new();
        let mut open = Vec::new();
        for ((owner, client), bound) in &self.clients {
            if *owner != account {
                continue;
            }
            let is_open = self.open.contains(&(*owner, client.clone()));
            if is_open || bound.iter().any(|bound| bound.ends <= now + slack) {
                open.push(client.clone());
            } else if let Some(newest) = bound.last() {
                certain.push((client.clone(), newest.modified, newest.ends_unix));
            }
        }
        (certain, open)
    }

    fn retain(&mut self, keeps: impl Fn(&Bound) -> bool) {
        let before: usize = self.clients.values().map(Vec::len).sum();
        self.clients.retain(|_, bound| {
            bound.retain(&keeps);
            !bound.is_empty()
        });
        let clients = &self.clients;
        self.open
            .retain(|key| clients.get(key).is_some_and(|bound| bound.len() > 1));
        let after: usize = self.clients.values().map(Vec::len).sum();
        self.has_changed |= before != after;
    }

    fn register_answered(
        &mut self,
        scene: &Scene<'_>,
        reading: &Reading,
        asked: &Asked,
        status: u16,
    ) -> Result<(), String> {
        let issued = good_token(scene.authority, scene.view, asked, scene.now.unix);
        let is_home = asked.account.is_some()
            && self.accounts.get(&reading.connection).copied() == asked.account;
        let registers = issued.filter(|issued| issued.wish.incoming && is_home);
        let binds = asked.contact.is_some() && asked.expires_s > 0;
        if status != 200 {
            let must_work = reading.from_browser
                && binds
                && registers.is_some_and(|issued| {
                    issued.expires.since(scene.now.unix) >= limits::REGISTRATION_TOKEN_REST
                })
                && asked.expires_s >= u64::from(limits::REGISTRATION_MIN_S);
            return if must_work {
                Err(format!(
                    "a good REGISTER of {} was answered {status}",
                    asked.client
                ))
            } else {
                Ok(())
            };
        }
        let Some(account) = asked.account else {
            return Err("a REGISTER of no account was accepted".to_owned());
        };
        self.has_changed = true;
        let key = (account, asked.client.clone());
        if !binds {
            let now = scene.now.mono.as_micros();
            return self.unbind(&key, reading.connection, asked, registers.is_some(), now);
        }
        let Some(issued) = registers else {
            return Err(format!(
                "{} was registered without a good token",
                asked.client
            ));
        };
        let wanted = asked.expires_s.min(u64::from(limits::REGISTRATION_MAX_S)) * 1000;
        let (now, end) = (scene.now.unix.as_millis(), issued.expires.as_millis());
        let lasts = wanted.min(end.saturating_sub(now));
        let bound = Bound {
            contact: asked.contact.clone().unwrap_or_default(),
            connection: reading.connection,
            ends: scene.now.mono.as_micros() + lasts * 1000,
            ends_unix: UnixTime::from_millis(now + lasts),
            modified: scene.now.unix,
        };
        self.bind(key, bound, scene);
        Ok(())
    }

    fn bind(&mut self, key: (usize, String), bound: Bound, scene: &Scene<'_>) {
        let now = scene.now.mono.as_micros();
        let instances = self.clients.entry(key.clone()).or_default();
        instances.retain(|old| old.ends + scene.late_wake > now);
        let is_ending = |old: &Bound| old.contact == bound.contact && old.ends <= now;
        if instances.iter().any(is_ending) {
            self.open.insert(key);
        }
        let known = instances
            .iter()
            .position(|old| old.contact == bound.contact);
        match known {
            Some(at) if instances[at].connection == bound.connection => instances[at] = bound,
            Some(at) => {
                instances.remove(at);
                instances.push(bound);
            }
            None => {
                instances.push(bound);
                if instances.len() > limits::BINDINGS_PER_CLIENT {
                    instances.remove(0);
                }
            }
        }
    }

    fn unbind(
        &mut self,
        key: &(usize, String),
        connection: ConnectionId,
        asked: &Asked,
        has_right: bool,
        now: u64,
    ) -> Result<(), String> {
        let Some(contact) = &asked.contact else {
            return if has_right {
                Ok(())
            } else {
                Err("a query of registrations was answered without a good token".to_owned())
            };
        };
        let is_meant = |bound: &Bound| contact == "*" || bound.contact == *contact;
        let Some(instances) = self.clients.get_mut(key) else {
            return Ok(());
        };
        let is_foreign = instances
            .iter()
            .any(|bound| is_meant(bound) && bound.connection != connection && bound.ends > now);
        if is_foreign && !has_right {
            return Err(format!(
                "#{} has ended a registration of {} that it does not hold",
                connection.0, key.1
            ));
        }
        instances.retain(|bound| !is_meant(bound));
        if instances.is_empty() {
            self.clients.remove(key);
        }
        Ok(())
    }

    /// A browser's INVITE that was refused at once must have deserved it.
    fn invite_answered(
        &self,
        scene: &Scene<'_>,
        reading: &Reading,
        asked: &Asked,
        status: u16,
        ringing: &dyn Fn(ConnectionId) -> usize,
    ) -> Result<(), String> {
        if !reading.from_browser {
            return Ok(());
        }
        let issued = good_token(scene.authority, scene.view, asked, scene.now.unix);
        let (callee, host) = &asked.target;
        if let Some(service) = service_of(callee, host) {
            return self.service_answered(scene, reading, asked, service, status);
        }
        let is_bound = |account| self.is_bound(scene, account, callee);
        let deserved = match (status, issued) {
            (401, issued) => issued.is_none(),
            (403, Some(issued)) => {
                !issued.may_call(callee) || account_of(host) != Some(issued.account)
            }
            (403, None) => {
                asked
                    .account
                    .is_none_or(|account| !scene.view.is_active(account))
                    || account_of(host) != asked.account
            }
            (404, _) => account_of(host).is_none(),
            (480, Some(issued)) => !is_bound(issued.account),
            (486, Some(issued)) => {
                let bound = self.clients.get(&(issued.account, callee.clone()));
                let mut bound = bound.into_iter().flatten();
                bound.any(|bound| ringing(bound.connection) >= limits::CALLS_RINGING_PER_CALLER)
            }
            (503, _) => scene.is_stopping,
            _ => false,
        };
        if deserved {
            Ok(())
        } else {
            Err(format!(
                "the call of {} to {callee} was answered {status}, which it does not deserve",
                asked.client
            ))
        }
    }

    /// The call of a service was refused at once.
    fn service_answered(
        &self,
        scene: &Scene<'_>,
        reading: &Reading,
        asked: &Asked,
        service: &str,
        status: u16,
    ) -> Result<(), String> {
        let account = asked
            .account
            .filter(|account| scene.view.is_active(*account));
        let clients = account.and_then(|account| scene.view.service(account, service));
        let is_there = |client: &String| {
            let is_bound = |account| self.is_bound(scene, account, client);
            *client != asked.client && account.is_some_and(is_bound)
        };
        // What a token has proven that came with a request that was refused is open.
        let bound = |account| self.clients.get(&(account, asked.client.clone()));
        let is_registered_here = account.and_then(bound).is_some_and(|bound| {
            bound
                .iter()
                .any(|bound| bound.connection == reading.connection)
        });
        let must_be_proven = |account| {
            scene.view.service_callers(account) == ServiceCallers::Proven && asked.token.is_none()
        };
        let deserved = match status {
            // Without a token, where the one was revoked that it has shown before.
            401 => asked.token.is_some() || account.is_some_and(|of| scene.view.has_revoked(of)),
            403 => !account.is_some_and(|account| {
                let is_active = self.accounts.get(&reading.connection) == Some(&account);
                is_active && (is_registered_here || !must_be_proven(account))
            }),
            404 => clients.is_none(),
            480 => !clients.into_iter().flatten().any(is_there),
            486 => clients.into_iter().flatten().any(is_there),
            503 => scene.is_stopping,
            _ => false,
        };
        let sentence = format!(
            "the call of {} to the service {service} was answered {status}, which it does not deserve",
            asked.client
        );
        deserved.then_some(()).ok_or(sentence)
    }

    fn is_bound(&self, scene: &Scene<'_>, account: usize, client: &str) -> bool {
        let bound = self.clients.get(&(account, client.to_owned()));
        let mut bound = bound.into_iter().flatten();
        bound.any(|bound| bound.ends > scene.now.mono.as_micros())
    }
}

/// The token of a request, if a server with this view must take it for this client.
fn good_token<'a>(
    authority: &'a Authority,
    view: &View,
    asked: &Asked,
    now: UnixTime,
) -> Option<&'a Issued> {
    let issued = authority.issued(asked.token.as_deref()?)?;
    (view.accepts(issued, now)
        && Some(issued.account) == asked.account
        && issued.wish.client == asked.client)
        .then_some(issued)
}

/// The URI and the parameters of a Contact row.
fn split_contact(contact: &str) -> (&str, &str) {
    match contact.split_once('<') {
        Some((_, inner)) => inner.split_once('>').unwrap_or((inner, "")),
        None => contact.split_once(';').unwrap_or((contact, "")),
    }
}
