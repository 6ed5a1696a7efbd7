//! Tests of policies: files of kind `PolicyTest`, whose cases say what policies decide about objects.
//!
//! The way in is [`run`]. [`file`] reads a test, [`policies`] finds and compiles the policies that it names. Each case
//! takes the way of a real review ([`review`]) and, where an object is created, of a scan ([`agreement`]): both must
//! find the same. [`compare`] compares what came with what the case expects, [`coverage`] counts which parts of the
//! policies the cases exercise, and [`update`] edits the expectations in the file's text.

mod agreement;
mod case;
mod compare;
pub mod coverage;
mod file;
mod policies;
mod review;
mod update;

use std::collections::HashSet;
use std::path::Path;

use self::coverage::Coverage;
use crate::findings::{Fault, FaultKind};
use crate::inputs::{Input, Origin};
use crate::manifests::documents;
use crate::manifests::error::ManifestError;
use crate::policy::text::quote;
use crate::scan::offline::in_parallel;

/// The largest file that is read as a test, in bytes. A larger one is no test that a person reads.
const MAX_FILE: u64 = 16 * 1024 * 1024;

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

/// Runs the tests in the files. In folders, files and objects that are no tests are passed over. With `update`, a case
/// may lack its expectations.
pub fn run(inputs: &[Input], update: bool) -> Results {
    let mut all = Results::default();
    for (index, mut of_file) in
        in_parallel(inputs, |it| run_file(it, update)).into_iter().enumerate()
    {
        all.cases.append(&mut of_file.cases);
        all.coverage.add(of_file.coverage);
        all.faults.append(&mut of_file.faults);
        all.updates.extend(of_file.updates.into_iter().map(|it| Update { input: index, ..it }));
    }
    all
}

fn run_file(input: &Input, update: bool) -> Results {
    let mut results = Results::default();
    let named = input.origin == Origin::Named;
    let fault = |place: String, message: String| Fault { place, message, kind: FaultKind::Input };
    let refuse =
        |error: ManifestError| fault(format!("{}:{}", input.name, error.at), error.message);
    let bytes = match input.bytes() {
        Ok(bytes) => bytes,
        Err(unreadable) => {
            results.faults.push(unreadable);
            return results;
        }
    };
    if !holds(&bytes, file::KIND.as_bytes()) {
        if named {
            results.faults.push(none(input));
        }
        return results;
    }
    if bytes.len() as u64 > MAX_FILE {
        let message = format!("it is larger than {} MiB; split the test", MAX_FILE >> 20);
        results.faults.push(fault(input.name.clone(), message));
        return results;
    }
    let text = match documents::text(&bytes) {
        Ok(text) => text,
        Err(error) => {
            results.faults.push(refuse(error));
            return results;
        }
    };
    let mut tests = 0;
    let (mut edits, mut names) = (update::Edits::default(), HashSet::new());
    for object in documents::read(text) {
        let manifest = match object {
            Ok(manifest) => manifest,
            Err(error) => {
                results.faults.push(refuse(error));
                continue;
            }
        };
        if manifest.kind == file::KIND {
            tests += 1;
            match file::read(&input.name, &manifest, update) {
                Ok(test) if !names.insert(test.name.clone()) => {
                    let message =
                        format!("there are two tests with the name {}", quote(&test.name));
                    let at = manifest.node.position_of("metadata.name");
                    results.faults.push(refuse(ManifestError::new(at, message)));
                }
                Ok(test) => case::run(&test, &mut results, &mut edits),
                Err(errors) => results.faults.extend(errors.into_iter().map(refuse)),
            }
        }
        if manifest.kind != file::KIND && manifest.api_version == file::API_VERSION {
            let found = quote(&manifest.kind);
            let message = format!("kind is {found}; a test has kind: {}", file::KIND);
            let at = manifest.node.position_of("kind");
            results.faults.push(refuse(ManifestError::new(at, message)));
        }
        if update {
            edits.object(text, &manifest.node);
        }
    }
    if named && tests == 0 && results.faults.is_empty() {
        results.faults.push(none(input));
    }
    if update {
        match edits.apply(text) {
            Ok(None) => {}
            Ok(Some(text)) => {
                results.updates.push(Update { input: 0, file: input.name.clone(), text });
            }
            Err(error) => results.faults.push(refuse(error)),
        }
    }
    results
}

/// The fault of a file that a person named, and that has no test.
fn none(input: &Input) -> Fault {
    let message = format!("there is no {} in it", file::KIND);
    Fault { place: input.name.clone(), message, kind: FaultKind::Input }
}

/// Whether bytes contain others. A file of another program costs no more than this.
fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|it| it == part)
}

/// The folder of a test's file, from which its paths are.
fn folder(file: &str) -> &Path {
    let parent = Path::new(file).parent().filter(|it| !it.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}
