//! REGISTER (RFC 3261 §10.3, RFC 5626 for flows, RFC 8898 for tokens).
//!
//! A binding is held by the connection that registered it and ends with it, with its expiry or with
//! its token, whichever is first. Never asks for credentials by Digest, which existing clients
//! cannot answer.

use std::sync::Arc;
use std::time::Duration;

use model::{AccountId, ClientId, ConnectionId, limits};
use sip::{Contact, Headers, MessageWriter, Request};

use crate::effect::Counter;
use crate::location::{Binding, Bound, ExpiryShift, OutOfOrder, Wanted};
use crate::marks::Shows;
use crate::refusal::{self, Refusal};
use crate::shard::Shard;
use crate::timer::Due;
use crate::token::{Grant, RejectedToken};

impl Shard {
    /// Answers a REGISTER, and keeps the answer for a client whose connection is just being lost.
    pub(crate) fn on_register(
        &mut self,
        account: AccountId,
        connection: ConnectionId,
        request: &Request<'_>,
        now: model::Now,
    ) {
        let answer = match self.register(account, connection, request, now) {
            Ok(answer) => answer,
            Err(refusal) => refusal.answer(request, &self.plain_tag()),
        };
        let sent_by = request.headers.via().sent_by;
        self.keep_answer(now, connection, sent_by, &answer);
        self.act(now).send(connection, answer);
    }

    fn register(
        &mut self,
        account: AccountId,
        connection: ConnectionId,
        request: &Request<'_>,
        now: model::Now,
    ) -> Result<Vec<u8>, Refusal> {
        let client = self.registrant(account, request)?;
        let wish = Wish::read(&request.headers)?;
        match wish {
            Wish::Query => {
                self.incoming_grant(account, connection, request, now)?;
                Ok(self.registered(account, &client, None, request, now))
            }
            Wish::Unbind { contact } => {
                self.deregister(account, connection, &client, contact, request, now)
            }
            Wish::Bind { contact, seconds } => {
                let grant = self.incoming_grant(account, connection, request, now)?;
                self.prove(now, connection, &grant, Shows::Registration);
                if seconds < limits::REGISTRATION_MIN_S {
                    return Err(refusal::too_brief());
                }
                let rest = grant.expires.since(now.unix);
                if rest < limits::REGISTRATION_TOKEN_REST {
                    self.act(now).count(Counter::TokenRefused);
                    return Err(refusal::token(&RejectedToken::Ending(grant.expires)));
                }
                let wanted = Duration::from_secs(seconds.min(limits::REGISTRATION_MAX_S).into());
                let lasts = wanted.min(rest);
                self.bind(account, connection, &client, contact, lasts, request, now)?;
                Ok(self.registered(account, &client, Some(contact), request, now))
            }
        }
    }

    /// The client that registers: itself, in its own account's domain.
    fn registrant(&self, account: AccountId, request: &Request<'_>) -> Result<ClientId, Refusal> {
        let (from, to) = (request.headers.from(), request.headers.to());
        if !is_sip(&to.uri) {
            return Err(refusal::malformed_header(
                "the To address of a REGISTER must be a SIP URI",
            ));
        }
        // The host of From is the account's: the edge has seen to that.
        let is_own =
            |host: &str| *host == *from.uri.host || self.account_of_host(host) == Some(account);
        if !is_own(to.uri.host) || !is_own(request.target().host) {
            return Err(refusal::other_domain());
        }
        let client =
            ClientId::parse(&from.uri.user_decoded()).map_err(|_| refusal::no_client_id())?;
        if to.uri.user_decoded() != client.as_str() {
            return Err(refusal::third_party());
        }
        Ok(client)
    }

