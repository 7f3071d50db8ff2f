//! The numbers of one source that have come: how those of packets go on where they wrap (RFC 3711 §3.3.1), and which have come already
//! (§3.3.2).
//!
//! Never moves for a number that was not authentic: whoever asks first takes afterwards.

/// The last numbers that are known one by one; RFC 3711 asks for 64 at least.
pub(super) const NUMBERS: u64 = 128;

/// One source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    highest: u64,
    /// The highest is the lowest bit.
    seen: u128,
}

impl Window {
    /// From the first number that has come.
    pub(super) fn new(first: u64) -> Self {
        Self {
            highest: first,
            seen: 1,
        }
    }

    /// The whole number whose last 16 bits these are; nothing if it would lie before the first wrap.
    pub(super) fn whole(&self, number: u16) -> Option<u64> {
        let ahead = number.wrapping_sub(self.highest as u16);
        if ahead < 1 << 15 {
            Some(self.highest + u64::from(ahead))
        } else {
            self.highest.checked_sub(u64::from(ahead.wrapping_neg()))
        }
    }

    /// Whether it may be taken: it has not come, and is not older than what is known.
    pub(super) fn is_fresh(&self, number: u64) -> bool {
        let Some(behind) = self.highest.checked_sub(number) else {
            return true;
        };
        behind < NUMBERS && self.seen >> behind & 1 == 0
    }

    /// It has come.
    pub(super) fn take(&mut self, number: u64) {
        match number.checked_sub(self.highest) {
            Some(ahead) => {
                let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
                self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
                self.highest = number;
            }
            None => self.seen |= 1 << (self.highest - number).min(NUMBERS - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_where_they_wrap_and_none_is_taken_twice() {
        let mut window = Window::new(65_534);
        assert!(!window.is_fresh(65_534));
        assert_eq!(window.whole(65_535), Some(65_535));
        assert_eq!(window.whole(1), Some(65_537));
        window.take(65_537);
        // Those that were overtaken are of the time before the wrap.
        for (number, whole) in [(65_535, 65_535), (0, 65_536), (65_533, 65_533)] {
            assert_eq!(window.whole(number), Some(whole));
            assert!(window.is_fresh(whole), "{number}");
            window.take(whole);
            assert!(!window.is_fresh(whole), "{number}");
        }
        assert!(!window.is_fresh(65_534) && !window.is_fresh(65_537));
        assert!(window.is_fresh(65_532));
        window.take(65_537 + 10_000);
        assert!(!window.is_fresh(65_537), "it is too old to be known");
        assert!(!window.is_fresh(75_537 - NUMBERS));
        assert!(window.is_fresh(75_537 - NUMBERS + 1));
    }

    #[test]
    fn nothing_lies_before_the_first_wrap() {
        assert_eq!(Window::new(5).whole(65_530), None);
        assert_eq!(Window::new(5).whole(4), Some(4));
        assert_eq!(Window::new(5).whole(32_772), Some(32_772));
    }

    proptest::proptest! {
        #[test]
        fn a_number_is_taken_once(numbers in proptest::collection::vec(0_u64..400, 1..300)) {
            let mut window = Window::new(200);
            let mut taken = std::collections::BTreeSet::from([200_u64]);
            for number in numbers {
                let highest = *taken.last().unwrap();
                let is_known = highest.saturating_sub(number) >= NUMBERS || taken.contains(&number);
                proptest::prop_assert_eq!(window.is_fresh(number), !is_known);
                if !is_known {
                    window.take(number);
                    taken.insert(number);
                }
            }
        }
    }
}
