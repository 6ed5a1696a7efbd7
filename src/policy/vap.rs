//! Policies as the API server's own: compiled into `ValidatingAdmissionPolicy` objects with their bindings, which judge
//! as podgate does.
//!
//! The way in: [`groups::groups`] sorts policies into sets that cover the same namespaces, and [`compile()`] makes the
//! objects of a set: one for each action (deny, warn, audit), so that one message carries every finding. What the API
//! server cannot judge is a [`Loss`] with its reason.
//!
//! The CEL of a rule is in the rule's own file, beside its check, as a [`form::Form`]. [`pods`] has the variables that
//! they read, [`exempt`] the exemptions, [`own`] the policies' own expressions, [`before`] what an update may keep, and
//! [`objects`] writes the documents.
//!
//! [`floor`] makes of them the objects that judge only while podgate is away.
//!
//! The objects need Kubernetes 1.33. A run-time error, also an exceeded cost limit, denies (`failurePolicy: Fail`).

mod before;
mod exempt;
pub mod expression;
pub mod floor;
pub mod form;
pub mod groups;
pub mod objects;
mod own;
mod pods;

use std::borrow::Cow;

use serde_json::Value;

use self::before::Compared;
use self::exempt::Exemptions;
use self::form::{CelFinding, Form};
use self::groups::Group;
use self::pods::{Needs, Variable, variable};
use super::compile::Policy;
use super::grace::ControllerUsers;
use super::object::{MAX_ITEMS, MAX_WEIGHT};
use super::protected::Protected;
use super::registry::RULES;
use super::rule::{Breach, Rule};
use crate::api::{EnforcementMode, Severity};

/// The oldest Kubernetes whose API server takes the objects.
pub const OLDEST_KUBERNETES: &str = "1.33";

/// What the objects depend on beside the policies.
pub struct Options<'a> {
    /// The first part of every object's name.
    pub prefix: &'a str,
    /// The end of every object's name: empty, or [`STATIC`].
    pub suffix: &'a str,
    /// Namespaces that no object covers.
    pub protected: &'a Protected,
    /// The users of Kubernetes' controllers, for policies in their grace.
    pub controllers: &'a ControllerUsers,
    /// A condition in CEL under which only what a removal of fields can cause is judged, and only in updates: the API
    /// server puts no time on a write that only removes fields. `None` judges everything.
    pub removals_if: Option<&'a str>,
    /// A text in CEL at the end of a denial.
    pub ending: Option<&'a str>,
}

/// The end of the names of policies that an API server reads from files (KEP-5793).
pub const STATIC: &str = ".static.k8s.io";

/// What the API server does with a request that breaks a policy.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Action {
    Deny,
    Warn,
    Audit,
}

impl Action {
    const ALL: [Self; 3] = [Self::Deny, Self::Warn, Self::Audit];

    /// As in `spec.validationActions` of a binding.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "Deny",
            Self::Warn => "Warn",
            Self::Audit => "Audit",
        }
    }

    /// The action for a policy's violation of a severity.
    fn of(policy: &Policy, severity: Severity) -> Self {
        match policy.mode {
            EnforcementMode::Enforce if severity <= policy.deny_severity => Self::Deny,
            EnforcementMode::Enforce | EnforcementMode::Warn => Self::Warn,
            EnforcementMode::Audit => Self::Audit,
        }
    }
}

/// A `ValidatingAdmissionPolicy` and its binding, which have the same name.
pub struct CompiledPolicy {
    pub name: String,
    pub action: Action,
    pub policy: Value,
    pub binding: Value,
    /// Whether an update that only removes fields can cause one of its violations.
    pub by_removal: bool,
}

/// What the API server cannot judge as podgate does.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Loss {
    /// The policy's label.
    pub policy: String,
    /// `RULE`, `RULE/CHECK`, or a field of the policy's spec.
    pub what: String,
    pub reason: String,
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "policy {}: {}: {}", self.policy, self.what, self.reason)
    }
}

/// The objects of a group of policies, and what they lack.
pub struct Compiled {
    pub objects: Vec<CompiledPolicy>,
    pub losses: Vec<Loss>,
}

/// One kind of violation of one policy.
struct Entry<'p> {
    /// The place of the policy in its group.
    index: usize,
    policy: &'p Policy,
    rule: &'static Rule,
    id: Cow<'static, str>,
    severity: Severity,
    finding: CelFinding,
}

impl Entry<'_> {
    /// Whether an update that only removes fields can cause it. Where podgate completes pods, what is missing may be what
    /// it adds.
    fn by_removal(&self) -> bool {
        self.finding.by_removal && self.policy.injector.is_none()
    }
}

