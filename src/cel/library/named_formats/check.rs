//! The checks of the named formats. A check returns the messages of what is wrong with a text.
//!
//! The messages are literally those of the API server: `validate()`
//! returns them, and expressions may compare and print them.

use std::borrow::Cow;

use super::super::quoted;
use super::super::url::Url;

pub type Wrong = Vec<Cow<'static, str>>;

fn wrong<const N: usize>(checks: [(bool, &'static str); N]) -> Wrong {
    let failed = checks.into_iter().filter(|(passes, _)| !passes);
    failed.map(|(_, message)| Cow::Borrowed(message)).collect()
}

fn lower_or_digit(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// Whether all bytes satisfy `inner`, the first byte also `first`, and the last one `last`.
fn spans(text: &str, first: fn(u8) -> bool, inner: fn(u8) -> bool, last: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().all(|byte| inner(*byte))
        && bytes.first().is_some_and(|byte| first(*byte))
        && bytes.last().is_some_and(|byte| last(*byte))
}

fn is_dns_label(text: &str) -> bool {
    spans(text, lower_or_digit, |byte| lower_or_digit(byte) || byte == b'-', lower_or_digit)
}

fn is_dns_subdomain(text: &str) -> bool {
    text.split('.').all(is_dns_label)
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let end = |byte: u8| byte.is_ascii_alphanumeric();
    spans(text, end, inner, end)
}

/// A name that begins with this prefix: after a dash at the end, a name continues.
pub fn prefix(text: &str) -> String {
    match text.strip_suffix('-') {
        // Kubernetes replaces the last two bytes by a letter.
        Some(before) if !before.is_empty() => {
            let mut letters = before.chars();
            let cut = letters.next_back().is_some_and(|last| !last.is_ascii());
            format!("{}{}a", letters.as_str(), if cut { "�" } else { "" })
        }
        _ => text.to_owned(),
    }
}

const DNS_1123_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric \
    characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or \
    '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const DNS_1123_SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case \
    alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character \
    (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const DNS_1035_LABEL: &str = "a DNS-1035 label must consist of lower case alphanumeric characters \
    or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. \
    'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const LABEL_KEY: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start \
    and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used \
    for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric \
    characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
    'MyValue',  or 'my_value',  or '12345', regex used for validation is \
    '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

pub fn dns1123_label(text: &str) -> Wrong {
    let form = if is_dns_subdomain(text) { "must not contain dots" } else { DNS_1123_LABEL };
    wrong([(text.len() <= 63, "must be no more than 63 characters"), (is_dns_label(text), form)])
}

pub fn dns1123_subdomain(text: &str) -> Wrong {
    wrong([
        (text.len() <= 253, "must be no more than 253 characters"),
        (is_dns_subdomain(text), DNS_1123_SUBDOMAIN),
    ])
}

pub fn dns1035_label(text: &str) -> Wrong {
    let inner = |byte: u8| lower_or_digit(byte) || byte == b'-';
    let first = |byte: u8| byte.is_ascii_lowercase();
    wrong([
        (text.len() <= 63, "must be no more than 63 characters"),
        (spans(text, first, inner, lower_or_digit), DNS_1035_LABEL),
    ])
}

pub fn qualified_name(text: &str) -> Wrong {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    if name.contains('/') {
        return vec![Cow::Owned(format!(
            "a valid label key {LABEL_KEY} with an optional DNS subdomain prefix and '/' (e.g. \
             'example.com/MyName')"
        ))];
    }
    let of_prefix = match prefix {
        None => Vec::new(),
        Some("") => wrong([(false, "must be non-empty")]),
        Some(prefix) => wrong([
            (prefix.len() <= 253, "must be no more than 253 bytes"),
            (is_dns_subdomain(prefix), DNS_1123_SUBDOMAIN),
        ]),
    };
    let of_name = wrong([
        (!name.is_empty(), "must be non-empty"),
        (name.len() <= 63, "must be no more than 63 bytes"),
        (is_label(name), LABEL_KEY),
    ]);
    let labelled =
        |part: &'static str| move |it: Cow<'_, str>| Cow::Owned(format!("{part} part {it}"));
    of_prefix
        .into_iter()
        .map(labelled("prefix"))
        .chain(of_name.into_iter().map(labelled("name")))
        .collect()
}

pub fn label_value(text: &str) -> Wrong {
    wrong([
        (text.len() <= 63, "must be no more than 63 bytes"),
        (text.is_empty() || is_label(text), LABEL_VALUE),
    ])
}

pub fn uri(text: &str) -> Wrong {
    match Url::check(text) {
        Ok(()) => Vec::new(),
        Err(error) => vec![Cow::Owned(format!("parse {}: {error}", quoted::go(text)))],
    }
}

pub fn uuid(text: &str) -> Wrong {
    let mut rest = Some(text);
    for (at, digits) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        rest = rest.and_then(|rest| {
            let rest = rest.strip_prefix('-').filter(|_| at > 0).unwrap_or(rest);
            let (group, rest) = rest.split_at_checked(digits)?;
            group.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(rest)
        });
    }
    wrong([(rest == Some(""), "does not match the UUID format")])
}

pub fn base64(text: &str) -> Wrong {
    let digits = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    let groups = !text.is_empty() && text.len().is_multiple_of(4);
    wrong([(groups && digits.bytes().all(digit), "invalid base64")])
}

/// Whether the text is the `YYYY-MM-DD` of a day in the calendar.
fn is_date(text: &str) -> bool {
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to)?;
        let valid = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u32>().ok().filter(|_| valid)
    };
    let dashes = [4, 7].into_iter().all(|at| text.as_bytes().get(at) == Some(&b'-'));
    let (Some(year), Some(month), Some(day)) = (number(0, 4), number(5, 7), number(8, 10)) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    };
    text.len() == 10 && dashes && (1..=days).contains(&day)
}

