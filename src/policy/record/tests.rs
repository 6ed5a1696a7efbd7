use serde_json::json;

use super::*;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// A Deployment whose template lacks a limit, or has it.
fn deployment(limit: bool) -> Value {
    let resources = if limit { json!({"limits": {"memory": "64Mi"}}) } else { json!({}) };
    let container = json!({"name": "web", "image": "nginx:1.29", "resources": resources});
    json!({"metadata": {"name": "cart", "uid": "u"},
        "spec": {"template": {"spec": {"containers": [container]}}}})
}

fn record() -> Value {
    json!({
        "state": "RollingOut", "uid": "u",
        "policies": [{"policy": "limits", "uid": "p", "generation": 1}],
        "rules": ["requireResourceLimits"],
        "began": "1970-01-01T00:00:00Z", "deadline": "1970-01-01T00:10:00Z",
        "attempts": 1, "before": fingerprint(&deployment(false)), "after": fingerprint(&deployment(true)),
        "available": 1,
        "inverse": [{"op": "remove", "path": "/spec/template/spec/containers/0/resources/limits"}],
    })
}

fn carrying(record: &Value) -> Value {
    let mut object = deployment(true);
    object["metadata"]["annotations"] = json!({ANNOTATION: record.to_string()});
    object
}

fn with(field: &str, value: Value) -> Value {
    let mut record = record();
    record[field] = value;
    record
}

fn read(record: &Value) -> Result<Record, InvalidRecord> {
    Record::of(&carrying(record), NOW).unwrap()
}

#[test]
fn a_record_that_podgate_wrote_is_believed_and_read_as_it_was_written() {
    let read = read(&record()).unwrap();
    assert_eq!(read.by, StartedBy::Podgate);
    assert_eq!(read.taken_back(&deployment(true)).unwrap(), deployment(false)["spec"]["template"]);
    let again: Value = serde_json::from_str(&read.text().unwrap()).unwrap();
    assert_eq!(again["inverse"], record()["inverse"]);
    assert!(Record::of(&deployment(true), NOW).is_none());
}

#[test]
fn a_record_of_another_workload_or_of_impossible_times_is_not_believed() {
    for (record, why) in [
        (with("uid", json!("other")), InvalidRecord::OtherWorkload),
        (with("uid", json!("")), InvalidRecord::OtherWorkload),
        (with("began", json!("1970-01-02T00:00:00Z")), InvalidRecord::Times),
        (with("began", json!("-009999-01-02T01:59:59Z")), InvalidRecord::Times),
        (with("deadline", json!("9999-12-30T22:00:00Z")), InvalidRecord::Times),
        (with("deadline", json!("1969-12-31T00:00:00Z")), InvalidRecord::Times),
        (with("deadline", json!("soon")), InvalidRecord::Unreadable),
        (with("attempts", json!(-1)), InvalidRecord::Unreadable),
        (with("state", json!("Gone")), InvalidRecord::Unreadable),
        (with("message", json!("m".repeat(MAX_RECORD))), InvalidRecord::TooLong),
        (json!(null), InvalidRecord::Unreadable),
    ] {
        assert_eq!(read(&record).unwrap_err(), why, "{record}");
    }
    let mut object = deployment(true);
    object["metadata"]["annotations"] = json!({ANNOTATION: 5});
    assert_eq!(Record::of(&object, NOW).unwrap().unwrap_err(), InvalidRecord::Unreadable);
}

#[test]
fn an_inverse_that_takes_out_nothing_or_more_than_a_repair_puts_in_is_not_believed() {
    let root = "/spec/template/spec";
    for inverse in [
        json!([{"op": "add", "path": format!("{root}/hostPID"), "value": true}]),
        json!([{"op": "add", "path": format!("{root}/containers/0/securityContext"), "value": {"privileged": true}}]),
        json!([{"op": "replace", "path": format!("{root}/containers/0/image"), "value": "evil.example/nginx:1.29"}]),
        json!([{"op": "replace", "path": format!("{root}/containers/0/resources"), "value": {"limits": {"memory": "9Gi"}}}]),
        json!([{"op": "move", "from": format!("{root}/containers/0/image"), "path": format!("{root}/containers/0/command")}]),
        json!([{"op": "copy", "from": format!("{root}/containers/0"), "path": format!("{root}/containers/-")}]),
        json!([{"op": "add", "path": "/spec/replicas", "value": 9}, {"op": "remove", "path": "/spec/template"}]),
        json!([{"op": "replace", "path": "", "value": {"spec": {"template": {"spec": {"hostPID": true}}}}}]),
        json!([{"op": "remove", "path": "/spec/template/spec/containers/9"}]),
        json!([{"op": "add", "path": "/spec/replicas", "value": 9}]),
        json!([]),
        json!([{"op": "test", "path": "/metadata/uid", "value": "u"}]),
    ] {
        assert_eq!(
            read(&with("inverse", inverse.clone())).unwrap_err(),
            InvalidRecord::Inverse,
            "{inverse}"
        );
    }
}

#[test]
fn what_a_record_says_to_people_is_of_one_line_and_names_only_rules() {
    let forged = with("message", json!(format!("\u{1b}[2J\n{}", "m".repeat(4096))));
    let read = read(&forged).unwrap();
    assert!(read.message.len() <= MAX_MESSAGE && !read.message.contains(['\u{1b}', '\n']));
    let read = self::read(&with("rules", json!(["\u{1b}[2J", "requireResourceLimits"]))).unwrap();
    assert_eq!(read.rules, ["requireResourceLimits"]);
}
