//! The checker's errors about names that are not declared, fields that do not exist, and calls that fit no overload.

use super::super::ast::ExprId;
use super::super::declarations::{CallStyle, Overload};
use super::super::environment::ObjectType;
use super::super::macros;
use super::super::operators;
use super::super::source::{CompileError, suggestion};
use super::super::types::{QUANTITY, SEMVER, Type};
use super::checker::Checker;
use super::explain::{article, listing, macro_name, operator_sign, signatures};

/// The most signatures that a message about a function shows, where the signature is not the error.
const MAX_FORMS: usize = 3;

impl Checker<'_> {
    pub(super) fn undeclared(&self, id: ExprId, name: &str) -> CompileError {
        let name = name.strip_prefix('.').unwrap_or(name);
        if let Some(reason) = self.environment.reason_against(name) {
            return self.ast.refuse(id, format!("{name} is not available: {reason}"));
        }
        if self.environment.function(name).is_some() {
            return self
                .ast
                .refuse(id, format!("{name} is a function; call it as {}", self.call_forms(name)));
        }
        let declared = || {
            let scopes = self
                .scopes
                .iter()
                .map(|(name, _)| &**name)
                .filter(|name| !name.starts_with(['@', '#']));
            self.environment.variable_names().chain(scopes)
        };
        let mut message = format!("there is no variable {name}");
        message.push_str(&suggestion(name, declared()));
        message.push_str(&listing(declared()));
        message.push_str("; write text in quotes");
        self.ast.refuse(id, message)
    }

    pub(super) fn no_such_field(
        &self,
        id: ExprId,
        operand: ExprId,
        field: &str,
        object: &ObjectType,
    ) -> CompileError {
        let holder = self.qualified_name(operand).unwrap_or_else(|| object.name.to_string());
        let names = || object.fields.iter().map(|(its, _)| &**its);
        let listing = if object.fields.is_empty() {
            "; no variable is defined before it".to_owned()
        } else {
            listing(names())
        };
        self.ast
            .refuse(id, format!("{holder} has no {field}{}{listing}", suggestion(field, names())))
    }

    pub(super) fn no_fields(&self, id: ExprId, of: &Type) -> CompileError {
        let hint = match of {
            Type::List(_) => "; write [0] for an element, or use all() or exists()",
            _ => "",
        };
        self.ast.refuse(id, format!("this is {}, which has no fields{hint}", article(of)))
    }

    pub(super) fn unknown_function(
        &self,
        id: ExprId,
        name: &str,
        target: Option<ExprId>,
    ) -> CompileError {
        let written = match target.and_then(|target| self.qualified_name(target)) {
            Some(target) if self.is_namespace(&target) => format!("{target}.{name}"),
            _ => name.to_owned(),
        };
        let forms: Vec<&str> =
            macros::MACROS.iter().copied().filter(|form| macro_name(form) == name).collect();
        if !forms.is_empty() {
            return self.ast.refuse(id, format!("{name}() is written as {}", forms.join(" or ")));
        }
        let names = self
            .environment
            .function_names()
            .chain(macros::MACROS.iter().map(|form| macro_name(form)));
        let hint = match written.as_str() {
            "len" | "length" | "count" => "; write size(x)".to_owned(),
            "toLowerCase" | "lower" | "toLower" => "; did you mean lowerAscii()?".to_owned(),
            "toUpperCase" | "upper" | "toUpper" => "; did you mean upperAscii()?".to_owned(),
            "any" | "some" => "; did you mean exists()?".to_owned(),
            "not" => "; write ! before the condition".to_owned(),
            _ => suggestion(&written, names).replace('?', "()?"),
        };
        self.ast.refuse(id, format!("there is no function {written}(){hint}"))
    }

    /// Whether the name is a prefix of functions' names, as `sets` is of `sets.contains`.
    fn is_namespace(&self, name: &str) -> bool {
        self.environment
            .function_names()
            .any(|function| function.split_once('.').is_some_and(|(its, _)| its == name))
    }

    pub(super) fn no_overload(
        &self,
        id: ExprId,
        name: &str,
        overloads: &[Overload],
        args: &[Type],
        style: CallStyle,
    ) -> CompileError {
        let message = match (name, args) {
            (operators::EQUALS | operators::NOT_EQUALS, [one, other]) => format!(
                "{one} and {other} are never equal; compare values of one type, as with string(x), int(x) or double(x)"
            ),
            (operators::CONDITIONAL, [condition, ..])
                if !condition.is_dyn() && *condition != Type::Bool =>
            {
                format!("the condition before ? is {}, and must be a bool", article(condition))
            }
            (operators::CONDITIONAL, [_, yes, no]) => {
                format!(
                    "both values of a condition must be of one type, and these are {yes} and {no}; write dyn(…) around them to mix"
                )
            }
            (operators::NOT, [of]) => format!("! takes a bool, and this is {}", article(of)),
            (operators::NEGATE, [of]) => format!("- takes a number, and this is {}", article(of)),
            (operators::INDEX | operators::OPT_INDEX, [of, key]) => match of {
                Type::List(_) => format!("a list's index is an int, and this is {}", article(key)),
                Type::Map(its, _) => {
                    format!("this map's keys are {}, and this is {}", **its, article(key))
                }
                _ => format!("[] takes an element of a list or a map, and this is {}", article(of)),
            },
            (_, [left, right]) if let Some(sign) = operator_sign(name) => {
                let hint = match (left, right) {
                    (Type::Int, Type::Double) | (Type::Double, Type::Int) => {
                        "; write double(x) around the int, or 1.0 for 1"
                    }
                    (Type::Object(of), _)
                        if [QUANTITY, SEMVER].contains(&&**of) && sign.starts_with(['<', '>']) =>
                    {
                        "; write isLessThan(), isGreaterThan() or compareTo()"
                    }
                    (Type::Object(of), _) if &**of == QUANTITY => "; write add() or sub()",
                    _ if sign == "in" => "; its right side must be a list or a map",
                    (Type::String, _) | (_, Type::String) if sign == "+" => {
                        "; write string(x) around the value that is not a string"
                    }
                    _ => "",
                };
                format!("{sign} does not take {left} and {right}{hint}")
            }
            (operators::SORT_BY_KEYS, [_, keys]) => {
                format!(
                    "sortBy() takes a key that can be compared, such as an int or a string, and these are {keys}"
                )
            }
            _ => return self.no_call(id, name, overloads, args, style),
        };
        self.ast.refuse(id, message)
    }

    /// An error that lists the arguments of a call and the function's signatures.
    fn no_call(
        &self,
        id: ExprId,
        name: &str,
        overloads: &[Overload],
        args: &[Type],
        style: CallStyle,
    ) -> CompileError {
        let list =
            |types: &[Type]| types.iter().map(Type::to_string).collect::<Vec<_>>().join(", ");
        let written = match args {
            [target, rest @ ..] if style == CallStyle::Member => {
                format!("{target}.{name}({})", list(rest))
            }
            _ => format!("{name}({})", list(args)),
        };
        let of_style: Vec<&Overload> = overloads.iter().filter(|it| it.style == style).collect();
        let takes: Vec<String> = of_style
            .iter()
            .filter_map(|it| match it.params.as_slice() {
                [only] if style == CallStyle::Global => Some(only.to_string()),
                _ => None,
            })
            .collect();
        if let ([only], false) = (args, takes.is_empty() || takes.len() < of_style.len()) {
            let message =
                format!("{name}() takes {}, and this is {}", takes.join(", "), article(only));
            return self.ast.refuse(id, message);
        }
        let hint = match args.first() {
            Some(Type::Optional(_)) if style == CallStyle::Member => {
                "; write .orValue(…) after the optional for its value"
            }
            _ => "",
        };
        let shown = if of_style.is_empty() { overloads.iter().collect() } else { of_style };
        let message = format!("there is no {written}; there is {}{hint}", signatures(name, shown));
        self.ast.refuse(id, message)
    }

    fn call_forms(&self, name: &str) -> String {
        signatures(name, self.environment.function(name).into_iter().flatten().take(MAX_FORMS))
    }
}
