//! The laws of mutation, on pods and policies made up at random.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::engine::judge;
use super::super::policy_set::PolicySet;
use super::super::workload::Kind;
use super::tests::{injected, policy, set};
use super::*;

/// An object with each of these fields there or not.
fn some_of(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let fields = fields.into_iter().map(|(name, value)| {
        proptest::option::of(value).prop_map(move |value| value.map(|it| (name.to_owned(), it)))
    });
    let fields = fields.collect::<Vec<_>>();
    fields.prop_map(|fields| fields.into_iter().flatten().collect::<Map<_, _>>().into()).boxed()
}

fn one_of(values: &[Value]) -> BoxedStrategy<Value> {
    prop::sample::select(values.to_vec()).boxed()
}

fn list_of(item: BoxedStrategy<Value>, most: usize) -> BoxedStrategy<Value> {
    prop::collection::vec(item, 0..=most).prop_map(Value::Array).boxed()
}

fn quantities() -> BoxedStrategy<Value> {
    let amount = || one_of(&[json!("100m"), json!("64Mi"), json!("1Gi"), json!("0"), json!(1)]);
    some_of(vec![("cpu", amount()), ("memory", amount())])
}

fn resources() -> BoxedStrategy<Value> {
    some_of(vec![("requests", quantities()), ("limits", quantities())])
}

fn image() -> BoxedStrategy<Value> {
    one_of(
        &["nginx", "nginx:1.28", "docker.io/library/nginx:latest", "redis", "Bad"].map(Value::from),
    )
}

fn container() -> BoxedStrategy<Value> {
    let ports = [json!({"containerPort": 80}), json!({"containerPort": 53, "protocol": "UDP"})];
    let capabilities = some_of(vec![
        ("add", one_of(&[json!(["CAP_SYS_ADMIN"]), json!(["NET_ADMIN"]), json!([])])),
        ("drop", one_of(&[json!(["ALL"]), json!(["NET_RAW"]), json!([]), Value::Null])),
    ]);
    let context = some_of(vec![
        ("privileged", any::<bool>().prop_map(Value::Bool).boxed()),
        ("allowPrivilegeEscalation", any::<bool>().prop_map(Value::Bool).boxed()),
        ("capabilities", capabilities),
        ("seccompProfile", one_of(&[json!({"type": "Unconfined"}), Value::Null])),
    ]);
    let fields = some_of(vec![
        ("image", image()),
        ("restartPolicy", one_of(&[json!("Always")])),
        ("ports", list_of(one_of(&ports), 2)),
        ("livenessProbe", one_of(&[json!({"tcpSocket": {"port": 1}}), Value::Null])),
        ("resources", resources()),
        ("securityContext", context),
    ]);
    (one_of(&[json!("web"), json!("log"), json!("odd")]), fields)
        .prop_map(|(name, mut fields)| {
            fields["name"] = name;
            fields
        })
        .boxed()
}

/// A pod of one container or more.
fn pod() -> impl Strategy<Value = Value> {
    let context = one_of(&[json!({"seccompProfile": {"type": "RuntimeDefault"}}), json!({})]);
    let volume = image().prop_map(|it| json!({"name": "v", "image": {"reference": it}})).boxed();
    let spec = some_of(vec![
        ("initContainers", list_of(container(), 2)),
        ("volumes", list_of(volume, 2)),
        ("resources", resources()),
        ("restartPolicy", one_of(&[json!("Never"), json!("Always")])),
        ("os", one_of(&[json!({"name": "windows"}), json!({"name": "linux"})])),
        ("securityContext", context),
    ]);
    (spec, prop::collection::vec(container(), 1..3)).prop_map(|(mut spec, containers)| {
        spec["containers"] = containers.into();
        json!({"metadata": {"name": "web"}, "spec": spec})
    })
}

/// A spec with any of the rules that mutation serves, and with what it puts in.
fn spec() -> impl Strategy<Value = Value> {
    let yes = || one_of(&[json!(true)]);
    let asked =
        || one_of(&[json!(["cpu"]), json!(["memory", "cpu"]), json!(["ephemeral-storage"])]);
    let tag = |from: &str, to: &str| json!({"image": "nginx", "from": from, "to": to});
    let digest = format!("sha256:{}", "a".repeat(64));
    let tags =
        [tag("latest", "1.28"), tag("1.28", "1.29"), tag("1.29", "1.28"), tag("1.29", &digest)];
    let defaults = some_of(vec![
        ("cpuRequest", one_of(&[json!("10m"), json!("100m")])),
        ("cpuLimit", one_of(&[json!("100m"), json!("1")])),
        ("memoryRequest", one_of(&[json!("32Mi"), json!("64Mi")])),
        ("memoryLimit", one_of(&[json!("64Mi"), json!("1Gi")])),
    ]);
    let exemption = (
        one_of(&[
            json!(["requireResourceLimits", "podSecurity/seccompProfile_restricted"]),
            json!(["forbidLatestTag", "requireReadinessProbe", "podSecurity"]),
        ]),
        some_of(vec![
            ("containers", one_of(&[json!(["web"]), json!(["l*"])])),
            ("images", one_of(&[json!(["nginx"]), json!(["*:1.28"]), json!(["*:1.29"])])),
        ]),
    );
    let exemption = exemption.prop_map(|(rules, mut fields)| {
        fields["rules"] = rules;
        fields["reason"] = "r".into();
        fields["owner"] = "o".into();
        fields
    });
    some_of(vec![
        ("forbidLatestTag", yes()),
        ("requireImageDigest", yes()),
        ("requireLivenessProbe", yes()),
        ("requireReadinessProbe", yes()),
        ("requireResourceRequests", asked()),
        ("requireResourceLimits", asked()),
        ("podSecurity", one_of(&[json!("baseline"), json!("restricted")])),
        ("imageTags", list_of(one_of(&tags), 3)),
        ("defaultResources", defaults),
        (
            "defaultProbe",
            one_of(&[
                json!({}),
                json!({"tcpPort": 80}),
                json!({"httpGet": {"path": "/", "port": 80}}),
            ]),
        ),
        ("exemptions", list_of(exemption.boxed(), 2)),
    ])
}

