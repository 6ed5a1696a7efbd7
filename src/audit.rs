//! What already runs: the pods of the cluster, as compact facts, and what the policies say of them.
//!
//! [`watch`] follows the pods and hands each, already cut down to its [`pod::ObservedPod`], to the [`index`], which
//! counts without any I/O and tells what changed. Only whoever leads, or looks on (`podgate watch`), runs it.

mod cell;
mod facts;
pub mod index;
mod judge;
mod mask;
mod namespace;
pub mod pod;
mod scope;
mod totals;
pub mod watch;
