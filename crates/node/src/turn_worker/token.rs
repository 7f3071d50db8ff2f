//! What mio's tokens stand for.

use turn::RelayId;

/// A source of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Mail has come.
    Mail,
    /// A listening UDP socket.
    Door(u16),
    /// A listening TCP socket.
    Listener(u16),
    /// A relay socket; of the generation, as many bits as there is room for.
    Relay(RelayId),
    /// A TCP or TLS connection.
    Stream(u64),
}

const KIND: u32 = 61;
/// Of a relay's generation: more than places are used again while an event waits.
const GENERATION: u32 = (1 << (KIND - 32)) - 1;

impl Token {
    pub(super) fn of(relay: RelayId) -> Self {
        Self::Relay(told(relay))
    }
}

/// A relay as events name it.
pub(super) fn told(relay: RelayId) -> RelayId {
    RelayId {
        generation: relay.generation & GENERATION,
        ..relay
    }
}

impl From<Token> for mio::Token {
    fn from(token: Token) -> Self {
        let (kind, number) = match token {
            Token::Mail => (0, 0),
            Token::Door(index) => (1, u64::from(index)),
            Token::Listener(index) => (2, u64::from(index)),
            Token::Relay(relay) => {
                let generation = u64::from(relay.generation & GENERATION);
                (3, generation << 32 | u64::from(relay.index))
            }
            Token::Stream(number) => (4, number & ((1 << KIND) - 1)),
        };
        Self((kind << KIND | number) as usize)
    }
}

impl From<mio::Token> for Token {
    fn from(token: mio::Token) -> Self {
        let (kind, number) = (token.0 as u64 >> KIND, token.0 as u64 & ((1 << KIND) - 1));
        match kind {
            1 => Self::Door(number as u16),
            2 => Self::Listener(number as u16),
            3 => Self::Relay(RelayId {
                index: number as u32,
                generation: (number >> 32) as u32,
            }),
            4 => Self::Stream(number),
            _ => Self::Mail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_as_they_went() {
        let relay = RelayId {
            index: u32::MAX,
            generation: GENERATION,
        };
        for token in [
            Token::Mail,
            Token::Door(u16::MAX),
            Token::Listener(7),
            Token::of(relay),
            Token::Stream((1 << KIND) - 1),
        ] {
            assert_eq!(Token::from(mio::Token::from(token)), token);
        }
    }
}
