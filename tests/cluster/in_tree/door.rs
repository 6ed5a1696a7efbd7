//! Both sides: a write goes through podgate's webhook, and through the compiled policies.

use std::collections::BTreeSet;
use std::hash::RandomState;
use std::sync::Arc;

use podgate::admission::validate::Reviewer;
use podgate::policy::compile::Policy;
use podgate::policy::grace::ControllerUsers;
use podgate::policy::policy_set::{NamespaceMetadata, Namespaces, PolicySet};
use podgate::policy::protected::Protected;
use podgate::policy::scope::{Scope, Selection};
use podgate::policy::vap::groups::groups;
use podgate::policy::vap::{self, Loss, Options};
use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::cel::judge::{Change, Cost, Judge, Request, Verdict, Written};
use crate::support::review;

/// The time of every write.
pub const NOW: &str = "2026-06-01T00:00:00Z";
/// A user of Kubernetes' controllers that the admin added.
pub const CONTROLLER: &str = "argo";

/// The judge, and podgate with the same policies.
pub struct Door {
    judge: Judge,
    set: PolicySet,
    pub losses: Vec<Loss>,
}

/// What both sides say of a write.
pub struct Answers {
    pub podgate: Answer,
    pub in_tree: Answer,
}

/// What one side says of a write.
pub struct Answer {
    pub denied: bool,
    message: String,
    /// `None` if the message does not tell them all.
    pub findings: Option<BTreeSet<String>>,
}

/// The result of a comparison in which both sides agree.
#[derive(Debug, Default)]
pub struct Compared {
    pub denied: bool,
    /// The number of findings that both sides name.
    pub findings: usize,
}

/// How policies are compiled and written.
pub type Open = fn(Judge, PolicySet) -> Door;

/// The results of comparisons.
#[derive(Debug, Default)]
pub struct Tally {
    pub denied: usize,
    pub passed: usize,
    pub findings: usize,
    pub differences: Vec<String>,
}

impl Tally {
    /// Of writes that both sides must judge alike.
    pub fn of(door: &mut Door, writes: &[Change]) -> Self {
        Self::by(door, writes, Answers::are_equal)
    }

    /// Of writes whose answers must agree in this sense. What is counted is what the compiled policies say.
    pub fn by(door: &mut Door, writes: &[Change], agree: impl Fn(&Answers) -> bool) -> Self {
        let mut tally = Self::default();
        for outcome in door.compare(writes, agree) {
            match outcome {
                Ok(None) => {}
                Ok(Some(Compared { denied, findings })) => {
                    tally.findings += findings;
                    *(if denied { &mut tally.denied } else { &mut tally.passed }) += 1;
                }
                Err(difference) => tally.differences.push(difference),
            }
        }
        tally
    }

    /// Adds a tally, whose differences are about `what`.
    pub fn add(&mut self, other: Self, what: &str) {
        self.denied += other.denied;
        self.passed += other.passed;
        self.findings += other.findings;
        self.differences.extend(other.differences.into_iter().map(|it| format!("{what}\n{it}")));
    }

    /// # Errors
    /// The first differences, or that fewer than `least` were denied or passed.
    pub fn finish(self, what: &str, least: usize) -> Result<(), String> {
        let Self { denied, passed, findings, differences } = self;
        println!(
            "{what}: {denied} denied with {findings} findings, {passed} passed, {} differences",
            differences.len()
        );
        if !differences.is_empty() {
            let first: Vec<_> = differences.iter().take(3).map(String::as_str).collect();
            return Err(first.join("\n\n"));
        }
        if denied < least || passed < least {
            return Err(format!("{what}: fewer than {least} were denied or passed"));
        }
        Ok(())
    }
}

impl Door {
    /// Compiles policies of files, and has them written.
    pub fn open(judge: Judge, set: PolicySet) -> Self {
        Self::new(judge, set, false, None)
    }

    /// The same without type checks.
    pub fn open_quickly(judge: Judge, set: PolicySet) -> Self {
        Self::new(judge, set, true, None)
    }

