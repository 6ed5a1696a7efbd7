//! Judging the objects of one text.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::cel::tree::Tree;
use crate::findings::{Fault, FaultKind, Violation};
use crate::manifests::documents::{self, Object as Manifest};
use crate::manifests::node::Position;
use crate::policy::decision::worst_first;
use crate::policy::degree::Degree;
use crate::policy::document::Document;
use crate::policy::engine::{Finding, judge, judge_as_created};
use crate::policy::object::Object;
use crate::policy::owner::{self, ObjectName};
use crate::policy::patch;
use crate::policy::policy_set::{EvaluationPlan, PolicySet};
use crate::policy::rule::Fix;
use crate::policy::subject::Subject;
use crate::policy::workload::Kind;

/// What decides verdicts beside the objects.
pub struct Judge<'p> {
    pub policies: &'p PolicySet,
    /// The namespace of objects that name none.
    pub namespace: Option<&'p str>,
    pub now: Timestamp,
    /// Whether objects are judged as they are written, and not as policies with `mutate` would have them.
    pub as_written: bool,
}

/// What one text holds.
#[derive(Default)]
pub struct Judged {
    pub violations: Vec<Violation>,
    pub faults: Vec<Fault>,
    pub documents: u64,
    pub workloads: u64,
    pub skipped: u64,
    /// What the score counts.
    pub counted: Vec<Counted>,
}

/// An object, as the score counts it.
pub struct Counted {
    pub namespace: Option<String>,
    /// The workload it belongs to, by kind and name.
    pub workload: (String, String),
    pub violations: Vec<(&'static str, Degree)>,
}

/// A workload that was read, with what is wrong with it.
pub struct JudgedWorkload<'a, 'p> {
    pub manifest: &'a Manifest<'a>,
    pub subject: Subject<'a>,
    pub findings: Vec<Finding<'p>>,
    /// Whether the namespace's labels decide and are not known.
    assumed: bool,
    /// Whether any policy judges it. Where nothing is asked, nothing is kept either.
    counts: bool,
}

impl<'p> Judge<'p> {
    /// Judges every object of a text; `file` is what the text is called.
    pub fn judge(&self, file: &str, text: &str) -> Judged {
        let mut judged = Judged::default();
        documents::read(text, |object| {
            let manifest = match object {
                Ok(manifest) => manifest,
                Err(fault) => {
                    return judged.faults.push(input_fault(file, fault.at, &fault.message));
                }
            };
            judged.documents += 1;
            let take = |found: JudgedWorkload<'_, 'p>| {
                judged.violations.extend(violations(file, &found));
                judged.counted.extend(found.counted());
            };
            match self.workload(&manifest, take) {
                Ok(true) => judged.workloads += 1,
                Ok(false) => judged.skipped += 1,
                Err((at, message)) => judged.faults.push(input_fault(file, at, &message)),
            }
        });
        judged
    }

    /// Judges an object if it runs pods, and says whether it does.
    ///
    /// # Errors
    /// What podgate cannot judge although it should, with its place.
    pub fn workload(
        &self,
        manifest: &Manifest<'_>,
        each: impl FnOnce(JudgedWorkload<'_, 'p>),
    ) -> Result<bool, (Position, String)> {
        let node = &manifest.node;
        if manifest.api_version.is_empty() {
            return Err((
                node.at,
                "it has no apiVersion, so it is no Kubernetes object".to_owned(),
            ));
        }
        let (group, version) =
            manifest.api_version.rsplit_once('/').unwrap_or(("", &manifest.api_version));
        let kind = Kind::find(group, version, &manifest.kind)
            .map_err(|error| (node.position_of("apiVersion"), error.to_string()))?;
        let Some(kind) = kind else { return Ok(false) };
        let view = <Object as Deserialize>::deserialize(node)
            .map_err(|error| (error.at.unwrap_or(node.at), error.to_string()))?;
        let mut subject = Subject::of(kind, &view).map_err(|error| (node.at, error.to_string()))?;
        subject.namespace = subject.namespace.or(self.namespace);
        let (plan, assumed) = self.plan(subject.namespace);
        let document = plan
            .reads_documents()
            .then(|| {
                let namespace = self.policies.namespace_object(subject.namespace);
                let object = Tree::from_value(node.to_json()).ok()?;
                Some(Document::of(kind, object, Document::namespace(namespace)))
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
        let counts = !plan.policies().is_empty();
        each(JudgedWorkload {
            manifest,
            subject: Subject { document: None, ..subject },
            findings,
            assumed,
            counts,
        });
        Ok(true)
    }

    fn plan(&self, namespace: Option<&str>) -> (&'p EvaluationPlan, bool) {
        match self.policies.covering(namespace) {
            Ok(plan) => (plan, namespace.is_none()),
            Err(unknown) => (unknown.assumed, true),
        }
    }
}

impl JudgedWorkload<'_, '_> {
    /// What the score counts of it, if it counts: nothing is asked of some namespaces.
    fn counted(&self) -> Option<Counted> {
        let JudgedWorkload { subject, findings, counts, .. } = self;
        counts.then(|| {
            let ObjectName { kind, name } = owner::workload(subject);
            Counted {
                namespace: subject.namespace.map(str::to_owned),
                workload: (kind.into_owned(), name.into_owned()),
                violations: findings.iter().map(|it| (it.rule.id, it.breach.degree)).collect(),
            }
        })
    }
}

/// A workload's violations, as the report lists them.
fn violations(file: &str, found: &JudgedWorkload<'_, '_>) -> Vec<Violation> {
    let JudgedWorkload { manifest, subject, findings, assumed, .. } = found;
    let fixable = findings.iter().any(|finding| finding.breach.fix.is_some());
    let json = if fixable { manifest.node.to_json() } else { Value::Null };
    let (name, generate_name) =
        subject.metadata.map_or(("", ""), |metadata| (&*metadata.name, &*metadata.generate_name));
    let name = if name.is_empty() { format!("{generate_name}*") } else { name.to_owned() };
    let violations = findings.iter().map(|finding| {
        let breach = &finding.breach;
        let at = manifest.node.position_of(&breach.path);
        let mut message = breach.sentence();
        if *assumed && finding.policy.scope.reads_labels() {
            message += " (taking the policy's namespaceSelector to match: the input has no Namespace that tells)";
        }
        Violation {
            file: Some(file.to_owned()),
            line: Some(at.line.into()),
            column: Some(at.column.into()),
            kind: manifest.kind.clone(),
            namespace: subject.namespace.map(str::to_owned),
            name: name.clone(),
            policy: finding.policy.label.clone(),
            rule: finding.id().into_owned(),
            severity: finding.severity,
            container: breach.container.clone(),
            path: breach.path.clone(),
            value: breach.value.clone(),
            message,
            fix: breach.fix.as_ref().and_then(|fix| patch_of(&json, fix)),
        }
    });
    violations.collect()
}

fn patch_of(object: &serde_json::Value, fix: &Fix) -> Option<serde_json::Value> {
    let operations = patch::operations(object, [fix]);
    if operations.is_empty() { None } else { serde_json::to_value(operations).ok() }
}

fn input_fault(file: &str, at: Position, message: &str) -> Fault {
    let place = format!("{file}:{at}");
    Fault { place, message: message.to_owned(), kind: FaultKind::Input }
}
