//! What mio's tokens stand for.

use media::rtp::RtpPort;

/// A source of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Mail has come.
    Mail,
    /// A socket of all browsers.
    Door(u16),
    /// One of the two sockets of a leg, by the number of the pair.
    Rtp(u64, RtpPort),
}

/// Where pairs begin.
const PAIRS: u64 = 1 << 17;

impl From<Token> for mio::Token {
    fn from(token: Token) -> Self {
        let number = match token {
            Token::Mail => 0,
            Token::Door(index) => 1 + u64::from(index),
            Token::Rtp(pair, port) => PAIRS + 2 * pair + port_bit(port) as u64,
        };
        Self(number as usize)
    }
}

impl From<mio::Token> for Token {
    fn from(token: mio::Token) -> Self {
        match token.0 as u64 {
            0 => Self::Mail,
            number if number < PAIRS => Self::Door((number - 1) as u16),
            number => {
                let port = if number.is_multiple_of(2) {
                    RtpPort::Rtp
                } else {
                    RtpPort::Rtcp
                };
                Self::Rtp((number - PAIRS) / 2, port)
            }
        }
    }
}

/// Which of the two sockets.
pub(super) fn port_bit(port: RtpPort) -> usize {
    match port {
        RtpPort::Rtp => 0,
        RtpPort::Rtcp => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_as_they_went() {
        for token in [
            Token::Mail,
            Token::Door(0),
            Token::Door(u16::MAX),
            Token::Rtp(0, RtpPort::Rtp),
            Token::Rtp(9, RtpPort::Rtcp),
        ] {
            assert_eq!(Token::from(mio::Token::from(token)), token);
        }
    }
}
