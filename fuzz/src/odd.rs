//! Objects with one violation, as large and as odd as the API server stores them.

use std::fmt::Write;

use arbitrary::{Result, Unstructured};
use podgate::policy::workload::Kind;

/// The lengths of lists: short, near the limit of the rules, and far beyond it.
const LENGTHS: [usize; 12] = [0, 1, 2, 5, 20, 100, 999, 1_000, 1_001, 10_000, 10_001, 30_000];
const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// A container, to which fields may be added behind the last of these.
const CONTAINER: &str = r#""name":"c%","image":"nginx:1.29","livenessProbe":{"exec":{}},"resources":{"limits":{"memory":"64Mi"}}"#;

/// Violations of a container, each as a field; an image replaces the one that is there.
const OF_CONTAINER: [&str; 5] = [
    r#""securityContext":{"privileged":true}"#,
    r#""securityContext":{"capabilities":{"add":["SYS_ADMIN"]}}"#,
    r#""ports":[{"containerPort":80,"hostPort":80}]"#,
    r#""image":"nginx:latest""#,
    r#""image":"ghcr.io/other/web:1""#,
];
/// Violations of a pod, each as a field of its spec.
const OF_POD: [&str; 4] = [
    r#""hostPID":true"#,
    r#""hostNetwork":true"#,
    r#""volumes":[{"name":"v","hostPath":{"path":"/"}}]"#,
    r#""securityContext":{"sysctls":[{"name":"kernel.msgmax","value":"1"}]}"#,
];

