//! Parts of CEL expressions: literals, patterns, and texts of values as a denial shows them.

use std::fmt::Write;

use super::super::glob;
use super::super::text::MAX_VALUE;

/// Stands for text that is not printable ASCII, or has quotes: CEL cannot escape it as podgate does.
pub const NO_PLAIN_TEXT: &str = "(no plain text)";

/// A string literal.
pub fn text(value: &str) -> String {
    let mut literal = String::with_capacity(value.len() + 2);
    literal.push('\'');
    for character in value.chars() {
        match character {
            '\'' | '\\' => {
                literal.push('\\');
                literal.push(character);
            }
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            other if other.is_control() => {
                let _ = write!(literal, "\\u{:04x}", u32::from(other));
            }
            other => literal.push(other),
        }
    }
    literal.push('\'');
    literal
}

/// A list of string literals.
pub fn texts<T: AsRef<str>>(values: &[T]) -> String {
    let values: Vec<_> = values.iter().map(|it| text(it.as_ref())).collect();
    format!("[{}]", values.join(", "))
}

/// Any of these conditions, in parentheses; false if there are none.
pub fn any(conditions: &[String]) -> String {
    if conditions.is_empty() {
        "false".to_owned()
    } else {
        format!("({})", conditions.join(" || "))
    }
}

/// Whether a string matches one of these globs, as [`super::super::glob`] has them.
pub fn globs<T: AsRef<str>>(patterns: &[T], value: &str) -> String {
    let matches: Vec<_> = patterns.iter().map(|it| glob_matches(it.as_ref(), value)).collect();
    any(&matches)
}

fn glob_matches(pattern: &str, value: &str) -> String {
    if !pattern.contains(['*', '?']) {
        return format!("{value} == {}", text(pattern));
    }
    let mut regex = "^(?s:".to_owned();
    for character in pattern.chars() {
        match character {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            other => regex.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push_str(")$");
    // The size is cheap, and the search of a long text is not.
    format!("(size({value}) <= {} && {value}.matches({}))", glob::MAX_TEXT, text(&regex))
}

/// A string as [`super::super::text::clip`] shows it, or [`NO_PLAIN_TEXT`].
pub fn clip(value: &str) -> String {
    let kept = MAX_VALUE - '…'.len_utf8();
    format!(
        "[{value}].map(s, (size(s) > {MAX_VALUE} ? s.substring(0, {kept}) : s).matches('^[ !#-&(-\\\\[\\\\]-~]*$') ? \
         (size(s) > {MAX_VALUE} ? s.substring(0, {kept}) + '…' : s) : '{NO_PLAIN_TEXT}')[0]"
    )
}

/// The same in quotes.
pub fn quote(value: &str) -> String {
    format!("'\"' + {} + '\"'", clip(value))
}
