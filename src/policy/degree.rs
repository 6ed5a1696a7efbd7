//! How much of a violation one breach is.

/// What is whole: a degree, a share, a point.
pub(super) const BILLION: u64 = 1_000_000_000;

/// How much of a violation one is, in billionths. Most are whole.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Degree(pub(super) u32);

impl Degree {
    pub const WHOLE: Self = Self(1_000_000_000);
}

impl Default for Degree {
    fn default() -> Self {
        Self::WHOLE
    }
}

/// The degree of so many restarts over the maximum: the first says most, and ten times the maximum is whole.
pub fn restart_degree(over: u32, maximum: u32) -> Degree {
    let whole = 10.0 * f64::from(maximum.max(1));
    let degree = f64::from(over).ln_1p() / whole.ln_1p();
    Degree(u32::try_from(billionths(degree)).map_or(Degree::WHOLE.0, |it| it.min(Degree::WHOLE.0)))
}

#[expect(clippy::cast_precision_loss, reason = "counts and shares stay far below 2^53")]
pub(super) fn float(number: u64) -> f64 {
    number as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "degrees and points are neither negative nor large, and the cast saturates"
)]
pub(super) fn billionths(number: f64) -> u64 {
    (number * float(BILLION)).round() as u64
}
