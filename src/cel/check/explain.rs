//! The checker's error messages: what is wrong, and how to correct it.

use std::fmt::Write;

use super::super::declarations::{Overload, signature};
use super::super::operators;
use super::super::source::suggestion;
use super::super::types::Type;
use super::super::wellknown::Message;

/// The most signatures that a message lists, and half of the most names.
const MAX_LISTED: usize = 8;

pub(super) const TOO_COMPLEX: &str =
    "the types of its parts are too complex; move parts into variables";

pub(super) fn type_in_variable(name: &str) -> String {
    format!(
        "the value of {name} is a type, and Kubernetes does not compare with a type in a variable; name the type itself, as in type(x) == string"
    )
}

pub(super) fn not_bool(operator: &str, of: &Type) -> String {
    let sign = if operator == operators::AND { "&&" } else { "||" };
    format!("this is {}, and {sign} and conditions take a bool", article(of))
}

pub(super) fn not_optional(of: &Type) -> String {
    format!("the value after ? must be an optional, as value.?field is; this is {}", article(of))
}

pub(super) fn mixed_fold(before: &Type, of: &Type) -> String {
    format!(
        "the results of a macro must be of one type: these are {before} and {of}; write dyn(…) around each to mix them"
    )
}

pub(super) fn no_such_type(name: &str) -> String {
    format!("there is no type {name}")
}

pub(super) fn no_such_struct_field(name: &str, field: &str, message: &Message) -> String {
    let names = || message.fields.iter().map(|(its, _)| &**its);
    format!("{name} has no field {field}{}{}", suggestion(field, names()), listing(names()))
}

pub(super) fn wrong_field_type(field: &str, wanted: &Type, of: &Type) -> String {
    format!("{field} is of type {wanted}; this is {}", article(of))
}

pub(super) fn no_range(of: &Type) -> String {
    let hint = match of {
        Type::Optional(_) => "; write .orValue([]) after the optional",
        _ => "",
    };
    format!("this is {}; macros take lists and maps{hint}", article(of))
}

/// The macro's name, from the form of its call: `all` of `range.all(x, condition)`.
pub(super) fn macro_name(form: &str) -> &str {
    let call = form.split('(').next().unwrap_or(form);
    call.rsplit('.').next().unwrap_or(call)
}

pub(super) fn signatures<'o>(
    name: &str,
    overloads: impl IntoIterator<Item = &'o Overload>,
) -> String {
    let mut text = String::new();
    for (at, overload) in overloads.into_iter().enumerate() {
        if at == MAX_LISTED {
            text.push_str(", …");
            break;
        }
        let _ = write!(text, "{}{}", if at == 0 { "" } else { ", " }, signature(name, overload));
    }
    text
}

/// `; there are a, b and c`, or an empty text if there are no names.
pub(super) fn listing<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.as_slice() {
        [] => String::new(),
        [only] => format!("; there is {only}"),
        [most @ .., last] if names.len() <= 2 * MAX_LISTED => {
            format!("; there are {} and {last}", most.join(", "))
        }
        [..] => format!(
            "; there are {} and others",
            names.get(..MAX_LISTED).unwrap_or_default().join(", ")
        ),
    }
}

/// `an int`, `a string`, `null`.
pub(super) fn article(of: &Type) -> String {
    match of {
        Type::Null => "null".to_owned(),
        Type::Int | Type::Optional(_) | Type::Object(_) => {
            format!("an {of}").replace("an kubernetes", "a kubernetes")
        }
        Type::Dyn | Type::Any => "a value of unknown type".to_owned(),
        _ => format!("a {of}"),
    }
}

/// The sign of a binary operator, by its function's name.
pub(super) fn operator_sign(name: &str) -> Option<&str> {
    if name == operators::IN {
        Some("in")
    } else {
        name.strip_prefix('_').and_then(|rest| rest.strip_suffix('_'))
    }
}
