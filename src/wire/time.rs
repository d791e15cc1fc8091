//! Timestamps: the extension that MessagePack defines, and the calendar.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use crate::visible::Quoted;
use crate::{Error, Result, Status};

const NANOS_PER_SECOND: u32 = 1_000_000_000;
const NANOS_PER_MILLI: u32 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
/// The years that RFC 3339 can write, as seconds since 1970: `0000-01-01T00:00:00Z` to `9999-12-31T23:59:59Z`.
const WRITABLE: std::ops::RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;
/// The extension's type.
const EXT_TYPE: i8 = -1;
/// The seconds of the form of 8 bytes; the bits above are nanoseconds.
const SHORT_SECOND_BITS: u32 = 34;

/// A point in time, to the nanosecond, in UTC: what an extension of MessagePack can say. It is sent as
/// [`Value::Time`](super::Value::Time), and read by [`State::time_value`](crate::State::time_value).
///
/// Its text is that of RFC 3339, like `2026-11-28T23:20:33.123Z`: without a fraction, or with one of 3, 6 or 9 digits,
/// as few as hold it. `{:.3}` writes exactly three digits, and cuts off the rest. Beyond the years 0 to 9999, which that form
/// does not have, it is the seconds since 1970 behind an `@`.
///
/// ```
/// use nanostate::wire::Time;
///
/// let time: Time = "2026-11-28T23:20:33.5+01:00".parse()?;
/// assert_eq!(time.to_string(), "2026-11-28T22:20:33.500Z");
/// assert_eq!(time, Time::from_millis(1_795_904_433_500));
/// # Ok::<(), nanostate::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    seconds: i64,
    nanos: u32,
}

impl Time {
    /// So many seconds since 1970, and nanoseconds behind them. None with as many nanoseconds as a second has.
    pub const fn new(seconds: i64, nanos: u32) -> Option<Time> {
        match nanos < NANOS_PER_SECOND {
            true => Some(Time { seconds, nanos }),
            false => None,
        }
    }

    /// A time in milliseconds since 1970.
    pub const fn from_millis(millis: i64) -> Time {
        Time { seconds: millis.div_euclid(1000), nanos: millis.rem_euclid(1000) as u32 * NANOS_PER_MILLI }
    }

    /// Seconds since 1970; the time is not before them.
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// The nanoseconds behind [`Time::seconds`], fewer than a second has.
    pub const fn nanos(self) -> u32 {
        self.nanos
    }

    /// Milliseconds since 1970, which the time is not before, and the nanoseconds behind them. None if they need more than
    /// 64 bits.
    pub fn as_millis(self) -> Option<(i64, u32)> {
        let millis = i128::from(self.seconds) * 1000 + i128::from(self.nanos / NANOS_PER_MILLI);
        Some((millis.try_into().ok()?, self.nanos % NANOS_PER_MILLI))
    }

    /// Whether it has a text in the form of RFC 3339: in the years 0 to 9999.
    pub fn is_writable(self) -> bool {
        WRITABLE.contains(&self.seconds)
    }

    /// The time in an extension, in any of MessagePack's three forms: 4 bytes of seconds; 8 bytes of nanoseconds and
    /// seconds; 12 bytes of nanoseconds and signed seconds. None for everything else.
    pub fn from_ext(ext_type: i8, data: &[u8]) -> Option<Time> {
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

    /// The extension, in the shortest form: its type, and the bytes of it that are in use.
    pub(super) fn to_ext(self) -> (i8, [u8; 12], usize) {
        let mut bytes = [0; 12];
        let len = match (u64::try_from(self.seconds), self.nanos) {
            (Ok(seconds), 0) if seconds <= u32::MAX.into() => {
                bytes[..4].copy_from_slice(&(seconds as u32).to_be_bytes());
                4
            }
            (Ok(seconds), nanos) if seconds < 1 << SHORT_SECOND_BITS => {
                bytes[..8].copy_from_slice(&(u64::from(nanos) << SHORT_SECOND_BITS | seconds).to_be_bytes());
                8
            }
            (_, nanos) => {
                bytes[..4].copy_from_slice(&nanos.to_be_bytes());
                bytes[4..].copy_from_slice(&self.seconds.to_be_bytes());
                12
            }
        };
        (EXT_TYPE, bytes, len)
    }
}

impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Time {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Time { seconds: since.as_secs().try_into().unwrap_or(i64::MAX), nanos: since.subsec_nanos() },
            Err(before) => {
                let before = before.duration();
                let seconds = i64::try_from(before.as_secs()).map_or(i64::MIN, |seconds| -seconds);
                match before.subsec_nanos() {
                    0 => Time { seconds, nanos: 0 },
                    nanos => Time { seconds: seconds.saturating_sub(1), nanos: NANOS_PER_SECOND - nanos },
                }
            }
        }
    }
}

