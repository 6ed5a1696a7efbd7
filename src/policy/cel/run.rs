//! Evaluating expressions on a pod.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use kube_cel::KubeCelExt;
use kube_cel::cel::{Context, ExecutionError, Value as CelValue};

use super::super::document::Document;
use super::super::text::clip;
use super::check::{variable_name, variable_of};
use super::value::{Size, to_cel};
use super::{Expression, Expressions};

/// The longest list or map that is looked at.
const MAX_ENTRIES: u64 = 1000;
/// The most values that an evaluation may touch: about a second's work.
const MAX_WORK: u64 = 5_000_000;

thread_local! {
    /// Every function there is. Registering them takes longer than most evaluations.
    static FUNCTIONS: Context<'static> = Context::default().with_all();
}

pub(super) fn with_functions<T>(use_them: impl FnOnce(&Context<'static>) -> T) -> T {
    FUNCTIONS.with(use_them)
}

impl Expressions {
    /// Each validation by its place: whether the pod passes, or why that could not be decided.
    pub fn evaluate(&self, document: &Document) -> Vec<Result<bool, String>> {
        let size = Size::of(&[&document.pod, &document.namespace]);
        if size.longest > MAX_ENTRIES {
            let why = format!("the pod has a list of {}, more than {MAX_ENTRIES}", size.longest);
            return self.validations.iter().map(|_| Err(why.clone())).collect();
        }
        with_functions(|functions| {
            let mut context = functions.new_inner_scope();
            context.add_variable_from_value("object", to_cel(&document.pod));
            context.add_variable_from_value("namespaceObject", to_cel(&document.namespace));
            let mut failed = HashMap::new();
            for variable in &self.variables {
                // One that fails stays unbound, so that it is an error only where it is used.
                match resolve(variable, &context, size, &failed) {
                    Ok(value) => {
                        context.add_variable_from_value(variable_name(&variable.name), value);
                    }
                    Err(why) => {
                        failed.insert(variable.name.clone(), why);
                    }
                }
            }
            let decide = |validation| match resolve(validation, &context, size, &failed)? {
                CelValue::Bool(passes) => Ok(passes),
                other => Err(format!("it is no bool but {}", type_name(&other))),
            };
            self.validations.iter().map(decide).collect()
        })
    }
}

fn resolve(
    expression: &Expression,
    context: &Context<'_>,
    size: Size,
    failed: &HashMap<String, String>,
) -> Result<CelValue, String> {
    let longest = if expression.cost.over_strings {
        size.longest.max(size.longest_string)
    } else {
        size.longest
    };
    let work = size.values.saturating_mul(longest.max(1).saturating_pow(expression.cost.depth));
    if work > MAX_WORK {
        return Err("the pod is too large for this expression".to_owned());
    }
    // The library does not promise that no value makes it panic, and one policy must not end a scan.
    let resolved = catch_unwind(AssertUnwindSafe(|| context.resolve(&expression.expr)));
    match resolved {
        Ok(value) => value.map_err(|error| reason(&error, failed)),
        Err(_) => Err("the evaluation broke off".to_owned()),
    }
}

/// What went wrong. Values of the object are left out: they may be long, and they may be secret.
fn reason(error: &ExecutionError, failed: &HashMap<String, String>) -> String {
    use ExecutionError::{
        DivisionByZero, FunctionError, IndexOutOfBounds, InvalidArgumentCount, NoSuchKey,
        NoSuchOverload, Overflow, RemainderByZero, UndeclaredReference,
    };
    match error {
        NoSuchKey(key) => format!("there is no field {:?}; test it first with has()", clip(key)),
        UndeclaredReference(name) => match variable_of(name) {
            Some(name) => {
                let why = failed.get(name).map_or("it has no value", String::as_str);
                format!("variables.{name}: {why}")
            }
            None => format!("{:?} is not defined", clip(name)),
        },
        InvalidArgumentCount { expected, actual } => {
            format!("a function takes {expected} arguments and got {actual}")
        }
        IndexOutOfBounds(_) => "an index is out of bounds".to_owned(),
        DivisionByZero(_) | RemainderByZero(_) => "it divides by zero".to_owned(),
        Overflow(..) => "a number is too large".to_owned(),
        FunctionError { function, message } => format!("{}(): {}", clip(function), clip(message)),
        NoSuchOverload => "an operator or a function got a value of another type".to_owned(),
        _ => "a value is of another type than its use needs".to_owned(),
    }
}

fn type_name(value: &CelValue) -> &'static str {
    match value {
        CelValue::List(_) => "a list",
        CelValue::Map(_) => "a map",
        CelValue::Int(_) | CelValue::UInt(_) | CelValue::Float(_) => "a number",
        CelValue::String(_) => "a string",
        CelValue::Null => "null",
        _ => "something else",
    }
}
