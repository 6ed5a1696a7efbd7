//! Inputs that are too large for a file: the name, the expected result, and the generator.

use std::fmt::Write;

use super::MARKER;
use super::answers::Expected::{self, Admitted, Denied, Refused};

pub type Review = (&'static str, Expected, fn() -> Vec<u8>);
type Policy = (&'static str, fn() -> String);

/// The largest accepted body.
const MAX_BODY: usize = 20 * 1024 * 1024;
const WEB: &str = r#"{"name":"web","image":"nginx:1.29","livenessProbe":{},"resources":{"limits":{"memory":"1Mi"}}}"#;
const BAD: &str =
    r#"{"name":"bad","image":"nginx","livenessProbe":{},"resources":{"limits":{"memory":"1Mi"}}}"#;

/// The creation of a pod in a namespace, with additional metadata and spec fields.
fn pod(namespace: &str, metadata: &str, spec: &str) -> Vec<u8> {
    format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"u","operation":"CREATE","namespace":"{namespace}","kind":{{"group":"","version":"v1","kind":"Pod"}},"object":{{"metadata":{{"name":"web","labels":{{"app":"web"}}{metadata}}},"spec":{{{spec}}}}},"oldObject":null}}}}"#
    )
    .into_bytes()
}

fn shop(spec: &str) -> Vec<u8> {
    pod("shop", "", spec)
}

