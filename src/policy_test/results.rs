//! What tests give.

use super::coverage::Coverage;
use crate::findings::Fault;

/// What the tests of all files gave.
#[derive(Default)]
pub struct Results {
    /// In the order of the files.
    pub cases: Vec<CaseResult>,
    pub coverage: Coverage,
    /// The files whose expectations differ, with their new texts. The cases of these have failed.
    pub updates: Vec<Update>,
    pub faults: Vec<Fault>,
}

/// What a case gave.
pub struct CaseResult {
    pub file: String,
    pub line: u32,
    /// The name of the test.
    pub test: String,
    pub name: String,
    /// Empty if the case passes.
    pub failures: Vec<Failure>,
    /// Of a case that fails: what the user would read, the denial and the warnings.
    pub text: String,
}

/// An expectation that was not met.
#[derive(Debug, Eq, PartialEq)]
pub struct Failure {
    /// The field of `expect`, or `scan` where the review and the scan differ.
    pub what: &'static str,
    pub expected: String,
    pub found: String,
}

/// A file whose expectations differ from what came.
pub struct Update {
    /// The index of the file among the inputs.
    pub input: usize,
    pub file: String,
    pub text: String,
}

impl Results {
    pub fn failed(&self) -> usize {
        self.cases.iter().filter(|case| !case.failures.is_empty()).count()
    }
}
