//! Printing to stdout.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use serde::Serialize;

use super::Failure;

/// A value as JSON for people and programs, with a line break at its end.
pub(super) fn json(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(unwritable)?;
    Ok(text + "\n")
}

/// A value as YAML.
pub(super) fn yaml(value: &impl Serialize) -> Result<String, Failure> {
    serde_saphyr::to_string(value).map_err(unwritable)
}

/// No value that podgate prints is known to do this.
pub(super) fn unwritable(error: impl Display) -> Failure {
    Failure::Input(format!("cannot write the answer: {error}"))
}

/// Prints a text. A reader that has seen enough (`| head`) is no error.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
