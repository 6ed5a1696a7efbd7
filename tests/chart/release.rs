//! The assertions of the suites about an installed release.

use std::time::Duration;

use serde_json::Value;

use super::load;
use super::world::{NAMESPACE, ROLLOUT, World};
use crate::support::binary;
use crate::support::control_plane::text;
use crate::support::{eventually, eventually_within};

/// The namespace with the policies of the tests.
pub const SHOP: &str = "shop";
const CONFIGURATIONS: &str = "validatingwebhookconfigurations,mutatingwebhookconfigurations";
/// The kinds of a release's objects, without the namespace and those that outlive the release.
const ITS_KINDS: &str = "deployments,replicasets,pods,services,endpointslices,serviceaccounts,secrets,leases,roles,\
    rolebindings,clusterroles,clusterrolebindings,poddisruptionbudgets,networkpolicies,configmaps,jobs,\
    validatingwebhookconfigurations,mutatingwebhookconfigurations,validatingadmissionpolicies,\
    validatingadmissionpolicybindings";
/// What stays after a release with a floor: API servers do not notice a new parameter kind after the last binding with it
/// was deleted (kubernetes#130887), so the next floor would not wake. Deleting it is not part of any test.
pub const ANCHOR: [&str; 2] = [
    "validatingadmissionpolicy.admissionregistration.k8s.io/podgate-podgate-system-anchor",
    "validatingadmissionpolicybinding.admissionregistration.k8s.io/podgate-podgate-system-anchor",
];

impl World {
    /// Creates a namespace in which `forbidLatestTag` is enforced as soon as podgate knows it.
    pub fn shop(&self) {
        if self.get(&["namespace", SHOP]).is_none() {
            self.namespace(SHOP);
        }
        self.apply(&format!(
            "{{apiVersion: devops.stochastic.io/v1, kind: DevOpsPolicy, metadata: {{name: baseline, namespace: {SHOP}}}, \
             spec: {{enforcementMode: enforce, forbidLatestTag: true}}}}"
        ));
    }

    /// Waits until violating pods are denied in the shop; returns the duration.
    pub fn denies(&self) -> Duration {
        eventually_within(ROLLOUT, "a violating pod to be denied", || {
            self.wait(load::is_denied(&self.client, SHOP))
        })
        .1
    }

    /// Waits until violating pods are admitted in the shop, because no webhook is registered.
    pub fn admits_all(&self) {
        eventually("a violating pod to be admitted", || {
            match self.wait(load::is_denied(&self.client, SHOP)) {
                Ok(()) => Err("the pod is denied".to_owned()),
                Err(why) if why == "it is admitted" => Ok(()),
                Err(why) => Err(why),
            }
        });
    }

    /// Asserts that pods and workloads can be created, for real.
    pub fn runs_pods(&self) {
        let name = "anything";
        self.kubectl(&["create", "deployment", name, "--image=nginx", "--replicas=2", "-n", SHOP]);
        self.kubectl(&["rollout", "status", "deployment", name, "-n", SHOP, "--timeout=60s"]);
        self.kubectl(&["delete", "deployment", name, "-n", SHOP]);
    }

    /// The existing webhook configurations.
    pub fn configurations(&self) -> Vec<Value> {
        let Some(all) = self.get(&[CONFIGURATIONS]) else { return Vec::new() };
        all["items"].as_array().unwrap().clone()
    }

    /// Asserts that nothing is left of a release except the objects that outlive it. Pods that are only draining are
    /// killed.
    pub fn is_clean(&self) {
        self.empties(true);
    }

    /// The same, but waits for pods to drain; returns the duration.
    pub fn becomes_clean(&self) -> Duration {
        self.empties(false)
    }

    fn empties(&self, hurried: bool) -> Duration {
        let ((), after) = eventually_within(ROLLOUT, "podgate's objects to be gone", || {
            if hurried {
                self.kubelet.kill_all();
            }
            let all = self.kubectl(&["get", ITS_KINDS, "-A", "-o", "name"]);
            let its = |name: &&str| name.contains("podgate") && !ANCHOR.contains(name);
            let left: Vec<_> = all.lines().filter(its).collect();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        });
        assert_eq!(self.configurations(), Vec::<Value>::new());
        self.runs(0);
        self.excuse();
        after
    }

    /// Asserts that no request of podgate was refused.
    pub fn nothing_was_forbidden(&self) {
        assert!(self.sees_reads(), "the audit log has no list request of podgate");
        assert_eq!(self.forbidden(), Vec::<String>::new());
    }

    /// Deletes the objects that outlive a release, for the next test.
    pub fn forget_all(&self) {
        self.kubectl(&["delete", "namespace", "--ignore-not-found", SHOP, NAMESPACE]);
        let crds = self.kubectl(&["get", "crds", "-o", "name"]);
        for crd in crds.lines().filter(|name| name.contains("devops.stochastic.io")) {
            self.kubectl(&["delete", crd]);
        }
        self.is_clean();
    }

    /// Runs the kubectl commands from the release notes for a podgate that blocks the cluster: the first ones, up to the
    /// text that follows them.
    pub fn breaks_glass(&self, notes: &str) {
        let (commands, _) = notes.split_once("From then on").expect("the notes say how");
        let commands = commands.lines().filter_map(|line| line.trim().strip_prefix("kubectl "));
        let commands: Vec<Vec<_>> = commands.map(|it| it.split(' ').collect()).collect();
        assert!(!commands.is_empty(), "{notes}");
        for words in commands {
            self.kubectl(&words);
        }
    }

    /// Waits until `podgate check` finds nothing wrong: a release that has just been installed was not called yet.
    pub fn checks(&self) {
        let kubeconfig = self.plane.kubeconfig("admin");
        let args = ["check", "-n", NAMESPACE, "--kubeconfig", kubeconfig.to_str().unwrap()];
        eventually_within(ROLLOUT, "podgate check to find nothing wrong", || {
            let output = binary::run(&args);
            let printed = text(&output.stdout) + &text(&output.stderr);
            if output.status.success() { Ok(()) } else { Err(printed) }
        });
    }

    /// The number of requests that the API server admitted without an answer of podgate.
    pub fn failed_open(&self) -> f64 {
        let metrics = self.kubectl(&["get", "--raw", "/metrics"]);
        let counted = metrics.lines().filter(|it| {
            it.starts_with("apiserver_admission_webhook_fail_open_count{") && it.contains("podgate")
        });
        counted.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}
