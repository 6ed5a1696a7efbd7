//! Writes into a test what came instead of what was expected. Comments, order and everything else stay.

use json_patch::PatchOperation;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, ReplaceOperation};
use serde_json::{Value, json};

use super::compare::{exempt_of, rules_of};
use super::file::Case;
use super::results::Failure;
use super::review::Observed;
use crate::manifests::edit::{self, Edit};
use crate::manifests::error::ManifestError;
use crate::manifests::node::{Node, Position};

/// The changes of a file.
#[derive(Default)]
pub(super) struct Edits {
    /// Those of the test that was run last.
    operations: Vec<PatchOperation>,
    planned: Vec<Edit>,
    /// The objects that the edited text must decode to.
    expected: Vec<Value>,
    /// Where something cannot be edited.
    refused: Option<Position>,
}

impl Edits {
    /// Adds the new values of the fields of `expect` that failed, or the first values where there are none. A text of
    /// `message` stays: only a person knows which part of a message counts.
    pub(super) fn case(
        &mut self,
        index: usize,
        case: &Case,
        observed: &[Observed],
        failed: &[Failure],
    ) {
        let Some((first, others)) = observed.split_first() else { return };
        let fields = fields(first);
        let others: Vec<_> = others.iter().map(self::fields).collect();
        // Several objects that come out differently have no one expectation.
        let same = |field: usize| others.iter().all(|it| it.get(field) == fields.get(field));
        let index = index.to_string();
        let path = |field: Option<&'static str>| {
            let steps = ["cases", &index, "expect"];
            PointerBuf::from_tokens(steps.into_iter().chain(field))
        };
        if case.expect.is_none() {
            let [(_, decision), (_, rules), ..] = &fields;
            if same(0) && same(1) {
                let value = json!({"decision": decision, "rules": rules});
                let add = AddOperation { path: path(None), value };
                self.operations.push(PatchOperation::Add(add));
            }
            return;
        }
        for (place, (field, value)) in fields.iter().enumerate() {
            if failed.iter().any(|it| it.what == *field) && same(place) {
                let replace = ReplaceOperation { path: path(Some(field)), value: value.clone() };
                self.operations.push(PatchOperation::Replace(replace));
            }
        }
    }

    /// Plans the changes of an object of the text, a test or another one.
    pub(super) fn object(&mut self, text: &str, node: &Node<'_>) {
        let operations = std::mem::take(&mut self.operations);
        let mut expected = node.to_json();
        match edit::edits(text, node, &operations) {
            Some(edits) if json_patch::patch(&mut expected, &operations).is_ok() => {
                self.planned.extend(edits);
            }
            _ => self.refused = Some(node.at),
        }
        self.expected.push(expected);
    }

    /// The new text; `None` if nothing changes.
    ///
    /// # Errors
    /// An alias stands for something that would change, or a comment is within it.
    pub(super) fn apply(self, text: &str) -> Result<Option<String>, ManifestError> {
        let Self { planned, expected, refused, .. } = self;
        let refuse = |at| {
            let message = "the expectations share text with an alias or a comment, so podgate leaves the file as it is; \
                           edit them by hand";
            ManifestError::new(at, message)
        };
        if let Some(at) = refused {
            return Err(refuse(at));
        }
        if planned.is_empty() {
            return Ok(None);
        }
        let edited = edit::checked(text, planned, &expected);
        edited.map(Some).ok_or_else(|| refuse(Position { line: 1, column: 1 }))
    }
}

/// What came, as the fields of an expectation.
fn fields(observed: &Observed) -> [(&'static str, Value); 4] {
    let decision = json!(observed.decision.as_str());
    let (rules, exempt) = (json!(rules_of(observed)), json!(exempt_of(observed)));
    [("decision", decision), ("rules", rules), ("exempt", exempt), ("patch", json!(observed.patch))]
}
