//! Pods with one violation somewhere, and the same without it.

use arbitrary::{Result, Unstructured};
use podgate::policy::workload::Kind;

use crate::json::{Json, object, text};

const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// A review of an object that breaks one rule, the review of the fixed object, and the path of the violation.
pub struct Case {
    pub broken: String,
    pub healed: String,
    /// The path in the denial: `spec.template.spec.containers[1].image`.
    pub path: String,
}

/// The violations of a container: the field in the denial, and the change that causes it.
type Fault = (&'static str, fn(&mut Json));

const ANYWHERE: [Fault; 5] = [
    ("image", |it| it.set("image", text("nginx"))),
    ("image", |it| it.set("image", text("docker.io/library/nginx:latest"))),
    ("image", |it| it.set("image", text("ghcr.io/team-b/web:1"))),
    ("securityContext.privileged", |it| {
        it.set("securityContext", object([("privileged", Json::Raw("true"))]))
    }),
    ("ports[1].hostPort", |it| {
        let port =
            |host| object([("containerPort", Json::Raw("80")), ("hostPort", Json::Raw(host))]);
        it.set("ports", Json::List(vec![port("0"), port("8080")]));
    }),
];
const NOT_IN_EPHEMERAL: [Fault; 2] = [
    ("resources.limits.memory", |it| it.remove("resources")),
    ("resources.limits.memory", |it| {
        it.set("resources", object([("limits", object([("memory", text("0"))]))]));
    }),
];
const IN_APPS: [Fault; 1] = [("livenessProbe", |it| it.set("livenessProbe", Json::Raw("null")))];

impl Case {
    pub fn take(u: &mut Unstructured<'_>) -> Result<Self> {
        let kind = *u.choose(&Kind::ALL)?;
        let spec_path = kind.names().spec_path;
        let mut lists = Vec::new();
        for list in LISTS {
            let least = usize::from(list == "containers");
            let count = u.int_in_range(least..=least + 3)?;
            lists.push((0..count).map(|index| container(list, index)).collect::<Vec<_>>());
        }
        let healthy = pod(&lists, &[]);
        let (broken, path) = match u.int_in_range(0..=5)? {
            0 => {
                let mut broken = healthy.clone();
                broken.set("hostPID", Json::Raw("true"));
                (broken, "hostPID".to_owned())
            }
            1 => {
                let source = object([("path", text("/"))]);
                (pod(&lists, &[("hostPath", source)]), "volumes[1].hostPath".to_owned())
            }
            2 => {
                let source = object([("reference", text("ghcr.io/team/model"))]);
                (pod(&lists, &[("image", source)]), "volumes[1].image.reference".to_owned())
            }
            _ => {
                let filled: Vec<_> = (0..3).filter(|list| !lists[*list].is_empty()).collect();
                let list = *u.choose(&filled)?;
                let index = u.choose_index(lists[list].len())?;
                let mut faults = ANYWHERE.to_vec();
                let ends = matches!(kind, Kind::Job | Kind::CronJob);
                if LISTS[list] != "ephemeralContainers" {
                    faults.extend(NOT_IN_EPHEMERAL);
                }
                if LISTS[list] == "containers" && !ends {
                    faults.extend(IN_APPS);
                }
                let (field, break_it) = *u.choose(&faults)?;
                break_it(&mut lists[list][index]);
                (pod(&lists, &[]), format!("{}[{index}].{field}", LISTS[list]))
            }
        };
        let mut healed = held(kind, healthy, u)?;
        let mut broken = held(kind, broken, u)?;
        decoys(&mut healed, 0, u)?;
        decoys(&mut broken, 0, u)?;
        // An update is judged by its changes, and the old object has no violation.
        let update: bool = u.arbitrary()?;
        let broken = review(kind, broken, update.then(|| healed.clone()), u)?;
        let healed = review(kind, healed.clone(), update.then_some(healed), u)?;
        Ok(Self { broken, healed, path: format!("{spec_path}.{path}") })
    }
}

fn container(list: &str, index: usize) -> Json {
    let name = format!("{}-{index}", list.to_lowercase());
    let mut container = object([("name", Json::Text(name)), ("image", text("nginx:1.29"))]);
    if list != "ephemeralContainers" {
        container.set("resources", object([("limits", object([("memory", text("64Mi"))]))]));
    }
    if list == "containers" {
        container.set("livenessProbe", object([("exec", object([]))]));
    }
    container
}

fn pod(lists: &[Vec<Json>], volume: &[(&str, Json)]) -> Json {
    let mut pod = object([]);
    for (list, containers) in LISTS.iter().zip(lists) {
        pod.set(list, Json::List(containers.clone()));
    }
    let mut second = object([("name", text("b"))]);
    for (source, value) in volume {
        second.set(source, value.clone());
    }
    let first = object([("name", text("a")), ("emptyDir", object([]))]);
    pod.set("volumes", Json::List(vec![first, second]));
    pod
}

/// The object of a kind around a pod's spec.
fn held(kind: Kind, spec: Json, u: &mut Unstructured<'_>) -> Result<Json> {
    let names = kind.names();
    let annotations = object([
        ("kubernetes.io/config.source", text("api")),
        (
            "last-applied",
            text(r#"{"spec":{"containers":[{"image":"nginx:1.29"}],"hostPID":false}}"#),
        ),
    ]);
    let metadata = object([
        ("name", text("web")),
        ("labels", object([("app", text("web"))])),
        ("annotations", annotations),
    ]);
    let mut object = match names.spec_path.strip_suffix(".spec") {
        None => object([("spec", spec)]),
        Some(path) => {
            let template = object([("metadata", metadata.clone()), ("spec", spec)]);
            path.rsplit('.').fold(template, |inner, field| object([(field, inner)]))
        }
    };
    object.set("metadata", metadata);
    if u.arbitrary()? {
        object.set("kind", text(names.kind));
        object.set("apiVersion", Json::Text(names.api_version().into_owned()));
    }
    Ok(object)
}

/// Adds fields that have no meaning at their place, but would have one elsewhere.
fn decoys(json: &mut Json, level: usize, u: &mut Unstructured<'_>) -> Result<()> {
    let clean = || Json::List(vec![container("containers", 0)]);
    match json {
        Json::List(items) => items.iter_mut().try_for_each(|item| decoys(item, level + 1, u)),
        Json::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                // Below these, every key counts.
                if !matches!(key.as_str(), "labels" | "annotations" | "limits") {
                    decoys(value, level + 1, u)?;
                }
            }
            for _ in 0..u.int_in_range(0..=2)? {
                let template = || object([("spec", object([("containers", clean())]))]);
                let (key, value): (&str, Json) = match u.int_in_range(0..=7)? {
                    0 => ("Containers", clean()),
                    1 => ("IMAGE", text("nginx:1.29")),
                    2 => ("$patch", text("delete")),
                    3 => ("x\u{0}containers", clean()),
                    4 if level < 2 => ("containers", clean()),
                    5 if level < 2 => ("template", template()),
                    6 => ("allowed", Json::Raw("true")),
                    _ => ("status", Json::Raw("null")),
                };
                // In the pod itself these are fields, or already there; a volume's unknown field is a source.
                json.decoy(key, value);
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn review(
    kind: Kind,
    object_: Json,
    old: Option<Json>,
    u: &mut Unstructured<'_>,
) -> Result<String> {
    let names = kind.names();
    let request = object([
        ("uid", text("a-uid")),
        ("operation", text(if old.is_some() { "UPDATE" } else { "CREATE" })),
        ("namespace", text("shop")),
        (
            "kind",
            object([
                ("group", text(names.group)),
                ("version", text(names.version)),
                ("kind", text(names.kind)),
            ]),
        ),
        ("userInfo", object([("username", text("jane"))])),
        ("object", object_),
        ("oldObject", old.unwrap_or(Json::Raw("null"))),
    ]);
    let review = object([
        ("apiVersion", text("admission.k8s.io/v1")),
        ("kind", text("AdmissionReview")),
        ("request", request),
    ]);
    let mut out = String::new();
    review.write(u, &mut out)?;
    Ok(out)
}
