//! The policies in force, and the plan of their checks for each namespace. A set is never changed, only replaced.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::ResourceExt;
use kube::core::PartialObjectMeta;

use super::bundles;
use super::compile::Policy;
use super::coverage;
use super::document::Document;
use super::plan::EvaluationPlan;
use super::protected::Protected;
use super::scope::{Scope, Selection};
use super::workload::Kind;
use crate::cel::tree::{PartSeed, Tree};

use self::planner::Planner;

mod planner;

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
    /// The known namespaces, and those that a policy is in or excludes.
    namespaces: BTreeMap<Arc<str>, CoveredNamespace>,
    /// The plan of every other namespace.
    elsewhere: Arc<EvaluationPlan>,
    /// The plan of an object whose namespace is unknown.
    all: Arc<EvaluationPlan>,
    /// The empty plan of protected namespaces.
    none: EvaluationPlan,
    protected: Protected,
    reads_labels: bool,
}

/// A namespace, and the plan of what is in it.
struct CoveredNamespace {
    /// `None` if the namespace is not known.
    metadata: Option<Arc<NamespaceMetadata>>,
    plan: Arc<EvaluationPlan>,
}

impl PolicySet {
    /// `namespaces` may be empty unless a policy selects by labels or reads namespaces in CEL.
    pub fn new(
        policies: impl IntoIterator<Item = Arc<Policy>>,
        namespaces: Arc<Namespaces>,
    ) -> Self {
        let known = Arc::unwrap_or_clone(namespaces).into_iter();
        let known: Vec<_> = known.map(|(name, known)| (name, Arc::new(known))).collect();
        Self::default().updated(policies, known.iter().map(|(name, known)| (&**name, known)))
    }

