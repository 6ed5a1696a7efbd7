//! The syntax of Go's regular expressions (`regexp/syntax/parse.go`).

mod class_syntax;

use regex_syntax::hir::{Class, ClassUnicode, Dot, Hir, Look, Repetition};

use super::class;
use super::counts::{MAX_REPEAT, RepeatCounts, counts};
use super::error::PatternError as Error;
use super::node::{PatternNode, alternation, concatenation, raised};

/// The flags that `(?imsU)` sets.
#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
struct Flags {
    ignore_case: bool,
    multi_line: bool,
    dot_matches_newline: bool,
    lazy: bool,
}

/// Whether a group captures. The engine captures nothing, but Go counts a capturing group as a level of nesting.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum GroupKind {
    Capturing,
    #[default]
    NonCapturing,
}

/// A group that is not closed yet.
#[derive(Default)]
struct Group {
    alternatives: Vec<PatternNode>,
    concatenation: Vec<PatternNode>,
    /// The flags around the group.
    flags: Flags,
    kind: GroupKind,
}

/// Bytes of an element of a pattern, and of a range of a class, during parsing.
const BYTES_OF_A_NODE: usize = 128;
const BYTES_OF_A_RANGE: usize = 16;

struct Parser<'p> {
    rest: &'p str,
    /// Bytes that parsing may still allocate.
    memory: usize,
    /// Unicode classes that were looked up, by name.
    classes: Vec<(&'p str, ClassUnicode)>,
    flags: Flags,
    groups: Vec<Group>,
    open: Group,
}

/// Parses a pattern. Parsing may allocate `memory` bytes.
pub fn parse(pattern: &str, memory: usize) -> Result<PatternNode, Error> {
    let mut parser = Parser {
        rest: pattern,
        memory,
        classes: Vec::new(),
        flags: Flags::default(),
        groups: Vec::new(),
        open: Group::default(),
    };
    // A repetition must not follow a repetition.
    let mut after_repeat = false;
    while let Some(next) = parser.rest.chars().next() {
        after_repeat = parser.step(next, after_repeat)?;
    }
    if !parser.groups.is_empty() {
        return Err(Error::MissingParen);
    }
    alternation(parser.open.alternatives, parser.open.concatenation)
}

