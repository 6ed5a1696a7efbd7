//! The syntax of classes: `[…]`, `[[:alpha:]]`, `\d`, `\pL`.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::super::class;
use super::super::error::PatternError as Error;
use super::{BYTES_OF_A_RANGE, Parser};

/// Bytes charged for looking up a Unicode class: there are about 250 names, each with a table.
const BYTES_OF_A_NAME: usize = 16 << 10;

/// Characters whose cases are looked up for one byte of memory, where case is ignored.
const FOLDS_OF_A_BYTE: usize = 8;

impl<'p> Parser<'p> {
    /// `\d`, `\pL`, `\p{Greek}` and others, if one comes next.
    pub(super) fn escaped_class(&mut self) -> Result<Option<ClassUnicode>, Error> {
        let mut chars = self.rest.chars();
        let (Some('\\'), Some(letter)) = (chars.next(), chars.next()) else {
            return Ok(None);
        };
        if let Some((class, negated)) = class::perl(letter) {
            self.skip(2);
            return self.folded(class, negated).map(Some);
        }
        if !matches!(letter, 'p' | 'P') {
            return Ok(None);
        }
        let after = chars.as_str();
        let Some(first) = after.chars().next() else {
            return Err(Error::Class(self.rest.to_owned()));
        };
        let (name, length) = if first == '{' {
            let end = after.find('}').ok_or_else(|| Error::Class(self.rest.to_owned()))?;
            (after.get(1..end).unwrap_or_default(), end + 1)
        } else {
            (after.get(..first.len_utf8()).unwrap_or_default(), first.len_utf8())
        };
        let (name, caret) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
        let class = self.unicode_class(name)?;
        self.skip(2 + length);
        self.folded(class, (letter == 'P') != caret).map(Some)
    }

    fn unicode_class(&mut self, name: &'p str) -> Result<ClassUnicode, Error> {
        if let Some((_, known)) = self.classes.iter().find(|(its, _)| *its == name) {
            return Ok(known.clone());
        }
        let class = class::unicode(name).ok_or_else(|| Error::Class(format!("\\p{{{name}}}")))?;
        // A lookup takes as much memory as a large part of a compiled pattern.
        self.charge(BYTES_OF_A_NAME + BYTES_OF_A_RANGE * class.ranges().len())?;
        self.classes.push((name, class.clone()));
        Ok(class)
    }

    /// The class with the other cases, where case is ignored, and then negated if `negated`.
    fn folded(&mut self, mut class: ClassUnicode, negated: bool) -> Result<ClassUnicode, Error> {
        if self.flags.ignore_case {
            let letters: usize = class.ranges().iter().map(ClassUnicodeRange::len).sum();
            self.charge(letters / FOLDS_OF_A_BYTE)?;
            class::fold(&mut class);
        }
        if negated {
            class.negate();
        }
        Ok(class)
    }

    /// `[…]`.
    pub(super) fn class(&mut self) -> Result<(), Error> {
        self.skip(1);
        let negated = self.rest.starts_with('^');
        self.skip(usize::from(negated));
        let mut ranges: Vec<ClassUnicodeRange> = Vec::new();
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            first = false;
            let part = match self.named_class()? {
                Some(part) => part,
                None => match self.escaped_class()? {
                    Some(part) => part,
                    None => self.class_range()?,
                },
            };
            self.charge(BYTES_OF_A_RANGE * part.ranges().len())?;
            ranges.extend(part.ranges());
        }
        self.skip(1);
        let mut class = ClassUnicode::new(ranges);
        if negated {
            class.negate();
        }
        self.push_class(class)
    }

    /// `[:alpha:]` or `[:^alpha:]`, if it comes next.
    fn named_class(&mut self) -> Result<Option<ClassUnicode>, Error> {
        let Some((name, _)) = self.rest.strip_prefix("[:").and_then(|it| it.split_once(":]"))
        else {
            return Ok(None);
        };
        let whole = name.len() + 4;
        let (name, negated) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
        let class = class::posix(name).ok_or_else(|| Error::Class(format!("[:{name}:]")))?;
        self.skip(whole);
        self.folded(class, negated).map(Some)
    }

    /// A character, or a range of characters.
    fn class_range(&mut self) -> Result<ClassUnicode, Error> {
        let start = self.rest;
        let first = self.class_char()?;
        let mut last = first;
        if self.rest.starts_with('-') && self.rest.len() > 1 && !self.rest.starts_with("-]") {
            self.skip(1);
            last = self.class_char()?;
        }
        if last < first {
            let end = start.len() - self.rest.len();
            return Err(Error::Class(start.get(..end).unwrap_or(start).to_owned()));
        }
        self.folded(class::range(first, last), false)
    }

    fn class_char(&mut self) -> Result<u32, Error> {
        let next = self.rest.chars().next().ok_or(Error::MissingBracket)?;
        if next == '\\' {
            return self.escaped_char();
        }
        self.skip(next.len_utf8());
        Ok(next.into())
    }
}
