//! Patterns of files that are not read, in gitignore's syntax: `.podgateignore` and `--exclude`.
//!
//! Supported, as in gitignore(5): comments, `!` (the last pattern that matches decides), a trailing `/` for folders, a
//! leading or inner `/` for the pattern's own folder, `*`, `?`, `**`, `[a-z]`, `[!a-z]` and `\`. Not supported: POSIX
//! classes (`[[:alpha:]]`), and ignoring case.

use std::path::{Component, Path, PathBuf};

use crate::policy::glob::wildcard;

/// The name of the files that hold patterns for their folder.
pub(super) const FILE_NAME: &str = ".podgateignore";

/// The patterns of one file, or of `--exclude`.
#[derive(Clone, Debug)]
pub(super) struct Patterns {
    /// The folder that they are relative to.
    folder: PathBuf,
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    negated: bool,
    folders_only: bool,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug)]
enum Segment {
    /// `**`: any number of segments.
    Any,
    Name(Vec<Token>),
}

#[derive(Clone, Debug)]
enum Token {
    /// `*`: any text.
    Star,
    /// `?`: one character.
    One,
    Char(char),
    /// One character within these ranges, or outside of them.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Patterns {
    /// Reads patterns, one a line.
    ///
    /// # Errors
    /// The number of the first line that is no pattern, from 1, and why.
    pub(super) fn parse<'l>(
        folder: &Path,
        lines: impl Iterator<Item = &'l str>,
    ) -> Result<Self, (usize, String)> {
        let mut patterns = Vec::new();
        for (number, line) in (1..).zip(lines) {
            patterns.extend(pattern(line).map_err(|why| (number, why))?);
        }
        Ok(Self { folder: folder.to_owned(), patterns })
    }

    /// Whether a path below the folder is ignored; `None` if no pattern matches it.
    pub(super) fn ignores(&self, path: &Path, is_folder: bool) -> Option<bool> {
        let below = path.strip_prefix(&self.folder).unwrap_or(path);
        let names: Vec<_> = below
            .components()
            .filter_map(|it| match it {
                Component::Normal(name) => Some(name.to_string_lossy()),
                _ => None,
            })
            .collect();
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        let found = self.patterns.iter().rev().find(|pattern| {
            (is_folder || !pattern.folders_only) && matches(&pattern.segments, &names)
        });
        found.map(|pattern| !pattern.negated)
    }
}

/// The pattern of a line; `None` for an empty line and a comment.
fn pattern(line: &str) -> Result<Option<Pattern>, String> {
    let line = line.trim_end_matches('\r');
    let bare = line.trim_end_matches(' ');
    // A space at the end counts only after a backslash.
    let line = if bare.ends_with('\\') && bare.len() < line.len() {
        line.get(..=bare.len()).unwrap_or(line)
    } else {
        bare
    };
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (negated, line) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest));
    let (folders_only, line) = line.strip_suffix('/').map_or((false, line), |rest| (true, rest));
    let anchored = line.contains('/');
    let line = line.strip_prefix('/').unwrap_or(line);
    let mut segments = if anchored { Vec::new() } else { vec![Segment::Any] };
    for name in line.split('/') {
        segments.push(if name == "**" { Segment::Any } else { Segment::Name(tokens(name)?) });
    }
    Ok(Some(Pattern { negated, folders_only, segments }))
}

fn tokens(name: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = name.chars();
    while let Some(character) = rest.next() {
        tokens.push(match character {
            '*' => Token::Star,
            '?' => Token::One,
            '[' => class(&mut rest).ok_or_else(|| format!("{name:?} has a [ without its ]"))?,
            '\\' => {
                Token::Char(rest.next().ok_or_else(|| format!("{name:?} ends with a backslash"))?)
            }
            plain => Token::Char(plain),
        });
    }
    Ok(tokens)
}

