//! A control plane with podgate registered in it, and namespaces to try things in.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace as NamespaceObject, ServiceAccount};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};
use podgate::admission::registration::{MUTATE_WEBHOOK, MUTATING, VALIDATE_WEBHOOK, VALIDATING};
use podgate::api::{ClusterDevOpsPolicy, DevOpsPolicy};
use podgate::policy::workload::Kind;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::binary::{self, Podgate};
use super::control_plane::{ControlPlane, Options, text};
use super::kubectl::Kubectl;
use super::manifests::{pod, workload};
use super::{eventually, review};

/// A client of the one cluster of a kubeconfig.
pub async fn client(kubeconfig: &Path) -> Client {
    let config = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    Client::try_from(Config::from_custom_kubeconfig(config, &options).await.unwrap()).unwrap()
}

/// A control plane with the CRDs installed and podgate registered.
pub struct Cluster {
    pub podgate: Podgate,
    pub plane: ControlPlane,
    pub client: Client,
    /// The webhook configurations as podgate registered them, which this suite then changes.
    pub registered: Vec<Value>,
    runtime: Runtime,
}

impl Cluster {
    pub fn start() -> Self {
        Self::start_with(Options::default(), &[])
    }

    /// The same on a control plane with these options, with more arguments for podgate.
    pub fn start_with(options: Options, args: &[&str]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plane = ControlPlane::start_with(options);
        let kubeconfig = plane.kubeconfig("admin");
        let admin = kubeconfig.to_str().unwrap();
        let installed = binary::run(&["crd", "install", "--kubeconfig", admin]);
        assert!(installed.status.success(), "{}", text(&installed.stderr));
        let cert_dir = kubeconfig.with_file_name("podgate-certs");
        let args = [&["--register", "--kubeconfig", admin], args].concat();
        let podgate = Podgate::serve_by(binary::as_in_the_chart(), &args, &cert_dir);

        let runtime = Runtime::new().unwrap();
        let client = runtime.block_on(client(&kubeconfig));
        let kinds = "validatingwebhookconfigurations,mutatingwebhookconfigurations";
        let mut listed = plane.kubectl(&["get", kinds, "-o", "json"]).json();
        let registered = serde_json::from_value(listed["items"].take()).unwrap();
        let cluster = Self { podgate, plane, client, registered, runtime };
        cluster.fail_closed();
        cluster
    }

    /// With `Ignore`, a webhook that never answers would look like one that admits. The timeout is longer than the
    /// registered one, because answers may be slow on a busy machine.
    fn fail_closed(&self) {
        self.set_failure_policy("Fail", 30);
    }

    /// Sets the failure policy and the timeout of the webhooks.
    pub fn set_failure_policy(&self, policy: &str, timeout_seconds: u32) {
        use k8s_openapi::api::admissionregistration::v1::{
            MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
        };
        let patch = |webhook: &str| {
            Patch::Strategic(json!({"webhooks": [
                {"name": webhook, "failurePolicy": policy, "timeoutSeconds": timeout_seconds},
            ]}))
        };
        let params = PatchParams::default();
        let api = Api::<ValidatingWebhookConfiguration>::all(self.client.clone());
        self.wait(api.patch(VALIDATING, &params, &patch(VALIDATE_WEBHOOK))).unwrap();
        let api = Api::<MutatingWebhookConfiguration>::all(self.client.clone());
        self.wait(api.patch(MUTATING, &params, &patch(MUTATE_WEBHOOK))).unwrap();
    }

    /// A new namespace, whose name starts with this one.
    pub fn namespace(&self, prefix: &str) -> Namespace<'_> {
        self.labelled_namespace(prefix, &json!({}))
    }

    /// The same with labels of its own.
    pub fn labelled_namespace(&self, prefix: &str, labels: &Value) -> Namespace<'_> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("{prefix}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let object: NamespaceObject =
            serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap();
        let api = Api::all(self.client.clone());
        self.wait(api.create(&PostParams::default(), &object)).unwrap();
        // Pods are refused before their ServiceAccount exists.
        let accounts = Api::<ServiceAccount>::namespaced(self.client.clone(), &name);
        eventually("the default ServiceAccount", || {
            self.wait(accounts.get("default")).map_err(|error| error.to_string())
        });
        Namespace { cluster: self, name }
    }

    /// Creates or edits a policy for all namespaces that it selects.
    pub fn cluster_policy(&self, name: &str, spec: &Value) {
        let object = json!({
            "apiVersion": "devops.stochastic.io/v1",
            "kind": "ClusterDevOpsPolicy",
            "metadata": {"name": name},
            "spec": spec,
        });
        let api = Api::<ClusterDevOpsPolicy>::all(self.client.clone());
        let params = PatchParams::apply("test").force();
        self.wait(api.patch(name, &params, &Patch::Apply(&object))).unwrap();
    }

    /// Runs something beside the tests.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }

    /// Runs a call to the API server.
    pub fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        self.runtime.block_on(call)
    }
}

