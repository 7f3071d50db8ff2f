//! The ledger: every holder of the node, what it may reach and what it has used.
//!
//! One for the node, asked by every TURN server of it and told by every shard. Cheap to ask: a look-up, never a search
//! among holders. What is empty goes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use model::{AccountId, ConnectionId, Directory, Now, RelayUsage, UnixTime, limits};

use super::credential::{Bearer, Known, TurnSecret, Username};
use super::holder::{Holder, Standing};
use super::quota::{Full, Pool, TurnBounds};
use super::spending::{MonthSpent, Spending};
use super::{Relayed, TurnChange};

/// See the module.
#[derive(Debug)]
pub struct Ledger {
    secret: TurnSecret,
    bounds: TurnBounds,
    holders: BTreeMap<u64, Holder>,
    /// Those that ever had an allocation: there are as many as there are accounts, at most.
    accounts: BTreeMap<AccountId, Account>,
    node: Pool,
    /// Bytes lent and not accounted for.
    lent: u64,
    spending: Spending,
    /// Accounts that were shut out: a credential of their web service is worth nothing.
    disabled: BTreeSet<AccountId>,
    reports: BTreeMap<(ConnectionId, u64), (AccountId, RelayUsage)>,
}

/// What an account has in use.
#[derive(Debug)]
struct Account {
    pool: Pool,
    lent: u64,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            pool: Pool::EMPTY,
            lent: 0,
        }
    }
}

impl Ledger {
    /// An empty ledger. The secret is that of the [`TurnOffer`](super::TurnOffer).
    pub fn new(secret: TurnSecret, bounds: TurnBounds) -> Self {
        Self {
            secret,
            bounds,
            holders: BTreeMap::new(),
            accounts: BTreeMap::new(),
            node: Pool::EMPTY,
            lent: 0,
            spending: Spending::default(),
            disabled: BTreeSet::new(),
            reports: BTreeMap::new(),
        }
    }

    /// Goes on from what was kept of the month of `now`.
    pub fn restore(&mut self, now: UnixTime, spent: impl IntoIterator<Item = (AccountId, u64)>) {
        for (account, bytes) in spent {
            self.spending.restore(now, account, bytes);
        }
    }

    /// What other servers have relayed in this month since this one began with it, in place of what was heard before.
    pub fn hear(
        &mut self,
        month: (i32, u8),
        elsewhere: impl IntoIterator<Item = (AccountId, u64)>,
    ) {
        self.spending.hear(month, elsewhere);
    }

    /// The counts of months that changed since this was last asked.
    pub fn take_spent(&mut self) -> Vec<MonthSpent> {
        self.spending.take_changed()
    }

    /// Bytes that were relayed for an account this month.
    pub fn spent(&mut self, now: UnixTime, account: AccountId) -> u64 {
        self.spending.turn_page(now);
        self.spending.of(account)
    }

    /// Bytes that were relayed for all accounts this month.
    pub fn spent_by_node(&mut self, now: UnixTime) -> u64 {
        self.spending.turn_page(now);
        self.spending.of_all()
    }

    /// Takes a change in. Says whose permissions must be looked at again.
    pub fn apply(&mut self, change: &TurnChange) -> Option<u64> {
        match change {
            TurnChange::Opened {
                connection,
                account,
            } => {
                self.open(*connection, *account);
                None
            }
            TurnChange::Proven {
                connection,
                account,
            } => {
                self.prove(*connection, *account);
                None
            }
            TurnChange::Reach {
                connection,
                call,
                addresses,
            } => {
                if let Some(holder) = self.holders.get_mut(&connection.0)
                    && holder.is_open_connection()
                {
                    holder.add_reach(*call, addresses);
                }
                None
            }
            TurnChange::Gateway { connection, call } => {
                if let Some(holder) = self.holders.get_mut(&connection.0)
                    && holder.is_open_connection()
                {
                    holder.add_gateway(*call);
                }
                None
            }
            TurnChange::Ended { connection, call } => {
                let holder = self.holders.get_mut(&connection.0)?;
                holder.end_call(*call).then_some(connection.0)
            }
            TurnChange::Gone { connection } => {
                let holder = self.holders.get_mut(&connection.0)?;
                holder.leave();
                self.drop_if_empty(connection.0);
                Some(connection.0)
            }
        }
    }

