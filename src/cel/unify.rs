//! Unification of types: which type may be assigned to which,
//! as in cel-go's `checker/types.go` and `checker/mapping.go`.

use super::types::{Param, Type};

/// The most comparisons of types for one expression. An ordinary expression takes some hundred; the limit stops types
/// that double with every step.
const MAX_STEPS: u32 = 200_000;
/// The deepest nesting of types, with type variables resolved.
const MAX_DEPTH: u32 = 300;

/// Bindings of type variables.
#[derive(Debug, Default)]
pub(super) struct Unifier {
    bindings: Vec<Option<Type>>,
    /// Bindings before each change, to undo changes.
    changes: Vec<(u32, Option<Type>)>,
    steps: u32,
    depth: u32,
    exhausted: bool,
}

/// Whether a type may take the place of a type variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Substitution {
    Valid,
    /// The variable is bound to a type that does not fit.
    Conflicting,
    /// The variable is unbound, and occurs in the type.
    Circular,
}

impl Unifier {
    /// A new, unbound type variable.
    pub fn fresh(&mut self) -> Type {
        let id = u32::try_from(self.bindings.len()).unwrap_or(u32::MAX);
        self.bindings.push(None);
        Type::Variable(id)
    }

    /// Whether a limit was exceeded. All answers since then are meaningless.
    pub fn exhausted(&self) -> bool {
        self.exhausted
    }

    /// Whether a value of type `from` may be used where `to` is expected. Binds type variables if so.
    pub fn assignable(&mut self, from: &Type, to: &Type) -> bool {
        let before = self.changes.len();
        let fits = self.fits(from, to);
        if !fits {
            self.take_back(before);
        }
        fits
    }

    /// [`Self::assignable`] for a list of arguments.
    pub fn all_assignable(&mut self, from: &[Type], to: &[Type]) -> bool {
        let before = self.changes.len();
        let fits =
            from.len() == to.len() && from.iter().zip(to).all(|(from, to)| self.fits(from, to));
        if !fits {
            self.take_back(before);
        }
        fits
    }

    fn take_back(&mut self, to: usize) {
        while self.changes.len() > to
            && let Some((variable, before)) = self.changes.pop()
        {
            if let Some(binding) = self.bindings.get_mut(variable as usize) {
                *binding = before;
            }
        }
    }

    fn binding(&self, variable: u32) -> Option<&Type> {
        self.bindings.get(variable as usize).and_then(Option::as_ref)
    }

    fn bind(&mut self, variable: u32, to: Type) {
        if let Some(binding) = self.bindings.get_mut(variable as usize) {
            self.changes.push((variable, binding.replace(to)));
        }
    }

    /// Counts a comparison, and a level of recursion until [`Self::up`].
    fn down(&mut self) -> bool {
        self.steps += 1;
        self.depth += 1;
        self.exhausted |= self.steps > MAX_STEPS || self.depth > MAX_DEPTH;
        !self.exhausted
    }

    fn up(&mut self) {
        self.depth -= 1;
    }

    /// `internalIsAssignable`.
    fn fits(&mut self, from: &Type, to: &Type) -> bool {
        let fits = self.down() && self.fits_unbounded(from, to);
        self.up();
        fits
    }

    fn fits_unbounded(&mut self, from: &Type, to: &Type) -> bool {
        if let Type::Variable(variable) = to {
            match self.substitute(from, *variable) {
                Substitution::Valid => return true,
                Substitution::Conflicting => return false,
                Substitution::Circular => {}
            }
        }
        if let Type::Variable(variable) = from {
            return self.substitute(to, *variable) == Substitution::Valid;
        }
        if from.is_dyn() || to.is_dyn() {
            return true;
        }
        if *from == Type::Null || *to == Type::Null {
            return is_nullable(if *from == Type::Null { to } else { from });
        }
        match (from, to) {
            (Type::Type(_), Type::Type(_)) => true,
            (Type::List(from), Type::List(to)) | (Type::Optional(from), Type::Optional(to)) => {
                self.fits(from, to)
            }
            (Type::Map(key, value), Type::Map(to_key, to_value)) => {
                self.fits(key, to_key) && self.fits(value, to_value)
            }
            _ => same(from, to),
        }
    }

    /// `isValidTypeSubstitution`: whether the type may be substituted for the variable. Binds the variable if so.
    fn substitute(&mut self, of: &Type, variable: u32) -> Substitution {
        if *of == Type::Variable(variable) {
            return Substitution::Valid;
        }
        let Some(bound) = self.binding(variable).cloned() else {
            if self.occurs(variable, of) {
                return Substitution::Circular;
            }
            self.bind(variable, of.clone());
            return Substitution::Valid;
        };
        if same(of, &bound) {
            return Substitution::Valid;
        }
        if !self.fits(of, &bound) {
            return Substitution::Conflicting;
        }
        let general = most_general(of, &bound);
        if !self.occurs(variable, general) {
            self.bind(variable, general.clone());
        }
        Substitution::Valid
    }

