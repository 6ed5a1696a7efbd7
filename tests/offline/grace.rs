//! `spec.graceUntil`: until it ends, an enforcing policy admits what Kubernetes' controllers create from templates that
//! are there. Whoever takes their place is denied.

use std::fs;
use std::hash::RandomState;
use std::sync::Arc;

use jiff::Timestamp;
use podgate::admission::validate::Reviewer;
use podgate::policy::compile::Policy;
use podgate::policy::grace::ControllerUsers;
use podgate::policy::policy_set::PolicySet;
use podgate::policy::scope::{Scope, Selection};
use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::binary::Podgate;
use crate::support::manifests::{pod, workload};
use crate::support::review;

const END: &str = "2027-02-01T00:00:00Z";
const BEFORE: &str = "2027-01-31T23:59:59Z";

/// The service account of one of Kubernetes' controllers.
fn account(name: &str) -> String {
    format!("system:serviceaccount:kube-system:{name}")
}

/// A policy that enforces, with these fields beside its grace.
fn policies(fields: &Value) -> PolicySet {
    let mut spec =
        json!({"enforcementMode": "enforce", "forbidLatestTag": true, "graceUntil": END});
    spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let spec = serde_json::from_value(spec).unwrap();
    let scope = Scope::Cluster(Selection::default());
    PolicySet::new(
        [Arc::new(Policy::compile(scope, "p".to_owned(), &spec).unwrap())],
        Arc::default(),
    )
}

/// The decision on a review, and its answer.
fn judged_at(time: &str, policies: &PolicySet, review: &Value) -> (&'static str, Value) {
    let reviewer = Reviewer {
        policies,
        docs_url: None,
        own_user: None,
        controllers: &ControllerUsers::with(vec!["argo".to_owned()]),
        cost: u64::MAX,
        now: time.parse::<Timestamp>().unwrap(),
        seed: &RandomState::new(),
        observer: None,
    };
    let judged = reviewer.validate(review.to_string().as_bytes()).unwrap();
    let mut answer: Value = serde_json::from_slice(&judged.answer).unwrap();
    let response = answer["response"].take();
    assert_eq!(response["allowed"], judged.decision != "deny");
    assert_eq!(response["auditAnnotations"]["decision"], judged.decision);
    (judged.decision, response)
}

fn decided(policies: &PolicySet, review: &Value) -> &'static str {
    judged_at(BEFORE, policies, review).0
}

fn by(user: &str, mut review: Value) -> Value {
    review["request"]["userInfo"]["username"] = json!(user);
    review
}

/// An object of a kind whose image has no tag, with its controller.
fn owned(kind: Kind, api_version: &str, owner: &str) -> Value {
    let mut object = workload(kind, pod("nginx"));
    object["metadata"]["ownerReferences"] = json!([{"apiVersion": api_version, "kind": owner, "name": "web", "uid": "u", "controller": true}]);
    object
}

fn created(user: &str, object: &Value) -> &'static str {
    decided(&policies(&json!({})), &by(user, review::create("shop", object)))
}

/// Every object that a controller creates, with its user.
fn creations() -> Vec<(Value, String)> {
    [
        (Kind::Pod, "apps/v1", "ReplicaSet", "replicaset-controller"),
        (Kind::Pod, "apps/v1", "StatefulSet", "statefulset-controller"),
        (Kind::Pod, "apps/v1", "DaemonSet", "daemon-set-controller"),
        (Kind::Pod, "batch/v1", "Job", "job-controller"),
        (Kind::Pod, "v1", "ReplicationController", "replication-controller"),
        (Kind::ReplicaSet, "apps/v1", "Deployment", "deployment-controller"),
        (Kind::Job, "batch/v1", "CronJob", "cronjob-controller"),
    ]
    .map(|(kind, api_version, owner, name)| (owned(kind, api_version, owner), account(name)))
    .into()
}

