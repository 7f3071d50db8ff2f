//! Where clients are: their bindings, newest last (RFC 3261 §10).
//!
//! Knows nothing of tokens and messages. A binding lives as long as its connection and its expiry,
//! whichever ends first; the connection that holds it is the only way to its client.

use std::collections::BTreeMap;

use model::{AccountId, ClientId, ConnectionId, Instant, UnixTime, limits};

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
    /// When it was last registered or refreshed.
    pub(crate) modified: UnixTime,
    pub(crate) expires: Instant,
    pub(crate) expires_unix: UnixTime,
}

/// The instances of one client.
#[derive(Debug, Default)]
pub(crate) struct Instances {
    /// In the order of their registration, newest last.
    bindings: Vec<Binding>,
}

impl Instances {
    /// The one that gets calls.
    pub(crate) fn newest(&self) -> Option<&Binding> {
        self.bindings.last()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Binding> {
        self.bindings.iter()
    }

    pub(crate) fn by_contact(&self, contact: &str) -> Option<&Binding> {
        self.bindings
            .iter()
            .find(|binding| &*binding.contact == contact)
    }

    fn first_expiry(&self) -> Option<Instant> {
        self.bindings.iter().map(|binding| binding.expires).min()
    }
}

/// A change of a client's first expiry, for its timer.
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
    /// newest. Says whether it is new, and how the client's first expiry moved.
    pub(crate) fn bind(
        &mut self,
        account: AccountId,
        client: &ClientId,
        binding: Binding,
    ) -> (bool, ExpiryShift) {
        let keyed = self.keyed;
        let clients = self
            .accounts
            .entry(account)
            .or_insert_with(|| Table::with_hasher(keyed));
        let instances = clients.entry(client.clone()).or_default();
        let from = instances.first_expiry();
        let known = instances
            .bindings
            .iter()
            .position(|known| known.contact == binding.contact);
        let is_new = known.is_none();
        match known {
            Some(at) if instances.bindings[at].connection == binding.connection => {
                instances.bindings[at] = binding;
            }
            Some(at) => {
                instances.bindings.remove(at);
                instances.bindings.push(binding);
            }
            None => {
                if instances.bindings.len() == limits::BINDINGS_PER_CLIENT {
                    instances.bindings.remove(0);
                }
                instances.bindings.push(binding);
            }
        }
        (
            is_new,
            ExpiryShift {
                from,
                to: instances.first_expiry(),
            },
        )
    }

    /// Removes the bindings of a client for which `ends` holds.
    pub(crate) fn unbind(
        &mut self,
        account: AccountId,
        client: &ClientId,
        ends: impl Fn(&Binding) -> bool,
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
        let from = instances.first_expiry();
        instances.bindings.retain(|binding| !ends(binding));
        let to = instances.first_expiry();
        if to.is_none() {
            clients.remove(client);
            if clients.is_empty() {
                self.accounts.remove(&account);
            }
        }
        ExpiryShift { from, to }
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
