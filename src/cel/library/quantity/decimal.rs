//! Decimal numbers of any size, as in `gopkg.in/inf.v0`: an unscaled integer, and the number of its digits after the
//! point. Quantities that do not fit into an `int64` are decimals.

use std::cmp::Ordering;

/// `± digits × 10^zeros × 10^-scale`. Zeros at the end take no memory.
#[derive(Clone, Debug)]
pub struct Decimal {
    negative: bool,
    /// Digits 0 to 9, most significant first; the first one is not 0. Without digits the number is zero.
    digits: Vec<u8>,
    zeros: i64,
    /// Digits of the unscaled integer after the point.
    scale: i64,
}

impl Decimal {
    /// A decimal of ASCII digits before and after the point.
    pub fn new(negative: bool, whole: &str, fraction: &str) -> Self {
        let digits = whole.bytes().chain(fraction.bytes()).map(|digit| digit.wrapping_sub(b'0'));
        let scale = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
        Self { negative, digits: digits.skip_while(|digit| *digit == 0).collect(), zeros: 0, scale }
    }

    pub fn from_scaled(value: i64, scale: i64) -> Self {
        let mut decimal = Self::new(value < 0, &value.unsigned_abs().to_string(), "");
        decimal.scale = scale;
        decimal
    }

    /// -1, 0 or 1.
    pub fn sign(&self) -> i64 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    /// The number of stored digits.
    pub fn digits(&self) -> usize {
        self.digits.len()
    }

    /// The unscaled integer as the nearest double, and the scale.
    pub fn approximate(&self) -> (f64, i64) {
        let mut text = String::with_capacity(self.digits.len() + 24);
        text.extend(self.digits.iter().map(|digit| char::from(digit + b'0')));
        if text.is_empty() {
            text.push('0');
        }
        text.push('e');
        text.push_str(&self.zeros.to_string());
        let magnitude: f64 = text.parse().unwrap_or(f64::INFINITY);
        (if self.negative && magnitude != 0.0 { -magnitude } else { magnitude }, self.scale)
    }

    /// Multiplies by ten to the given power.
    pub fn shift(&mut self, power: i64) {
        self.scale = self.scale.saturating_sub(power);
    }

    /// Multiplies by two to the given power, at most 64.
    pub fn double(&mut self, times: u32) {
        let mut carry: u128 = 0;
        for digit in self.digits.iter_mut().rev() {
            let product = (u128::from(*digit) << times) + carry;
            *digit = u8::try_from(product % 10).unwrap_or(0);
            carry = product / 10;
        }
        let mut front = Vec::new();
        while carry > 0 {
            front.push(u8::try_from(carry % 10).unwrap_or(0));
            carry /= 10;
        }
        front.reverse();
        front.append(&mut self.digits);
        self.digits = front;
    }

    /// Rounds away from zero to `scale` digits after the point, or extends to them. Zero does not change.
    pub fn round_up(&mut self, scale: i64) {
        if self.digits.is_empty() {
            return;
        }
        let drop = self.scale.saturating_sub(scale);
        self.scale = scale;
        if drop <= self.zeros {
            self.zeros = self.zeros.saturating_sub(drop);
            return;
        }
        let drop = usize::try_from(drop.saturating_sub(self.zeros)).unwrap_or(usize::MAX);
        self.zeros = 0;
        let keep = self.digits.len().saturating_sub(drop);
        let dropped = self.digits.split_off(keep);
        if dropped.iter().any(|digit| *digit != 0) || dropped.len() < drop {
            self.increment();
        }
    }

    /// Adds one to the last stored digit.
    fn increment(&mut self) {
        for digit in self.digits.iter_mut().rev() {
            if *digit < 9 {
                *digit += 1;
                return;
            }
            *digit = 0;
        }
        self.digits.insert(0, 1);
    }

    /// The bytes of the sum of two decimals.
    pub fn size_of_sum(&self, other: &Self) -> usize {
        let low = self.exponent().min(other.exponent());
        let high = self.top().max(other.top());
        usize::try_from(high.saturating_sub(low).saturating_add(1)).unwrap_or(usize::MAX)
    }

