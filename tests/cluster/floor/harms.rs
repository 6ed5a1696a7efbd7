//! podgate runs, and is not asked about all that it should be: suspended, its webhook configuration gone, broken, or
//! changed.

use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::asked::Asked;
use super::{Floor, VALIDATING};
use crate::support::eventually;
use crate::support::suite::{Trials, trials};

/// Podgate's clock is an hour ahead.
pub const TRIALS: Trials<Floor> = trials![
    a_floor_wakes_when_podgate_is_suspended_and_when_its_configuration_is_gone,
    a_floor_wakes_when_the_api_server_does_not_trust_podgate,
    a_floor_wakes_when_an_operation_is_taken_out_of_the_rules,
];

pub const LONG: Trials<Floor> = trials![a_floor_wakes_for_every_change_that_lets_something_past];

fn a_floor_wakes_when_podgate_is_suspended_and_when_its_configuration_is_gone(it: &Floor) {
    it.heard();
    it.signal("STOP");
    it.wakes("suspended");
    it.signal("CONT");
    it.sleeps();
    it.beats();

    it.plane.kubectl(&["delete", VALIDATING]).ok();
    it.wakes("its configuration deleted");
    eventually("the metric", || match it.metric("podgate_floor_awake") {
        Some(1.0) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    it.kill();
    it.heard();
    it.sleeps();
}

/// The configuration as podgate wrote it.
struct Rendered<'f> {
    floor: &'f Floor,
    rendered: Value,
}

impl<'f> Rendered<'f> {
    fn of(floor: &'f Floor) -> Self {
        let mut rendered = floor.plane.kubectl(&["get", VALIDATING, "-o", "json"]).json();
        for field in ["resourceVersion", "uid", "managedFields", "generation", "creationTimestamp"]
        {
            rendered["metadata"].as_object_mut().unwrap().remove(field);
        }
        Self { floor, rendered }
    }

    /// Changes it, waits until the floor is awake, and restores it.
    fn harmed(&self, what: &str, change: impl Fn(&mut Value)) {
        let mut changed = self.rendered.clone();
        for webhook in changed["webhooks"].as_array_mut().unwrap() {
            change(webhook);
        }
        assert_ne!(changed, self.rendered, "{what}");
        self.write(&changed);
        self.floor.wakes(what);
        self.write(&self.rendered);
        self.floor.sleeps();
        self.floor.beats();
    }

    fn write(&self, configuration: &Value) {
        self.floor.plane.kubectl(&["replace", "-f", "-"]).given(configuration).ok();
    }
}

fn is(webhook: &Value, name: &str) -> bool {
    webhook["name"].as_str().unwrap().starts_with(name)
}

/// A change of the webhook that judges.
fn judging(change: impl Fn(&mut Value)) -> impl Fn(&mut Value) {
    move |webhook| {
        if is(webhook, "validate.") {
            change(webhook);
        }
    }
}

/// A CA that signed nothing.
fn other_ca() -> Value {
    let params = rcgen::CertificateParams::new(vec!["other".to_owned()]).unwrap();
    let ca = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
    json!(ByteString(ca.into_bytes()))
}

fn a_floor_wakes_when_the_api_server_does_not_trust_podgate(it: &Floor) {
    it.heard();
    let other = other_ca();
    Rendered::of(it)
        .harmed("a wrong caBundle", |all| all["clientConfig"]["caBundle"] = other.clone());
}

fn a_floor_wakes_when_an_operation_is_taken_out_of_the_rules(it: &Floor) {
    it.heard();
    Rendered::of(it).harmed(
        "no CREATE",
        judging(|it| {
            for rule in it["rules"].as_array_mut().unwrap() {
                rule["operations"] = json!(["UPDATE"]);
            }
        }),
    );
}

fn a_floor_wakes_for_every_change_that_lets_something_past(it: &Floor) {
    it.heard();
    let rendered = Rendered::of(it);
    let other = other_ca();
    let nowhere = |path: &str| json!(format!("https://127.0.0.1:1{path}"));
    rendered.harmed(
        "a wrong caBundle of one",
        judging(|it| it["clientConfig"]["caBundle"] = other.clone()),
    );
    rendered.harmed("a url where nobody listens", |it| it["clientConfig"]["url"] = nowhere("/x"));
    rendered.harmed("another url", judging(|it| it["clientConfig"]["url"] = nowhere("/validate")));
    rendered.harmed("a Service that does not exist", |it| {
        let client = it["clientConfig"].as_object_mut().unwrap();
        client.remove("url");
        client.insert(
            "service".to_owned(),
            json!({"namespace": "default", "name": "nobody", "path": "/"}),
        );
    });
    rendered.harmed(
        "a resource taken out",
        judging(|it| {
            for rule in it["rules"].as_array_mut().unwrap() {
                rule["resources"].as_array_mut().unwrap().retain(|it| it != "pods");
                if rule["resources"] == json!([]) {
                    rule["resources"] = json!(["nothing"]);
                }
            }
        }),
    );
    rendered.harmed(
        "a namespace less",
        judging(|it| {
            it["namespaceSelector"] = json!({"matchExpressions": [
                {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["shop", "kube-system"]},
            ]});
        }),
    );
    rendered.harmed(
        "an objectSelector",
        judging(|it| it["objectSelector"] = json!({"matchLabels": {"judge": "me"}})),
    );
    let never = json!([{"name": "never", "expression": "false"}]);
    rendered.harmed("matchConditions", judging(|it| it["matchConditions"] = never.clone()));
    rendered.harmed("a matchPolicy", judging(|it| it["matchPolicy"] = json!("Exact")));
    rendered.harmed("no webhook of the beat", |it| {
        if is(it, "alive.") {
            it["matchConditions"] = never.clone();
        }
    });
    // This lets nothing past that podgate denies: it is asked all the same, and heard.
    let mut fails = rendered.rendered.clone();
    for webhook in fails["webhooks"].as_array_mut().unwrap() {
        webhook["failurePolicy"] = json!("Fail");
    }
    rendered.write(&fails);
    let changed = it.renewed();
    eventually("a beat", || if it.renewed() > changed { Ok(()) } else { Err(it.log()) });
    it.sleeps();
    rendered.write(&rendered.rendered);
}
