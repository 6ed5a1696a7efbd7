//! The type checker: cel-go's `checker/checker.go` and `checker/env.go`, without a container. It stops at the first
//! error. [`super::validate`] refuses lists and maps of mixed types.

mod aggregates;
mod calls;
mod checker;
mod explain;
mod refusals;

use super::ast::{Ast, ExprId};
use super::checked::{Checked, Reference};
use super::environment::Environment;
use super::source::CompileError;
use super::types::Type;
use super::wellknown;
use checker::Checker;

/// Checks a parsed expression: resolves its names and its functions' overloads, and finds every part's type.
///
/// # Errors
/// The first error, with its position and a suggestion.
pub fn check(ast: Ast, environment: &Environment) -> Result<Checked, CompileError> {
    let mut checked = Checker::new(ast, environment).run()?;
    resolve_types_in_variables(&mut checked)?;
    Ok(checked)
}

/// The planner of cel-go reads a variable whose value is a type as the type of the variable's name, and refuses the
/// expression where no such type exists (`planCheckedIdent`).
fn resolve_types_in_variables(checked: &mut Checked) -> Result<(), CompileError> {
    for id in (0..checked.references.len()).filter_map(|at| u32::try_from(at).ok()).map(ExprId) {
        let Some(Reference::Variable(name)) = checked.reference(id) else { continue };
        if !matches!(checked.type_of(id), Type::Type(_)) {
            continue;
        }
        let Some(named) = wellknown::named(name).filter(|named| named.is_value) else {
            return Err(checked.ast.refuse(id, explain::type_in_variable(name)));
        };
        if let Some(slot) = checked.references.get_mut(id.index()) {
            *slot = Some(Reference::Type(named.of));
        }
    }
    Ok(())
}