fn policies() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(spec(), 1..4)
}

fn of(specs: &[Value]) -> PolicySet {
    let policies = specs.iter().enumerate().map(|(index, spec)| {
        policy((index % 2 == 0).then_some("shop"), &format!("p{index}"), spec.clone())
    });
    set(policies)
}

/// What is wrong with a pod, without the values found.
fn violations(set: &PolicySet, pod: &Value) -> BTreeSet<(String, String, String, bool)> {
    let text = pod.to_string();
    let view: Object = serde_json::from_str(&text).unwrap();
    let mut subject = Subject::of(Kind::Pod, &view).unwrap();
    subject.namespace = Some("shop");
    let plan = set.covering(Some("shop")).unwrap();
    let found = judge(plan, &subject, Timestamp::UNIX_EPOCH).violations;
    let key = |it: super::super::engine::Finding<'_>| {
        let fixable = it.breach.fix.is_some();
        (it.policy.label.clone(), it.id().into_owned(), it.breach.path.clone(), fixable)
    };
    found.into_iter().map(key).collect()
}

/// The fields that mutation may touch, below a container or volume.
const FIELDS: [&str; 9] = [
    "image",
    "image/reference",
    "resources",
    "livenessProbe",
    "readinessProbe",
    "securityContext",
    "securityContext/allowPrivilegeEscalation",
    "securityContext/capabilities",
    "securityContext/seccompProfile",
];

fn may_touch(path: &str) -> bool {
    let mut parts = path.splitn(5, '/');
    let (root, spec, list) = (parts.next(), parts.next(), parts.next());
    let (index, field) = (parts.next(), parts.next().unwrap_or_default());
    let lists = ["initContainers", "containers", "volumes"];
    root == Some("")
        && spec == Some("spec")
        && list.is_some_and(|list| lists.contains(&list))
        && index.is_some_and(|index| index.parse::<usize>().is_ok())
        && (FIELDS.contains(&field)
            || field.starts_with("resources/")
            || field == "securityContext/capabilities/drop")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn mutating_twice_is_mutating_once(specs in policies(), pod in pod()) {
        let set = of(&specs);
        let (_, once) = injected(&set, Kind::Pod, &pod);
        let (again, _) = injected(&set, Kind::Pod, &once);
        prop_assert_eq!(again, Vec::<Value>::new());
    }

    #[test]
    fn what_is_mutated_breaks_nothing_that_it_kept_before(mut specs in policies(), pod in pod()) {
        // An exemption may be for an image that is not the pod's any more.
        for exemption in specs.iter_mut().filter_map(|it| it["exemptions"].as_array_mut()).flatten() {
            exemption["images"].take();
        }
        let set = of(&specs);
        let (_, after) = injected(&set, Kind::Pod, &pod);
        let identity = |it: (String, String, String, bool)| (it.0, it.1, it.2);
        let before: BTreeSet<_> = violations(&set, &pod).into_iter().map(identity).collect();
        for found in violations(&set, &after) {
            let found = identity(found);
            prop_assert!(before.contains(&found), "{found:?} is new in {after}");
        }
    }

    #[test]
    fn what_could_be_put_in_is_no_violation_any_more(specs in policies(), pod in pod()) {
        let set = of(&specs);
        let (_, after) = injected(&set, Kind::Pod, &pod);
        for (policy, rule, path, fixable) in violations(&set, &after) {
            // Image tags may lead in a circle, which changes nothing.
            let tagging = TAGGING.iter().any(|it| it.id == rule);
            prop_assert!(!fixable || tagging, "{policy} {rule} {path} in {after}");
        }
    }

    #[test]
    fn the_patch_leads_to_the_object_that_is_judged_and_touches_nothing_else(specs in policies(), pod in pod()) {
        let (operations, after) = injected(&of(&specs), Kind::Pod, &pod);
        for operation in &operations {
            let path = operation["path"].as_str().unwrap();
            prop_assert!(may_touch(path), "{operation}");
        }
        let patch: json_patch::Patch = serde_json::from_value(operations.into()).unwrap();
        let mut patched = pod.clone();
        json_patch::patch(&mut patched, &patch).unwrap();
        prop_assert_eq!(patched, after);
    }

    #[test]
    fn a_template_gets_what_its_pod_gets(specs in policies(), pod in pod()) {
        let set = of(&specs);
        let (_, after) = injected(&set, Kind::Pod, &pod);
        let template = json!({"spec": {"template": {"spec": pod["spec"]}}});
        // The same workload, because names in exemptions could distinguish them.
        let (_, deployment) = injected(&set, Kind::Deployment, &template);
        prop_assert_eq!(&deployment["spec"]["template"]["spec"], &after["spec"]);
    }
}
