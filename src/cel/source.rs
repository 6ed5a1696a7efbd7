//! Positions in a source, and compile errors.

use std::fmt;

/// A position in a source. Both numbers start at 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineColumn {
    pub line: u32,
    pub column: u32,
}

impl LineColumn {
    /// The position of a byte offset; an offset after the end is the end.
    pub fn of(source: &str, offset: usize) -> Self {
        let mut place = Self { line: 1, column: 1 };
        for (at, character) in source.char_indices() {
            if at >= offset {
                break;
            }
            if character == '\n' {
                place = Self { line: place.line.saturating_add(1), column: 1 };
            } else {
                place.column = place.column.saturating_add(1);
            }
        }
        place
    }
}

impl fmt::Display for LineColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Why an expression is refused: `1:22: there is no function shout(); did you mean …?`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct CompileError {
    pub place: LineColumn,
    /// A sentence without a full stop that says how to correct the expression, where possible.
    pub message: String,
}

impl CompileError {
    /// `message` may quote the source; control characters in it are escaped.
    pub(super) fn new(place: LineColumn, message: &str) -> Self {
        let mut printable = String::with_capacity(message.len());
        for char in message.chars() {
            if char.is_control() {
                printable.extend(char.escape_default());
            } else {
                printable.push(char);
            }
        }
        Self { place, message: printable }
    }
}

/// A compile error while the source is parsed, with a byte offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub offset: usize,
    pub message: String,
}

impl SyntaxError {
    pub fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into() }
    }

    pub fn place_in(self, source: &str) -> CompileError {
        CompileError::new(LineColumn::of(source, self.offset), &self.message)
    }
}

/// `; did you mean NAME?` if one of the names is close, else an empty text.
pub(super) fn suggestion<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    closest(wrong, names).map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

/// The name closest to the wrong one, if one is close enough. Case does not count.
pub fn closest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = wrong.to_lowercase();
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&folded, &name.to_lowercase()), name))
        .filter(|(distance, name)| {
            *distance <= 1 + name.len().min(wrong.len()) / 4 && *distance < name.len()
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let source = "é == 1\n  || x";
        assert_eq!(LineColumn::of(source, 0).to_string(), "1:1");
        assert_eq!(LineColumn::of(source, source.find("==").unwrap()).to_string(), "1:3");
        assert_eq!(LineColumn::of(source, source.find('x').unwrap()).to_string(), "2:6");
        assert_eq!(LineColumn::of(source, 1000), LineColumn::of(source, source.len()));
    }

    #[test]
    fn a_close_name_is_suggested_and_a_far_one_is_not() {
        let names = ["startsWith", "endsWith", "size"];
        assert_eq!(closest("startswith", names), Some("startsWith"));
        assert_eq!(closest("sise", names), Some("size"));
        assert_eq!(closest("frobnicate", names), None);
        assert_eq!(closest("x", ["y"]), None);
    }
}
