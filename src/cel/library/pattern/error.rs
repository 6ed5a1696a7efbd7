//! Why a text is no regular expression.

/// Why a text is no regular expression.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PatternError {
    #[error("missing ) in the regular expression")]
    MissingParen,
    #[error("a ) in the regular expression closes nothing")]
    UnexpectedParen,
    #[error("missing ] in the regular expression")]
    MissingBracket,
    #[error("{0} is no range or class of characters")]
    Class(String),
    #[error("{0} is no escape in a regular expression; write \\\\ for a backslash")]
    Escape(String),
    #[error("the regular expression ends with a backslash")]
    TrailingBackslash,
    #[error("{0} repeats nothing; write \\{0} for the character")]
    NothingToRepeat(String),
    #[error("{0} repeats a repetition; group it with (?:…)")]
    RepeatedRepetition(String),
    #[error("repetitions of the regular expression multiply to more than 1000")]
    RepeatSize,
    #[error("the group {0} has no name of letters, digits and _")]
    GroupName(String),
    #[error("{0} is no group; there are (…), (?:…), (?P<name>…) and the flags i, m, s, U")]
    Group(String),
    #[error("the regular expression nests deeper than 1000")]
    Depth,
    #[error("the regular expression needs more than 1 MiB; shorten repetitions and classes")]
    Size,
}
