//! Linux capabilities: the privileges of root, one by one.

use serde_json::json;

use super::super::super::containers::{PlacedContainer, containers};
use super::super::super::object::{Capabilities, List};
use super::super::super::rule::Breach;
use super::super::super::subject::Subject;
use super::super::super::text::quote;
use super::super::super::vap::expression::{quote as quoted, text, texts};
use super::super::super::vap::form::CelFinding;
use super::exceptions::{WINDOWS, is_windows};
use super::field::{CONTAINER, Field, fix};
use super::user::{KNOWN_NON_ROOT, is_known_non_root};

/// The default capabilities of container runtimes without `NET_RAW`, with which a pod can spoof addresses.
const DEFAULT: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// `capabilities_baseline`: a container adds only default capabilities. Names are compared exactly: `CAP_CHOWN` is not
/// `CHOWN`.
pub fn baseline(subject: &Subject<'_>) -> Vec<Breach> {
    let added = |place| added(subject, &place, "baseline", &DEFAULT);
    containers(subject.spec).flat_map(added).collect()
}

/// `capabilities_restricted`: a container drops `ALL` and adds `NET_BIND_SERVICE` at most, to listen below port 1024.
/// Windows has no capabilities.
pub fn restricted(subject: &Subject<'_>) -> Vec<Breach> {
    if is_windows(subject.spec) {
        return Vec::new();
    }
    let of_container = |place| {
        let added = added(subject, &place, "restricted", &["NET_BIND_SERVICE"]);
        kept(subject, &place).into_iter().chain(added)
    };
    containers(subject.spec).flat_map(of_container).collect()
}

/// The breaches of a container that adds forbidden capabilities: one names them all, another reports a cut list.
fn added(
    subject: &Subject<'_>,
    place: &PlacedContainer<'_>,
    level: &str,
    allowed: &[&str],
) -> impl Iterator<Item = Breach> + use<> {
    let list = capabilities(place).and_then(|it| it.add.as_ref());
    let names = list.into_iter().flatten().map(|name| &**name);
    let forbidden: Vec<_> = names.filter(|name| !allowed.contains(name)).collect();
    let field = || Field::of_container(subject, place, "securityContext.capabilities.add");
    let found = (!forbidden.is_empty()).then(|| {
        let names = forbidden.join(", ");
        let remedy = format!("leave only what {level} allows: {}", allowed.join(", "));
        field().breach(Some(&names), format!("holds {}", quote(&names)), remedy)
    });
    let unseen = list.filter(|list| list.is_cut()).map(|_| field().too_long());
    found.into_iter().chain(unseen)
}

