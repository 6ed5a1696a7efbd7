//! The policies in force, and the default checks for namespaces that no policy covers.

use std::sync::Arc;

use crate::policy::document::Document;
use crate::policy::plan::EvaluationPlan;
use crate::policy::policy_set::PolicySet;

pub(super) struct PolicySets {
    pub in_force: Arc<PolicySet>,
    pub default_checks: PolicySet,
}

impl PolicySets {
    /// The plan for a namespace's pods. A namespace whose labels are not known yet
    /// counts as selected; once they are, its pods are judged again if it is not.
    pub fn plan(&self, namespace: &str) -> &EvaluationPlan {
        let plan =
            self.in_force.covering(Some(namespace)).unwrap_or_else(|unknown| unknown.assumed);
        if !plan.policies().is_empty() {
            return plan;
        }
        self.default_checks.covering(Some(namespace)).unwrap_or(plan)
    }

    /// A pod as rules that read documents see it, from its whole JSON; `None` where no such rule covers the namespace.
    pub fn document<'a>(&self, namespace: &str, whole: &'a str) -> Option<Document<'a>> {
        let reads = self.plan(namespace).reads_documents();
        reads.then(|| self.in_force.pod_document(Some(namespace), whole).ok())?
    }
}
