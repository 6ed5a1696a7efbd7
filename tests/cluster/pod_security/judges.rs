//! The two judges, and the comparison of their verdicts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use kube::Client;
use podgate::api::DevOpsPolicySpec;
use podgate::policy::compile::Policy;
use podgate::policy::engine;
use podgate::policy::object::Object;
use podgate::policy::patch;
use podgate::policy::policy_set::PolicySet;
use podgate::policy::registry;
use podgate::policy::rule::Breach;
use podgate::policy::scope::{Scope, Selection};
use podgate::policy::subject::Subject;
use podgate::policy::workload::Kind;
use regex::Regex;
use serde_json::{Value, json};

use crate::support::PATIENCE;

pub const LEVELS: [&str; 2] = ["baseline", "restricted"];
/// The namespace without Pod Security.
const PRIVILEGED: &str = "privileged";

/// The admission's reason for the failure of each check, with the check's ids at both levels.
const REASONS: [(&str, [&str; 2]); 18] = [
    ("allowPrivilegeEscalation != false", ["", "allowPrivilegeEscalation"]),
    ("forbidden AppArmor profile", ["appArmorProfile"; 2]),
    ("forbidden AppArmor profiles", ["appArmorProfile"; 2]),
    ("forbidden sysctls", ["sysctls"; 2]),
    ("host namespaces", ["hostNamespaces"; 2]),
    ("hostPath volumes", ["hostPathVolumes", ""]),
    ("hostPort", ["hostPorts"; 2]),
    ("hostProcess", ["windowsHostProcess"; 2]),
    ("non-default capabilities", ["capabilities_baseline", ""]),
    ("privileged", ["privileged"; 2]),
    ("probe or lifecycle host", ["hostProbesAndHostLifecycle"; 2]),
    ("procMount", ["procMount", "procMount_restricted"]),
    ("restricted volume types", ["", "restrictedVolumes"]),
    ("runAsNonRoot != true", ["", "runAsNonRoot"]),
    ("runAsUser=0", ["", "runAsUser"]),
    ("seLinuxOptions", ["seLinuxOptions"; 2]),
    ("seccompProfile", ["seccompProfile_baseline", "seccompProfile_restricted"]),
    ("unrestricted capabilities", ["", "capabilities_restricted"]),
];

/// The checks that failed, each with the containers at fault.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Verdict(pub BTreeMap<&'static str, BTreeSet<String>>);

impl Verdict {
    /// Whether this is podgate's form of the API server's verdict: the same checks, in the same containers. It names
    /// more containers in three cases: where the API server names an annotation, and where it does not tell of
    /// containers that lack a setting while another has a wrong one.
    pub fn agrees_with(&self, theirs: &Self) -> bool {
        self.0.keys().eq(theirs.0.keys())
            && theirs.0.iter().all(|(check, containers)| match *check {
                "appArmorProfile" | "runAsNonRoot" | "seccompProfile_restricted" => {
                    containers.is_subset(&self.0[check])
                }
                _ => *containers == self.0[check],
            })
    }

    /// Reads a denial: `… violates PodSecurity "LEVEL:VERSION": REASON (DETAIL), REASON (DETAIL)`.
    fn of_denial(level: &str, message: &str) -> Self {
        let start = format!("violates PodSecurity \"{level}:latest\": ");
        let (_, reasons) = message
            .split_once(&start)
            .unwrap_or_else(|| panic!("an unexpected refusal: {message}"));
        let mut verdict = Self::default();
        for reason in split_outside_of_parentheses(reasons) {
            let (reason, detail) = reason.split_once(" (").unwrap_or((reason, ""));
            let (_, ids) = REASONS
                .iter()
                .find(|(known, _)| *known == reason)
                .unwrap_or_else(|| panic!("an unknown reason, {reason:?}: {message}"));
            let id = ids[usize::from(level == "restricted")];
            assert!(!id.is_empty(), "{reason:?} at {level}: {message}");
            verdict.0.entry(id).or_default().extend(containers_of(detail));
        }
        verdict
    }
}

