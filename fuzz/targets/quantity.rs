//! Any two texts for quantities: read or refused, ordered one way, and as exact as a slow reading is.
#![no_main]

use std::cmp::Ordering;

use libfuzzer_sys::fuzz_target;
use podgate::policy::quantity::Quantity;

const NANO: i128 = 1_000_000_000;

fuzz_target!(|texts: (&str, &str, &str)| {
    let [a, b, c] = [texts.0, texts.1, texts.2].map(Quantity::parse);
    if let (Some(a), Some(b)) = (a, b) {
        assert_eq!(a.cmp(&b), b.cmp(&a).reverse(), "{texts:?}");
        assert_eq!(a == b, a.cmp(&b) == Ordering::Equal, "{texts:?}");
        if let Some(c) = c.filter(|c| a <= b && b <= *c) {
            assert!(a <= c, "{texts:?}");
        }
    }
    for (text, read) in [(texts.0, a), (texts.1, b), (texts.2, c)] {
        if let Some(nanos) = slowly(text) {
            let exact = Quantity::parse(&format!("{nanos}n"));
            assert_eq!(read, exact, "{text:?} is {nanos}n");
            assert_eq!(read.map(Quantity::is_positive), Some(nanos > 0), "{text:?}");
        }
    }
});

/// Billionths, rounded away from zero, of a text of few digits whose scale is no exponent.
fn slowly(text: &str) -> Option<i128> {
    let (sign, text) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let end = text.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().position(|it| *it == suffix);
    let decimal =
        ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"].iter().position(|it| *it == suffix);
    let scale = match (binary, decimal) {
        (Some(power), _) => NANO << (10 * (power + 1)),
        (_, Some(power)) => 1000_i128.pow(u32::try_from(power).ok()?),
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    if fraction.contains('.') || !(1..=9).contains(&digits.len()) {
        return None;
    }
    let parts = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let amount = digits.parse::<i128>().ok()? * scale;
    let rounded = amount / parts + i128::from(amount % parts != 0);
    Some(sign * rounded.min(i128::from(i64::MAX) * NANO))
}
