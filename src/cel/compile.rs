//! From source to a checked expression.

use super::check::check;
use super::checked::Checked;
use super::environment::Environment;
use super::parser::parse;
use super::source::{CompileError, SyntaxError};
use super::types::Type;
use super::unify::same;
use super::validate::validate;

/// Compiles a source of at most `max_bytes`: parses and checks it, and refuses what the API server's validators refuse.
///
/// # Errors
/// The first thing that is wrong with it, where, and what would be right.
pub fn compile(
    source: &str,
    environment: &Environment,
    max_bytes: usize,
) -> Result<Checked, CompileError> {
    if source.len() > max_bytes {
        let message = format!(
            "it has {} bytes, and {max_bytes} are allowed; take parts out into variables",
            source.len()
        );
        return Err(SyntaxError::new(0, message).place_in(source));
    }
    let checked = check(parse(source)?, environment)?;
    validate(&checked)?;
    Ok(checked)
}

/// The same for a validation, which must be known to be a bool.
///
/// # Errors
/// As of [`compile`], or that its type is another one. `dyn` is another one too.
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
        Type::Optional(_) => "write .orValue(false) behind it, or compare it",
        _ => "compare it",
    };
    let message = format!("a validation must be a bool, and this is {of}; {hint}");
    Err(checked.ast().refuse(checked.ast().root(), message))
}

#[cfg(test)]
mod tests;
