//! Protected RTP and RTCP (RFC 3711, RFC 7714) of one leg: what leaves is sealed, and what comes is opened or dropped.
//!
//! Never agrees on keys: they come in from the SDP, and randomness with them. Never shows a key, and wipes what it has kept of one. A
//! packet changes nothing here before it is known to be the peer's.

mod cipher;
mod context;
mod keys;
mod open;
mod seal;
#[cfg(test)]
mod tests;
mod window;

pub use context::Context;
pub use keys::{MasterKey, Suite};
pub use open::{Closed, Opener};
pub use seal::Sealer;

/// Where the payload of an RTP packet begins: behind its sources and its extension, which are not encrypted (RFC 3711 §3.1).
fn head_of(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    if first >> 6 != 2 {
        return None;
    }
    let mut head = 12 + 4 * usize::from(first & 0xf);
    if first & 0x10 != 0 {
        let words = packet.get(head + 2..head + 4)?;
        head += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    }
    (head <= packet.len()).then_some(head)
}

/// The 32 bits at a place.
fn word(packet: &[u8], at: usize) -> Option<u32> {
    let bytes = packet.get(at..at + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}
