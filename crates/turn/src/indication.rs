//! Send and Data indications, read and written straight: they carry data, and nothing is allocated for them.
//! RFC 8489 §5, §14; RFC 8656 §11.
//!
//! Judges form alone; whether the data may go anywhere is seen elsewhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rand_chacha::rand_core::Rng;
use stun_types::attribute::{
    AttributeStaticType as _, AttributeType, Fingerprint, MessageIntegrity, MessageIntegritySha256,
};
use stun_types::message::Message;
use turn_types::attribute::{Data, DontFragment, XorPeerAddress};

use crate::input::Head;
use crate::request;

const SEND: [u8; 2] = [0x00, 0x16];
const DATA: [u8; 2] = [0x00, 0x17];
const COOKIE: u32 = 0x2112_a442;
const HEADER: usize = 20;

/// What a client sends to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parcel<'a> {
    pub(crate) peer: SocketAddr,
    pub(crate) data: &'a [u8],
    pub(crate) dont_fragment: bool,
}

/// Whether a message says that it is a Send indication.
pub(crate) fn is_send(message: &[u8]) -> bool {
    message.starts_with(&SEND)
}

/// Nothing for what is no complete Send indication, or has something in it that must be understood and is not.
pub(crate) fn read_send(message: &[u8]) -> Option<Parcel<'_>> {
    let (header, rest) = message.split_first_chunk::<HEADER>()?;
    let (kind, len) = (header.first_chunk()?, two(&header[2..])?);
    if *kind != SEND || header[4..8] != COOKIE.to_be_bytes() || !len.is_multiple_of(4) {
        return None;
    }
    let mut rest = rest.get(..usize::from(len))?;
    let (mut peer, mut data, mut dont_fragment) = (None, None, false);
    while !rest.is_empty() {
        let (kind, len) = (
            AttributeType::new(two(rest)?),
            usize::from(two(&rest[2..])?),
        );
        let value = rest.get(4..4 + len)?;
        rest = rest.get(4 + len.next_multiple_of(4)..)?;
        match kind {
            XorPeerAddress::TYPE if peer.is_none() => peer = Some(read_address(value, header)?),
            Data::TYPE if data.is_none() => data = Some(value),
            DontFragment::TYPE => dont_fragment = true,
            // What follows them does not count (RFC 8489 §14.5); whether they are right is rarely asked.
            MessageIntegrity::TYPE | MessageIntegritySha256::TYPE | Fingerprint::TYPE => {
                Message::from_bytes(message).ok()?;
                break;
            }
            kind if request::is_understood(kind) => {}
            _ => return None,
        }
    }
    Some(Parcel {
        peer: peer?,
        data: data?,
        dont_fragment,
    })
}

/// A Data indication up to its data: header, XOR-PEER-ADDRESS, the head of DATA.
pub(crate) fn data_head(peer: SocketAddr, len: usize, random: &mut impl Rng) -> Head {
    let mut bytes = [0; Head::MAX];
    let mut pad = [0; 16];
    pad[..4].copy_from_slice(&COOKIE.to_be_bytes());
    pad[4..12].copy_from_slice(&random.next_u64().to_be_bytes());
    pad[12..].copy_from_slice(&random.next_u32().to_be_bytes());
    let mut octets = [0; 16];
    let (family, address_len) = match peer.ip() {
        IpAddr::V4(ip) => {
            octets[..4].copy_from_slice(&ip.octets());
            (1, 4)
        }
        IpAddr::V6(ip) => {
            octets = ip.octets();
            (2, 16)
        }
    };
    for (octet, pad) in octets.iter_mut().zip(pad) {
        *octet ^= pad;
    }
    let end = HEADER + 8 + address_len + 4;
    let body = end - HEADER + len.next_multiple_of(4);
    bytes[..2].copy_from_slice(&DATA);
    bytes[2..4].copy_from_slice(&(body as u16).to_be_bytes());
    bytes[4..HEADER].copy_from_slice(&pad);
    bytes[20..22].copy_from_slice(&XorPeerAddress::TYPE.value().to_be_bytes());
    bytes[22..24].copy_from_slice(&(4 + address_len as u16).to_be_bytes());
    bytes[25] = family;
    bytes[26..28].copy_from_slice(&(peer.port() ^ port_pad()).to_be_bytes());
    bytes[28..28 + address_len].copy_from_slice(&octets[..address_len]);
    bytes[end - 4..end - 2].copy_from_slice(&Data::TYPE.value().to_be_bytes());
    bytes[end - 2..end].copy_from_slice(&(len as u16).to_be_bytes());
    Head::new(&bytes[..end])
}

/// RFC 8489 §14.2: under the cookie and the transaction id.
fn read_address(value: &[u8], header: &[u8; HEADER]) -> Option<SocketAddr> {
    let (family, port) = (*value.get(1)?, two(value.get(2..)?)? ^ port_pad());
    let (octets, pad) = (value.get(4..)?, header.last_chunk::<16>()?);
    let ip = match (family, octets.len()) {
        (1, 4) => {
            let bits = u32::from_be_bytes(octets.try_into().ok()?) ^ COOKIE;
            Ipv4Addr::from_bits(bits).into()
        }
        (2, 16) => {
            let bits = u128::from_be_bytes(octets.try_into().ok()?) ^ u128::from_be_bytes(*pad);
            Ipv6Addr::from_bits(bits).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

const fn port_pad() -> u16 {
    (COOKIE >> 16) as u16
}

fn two(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk().map(|two| u16::from_be_bytes(*two))
}
