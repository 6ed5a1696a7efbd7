//! The annotation that lists what policies added to a pod.
//!
//! It informs people. podgate never reads it for a decision, since anyone who creates a pod can write it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::rule::Fix;
use super::super::subject::Subject;

/// The annotation's key.
pub const MUTATED_BY: &str = "devops.stochastic.io/mutated-by";
/// The longest value, in bytes. The API server allows 256 KiB for all annotations of an object.
pub const MAX_VALUE: usize = 4096;

/// The fields that each policy added, by the policy's label, as paths from the object's root.
pub(super) type AddedFields = BTreeMap<String, BTreeSet<String>>;

/// The fix that sets the annotation, merged with the entries of an earlier call of the webhook.
pub(super) fn fix(subject: &Subject<'_>, object: &Value, added: AddedFields) -> Fix {
    let path = subject.pod_path(&format!("metadata.annotations[\"{MUTATED_BY}\"]"));
    let before =
        pod(subject, object).pointer("/metadata/annotations").and_then(|it| it.get(MUTATED_BY));
    Fix::new(path, value(before.and_then(Value::as_str), added))
}

fn pod<'v>(subject: &Subject<'_>, object: &'v Value) -> &'v Value {
    let root = subject.kind.names().spec_path.strip_suffix("spec").unwrap_or_default();
    let steps = root.split('.').filter(|step| !step.is_empty());
    steps.fold(object, |at, step| at.get(step).unwrap_or(&Value::Null))
}

/// The annotation's value: `{"shop/defaults":["spec.containers[0].resources.limits.memory"]}`. If the fields do not
/// fit, their number.
fn value(before: Option<&str>, added: AddedFields) -> String {
    let before = before.filter(|text| text.len() <= MAX_VALUE);
    let before: AddedFields =
        before.and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default();
    let mut all = added;
    for (policy, fields) in before {
        all.entry(policy).or_default().extend(fields);
    }
    let count: usize = all.values().map(BTreeSet::len).sum();
    let whole = json!(all).to_string();
    if whole.len() <= MAX_VALUE {
        return whole;
    }
    let counted: BTreeMap<_, _> =
        all.iter().map(|(policy, fields)| (policy, [format!("{} fields", fields.len())])).collect();
    let counted = json!(counted).to_string();
    if counted.len() <= MAX_VALUE {
        return counted;
    }
    json!({format!("{} policies", all.len()): [format!("{count} fields")]}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(policy: &str, fields: &[&str]) -> AddedFields {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        AddedFields::from([(policy.to_owned(), fields)])
    }

    #[test]
    fn a_second_call_adds_to_the_entries_of_the_first() {
        let first = value(None, added("shop/p", &["a"]));
        assert_eq!(first, r#"{"shop/p":["a"]}"#);
        assert_eq!(value(Some(&first), added("shop/p", &["b"])), r#"{"shop/p":["a","b"]}"#);
        assert_eq!(value(Some(&first), added("q", &["b"])), r#"{"q":["b"],"shop/p":["a"]}"#);
    }

    #[test]
    fn an_invalid_value_is_replaced() {
        for forged in ["", "nobody", "{}", "[1]", r#"{"a":1}"#, &"x".repeat(1 << 20)] {
            assert_eq!(value(Some(forged), added("p", &["a"])), r#"{"p":["a"]}"#);
        }
    }

    #[test]
    fn it_stays_short_however_much_was_put_in() {
        let fields: Vec<_> = (0..1000).map(|i| format!("spec.containers[{i}].image")).collect();
        let fields: Vec<_> = fields.iter().map(String::as_str).collect();
        assert_eq!(value(None, added("p", &fields)), r#"{"p":["1000 fields"]}"#);
        let many = (0..100).map(|i| (format!("{i}{}", "p".repeat(253)), BTreeSet::new())).collect();
        assert_eq!(value(None, many), r#"{"100 policies":["0 fields"]}"#);
    }
}