    /// The set after a change: of these policies and these known namespaces. Where nothing changed for a namespace, its
    /// plan is the same one.
    #[must_use]
    pub fn updated<'n>(
        &self,
        policies: impl IntoIterator<Item = Arc<Policy>>,
        namespaces: impl IntoIterator<Item = (&'n str, &'n Arc<NamespaceMetadata>)>,
    ) -> Self {
        let mut policies: Vec<_> = policies.into_iter().collect();
        // DevOpsPolicies by namespace and name, then ClusterDevOpsPolicies by name.
        let order = |policy: &Arc<Policy>| {
            let namespace = policy.scope.namespace().map(str::to_owned);
            (namespace.is_none(), namespace, policy.name.clone())
        };
        policies.sort_by_cached_key(order);
        let named = policies.iter().flat_map(|policy| policy.scope.names());
        let mut known: BTreeMap<_, _> = named.map(|name| (name, None)).collect();
        known.extend(namespaces.into_iter().map(|(name, metadata)| (name, Some(metadata))));
        let mut planner = Planner::new(self.policies(), self.plans(), &policies);
        let cover = |(name, metadata): (&str, Option<&Arc<NamespaceMetadata>>)| {
            let labels = metadata.map(|it| &it.labels);
            let before = self.namespaces.get_key_value(name);
            let (name, plan) = match before.filter(|(_, it)| it.metadata.as_ref() == metadata) {
                Some((key, before)) => {
                    (Arc::clone(key), planner.next_plan(&before.plan, name, labels))
                }
                None => (name.into(), planner.plan(name, labels)),
            };
            (name, CoveredNamespace { metadata: metadata.cloned(), plan })
        };
        let namespaces = known.into_iter().map(cover).collect();
        // No namespace has an empty name, so this plan fits any namespace without a plan of its own.
        let elsewhere = planner.next_plan(&self.elsewhere, "", None);
        let all = if planner.unchanged { Arc::clone(&self.all) } else { all(policies) };
        let reads_labels = all.policies().iter().any(|policy| policy.scope.reads_labels());
        let (none, protected) = (EvaluationPlan::default(), self.protected.clone());
        Self { namespaces, elsewhere, all, none, protected, reads_labels }
    }

    /// The same policies, with these namespaces protected.
    #[must_use]
    pub fn protecting(self, protected: Protected) -> Self {
        Self { protected, ..self }
    }

    /// Since when a policy at the least covers a namespace that it covers now; `None` if it covers it whatever labels the
    /// namespace has. Labels that are not known may have come just now.
    pub fn covered_since(&self, policy: &Policy, namespace: &str) -> Option<Timestamp> {
        let known = || self.metadata(namespace);
        policy
            .scope
            .reads_labels()
            .then(|| known().map_or(Timestamp::MAX, |it| it.labelled.unwrap_or(Timestamp::MIN)))
    }

    /// Whether a namespace is protected: no policy judges it.
    pub fn protects(&self, namespace: &str) -> bool {
        self.protected.contains(namespace)
    }

    /// The policies that cover none of the known namespaces, by label, each with why, as a sentence.
    pub fn covering_nothing(&self) -> BTreeMap<&str, String> {
        let known = self
            .namespaces
            .iter()
            .filter_map(|(name, it)| Some((&**name, it, it.metadata.as_ref()?)));
        let judged = known.clone().filter(|(name, ..)| !self.protects(name));
        let plans: HashMap<_, _> =
            judged.map(|(_, it, _)| (Arc::as_ptr(&it.plan), &it.plan)).collect();
        let covering = plans.values().flat_map(|plan| plan.policies()).map(Arc::as_ptr);
        let covering: HashSet<_> = covering.collect();
        let known = known.map(|(name, _, metadata)| (name, &metadata.labels));
        let idle = self.policies().iter().filter(|it| !covering.contains(&Arc::as_ptr(it)));
        let idle = idle.filter_map(|policy| {
            let why = coverage::covers_nothing(&policy.scope, known.clone(), &self.protected)?;
            Some((policy.label.as_str(), why))
        });
        idle.collect()
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
        self.all.policies()
    }

    pub fn len(&self) -> usize {
        self.policies().len()
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
        let plan = self.namespaces.get(namespace).map_or(&self.elsewhere, |it| &it.plan);
        if self.reads_labels && self.metadata(namespace).is_none() {
            return Err(UnknownNamespace { assumed: plan });
        }
        Ok(plan)
    }

    /// Whether a namespace is judged as it was by the set before: by the same plan, with the same labels and annotations.
    pub fn judges_as(&self, before: &Self, namespace: &str) -> bool {
        let plan = |set: &Self| {
            let plan = set.covering(Some(namespace));
            std::ptr::from_ref(plan.unwrap_or_else(|unknown| unknown.assumed))
        };
        plan(self) == plan(before) && self.metadata(namespace) == before.metadata(namespace)
    }

    /// The Namespace object that CEL rules read: the name, and known labels and annotations.
    pub fn namespace_object<'a>(&'a self, namespace: Option<&'a str>) -> Tree<'a> {
        let known = namespace.and_then(|name| self.metadata(name));
        let (labels, annotations) = (known.map(|it| &it.labels), known.map(|it| &it.annotations));
        Document::namespace(namespace.unwrap_or_default(), labels, annotations)
    }

    /// What is known of a namespace.
    pub fn metadata(&self, namespace: &str) -> Option<&Arc<NamespaceMetadata>> {
        self.namespaces.get(namespace)?.metadata.as_ref()
    }

    /// The plans of all namespaces; one that several share comes for each.
    fn plans(&self) -> impl Iterator<Item = &Arc<EvaluationPlan>> {
        self.namespaces.values().map(|it| &it.plan).chain([&self.elsewhere])
    }

    /// A pod of a namespace as the rules of a plan see it that read documents, from its whole JSON.
    ///
    /// # Errors
    /// The JSON cannot be read.
    pub fn pod_document<'a>(
        &'a self,
        plan: &EvaluationPlan,
        namespace: Option<&'a str>,
        json: &'a str,
    ) -> Result<Document<'a>, String> {
        let part = PartSeed { path: &[], wanted: plan.wanted() };
        let pod = part.read(json).map_err(|error| error.to_string())?;
        Ok(Document::of(Kind::Pod, pod, self.namespace_object(namespace)))
    }
}

