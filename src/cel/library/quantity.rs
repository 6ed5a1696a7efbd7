//! Quantities of Kubernetes: `100m`, `0.5`, `128Mi`, `1e3` (`k8s.io/apimachinery/pkg/api/resource`,
//! `k8s.io/apiserver/pkg/cel/library/quantity.go`).
//!
//! A quantity is an `int64` with a power of ten where that suffices, and else a decimal. As in Kubernetes, expressions
//! see the difference: `isInteger` is false for a decimal, comparing with a decimal turns the receiver into a decimal,
//! and adding to a decimal changes the receiver too.

pub mod amount;
pub mod decimal;
mod error;

use std::cmp::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};

use amount::{Amount, add_ints, lock};
use decimal::Decimal;

pub use error::QuantityError;

/// A quantity of an expression. Clones share the amount.
#[derive(Clone, Debug)]
pub struct Quantity {
    amount: Arc<Mutex<Amount>>,
    /// Whether the quantity is a result of `add` or `sub`. Kubernetes
    /// does not take such a quantity on the right side of `==`.
    computed: bool,
}

impl Quantity {
    /// Reads a quantity, as `resource.ParseQuantity` does.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        Ok(Self { amount: Arc::new(Mutex::new(Amount::parse(text)?)), computed: false })
    }

    /// Bytes of the quantity that a text is parsed to.
    pub fn size(text: &str) -> usize {
        text.len().saturating_add(size_of::<Amount>() + size_of::<Decimal>() + 64)
    }

    /// Digits that a calculation traverses.
    pub fn digits(&self) -> usize {
        match &*self.amount() {
            Amount::Int { .. } => 0,
            Amount::Dec(decimal) => lock(decimal).digits(),
        }
    }

    /// -1, 0 or 1.
    pub fn sign(&self) -> i64 {
        self.amount().sign()
    }

    pub fn as_integer(&self) -> Result<i64, QuantityError> {
        match *self.amount() {
            Amount::Int { value: 0, scale: 0.. } => Ok(0),
            Amount::Int { value, scale } => u32::try_from(scale)
                .ok()
                .and_then(|scale| value.checked_mul(10_i64.checked_pow(scale)?))
                .ok_or(QuantityError::NoInteger),
            Amount::Dec(_) => Err(QuantityError::NoInteger),
        }
    }

    pub fn as_approximate_float(&self) -> f64 {
        let (base, power) = match &*self.amount() {
            #[expect(clippy::cast_precision_loss, reason = "the loss is the function's purpose")]
            Amount::Int { value, scale } => (*value as f64, i64::from(*scale)),
            Amount::Dec(decimal) => {
                let (base, scale) = lock(decimal).approximate();
                (base, -scale)
            }
        };
        if power == 0 { base } else { base * power_of_ten(power) }
    }

    /// The order of two quantities. Unless both are integers, this quantity is a decimal afterwards.
    pub fn compare(&self, other: &Self) -> Result<Ordering, QuantityError> {
        let right = other.amount().clone();
        self.amount().compare(right)
    }

    /// The result of `self == right`; `None` if there is no overload for it.
    pub fn equals(&self, right: &Self) -> Option<Result<bool, QuantityError>> {
        if right.computed {
            return None;
        }
        let copy = Self { amount: Arc::new(Mutex::new(self.amount().clone())), computed: false };
        Some(copy.compare(right).map(|order| order == Ordering::Equal))
    }

    /// The sum. `charge` is called with the bytes of the result before it is allocated, and may refuse.
    pub fn add<E>(
        &self,
        other: &Self,
        charge: impl FnOnce(usize) -> Result<(), E>,
    ) -> Result<Self, E> {
        let other = other.amount().clone();
        self.plus(other, charge)
    }

    /// The difference; as `add`.
    pub fn sub<E>(
        &self,
        other: &Self,
        charge: impl FnOnce(usize) -> Result<(), E>,
    ) -> Result<Self, E> {
        let negated = match &*other.amount() {
            Amount::Int { value, scale } => {
                Amount::Int { value: value.wrapping_neg(), scale: *scale }
            }
            Amount::Dec(decimal) => Amount::Dec(Arc::new(Mutex::new(lock(decimal).negated()))),
        };
        self.plus(negated, charge)
    }

    /// The sum with an integer; as `add`.
    pub fn add_int<E>(
        &self,
        value: i64,
        charge: impl FnOnce(usize) -> Result<(), E>,
    ) -> Result<Self, E> {
        self.plus(Amount::Int { value, scale: 0 }, charge)
    }

    /// The difference from an integer; as `add`.
    pub fn sub_int<E>(
        &self,
        value: i64,
        charge: impl FnOnce(usize) -> Result<(), E>,
    ) -> Result<Self, E> {
        match value.checked_neg() {
            Some(value) => self.add_int(value, charge),
            // The least int has no negation: Kubernetes falls back to decimals, or adds the number itself.
            None => self.plus(Amount::Int { value, scale: 0 }, charge),
        }
    }

    fn plus<E>(
        &self,
        mut other: Amount,
        charge: impl FnOnce(usize) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut sum = self.amount().clone();
        if let (Amount::Int { .. }, Amount::Int { .. }) = (&sum, &other)
            && let Some(small) = add_ints(&sum, &other)
        {
            return Ok(Self::computed(small));
        }
        let (left, right) = (sum.as_decimal(), other.as_decimal());
        let right = lock(&right).clone();
        let mut total = lock(&left);
        charge(total.size_of_sum(&right))?;
        *total = total.plus(&right);
        drop(total);
        Ok(Self::computed(Amount::Dec(left)))
    }

    fn computed(amount: Amount) -> Self {
        Self { amount: Arc::new(Mutex::new(amount)), computed: true }
    }

    fn amount(&self) -> MutexGuard<'_, Amount> {
        lock(&self.amount)
    }
}

