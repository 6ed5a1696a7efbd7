//! `/validate`: AdmissionReview v1 to a decision. Pure.
//!
//! A new object is judged whole. An update is not denied for what was there before: neither for an unchanged template,
//! nor for a violation that the old pod had. A policy in its grace admits what Kubernetes' controllers create, and what
//! a changed template had before.

use std::cell::LazyCell;
use std::hash::RandomState;

use jiff::Timestamp;

use super::judged::{Denial, Judged};
use super::retries::DeniedTemplate;
use super::review::{BadReview, Operation, Request, decode, pod_in, whole_objects};
use super::revisions::Revision;
use super::trees::{Trees, trees};
use super::unchanged::{pod_unchanged, template_restarted, template_unchanged};
use super::{answer, policy_object, repairs, revisions};
use crate::api;
use crate::cel::tree::Tree;
use crate::cel::wanted::Wanted;
use crate::metrics::Decided;
use crate::policy::decision::{Decision, Outcome, decide};
use crate::policy::document::Document;
use crate::policy::engine::{Exempt, Finding, Judgement, judge, judge_as_created, judge_undecided};
use crate::policy::grace::ControllerUsers;
use crate::policy::inherited::{Before, Old};
use crate::policy::message;
use crate::policy::plan::EvaluationPlan;
use crate::policy::policy_set::PolicySet;
use crate::policy::recheck::{KubectlVerb, Recheck, ScanAs};
use crate::policy::rule::Breach;
use crate::policy::subject::Subject;
use crate::policy::workload::Kind;

/// Is told what a review's answer was made from.
pub type Observer<'p> = &'p (dyn Fn(&Decision<'_>, &[Exempt<'_>]) + Sync);

/// The input of a judgement beside the review.
#[derive(Clone, Copy)]
pub struct Reviewer<'p> {
    pub policies: &'p PolicySet,
    /// The URL that denials end with: the admin's own page.
    pub docs_url: Option<&'p str>,
    /// podgate's user name, where it repairs workloads: its repairs and rollbacks must not be denied for violations
    /// that the workload had before.
    pub own_user: Option<&'p str>,
    /// The users of Kubernetes' controllers, for policies in their grace.
    pub controllers: &'p ControllerUsers,
    /// The most that all validations may cost together, in CEL's units.
    pub cost: u64,
    pub now: Timestamp,
    /// The seed of [`DeniedTemplate`].
    pub seed: &'p RandomState,
    /// For who asks for more than the answer, as tests of policies do.
    pub observer: Option<Observer<'p>>,
}

