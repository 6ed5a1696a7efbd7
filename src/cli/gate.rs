//! The flags that make a command fail by its findings, so that a pipeline stops.

use clap::{Args, ValueEnum};

use super::diagnostics;
use super::failure::Failure;
use crate::api::{Effect, Severity};
use crate::findings::{Report, Violation};
use crate::policy::text;

#[derive(Args, Debug)]
pub(super) struct GateArgs {
    /// Exit with 1 if a violation is at least this severe
    #[arg(long, value_name = "SEVERITY", value_enum, default_value_t)]
    fail_on: FailOn,
    /// Exit with 4 if the score is below this. Without a workload there is no score, and none is too low
    #[arg(long, value_name = "0-100", value_parser = clap::value_parser!(u8).range(0..=100))]
    min_score: Option<u8>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum FailOn {
    Critical,
    High,
    Medium,
    #[default]
    Low,
    /// Never
    Never,
}

/// The gate of manifests, whose findings say what they do at admission.
#[derive(Args, Debug)]
pub(super) struct ManifestGateArgs {
    /// Exit with 1 if a violation is at least this severe, or if the webhook would deny an object
    #[arg(long, value_name = "SEVERITY|denied|never", value_enum, default_value_t)]
    fail_on: ManifestFailOn,
    /// Exit with 4 if the score is below this. Without a workload there is no score, and none is too low
    #[arg(long, value_name = "0-100", value_parser = clap::value_parser!(u8).range(0..=100))]
    min_score: Option<u8>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum ManifestFailOn {
    Critical,
    High,
    Medium,
    #[default]
    Low,
    /// What the webhook would deny by the same policies
    Denied,
    /// Never, unless nothing of the input could be read
    Never,
}

impl ManifestGateArgs {
    /// Fails by the faults, by a violation that counts for `--fail-on`, or by the score.
    pub(super) fn check(&self, report: &Report) -> Result<(), Failure> {
        let unread = diagnostics::report_faults(&report.faults);
        if self.fail_on != ManifestFailOn::Never || report.summary.documents == 0 {
            unread?;
        }
        let fail_on = match self.fail_on {
            ManifestFailOn::Critical => FailOn::Critical,
            ManifestFailOn::High => FailOn::High,
            ManifestFailOn::Medium => FailOn::Medium,
            ManifestFailOn::Low => FailOn::Low,
            ManifestFailOn::Denied | ManifestFailOn::Never => FailOn::Never,
        };
        if self.fail_on == ManifestFailOn::Denied {
            let denies = |it: &&Violation| it.decision == Some(Effect::Deny);
            let count = report.results.iter().filter(denies).count() as u64;
            if count > 0 {
                let violations = text::count(count, "violation");
                return Err(Failure::Findings(format!("the webhook would deny {violations}")));
            }
        }
        let gate = GateArgs { fail_on, min_score: self.min_score };
        gate.check(report.results.iter().map(|it| it.severity), report.summary.score)
    }
}

impl FailOn {
    const fn least(self) -> Option<Severity> {
        match self {
            Self::Critical => Some(Severity::Critical),
            Self::High => Some(Severity::High),
            Self::Medium => Some(Severity::Medium),
            Self::Low => Some(Severity::Low),
            Self::Never => None,
        }
    }
}

impl GateArgs {
    /// Fails where a violation counts for `--fail-on`, or the score is below `--min-score`.
    pub(super) fn check(
        &self,
        violations: impl Iterator<Item = Severity>,
        score: Option<u8>,
    ) -> Result<(), Failure> {
        if let Some(least) = self.fail_on.least() {
            let count = violations.filter(|severity| *severity <= least).count();
            if count > 0 {
                return Err(Failure::Findings(format!(
                    "{} of severity {least} or worse; --fail-on sets which severities count",
                    text::count(count as u64, "violation")
                )));
            }
        }
        match (self.min_score, score) {
            (Some(least), Some(score)) if score < least => Err(Failure::Score(format!(
                "the score is {score}, below the {least} of --min-score"
            ))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::formats::testing::plain;
    use super::*;
    use crate::findings::{Fault, FaultKind, Summary};

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        gate: GateArgs,
    }

    #[derive(Parser)]
    struct ScanCommand {
        #[command(flatten)]
        gate: ManifestGateArgs,
    }

    fn exit(args: &str, violations: &[Severity], score: impl Into<Option<u8>>) -> String {
        let args = std::iter::once("podgate").chain(args.split_whitespace());
        let Ok(Command { gate }) = Command::try_parse_from(args) else { return "usage".to_owned() };
        match gate.check(violations.iter().copied(), score.into()) {
            Ok(()) => "passes".to_owned(),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn findings_come_before_the_score_and_any_finding_counts_by_default() {
        use Severity::{High, Low};
        for (args, violations, score, expected) in [
            ("", &[][..], 0, "passes"),
            ("", &[Low], 100, "1 violation of severity low or worse"),
            ("--fail-on high", &[Low], 90, "passes"),
            ("--fail-on high", &[Low, High, High], 90, "2 violations of severity high or worse"),
            ("--fail-on never", &[High], 0, "passes"),
            ("--fail-on never --min-score 80", &[High], 79, "the score is 79, below the 80"),
            ("--fail-on never --min-score 80", &[High], 80, "passes"),
            ("--min-score 80", &[High], 79, "1 violation"),
            ("--min-score 101", &[], 100, "usage"),
            ("--fail-on some", &[], 100, "usage"),
        ] {
            let outcome = exit(args, violations, score);
            assert!(
                outcome.starts_with(expected),
                "{args:?} with {violations:?} and {score}: {outcome}"
            );
        }
    }

    #[test]
    fn where_there_is_no_score_none_is_too_low() {
        assert_eq!(exit("--min-score 100", &[], None), "passes");
        assert!(exit("--min-score 100", &[Severity::Low], None).starts_with("1 violation"));
    }

    #[test]
    fn a_manifest_is_gated_by_what_the_webhook_would_do_and_a_fault_counts_unless_nothing_may_fail()
    {
        let fault = Fault {
            place: "a.yaml:1:1".to_owned(),
            message: "it is no YAML".to_owned(),
            kind: FaultKind::Input,
        };
        for (args, decision, documents, faults, expected) in [
            ("--fail-on denied", Effect::Warn, 1, 0, "passes"),
            ("--fail-on denied", Effect::Deny, 1, 0, "the webhook would deny 1 violation"),
            ("--fail-on denied", Effect::Warn, 1, 1, "the input has a fault"),
            ("--fail-on never", Effect::Deny, 1, 1, "passes"),
            ("--fail-on never", Effect::Deny, 0, 1, "the input has a fault"),
            ("", Effect::Audit, 1, 0, "1 violation of severity low or worse"),
        ] {
            let violation = Violation { decision: Some(decision), ..plain() };
            let report = Report {
                results: vec![violation],
                summary: Summary { documents, ..Summary::default() },
                faults: vec![fault.clone(); faults],
                ..Report::default()
            };
            let words = std::iter::once("podgate").chain(args.split_whitespace());
            let ScanCommand { gate } = ScanCommand::try_parse_from(words).unwrap();
            let outcome =
                gate.check(&report).map_or_else(|it| it.to_string(), |()| "passes".into());
            assert!(outcome.starts_with(expected), "{args:?}, {decision:?}: {outcome}");
        }
    }
}
