//! Conversions between numbers of different types, without loss.

/// 2⁶³ and 2⁶⁴, the first doubles above the ranges of int and uint.
const INT_END: f64 = 9_223_372_036_854_775_808.0;
const UINT_END: f64 = 18_446_744_073_709_551_616.0;

/// The int equal to a double, if there is one.
#[allow(clippy::cast_possible_truncation, reason = "the range is checked")]
pub(super) fn int_of(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && (-INT_END..INT_END).contains(&number)).then_some(number as i64)
}

/// The uint equal to a double, if there is one.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
pub(super) fn uint_of(number: f64) -> Option<u64> {
    (number.fract() == 0.0 && (0.0..UINT_END).contains(&number)).then_some(number as u64)
}
