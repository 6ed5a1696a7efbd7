//! Tests of the harness: its nodes treat pods like a kubelet.

use std::collections::BTreeSet;

use super::world::World;
use crate::support::control_plane::seconds;
use crate::support::eventually;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<World> = trials![a_pod_of_the_nodes_is_started_restarted_and_ended,];

/// A podgate that is installed without the chart.
const MANIFEST: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: plain}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: default, namespace: plain}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: podgate, namespace: plain}
spec:
  replicas: 2
  selector: {matchLabels: {app.kubernetes.io/name: podgate}}
  template:
    metadata: {labels: {app.kubernetes.io/name: podgate}}
    spec:
      terminationGracePeriodSeconds: 20
      securityContext: {runAsUser: 65532}
      containers:
      - name: podgate
        image: podgate
        args: [serve, '--docs-url=https://$(POD_NAME).example', --drain-timeout=2]
        env: [{name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
        ports: [{name: metrics, containerPort: 8080}]
        securityContext: {readOnlyRootFilesystem: true, runAsUser: 65532}
        readinessProbe: {httpGet: {path: /readyz, port: metrics}, periodSeconds: 1}
        livenessProbe: {httpGet: {path: /healthz, port: 8443, scheme: HTTPS}, periodSeconds: 1}
";

fn a_pod_of_the_nodes_is_started_restarted_and_ended(world: &World) {
    world.namespace("plain");
    let installed = crate::support::binary::run(&[
        "crd",
        "install",
        "--kubeconfig",
        world.plane.kubeconfig("admin").to_str().unwrap(),
    ]);
    assert!(installed.status.success(), "{installed:?}");
    world.apply(MANIFEST);
    println!("two pods are ready after {}", seconds(world.runs(2)));
    let first: BTreeSet<_> = world.kubelet.pods().iter().map(|it| it.name.clone()).collect();
    println!("{}", world.kubectl(&["get", "pods,leases", "-n", "plain", "-o", "wide"]));

    assert_eq!(world.kubelet.kill_all(), 2);
    eventually("restarts", || {
        let pods = world.kubectl(&[
            "get",
            "pods",
            "-n",
            "plain",
            "-o",
            "jsonpath={.items[*].status.containerStatuses[0].restartCount}",
        ]);
        // On a busy machine, a probe may cause one more restart.
        let counts: Vec<_> = pods.split(' ').filter_map(|it| it.parse::<u32>().ok()).collect();
        if counts.len() == 2 && counts.iter().all(|it| *it >= 1) { Ok(()) } else { Err(pods) }
    });
    println!("after kill -9 they are ready again after {}", seconds(world.runs(2)));
    let restarted = world.kubelet.pods().iter().map(|it| it.name.clone()).collect();
    assert_eq!(first, restarted);

    world.kubectl(&["rollout", "restart", "-n", "plain", "deployment/podgate"]);
    world.kubectl(&["rollout", "status", "-n", "plain", "deployment/podgate"]);
    println!("a rolling restart has ended {} after the rollout", seconds(world.runs(2)));
    let rolled: BTreeSet<_> = world.kubelet.pods().iter().map(|it| it.name.clone()).collect();
    assert!(first.is_disjoint(&rolled));

    world.kubectl(&["delete", "namespace,clusterrolebinding", "plain"]);
    world.runs(0);
    assert_eq!(world.kubelet.heartbeats().1, 0);
    world.forget_all();
}
