//! The compiled form of a policy: checks with their parameters, severities, exemptions and mutations.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::bundles;
use super::exemption::{CompiledExemption, ObservedExemption};
use super::expressions::Expressions;
use super::injector::Injector;
use super::key::PolicyKey;
use super::reads::Reads;
use super::registry::{RULES, known_id};
use super::rule::{Breach, Compiled, InvalidField, Phase, Rule, SpecCheck, StatusCheck};
use super::rules::{images, pod_security, validations};
use super::scope::{Scope, Selection};
use super::subject::Subject;
use super::terms::{Terms, terms};
use super::text::quote;
use crate::api::{
    BundleName, ClusterDevOpsPolicySpec, DevOpsPolicySpec, EXEMPT_KINDS, EnforcementMode,
    Exemption, GitOps, RemediationMode, Severity,
};

/// A compiled policy.
pub struct Policy {
    pub scope: Scope,
    pub name: String,
    /// `NAMESPACE/NAME`, or the name of a cluster policy.
    pub label: String,
    pub mode: EnforcementMode,
    /// `spec.graceUntil`
    pub grace_until: Option<Timestamp>,
    /// The lowest severity that denies in the mode `enforce`.
    pub deny_severity: Severity,
    pub contact: Option<String>,
    /// The bundle it starts from.
    pub bundle: Option<BundleName>,
    /// The object and version that it was compiled from; `None` if it comes from a file.
    pub origin: Option<PolicyOrigin>,
    /// `spec.forbidPendingDuration`, in seconds. Its verdict changes with time alone, so the audit schedules by it.
    pub pending_limit: Option<u32>,
    /// How podgate remediates workloads that violate the policy.
    pub repair: Repair,
    pub(super) exemptions: Vec<CompiledExemption>,
    pub(super) spec_checks: Vec<Enabled<SpecCheck>>,
    pub(super) status_checks: Vec<Enabled<StatusCheck>>,
    /// What it adds to pods; `None` without `mutate`.
    pub(super) injector: Option<Injector>,
    /// The spec as JSON, for `status.lastGood`. `None` if the policy comes from a file, if the spec is too long, or if
    /// only parts of it compile.
    pub text: Option<Arc<str>>,
    /// The fields that its expressions read and that no Pod has: probably a mistake, but no reason to refuse the
    /// policy.
    pub unknown_fields: Vec<InvalidField>,
    /// What each of its validations reads.
    pub(super) reads: Vec<Arc<Reads>>,
    /// What its rules demand, to see whether a version of it demands the same.
    pub terms: Terms,
    /// The effective spec: merged over its bundle.
    pub(super) spec: Arc<DevOpsPolicySpec>,
    severity_overrides: BTreeMap<String, Severity>,
    /// The validations' names, each with its own severity.
    validations: Vec<(String, Option<Severity>)>,
}

/// The object that a policy was compiled from, with the version of its spec.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyOrigin {
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// `metadata.deletionTimestamp`: the policy is being deleted, and a finalizer holds it.
    pub deleting: Option<Timestamp>,
    /// Whether podgate's finalizer is on the object.
    pub held: bool,
}

/// `spec.remediation`, with defaults.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Repair {
    pub mode: RemediationMode,
    pub gitops: GitOps,
    /// How many workloads may roll out at the same time.
    pub max_concurrent: usize,
    /// Seconds to wait between two workloads.
    pub cooldown: u32,
    /// The longest time of a rollout, in seconds.
    pub timeout: u32,
    /// Whether the policy has a default probe, for containers that declare its port.
    pub has_probe: bool,
}

impl Repair {
    fn new(spec: &DevOpsPolicySpec) -> Self {
        let given = spec.remediation.clone().unwrap_or_default();
        let number = |given: Option<i32>, default: u32| {
            given.and_then(|it| u32::try_from(it).ok()).unwrap_or(default)
        };
        Self {
            mode: given.mode.unwrap_or_default(),
            gitops: given.gitops.unwrap_or_default(),
            max_concurrent: number(given.max_concurrent, 1).max(1) as usize,
            cooldown: number(given.cooldown_seconds, 60),
            timeout: number(given.rollout_timeout_seconds, 600),
            has_probe: spec.default_probe.is_some(),
        }
    }
}

/// The start of [`Enabled::parameters`] of a part that did not compile.
pub(super) const UNDECIDED: &str = "undecided";

/// The check of a rule that a policy enables.
pub(super) struct Enabled<Check> {
    pub rule: &'static Rule,
    /// The text of all fields that the check depends on. Policies with equal parameters share one check.
    pub parameters: String,
    pub check: Arc<Check>,
}

impl Policy {
    /// A policy without checks.
    pub(super) fn bare(scope: Scope, name: String) -> Self {
        Self {
            label: scope.namespace().map_or_else(|| name.clone(), |it| format!("{it}/{name}")),
            scope,
            name,
            mode: EnforcementMode::default(),
            grace_until: None,
            deny_severity: Severity::Low,
            contact: None,
            bundle: None,
            origin: None,
            pending_limit: None,
            repair: Repair::new(&DevOpsPolicySpec::default()),
            exemptions: Vec::new(),
            spec_checks: Vec::new(),
            status_checks: Vec::new(),
            injector: None,
            text: None,
            unknown_fields: Vec::new(),
            reads: Vec::new(),
            terms: Terms::new(),
            spec: Arc::default(),
            severity_overrides: BTreeMap::new(),
            validations: Vec::new(),
        }
    }

