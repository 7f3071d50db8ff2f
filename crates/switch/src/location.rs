//! Where clients are: their bindings, newest last (RFC 3261 §10).
//!
//! Knows nothing of tokens and messages. A binding lives as long as its connection and its expiry,
//! whichever ends first; the connection that holds it is the only way to its client.

use std::collections::BTreeMap;

use model::{AccountId, ClientId, ConnectionId, Instant, NodeNumber, UnixTime, limits};

use crate::cluster::{Bindings, Published, registered_after_moving};
use crate::table::{Keyed, Table};

/// One instance of a client that takes calls.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    /// The Contact URI, as it was registered; Request-URI of what is sent to it.
    pub(crate) contact: Box<str>,
    /// Host of the address of record, in the spelling that this instance uses.
    pub(crate) domain: Box<str>,
    pub(crate) call_id: Box<str>,
    pub(crate) cseq: u32,
    pub(crate) connection: ConnectionId,
    /// When it came to this connection; bindings stand in this order.
    pub(crate) registered: UnixTime,
    /// When it was last registered or refreshed.
    pub(crate) modified: UnixTime,
    pub(crate) expires: Instant,
    pub(crate) expires_unix: UnixTime,
}

/// What a REGISTER wants to be bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) contact: &'a str,
    pub(crate) domain: &'a str,
    pub(crate) call_id: &'a str,
    pub(crate) cseq: u32,
    pub(crate) connection: ConnectionId,
    pub(crate) modified: UnixTime,
    pub(crate) expires: Instant,
    pub(crate) expires_unix: UnixTime,
}

/// The REGISTER is older than one that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfOrder;

/// What a REGISTER did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// There is a binding more.
    New,
    /// A binding has come to another connection.
    Moved,
    /// A binding stays where it was.
    Refreshed,
}

impl Wanted<'_> {
    fn binding(&self, registered: UnixTime) -> Binding {
        Binding {
            contact: self.contact.into(),
            domain: self.domain.into(),
            call_id: self.call_id.into(),
            cseq: self.cseq,
            connection: self.connection,
            registered,
            modified: self.modified,
            expires: self.expires,
            expires_unix: self.expires_unix,
        }
    }

    /// Texts are nearly always the same as before.
    fn refresh(&self, binding: &mut Binding) {
        for (known, wanted) in [
            (&mut binding.domain, self.domain),
            (&mut binding.call_id, self.call_id),
        ] {
            if **known != *wanted {
                *known = wanted.into();
            }
        }
        binding.cseq = self.cseq;
        binding.connection = self.connection;
        binding.modified = self.modified;
        binding.expires = self.expires;
        binding.expires_unix = self.expires_unix;
    }
}

/// The instances of one client.
#[derive(Debug, Default)]
pub(crate) struct Instances {
    /// In the order of their registration, newest last.
    bindings: Vec<Binding>,
    /// When they are looked at: never later than the first of them expires. A refresh leaves it where it is.
    looked_at: Option<Instant>,
}

impl Instances {
    /// The one that gets calls.
    pub(crate) fn newest(&self) -> Option<&Binding> {
        self.bindings.last()
    }

    /// The newest for which `may` holds.
    pub(crate) fn newest_of(&self, may: impl Fn(&Binding) -> bool) -> Option<&Binding> {
        self.bindings.iter().rev().find(|binding| may(binding))
    }

    /// When something that is registered now counts as registered: as the newest, though a calendar was set back.
    fn next_registered(&self, now: UnixTime) -> UnixTime {
        let newest = self.newest().map(|binding| binding.registered);
        newest.map_or(now, |newest| newest.max(now))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Binding> {
        self.bindings.iter()
    }

    fn first_expiry(&self) -> Option<Instant> {
        self.bindings.iter().map(|binding| binding.expires).min()
    }

    /// After a change: where the timer stands, and where it has to.
    fn shift(&mut self) -> ExpiryShift {
        let (from, first) = (self.looked_at, self.first_expiry());
        let stands = from.is_some_and(|from| first.is_some_and(|first| from <= first));
        let to = if stands { from } else { first };
        self.looked_at = to;
        ExpiryShift { from, to }
    }
}

/// How a client's timer has to move.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExpiryShift {
    pub(crate) from: Option<Instant>,
    pub(crate) to: Option<Instant>,
}

