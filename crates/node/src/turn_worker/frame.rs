//! Messages in a stream of bytes: where the first one ends.
//!
//! Looks at the first bytes alone. RFC 8656 §12.5, RFC 8489 §5 and §6.2.2.

const STUN_HEADER: usize = 20;
const CHANNEL_HEADER: usize = 4;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// The longest message, with what pads it.
pub(super) const LONGEST: usize = STUN_HEADER + 0x1_0000;

/// What a stream's next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A message of `message` bytes, then padding up to `whole`.
    Message {
        /// Its length.
        message: usize,
        /// How many bytes it takes of the stream.
        whole: usize,
    },
    /// The beginning of a message.
    Part,
    /// Neither STUN nor ChannelData.
    Garbage,
}

/// Looks at the next bytes of a stream.
pub(super) fn next(bytes: &[u8]) -> Frame {
    let Some(first) = bytes.first() else {
        return Frame::Part;
    };
    let (message, whole) = match first {
        // RFC 8489 §5: the two highest bits are zero.
        0x00..=0x3f => {
            let cookie = bytes.get(4..bytes.len().min(8)).unwrap_or_default();
            if !COOKIE.starts_with(cookie) {
                return Frame::Garbage;
            }
            let Some(length) = length(bytes) else {
                return Frame::Part;
            };
            // §14: attributes are padded to four bytes.
            if !length.is_multiple_of(4) {
                return Frame::Garbage;
            }
            (STUN_HEADER + length, STUN_HEADER + length)
        }
        // RFC 8656 §12: channel numbers.
        0x40..=0x7f => {
            let Some(length) = length(bytes) else {
                return Frame::Part;
            };
            let whole = CHANNEL_HEADER + length.next_multiple_of(4);
            (CHANNEL_HEADER + length, whole)
        }
        _ => return Frame::Garbage,
    };
    if bytes.len() < whole {
        Frame::Part
    } else {
        Frame::Message { message, whole }
    }
}

fn length(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(2..4)?.try_into().ok()?;
    Some(u16::from_be_bytes(length).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_where_its_length_says() {
        let mut binding = vec![0, 1, 0, 4];
        binding.extend(COOKIE);
        binding.extend([7; 12]);
        binding.extend([0x80, 0x22, 0, 0]);
        for end in 0..binding.len() {
            assert_eq!(next(&binding[..end]), Frame::Part, "{end}");
        }
        let whole = Frame::Message {
            message: 24,
            whole: 24,
        };
        assert_eq!(next(&binding), whole);
        binding.push(0x40);
        assert_eq!(next(&binding), whole);
    }

    #[test]
    fn channel_data_is_padded_to_four() {
        let bytes = [0x40, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0, 0x40];
        for end in 0..12 {
            assert_eq!(next(&bytes[..end]), Frame::Part, "{end}");
        }
        let padded = Frame::Message {
            message: 9,
            whole: 12,
        };
        assert_eq!(next(&bytes), padded);
        let empty = Frame::Message {
            message: 4,
            whole: 4,
        };
        assert_eq!(next(&[0x7f, 0xff, 0, 0]), empty);
    }

    #[test]
    fn what_no_message_begins_with_is_garbage() {
        assert_eq!(next(b"\x80"), Frame::Garbage);
        assert_eq!(next(&[0x16, 3, 1, 2, 0, 1]), Frame::Garbage);
        assert_eq!(next(&[0, 1, 0, 3, 0x21, 0x12, 0xa4, 0x42]), Frame::Garbage);
    }
}