/// Ten to a power as Go's `math.Pow10`: 0 or infinity out of range; a negative power is a quotient.
fn power_of_ten(power: i64) -> f64 {
    let exact = |power: i64| format!("1e{power}").parse::<f64>().unwrap_or(0.0);
    match power {
        0..=308 => exact(power / 32 * 32) * exact(power % 32),
        -323..0 => exact(-(-power / 32 * 32)) / exact(-power % 32),
        309.. => f64::INFINITY,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Quantity {
        Quantity::parse(text).unwrap()
    }

    #[expect(clippy::unnecessary_wraps, reason = "a charge may be refused")]
    fn free(_: usize) -> Result<(), ()> {
        Ok(())
    }

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, integer, float) in [
            ("0", Some(0), 0.0),
            ("+1", Some(1), 1.0),
            ("-1.0", None, -1.0),
            ("100m", None, 0.1),
            ("100k", Some(100_000), 100_000.0),
            ("1e3", Some(1000), 1000.0),
            ("1E3", Some(1000), 1000.0),
            ("1Ki", Some(1024), 1024.0),
            ("1.5Ki", None, 1536.0),
            ("1Ei", None, 1_152_921_504_606_846_976.0),
            ("100Ei", None, 9_223_372_036_854_775_807.0),
            ("0.1n", None, 1e-9),
            ("1e-40", None, 1e-9),
            ("1e40", None, 1e40),
            // Missing digits are 0.
            (".", Some(0), 0.0),
            ("-", Some(0), 0.0),
            ("Ki", Some(0), 0.0),
            ("1e4294967296", Some(1), 1.0),
        ] {
            let quantity = of(text);
            assert_eq!(quantity.as_integer().ok(), integer, "{text}");
            assert!(
                (quantity.as_approximate_float() - float).abs() <= float.abs() * 1e-15,
                "{text}"
            );
        }
    }

    #[test]
    fn texts_that_the_api_server_refuses_are_not_quantities() {
        for text in [
            "", " 1", "1 ", "1K", "1ki", "1MiB", "1.2.3", "--1", "1e", "1e+", "1e3Mi", "1n5", "½",
            "NaN",
        ] {
            assert_eq!(Quantity::parse(text).unwrap_err(), QuantityError::Syntax, "{text:?}");
        }
    }

    #[test]
    fn quantities_are_compared_by_their_amount() {
        assert_eq!(of("1").compare(&of("1000m")), Ok(Ordering::Equal));
        assert_eq!(of("1Gi").compare(&of("1G")), Ok(Ordering::Greater));
        assert_eq!(of("-1.5Gi").compare(&of("-1Gi")), Ok(Ordering::Less));
        assert_eq!(of("1e1000000000").compare(&of("1e999999999")), Ok(Ordering::Greater));
        assert_eq!(of("1e2147483647").compare(&of("1n")), Err(QuantityError::TooFarApart));
    }

    #[test]
    fn sums_and_differences_are_exact() {
        let sum = of("1.5Gi").add(&of("1n"), free).unwrap();
        assert_eq!(sum.compare(&of("1610612736.000000001")), Ok(Ordering::Equal));
        assert_eq!(of("1").add_int(1, free).unwrap().as_integer(), Ok(2));
        assert_eq!(of("1").sub(&of("1500m"), free).unwrap().sign(), -1);
        let most = of("9223372036854775807").add_int(1, free).unwrap();
        assert_eq!(most.compare(&of("9223372036854775808")), Ok(Ordering::Equal));
        assert!(of("0").sub_int(i64::MIN, free).is_ok());
    }

    #[test]
    fn a_sum_that_is_too_long_is_refused_before_it_is_made() {
        let limit = |bytes| if bytes > 1000 { Err(bytes) } else { Ok(()) };
        assert!(
            of("1e2000000000").add(&of("1.5Gi"), limit).is_err_and(|bytes| bytes > 1_000_000_000)
        );
    }

    #[test]
    fn decimals_are_shared_as_kubernetes_shares_them() {
        let quantity = of("1");
        assert!(quantity.compare(&of("2")).is_ok() && quantity.as_integer().is_ok());
        assert!(quantity.compare(&of("1.5Gi")).is_ok());
        assert_eq!(quantity.as_integer(), Err(QuantityError::NoInteger));
        let decimal = of("1.5Gi");
        let sum = decimal.add(&of("1Gi"), free).unwrap();
        assert_eq!(sum.compare(&decimal), Ok(Ordering::Equal));
    }

    #[test]
    fn a_computed_quantity_is_compared_on_the_left_only() {
        let computed = of("1").add_int(1, free).unwrap();
        assert_eq!(computed.equals(&of("2")), Some(Ok(true)));
        assert_eq!(of("2").equals(&computed), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "[-+0-9.eEkKMGTPnumi ]{0,60}") {
            if let Ok(quantity) = Quantity::parse(&text) {
                let _ = quantity.as_approximate_float();
                let _ = quantity.compare(&of("1.5Gi"));
            }
        }
    }
}