/// Every binding of a shard.
#[derive(Debug)]
pub(crate) struct Location {
    accounts: BTreeMap<AccountId, Table<ClientId, Instances>>,
    keyed: Keyed,
}

impl Location {
    pub(crate) fn new(keyed: Keyed) -> Self {
        Self {
            accounts: BTreeMap::new(),
            keyed,
        }
    }

    pub(crate) fn instances(&self, account: AccountId, client: &str) -> Option<&Instances> {
        self.accounts.get(&account)?.get(client)
    }

    /// Binds. A known Contact on its own connection is refreshed in its place; any other becomes the
    /// newest. Says which, and how the client's timer has to move.
    pub(crate) fn bind(
        &mut self,
        account: AccountId,
        client: &ClientId,
        wanted: &Wanted<'_>,
    ) -> Result<(Bound, ExpiryShift), OutOfOrder> {
        let keyed = self.keyed;
        let clients = self
            .accounts
            .entry(account)
            .or_insert_with(|| Table::with_hasher(keyed));
        let Some(instances) = clients.get_mut(client.as_str()) else {
            let mut instances = Instances::default();
            instances.bindings.push(wanted.binding(wanted.modified));
            let shift = instances.shift();
            clients.insert(client.clone(), instances);
            return Ok((Bound::New, shift));
        };
        let registered = instances.next_registered(wanted.modified);
        let bindings = &mut instances.bindings;
        let known = bindings
            .iter()
            .position(|known| *known.contact == *wanted.contact);
        let Some(at) = known else {
            if bindings.len() == limits::BINDINGS_PER_CLIENT {
                bindings.remove(0);
            }
            bindings.push(wanted.binding(registered));
            return Ok((Bound::New, instances.shift()));
        };
        let binding = &mut bindings[at];
        // RFC 3261 §10.3 step 7; the same number again is the same request again.
        if *binding.call_id == *wanted.call_id && wanted.cseq < binding.cseq {
            return Err(OutOfOrder);
        }
        let is_here = binding.connection == wanted.connection;
        wanted.refresh(binding);
        if is_here {
            return Ok((Bound::Refreshed, instances.shift()));
        }
        binding.registered = registered;
        bindings[at..].rotate_left(1);
        Ok((Bound::Moved, instances.shift()))
    }

    /// Removes the bindings of a client for which `ends` holds.
    pub(crate) fn unbind(
        &mut self,
        account: AccountId,
        client: &ClientId,
        ends: impl Fn(&Binding) -> bool,
    ) -> ExpiryShift {
        self.change(account, client, |instances| {
            instances.bindings.retain(|binding| !ends(binding));
        })
    }

    /// A client's timer has come, and stands nowhere any more. Says where it has to, and whether a binding has ended.
    pub(crate) fn on_due(
        &mut self,
        account: AccountId,
        client: &ClientId,
        now: Instant,
    ) -> (Option<Instant>, bool) {
        let mut has_ended = false;
        let shift = self.change(account, client, |instances| {
            instances.looked_at = None;
            let before = instances.bindings.len();
            instances.bindings.retain(|binding| now < binding.expires);
            has_ended = instances.bindings.len() < before;
        });
        (shift.to, has_ended)
    }

    /// What a node has of a client, as it is published.
    pub(crate) fn published(
        &self,
        account: AccountId,
        client: &ClientId,
        node: NodeNumber,
    ) -> Bindings {
        let instances = self.instances(account, client.as_str());
        let bindings = instances.into_iter().flat_map(Instances::iter);
        bindings
            .filter(|binding| binding.connection.node() == node)
            .map(Published::of)
            .collect()
    }

    /// Replaces what a node has of a client. One Contact is one instance: the newer registration of it stays. Says how the timer has
    /// to move, and which connections have lost a binding so.
    pub(crate) fn replace(
        &mut self,
        account: AccountId,
        client: &ClientId,
        node: NodeNumber,
        there: impl Iterator<Item = Binding>,
    ) -> (ExpiryShift, Vec<ConnectionId>) {
        let mut gone = Vec::new();
        let mut there = there.peekable();
        if there.peek().is_some() {
            let keyed = self.keyed;
            self.accounts
                .entry(account)
                .or_insert_with(|| Table::with_hasher(keyed))
                .entry(client.clone())
                .or_default();
        }
        let shift = self.change(account, client, |instances| {
            let bindings = &mut instances.bindings;
            bindings.retain(|binding| binding.connection.node() != node);
            for binding in there {
                let age = |of: &Binding| (of.registered, of.connection);
                let same = |known: &Binding| known.contact == binding.contact;
                if bindings
                    .iter()
                    .any(|known| same(known) && age(known) > age(&binding))
                {
                    continue;
                }
                gone.extend(
                    bindings
                        .extract_if(.., |known| same(known))
                        .map(|of| of.connection),
                );
                let at = bindings.partition_point(|known| age(known) < age(&binding));
                bindings.insert(at, binding);
            }
            let excess = bindings.len().saturating_sub(limits::BINDINGS_PER_CLIENT);
            bindings.drain(..excess);
        });
        (shift, gone)
    }

