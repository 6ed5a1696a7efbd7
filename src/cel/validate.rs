//! What is refused after type checking: the validators that the API server adds (`pkg/cel/environment/base.go`, `cel/validator.go`
//! and `ext/formatting.go` of cel-go).

use super::ast::{Expr, ExprId};
use super::checked::Checked;
use super::source::CompileError;
use super::types::Type;
use super::unify::same;

/// Refuses lists and maps of mixed types, but for those within a call of `format`.
pub(super) fn validate(checked: &Checked) -> Result<(), CompileError> {
    let mut open = vec![(checked.ast().root(), false)];
    while let Some((id, exempt)) = open.pop() {
        let expr = checked.get(id);
        if !exempt {
            homogeneous(checked, expr)?;
        }
        let formats = matches!(expr, Expr::Call { function, .. } if &**function == "format");
        open.extend(expr.children().into_iter().rev().map(|child| (child, exempt || formats)));
    }
    Ok(())
}

fn homogeneous(checked: &Checked, expr: &Expr) -> Result<(), CompileError> {
    match expr {
        Expr::List(elements) => {
            let elements = elements.iter().map(|element| (element.value, element.optional));
            all_alike(checked, elements, "a list")
        }
        Expr::Map(entries) => {
            all_alike(checked, entries.iter().map(|entry| (entry.key, false)), "the keys of a map")?;
            let values = entries.iter().map(|entry| (entry.value, entry.optional));
            all_alike(checked, values, "the values of a map")
        }
        _ => Ok(()),
    }
}

/// Whether all expressions have one type; of optional ones the type of their value counts.
fn all_alike(
    checked: &Checked,
    mut parts: impl Iterator<Item = (ExprId, bool)>,
    holder: &str,
) -> Result<(), CompileError> {
    let of = |(id, optional): (ExprId, bool)| match checked.type_of(id) {
        Type::Optional(inner) if optional => &**inner,
        other => other,
    };
    let Some(first) = parts.next().map(of) else { return Ok(()) };
    for part in parts {
        let its = of(part);
        if !same(first, its) {
            let message = format!(
                "{holder} must be of one type: the first is {first}, and this is {its}; write dyn(…) around each to mix them"
            );
            return Err(checked.ast().refuse(part.0, message));
        }
    }
    Ok(())
}
