//! Objects that the API server stores and that are odd: huge, deep, empty.

use crate::{Alone, Test};

pub const TESTS: &[Test] = &[];
pub const ALONE: &[Alone] = &[];
