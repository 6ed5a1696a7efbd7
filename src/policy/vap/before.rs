//! What an update may keep, and what Kubernetes' controllers may create during a grace, as
//! [`super::super::inherited`] and [`super::super::grace`] decide it.

use super::super::compile::Policy;
use super::super::grace::ControllerUsers;
use super::entry::Entry;
use super::exempt::{controller, is_over, stamps};
use super::expression::{text, texts};
use super::form::CelFinding;
use super::options::Options;
use super::pods::{Variable, variable};

/// How the violations of a policy object are compared with those that were there before.
pub struct Compared<'p> {
    policies: Vec<&'p Policy>,
    controllers: &'p ControllerUsers,
    /// As [`super::Options::removals_if`].
    pub removals_if: Option<&'p str>,
    /// As [`super::Options::passed`].
    passed: Option<&'p str>,
    /// Whether one of its policies has a grace.
    pub grace: bool,
}

impl<'p> Compared<'p> {
    pub fn new(entries: &[&Entry<'p>], denies: bool, options: &Options<'p>) -> Self {
        let mut policies: Vec<&Policy> = Vec::new();
        for entry in entries {
            if policies.iter().all(|it| it.label != entry.policy.label) {
                policies.push(entry.policy);
            }
        }
        let grace = denies && policies.iter().any(|it| it.grace_until.is_some());
        let Options { controllers, removals_if, passed, .. } = *options;
        Self { policies, controllers, removals_if, passed, grace }
    }

    /// Whether a violation must say whose it is.
    pub fn by_policy(&self) -> bool {
        self.grace || self.policies.iter().any(|it| it.contact.is_some())
    }

    /// What the comparison and the exemptions read.
    pub fn variables(&self) -> Vec<Variable> {
        let mut stamps = stamps();
        if let Some(passed) = self.passed {
            stamps.expression = format!("({}) + {passed}", stamps.expression);
        }
        let mut all = vec![stamps, controller()];
        if let Some(condition) = self.removals_if {
            all.push(variable("removalsOnly", condition));
        }
        if self.grace {
            let more = self.controllers.more();
            all.push(variable(
                "byController",
                format!(
                    "request.operation == 'CREATE' && size(variables.ctrl) > 0 && {}.exists(c, \
                     request.kind.kind == c[0] && variables.ctrl[0].kind == c[1] && variables.ctrl[0].apiVersion == c[2] && \
                     request.userInfo.username in ['system:kube-controller-manager', 'system:serviceaccount:kube-system:' + c[3]] + {})",
                    ControllerUsers::table(),
                    texts(more),
                ),
            ));
            let graces = self.policies.iter().filter_map(|it| {
                let end = it.grace_until?.to_string();
                Some(format!("({} ? [] : [{}])", is_over(&end), text(&it.label)))
            });
            let graces = graces.collect::<Vec<_>>().join(" + ");
            // A write without a time is in no grace.
            all.push(variable("graces", format!("size(variables.stamps) == 0 ? [] : {graces}")));
        }
        all
    }

    /// The variables after those of the violations; `old` are the violations of the old pod.
    pub fn after(&self, old: &str) -> Vec<Variable> {
        let compared = "size(variables.pods) < 2 ? [] : ";
        let mut all = vec![variable("old", format!("{compared}{old}"))];
        let kept = "request.kind.kind == 'Pod' && f.k in variables.old.map(o, o.k)";
        let denied = if self.grace {
            // The parts of a key are compared one by one.
            all.push(variable(
                "oldParts",
                "variables.old.map(o, o.g).join('\\u0002').split('\\u0002')",
            ));
            format!(
                "!({kept} || f.p in variables.graces && (variables.byController || request.operation == 'UPDATE' && \
                 request.kind.kind != 'Pod' && f.g.split('\\u0002').all(g, g in variables.oldParts)))"
            )
        } else {
            format!("!({kept})")
        };
        let judged = if self.removals_if.is_some() {
            "(!variables.removalsOnly || request.operation == 'UPDATE') && "
        } else {
            ""
        };
        all.push(variable("denied", format!("variables.found.filter(f, {judged}{denied})")));
        all
    }

    /// The lines of a message that say whom to ask, as an expression.
    pub fn contacts(&self) -> String {
        let mut contacts: Vec<(&str, Vec<&str>)> = Vec::new();
        for policy in &self.policies {
            let Some(contact) = &policy.contact else { continue };
            match contacts.iter_mut().find(|(known, _)| known == contact) {
                Some((_, labels)) => labels.push(&policy.label),
                None => contacts.push((contact, vec![&policy.label])),
            }
        }
        let line = |(contact, labels): &(&str, Vec<&str>)| {
            let told = format!(" | contact: {}", super::super::text::clip(contact));
            format!(
                " + (variables.denied.exists(f, f.p in {}) ? {} : '')",
                texts(labels),
                text(&told)
            )
        };
        contacts.iter().map(line).collect()
    }
}

/// What of a violation stays the same when a template changes, as `TemplateKey` has it: without the places in lists, and
/// of an image only the repository.
pub fn lasting(finding: &CelFinding, name: &str, container: bool) -> String {
    let CelFinding { path, value, lasting, each_lasting, .. } = finding;
    let named = container || *value != text("");
    let path = match path.as_str() {
        "" => "''".to_owned(),
        path if named => path.replace("x.at", "x.pt").replace("string(x.k)", "''"),
        path => path.to_owned(),
    };
    let place = if container { "x.n" } else { "''" };
    let start = format!("'{name}' + '\\u0001' + {place} + '\\u0001' + {path} + '\\u0001'");
    match each_lasting {
        Some(list) => format!("{list}.map(z, {start} + z).join('\\u0002')"),
        None => format!("{start} + {}", lasting.as_ref().unwrap_or(value)),
    }
}
