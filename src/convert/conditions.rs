//! Conditions of Kyverno's `deny` as CEL, as far as they compare a list or a field of the pod with values.

use serde_json::Value;

use super::operand::{has_wildcard, joined, matches, wildcard};
use super::part::{ALL_CONTAINERS, Draft, Reason, is_all_containers};
use super::pattern::{field, has};
use super::source::brief;
use super::value::{Fields, text};
use crate::policy::vap::expression::{text as literal, texts};

/// CEL that is true where the conditions do not deny. `root` is what their variables begin with, and `at` that in CEL.
pub(super) fn passes(
    conditions: &Value,
    root: &str,
    at: &str,
    draft: &mut Draft,
) -> Result<String, Reason> {
    let mut groups = Vec::new();
    for (list, operator) in
        [(conditions, " || "), (conditions.at("/all"), " || "), (conditions.at("/any"), " && ")]
    {
        let passes: Result<Vec<_>, _> =
            list.items().iter().map(|it| passes_one(it, root, at, draft)).collect();
        let passes = passes?;
        if !passes.is_empty() {
            groups.push(joined(&passes, operator));
        }
    }
    if groups.is_empty() { Ok("false".to_owned()) } else { Ok(joined(&groups, " || ")) }
}

/// Whether a condition is about the operation, and met by what is created or changed.
pub(super) fn is_about_creation(condition: &Value) -> bool {
    let key = text(condition, "/key").unwrap_or_default().replace([' ', '{', '}'], "");
    let operation = key.split("||").next() == Some("request.operation");
    let value = condition.at("/value");
    let values = value.as_str().map_or_else(|| value.texts(), |it| vec![it.to_owned()]);
    let has = |it: &str| values.iter().any(|value| value == it);
    operation
        && match text(condition, "/operator").unwrap_or_default() {
            "NotEquals" | "NotEqual" | "AnyNotIn" | "AllNotIn" | "NotIn" => {
                !values.is_empty() && !has("CREATE") && !has("UPDATE")
            }
            "AnyIn" | "In" => has("CREATE") && has("UPDATE"),
            _ => false,
        }
}

fn passes_one(
    condition: &Value,
    root: &str,
    at: &str,
    draft: &mut Draft,
) -> Result<String, Reason> {
    let (key, value) = (condition.at("/key"), condition.at("/value"));
    let operator = text(condition, "/operator").unwrap_or_default();
    let unknown = || -> Reason {
        format!("it denies by the operator {operator:?} in a way that podgate cannot decide").into()
    };
    if let Some(path) = key.as_str().and_then(variable) {
        let path = Path::parse(path, root)?;
        return match operator {
            "AnyNotIn" => {
                path.default_passes(|it| is_in_text(it, value))?;
                path.quantified(true, at, draft, &|it| is_in(it, value))
            }
            "AnyIn" => {
                path.default_passes(|it| Some(!is_in_text(it, value)?))?;
                path.quantified(true, at, draft, &|it| Ok(format!("!({})", is_in(it, value)?)))
            }
            "Equals" | "Equal" if !path.is_list() && path.default.is_none() => {
                path.quantified(true, at, draft, &|it| Ok(format!("{it} != {}", plain(value)?)))
            }
            _ => Err(unknown()),
        };
    }
    if let (Some(key), Some(path)) = (key.as_str(), value.as_str().and_then(variable)) {
        if has_wildcard(key) || key.contains("{{") {
            return Err(unknown());
        }
        let path = Path::parse(path, root)?;
        if !path.is_list() || path.default.is_some_and(|it| it != "`[]`") {
            return Err(unknown());
        }
        let same = |it: &str| Ok(format!("{it} == {}", literal(key)));
        let other = |it: &str| Ok(format!("{it} != {}", literal(key)));
        return match operator {
            "AnyNotIn" | "AllNotIn" | "NotIn" => path.quantified(false, at, draft, &same),
            "AnyIn" | "AllIn" | "In" => path.quantified(true, at, draft, &other),
            _ => Err(unknown()),
        };
    }
    Err(format!("it denies by {}, which is no field of the pod", brief(key)).into())
}

/// The variable that a text is.
fn variable(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    (!inner.contains("{{")).then(|| inner.trim())
}

/// Whether a value of the pod, a string in CEL, is one of these.
fn is_in(at: &str, values: &Value) -> Result<String, Reason> {
    let at = &format!("string({at})");
    if let Some(one) = values.as_str() {
        return if one.starts_with('[') {
            Err("its values are JSON in a text".into())
        } else {
            matches(one, at)
        };
    }
    let mut exact = Vec::new();
    let mut all = Vec::new();
    for value in values.items() {
        match value {
            Value::String(text) if text.contains("{{") => {
                return Err("its values have variables".into());
            }
            Value::String(text) if has_wildcard(text) => all.push(wildcard(text, at)),
            Value::String(text) => exact.push(text.clone()),
            Value::Number(_) | Value::Bool(_) => exact.push(value.to_string()),
            _ => return Err("its values are no list of texts".into()),
        }
    }
    if !exact.is_empty() || all.is_empty() {
        all.insert(0, format!("{at} in {}", texts(&exact)));
    }
    Ok(joined(&all, " || "))
}

fn is_in_text(text: &str, values: &Value) -> Option<bool> {
    let values = values.as_array()?;
    Some(values.iter().any(|it| it.as_str() == Some(text)))
}

