//! Compiles a source to a checked expression.

use super::check::check;
use super::checked::Checked;
use super::environment::Environment;
use super::parser::parse;
use super::source::{CompileError, SyntaxError};
use super::types::Type;
use super::unify::same;
use super::validate::validate;

/// Parses and checks a source of at most `max_bytes` bytes, and applies the API server's validators.
///
/// # Errors
/// The first error, with its position and a suggestion.
pub fn compile(
    source: &str,
    environment: &Environment,
    max_bytes: usize,
) -> Result<Checked, CompileError> {
    if source.len() > max_bytes {
        let message = format!(
            "the expression has {} bytes, and {max_bytes} are allowed; move parts into variables",
            source.len()
        );
        return Err(SyntaxError::new(0, message).place_in(source));
    }
    let checked = check(parse(source)?, environment)?;
    validate(&checked)?;
    Ok(checked)
}

/// Compiles a validation, whose type must be bool; `dyn` does not suffice.
///
/// # Errors
/// As of [`compile`], or the type is not bool.
pub fn compile_validation(
    source: &str,
    environment: &Environment,
    max_bytes: usize,
) -> Result<Checked, CompileError> {
    let checked = compile(source, environment, max_bytes)?;
    let of = checked.result_type();
    if same(of, &Type::Bool) {
        return Ok(checked);
    }
    let hint = match of {
        Type::Dyn => "compare it, as with == true",
        Type::Optional(_) => "write .orValue(false) after it, or compare it",
        _ => "compare it",
    };
    let message = format!("a validation must be a bool, and this is {of}; {hint}");
    Err(checked.ast().refuse(checked.ast().root(), message))
}

#[cfg(test)]
mod tests;
