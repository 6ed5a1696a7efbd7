//! What is converted: objects of files, and what is asked of several of them.

use serde_json::Value;

use super::part::{Part, Reason};
use super::value::{Fields, text};

/// An object of a file.
pub struct Source {
    /// `FILE:LINE:COLUMN`.
    pub place: String,
    pub object: Value,
}

/// A source with its parts.
pub(super) struct Read<'a> {
    pub source: &'a Source,
    pub name: String,
    pub parts: Vec<Part>,
}

/// A value of a source for people, on one line.
pub(super) fn brief(value: &Value) -> String {
    crate::policy::text::brief(value.to_string(), 100)
}

pub(super) fn name(object: &Value) -> String {
    let name = text(object, "/metadata/name").unwrap_or_default();
    match text(object, "/metadata/namespace") {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}

/// The other objects of a kind.
pub(super) fn of_kind<'a>(
    all: &'a [Source],
    group: &str,
    kind: &str,
) -> impl Iterator<Item = &'a Value> {
    all.iter().map(|it| &it.object).filter(move |it| {
        text(it, "/kind") == Some(kind)
            && text(it, "/apiVersion").and_then(|it| it.split('/').next()) == Some(group)
    })
}

/// A field of an object that must be absent or empty.
pub(super) fn without(object: &Value, fields: &[(&str, &'static str)]) -> Result<(), Reason> {
    match fields.iter().find(|(path, _)| !object.at(path).is_empty_value()) {
        Some((_, reason)) => Err((*reason).into()),
        None => Ok(()),
    }
}
