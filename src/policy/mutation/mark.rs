//! The annotation by which a pod says what was put into it, and by which policies.
//!
//! It informs people; nothing believes it, since whoever creates a pod may write it too.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::rule::Fix;
use super::super::subject::Subject;

/// The annotation's key.
pub const MUTATED_BY: &str = "devops.stochastic.io/mutated-by";
/// The longest value, in bytes. All annotations of an object share 256 KiB.
const MAX_VALUE: usize = 4096;

/// What policies put in: the label of each, and the fields from the object's root.
pub(super) type PutIn = BTreeMap<String, BTreeSet<String>>;

/// Writes it into the pod of an object, beside what an earlier call of the webhook put in.
pub(super) fn fix(subject: &Subject<'_>, object: &Value, put_in: PutIn) -> Fix {
    let path = subject.pod_path(&format!("metadata.annotations[\"{MUTATED_BY}\"]"));
    let before =
        pod(subject, object).pointer("/metadata/annotations").and_then(|it| it.get(MUTATED_BY));
    Fix::new(path, value(before.and_then(Value::as_str), put_in))
}

fn pod<'v>(subject: &Subject<'_>, object: &'v Value) -> &'v Value {
    let root = subject.kind.names().spec_path.strip_suffix("spec").unwrap_or_default();
    let steps = root.split('.').filter(|step| !step.is_empty());
    steps.fold(object, |at, step| at.get(step).unwrap_or(&Value::Null))
}

/// `{"shop/defaults":["spec.containers[0].resources.limits.memory"]}`; of more fields than fit, how many they are.
fn value(before: Option<&str>, put_in: PutIn) -> String {
    let before = before.filter(|text| text.len() <= MAX_VALUE);
    let before: PutIn = before.and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default();
    let mut all = put_in;
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

    fn put_in(policy: &str, fields: &[&str]) -> PutIn {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        PutIn::from([(policy.to_owned(), fields)])
    }

    #[test]
    fn a_second_call_adds_to_what_the_first_said() {
        let first = value(None, put_in("shop/p", &["a"]));
        assert_eq!(first, r#"{"shop/p":["a"]}"#);
        assert_eq!(value(Some(&first), put_in("shop/p", &["b"])), r#"{"shop/p":["a","b"]}"#);
        assert_eq!(value(Some(&first), put_in("q", &["b"])), r#"{"q":["b"],"shop/p":["a"]}"#);
    }

    #[test]
    fn what_somebody_else_wrote_there_is_replaced() {
        for forged in ["", "nobody", "{}", "[1]", r#"{"a":1}"#, &"x".repeat(1 << 20)] {
            assert_eq!(value(Some(forged), put_in("p", &["a"])), r#"{"p":["a"]}"#);
        }
    }

    #[test]
    fn it_stays_short_however_much_was_put_in() {
        let fields: Vec<_> = (0..1000).map(|i| format!("spec.containers[{i}].image")).collect();
        let fields: Vec<_> = fields.iter().map(String::as_str).collect();
        assert_eq!(value(None, put_in("p", &fields)), r#"{"p":["1000 fields"]}"#);
        let many = (0..100).map(|i| (format!("{i}{}", "p".repeat(253)), BTreeSet::new())).collect();
        assert_eq!(value(None, many), r#"{"100 policies":["0 fields"]}"#);
    }
}
