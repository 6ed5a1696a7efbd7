//! A document as a tree of values. Each value borrows from the text and has its position.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Number, Value};

use super::scalar::Scalar;
use crate::policy::field_path::{Step, steps};

/// A line and a column, both counted from 1.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A value and its position.
#[derive(Clone, Debug)]
pub struct Node<'t> {
    pub at: Position,
    /// Byte offset of its first character.
    pub start: usize,
    /// Byte offset after its last character.
    pub end: usize,
    pub form: Form,
    pub content: Content<'t>,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// On its own lines: a list with dashes, a map with one key per line, a text after `|` or `>`.
    Block,
    /// Within a line, or in brackets.
    Flow,
    /// In another place: an alias (`*name`) stands for it.
    Alias,
}

#[derive(Clone, Debug)]
pub enum Content<'t> {
    Scalar(Scalar<'t>),
    List(Vec<Node<'t>>),
    Map(Vec<Entry<'t>>),
}

/// A key with its value. Keys are strings, as in JSON.
#[derive(Clone, Debug)]
pub struct Entry<'t> {
    pub key: Cow<'t, str>,
    pub key_at: Position,
    pub value: Node<'t>,
}

impl<'t> Node<'t> {
    /// The value of a key; `None` if this is no map or lacks the key.
    pub fn get(&self, key: &str) -> Option<&Node<'t>> {
        self.entry(key).map(|entry| &entry.value)
    }

    fn entry(&self, key: &str) -> Option<&Entry<'t>> {
        let Content::Map(entries) = &self.content else { return None };
        entries.iter().find(|entry| entry.key == key)
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(Scalar::String(text)) => Some(text),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self.content, Content::Scalar(Scalar::Null))
    }

    /// The position of a field's key, by a path such as `spec.containers[0].image`. For a missing field, the position
    /// of its nearest existing parent.
    pub fn position_of(&self, path: &str) -> Position {
        let mut node = self;
        let mut at = self.at;
        for step in steps(path).unwrap_or_default() {
            match (step, &node.content) {
                (Step::Key(key), Content::Map(_)) => {
                    let Some(entry) = node.entry(key) else { return at };
                    at = entry.key_at;
                    node = &entry.value;
                }
                (Step::Index(index), Content::List(items)) => {
                    let Some(item) = items.get(index) else { return at };
                    at = item.at;
                    node = item;
                }
                _ => return at,
            }
        }
        at
    }

    /// Converts the tree to JSON. NaN and infinities, which JSON does not have, become null.
    pub fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar(scalar) => match scalar {
                Scalar::Null => Value::Null,
                Scalar::Bool(boolean) => Value::Bool(*boolean),
                Scalar::Integer(number) => Value::Number((*number).into()),
                Scalar::Natural(number) => Value::Number((*number).into()),
                Scalar::Float(number) => {
                    Number::from_f64(*number).map_or(Value::Null, Value::Number)
                }
                Scalar::String(text) => Value::String(text.to_string()),
            },
            Content::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Content::Map(entries) => {
                let fields = entries.iter().map(|it| (it.key.to_string(), it.value.to_json()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }
}
