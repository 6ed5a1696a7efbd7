//! What policies with `mutate` put into a pod before any policy judges it.
//!
//! The list is closed: image tags, default resources, the default probe, and three fields that the restricted Pod
//! Security Standard asks for. All policies' image tags come first, since exemptions may go by image; then each policy,
//! in the order of [`EvaluationPlan::policies`], fills in what is still absent, so that the first one wins. What a policy exempts
//! from a rule, it does not change for that rule's sake either.
//!
//! What was put in, the pod says in an annotation ([`MUTATED_BY`]), if anything was.
//!
//! Injecting twice is injecting once: filling in never makes another filling possible, and image tags are followed to
//! the end of their chain (a chain that comes back to where it was changes nothing).

use std::collections::BTreeSet;

use jiff::Timestamp;
use json_patch::PatchOperation;
use serde_json::Value;

use super::compile::Policy;
use super::object::Object;
use super::patch;
use super::policy_set::EvaluationPlan;
use super::rule::{Breach, Fix, Rule};
use super::rules::images::{self, Image};
use super::rules::{forbid_latest_tag, require_image_digest};
use super::subject::Subject;
use crate::cel::tree::Tree;
pub use mark::MUTATED_BY;
use mark::PutIn;

/// The rules that image tags serve.
static TAGGING: [&Rule; 2] = [&forbid_latest_tag::RULE, &require_image_digest::RULE];

/// An object after its injections.
pub struct Injected<'p> {
    object: Value,
    /// What leads from the object as it was to this one.
    pub operations: Vec<PatchOperation>,
    /// The labels of the policies that had something to put in.
    pub policies: BTreeSet<&'p str>,
}

/// Puts in what the plan's policies have for a pod or a template; `None` where that is nothing. `whole` is the object
/// that the subject is a view of, and is asked for only where something changes.
pub fn inject<'p>(
    plan: &'p EvaluationPlan,
    subject: &Subject<'_>,
    whole: impl FnOnce() -> Option<Value>,
    now: Timestamp,
) -> Option<Injected<'p>> {
    if plan.mutating.is_empty() || subject.is_too_large() {
        return None;
    }
    let mut whole = Some(whole);
    let mut injected: Option<Injected<'p>> = None;
    let mut put_in = PutIn::new();
    let steps = std::iter::once(None).chain(plan.mutating.iter().map(Some));
    for policy in steps {
        let fixes = |subject: &Subject<'_>| match policy {
            None => retaggings(plan, subject, now),
            Some(policy) => fillings(policy, subject, now),
        };
        let found = match &injected {
            None => fixes(subject),
            Some(so_far) => so_far.view(subject, fixes)?,
        };
        if found.is_empty() {
            continue;
        }
        if let Some(whole) = whole.take() {
            let (operations, policies) = (Vec::new(), BTreeSet::new());
            injected = Some(Injected { object: whole()?, operations, policies });
        }
        if let Some(injected) = &mut injected {
            let fixes = found.iter().map(|(_, fix)| fix);
            injected.operations.extend(patch::apply(&mut injected.object, fixes));
            injected.policies.extend(found.iter().map(|(label, _)| *label));
            for (label, fix) in &found {
                let fields = fix.parts().map(|part| part.path.clone());
                put_in.entry((*label).to_owned()).or_default().extend(fields);
            }
        }
    }
    let mut injected = injected.filter(|it| !it.operations.is_empty())?;
    let mark = mark::fix(subject, &injected.object, put_in);
    injected.operations.extend(patch::apply(&mut injected.object, [&mark]));
    Some(injected)
}

impl Injected<'_> {
    /// Looks at the object; `subject` is what it was before. `None` if the view cannot be made, which it could before.
    pub fn view<T>(
        &self,
        subject: &Subject<'_>,
        look: impl FnOnce(&Subject<'_>) -> T,
    ) -> Option<T> {
        let view = Object::deserialize(&self.object).ok()?;
        let mut after = Subject::or_empty(subject.kind, &view);
        after.namespace = subject.namespace;
        let document = subject.document.and_then(|before| {
            let object = Tree::of(&self.object).ok()?;
            Some(before.beside(subject.kind, object))
        });
        after.document = document.as_ref();
        Some(look(&after))
    }
}

/// What a policy wants, after the policy's label.
type Of<'p, T> = (&'p str, T);

/// The images that all policies together put in place of others.
fn retaggings<'p>(
    plan: &'p EvaluationPlan,
    subject: &Subject<'_>,
    now: Timestamp,
) -> Vec<Of<'p, Fix>> {
    let retagging = |image: Image<'_>| {
        let (policy, replacement) = end_of_chain(plan, subject, &image, now)?;
        let breach = image.breach(String::new(), String::new(), Some(replacement));
        Some((policy, breach.fix?))
    };
    images::images(subject).filter_map(retagging).collect()
}

/// The last image that tags lead to, and the last policy that does.
fn end_of_chain<'p>(
    plan: &'p EvaluationPlan,
    subject: &Subject<'_>,
    image: &Image<'_>,
    now: Timestamp,
) -> Option<Of<'p, String>> {
    let mut chain: Vec<Of<'p, String>> = Vec::new();
    loop {
        let current = chain.last().map_or(image.text, |(_, image)| image);
        let next = plan.mutating.iter().find_map(|policy| {
            let injector = policy.injector.as_ref()?;
            let next = images::retag(&injector.image_tags, current, |_| true)?;
            let breach = image.breach(String::new(), String::new(), None);
            let breach = Breach { value: Some(current.to_owned()), ..breach };
            let exempt =
                TAGGING.iter().any(|rule| policy.exemption(rule, &breach, subject, now).is_some());
            (!exempt).then(|| (policy.label.as_str(), next))
        });
        let Some(next) = next else { return chain.pop() };
        if next.1 == image.text || chain.iter().any(|(_, seen)| *seen == next.1) {
            return None;
        }
        chain.push(next);
    }
}

/// What a policy fills in.
fn fillings<'p>(policy: &'p Policy, subject: &Subject<'_>, now: Timestamp) -> Vec<Of<'p, Fix>> {
    let mut breaches = Vec::new();
    let mut fixes = Vec::new();
    for (rule, check) in policy.injector.iter().flat_map(|injector| &injector.fillings) {
        check(subject, &mut breaches);
        let wanted = breaches.drain(..).filter(|it| it.fix.is_some());
        let wanted = wanted.filter(|breach| policy.exemption(rule, breach, subject, now).is_none());
        fixes.extend(wanted.filter_map(|breach| Some((policy.label.as_str(), breach.fix?))));
    }
    fixes
}

mod mark;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
