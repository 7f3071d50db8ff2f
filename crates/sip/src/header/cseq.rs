//! CSeq (RFC 3261 §20.16): a number and a method.

use crate::bytes;
use crate::header::BadValue;
use crate::method::Method;

/// The place of a request in its dialog.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CSeq<'a> {
    /// Below 2^31 (RFC 3261 §8.1.1.5).
    pub number: u32,
    /// The method of the request, or of the request that a response answers.
    pub method: Method<'a>,
}

impl<'a> CSeq<'a> {
    /// Reads the value of a CSeq row.
    pub fn parse(value: &'a str) -> Result<Self, BadValue> {
        const SHAPE: BadValue = BadValue("must be a number below 2147483648, a space and a method");
        let end = value.bytes().position(bytes::is_space).ok_or(SHAPE)?;
        let method = bytes::trim_start(&value[end..]);
        if !bytes::is_token(method) {
            return Err(SHAPE);
        }
        let number = bytes::number(&value[..end], (1 << 31) - 1).ok_or(SHAPE)?;
        Ok(Self {
            number,
            method: Method::of(method),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_has_31_bits() {
        assert_eq!(
            CSeq::parse("0009\r\n INVITE"),
            Ok(CSeq {
                number: 9,
                method: Method::Invite
            })
        );
        assert_eq!(
            CSeq::parse("2147483647 INFO").map(|cseq| cseq.number),
            Ok(2_147_483_647)
        );
        for value in [
            "2147483648 INFO",
            "99999999999999999999999 INFO",
            "-1 INFO",
            "1",
            "1 ",
            "INFO",
            "1INFO",
            "1 IN FO",
            "",
        ] {
            assert!(CSeq::parse(value).is_err(), "{value:?} was read as a CSeq");
        }
    }
}
