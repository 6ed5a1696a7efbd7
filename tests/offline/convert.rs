//! `podgate policy convert`, as the real binary: `tests/convert` has source policies of each form, with cases. The
//! rules that a case breaks are those that the source itself would say; the report is held beside them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use podgate::convert::{Fit, Source, convert};
use serde_json::{Value, json};

use crate::support::binary::{command, run};

fn forms() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/convert");
    let mut forms: Vec<_> = fs::read_dir(root).unwrap().map(|it| it.unwrap().path()).collect();
    forms.sort();
    assert!(forms.len() > 8, "{forms:?}");
    forms
}

/// The exit code, the policies and the report of the command.
fn converted(text: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = command();
    command.args(["policy", "convert", "-"]).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_report_of_each_form_says_what_fits_and_why_not() {
    for form in forms() {
        let (code, _, report) =
            converted(&fs::read_to_string(form.join("source.yaml")).unwrap(), &[]);
        let golden = form.join("report.txt");
        if std::env::var_os("UPDATE_CONVERT").is_some() {
            fs::write(&golden, &report).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(report, expected, "{}; UPDATE_CONVERT=1 writes it", golden.display());
        let lost = report.contains(": looser") || report.contains(": not");
        assert_eq!(code, Some(i32::from(lost)), "{report}");
    }
}

#[test]
fn what_is_converted_judges_as_the_source_does() {
    for form in forms() {
        let (_, policies, _) =
            converted(&fs::read_to_string(form.join("source.yaml")).unwrap(), &[]);
        let cases = fs::read_to_string(form.join("cases.yaml")).unwrap();
        let cases: Vec<Value> = if cases.is_empty() {
            Vec::new()
        } else {
            serde_saphyr::from_multiple(&cases).unwrap()
        };
        assert_eq!(policies.is_empty(), cases.is_empty(), "{}", form.display());
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policies.yaml");
        fs::write(&file, &policies).unwrap();
        for case in cases {
            let object = dir.path().join("object.yaml");
            let namespace = &case["object"]["metadata"]["namespace"];
            let labels = json!({"kubernetes.io/metadata.name": namespace});
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}});
            fs::write(&object, format!("{}\n---\n{namespace}\n", case["object"])).unwrap();
            let (object, policy) = (object.to_str().unwrap(), file.to_str().unwrap());
            let output =
                run(&["scan", object, "--policy", policy, "-o", "json", "--fail-on", "never"]);
            let scanned: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(scanned["faults"], json!([]), "{case}: {scanned}");
            let texts = |value: &Value, field: Option<&str>| -> BTreeSet<String> {
                let items = value.as_array().unwrap().iter();
                items
                    .map(|it| field.map_or(it, |field| &it[field]).as_str().unwrap().to_owned())
                    .collect()
            };
            let broken = texts(&scanned["results"], Some("rule"));
            assert_eq!(
                broken,
                texts(&case["rules"], None),
                "{} {}\n{policies}",
                form.display(),
                case["case"]
            );
        }
    }
}

#[test]
fn modes_and_kinds_are_those_of_the_source() {
    for (source, mode, kind) in [
        ("kyverno-patterns", "enforce", "ClusterDevOpsPolicy"),
        ("kyverno-cel", "warn", "DevOpsPolicy"),
        ("validating-policy", "warn", "ClusterDevOpsPolicy"),
        ("admission-policy", "enforce", "ClusterDevOpsPolicy"),
        ("pod-security-labels", "enforce", "DevOpsPolicy"),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/convert").join(source);
        let (_, policies, _) =
            converted(&fs::read_to_string(path.join("source.yaml")).unwrap(), &[]);
        let policies: Vec<Value> = serde_saphyr::from_multiple(&policies).unwrap();
        assert_eq!(policies[0]["spec"]["enforcementMode"], mode, "{source}");
        assert_eq!(policies[0]["kind"], kind, "{source}");
    }
}

#[test]
fn the_report_as_json_has_its_version_and_every_source() {
    let (code, _, report) = converted(
        "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: a}\nspec: {rules: [{name: r, mutate: {a: b}}]}\n",
        &["-o", "json"],
    );
    let json: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((code, &json["apiVersion"]), (Some(1), &json!("podgate/v1")));
    assert_eq!(json["summary"], json!({"exact": 0, "stricter": 0, "looser": 0, "not": 1}));
    assert_eq!(json["sources"][0]["rules"][0]["conversion"], "not");
    assert_eq!(json["sources"][0]["place"], "-:1:1");
}

#[test]
fn files_are_written_once_and_never_overwritten() {
    let source = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {pod-security.kubernetes.io/warn: baseline}}\n";
    let dir = tempfile::tempdir().unwrap();
    let args = ["--output-dir", dir.path().to_str().unwrap()];
    let (code, stdout, _) = converted(source, &args);
    assert_eq!((code, stdout.as_str()), (Some(0), ""));
    let file = dir.path().join("shop/pod-security.yaml");
    let written = fs::read_to_string(&file).unwrap();
    assert!(written.contains("podSecurity: baseline"), "{written}");
    let (code, _, stderr) = converted(source, &args);
    assert_eq!(code, Some(3));
    assert!(stderr.contains("is there already, and is not overwritten"), "{stderr}");
    assert_eq!(fs::read_to_string(&file).unwrap(), written);
}

