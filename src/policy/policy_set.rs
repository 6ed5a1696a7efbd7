//! The policies in force, and the plan of their checks for each namespace. A set is never changed, only replaced.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use serde_json::{Map, Value, json};

use super::bundles;
use super::compile::{Enabled, Policy};
use super::coverage;
use super::document::Document;
use super::protected::Protected;
use super::rule::{Rule, SpecCheck, StatusCheck};
use super::scope::{Scope, Selection};
use super::workload::Kind;
use crate::cel::tree::Tree;

/// The checks of all policies that cover a namespace, each once: ten policies with the same rule and parameters cost
/// one check of the pod.
#[derive(Default)]
pub struct EvaluationPlan {
    policies: Vec<Arc<Policy>>,
    /// The policies with `mutate`, in the order in which they change a pod.
    pub(super) mutating: Vec<Arc<Policy>>,
    reads_documents: bool,
    pub(super) spec_checks: Vec<SharedCheck<SpecCheck>>,
    pub(super) status_checks: Vec<SharedCheck<StatusCheck>>,
}

/// A check, and the policies that share it.
pub(super) struct SharedCheck<Check> {
    pub rule: &'static Rule,
    pub check: Arc<Check>,
    /// As [`Enabled::parameters`].
    parameters: String,
    pub policies: Vec<Arc<Policy>>,
}

impl fmt::Debug for EvaluationPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.policies.iter().map(|policy| &policy.label)).finish()
    }
}

impl EvaluationPlan {
    fn new(policies: Vec<Arc<Policy>>) -> Self {
        let mut plan = Self::default();
        for policy in &policies {
            share(&mut plan.spec_checks, policy, &policy.spec_checks);
            share(&mut plan.status_checks, policy, &policy.status_checks);
        }
        plan.mutating = policies.iter().filter(|it| it.injector.is_some()).cloned().collect();
        plan.reads_documents = policies.iter().any(|policy| policy.reads_documents());
        plan.policies = policies;
        plan
    }

    /// The policies in display order: those of namespaces by namespace and name, then cluster policies by name.
    pub fn policies(&self) -> &[Arc<Policy>] {
        &self.policies
    }

    /// Whether a rule reads the whole pod (`Subject::document`).
    pub fn reads_documents(&self) -> bool {
        self.reads_documents
    }
}

/// Adds a policy's checks, each to the check with the same rule and parameters if there is one.
fn share<Check>(
    shared: &mut Vec<SharedCheck<Check>>,
    policy: &Arc<Policy>,
    checks: &[Enabled<Check>],
) {
    for Enabled { rule, parameters, check } in checks {
        let same =
            shared.iter_mut().find(|it| it.rule.id == rule.id && it.parameters == *parameters);
        if let Some(same) = same {
            same.policies.push(Arc::clone(policy));
        } else {
            let (check, parameters) = (Arc::clone(check), parameters.clone());
            shared.push(SharedCheck {
                rule,
                check,
                parameters,
                policies: vec![Arc::clone(policy)],
            });
        }
    }
}

/// The metadata of a namespace that policies read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NamespaceMetadata {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// When the one who last changed any of its labels last wrote the namespace, by `metadata.managedFields`: it has had
    /// its labels since then or longer. `None` if it does not say.
    pub labelled: Option<Timestamp>,
}

impl From<&PartialObjectMeta<Namespace>> for NamespaceMetadata {
    fn from(namespace: &PartialObjectMeta<Namespace>) -> Self {
        let labels = namespace.labels().clone();
        Self { labels, annotations: namespace.annotations().clone(), labelled: labelled(namespace) }
    }
}

/// The latest time at which one wrote the namespace who has set a label of it.
fn labelled(namespace: &PartialObjectMeta<Namespace>) -> Option<Timestamp> {
    let sets_labels = |it: &&ManagedFieldsEntry| {
        let fields = it.fields_v1.as_ref();
        fields.is_some_and(|fields| fields.0.pointer("/f:metadata/f:labels").is_some())
    };
    let written = namespace.managed_fields().iter().filter(sets_labels);
    written.filter_map(|it| Some(it.time.as_ref()?.0)).max()
}

