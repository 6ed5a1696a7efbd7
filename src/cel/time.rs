//! Timestamps and durations, with Go's ranges and precision.

use std::fmt;

use super::error::Error;

/// A point in time: from `0001-01-01T00:00:00Z` to `9999-12-31T23:59:59.999999999Z`.
#[derive(Clone, Copy, Debug)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: i64,
    /// Nanoseconds of the second, below 1 000 000 000.
    pub nanos: u32,
    /// The offset that the text was written with, in seconds east of UTC; only `string()` shows it.
    pub offset: i32,
}

/// The first and the last second of a [`Timestamp`].
pub const FIRST_SECOND: i64 = -62_135_596_800;
pub const LAST_SECOND: i64 = 253_402_300_799;

impl PartialEq for Timestamp {
    fn eq(&self, other: &Self) -> bool {
        (self.seconds, self.nanos) == (other.seconds, other.nanos)
    }
}

impl Eq for Timestamp {}

impl PartialOrd for Timestamp {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timestamp {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.seconds, self.nanos).cmp(&(other.seconds, other.nanos))
    }
}

/// A length of time in nanoseconds, as Go's `time.Duration`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub i64);

/// Nanoseconds of a second.
pub(super) const NANOS: i64 = 1_000_000_000;

pub(super) fn out_of_range() -> Error {
    Error::overflow("the timestamp is outside the years 1 to 9999")
}

impl Timestamp {
    /// From seconds since 1970.
    pub(super) fn from_seconds(seconds: i64) -> Result<Self, Error> {
        if !(FIRST_SECOND..=LAST_SECOND).contains(&seconds) {
            return Err(out_of_range());
        }
        Ok(Self { seconds, nanos: 0, offset: 0 })
    }

    /// Reads RFC 3339 as Go's `time.Parse`: the hour may have one digit, and a comma may precede the fraction.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let no_time = || Error::invalid(format!("{} is not an RFC 3339 timestamp", quoted(text)));
        let parsed = parse_rfc3339(text).ok_or_else(no_time)?;
        if !(FIRST_SECOND..=LAST_SECOND).contains(&parsed.seconds) {
            return Err(out_of_range());
        }
        Ok(parsed)
    }

    /// The civil time at an offset (seconds east of UTC).
    pub(super) fn at(self, offset: i64) -> Civil {
        let seconds = self.seconds.saturating_add(offset);
        let (year, month, day) = civil_of(seconds.div_euclid(86_400));
        Civil { year, month, day, second_of_day: seconds.rem_euclid(86_400), nanos: self.nanos }
    }
}

/// A date and a time of day in some time zone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Civil {
    pub year: i64,
    /// From 1.
    pub month: i64,
    /// From 1.
    pub day: i64,
    pub second_of_day: i64,
    pub nanos: u32,
}

impl Civil {
    /// From 0.
    pub fn day_of_year(self) -> i64 {
        days_of(self.year, self.month, self.day) - days_of(self.year, 1, 1)
    }

