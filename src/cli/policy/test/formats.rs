//! The results of tests as a table, JUnit, GitHub's workflow commands, and JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use super::super::super::formats::{github as commands, junit as xml};
use crate::policy::text::{count, printable};
use crate::policy_test::results::{CaseResult, Failure, Results};

/// What failed, then the coverage and the counts.
pub(super) fn table(results: &Results, coverage: bool) -> String {
    let mut text = String::new();
    for case in results.cases.iter().filter(|it| !it.failures.is_empty()) {
        let CaseResult { file, line, test, name, .. } = case;
        let name = printable(&format!("{file}:{line}: {test}: {name}"));
        let _ = writeln!(text, "FAIL  {name}\n{}", indented(&detail(case)));
    }
    if coverage {
        let _ = writeln!(text, "coverage: {}", covered(results));
        for uncovered in results.coverage.uncovered() {
            let missing = format!("{}: {}", uncovered.policy, uncovered.part.missing());
            let _ = writeln!(text, "  policy {}", printable(&missing));
        }
    }
    let _ = writeln!(text, "{}", summary(results));
    text
}

fn covered(results: &Results) -> String {
    let (covered, all) = results.coverage.counts();
    match results.coverage.percent() {
        Some(percent) => format!("{covered} of {all} ({percent} %)"),
        None => "there is nothing to cover".to_owned(),
    }
}

fn summary(results: &Results) -> String {
    let failed = results.failed();
    let passed = results.cases.len() - failed;
    format!("{} passed, {failed} failed", count(passed as u64, "case"))
}

/// What was expected and what came, and the text that the user would read.
fn detail(case: &CaseResult) -> String {
    let lines = case.failures.iter().map(|Failure { what, expected, found }| {
        printable(&format!("{what}: expected {expected}; found {found}"))
    });
    lines
        .chain(case.text.lines().map(|it| format!("| {}", printable(it))))
        .collect::<Vec<_>>()
        .join("\n")
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("      {line}")).collect::<Vec<_>>().join("\n")
}

/// A suite with a case for each case. Faults are errors.
pub(super) fn junit(results: &Results) -> String {
    let (failures, errors) = (results.failed(), results.faults.len());
    let tests = results.cases.len() + errors;
    let counts = format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\"");
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"podgate policy test\" {counts}>\n  <testsuite name=\"podgate policy test\" {counts}>\n"
    );
    for case in &results.cases {
        let CaseResult { file, line, test, name, .. } = case;
        let [class, name, path] = [test, name, file].map(|it| xml::attribute(it));
        let _ = write!(
            text,
            "    <testcase classname=\"{class}\" name=\"{name}\" file=\"{path}\" line=\"{line}\""
        );
        if case.failures.is_empty() {
            text.push_str("/>\n");
            continue;
        }
        let detail = detail(case);
        let first = xml::attribute(detail.lines().next().unwrap_or_default());
        let place = xml::text(&format!("{file}:{line}\n{detail}"));
        let _ = writeln!(
            text,
            ">\n      <failure message=\"{first}\">{place}</failure>\n    </testcase>"
        );
    }
    for fault in &results.faults {
        let (place, message) = (xml::attribute(&fault.place), xml::attribute(&fault.message));
        let _ = writeln!(
            text,
            "    <testcase classname=\"podgate\" name=\"{place}\">\n      <error message=\"{message}\"/>\n    </testcase>"
        );
    }
    text + "  </testsuite>\n</testsuites>\n"
}

pub(super) fn github(results: &Results) -> String {
    let mut text = String::new();
    for fault in &results.faults {
        let message = commands::data(&format!("{}: {}", fault.place, fault.message));
        let _ = writeln!(text, "::error title=podgate could not run this::{message}");
    }
    for case in results.cases.iter().filter(|it| !it.failures.is_empty()) {
        let title = commands::property(&format!("{}: {}", case.test, case.name));
        let (file, data) = (commands::property(&case.file), commands::data(&detail(case)));
        let _ = writeln!(text, "::error file={file},line={},title={title}::{data}", case.line);
    }
    let summary = format!("{}; coverage: {}", summary(results), covered(results));
    let _ = writeln!(text, "::notice title=podgate policy test::{}", commands::data(&summary));
    text
}

pub(super) fn json(results: &Results) -> Value {
    let failure =
        |it: &Failure| json!({"what": it.what, "expected": it.expected, "found": it.found});
    let cases = results.cases.iter().map(|it| {
        let failures: Vec<_> = it.failures.iter().map(failure).collect();
        json!({
            "file": it.file, "line": it.line, "test": it.test, "name": it.name,
            "passed": failures.is_empty(), "failures": failures, "text": it.text,
        })
    });
    let (covered, all) = results.coverage.counts();
    let uncovered = results.coverage.uncovered();
    let uncovered = uncovered.map(|it| json!({"policy": it.policy, "missing": it.part.missing()}));
    json!({
        "apiVersion": "podgate/v1",
        "cases": cases.collect::<Vec<_>>(),
        "summary": {"passed": results.cases.len() - results.failed(), "failed": results.failed()},
        "coverage": {
            "covered": covered, "parts": all, "percent": results.coverage.percent(),
            "uncovered": uncovered.collect::<Vec<_>>(),
        },
        "faults": results.faults,
    })
}
