//! Judges the objects of one text.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::passed_over::{self, Source};
use crate::cel::tree::Tree;
use crate::findings::{Fault, PassedOver, Unjudged, Violation};
use crate::manifests::documents::{self, Manifest};
use crate::manifests::error::{Cause, ManifestError};
use crate::policy::decision::{Effected, effects, worst_first};
use crate::policy::degree::Degree;
use crate::policy::document::Document;
use crate::policy::engine::{judge, judge_as_created};
use crate::policy::inherited::Before;
use crate::policy::object::Object;
use crate::policy::owner::{self, ObjectName};
use crate::policy::patch;
use crate::policy::plan::EvaluationPlan;
use crate::policy::policy_set::PolicySet;
use crate::policy::rule::Fix;
use crate::policy::subject::Subject;
use crate::policy::text;
use crate::policy::workload::Kind;

/// Who creates the objects.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Creator {
    /// A person or a pipeline.
    #[default]
    User,
    /// Kubernetes' controllers, where an object's controlling owner is one that they create it for.
    Controller,
}

/// Judges manifests by policies.
pub struct ManifestJudge<'p> {
    pub policies: &'p PolicySet,
    /// The namespace of objects that name none.
    pub namespace: Option<&'p str>,
    pub now: Timestamp,
    /// Whether objects are judged as written, without the changes of policies with `mutate`.
    pub as_written: bool,
    pub creator: Creator,
}

/// The findings of one text.
#[derive(Default)]
pub struct JudgedText {
    pub violations: Vec<Violation>,
    pub faults: Vec<Fault>,
    /// Objects, `List` items included.
    pub documents: u64,
    /// Objects that run pods, and that a policy judged.
    pub workloads: u64,
    /// Objects that do not run pods.
    pub skipped: u64,
    pub unjudged: Unjudged,
    /// The workloads that count for the score.
    pub scored: Vec<ScoredWorkload>,
}

/// A workload as the score counts it.
pub struct ScoredWorkload {
    pub namespace: Option<String>,
    /// The kind and name of the workload to which the object belongs.
    pub workload: ObjectName<'static>,
    /// Rule ids with their degrees.
    pub violations: Vec<(&'static str, Degree)>,
}

/// A workload and its violations.
pub struct JudgedWorkload<'p> {
    pub namespace: Option<String>,
    /// Empty if the object has a `generateName` instead.
    pub name: String,
    /// Worst first.
    pub findings: Vec<Effected<'p>>,
    generate_name: String,
    owner: ObjectName<'static>,
    /// Whether a `namespaceSelector` was taken to match because the namespace's labels are unknown.
    assumed: bool,
    standing: Standing,
}

/// Whether policies judge a workload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Standing {
    Judged,
    /// No policy covers its namespace.
    Uncovered,
    /// Its namespace is protected.
    Protected,
}

impl<'p> ManifestJudge<'p> {
    /// Judges every object of a text. `file` is the text's name in the findings.
    pub fn judge(&self, file: &str, text: &str, source: Source) -> JudgedText {
        let mut judged = JudgedText::default();
        if let Some(what) = source.unread(text) {
            judged.pass_over(what);
            return judged;
        }
        for object in documents::read(text) {
            let manifest = match object {
                Ok(manifest) => manifest,
                Err(error) => {
                    judged.refuse(file, text, source, error);
                    continue;
                }
            };
            match self.workload(&manifest) {
                Ok(Some(found)) => {
                    judged.documents += 1;
                    judged.workload(file, &manifest, found);
                }
                Ok(None) => {
                    judged.documents += 1;
                    judged.skip(&manifest);
                }
                Err(error) => {
                    let is_object = error.cause == Cause::Broken;
                    let is_fault = judged.refuse(file, text, source, error);
                    judged.documents += u64::from(is_object && is_fault);
                }
            }
        }
        judged
    }

    /// Judges an object; `None` if its kind runs no pods.
    ///
    /// # Errors
    /// An object that should be judged cannot be decoded.
    pub fn workload(
        &self,
        manifest: &Manifest<'_>,
    ) -> Result<Option<JudgedWorkload<'p>>, ManifestError> {
        let node = &manifest.node;
        if manifest.api_version.is_empty() {
            let message = "it has no apiVersion, so it is no Kubernetes object";
            return Err(ManifestError::no_object(node.at, message));
        }
        let (group, version) =
            manifest.api_version.rsplit_once('/').unwrap_or(("", &manifest.api_version));
        let kind = Kind::find(group, version, &manifest.kind).map_err(|error| {
            ManifestError::new(node.position_of("apiVersion"), error.to_string())
        })?;
        let Some(kind) = kind else {
            Kind::refuse_unserved(&manifest.api_version, &manifest.kind).map_err(|error| {
                ManifestError::new(node.position_of("apiVersion"), error.to_string())
            })?;
            return Ok(None);
        };
        let view = <Object as Deserialize>::deserialize(node)
            .map_err(|error| ManifestError::new(error.at.unwrap_or(node.at), error.to_string()))?;
        let mut subject = Subject::of(kind, &view)
            .map_err(|error| ManifestError::new(node.at, error.to_string()))?;
        subject.namespace = subject.namespace.or(self.namespace);
        let (plan, assumed) = self.plan(subject.namespace);
        let document = plan
            .reads_documents()
            .then(|| {
                let namespace = self.policies.namespace_object(subject.namespace);
                let object = Tree::from_value(node.to_json()).ok()?;
                Some(Document::of(kind, object, namespace))
            })
            .flatten();
        subject.document = document.as_ref();
        let judgement = if self.as_written {
            judge(plan, &subject, self.now)
        } else {
            judge_as_created(plan, &subject, || Some(node.to_json()), self.now)
        };
        let mut findings = judgement.violations;
        worst_first(&mut findings);
        let before = match self.creator {
            Creator::Controller => Before::made_again(&subject),
            Creator::User => Before::Nothing,
        };
        let findings = effects(findings, &before, self.now).collect();
        let ObjectName { kind, name } = owner::workload(&subject);
        let owner = ObjectName { kind: kind.into_owned().into(), name: name.into_owned().into() };
        let copied = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Ok(Some(JudgedWorkload {
            namespace: subject.namespace.map(str::to_owned),
            name: copied(subject.metadata.map(|it| &*it.name)),
            findings,
            generate_name: copied(subject.metadata.map(|it| &*it.generate_name)),
            owner,
            assumed,
            standing: if subject.namespace.is_some_and(|it| self.policies.protects(it)) {
                Standing::Protected
            } else if plan.policies().is_empty() {
                Standing::Uncovered
            } else {
                Standing::Judged
            },
        }))
    }

    /// The plan for a namespace, and whether unknown labels were taken to match.
    fn plan(&self, namespace: Option<&str>) -> (&'p EvaluationPlan, bool) {
        match self.policies.covering(namespace) {
            Ok(plan) => (plan, namespace.is_none()),
            Err(unknown) => (unknown.assumed, true),
        }
    }
}

