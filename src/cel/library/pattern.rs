//! Regular expressions with the syntax and meaning of Go's `regexp` (RE2), run by the `regex` crate's engine.
//!
//! podgate parses the syntax itself ([`parser`]), because it differs from the `regex` crate's: `\w`, `\d`, `\s`, `\b`
//! are ASCII, `\pN`, `\Q…\E` and `(?U)` exist, `&&` and `(?x)` do not, and repetitions are at most 1000.

mod class;
mod counts;
mod error;
mod node;
mod parser;

use std::sync::Arc;

use regex_automata::{Input, meta, nfa::thompson};
use regex_syntax::hir::Hir;

pub use error::PatternError;

/// The most bytes of a compiled pattern.
pub const PROGRAM_LIMIT: usize = 1 << 20;
/// The most bytes that parsing a pattern may take.
const PARSER_LIMIT: usize = 2 << 20;
/// The most bytes of states that a lazy automaton caches for the next search.
const CACHE_LIMIT: usize = 256 << 10;

/// Stack for compiling, in bytes: a base, and more for each level
/// of nesting. An unoptimized build takes up to 10 KiB a level.
const BASE_STACK: usize = 128 << 10;
const STACK_OF_A_LEVEL: usize = 12 << 10;

/// A regular expression, ready to search.
#[derive(Clone, Debug)]
pub struct Pattern {
    engine: Arc<meta::Regex>,
    size: usize,
}

impl Pattern {
    /// Compiles a pattern. `memory` limits the bytes of the compiled pattern, as [`PROGRAM_LIMIT`] does.
    pub fn new(pattern: &str, memory: usize) -> Result<Self, PatternError> {
        let limit = PROGRAM_LIMIT.min(memory);
        let parsed = parser::parse(pattern, PARSER_LIMIT)?;
        let stack = BASE_STACK + STACK_OF_A_LEVEL * usize::try_from(parsed.height).unwrap_or(0);
        // The engine's compiler recurses with the pattern's nesting.
        let engine = stacker::maybe_grow(stack, stack, || compile(&parsed.hir, limit))?;
        let size = engine.memory_usage();
        Ok(Self { engine: Arc::new(engine), size })
    }

    /// The compiled pattern's size in bytes.
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

    /// All non-overlapping matches, as ranges of bytes.
    pub fn find_all<'t>(
        &'t self,
        text: &'t str,
    ) -> impl Iterator<Item = std::ops::Range<usize>> + 't {
        self.engine.find_iter(text).map(|found| found.range())
    }
}

