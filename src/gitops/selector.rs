//! Parses a label selector in kubectl's syntax, for manifests, which no API server can select.

use kube::core::{Expression, Selector};

/// Reads `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
///
/// # Errors
/// The selector is invalid, or it is empty and would select everything. The message is a sentence.
pub fn parse(text: &str) -> Result<Selector, String> {
    if text.trim().is_empty() {
        return Err("the selector is empty, which selects everything".to_owned());
    }
    parts(text).into_iter().map(|part| expression(part.trim())).collect()
}

/// Splits at the commas that are not in parentheses.
fn parts(text: &str) -> Vec<&str> {
    let mut inside = false;
    let at_comma = |c: char| {
        inside = c == '(' || inside && c != ')';
        c == ',' && !inside
    };
    text.split(at_comma).collect()
}

fn expression(text: &str) -> Result<Expression, String> {
    let wrong =
        || format!("{text:?} is no label requirement; write KEY=VALUE, KEY in (A,B), KEY or !KEY");
    let key = |key: &str| {
        let key = key.trim();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        (!key.is_empty() && key.chars().all(plain)).then(|| key.to_owned()).ok_or_else(wrong)
    };
    if let Some((left, values)) = text.split_once('(') {
        let values = values.strip_suffix(')').ok_or_else(wrong)?;
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        let (name, operator) = left.trim().split_once(char::is_whitespace).ok_or_else(wrong)?;
        return match operator.trim() {
            "in" => Ok(Expression::In(key(name)?, values)),
            "notin" => Ok(Expression::NotIn(key(name)?, values)),
            _ => Err(wrong()),
        };
    }
    if let Some((name, value)) = text.split_once("!=") {
        return Ok(Expression::NotEqual(key(name)?, value.trim().to_owned()));
    }
    if let Some((name, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(Expression::Equal(key(name)?, value.trim().to_owned()));
    }
    match text.strip_prefix('!') {
        Some(name) => Ok(Expression::DoesNotExist(key(name)?)),
        None => Ok(Expression::Exists(key(text)?)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kube::core::SelectorExt;

    use super::*;

    #[test]
    fn a_selector_selects_what_kubectl_would() {
        let labels: BTreeMap<_, _> =
            [("team", "cart"), ("tier", "gold")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        for (selector, selects) in [
            ("team=cart", true),
            ("team == cart, tier!=silver", true),
            ("team=cart,tier=silver", false),
            ("team in (cart, shop),tier", true),
            ("tier notin (gold)", false),
            ("!other", true),
            ("!team", false),
        ] {
            assert_eq!(parse(selector).unwrap().matches(&labels), selects, "{selector}");
        }
    }

    #[test]
    fn an_invalid_selector_is_an_error() {
        for selector in ["", " ", "a,,b", "=b", "a in b", "a in (b", "a of (b)", "a b"] {
            assert!(parse(selector).is_err(), "{selector}");
        }
    }
}
