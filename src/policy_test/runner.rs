//! Finds the tests in files, and runs them.

use std::collections::HashSet;

use super::results::{Results, Update};
use super::update::Edits;
use super::{case, file};
use crate::findings::Fault;
use crate::inputs::{Input, Origin};
use crate::manifests::documents::{self, Manifest};
use crate::manifests::error::ManifestError;
use crate::policy::text::quote;
use crate::scan::offline::in_parallel;

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
    let failed = |fault| Results { faults: vec![fault], ..Results::default() };
    run_input(input, update).unwrap_or_else(failed)
}

/// # Errors
/// The file cannot be read as tests.
fn run_input(input: &Input, update: bool) -> Result<Results, Fault> {
    let bytes = input.bytes()?;
    let named = input.origin == Origin::Named;
    if !holds(&bytes, file::KIND.as_bytes()) {
        return if named { Err(none(input)) } else { Ok(Results::default()) };
    }
    if bytes.len() as u64 > file::MAX_FILE {
        let message = format!("it is larger than {} MiB; split the test", file::MAX_FILE >> 20);
        return Err(Fault::input(input.name.clone(), message));
    }
    let text = documents::text(&bytes).map_err(|error| error.in_file(&input.name))?;
    let mut file =
        TestsOfFile { input, update, names: HashSet::new(), results: Results::default() };
    let mut edits = Edits::default();
    for object in documents::read(text) {
        match object {
            Ok(manifest) => {
                file.object(&manifest, &mut edits);
                if update {
                    edits.object(text, &manifest.node);
                }
            }
            Err(error) => file.refuse(error),
        }
    }
    if named && file.results.cases.is_empty() && file.results.faults.is_empty() {
        return Err(none(input));
    }
    if update {
        match edits.apply(text) {
            Ok(None) => {}
            Ok(Some(text)) => {
                let update = Update { input: 0, file: input.name.clone(), text };
                file.results.updates.push(update);
            }
            Err(error) => file.refuse(error),
        }
    }
    Ok(file.results)
}

struct TestsOfFile<'i> {
    input: &'i Input,
    update: bool,
    /// Of the tests so far.
    names: HashSet<String>,
    results: Results,
}

impl TestsOfFile<'_> {
    fn object(&mut self, manifest: &Manifest<'_>, edits: &mut Edits) {
        let refuse =
            |field: &str, message| ManifestError::new(manifest.node.position_of(field), message);
        if manifest.kind != file::KIND {
            if manifest.api_version == file::API_VERSION {
                let found = quote(&manifest.kind);
                let message = format!("kind is {found}; a test has kind: {}", file::KIND);
                self.refuse(refuse("kind", message));
            }
            return;
        }
        match file::read(&self.input.name, manifest, self.update) {
            Ok(test) if !self.names.insert(test.name.clone()) => {
                let message = format!("there are two tests with the name {}", quote(&test.name));
                self.refuse(refuse("metadata.name", message));
            }
            Ok(test) => case::run(&test, &mut self.results, edits),
            Err(errors) => errors.into_iter().for_each(|error| self.refuse(error)),
        }
    }

    fn refuse(&mut self, error: ManifestError) {
        self.results.faults.push(error.in_file(&self.input.name));
    }
}

/// The fault of a file that a person named, and that has no test.
fn none(input: &Input) -> Fault {
    Fault::input(input.name.clone(), format!("there is no {} in it", file::KIND))
}

/// Whether bytes contain others. A file of another program costs no more than this.
fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|it| it == part)
}
