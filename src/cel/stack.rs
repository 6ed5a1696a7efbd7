//! Stack for recursion over trees. The depth of trees is bounded, but an
//! ordinary thread's stack is too small for the bound in a debug build.

/// The most stack that one level of recursion needs, in bytes.
const STEP: usize = 64 * 1024;
/// The size of a new stack segment, if less than [`STEP`] is free.
const MORE: usize = 1024 * 1024;

/// Runs one level of recursion, on a new stack segment if little stack is free.
pub(super) fn deeper<T>(step: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(STEP, MORE, step)
}
