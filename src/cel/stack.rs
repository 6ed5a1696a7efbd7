//! Stack for going down trees. Their depth is bounded, but by more than an ordinary thread's stack has room for in a debug build.

/// What a step down needs at most.
const STEP: usize = 64 * 1024;
/// What is added where less than that is left.
const MORE: usize = 1024 * 1024;

/// Goes a step down, on more stack if little is left.
pub(super) fn deeper<T>(step: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(STEP, MORE, step)
}
