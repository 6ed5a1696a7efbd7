//! Printing to stdout.

use std::io::{ErrorKind, Write};

use serde::Serialize;

use super::failure::Failure;

/// Prints a text. A closed pipe (`| head`) is not an error.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Prints a value as indented JSON.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    print(&to_json(value)?)
}

/// Prints a value as YAML.
pub(super) fn yaml(value: &impl Serialize) -> Result<(), Failure> {
    print(&to_yaml(value)?)
}

/// A value as indented JSON, with a line break at its end.
pub(super) fn to_json(value: &impl Serialize) -> Result<String, Failure> {
    Ok(serde_json::to_string_pretty(value).map_err(std::io::Error::from)? + "\n")
}

/// A value as YAML.
pub(super) fn to_yaml(value: &impl Serialize) -> Result<String, Failure> {
    Ok(serde_saphyr::to_string(value).map_err(std::io::Error::other)?)
}

/// An answer for programs, with the version of its JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Versioned<'a, T> {
    api_version: &'static str,
    #[serde(flatten)]
    answer: &'a T,
}

impl<'a, T: Serialize> Versioned<'a, T> {
    pub(super) fn of(answer: &'a T) -> Self {
        Self { api_version: "podgate/v1", answer }
    }
}