/// The known namespaces, by name.
pub type Namespaces = BTreeMap<String, NamespaceMetadata>;

/// A policy selects namespaces by labels, and the labels of this namespace are unknown.
#[derive(Debug)]
pub struct UnknownNamespace<'a> {
    /// The plan as if every selector matched.
    pub assumed: &'a EvaluationPlan,
}

/// All policies in force, with their plans. A review reads one set from beginning to end, so it never sees half a
/// change.
#[derive(Default)]
pub struct PolicySet {
    namespaces: Arc<Namespaces>,
    /// The plans of namespaces with policies of their own, excluded by a policy or, where one selects by labels, known.
    by_namespace: HashMap<String, EvaluationPlan>,
    /// The plan of every other namespace.
    elsewhere: EvaluationPlan,
    /// The plan of an object whose namespace is unknown.
    all: EvaluationPlan,
    /// The empty plan of protected namespaces.
    none: EvaluationPlan,
    protected: Protected,
    reads_labels: bool,
}

impl PolicySet {
    /// `namespaces` may be empty unless a policy selects by labels or reads namespaces in CEL.
    pub fn new(
        policies: impl IntoIterator<Item = Arc<Policy>>,
        namespaces: Arc<Namespaces>,
    ) -> Self {
        let mut all: Vec<_> = policies.into_iter().collect();
        // DevOpsPolicies by namespace and name, then ClusterDevOpsPolicies by name.
        let order = |policy: &Arc<Policy>| {
            let namespace = policy.scope.namespace().map(str::to_owned);
            (namespace.is_none(), namespace, policy.name.clone())
        };
        all.sort_by_cached_key(order);
        let reads_labels = all.iter().any(|policy| policy.scope.reads_labels());
        let covering = |namespace: &str| {
            let labels = namespaces.get(namespace).map(|known| &known.labels);
            let covers = |policy: &&Arc<Policy>| policy.scope.covers(namespace, labels);
            EvaluationPlan::new(all.iter().filter(covers).cloned().collect())
        };
        let mut special = BTreeSet::new();
        for policy in &all {
            match &policy.scope {
                Scope::Namespace(own) => {
                    special.insert(own.as_str());
                }
                Scope::Cluster(selection) => {
                    special.extend(selection.excluded.iter().map(String::as_str));
                }
            }
        }
        if reads_labels {
            special.extend(namespaces.keys().map(String::as_str));
        }
        let by_namespace = special.into_iter().map(|name| (name.to_owned(), covering(name)));
        let by_namespace = by_namespace.collect();
        // No namespace has an empty name, so this plan fits any namespace without a plan of its own.
        let elsewhere = covering("");
        let mut all = EvaluationPlan::new(all);
        // For an unknown namespace, only mutations of policies that cover every namespace are certain.
        all.mutating.retain(|policy| policy.scope.covers_all());
        let (none, protected) = (EvaluationPlan::default(), Protected::default());
        Self { namespaces, by_namespace, elsewhere, all, none, protected, reads_labels }
    }

    /// The same policies, with these namespaces protected.
    #[must_use]
    pub fn protecting(self, protected: Protected) -> Self {
        Self { protected, ..self }
    }

    /// Since when a policy at the least covers a namespace that it covers now; `None` if it covers it whatever labels the
    /// namespace has. Labels that are not known may have come just now.
    pub fn covered_since(&self, policy: &Policy, namespace: &str) -> Option<Timestamp> {
        let known = || self.namespaces.get(namespace);
        policy
            .scope
            .reads_labels()
            .then(|| known().map_or(Timestamp::MAX, |it| it.labelled.unwrap_or(Timestamp::MIN)))
    }

    /// Whether a namespace is protected: no policy judges it.
    pub fn protects(&self, namespace: &str) -> bool {
        self.protected.contains(namespace)
    }

    /// Why a policy covers none of the known namespaces, as a sentence; `None` if it covers one.
    pub fn covers_nothing(&self, policy: &Policy) -> Option<String> {
        let known = self.namespaces.iter().map(|(name, known)| (name.as_str(), &known.labels));
        coverage::covers_nothing(&policy.scope, known, &self.protected)
    }

