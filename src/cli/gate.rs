//! The flags that make a command fail by its findings, so that a pipeline stops.

use clap::{Args, ValueEnum};

use super::failure::Failure;
use crate::api::Severity;
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

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        gate: GateArgs,
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
}