impl Parser<'_> {
    /// Parses one element; returns whether it was a repetition.
    fn step(&mut self, next: char, after_repeat: bool) -> Result<bool, Error> {
        match next {
            '(' if self.rest.starts_with("(?") => self.flags_or_group()?,
            '(' => {
                self.skip(1);
                self.open_group(GroupKind::Capturing);
            }
            '|' => {
                self.skip(1);
                let parts = std::mem::take(&mut self.open.concatenation);
                self.open.alternatives.push(concatenation(parts)?);
            }
            ')' => {
                self.skip(1);
                self.close_group()?;
            }
            '^' => {
                let look = if self.flags.multi_line { Look::StartLF } else { Look::Start };
                self.assertion(1, look)?;
            }
            '$' => {
                let look = if self.flags.multi_line { Look::EndLF } else { Look::End };
                self.assertion(1, look)?;
            }
            '.' => {
                self.skip(1);
                let all = self.flags.dot_matches_newline;
                let dot = if all { Dot::AnyChar } else { Dot::AnyCharExceptLF };
                self.push(Hir::dot(dot))?;
            }
            '[' => self.class()?,
            '*' | '+' | '?' => {
                let (min, max) = match next {
                    '*' => (0, None),
                    '+' => (1, None),
                    _ => (0, Some(1)),
                };
                return self.repeat(1, min, max, false, after_repeat);
            }
            '{' if let Some(counts) = counts(self.rest) => {
                let RepeatCounts { length, min, max } = counts?;
                return self.repeat(length, min, max, true, after_repeat);
            }
            '\\' => self.escape()?,
            literal => {
                self.skip(literal.len_utf8());
                self.literal(literal)?;
            }
        }
        Ok(false)
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Error> {
        self.memory = self.memory.checked_sub(bytes).ok_or(Error::Size)?;
        Ok(())
    }

    fn push(&mut self, hir: Hir) -> Result<(), Error> {
        self.charge(BYTES_OF_A_NODE)?;
        self.open.concatenation.push(PatternNode::leaf(hir));
        Ok(())
    }

    fn push_class(&mut self, class: ClassUnicode) -> Result<(), Error> {
        self.charge(BYTES_OF_A_RANGE * class.ranges().len())?;
        self.push(Hir::class(Class::Unicode(class)))
    }

    fn assertion(&mut self, bytes: usize, look: Look) -> Result<(), Error> {
        self.skip(bytes);
        self.push(Hir::look(look))
    }

    fn literal(&mut self, literal: char) -> Result<(), Error> {
        if self.flags.ignore_case {
            let mut class = class::range(literal.into(), literal.into());
            class::fold(&mut class);
            self.push_class(class)
        } else {
            self.push(Hir::literal(literal.encode_utf8(&mut [0; 4]).as_bytes()))
        }
    }

    fn open_group(&mut self, kind: GroupKind) {
        let group = Group { flags: self.flags, kind, ..Group::default() };
        self.groups.push(std::mem::replace(&mut self.open, group));
    }

    fn close_group(&mut self) -> Result<(), Error> {
        let outer = self.groups.pop().ok_or(Error::UnexpectedParen)?;
        let group = std::mem::replace(&mut self.open, outer);
        self.flags = group.flags;
        let kind = group.kind;
        let mut node = alternation(group.alternatives, group.concatenation)?;
        if kind == GroupKind::Capturing {
            node = raised(node)?;
        }
        self.open.concatenation.push(node);
        Ok(())
    }

    /// Repeats the last element. `length` is the operator's length
    /// in bytes; `counted` is whether it has the form `{min,max}`.
    fn repeat(
        &mut self,
        length: usize,
        min: u32,
        max: Option<u32>,
        counted: bool,
        after_repeat: bool,
    ) -> Result<bool, Error> {
        let operator = self.rest.get(..length).unwrap_or_default().to_owned();
        self.skip(length);
        let question = self.rest.starts_with('?');
        if question {
            self.skip(1);
        }
        if after_repeat {
            return Err(Error::RepeatedRepetition(operator));
        }
        let Some(mut node) = self.open.concatenation.pop() else {
            return Err(Error::NothingToRepeat(operator));
        };
        if counted {
            let times = max.unwrap_or(min);
            node.repeats = if times == 0 { 0 } else { node.repeats.max(1).saturating_mul(times) };
            if node.repeats > MAX_REPEAT && (min >= 2 || max.is_some_and(|max| max >= 2)) {
                return Err(Error::RepeatSize);
            }
        }
        node = raised(node)?;
        node.hir = Hir::repetition(Repetition {
            min,
            max,
            greedy: question == self.flags.lazy,
            sub: Box::new(node.hir),
        });
        self.open.concatenation.push(node);
        Ok(true)
    }

    /// `(?flags)`, `(?flags:`, `(?P<name>` and `(?<name>`.
    fn flags_or_group(&mut self) -> Result<(), Error> {
        let start = self.rest;
        let named = ["(?P<", "(?<"].iter().find_map(|prefix| start.strip_prefix(prefix));
        if let Some(after) = named.filter(|after| !after.is_empty()) {
            let (name, _) =
                after.split_once('>').ok_or_else(|| Error::GroupName(start.to_owned()))?;
            let valid = |it: char| it == '_' || it.is_ascii_alphanumeric();
            if name.is_empty() || !name.chars().all(valid) {
                return Err(Error::GroupName(name.to_owned()));
            }
            self.skip(start.len() - after.len() + name.len() + 1);
            self.open_group(GroupKind::Capturing);
            return Ok(());
        }
        let mut flags = self.flags;
        let mut on = true;
        let mut any_flag = false;
        for (at, letter) in start.char_indices().skip(2) {
            match letter {
                'i' => flags.ignore_case = on,
                'm' => flags.multi_line = on,
                's' => flags.dot_matches_newline = on,
                'U' => flags.lazy = on,
                '-' if on => (on, any_flag) = (false, false),
                ':' | ')' if on || any_flag => {
                    self.skip(at + 1);
                    if letter == ':' {
                        self.open_group(GroupKind::NonCapturing);
                    }
                    self.flags = flags;
                    return Ok(());
                }
                _ => {
                    let group = start.get(..at + letter.len_utf8()).unwrap_or(start);
                    return Err(Error::Group(group.to_owned()));
                }
            }
            any_flag |= letter != '-';
        }
        Err(Error::Group(start.to_owned()))
    }

    fn escape(&mut self) -> Result<(), Error> {
        let letter = self.rest.chars().nth(1);
        match letter {
            Some('A') => self.assertion(2, Look::Start)?,
            Some('z') => self.assertion(2, Look::End)?,
            Some('b') => self.assertion(2, Look::WordAscii)?,
            Some('B') => self.assertion(2, Look::WordAsciiNegate)?,
            Some('Q') => {
                self.skip(2);
                let (literal, after) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
                self.rest = after;
                literal.chars().try_for_each(|it| self.literal(it))?;
            }
            _ => match self.escaped_class()? {
                Some(class) => self.push_class(class)?,
                None => match char::from_u32(self.escaped_char()?) {
                    Some(literal) => self.literal(literal)?,
                    // A surrogate, which occurs in no text.
                    None => self.push(Hir::fail())?,
                },
            },
        }
        Ok(())
    }

    /// The code point of an escape sequence.
    fn escaped_char(&mut self) -> Result<u32, Error> {
        let start = self.rest;
        self.skip(1);
        let Some(letter) = self.rest.chars().next() else {
            return Err(Error::TrailingBackslash);
        };
        self.skip(letter.len_utf8());
        let next_is_octal = self.rest.starts_with(|it: char| it.is_digit(8));
        let escaped = match letter {
            '1'..='7' if !next_is_octal => None,
            '0'..='7' => {
                let more = self.rest.bytes().take(2).take_while(|it| matches!(it, b'0'..=b'7'));
                let digits = 1 + more.count();
                let octal = start.get(1..=digits).unwrap_or_default();
                self.skip(digits - 1);
                u32::from_str_radix(octal, 8).ok()
            }
            'x' => self.escaped_hex(),
            'a' => Some(0x07),
            'f' => Some(0x0c),
            'n' => Some(0x0a),
            'r' => Some(0x0d),
            't' => Some(0x09),
            'v' => Some(0x0b),
            other => (other.is_ascii() && !other.is_ascii_alphanumeric()).then_some(other.into()),
        };
        escaped.ok_or_else(|| {
            let end = start.len() - self.rest.len();
            Error::Escape(start.get(..end).unwrap_or(start).to_owned())
        })
    }

    /// The code point of the digits after `\x`.
    fn escaped_hex(&mut self) -> Option<u32> {
        let (digits, length) = match self.rest.strip_prefix('{') {
            Some(after) => {
                let digits = after.split_once('}')?.0;
                (digits, digits.len() + 2)
            }
            None => (self.rest.get(..2)?, 2),
        };
        if digits.is_empty() || !digits.bytes().all(|it| it.is_ascii_hexdigit()) {
            return None;
        }
        let digits = digits.trim_start_matches('0');
        let code = if digits.is_empty() { 0 } else { u32::from_str_radix(digits, 16).ok()? };
        self.skip(length);
        (code <= char::MAX.into()).then_some(code)
    }
}
