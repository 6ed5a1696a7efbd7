//! Policies as the API server's own: compiled into `ValidatingAdmissionPolicy` objects with their bindings, which judge
//! as podgate does.
//!
//! The way in: [`groups::groups`] sorts policies into sets that cover the same namespaces, and [`compile()`] makes the
//! objects of a set: one for each action (deny, warn, audit), so that one message carries every finding. What the API
//! server cannot judge is a [`Loss`] with its reason.
//!
//! The CEL of a rule is in the rule's own file, beside its check, as a [`form::Form`]. [`pods`] has the variables that
//! they read, [`findings`] the violations, [`exempt`] the exemptions, [`own`] the policies' own expressions, [`before`]
//! what an update may keep, and [`objects`] writes the documents.
//!
//! [`mutating`] makes the objects that add to pods what podgate adds, if asked to.
//!
//! [`floor`] makes of them the objects that judge only while podgate is away.
//!
//! The objects need Kubernetes 1.33. A run-time error, also an exceeded cost limit, denies (`failurePolicy: Fail`).

mod before;
mod compiled;
mod entry;
mod exempt;
pub mod expression;
mod findings;
pub mod floor;
pub mod form;
pub mod groups;
pub mod mutating;
pub mod objects;
mod options;
mod own;
mod pods;

pub use self::compiled::{Compiled, CompiledPolicy, Loss};
pub use self::entry::Action;
pub use self::options::{OLDEST_KUBERNETES, Options, STATIC};

use self::entry::Entry;
use self::form::Form;
use self::groups::Group;
use super::compile::Policy;
use super::registry::RULES;
use super::rule::Breach;

/// Compiles the policies of a group.
pub fn compile(group: &Group<'_>, options: &Options<'_>) -> Compiled {
    let mut losses = Vec::new();
    let mut entries = Vec::new();
    let mut own = Vec::new();
    let mutates =
        !group.mutating.is_empty() && mutating::template::variables(&group.mutating, true).is_ok();
    for (index, policy) in group.policies.iter().enumerate() {
        losses.extend(policy_losses(policy, mutates));
        for rule in RULES {
            let findings = match rule.vap {
                Form::Cel(findings) => findings(&policy.spec),
                Form::Own => own::findings(policy, index, &mut own),
                Form::None(_) => continue,
            };
            for finding in findings {
                let breach = Breach {
                    check: finding.check.clone(),
                    severity: finding.severity,
                    ..Breach::default()
                };
                let (id, severity) = (breach.id(rule), policy.severity(rule, &breach));
                if let Some(reason) = &finding.lost {
                    let (policy, reason) = (policy.label.clone(), reason.clone());
                    losses.push(Loss { policy, what: id.into_owned(), reason });
                } else {
                    entries.push(Entry { index, policy, rule, id, severity, finding });
                }
            }
        }
    }
    losses.sort();
    losses.dedup();
    // As `decision::worst_first` sorts; within one severity and rule, policies keep their order.
    entries.sort_by_key(|it| (it.severity, it.rule.id));
    let objects = Action::ALL.into_iter().filter_map(|action| {
        let mine: Vec<_> =
            entries.iter().filter(|it| Action::of(it.policy, it.severity) == action).collect();
        (!mine.is_empty()).then(|| objects::objects(group, action, &mine, &own, &losses, options))
    });
    Compiled { objects: objects.collect(), losses }
}

/// What of a whole policy the API server does not do.
fn policy_losses(policy: &Policy, mutates: bool) -> Vec<Loss> {
    let mut losses = Vec::new();
    let mut lose = |what: &str, reason: &str| {
        losses.push(Loss {
            policy: policy.label.clone(),
            what: what.to_owned(),
            reason: reason.to_owned(),
        });
    };
    if policy.injector.is_some() && !mutates {
        lose("mutate", "nothing is added to a pod, and a template is judged as it is written");
    }
    if policy.has_undecided_parts() {
        lose("spec", "the parts that do not compile, which podgate holds undecided, are left out");
    }
    losses
}

#[cfg(test)]
mod tests;
