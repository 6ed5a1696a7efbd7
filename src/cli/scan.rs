//! `podgate scan`

mod progress;

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::args::OutputFileArgs;
use super::color::{ColorArgs, Coloring};
use super::failure::Failure;
use super::formats::{self, Printing, ReportFormat};
use super::gate::ManifestGateArgs;
use super::manifests::ManifestArgs;
use super::{diagnostics, output};
use crate::findings::baseline::Baseline;
use crate::findings::{Unjudged, Violation};
use crate::inputs::Found;
use crate::scan::manifest::{Creator, ManifestJudge};
use crate::scan::offline;
use crate::scan::repository::{Rendering, Repository};

#[derive(Args, Debug)]
#[command(
    after_help = "In folders, files that are no manifests are passed over and counted; a broken manifest is a fault.
Charts and kustomizations in folders are rendered by your own helm, kustomize or kubectl.

Exit codes, the first that applies: 2 where something could not be read or judged, 3 on I/O,
1 by --fail-on, 4 by --min-score, else 0. A fault in one file does not stop the scan of the others;
with --fail-on never it counts only where nothing could be read.

Examples:
  podgate scan
  podgate scan deploy/ --policy policies/ -n shop -o wide
  podgate scan deploy/ --live --fail-on denied
  podgate scan chart/ --helm-values values-prod.yaml --bundle restricted
  helm template shop chart/ --set image.tag=1.29 | podgate scan -
  podgate scan overlays/prod -o sarif --output-file podgate.sarif
  podgate scan --write-baseline .podgate-baseline.json
  podgate scan --baseline .podgate-baseline.json
  podgate scan deploy/ -o github --fail-on high --min-score 80"
)]
pub(super) struct ScanArgs {
    #[command(flatten)]
    manifests: ManifestArgs,
    #[arg(short, long, value_enum, default_value_t)]
    output: ReportFormat,
    #[command(flatten)]
    output_file: OutputFileArgs,
    /// Who creates the objects, which decides what a policy in its grace denies (spec.graceUntil)
    #[arg(long = "as", value_name = "WHO", value_enum, default_value_t)]
    creator: CreatorArg,
    /// Whether charts and kustomizations in folders are rendered
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    render: Render,
    /// A values file for every chart that is rendered; may be repeated
    #[arg(long, value_name = "FILE")]
    helm_values: Vec<PathBuf>,
    /// Leaves out the violations that this file knows, so that only new ones are shown and fail
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Writes this file, in which every violation that is there now is known
    #[arg(long, value_name = "FILE", conflicts_with = "baseline")]
    write_baseline: Option<PathBuf>,
    #[command(flatten)]
    color: ColorArgs,
    #[command(flatten)]
    gate: ManifestGateArgs,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum CreatorArg {
    /// A person or a pipeline
    #[default]
    User,
    /// Kubernetes' controllers, for objects with a controller
    /// among their ownerReferences, such as a ReplicaSet's pods
    Controller,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Render {
    /// By the helm, kustomize or kubectl on the PATH, where they are there
    #[default]
    Auto,
    /// Never: no program is run. Charts are not judged, and the resources
    /// of kustomizations are judged without patches
    Never,
}

impl From<CreatorArg> for Creator {
    fn from(creator: CreatorArg) -> Self {
        match creator {
            CreatorArg::User => Self::User,
            CreatorArg::Controller => Self::Controller,
        }
    }
}

impl ScanArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let source = self.manifests.source()?;
        let baseline = self.baseline.as_deref().map(read_baseline).transpose()?;
        let Found { inputs, faults: unread, passed_over } = self.manifests.inputs();
        let Repository { inputs, unjudged, faults, notes } =
            progress::rendering(inputs, &self.rendering(source.namespace.clone())?);
        let judging = source.judging(&inputs)?;
        diagnostics::report_notes(&notes, &[]);
        diagnostics::report_notes(&judging.unread, &[]);
        let now = Timestamp::now();
        let judge = ManifestJudge {
            policies: &judging.policies,
            namespace: source.namespace.as_deref(),
            now,
            as_written: false,
            creator: self.creator.into(),
        };
        let mut report =
            progress::judging(&inputs, |progress| offline::scan(&inputs, &judge, progress));
        report.unread = judging.unread;
        report.faults.splice(0..0, judging.faults.into_iter().chain(unread).chain(faults));
        report.unjudged.add(unjudged);
        report.unjudged.add(Unjudged { passed_over, ..Unjudged::default() });
        let baseline = match &self.write_baseline {
            Some(path) => Some(write_baseline(path, &report.results)?),
            None => baseline,
        };
        if let Some(baseline) = baseline {
            report.known = Some(baseline.remove(&mut report.results));
            report.summary.violations = report.results.len() as u64;
        }
        let coloring = match self.output_file.output_file {
            Some(_) => Coloring::Plain,
            None => self.color.coloring(),
        };
        let about = Printing { coloring, inputs: self.manifests.named(), at: now };
        self.output_file.write(&formats::render(self.output, &report, &about)?)?;
        self.gate.check(&report)
    }
}

impl ScanArgs {
    /// `namespace` is that of releases.
    fn rendering(&self, namespace: Option<String>) -> Result<Rendering, Failure> {
        if let Some(missing) = self.helm_values.iter().find(|it| !it.is_file()) {
            let missing = missing.display();
            return Err(Failure::Input(format!("--helm-values {missing}: there is no such file")));
        }
        Ok(match self.render {
            Render::Never => Rendering::Never,
            Render::Auto => Rendering::Auto { values: self.helm_values.clone(), namespace },
        })
    }
}

fn read_baseline(path: &Path) -> Result<Baseline, Failure> {
    let failed = |why: String| {
        let path = path.display();
        Failure::Input(format!(
            "{path}: {why}; write it anew: podgate scan --write-baseline {path}"
        ))
    };
    let bytes = fs::read(path).map_err(|error| failed(format!("cannot read it: {error}")))?;
    let baseline: Result<Baseline, _> = serde_json::from_slice(&bytes);
    let baseline = baseline.map_err(|error| failed(format!("it is no baseline: {error}")))?;
    if baseline.is_one() {
        Ok(baseline)
    } else {
        Err(failed("it is no Baseline of podgate/v1".to_owned()))
    }
}

fn write_baseline(path: &Path, violations: &[Violation]) -> Result<Baseline, Failure> {
    let baseline = Baseline::of(violations);
    fs::write(path, output::to_json(&baseline)?)
        .map_err(|error| Failure::Cluster(format!("cannot write {}: {error}", path.display())))?;
    Ok(baseline)
}
