//! Errors of regular expressions.

/// Why a text is not a regular expression.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PatternError {
    #[error("missing ) in the regular expression")]
    MissingParen,
    #[error("a ) in the regular expression closes nothing")]
    UnexpectedParen,
    #[error("missing ] in the regular expression")]
    MissingBracket,
    #[error("{0} is not a range or class of characters")]
    Class(String),
    #[error("{0} is not an escape in a regular expression; write \\\\ for a backslash")]
    Escape(String),
    #[error("the regular expression ends with a backslash")]
    TrailingBackslash,
    #[error("there is nothing before {0} to repeat; write \\{0} for the character")]
    NothingToRepeat(String),
    #[error("{0} repeats a repetition; group it with (?:…)")]
    RepeatedRepetition(String),
    #[error("repetitions of the regular expression multiply to more than 1000")]
    RepeatSize,
    #[error("the group name {0} must consist of letters, digits and _")]
    GroupName(String),
    #[error("{0} is not a group; there are (…), (?:…), (?P<name>…) and the flags i, m, s, U")]
    Group(String),
    #[error("the regular expression nests deeper than 1000")]
    Depth,
    #[error("the regular expression needs more than 1 MiB; shorten repetitions and classes")]
    Size,
}