    /// The directory has changed. Says whose permissions must be looked at again: credentials of web services whose
    /// account was disabled. Connections of such an account are closed by its shard.
    pub fn publish(&mut self, directory: &Directory) -> Vec<u64> {
        let disabled = directory.accounts().filter(|account| account.disabled);
        self.disabled = disabled.map(|account| account.id).collect();
        let mut gone = Vec::new();
        for (id, holder) in &mut self.holders {
            let is_rest = matches!(holder.standing, Standing::Rest { .. });
            if is_rest && self.disabled.contains(&holder.account) {
                holder.leave();
                gone.push(*id);
            }
        }
        gone
    }

    /// Who shows this username, and the password that proves it; `None` if nobody can. A connection's is good only
    /// while it is open.
    pub fn credential(&self, now: Now, username: &str) -> Option<Known> {
        let said = Username::parse(username)?;
        let holder = said.bearer.holder();
        match said.bearer {
            Bearer::Connection { .. } => {
                let known = self.holders.get(&holder)?;
                if !known.is_open_connection() || known.account != said.account {
                    return None;
                }
            }
            Bearer::Rest { given, .. } => {
                let is_over = now.unix >= given + limits::TURN_REST_TIME;
                if is_over || self.disabled.contains(&said.account) {
                    return None;
                }
            }
        }
        Some(Known {
            holder,
            password: self.secret.password(username),
            is_fresh: now.unix < said.until,
        })
    }

    /// One more allocation of this holder; the username is the one that was proven.
    pub fn admit(&mut self, now: Now, holder: u64, username: &str) -> Result<(), Full> {
        let said = Username::parse(username)
            .filter(|said| said.bearer.holder() == holder)
            .ok_or(Full::Holder)?;
        if let Bearer::Rest { given, .. } = said.bearer
            && !self.disabled.contains(&said.account)
        {
            self.holders
                .entry(holder)
                .or_insert_with(|| Holder::rest(said.account, given, now.mono));
        }
        let outcome = self.take_allocation(holder, said.until);
        self.drop_if_empty(holder);
        outcome
    }

    fn take_allocation(&mut self, holder: u64, until: UnixTime) -> Result<(), Full> {
        let known = self
            .holders
            .get_mut(&holder)
            .filter(|known| known.standing != Standing::Gone)
            .ok_or(Full::Holder)?;
        let is_proven = known.is_proven;
        if known.allocations >= known.quota(&self.bounds).allocations {
            return Err(Full::Holder);
        }
        let account = self.accounts.get(&known.account);
        let pool = account.map_or(&Pool::EMPTY, |account| &account.pool);
        if !pool.has_room(&self.bounds.account, is_proven) {
            return Err(Full::Holder);
        }
        if !self.node.has_room(&self.bounds.node, is_proven) {
            return Err(Full::Node);
        }
        known.allocations += 1;
        known.fresh_until = known.fresh_until.max(until);
        self.node.add(is_proven);
        let account = self.accounts.entry(known.account).or_default();
        account.pool.add(is_proven);
        Ok(())
    }

    /// An admitted allocation has ended.
    pub fn release(&mut self, _now: Now, holder: u64) {
        let Some(known) = self.holders.get_mut(&holder) else {
            return;
        };
        if known.allocations == 0 {
            return;
        }
        known.allocations -= 1;
        self.node.remove(known.is_proven);
        // What it was lent last and never used is not owed for ever.
        let forgiven = if known.allocations == 0 {
            std::mem::take(&mut known.lent)
        } else {
            0
        };
        self.lent = self.lent.saturating_sub(forgiven);
        if let Some(account) = self.accounts.get_mut(&known.account) {
            account.pool.remove(known.is_proven);
            account.lent = account.lent.saturating_sub(forgiven);
        }
        self.drop_if_empty(holder);
    }

    /// Whether an allocation of this holder may live on.
    pub fn may_stay(&self, now: Now, holder: u64) -> bool {
        self.holders
            .get(&holder)
            .is_some_and(|known| known.may_stay(now))
    }

    /// Whether this holder may exchange packets with this peer, and which call they are accounted to; 0 is none.
    /// `is_relay`: the peer is one of our own relayed addresses, which any call may reach.
    pub fn reach(&mut self, _now: Now, holder: u64, peer: IpAddr, is_relay: bool) -> Option<u64> {
        self.holders.get(&holder)?.reach(peer, is_relay)
    }

    /// Whether this holder may exchange packets with our media gateway, and which call they are accounted to: the one that
    /// led there. No address that clients have named leads there, and no credential of a web service.
    pub fn enter(&self, holder: u64) -> Option<u64> {
        self.holders.get(&holder)?.enter()
    }

