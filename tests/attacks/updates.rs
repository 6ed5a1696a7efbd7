//! Updates of what was violating before.

use crate::{Alone, Test};

pub const TESTS: &[Test] = &[];
pub const ALONE: &[Alone] = &[];
