//! What each named format asks of a text. A check gives what is wrong.

use super::super::url::Url;

type Wrong = Vec<&'static str>;

fn wrong<const N: usize>(checks: [(bool, &'static str); N]) -> Wrong {
    checks.into_iter().filter(|(passes, _)| !passes).map(|(_, message)| message).collect()
}

fn lower_or_digit(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// Whether all bytes pass, and those at the ends pass more.
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

/// What a name is that begins with this text: a dash at the end is followed by more.
pub fn prefix(text: &str) -> String {
    match text.strip_suffix('-') {
        // Kubernetes puts a letter in the place of the last two bytes.
        Some(before) if !before.is_empty() => {
            let mut letters = before.chars();
            let cut = letters.next_back().is_some_and(|last| !last.is_ascii());
            format!("{}{}a", letters.as_str(), if cut { "�" } else { "" })
        }
        _ => text.to_owned(),
    }
}

pub fn dns1123_label(text: &str) -> Wrong {
    wrong([
        (text.len() <= 63, "a DNS label has at most 63 bytes"),
        (
            is_dns_label(text),
            "a DNS label has lowercase letters, digits and '-', and begins and ends with a letter \
             or digit, such as my-name",
        ),
    ])
}

pub fn dns1123_subdomain(text: &str) -> Wrong {
    wrong([
        (text.len() <= 253, "a DNS subdomain has at most 253 bytes"),
        (is_dns_subdomain(text), "a DNS subdomain is DNS labels and dots, such as example.com"),
    ])
}

pub fn dns1035_label(text: &str) -> Wrong {
    let inner = |byte: u8| lower_or_digit(byte) || byte == b'-';
    wrong([
        (text.len() <= 63, "a DNS label has at most 63 bytes"),
        (
            spans(text, |byte| byte.is_ascii_lowercase(), inner, lower_or_digit),
            "a DNS-1035 label has lowercase letters, digits and '-', begins with a letter and ends \
             with a letter or digit, such as my-name",
        ),
    ])
}

pub fn qualified_name(text: &str) -> Wrong {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    if name.contains('/') {
        return vec!["a label's key is a name, or a DNS subdomain, a '/' and a name"];
    }
    let length = match name.len() {
        0 => Some("the name of a label's key is not empty"),
        1..=63 => None,
        _ => Some("the name of a label's key has at most 63 bytes"),
    };
    let form = "the name of a label's key has letters, digits, '-', '_' and '.', and begins and \
                ends with a letter or digit";
    let of_prefix = match prefix {
        Some("") => vec!["the prefix of a label's key is not empty"],
        Some(prefix) => dns1123_subdomain(prefix),
        None => Vec::new(),
    };
    of_prefix.into_iter().chain(length).chain((!is_label(name)).then_some(form)).collect()
}

pub fn label_value(text: &str) -> Wrong {
    wrong([
        (text.len() <= 63, "a label's value has at most 63 bytes"),
        (
            text.is_empty() || is_label(text),
            "a label's value is empty, or has letters, digits, '-', '_' and '.', and begins and \
             ends with a letter or digit",
        ),
    ])
}

pub fn uri(text: &str) -> Wrong {
    wrong([(Url::check(text).is_ok(), "this is no absolute URL or path")])
}

pub fn uuid(text: &str) -> Wrong {
    let mut rest = text;
    let groups = [8, 4, 4, 4, 12].into_iter().enumerate();
    let all = groups.map(|(at, digits)| {
        if at > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        let Some((group, after)) = rest.split_at_checked(digits) else { return false };
        rest = after;
        group.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    let matches = all.fold(true, |all, it| all && it);
    wrong([(matches && rest.is_empty(), "this is no UUID")])
}

pub fn base64(text: &str) -> Wrong {
    let digits = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    let groups = !text.is_empty() && text.len().is_multiple_of(4);
    wrong([(groups && digits.bytes().all(digit), "this is no base64")])
}

/// `YYYY-MM-DD`, of a day that there is.
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
    wrong([(is_date(text), "this is no date; write YYYY-MM-DD")])
}

/// What follows the date: `hh:mm:ss`, perhaps a fraction, and `Z` or an offset.
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
    // A fraction follows any one character.
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
    wrong([(valid, "this is no point in time; write YYYY-MM-DDThh:mm:ssZ")])
}
