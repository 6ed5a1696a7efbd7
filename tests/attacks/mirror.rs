//! Pods that claim to be mirrors of what a kubelet runs.

use crate::{Alone, Test};

pub const TESTS: &[Test] = &[];
pub const ALONE: &[Alone] = &[];