#[test]
fn until_the_grace_ends_what_controllers_create_is_admitted_with_a_warning_that_says_when() {
    let policies = policies(&json!({}));
    for (object, user) in creations() {
        let review = by(&user, review::create("shop", &object));
        let (decision, response) = judged_at(BEFORE, &policies, &review);
        assert_eq!(decision, "grace", "{user}");
        assert_eq!(
            response["warnings"],
            json!([
                format!("podgate: denied from {END} on (graceUntil of policy p)"),
                "podgate: forbidLatestTag (high) web: image is \"nginx\" (no tag means :latest)",
            ])
        );
        assert_eq!(response["auditAnnotations"]["violations"], "1");
        assert_eq!(response["auditAnnotations"]["policy"], "p");
        for (time, expected) in [(END, "deny"), ("2030-01-01T00:00:00Z", "deny")] {
            assert_eq!(judged_at(time, &policies, &review).0, expected, "{user} at {time}");
        }
    }
}

/// The clock decides alone: where it is set back, the grace lasts again; where it jumps ahead, the grace has ended.
#[test]
fn a_clock_that_jumps_moves_the_end_and_nothing_else() {
    let policies = policies(&json!({}));
    let (object, user) = creations().remove(0);
    let review = by(&user, review::create("shop", &object));
    let times = [BEFORE, END, "1970-01-01T00:00:00Z", "9999-01-01T00:00:00Z", BEFORE];
    let decisions = times.map(|time| judged_at(time, &policies, &review).0);
    assert_eq!(decisions, ["grace", "deny", "grace", "deny", "grace"]);
}

#[test]
fn a_grace_may_have_passed_or_end_in_the_year_9999_and_no_later() {
    let (object, user) = creations().remove(0);
    let review = by(&user, review::create("shop", &object));
    for (end, expected) in [
        ("1970-01-01T00:00:00Z", "deny"),
        ("9999-12-30T22:00:00Z", "grace"),
        ("2027-02-01T01:00:00+02:00", "deny"),
        ("2027-01-31T23:00:00-02:00", "grace"),
    ] {
        let policies = policies(&json!({"graceUntil": end}));
        assert_eq!(judged_at(BEFORE, &policies, &review).0, expected, "{end}");
    }
    for bad in ["9999-12-31T23:59:59Z", "30d", "2027-02-01", "", "2027-02-30T00:00:00Z"] {
        let spec = json!({"enforcementMode": "enforce", "graceUntil": bad});
        let policy = json!({"apiVersion": "devops.stochastic.io/v1", "kind": "ClusterDevOpsPolicy", "metadata": {"name": "p"}, "spec": spec});
        let mut review = review::create("shop", &object);
        review["request"]["object"] = policy;
        review["request"]["namespace"] = json!("");
        review["request"]["kind"] = json!({"group": "devops.stochastic.io", "version": "v1", "kind": "ClusterDevOpsPolicy"});
        let reviewer = Reviewer {
            policies: &PolicySet::default(),
            docs_url: None,
            own_user: None,
            controllers: &ControllerUsers::default(),
            cost: u64::MAX,
            now: Timestamp::UNIX_EPOCH,
            seed: &RandomState::new(),
            observer: None,
        };
        let judged = reviewer.validate(review.to_string().as_bytes()).unwrap();
        let answer: Value = serde_json::from_slice(&judged.answer).unwrap();
        let message = answer["response"]["status"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("spec.graceUntil"), "{bad}: {answer}");
    }
}

