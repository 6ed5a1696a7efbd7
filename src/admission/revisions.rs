//! ControllerRevisions: the StatefulSet controller makes pods of an old revision from the template that the revision
//! holds. Whoever creates a revision in its place therefore chooses a template, and is judged by it. Pure.
//!
//! The controller applies `data` to its StatefulSet as a strategic merge patch, and decodes the result with Go's
//! `encoding/json`, which ignores the case of names (`ApplyRevision` in
//! `pkg/controller/statefulset/stateful_set_utils.go` of Kubernetes). Controllers write a template that replaces the
//! whole one. Another form could say more than its text shows, so it cannot be judged, which is a violation of every
//! rule.
//!
//! The DaemonSet controller makes pods from its DaemonSet's own template only. Its revisions are judged all the same: a
//! StatefulSet adopts any revision that its selector matches.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::json;
use super::review::{Operation, Request};
use crate::policy::object::Object;
use crate::policy::pod_schema::pod_schema;
use crate::policy::rule::Breach;
use crate::policy::workload::Kind;

/// What a revision holds.
pub(super) enum Revision<'a> {
    /// No template.
    Empty,
    /// A template, in `spec.template` of this object.
    Template(Box<Object<'a>>),
    /// Something that cannot be judged, and why.
    Unclear(&'static str),
}

/// Whether a review is of the creation of a ControllerRevision. Their `data` cannot be changed, so updates are not
/// reviewed.
pub(super) fn is_creation(request: &Request<'_>, operation: Operation) -> bool {
    let names = Kind::ControllerRevision.names();
    operation == Operation::Create
        && *request.kind.group == *names.group
        && *request.kind.version == *names.version
        && *request.kind.kind == *names.kind
}

/// The revision in a review.
pub(super) fn revision(body: &[u8]) -> Revision<'_> {
    #[derive(Deserialize)]
    struct Review<'a> {
        #[serde(borrow)]
        request: Creation<'a>,
    }
    #[derive(Deserialize)]
    struct Creation<'a> {
        #[serde(borrow)]
        object: Held<'a>,
    }
    #[derive(Deserialize)]
    struct Held<'a> {
        #[serde(borrow)]
        data: Option<&'a RawValue>,
    }
    const UNREADABLE: Revision<'_> = Revision::Unclear("it cannot be read");
    let Ok(review) = serde_json::from_slice::<Review<'_>>(body) else { return UNREADABLE };
    let Some(data) = review.request.object.data.map(RawValue::get) else { return Revision::Empty };
    let Some(whole) = json::whole(data) else {
        return Revision::Unclear("it is too large or too deep");
    };
    match fault(&whole) {
        Ok(false) => Revision::Empty,
        Ok(true) => json::from_str(data).map_or(UNREADABLE, |it| Revision::Template(Box::new(it))),
        Err(why) => Revision::Unclear(why),
    }
}

/// Whether a revision's `data` has a template.
///
/// # Errors
/// Why its template may not be what it seems.
fn fault(data: &Value) -> Result<bool, &'static str> {
    const CASE: &str = "a name of a field is written in another case";
    let Some(data) = data.as_object() else { return Ok(false) };
    let other_case = |key: &String, name: &str| key != name && fold(key) == name;
    if data.keys().any(|it| other_case(it, "spec")) {
        return Err(CASE);
    }
    let Some(spec) = data.get("spec").and_then(Value::as_object) else { return Ok(false) };
    if spec.keys().any(|it| other_case(it, "template")) {
        return Err(CASE);
    }
    let template = match spec.get("template") {
        None | Some(Value::Null) => return Ok(false),
        Some(template) => template,
    };
    if template.get("$patch").and_then(Value::as_str) != Some("replace") {
        return Err("its template does not say $patch: replace, so it is merged into another one");
    }
    if is_misspelt(template, "template") { Err(CASE) } else { Ok(true) }
}

/// The maps of a pod whose keys are not names of fields.
const FREE: [&str; 8] = [
    "annotations",
    "labels",
    "limits",
    "matchLabels",
    "nodeSelector",
    "options",
    "requests",
    "volumeAttributes",
];

/// Whether a key in a value is the name of a pod's field in another case. `holder` is the key of the value itself.
fn is_misspelt(value: &Value, holder: &str) -> bool {
    static FIELDS: LazyLock<(BTreeSet<&str>, BTreeSet<String>)> = LazyLock::new(|| {
        let names: BTreeSet<_> = pod_schema().field_names().collect();
        let folded = names.iter().map(|it| fold(it)).collect();
        (names, folded)
    });
    let (names, folded) = &*FIELDS;
    match value {
        Value::Array(items) => items.iter().any(|it| is_misspelt(it, holder)),
        Value::Object(fields) => fields.iter().any(|(key, value)| {
            let free = FREE.contains(&holder) && !value.is_object() && !value.is_array();
            let misspelt = !free && !names.contains(&**key) && folded.contains(&fold(key));
            misspelt || is_misspelt(value, key)
        }),
        _ => false,
    }
}

