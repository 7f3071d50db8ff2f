//! Which tokens connections have shown for what they have, as an onlooker sees it.
//!
//! The judge of what must end with a token that is revoked with all that was made with it.

use std::collections::BTreeMap;

use model::ConnectionId;

use crate::authority::{Authority, View};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Shown(BTreeMap<ConnectionId, Vec<(&'static str, String)>>);

impl Shown {
    /// A good token was shown in a request of this method. A client that registers anew does so with this one alone.
    pub(crate) fn note(
        &mut self,
        authority: &Authority,
        connection: ConnectionId,
        method: &'static str,
        token: &str,
    ) {
        let of = |token: &str| authority.issued(token).map(|of| of.wish.client.clone());
        let shown = self.0.entry(connection).or_default();
        if method == "REGISTER" {
            shown.retain(|(before, other)| *before != method || of(other) != of(token));
        }
        shown.push((method, token.to_owned()));
    }

    pub(crate) fn loses(&mut self, connection: ConnectionId) {
        self.0.remove(&connection);
    }

    /// Whether the connection has to be closed: it is registered with a token that ends so, or has an open call and made one with such a token.
    pub(crate) fn must_end(
        &self,
        authority: &Authority,
        view: &View,
        connection: ConnectionId,
        has_call: bool,
    ) -> bool {
        let shown = self.0.get(&connection).into_iter().flatten();
        let mut counting = shown.filter(|(method, _)| has_call || *method == "REGISTER");
        counting.any(|(_, token)| {
            let issued = authority.issued(token);
            issued.is_some_and(|issued| view.ends(issued))
        })
    }
}
