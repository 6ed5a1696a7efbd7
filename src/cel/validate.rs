//! The validators that the API server applies after the type check (`pkg/cel/environment/base.go`, `cel/validator.go`
//! and `ext/formatting.go` of cel-go).

use super::ast::{Expr, ExprId, Literal};
use super::checked::Checked;
use super::library::{check_format, check_pattern};
use super::source::CompileError;
use super::types::Type;
use super::unify::same;

/// Refuses lists and maps of mixed types, except within a call of `format`; formats that do not fit their arguments;
/// and patterns that are not regular expressions.
pub(super) fn validate(checked: &Checked) -> Result<(), CompileError> {
    let mut open = vec![(checked.ast().root(), false)];
    while let Some((id, exempt)) = open.pop() {
        let expr = checked.get(id);
        if !exempt {
            homogeneous(checked, expr)?;
        }
        let formats = matches!(expr, Expr::Call { function, .. } if &**function == "format");
        if formats {
            format(checked, id, expr)?;
        }
        pattern(checked, expr)?;
        open.extend(expr.children().into_iter().rev().map(|child| (child, exempt || formats)));
    }
    Ok(())
}

/// Refuses a literal pattern that is not a regular expression. As Kubernetes it checks the first argument, which in
/// `matches(text, pattern)` is the text.
fn pattern(checked: &Checked, expr: &Expr) -> Result<(), CompileError> {
    let Expr::Call { function, args, .. } = expr else { return Ok(()) };
    let Some(first) = args.first().filter(|_| &**function == "matches") else { return Ok(()) };
    let Expr::Literal(Literal::String(pattern)) = checked.get(*first) else { return Ok(()) };
    check_pattern(pattern).map_err(|error| checked.ast().refuse(*first, error.to_string()))
}

/// Refuses a format that does not fit its arguments, if both are literals.
fn format(checked: &Checked, id: ExprId, expr: &Expr) -> Result<(), CompileError> {
    let Expr::Call { target: Some(target), args, .. } = expr else { return Ok(()) };
    let (Expr::Literal(Literal::String(format)), [list]) = (checked.get(*target), &args[..]) else {
        return Ok(());
    };
    let Expr::List(elements) = checked.get(*list) else { return Ok(()) };
    let types = elements.iter().map(|element| types_within(checked, element.value));
    check_format(format, types).map_err(|error| checked.ast().refuse(id, error.to_string()))
}

/// The types of an expression, and of the elements and entries written in it.
fn types_within(checked: &Checked, id: ExprId) -> Vec<&Type> {
    let mut types = Vec::new();
    let mut open = vec![id];
    while let Some(id) = open.pop() {
        types.push(checked.type_of(id));
        if let expr @ (Expr::List(_) | Expr::Map(_)) = checked.get(id) {
            open.extend(expr.children());
        }
    }
    types
}

fn homogeneous(checked: &Checked, expr: &Expr) -> Result<(), CompileError> {
    match expr {
        Expr::List(elements) => {
            let elements = elements.iter().map(|element| (element.value, element.optional));
            all_alike(checked, elements, "a list")
        }
        Expr::Map(entries) => {
            all_alike(
                checked,
                entries.iter().map(|entry| (entry.key, false)),
                "the keys of a map",
            )?;
            let values = entries.iter().map(|entry| (entry.value, entry.optional));
            all_alike(checked, values, "the values of a map")
        }
        _ => Ok(()),
    }
}

/// Refuses expressions of different types. Of an optional element the type of its value counts.
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
