//! Records of repairs that a tenant wrote.

use crate::{Alone, Test};

pub const TESTS: &[Test] = &[];
pub const ALONE: &[Alone] = &[];
