//! Timestamps: the extension that MessagePack defines, and the calendar.

use std::fmt;

const NANOS_PER_SECOND: u32 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
/// The years that RFC 3339 can write, as seconds since 1970: `0000-01-01T00:00:00Z` to `9999-12-31T23:59:59Z`.
const WRITABLE: std::ops::RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

/// A point in time, to the nanosecond, in UTC.
///
/// Its text is that of RFC 3339, like `2026-11-28T23:20:33.123Z`: without a fraction, or with one of 3, 6 or 9 digits,
/// as few as hold it. `{:.3}` writes exactly three digits, and cuts off the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    seconds: i64,
    nanos: u32,
}

impl Time {
    /// None outside the years 0 to 9999, or with more nanoseconds than a second has.
    pub fn new(seconds: i64, nanos: u32) -> Option<Time> {
        (WRITABLE.contains(&seconds) && nanos < NANOS_PER_SECOND).then_some(Time { seconds, nanos })
    }

    /// A time in milliseconds since 1970.
    pub fn from_millis(millis: u64) -> Option<Time> {
        Time::new((millis / 1000).try_into().ok()?, (millis % 1000) as u32 * 1_000_000)
    }

    /// The time in an extension, in any of MessagePack's three forms: 4 bytes of seconds; 8 bytes of nanoseconds and
    /// seconds; 12 bytes of nanoseconds and signed seconds. None for everything else.
    pub fn from_ext(ext_type: i8, data: &[u8]) -> Option<Time> {
        /// The extension's type.
        const EXT_TYPE: i8 = -1;
        /// The seconds of the form of 8 bytes; the bits above are nanoseconds.
        const SHORT_SECOND_BITS: u32 = 34;
        if ext_type != EXT_TYPE {
            return None;
        }
        if let Ok(bytes) = data.try_into() {
            return Time::new(u32::from_be_bytes(bytes).into(), 0);
        }
        if let Ok(bytes) = data.try_into() {
            let both = u64::from_be_bytes(bytes);
            let seconds = both & ((1 << SHORT_SECOND_BITS) - 1);
            return Time::new(seconds as i64, (both >> SHORT_SECOND_BITS) as u32);
        }
        let (nanos, seconds) = data.split_first_chunk()?;
        Time::new(i64::from_be_bytes(seconds.try_into().ok()?), u32::from_be_bytes(*nanos))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.seconds.div_euclid(SECONDS_PER_DAY), self.seconds.rem_euclid(SECONDS_PER_DAY));
        let (year, month, day) = date(days);
        write!(f, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)?;
        let digits = f.precision().unwrap_or(match self.nanos {
            0 => 0,
            nanos if nanos % 1_000_000 == 0 => 3,
            nanos if nanos % 1_000 == 0 => 6,
            _ => 9,
        });
        if digits > 0 {
            write!(f, ".{}", &format!("{:09}", self.nanos)[..digits.min(9)])?;
        }
        f.write_str("Z")
    }
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar.
fn date(days: i64) -> (i64, i64, i64) {
    // Years that begin in March have their leap day at the end, and 400 of them always have as many days.
    const DAYS_TO_MARCH_0: i64 = 719_468;
    const DAYS_OF_400_YEARS: i64 = 146_097;
    let days = days + DAYS_TO_MARCH_0;
    let (era, day) = (days.div_euclid(DAYS_OF_400_YEARS), days.rem_euclid(DAYS_OF_400_YEARS));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months from March on are 31, 30, 31, 30, 31 days long, over and over.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seconds: i64, nanos: u32) -> String {
        Time::new(seconds, nanos).map_or_else(|| "none".to_owned(), |time| time.to_string())
    }

    #[test]
    fn the_calendar_is_the_gregorian_one() {
        // Day by day, as a calendar on paper counts.
        let (mut year, mut month, mut day) = (0, 1, 1);
        for days in WRITABLE.start() / SECONDS_PER_DAY..=WRITABLE.end() / SECONDS_PER_DAY {
            assert_eq!(date(days), (year, month, day));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1];
            (day, month) = if day < length { (day + 1, month) } else { (1, month + 1) };
            (month, year) = if month <= 12 { (month, year) } else { (1, year + 1) };
        }
        assert_eq!((year, month, day), (10_000, 1, 1));
    }

    #[test]
    fn the_fraction_has_as_many_digits_as_it_needs() {
        for (nanos, shown) in [
            (0, "1970-01-01T00:00:00Z"),
            (500_000_000, "1970-01-01T00:00:00.500Z"),
            (1_000, "1970-01-01T00:00:00.000001Z"),
            (999_999_999, "1970-01-01T00:00:00.999999999Z"),
            (1_000_000_000, "none"),
        ] {
            assert_eq!(text(0, nanos), shown);
        }
        let shown = |millis| Time::from_millis(millis).map(|time| format!("{time:.3}"));
        assert_eq!(shown(0).as_deref(), Some("1970-01-01T00:00:00.000Z"));
        assert_eq!(shown(1_735_689_599_999).as_deref(), Some("2024-12-31T23:59:59.999Z"));
        assert_eq!(shown(u64::MAX), None);
    }

    #[test]
    fn only_years_of_four_digits_are_written() {
        assert_eq!(text(*WRITABLE.start(), 0), "0000-01-01T00:00:00Z");
        assert_eq!(text(*WRITABLE.end(), 999_999_999), "9999-12-31T23:59:59.999999999Z");
        assert_eq!(text(WRITABLE.start() - 1, 0), "none");
        assert_eq!(text(WRITABLE.end() + 1, 0), "none");
        assert_eq!(text(-1, 999_000_000), "1969-12-31T23:59:59.999Z");
    }
}
