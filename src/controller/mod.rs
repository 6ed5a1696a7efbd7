//! What keeps the policies in force up to date: [`snapshot`] from a cluster's
//! watch, [`files`] from YAML. Both publish a whole `PolicySet` at once.

pub mod files;
mod index;
pub mod snapshot;
mod stalled;
