//! Macros: calls that the parser expands to other expressions. They are those of cel-go's `parser/macro.go`,
//! `cel/library.go` (optionals), `ext/comprehensions.go` (two variables) and `ext/lists.go` (`sortBy`).

use super::ast::{Comprehension, Expr, ExprId, Literal, Name};
use super::build::Builder;
use super::operators;
use super::source::SyntaxError;

/// The accumulator of every fold. It is not an identifier, so no source can use it.
pub const ACCUMULATOR: &str = "@result";
/// The accumulator of older versions. cel-go refuses iteration variables of this name.
const OLD_ACCUMULATOR: &str = "__result__";
/// The iteration variable of a fold over an empty list, which only binds its accumulator to a value.
pub const UNUSED: &str = "#unused";
/// The variable that holds the list of `sortBy`.
const SORT_INPUT: &str = "@__sortBy_input__";

/// The forms of the macros' calls.
pub const MACROS: [&str; 20] = [
    "has(value.field)",
    "range.all(x, condition)",
    "range.all(k, v, condition)",
    "range.exists(x, condition)",
    "range.exists(k, v, condition)",
    "range.exists_one(x, condition)",
    "range.exists_one(k, v, condition)",
    "range.existsOne(k, v, condition)",
    "range.map(x, value)",
    "range.map(x, condition, value)",
    "range.filter(x, condition)",
    "range.transformList(k, v, value)",
    "range.transformList(k, v, condition, value)",
    "range.transformMap(k, v, value)",
    "range.transformMap(k, v, condition, value)",
    "range.transformMapEntry(k, v, {key: value})",
    "range.transformMapEntry(k, v, condition, {key: value})",
    "list.sortBy(x, key)",
    "optional.optMap(x, value)",
    "optional.optFlatMap(x, optional)",
];

type Expanded = Result<ExprId, SyntaxError>;

/// Expands the macro of that name and number of arguments, or else
/// builds an ordinary call. New nodes have the call's position.
pub(super) fn call(
    tree: &mut Builder,
    function: &str,
    target: Option<ExprId>,
    args: Vec<ExprId>,
) -> Expanded {
    match (function, target, args.as_slice()) {
        ("has", None, [field]) => presence(tree, *field),
        ("all" | "exists" | "exists_one", Some(range), [x, condition]) => {
            let variables = one_variable(tree, *x)?;
            quantifier(tree, function, range, variables, *condition)
        }
        ("all" | "exists" | "exists_one" | "existsOne", Some(range), [k, v, condition]) => {
            let variables = two_variables(tree, *k, *v)?;
            quantifier(tree, function, range, variables, *condition)
        }
        ("map", Some(range), [x, value]) => map(tree, range, *x, None, *value),
        ("map", Some(range), [x, condition, value]) => {
            map(tree, range, *x, Some(*condition), *value)
        }
        ("filter", Some(range), [x, condition]) => {
            let variables = one_variable(tree, *x)?;
            collect(tree, range, variables, Some(*condition), *x)
        }
        ("transformList", Some(range), [k, v, value]) => {
            let variables = two_variables(tree, *k, *v)?;
            collect(tree, range, variables, None, *value)
        }
        ("transformList", Some(range), [k, v, condition, value]) => {
            let variables = two_variables(tree, *k, *v)?;
            collect(tree, range, variables, Some(*condition), *value)
        }
        ("transformMap" | "transformMapEntry", Some(range), [k, v, rest @ ..])
            if (1..=2).contains(&rest.len()) =>
        {
            let variables = two_variables(tree, *k, *v)?;
            insert(tree, range, variables, rest, function == "transformMapEntry")
        }
        ("optMap" | "optFlatMap", Some(optional), [x, value]) => {
            map_optional(tree, function, optional, *x, *value)
        }
        ("sortBy", Some(list), [x, key]) => sort(tree, list, *x, *key),
        _ => tree.push(Expr::Call { function: function.into(), target, args }),
    }
}

/// The variables of a fold.
struct Variables(Name, Option<Name>);

