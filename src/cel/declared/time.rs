//! The accessors of timestamps and durations of `common/stdlib/standard.go`.

use super::super::declarations::{Function, function, member};
use super::super::types::Type::{Duration, Int, String, Timestamp};

pub(super) fn functions() -> Vec<Function> {
    let calendar = |name, plain, with_zone| {
        function(
            name,
            [member(plain, [Timestamp], Int), member(with_zone, [Timestamp, String], Int)],
        )
    };
    let clock = |name, plain, with_zone, of_duration| {
        let overloads = [
            member(plain, [Timestamp], Int),
            member(with_zone, [Timestamp, String], Int),
            member(of_duration, [Duration], Int),
        ];
        function(name, overloads)
    };
    vec![
        calendar("getFullYear", "timestamp_to_year", "timestamp_to_year_with_tz"),
        calendar("getMonth", "timestamp_to_month", "timestamp_to_month_with_tz"),
        calendar("getDayOfYear", "timestamp_to_day_of_year", "timestamp_to_day_of_year_with_tz"),
        calendar("getDayOfMonth", "timestamp_to_day_of_month", "timestamp_to_day_of_month_with_tz"),
        calendar(
            "getDate",
            "timestamp_to_day_of_month_1_based",
            "timestamp_to_day_of_month_1_based_with_tz",
        ),
        calendar("getDayOfWeek", "timestamp_to_day_of_week", "timestamp_to_day_of_week_with_tz"),
        clock("getHours", "timestamp_to_hours", "timestamp_to_hours_with_tz", "duration_to_hours"),
        clock(
            "getMinutes",
            "timestamp_to_minutes",
            "timestamp_to_minutes_with_tz",
            "duration_to_minutes",
        ),
        clock(
            "getSeconds",
            "timestamp_to_seconds",
            "timestamp_to_seconds_tz",
            "duration_to_seconds",
        ),
        clock(
            "getMilliseconds",
            "timestamp_to_milliseconds",
            "timestamp_to_milliseconds_with_tz",
            "duration_to_milliseconds",
        ),
    ]
}