    /// The negation of `notReferencedIn`: whether the variable occurs in the type, with the type's variables resolved.
    fn occurs(&mut self, variable: u32, within: &Type) -> bool {
        let occurs = !self.down()
            || match within {
                Type::Variable(other) if *other == variable => true,
                Type::Variable(other) => match self.binding(*other).cloned() {
                    Some(bound) => self.occurs(variable, &bound),
                    None => false,
                },
                Type::List(inner) | Type::Optional(inner) | Type::Type(Some(inner)) => {
                    self.occurs(variable, inner)
                }
                Type::Map(key, value) => self.occurs(variable, key) || self.occurs(variable, value),
                _ => false,
            };
        self.up();
        occurs
    }

    /// The type with its bound variables replaced.
    pub fn resolve(&mut self, of: &Type) -> Type {
        let resolved = if self.down() { self.resolve_unbounded(of) } else { Type::Dyn };
        self.up();
        resolved
    }

    fn resolve_unbounded(&mut self, of: &Type) -> Type {
        match of {
            Type::Variable(variable) => match self.binding(*variable).cloned() {
                Some(bound) => self.resolve(&bound),
                None => of.clone(),
            },
            Type::List(inner) => Type::List(self.resolve_param(inner)),
            Type::Optional(inner) => Type::Optional(self.resolve_param(inner)),
            Type::Type(Some(inner)) => Type::Type(Some(self.resolve_param(inner))),
            Type::Map(key, value) => Type::Map(self.resolve_param(key), self.resolve_param(value)),
            _ => of.clone(),
        }
    }

    fn resolve_param(&mut self, param: &Param) -> Param {
        if has_variables(param) { Param::new(self.resolve(param)) } else { param.clone() }
    }

    /// The type with its bound variables replaced, and the others replaced by `dyn`.
    pub fn settle(&mut self, of: &Type) -> Type {
        let resolved = self.resolve(of);
        without_variables(&resolved)
    }
}

/// Whether a type has variables. The size of the type bounds the recursion.
fn has_variables(of: &Type) -> bool {
    match of {
        Type::Variable(_) => true,
        Type::List(inner) | Type::Optional(inner) | Type::Type(Some(inner)) => has_variables(inner),
        Type::Map(key, value) => has_variables(key) || has_variables(value),
        _ => false,
    }
}

fn without_variables(of: &Type) -> Type {
    let param = |param: &Param| {
        if has_variables(param) { Param::new(without_variables(param)) } else { param.clone() }
    };
    match of {
        Type::Variable(_) => Type::Dyn,
        Type::List(inner) => Type::List(param(inner)),
        Type::Optional(inner) => Type::Optional(param(inner)),
        Type::Type(Some(inner)) => Type::Type(Some(param(inner))),
        Type::Map(key, value) => Type::Map(param(key), param(value)),
        other => other.clone(),
    }
}

/// `isLegacyNullable`, and wrappers: whether null may be assigned to the type.
fn is_nullable(of: &Type) -> bool {
    matches!(
        of,
        Type::Null
            | Type::Any
            | Type::Duration
            | Type::Timestamp
            | Type::Wrapper(_)
            | Type::Optional(_)
            | Type::Opaque(_)
            | Type::Object(_)
    )
}

/// `IsExactType`: a wrapper is the same type as its primitive.
pub(super) fn same(one: &Type, other: &Type) -> bool {
    match (one, other) {
        (Type::Wrapper(one), other) => same(one, other),
        (one, Type::Wrapper(other)) => same(one, other),
        (Type::List(one), Type::List(other))
        | (Type::Optional(one), Type::Optional(other))
        | (Type::Type(Some(one)), Type::Type(Some(other))) => same(one, other),
        (Type::Map(key, value), Type::Map(other_key, other_value)) => {
            same(key, other_key) && same(value, other_value)
        }
        _ => one == other,
    }
}

/// The more general one of two types that fit.
pub(super) fn most_general<'t>(one: &'t Type, other: &'t Type) -> &'t Type {
    if is_no_more_specific(one, other) { one } else { other }
}

/// `isEqualOrLessSpecific`.
fn is_no_more_specific(one: &Type, other: &Type) -> bool {
    let open = |of: &Type| of.is_dyn() || matches!(of, Type::Variable(_) | Type::Param(_));
    if open(one) {
        return true;
    }
    if open(other) {
        return false;
    }
    match (one, other) {
        (Type::List(one), Type::List(other)) | (Type::Optional(one), Type::Optional(other)) => {
            is_no_more_specific(one, other)
        }
        (Type::Map(key, value), Type::Map(other_key, other_value)) => {
            is_no_more_specific(key, other_key) && is_no_more_specific(value, other_value)
        }
        (Type::Type(_), Type::Type(_)) => true,
        _ => same(one, other),
    }
}
