//! Errors in a text, with their line and column.

use super::node::Position;

/// What is wrong with a document, and where.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{at}: {message}")]
pub struct ManifestError {
    pub at: Position,
    pub message: String,
}

impl ManifestError {
    pub(crate) fn new(at: Position, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }
}
