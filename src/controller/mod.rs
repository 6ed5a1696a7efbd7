//! The policies: [`snapshot`] (a cluster's watch) and [`files`] (YAML) keep the ones in force up to date, and publish a
//! whole `PolicySet` at once; [`reconcile`] writes into their status what the audit found.

pub mod files;
mod index;
pub mod reconcile;
pub mod snapshot;
mod status;
