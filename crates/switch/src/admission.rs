//! Who may do what: the token of a request, checked or remembered.
//!
//! Decides only whether a token is good and whose it is; what it permits is asked of the [`Grant`].

use std::sync::Arc;

use model::{AccountId, Now};
use sip::Request;

use crate::call::Act;
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
        request: &Request<'_>,
        now: Now,
    ) -> Result<Arc<Grant>, Refusal> {
        let mut act = Act {
            now,
            random: &mut self.random,
            effects: &mut self.effects,
            has_relay: self.snapshot.settings.turn.is_some(),
        };
        let (snapshot, remembered) = (&self.snapshot, &mut self.remembered);
        let result = verified(request, account, snapshot, remembered, &mut act);
        if result.is_err() {
            act.count(Counter::TokenRefused);
        }
        result
    }
}

fn verified(
    request: &Request<'_>,
    account: AccountId,
    snapshot: &Snapshot,
    remembered: &mut Remembered,
    act: &mut Act<'_>,
) -> Result<Arc<Grant>, Refusal> {
    let Some(text) = request.headers.bearer() else {
        return Err(refusal::no_token());
    };
    let hash = Remembered::hash(text);
    let grant = match remembered.get(&hash, account, act.now.unix) {
        Some(grant) => grant,
        None => {
            let grant = check(text, account, snapshot, act.now)
                .map(Arc::new)
                .map_err(|why| refusal::token(&why))?;
            act.count(Counter::TokenVerified);
            remembered.insert(hash, account, Arc::clone(&grant), act.now.unix);
            grant
        }
    };
    let from = request.headers.from();
    if from.uri.user_decoded() != grant.client.as_str() {
        return Err(refusal::token_of_other_client(&grant.client));
    }
    Ok(grant)
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
