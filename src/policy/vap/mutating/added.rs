//! What policies add to the pod of a write, as variables.

use super::super::entry::Entry;
use super::super::exempt::{Exemptions, controller};
use super::super::expression::any;
use super::super::form::{CelFinding, CelFix, Form};
use super::super::pods::{Needs, Variable, is_large, variables as pod_variables};
use super::{covers, fill, images, mark};
use crate::policy::compile::Policy;
use crate::policy::injector::{FILLING, asking};
use crate::policy::mutation::TAGGING;
use crate::policy::rule::{Breach, Rule};

/// What is added to the pod: `retagged`, `filled`, `added` and `mark`, which [`super::patch`] reads. `None` if nothing can be
/// added. `stamps` has the time of the write.
pub fn variables(policies: &[&Policy], stamps: Variable) -> Option<Vec<Variable>> {
    let (fixes, tags) = (fixes(policies), tags(policies));
    if fixes.is_empty() && tags.is_empty() {
        return None;
    }
    let entries: Vec<_> = fixes.iter().map(|(entry, _)| entry).chain(&tags).collect();
    let exemptions = Exemptions::of(&entries);
    let canonical = exemptions.read_images();
    let needs = Needs { images: canonical || !tags.is_empty(), canonical, ..Needs::default() };
    let mut all = pod_variables(needs);
    // The violations' context is of no use here.
    all.retain(|it| it.name != "ctx");
    all.extend([is_large(), stamps, controller()]);
    all.extend(exemptions.variables());
    all.extend(covers::variables(policies));
    all.extend(images::variables(policies, |index| {
        let covers = tags.iter().filter(|it| it.index == index).map(|it| exemptions.cover(it));
        let covers: Vec<_> = covers.flatten().collect();
        (!covers.is_empty()).then(|| any(&covers))
    }));
    all.extend(fill::variables(&fixes, canonical, &exemptions));
    all.extend(mark::variables(policies));
    Some(all)
}

/// What policies fill in, in order.
fn fixes<'p>(policies: &[&'p Policy]) -> Vec<(Entry<'p>, CelFix)> {
    let mut fixes = Vec::new();
    for (index, policy) in policies.iter().enumerate() {
        let spec = asking(&policy.spec);
        for rule in FILLING {
            let Form::Cel(findings) = rule.vap else { continue };
            for mut finding in findings(&spec) {
                let Some(fix) = finding.fix.take() else { continue };
                fixes.push((entry(index, policy, rule, finding), fix));
            }
        }
    }
    fixes
}

/// The rules by which an exemption lets an image keep its tag.
fn tags<'p>(policies: &[&'p Policy]) -> Vec<Entry<'p>> {
    let each = policies.iter().enumerate();
    let tagging = each.filter(|(_, it)| {
        it.injector.as_ref().is_some_and(|injector| !injector.image_tags.is_empty())
    });
    let entries = tagging.flat_map(|(index, policy)| {
        TAGGING.map(|rule| entry(index, policy, rule, CelFinding::of_images("false")))
    });
    entries.collect()
}

fn entry<'p>(
    index: usize,
    policy: &'p Policy,
    rule: &'static Rule,
    finding: CelFinding,
) -> Entry<'p> {
    let breach = Breach { check: finding.check.clone(), ..Breach::default() };
    let (id, severity) = (breach.id(rule), policy.severity(rule, &breach));
    Entry { index, policy, rule, id, severity, finding }
}
