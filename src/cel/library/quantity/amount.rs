//! The amount of a quantity: an `int64` with a power of ten where that suffices, and else a decimal
//! (`k8s.io/apimachinery/pkg/api/resource`).

use std::cmp::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::decimal::Decimal;
use super::error::QuantityError;

/// The most digits that always fit into an `int64`.
const MAX_DIGITS: i32 = 18;
/// The smallest power of ten of a quantity: a billionth.
const NANO: i32 = -9;

/// The amount of a quantity.
#[derive(Clone, Debug)]
pub enum Amount {
    /// `value × 10^scale`.
    Int {
        value: i64,
        scale: i32,
    },
    Dec(Arc<Mutex<Decimal>>),
}

impl Amount {
    /// Reads a quantity, as `resource.ParseQuantity` does.
    ///
    /// # Errors
    /// The API server refuses the text.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        parse(text)
    }

    /// -1, 0 or 1.
    pub fn sign(&self) -> i64 {
        match self {
            Self::Int { value, .. } => value.signum(),
            Self::Dec(decimal) => lock(decimal).sign(),
        }
    }

    /// The order of two amounts. Unless both are integers, this amount is a decimal afterwards.
    ///
    /// # Errors
    /// Their powers of ten are further apart than 32 bits hold.
    pub fn compare(&mut self, mut other: Self) -> Result<Ordering, QuantityError> {
        if let (Self::Int { value, scale }, Self::Int { value: by, scale: by_scale }) =
            (&*self, &other)
        {
            // Kubernetes subtracts in 32 bits, and panics where that overflows.
            let apart = if scale > by_scale {
                scale.checked_sub(*by_scale)
            } else {
                by_scale.checked_sub(*scale)
            };
            apart.ok_or(QuantityError::TooFarApart)?;
            return Ok(Decimal::from_scaled(*value, -i64::from(*scale))
                .cmp(&Decimal::from_scaled(*by, -i64::from(*by_scale))));
        }
        let (left, right) = (self.as_decimal(), other.as_decimal());
        if Arc::ptr_eq(&left, &right) {
            return Ok(Ordering::Equal);
        }
        let right = lock(&right).clone();
        Ok(lock(&left).cmp(&right))
    }

    /// Turns this amount into a decimal, and returns it.
    pub(super) fn as_decimal(&mut self) -> Arc<Mutex<Decimal>> {
        match self {
            Self::Dec(decimal) => decimal.clone(),
            Self::Int { value, scale } => {
                let decimal = Decimal::from_scaled(*value, -i64::from(*scale));
                let decimal = Arc::new(Mutex::new(decimal));
                *self = Self::Dec(decimal.clone());
                decimal
            }
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The sum of two integers; `None` if it overflows, or one is a decimal.
pub(super) fn add_ints(left: &Amount, right: &Amount) -> Option<Amount> {
    let (Amount::Int { value: a, scale: a_scale }, Amount::Int { value: b, scale: b_scale }) =
        (left, right)
    else {
        return None;
    };
    if *b == 0 {
        return Some(left.clone());
    }
    if *a == 0 {
        return Some(right.clone());
    }
    let scaled = |value: i64, by: i32| match u32::try_from(by) {
        Ok(by) => value.checked_mul(10_i64.checked_pow(by)?),
        Err(_) => Some(value),
    };
    let low = (*a_scale).min(*b_scale);
    let a = scaled(*a, a_scale.wrapping_sub(low))?;
    let b = scaled(*b, b_scale.wrapping_sub(low))?;
    Some(Amount::Int { value: a.checked_add(b)?, scale: low })
}

/// The factor of a suffix.
enum Scale {
    Ten(i32),
    Two(u32),
}

fn scale(suffix: &str) -> Option<Scale> {
    Some(match suffix {
        "n" => Scale::Ten(-9),
        "u" => Scale::Ten(-6),
        "m" => Scale::Ten(-3),
        "" => Scale::Ten(0),
        "k" => Scale::Ten(3),
        "M" => Scale::Ten(6),
        "G" => Scale::Ten(9),
        "T" => Scale::Ten(12),
        "P" => Scale::Ten(15),
        "E" => Scale::Ten(18),
        "Ki" => Scale::Two(10),
        "Mi" => Scale::Two(20),
        "Gi" => Scale::Two(30),
        "Ti" => Scale::Two(40),
        "Pi" => Scale::Two(50),
        "Ei" => Scale::Two(60),
        exponent => {
            let power: i64 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            #[expect(clippy::cast_possible_truncation, reason = "Kubernetes keeps 32 bits of it")]
            Scale::Ten(power as i32)
        }
    })
}

fn parse(text: &str) -> Result<Amount, QuantityError> {
    if text.is_empty() {
        return Err(QuantityError::Syntax);
    }
    let (negative, unsigned) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let significant = unsigned.trim_start_matches('0');
    let (whole, rest) = significant.split_at(digits(significant));
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    // Before it reads the suffix, Kubernetes checks that it consists of letters, a sign and digits, in this order.
    let tail =
        suffix.trim_start_matches(['e', 'E', 'i', 'n', 'u', 'm', 'k', 'K', 'M', 'G', 'T', 'P']);
    let tail = tail.strip_prefix(['+', '-']).unwrap_or(tail);
    if digits(tail) < tail.len() {
        return Err(QuantityError::Syntax);
    }
    let scale = scale(suffix).ok_or(QuantityError::Syntax)?;
    // A number without digits before its point counts as having the digit 0.
    let length = i32::try_from(whole.len().max(1) + fraction.len()).unwrap_or(i32::MAX);
    let (room, power, factor) = match scale {
        Scale::Ten(power) => (MAX_DIGITS.saturating_sub(length), power, 0),
        Scale::Two(power) if fraction.is_empty() => {
            let digits_of_factor = i32::try_from(power * 3 / 10).unwrap_or(0);
            (15_i32.saturating_sub(length) - digits_of_factor - 1, 0, power)
        }
        Scale::Two(_) => (-1, 0, 0),
    };
    let behind_point = i32::try_from(fraction.len()).unwrap_or(i32::MAX);
    let small_scale = power.wrapping_sub(behind_point);
    if room >= 0 && small_scale >= NANO {
        let mut digits =
            whole.bytes().chain(fraction.bytes()).map(|digit| i64::from(digit.wrapping_sub(b'0')));
        let number =
            digits.try_fold(0_i64, |number, digit| number.checked_mul(10)?.checked_add(digit));
        if let Some(value) = number.and_then(|number| number.checked_mul(1 << factor)) {
            let value = if negative { -value } else { value };
            return Ok(Amount::Int { value, scale: small_scale });
        }
    }
    if unsigned.bytes().next().is_none_or(|byte| !byte.is_ascii_digit() && byte != b'.')
        || (whole.len() + fraction.len() == 0 && !unsigned.starts_with('0'))
    {
        return Err(QuantityError::Syntax);
    }
    Ok(large(negative, whole, fraction, &scale))
}

/// A quantity beyond an `int64`.
fn large(negative: bool, whole: &str, fraction: &str, scale: &Scale) -> Amount {
    let mut decimal = Decimal::new(negative, whole, fraction);
    match scale {
        Scale::Ten(power) => decimal.shift(i64::from(*power)),
        Scale::Two(power) => decimal.double(*power),
    }
    decimal.round_up(-i64::from(NANO));
    if let Scale::Two(_) = scale {
        let max = Decimal::from_scaled(i64::MAX, 0);
        if decimal > max {
            decimal = max;
        } else if decimal < max.negated() {
            decimal = max.negated();
        }
    }
    Amount::Dec(Arc::new(Mutex::new(decimal)))
}
