//! What a leg speaks with its peer, whence that may come, and the description that both have of it.
//!
//! Never shows a description: keys stand in it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// A session description: what a leg speaks, and with which keys. It is shown to nobody but the peer.
#[derive(Clone, PartialEq, Eq)]
pub struct Sdp(Arc<str>);

impl From<&str> for Sdp {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Sdp {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<Arc<str>> for Sdp {
    fn from(text: Arc<str>) -> Self {
        Self(text)
    }
}

impl std::ops::Deref for Sdp {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sdp({} bytes)", self.0.len())
    }
}

/// What a leg speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LegKind {
    /// ICE, DTLS and SRTP (RFC 8827).
    WebRtc,
    /// Plain RTP (RFC 3550).
    Rtp {
        /// Whence a peer behind a NAT may come, if not from where its SDP says.
        allowed: Vec<Network>,
    },
    /// RTP that is protected with the keys in the SDP (RFC 3711, RFC 4568).
    Srtp {
        /// Whence a peer behind a NAT may come, if not from where its SDP says.
        allowed: Vec<Network>,
        /// Whether a peer that offers plain RTP is refused; our own offers are never plain.
        is_required: bool,
    },
}

/// Addresses with the same first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    ip: IpAddr,
    bits: u8,
}

impl Network {
    /// So many bits of this address; nothing if it has not so many.
    pub fn new(ip: IpAddr, bits: u8) -> Option<Self> {
        let most = if ip.is_ipv4() { 32 } else { 128 };
        (bits <= most).then_some(Self { ip, bits })
    }

    /// Whether an address is one of them. IPv4 in IPv6 is IPv4.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.ip.to_canonical(), ip.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LegId, MediaEvent, SessionId};
    use super::*;

    #[test]
    fn the_keys_of_a_description_are_not_shown() {
        let sdp = Sdp::from("a=crypto:1 AEAD_AES_128_GCM inline:c2VjcmV0");
        let leg = LegId {
            session: SessionId(1),
            place: 0,
        };
        assert!(sdp.contains("c2VjcmV0"));
        let event = MediaEvent::Offered { leg, offer: sdp };
        assert!(!format!("{event:?}").contains("c2VjcmV0"), "{event:?}");
    }

    #[test]
    fn a_network_holds_what_has_its_first_bits() {
        let network = |ip: &str, bits| Network::new(ip.parse().unwrap(), bits).unwrap();
        let holds = |network: Network, ip: &str| network.contains(ip.parse().unwrap());
        assert!(holds(network("192.0.2.128", 25), "192.0.2.255"));
        assert!(!holds(network("192.0.2.128", 25), "192.0.2.127"));
        assert!(holds(network("192.0.2.0", 24), "::ffff:192.0.2.9"));
        assert!(holds(network("0.0.0.0", 0), "198.51.100.1"));
        assert!(!holds(network("0.0.0.0", 0), "2001:db8::1"));
        assert!(holds(network("2001:db8::", 32), "2001:db8:1::1"));
        assert_eq!(Network::new("192.0.2.0".parse().unwrap(), 33), None);
    }
}