    /// The same for policies that judge only removals if a condition holds.
    pub fn open_for_removals(judge: Judge, set: PolicySet, condition: &str) -> Self {
        Self::new(judge, set, false, Some(condition))
    }

    fn new(judge: Judge, set: PolicySet, quick: bool, removals_if: Option<&str>) -> Self {
        let (protected, controllers) = (Protected::default(), controllers());
        let options = Options {
            prefix: "podgate",
            suffix: "",
            protected: &protected,
            controllers: &controllers,
            removals_if,
            passed: None,
            ending: Some("' | see ' + request.namespace"),
        };
        let (mut objects, mut losses) = (Vec::new(), Vec::new());
        for group in groups(set.policies(), &protected) {
            let compiled = vap::compile(&group, &options);
            losses.extend(compiled.losses);
            objects.extend(compiled.objects.into_iter().flat_map(|it| [it.policy, it.binding]));
        }
        Self::of_objects(judge, set, quick, &objects, losses)
    }

    /// podgate with these policies, and these objects for the API server, each policy before its binding.
    pub fn of_objects(
        mut judge: Judge,
        set: PolicySet,
        quick: bool,
        objects: &[Value],
        losses: Vec<Loss>,
    ) -> Self {
        let namespaces: Vec<_> = known_namespaces()
            .into_iter()
            .map(|(name, NamespaceMetadata { labels, annotations, .. })| {
                json!({"metadata": {"name": name, "labels": labels, "annotations": annotations}})
            })
            .collect();
        let request = Request {
            namespaces: Some(&namespaces),
            objects: Some(objects),
            quick,
            ..Request::default()
        };
        for (written, object) in judge.ask(&request).objects.iter().zip(objects) {
            let faults = faults(written);
            assert!(faults.is_empty(), "{}: {faults}", object["metadata"]["name"]);
        }
        Self { judge, set, losses }
    }

    /// Replaces the Leases, which the objects may have as their parameter.
    pub fn set_params(&mut self, leases: &[Value]) {
        self.judge.ask(&Request { params: Some(leases), ..Request::default() });
    }

    /// What each write costs the API server.
    pub fn costs(&mut self, writes: &[Change], runs: u32) -> Vec<Cost> {
        let request = Request { writes: Some(writes), costs: runs, ..Request::default() };
        let verdicts = self.judge.ask(&request).verdicts;
        verdicts.into_iter().map(|it| it.cost.expect("it is judged")).collect()
    }

    pub fn close(self) -> Judge {
        self.judge
    }

    /// Sends writes through both sides; answers that do not agree are an error with both. `None` is for what is no object
    /// of its kind, which an API server refuses before any policy sees it.
    pub fn compare(
        &mut self,
        writes: &[Change],
        agree: impl Fn(&Answers) -> bool,
    ) -> Vec<Result<Option<Compared>, String>> {
        let request = Request { writes: Some(writes), ..Request::default() };
        let verdicts = self.judge.ask(&request).verdicts;
        assert_eq!(verdicts.len(), writes.len());
        let both = |(write, verdict): (&Change, &Verdict)| {
            let Some(answers) = self.answers(write, verdict) else { return Ok(None) };
            let Answer { denied, findings, .. } = &answers.in_tree;
            let findings = findings.as_ref().map_or(0, BTreeSet::len);
            let compared = Compared { denied: *denied, findings };
            if agree(&answers) { Ok(Some(compared)) } else { Err(told(write, verdict, &answers)) }
        };
        writes.iter().zip(&verdicts).map(both).collect()
    }

    fn answers(&self, write: &Change, verdict: &Verdict) -> Option<Answers> {
        if !verdict.refused.is_empty() {
            assert!(verdict.refused.starts_with("json: "), "{}: {}", verdict.refused, write.object);
            return None;
        }
        let response = self.podgate(write, verdict);
        let message = response["status"]["message"].as_str().unwrap_or_default();
        let podgate = Answer {
            denied: response["allowed"] == false,
            findings: podgate_findings(message),
            message: message.to_owned(),
        };
        let in_tree = Answer {
            denied: !verdict.denied.is_empty(),
            findings: their_findings(&verdict.denied),
            message: verdict.denied.clone(),
        };
        Some(Answers { podgate, in_tree })
    }