impl JudgedText {
    /// A text that was passed over as a whole.
    pub(super) fn passed_over(what: PassedOver) -> Self {
        let mut judged = Self::default();
        judged.pass_over(what);
        judged
    }

    /// A text that could not be read.
    pub(super) fn faulty(fault: Fault) -> Self {
        Self { faults: vec![fault], ..Self::default() }
    }

    fn pass_over(&mut self, what: PassedOver) {
        *self.unjudged.passed_over.entry(what).or_default() += 1;
    }

    fn skip(&mut self, manifest: &Manifest<'_>) {
        self.skipped += 1;
        let name = kind_name(&manifest.api_version, &manifest.kind);
        *self.unjudged.kinds.entry(name).or_default() += 1;
    }

    fn workload(&mut self, file: &str, manifest: &Manifest<'_>, found: JudgedWorkload<'_>) {
        match (found.standing, &found.namespace) {
            (Standing::Protected, Some(namespace)) => {
                *self.unjudged.protected.entry(namespace.clone()).or_default() += 1;
            }
            (Standing::Judged, _) => {
                self.workloads += 1;
                self.violations.extend(violations(file, manifest, &found));
                self.scored.push(found.scored());
            }
            _ => self.unjudged.uncovered += 1,
        }
    }

    /// Counts a document that cannot be judged: as passed over, or as a fault; whether it is a fault.
    fn refuse(&mut self, file: &str, text: &str, source: Source, error: ManifestError) -> bool {
        let passed_over = passed_over::of(source, text, &error);
        match passed_over {
            Some(what) => self.pass_over(what),
            None => self.faults.push(error.in_file(file)),
        }
        passed_over.is_none()
    }
}

/// The name of a kind that is not judged: as kubectl has it (`Job.batch.volcano.sh`) where podgate judges another kind
/// of its name.
fn kind_name(api_version: &str, kind: &str) -> String {
    let namesake = Kind::ALL.iter().any(|known| known.names().kind == kind);
    match api_version.rsplit_once('/') {
        Some((group, _)) if namesake => text::clip(&format!("{kind}.{group}")),
        _ => text::clip(kind),
    }
}

impl JudgedWorkload<'_> {
    fn scored(self) -> ScoredWorkload {
        ScoredWorkload {
            violations: self
                .findings
                .iter()
                .map(|Effected { finding: it, .. }| (it.rule.id, it.breach.degree))
                .collect(),
            namespace: self.namespace,
            workload: self.owner,
        }
    }
}

/// A workload's violations, as the report lists them.
fn violations(file: &str, manifest: &Manifest<'_>, found: &JudgedWorkload<'_>) -> Vec<Violation> {
    let JudgedWorkload { namespace, name, findings, generate_name, assumed, .. } = found;
    let fixable = findings.iter().any(|it| it.finding.breach.fix.is_some());
    let json = if fixable { manifest.node.to_json() } else { Value::Null };
    let name = if name.is_empty() { format!("{generate_name}*") } else { name.clone() };
    let violations = findings.iter().map(|Effected { finding, effect, .. }| {
        let breach = &finding.breach;
        let at = manifest.node.position_of(&breach.path);
        let mut message = finding.sentence();
        if *assumed && finding.policy.scope.reads_labels() {
            message += " (assuming that the policy's namespaceSelector matches: the input has no Namespace object with the labels)";
        }
        Violation {
            file: Some(file.to_owned()),
            line: Some(at.line.into()),
            column: Some(at.column.into()),
            kind: manifest.kind.clone(),
            namespace: namespace.clone(),
            name: name.clone(),
            policy: finding.policy.label.clone(),
            rule: finding.id().into_owned(),
            severity: finding.severity,
            decision: Some(*effect),
            container: breach.container.clone(),
            path: breach.path.clone(),
            value: breach.value.clone(),
            message,
            fix: breach.fix.as_ref().and_then(|fix| patch_of(&json, fix)),
        }
    });
    violations.collect()
}

fn patch_of(object: &Value, fix: &Fix) -> Option<Value> {
    let operations = patch::operations(object, [fix]);
    if operations.is_empty() { None } else { serde_json::to_value(operations).ok() }
}
