//! How Kubernetes' `string.format` prints doubles: for readers of English
//! (`golang.org/x/text/message`).

/// What Kubernetes prints where it was asked for more digits or a wider field than it can count.
const TOO_WIDE: &str = "%!(NOVERB)";
/// `x/text` refuses numbers whose first digits are above this.
const MAX_NUMBER: i64 = 1_000_000;

/// The most bytes that [`fixed`] and [`scientific`] make with a precision.
pub fn most_bytes(precision: i64) -> usize {
    /// The digits and commas of the largest double.
    const WHOLE: usize = 420;
    usize::try_from(precision & 0xffff).unwrap_or(0) + WHOLE
}

/// `%.Nf` in English: groups of three digits, halves to the even digit. Of more than 255 digits
/// behind the point, only those that the number has are printed.
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

/// `%e` in English: `1.500000×10⁰³`, always six digits behind the point. What the format calls the
/// precision is the least number of characters: Kubernetes passes it on as the width.
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
