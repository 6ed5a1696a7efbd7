//! Evaluates a [`Program`]: values and errors are those of cel-go's
//! `interpreter/interpretable.go`, costs those of its `runtimecost.go`.

use super::activation::Activation;
use super::cost;
use super::equality::equal;
use super::error::{Error, ErrorKind};
use super::error_value::ErrorValue;
use super::function::{Call as CallContext, Cost};
use super::list::List;
use super::map::{Map, same_key};
use super::meter::Meter;
use super::program::{Call, CallTarget, Element, Entry, Field, NodeId, Program, ProgramNode};
use super::runtime_type::takes;
use super::types::Type;
use super::value::{Evaluated, Optional, Value};

/// Free stack before a node is evaluated, in bytes: enough to walk
/// a value of the deepest nesting, and for any library function.
const STACK_TO_SPARE: usize = 512 * 1024;
/// Size of a new stack segment, in bytes, if less is free. Threads of the runtime start with as much.
const STACK: usize = 2 * 1024 * 1024;

/// The cost of constructing a list, a map and a message.
const LIST: u64 = 10;
const MAP: u64 = 30;
const MESSAGE: u64 = 40;

impl Program {
    /// Evaluates the expression.
    ///
    /// # Errors
    /// The expression fails, or it exceeds a limit: the expression's cost, the policy's budget, or the review's memory.
    pub fn evaluate<'v>(
        &'v self,
        activation: &mut Activation<'v>,
        meter: &mut Meter,
    ) -> Result<Value<'v>, Error> {
        meter.start();
        let value = self.run(activation, meter);
        activation.charge(meter.cost())?;
        value
    }

    /// Evaluates the expression without starting a new count of
    /// its cost; the caller charges the cost to the activation.
    pub(super) fn run<'v>(
        &'v self,
        activation: &mut Activation<'v>,
        meter: &mut Meter,
    ) -> Evaluated<'v> {
        let locals = vec![None; self.inits.len()];
        Evaluator { program: self, activation, meter, locals }.eval(self.root)
    }
}

/// An evaluation of one program.
pub(super) struct Evaluator<'v, 'e> {
    pub program: &'v Program,
    pub activation: &'e mut Activation<'v>,
    pub meter: &'e mut Meter,
    /// The variables of comprehensions; `None` until they have a value.
    pub locals: Vec<Option<Evaluated<'v>>>,
}

