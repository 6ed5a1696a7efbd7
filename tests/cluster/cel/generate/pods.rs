//! Pods of the corpus with a few things changed.

use serde_json::{Value, json};

use super::{Choices, literals};

pub fn pod(choices: &mut Choices<'_>, corpus: &[Value]) -> Value {
    let mut pod = corpus[choices.below(corpus.len())].clone();
    for _ in 0..choices.below(3) {
        change(choices, &mut pod, 0);
    }
    pod
}

/// Changes a value here or below.
fn change(choices: &mut Choices<'_>, value: &mut Value, depth: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let key = fields.keys().nth(choices.below(fields.len())).unwrap().clone();
            if depth > 1 && choices.once_in(4) {
                fields.remove(&key);
            } else {
                change(choices, &mut fields[&key], depth + 1);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let at = choices.below(items.len());
            match choices.below(5) {
                0 => {
                    items.remove(at);
                }
                1 => items.push(items[at].clone()),
                _ => change(choices, &mut items[at], depth + 1),
            }
        }
        Value::Bool(it) => *it = !*it,
        Value::Number(_) => *value = json!([0, 1, -1, 80, 65535, 1 << 31][choices.below(6)]),
        Value::String(_) => *value = json!(literals::text(choices)),
        _ => {}
    }
}
