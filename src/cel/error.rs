//! Errors of an evaluation.

use std::fmt;

/// An error of an evaluation. `||`, `&&` and ternaries may absorb it, unless it [ends the
/// evaluation](ErrorKind::ends_evaluation).
#[derive(Clone, Debug)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
}

/// The kind of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A map or an object has no such key or field.
    NoSuchKey,
    /// No overload of the function takes values of these types.
    NoSuchOverload,
    /// An index is outside the list.
    OutOfBounds,
    /// A number, a timestamp or a duration is out of range.
    Overflow,
    /// A division, or a remainder, by zero.
    DivisionByZero,
    /// The function does not accept the argument's value.
    InvalidArgument,
    /// The expression exceeded its cost limit.
    CostLimit,
    /// The policy's expressions exceeded their cost budget.
    CostBudget,
    /// The review exceeded its memory for values.
    Memory,
    /// The review exceeded its cost limit, which Kubernetes does not have.
    Interrupted,
    /// cel-go panics here, and aborts the evaluation.
    Internal,
    /// The API server knows the value, and podgate does not.
    Unknown,
    /// A variable exceeded its cost limit, or made cel-go panic.
    Variable,
}

impl ErrorKind {
    /// Whether the error ends the evaluation: no operator absorbs it.
    pub fn ends_evaluation(self) -> bool {
        matches!(
            self,
            Self::CostLimit | Self::CostBudget | Self::Memory | Self::Interrupted | Self::Internal
        )
    }
}

impl Error {
    /// `message` is a sentence without a full stop that says the next step where there is one.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into() }))
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    pub fn overflow(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Overflow, message)
    }

    /// `function` is `+` or `startsWith()`, as in an expression; `types` are the arguments' types.
    pub fn no_such_overload(function: &str, types: &[&str]) -> Self {
        let types = types.join(", ");
        Self::new(ErrorKind::NoSuchOverload, format!("{function} does not take ({types})"))
    }

    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The error of a policy's variable. An expression that reads the variable may absorb its cost limit; the memory
    /// limit is the whole review's, and no expression absorbs it.
    #[must_use]
    pub(super) fn of_variable(mut self, name: &str) -> Self {
        if matches!(self.0.kind, ErrorKind::CostLimit | ErrorKind::Internal) {
            self.0.kind = ErrorKind::Variable;
        }
        self.within(&format!("variables.{name}"))
    }

    /// Prefixes the message with the place of the error.
    #[must_use]
    pub fn within(mut self, place: &str) -> Self {
        self.0.message = format!("{place}: {}", self.0.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}