fn variable(tree: &Builder, id: ExprId) -> Result<Name, SyntaxError> {
    match tree.get(id) {
        Some(Expr::Ident(name)) if [ACCUMULATOR, OLD_ACCUMULATOR].contains(&&**name) => {
            Err(SyntaxError::new(tree.position_of(id), format!("no variable can be named {name}")))
        }
        Some(Expr::Ident(name)) => Ok(Name::clone(name)),
        _ => Err(SyntaxError::new(
            tree.position_of(id),
            "a variable's name is expected here, as x in list.all(x, x > 0)",
        )),
    }
}

fn one_variable(tree: &Builder, x: ExprId) -> Result<Variables, SyntaxError> {
    Ok(Variables(variable(tree, x)?, None))
}

fn two_variables(tree: &Builder, k: ExprId, v: ExprId) -> Result<Variables, SyntaxError> {
    let (first, second) = (variable(tree, k)?, variable(tree, v)?);
    if first == second {
        return Err(SyntaxError::new(
            tree.position_of(v),
            format!("both variables are named {first}"),
        ));
    }
    Ok(Variables(first, Some(second)))
}

fn presence(tree: &mut Builder, select: ExprId) -> Expanded {
    if let Some(Expr::Select { operand, field, .. }) = tree.get(select) {
        let (operand, field) = (*operand, Name::clone(field));
        tree.position = tree.position_of(select);
        tree.push(Expr::Select { operand, field, test_only: true })
    } else {
        let message = "has() takes a field, as in has(object.spec.hostNetwork)";
        Err(SyntaxError::new(tree.position_of(select), message))
    }
}

/// The parts of a fold that differ from macro to macro.
#[derive(Clone, Copy)]
struct Fold {
    init: ExprId,
    condition: ExprId,
    step: ExprId,
    result: ExprId,
}

fn fold(
    tree: &mut Builder,
    range: ExprId,
    Variables(iter_var, iter_var2): Variables,
    fold: Fold,
) -> Expanded {
    let Fold { init, condition, step, result } = fold;
    let accumulator = ACCUMULATOR.into();
    tree.push(Expr::Comprehension(Box::new(Comprehension {
        range,
        iter_var,
        iter_var2,
        accumulator,
        init,
        condition,
        step,
        result,
    })))
}

fn accumulator(tree: &mut Builder) -> Expanded {
    tree.ident(&ACCUMULATOR.into())
}

fn quantifier(
    tree: &mut Builder,
    kind: &str,
    range: ExprId,
    variables: Variables,
    test: ExprId,
) -> Expanded {
    let parts = match kind {
        "all" => {
            let init = tree.literal(Literal::Bool(true))?;
            let so_far = accumulator(tree)?;
            let condition = tree.call(operators::NOT_STRICTLY_FALSE, [so_far])?;
            let so_far = accumulator(tree)?;
            let step = tree.call(operators::AND, [so_far, test])?;
            Fold { init, condition, step, result: accumulator(tree)? }
        }
        "exists" => {
            let init = tree.literal(Literal::Bool(false))?;
            let so_far = accumulator(tree)?;
            let none = tree.call(operators::NOT, [so_far])?;
            let condition = tree.call(operators::NOT_STRICTLY_FALSE, [none])?;
            let so_far = accumulator(tree)?;
            let step = tree.call(operators::OR, [so_far, test])?;
            Fold { init, condition, step, result: accumulator(tree)? }
        }
        _ => {
            let init = tree.literal(Literal::Int(0))?;
            let condition = tree.literal(Literal::Bool(true))?;
            let (so_far, one) = (accumulator(tree)?, tree.literal(Literal::Int(1))?);
            let more = tree.call(operators::ADD, [so_far, one])?;
            let so_far = accumulator(tree)?;
            let step = tree.call(operators::CONDITIONAL, [test, more, so_far])?;
            let (so_far, one) = (accumulator(tree)?, tree.literal(Literal::Int(1))?);
            let result = tree.call(operators::EQUALS, [so_far, one])?;
            Fold { init, condition, step, result }
        }
    };
    fold(tree, range, variables, parts)
}

fn map(
    tree: &mut Builder,
    range: ExprId,
    x: ExprId,
    test: Option<ExprId>,
    value: ExprId,
) -> Expanded {
    let variables = one_variable(tree, x)?;
    collect(tree, range, variables, test, value)
}