/// The breach of a container that does not drop `ALL`.
fn kept(subject: &Subject<'_>, place: &PlacedContainer<'_>) -> Option<Breach> {
    const PATH: &str = "securityContext.capabilities.drop";
    const REMEDY: &str = r#"set it to ["ALL"]"#;
    let list = capabilities(place).and_then(|it| it.drop.as_ref());
    let dropped = list.map(|list| &**list).unwrap_or_default();
    if dropped.iter().any(|name| &**name == "ALL") {
        return None;
    }
    let field = Field::of_container(subject, place, PATH);
    if list.is_some_and(List::is_cut) {
        return Some(field.too_long());
    }
    if dropped.is_empty() {
        // Images that start as root need capabilities to start: for chown, setuid, ports below 1024.
        let fix = is_known_non_root(subject, place)
            .then(|| fix(subject, place, PATH, json!(["ALL"])))
            .flatten();
        return Some(Breach { fix, ..field.breach(None, r#"is missing "ALL""#, REMEDY) });
    }
    let names = dropped.iter().map(|name| &**name).collect::<Vec<_>>().join(", ");
    let problem = format!("is {}, which keeps the others", quote(&names));
    Some(field.breach(Some(&names), problem, REMEDY))
}

fn capabilities<'a>(place: &PlacedContainer<'a>) -> Option<&'a Capabilities<'a>> {
    place.container.security_context.as_deref()?.capabilities.as_ref()
}

pub fn baseline_in_cel() -> Vec<CelFinding> {
    vec![added_in_cel("baseline", &DEFAULT)]
}

pub fn restricted_in_cel() -> Vec<CelFinding> {
    let dropped = "x.sc.?capabilities.?drop.orValue([])";
    let names = format!("{dropped}.join(', ')");
    let kept = CelFinding::of_containers(format!("!('ALL' in {dropped})"))
        .at("securityContext.capabilities.drop")
        .because(
            names.clone(),
            format!(
                "(size({dropped}) == 0 ? {} : 'is ' + {} + ', which keeps the others')",
                text(r#"is missing "ALL""#),
                quoted(&names)
            ),
        )
        .remedy(r#"set it to ["ALL"]"#)
        .lasting("''")
        .by_removal()
        .fixed(
            "securityContext.capabilities.drop",
            "['ALL']",
            format!("{CONTAINER} && {KNOWN_NON_ROOT}"),
        );
    let added = added_in_cel("restricted", &["NET_BIND_SERVICE"]);
    // Without `os: windows`, what Windows hid is a violation.
    vec![kept.unless(WINDOWS), added.unless(WINDOWS).by_removal()]
}

fn added_in_cel(level: &str, allowed: &[&str]) -> CelFinding {
    let forbidden =
        format!("x.sc.?capabilities.?add.orValue([]).filter(y, !(y in {}))", texts(allowed));
    let names = format!("{forbidden}.join(', ')");
    CelFinding::of_containers(format!("size({forbidden}) > 0"))
        .at("securityContext.capabilities.add")
        .because(names.clone(), format!("'holds ' + {}", quoted(&names)))
        .remedy(&format!("leave only what {level} allows: {}", allowed.join(", ")))
        .each_lasting(forbidden)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{baseline, hardened, restricted};
    use super::*;

    fn adding(names: &[&str]) -> String {
        let context = json!({"capabilities": {"add": names}});
        json!({"containers": [{"name": "web", "securityContext": context}]}).to_string()
    }

    #[test]
    fn baseline_lets_a_container_add_what_it_has_anyway() {
        assert!(baseline(&adding(&DEFAULT)).is_empty());
        assert!(baseline(&adding(&[])).is_empty());
        assert_eq!(
            baseline(&adding(&["CHOWN", "NET_RAW", "CAP_CHOWN", "chown", ""])),
            [
                "capabilities_baseline: spec.containers[0].securityContext.capabilities.add holds \"NET_RAW, CAP_CHOWN, chown, \"; \
                 leave only what baseline allows: AUDIT_WRITE, CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, MKNOD, \
                 NET_BIND_SERVICE, SETFCAP, SETGID, SETPCAP, SETUID, SYS_CHROOT"
            ]
        );
        assert_eq!(baseline(&adding(&[""])).len(), 1);
    }

    #[test]
    fn restricted_asks_each_container_to_drop_all_and_reports_alone() {
        let path = "spec.containers[0].securityContext.capabilities";
        let missing = format!("{path}.drop is missing \"ALL\"; set it to [\"ALL\"]");
        for (capabilities, expected) in [
            (json!({"drop": ["ALL"]}), vec![]),
            (json!({"drop": ["NET_RAW", "ALL"], "add": ["NET_BIND_SERVICE"]}), vec![]),
            (
                json!({"drop": ["NET_RAW", "all"]}),
                vec![format!(
                    "{path}.drop is \"NET_RAW, all\", which keeps the others; set it to [\"ALL\"]"
                )],
            ),
            (json!({"drop": []}), vec![missing.clone()]),
            (json!({"drop": null}), vec![missing.clone()]),
            (json!(null), vec![missing.clone()]),
            (
                json!({"add": ["CHOWN"]}),
                vec![
                    missing,
                    format!(
                        "{path}.add holds \"CHOWN\"; leave only what restricted allows: NET_BIND_SERVICE"
                    ),
                ],
            ),
        ] {
            let mut spec = hardened();
            spec["containers"][0]["securityContext"]["capabilities"] = capabilities.clone();
            let expected: Vec<_> =
                expected.iter().map(|it| format!("capabilities_restricted: {it}")).collect();
            assert_eq!(restricted(&spec.to_string()), expected, "{capabilities}");
        }
    }
}