fn split_outside_of_parentheses(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

/// The names after `container` or `containers`.
fn containers_of(detail: &str) -> Vec<String> {
    static LISTS: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"\bcontainers? ("[^"]*"(?:, "[^"]*")*)"#).unwrap());
    let lists = LISTS.captures_iter(detail);
    let names = lists.flat_map(|list| {
        let names = list.get(1).unwrap().as_str().split(", ");
        names.map(|name| name.trim_matches('"').to_owned()).collect::<Vec<_>>()
    });
    names.collect()
}

pub fn a_denial_of_the_api_server_is_read_with_its_checks_and_containers() {
    let message = r#"pods "case" is forbidden: violates PodSecurity "restricted:latest": host namespaces (hostNetwork=true, hostPID=true), unrestricted capabilities (container "web" must set securityContext.capabilities.drop=["ALL"]; containers "web", "worker" must not include "NET_RAW" in securityContext.capabilities.add), seccompProfile (pod and container "init" must not set securityContext.seccompProfile.type to "Unconfined")"#;
    let names = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
    let expected = BTreeMap::from([
        ("capabilities_restricted", names(&["web", "worker"])),
        ("hostNamespaces", names(&[])),
        ("seccompProfile_restricted", names(&["init"])),
    ]);
    assert_eq!(Verdict::of_denial("restricted", message), Verdict(expected));
}

/// The ids of podgate's checks.
pub fn checks() -> impl Iterator<Item = &'static str> {
    registry::find("podSecurity").unwrap().checks.iter().copied()
}

/// podgate's engine with a policy for each level.
pub struct Podgate([PolicySet; 2]);

impl Podgate {
    pub fn new() -> Self {
        Self(LEVELS.map(|level| {
            let spec = json!({"podSecurity": level});
            let spec: DevOpsPolicySpec = serde_json::from_value(spec).unwrap();
            let scope = Scope::Cluster(Selection::default());
            let policy = Policy::compile(scope, level.to_owned(), &spec).unwrap();
            PolicySet::new([Arc::new(policy)], Arc::default())
        }))
    }

    pub fn verdict(&self, level: &str, pod: &Value) -> Verdict {
        let mut verdict = Verdict::default();
        for breach in self.breaches(level, pod) {
            let check = breach.check.as_deref().unwrap();
            let id = checks().find(|id| *id == check).expect("the check is in the catalogue");
            verdict.0.entry(id).or_default().extend(breach.container.clone());
        }
        verdict
    }

    /// The pod with podgate's additions; `None` if there are none.
    pub fn fixed(&self, pod: &Value) -> Option<Value> {
        let breaches = self.breaches("restricted", pod);
        let operations = patch::operations(pod, breaches.iter().filter_map(|it| it.fix.as_ref()));
        let mut fixed = pod.clone();
        json_patch::patch(&mut fixed, &operations).unwrap();
        (!operations.is_empty()).then_some(fixed)
    }

    fn breaches(&self, level: &str, pod: &Value) -> Vec<Arc<Breach>> {
        let json = pod.to_string();
        let object: Object = serde_json::from_str(&json).unwrap();
        let subject = Subject::of(Kind::Pod, &object).unwrap();
        let set = &self.0[usize::from(level == "restricted")];
        let judgement = engine::judge(set.covering(None).unwrap(), &subject, Timestamp::UNIX_EPOCH);
        judgement.violations.into_iter().map(|finding| finding.breach).collect()
    }
}

/// A kube-apiserver, with a namespace for each level and one without Pod Security.
pub struct ApiServer {
    client: Client,
    /// The running pods, by the index of their base.
    running: Vec<Value>,
}

impl ApiServer {
    /// Creates the namespaces, and runs the bases in each before its level is set.
    pub async fn prepare(client: Client, bases: &[(&str, Value)]) -> Self {
        let mut server = Self { client, running: Vec::new() };
        for namespace in LEVELS.iter().chain([&PRIVILEGED]) {
            let object = json!({"metadata": {"name": namespace}});
            server.created("/api/v1/namespaces", &object).await;
            server.await_service_account(namespace).await;
            server.running.clear();
            for (index, (_, pod)) in bases.iter().enumerate() {
                let mut pod = pod.clone();
                pod["metadata"]["name"] = json!(name_of(index));
                let path = format!("/api/v1/namespaces/{namespace}/pods");
                server.running.push(server.created(&path, &pod).await);
            }
        }
        for level in LEVELS {
            let labels = json!({
                "pod-security.kubernetes.io/enforce": level,
                "pod-security.kubernetes.io/enforce-version": "latest",
            });
            let labelled = json!({"metadata": {"labels": labels}});
            let path = format!("/api/v1/namespaces/{level}");
            server.send("PATCH", &path, &labelled).await.unwrap();
        }
        server
    }

    /// The whole pod as it was submitted and as the API server would store it; `None` if it refuses such pods.
    pub async fn take(&self, base: Option<usize>, submitted: &Value) -> Option<(Value, Value)> {
        match self.try_out(PRIVILEGED, base, submitted).await {
            Ok(stored) => {
                let whole = base.map_or_else(
                    || submitted.clone(),
                    |base| {
                        let mut pod = self.running[base].clone();
                        pod["spec"]["ephemeralContainers"] = json!([submitted]);
                        pod
                    },
                );
                Some((whole, stored))
            }
            Err((422, _)) => None,
            Err(other) => panic!("{submitted}: {other:?}"),
        }
    }

    /// The admission's verdict on a valid pod at a level, and its message.
    pub async fn verdict(
        &self,
        level: &str,
        base: Option<usize>,
        submitted: &Value,
    ) -> (Verdict, String) {
        match self.try_out(level, base, submitted).await {
            Ok(_) => (Verdict::default(), "admitted".to_owned()),
            Err((403, message)) => (Verdict::of_denial(level, &message), message),
            Err(other) => panic!("{submitted}: {other:?}"),
        }
    }

    /// Creates a pod, or adds a debug container to a running one, by dry run.
    async fn try_out(
        &self,
        namespace: &str,
        base: Option<usize>,
        submitted: &Value,
    ) -> Result<Value, (u16, String)> {
        const QUERY: &str = "dryRun=All&fieldValidation=Strict";
        let pods = format!("/api/v1/namespaces/{namespace}/pods");
        match base {
            None => self.send("POST", &format!("{pods}?{QUERY}"), submitted).await,
            Some(base) => {
                let path = format!("{pods}/{}/ephemeralcontainers?{QUERY}", name_of(base));
                let debugged = json!({"spec": {"ephemeralContainers": [submitted]}});
                self.send("PATCH", &path, &debugged).await
            }
        }
    }

    async fn created(&self, path: &str, object: &Value) -> Value {
        self.send("POST", path, object).await.unwrap()
    }

    /// Pods are refused before their ServiceAccount exists.
    async fn await_service_account(&self, namespace: &str) {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
        let exists = async {
            while self.send("GET", &path, &Value::Null).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, exists).await.expect("the default ServiceAccount");
    }

    /// The answer; else its status and message.
    async fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value, (u16, String)> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let content_type = match method {
            "PATCH" => "application/strategic-merge-patch+json",
            _ => "application/json",
        };
        let request = axum::http::Request::builder().method(method).uri(path);
        let request = request.header("content-type", content_type).body(body).unwrap();
        self.client.request(request).await.map_err(|error| match error {
            kube::Error::Api(status) => (status.code, status.message.clone()),
            other => panic!("no answer from the API server: {other}"),
        })
    }
}

fn name_of(base: usize) -> String {
    format!("base-{base}")
}