#[test]
fn whoever_is_not_the_controller_of_the_owner_is_denied() {
    let replica_set = account("replicaset-controller");
    let replicas = owned(Kind::Pod, "apps/v1", "ReplicaSet");
    assert_eq!(created(&replica_set, &replicas), "grace");
    for (user, object, why) in [
        ("jane", &replicas, "an owner without the user"),
        ("system:serviceaccount:shop:replicaset-controller", &replicas, "a user named like it"),
        ("replicaset-controller", &replicas, "a user named like it"),
        (&account("statefulset-controller"), &replicas, "another controller"),
        (&replica_set, &workload(Kind::Pod, pod("nginx")), "the user without an owner"),
        (&replica_set, &owned(Kind::Pod, "apps/v1", "Deployment"), "an owner of the wrong kind"),
        (&replica_set, &owned(Kind::Pod, "v1", "ReplicaSet"), "another group"),
        (&replica_set, &owned(Kind::Pod, "apps/v1beta2", "ReplicaSet"), "another version"),
        (&replica_set, &owned(Kind::Pod, "example.com/v1", "ReplicaSet"), "another group"),
        (
            &account("deployment-controller"),
            &owned(Kind::Pod, "apps/v1", "Deployment"),
            "it makes no pods",
        ),
        ("jane", &workload(Kind::Deployment, pod("nginx")), "a new Deployment"),
        ("jane", &workload(Kind::Pod, pod("nginx")), "a bare pod"),
        (
            "jane",
            &owned(Kind::ReplicaSet, "apps/v1", "Deployment"),
            "a tenant's, whether its Deployment exists or not",
        ),
        ("jane", &owned(Kind::Job, "batch/v1", "CronJob"), "kubectl create job --from"),
        (&account("generic-garbage-collector"), &replicas, "no controller that makes pods"),
    ] {
        assert_eq!(created(user, object), "deny", "{why}: {user}");
    }
    for user in ["system:kube-controller-manager", "argo"] {
        assert_eq!(created(user, &replicas), "grace", "{user}");
        assert_eq!(created(user, &owned(Kind::Pod, "apps/v1", "Deployment")), "deny", "{user}");
    }
}

/// A Job that another controller manages (`spec.managedBy`) makes pods by that controller's user.
#[test]
fn the_pods_of_a_job_that_another_controller_manages_are_denied_unless_its_user_is_added() {
    let mut job = workload(Kind::Job, pod("nginx"));
    job["spec"]["managedBy"] = json!("example.com/queue");
    assert_eq!(created("jane", &job), "deny", "the Job itself is judged by its template");
    let pod = owned(Kind::Pod, "batch/v1", "Job");
    assert_eq!(created("system:serviceaccount:queue:manager", &pod), "deny");
    assert_eq!(created("argo", &pod), "grace");
}

/// A pod without an owner that a ReplicaSet then adopts was judged when it was created; a ReplicaSet likewise. The
/// adoption itself is an update of owner references.
#[test]
fn an_adopted_orphan_was_judged_when_it_was_created_and_its_adoption_denies_nothing() {
    for (kind, owner, controller) in [
        (Kind::Pod, "ReplicaSet", "replicaset-controller"),
        (Kind::ReplicaSet, "Deployment", "deployment-controller"),
    ] {
        let (orphan, adopted) = (workload(kind, pod("nginx")), owned(kind, "apps/v1", owner));
        assert_eq!(created("jane", &orphan), "deny");
        let adoption = by(&account(controller), review::update("shop", &orphan, &adopted));
        assert_eq!(decided(&policies(&json!({})), &adoption), "warn", "{kind:?}");
    }
}

/// The Deployment controller copies the template of an old ReplicaSet into the Deployment, as itself. It is an update,
/// so the old template counts, and who asks does not.
#[test]
fn a_rollback_by_the_deployment_controller_is_denied_for_what_the_present_template_has_not() {
    let mut asked = workload(Kind::Deployment, pod("nginx:1.29"));
    asked["metadata"]["annotations"] = json!({"deprecated.deployment.rollback.to": "1"});
    let back = by(
        &account("deployment-controller"),
        review::update("shop", &asked, &workload(Kind::Deployment, pod("nginx"))),
    );
    assert_eq!(decided(&policies(&json!({})), &back), "deny");
    let mut bad = asked.clone();
    bad["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nginx:latest");
    let back = review::update("shop", &bad, &workload(Kind::Deployment, pod("nginx")));
    let back = by(&account("deployment-controller"), back);
    assert_eq!(decided(&policies(&json!({})), &back), "grace", "it was as bad before");
}

/// The creation of a ControllerRevision of StatefulSet web that holds this `data`.
fn revision(user: &str, owner: &str, data: &Value) -> Value {
    let object = json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 1, "data": data,
        "metadata": {"name": "web-7d9", "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": owner, "name": "web", "uid": "u", "controller": true}]},
    });
    let mut review = review::create("shop", &workload(Kind::StatefulSet, pod("nginx")));
    review["request"]["object"] = object;
    review["request"]["kind"] =
        json!({"group": "apps", "version": "v1", "kind": "ControllerRevision"});
    by(user, review)
}

