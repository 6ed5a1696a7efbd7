//! Prints doubles as Kubernetes' `string.format` does, in the English locale (`golang.org/x/text/message`).

/// The text that Kubernetes prints for a precision or a width above the limit.
const TOO_WIDE: &str = "%!(NOVERB)";
/// `x/text` refuses a precision or width whose digits but the last one exceed this.
const MAX_NUMBER: i64 = 1_000_000;

/// The most bytes of [`fixed`] and [`scientific`] with a precision.
pub fn most_bytes(precision: i64) -> usize {
    /// The digits and commas of the largest double.
    const WHOLE: usize = 420;
    usize::try_from(precision & 0xffff).unwrap_or(0) + WHOLE
}

/// `%.Nf` in English: groups of three digits, halves rounded to the even digit. Of more than 255 digits after the
/// point, trailing zeros are left out.
pub fn fixed(number: f64, precision: i64) -> String {
    if precision / 10 > MAX_NUMBER {
        return TOO_WIDE.to_owned();
    }
    if !number.is_finite() {
        return english(number).to_owned();
    }
    #[expect(clippy::cast_possible_truncation, reason = "x/text keeps as many bits")]
    let most = precision as i16;
    let least = usize::try_from(precision & 0xff).unwrap_or(0);
    let exact = match usize::try_from(most) {
        Ok(most) => format!("{:.most$}", number.abs()),
        Err(_) => format!("{}", number.abs()),
    };
    let (whole, fraction) = exact.split_once('.').unwrap_or((&exact, ""));
    let fraction = fraction.trim_end_matches('0');
    let mut text = String::with_capacity(exact.len() + whole.len() / 3 + least);
    if number < 0.0 {
        text.push('-');
    }
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if fraction.len().max(least) > 0 {
        text.push('.');
        text.push_str(fraction);
        text.extend(std::iter::repeat_n('0', least.saturating_sub(fraction.len())));
    }
    text
}

/// `%e` in English: `1.500000×10⁰³`, always with six digits after the point. The precision of the format is the least
/// number of characters: Kubernetes passes it on as the width.
pub fn scientific(number: f64, width: i64) -> String {
    if width / 10 > MAX_NUMBER {
        return TOO_WIDE.to_owned();
    }
    let text = if number.is_finite() {
        let number = if number == 0.0 { 0.0 } else { number };
        let exact = format!("{number:.6e}");
        let (digits, exponent) = exact.split_once('e').unwrap_or((&exact, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let sign = if exponent < 0 { "⁻" } else { "" };
        let exponent: String =
            format!("{:02}", exponent.unsigned_abs()).chars().map(superscript).collect();
        format!("{digits}×10{sign}{exponent}")
    } else {
        english(number).to_owned()
    };
    let width = usize::try_from(width & 0xffff).unwrap_or(0);
    format!("{text:>width$}")
}

fn english(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "∞"
    } else {
        "-∞"
    }
}

fn superscript(digit: char) -> char {
    match digit {
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4' => '⁴',
        '5' => '⁵',
        '6' => '⁶',
        '7' => '⁷',
        '8' => '⁸',
        '9' => '⁹',
        _ => '⁰',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_numbers_are_printed_for_readers_of_english() {
        for (number, precision, text) in [
            (1_234_567.891, 2, "1,234,567.89"),
            (999.999, 2, "1,000.00"),
            (0.5, 0, "0"),
            (1.5, 0, "2"),
            (-0.4, 0, "-0"),
            (0.0, 1, "0.0"),
            (f64::INFINITY, 3, "∞"),
            (f64::NEG_INFINITY, 3, "-∞"),
            (f64::NAN, 3, "NaN"),
            (1.5, 256, "1.5"),
            (1.5, 40_000, "1.5000000000000000000000000000000000000000000000000000000000000000"),
            (1.5, 10_000_010, "%!(NOVERB)"),
        ] {
            assert_eq!(fixed(number, precision), text, "{number} {precision}");
        }
    }

    #[test]
    fn scientific_numbers_have_six_digits_and_a_width() {
        for (number, width, text) in [
            (1_052.032_911_275, 6, "1.052033×10⁰³"),
            (-0.000_12, 3, "-1.200000×10⁻⁰⁴"),
            (1e300, 3, "1.000000×10³⁰⁰"),
            (0.0, 15, "  0.000000×10⁰⁰"),
            (f64::NEG_INFINITY, 4, "  -∞"),
        ] {
            assert_eq!(scientific(number, width), text, "{number} {width}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_number_is_longer_than_most_bytes(number: f64, precision in 0..20_000_000_i64) {
            for text in [fixed(number, precision), scientific(number, precision)] {
                proptest::prop_assert!(text.chars().count() <= most_bytes(precision), "{}", text.len());
            }
        }
    }
}
