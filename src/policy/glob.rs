//! Glob patterns, as exemptions use them for names and images.

/// The longest text that can match a pattern, in bytes. No name and no image that could run is longer; a longer text
/// matches no pattern, so it is never exempt.
pub(super) const MAX_TEXT: usize = 1024;

/// Whether a pattern matches a whole text: `*` stands for any text, `?` for one character.
pub fn glob(pattern: &str, text: &str) -> bool {
    if text.len() > MAX_TEXT {
        return false;
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let fits = |expected: &char, character| *expected == '?' || *expected == character;
    wildcard(&pattern, text, |it| *it == '*', fits)
}

/// Whether a pattern, of any kind of tokens, matches a whole text: a token that `is_star` stands for any text, any other
/// for one character that it `fits`.
pub fn wildcard<T>(
    pattern: &[T],
    text: &str,
    is_star: impl Fn(&T) -> bool,
    fits: impl Fn(&T, char) -> bool,
) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut read) = (0, 0);
    // The position of the last star, and the end of the text that it matches so far.
    let mut star = None;
    while let Some(&character) = text.get(read) {
        match pattern.get(at) {
            Some(token) if is_star(token) => {
                star = Some((at, read));
                at += 1;
            }
            Some(token) if fits(token, character) => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((position, taken)) = star else { return false };
                star = Some((position, taken + 1));
                at = position + 1;
                read = taken + 1;
            }
        }
    }
    pattern.iter().skip(at).all(is_star)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text_and_a_question_mark_for_one_character() {
        for (pattern, text, expected) in [
            ("cart", "cart", true),
            ("cart", "cart2", false),
            ("cart-*", "cart-", true),
            ("*-web-*", "shop-web-1", true),
            ("*ab", "aab", true),
            ("c?rt", "cart", true),
            ("c?rt", "crt", false),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} against {text}");
        }
        assert!(glob("*", &"a".repeat(1024)) && !glob("*", &"a".repeat(1025)));
    }
}