/// The class after its `[`; `None` if it does not end.
fn class(rest: &mut std::str::Chars<'_>) -> Option<Token> {
    let mut next = rest.next()?;
    let negated = next == '!' || next == '^';
    if negated {
        next = rest.next()?;
    }
    let mut ranges = Vec::new();
    loop {
        if next == '\\' {
            next = rest.next()?;
        }
        let mut ahead = rest.clone();
        let last = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(last)) if last != ']' => {
                *rest = ahead;
                last
            }
            _ => next,
        };
        ranges.push((next, last));
        next = rest.next()?;
        // A ] in the first place is a character.
        if next == ']' {
            return Some(Token::Class { negated, ranges });
        }
    }
}

fn matches(pattern: &[Segment], names: &[&str]) -> bool {
    match (pattern, names) {
        ([], []) => true,
        ([], _) | ([Segment::Name(_), ..], []) => false,
        // At the end it stands for everything inside.
        ([Segment::Any], names) => !names.is_empty(),
        ([Segment::Any, rest @ ..], names) => {
            (0..=names.len()).any(|skipped| matches(rest, names.get(skipped..).unwrap_or_default()))
        }
        ([Segment::Name(tokens), rest @ ..], [name, names @ ..]) => {
            is_name(tokens, name) && matches(rest, names)
        }
    }
}

fn is_name(tokens: &[Token], name: &str) -> bool {
    let fits = |token: &Token, character| match token {
        Token::Star => false,
        Token::One => true,
        Token::Char(expected) => *expected == character,
        Token::Class { negated, ranges } => {
            ranges.iter().any(|(first, last)| (*first..=*last).contains(&character)) != *negated
        }
    };
    wildcard(tokens, name, |it| matches!(it, Token::Star), fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(text: &str, path: &str) -> bool {
        let patterns = Patterns::parse(Path::new("deploy"), text.lines()).unwrap();
        let is_folder = path.ends_with('/');
        patterns.ignores(&Path::new("deploy").join(path), is_folder).unwrap_or(false)
    }

    #[test]
    fn patterns_mean_what_gitignore_says() {
        for (patterns, path, expected) in [
            ("a.yaml", "a.yaml", true),
            ("a.yaml", "x/y/a.yaml", true),
            ("/a.yaml", "a.yaml", true),
            ("/a.yaml", "x/a.yaml", false),
            ("x/a.yaml", "x/a.yaml", true),
            ("x/a.yaml", "y/x/a.yaml", false),
            ("*.json", "x/a.json", true),
            ("x/*.json", "x/y/a.json", false),
            ("tests/", "tests/", true),
            ("tests/", "tests", false),
            ("tests/", "x/tests/", true),
            ("**/tests/a.yaml", "tests/a.yaml", true),
            ("**/tests/a.yaml", "x/y/tests/a.yaml", true),
            ("x/**", "x/y/z.yaml", true),
            ("x/**", "x/", false),
            ("x/**/z.yaml", "x/z.yaml", true),
            ("x/**/z.yaml", "x/a/b/z.yaml", true),
            ("*.yaml\n!keep.yaml", "x/keep.yaml", false),
            ("!keep.yaml\n*.yaml", "keep.yaml", true),
            ("# a.yaml\n\n", "a.yaml", false),
            ("\\#a", "#a", true),
            ("\\!a", "!a", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a[b-d]e", "ace", true),
            ("a[!b-d]e", "ace", false),
            ("a[]]e", "a]e", true),
            ("a[b-]", "a-", true),
            ("a ", "a", true),
            ("a\\ ", "a ", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b", false),
        ] {
            assert_eq!(ignored(patterns, path), expected, "{patterns:?} against {path:?}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_an_error_with_its_line() {
        for (text, line) in [("a\n[b", 2), ("a\\", 1)] {
            let error = Patterns::parse(Path::new("."), text.lines()).unwrap_err();
            assert_eq!(error.0, line, "{error:?}");
        }
    }
}
