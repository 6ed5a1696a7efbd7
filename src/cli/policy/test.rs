//! `podgate policy test`

mod formats;

use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::super::diagnostics;
use super::super::failure::Failure;
use super::super::output;
use crate::findings::Fault;
use crate::inputs::{self, Found};
use crate::policy::text::count;
use crate::policy_test::results::Results;
use crate::policy_test::runner;

#[derive(Args, Debug)]
#[command(
    after_help = "A test is a file of kind PolicyTest: policies, and cases of objects with what the policies decide
about them; see docs/policy-test.md. In folders, other files are passed over. Each case is judged
as the webhook judges it and, where an object is created, as podgate scan does. It fails where
the two differ.

Exit codes, the first that applies: 2 where a test or a policy cannot be read or judged, 3 on I/O,
1 if a case fails or the coverage is below --min-coverage, else 0.

Examples:
  podgate policy test
  podgate policy test policy-tests/ --coverage
  podgate policy test policy-tests/ --min-coverage 100 -o junit > podgate-policies.xml
  podgate policy test policy-tests/shop.yaml --update"
)]
pub(crate) struct TestArgs {
    /// A test, or a folder (read recursively, without what .podgateignore names) [default: the working directory]
    #[arg(value_name = "PATH", default_value = ".", hide_default_value = true)]
    paths: Vec<PathBuf>,
    #[arg(short, long, value_enum, default_value_t)]
    output: TestFormat,
    /// Show which rules, checks, validations and exemptions of the policies no case exercises
    #[arg(long)]
    coverage: bool,
    /// Fail if the cases exercise less of the policies, in percent
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    min_coverage: Option<u8>,
    /// Write into the files what came instead of what was expected, except for messages;
    /// a case without expectations gets its decision and rules
    #[arg(long)]
    update: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum TestFormat {
    #[default]
    Table,
    Junit,
    /// Workflow commands of GitHub Actions
    Github,
    Json,
}

impl TestArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Found { inputs, faults, .. } = inputs::find_manifests(&self.paths, &[]);
        let mut results = runner::run(&inputs, self.update);
        results.faults.splice(0..0, faults);
        if results.cases.is_empty() && results.faults.is_empty() {
            let paths: Vec<_> = self.paths.iter().map(|it| it.display().to_string()).collect();
            let message = "there is no PolicyTest in it; podgate policy init writes one";
            results.faults.push(Fault::input(paths.join(", "), message));
        }
        for update in &results.updates {
            let path = inputs.get(update.input).and_then(|it| it.path());
            let Some(path) = path else {
                output::print(&update.text)?;
                continue;
            };
            fs::write(path, &update.text).map_err(|error| {
                Failure::Cluster(format!("cannot write {}: {error}", path.display()))
            })?;
            eprintln!("{}: updated", update.file);
        }
        if results.updates.is_empty() {
            let coverage = self.coverage || self.min_coverage.is_some();
            output::print(&match self.output {
                TestFormat::Table => formats::table(&results, coverage),
                TestFormat::Junit => formats::junit(&results),
                TestFormat::Github => formats::github(&results),
                TestFormat::Json => output::to_json(&formats::json(&results))?,
            })?;
        }
        self.verdict(&results)
    }

    fn verdict(&self, results: &Results) -> Result<(), Failure> {
        diagnostics::report_faults(&results.faults)?;
        let failed = results.failed();
        if self.update && !results.updates.is_empty() {
            let message = "the tests were updated; read what changed, and run them again";
            return Err(Failure::Findings(message.to_owned()));
        }
        if failed > 0 {
            let (failed, all) = (failed as u64, results.cases.len() as u64);
            let message = format!("{} of {} failed", failed, count(all, "case"));
            return Err(Failure::Findings(message));
        }
        let percent = results.coverage.percent().unwrap_or(100);
        match self.min_coverage.filter(|min| percent < usize::from(*min)) {
            Some(min) => Err(Failure::Findings(format!(
                "the cases cover {percent} % of the policies, and --min-coverage is {min}; --coverage shows what is missing"
            ))),
            None => Ok(()),
        }
    }
}