impl Reviewer<'_> {
    /// Judges an AdmissionReview.
    ///
    /// # Errors
    /// The body is not a review that podgate can judge; see [`BadReview`].
    pub fn validate(&self, body: &[u8]) -> Result<Judged, BadReview> {
        let request = decode(body)?;
        let (operation, kind) = (request.operation()?, request.kind()?);
        let changes = matches!(operation, Operation::Create | Operation::Update);
        if changes && kind.is_none() && &*request.kind.group == api::GROUP {
            return Ok(policy_object::judge(&request, operation, body));
        }
        if revisions::is_creation(&request, operation) {
            return self.revision(&request, body);
        }
        let Some(kind) = kind.filter(|_| changes) else {
            return Ok(Judged::allowed(&request, kind, operation));
        };
        let subject = request.subject(kind)?;
        let plan = self.policies.covering(subject.namespace);
        let plan = plan.map_err(|_| BadReview::unknown_namespace(subject.namespace))?;
        if self.own_user.is_some_and(|own| own != &*request.user_info.username)
            && let Some(forged) = repairs::forged(&request, kind, operation, plan, body, self.now)
        {
            return Ok(forged);
        }
        self.judge(plan, &request, subject, body)
    }

    /// Judges the creation of a ControllerRevision, which is new whoever asks: as it is written, without the mutations
    /// of policies.
    fn revision(&self, request: &Request<'_>, body: &[u8]) -> Result<Judged, BadReview> {
        let kind = Kind::ControllerRevision;
        let subject = request.subject(kind)?;
        let plan = self.policies.covering(subject.namespace);
        let plan = plan.map_err(|_| BadReview::unknown_namespace(subject.namespace))?;
        let documents = self.documents(plan, &subject, body);
        let held = if self.controllers.created(&subject, &request.user_info.username) {
            // The template of its workload, which was judged there.
            Revision::Empty
        } else {
            revisions::revision(body)
        };
        let judgement = match held {
            Revision::Empty => Judgement::default(),
            Revision::Unclear(why) => {
                judge_undecided(plan, &subject, &revisions::undecided(why), self.now)
            }
            Revision::Template(held) => {
                let Subject { namespace, metadata, .. } = subject;
                let document = documents.object.as_ref();
                let of_template = Subject::or_empty(kind, &held);
                let subject = Subject { namespace, metadata, document, ..of_template };
                judge(plan, &subject, self.now)
            }
        };
        let decision = decide(judgement.violations, &Before::Nothing, self.now);
        Ok(self.judged(request, &subject, &decision, &judgement.exempt, &documents))
    }

    /// The documents of a review whose policies read them.
    fn documents<'a>(
        &'a self,
        plan: &EvaluationPlan,
        subject: &Subject<'a>,
        body: &'a [u8],
    ) -> Documents<'a> {
        if !plan.reads_documents() {
            return Documents::default();
        }
        let namespace = self.policies.namespace_object(subject.namespace);
        Documents::new(subject.kind, body, plan.wanted(), &namespace, self.cost)
    }

    fn judge(
        &self,
        plan: &EvaluationPlan,
        request: &Request<'_>,
        subject: Subject<'_>,
        body: &[u8],
    ) -> Result<Judged, BadReview> {
        let (kind, operation) = (subject.kind, request.operation()?);
        let documents = self.documents(plan, &subject, body);
        let subject = Subject { document: documents.object.as_ref(), ..subject };
        let judgement = if subject.is_mirror_by(&request.user_info.username) {
            // A mirror pod shows a static pod that runs already; a denial would only hide it.
            Judgement::default()
        } else if kind == Kind::Pod {
            // `/mutate` has completed the pod already.
            judge(plan, &subject, self.now)
        } else {
            judge_as_created(plan, &subject, || whole_objects(body).object, self.now)
        };
        let Judgement { violations: findings, exempt } = judgement;
        let same_pod = LazyCell::new(|| {
            if kind == Kind::Pod { pod_unchanged(body) } else { template_restarted(kind, body) }
        });
        let same = |breach: &Breach| {
            let read = breach.reads.as_deref();
            let read = read.zip(documents.old_object.as_ref()).zip(documents.object.as_ref());
            read.map_or_else(|| *same_pod, |((reads, old), new)| reads.same(&old.pod, &new.pod))
        };
        let old = || {
            let mut old = pod_in("oldObject", kind, request.old_object.as_deref())?;
            old.namespace = subject.namespace;
            old.document = documents.old_object.as_ref();
            let Judgement { violations: mut findings, exempt } = if kind == Kind::Pod {
                judge(plan, &old, self.now)
            } else {
                judge_as_created(plan, &old, || whole_objects(body).old_object, self.now)
            };
            findings.extend(exempt.into_iter().map(|it| it.finding));
            Ok::<_, BadReview>(Old { findings, same: &same })
        };
        let own = self.own_user.is_some_and(|own| own == &*request.user_info.username);
        let before = if findings.is_empty() {
            Before::Nothing
        } else if operation == Operation::Create {
            if self.controllers.created(&subject, &request.user_info.username) {
                Before::OwnersTemplate
            } else {
                Before::Nothing
            }
        } else if kind == Kind::Pod {
            Before::Pod(old()?)
        } else if template_unchanged(kind, body)
            || own && repairs::is_repair_step(request, body, self.now)
        {
            Before::SameTemplate
        } else if findings.iter().any(|it| it.policy.in_grace(self.now)) {
            Before::Template(old()?)
        } else {
            Before::Nothing
        };
        let decision = decide(findings, &before, self.now);
        Ok(self.judged(request, &subject, &decision, &exempt, &documents))
    }

    /// The answer to a review, and its summary.
    fn judged(
        &self,
        request: &Request<'_>,
        subject: &Subject<'_>,
        decision: &Decision<'_>,
        exempt: &[Exempt<'_>],
        documents: &Documents<'_>,
    ) -> Judged {
        if let Some(observer) = self.observer {
            observer(decision, exempt);
        }
        let kind = subject.kind;
        let operation = request.operation().unwrap_or(Operation::Other);
        let denial = (decision.outcome() == Outcome::Deny).then(|| Denial {
            object: message::object_name(subject, subject.namespace),
            dry_run: request.dry_run == Some(true),
            policies: answer::policy_names(decision.denied.iter()),
            rules: decision.denied.iter().map(Finding::id).collect(),
            template: (kind == Kind::Pod && operation == Operation::Create)
                .then(|| DeniedTemplate::of(subject, decision, self.seed))
                .flatten(),
        });
        let text = denial.as_ref().map(|it| {
            let recheck = self.recheck(request, subject, decision);
            message::denial(&it.object, decision, self.docs_url, &recheck)
        });
        Judged {
            answer: answer::decided(&request.uid, decision, text),
            decision: decision.outcome().as_str(),
            kind: Some(kind),
            operation,
            patch_operations: 0,
            interrupted: documents
                .were_interrupted()
                .then(|| subject.namespace.unwrap_or_default().to_owned()),
            decided: Decided::new(decision),
            denial,
        }
    }

    /// The commands that judge a denied object again.
    fn recheck<'a>(
        &self,
        request: &Request<'_>,
        subject: &Subject<'a>,
        decision: &Decision<'_>,
    ) -> Recheck<'a> {
        let by_controller = self.controllers.created(subject, &request.user_info.username);
        let generated = request.operation().is_ok_and(|it| it == Operation::Create)
            && subject.metadata.is_some_and(|it| !it.generate_name.is_empty());
        let kubectl = if by_controller || !request.sub_resource.is_empty() {
            // The file at hand is that of the workload, or of a pod without the change.
            None
        } else if generated || request.is_by_kubectl_create() {
            Some(KubectlVerb::Create)
        } else {
            Some(KubectlVerb::Apply)
        };
        let scan = match subject.kind {
            Kind::ControllerRevision => None,
            _ if by_controller => Some(ScanAs::Controller),
            _ => Some(ScanAs::User),
        };
        let live = decision.denied.iter().any(|it| it.policy.origin.is_some());
        Recheck { namespace: subject.namespace, kubectl, scan, live }
    }
}