impl TryFrom<Time> for SystemTime {
    type Error = Error;

    /// # Errors
    /// [`Status::Range`]: beyond the clock of this system.
    fn try_from(time: Time) -> Result<SystemTime> {
        let seconds = Duration::from_secs(time.seconds.unsigned_abs());
        let second = match time.seconds < 0 {
            true => SystemTime::UNIX_EPOCH.checked_sub(seconds),
            false => SystemTime::UNIX_EPOCH.checked_add(seconds),
        };
        let time_or_none = second.and_then(|second| second.checked_add(Duration::from_nanos(time.nanos.into())));
        time_or_none.ok_or_else(|| Error::new(Status::Range, format!("{time} is beyond the clock of this system")))
    }
}

impl FromStr for Time {
    type Err = Error;

    /// Reads the form of RFC 3339, with any offset and with up to 9 digits of a fraction.
    ///
    /// # Errors
    /// [`Status::Invalid`].
    fn from_str(text: &str) -> Result<Time> {
        read(text).ok_or_else(|| {
            let like = "expected a time like 2026-11-28T23:20:33.123Z";
            Error::new(Status::Invalid, format!("{like}, not {}", Quoted(&text.chars().take(60).collect::<String>())))
        })
    }
}

/// Reads a time in the form of RFC 3339.
fn read(text: &str) -> Option<Time> {
    let (date, rest) = (text.get(..10)?, text.get(10..)?);
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = (rest.get(..8)?, rest.get(8..)?);
    let [year, month, day] = parts(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = parts(clock, ':', [2, 2, 2])?;
    let (nanos, offset) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(rest) => {
            let digits = rest.find(|char: char| !char.is_ascii_digit())?;
            let (fraction, offset) = rest.split_at(digits);
            (number(fraction, 1..=9)? * 10_i64.pow(9 - digits as u32), offset)
        }
    };
    let offset = match offset {
        "Z" | "z" => 0,
        offset => {
            let sign = if offset.strip_prefix('-').is_some() { -1 } else { 1 };
            let [hours, minutes] = parts(offset.strip_prefix(['+', '-'])?, ':', [2, 2])?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            sign * (hours * 60 + minutes) * 60
        }
    };
    let days = days(year, month, day).filter(|_| hour <= 23 && minute <= 59 && second <= 59)?;
    Time::new(days * SECONDS_PER_DAY + (hour * 60 + minute) * 60 + second - offset, nanos as u32)
}

/// The numbers in a text, each with as many digits.
fn parts<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (place, digits) in numbers.iter_mut().zip(digits) {
        *place = number(parts.next()?, digits..=digits)?;
    }
    parts.next().is_none().then_some(numbers)
}

