//! Validations that would end the process, or keep other namespaces' reviews waiting.

use crate::{Alone, Test};

pub const TESTS: &[Test] = &[];
pub const ALONE: &[Alone] = &[];
