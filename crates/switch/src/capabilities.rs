//! What we understand (RFC 3261 §8.2, §11.2), of clients and on the lines of trunks, and the words of it in an Allow row.
//!
//! Never asks what one client or one trunk may do.

use sip::{Capabilities, Method};

/// Provisional answers arrive (RFC 3262).
pub(crate) const RELIABLE: &str = "100rel";
/// What transfers want, which a trunk's peers may ask for (RFC 3891 §4, RFC 4488 §4).
pub(crate) const OF_TRANSFERS: [&str; 2] = ["replaces", "norefersub"];

/// Clients' first, then what lines of trunks understand besides.
const METHODS: &[Method<'static>] = &[
    Method::Invite,
    Method::Ack,
    Method::Cancel,
    Method::Bye,
    Method::Options,
    Method::Register,
    Method::Info,
    Method::Update,
    Method::Message,
    Method::Refer,
    Method::Notify,
];
const METHODS_OF_CLIENTS: usize = 9;

/// In the same order.
const EXTENSIONS: &[&str] = &[
    "timer",
    "outbound",
    "path",
    OF_TRANSFERS[0],
    OF_TRANSFERS[1],
    RELIABLE,
];
const EXTENSIONS_OF_CLIENTS: usize = 3;

const SCHEMES: &[&str] = &["sip", "sips"];

/// Of clients: session timers pass between them.
pub(crate) const CLIENTS: Capabilities = Capabilities {
    methods: METHODS.split_at(METHODS_OF_CLIENTS).0,
    extensions: EXTENSIONS.split_at(EXTENSIONS_OF_CLIENTS).0,
    schemes: SCHEMES,
};

/// Of the lines of trunks: a line does itself what makes provisional answers arrive (RFC 3262), and no client is sent them so.
pub(crate) const TRUNKS: Capabilities = Capabilities {
    methods: METHODS,
    extensions: EXTENSIONS,
    schemes: SCHEMES,
};

macro_rules! methods_of_clients {
    () => {
        "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, INFO, UPDATE, MESSAGE"
    };
}

/// The Allow row (RFC 3261 §20.5).
pub(crate) const ALLOW: &str = methods_of_clients!();

/// The same where transfers are to be had.
const ALLOW_TRANSFERS: &str = concat!(methods_of_clients!(), ", REFER, NOTIFY");

/// The Allow row of a trunk, whose peers may have calls transferred, or may not.
pub(crate) const fn allow(has_transfers: bool) -> &'static str {
    match has_transfers {
        true => ALLOW_TRANSFERS,
        false => ALLOW,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_rows_say_what_is_understood() {
        assert_eq!(CLIENTS.allow(), allow(false));
        assert_eq!(TRUNKS.allow(), allow(true));
        assert_eq!(CLIENTS.extensions, ["timer", "outbound", "path"]);
    }
}
