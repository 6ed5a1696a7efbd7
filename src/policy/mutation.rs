//! Mutation: what policies with `mutate` add to a pod before any policy judges it.
//!
//! The list is closed: image tags, default resources, the default probe, and three fields that the restricted Pod
//! Security Standard requires. The image tags of all policies are applied first, because exemptions may match images.
//! Then each policy, in the order of [`EvaluationPlan::policies`], fills in absent fields, so the first policy wins. A
//! policy does not fix what it exempts.
//!
//! The annotation [`mark::MUTATED_BY`] on the pod lists the added fields by policy.
//!
//! Mutation is idempotent: filling in a field never enables another, and image tags are followed to the end of their
//! chain (a circular chain changes nothing).

use std::collections::BTreeSet;

use jiff::Timestamp;
use json_patch::PatchOperation;
use serde_json::Value;

use super::compile::Policy;
use super::object::Object;
use super::patch;
use super::plan::EvaluationPlan;
use super::rule::{Breach, Fix, Rule};
use super::rules::images::{self, Image};
use super::rules::{forbid_latest_tag, require_image_digest};
use super::subject::Subject;
use crate::cel::tree::Tree;
use mark::AddedFields;

pub use mark::{MAX_VALUE, MUTATED_BY};

/// The rules that image tags serve.
pub(super) static TAGGING: [&Rule; 2] = [&forbid_latest_tag::RULE, &require_image_digest::RULE];

/// An object after its injections.
pub struct Injected<'p> {
    object: Value,
    /// The JSON Patch from the original object to this one.
    pub operations: Vec<PatchOperation>,
    /// The labels of the policies that added something.
    pub policies: BTreeSet<&'p str>,
}

/// Applies the mutations of a plan's policies to a pod or template; `None` if nothing changes. `whole` returns the
/// object behind the subject's view; it is called only if something changes.
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
    let mut added = AddedFields::new();
    let mut steps = std::iter::once(None).chain(plan.mutating.iter().map(Some));
    // The fixes of the next step that has any. The steps between look at one view, which takes a decoding to make.
    let mut next = |subject: &Subject<'_>| {
        let mut found = steps.by_ref().map(|policy| match policy {
            None => retaggings(plan, subject, now),
            Some(policy) => fillings(policy, subject, now),
        });
        found.find(|fixes| !fixes.is_empty())
    };
    while let Some(found) = match &injected {
        None => next(subject),
        Some(so_far) => so_far.view(subject, &mut next)?,
    } {
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
                added.entry((*label).to_owned()).or_default().extend(fields);
            }
        }
    }
    let mut injected = injected.filter(|it| !it.operations.is_empty())?;
    let mark = mark::fix(subject, &injected.object, added);
    injected.operations.extend(patch::apply(&mut injected.object, [&mark]));
    Some(injected)
}

impl Injected<'_> {
    /// Calls `look` with a view of the mutated object. `subject` is the view of the original one. `None` if the mutated
    /// object cannot be decoded, which does not happen for one whose original could.
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

/// A value with the label of its policy.
type Labelled<'p, T> = (&'p str, T);

/// The fixes by which all policies together replace images.
fn retaggings<'p>(
    plan: &'p EvaluationPlan,
    subject: &Subject<'_>,
    now: Timestamp,
) -> Vec<Labelled<'p, Fix>> {
    let retagging = |image: Image<'_>| {
        let (policy, replacement) = end_of_chain(plan, subject, &image, now)?;
        let breach = image.breach(String::new(), String::new(), Some(replacement));
        Some((policy, breach.fix?))
    };
    images::images(subject).filter_map(retagging).collect()
}

/// The image at the end of the chain of `imageTags`, and the policy of the last step; `None` if the image stays.
fn end_of_chain<'p>(
    plan: &'p EvaluationPlan,
    subject: &Subject<'_>,
    image: &Image<'_>,
    now: Timestamp,
) -> Option<Labelled<'p, String>> {
    let mut chain: Vec<Labelled<'p, String>> = Vec::new();
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

/// The fixes by which a policy fills in absent fields.
fn fillings<'p>(
    policy: &'p Policy,
    subject: &Subject<'_>,
    now: Timestamp,
) -> Vec<Labelled<'p, Fix>> {
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
