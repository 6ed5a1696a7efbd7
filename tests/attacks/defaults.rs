//! What podgate puts in, proposes or enforces without being asked for it.

use crate::{Alone, Test};

pub const TESTS: &[Test] = &[];
pub const ALONE: &[Alone] = &[];
