//! CEL for `validations` and `variables`.
//!
//! [`Expressions::compile`] checks everything that can be checked before an object is there: syntax, every name, and
//! bounds on what an evaluation may cost, since nothing can interrupt one. [`Expressions::evaluate`] then tells true,
//! false and error apart: an error is never a false. [`Expressions::reads`] tells what of the pod a validation looks at.

mod check;
mod parse;
mod reads;
mod run;
mod value;

use std::sync::Arc;

use kube_cel::cel::IdedExpr;

use super::reads::Reads;
use super::rule::InvalidField;
use crate::api::{Validation, Variable};

/// The longest source, in bytes.
const MAX_SOURCE: usize = 1024;

/// A policy's expressions, compiled.
pub struct Expressions {
    variables: Vec<Expression>,
    validations: Vec<Expression>,
    /// What each validation reads, its variables counted.
    reads: Vec<Arc<Reads>>,
}

/// One expression, and what bounds its cost.
struct Expression {
    name: String,
    expr: IdedExpr,
    cost: check::Cost,
}

impl Expressions {
    /// # Errors
    /// The first expression that is not CEL, uses a name that is not there, or could cost too much.
    pub fn compile(
        validations: &[Validation],
        variables: &[Variable],
    ) -> Result<Self, InvalidField> {
        let mut known = Vec::new();
        let mut compiled = Vec::new();
        for (index, Variable { name, expression }) in variables.iter().enumerate() {
            let field = |field: &str| format!("spec.variables[{index}].{field}");
            if known.contains(name) {
                let message = format!("variable {name:?} is there twice");
                return Err(InvalidField { path: field("name"), message });
            }
            compiled.push(compile(name, expression, &known, field("expression"))?);
            known.push(name.clone());
        }
        let mut checked: Vec<Expression> = Vec::new();
        for (index, Validation { name, expression, .. }) in validations.iter().enumerate() {
            let field = |field: &str| format!("spec.validations[{index}].{field}");
            if checked.iter().any(|other| other.name == *name) {
                let message = format!("validation {name:?} is there twice");
                return Err(InvalidField { path: field("name"), message });
            }
            checked.push(compile(name, expression, &known, field("expression"))?);
        }
        let reads = reads::of(&compiled, &checked);
        Ok(Self { variables: compiled, validations: checked, reads })
    }

    /// What of the pod a validation, by its place, looks at; `None` where there is no such validation.
    pub fn reads(&self, validation: usize) -> Option<&Arc<Reads>> {
        self.reads.get(validation)
    }
}

fn compile(
    name: &str,
    source: &str,
    variables: &[String],
    path: String,
) -> Result<Expression, InvalidField> {
    if source.len() > MAX_SOURCE {
        let message =
            format!("it is {} bytes long; at most {MAX_SOURCE} are allowed", source.len());
        return Err(InvalidField { path, message });
    }
    let checked = parse::parse(source).map_err(check::Fault::from).and_then(|mut expr| {
        let cost = check::check(&mut expr, variables)?;
        Ok((expr, cost))
    });
    let (expr, cost) = checked.map_err(|check::Fault { message, name }| {
        let place = name.and_then(|name| check::place_of(source, &name));
        let message = place.map_or(message.clone(), |place| format!("{place}: {message}"));
        InvalidField { path, message }
    })?;
    Ok(Expression { name: name.to_owned(), expr, cost })
}
