//! Declarations of functions. Each library is one table ([`FunctionLibrary`]): the checker resolves calls with it, the
//! planner finds implementations and costs by the overloads' ids, and the documentation lists it.
//!
//! Ids and order of overloads are those of cel-go and Kubernetes (`common/overloads/overloads.go`, `ext/*.go`,
//! `pkg/cel/library/*.go`). The order matters: the first overload that fits determines the result's type.

use std::fmt;

use super::types::Type;

/// A named group of functions.
#[derive(Clone, Debug)]
pub struct FunctionLibrary {
    /// The heading in the documentation: `strings`, `Kubernetes lists`.
    pub name: &'static str,
    pub functions: Vec<Function>,
}

/// A function: one name, one or more overloads.
#[derive(Clone, Debug)]
pub struct Function {
    /// The full name: `charAt`, `sets.contains`, or an operator's (`_+_`, see [`super::operators`]).
    pub name: &'static str,
    pub overloads: Vec<Overload>,
}

/// One signature of a function.
#[derive(Clone, Debug)]
pub struct Overload {
    pub id: &'static str,
    pub style: CallStyle,
    /// Types of the arguments; [`Type::Param`] for type parameters.
    pub params: Vec<Type>,
    pub result: Type,
}

/// How an overload is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallStyle {
    /// `function(…)`.
    Global,
    /// `target.function(…)`; the target's type is the first of the parameters.
    Member,
}

/// Declares a function. A library may declare overloads of another
/// library's function; they come after that library's own.
pub fn function<const N: usize>(name: &'static str, overloads: [Overload; N]) -> Function {
    Function { name, overloads: overloads.into() }
}

/// An overload called as `function(params)`.
pub fn global<const N: usize>(id: &'static str, params: [Type; N], result: Type) -> Overload {
    Overload { id, style: CallStyle::Global, params: params.into(), result }
}

/// An overload called as `params[0].function(the rest)`.
pub fn member<const N: usize>(id: &'static str, params: [Type; N], result: Type) -> Overload {
    Overload { id, style: CallStyle::Member, params: params.into(), result }
}

impl Function {
    /// The signature of each overload: `string.charAt(int) -> string`.
    pub fn signatures(&self) -> impl Iterator<Item = String> + '_ {
        self.overloads.iter().map(|overload| signature(self.name, overload))
    }
}

/// The signature of an overload: `string.charAt(int) -> string`.
pub fn signature(function: &str, overload: &Overload) -> String {
    Signature(function, overload).to_string()
}

struct Signature<'a>(&'a str, &'a Overload);

impl fmt::Display for Signature<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name, overload) = self;
        let mut params = overload.params.iter();
        if overload.style == CallStyle::Member
            && let Some(target) = params.next()
        {
            write!(f, "{target}.")?;
        }
        write!(f, "{name}(")?;
        for (at, param) in params.enumerate() {
            write!(f, "{}{param}", if at == 0 { "" } else { ", " })?;
        }
        write!(f, ") -> {}", overload.result)
    }
}
