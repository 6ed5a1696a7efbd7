//! String values.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A string: part of the input, or constructed by the evaluation and shared.
#[derive(Clone)]
pub enum Str<'v> {
    Borrowed(&'v str),
    Shared(Arc<str>),
}

impl<'v> Str<'v> {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }

    /// A part of the string, by a range of bytes. The part of a borrowed string is borrowed; else it is a copy, which
    /// the caller charges. `None` if the range is outside the string or splits a character.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Option<Str<'v>> {
        match self {
            Self::Borrowed(text) => text.get(range).map(Str::Borrowed),
            Self::Shared(text) => text.get(range).map(|it| Str::Shared(it.into())),
        }
    }

    /// The bytes that [`Self::slice`] copies for a part of `bytes` bytes.
    pub fn copied(&self, bytes: usize) -> usize {
        match self {
            Self::Borrowed(_) => 0,
            Self::Shared(_) => bytes,
        }
    }
}

impl Deref for Str<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Str<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl PartialEq for Str<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}