/// The data that a controller writes.
fn data(pod: &Value) -> Value {
    json!({"spec": {"template": {"$patch": "replace", "metadata": {"labels": {"app": "web"}}, "spec": pod}}})
}

/// The StatefulSet controller makes the pods of the current revision from its ControllerRevision, which a tenant may
/// delete and create again under the same name with another template.
#[test]
fn a_revision_that_its_controller_did_not_create_is_judged_by_its_template() {
    let set = policies(&json!({"podSecurity": "baseline"}));
    let mut privileged = pod("nginx:1.29");
    privileged["containers"][0]["securityContext"] = json!({"privileged": true});
    let (decision, response) =
        judged_at(BEFORE, &set, &revision("jane", "StatefulSet", &data(&privileged)));
    assert_eq!(decision, "deny");
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.starts_with("ControllerRevision shop/web-7d9 breaks 1 rule\n"), "{message}");
    let path = "data.spec.template.spec.containers[0].securityContext.privileged is true";
    assert!(message.contains(path), "{message}");
    let cases = [
        ("jane", "DaemonSet", "deny"),
        ("jane", "Deployment", "deny"),
        (&account("daemon-set-controller"), "StatefulSet", "deny"),
        (&account("statefulset-controller"), "StatefulSet", "allow"),
        (&account("daemon-set-controller"), "DaemonSet", "allow"),
        ("system:kube-controller-manager", "StatefulSet", "allow"),
        ("argo", "StatefulSet", "allow"),
    ];
    for (user, owner, expected) in cases {
        for time in [BEFORE, END] {
            let review = revision(user, owner, &data(&privileged));
            assert_eq!(judged_at(time, &set, &review).0, expected, "{user} for a {owner}");
        }
    }
    assert_eq!(decided(&set, &revision("jane", "StatefulSet", &data(&pod("nginx:1.29")))), "allow");
    assert_eq!(
        decided(&set, &revision("jane", "StatefulSet", &json!({"cpu": 1}))),
        "allow",
        "another controller's"
    );
}

#[test]
fn a_revision_whose_template_may_not_be_what_it_seems_breaks_every_rule() {
    let set = policies(&json!({"podSecurity": "baseline"}));
    let mut hidden = data(&pod("nginx:1.29"));
    hidden["spec"]["template"]["spec"]["HostPID"] = json!(true);
    let mut merged = data(&pod("nginx:1.29"));
    merged["spec"]["template"].as_object_mut().unwrap().remove("$patch");
    let list = data(&json!([]));
    for data in [hidden, merged, list] {
        let (decision, response) = judged_at(BEFORE, &set, &revision("jane", "StatefulSet", &data));
        assert_eq!(decision, "deny", "{data}");
        let message = response["status"]["message"].as_str().unwrap();
        assert!(
            message.contains("breaks 2 rules") && message.contains("data could not be judged: "),
            "{message}"
        );
    }
}

#[test]
fn validations_read_the_pod_of_a_revision() {
    let set = policies(&json!({"validations": [
        {"name": "own", "expression": "object.kind == 'Pod' && object.spec.containers[0].name == 'web'", "message": "m"}]}));
    let named = |name: &str| data(&json!({"containers": [{"name": name, "image": "nginx:1.29"}]}));
    assert_eq!(decided(&set, &revision("jane", "StatefulSet", &named("web"))), "allow");
    assert_eq!(decided(&set, &revision("jane", "StatefulSet", &named("other"))), "deny");
}

#[test]
fn a_changed_template_keeps_what_the_old_one_violated_and_is_denied_for_what_is_new() {
    let policies = policies(&json!({"requireImageDigest": true, "requireLivenessProbe": true}));
    for kind in
        [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::CronJob, Kind::PodTemplate]
    {
        let of = |image: &str| workload(kind, pod(image));
        let update = |new: &Value| review::update("shop", &of("nginx:1.28"), new);
        let (decision, response) = judged_at(BEFORE, &policies, &update(&of("nginx:1.29")));
        assert_eq!(decision, "grace", "a new version of an old violator");
        assert!(response["warnings"][0].as_str().unwrap().contains(END));
        for (image, expected) in [("redis:8", "deny"), ("nginx", "deny"), ("nginx:1.30", "grace")] {
            assert_eq!(decided(&policies, &update(&of(image))), expected, "{kind:?} {image}");
        }
        let review = update(&of("nginx:1.29"));
        assert_eq!(
            judged_at(END, &policies, &review).0,
            "deny",
            "a changed template is judged whole"
        );
        let mut scaled = of("nginx:1.28");
        scaled["metadata"]["labels"] = json!({"a": "b"});
        assert_eq!(
            judged_at(END, &policies, &update(&scaled)).0,
            "warn",
            "an unchanged one is not"
        );
    }
}

