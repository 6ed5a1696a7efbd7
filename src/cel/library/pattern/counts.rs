//! The counts of repetitions: `{2,3}`.

use super::error::PatternError as Error;

/// The most that one repetition repeats, and that repetitions in repetitions multiply to.
pub const MAX_REPEAT: u32 = 1000;

/// How often something is repeated.
pub struct RepeatCounts {
    /// Bytes of the text that says so.
    pub length: usize,
    pub min: u32,
    pub max: Option<u32>,
}

/// `{min}`, `{min,}` or `{min,max}` at the start of a text; `None` is a brace that stands for itself.
pub fn counts(text: &str) -> Option<Result<RepeatCounts, Error>> {
    let (inner, _) = text.strip_prefix('{')?.split_once('}')?;
    let (min, max) = match inner.split_once(',') {
        Some((min, "")) => (number(min)?, None),
        Some((min, max)) => (number(min)?, Some(number(max)?)),
        None => (number(inner)?, Some(number(inner)?)),
    };
    if min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT || max < min) {
        return Some(Err(Error::RepeatSize));
    }
    Some(Ok(RepeatCounts { length: inner.len() + 2, min, max }))
}

/// A number without leading zeros; what does not fit is the greatest there is.
fn number(digits: &str) -> Option<u32> {
    let valid = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
    let valid = valid && (digits.len() == 1 || !digits.starts_with('0'));
    valid.then(|| digits.parse().unwrap_or(u32::MAX))
}