/// The plan of an object whose namespace is unknown. Only the mutations of policies that cover every namespace are
/// certain.
fn all(policies: Vec<Arc<Policy>>) -> Arc<EvaluationPlan> {
    let mut all = EvaluationPlan::new(policies);
    all.mutating.retain(|policy| policy.scope.covers_all());
    Arc::new(all)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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

    /// The team of each namespace.
    fn known(teams: &[(&str, &str)]) -> BTreeMap<String, Arc<NamespaceMetadata>> {
        let known = teams.iter().map(|(name, team)| {
            let labels = BTreeMap::from([("team".to_owned(), (*team).to_owned())]);
            let known = NamespaceMetadata { labels, ..NamespaceMetadata::default() };
            ((*name).to_owned(), Arc::new(known))
        });
        known.collect()
    }

    /// A policy for every namespace, one for team a, and one of the namespace shop.
    fn three() -> [Arc<Policy>; 3] {
        let team = serde_json::from_value(json!({"matchLabels": {"team": "a"}})).unwrap();
        let team = Scope::Cluster(Selection::new(Some(&team), None).unwrap());
        [policy(team, "a-team"), policy(scope(None), "every"), policy(scope(Some("shop")), "own")]
    }

    fn plan(set: &PolicySet, namespace: &str) -> *const EvaluationPlan {
        std::ptr::from_ref(set.covering(Some(namespace)).unwrap())
    }

    fn updated(
        before: &PolicySet,
        policies: &[Arc<Policy>],
        known: &BTreeMap<String, Arc<NamespaceMetadata>>,
    ) -> PolicySet {
        let known = known.iter().map(|(name, known)| (name.as_str(), known));
        before.updated(policies.iter().cloned(), known)
    }

    #[test]
    fn namespaces_with_the_same_policies_share_one_plan() {
        let teams = [("lab", "a"), ("new", "a"), ("shop", "a"), ("web", "b"), ("www", "c")];
        let set = updated(&PolicySet::default(), &three(), &known(&teams));
        assert_eq!(plan(&set, "lab"), plan(&set, "new"));
        assert_eq!(plan(&set, "web"), plan(&set, "www"));
        assert_ne!(plan(&set, "lab"), plan(&set, "shop"));
        assert_ne!(plan(&set, "lab"), plan(&set, "web"));
    }

    #[test]
    fn other_labels_of_a_namespace_leave_every_plan_and_give_it_the_one_that_fits() {
        let policies = three();
        let teams = [("lab", "a"), ("new", "a"), ("shop", "a"), ("web", "b")];
        let before = updated(&PolicySet::default(), &policies, &known(&teams));
        let teams = [("lab", "a"), ("new", "b"), ("shop", "a"), ("web", "b")];
        let after = updated(&before, &policies, &known(&teams));
        for untouched in ["lab", "shop", "web"] {
            assert_eq!(plan(&after, untouched), plan(&before, untouched), "{untouched}");
        }
        assert_eq!(plan(&after, "new"), plan(&before, "web"));
    }

    #[test]
    fn an_edit_of_a_policy_leaves_the_plans_of_namespaces_that_it_does_not_cover() {
        let policies = three();
        let known = known(&[("lab", "a"), ("shop", "a"), ("web", "b")]);
        let before = updated(&PolicySet::default(), &policies, &known);
        let edited = [three()[0].clone(), policies[1].clone(), policies[2].clone()];
        let after = updated(&before, &edited, &known);
        assert_eq!(plan(&after, "web"), plan(&before, "web"));
        for touched in ["lab", "shop"] {
            assert_ne!(plan(&after, touched), plan(&before, touched), "{touched}");
            let policies = after.covering(Some(touched)).unwrap().policies();
            assert!(policies.iter().any(|it| Arc::ptr_eq(it, &edited[0])), "{touched}");
        }
    }
}
