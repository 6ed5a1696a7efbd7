//! `podgate explain`

use clap::Args;

use super::{Failure, output};
use crate::policy::registry::{self, RULES};
use crate::policy::rule::Phase;

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  podgate explain forbidLatestTag")]
pub(super) struct ExplainArgs {
    /// The rule's id, as a denial names it; it is also the policy's field
    #[arg(value_name = "RULE")]
    rule: String,
}

impl ExplainArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Some(rule) = registry::find(&self.rule) else {
            let ids: Vec<_> = RULES.iter().map(|rule| rule.id).collect();
            let known = ids.join(", ");
            return Err(Failure::Input(format!(
                "there is no rule {:?}; there are: {known}",
                self.rule
            )));
        };
        let phase = match rule.phase {
            Phase::Spec(_) => "decided at admission and in the audit",
            Phase::Status(_) => "seen by the audit only; it never denies",
        };
        output::print(&format!(
            "{}: severity {}, {phase}\n\n{}\n",
            rule.id,
            rule.severity,
            rule.page()
        ))
    }
}
