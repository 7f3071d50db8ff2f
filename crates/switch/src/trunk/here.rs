//! Where peers reach us: what stands in Via and Contact (RFC 3261 §18.1.1, §19.1.1).
//!
//! A trunk by TLS has `sip:` addresses with `transport=tls`, not `sips:`, which would ask for TLS on every hop behind the peer as
//! well, of whose telephones few have it (RFC 5630 §3.1). Never opens a socket.

use std::fmt;
use std::net::SocketAddr;

use model::TrunkTransport;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Here {
    /// The address of our socket as peers know it.
    pub(super) at: SocketAddr,
    pub(super) transport: TrunkTransport,
}

impl Here {
    /// The value of a Via of ours. Answers to datagrams come where these came from (RFC 3581); on a connection they do so anyway.
    pub(super) fn via(self, branch: &str) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            let transport = self.transport.in_via();
            write!(f, "SIP/2.0/{transport} {};branch={branch}", self.at)?;
            match self.transport.is_stream() {
                true => Ok(()),
                false => f.write_str(";rport"),
            }
        })
    }

    /// The value of a Contact of ours.
    pub(super) fn contact(self, user: Option<&str>) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            f.write_str("<sip:")?;
            if let Some(user) = user {
                write!(f, "{user}@")?;
            }
            write!(f, "{}", self.at)?;
            match self.transport.is_stream() {
                true => write!(f, ";transport={}>", self.transport.as_str()),
                false => f.write_str(">"),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_how_to_come_names_the_transport() {
        let at = "192.0.2.1:5061".parse().unwrap();
        let told = |transport| {
            let here = Here { at, transport };
            let (user, host) = (here.contact(Some("bob")), here.contact(None));
            [
                here.via("b").to_string(),
                user.to_string(),
                host.to_string(),
            ]
        };
        assert_eq!(
            told(TrunkTransport::Udp),
            [
                "SIP/2.0/UDP 192.0.2.1:5061;branch=b;rport",
                "<sip:bob@192.0.2.1:5061>",
                "<sip:192.0.2.1:5061>"
            ]
        );
        assert_eq!(
            told(TrunkTransport::Tls),
            [
                "SIP/2.0/TLS 192.0.2.1:5061;branch=b",
                "<sip:bob@192.0.2.1:5061;transport=tls>",
                "<sip:192.0.2.1:5061;transport=tls>"
            ]
        );
        assert!(told(TrunkTransport::Tcp)[0].starts_with("SIP/2.0/TCP "));
    }
}
