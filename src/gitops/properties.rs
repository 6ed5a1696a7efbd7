//! Property tests: an exported policy reads back as the same policy, whatever texts it has.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::yaml;
use crate::manifests::canonical::canonical;
use crate::manifests::policy_file::{self, ParseOptions};

/// Texts that YAML would resolve to other types, or whose whitespace its layout could lose.
const AWKWARD: [&str; 36] = [
    "",
    " ",
    "yes",
    "no",
    "on",
    "null",
    "~",
    "true",
    "1.0",
    "0x1",
    "0o7",
    "1e3",
    ".inf",
    "-",
    "- a",
    "#",
    "a # b",
    ": ",
    "a: b",
    "'",
    "\"",
    "\\",
    "a\n",
    "\na",
    "a\n\n",
    "a  \nb",
    "  a\n b\n",
    "\t",
    "a\tb",
    "é\u{1f600}",
    "\u{feff}",
    "\u{85}",
    "object.spec.containers.all(c,\n  c.image.startsWith('x'))\n",
    "{{ a }}",
    "---",
    "2026-01-01",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(&AWKWARD[..]).prop_map(str::to_owned),
        "[ -~]{0,200}",
        "(.|\n){0,60}",
        "([ a-z#:'\"|>-]{0,90}\n){0,5}",
        any::<String>(),
    ]
}

fn read(text: &str) -> Value {
    let policies = policy_file::parse(text, ParseOptions::default());
    let policies = policies.unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(policies.len(), 1, "{text}");
    canonical(&policies[0].manifest)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_text_in_a_policy_survives_an_export(
        annotations in proptest::collection::btree_map(text(), text(), 0..4),
        contact in text(),
        message in text(),
    ) {
        let policy = canonical(&json!({
            "kind": "DevOpsPolicy",
            "metadata": {"name": "a", "namespace": "yes", "annotations": annotations},
            "spec": {
                "contact": contact,
                "validations": [{"name": "a", "expression": "true", "message": message}],
            },
        }));
        let text = yaml(&policy).unwrap();
        // The policy is not compiled, because rules may refuse these texts.
        let read = crate::manifests::documents::read(&text);
        let found: Vec<_> = read.map(|object| object.unwrap().node.to_json()).collect();
        prop_assert_eq!(found, [policy], "{}", text);
    }
}

#[test]
fn a_policy_with_expressions_of_several_lines_survives_an_export() {
    let policy = canonical(&json!({
        "kind": "ClusterDevOpsPolicy",
        "metadata": {"name": "1.0", "labels": {"on": "yes"}, "annotations": {"a": "# no comment", "b": "x: y\n\n z  \n"}},
        "spec": {"validations": [{
            "name": "registry",
            "expression": "object.spec.containers.all(c,\n  c.image.startsWith('registry.example/'))\n",
            "message": "use: registry.example # always",
        }]},
    }));
    assert_eq!(read(&yaml(&policy).unwrap()), policy);
}
