//! Quantities as Kubernetes writes them: `100m`, `0.5`, `128Mi`, `1e3`
//! (`k8s.io/apimachinery/pkg/api/resource`).

/// An amount, in billionths of its unit, as exact as the API server keeps it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Quantity(i128);

const NANO: i128 = 1_000_000_000;
/// The API server caps what is larger.
const MAX: i128 = i64::MAX as i128 * NANO;
/// Digits after the point beyond these only round up.
const MAX_FRACTION_DIGITS: usize = 10;

impl Quantity {
    /// Reads a quantity; `None` is a text that the API server would refuse.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix(['+', '-']) {
            Some(rest) => (text.starts_with('-'), rest),
            None => (false, text),
        };
        let end = unsigned.bytes().position(|byte| !byte.is_ascii_digit() && byte != b'.');
        let (number, suffix) = unsigned.split_at(end.unwrap_or(unsigned.len()));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || whole.len() + fraction.len() == 0 {
            return None;
        }
        let amount = scaled(whole, fraction, scale(suffix)?).min(MAX);
        Some(Self(if negative { -amount } else { amount }))
    }

    /// Whether there is any of it. A request or limit of nothing means none to the kubelet.
    pub fn is_positive(self) -> bool {
        self.0 > 0
    }
}

/// By how much a suffix multiplies: `numerator / denominator`, in billionths.
struct Scale {
    numerator: i128,
    denominator: i128,
}

fn scale(suffix: &str) -> Option<Scale> {
    let times = |numerator: i128| Some(Scale { numerator: numerator * NANO, denominator: 1 });
    match suffix {
        "n" => Some(Scale { numerator: 1, denominator: 1 }),
        "u" => Some(Scale { numerator: 1_000, denominator: 1 }),
        "m" => Some(Scale { numerator: 1_000_000, denominator: 1 }),
        "" => times(1),
        "k" => times(1_000),
        "M" => times(1_000_000),
        "G" => times(1_000_000_000),
        "T" => times(1_000_000_000_000),
        "P" => times(1_000_000_000_000_000),
        "E" => times(1_000_000_000_000_000_000),
        "Ki" => times(1 << 10),
        "Mi" => times(1 << 20),
        "Gi" => times(1 << 30),
        "Ti" => times(1 << 40),
        "Pi" => times(1 << 50),
        "Ei" => times(1 << 60),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            // Beyond these, every digit is past the cap, or below a billionth.
            let power = power.clamp(-38, 28);
            let ten = |power: i32| 10_i128.saturating_pow(power.unsigned_abs());
            Some(if power < 0 {
                Scale { numerator: NANO, denominator: ten(power) }
            } else {
                Scale { numerator: ten(power).saturating_mul(NANO), denominator: 1 }
            })
        }
    }
}

/// `whole.fraction` times a scale, rounded up as the API server does.
fn scaled(whole: &str, fraction: &str, Scale { numerator, denominator }: Scale) -> i128 {
    let parse = |digits: &str| {
        if digits.is_empty() { 0 } else { digits.parse::<i128>().unwrap_or(i128::MAX) }
    };
    let kept = fraction.get(..MAX_FRACTION_DIGITS).unwrap_or(fraction);
    let more =
        fraction.get(kept.len()..).is_some_and(|rest| rest.bytes().any(|digit| digit != b'0'));
    let parts = 10_i128.saturating_pow(u32::try_from(kept.len()).unwrap_or(u32::MAX));
    let of_whole = divided_up(parse(whole).saturating_mul(numerator), denominator);
    let of_fraction = divided_up(
        (parse(kept) + i128::from(more)).saturating_mul(numerator),
        denominator.saturating_mul(parts),
    );
    of_whole.saturating_add(of_fraction)
}

fn divided_up(amount: i128, by: i128) -> i128 {
    amount / by + i128::from(amount % by != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, nanos) in [
            ("0", 0),
            ("1", NANO),
            ("+1", NANO),
            ("-1", -NANO),
            ("100m", NANO / 10),
            ("0.1", NANO / 10),
            (".5", NANO / 2),
            ("5.", 5 * NANO),
            ("00012", 12 * NANO),
            ("1500m", 3 * NANO / 2),
            ("1n", 1),
            ("1u", 1_000),
            ("0.1n", 1),
            ("0.0000000001", 1),
            ("1.00000000000000000001", NANO + 1),
            ("1k", 1_000 * NANO),
            ("1Ki", 1_024 * NANO),
            ("1.5Gi", 3 * (NANO << 29)),
            ("128Mi", NANO << 27),
            ("1M", 1_000_000 * NANO),
            ("1G", 1_000_000_000 * NANO),
            ("1T", 1_000_000_000_000 * NANO),
            ("1Ti", NANO << 40),
            ("1P", 1_000_000_000_000_000 * NANO),
            ("1Pi", NANO << 50),
            ("1E", 1_000_000_000_000_000_000 * NANO),
            ("1Ei", NANO << 60),
            ("1e3", 1_000 * NANO),
            ("1E3", 1_000 * NANO),
            ("1e+3", 1_000 * NANO),
            ("12e-1", 6 * NANO / 5),
            ("1e-9", 1),
            ("1e-40", 1),
            ("1e40", MAX),
            ("100E", MAX),
            ("99999999999999999999999999999999999999999999", MAX),
        ] {
            assert_eq!(Quantity::parse(text), Some(Quantity(nanos)), "{text}");
        }
    }

    #[test]
    fn what_the_api_server_would_refuse_is_no_quantity() {
        for text in [
            "", " ", "m", ".", "-", "1 Gi", " 1", "1 ", "1K", "1ki", "1mi", "1MiB", "1MB", "1.2.3",
            "1,5", "one", "--1", "+-1", "1e", "1e1.5", "0x10", "1Kim", "½", "1e3Mi", "NaN",
        ] {
            assert_eq!(Quantity::parse(text), None, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "[-+0-9.eEkKMGmnu i]{0,60}") {
            let _ = Quantity::parse(&text);
        }

        #[test]
        fn a_larger_number_is_a_larger_quantity(a in 0u32.., b in 0u32.., suffix in "(m|k|Mi|e3|)") {
            let quantity = |number: u32| Quantity::parse(&format!("{number}{suffix}")).unwrap();
            proptest::prop_assert_eq!(a.cmp(&b), quantity(a).cmp(&quantity(b)));
        }
    }
}
