//! Repairs running workloads that violate a policy: one rollout each, rolled back if it makes the workload worse.
//!
//! Pure parts: [`plan`] computes the patch, or the reason why there is none; [`rollout`] reads a rollout's progress
//! from the workload's status; [`crate::policy::record`] is the record of a repair, an annotation of the workload
//! written together with the patch, from which the next leader resumes. [`transaction`] does the steps of one repair.
//! The leader runs [`work`], which chooses the workload and the time, and publishes the state; a person runs
//! [`manual`].
//!
//! The states of a repair, in the annotation [`crate::policy::record::ANNOTATION`]:
//!
//! ```text
//!   (none) ──dry run, patch──▶ RollingOut ──as good as before──▶ Repaired
//!                                  │  └──worse, or too long──▶ RolledBack
//!                                  └──somebody undid it──▶ Undone, and again; the third time Conflict
//! ```

mod finalizer;
mod gitops;
mod ledger;
pub mod manual;
pub mod plan;
mod rollout;
pub mod transaction;
pub mod work;