/// The pods of both objects, for rules that read documents.
#[derive(Default)]
struct Documents<'a> {
    object: Option<Document<'a>>,
    old_object: Option<Document<'a>>,
}

impl<'a> Documents<'a> {
    fn new(kind: Kind, body: &'a [u8], wanted: &Wanted, namespace: &Tree<'a>, cost: u64) -> Self {
        let Trees { object, old_object } = trees(body, kind, wanted);
        let of = |object: Option<_>| {
            object.map(|it| Document::of(kind, it, namespace.clone()).within(cost))
        };
        Self { object: of(object), old_object: of(old_object) }
    }

    fn were_interrupted(&self) -> bool {
        self.object.iter().chain(&self.old_object).any(Document::was_interrupted)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::policy::compile::Policy;
    use crate::policy::record::{ANNOTATION, IN_FLIGHT, LABEL, fingerprint};
    use crate::policy::scope::{Scope, Selection};

    #[test]
    fn what_podgate_itself_takes_back_is_not_denied_for_what_it_was_and_nobody_else_is_believed() {
        let spec = json!({"enforcementMode": "enforce", "forbidLatestTag": true});
        let spec = serde_json::from_value(spec).unwrap();
        let scope = Scope::Cluster(Selection::default());
        let policy = Policy::compile(scope, "p".to_owned(), &spec).unwrap();
        let policies = PolicySet::new([Arc::new(policy)], Arc::default());
        let own = "system:serviceaccount:podgate-system:podgate";
        let decision = |own_user: Option<&str>, operation: &str, user: &str| {
            let deployment = |image: &str| {
                let mut deployment = json!({"metadata": {"name": "cart", "uid": "u", "labels": {LABEL: IN_FLIGHT}}, "spec": {"template": {"spec": {"containers": [{"name": "web", "image": image}]}}}});
                let inverse = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "nginx"}]);
                let record = json!({"state": "RollingOut", "uid": "u", "policies": [], "rules": [], "attempts": 1, "available": 1,
                    "began": Timestamp::UNIX_EPOCH, "deadline": Timestamp::UNIX_EPOCH, "inverse": inverse,
                    "before": "", "after": fingerprint(&deployment)});
                deployment["metadata"]["annotations"] = json!({ANNOTATION: record.to_string()});
                deployment
            };
            let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
                "uid": "u", "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
                "namespace": "shop", "operation": operation, "userInfo": {"username": user},
                "object": deployment("nginx"), "oldObject": deployment("nginx:1.29"),
            }});
            let (docs_url, now) = (None, Timestamp::UNIX_EPOCH);
            let reviewer = Reviewer {
                policies: &policies,
                docs_url,
                own_user,
                controllers: &ControllerUsers::default(),
                cost: u64::MAX,
                now,
                seed: &RandomState::new(),
                observer: None,
            };
            reviewer.validate(review.to_string().as_bytes()).unwrap().decision
        };
        assert_eq!(decision(Some(own), "UPDATE", own), "warn");
        assert_eq!(decision(Some(own), "UPDATE", "jane"), "deny");
        assert_eq!(decision(Some(own), "CREATE", own), "deny", "it makes no workloads");
        assert_eq!(decision(None, "UPDATE", own), "deny", "where it repairs nothing");
    }
}
