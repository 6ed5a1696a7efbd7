//! Positions in strings, counted in code points.

/// The byte offset of code point number `at`; the text's length for the number after the last one.
pub fn byte_of(text: &str, at: i64) -> Option<usize> {
    let at = usize::try_from(at).ok()?;
    // Every code point has at least one byte.
    if at > text.len() {
        return None;
    }
    match text.char_indices().map(|(byte, _)| byte).nth(at) {
        Some(byte) => Some(byte),
        None => (text.chars().count() == at).then_some(text.len()),
    }
}

/// The number of code points before a byte offset.
pub fn point_of(text: &str, byte: usize) -> usize {
    text.get(..byte).map_or(0, |before| before.chars().count())
}

/// The byte offset of the last occurrence of `part` that begins at `from` or before.
pub fn find_last(text: &str, part: &str, from: usize) -> Option<usize> {
    let mut end = from.saturating_add(part.len()).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end)?.rfind(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_code_points() {
        for (at, byte) in [(0, Some(0)), (1, Some(2)), (2, Some(3)), (3, None), (-1, None)] {
            assert_eq!(byte_of("éa", at), byte, "{at}");
        }
        assert_eq!(byte_of("", 0), Some(0));
        assert_eq!(byte_of("a", i64::MAX), None);
        assert_eq!(point_of("éaé", 3), 2);
        assert_eq!(find_last("éaéa", "a", 3), Some(2));
        assert_eq!(find_last("éaéa", "a", 5), Some(5));
        assert_eq!(find_last("aé", "é", 0), None);
    }
}