pub fn date(text: &str) -> Wrong {
    wrong([(is_date(text), "invalid date")])
}

/// Whether the text is the part of a time after `T`: `hh:mm:ss`, an optional fraction, and `Z` or an offset.
fn is_time(text: &str) -> bool {
    let two = |text: &str, most: &str| {
        text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()) && text <= most
    };
    let Some((clock, rest)) = text.split_at_checked(8) else { return false };
    let parts: Vec<&str> = clock.split(':').collect();
    let [hour, minute, second] = parts.as_slice() else { return false };
    if !two(hour, "23") || !two(minute, "59") || !two(second, "59") {
        return false;
    }
    let is_zone = |zone: &str| {
        zone == "z"
            || zone
                .strip_prefix(['+', '-'])
                .and_then(|zone| zone.split_once(':'))
                .is_some_and(|(hours, minutes)| two(hours, "99") && two(minutes, "99"))
    };
    // Any one character may separate the fraction.
    let mut letters = rest.chars();
    let separated = letters.next().is_some_and(|it| it != '\n');
    let after = letters.as_str().trim_start_matches(|it: char| it.is_ascii_digit());
    let fraction = after.len() < letters.as_str().len();
    is_zone(rest) || (separated && fraction && is_zone(after))
}

pub fn date_time(text: &str) -> Wrong {
    let lower = text.to_lowercase();
    let mut parts = lower.split('t');
    let valid = parts.next().is_some_and(is_date) && parts.next().is_some_and(is_time);
    wrong([(valid, "invalid datetime")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_checked_as_kubernetes_checks_them() {
        type Check<'t> = (fn(&str) -> Wrong, &'t [&'t str], &'t [&'t str]);
        let long = "a".repeat(64);
        let checks: [Check<'_>; 9] = [
            (dns1123_label, &["a", "a-1", "1"], &["", "A", "-a", "a-", "a.b", "é", &long]),
            (dns1123_subdomain, &["a", "a.b-c.1"], &["", "a..b", ".a", "A"]),
            (dns1035_label, &["a", "a-1"], &["", "1a", "a-"]),
            (
                qualified_name,
                &["a", "A_b.c", "example.com/a"],
                &["", "/", "a/", "/a", "A/a", "a/b/c", "-a"],
            ),
            (label_value, &["", "a", "A_b.c"], &["-", "a b", &long]),
            (
                uuid,
                &["123e4567-e89b-12d3-a456-426614174000", "123E4567e89b12d3a456-426614174000"],
                &[
                    "",
                    "123e4567--e89b-12d3-a456-426614174000",
                    "123e4567-e89b-12d3-a456-42661417400g",
                ],
            ),
            (base64, &["YQ==", "YWI=", "YWJj"], &["", "YQ", "YQ=", "====", "Y===", "YQ=a"]),
            (
                date,
                &["2024-02-29", "0000-01-01"],
                &["", "2023-02-29", "2024-2-9", "2024-02-29 ", "2024-13-01"],
            ),
            (
                date_time,
                &["2024-02-29T10:00:00Z", "2024-02-29t23:59:59.5+02:00", "2024-02-29T10:00:00é5z"],
                &[
                    "",
                    "2024-02-29",
                    "2024-02-29T24:00:00Z",
                    "2024-02-29T10:00:00",
                    "2024-02-29T10:00Z",
                ],
            ),
        ];
        for (check, right, wrong) in checks {
            for text in right {
                assert_eq!(check(text), Wrong::new(), "{text}");
            }
            for text in wrong {
                assert_ne!(check(text), Wrong::new(), "{text}");
            }
        }
    }

    #[test]
    fn a_prefix_may_end_with_a_dash() {
        for (text, wrong) in [("a-", 0), ("ab-", 0), ("-", 1), ("--", 0), ("é-", 1)] {
            assert_eq!(dns1123_label(&prefix(text)).len(), wrong, "{text}");
        }
    }
}
