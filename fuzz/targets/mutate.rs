//! Any bytes for `/mutate`: the patch applies to the object, the result needs no further patch, and only containers and
//! volumes change.
#![no_main]

use std::sync::OnceLock;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use podgate::admission::mutate::mutate_review;
use podgate::policy::policy_set::PolicySet;
use podgate_fuzz::{parse, response, set_of};
use serde_json::Value;

/// Two policies with all mutations; the second adds what the first does not.
const POLICIES: &str = r#"
apiVersion: devops.stochastic.io/v1
kind: DevOpsPolicy
metadata: {name: a}
spec:
  mutate: true
  podSecurity: restricted
  requireReadinessProbe: true
  defaultProbe: {tcpPort: 80}
  defaultResources: {cpuLimit: 500m, memoryRequest: 64Mi}
  imageTags: [{image: nginx, from: latest, to: "1.28"}, {image: nginx, from: "1.29", to: "1.28"}]
  exemptions:
  - {rules: [podSecurity, requireResourceLimits], containers: ["*b*"], reason: r, owner: o}
  - {rules: [requireReadinessProbe], images: ["nginx"], reason: r, owner: o}
---
apiVersion: devops.stochastic.io/v1
kind: DevOpsPolicy
metadata: {name: b}
spec:
  mutate: true
  requireLivenessProbe: true
  defaultProbe: {}
  defaultResources: {cpuRequest: "1", memoryLimit: 32Mi}
  imageTags: [{image: nginx, from: "1.28", to: "1.29"}, {image: busybox, from: latest, to: "1"}]
"#;

fn policies() -> &'static PolicySet {
    static POLICY_SET: OnceLock<PolicySet> = OnceLock::new();
    POLICY_SET.get_or_init(|| set_of(parse(POLICIES).unwrap_or_else(|fault| panic!("{fault}"))))
}

fn patch(body: &[u8]) -> Option<json_patch::Patch> {
    let judged = mutate_review(body, policies(), Timestamp::UNIX_EPOCH).ok()?;
    let response = response(&judged);
    assert_eq!(response["allowed"], true);
    let encoded = response.get("patch")?;
    assert_eq!(response["patchType"], "JSONPatch");
    let bytes: k8s_openapi::ByteString = serde_json::from_value(encoded.clone()).unwrap();
    Some(serde_json::from_slice(&bytes.0).unwrap())
}

fuzz_target!(|data: &[u8]| {
    let Some(patch) = patch(data) else { return };
    assert!(!patch.0.is_empty());
    let mut review: Value = serde_json::from_slice(data).expect("the patched object can be read");
    for operation in &patch.0 {
        let path = operation.path().to_string();
        let places = [
            "/spec/containers/",
            "/spec/initContainers/",
            "/spec/volumes/",
            "/metadata/annotations",
        ];
        // A patch adds the whole metadata to a pod without metadata.
        let expected = path == "/metadata" || places.iter().any(|place| path.starts_with(place));
        assert!(expected, "{path}");
    }
    json_patch::patch(&mut review["request"]["object"], &patch).expect("it fits");
    let after = review.to_string();
    assert!(
        self::patch(after.as_bytes()).is_none(),
        "a second patch is needed after {patch}: {after}"
    );
});