fn plain(value: &Value) -> Result<String, Reason> {
    match value {
        Value::Bool(_) => Ok(value.to_string()),
        Value::Number(number) if number.is_i64() => Ok(value.to_string()),
        Value::String(text)
            if !has_wildcard(text)
                && !text.contains("{{")
                && text.starts_with(|it: char| it.is_ascii_alphabetic()) =>
        {
            Ok(literal(text))
        }
        _ => Err("it compares with a value that may be a number or a pattern".into()),
    }
}

#[derive(Debug, Eq, PartialEq)]
enum Step<'a> {
    Field(&'a str),
    /// All lists of containers in one.
    AllContainers,
    /// The items of a list.
    Items,
    /// The keys of a map.
    Keys,
    Upper,
}

/// A path of `JMESPath`, as far as it selects fields and items.
struct Path<'a> {
    steps: Vec<Step<'a>>,
    /// What stands for nothing: a text, or an empty list.
    default: Option<&'a str>,
}

impl<'a> Path<'a> {
    fn parse(expression: &'a str, root: &str) -> Result<Self, Reason> {
        let unknown = || -> Reason {
            format!("its variable {expression:?} is more than fields of the pod").into()
        };
        let (path, default) = match expression.split_once("||") {
            None => (expression, None),
            Some((path, default)) => (path.trim(), Some(default.trim())),
        };
        let mut rest = path.strip_prefix(root).ok_or_else(unknown)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("[]").or_else(|| rest.strip_prefix("[*]")) {
                steps.push(Step::Items);
                rest = after;
                continue;
            }
            let after = rest.strip_prefix('.').ok_or_else(unknown)?;
            if after.starts_with('[') {
                let end = after.find(']').ok_or_else(unknown)? + 1;
                let (names, behind) = after.split_at_checked(end).ok_or_else(unknown)?;
                if steps != [Step::Field("spec")] || !is_all_containers(&names.replace(' ', "")) {
                    return Err(unknown());
                }
                steps.push(Step::AllContainers);
                rest = behind;
                continue;
            }
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, behind) = after.split_at_checked(end).ok_or_else(unknown)?;
            steps.push(match name {
                "keys(@)" => Step::Keys,
                "to_upper(@)" => Step::Upper,
                name if !name.is_empty() && name.chars().all(|it| it.is_ascii_alphanumeric()) => {
                    Step::Field(name)
                }
                _ => return Err(unknown()),
            });
            rest = behind;
        }
        // A list that is not taken apart is one value.
        let whole_list = matches!(
            steps.last(),
            Some(Step::Field("add" | "drop" | "args" | "command") | Step::Keys)
        );
        let default_known = default.is_none_or(|it| it == "''" || it == "`[]`");
        if whole_list || !default_known { Err(unknown()) } else { Ok(Self { steps, default }) }
    }

    fn is_list(&self) -> bool {
        self.steps.contains(&Step::Items)
    }

    /// Fails where what stands for nothing would not pass, as nothing does.
    fn default_passes(&self, passes: impl Fn(&str) -> Option<bool>) -> Result<(), Reason> {
        match self.default {
            Some("''") if passes("") != Some(true) => {
                Err("it denies a pod without the field".into())
            }
            _ => Ok(()),
        }
    }

    /// Whether all values of the path, or one of them, meet a condition.
    fn quantified(
        &self,
        all: bool,
        at: &str,
        draft: &mut Draft,
        condition: &dyn Fn(&str) -> Result<String, Reason>,
    ) -> Result<String, Reason> {
        quantified(&self.steps, all, at, draft, condition)
    }
}

fn quantified(
    steps: &[Step<'_>],
    all: bool,
    at: &str,
    draft: &mut Draft,
    condition: &dyn Fn(&str) -> Result<String, Reason>,
) -> Result<String, Reason> {
    let quantifier = if all { "all" } else { "exists" };
    Ok(match steps {
        [] => condition(at)?,
        [Step::AllContainers, Step::Items, rest @ ..] => {
            draft.variable(ALL_CONTAINERS.0, ALL_CONTAINERS.1);
            let inner = quantified(rest, all, "c", draft, condition)?;
            format!("variables.{}.{quantifier}(c, {inner})", ALL_CONTAINERS.0)
        }
        [Step::Items | Step::Keys, rest @ ..] => {
            let keys = steps.first() == Some(&Step::Keys);
            let rest = if keys { rest.split_first().map_or(rest, |(_, rest)| rest) } else { rest };
            let item = if keys { "key" } else { item(at) };
            let inner = quantified(rest, all, item, draft, condition)?;
            format!("{at}.{quantifier}({item}, {inner})")
        }
        [Step::Upper, rest @ ..] => {
            quantified(rest, all, &format!("{at}.upperAscii()"), draft, condition)?
        }
        [Step::Field(name), rest @ ..] => {
            let inner = quantified(rest, all, &field(at, name), draft, condition)?;
            match (field(at, name).as_str(), all) {
                ("object.spec" | "object.metadata" | "object.spec.containers", _) => inner,
                (_, true) => format!("(!{} || {inner})", has(at, name)),
                (_, false) => format!("({} && {inner})", has(at, name)),
            }
        }
        [Step::AllContainers, ..] => return Err("it compares lists of containers".into()),
    })
}

/// The name of an item, another than that of the list's own item.
fn item(at: &str) -> &'static str {
    if at.starts_with("object") {
        "item"
    } else if at.starts_with("item") {
        "inner"
    } else {
        "it"
    }
}