    /// Compiles a policy's spec, merged over its bundle.
    ///
    /// # Errors
    /// The first invalid field.
    pub fn compile(
        scope: Scope,
        name: String,
        spec: &DevOpsPolicySpec,
    ) -> Result<Self, InvalidField> {
        let spec = &bundles::effective(spec)?;
        let fields = serde_json::to_value(spec).map_err(|error| bundles::unreadable(&error))?;
        images::check_tags(spec.image_tags.as_deref().unwrap_or_default())?;
        let mut spec_checks = Vec::new();
        let mut status_checks = Vec::new();
        for rule in RULES {
            let parameters = || {
                let all = std::iter::once(&rule.id).chain(rule.reads);
                all.map(|field| fields.get(*field).map(ToString::to_string).unwrap_or_default())
                    .collect::<Vec<_>>()
                    .join("\n")
            };
            match rule.phase {
                Phase::Spec(compile) => {
                    spec_checks.extend(enable(rule, compile(spec), parameters)?);
                }
                Phase::Status(compile) => {
                    status_checks.extend(enable(rule, compile(spec), parameters)?);
                }
            }
        }
        let severity_overrides = spec.severity_overrides.clone().unwrap_or_default();
        for id in severity_overrides.keys() {
            known_id(spec, id).map_err(|message| InvalidField {
                path: format!("spec.severityOverrides[\"{id}\"]"),
                message,
            })?;
        }
        let expressions = Expressions::of(spec)?;
        let exemptions = spec.exemptions.iter().flatten().enumerate();
        let exemptions = exemptions
            .map(|(index, exemption)| CompiledExemption::new(index, exemption, &scope, spec));
        Ok(Self {
            mode: spec.enforcement_mode.unwrap_or_default(),
            grace_until: spec.grace_until.as_ref().map(|time| time.0),
            deny_severity: spec.deny_severity.unwrap_or(Severity::Low),
            contact: spec.contact.clone(),
            bundle: spec.bundle,
            pending_limit: spec.forbid_pending_duration,
            repair: Repair::new(spec),
            terms: terms(
                &fields,
                &scope,
                spec_checks.iter().map(|it| (it.rule.id, it.parameters.as_str())),
            ),
            exemptions: exemptions.collect::<Result<_, _>>()?,
            spec_checks,
            status_checks,
            injector: Injector::new(spec)?,
            unknown_fields: expressions.unknown_fields().to_vec(),
            reads: expressions.all_reads().to_vec(),
            spec: Arc::new(DevOpsPolicySpec::clone(spec)),
            severity_overrides,
            validations: spec
                .validations
                .iter()
                .flatten()
                .map(|it| (it.name.clone(), it.severity))
                .collect(),
            ..Self::bare(scope, name)
        })
    }

    /// Compiles the spec of a cluster policy.
    ///
    /// # Errors
    /// As [`Policy::compile`].
    pub fn compile_cluster(
        name: String,
        spec: &ClusterDevOpsPolicySpec,
    ) -> Result<Self, InvalidField> {
        let selection =
            Selection::new(spec.namespace_selector.as_ref(), spec.exclude_namespaces.clone())?;
        Self::compile(Scope::Cluster(selection), name, &spec.rules())
    }

    /// The namespace and name; a cluster policy has no namespace.
    pub fn key(&self) -> PolicyKey {
        PolicyKey { namespace: self.scope.namespace().map(str::to_owned), name: self.name.clone() }
    }

    pub fn has_exemptions(&self) -> bool {
        !self.exemptions.is_empty()
    }

    /// Whether its grace lasts: it enforces, and `spec.graceUntil` has not come yet.
    pub fn in_grace(&self, now: Timestamp) -> bool {
        self.mode == EnforcementMode::Enforce && self.grace_until.is_some_and(|end| now < end)
    }