/// Compiles the policies of a group.
pub fn compile(group: &Group<'_>, options: &Options<'_>) -> Compiled {
    let mut losses = Vec::new();
    let mut entries = Vec::new();
    let mut own = Vec::new();
    for (index, policy) in group.policies.iter().enumerate() {
        losses.extend(policy_losses(policy));
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
fn policy_losses(policy: &Policy) -> Vec<Loss> {
    let mut losses = Vec::new();
    let mut lose = |what: &str, reason: &str| {
        losses.push(Loss {
            policy: policy.label.clone(),
            what: what.to_owned(),
            reason: reason.to_owned(),
        });
    };
    if policy.injector.is_some() {
        lose("mutate", "nothing is added to a pod, and a template is judged as it is written");
    }
    if policy.has_undecided_parts() {
        lose("spec", "the parts that do not compile, which podgate holds undecided, are left out");
    }
    losses
}

/// The variables of the findings, and of what they read.
fn variables(entries: &[&Entry<'_>], own: &[Variable], compared: &Compared<'_>) -> Vec<Variable> {
    let exemptions = Exemptions::of(entries);
    let reads = |name: &str| {
        let of =
            |it: &&Entry<'_>| it.finding.each.contains(name) || it.finding.broken.contains(name);
        entries.iter().any(of)
    };
    let needs = Needs {
        images: reads("p.img") || exemptions.read_images(),
        canonical: exemptions.read_images(),
        old_templates: compared.grace,
    };
    let mut all = pods::variables(needs);
    all.extend(compared.variables());
    all.extend(exemptions.variables());
    all.extend(own.iter().map(|it| variable(it.name.clone(), it.expression.clone())));
    let mut names = Vec::new();
    let mut at = 0;
    while let Some(first) = entries.get(at) {
        let rest = entries.get(at..).unwrap_or_default();
        let same = |it: &&&Entry<'_>| it.index == first.index && it.id == first.id;
        let together: Vec<_> = rest.iter().take_while(same).collect();
        let name = format!("f{}", names.len());
        let lists = together.iter().map(|it| list(it, &name, &exemptions, compared));
        let lists = lists.collect::<Vec<_>>().join(" + ");
        all.push(variable(name.clone(), format!("variables.ctx.map(p, {lists})")));
        at += together.len();
        names.push(name);
    }
    let of = |place: usize| {
        let each = names.iter().map(|name| format!("variables.{name}[{place}]"));
        each.collect::<Vec<_>>().join(" + ")
    };
    let large = too_large(entries, &exemptions, compared);
    let found =
        |place: usize| format!("variables.large[{place}] ? {}[{place}] : {}", large, of(place));
    all.push(pods::large());
    all.push(variable("found", found(0)));
    all.extend(compared.after(&found(1)));
    all
}

/// The violations of every rule by a pod that podgate does not judge either: for each pod, a list.
fn too_large(
    entries: &[&Entry<'_>],
    exemptions: &Exemptions<'_>,
    compared: &Compared<'_>,
) -> String {
    let mut rules: Vec<(usize, &str)> = Vec::new();
    let mut lists = Vec::new();
    for entry in entries {
        if rules.contains(&(entry.index, entry.rule.id)) {
            continue;
        }
        rules.push((entry.index, entry.rule.id));
        let finding = CelFinding::of_pod("spec", "true")
            .because(
                expression::text(""),
                expression::text(&format!(
                    "could not be judged: it has more than {MAX_ITEMS} containers or volumes, or more than {MAX_WEIGHT} \
                     ports and capabilities"
                )),
            )
            .remedy("make it several pods");
        let Entry { index, policy, rule, severity, .. } = **entry;
        let severity = policy.worst_severity(rule).unwrap_or(severity);
        let whole = Entry { index, policy, rule, id: Cow::Borrowed(rule.id), severity, finding };
        lists.push(list(&whole, &format!("large{}", lists.len()), exemptions, compared));
    }
    format!("variables.ctx.map(p, {})", lists.join(" + "))
}

/// The list of an entry's violations in the pod `p`: maps of `k` (what tells it from others), `t` (its text) and, where
/// they are needed, `p` (the policy's label), `g` (what stays the same when a template changes) and `r` (whether a removal
/// can cause it).
fn list(
    entry: &Entry<'_>,
    name: &str,
    exemptions: &Exemptions<'_>,
    compared: &Compared<'_>,
) -> String {
    let Entry { policy, id, severity, finding, .. } = entry;
    let CelFinding { each, broken, path, value, problem, remedy, container, .. } = finding;
    let container = match container {
        form::Known::Never => None,
        form::Known::Always | form::Known::IfNamed => Some("x.n"),
    };
    let exempt = exemptions.cover(entry);
    // The exemption comes first: what it lets pass may fail to evaluate.
    let broken =
        exempt.map_or_else(|| broken.clone(), |it| format!("(p.old || !{it}) && ({broken})"));
    let head = expression::text(&format!(
        "{id} ({severity}) · policy {}",
        super::text::clip(&policy.label)
    ));
    let named = container.map(|name| {
        format!(" + ({name} == '' ? '' : ' · container \"' + {} + '\"')", expression::clip(name))
    });
    let separator =
        if path.is_empty() { "': '".to_owned() } else { format!("': ' + {path} + ' '") };
    let remedy = if remedy.is_empty() { String::new() } else { format!(" + '; ' + {remedy}") };
    let expired = exemptions.expired(entry);
    let place = if path.is_empty() { "''" } else { path };
    let mut fields = format!(
        "'k': '{name}' + '\\u0001' + {} + '\\u0001' + {place} + '\\u0001' + {value}, \
         't': {head}{} + {separator} + {problem}{remedy}{expired}",
        container.unwrap_or("''"),
        named.unwrap_or_default(),
    );
    if compared.by_policy() {
        fields += &format!(", 'p': {}", expression::text(&policy.label));
    }
    if compared.grace {
        fields += &format!(", 'g': {}", before::lasting(finding, name, container.is_some()));
    }
    if compared.removals_if.is_some() {
        fields += if entry.by_removal() { ", 'r': 'yes'" } else { ", 'r': ''" };
    }
    format!("{each}.filter(x, {broken}).map(x, {{{fields}}})")
}

#[cfg(test)]
mod tests;
