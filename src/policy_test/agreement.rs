//! The review and the scan must find the same in an object that a person or a controller creates.

use serde_json::Value;

use super::results::Failure;
use super::review::Found;
use crate::manifests::documents;
use crate::scan::manifest::ManifestJudge;

/// What a scan finds in an object, sorted.
///
/// # Errors
/// A scan cannot judge it.
pub(super) fn scanned(judge: &ManifestJudge<'_>, object: &Value) -> Result<Vec<Found>, String> {
    let text = object.to_string();
    let manifest = documents::read(&text).next().ok_or("it is empty")?;
    let manifest = manifest.map_err(|error| error.message)?;
    let judged = judge.workload(&manifest).map_err(|error| error.message)?;
    let findings = judged.map(|it| it.findings).unwrap_or_default();
    let mut found: Vec<_> = findings.iter().map(|it| Found::of(&it.finding, it.effect)).collect();
    found.sort_unstable();
    Ok(found)
}

/// The violations that one of them has and the other lacks.
pub(super) fn difference(review: &[Found], scan: &Result<Vec<Found>, String>) -> Option<Failure> {
    let (expected, found) = match scan {
        Err(error) => (lines(review, &[]), format!("it cannot be judged: {error}")),
        Ok(scan) if *scan == *review => return None,
        Ok(scan) => (lines(review, scan), lines(scan, review)),
    };
    let expected = format!("as the review: {expected}");
    Some(Failure { what: "scan", expected, found })
}

fn lines(found: &[Found], without: &[Found]) -> String {
    let line =
        |it: &Found| format!("{} {} (policy {}): {}", it.effect, it.rule, it.policy, it.sentence);
    let left: Vec<_> = found.iter().filter(|it| !without.contains(it)).map(line).collect();
    if left.is_empty() { "nothing more".to_owned() } else { left.join("; ") }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::api::DevOpsPolicySpec;
    use crate::policy::compile::Policy;
    use crate::policy::policy_set::PolicySet;
    use crate::policy::scope::{Scope, Selection};
    use crate::scan::manifest::Creator;

    fn set(spec: Value) -> PolicySet {
        let spec: DevOpsPolicySpec = serde_json::from_value(spec).unwrap();
        let scope = Scope::Cluster(Selection::default());
        let policy = Policy::compile(scope, "p".to_owned(), &spec).unwrap();
        PolicySet::new([Arc::new(policy)], Arc::default())
    }

    #[test]
    fn a_scan_that_finds_something_else_or_fails_is_a_difference() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
            "spec": {"containers": [{"name": "web", "image": "nginx"}]}});
        let found = |policies: &PolicySet, object: &Value| {
            let judge = ManifestJudge {
                policies,
                namespace: Some("shop"),
                now: jiff::Timestamp::UNIX_EPOCH,
                as_written: false,
                creator: Creator::User,
            };
            scanned(&judge, object)
        };
        let tags = set(json!({"forbidLatestTag": true}));
        let more = set(json!({"forbidLatestTag": true, "requireReadinessProbe": true}));
        let denies = set(json!({"forbidLatestTag": true, "enforcementMode": "enforce"}));
        let review = found(&tags, &pod).unwrap();
        assert_eq!(review.len(), 1);
        assert_eq!(difference(&review, &found(&tags, &pod)), None);
        let of = |policies: &PolicySet| difference(&review, &found(policies, &pod)).unwrap();
        assert!(of(&more).found.contains("audit requireReadinessProbe"), "{:?}", of(&more));
        assert!(of(&more).expected.contains("nothing more"), "{:?}", of(&more));
        assert!(of(&denies).found.contains("deny forbidLatestTag"), "{:?}", of(&denies));
        assert!(of(&denies).expected.contains("audit forbidLatestTag"), "{:?}", of(&denies));
        let bare = json!({"apiVersion": "v1", "kind": "Pod", "spec": {}});
        let unjudged = difference(&review, &found(&tags, &bare)).unwrap();
        assert!(unjudged.found.contains("cannot be judged"), "{unjudged:?}");
    }
}
