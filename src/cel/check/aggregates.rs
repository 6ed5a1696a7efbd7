//! The rules for literals of lists, maps and structs.

use super::super::ast::{Expr, ExprId, Name};
use super::super::types::Type;
use super::super::unify::most_general;
use super::super::wellknown::{self, Message};
use super::checker::{Checker, Outcome};
use super::explain;

impl Checker<'_> {
    pub(super) fn check_list(&mut self, id: ExprId) -> Outcome {
        let Expr::List(elements) = self.ast.get(id) else { return Ok(Type::Dyn) };
        let elements = elements.clone();
        let mut joined = None;
        for element in elements {
            let mut of = self.check(element.value)?;
            if element.optional {
                of = self.unwrap_optional(element.value, of)?;
            }
            joined = Some(self.join(joined, of));
        }
        let element = joined.unwrap_or_else(|| self.unifier.fresh());
        Ok(Type::list(element))
    }

    pub(super) fn check_map(&mut self, id: ExprId) -> Outcome {
        let Expr::Map(entries) = self.ast.get(id) else { return Ok(Type::Dyn) };
        let entries = entries.clone();
        let (mut keys, mut values) = (None, None);
        for entry in entries {
            let key = self.check(entry.key)?;
            keys = Some(self.join(keys, key));
            let mut value = self.check(entry.value)?;
            if entry.optional {
                value = self.unwrap_optional(entry.value, value)?;
            }
            values = Some(self.join(values, value));
        }
        let key = keys.unwrap_or_else(|| self.unifier.fresh());
        let value = values.unwrap_or_else(|| self.unifier.fresh());
        Ok(Type::map(key, value))
    }

    /// The type within the optional that follows a `?`. A `dyn` is refused: the API server panics on one.
    fn unwrap_optional(&self, id: ExprId, of: Type) -> Outcome {
        match of {
            Type::Optional(inner) => Ok(Type::clone(&inner)),
            other => Err(self.ast.refuse(id, explain::not_optional(&other))),
        }
    }

    /// The element type of a list of both types: `dyn` if they do not fit.
    fn join(&mut self, before: Option<Type>, of: Type) -> Type {
        match before {
            None => of,
            Some(before) if self.unifier.assignable(&before, &of) => {
                most_general(&before, &of).clone()
            }
            Some(_) => Type::Dyn,
        }
    }

    pub(super) fn check_struct(&mut self, id: ExprId) -> Outcome {
        let Expr::Struct { name, fields } = self.ast.get(id) else { return Ok(Type::Dyn) };
        let (name, fields) = (Name::from(name.strip_prefix('.').unwrap_or(name)), fields.clone());
        let message = match self.environment.object(&name) {
            Some(object) => {
                Message { of: Type::Object(Name::clone(&name)), fields: object.fields.clone() }
            }
            None => wellknown::message(&name)
                .ok_or_else(|| self.ast.refuse(id, explain::no_such_type(&name)))?,
        };
        for field in &fields {
            let value = self.check(field.value)?;
            let Some((_, wanted)) = message.fields.iter().find(|(its, _)| *its == field.name)
            else {
                return Err(self.ast.refuse(
                    field.value,
                    explain::no_such_struct_field(&name, &field.name, &message),
                ));
            };
            let value =
                if field.optional { self.unwrap_optional(field.value, value)? } else { value };
            if !self.unifier.assignable(wanted, &value) {
                let value = self.unifier.settle(&value);
                return Err(self
                    .ast
                    .refuse(field.value, explain::wrong_field_type(&field.name, wanted, &value)));
            }
        }
        self.replace(id, Expr::Struct { name, fields });
        Ok(message.of)
    }
}
