//! Evaluates comprehensions, the expansions of macros over lists and maps: `evalFold` of cel-go's
//! `interpreter/interpretable.go`.

use super::equality::unhashable;
use super::error::{Error, ErrorKind};
use super::evaluation::Evaluator;
use super::list::{Items, List};
use super::map::{Builder, Map};
use super::program::{Fold, FoldStep, Growth, Slot};
use super::value::{Evaluated, Value};

/// An accumulator that grows in place.
enum Grown<'v> {
    List(Items<'v>),
    Map(Builder<'v>),
}

impl<'v> Evaluator<'v, '_> {
    pub fn fold(&mut self, fold: &'v Fold) -> Evaluated<'v> {
        let range = self.eval(fold.range)?;
        self.set(fold.accumulator, None);
        let mut grown = match fold.step {
            FoldStep::Value(_) => None,
            FoldStep::Grow { by: Growth::List(_), .. } => Some(Ok(Grown::List(Items::default()))),
            FoldStep::Grow { .. } => Some(Ok(Grown::Map(Builder::default()))),
        };
        match (&range, fold.second) {
            (Value::List(list), second) => {
                for index in 0..list.len() {
                    let Some(element) = list.at(index) else { break };
                    if let Some(second) = second {
                        let index = Value::Int(i64::try_from(index).unwrap_or(i64::MAX));
                        self.set(fold.first, Some(Ok(index)));
                        self.set(second, Some(Ok(element)));
                    } else {
                        self.set(fold.first, Some(Ok(element)));
                    }
                    if !self.step(fold, &mut grown)? {
                        break;
                    }
                }
            }
            (Value::Map(map), second) => {
                for index in 0..map.len() {
                    let Some((key, value)) = map.at(index) else { break };
                    self.set(fold.first, Some(Ok(key)));
                    if let Some(second) = second {
                        self.set(second, Some(Ok(value)));
                    }
                    if !self.step(fold, &mut grown)? {
                        break;
                    }
                }
            }
            (other, _) => {
                let message = format!("a value of type {} has no elements", other.type_name());
                return Err(Error::new(ErrorKind::NoSuchOverload, message));
            }
        }
        if let Some(grown) = grown {
            self.set(fold.accumulator, Some(grown.and_then(Grown::into_value)));
        }
        self.eval(fold.result)
    }

    fn set(&mut self, slot: Slot, value: Option<Evaluated<'v>>) {
        if let Some(local) = self.locals.get_mut(slot) {
            *local = value;
        }
    }

    /// Evaluates the step for one element; false ends the loop. An error of the condition does not end it.
    fn step(
        &mut self,
        fold: &'v Fold,
        grown: &mut Option<Result<Grown<'v>, Error>>,
    ) -> Result<bool, Error> {
        if let Ok(Value::Bool(false)) = self.eval_or_error(fold.condition)? {
            return Ok(false);
        }
        match (fold.step, grown) {
            (FoldStep::Value(step), _) => {
                let value = self.eval_or_error(step)?;
                self.set(fold.accumulator, Some(value));
            }
            (FoldStep::Grow { condition, by }, Some(grown)) => {
                let holds = match condition {
                    None => Ok(Value::Bool(true)),
                    Some(condition) => self.eval_or_error(condition)?,
                };
                match holds {
                    Ok(Value::Bool(true)) => self.grow(grown, by)?,
                    Ok(Value::Bool(false)) => {}
                    Ok(other) => {
                        *grown = Err(Error::no_such_overload("?:", &[other.type_name()]));
                    }
                    Err(error) => *grown = Err(error),
                }
            }
            (FoldStep::Grow { .. }, None) => {}
        }
        Ok(true)
    }

    /// Appends to the accumulator in place, for the cost of the call that it replaces: reading the accumulator costs
    /// one unit, and so does the function.
    fn grow(&mut self, grown: &mut Result<Grown<'v>, Error>, by: Growth) -> Result<(), Error> {
        self.meter.spend(1)?;
        let result = match by {
            Growth::List(items) => {
                let items = self.eval_or_error(items)?;
                self.meter.spend(1)?;
                match (&mut *grown, items) {
                    (Ok(Grown::List(list)), Ok(Value::List(items))) => self.append(list, &items),
                    (Ok(_), Ok(other)) => {
                        Err(Error::no_such_overload("+", &["list", other.type_name()]))
                    }
                    (Ok(_), Err(error)) => Err(error),
                    (Err(_), _) => Ok(()),
                }
            }
            Growth::Entry { key, value } => {
                let Ok(Grown::Map(map)) = grown else { return Ok(()) };
                match self.eval_or_error(key)? {
                    Err(error) => Err(error),
                    Ok(key) => {
                        let value = self.eval_or_error(value)?;
                        self.meter.spend(1)?;
                        value.and_then(|value| self.insert(map, key, value))
                    }
                }
            }
            Growth::Entries(entries) => {
                let entries = self.eval_or_error(entries)?;
                self.meter.spend(1)?;
                match (&mut *grown, entries) {
                    (Ok(Grown::Map(map)), Ok(Value::Map(entries))) => {
                        let mut entries = (0..entries.len()).filter_map(|at| entries.at(at));
                        entries.try_for_each(|(key, value)| self.insert(map, key, value))
                    }
                    (Ok(_), Ok(other)) => {
                        Err(Error::no_such_overload("transformMapEntry()", &[other.type_name()]))
                    }
                    (Ok(_), Err(error)) => Err(error),
                    (Err(_), _) => Ok(()),
                }
            }
        };
        match result {
            Err(error) if error.kind().ends_evaluation() => Err(error),
            Err(error) => {
                *grown = Err(error);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn append(&mut self, list: &mut Items<'v>, items: &List<'v>) -> Result<(), Error> {
        // A growing vector doubles its capacity.
        self.meter.allocate(items.len().saturating_mul(2 * size_of::<Value<'_>>()))?;
        (0..items.len()).filter_map(|at| items.at(at)).try_for_each(|item| list.push(item))
    }

    fn insert(
        &mut self,
        map: &mut Builder<'v>,
        key: Value<'v>,
        value: Value<'v>,
    ) -> Result<(), Error> {
        if matches!(key, Value::Bytes(_)) {
            return Err(unhashable());
        }
        Map::charge(self.meter, 2)?;
        map.insert(key, value)
    }

    /// The accumulator's initial value, evaluated when it is first read.
    pub fn initial(&mut self, slot: Slot) -> Evaluated<'v> {
        let init = self.program.inits.get(slot).copied().flatten();
        let Some(init) = init else {
            return Err(Error::invalid("a comprehension's variable has no value"));
        };
        let value = self.eval_or_error(init)?;
        self.set(slot, Some(value.clone()));
        value
    }
}

impl<'v> Grown<'v> {
    fn into_value(self) -> Evaluated<'v> {
        match self {
            Self::List(items) => Ok(Value::List(List::of(items))),
            Self::Map(builder) => builder.into_map().map(Value::Map),
        }
    }
}