#[test]
fn a_restart_under_grace_passes_whatever_cannot_be_decided_and_a_change_does_not() {
    let policies = policies(&json!({"validations": [
        {"name": "reads", "expression": "object.spec.containers.all(c, has(c.livenessProbe))", "message": "m"},
        {"name": "images", "expression": "object.spec.containers.all(c, c.image.startsWith('ghcr.io/'))", "message": "m"},
        {"name": "fails", "expression": "object.spec.none.all(c, c)", "message": "m"},
    ]}));
    let old = workload(Kind::Deployment, pod("nginx:1.28"));
    let mut restarted = old.clone();
    restarted["spec"]["template"]["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/restartedAt": "2027-01-01T00:00:00Z"});
    assert_eq!(decided(&policies, &review::update("shop", &old, &restarted)), "grace");
    let new = workload(Kind::Deployment, pod("nginx:1.29"));
    assert_eq!(
        decided(&policies, &review::update("shop", &old, &new)),
        "deny",
        "what the expression reads changed"
    );
    assert_eq!(judged_at(END, &policies, &review::update("shop", &old, &restarted)).0, "deny");
}

#[test]
fn what_the_old_template_was_exempt_from_is_kept_too() {
    let exemption = json!({"rules": ["forbidLatestTag"], "images": ["nginx:latest"], "reason": "r", "owner": "o"});
    let policies = policies(&json!({"exemptions": [exemption]}));
    let of = |image: &str| workload(Kind::Deployment, pod(image));
    let update = review::update("shop", &of("nginx:latest"), &of("nginx"));
    assert_eq!(decided(&policies, &update), "grace");
}

#[test]
fn an_ephemeral_container_is_denied_for_its_own_violations_under_grace_too() {
    let old = owned(Kind::Pod, "apps/v1", "ReplicaSet");
    let mut new = old.clone();
    new["spec"]["ephemeralContainers"] = json!([{"name": "debug", "image": "busybox"}]);
    for user in ["jane", &account("replicaset-controller")] {
        let update = by(user, review::update("shop", &old, &new));
        assert_eq!(decided(&policies(&json!({})), &update), "deny", "{user}");
    }
    let update = review::update("shop", &old, &old);
    assert_eq!(decided(&policies(&json!({})), &update), "warn");
}

#[test]
fn the_server_takes_the_users_of_controllers_from_its_flags_and_counts_what_a_grace_admits() {
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("policy.yaml");
    let spec =
        "{enforcementMode: enforce, forbidLatestTag: true, graceUntil: '9999-01-01T00:00:00Z'}";
    let text = format!(
        "apiVersion: devops.stochastic.io/v1\nkind: ClusterDevOpsPolicy\nmetadata: {{name: p}}\nspec: {spec}\n"
    );
    fs::write(&policy, text).unwrap();
    let policy = policy.to_str().unwrap();
    let args = ["--standalone", "--policy", policy, "--controller-user", "argo"];
    let podgate = Podgate::serve(&args, &dir.path().join("certs"));
    let (pod, user) = creations().remove(0);
    for (user, allowed) in [(&*user, true), ("argo", true), ("jane", false)] {
        let answer = podgate.review(&by(user, review::create("shop", &pod)));
        assert_eq!(answer["allowed"], allowed, "{user}: {answer}");
    }
    let reviews = r#"podgate_admission_reviews_total{decision="grace",kind="Pod",operation="CREATE",webhook="validate"}"#;
    assert_eq!(podgate.metric(reviews), Some(2.0));
    let would_deny = r#"devopspolicy_would_deny_total{namespace="",policy="p"}"#;
    assert_eq!(podgate.metric(would_deny), Some(2.0));
}
