//! The counts of repetitions: `{2,3}`.

/// `{min}`, `{min,}` or `{min,max}` at the start of a text: its length, and the numbers. The least
/// is `None` where a number is far too large.
pub fn counts(text: &str) -> Option<(usize, Option<u32>, Option<Option<u32>>)> {
    let (inner, _) = text.strip_prefix('{')?.split_once('}')?;
    let number = |digits: &str| {
        let valid = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
        let valid = valid && (digits.len() == 1 || !digits.starts_with('0'));
        valid.then(|| digits.parse::<u32>().ok())
    };
    let (min, max) = match inner.split_once(',') {
        Some((min, "")) => (number(min)?, None),
        Some((min, max)) => {
            let (min, max) = (number(min)?, number(max)?);
            (min.filter(|_| max.is_some()), Some(max))
        }
        None => (number(inner)?, Some(number(inner)?)),
    };
    Some((inner.len() + 2, min, max))
}