    /// The denials of the compiled policies alone; empty for what passes.
    pub fn denials(&mut self, writes: &[Change]) -> Vec<String> {
        let request = Request { writes: Some(writes), ..Request::default() };
        let verdicts = self.judge.ask(&request).verdicts;
        verdicts
            .into_iter()
            .map(|it| {
                assert_eq!(it.refused, "");
                it.denied
            })
            .collect()
    }

    /// podgate's answer, for the objects as the API server sends them.
    fn podgate(&self, write: &Change, verdict: &Verdict) -> Value {
        let mut review = match &verdict.old_object {
            Value::Null => review::create(&write.namespace, &verdict.object),
            old => review::update(&write.namespace, old, &verdict.object),
        };
        review["request"]["userInfo"]["username"] = json!(write.user);
        let reviewer = Reviewer {
            policies: &self.set,
            docs_url: None,
            own_user: None,
            controllers: &controllers(),
            cost: u64::MAX,
            now: NOW.parse().unwrap(),
            seed: &RandomState::new(),
            observer: None,
        };
        let judged = reviewer.validate(review.to_string().as_bytes()).unwrap();
        let mut answer: Value = serde_json::from_slice(&judged.answer).unwrap();
        answer["response"].take()
    }
}

impl Answers {
    /// Whether both sides say the same.
    pub fn are_equal(&self) -> bool {
        let Some((ours, theirs)) = self.findings() else {
            return self.podgate.denied == self.in_tree.denied;
        };
        self.podgate.denied == self.in_tree.denied
            && every(theirs, |it| ours.iter().any(|ours| shows(it, ours)))
            && every(ours, |it| theirs.iter().any(|theirs| shows(theirs, it)))
    }

    /// Whether the compiled policies deny only what podgate denies, for findings that podgate has.
    pub fn are_of_podgate(&self) -> bool {
        let ours = |it: &String, ours: &BTreeSet<String>| ours.iter().any(|ours| shows(it, ours));
        !self.in_tree.denied
            || self.podgate.denied
                && self.findings().is_none_or(|(known, theirs)| every(theirs, |it| ours(it, known)))
    }

    /// The findings of podgate and of the compiled policies, if both tell all.
    pub fn findings(&self) -> Option<(&BTreeSet<String>, &BTreeSet<String>)> {
        self.podgate.findings.as_ref().zip(self.in_tree.findings.as_ref())
    }
}

fn every(findings: &BTreeSet<String>, has: impl Fn(&String) -> bool) -> bool {
    findings.iter().all(has)
}

/// Whether a finding of the compiled policies is this one of podgate. They do not show text beyond printable ASCII.
pub fn shows(theirs: &str, ours: &str) -> bool {
    match theirs.split_once(vap::expression::NO_PLAIN_TEXT) {
        None => ours == theirs,
        Some((start, rest)) => {
            let end = rest.rsplit(vap::expression::NO_PLAIN_TEXT).next().unwrap_or_default();
            ours.starts_with(start) && ours.ends_with(end)
        }
    }
}

/// A difference, for people.
fn told(write: &Change, verdict: &Verdict, answers: &Answers) -> String {
    let Answers { podgate, in_tree } = answers;
    let only = |one: &Answer, other: &Answer| {
        let findings = |of: &Answer| of.findings.clone().unwrap_or_default();
        let only: Vec<_> = findings(one).difference(&findings(other)).cloned().collect();
        only.join("\n  ")
    };
    format!(
        "object {}\nold {}\nuser {}\nonly podgate:\n  {}\nonly in-tree:\n  {}\npodgate: {} {}\nin-tree: {}",
        verdict.object,
        verdict.old_object,
        write.user,
        only(podgate, in_tree),
        only(in_tree, podgate),
        podgate.denied,
        podgate.message,
        in_tree.message
    )
}

