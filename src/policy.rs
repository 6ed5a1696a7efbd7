//! Rules, policies, and the verdict of a set of policies on a pod. Pure: no clock, no I/O, no threads.
//!
//! Callers pass in the object and the current time. Admission, the audit and the offline scan take the same steps:
//!
//! 1. [`object::Object`] decodes the fields that rules read;
//! 2. [`subject::Subject::of`] finds the pod or the pod template in it;
//! 3. [`mutation::inject`] adds what policies with `mutate` provide;
//! 4. [`engine::judge`] runs the checks of every policy of a [`policy_set::PolicySet`] that covers the namespace, and
//!    separates violations from exempt ones;
//! 5. [`decision::decide`] turns the findings into allow, warn or deny. [`message`] renders them for people, [`score`]
//!    computes the health score, and [`patch`] makes the JSON Patch that fixes them.
//!
//! [`vap`] compiles policies into those of the API server itself.
//!
//! [`compile::Policy`] is the compiled form of a policy's spec, merged over its bundle.

pub mod bundles;
pub(crate) mod called;
pub mod compile;
mod containers;
mod coverage;
pub(crate) mod decision;
pub(crate) mod degree;
pub mod document;
pub mod enforced;
pub mod engine;
pub mod event;
pub(crate) mod exemption;
mod expressions;
pub(crate) mod field_path;
pub mod floor_state;
pub mod glob;
pub mod grace;
pub mod image;
pub(crate) mod in_force;
pub(crate) mod inherited;
mod injector;
pub(crate) mod key;
pub mod made_pod;
pub(crate) mod message;
pub(crate) mod mutation;
pub mod object;
pub mod observed;
pub(crate) mod owner;
pub mod patch;
pub mod plan;
pub(crate) mod pod_schema;
pub mod pod_status;
pub(crate) mod pointer;
pub mod policy_set;
pub mod protected;
pub(crate) mod reads;
pub(crate) mod recheck;
pub mod record;
pub mod registry;
pub(crate) mod repaired;
pub mod rule;
mod rules;
pub mod scope;
pub(crate) mod score;
pub mod subject;
pub mod terms;
pub mod text;
pub mod vap;
pub mod workload;
