//! Repairs workloads that run already and break a policy, one rollout each, so that each can be taken back.
//!
//! [`plan`] says what would make a workload pass, or why nothing can; [`rollout`] reads how far its controller is;
//! [`crate::policy::record`] is what is written on the workload itself, in the same write as the patch, so that the next
//! leader knows of it. These are pure. [`transaction`] does the steps of one repair, and [`work`] is the leader's: which
//! workload, when, and what is told.
//!
//! The states of a repair, which a workload carries in the annotation [`crate::policy::record::ANNOTATION`]:
//!
//! ```text
//!   (none) ──dry run, patch──▶ RollingOut ──as good as before──▶ Repaired
//!                                  │  └──worse, or too long──▶ RolledBack
//!                                  └──somebody undid it──▶ Undone, and again; the third time Conflict
//! ```

pub mod finalizer;
pub mod gitops;
mod ledger;
pub mod manual;
pub mod plan;
pub mod rollout;
pub mod transaction;
pub mod work;
