//! The accessors of timestamps and durations, such as `getFullYear` and `getHours`, in UTC or another time zone.

use std::sync::OnceLock;

use jiff::tz::TimeZoneDatabase;

use super::error::Error;
use super::function::{Implementation, mismatch};
use super::time::{Civil, Duration, NANOS, Timestamp, quoted};
use super::value::Value;

pub(super) fn find(name: &str) -> Option<Implementation> {
    Some(match name {
        "getFullYear" => |_, args| part("getFullYear()", args, |it| it.year, None),
        "getMonth" => |_, args| part("getMonth()", args, |it| it.month - 1, None),
        "getDayOfYear" => |_, args| part("getDayOfYear()", args, Civil::day_of_year, None),
        "getDayOfMonth" => |_, args| part("getDayOfMonth()", args, |it| it.day - 1, None),
        "getDate" => |_, args| part("getDate()", args, |it| it.day, None),
        "getDayOfWeek" => |_, args| part("getDayOfWeek()", args, Civil::day_of_week, None),
        "getHours" => |_, args| {
            part(
                "getHours()",
                args,
                |it| it.second_of_day / 3_600,
                Some(|it| it.0 / (3_600 * NANOS)),
            )
        },
        "getMinutes" => |_, args| {
            part(
                "getMinutes()",
                args,
                |it| it.second_of_day / 60 % 60,
                Some(|it| it.0 / (60 * NANOS)),
            )
        },
        "getSeconds" => |_, args| {
            part("getSeconds()", args, |it| it.second_of_day % 60, Some(|it| it.0 / NANOS))
        },
        "getMilliseconds" => |_, args| {
            let millis = |it: Civil| i64::from(it.nanos / 1_000_000);
            part("getMilliseconds()", args, millis, Some(|it| it.0 / 1_000_000))
        },
        _ => return None,
    })
}

fn part<'v>(
    function: &str,
    args: &[Value<'v>],
    of_time: fn(Civil) -> i64,
    of_duration: Option<fn(Duration) -> i64>,
) -> Result<Value<'v>, Error> {
    match (args, of_duration) {
        ([Value::Timestamp(at)], _) => Ok(Value::Int(of_time(at.at(0)))),
        ([Value::Timestamp(at), Value::String(zone)], _) => {
            Ok(Value::Int(of_time(at.at(offset_at(*at, zone)?))))
        }
        ([Value::Duration(length)], Some(of_duration)) => Ok(Value::Int(of_duration(*length))),
        _ => mismatch(function, args),
    }
}

/// The bundled time zone database, as the API server has one built in. podgate reads no file of the system.
static ZONES: OnceLock<TimeZoneDatabase> = OnceLock::new();

/// Seconds east of UTC in a zone: `+01:30`, or an IANA name.
fn offset_at(at: Timestamp, zone: &str) -> Result<i64, Error> {
    let unknown = || Error::invalid(format!("there is no time zone {}", quoted(zone)));
    if let Some((hours, minutes)) = zone.split_once(':') {
        let number = |text: &str| {
            let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
            let plain = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
            if plain { text.parse::<i64>().ok() } else { None }
        };
        let (hours, minutes) = number(hours).zip(number(minutes)).ok_or_else(unknown)?;
        let hours = hours.wrapping_mul(60);
        let offset = if zone.starts_with('-') {
            hours.wrapping_sub(minutes)
        } else {
            hours.wrapping_add(minutes)
        };
        return Ok(offset.wrapping_mul(60 * NANOS) / NANOS);
    }
    if matches!(zone, "" | "UTC" | "Local") {
        return Ok(0);
    }
    let zones = ZONES.get_or_init(TimeZoneDatabase::bundled);
    let found = zones.get(zone).map_err(|_| unknown())?;
    // Zone names are case-sensitive in Go, and not in the database.
    if found.iana_name().is_none_or(|name| name != zone) {
        return Err(unknown());
    }
    // The library's range of times is a day shorter than CEL's at both ends; no zone changes its offset there.
    let (first, last) = (jiff::Timestamp::MIN.as_second(), jiff::Timestamp::MAX.as_second());
    let second =
        jiff::Timestamp::from_second(at.seconds.clamp(first, last)).map_err(|_| unknown())?;
    Ok(i64::from(found.to_offset(second).seconds()))
}