impl<'v> Evaluator<'v, '_> {
    pub fn eval(&mut self, id: NodeId) -> Evaluated<'v> {
        let program: &'v Program = self.program;
        match program.nodes.get(id.0 as usize) {
            Some(ProgramNode::Constant(value)) => Ok(value.by_reference()),
            Some(ProgramNode::Fails(error)) => Err(error.clone()),
            Some(node) => {
                let value = stacker::maybe_grow(STACK_TO_SPARE, STACK, || self.eval_node(node))?;
                ErrorValue::check(&value)?;
                Ok(value)
            }
            None => Err(Error::invalid("the program has no such node")),
        }
    }

    fn eval_node(&mut self, node: &'v ProgramNode) -> Evaluated<'v> {
        match node {
            ProgramNode::Constant(value) => Ok(value.by_reference()),
            ProgramNode::Attribute(attribute) => self.attribute(*attribute),
            ProgramNode::Present(attribute) => self.presence(*attribute),
            ProgramNode::Equals { left, right, negated } => self.equals(*left, *right, *negated),
            ProgramNode::Call(call) => self.call(call),
            ProgramNode::And(left, right) => self.junction(*left, *right, false),
            ProgramNode::Or(left, right) => self.junction(*left, *right, true),
            ProgramNode::Fold(fold) => self.fold(fold),
            ProgramNode::List(elements) => self.list(elements),
            ProgramNode::Map(entries) => self.map(entries),
            ProgramNode::Struct { name, fields } => self.message(name, fields),
            ProgramNode::InSet { item, set } => {
                let item = self.eval(*item)?;
                set.contains(&item).map(Value::Bool)
            }
            ProgramNode::OptionalOr { left, right, gives_value } => {
                self.optional_or(*left, *right, *gives_value)
            }
            ProgramNode::Fails(error) => Err(error.clone()),
        }
    }

    /// The value of a node, or its error; an error that ends the evaluation is returned as `Err`.
    pub fn eval_or_error(&mut self, id: NodeId) -> Result<Evaluated<'v>, Error> {
        match self.eval(id) {
            Err(error) if error.kind().ends_evaluation() => Err(error),
            other => Ok(other),
        }
    }

    /// `&&` (false decides) and `||` (true decides). A side that decides absorbs an error of the other side.
    fn junction(&mut self, left: NodeId, right: NodeId, decides: bool) -> Evaluated<'v> {
        let mut error = None;
        for term in [left, right] {
            match self.eval_or_error(term)? {
                Ok(Value::Bool(it)) if it == decides => return Ok(Value::Bool(decides)),
                Ok(Value::Bool(_)) => {}
                Ok(other) => {
                    let operator = if decides { "||" } else { "&&" };
                    let mismatch = || Error::no_such_overload(operator, &[other.type_name()]);
                    error.get_or_insert_with(mismatch);
                }
                Err(other) => {
                    error.get_or_insert(other);
                }
            }
        }
        error.map_or(Ok(Value::Bool(!decides)), Err)
    }

    fn equals(&mut self, left: NodeId, right: NodeId, negated: bool) -> Evaluated<'v> {
        let left = self.eval_or_error(left)?;
        let right = self.eval_or_error(right)?;
        let (left, right) = match (left, right) {
            (Ok(left), Ok(right)) => (left, right),
            (left, right) => {
                // An error has null's size for the cost.
                let size = |it: &Evaluated<'v>| it.clone().unwrap_or(Value::Null);
                self.meter.spend(cost::of_equality(&size(&left), &size(&right), !negated))?;
                return left.and(right);
            }
        };
        self.meter.spend(cost::of_equality(&left, &right, !negated))?;
        match (equal(&left, &right), negated) {
            (Ok(it), _) => Ok(Value::Bool(it != negated)),
            (Err(_), true) => Ok(Value::Bool(true)),
            (Err(error), false) => Err(error),
        }
    }

    fn call(&mut self, call: &'v Call) -> Evaluated<'v> {
        match call.args.as_slice() {
            [argument] => {
                let value = match self.eval_or_error(*argument)? {
                    Ok(value) => [value],
                    Err(_) if call.takes_errors => [Value::Bool(true)],
                    Err(error) => return self.failed(call, &[Value::Null], error),
                };
                self.apply(call, &value)
            }
            [left, right] if !call.stops_at_errors => {
                let left = self.eval_or_error(*left)?;
                let right = self.eval_or_error(*right)?;
                match (left, right) {
                    (Ok(left), Ok(right)) => self.apply(call, &[left, right]),
                    (Err(error), right) => {
                        let right = right.unwrap_or(Value::Null);
                        self.failed(call, &[Value::Null, right], error)
                    }
                    (Ok(left), Err(error)) => self.failed(call, &[left, Value::Null], error),
                }
            }
            args => {
                let mut values = Vec::with_capacity(args.len());
                for (at, argument) in args.iter().enumerate() {
                    match self.eval_or_error(*argument)? {
                        Ok(value) => values.push(value),
                        Err(error) if at + 1 == args.len() => {
                            values.push(Value::Null);
                            return self.failed(call, &values, error);
                        }
                        Err(error) => return Err(error),
                    }
                }
                self.apply(call, &values)
            }
        }
    }

    /// Charges a call that is not made because an argument failed. The failed argument has null's size for the cost.
    fn failed(&mut self, call: &Call, args: &[Value<'v>], error: Error) -> Evaluated<'v> {
        let cost = match &call.target {
            CallTarget::Standard { .. } => call.cost,
            CallTarget::Overloads(candidates) => {
                let cost = candidates.first().map_or(cost::ONE, |it| it.cost);
                match candidates.as_slice() {
                    [only] if only.settled => cost::check_arguments(only.overload.id, args)?,
                    _ => {}
                }
                cost
            }
        };
        self.spend(cost, args, None)?;
        Err(error)
    }

    fn spend(
        &mut self,
        cost: Cost,
        args: &[Value<'v>],
        result: Option<&Value<'v>>,
    ) -> Result<(), Error> {
        self.meter.spend(match cost {
            Cost::Fixed(cost) => cost,
            Cost::Of(cost) => cost(args, result),
        })
    }

    fn apply(&mut self, call: &'v Call, args: &[Value<'v>]) -> Evaluated<'v> {
        let prepared = call.prepared.as_ref();
        let mut context = CallContext { meter: self.meter, prepared };
        // Where the pattern is constant, cel-go accepts any subject that holds a string.
        let held: Vec<Value<'v>>;
        let taken = match (prepared, args) {
            (Some(_), [subject, rest @ ..]) if subject.as_str().is_none() => {
                held = [held_string(subject)].into_iter().chain(rest.iter().cloned()).collect();
                held.as_slice()
            }
            _ => args,
        };
        let (result, cost) = match &call.target {
            CallTarget::Standard { implementation, params } => {
                if !params.is_empty() && !take_all(params, taken) {
                    return self.failed(call, args, no_overload(call, args));
                }
                (implementation(&mut context, taken), call.cost)
            }
            CallTarget::Overloads(candidates) => {
                match candidates.iter().find(|it| take_all(&it.params, taken)) {
                    Some(it) => ((it.overload.call)(&mut context, taken), it.cost),
                    None => return self.failed(call, args, no_overload(call, args)),
                }
            }
        };
        if matches!(&result, Err(error) if error.kind() == ErrorKind::Internal) {
            // cel-go panics before it charges the call.
            return result;
        }
        self.spend(cost, args, result.as_ref().ok())?;
        result
    }

    fn list(&mut self, elements: &'v [Element]) -> Evaluated<'v> {
        let made = self.list_of(elements);
        self.charge(made, LIST)
    }

    /// Charges a constructed value, or the failed attempt.
    fn charge(&mut self, made: Evaluated<'v>, cost: u64) -> Evaluated<'v> {
        match made {
            Err(error) if error.kind().ends_evaluation() => Err(error),
            other => {
                self.meter.spend(cost)?;
                other
            }
        }
    }

    fn list_of(&mut self, elements: &'v [Element]) -> Evaluated<'v> {
        List::charge(self.meter, elements.len())?;
        let mut items = Vec::with_capacity(elements.len());
        for element in elements {
            match (self.eval(element.value)?, element.optional) {
                (value, false) => items.push(value),
                (Value::Optional(optional), true) => items.extend(optional.value().cloned()),
                (other, true) => return Err(not_optional(&other)),
            }
        }
        List::new(items).map(Value::List)
    }

    fn map(&mut self, entries: &'v [Entry]) -> Evaluated<'v> {
        let made = self.map_of(entries);
        self.charge(made, MAP)
    }

    fn map_of(&mut self, entries: &'v [Entry]) -> Evaluated<'v> {
        Map::charge(self.meter, entries.len())?;
        let mut items = Vec::with_capacity(entries.len());
        for entry in entries {
            let (key, value) = (self.eval(entry.key)?, self.eval(entry.value)?);
            if matches!(key, Value::Bytes(_)) {
                return Err(super::equality::unhashable());
            }
            match (value, entry.optional) {
                (value, false) => items.push((key, value)),
                (Value::Optional(optional), true) => match optional.value() {
                    Some(value) => items.push((key, value.clone())),
                    None => items.retain(|(other, _)| !same_key(other, &key)),
                },
                (other, true) => return Err(not_optional(&other)),
            }
        }
        Map::new(items).map(Value::Map)
    }

    fn message(&mut self, name: &'v str, fields: &'v [Field]) -> Evaluated<'v> {
        let mut given = Vec::with_capacity(fields.len());
        let mut failure = None;
        for field in fields {
            match (self.eval_or_error(field.value)?, field.optional) {
                (Ok(value), false) => given.push((&*field.name, value)),
                (Ok(Value::Optional(it)), true) => {
                    given.extend(it.value().map(|value| (&*field.name, value.clone())));
                }
                (Ok(other), true) => failure = Some(not_optional(&other)),
                (Err(error), _) => failure = Some(error),
            }
            if failure.is_some() {
                break;
            }
        }
        self.meter.spend(MESSAGE)?;
        match failure {
            Some(error) => Err(error),
            None => super::message::make(self.meter, name, &given),
        }
    }

    fn optional_or(&mut self, left: NodeId, right: NodeId, gives_value: bool) -> Evaluated<'v> {
        match self.eval(left)? {
            Value::Optional(Optional::None) => self.eval(right),
            Value::Optional(optional) if gives_value => {
                Ok(optional.value().cloned().unwrap_or(Value::Null))
            }
            other => Ok(other),
        }
    }
}

fn not_optional(value: &Value<'_>) -> Error {
    Error::invalid(format!("a value of type {} is not an optional", value.type_name()))
}

fn take_all(params: &[Type], args: &[Value<'_>]) -> bool {
    params.iter().zip(args).all(|(param, value)| takes(param, value))
}

fn no_overload(call: &Call, args: &[Value<'_>]) -> Error {
    let types: Vec<&str> = args.iter().map(Value::type_name).collect();
    Error::no_such_overload(&format!("{}()", call.function), &types)
}

/// The result of Go's `Value()`: an optional is unwrapped, a type becomes its name.
fn held_string<'v>(value: &Value<'v>) -> Value<'v> {
    match value {
        Value::Optional(optional) => optional.value().map_or(Value::Null, held_string),
        Value::Type(name) => Value::borrowed(name),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests;
