//! Attributes: a variable or a computed value, and the path of fields and indices into it (`interpreter/attributes.go`
//! of cel-go). An attribute costs one unit, and each of its steps another one. After an optional step all steps are
//! optional, and an optional step that finds nothing costs nothing.

use super::error::{Error, ErrorKind};
use super::error_value::ErrorValue;
use super::evaluation::Evaluator;
use super::number::int_of;
use super::program::{AttributeId, AttributeStep, NodeId, Program, Root, Slot, StepKey};
use super::types::NAMED_FORMAT;
use super::unknown::Unknown;
use super::value::{Evaluated, Optional, Value};
use super::variables::Variables;

impl<'v> Evaluator<'v, '_> {
    pub fn attribute(&mut self, id: AttributeId) -> Evaluated<'v> {
        let resolved = self.resolve(id);
        let program: &'v Program = self.program;
        let is_choice = program
            .attributes
            .get(id.0 as usize)
            .is_some_and(|it| matches!(it.root, Root::Choice { .. }));
        match resolved {
            Err(error) if error.kind().ends_evaluation() => Err(error),
            // A ternary costs no more than its condition and its branch.
            other if is_choice => other,
            other => {
                self.meter.spend(1)?;
                other
            }
        }
    }

    /// `has()`. It costs its steps only, and on a field of a ternary one unit less, as in cel-go.
    pub fn presence(&mut self, id: AttributeId) -> Evaluated<'v> {
        let program: &'v Program = self.program;
        let resolved = self.resolve(id);
        if let Some(Root::Choice { .. }) = program.attributes.get(id.0 as usize).map(|it| it.root) {
            self.meter.refund(1);
        }
        match resolved? {
            Value::Optional(optional) => Ok(Value::Bool(optional.value().is_some())),
            other => Ok(other),
        }
    }

    /// The value of an attribute. Charges its steps only.
    fn resolve(&mut self, id: AttributeId) -> Evaluated<'v> {
        let program: &'v Program = self.program;
        let Some(attribute) = program.attributes.get(id.0 as usize) else {
            return Err(Error::invalid("the program has no such attribute"));
        };
        let path: &'v [AttributeStep] = &attribute.path;
        let (value, path) = match attribute.root {
            Root::Object => (self.activation.object.clone(), path),
            Root::Namespace => (self.activation.namespace.clone(), path),
            Root::Local(slot) => (self.local(slot)?, path),
            Root::Computed(node) => (self.eval(node)?, path),
            Root::Choice { condition, holds, fails } => {
                return match self.eval(condition)? {
                    Value::Bool(true) => self.resolve(holds),
                    Value::Bool(false) => self.resolve(fails),
                    other => Err(Error::no_such_overload("?:", &[other.type_name()])),
                };
            }
            Root::Variables => (Value::opaque_of(Variables), path),
        };
        let resolved = self.descend(value, path)?;
        match (attribute.root, &resolved) {
            (Root::Namespace, Value::Map(map))
                if map.as_slice().iter().any(|(_, it)| Unknown::is(it)) =>
            {
                let message =
                    "podgate does not know all fields of namespaceObject; read single fields of it";
                Err(Error::new(ErrorKind::Unknown, message))
            }
            _ => Ok(resolved),
        }
    }

    fn local(&mut self, slot: Slot) -> Evaluated<'v> {
        match self.locals.get(slot) {
            Some(Some(value)) => value.clone(),
            _ => self.initial(slot),
        }
    }

    /// Follows the path from an attribute's root; a root that is an optional is unwrapped.
    fn descend(&mut self, value: Value<'v>, path: &'v [AttributeStep]) -> Evaluated<'v> {
        match value {
            Value::Optional(Optional::None) => Ok(value),
            Value::Optional(Optional::Some(held)) => self.follow(native(held.value()), path, true),
            other => self.follow(other, path, false),
        }
    }

    /// Follows the path from a value. With `optional` all steps are optional, and the result is an optional.
    fn follow(
        &mut self,
        mut value: Value<'v>,
        path: &'v [AttributeStep],
        mut optional: bool,
    ) -> Evaluated<'v> {
        for step in path {
            optional |= step.optional;
            let found = match &step.key {
                StepKey::Constant(Value::String(name)) => self.field(&value, name),
                StepKey::Constant(key) => self.item(&value, key),
                StepKey::Attribute(id) => self.key_of(*id).and_then(|key| self.item(&value, &key)),
                StepKey::Computed(node) => {
                    self.computed(*node).and_then(|key| self.item(&value, &key))
                }
            };
            let found = match found {
                Err(error) if error.kind().ends_evaluation() => return Err(error),
                other => other,
            };
            if !optional || matches!(found, Ok(Some(_))) {
                self.meter.spend(1)?;
            }
            value = match (found?, optional, step.tests) {
                (found, false, true) => Value::Bool(found.is_some()),
                (Some(found), ..) => found,
                (None, true, _) => return Ok(Value::Optional(Optional::None)),
                (None, false, false) => return Err(Self::missing(step, &value)),
            };
        }
        if !optional {
            return Ok(value);
        }
        self.meter.allocate(Optional::BYTES)?;
        Optional::of(value).map(Value::Optional)
    }

    /// The value of an attribute that serves as a key.
    fn key_of(&mut self, id: AttributeId) -> Evaluated<'v> {
        let key = self.resolve(id)?;
        as_key(key)
    }

    fn computed(&mut self, node: NodeId) -> Evaluated<'v> {
        let value = self.eval(node)?;
        as_key(self.descend(value, &[])?)
    }

    /// The field of that name, if the value has one.
    fn field(&mut self, value: &Value<'v>, name: &str) -> Result<Option<Value<'v>>, Error> {
        match value {
            Value::Map(map) => match map.get_str(name) {
                Some(it) if Unknown::is(&it) => Err(Error::new(
                    ErrorKind::Unknown,
                    format!("podgate does not know the value of {name}"),
                )),
                found => Ok(found),
            },
            Value::List(_) => Err(Error::invalid("a list has no fields; its index is an int")),
            Value::Opaque(_) if value.opaque::<Variables>().is_some() => self.variable(name),
            Value::Opaque(_) => ErrorValue::check(value).map(|()| None),
            _ => Ok(None),
        }
    }

    /// The element at an index, or the value of a key, if there is one.
    fn item(&mut self, value: &Value<'v>, key: &Value<'v>) -> Result<Option<Value<'v>>, Error> {
        match (value, key) {
            (_, Value::String(name)) => self.field(value, name),
            (Value::Map(map), key) => Ok(map.get(key)),
            (Value::List(list), key) => {
                let index = match key {
                    Value::Int(index) => Some(*index),
                    Value::Uint(index) => i64::try_from(*index).ok(),
                    Value::Double(index) => int_of(*index).filter(|it| *it != i64::MIN),
                    _ => None,
                };
                let no_index = || {
                    Error::invalid(format!(
                        "{} is not an index of a list; an index is an int",
                        shown(key)
                    ))
                };
                let index = index.ok_or_else(no_index)?;
                Ok(usize::try_from(index).ok().and_then(|index| list.at(index)))
            }
            _ => ErrorValue::check(value).map(|()| None),
        }
    }

    fn missing(step: &AttributeStep, value: &Value<'v>) -> Error {
        match (&step.key, value) {
            (StepKey::Constant(Value::String(name)), _) => {
                let message =
                    format!("there is no field {:?}; test it first with has()", name.as_str());
                Error::new(ErrorKind::NoSuchKey, message)
            }
            (_, Value::List(_)) => Error::new(ErrorKind::OutOfBounds, "an index is out of bounds"),
            (StepKey::Constant(key), _) => {
                Error::new(ErrorKind::NoSuchKey, format!("there is no key {}", shown(key)))
            }
            _ => Error::new(ErrorKind::NoSuchKey, "a map has no such key; test it first with in"),
        }
    }
}

