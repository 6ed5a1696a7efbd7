//! The degree of a breach: how much of one violation it counts for in the health score.

/// Degrees, shares and points are counted in billionths.
pub(super) const BILLION: u64 = 1_000_000_000;

/// How much of a violation a breach counts for, in billionths. Most breaches count whole.
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

/// The degree of a container with `over` restarts beyond `maximum`: ln(1 + over) / ln(1 + 10 · maximum), at most
/// [`Degree::WHOLE`]. The first restarts weigh most.
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
