//! Errors in a text, with their line and column.

use super::node::Position;
use crate::findings::Fault;

/// What is wrong with a document, and where.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{at}: {message}")]
pub struct ManifestError {
    pub at: Position,
    pub message: String,
    pub cause: Cause,
}

/// What a document with an error is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// It can be read, and is no Kubernetes object: no map, or one without an `apiVersion` or a `kind`.
    NoObject,
    /// It cannot be read, or not as the object that it says it is.
    Broken,
}

impl ManifestError {
    pub(crate) fn new(at: Position, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), cause: Cause::Broken }
    }

    pub(crate) fn no_object(at: Position, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), cause: Cause::NoObject }
    }

    /// The fault of the file with this name.
    pub(crate) fn in_file(self, name: &str) -> Fault {
        Fault::input(format!("{name}:{}", self.at), self.message)
    }
}
