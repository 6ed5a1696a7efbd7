//! Audits running pods: keeps compact facts of every pod in the cluster, and what the policies find in them.
//!
//! [`watch`] lists and watches the pods and passes each, cut down to its [`pod::ObservedPod`], to the [`index`], which
//! counts without any I/O and returns what changed. Only the leader and `podgate watch` run it.

mod began;
mod cell;
mod facts;
pub mod index;
mod judge;
mod live_score;
mod mask;
mod namespace;
pub mod pod;
mod totals;
pub mod watch;
