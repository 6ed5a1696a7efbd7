//! The values of a pattern of Kyverno, as CEL: alternatives (`|`), all of several (`&`), `!`, comparisons, ranges,
//! wildcards.

use super::part::Reason;
use crate::cel::library::quantity::Quantity;
use crate::policy::vap::expression::{globs, text, texts};

/// Whether a value passes a pattern. `value` is a string in CEL.
pub(super) fn matches(pattern: &str, value: &str) -> Result<String, Reason> {
    if pattern.contains("{{") || pattern.contains("$(") {
        return Err(format!(
            "the pattern {pattern:?} has a variable, and podgate has no context to take it from"
        )
        .into());
    }
    let mut plain = Vec::new();
    let mut others = Vec::new();
    for alternative in pattern.split('|') {
        let mut all = Vec::new();
        for operand in alternative.split('&') {
            all.push(Operand::parse(operand.trim_matches(' '))?);
        }
        match all.as_slice() {
            [Operand::Equal(text)] if is_plain(text) => plain.push(text.clone()),
            operands => {
                let operands: Vec<_> = operands.iter().map(|it| it.in_cel(value)).collect();
                others.push(joined(&operands, " && "));
            }
        }
    }
    match plain.as_slice() {
        [] => {}
        [one] => others.insert(0, format!("{value} == {}", text(one))),
        several => others.insert(0, format!("{value} in {}", texts(several))),
    }
    Ok(joined(&others, " || "))
}

/// Whether an absent value passes a pattern: it compares as the quantity 0, and equals no text.
pub(super) fn absent_matches(pattern: &str) -> bool {
    pattern.split('|').any(|alternative| {
        alternative.split('&').all(|operand| {
            Operand::parse(operand.trim_matches(' ')).is_ok_and(|it| it.absent_matches())
        })
    })
}

/// Conditions in one, in parentheses if there are several.
pub(super) fn joined(conditions: &[String], operator: &str) -> String {
    match conditions {
        [] => "true".to_owned(),
        [one] => one.clone(),
        several => format!("({})", several.join(operator)),
    }
}

enum Operand {
    Equal(String),
    NotEqual(String),
    Compare(&'static str, String),
    /// Within, or outside of, two ends.
    Range(bool, String, String),
}

const COMPARISONS: [&str; 4] = [">=", "<=", ">", "<"];

impl Operand {
    fn parse(operand: &str) -> Result<Self, Reason> {
        if let Some(compare) = COMPARISONS.into_iter().find(|it| operand.starts_with(it))
            && operand.len() > 1
        {
            let end = operand.trim_start_matches(compare).trim();
            return Ok(Self::Compare(compare, quantity(end)?));
        }
        for (separator, within) in [("!-", false), ("-", true)] {
            if let Some((from, to)) = operand.split_once(separator)
                && starts_with_digit(from)
                && starts_with_digit(to)
                && !to.contains('-')
            {
                return Ok(Self::Range(within, quantity(from.trim())?, quantity(to.trim())?));
            }
        }
        match operand.strip_prefix('!') {
            Some(other) if !other.is_empty() => Ok(Self::NotEqual(other.trim().to_owned())),
            _ => Ok(Self::Equal(operand.trim().to_owned())),
        }
    }

    fn in_cel(&self, value: &str) -> String {
        match self {
            Self::Equal(pattern) if is_plain(pattern) => format!("{value} == {}", text(pattern)),
            Self::Equal(pattern) if has_wildcard(pattern) => wildcard(pattern, value),
            Self::Equal(pattern) => {
                format!("({value} == {} || {})", text(pattern), compared("==", pattern, value))
            }
            Self::NotEqual(pattern) if has_wildcard(pattern) => {
                format!("!{}", in_parentheses(wildcard(pattern, value)))
            }
            Self::NotEqual(pattern) => format!("{value} != {}", text(pattern)),
            Self::Compare(operator, end) => compared(operator, end, value),
            Self::Range(true, from, to) => {
                format!("({} && {})", compared(">=", from, value), compared("<=", to, value))
            }
            Self::Range(false, from, to) => {
                format!("({} || {})", compared("<", from, value), compared(">", to, value))
            }
        }
    }

    fn absent_matches(&self) -> bool {
        let sign = |end: &str| Quantity::parse(end).ok().map(|it| it.sign());
        let compare = |operator: &str, end: &str| {
            sign(end).is_some_and(|sign| match operator {
                ">=" => sign <= 0,
                "<=" => sign >= 0,
                ">" => sign < 0,
                "<" => sign > 0,
                "==" => sign == 0,
                _ => sign != 0,
            })
        };
        match self {
            Self::Equal(end) => compare("==", end),
            Self::NotEqual(end) => compare("!=", end),
            Self::Compare(operator, end) => compare(operator, end),
            Self::Range(true, from, to) => compare(">=", from) && compare("<=", to),
            Self::Range(false, from, to) => compare("<", from) || compare(">", to),
        }
    }
}

fn starts_with_digit(text: &str) -> bool {
    text.trim().starts_with(|it: char| it.is_ascii_digit())
}

/// A quantity that is no duration too: Kyverno compares as either.
fn quantity(end: &str) -> Result<String, Reason> {
    match Quantity::parse(end) {
        Ok(_) if !end.ends_with(['s', 'h', 'n', 'u', 'µ']) => Ok(end.to_owned()),
        _ => Err(format!("it compares with {end:?}, which is no quantity").into()),
    }
}

fn compared(operator: &str, end: &str, value: &str) -> String {
    format!(
        "isQuantity({value}) && quantity({value}).compareTo(quantity({})) {operator} 0",
        text(end)
    )
}

/// Whether a text means only itself: it has no wildcard, and is no quantity, which may be written in several ways.
fn is_plain(pattern: &str) -> bool {
    !has_wildcard(pattern) && Quantity::parse(pattern).is_err()
}

pub(super) fn has_wildcard(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}

fn in_parentheses(condition: String) -> String {
    if condition.starts_with('(') || !condition.contains(' ') {
        condition
    } else {
        format!("({condition})")
    }
}

/// Whether a string matches a pattern with `*` and `?`.
pub(super) fn wildcard(pattern: &str, value: &str) -> String {
    let plain = |it: &str| !has_wildcard(it);
    if pattern == "?*" || pattern == "*?" {
        return format!("{value} != ''");
    }
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(rest), Some(_)) => match rest.strip_suffix('*') {
            Some(middle) if plain(middle) => format!("{value}.contains({})", text(middle)),
            None => "true".to_owned(),
            _ => globs(&[pattern], value),
        },
        (Some(end), None) if plain(end) => format!("{value}.endsWith({})", text(end)),
        (None, Some(start)) if plain(start) => format!("{value}.startsWith({})", text(start)),
        _ => globs(&[pattern], value),
    }
}