    /// Bytes that this holder may relay next: at most `wanted`, 0 if it has to wait.
    pub fn lease(&mut self, now: Now, holder: u64, wanted: u32) -> u32 {
        self.spending.turn_page(now.unix);
        let Some(known) = self.holders.get_mut(&holder) else {
            return 0;
        };
        let Some(account) = self.accounts.get_mut(&known.account) else {
            return 0;
        };
        if known.standing == Standing::Gone {
            return 0;
        }
        let (bounds, is_proven) = (&self.bounds, known.is_proven);
        let own = known.quota(bounds).rate;
        let month = |bound: Option<u64>, spent: u64, lent: u64| {
            bound.map(|bound| bound.saturating_sub(spent).saturating_sub(lent))
        };
        let granted = [
            own.map(|rate| known.bucket.fill(now.mono, rate)),
            account.pool.fill(now.mono, &bounds.account, is_proven),
            self.node.fill(now.mono, &bounds.node, is_proven),
            month(
                bounds.account_monthly,
                self.spending.of(known.account),
                account.lent,
            ),
            month(bounds.node_monthly, self.spending.of_all(), self.lent),
        ]
        .into_iter()
        .flatten()
        .fold(wanted.into(), u64::min);
        if granted < wanted.min(limits::TURN_LEASE_MIN).into() {
            return 0;
        }
        known.bucket.take(granted);
        account.pool.take(granted, is_proven);
        self.node.take(granted, is_proven);
        known.lent += granted;
        account.lent += granted;
        self.lent += granted;
        u32::try_from(granted).unwrap_or(u32::MAX)
    }

    /// What was relayed for this holder since it was last told, accounted to a call.
    pub fn used(&mut self, now: Now, holder: u64, tag: u64, usage: RelayUsage) {
        if usage.is_empty() {
            return;
        }
        self.spending.turn_page(now.unix);
        let Some(known) = self.holders.get_mut(&holder) else {
            return;
        };
        let repaid = known.lent.min(usage.bytes());
        known.lent -= repaid;
        self.lent = self.lent.saturating_sub(repaid);
        if let Some(account) = self.accounts.get_mut(&known.account) {
            account.lent = account.lent.saturating_sub(repaid);
        }
        self.spending.add(known.account, usage.bytes());
        let is_connection = match known.standing {
            Standing::Unproven | Standing::Proven | Standing::Gone => true,
            Standing::Rest { .. } => false,
        };
        if tag != 0 && is_connection {
            let (_, told) = self
                .reports
                .entry((ConnectionId(holder), tag))
                .or_insert((known.account, RelayUsage::default()));
            *told = told.plus(usage);
        }
    }

    /// What to tell a shard, if anything.
    pub fn poll_report(&mut self) -> Option<Relayed> {
        let ((connection, call), (account, usage)) = self.reports.pop_first()?;
        Some(Relayed {
            account,
            connection,
            call,
            usage,
        })
    }

    /// How many allocations there are.
    pub fn allocations(&self) -> u32 {
        self.node.all.allocations
    }

    /// Whether nothing is left: no holder, no allocation, nothing lent, nothing to tell.
    pub fn is_at_rest(&self) -> bool {
        let is_idle = |account: &Account| account.pool.all.allocations == 0 && account.lent == 0;
        self.holders.is_empty()
            && self.accounts.values().all(is_idle)
            && self.lent == 0
            && self.reports.is_empty()
    }

    fn open(&mut self, connection: ConnectionId, account: AccountId) {
        self.holders
            .entry(connection.0)
            .or_insert_with(|| Holder::connection(account));
    }

    fn prove(&mut self, connection: ConnectionId, account: AccountId) {
        self.open(connection, account);
        let Some(known) = self.holders.get_mut(&connection.0) else {
            return;
        };
        if known.standing != Standing::Unproven {
            return;
        }
        known.standing = Standing::Proven;
        known.is_proven = true;
        self.node.prove(known.allocations);
        if let Some(account) = self.accounts.get_mut(&known.account) {
            account.pool.prove(known.allocations);
        }
    }

    fn drop_if_empty(&mut self, holder: u64) {
        if self.holders.get(&holder).is_some_and(Holder::is_empty) {
            self.holders.remove(&holder);
        }
    }
}

#[cfg(test)]
mod tests;