fn compile(program: &Hir, limit: usize) -> Result<meta::Regex, PatternError> {
    meta::Regex::builder()
        .configure(
            meta::Config::new()
                // Matches begin and end between characters, although `\B` looks at bytes.
                .utf8_empty(true)
                .which_captures(thompson::WhichCaptures::Implicit)
                .nfa_size_limit(Some(limit))
                .onepass_size_limit(Some(limit))
                .dfa(false)
                .hybrid_cache_capacity(CACHE_LIMIT),
        )
        .build_from_hir(program)
        .map_err(|_| PatternError::Size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pattern: &str, text: &str) -> Vec<(usize, usize)> {
        let pattern = Pattern::new(pattern, usize::MAX).unwrap();
        pattern.find_all(text).map(|found| (found.start, found.end)).collect()
    }

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern, usize::MAX).unwrap().is_match(text)
    }

    #[test]
    fn classes_are_ascii_as_in_re2() {
        assert!(!matches(r"^\w$", "é") && matches(r"^\W$", "é"));
        assert!(!matches(r"^\d$", "٣") && !matches(r"^\s$", "\u{a0}") && !matches(r"^\s$", "\x0b"));
        assert!(matches(r"a\b", "aé") && !matches(r"a\B", "aé"));
        assert!(matches(r"^[[:word:]]+$", "a_1") && matches(r"^[^[:^alpha:]]$", "a"));
        assert!(matches(r"^\pL\p{Greek}\P{greek}$", "éΩa") && matches(r"^\p{^Lu}$", "a"));
    }

    #[test]
    fn a_boundary_is_at_characters_ends_only() {
        assert_eq!(all(r"\B", "aéa"), []);
        assert_eq!(all(r"\B", "éé"), [(0, 0), (2, 2), (4, 4)]);
        assert_eq!(all("", "éa"), [(0, 0), (2, 2), (3, 3)]);
        assert_eq!(all("a*", "baac"), [(0, 0), (1, 3), (4, 4)]);
    }

    #[test]
    fn syntax_that_only_re2_has_is_accepted() {
        assert!(matches(r"^\Qa.b\E*$", "a.bb") && !matches(r"^\Qa.b\E$", "axb"));
        assert!(matches(r"^[a&&b]$", "&") && matches(r"^[+--]$", "-") && matches(r"^[]a]$", "]"));
        assert!(matches(r"(?i)^k$", "K") && matches(r"(?i)^\w$", "ſ") && matches(r"(?s)^.$", "\n"));
        assert!(matches(r"^\101\x41\x{1F600}\a$", "AA😀\x07") && matches("^a{,2}$", "a{,2}"));
        assert_eq!(all("(?U)a+", "aa"), [(0, 1), (1, 2)]);
        assert_eq!(all("(?U)a+?", "aa"), [(0, 2)]);
        assert!(
            matches("(?m)^b$", "a\nb\nc")
                && !matches("b$", "b\n")
                && matches("(?P<n>a)(?<m>b)", "ab")
        );
    }

    #[test]
    fn patterns_that_re2_refuses_are_refused() {
        for pattern in [
            "(",
            ")",
            "(?",
            "[",
            "[a",
            "[b-a]",
            "[[:foo:]]",
            "a**",
            "a{2}{3}",
            "*",
            "a|*",
            "(?i)*",
            "+a",
            "a{1001}",
            "a{2,1}",
            "a{1000000000000}",
            "((a{100}){10}){2}",
            r"\",
            r"\Z",
            r"\C",
            r"\1",
            r"\8",
            r"\h",
            r"\é",
            r"[\",
            r"\x",
            r"\xg1",
            r"\x{}",
            r"\x{110000}",
            r"\p",
            r"\p{",
            r"\pX",
            r"\p{Old_Italic}",
            r"\p{White_Space}",
            "(?x)a",
            "(?=a)",
            "(?!a)",
            "(?<=a)",
            "(?P<>a)",
            "(?P<é>a)",
            "(?P<n",
            "(?P=n)",
            "(?i-)",
            "(?--i)",
        ] {
            assert!(Pattern::new(pattern, usize::MAX).is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_needs_too_much_is_refused_soon() {
        for pattern in [
            r"\pL{1000}".to_owned(),
            r"(\pL{100}){10}".to_owned(),
            "(".repeat(5000) + "a" + &")".repeat(5000),
            "(a|".repeat(2000) + "b" + &")".repeat(2000),
            "a?".repeat(400_000),
            format!("[{}]", r"\pL".repeat(1000)) + &r"\PL".repeat(1000),
            format!("[{}]", ('\u{1000}'..'\u{10ffff}').step_by(2).collect::<String>()),
            format!("(?i)[{}]", r"\x00-\x{10ffff}".repeat(50_000)),
        ] {
            assert!(Pattern::new(&pattern, usize::MAX).is_err(), "{}", &pattern[..10]);
        }
        assert_eq!(Pattern::new("abcdefgh{50}", 100).unwrap_err(), PatternError::Size);
    }

    #[test]
    fn the_deepest_pattern_fits_into_a_thread_s_stack() {
        let nested = |times: usize| "(a|b(".repeat(times) + "c" + &"))".repeat(times);
        let deepest =
            (1..400).rev().find(|times| Pattern::new(&nested(*times), usize::MAX).is_ok());
        assert!(deepest.is_some_and(|times| times >= 100), "{deepest:?}");
    }

    #[test]
    fn patterns_that_other_engines_take_forever_for_end_soon() {
        let text = "a".repeat(100_000);
        assert!(!matches("^(a+)+$", &(text.clone() + "b")));
        assert!(!matches("(a|aa)+b", &text) && !matches("(.*)(.*)(.*)(.*)b", &text));
    }

    proptest::proptest! {
        #[test]
        fn any_pattern_compiles_or_is_refused_without_a_panic(
            pattern in r"[\[\]\\(){}|^$*+?.:<>,=!&0-9a-zA-Zé-]{0,40}", text in ".{0,20}",
        ) {
            if let Ok(pattern) = Pattern::new(&pattern, usize::MAX) {
                for found in pattern.find_all(&text) {
                    proptest::prop_assert!(text.get(found).is_some());
                }
            }
        }
    }
}