    /// The sum; the caller has charged `size_of_sum`.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let low = self.exponent().min(other.exponent());
        let scale = self.scale.max(other.scale);
        let (left, right) = (self.expanded(low), other.expanded(low));
        let (negative, digits) = if self.negative == other.negative {
            (self.negative, sum(&left, &right))
        } else if compare(&left, &right) == Ordering::Less {
            (other.negative, difference(&right, &left))
        } else {
            (self.negative, difference(&left, &right))
        };
        Self { negative, digits, zeros: low.saturating_add(scale), scale }
    }

    #[must_use]
    pub fn negated(&self) -> Self {
        Self { negative: !self.negative, ..self.clone() }
    }

    /// The power of ten of the last digit.
    fn exponent(&self) -> i64 {
        self.zeros.saturating_sub(self.scale)
    }

    /// The power of ten of the first digit, plus one.
    fn top(&self) -> i64 {
        let length = i64::try_from(self.digits.len()).unwrap_or(i64::MAX);
        self.exponent().saturating_add(length)
    }

    /// The digits, down to the given power of ten.
    fn expanded(&self, low: i64) -> Vec<u8> {
        let more = usize::try_from(self.exponent().saturating_sub(low)).unwrap_or(0);
        let more = if self.digits.is_empty() { 0 } else { more };
        self.digits.iter().copied().chain(std::iter::repeat_n(0, more)).collect()
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_sign = self.sign().cmp(&other.sign());
        if by_sign != Ordering::Equal || self.digits.is_empty() {
            return by_sign;
        }
        let longest = self.digits.len().max(other.digits.len());
        let padded = |decimal: &'_ Self| {
            decimal.digits.clone().into_iter().chain(std::iter::repeat(0)).take(longest)
        };
        let magnitude = self.top().cmp(&other.top()).then_with(|| padded(self).cmp(padded(other)));
        if self.negative { magnitude.reverse() } else { magnitude }
    }
}

/// Compares integers of digits without leading zeros.
fn compare(left: &[u8], right: &[u8]) -> Ordering {
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

fn sum(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut digits = Vec::with_capacity(left.len().max(right.len()) + 1);
    let mut carry = 0;
    let (mut left, mut right) = (left.iter().rev(), right.iter().rev());
    loop {
        let (a, b) = (left.next(), right.next());
        if a.is_none() && b.is_none() && carry == 0 {
            break;
        }
        let digit = a.unwrap_or(&0) + b.unwrap_or(&0) + carry;
        digits.push(digit % 10);
        carry = digit / 10;
    }
    digits.reverse();
    digits
}

/// `left - right`, where `left` is not less.
fn difference(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut digits = Vec::with_capacity(left.len());
    let mut borrow = 0;
    let mut right = right.iter().rev();
    for digit in left.iter().rev() {
        let less = right.next().unwrap_or(&0) + borrow;
        borrow = u8::from(*digit < less);
        digits.push(digit + 10 * borrow - less);
    }
    while digits.last() == Some(&0) {
        digits.pop();
    }
    digits.reverse();
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        Decimal::new(negative, whole, fraction)
    }

    proptest::proptest! {
        #[test]
        fn sums_and_order_are_those_of_integers(a in -1_000_000_i64.., b in -1_000_000_i64..) {
            let (a, b) = (a / 2, b / 2);
            let (left, right) = (Decimal::from_scaled(a, 0), Decimal::from_scaled(b, 0));
            proptest::prop_assert_eq!(left.cmp(&right), a.cmp(&b));
            proptest::prop_assert_eq!(left.plus(&right), Decimal::from_scaled(a + b, 0));
            proptest::prop_assert_eq!(left.plus(&right.negated()).sign(), (a - b).signum());
        }
    }

    #[test]
    fn numbers_of_different_scale_are_compared_by_value() {
        assert_eq!(decimal("1.50"), decimal("1.5"));
        assert!(decimal("-1.51") < decimal("-1.5"));
        assert!(decimal("0.09") < decimal("0.1"));
        let mut huge = decimal("1");
        huge.shift(2_000_000_000);
        assert!(huge > decimal("99999999999999999999999999"));
        assert!(huge.negated() < decimal("0"));
    }

    #[test]
    fn rounding_goes_away_from_zero() {
        for (text, rounded) in [
            ("0.0000000001", "0.000000001"),
            ("-0.0000000001", "-0.000000001"),
            ("1.9999999999", "2"),
            ("1.5", "1.5"),
            ("0", "0"),
        ] {
            let mut number = decimal(text);
            number.round_up(9);
            assert_eq!(number, decimal(rounded), "{text}");
        }
        let mut tiny = decimal("1");
        tiny.shift(-2_000_000_000);
        tiny.round_up(9);
        assert_eq!(tiny, decimal("0.000000001"));
    }

    #[test]
    fn doubling_multiplies_by_powers_of_two() {
        let mut number = decimal("1.5");
        number.double(30);
        assert_eq!(number, decimal("1610612736"));
        let mut large = decimal("999999999999999999999");
        large.double(60);
        assert_eq!(large, decimal("1152921504606846975998847078495393153024"));
    }
}
