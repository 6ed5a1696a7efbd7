//! Any two texts for quantities: read or refused, ordered one way, and as exact as a slow reading is.
#![no_main]

use std::cmp::Ordering;

use libfuzzer_sys::fuzz_target;
use podgate::cel::library::quantity::amount::Amount;

const NANO: i128 = 1_000_000_000;

fuzz_target!(|texts: (&str, &str, &str)| {
    let [a, b, c] = [texts.0, texts.1, texts.2].map(|text| Amount::parse(text).ok());
    if let (Some(a), Some(b)) = (&a, &b)
        && let Some(order) = compare(a, b)
    {
        assert_eq!(compare(b, a), Some(order.reverse()), "{texts:?}");
        if let Some(c) = &c
            && order.is_le()
            && compare(b, c).is_some_and(Ordering::is_le)
        {
            assert!(compare(a, c).is_none_or(Ordering::is_le), "{texts:?}");
        }
    }
    for (text, read) in [(texts.0, a), (texts.1, b), (texts.2, c)] {
        if let Some(nanos) = slowly(text) {
            let read = read.expect("podgate reads a text that the slow parser reads");
            let exact = Amount::parse(&format!("{nanos}n")).expect("an integer");
            assert_eq!(compare(&read, &exact), Some(Ordering::Equal), "{text:?} is {nanos}n");
            assert_eq!(i128::from(read.sign()), nanos.signum(), "{text:?}");
        }
    }
});

/// `None` if the two are too far apart.
fn compare(a: &Amount, b: &Amount) -> Option<Ordering> {
    a.clone().compare(b.clone()).ok()
}

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
    let most = if binary.is_some() { i128::from(i64::MAX) * NANO } else { i128::MAX };
    Some(sign * rounded.min(most))
}