/// A namespace of its own for a test.
pub struct Namespace<'c> {
    pub cluster: &'c Cluster,
    pub name: String,
}

impl Namespace<'_> {
    /// Creates or edits a policy and waits until it is in force; returns the duration. It must have a spec rule, and no
    /// weaker mode than the namespace's others.
    pub fn policy(&self, name: &str, spec: &Value) -> Duration {
        let object = json!({
            "apiVersion": "devops.stochastic.io/v1",
            "kind": "DevOpsPolicy",
            "metadata": {"name": name},
            "spec": spec,
        });
        let api = Api::<DevOpsPolicy>::namespaced(self.cluster.client.clone(), &self.name);
        let params = PatchParams::apply("test").force();
        self.cluster.wait(api.patch(name, &params, &Patch::Apply(&object))).unwrap();
        // A pod that breaks every spec rule shows by its audit annotations which
        // policies judge it now, in every mode.
        let canary = review::create(&self.name, &workload(Kind::Pod, pod("canary")));
        let decision = match spec["enforcementMode"].as_str() {
            Some("enforce") => "deny",
            Some("warn") => "warn",
            _ => "allow",
        };
        let spec_rules = ["forbidLatestTag", "requireLivenessProbe", "requireReadinessProbe"];
        assert!(
            spec_rules.iter().any(|rule| spec[rule] == true),
            "the canary pod would not show {spec}"
        );
        let expected = format!("{}/{name}", self.name);
        let ((), after) = eventually("the policy to be in force", || {
            let annotations = &self.cluster.podgate.review(&canary)["auditAnnotations"];
            let named = annotations["policy"].as_str().unwrap_or_default();
            let in_force =
                named.split(',').any(|it| it == expected) && annotations["decision"] == decision;
            if in_force { Ok(()) } else { Err(annotations.to_string()) }
        });
        after
    }

    pub fn api(&self, kind: Kind) -> Api<DynamicObject> {
        let names = kind.names();
        let gvk = GroupVersionKind::gvk(names.group, names.version, names.kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, names.resource);
        Api::namespaced_with(self.cluster.client.clone(), &self.name, &resource)
    }

    /// Creates an object for real; returns the API server's message if it refuses.
    pub fn create(&self, object: &Value) -> Result<DynamicObject, String> {
        self.try_create(object, false)
    }

    /// Asserts that the API server admits this object (by dry run).
    pub fn accepts(&self, object: &Value) {
        if let Err(message) = self.try_create(object, true) {
            panic!("{} was refused: {message}", object["kind"]);
        }
    }

    /// Asserts that podgate denies this object (by dry run).
    pub fn rejects(&self, object: &Value) -> Rejection {
        match self.try_create(object, true) {
            Ok(_) => panic!("{object} was admitted"),
            Err(message) => Rejection::new(message),
        }
    }

    /// Changes an object by a strategic merge patch, as kubectl does.
    pub fn patch(&self, kind: Kind, name: &str, patch: &Value) -> Result<DynamicObject, Rejection> {
        let params = PatchParams::default();
        let call = self.api(kind);
        let patched = self.cluster.wait(call.patch(name, &params, &Patch::Strategic(patch)));
        patched.map_err(|error| Rejection::new(reason(&error)))
    }

    /// Waits until an object satisfies a condition.
    pub fn awaits(
        &self,
        what: &str,
        kind: Kind,
        name: &str,
        condition: impl Fn(&DynamicObject) -> bool,
    ) {
        eventually(what, || {
            let object =
                self.cluster.wait(self.api(kind).get(name)).map_err(|it| it.to_string())?;
            if condition(&object) { Ok(()) } else { Err(object.data["status"].to_string()) }
        });
    }

    /// kubectl in this namespace.
    pub fn kubectl(&self, args: &[&str]) -> Kubectl {
        self.cluster.plane.kubectl(args).within(&self.name)
    }

    fn try_create(&self, object: &Value, dry_run: bool) -> Result<DynamicObject, String> {
        let api = self.api(review::kind_of(object));
        let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
        let params = PostParams { dry_run, ..PostParams::default() };
        self.cluster.wait(api.create(&params, &object)).map_err(|error| reason(&error))
    }
}

fn reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => panic!("no answer from the API server: {other}"),
    }
}

/// A refusal by podgate.
#[derive(Debug)]
pub struct Rejection {
    pub message: String,
}

impl Rejection {
    /// From the API server's message, or what kubectl prints.
    pub fn new(message: String) -> Self {
        let by_podgate = format!("admission webhook \"{VALIDATE_WEBHOOK}\" denied the request: ");
        assert!(message.contains(&by_podgate), "refused, but not by podgate: {message}");
        Self { message }
    }

    /// Asserts that the message contains all of these.
    pub fn because(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.message.contains(word), "{word:?} is not in: {}", self.message);
        }
        self
    }
}
