//! Why a server does not serve the benchmark, in sentences that say what would be right.

use std::net::SocketAddr;

use stun_types::attribute::ErrorCode;

use super::allocation::Wish;

/// Nobody answered.
pub(super) fn silence(server: SocketAddr) -> String {
    format!(
        "no answer from {server}: is a TURN server there that listens on UDP, and does a firewall let it through?"
    )
}

/// The machine is there, and nobody on that port of it.
pub(super) fn nobody(server: SocketAddr) -> String {
    format!("nobody listens on UDP at {server}")
}

/// What an error response means to the one who started the benchmark; `made` allocations stand already.
pub(super) fn sentence(error: &ErrorCode, wish: Wish, user: &str, made: usize) -> String {
    let why = match (error.code(), wish) {
        (401 | 441, _) => {
            format!(
                "the server does not know user `{user}` with this password, or the credential has expired"
            )
        }
        (403, Wish::Bind(peer)) => format!(
            "the server forbids the peer {peer}: a credential for back ends reaches public addresses only, so offhook \
             must have the network of {ip} in `turn_allow` (coturn: --allow-loopback-peers for 127.0.0.1); or say \
             --peer with an address that it allows",
            ip = peer.ip()
        ),
        (403, Wish::Allocate | Wish::Refresh(_)) => "the server forbids it".to_owned(),
        (486, _) => format!(
            "the quota of user `{user}` is full, {made} allocations were made: take fewer with --allocations, or raise it \
             (offhook: turn_client_allocations and turn_account_allocations; coturn: --user-quota)"
        ),
        (508, _) => format!(
            "the server has no room left, {made} allocations were made: its relay ports, open files or total quota are used up \
             (offhook: turn_ports and turn_allocations; coturn: --min-port, --max-port, --total-quota)"
        ),
        (437, Wish::Refresh(_) | Wish::Bind(_)) => {
            "the server has lost an allocation that it had made: was it started anew?".to_owned()
        }
        (_, Wish::Allocate) => "the server makes no allocation".to_owned(),
        (_, Wish::Bind(peer)) => format!("the server binds no channel to {peer}"),
        (_, Wish::Refresh(_)) => "the server does not refresh an allocation".to_owned(),
    };
    match error.reason() {
        "" => format!("{why} (error {})", error.code()),
        reason => format!("{why} (error {} {reason})", error.code()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_says_what_would_be_right() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 5_000));
        let said = |code, wish| {
            let error = ErrorCode::new(code, "No").unwrap();
            sentence(&error, wish, "u", 12)
        };
        assert_eq!(
            said(401, Wish::Allocate),
            "the server does not know user `u` with this password, or the credential has expired (error 401 No)"
        );
        assert!(said(403, Wish::Bind(peer)).contains("127.0.0.1 in `turn_allow`"));
        assert!(said(486, Wish::Allocate).contains("full, 12 allocations were made"));
        assert!(said(508, Wish::Allocate).contains("turn_ports"));
        assert!(said(437, Wish::Refresh(600)).contains("started anew"));
        assert!(said(500, Wish::Bind(peer)).contains("127.0.0.1:5000"));
    }
}