    /// 0 is Sunday.
    pub fn day_of_week(self) -> i64 {
        (days_of(self.year, self.month, self.day) + 4).rem_euclid(7)
    }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date (year, month, day) of a day since 1970-01-01.
fn civil_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Takes `digits` digits off the front.
fn take_number(text: &mut &[u8], digits: std::ops::RangeInclusive<usize>) -> Option<i64> {
    let count = text.iter().take(*digits.end()).take_while(|it| it.is_ascii_digit()).count();
    if count < *digits.start() {
        return None;
    }
    let (number, rest) = text.split_at_checked(count)?;
    *text = rest;
    Some(number.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

fn take(text: &mut &[u8], expected: u8) -> Option<()> {
    let (first, rest) = text.split_first()?;
    *text = rest;
    (*first == expected).then_some(())
}

fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let rest = &mut text.as_bytes();
    let year = take_number(rest, 4..=4)?;
    take(rest, b'-')?;
    let month = take_number(rest, 2..=2)?;
    take(rest, b'-')?;
    let day = take_number(rest, 2..=2)?;
    take(rest, b'T')?;
    let hour = take_number(rest, 1..=2)?;
    take(rest, b':')?;
    let minute = take_number(rest, 2..=2)?;
    take(rest, b':')?;
    let second = take_number(rest, 2..=2)?;
    let in_range = (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !in_range {
        return None;
    }
    let mut nanos = 0;
    if let [b'.' | b',', digits @ ..] = *rest
        && digits.first().is_some_and(u8::is_ascii_digit)
    {
        let count = digits.iter().take_while(|it| it.is_ascii_digit()).count();
        let (fraction, after) = digits.split_at_checked(count)?;
        let padded =
            fraction.iter().map(|digit| u32::from(digit - b'0')).chain(std::iter::repeat(0));
        nanos = padded.take(9).fold(0, |sum, digit| sum * 10 + digit);
        *rest = after;
    }
    let offset = match *rest {
        [b'Z'] => 0,
        [sign @ (b'+' | b'-'), zone @ ..] => {
            let zone = &mut &zone[..];
            let hours = take_number(zone, 2..=2)?;
            take(zone, b':')?;
            let minutes = take_number(zone, 2..=2)?;
            if !zone.is_empty() || hours > 24 || minutes > 60 {
                return None;
            }
            let offset = (hours * 60 + minutes) * 60;
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    let days = days_of(year, month, day);
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset;
    Some(Timestamp { seconds, nanos, offset: i32::try_from(offset).ok()? })
}

/// Go's `RFC3339Nano`, with the offset that the text was written with.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let civil = self.at(i64::from(self.offset));
        let Civil { year, month, day, second_of_day: second, .. } = civil;
        let (hour, minute) = (second / 3_600, second / 60 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}", second % 60)?;
        if self.nanos > 0 {
            let fraction = format!("{:09}", self.nanos);
            write!(f, ".{}", fraction.trim_end_matches('0'))?;
        }
        if self.offset == 0 {
            return f.write_str("Z");
        }
        let (sign, minutes) = (if self.offset < 0 { '-' } else { '+' }, self.offset.abs() / 60);
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

impl Duration {
    /// As Go's `time.ParseDuration`: `1h30m`, `-1.5s`, `0`.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let no_duration =
            || Error::invalid(format!("{} is not a duration such as 1h30m", quoted(text)));
        parse_duration(text).map(Self).ok_or_else(no_duration)
    }

    /// As Go's `Duration.Seconds`.
    #[allow(clippy::cast_precision_loss, reason = "as Go rounds")]
    pub(super) fn seconds(self) -> f64 {
        (self.0 / NANOS) as f64 + (self.0 % NANOS) as f64 / 1e9
    }
}

const MOST: u64 = 1 << 63;

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "as Go rounds"
)]
fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes() {
        [sign @ (b'-' | b'+'), rest @ ..] => (*sign == b'-', rest),
        rest => (false, rest),
    };
    if rest == b"0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let whole_digits = rest.iter().take_while(|it| it.is_ascii_digit()).count();
        let mut whole: u64 = 0;
        for digit in rest.get(..whole_digits)? {
            if whole > MOST / 10 {
                return None;
            }
            whole = whole * 10 + u64::from(digit - b'0');
            if whole > MOST {
                return None;
            }
        }
        rest = rest.get(whole_digits..)?;
        let (mut fraction, mut scale, mut fraction_digits) = (0_u64, 1.0_f64, 0);
        if let [b'.', digits @ ..] = rest {
            fraction_digits = digits.iter().take_while(|it| it.is_ascii_digit()).count();
            for digit in digits.get(..fraction_digits)? {
                if fraction > (MOST - 1) / 10 {
                    break;
                }
                let next = fraction * 10 + u64::from(digit - b'0');
                if next > MOST {
                    break;
                }
                fraction = next;
                scale *= 10.0;
            }
            rest = digits.get(fraction_digits..)?;
        }
        if whole_digits == 0 && fraction_digits == 0 {
            return None;
        }
        let unit_length = rest.iter().take_while(|it| **it != b'.' && !it.is_ascii_digit()).count();
        let unit: u64 = match rest.get(..unit_length)? {
            b"ns" => 1,
            b"us" | b"\xC2\xB5s" | b"\xCE\xBCs" => 1_000,
            b"ms" => 1_000_000,
            b"s" => 1_000_000_000,
            b"m" => 60_000_000_000,
            b"h" => 3_600_000_000_000,
            _ => return None,
        };
        rest = rest.get(unit_length..)?;
        if whole > MOST / unit {
            return None;
        }
        let mut part = whole * unit;
        if fraction > 0 {
            part += (fraction as f64 * (unit as f64 / scale)) as u64;
            if part > MOST {
                return None;
            }
        }
        total = total.checked_add(part).filter(|it| *it <= MOST)?;
    }
    if negative {
        return Some(0_i64.wrapping_sub_unsigned(total));
    }
    i64::try_from(total).ok()
}

/// Text of the input for an error message: quoted, and cut to 40 characters.
pub(super) fn quoted(text: &str) -> String {
    const MOST: usize = 40;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}
