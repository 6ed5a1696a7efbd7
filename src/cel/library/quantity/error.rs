//! Errors of quantities.

/// Why a text is not a quantity, or a calculation has no result.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum QuantityError {
    #[error(
        "this is not a quantity; write a number and optionally one of n, u, m, k, M, G, T, P, E, Ki, \
         Mi, Gi, Ti, Pi, Ei or an exponent, such as 100m, 0.5, 128Mi or 1e3"
    )]
    Syntax,
    #[error("asInteger() cannot return this quantity as an int; test it first with isInteger()")]
    NoInteger,
    #[error("these quantities are too far apart to compare")]
    TooFarApart,
}
