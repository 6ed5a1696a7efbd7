//! Runs the cases of a test.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::file::{Case, PolicyTest};
use super::results::{CaseResult, Failure, Results};
use super::review::{Observed, review};
use super::update::Edits;
use super::{agreement, compare};
use crate::findings::Fault;
use crate::policy::grace::ControllerUsers;
use crate::policy::object::Object;
use crate::policy::policy_set::{NamespaceMetadata, Namespaces, PolicySet};
use crate::policy::scope::NAME_LABEL;
use crate::policy::subject::Subject;
use crate::policy::text::{clip, quote};
use crate::policy::workload::Kind;
use crate::scan::manifest::{Creator, ManifestJudge};

/// Runs every case, and adds what came.
pub(super) fn run(test: &PolicyTest, results: &mut Results, edits: &mut Edits) {
    results.coverage.expect(&test.policies);
    for (index, case) in test.cases.iter().enumerate() {
        let set = set(test, case);
        let plan = set.covering(Some(&case.namespace)).unwrap_or_else(|unknown| unknown.assumed);
        let mut result = CaseResult {
            file: test.file.clone(),
            line: case.line,
            test: test.name.clone(),
            name: case.name.clone(),
            failures: Vec::new(),
            text: String::new(),
        };
        let mut all = Vec::new();
        for object in &case.objects {
            match judged(&set, case, object) {
                Ok(Judged { observed, scan, covers }) => {
                    if covers {
                        results.coverage.case(&test.policies, plan, &observed);
                    }
                    let mut failures: Vec<_> = scan.into_iter().collect();
                    if let Some(expect) = &case.expect {
                        failures.extend(compare::failures(expect, object, &observed));
                    }
                    if !failures.is_empty() && plan.policies().is_empty() {
                        let namespace = quote(&case.namespace);
                        result.text =
                            format!("no policy of the test covers the namespace {namespace}");
                    } else if !failures.is_empty() {
                        result.text.clone_from(&observed.text);
                    }
                    let name = (case.objects.len() > 1).then(|| named(object));
                    result
                        .failures
                        .extend(failures.into_iter().map(|it| it.about(name.as_deref())));
                    all.push(observed);
                }
                Err(message) => {
                    let place = format!("{}:{}", test.file, case.line);
                    let message = format!("case {}: {message}", quote(&case.name));
                    results.faults.push(Fault::input(place, message));
                }
            }
        }
        if all.len() == case.objects.len() {
            edits.case(index, case, &all, &result.failures);
            results.cases.push(result);
        }
    }
}

/// What both ways say about an object.
struct Judged {
    observed: Observed,
    /// Where they differ.
    scan: Option<Failure>,
    /// Whether policies judged it; a mirror pod is admitted unjudged.
    covers: bool,
}

/// # Errors
/// It cannot be judged.
fn judged(set: &PolicySet, case: &Case, object: &Value) -> Result<Judged, String> {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind_name) = (text("apiVersion"), text("kind"));
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let kind = Kind::find(group, version, kind_name).map_err(|error| error.to_string())?;
    Kind::refuse_unserved(api_version, kind_name).map_err(|error| error.to_string())?;
    let Some(kind) = kind else {
        let kinds = Kind::ALL.map(|it| it.names().kind).join(", ");
        let found = clip(&format!("{api_version} {kind_name}"));
        return Err(format!("podgate does not judge {found}; it judges {kinds}"));
    };
    let view = Object::deserialize(object).map_err(|error| error.to_string())?;
    let subject = Subject::of(kind, &view).map_err(|error| error.to_string())?;
    let user = case.user.username.as_str();
    let observed = review(set, case, &kind.names(), object)?;
    let mirror = subject.is_mirror_by(user);
    let creator = if ControllerUsers::default().created(&subject, user) {
        Creator::Controller
    } else {
        Creator::User
    };
    // A scan knows no object before, and no kubelet.
    let scan = (case.old.is_none() && !mirror).then(|| {
        let judge = ManifestJudge {
            policies: set,
            namespace: Some(&case.namespace),
            now: case.time,
            as_written: false,
            creator,
        };
        agreement::difference(&observed.found, &agreement::scanned(&judge, object))
    });
    Ok(Judged { observed, scan: scan.flatten(), covers: !mirror })
}

/// The policies under test, in a cluster with the case's namespace.
fn set(test: &PolicyTest, case: &Case) -> PolicySet {
    let mut labels: BTreeMap<_, _> = case.labels.clone();
    // The API server gives every namespace its name as a label.
    labels.insert(NAME_LABEL.to_owned(), case.namespace.clone());
    let known = NamespaceMetadata { labels, ..NamespaceMetadata::default() };
    let namespaces = Namespaces::from([(case.namespace.clone(), known)]);
    let policies = test.policies.iter().map(|it| Arc::clone(&it.policy));
    PolicySet::new(policies, Arc::new(namespaces)).protecting(test.protected.clone())
}

fn named(object: &Value) -> String {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    clip(&format!("{} {}", text("/kind"), text("/metadata/name")))
}

impl Failure {
    /// The failure of one of several objects.
    fn about(self, object: Option<&str>) -> Self {
        let Some(object) = object else { return self };
        Self { found: format!("{} ({object})", self.found), ..self }
    }
}
