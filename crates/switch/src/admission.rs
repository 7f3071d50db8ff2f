//! Who may do what: the token of a request, checked or remembered.
//!
//! Decides only whether a token is good and whose it is; what it permits is asked of the [`Grant`].

use std::sync::Arc;

use model::{AccountId, ConnectionId, Now};
use sip::Request;

use crate::effect::Counter;
use crate::input::Snapshot;
use crate::refusal::{self, Refusal};
use crate::shard::Shard;
use crate::token::{self, Grant, RejectedToken, Remembered};

impl Shard {
    /// The grant that a request's token gives to the client of its From address.
    pub(crate) fn grant(
        &mut self,
        account: AccountId,
        connection: ConnectionId,
        request: &Request<'_>,
        now: Now,
    ) -> Result<Arc<Grant>, Refusal> {
        let result = self.verified(account, connection, request, now);
        if result.is_err() {
            self.act(now).count(Counter::TokenRefused);
        }
        result
    }

    fn verified(
        &mut self,
        account: AccountId,
        connection: ConnectionId,
        request: &Request<'_>,
        now: Now,
    ) -> Result<Arc<Grant>, Refusal> {
        let Some(text) = request.headers.bearer() else {
            return Err(refusal::no_token());
        };
        let known = self.connections.get(&connection);
        let shown = known
            .filter(|known| known.account == account)
            .and_then(|known| known.shown.as_ref());
        let grant = match shown.and_then(|shown| self.remembered.again(shown, text, now.unix)) {
            Some(grant) => grant,
            None => self.recall(account, connection, text, now)?,
        };
        let from = request.headers.from();
        if from.uri.user_decoded() != grant.client.as_str() {
            return Err(refusal::token_of_other_client(&grant.client));
        }
        Ok(grant)
    }

    /// The grant of a token that is not the one that its connection showed last.
    fn recall(
        &mut self,
        account: AccountId,
        connection: ConnectionId,
        text: &str,
        now: Now,
    ) -> Result<Arc<Grant>, Refusal> {
        let hash = Remembered::hash(text);
        let grant = match self.remembered.get(&hash, account, now.unix) {
            Some(grant) => grant,
            None => {
                let checked = check(text, account, &self.snapshot, now);
                if checked == Err(RejectedToken::Revoked) {
                    self.act(now).count(Counter::TokenRevoked);
                }
                let grant = checked.map(Arc::new).map_err(|why| refusal::token(&why))?;
                self.act(now).count(Counter::TokenVerified);
                self.remembered
                    .insert(hash, account, Arc::clone(&grant), now.unix);
                grant
            }
        };
        if let Some(known) = self.connections.get_mut(&connection) {
            known.shown = self.remembered.shown(text, &grant);
        }
        Ok(grant)
    }
}

fn check(
    text: &str,
    account: AccountId,
    snapshot: &Snapshot,
    now: Now,
) -> Result<Grant, RejectedToken> {
    let account = snapshot
        .directory
        .account(account)
        .filter(|account| !account.disabled);
    let keys = account.and_then(|account| snapshot.keys.account(account.id));
    match (account, keys) {
        (Some(account), Some(keys)) => token::verify(text, account, keys, now.unix),
        (Some(_) | None, _) => Err(RejectedToken::OtherAccount),
    }
}
