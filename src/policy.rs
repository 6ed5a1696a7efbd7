//! The pure engine: what a rule is, and what a set of policies says of a pod.
//!
//! Nothing here knows a clock, a socket or a thread; whoever calls hands in the
//! object and, where a rule asks, the time. Every door (admission, audit,
//! offline scan) goes the same way:
//!
//! 1. [`object::Object`] is decoded: a view of the fields that rules read;
//! 2. [`workload::Subject::of`] finds the pod template in it;
//! 3. [`mutation::inject`] puts in what policies with `mutate` have for it;
//! 4. [`engine::judge`] asks every policy of a [`policy_set::PolicySet`] that
//!    covers the namespace, and sets apart what the policies exempt;
//! 5. [`decision::decide`] turns the findings into allow, warn or deny, and
//!    [`message`] into words; [`score`] counts them, and [`patch`] mends what can
//!    be mended.
//!
//! Before that, [`compile::Policy`] is made of a spec, on top of its bundle.

pub mod bundles;
pub mod compile;
pub mod decision;
pub mod document;
pub mod engine;
pub mod event;
mod exemption;
mod expressions;
pub mod field_path;
pub mod image;
pub mod in_force;
pub mod key;
pub mod message;
pub mod mutation;
pub mod object;
pub mod observed;
pub mod owner;
pub mod patch;
pub mod pod_schema;
pub mod pod_status;
pub mod policy_set;
pub mod protected;
pub mod reads;
pub mod record;
pub mod registry;
pub mod repaired;
pub mod rule;
mod rules;
pub mod score;
pub mod text;
pub mod workload;
