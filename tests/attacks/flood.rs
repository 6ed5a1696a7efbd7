//! Connections and bytes that take the room of the API server's reviews.

use crate::{Alone, Test};

pub const TESTS: &[Test] = &[];
pub const ALONE: &[Alone] = &[];