    /// A connection is another one from now on.
    pub(crate) fn rename(
        &mut self,
        account: AccountId,
        client: &ClientId,
        from: ConnectionId,
        to: ConnectionId,
    ) {
        let Some(clients) = self.accounts.get_mut(&account) else {
            return;
        };
        let Some(instances) = clients.get_mut(client) else {
            return;
        };
        let bindings = &mut instances.bindings;
        for binding in bindings.iter_mut().filter(|known| known.connection == from) {
            binding.connection = to;
            binding.registered = registered_after_moving(binding.registered);
        }
        bindings.sort_by_key(|binding| (binding.registered, binding.connection));
    }

    /// A binding has come with its session, in place of what was known of it; `None` where the same instance has registered since.
    pub(crate) fn settle(
        &mut self,
        account: AccountId,
        client: &ClientId,
        binding: Binding,
    ) -> Option<ExpiryShift> {
        let age = |of: &Binding| (of.registered, of.connection);
        let is_newer =
            |known: &Binding| known.contact == binding.contact && age(known) > age(&binding);
        let known = self.instances(account, client.as_str());
        if known.is_some_and(|known| known.iter().any(is_newer)) {
            return None;
        }
        let keyed = self.keyed;
        self.accounts
            .entry(account)
            .or_insert_with(|| Table::with_hasher(keyed))
            .entry(client.clone())
            .or_default();
        let shift = self.change(account, client, |instances| {
            let bindings = &mut instances.bindings;
            bindings.retain(|known| known.contact != binding.contact);
            let at = bindings.partition_point(|known| age(known) < age(&binding));
            bindings.insert(at, binding);
            let excess = bindings.len().saturating_sub(limits::BINDINGS_PER_CLIENT);
            bindings.drain(..excess);
        });
        Some(shift)
    }

    /// A node is gone: nothing is bound there. Whose timers have to move.
    pub(crate) fn forget_node(
        &mut self,
        node: NodeNumber,
    ) -> Vec<(AccountId, ClientId, ExpiryShift)> {
        let mut bound = Vec::new();
        for account in self.accounts() {
            for (client, instances) in self.clients(account) {
                if instances.iter().any(|of| of.connection.node() == node) {
                    bound.push((account, client.clone()));
                }
            }
        }
        bound
            .into_iter()
            .map(|(account, client)| {
                let shift = self.unbind(account, &client, |of| of.connection.node() == node);
                (account, client, shift)
            })
            .collect()
    }

    fn change(
        &mut self,
        account: AccountId,
        client: &ClientId,
        change: impl FnOnce(&mut Instances),
    ) -> ExpiryShift {
        let none = ExpiryShift {
            from: None,
            to: None,
        };
        let Some(clients) = self.accounts.get_mut(&account) else {
            return none;
        };
        let Some(instances) = clients.get_mut(client) else {
            return none;
        };
        change(instances);
        let shift = instances.shift();
        if instances.bindings.is_empty() {
            clients.remove(client);
            if clients.is_empty() {
                self.accounts.remove(&account);
            }
        }
        shift
    }

    /// The clients of an account and their instances, by client id.
    pub(crate) fn clients(&self, account: AccountId) -> Vec<(&ClientId, &Instances)> {
        #[expect(
            clippy::disallowed_methods,
            reason = "sorted before anyone sees the order"
        )]
        let mut clients: Vec<_> = self
            .accounts
            .get(&account)
            .into_iter()
            .flat_map(Table::iter)
            .collect();
        clients.sort_by_key(|(client, _)| *client);
        clients
    }

    /// How many clients are registered.
    pub(crate) fn len(&self) -> usize {
        self.accounts.values().map(Table::len).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Accounts that have bindings.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = AccountId> {
        self.accounts.keys().copied()
    }
}