    /// The default checks, for all namespaces; used where no policy is given.
    pub fn default_checks() -> Self {
        let (scope, name) =
            (Scope::Cluster(Selection::default()), bundles::DEFAULT_CHECKS.to_owned());
        let policy = Policy::compile(scope.clone(), name.clone(), &bundles::default_checks());
        let policy = policy.unwrap_or_else(|fault| Policy::undecided(scope, name, &fault));
        Self::new([Arc::new(policy)], Arc::default())
    }

    /// Every policy, in display order.
    pub fn policies(&self) -> &[Arc<Policy>] {
        &self.all.policies
    }

    pub fn len(&self) -> usize {
        self.all.policies.len()
    }

    /// Whether any policy has rules that read whole pods.
    pub fn reads_documents(&self) -> bool {
        self.all.reads_documents()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The plan for objects of a namespace. An object without a known namespace could be created in any, so every
    /// policy judges it. The plan of a protected namespace is empty.
    ///
    /// # Errors
    /// A policy selects by labels, and the labels of the namespace are unknown. They are never taken for "no match".
    pub fn covering(
        &self,
        namespace: Option<&str>,
    ) -> Result<&EvaluationPlan, UnknownNamespace<'_>> {
        let Some(namespace) = namespace else { return Ok(&self.all) };
        if self.protects(namespace) {
            return Ok(&self.none);
        }
        let plan = self.by_namespace.get(namespace).unwrap_or(&self.elsewhere);
        if self.reads_labels && !self.namespaces.contains_key(namespace) {
            return Err(UnknownNamespace { assumed: plan });
        }
        Ok(plan)
    }

    /// The Namespace object that CEL rules read: the name, and known labels and annotations.
    pub fn namespace_object(&self, namespace: Option<&str>) -> Value {
        let known = namespace.and_then(|name| self.namespaces.get(name));
        let NamespaceMetadata { labels, annotations, .. } = known.cloned().unwrap_or_default();
        // The API server omits empty maps.
        let maps = [("labels", labels), ("annotations", annotations)];
        let present = maps.into_iter().filter(|(_, map)| !map.is_empty());
        let mut metadata: Map<_, _> =
            present.map(|(field, map)| (field.to_owned(), json!(map))).collect();
        metadata.insert("name".to_owned(), namespace.unwrap_or_default().into());
        json!({ "metadata": metadata })
    }