/// Odd fields of a container: the start, the repeated item, and the end.
const ODD_CONTAINER: [(&str, &str, &str); 7] = [
    (r#""securityContext":{"capabilities":{"drop":["#, r#""X%""#, "]}}"),
    (r#""securityContext":{"capabilities":{"add":["#, r#""CHOWN""#, "]}}"),
    (r#""ports":["#, r#"{"containerPort":%,"protocol":"TCP"}"#, "]"),
    (r#""env":[{"name":"A","value":""#, "\\u003c", r#""}]"#),
    (r#""env":["#, r#"{"name":"A%","value":"v"}"#, "]"),
    (r#""volumeMounts":["#, r#"{"name":"v","mountPath":"/%"}"#, "]"),
    (
        r#""restartPolicyRules":["#,
        r#"{"action":"Restart","exitCodes":{"operator":"In","values":[%]}}"#,
        "]",
    ),
];
/// The same for a pod's spec.
const ODD_POD: [(&str, &str, &str); 6] = [
    (r#""volumes":["#, r#"{"name":"v%","emptyDir":{}}"#, "]"),
    (r#""securityContext":{"sysctls":["#, r#"{"name":"net.ipv4.tcp_rmem"}"#, "]}"),
    (r#""tolerations":["#, r#"{"key":"k%"}"#, "]"),
    (r#""nodeSelector":{"#, r#""k%":"v""#, "}"),
    (r#""hostAliases":["#, r#"{"ip":"::1"}"#, "]"),
    (r#""yetToCome":null,"affinity":{"deep":"#, "", "}"),
];
/// The same for metadata.
const ODD_METADATA: [(&str, &str, &str); 5] = [
    (r#""annotations":{"#, r#""a%":"\u2028""#, "}"),
    (
        r#""annotations":{"#,
        r#""container.apparmor.security.beta.kubernetes.io/c%":"runtime/default""#,
        "}",
    ),
    (
        r#""ownerReferences":["#,
        r#"{"apiVersion":"v1","kind":"ConfigMap","name":"o%","uid":"u"}"#,
        "]",
    ),
    (r#""finalizers":["#, r#""example.com/f%""#, "]"),
    (r#""managedFields":[{"fieldsV1":"#, "", "}]"),
];

/// A review of an object that breaks a rule.
pub fn review(u: &mut Unstructured<'_>) -> Result<String> {
    let kind = *u.choose(&Kind::ALL)?;
    let odd_metadata = odd(&ODD_METADATA, u)?;
    let labels = grown(length(u)?, r#""k%":"v""#);
    let comma = if labels.is_empty() { "" } else { "," };
    let odd_pod = odd(&ODD_POD, u)?;
    let mut fields = vec![odd_pod];
    let in_pod: bool = u.arbitrary()?;
    let planted = if in_pod { *u.choose(&OF_POD)? } else { *u.choose(&OF_CONTAINER)? };
    let list = *u.choose(&LISTS)?;
    for name in LISTS {
        let more = if name == "containers" { length(u)?.max(1) } else { length(u)? };
        let odd = odd(&ODD_CONTAINER, u)?;
        // The API server never writes a field twice.
        let odd = if more > 100 || odd.is_empty() { String::new() } else { format!(",{odd}") };
        let mut containers = grown(more, &format!("{{{CONTAINER}}}"));
        if !containers.is_empty() && u.arbitrary()? {
            containers = format!("{{{CONTAINER}{odd}}},{containers}");
        }
        if name == list && !in_pod {
            let own = with(CONTAINER, planted);
            let comma = if containers.is_empty() { "" } else { "," };
            containers = if u.arbitrary()? {
                format!("{{{own}}}{comma}{containers}")
            } else {
                format!("{containers}{comma}{{{own}}}")
            };
        }
        fields.push(format!(r#""{name}":[{containers}]"#));
    }
    if in_pod {
        let field = planted.split(':').next().unwrap_or_default();
        fields.retain(|other| !other.starts_with(field));
        fields.insert(u.choose_index(fields.len() + 1)?, planted.to_owned());
    }
    fields.retain(|field| !field.is_empty());
    let spec = fields.join(",");
    let metadata =
        [r#""name":"web""#, &format!(r#""labels":{{{labels}{comma}"app":"web"}}"#), &odd_metadata];
    let metadata = metadata.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(",");
    let pod = format!(r#""metadata":{{{metadata}}},"spec":{{{spec}}}"#);
    let object = held(kind, &pod);
    let old = if u.arbitrary()? {
        held(
            kind,
            &format!(r#""metadata":{{{metadata}}},"spec":{{"containers":[{{{CONTAINER}}}]}}"#),
        )
    } else {
        "null".to_owned()
    };
    let operation = if old == "null" { "CREATE" } else { "UPDATE" };
    let names = kind.names();
    Ok(format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"u","kind":{{"group":"{}","version":"v1","kind":"{}"}},"namespace":"shop","operation":"{operation}","userInfo":{{"username":"jane"}},"object":{object},"oldObject":{old}}}}}"#,
        names.group, names.kind
    ))
}

/// The object of a kind around a pod's fields.
fn held(kind: Kind, pod: &str) -> String {
    match kind.names().spec_path.strip_suffix(".spec") {
        None => format!("{{{pod}}}"),
        Some(path) => {
            let template = format!("{{{pod}}}");
            path.rsplit('.').fold(template, |inner, field| format!(r#"{{"{field}":{inner}}}"#))
        }
    }
}

/// A container with a field, in place of the one of that name if it has one.
fn with(container: &str, field: &str) -> String {
    match field.strip_prefix(r#""image":"#) {
        Some(image) => container.replace(r#""nginx:1.29""#, image),
        None => format!("{container},{field}"),
    }
}

/// A field of these, of some length; or none.
fn odd(fields: &[(&str, &str, &str)], u: &mut Unstructured<'_>) -> Result<String> {
    if u.ratio(1, 3)? {
        return Ok(String::new());
    }
    let (open, item, close) = *u.choose(fields)?;
    let length = length(u)?;
    let inner = match item {
        "" => "[".repeat(length) + &"]".repeat(length) + if length == 0 { "null" } else { "" },
        "\\u003c" => item.repeat(10 * length),
        item => grown(length, item),
    };
    Ok(format!("{open}{inner}{close}"))
}

fn length(u: &mut Unstructured<'_>) -> Result<usize> {
    // Long ones are rare, so that many are tried.
    let last = if u.ratio(1, 8)? { LENGTHS.len() } else { 5 };
    Ok(LENGTHS[u.choose_index(last)?])
}

/// Repeats an item, separated by commas; `%` is its index.
fn grown(count: usize, item: &str) -> String {
    let mut list = String::new();
    let (head, tail) = item.split_once('%').unwrap_or((item, ""));
    for number in 0..count {
        let comma = if number == 0 { "" } else { "," };
        let _ = if item.contains('%') {
            write!(list, "{comma}{head}{number}{tail}")
        } else {
            write!(list, "{comma}{item}")
        };
    }
    list
}
