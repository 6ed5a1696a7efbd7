//! Gives each namespace its plan. Namespaces that the same policies cover share one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::policy::compile::Policy;
use crate::policy::plan::EvaluationPlan;

/// The plans of a set, made from those of the set before it. Whether a policy covers a namespace is asked again only if
/// the policy is new or the namespace's labels changed.
pub(super) struct Planner<'a> {
    /// Every policy in force, in display order.
    policies: &'a [Arc<Policy>],
    /// The places in `policies` of those that were not in force before.
    new: Vec<usize>,
    /// For each plan of before: the places of its policies that are still in force.
    left: HashMap<*const EvaluationPlan, Vec<usize>>,
    /// By the places of their policies.
    plans: HashMap<Vec<usize>, Arc<EvaluationPlan>>,
    /// Whether the policies are those of before.
    pub unchanged: bool,
}

impl<'a> Planner<'a> {
    /// From the policies and plans of the set before.
    pub fn new<'b>(
        before: &[Arc<Policy>],
        plans_before: impl Iterator<Item = &'b Arc<EvaluationPlan>>,
        policies: &'a [Arc<Policy>],
    ) -> Self {
        let known: HashSet<_> = before.iter().map(Arc::as_ptr).collect();
        let (mut places, mut new) = (HashMap::new(), Vec::new());
        for (place, policy) in policies.iter().map(Arc::as_ptr).enumerate() {
            places.insert(policy, place);
            if !known.contains(&policy) {
                new.push(place);
            }
        }
        let unchanged = new.is_empty() && places.len() == known.len();
        let (mut left, mut plans) = (HashMap::new(), HashMap::new());
        for plan in plans_before {
            left.entry(Arc::as_ptr(plan)).or_insert_with(|| {
                let of_plan = plan.policies().iter();
                let left = of_plan.filter_map(|it| places.get(&Arc::as_ptr(it)).copied());
                let left: Vec<_> = left.collect();
                if left.len() == plan.policies().len() {
                    plans.insert(left.clone(), Arc::clone(plan));
                }
                left
            });
        }
        Self { policies, new, left, plans, unchanged }
    }

    /// The plan of a namespace. Without labels, as if every selector matched.
    pub fn plan(
        &mut self,
        namespace: &str,
        labels: Option<&BTreeMap<String, String>>,
    ) -> Arc<EvaluationPlan> {
        let policies = self.policies.iter().enumerate();
        let covering = policies.filter(|(_, policy)| policy.scope.covers(namespace, labels));
        self.shared(covering.map(|(place, _)| place).collect())
    }

    /// The plan of a namespace that had this plan before, with the same labels.
    pub fn next_plan(
        &mut self,
        before: &Arc<EvaluationPlan>,
        namespace: &str,
        labels: Option<&BTreeMap<String, String>>,
    ) -> Arc<EvaluationPlan> {
        if self.unchanged {
            return Arc::clone(before);
        }
        let Some(left) = self.left.get(&Arc::as_ptr(before)) else {
            return self.plan(namespace, labels);
        };
        let covers = |place: &usize| {
            let policy = self.policies.get(*place);
            policy.is_some_and(|policy| policy.scope.covers(namespace, labels))
        };
        let mut places = left.clone();
        places.extend(self.new.iter().copied().filter(covers));
        places.sort_unstable();
        self.shared(places)
    }

    fn shared(&mut self, places: Vec<usize>) -> Arc<EvaluationPlan> {
        if let Some(plan) = self.plans.get(&places) {
            return Arc::clone(plan);
        }
        let policies = places.iter().filter_map(|place| self.policies.get(*place).cloned());
        let plan = Arc::new(EvaluationPlan::new(policies.collect()));
        self.plans.insert(places, Arc::clone(&plan));
        plan
    }
}
