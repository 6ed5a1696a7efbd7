//! The counts of repetitions: `{2,3}`.

use super::error::PatternError as Error;

/// The highest count of a repetition, and the highest product of the counts of nested repetitions.
pub const MAX_REPEAT: u32 = 1000;

/// The counts of a repetition.
pub struct RepeatCounts {
    /// Length of the repetition's text in bytes.
    pub length: usize,
    pub min: u32,
    pub max: Option<u32>,
}

/// Reads `{min}`, `{min,}` or `{min,max}` at the start of a text; `None` if the brace is a literal character.
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

/// A number without leading zeros; `u32::MAX` if it does not fit.
fn number(digits: &str) -> Option<u32> {
    let valid = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
    let valid = valid && (digits.len() == 1 || !digits.starts_with('0'));
    valid.then(|| digits.parse().unwrap_or(u32::MAX))
}