    fn incoming_grant(
        &mut self,
        account: AccountId,
        connection: ConnectionId,
        request: &Request<'_>,
        now: model::Now,
    ) -> Result<Arc<Grant>, Refusal> {
        let grant = self.grant(account, connection, request, now)?;
        if grant.enable_incoming {
            Ok(grant)
        } else {
            Err(refusal::not_incoming())
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what a binding is made of")]
    fn bind(
        &mut self,
        account: AccountId,
        connection: ConnectionId,
        client: &ClientId,
        contact: &str,
        lasts: Duration,
        request: &Request<'_>,
        now: model::Now,
    ) -> Result<(), Refusal> {
        let headers = &request.headers;
        let wanted = Wanted {
            contact,
            domain: headers.to().uri.host,
            call_id: headers.call_id(),
            cseq: headers.cseq().number,
            connection,
            modified: now.unix,
            expires: now.mono + lasts,
            expires_unix: now.unix + lasts,
        };
        let bound = self.location.bind(account, client, &wanted);
        let (bound, shift) = bound.map_err(|OutOfOrder| refusal::out_of_order())?;
        self.shift_client(account, client, shift);
        self.publish(account, client);
        if bound == Bound::New {
            self.act(now).count(Counter::Registered);
        }
        // A binding that is refreshed where it is was noted before.
        if bound != Bound::Refreshed
            && let Some(connection) = self.connections.get_mut(&connection)
        {
            connection.note_client(client);
        }
        Ok(())
    }

    /// The connection that holds a binding may end it without a token; others need one.
    fn deregister(
        &mut self,
        account: AccountId,
        connection: ConnectionId,
        client: &ClientId,
        contact: Option<&str>,
        request: &Request<'_>,
        now: model::Now,
    ) -> Result<Vec<u8>, Refusal> {
        let is_meant =
            |binding: &Binding| contact.is_none_or(|contact| *binding.contact == *contact);
        let is_foreign = self
            .location
            .instances(account, client.as_str())
            .is_some_and(|instances| {
                instances
                    .iter()
                    .any(|binding| is_meant(binding) && binding.connection != connection)
            });
        // One answer for a stranger, whether the client is registered or not.
        let needs_token = is_foreign || !self.speaks_for(connection, client);
        if needs_token
            && self
                .incoming_grant(account, connection, request, now)
                .is_err()
        {
            return Err(refusal::not_your_binding());
        }
        self.unbind_elsewhere(account, client, is_meant);
        let shift = self.location.unbind(account, client, is_meant);
        self.shift_client(account, client, shift);
        self.publish(account, client);
        let mut writer = MessageWriter::reply(request, 200, "OK", Some(&self.plain_tag()));
        self.list_own_contacts(account, client, connection, now, &mut writer);
        Ok(writer.finish())
    }

    /// What is left on a connection that has shown no token.
    fn list_own_contacts(
        &self,
        account: AccountId,
        client: &ClientId,
        connection: ConnectionId,
        now: model::Now,
        writer: &mut MessageWriter,
    ) {
        let instances = self.location.instances(account, client.as_str());
        for binding in instances.into_iter().flat_map(|instances| instances.iter()) {
            if binding.connection == connection {
                list_contact(writer, binding, now);
            }
        }
    }

    /// The 200: the registered Contact first, then the client's other instances (§10.3 step 8).
    fn registered(
        &mut self,
        account: AccountId,
        client: &ClientId,
        contact: Option<&str>,
        request: &Request<'_>,
        now: model::Now,
    ) -> Vec<u8> {
        let mut writer = MessageWriter::reply(request, 200, "OK", Some(&self.plain_tag()));
        if let Some(instances) = self.location.instances(account, client.as_str()) {
            let is_own = |binding: &&Binding| contact == Some(&*binding.contact);
            for binding in instances.iter().filter(is_own) {
                list_contact(&mut writer, binding, now);
            }
            for binding in instances.iter().filter(|binding| !is_own(binding)) {
                list_contact(&mut writer, binding, now);
            }
        }
        writer.finish()
    }

    pub(crate) fn shift_client(
        &mut self,
        account: AccountId,
        client: &ClientId,
        shift: ExpiryShift,
    ) {
        if shift.from != shift.to {
            self.timers
                .shift(Due::Client(account, client.clone()), shift.from, shift.to);
        }
    }
}

/// RFC 3261 §19.1: a scheme is written in any case.
fn is_sip(uri: &sip::Uri<'_>) -> bool {
    uri.has_scheme("sip") || uri.has_scheme("sips")
}

fn list_contact(writer: &mut MessageWriter, binding: &Binding, now: model::Now) {
    // Rounded up: a client that refreshes in time never finds its binding gone.
    let seconds = binding.expires.since(now.mono).as_millis().div_ceil(1000);
    writer.header(
        "Contact",
        format_args!("<{}>;expires={seconds}", binding.contact),
    );
}

/// What a REGISTER asks for.
enum Wish<'a> {
    Query,
    Bind {
        contact: &'a str,
        seconds: u32,
    },
    /// `None` is `*`: every binding.
    Unbind {
        contact: Option<&'a str>,
    },
}

impl<'a> Wish<'a> {
    fn read(headers: &Headers<'a>) -> Result<Self, Refusal> {
        let expires = headers.expires().ok().flatten();
        match headers.sole_contact() {
            None if headers.contact().is_none() => Ok(Self::Query),
            None => Err(refusal::one_contact()),
            Some(Contact::Star) if expires == Some(0) => Ok(Self::Unbind { contact: None }),
            Some(Contact::Star) => Err(refusal::wildcard_contact()),
            Some(Contact::Address(address)) => {
                // §10.2.1.1: the Contact's own parameter first, then the header, then our default;
                // a value that cannot be read counts as absent (§20.19).
                let seconds = address
                    .param("expires")
                    .and_then(|text| text.parse().ok())
                    .or(expires)
                    .unwrap_or(limits::REGISTRATION_DEFAULT_S);
                let contact = address.uri_text;
                if contact.len() > limits::CONTACT_BYTES {
                    return Err(refusal::long_contact());
                }
                if seconds == 0 {
                    Ok(Self::Unbind {
                        contact: Some(contact),
                    })
                } else if is_sip(&address.uri) {
                    Ok(Self::Bind { contact, seconds })
                } else {
                    Err(refusal::one_contact())
                }
            }
        }
    }
}
