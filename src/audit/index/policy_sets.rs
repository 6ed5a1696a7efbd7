//! The policies in force, and the default checks for namespaces that no policy covers.

use std::sync::Arc;

use crate::cel::tree::Tree;
use crate::policy::document::Document;
use crate::policy::policy_set::{EvaluationPlan, PolicySet};
use crate::policy::workload::Kind;

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
        if !self.plan(namespace).reads_documents() {
            return None;
        }
        let pod = Tree::from_json(whole).ok()?;
        let namespace = Document::namespace(self.in_force.namespace_object(Some(namespace)));
        Some(Document::of(Kind::Pod, pod, namespace))
    }
}
