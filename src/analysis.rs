//! Live clusters, judged once: the pods of one ([`cluster`]), several side by side ([`fleet`]), and what a policy would do
//! to one if it were enforced ([`preview`]). Nothing here prints or writes.

pub mod analyzer;
pub mod cluster;
pub mod fleet;
pub mod preview;
pub mod reach;
pub mod result;
