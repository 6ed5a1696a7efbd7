//! What can be said of an expression before there is an object: which names it uses, and what bounds its cost.

use kube_cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr,
};
use kube_cel::cel::{ExecutionError, IdedExpr};

use super::run;

/// The deepest nesting of comprehensions (`all`, `exists`, `filter`, `map`…) and the most of them.
const MAX_DEPTH: u32 = 2;
const MAX_COMPREHENSIONS: u32 = 8;
/// The most memory of a compiled pattern, in bytes.
const MAX_PATTERN_SIZE: usize = 256 * 1024;
/// The functions whose arguments are regular expressions.
const PATTERN_FUNCTIONS: [&str; 3] = ["matches", "find", "findAll"];
/// How a variable is called once the expression is checked; no source can spell it.
const VARIABLE_PREFIX: &str = "@variables.";

/// What an evaluation costs depends on these and on the object.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    /// How deep comprehensions nest.
    pub depth: u32,
    /// Whether one goes over what a function made of a string, such as `split`.
    pub over_strings: bool,
}

/// The name under which a variable's value stands at evaluation.
pub(super) fn variable_name(name: &str) -> String {
    format!("{VARIABLE_PREFIX}{name}")
}

/// The variable that a name at evaluation stands for.
pub(super) fn variable_of(name: &str) -> Option<&str> {
    name.strip_prefix(VARIABLE_PREFIX)
}

/// What is wrong with an expression.
pub(super) struct Fault {
    pub message: String,
    /// The name at fault, if it is one.
    pub name: Option<String>,
}

impl From<String> for Fault {
    fn from(message: String) -> Self {
        Self { message, name: None }
    }
}

fn unknown<T>(name: &str, message: String) -> Result<T, Fault> {
    Err(Fault { message, name: Some(name.to_owned()) })
}

/// Where a name first stands in a source, outside of its strings, as `LINE:COLUMN`. (The parser gives no positions away.)
pub(super) fn place_of(source: &str, name: &str) -> Option<String> {
    let part_of_name = |it: char| it.is_alphanumeric() || it == '_';
    let mut quoted = None;
    let mut escaped = false;
    let mut before = ' ';
    for (at, character) in source.char_indices() {
        match quoted {
            Some(_) if escaped => escaped = false,
            Some(_) if character == '\\' => escaped = true,
            Some(quote) if character == quote => quoted = None,
            Some(_) => {}
            None if matches!(character, '\'' | '"') => quoted = Some(character),
            None => {
                let rest = source.get(at..).and_then(|it| it.strip_prefix(name));
                if rest.is_some_and(|rest| !rest.starts_with(part_of_name)) && !part_of_name(before)
                {
                    let (_, line) =
                        source.get(..at)?.rsplit_once('\n').unwrap_or(("", source.get(..at)?));
                    let lines = source.get(..at)?.matches('\n').count() + 1;
                    return Some(format!("{lines}:{}", line.chars().count() + 1));
                }
            }
        }
        before = character;
    }
    None
}

/// Checks an expression, and gives its variables their evaluation names.
pub(super) fn check(expr: &mut IdedExpr, variables: &[String]) -> Result<Cost, Fault> {
    let mut walk = Walk { variables, scope: Vec::new(), depth: 0, count: 0, cost: Cost::default() };
    walk.expr(expr)?;
    Ok(walk.cost)
}

struct Walk<'a> {
    variables: &'a [String],
    /// The names that the comprehensions around here define.
    scope: Vec<String>,
    depth: u32,
    count: u32,
    cost: Cost,
}

