//! Time as values: a monotonic clock for timers, a calendar clock for people and tokens.
//!
//! Never reads a clock; whoever drives a pure machine brings `Now` along.

use std::fmt;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// A point on the monotonic clock, in microseconds since a start that only the driver knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The instant that lies `micros` microseconds after the driver's start.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the driver's start.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Instant {
    type Output = Self;

    fn add(self, after: Duration) -> Self {
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

/// Calendar time in milliseconds since 1970-01-01 00:00:00 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(u64);

impl UnixTime {
    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// From whole seconds since the epoch (the unit of a JWT's `exp`, RFC 7519 §2 NumericDate).
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// So long before this; the epoch at the earliest.
    pub fn before(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// How far this lies after `earlier`; zero if it does not.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// `(year, month)` in UTC, the period of a monthly limit.
    pub fn month(self) -> (i32, u8) {
        let date = self.date_time();
        (date.year(), u8::from(date.month()))
    }

    /// The first instant of the following month, UTC.
    pub fn next_month(self) -> Self {
        let (year, month) = self.month();
        let (year, month) = if month == 12 {
            (year + 1, 1)
        } else {
            (year, month + 1)
        };
        let month = time::Month::try_from(month).expect("a month of the calendar is 1 to 12");
        let first = time::Date::from_calendar_date(year, month, 1)
            .map_or(i64::MAX / 1000, |date| {
                date.midnight().assume_utc().unix_timestamp()
            });
        Self::from_secs(u64::try_from(first).unwrap_or(0))
    }

    /// The day alone, `YYYY-MM-DD` in UTC.
    pub fn day(self) -> String {
        self.date_time()
            .format(format_description!("[year]-[month]-[day]"))
            .unwrap_or_default()
    }

    /// Reads a time as RFC 3339 writes it, such as `2026-01-31T08:56:24Z`; what is finer than a millisecond is cut off.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let nanos = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        let millis = nanos.unix_timestamp_nanos() / 1_000_000;
        u64::try_from(millis).ok().map(Self)
    }

    /// `2026-01-31T08:56:24Z`, with milliseconds where there are any.
    pub fn rfc3339(self) -> String {
        let at = self.date_time();
        let seconds = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
        let seconds = at.format(seconds).unwrap_or_default();
        match self.0 % 1000 {
            0 => format!("{seconds}Z"),
            millis => format!("{seconds}.{millis:03}Z"),
        }
    }

    fn date_time(self) -> OffsetDateTime {
        i64::try_from(self.as_secs())
            .ok()
            .and_then(|secs| OffsetDateTime::from_unix_timestamp(secs).ok())
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

impl std::ops::Add<Duration> for UnixTime {
    type Output = Self;

    fn add(self, after: Duration) -> Self {
        let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }
}

/// `YYYY-MM-DD_hh:mm:ss` in UTC, the form that the web services use.
impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = format_description!("[year]-[month]-[day]_[hour]:[minute]:[second]");
        f.write_str(&self.date_time().format(format).map_err(|_| fmt::Error)?)
    }
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For timers and ages.
    pub mono: Instant,
    /// For tokens, records and people.
    pub unix: UnixTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_times_are_written_as_the_web_services_do() {
        assert_eq!(
            UnixTime::from_secs(1_610_700_984).to_string(),
            "2021-01-15_08:56:24"
        );
        assert_eq!(UnixTime::from_secs(1_610_700_984).day(), "2021-01-15");
    }

    #[test]
    fn times_of_rfc_3339_are_read_and_written_to_the_millisecond() {
        let at = UnixTime::from_millis(1_610_700_984_250);
        for text in [
            "2021-01-15T08:56:24.250Z",
            "2021-01-15t09:56:24.2509+01:00",
            "2021-01-15T06:26:24.25-02:30",
        ] {
            assert_eq!(UnixTime::parse_rfc3339(text), Some(at), "{text}");
        }
        assert_eq!(at.rfc3339(), "2021-01-15T08:56:24.250Z");
        assert_eq!(UnixTime::from_secs(1).rfc3339(), "1970-01-01T00:00:01Z");
        for wrong in [
            "",
            "2021-01-15",
            "2021-01-15_08:56:24",
            "2021-01-15T08:56:24",
            "2021-02-30T08:56:24Z",
            "1969-12-31T00:00:00Z",
        ] {
            assert_eq!(UnixTime::parse_rfc3339(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_next_month_begins_on_its_first_day() {
        let december = UnixTime::from_secs(1_640_908_800);
        assert_eq!(december.month(), (2021, 12));
        assert_eq!(december.next_month().to_string(), "2022-01-01_00:00:00");
        assert_eq!(
            UnixTime::from_secs(1_610_700_984).next_month().to_string(),
            "2021-02-01_00:00:00"
        );
    }

    #[test]
    fn differences_never_go_below_zero() {
        let (early, late) = (Instant::from_micros(5), Instant::from_micros(9));
        assert_eq!(late.since(early), Duration::from_micros(4));
        assert_eq!(early.since(late), Duration::ZERO);
    }
}
