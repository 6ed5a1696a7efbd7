//! Printing to stdout.

use std::io::{ErrorKind, Write};

use serde::Serialize;

use super::Failure;

/// Prints a text. A reader that has seen enough (`| head`) is no error.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Prints a value as indented JSON.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(std::io::Error::from)?;
    print(&(text + "\n"))
}

/// Prints a value as YAML.
pub(super) fn yaml(value: &impl Serialize) -> Result<(), Failure> {
    print(&serde_saphyr::to_string(value).map_err(std::io::Error::other)?)
}