    /// The next time at which one of its exemptions expires, or its grace ends.
    pub fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        let ends = self.exemptions.iter().filter_map(|it| it.expires_at);
        ends.chain(self.grace_until).filter(|end| *end > now).min()
    }

    /// The exemptions in the order of `spec.exemptions`, each with whether it has expired.
    pub fn exempts(&self, now: Timestamp) -> impl Iterator<Item = (&Exemption, bool)> {
        self.exemptions.iter().map(move |it| (&it.exemption, it.expired(now)))
    }

    /// The state of each exemption. `used` has the number of workloads with a violation that an exemption lets pass, by
    /// its index in `spec.exemptions`.
    pub fn exemptions(
        &self,
        used: &BTreeMap<usize, u64>,
        now: Timestamp,
    ) -> Vec<ObservedExemption> {
        let exemptions = self.exemptions.iter().enumerate();
        exemptions
            .map(|(place, it)| it.observed(used.get(&place).copied().unwrap_or(0), now))
            .collect()
    }

    /// The first kind in its exemptions that podgate does not judge, as a fault. It is one in a file, as it is for the
    /// CRD; in a policy that was stored before the CRD refused it, it matches the controllers of that kind.
    pub fn unknown_kind(&self) -> Option<InvalidField> {
        let mut exemptions = self.exemptions.iter().enumerate();
        exemptions.find_map(|(index, exemption)| {
            let (place, kind) = exemption.unknown_kind()?;
            Some(InvalidField {
                path: format!("spec.exemptions[{index}].kinds[{place}]"),
                message: format!(
                    "podgate does not judge the kind {}; it judges {}. For the pods of another controller, leave kinds \
                     out and list the controller's name in names",
                    quote(kind),
                    EXEMPT_KINDS.join(", ")
                ),
            })
        })
    }

    /// Whether parts of its spec did not compile ([`super::in_force`]), so that they are undecided.
    pub(super) fn has_undecided_parts(&self) -> bool {
        self.spec_checks.iter().any(|it| it.parameters.starts_with(UNDECIDED))
    }

    /// The names of its validations.
    pub fn validations(&self) -> impl Iterator<Item = &str> {
        self.validations.iter().map(|(name, _)| &**name)
    }

    /// Whether its verdicts depend on the labels or annotations of namespaces.
    pub fn reads_namespaces(&self) -> bool {
        let validations = self.spec.validations.iter().flatten().map(|it| &it.expression);
        let variables = self.spec.variables.iter().flatten().map(|it| &it.expression);
        let mut expressions = validations.chain(variables);
        self.scope.reads_labels() || expressions.any(|it| it.contains("namespaceObject"))
    }

    /// The ids of the violations that a review can find: `RULE`, or `RULE/CHECK` for each check that is on.
    pub fn review_ids(&self) -> Vec<String> {
        let mut ids = Vec::new();
        for Enabled { rule, .. } in &self.spec_checks {
            let add = |check: &str| ids.push(format!("{}/{check}", rule.id));
            if rule.id == validations::RULE.id {
                self.validations().for_each(add);
            } else if rule.id == pod_security::RULE.id {
                self.spec.pod_security.into_iter().flat_map(pod_security::ids_of).for_each(add);
            } else {
                ids.push(rule.id.to_owned());
            }
        }
        ids
    }

    /// Whether it enables a rule that reads whole pods.
    pub fn reads_documents(&self) -> bool {
        self.spec_checks.iter().any(|it| it.rule.reads_document)
    }

    /// The severity of a violation for this policy: its override of the check, else of the rule, else the check's own
    /// severity, else the rule's.
    pub(super) fn severity(&self, rule: &Rule, breach: &Breach) -> Severity {
        let own = || {
            if self.severity_overrides.is_empty() {
                return None;
            }
            let check = self.severity_overrides.get(&*breach.id(rule));
            check.or_else(|| self.severity_overrides.get(rule.id)).copied()
        };
        own().or(breach.severity).unwrap_or(rule.severity)
    }

    /// The index in `spec.exemptions` of the first exemption that covers a violation.
    pub(super) fn exemption(
        &self,
        rule: &Rule,
        breach: &Breach,
        subject: &Subject<'_>,
        now: Timestamp,
    ) -> Option<usize> {
        let covers = |it: &CompiledExemption| !it.expired(now) && it.fits(rule, breach, subject);
        self.exemptions.iter().position(covers)
    }

    /// The exemption that covered a violation until it expired; of several, the one that expired last.
    pub(super) fn expired_exemption(
        &self,
        rule: &Rule,
        breach: &Breach,
        subject: &Subject<'_>,
        now: Timestamp,
    ) -> Option<&Exemption> {
        let covered =
            self.exemptions.iter().filter(|it| it.expired(now) && it.fits(rule, breach, subject));
        covered.max_by_key(|it| it.expires_at).map(|it| &it.exemption)
    }

    /// The highest severity of a rule's violations for this policy, which decides what the rule costs of a score; `None`
    /// if the policy does not enable the rule.
    pub fn worst_severity(&self, rule: &Rule) -> Option<Severity> {
        let on = self.spec_checks.iter().any(|it| it.rule.id == rule.id)
            || self.status_checks.iter().any(|it| it.rule.id == rule.id);
        let of_check = |check: Option<Cow<'static, str>>, severity| {
            self.severity(rule, &Breach { check, severity, ..Breach::default() })
        };
        let known = rule.checks.iter().map(|check| of_check(Some(Cow::Borrowed(check)), None));
        let own = self.validations.iter().filter(|_| rule.id == validations::RULE.id);
        let own = own.map(|(name, severity)| of_check(Some(Cow::Owned(name.clone())), *severity));
        on.then(|| known.chain(own).min().unwrap_or_else(|| of_check(None, None)))
    }
}

fn enable<Check>(
    rule: &'static Rule,
    check: Compiled<Check>,
    parameters: impl Fn() -> String,
) -> Result<Option<Enabled<Check>>, InvalidField> {
    let check = check?;
    Ok(check.map(|check| Enabled { rule, parameters: parameters(), check: Arc::new(check) }))
}
