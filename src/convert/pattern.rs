//! Patterns of Kyverno as CEL: a pattern has the shape of the object, with anchors on keys.
//!
//! | anchor | the key |
//! |---|---|
//! | none | must be there, and match |
//! | `=(key)` | must match if it is there |
//! | `X(key)` | must not be there |
//! | `^(key)` | is a list of which an item must match, if it is there |
//! | `(key)` | if it is there and matches, the rest of its map must match |

use serde_json::{Map, Value};

use super::operand::{absent_matches, has_wildcard, joined, matches, wildcard};
use super::part::{ALL_CONTAINERS, Reason};
use crate::policy::vap::expression::text;

/// The deepest pattern. A pod's own fields nest less deep.
const DEEPEST: usize = 24;

/// Lists of plain values in a Pod: a value of a pattern is for each item.
const PLAIN_LISTS: [&str; 8] = [
    "add",
    "args",
    "command",
    "drop",
    "accessModes",
    "nameservers",
    "searches",
    "supplementalGroups",
];

/// The fields of a Pod that are always there.
const ALWAYS: [&str; 3] = ["object.metadata", "object.spec", "object.spec.containers"];

const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// A pattern as CEL.
#[derive(Default)]
pub(super) struct Pattern {
    /// Whether it reads [`ALL_CONTAINERS`].
    pub all_containers: bool,
    /// Why it is stricter than the pattern.
    pub stricter: Option<&'static str>,
    depth: usize,
    lists: usize,
    in_existence: bool,
    /// Whether a condition below may end the rule, or the item of the list.
    open: bool,
}

const SKIPS: &str = "where a condition of the pattern is not met, Kyverno skips all of the rule; podgate still judges the rest";

enum Anchor {
    None,
    Equality,
    Negation,
    Existence,
    Condition,
}

impl Pattern {
    /// The conditions that a value must meet. `at` is the value in CEL.
    pub fn map(&mut self, pattern: &Map<String, Value>, at: &str) -> Result<Vec<String>, Reason> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("the pattern nests deeper than {DEEPEST} levels").into());
        }
        let (mut demands, mut conditions) = (Vec::new(), Vec::new());
        let together = self.same_for_all_containers(pattern, at)?;
        demands.extend(together.clone());
        for (key, value) in pattern {
            let (anchor, name) = anchor(key)?;
            if together.is_some() && CONTAINERS.contains(&name) {
                continue;
            }
            if has_wildcard(name) {
                demands.push(self.any_key(&anchor, name, value, at)?);
                continue;
            }
            let (field, has) = (field(at, name), has(at, name));
            match anchor {
                Anchor::None => demands.extend(self.required(value, &field, &has, name)?),
                Anchor::Negation => demands.push(format!("!{has}")),
                Anchor::Equality => {
                    let inner = self.value(value, &field, name)?;
                    if !inner.is_empty() {
                        demands.push(format!("(!{has} || {})", joined(&inner, " && ")));
                    }
                }
                Anchor::Existence => {
                    let outer = std::mem::replace(&mut self.in_existence, true);
                    let exists = self.existence(value, &field)?;
                    self.in_existence = outer;
                    demands.push(format!("(!{has} || {exists})"));
                }
                Anchor::Condition => {
                    let mut inner = vec![has];
                    inner.extend(self.value(value, &field, name)?);
                    conditions.push(joined(&inner, " && "));
                }
            }
        }
        self.depth -= 1;
        if self.open && demands.len() > 1 {
            self.stricter = Some(SKIPS);
        }
        if conditions.is_empty() {
            return Ok(demands);
        }
        if self.in_existence {
            conditions.extend(demands);
            return Ok(conditions);
        }
        self.open = true;
        Ok(vec![format!("(!{} || {})", in_parentheses(&conditions), joined(&demands, " && "))])
    }

    /// What is required of a key that must be there.
    fn required(
        &mut self,
        value: &Value,
        field: &str,
        has: &str,
        name: &str,
    ) -> Result<Vec<String>, Reason> {
        if value == "*" {
            return Ok(vec![has.to_owned()]);
        }
        let mut inner = self.value(value, field, name)?;
        if ALWAYS.contains(&field) {
            return Ok(inner);
        }
        let absent = match value {
            Value::Null => true,
            Value::String(pattern) => absent_matches(pattern),
            _ => false,
        };
        if absent {
            return Ok(vec![format!("(!{has} || {})", joined(&inner, " && "))]);
        }
        inner.insert(0, has.to_owned());
        Ok(inner)
    }

    /// What is required of a value that is there.
    fn value(&mut self, pattern: &Value, at: &str, name: &str) -> Result<Vec<String>, Reason> {
        Ok(match pattern {
            Value::Object(fields) => self.map(fields, at)?,
            Value::Array(items) => match items.as_slice() {
                [Value::Object(fields)] => self.each(fields, at, "all")?.into_iter().collect(),
                [Value::Array(_)] | [] => {
                    return Err("a list of lists is no pattern for a pod".into());
                }
                [plain] => each_plain(plain, at)?,
                _ => {
                    return Err("Kyverno compares only the first item of the pattern's list".into());
                }
            },
            plain if PLAIN_LISTS.contains(&name) => each_plain(plain, at)?,
            plain => vec![scalar(plain, at, name)?],
        })
    }

    /// A condition for all items of a list, or for one; none if every item meets it.
    fn each(
        &mut self,
        fields: &Map<String, Value>,
        at: &str,
        quantifier: &str,
    ) -> Result<Option<String>, Reason> {
        let item = ["c", "item", "inner", "innermost"].get(self.lists).copied();
        let item = item.ok_or("the pattern has lists in lists in lists")?;
        self.lists += 1;
        let outer = std::mem::take(&mut self.open);
        let inner = self.map(fields, item)?;
        self.lists -= 1;
        if self.open && self.lists > 0 {
            self.stricter = Some(SKIPS);
        }
        self.open |= outer;
        let all = quantifier == "all";
        Ok((!all || !inner.is_empty()).then(|| {
            let inner = inner.join(" && ");
            let inner = if inner.is_empty() { "true" } else { &inner };
            format!("{at}.{quantifier}({item}, {inner})")
        }))
    }

    fn existence(&mut self, pattern: &Value, at: &str) -> Result<String, Reason> {
        let mut all = Vec::new();
        for item in pattern.as_array().ok_or("the anchor ^() is for lists")? {
            let fields = item.as_object().ok_or("the anchor ^() is for lists of maps")?;
            all.extend(self.each(fields, at, "exists")?);
        }
        Ok(joined(&all, " && "))
    }

    /// A key with wildcards, below labels and annotations.
    fn any_key(
        &mut self,
        anchor: &Anchor,
        name: &str,
        value: &Value,
        at: &str,
    ) -> Result<String, Reason> {
        if !(at.ends_with(".labels") || at.ends_with(".annotations")) {
            return Err(format!("the key {name:?} has a wildcard").into());
        }
        if !matches!(anchor, Anchor::Equality) {
            return Err(format!(
                "the key {name:?} has a wildcard; Kyverno looks at one key that matches, in no order"
            ).into());
        }
        self.stricter =
            Some("podgate judges all keys that match a wildcard; Kyverno judges one of them");
        let inner = self.value(value, &format!("{at}[key]"), "")?;
        Ok(format!("{at}.all(key, !({}) || {})", wildcard(name, "key"), joined(&inner, " && ")))
    }

    /// One condition for the containers of all lists, where the pattern has the same for each.
    fn same_for_all_containers(
        &mut self,
        pattern: &Map<String, Value>,
        at: &str,
    ) -> Result<Option<String>, Reason> {
        if at != "object.spec" {
            return Ok(None);
        }
        let item = |key: &str| match pattern.get(key)?.as_array()?.as_slice() {
            [Value::Object(fields)] => Some(fields),
            _ => None,
        };
        let Some(fields) = item("containers") else { return Ok(None) };
        let same = ["=(initContainers)", "=(ephemeralContainers)"]
            .iter()
            .all(|it| item(it) == Some(fields));
        if !same {
            return Ok(None);
        }
        let condition = self.each(fields, &format!("variables.{}", ALL_CONTAINERS.0), "all")?;
        self.all_containers |= condition.is_some();
        Ok(condition)
    }
}

