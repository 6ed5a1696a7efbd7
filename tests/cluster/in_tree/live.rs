//! The compiled policies in a real API server, from `podgate policy to-vap` on a cluster's own policies: it takes the
//! objects, denies what podgate would deny, and its type checker finds nothing.

use serde_json::{Value, json};

use crate::support::binary;
use crate::support::control_plane::ControlPlane;
use crate::support::eventually;
use crate::support::manifests::{pod, probed_pod, workload};
use crate::support::suite::{Alone, trials};
use podgate::policy::workload::Kind;

pub const TRIALS: Alone =
    trials![a_clusters_policies_are_in_force_in_its_api_server_without_podgate];

const POLICIES: &str = "apiVersion: devops.stochastic.io/v1
kind: ClusterDevOpsPolicy
metadata: {name: all}
spec: {enforcementMode: enforce, forbidLatestTag: true, excludeNamespaces: [lab]}
---
apiVersion: devops.stochastic.io/v1
kind: DevOpsPolicy
metadata: {name: own, namespace: shop}
spec:
  enforcementMode: enforce
  denySeverity: medium
  requireLivenessProbe: true
  requireReadinessProbe: true
  exemptions:
  - {rules: [requireLivenessProbe], kinds: [CronJob], reason: it ends, owner: shop}
  validations:
  - {name: named, expression: 'object.spec.containers.all(c, c.name != \"x\")', message: it is named x}
";

fn a_clusters_policies_are_in_force_in_its_api_server_without_podgate() {
    let plane = ControlPlane::start();
    let podgate = |args: &[&str]| {
        let output = binary::command()
            .env("KUBECONFIG", plane.kubeconfig("admin"))
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let crds = plane.kubectl(&["apply", "--server-side", "-f", "-"]);
    crds.given(&podgate(&["crd", "generate"])).ok();
    for namespace in ["shop", "lab"] {
        plane.kubectl(&["create", "namespace", namespace]).ok();
    }
    eventually("the policies", || plane.kubectl(&["apply", "-f", "-"]).given(&POLICIES).result());
    let objects = podgate(&["policy", "to-vap", "--strict"]);
    plane.kubectl(&["apply", "-f", "-"]).given(&objects).ok();

    let create = |namespace: &str, object: &Value| {
        plane
            .kubectl(&["create", "--dry-run=server", "-f", "-"])
            .within(namespace)
            .given(object)
            .output()
    };
    let floating = workload(Kind::Deployment, pod("nginx"));
    let (denial, _) = eventually("the denial", || match create("shop", &floating) {
        (false, denial) if denial.contains("requireLivenessProbe") => Ok(denial),
        (_, other) => Err(other),
    });
    for part in [
        "Deployment shop/web has 2 violations: ",
        "forbidLatestTag (high) · policy all · container \"web\": spec.template.spec.containers[0].image is \"nginx\"",
        "requireLivenessProbe (medium) · policy shop/own · container \"web\"",
    ] {
        assert!(denial.contains(part), "{part} is not in: {denial}");
    }
    let (admitted, told) = create("shop", &workload(Kind::CronJob, pod("nginx:1")));
    assert!(admitted, "{told}");
    let (admitted, told) = create(
        "shop",
        &workload(
            Kind::StatefulSet,
            json!({"containers": [
                {"name": "x", "image": "nginx:1", "livenessProbe": {"tcpSocket": {"port": 80}}},
            ]}),
        ),
    );
    assert!(
        !admitted && told.contains("validations/named (medium) · policy shop/own: it is named x"),
        "{told}"
    );
    let (admitted, told) = create("shop", &workload(Kind::StatefulSet, probed_pod("nginx:1")));
    assert!(admitted, "{told}");
    let (admitted, told) = create("lab", &floating);
    assert!(admitted, "a policy excludes it: {told}");

    let checked = || plane.kubectl(&["get", "validatingadmissionpolicies", "-o", "json"]).result();
    eventually("the type checks", || {
        let list: Value = serde_json::from_str(&checked()?).unwrap();
        for policy in list["items"].as_array().unwrap() {
            let checking = policy["status"].get("typeChecking").ok_or("not checked yet")?;
            assert_eq!(checking.get("expressionWarnings"), None, "{checking}");
        }
        Ok(())
    });
}
