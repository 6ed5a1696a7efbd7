//! What is exported is read back as the same, whatever the texts in it are.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::yaml;
use crate::manifests::canonical::canonical;
use crate::manifests::policy_file::{self, Reading};

/// Texts that YAML takes for something else, or that its layout could lose.
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
    let policies = policy_file::parse(text, Reading::default());
    let policies = policies.unwrap_or_else(|fault| panic!("{fault}\n{text}"));
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
        // Rules may refuse the texts, so only the shape is compared, by the reader that all files go through.
        let mut found = Vec::new();
        crate::manifests::documents::read(&text, |object| found.push(object.unwrap().node.to_json()));
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
