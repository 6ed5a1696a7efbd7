//! `item in [1, 2, 3]` with a list of constants, looked up in a set. As cel-go's `maybeOptimizeSetMembership`, the set
//! contains every number together with the equal numbers of other types, rounded ones included.

use std::collections::HashSet;

use super::equality::unhashable;
use super::error::Error;
use super::number::{int_of, uint_of};
use super::value::Value;

#[derive(Debug, Default)]
pub(super) struct Set {
    strings: HashSet<Box<str>>,
    ints: HashSet<i64>,
    uints: HashSet<u64>,
    /// The bits of the doubles; -0.0 is stored as 0.0.
    doubles: HashSet<u64>,
    holds_true: bool,
    holds_false: bool,
}

fn bits(number: f64) -> u64 {
    (number + 0.0).to_bits()
}

impl Set {
    /// The set of a list's elements; `None` if one is not a bool, a number or a string.
    #[allow(clippy::cast_precision_loss, reason = "as cel-go rounds")]
    pub fn of(items: &[Value<'_>]) -> Option<Self> {
        let mut set = Self::default();
        for item in items {
            match item {
                Value::String(text) => {
                    set.strings.insert(text.as_str().into());
                }
                Value::Bool(true) => set.holds_true = true,
                Value::Bool(false) => set.holds_false = true,
                Value::Int(number) => {
                    set.ints.insert(*number);
                    set.doubles.insert(bits(*number as f64));
                    set.uints.extend(u64::try_from(*number));
                }
                Value::Uint(number) => {
                    set.uints.insert(*number);
                    set.doubles.insert(bits(*number as f64));
                    set.ints.extend(i64::try_from(*number));
                }
                Value::Double(number) => {
                    if !number.is_nan() {
                        set.doubles.insert(bits(*number));
                    }
                    // cel-go does not convert a double to the least int.
                    set.ints.extend(int_of(*number).filter(|it| *it != i64::MIN));
                    set.uints.extend(uint_of(*number));
                }
                _ => return None,
            }
        }
        Some(set)
    }

    pub fn contains(&self, item: &Value<'_>) -> Result<bool, Error> {
        Ok(match item {
            Value::String(text) => self.strings.contains(text.as_str()),
            Value::Bool(true) => self.holds_true,
            Value::Bool(false) => self.holds_false,
            Value::Int(number) => self.ints.contains(number),
            Value::Uint(number) => self.uints.contains(number),
            Value::Double(number) => !number.is_nan() && self.doubles.contains(&bits(*number)),
            Value::Bytes(_) => return Err(unhashable()),
            _ => false,
        })
    }
}