/// The users of Kubernetes' controllers.
pub fn controllers() -> ControllerUsers {
    ControllerUsers::with(vec![CONTROLLER.to_owned()])
}

/// What the API server holds against an object, without the expressions, which are long.
fn faults(written: &Written) -> String {
    let Written { refused, warnings, too_new } = written;
    let all = warnings.iter().chain(too_new).chain([refused]).flat_map(|it| it.lines());
    let told = all.filter(|line| !line.starts_with(" |"));
    told.map(|line| line.chars().take(300).collect::<String>() + "\n").collect()
}

/// The creation of an object.
pub fn creation(object: &Value) -> Change {
    let mut object = object.clone();
    object["metadata"]["creationTimestamp"] = json!(NOW);
    Change { object, namespace: "shop".to_owned(), user: "jane".to_owned(), ..Change::default() }
}

/// An update, which the API server stamps with the time.
pub fn update(old: &Value, new: &Value) -> Change {
    let mut object = new.clone();
    object["metadata"]["managedFields"] = json!([{"manager": "kubectl", "operation": "Update", "apiVersion": "v1", "time": NOW, "fieldsType": "FieldsV1", "fieldsV1": {}}]);
    Change {
        old_object: old.clone(),
        object,
        namespace: "shop".to_owned(),
        user: "jane".to_owned(),
        ..Change::default()
    }
}

/// The namespaces, with a label and an annotation.
fn known_namespaces() -> Namespaces {
    let of = |name: &str| {
        let labels = [("kubernetes.io/metadata.name", name), ("team", "a")];
        let entry = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        NamespaceMetadata {
            labels: labels.map(entry).into(),
            annotations: [("owner", "jane")].map(entry).into(),
            labelled: None,
        }
    };
    ["shop", "lab", "kube-system", "other"].map(|name| (name.to_owned(), of(name))).into()
}

/// Whether podgate compiles a policy.
pub fn compiles(spec: &Value) -> bool {
    let spec = serde_json::from_value(spec.clone()).unwrap();
    Policy::compile(Scope::Cluster(Selection::default()), "p".to_owned(), &spec).is_ok()
}

/// The set of these policies, each from its name and spec.
pub fn set(policies: &[(&str, &Value)]) -> PolicySet {
    let compile = |(name, spec): &(&str, &Value)| {
        let spec = serde_json::from_value((*spec).clone()).unwrap();
        let scope = Scope::Cluster(Selection::default());
        Arc::new(Policy::compile(scope, (*name).to_owned(), &spec).unwrap())
    };
    PolicySet::new(policies.iter().map(compile), Arc::new(known_namespaces()))
}

/// The findings of a denial, each on one line; `None` if it does not tell them all.
fn podgate_findings(message: &str) -> Option<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut lines = message.lines().skip(1);
    while let Some(head) = lines.next().and_then(|line| line.strip_prefix("  ")) {
        if head.starts_with("and ") {
            return None;
        }
        found.insert(format!("{head}: {}", lines.next()?.trim_start()));
    }
    Some(found)
}

fn their_findings(message: &str) -> Option<BTreeSet<String>> {
    if message.is_empty() {
        return Some(BTreeSet::new());
    }
    let (_, told) = message.split_once(" denied request: ")?;
    let (_, found) =
        told.split_once(" violations: ").or_else(|| told.split_once(" violation: "))?;
    let found: BTreeSet<_> = found.split(" | ").map(str::to_owned).collect();
    let cut = found.iter().any(|it| it.starts_with("and ")) || told.ends_with('…');
    let told = |it: &String| {
        ["contact: ", "see ", "podgate is ", "the API server itself "]
            .iter()
            .any(|start| it.starts_with(start))
    };
    (!cut).then(|| found.into_iter().filter(|it| !told(it)).collect())
}

/// An object of every kind with the pod, in the form of a manifest.
pub fn of_every_kind(pod: &Value) -> impl Iterator<Item = Value> + use<'_> {
    Kind::ALL.into_iter().map(|kind| crate::support::manifests::held_by(kind, pod))
}
