//! Regular expressions as Kubernetes has them: the syntax and meaning of Go's `regexp` (RE2), run by
//! the `regex` crate's engine.
//!
//! The syntax is parsed here ([`parser`]), because the two differ: `\w`, `\d`, `\s`, `\b` are ASCII,
//! `\pN`, `\Q…\E` and `(?U)` exist, `&&` and `(?x)` do not, repetitions are at most 1000.

mod class;
mod parser;

use std::sync::Arc;

use regex_automata::{Input, meta, nfa::thompson};

/// The most bytes that the program of a pattern may take.
const PROGRAM_LIMIT: usize = 1 << 20;
/// What an automaton may keep of its states for the next search.
const CACHE_LIMIT: usize = 256 << 10;

/// A regular expression, ready to search.
#[derive(Clone, Debug)]
pub struct Pattern {
    engine: Arc<meta::Regex>,
    size: usize,
}

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

impl Pattern {
    /// Compiles a pattern. `memory` is the most bytes that its program may take, beside the limit
    /// of all patterns.
    pub fn new(pattern: &str, memory: usize) -> Result<Self, PatternError> {
        let limit = PROGRAM_LIMIT.min(memory);
        let program = parser::parse(pattern)?;
        let engine = meta::Regex::builder()
            .configure(
                meta::Config::new()
                    // Matches lie at characters' ends, though `\B` looks at bytes.
                    .utf8_empty(true)
                    .which_captures(thompson::WhichCaptures::Implicit)
                    .nfa_size_limit(Some(limit))
                    .onepass_size_limit(Some(limit))
                    .dfa(false)
                    .hybrid_cache_capacity(CACHE_LIMIT),
            )
            .build_from_hir(&program)
            .map_err(|_| PatternError::Size)?;
        let size = engine.memory_usage();
        Ok(Self { engine: Arc::new(engine), size })
    }

    /// Bytes that the compiled pattern takes.
    pub fn size(&self) -> usize {
        self.size
    }

    pub fn is_match(&self, text: &str) -> bool {
        self.engine.is_match(text)
    }

    /// The first match, as a range of bytes.
    pub fn find(&self, text: &str) -> Option<std::ops::Range<usize>> {
        self.engine.find(Input::new(text)).map(|found| found.range())
    }

    /// All matches that do not overlap.
    pub fn find_all<'t>(
        &'t self,
        text: &'t str,
    ) -> impl Iterator<Item = std::ops::Range<usize>> + 't {
        self.engine.find_iter(text).map(|found| found.range())
    }
}
