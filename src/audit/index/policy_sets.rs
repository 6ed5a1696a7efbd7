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
    /// The index may change while the document is there, so the caller holds the policies.
    pub fn document<'a>(
        in_force: &'a PolicySet,
        namespace: &'a str,
        whole: &'a str,
    ) -> Option<Document<'a>> {
        // The default checks read none.
        let plan = in_force.covering(Some(namespace)).unwrap_or_else(|unknown| unknown.assumed);
        let document = || in_force.pod_document(plan, Some(namespace), whole).ok();
        plan.reads_documents().then(document)?
    }
}