/// A list of the value for each element that passes the test.
fn collect(
    tree: &mut Builder,
    range: ExprId,
    variables: Variables,
    test: Option<ExprId>,
    value: ExprId,
) -> Expanded {
    let init = tree.list([])?;
    let (so_far, one) = (accumulator(tree)?, tree.list([value])?);
    let step = tree.call(operators::ADD, [so_far, one])?;
    accumulate(tree, range, variables, (init, test, step))
}

/// A map of the entries for the elements that pass the test; `rest`
/// is the test, if there is one, and the value or the entry.
fn insert(
    tree: &mut Builder,
    range: ExprId,
    variables: Variables,
    rest: &[ExprId],
    entry: bool,
) -> Expanded {
    let (test, value) = match rest {
        [test, value] => (Some(*test), *value),
        [value] => (None, *value),
        _ => return Err(SyntaxError::new(tree.position, "the value of the entries is missing")),
    };
    let init = tree.push(Expr::Map(Vec::new()))?;
    let so_far = accumulator(tree)?;
    let step = if entry {
        tree.call(operators::MAP_INSERT, [so_far, value])?
    } else {
        let key = tree.ident(&variables.0)?;
        tree.call(operators::MAP_INSERT, [so_far, key, value])?
    };
    accumulate(tree, range, variables, (init, test, step))
}

/// A fold over the whole range, with a step for each element that passes the test.
fn accumulate(
    tree: &mut Builder,
    range: ExprId,
    variables: Variables,
    (init, test, step): (ExprId, Option<ExprId>, ExprId),
) -> Expanded {
    let condition = tree.literal(Literal::Bool(true))?;
    let step = match test {
        Some(test) => {
            let so_far = accumulator(tree)?;
            tree.call(operators::CONDITIONAL, [test, step, so_far])?
        }
        None => step,
    };
    let result = accumulator(tree)?;
    fold(tree, range, variables, Fold { init, condition, step, result })
}

/// `value`, evaluated with `name` bound to `to`: a fold over an empty list.
fn bind(tree: &mut Builder, name: Name, to: ExprId, value: ExprId) -> Expanded {
    let range = tree.list([])?;
    let condition = tree.literal(Literal::Bool(false))?;
    let step = tree.ident(&name)?;
    tree.push(Expr::Comprehension(Box::new(Comprehension {
        range,
        iter_var: UNUSED.into(),
        iter_var2: None,
        accumulator: name,
        init: to,
        condition,
        step,
        result: value,
    })))
}

fn map_optional(
    tree: &mut Builder,
    function: &str,
    optional: ExprId,
    x: ExprId,
    value: ExprId,
) -> Expanded {
    let Some(Expr::Ident(name)) = tree.get(x) else {
        let message =
            format!("a variable's name is expected here, as x in value.?field.{function}(x, …)");
        return Err(SyntaxError::new(tree.position_of(x), message));
    };
    let name = Name::clone(name);
    let present = tree.member_call("hasValue", optional, [])?;
    let copy = tree.copy(optional)?;
    let inner = tree.member_call("value", copy, [])?;
    let mut mapped = bind(tree, name, inner, value)?;
    if function == "optMap" {
        mapped = tree.call("optional.of", [mapped])?;
    }
    let none = tree.call("optional.none", [])?;
    tree.call(operators::CONDITIONAL, [present, mapped, none])
}

fn sort(tree: &mut Builder, list: ExprId, x: ExprId, key: ExprId) -> Expanded {
    if let Some(Expr::Literal(_) | Expr::Map(_) | Expr::Struct { .. }) = tree.get(list) {
        return Err(SyntaxError::new(tree.position_of(list), "sortBy() sorts a list"));
    }
    let input = Name::from(SORT_INPUT);
    let range = tree.ident(&input)?;
    let keys = map(tree, range, x, None, key)?;
    let sorted = tree.ident(&input)?;
    let sorted = tree.member_call(operators::SORT_BY_KEYS, sorted, [keys])?;
    bind(tree, input, list, sorted)
}
