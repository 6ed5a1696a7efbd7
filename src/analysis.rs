//! Analyzes live clusters once: the pods and workloads of one cluster ([`cluster`]), several clusters ([`fleet`]), the
//! effect that a policy would have if it were enforced ([`preview`]), what a drain of nodes would end ([`drain`]), and
//! what podgate's replicas have counted at admission ([`observed`]). Nothing here prints or writes.

pub mod analyzer;
pub(crate) mod cluster;
mod denial;
pub(crate) mod drain;
pub(crate) mod fleet;
pub(crate) mod observed;
pub(crate) mod preview;
pub(crate) mod reach;
mod read;
pub mod result;
mod violation_key;
