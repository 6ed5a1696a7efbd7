use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::*;
use crate::cel::admission;
use crate::cel::compile::compile;
use crate::cel::flow::analyze;

/// The lines of `fields.txt` by the schema of k8s-openapi.
fn fields() -> String {
    let schema = serde_json::to_value(schemars::schema_for!(Pod)).unwrap();
    let definitions = schema["$defs"].as_object().cloned().unwrap_or_default();
    let mut lines = BTreeMap::new();
    let mut open = vec![("Pod".to_owned(), schema.clone())];
    while let Some((name, of)) = open.pop() {
        let Some(properties) = of["properties"].as_object() else { continue };
        if lines.contains_key(&name) {
            continue;
        }
        let words: BTreeSet<String> = properties
            .iter()
            .map(|(field, property)| match holds(property, &definitions, &mut open) {
                holds if holds.is_empty() => field.clone(),
                holds => format!("{field}:{holds}"),
            })
            .collect();
        let words: Vec<String> = words.into_iter().collect();
        lines.insert(name.clone(), format!("{name} {}\n", words.join(" ")));
    }
    lines.into_values().collect()
}

/// What a property holds; types that it names are opened.
fn holds(
    property: &Value,
    definitions: &serde_json::Map<String, Value>,
    open: &mut Vec<(String, Value)>,
) -> String {
    for several in ["allOf", "anyOf"] {
        if let Some(one) = property[several].as_array().and_then(|all| all.first()) {
            return holds(one, definitions, open);
        }
    }
    if let Some(reference) = property["$ref"].as_str() {
        let full = reference.trim_start_matches("#/$defs/");
        let name = full.rsplit('.').next().unwrap();
        let definition = &definitions[full];
        if name == "FieldsV1" {
            return "*".to_owned();
        }
        if definition["properties"].is_object() {
            open.push((name.to_owned(), definition.clone()));
            return name.to_owned();
        }
        return String::new();
    }
    let items = if property["items"].is_object() {
        Some(("[]", &property["items"]))
    } else if property["additionalProperties"].is_object() {
        Some(("{}", &property["additionalProperties"]))
    } else {
        None
    };
    items.map_or_else(String::new, |(mark, of)| format!("{mark}{}", holds(of, definitions, open)))
}

#[test]
fn the_fields_are_those_of_kubernetes() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/policy/pod_schema/fields.txt");
    if std::env::var_os("UPDATE_POD_SCHEMA").is_some() {
        std::fs::write(file, fields()).unwrap();
    }
    let written = std::fs::read_to_string(file).unwrap();
    let (ours, theirs): (Vec<&str>, String) = (written.lines().collect(), fields());
    for line in theirs.lines() {
        assert!(
            ours.contains(&line),
            "fields.txt has no line like this; run with UPDATE_POD_SCHEMA=1:\n{line}"
        );
    }
    assert_eq!(ours.len(), theirs.lines().count());
}

fn warnings(expression: &str) -> Vec<String> {
    let checked = compile(expression, &admission::environment(), 1024).unwrap();
    let analysis = analyze(&checked, &[], Some(pod_schema()));
    analysis
        .warnings
        .iter()
        .map(|warning| format!("{}: {}", warning.place, warning.message))
        .collect()
}

#[test]
fn a_field_that_no_pod_has_is_a_warning_with_what_may_have_been_meant() {
    for (expression, expected) in [
        ("object.spec.replicas > 1", "1:13: no Pod has object.spec.replicas"),
        (
            "object.spec.securityContext.runasuser == 0",
            "1:29: no Pod has object.spec.securityContext.runasuser; did you mean runAsUser?",
        ),
        (
            "has(object.spec.hostnetwork)",
            "1:17: no Pod has object.spec.hostnetwork; did you mean hostNetwork?",
        ),
        (
            "object.spec.?privileged.orValue(false)",
            "1:14: no Pod has object.spec.privileged; there is object.spec.containers[].securityContext.privileged",
        ),
        (
            "object.spec.containers.all(c, c.Image != '')",
            "1:33: no Pod has object.spec.containers[].Image; did you mean image?",
        ),
        (
            "(object.spec.containers + object.spec.?initContainers.orValue([])).exists(c, has(c.securityContext.priviledged))",
            "1:100: no Pod has object.spec.containers[].securityContext.priviledged; did you mean privileged?",
        ),
        (
            "object.spec.containers.name == ''",
            "1:24: object.spec.containers is a list, which has no name; use all() or exists(), or write [0]",
        ),
        (
            "object.?spec.?volumes.optMap(v, v.exists(e, has(e.hostpath))).orValue(false)",
            "1:51: no Pod has object.spec.volumes[].hostpath; did you mean hostPath?",
        ),
        ("object['spek'] == null", "1:7: no Pod has object.spek; did you mean spec?"),
    ] {
        assert_eq!(warnings(expression), [expected], "{expression}");
    }
}

#[test]
fn what_a_pod_may_have_is_no_warning() {
    for expression in [
        "object.metadata.labels.replicas == '1'",
        "object.metadata.annotations['a.b/c'] == ''",
        "object.spec.containers.all(c, c.resources.limits.cpu == '1' && c.resources.limits['nvidia.com/gpu'] == '1')",
        "object.spec.nodeSelector.anything == 'x'",
        "object.spec.containers.filter(c, has(c.ports)).map(c, c.ports).flatten().all(p, p.containerPort > 0)",
        "object.kind == 'Pod' && object.apiVersion == 'v1'",
        "object.status.phase == 'Running'",
        "{'replicas': 1}.replicas == 1",
        "[object].all(x, x.spec.hostPID == true)",
        "object.spec.containers.map(c, {'x': c}).all(y, y.x.image != '')",
    ] {
        assert_eq!(warnings(expression), Vec::<String>::new(), "{expression}");
    }
}
