//! Fields of a pod, so that random expressions mostly use existing fields.

use super::Choices;

/// The shape of a pod's field, if the pod has the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Text,
    /// Text that is a quantity.
    Amount,
    Int,
    Bool,
    Object(&'static [(&'static str, Shape)]),
    List(&'static Shape),
    /// A map from text to text.
    Texts,
    /// A number or a text.
    Port,
}

use Shape::{Amount, Bool, Int, List, Object, Port, Text, Texts};

const CAPABILITIES: &[(&str, Shape)] = &[("add", List(&Text)), ("drop", List(&Text))];
const SECURITY: &[(&str, Shape)] = &[
    ("privileged", Bool),
    ("runAsNonRoot", Bool),
    ("runAsUser", Int),
    ("allowPrivilegeEscalation", Bool),
    ("capabilities", Object(CAPABILITIES)),
    ("seccompProfile", Object(&[("type", Text)])),
    ("procMount", Text),
];
const RESOURCES: &[(&str, Shape)] = &[
    ("limits", Object(&[("memory", Amount), ("cpu", Amount)])),
    ("requests", Object(&[("memory", Amount), ("cpu", Amount)])),
];
const PROBE: &[(&str, Shape)] =
    &[("periodSeconds", Int), ("httpGet", Object(&[("path", Text), ("port", Port)]))];
const CONTAINER: Shape = Object(&[
    ("name", Text),
    ("image", Text),
    ("imagePullPolicy", Text),
    ("command", List(&Text)),
    ("args", List(&Text)),
    ("env", List(&Object(&[("name", Text), ("value", Text)]))),
    ("ports", List(&Object(&[("containerPort", Int), ("hostPort", Int), ("protocol", Text)]))),
    ("resources", Object(RESOURCES)),
    ("securityContext", Object(SECURITY)),
    ("livenessProbe", Object(PROBE)),
    ("volumeMounts", List(&Object(&[("name", Text), ("mountPath", Text), ("readOnly", Bool)]))),
    ("nope", Text),
]);
const VOLUME: Shape = Object(&[
    ("name", Text),
    ("hostPath", Object(&[("path", Text)])),
    ("emptyDir", Object(&[("sizeLimit", Amount), ("medium", Text)])),
    ("configMap", Object(&[("name", Text)])),
]);
const TOLERATION: Shape =
    Object(&[("key", Text), ("operator", Text), ("effect", Text), ("tolerationSeconds", Int)]);

/// A pod.
pub const POD: Shape = Object(&[
    (
        "spec",
        Object(&[
            ("containers", List(&CONTAINER)),
            ("initContainers", List(&CONTAINER)),
            ("ephemeralContainers", List(&CONTAINER)),
            ("hostNetwork", Bool),
            ("hostPID", Bool),
            ("securityContext", Object(SECURITY)),
            ("volumes", List(&VOLUME)),
            ("nodeSelector", Texts),
            ("tolerations", List(&TOLERATION)),
            ("serviceAccountName", Text),
            ("terminationGracePeriodSeconds", Int),
            ("priority", Int),
            ("hostAliases", List(&Object(&[("ip", Text), ("hostnames", List(&Text))]))),
            ("replicas", Int),
        ]),
    ),
    (
        "metadata",
        Object(&[
            ("name", Text),
            ("namespace", Text),
            ("labels", Texts),
            ("annotations", Texts),
            ("creationTimestamp", Text),
            ("finalizers", List(&Text)),
            ("ownerReferences", List(&Object(&[("kind", Text), ("controller", Bool)]))),
        ]),
    ),
    (
        "status",
        Object(&[
            ("phase", Text),
            ("podIP", Text),
            ("conditions", List(&Object(&[("type", Text)]))),
        ]),
    ),
    ("kind", Text),
    ("apiVersion", Text),
]);

const KEYS: [&str; 8] =
    ["app", "team", "app.kubernetes.io/name", "env", "", "count", "max-memory", "é"];

/// A path from a place to a field of the shape `end`, or to any field.
pub fn walk(
    choices: &mut Choices<'_>,
    from: &str,
    shape: Shape,
    end: fn(Shape) -> bool,
) -> (String, Shape) {
    let (mut path, mut shape) = (from.to_owned(), shape);
    let mut optional = false;
    for _ in 0..8 {
        if end(shape) && choices.below(3) != 1 {
            break;
        }
        let (step, next) = match shape {
            Object(fields) => {
                let (field, next) = fields[choices.below(fields.len())];
                let step = match choices.below(8) {
                    0..4 => format!(".{field}"),
                    4 | 5 => format!(".?{field}"),
                    6 => format!("['{field}']"),
                    _ => format!("[?'{field}']"),
                };
                (step, next)
            }
            List(element) => {
                let at =
                    choices.of(&["[0]", "[?0]", "[1]", "[-1]", ".first().value()", "[dyn(0)]"]);
                (at.to_owned(), *element)
            }
            Texts => {
                let key = KEYS[choices.below(KEYS.len())];
                let step = match choices.below(20) {
                    0..10 => format!("['{key}']"),
                    10..19 => format!("[?'{key}']"),
                    _ => format!(".`{key}`"),
                };
                (step, Text)
            }
            _ => break,
        };
        optional |= step.contains('?');
        path.push_str(&step);
        shape = next;
    }
    if optional && choices.below(8) != 7 {
        path.push_str(default_of(shape));
    }
    (path, shape)
}

fn default_of(shape: Shape) -> &'static str {
    match shape {
        Text => ".orValue('')",
        Amount => ".orValue('0')",
        Int | Port => ".orValue(0)",
        Bool => ".orValue(false)",
        List(_) => ".orValue([])",
        Object(_) | Texts => ".orValue({})",
    }
}
