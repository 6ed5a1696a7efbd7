//! Audits running pods and the workloads that make them: keeps compact facts of each, and what the policies find in
//! them.
//!
//! [`watch`] lists and watches pods and workloads, and passes each, cut down to its [`pod::ObservedPod`] or
//! [`workload::ObservedWorkload`], to the [`index`], which counts without any I/O and returns what changed. A workload
//! without pods is judged by its template. [`standing`] counts what the policies would refuse, and what they never judged.
//! Only the leader and `podgate watch` run it.

mod began;
mod cell;
mod facts;
pub mod index;
mod judge;
mod live_score;
mod mask;
mod namespace;
pub mod pod;
mod standing;
mod totals;
pub mod watch;
pub mod workload;
