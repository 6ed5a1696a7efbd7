//! Why an evaluation has no value.

use std::fmt;

/// An error of an evaluation. It is a value of the language: `||`, `&&` and ternaries may absorb it, unless it
/// [ends the evaluation](ErrorKind::ends_evaluation).
#[derive(Clone, Debug)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
}

/// What kind of error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A map or an object has no such key or field.
    NoSuchKey,
    /// No overload of the function takes values of these types.
    NoSuchOverload,
    /// An index is outside of the list.
    OutOfBounds,
    /// A number, a timestamp or a duration does not fit.
    Overflow,
    /// A division, or a remainder, by zero.
    DivisionByZero,
    /// An argument cannot be read as what the function makes of it.
    InvalidArgument,
    /// The expression ran out of its cost limit.
    CostLimit,
    /// The policy ran out of its cost budget.
    CostBudget,
    /// The review ran out of memory for values.
    Memory,
    /// The review ran out of cost, which Kubernetes does not limit.
    Interrupted,
    /// What makes cel-go itself give up.
    Internal,
    /// The API server knows what is asked for, and it is not known here.
    Unknown,
    /// A variable that ran out of its cost limit, or made cel-go give up.
    Variable,
}

impl ErrorKind {
    /// Whether no operator absorbs it.
    pub fn ends_evaluation(self) -> bool {
        matches!(
            self,
            Self::CostLimit | Self::CostBudget | Self::Memory | Self::Interrupted | Self::Internal
        )
    }
}

impl Error {
    /// `message` is a sentence without a full stop that a person can act on.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into() }))
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    pub fn overflow(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Overflow, message)
    }

    /// `function` as a person writes it, such as `+` or `startsWith()`; `types` of the arguments.
    pub fn no_such_overload(function: &str, types: &[&str]) -> Self {
        let types = types.join(", ");
        Self::new(ErrorKind::NoSuchOverload, format!("{function} does not take ({types})"))
    }

    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The same error as a value of a variable, which an expression may absorb. Only memory is the whole review's.
    #[must_use]
    pub(super) fn of_variable(mut self, name: &str) -> Self {
        if matches!(self.0.kind, ErrorKind::CostLimit | ErrorKind::Internal) {
            self.0.kind = ErrorKind::Variable;
        }
        self.within(&format!("variables.{name}"))
    }

    /// The same error, and where it came from.
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
