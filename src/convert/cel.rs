//! Rules in CEL: what podgate's `validations` need besides the expressions of Kubernetes' and Kyverno's.

use std::cell::Cell;

use serde_json::Value;

use super::part::{Fit, Part, Reason};
use super::value::text;
use crate::cel::rename::rename;

/// The expressions of a rule.
pub(super) struct Source<'a> {
    pub variables: &'a [Value],
    /// Conditions under which the rule applies.
    pub conditions: &'a [Value],
    pub validations: &'a [Value],
    /// The message of a validation without one.
    pub message: &'a str,
}

/// What stands for the request in an expression: a pod is judged as if it were created.
const REQUEST: &str = "{'operation': 'CREATE'}";

/// What an expression may not read, and why.
const ABSENT: [(&str, &str); 4] = [
    ("oldObject", "it reads oldObject; podgate judges an object by itself"),
    ("authorizer", "it reads what a user may do (authorizer)"),
    ("params", "it reads a parameter resource, which podgate's policies do not have"),
    (
        "images",
        "it reads images, which Kyverno takes apart; in podgate, read the image of each container",
    ),
];

/// Adds the validations to the draft.
pub(super) fn convert(part: &mut Part, source: &Source<'_>) -> Result<(), Reason> {
    for variable in source.variables {
        let name = text(variable, "/name").unwrap_or_default();
        let expression = expression(part, variable)?;
        part.draft.variables.push((name.to_owned(), expression));
    }
    for condition in source.conditions {
        let expression = expression(part, condition)?;
        part.draft.when.push(format!("({expression})"));
    }
    if source.validations.is_empty() {
        return Err("it has no validations".into());
    }
    for validation in source.validations {
        let expression = expression(part, validation)?;
        let message = text(validation, "/message").unwrap_or(source.message);
        part.draft.checks.push((expression, message.to_owned()));
    }
    Ok(())
}

/// The expression of a variable, a condition or a validation.
pub(super) fn expression(part: &mut Part, of: &Value) -> Result<String, Reason> {
    let source = text(of, "/expression").unwrap_or_default().trim();
    if let Some(field) = other_field_of_request(source) {
        return Err(format!("it reads request.{field}; podgate's policies have no request").into());
    }
    let (request, absent) = (Cell::new(false), Cell::new(None));
    let renamed = rename(
        source,
        |name| {
            if let Some((_, reason)) = ABSENT.iter().find(|(other, _)| *other == name) {
                absent.set(Some(*reason));
            }
            let is_request = name == "request";
            request.set(request.get() || is_request);
            is_request.then(|| REQUEST.to_owned())
        },
        |variable| Some(variable.to_owned()),
    );
    if let Some(reason) = absent.get() {
        return Err(reason.into());
    }
    let renamed =
        renamed.map_err(|reason| format!("its expression cannot be converted: {reason}"))?;
    if request.get() {
        part.mark(
            Fit::Stricter,
            "it judges by the operation; podgate judges every change as a creation",
        );
    }
    Ok(renamed)
}

/// A field of the request that is not its operation. Texts in an expression count too, which only refuses more.
fn other_field_of_request(source: &str) -> Option<&str> {
    source.split("request").skip(1).find_map(|rest| {
        let rest = rest.trim_start();
        let field = rest.strip_prefix('.')?.trim_start_matches(['?', ' ']);
        let end = field.find(|it: char| !it.is_ascii_alphanumeric()).unwrap_or(field.len());
        field.get(..end).filter(|it| *it != "operation")
    })
}