    /// A pod of a namespace as rules that read documents see it, from its whole JSON.
    ///
    /// # Errors
    /// The JSON cannot be read.
    pub fn pod_document<'a>(
        &self,
        namespace: Option<&str>,
        json: &'a str,
    ) -> Result<Document<'a>, String> {
        let pod = Tree::from_json(json).map_err(|error| error.to_string())?;
        let namespace = Document::namespace(self.namespace_object(namespace));
        Ok(Document::of(Kind::Pod, pod, namespace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::DevOpsPolicySpec;

    fn scope(namespace: Option<&str>) -> Scope {
        let own = namespace.map(|it| Scope::Namespace(it.to_owned()));
        own.unwrap_or_else(|| Scope::Cluster(Selection::default()))
    }

    fn policy(scope: Scope, name: &str) -> Arc<Policy> {
        let spec = DevOpsPolicySpec::default();
        Arc::new(Policy::compile(scope, name.to_owned(), &spec).unwrap())
    }

    fn set(policies: &[(Option<&str>, &str)]) -> PolicySet {
        let policies = policies.iter().map(|(namespace, name)| policy(scope(*namespace), name));
        PolicySet::new(policies, Arc::default())
    }

    fn covering(set: &PolicySet, namespace: Option<&str>) -> Vec<String> {
        labels(set.covering(namespace).unwrap())
    }

    fn labels(plan: &EvaluationPlan) -> Vec<String> {
        plan.policies().iter().map(|policy| policy.label.clone()).collect()
    }

    #[test]
    fn a_namespace_has_its_labels_since_the_last_write_of_one_who_sets_any() {
        let by = |time: &str, fields: &Value| json!({"manager": "m", "operation": "Update", "apiVersion": "v1", "time": time, "fieldsV1": fields});
        let labels = json!({"f:metadata": {"f:labels": {".": {}, "f:team": {}}}});
        let other = json!({"f:metadata": {"f:annotations": {}}, "f:status": {"f:phase": {}}});
        let labelled = |entries: &[Value]| {
            let namespace = json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "managedFields": entries},
            });
            let namespace: PartialObjectMeta<Namespace> =
                serde_json::from_value(namespace).unwrap();
            NamespaceMetadata::from(&namespace).labelled.map(|it| it.to_string())
        };
        let entries = [
            by("2026-01-01T00:00:00Z", &labels),
            by("2026-01-02T00:00:00Z", &labels),
            by("2026-01-03T00:00:00Z", &other),
        ];
        assert_eq!(labelled(&entries).as_deref(), Some("2026-01-02T00:00:00Z"));
        assert_eq!(labelled(&entries[2..]), None);
        assert_eq!(labelled(&[]), None);
    }

    #[test]
    fn a_policy_judges_its_own_namespace_and_one_without_judges_all() {
        let set =
            set(&[(Some("shop"), "b"), (None, "every"), (Some("shop"), "a"), (Some("lab"), "c")]);
        assert_eq!(covering(&set, Some("shop")), ["shop/a", "shop/b", "every"]);
        assert_eq!(covering(&set, Some("empty")), ["every"]);
    }

    #[test]
    fn an_object_of_no_known_namespace_is_judged_by_every_policy() {
        let set = set(&[(Some("shop"), "a"), (None, "every"), (Some("lab"), "c")]);
        assert_eq!(covering(&set, None), ["lab/c", "shop/a", "every"]);
    }

    #[test]
    fn a_protected_namespace_is_judged_by_none() {
        let set = set(&[(Some("kube-system"), "a"), (None, "every")]);
        assert!(covering(&set, Some("kube-system")).is_empty());
    }

    #[test]
    fn a_selector_is_decided_by_labels_and_excluded_names_are_left_out() {
        let selector = serde_json::from_value(json!({"matchLabels": {"team": "a"}})).unwrap();
        let selection = |excluded: &[&str]| {
            let excluded = excluded.iter().map(|it| (*it).to_owned()).collect();
            Scope::Cluster(Selection::new(Some(&selector), Some(excluded)).unwrap())
        };
        let labels_of = |team: &str| NamespaceMetadata {
            labels: BTreeMap::from([("team".to_owned(), team.to_owned())]),
            ..NamespaceMetadata::default()
        };
        let namespaces = [("one", "a"), ("two", "b"), ("three", "a")];
        let namespaces = namespaces.map(|(name, team)| (name.to_owned(), labels_of(team)));
        let policies = [policy(selection(&["three"]), "a-teams"), policy(scope(None), "every")];
        let set = PolicySet::new(policies, Arc::new(namespaces.into()));
        assert_eq!(covering(&set, Some("one")), ["a-teams", "every"]);
        assert_eq!(covering(&set, Some("two")), ["every"]);
        assert_eq!(covering(&set, Some("three")), ["every"]);
        let unknown = set.covering(Some("four")).expect_err("its labels are not known");
        assert_eq!(labels(unknown.assumed), ["a-teams", "every"]);
    }

    #[test]
    fn policies_with_the_same_check_share_it() {
        let compile = |name: &str, restarts| {
            let spec = DevOpsPolicySpec {
                forbid_latest_tag: Some(true),
                max_restart_count: Some(restarts),
                ..DevOpsPolicySpec::default()
            };
            Arc::new(Policy::compile(scope(Some("shop")), name.to_owned(), &spec).unwrap())
        };
        let policies = [compile("a", 3), compile("b", 3), compile("c", 5)];
        let set = PolicySet::new(policies, Arc::default());
        let plan = set.covering(Some("shop")).unwrap();
        assert_eq!(plan.spec_checks.len(), 1);
        assert_eq!(plan.spec_checks[0].policies.len(), 3);
        let asked: Vec<_> = plan.status_checks.iter().map(|it| it.policies.len()).collect();
        assert_eq!(asked, [2, 1]);
    }
}
