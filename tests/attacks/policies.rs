//! Policies that stop compiling, or that nobody can read.

use crate::{Alone, Test};

pub const TESTS: &[Test] = &[];
pub const ALONE: &[Alone] = &[];
