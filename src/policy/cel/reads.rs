//! What of the pod an expression reads, going by its syntax tree. What is done to a list or a map reads all of it.

use std::collections::HashMap;
use std::sync::Arc;

use kube_cel::cel::IdedExpr;
use kube_cel::cel::common::ast::{EntryExpr, Expr, LiteralValue};

use super::super::reads::Reads;
use super::Expression;
use super::check::variable_of;

/// What each validation reads, by its place. A variable reads what those before it read that it uses.
pub(super) fn of(variables: &[Expression], validations: &[Expression]) -> Vec<Arc<Reads>> {
    let mut known = HashMap::new();
    for variable in variables {
        let reads = of_one(&variable.expr, &known);
        known.insert(variable.name.as_str(), reads);
    }
    validations.iter().map(|it| Arc::new(of_one(&it.expr, &known))).collect()
}

fn of_one(expr: &IdedExpr, variables: &HashMap<&str, Reads>) -> Reads {
    let mut reads = Reads::default();
    walk(expr, variables, &mut reads);
    reads
}

fn walk(expr: &IdedExpr, variables: &HashMap<&str, Reads>, reads: &mut Reads) {
    if let Some(path) = path_of(expr) {
        reads.add(path);
        return;
    }
    let mut each = |expr: &IdedExpr| walk(expr, variables, reads);
    match &expr.expr {
        Expr::Ident(name) => {
            if let Some(variable) = variable_of(name).and_then(|name| variables.get(name)) {
                reads.add_all(variable);
            }
        }
        Expr::Select(select) => each(&select.operand),
        Expr::Call(call) => call.target.iter().map(|it| &**it).chain(&call.args).for_each(each),
        // What its variables stand for is part of the range, which is read whole.
        Expr::Comprehension(it) => {
            let parts = [&it.iter_range, &it.accu_init, &it.loop_cond, &it.loop_step, &it.result];
            for part in parts {
                each(part);
            }
        }
        Expr::List(list) => list.elements.iter().for_each(each),
        Expr::Map(map) => {
            for entry in &map.entries {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    each(&entry.key);
                    each(&entry.value);
                }
            }
        }
        Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => {}
    }
}

/// The field of the pod that an expression is: `object.spec.hostPID`, `object.metadata.labels["app"]`. (Where a
/// comprehension calls its own variable `object`, more is taken to be read than is.)
fn path_of(expr: &IdedExpr) -> Option<Vec<String>> {
    match &expr.expr {
        Expr::Ident(name) if name == "object" => Some(Vec::new()),
        Expr::Select(select) => {
            Some([path_of(&select.operand)?, vec![select.field.clone()]].concat())
        }
        Expr::Call(call) if call.target.is_none() && call.func_name == "_[_]" => {
            let [value, key] = &call.args[..] else { return None };
            let Expr::Literal(LiteralValue::String(key)) = &key.expr else { return None };
            Some([path_of(value)?, vec![key.inner().to_owned()]].concat())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Expressions;
    use super::*;

    fn reads(expression: &str) -> Reads {
        let variables = json!([
            {"name": "images", "expression": "object.spec.containers.map(c, c.image)"},
            {"name": "first", "expression": "variables.images[0] + object.metadata.name"},
        ]);
        let validations = json!([{"name": "own", "expression": expression, "message": "m"}]);
        let (validations, variables) = (
            serde_json::from_value::<Vec<_>>(validations).unwrap(),
            serde_json::from_value::<Vec<_>>(variables).unwrap(),
        );
        let expressions = Expressions::compile(&validations, &variables).unwrap();
        assert!(expressions.reads(1).is_none());
        (**expressions.reads(0).unwrap()).clone()
    }

    fn paths(paths: &[&[&str]]) -> Reads {
        let mut reads = Reads::default();
        for path in paths {
            reads.add(path.iter().map(|it| (*it).to_owned()).collect());
        }
        reads
    }

    #[test]
    fn an_expression_reads_the_fields_that_it_names_and_all_below_them() {
        let (containers, name): (&[&str], &[&str]) =
            (&["spec", "containers"], &["metadata", "name"]);
        for (expression, expected) in [
            ("object.spec.containers.all(c, c.image.startsWith('x'))", paths(&[containers])),
            ("has(object.spec.hostPID) && object.spec.hostPID", paths(&[&["spec", "hostPID"]])),
            (
                "object.metadata.labels['app'] == object.metadata.name",
                paths(&[&["metadata", "labels", "app"], name]),
            ),
            ("'app' in object.metadata.labels", paths(&[&["metadata", "labels"]])),
            ("object.spec.containers[0].image == 'x'", paths(&[containers])),
            ("variables.first != ''", paths(&[containers, name])),
            ("variables.images.exists(i, i == object.metadata.name)", paths(&[containers, name])),
            ("object.all(field, field != 'x')", paths(&[&[]])),
            (
                "[object.spec.x, {'a': object.spec.y}] != []",
                paths(&[&["spec", "x"], &["spec", "y"]]),
            ),
            ("has(object.spec) && namespaceObject.metadata.name != ''", paths(&[&["spec"]])),
            ("size(object.metadata) > 0", paths(&[&["metadata"]])),
            ("true", paths(&[])),
        ] {
            assert_eq!(reads(expression), expected, "{expression}");
        }
    }
}