impl Walk<'_> {
    fn expr(&mut self, expr: &mut IdedExpr) -> Result<(), Fault> {
        if let Some(replacement) = self.variable(&expr.expr)? {
            expr.expr = replacement;
            return Ok(());
        }
        match &mut expr.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) => self.expr(&mut select.operand),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::List(list) => list.elements.iter_mut().try_for_each(|it| self.expr(it)),
            Expr::Map(map) => map.entries.iter_mut().try_for_each(|entry| match &mut entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.expr(&mut entry.key)?;
                    self.expr(&mut entry.value)
                }
                EntryExpr::StructField(_) => Err("it makes an object of a type".to_owned().into()),
            }),
            Expr::Struct(_) | Expr::Unspecified => {
                Err("it makes an object of a type".to_owned().into())
            }
        }
    }

    /// What `variables.NAME` becomes.
    fn variable(&self, expr: &Expr) -> Result<Option<Expr>, Fault> {
        let Expr::Select(SelectExpr { operand, field, test }) = expr else { return Ok(None) };
        if !matches!(&operand.expr, Expr::Ident(name) if name == "variables" && !self.scope.contains(name))
        {
            return Ok(None);
        }
        if !self.variables.contains(field) {
            let before = if self.variables.is_empty() {
                "there is none before it".to_owned()
            } else {
                format!("before it there are {}", self.variables.join(", "))
            };
            let name = format!("variables.{field}");
            let message = format!("{name} is not defined: {before}");
            return unknown(&name, message);
        }
        Ok(Some(if *test {
            Expr::Literal(LiteralValue::Boolean(true.into()))
        } else {
            Expr::Ident(variable_name(field))
        }))
    }

    fn ident(&self, name: &str) -> Result<(), Fault> {
        // Macros define names that start so.
        let known = name.starts_with('@')
            || ["object", "namespaceObject"].contains(&name)
            || self.scope.iter().any(|defined| defined == name);
        if known {
            return Ok(());
        }
        let message = match name {
            "variables" => "use a variable by its name: variables.NAME".to_owned(),
            "request" | "oldObject" | "params" | "authorizer" => format!(
                "{name} is not there: a verdict must not depend on how the pod is looked at; use object"
            ),
            _ => {
                format!("{name:?} is not defined; there are object, namespaceObject and variables")
            }
        };
        unknown(name, message)
    }

    fn call(&mut self, call: &mut CallExpr) -> Result<(), Fault> {
        let qualified = match call.target.as_ref().map(|target| &target.expr) {
            Some(Expr::Ident(namespace)) if !self.is_value(namespace) => {
                Some(format!("{namespace}.{}", call.func_name))
            }
            _ => None,
        };
        let name = qualified.as_deref().unwrap_or(&call.func_name);
        if !is_function(name) {
            return unknown(name, format!("there is no function {name}()"));
        }
        if qualified.is_none()
            && let Some(target) = &mut call.target
        {
            self.expr(target)?;
        }
        if PATTERN_FUNCTIONS.contains(&call.func_name.as_str()) {
            let patterns = if call.target.is_some() {
                &call.args[..]
            } else {
                call.args.get(1..).unwrap_or_default()
            };
            patterns.iter().try_for_each(|it| check_pattern(&call.func_name, it))?;
        }
        call.args.iter_mut().try_for_each(|argument| self.expr(argument))
    }

    fn is_value(&self, name: &str) -> bool {
        ["object", "namespaceObject", "variables"].contains(&name)
            || name.starts_with('@')
            || self.scope.iter().any(|defined| defined == name)
    }

    fn comprehension(&mut self, it: &mut ComprehensionExpr) -> Result<(), Fault> {
        self.count += 1;
        if self.count > MAX_COMPREHENSIONS {
            return Err(format!("it has more than {MAX_COMPREHENSIONS} comprehensions").into());
        }
        self.expr(&mut it.iter_range)?;
        self.cost.over_strings |= calls_a_function(&it.iter_range);
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("comprehensions nest deeper than {MAX_DEPTH}").into());
        }
        self.cost.depth = self.cost.depth.max(self.depth);
        let outside = self.scope.len();
        self.scope.push(it.iter_var.clone());
        self.scope.extend(it.iter_var2.clone());
        self.scope.push(it.accu_var.clone());
        for part in [&mut it.accu_init, &mut it.loop_cond, &mut it.loop_step, &mut it.result] {
            self.expr(part)?;
        }
        self.scope.truncate(outside);
        self.depth -= 1;
        Ok(())
    }
}

/// Whether a list comes from a function rather than from the object: its length is then not the object's.
fn calls_a_function(expr: &IdedExpr) -> bool {
    match &expr.expr {
        Expr::Call(call) => {
            !call.func_name.contains('_')
                || call.target.iter().any(|target| calls_a_function(target))
                || call.args.iter().any(calls_a_function)
        }
        Expr::Select(select) => calls_a_function(&select.operand),
        Expr::Comprehension(comprehension) => calls_a_function(&comprehension.iter_range),
        _ => false,
    }
}

/// Patterns are compiled for every use, so what they may cost must be known beforehand.
fn check_pattern(function: &str, argument: &IdedExpr) -> Result<(), Fault> {
    let pattern = match &argument.expr {
        Expr::Literal(LiteralValue::String(pattern)) => pattern.inner(),
        Expr::Literal(_) => return Ok(()),
        _ => {
            return Err(
                format!("the pattern of {function}() must be written out as a string").into()
            );
        }
    };
    let compiled = regex::RegexBuilder::new(pattern).size_limit(MAX_PATTERN_SIZE).build();
    match compiled {
        Ok(_) => Ok(()),
        Err(regex::Error::CompiledTooBig(_)) => {
            Err(format!("the pattern of {function}() is too large").into())
        }
        Err(_) => Err(format!("the pattern of {function}() is no regular expression").into()),
    }
}

/// Whether a function, or an operator by its internal name, is there: a call without arguments tells.
fn is_function(name: &str) -> bool {
    let Some((target, name)) =
        name.rsplit_once('.').map(|(a, b)| (Some(a), b)).or(Some((None, name)))
    else {
        return false;
    };
    let ident = |name: &str| IdedExpr { id: 0, expr: Expr::Ident(name.to_owned()) };
    let call = CallExpr {
        func_name: name.to_owned(),
        target: target.map(|target| Box::new(ident(target))),
        args: Vec::new(),
    };
    let call = IdedExpr { id: 0, expr: Expr::Call(call) };
    let operator = name.starts_with(['_', '@', '!', '-']);
    operator
        || run::with_functions(|functions| {
            !matches!(functions.resolve(&call), Err(ExecutionError::UndeclaredReference(_)))
        })
}

#[cfg(test)]
mod tests {
    use super::place_of;

    #[test]
    fn a_name_is_found_where_it_first_stands_outside_of_strings() {
        for (source, name, place) in [
            ("foo(1)", "foo", Some("1:1")),
            ("'foo' == foo", "foo", Some("1:10")),
            (r#""a\"foo" + foo"#, "foo", Some("1:12")),
            ("afoo + foo2 +\n  foo", "foo", Some("2:3")),
            ("é + variables.x", "variables.x", Some("1:5")),
            ("'foo'", "foo", None),
        ] {
            assert_eq!(place_of(source, name).as_deref(), place, "{source}");
        }
    }
}