fn in_parentheses(conditions: &[String]) -> String {
    match conditions {
        [one] if !one.starts_with('(') => format!("({one})"),
        several => joined(several, " && "),
    }
}

/// The same condition for all items of a list of plain values.
fn each_plain(plain: &Value, at: &str) -> Result<Vec<String>, Reason> {
    Ok(vec![format!("{at}.all(it, {})", scalar(plain, "it", "")?)])
}

/// A value that is no map and no list.
fn scalar(pattern: &Value, at: &str, name: &str) -> Result<String, Reason> {
    let string = if is_string(at, name) { at.to_owned() } else { format!("string({at})") };
    match pattern {
        Value::Bool(value) => Ok(format!("{at} == {value}")),
        Value::Number(number) if number.is_i64() || number.is_u64() => {
            Ok(format!("string({at}) == '{number}'"))
        }
        Value::Number(_) => Err("the pattern has a fraction".into()),
        Value::Null => Ok(format!("string({at}) in ['', '0', 'false']")),
        Value::String(pattern) => matches(pattern, &string),
        Value::Array(_) | Value::Object(_) => {
            Err("a value of the pattern is of no known type".into())
        }
    }
}

/// Whether a field of a Pod is a string whatever the pattern: a shorter expression.
fn is_string(at: &str, name: &str) -> bool {
    ["image", "name", "path", "type", "namespace", "imagePullPolicy", "serviceAccountName"]
        .contains(&name)
        || at.contains(".labels")
        || at.contains(".annotations")
}

fn anchor(key: &str) -> Result<(Anchor, &str), Reason> {
    let Some((before, rest)) = key.split_once('(') else { return Ok((Anchor::None, key)) };
    let Some(name) = rest.strip_suffix(')') else { return Ok((Anchor::None, key)) };
    match before {
        "" => Ok((Anchor::Condition, name)),
        "=" => Ok((Anchor::Equality, name)),
        "X" => Ok((Anchor::Negation, name)),
        "^" => Ok((Anchor::Existence, name)),
        "<" => Err("the global anchor <() decides whether the whole rule applies".into()),
        "+" => Err("the anchor +() is for mutation".into()),
        _ => Ok((Anchor::None, key)),
    }
}

/// A field in CEL.
pub(super) fn field(at: &str, name: &str) -> String {
    if is_identifier(at, name) { format!("{at}.{name}") } else { format!("{at}[{}]", text(name)) }
}

/// Whether a field is there.
pub(super) fn has(at: &str, name: &str) -> String {
    if is_identifier(at, name) {
        format!("has({at}.{name})")
    } else {
        format!("({} in {at})", text(name))
    }
}

/// Whether a key is written as a field: keys of labels may be any words.
fn is_identifier(at: &str, name: &str) -> bool {
    !(at.ends_with(".labels") || at.ends_with(".annotations"))
        && name.starts_with(|it: char| it.is_ascii_alphabetic())
        && name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_')
}
