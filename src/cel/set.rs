//! `item in [1, 2, 3]`: a list of constants is looked up rather than gone through. As cel-go's `maybeOptimizeSetMembership`,
//! which puts in every number with its equals of other types, rounded ones too.

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
    /// By their bits, without a sign of zero.
    doubles: HashSet<u64>,
    holds_true: bool,
    holds_false: bool,
}

fn bits(number: f64) -> u64 {
    (number + 0.0).to_bits()
}

impl Set {
    /// The set of a list's elements; `None` if one is no bool, number or string.
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
                    // The least int is no int of a double in cel-go.
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