#[test]
fn broken_yaml_is_bad_input_with_its_place_and_the_rest_is_converted() {
    let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {pod-security.kubernetes.io/audit: baseline}}\n---\nkind: [\n";
    let (code, stdout, stderr) = converted(text, &[]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(
        stdout.contains("podSecurity: baseline") && stderr.contains("-:5:7: it is not YAML"),
        "{stderr}"
    );
    let (code, _, stderr) =
        converted("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", &[]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("there is no policy to convert"), "{stderr}");
    assert_eq!(run(&["policy", "convert", "/nowhere.yaml"]).status.code(), Some(3));
}

/// A policy of Kyverno whose only rule has this pattern.
fn with_pattern(pattern: &Value) -> Value {
    json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "p"}, "spec": {"rules": [{
        "name": "r", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]}, "validate": {"message": "m", "pattern": pattern},
    }]}})
}

fn fit(object: Value) -> (Fit, String) {
    let conversion = convert(&[Source { place: String::new(), object }]);
    let report = &conversion.sources[0];
    (report.conversion, format!("{:?}", report.rules))
}

#[test]
fn deep_and_huge_and_odd_patterns_are_refused_and_never_a_guess() {
    let mut deep = json!({"a": "b"});
    for _ in 0..100 {
        deep = json!({"spec": deep});
    }
    let long = json!({"spec": {"containers": [{"image": "x".repeat(5000)}]}});
    let many: serde_json::Map<_, _> = (0..1000).map(|it| (format!("l{it}"), json!("?*"))).collect();
    for (pattern, why) in [
        (deep, "deeper than"),
        (long, "podgate would not accept it"),
        (json!({"metadata": {"labels": many}}), "validations"),
        (json!({"spec": {"containers": [{"a": "b"}, {"c": "d"}]}}), "only the first item"),
        (json!({"spec": {"containers": []}}), "no pattern for a pod"),
        (json!({"spec": 0.5}), "fraction"),
        (json!([]), "no map"),
    ] {
        let (fit, report) = fit(with_pattern(&pattern));
        assert_eq!(fit, Fit::Not, "{report}");
        assert!(report.contains(why), "{report}");
    }
}

#[test]
fn a_name_that_is_no_name_is_refused() {
    for name in [json!("../etc/passwd"), json!(""), json!(7), json!("A b"), Value::Null] {
        let mut policy = with_pattern(&json!({"spec": {"hostPID": false}}));
        policy["metadata"]["name"] = name;
        assert_eq!(fit(policy).0, Fit::Not);
    }
}

/// Values of the shapes that policies have, with fields of the right names and any types.
fn any_value() -> impl proptest::strategy::Strategy<Value = Value> {
    use proptest::prelude::*;
    let key = prop::sample::select(vec![
        "spec",
        "rules",
        "match",
        "any",
        "all",
        "resources",
        "kinds",
        "exclude",
        "validate",
        "pattern",
        "anyPattern",
        "foreach",
        "deny",
        "conditions",
        "key",
        "operator",
        "value",
        "cel",
        "expressions",
        "expression",
        "podSecurity",
        "level",
        "metadata",
        "labels",
        "=(containers)",
        "^(containers)",
        "(image)",
        "X(a)",
        "*",
        "parameters",
        "namespaces",
        "name",
        "matchLabels",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(vec![
            "Pod",
            "*",
            "?*",
            "a|b&!c",
            ">=1",
            "1-2",
            "{{ request.object.spec.containers[].image }}",
            "{{",
            "AnyNotIn",
            "restricted",
            "object.spec.hostPID",
            "'",
            "é\u{0}",
            "=(",
            ")(",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..4).prop_map(|it| Value::Object(
                it.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            )),
        ]
    })
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]

    #[test]
    fn any_object_is_converted_or_refused_without_a_panic(rule in any_value(), kind in 0_usize..6) {
        let (api, kind) = [
            ("kyverno.io/v1", "ClusterPolicy"),
            ("policies.kyverno.io/v1", "ValidatingPolicy"),
            ("kyverno.io/v2", "PolicyException"),
            ("constraints.gatekeeper.sh/v1beta1", "K8sAllowedRepos"),
            ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"),
            ("v1", "Namespace"),
        ][kind];
        let object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": "a"}, "spec": {"rules": [
            {"name": "r", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]}, "validate": rule},
        ], "parameters": rule, "match": rule, "validations": rule, "matchConstraints": rule}});
        let conversion = convert(&[Source { place: String::new(), object }]);
        for report in conversion.sources {
            proptest::prop_assert!(report.conversion == Fit::Not || !report.rules.is_empty());
        }
    }
}
