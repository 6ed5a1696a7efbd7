//! Why a text is no quantity, or a calculation has no result.

/// Why a calculation has no result.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum QuantityError {
    #[error(
        "this is no quantity: write a number and optionally one of n, u, m, k, M, G, T, P, E, Ki, \
         Mi, Gi, Ti, Pi, Ei or an exponent, such as 100m, 0.5, 128Mi or 1e3"
    )]
    Syntax,
    #[error("this quantity is no integer that asInteger can give; ask isInteger first")]
    NoInteger,
    #[error("these quantities are too far apart to be compared")]
    TooFarApart,
}
