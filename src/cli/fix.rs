//! `podgate fix`

use std::fs;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::json;

use super::failure::Failure;
use super::manifests::ManifestArgs;
use super::{diagnostics, output};
use crate::inputs::{Found, Input};
use crate::scan::fix::{self, Fixed};
use crate::scan::manifest::{Creator, ManifestJudge};
use crate::scan::offline;
use crate::scan::passed_over::{self, Unreadable};
use crate::scan::repository::{self, Rendering, Repository};

#[derive(Args, Debug)]
#[command(
    after_help = "A fix is safe where the policy has the value (imageTags, defaultProbe, defaultResources), or where
podSecurity: restricted requires a field that is absent. Comments and order stay. In folders, files that are no
manifests are passed over, and templates of charts and patches of kustomizations are not edited.

Examples:
  podgate fix deploy.yaml --policy policies/ > fixed.yaml
  podgate fix deploy/ --bundle restricted --in-place
  podgate fix deploy.yaml --policy policies/ -o patch
  podgate fix deploy/ --live --in-place"
)]
pub(super) struct FixArgs {
    #[command(flatten)]
    manifests: ManifestArgs,
    #[arg(short, long, value_enum, default_value_t)]
    output: FixFormat,
    /// Write the files instead of printing them
    #[arg(long, conflicts_with = "output")]
    in_place: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum FixFormat {
    /// The manifests, fixed
    #[default]
    Yaml,
    /// A JSON Patch (RFC 6902) for each object
    Patch,
}

impl FixArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let source = self.manifests.source()?;
        let Found { inputs, mut faults, .. } = self.manifests.inputs();
        let Repository { inputs, .. } = repository::read(inputs, &Rendering::Never, &|_| ());
        let judging = source.judging(&inputs)?;
        diagnostics::report_notes(&judging.unread, &[]);
        faults.splice(0..0, judging.faults);
        let judge = ManifestJudge {
            policies: &judging.policies,
            namespace: source.namespace.as_deref(),
            now: Timestamp::now(),
            as_written: true,
            creator: Creator::User,
        };
        let fixed = offline::in_parallel(&inputs, |input| fix_input(&judge, input));
        let (mut texts, mut patches) = (Vec::new(), Vec::new());
        let (mut violations, mut left) = (0, 0);
        for (input, fixed) in inputs.iter().zip(fixed) {
            violations += fixed.violations;
            left += fixed.left;
            faults.extend(fixed.faults);
            for patch in &fixed.patches {
                patches.push(json!({
                    "file": input.name,
                    "kind": patch.kind,
                    "namespace": patch.namespace,
                    "name": patch.name,
                    "patch": patch.operations,
                }));
            }
            if self.in_place
                && let Some(path) = input.path()
                && fixed.changed
            {
                fs::write(path, &fixed.text).map_err(|error| {
                    Failure::Cluster(format!("cannot write {}: {error}", input.name))
                })?;
                eprintln!("{}: fixed", input.name);
            }
            texts.push(fixed.text);
        }
        match self.output {
            _ if self.in_place => {}
            FixFormat::Yaml => output::print(&joined(&texts))?,
            FixFormat::Patch => output::json(&patches)?,
        }
        if left > 0 {
            let verb = if left == 1 { "has" } else { "have" };
            eprintln!(
                "{left} of {violations} violations {verb} no safe fix; see them with podgate scan"
            );
        }
        diagnostics::report_faults(&faults)
    }
}

fn fix_input(judge: &ManifestJudge<'_>, input: &Input) -> Fixed {
    let fixed = passed_over::read(input, |text, source| fix::fix(judge, &input.name, text, source));
    fixed.unwrap_or_else(|unreadable| match unreadable {
        Unreadable::Fault(fault) => Fixed { faults: vec![fault], ..Fixed::default() },
        Unreadable::PassedOver(_) => Fixed::default(),
    })
}

/// Joins several files into one stream of documents.
fn joined(texts: &[String]) -> String {
    let mut joined = String::new();
    for text in texts.iter().filter(|text| !text.is_empty()) {
        if !joined.is_empty() {
            if !joined.ends_with('\n') {
                joined.push('\n');
            }
            if !text.starts_with("---") {
                joined.push_str("---\n");
            }
        }
        joined.push_str(text);
    }
    joined
}