fn containers(list: &str) -> Vec<u8> {
    shop(&format!(r#""containers":[{list}]"#))
}

/// Repeats an item, separated by commas; `%` is its index.
fn many(count: usize, item: &str) -> String {
    let mut list = String::new();
    for number in 0..count {
        let _ = write!(
            list,
            "{}{}",
            if number == 0 { "" } else { "," },
            item.replace('%', &number.to_string())
        );
    }
    list
}

/// The most containers that are evaluated, each with every violation of a container.
fn everything_wrong() -> Vec<u8> {
    let handler = r#"{"httpGet":{"host":"h"},"tcpSocket":{"host":"h"}}"#;
    let probes = ["livenessProbe", "readinessProbe", "startupProbe"];
    let probes = probes.map(|probe| format!(r#""{probe}":{handler},"#)).concat();
    let hooks = format!(r#""lifecycle":{{"postStart":{handler},"preStop":{handler}}},"#);
    let context = r#""securityContext":{"privileged":true,"procMount":"x","capabilities":{"add":["X"]},"seccompProfile":{"type":"x"},"appArmorProfile":{"type":"x"},"seLinuxOptions":{"type":"x","user":"x","role":"x"},"windowsOptions":{"hostProcess":true}}"#;
    let container = format!(
        r#"{{"name":"c%","image":"X",{probes}{hooks}"ports":[{}],{context}}}"#,
        many(20, r#"{"hostPort":1}"#)
    );
    let list = many(1_000, &container);
    shop(&format!(
        r#""initContainers":[{list}],"containers":[{list}],"ephemeralContainers":[{list}]"#
    ))
}

/// As many items as fit into a body.
fn full_of(item: &str) -> String {
    many((MAX_BODY - 2000) / (item.len() + 1), item)
}

fn deep(levels: usize, open: &str, close: &str) -> String {
    open.repeat(levels) + &close.repeat(levels)
}

fn with(field: &str) -> Vec<u8> {
    containers(&format!("{},{field}}}", WEB.strip_suffix('}').unwrap()))
}

fn padded(size: usize) -> Vec<u8> {
    let mut body = containers(WEB);
    body.resize(size, b' ');
    body
}

fn replaced(what: &str, by: &str) -> Vec<u8> {
    let body = String::from_utf8(containers(WEB)).unwrap();
    assert!(body.contains(what));
    body.replacen(what, by, 1).into_bytes()
}

#[rustfmt::skip]
pub const REVIEWS: &[Review] = &[
    ("a body as large as may be", Admitted, || padded(MAX_BODY)),
    ("a body one byte larger", Refused, || padded(MAX_BODY + 1)),
    ("20 MiB of white space", Refused, || vec![b' '; MAX_BODY]),
    ("20 MiB of nul bytes", Refused, || vec![0; MAX_BODY]),
    ("20 MiB of brackets", Refused, || vec![b'['; MAX_BODY]),
    ("20 MiB of quotes", Refused, || vec![b'"'; MAX_BODY]),
    ("20 MiB of backslashes in a string", Refused, || [b"\"", vec![b'\\'; MAX_BODY - 2].as_slice()].concat()),
    ("20 MiB of 0xFF", Refused, || vec![0xFF; MAX_BODY]),
    ("a uid of 100 KB", Admitted, || replaced(r#""uid":"u""#, &format!(r#""uid":"{}""#, "u".repeat(100_000)))),
    ("a uid of 8 MB", Admitted, || replaced(r#""uid":"u""#, &format!(r#""uid":"{}""#, "u".repeat(8_000_000)))),
    ("a uid of a million escapes", Admitted, || replaced(r#""uid":"u""#, &format!(r#""uid":"{}""#, "\\u0001".repeat(1_000_000)))),
    ("an operation of 1 MB", Refused, || replaced("CREATE", &"X".repeat(1_000_000))),
    ("a review's kind of 1 MB", Refused, || replaced("AdmissionReview", &"X".repeat(1_000_000))),
    ("an apiVersion of 1 MB", Refused, || replaced("admission.k8s.io/v1", &"X".repeat(1_000_000))),
    ("a version of 1 MB", Refused, || replaced(r#""version":"v1""#, &format!(r#""version":"{}""#, "X".repeat(1_000_000)))),
    ("an object's kind of 1 MB", Refused, || replaced(r#""metadata":"#, &format!(r#""kind":"{}","metadata":"#, "X".repeat(1_000_000)))),
    ("a string of 1 MB for containers", Refused, || shop(&format!(r#""containers":"{}""#, MARKER.repeat(80_000)))),
    ("a string of 1 MB for a port", Refused, || with(&format!(r#""ports":[{{"containerPort":"{}"}}]"#, MARKER.repeat(80_000)))),
    ("a string with a secret for a boolean", Refused, || shop(&format!(r#""hostPID":"{MARKER}","containers":[{WEB}]"#))),
    ("a key of 1 MB over a fault", Refused, || pod("shop", &format!(r#","annotations":{{"kubernetes.io/config.mirror":1,"{}":1}}"#, MARKER.repeat(80_000)), "")),
    ("an unread key of a million escapes over a fault", Refused, || shop(&format!(r#""{}":nul,"containers":[{WEB}]"#, "\\u001b".repeat(1_000_000)))),
    ("a label of 1 MB that is a number", Refused, || replaced(r#""app":"web""#, &format!(r#""{}":1"#, MARKER.repeat(80_000)))),
    ("a namespace of 1 MB", Denied, || pod(&"n".repeat(1_000_000), "", &format!(r#""containers":[{BAD}]"#))),
    ("a name of 1 MB", Denied, || String::from_utf8(containers(BAD)).unwrap().replacen(r#""name":"web""#, &format!(r#""name":"{}""#, "n".repeat(1_000_000)), 1).into_bytes()),
    ("a container's name of 5 MB", Denied, || containers(&BAD.replace("bad", &"n".repeat(5_000_000)))),
    ("an image of 100 KB", Denied, || containers(&BAD.replace("nginx", &"i".repeat(100_000)))),
    ("an image of 5 MB of wide characters", Denied, || containers(&BAD.replace("nginx", &"界".repeat(1_700_000)))),
    ("an image of a million components", Denied, || containers(&BAD.replace("nginx", &"a/".repeat(1_000_000)))),
    ("an image of a million colons", Denied, || containers(&BAD.replace("nginx", &":".repeat(1_000_000)))),
    ("an image of a million at signs", Denied, || containers(&BAD.replace("nginx", &"@".repeat(1_000_000)))),
    ("a quantity of a million digits", Admitted, || containers(&WEB.replace("1Mi", &"9".repeat(1_000_000)))),
    ("a quantity of a million zeros", Denied, || containers(&WEB.replace("1Mi", &"0".repeat(1_000_000)))),
    ("a quantity of a million decimals", Admitted, || containers(&WEB.replace("1Mi", &format!("0.{}1", "0".repeat(1_000_000))))),
    ("a quantity with an exponent of a million digits", Denied, || containers(&WEB.replace("1Mi", &format!("1e{}", "9".repeat(1_000_000))))),
    ("a label's value of 5 MB", Denied, || replaced(r#""app":"web""#, &format!(r#""app":"{}!""#, "a".repeat(5_000_000)))),
    ("an environment of 8 MB", Admitted, || with(&format!(r#""env":[{{"name":"A","value":"{}"}}]"#, "v".repeat(8_000_000)))),
    ("ten thousand labels", Admitted, || replaced(r#""app":"web""#, &format!(r#"{},"app":"web""#, many(9_999, r#""key-%":"value""#)))),
    ("a hundred thousand labels", Denied, || replaced(r#""app":"web""#, &format!(r#"{},"app":"web""#, many(100_000, r#""key-%":"value""#)))),
    ("a hundred thousand labels and none that is asked for", Denied, || replaced(r#""app":"web""#, &many(100_000, r#""key-%":"value""#))),
    ("the asked label a hundred thousand times, bad last", Denied, || replaced(r#""app":"web""#, &format!(r#"{},"app":"NOT OK""#, many(100_000, r#""app":"web""#)))),
    ("20 MiB of empty labels", Denied, || replaced(r#""app":"web""#, &full_of(r#""":"""#))),
    ("a hundred thousand annotations", Admitted, || pod("shop", &format!(r#","annotations":{{{}}}"#, many(100_000, r#""key-%":"s3cr3t-marker""#)), &format!(r#""containers":[{WEB}]"#))),
    ("a hundred thousand app armor annotations", Denied, || pod("shop", &format!(r#","annotations":{{{}}}"#, many(100_000, r#""container.apparmor.security.beta.kubernetes.io/c%":"unconfined""#)), &format!(r#""containers":[{WEB}]"#))),
    ("20 MiB of empty owner references", Admitted, || pod("shop", &format!(r#","ownerReferences":[{}]"#, full_of("{}")), &format!(r#""containers":[{WEB}]"#))),
    ("annotations nested a million deep", Admitted, || pod("shop", &format!(r#","annotations":{}"#, format_args!(r#"{{"a":{}}}"#, deep(1_000_000, "[", "]"))), &format!(r#""containers":[{WEB}]"#))),
    ("an unread field nested a million deep", Denied, || shop(&format!(r#""unread":{},"containers":[{BAD}]"#, deep(1_000_000, r#"{"a":"#, "}").replace(":}", ":1}")))),
    ("containers nested a million deep", Refused, || shop(&format!(r#""containers":{}"#, deep(1_000_000, "[", "]")))),
    ("a spec nested a hundred thousand deep", Denied, || replaced(r#""object":"#, &format!(r#""object":{},"was":"#, deep(100_000, r#"{"spec":"#, "}").replace(":}", ":1}")))),
    ("templates nested a hundred thousand deep", Admitted, || shop(&format!(r#""template":{},"containers":[{WEB}]"#, deep(100_000, r#"{"spec":{"template":"#, "}}").replace(":}", ":1}")))),
    ("a thousand clean containers", Admitted, || containers(&many(1_000, &WEB.replace("web", "c%")))),
    ("a thousand clean containers and a bad one", Denied, || containers(&format!("{},{BAD}", many(999, &WEB.replace("web", "c%"))))),
    ("ten thousand containers and a bad one last", Denied, || containers(&format!("{},{BAD}", many(10_000, &WEB.replace("web", "c%"))))),
    ("ten thousand init containers before a bad one", Denied, || shop(&format!(r#""initContainers":[{}],"containers":[{BAD}]"#, many(10_000, &WEB.replace("web", "c%"))))),
    ("eighty thousand bad containers", Denied, || containers(&many(80_000, &BAD.replace("bad", "c%")))),
    ("20 MiB of empty containers", Denied, || containers(&full_of("{}"))),
    ("20 MiB of empty init containers", Denied, || shop(&format!(r#""initContainers":[{}],"containers":[{WEB}]"#, full_of("{}")))),
    ("20 MiB of empty ephemeral containers", Denied, || shop(&format!(r#""ephemeralContainers":[{}],"containers":[{WEB}]"#, full_of("{}")))),
    ("a hundred thousand containers of which an exemption lets some pass", Denied, || pod("legacy", "", &format!(r#""containers":[{}]"#, many(100_000, r#"{"name":"c%","image":"ghcr.io/legacy/app"}"#)))),
    ("a hundred thousand image volumes", Denied, || shop(&format!(r#""containers":[{WEB}],"volumes":[{}]"#, many(100_000, r#"{"name":"v%","image":{"reference":"nginx"}}"#)))),
    ("20 MiB of empty volumes", Denied, || shop(&format!(r#""containers":[{BAD}],"volumes":[{}]"#, full_of("{}")))),
    ("a hundred thousand folders of the node", Denied, || shop(&format!(r#""containers":[{WEB}],"volumes":[{}]"#, many(100_000, r#"{"name":"v%","hostPath":{"path":"/"}}"#)))),
    ("a volume of a hundred thousand sources", Denied, || pod("strict", "", &format!(r#""containers":[{WEB}],"volumes":[{{{}}}]"#, many(100_000, r#""source%":{}"#)))),
    ("a hundred thousand host ports", Denied, || with(&format!(r#""ports":[{}]"#, many(100_000, r#"{"hostPort":1}"#)))),
    ("a hundred thousand ports and one of the node last", Denied, || with(&format!(r#""ports":[{},{{"hostPort":1}}]"#, many(100_000, r#"{"containerPort":1}"#)))),
    ("20 MiB of empty ports", Denied, || with(&format!(r#""ports":[{}]"#, full_of("{}")))),
    ("a thousand containers of twenty ports of the node each", Denied, || containers(&many(1_000, &WEB.replace("web", "c%").replace(r#""livenessProbe""#, &format!(r#""ports":[{}],"livenessProbe""#, many(20, r#"{"hostPort":1}"#)))))),
    ("three thousand containers with everything wrong", Denied, everything_wrong),
    ("200 001 dropped capabilities of a privileged container", Denied, || with(&format!(r#""securityContext":{{"privileged":true,"capabilities":{{"drop":[{}]}}}}"#, many(200_001, r#""X""#)))),
    ("200 001 dropped capabilities where all must be dropped", Denied, || pod("strict", "", &format!(r#""securityContext":{{"runAsNonRoot":true,"seccompProfile":{{"type":"RuntimeDefault"}}}},"containers":[{{"name":"web","securityContext":{{"allowPrivilegeEscalation":false,"capabilities":{{"drop":[{}]}}}}}}]"#, many(200_001, r#""X""#)))),
    ("200 001 dropped capabilities where nobody asks", Admitted, || with(&format!(r#""securityContext":{{"capabilities":{{"drop":[{}]}}}}"#, many(200_001, r#""X""#)))),
    ("20 MiB of empty added capabilities", Denied, || with(&format!(r#""securityContext":{{"capabilities":{{"add":[{}]}}}}"#, full_of(r#""""#)))),
    ("20 MiB of empty sysctls", Denied, || shop(&format!(r#""containers":[{WEB}],"securityContext":{{"sysctls":[{}]}}"#, full_of("{}")))),
    ("20 MiB of empty tolerations and a bad container", Denied, || shop(&format!(r#""containers":[{BAD}],"tolerations":[{}]"#, full_of("{}")))),
    ("20 MiB of an empty node selector", Admitted, || shop(&format!(r#""containers":[{WEB}],"nodeSelector":{{{}}}"#, full_of(r#""":"""#)))),
    ("1 450 000 escaped characters in an environment beside a bad container", Denied, || containers(&format!(r#"{BAD},{{"name":"env","image":"nginx:1.29","env":[{{"name":"A","value":"{}"}}]}}"#, "\\u003c".repeat(1_450_000)))),
    ("an image of 1 400 000 escaped characters", Denied, || containers(&BAD.replace("nginx", &"\\u003c".repeat(1_400_000)))),
    ("managed fields nested a million deep beside a bad container", Denied, || pod("shop", &format!(r#","managedFields":[{{"fieldsV1":{}}}]"#, deep(1_000_000, r#"{"f:a":"#, "}").replace(":}", ":{}}")), &format!(r#""containers":[{BAD}]"#))),
    ("a hundred thousand capabilities", Denied, || with(&format!(r#""securityContext":{{"capabilities":{{"add":[{}]}}}}"#, many(100_000, r#""CAP_%""#)))),
    ("a hundred thousand allowed capabilities and one more", Denied, || with(&format!(r#""securityContext":{{"capabilities":{{"add":[{},"SYS_ADMIN"]}}}}"#, many(100_000, r#""CHOWN""#)))),
    ("a hundred thousand sysctls", Denied, || shop(&format!(r#""containers":[{WEB}],"securityContext":{{"sysctls":[{}]}}"#, many(100_000, r#"{"name":"kernel.x%"}"#)))),
    ("cel over 1001 containers", Denied, || pod("cel", "", &format!(r#""containers":[{}]"#, many(1001, &WEB.replace("web", "c%"))))),
    ("cel over a hundred thousand annotations", Admitted, || pod("cel", &format!(r#","annotations":{{{}}}"#, many(100_000, r#""a%":"b""#)), &format!(r#""containers":[{WEB}]"#))),
    ("cel over a field nested a million deep", Denied, || pod("cel", "", &format!(r#""containers":[{WEB}],"hostname":{}"#, deep(1_000_000, "[", "]")))),
    ("cel beside a field nested a million deep", Admitted, || pod("cel", "", &format!(r#""containers":[{WEB}],"unread":{}"#, deep(1_000_000, "[", "]")))),
    ("cel over a text of 4 MB for its pattern", Denied, || pod("cel", "", &format!(r#""containers":[{WEB}],"hostname":"{}""#, "a".repeat(4_000_000)))),
    ("cel over a million numbers", Admitted, || pod("cel", "", &format!(r#""containers":[{WEB}],"unread":[{}]"#, many(1_000_000, "0")))),
];

const POLICY: &str =
    "apiVersion: devops.stochastic.io/v1\nkind: DevOpsPolicy\nmetadata: {name: own}\nspec:\n";

pub const POLICIES: &[Policy] = &[
    ("ten megabytes of brackets", || format!("{POLICY}  contact: {}\n", "[".repeat(10_000_000))),
    ("a hundred thousand nested maps", || {
        format!("{POLICY}  contact: {}\n", deep(100_000, "{a: ", "}"))
    }),
    ("a hundred thousand nested blocks", || format!("{POLICY}{}", "- ".repeat(100_000))),
    ("a key of a megabyte", || format!("{POLICY}  {}: 1\n", "k".repeat(1_000_000))),
    ("a value of a megabyte of the wrong type", || {
        format!("{POLICY}  forbidLatestTag: {}\n", "v".repeat(1_000_000))
    }),
    ("a kind of a megabyte", || POLICY.replace("DevOpsPolicy", &"K".repeat(1_000_000))),
    ("an expression of a megabyte", || {
        format!(
            "{POLICY}  validations: [{{name: own, message: m, expression: \"{}\"}}]\n",
            "!".repeat(1_000_000)
        )
    }),
    ("a pattern of a megabyte", || {
        format!(
            "{POLICY}  requiredLabels: [{{key: app, pattern: \"{}\"}}]\n",
            "(a|".repeat(300_000)
        )
    }),
    ("a hundred thousand anchors", || format!("{POLICY}  contact: [{}]\n", many(100_000, "&a% x"))),
    ("a hundred thousand keys, one twice", || {
        format!("{POLICY}  severityOverrides: {{{}, k1: low}}\n", many(100_000, "k%: low"))
    }),
];