/// A name as Go compares it. Of all characters, two others fold to ASCII letters: the long s and the Kelvin sign.
fn fold(name: &str) -> String {
    let fold = |it: char| match it {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        it => it.to_ascii_lowercase(),
    };
    name.chars().map(fold).collect()
}

/// The violation of every rule by a revision that cannot be judged.
pub(super) fn undecided(why: &str) -> Breach {
    Breach {
        path: "data".to_owned(),
        problem: format!("could not be judged: {why}"),
        remedy: "leave revisions to the StatefulSet's controller, or write the whole template as it does".to_owned(),
        undecided: true,
        ..Breach::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template() -> Value {
        json!({"$patch": "replace", "metadata": {"labels": {"Name": "x"}}, "spec": {"containers": [
            {"name": "web", "image": "nginx", "resources": {"limits": {"example.com/GPU": "1"}}}]}})
    }

    fn held(data: &Value) -> &'static str {
        match fault(data) {
            Ok(false) => "empty",
            Ok(true) => "template",
            Err(_) => "unclear",
        }
    }

    #[test]
    fn a_template_counts_only_where_it_replaces_the_whole_one() {
        let mut merged = template();
        merged.as_object_mut().unwrap().remove("$patch");
        let mut deleted = template();
        deleted["$patch"] = json!("delete");
        for (data, expected) in [
            (json!({"spec": {"template": template()}}), "template"),
            (json!({"spec": {"template": merged}}), "unclear"),
            (json!({"spec": {"template": deleted}}), "unclear"),
            (json!({"spec": {"template": []}}), "unclear"),
            (json!({"spec": {"template": "x"}}), "unclear"),
            (json!({"spec": {"template": null}}), "empty"),
            (json!({"spec": {"replicas": 1}}), "empty"),
            (json!({"kind": "VirtualMachineInstancetype", "spec": {"cpu": {"guest": 1}}}), "empty"),
            (json!({}), "empty"),
            (json!(null), "empty"),
            (json!("spec"), "empty"),
            (json!([{"spec": 1}]), "empty"),
        ] {
            assert_eq!(held(&data), expected, "{data}");
        }
    }

    #[test]
    fn a_name_that_go_would_take_for_a_field_in_another_case_is_unclear() {
        let with = |pointer: &str, field: &str| {
            let mut data = json!({"spec": {"template": template()}});
            let holder = data.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
            holder.insert(field.to_owned(), json!({"x": true}));
            data
        };
        for (pointer, field) in [
            ("", "Spec"),
            ("", "\u{17f}pec"),
            ("/spec", "TEMPLATE"),
            ("/spec/template", "Spec"),
            ("/spec/template/spec", "HostPID"),
            ("/spec/template/spec", "hostpid"),
            ("/spec/template/spec/containers/0", "SecurityContext"),
            ("/spec/template/spec/containers/0", "\u{17f}ecurityContext"),
            ("/spec/template/metadata/labels", "Spec"),
        ] {
            assert_eq!(held(&with(pointer, field)), "unclear", "{pointer}/{field}");
        }
        for (pointer, field) in [
            ("", "metadata"),
            ("/spec", "replicas"),
            ("/spec/template/spec", "hostPID"),
            ("/spec/template/spec", "yetToCome"),
            ("/spec/template/spec/containers/0", "$patch"),
        ] {
            assert_eq!(held(&with(pointer, field)), "template", "{pointer}/{field}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_unclear_and_nothing_panics() {
        let of = |data: &str| format!(r#"{{"request": {{"object": {{"data": {data}}}}}}}"#);
        let unclear = |body: &str| matches!(revision(body.as_bytes()), Revision::Unclear(_));
        let replaced = |spec: &str| {
            of(&format!(r#"{{"spec": {{"template": {{"$patch": "replace", "spec": {spec}}}}}}}"#))
        };
        assert!(!unclear(&replaced(r#"{"containers": []}"#)));
        for body in [
            "{".to_owned(),
            replaced("[]"),
            replaced(r#"{"hostPID": "yes"}"#),
            replaced(r#"{"hostPID": false, "hostPID": true}"#),
            of(&("[".repeat(500) + &"]".repeat(500))),
        ] {
            assert!(unclear(&body), "{body}");
        }
        assert!(matches!(revision(br#"{"request": {"object": {}}}"#), Revision::Empty));
    }
}