/// The number that so many digits are.
fn number(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<i64> {
    let whole = digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    whole.then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_writable() {
            return write!(f, "@{}", self.seconds);
        }
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

const DAYS_TO_MARCH_0: i64 = 719_468;
const DAYS_OF_400_YEARS: i64 = 146_097;

/// The number of days since 1970 of a date of the years 0 to 9999 in the Gregorian calendar. None if there is no such day.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) {
        return None;
    }
    // As in `date`.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (years.div_euclid(400), years.rem_euclid(400));
    let day_of_era = 365 * year_of_era + year_of_era / 4 - year_of_era / 100 + (153 * months + 2) / 5 + day - 1;
    let days = era * DAYS_OF_400_YEARS + day_of_era - DAYS_TO_MARCH_0;
    // The 31st of a month with 30 days is the 1st of the next.
    (date(days) == (year, month, day)).then_some(days)
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar.
fn date(days: i64) -> (i64, i64, i64) {
    // Years that begin in March have their leap day at the end, and 400 of them always have as many days.
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
    use proptest::prelude::*;

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
            assert_eq!(super::days(year, month, day), Some(days));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1];
            assert_eq!((super::days(year, month, length + 1), super::days(year, month, 0)), (None, None));
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
        let shown = |millis| format!("{:.3}", Time::from_millis(millis));
        assert_eq!(shown(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(shown(1_735_689_599_999), "2024-12-31T23:59:59.999Z");
    }

    #[test]
    fn only_years_of_four_digits_are_written() {
        assert_eq!(text(*WRITABLE.start(), 0), "0000-01-01T00:00:00Z");
        assert_eq!(text(*WRITABLE.end(), 999_999_999), "9999-12-31T23:59:59.999999999Z");
        assert_eq!(text(WRITABLE.start() - 1, 0), "@-62167219201");
        assert_eq!(text(WRITABLE.end() + 1, 0), "@253402300800");
        assert_eq!(text(-1, 999_000_000), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_text_is_read_if_it_is_a_time_and_nothing_else() {
        for (text, seconds, nanos) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("1970-01-01t00:00:00.5z", 0, 500_000_000),
            ("1970-01-01 01:00:00.000000001+01:00", 0, 1),
            ("1969-12-31T23:59:59.25-00:30", 1799, 250_000_000),
            ("2024-02-29T12:00:00-12:00", 1_709_251_200, 0),
            ("0000-01-01T00:00:00+00:01", WRITABLE.start() - 60, 0),
            ("9999-12-31T23:59:59Z", *WRITABLE.end(), 0),
        ] {
            assert_eq!(text.parse::<Time>().ok(), Time::new(seconds, nanos), "{text}");
        }
        for text in [
            "",
            "now",
            "2026-11-28",
            "2026-11-28T23:20:33",
            "2026-11-28T23:20Z",
            "2026-11-28T23:20:60Z",
            "2026-11-28T24:00:00Z",
            "2026-11-28T23:60:00Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-31T00:00:00Z",
            "26-11-28T23:20:33Z",
            "+026-11-28T23:20:33Z",
            "2026-11-28T23:20:33.Z",
            "2026-11-28T23:20:33.1234567890Z",
            "2026-11-28T23:20:33.5",
            "2026-11-28T23:20:33+24:00",
            "2026-11-28T23:20:33+1:00",
            "2026-11-28T23:20:33Z ",
            "2026-11-2é",
        ] {
            let error = text.parse::<Time>().expect_err(text);
            assert_eq!(error.status(), Status::Invalid);
            assert!(error.to_string().ends_with(&format!(", not {}", Quoted(text))), "{error}");
        }
    }

    #[test]
    fn milliseconds_are_those_that_have_passed_and_need_not_fit() {
        for (millis, seconds, nanos) in [
            (0, 0, 0),
            (1, 0, 1_000_000),
            (-1, -1, 999_000_000),
            (-1000, -1, 0),
            (i64::MAX, 9_223_372_036_854_775, 807_000_000),
            (i64::MIN, -9_223_372_036_854_776, 192_000_000),
        ] {
            let time = Time::from_millis(millis);
            assert_eq!((time.seconds(), time.nanos(), time.as_millis()), (seconds, nanos, Some((millis, 0))));
        }
        let of = |seconds, nanos| Time::new(seconds, nanos).and_then(Time::as_millis);
        assert_eq!(of(-1, 999_999_999), Some((-1, 999_999)));
        assert_eq!((of(i64::MAX, 0), of(i64::MIN, 0)), (None, None));
    }

    #[test]
    fn the_time_of_the_system_comes_and_goes() {
        let second = Duration::from_secs(1);
        for (time, seconds, nanos) in [
            (SystemTime::UNIX_EPOCH + second / 4, 0, 250_000_000),
            (SystemTime::UNIX_EPOCH - second / 4, -1, 750_000_000),
            (SystemTime::UNIX_EPOCH - second, -1, 0),
        ] {
            assert_eq!(Some(Time::from(time)), Time::new(seconds, nanos));
            assert_eq!(SystemTime::try_from(Time::from(time)), Ok(time));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_time_is_read_as_it_was_written(seconds in any::<i64>(), shift in 0..64, nanos in 0..NANOS_PER_SECOND, whole in any::<bool>()) {
            let time = Time::new(seconds >> shift, if whole { 0 } else { nanos }).expect("less than a second");
            let (number, bytes, len) = time.to_ext();
            prop_assert_eq!(Time::from_ext(number, &bytes[..len]), Some(time));
            let short = (0..1 << SHORT_SECOND_BITS).contains(&time.seconds());
            let least = match short {
                true if time.nanos() == 0 && time.seconds() <= u32::MAX.into() => 4,
                true => 8,
                false => 12,
            };
            prop_assert_eq!(len, least);
            if time.is_writable() {
                prop_assert_eq!(time.to_string().parse::<Time>(), Ok(time));
            }
        }
    }
}