fn shown(key: &Value<'_>) -> String {
    match key {
        Value::Int(number) => number.to_string(),
        Value::Uint(number) => format!("{number}u"),
        Value::Double(number) => number.to_string(),
        Value::Bool(it) => it.to_string(),
        other => format!("of type {}", other.type_name()),
    }
}

fn as_key(value: Value<'_>) -> Evaluated<'_> {
    match value {
        Value::String(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Bool(_) => {
            Ok(value)
        }
        other => Err(Error::invalid(format!(
            "a value of type {} cannot be a key or an index",
            other.type_name()
        ))),
    }
}

/// The result of converting a value to a native Go value and back, as cel-go does with the attributes of an optional:
/// an inner optional is unwrapped, a type becomes its name.
fn native<'v>(value: &Value<'v>) -> Value<'v> {
    match value {
        Value::Optional(Optional::None) => Value::Null,
        Value::Optional(Optional::Some(held)) => native(held.value()),
        Value::Type(name) => Value::borrowed(name),
        // cel-go does not convert a named format.
        Value::Opaque(opaque) if opaque.type_name() != NAMED_FORMAT => {
            let message =
                format!("an optional of {} has no fields; use value()", opaque.type_name());
            Value::opaque_of(ErrorValue(Error::invalid(message)))
        }
        other => other.clone(),
    }
}
