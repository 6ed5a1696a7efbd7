//! podgate: an admission-first policy controller for Kubernetes.
//!
//! Imports point one way, and `tests/architecture.rs` holds them to it:
//!
//! ```text
//! cli → runtime → {admission, audit, controller, remediation, report, leader, certs, beat, scan, gitops} → manifests → policy → {api, cel}
//! ```
//!
//! The parts in braces do not know each other; [`runtime`] hands them channels.
//! [`manifests`], [`policy`], [`api`] and [`cel`] are pure: no clock, no I/O, no async.
//! [`metrics`], [`telemetry`], [`nonce`] and [`clusters`] are leaves that the shell parts share.
//!
//! A review's way in: `admission::server` (TLS, HTTP) → `admission::handler` → `admission::review` (decode) →
//! `admission::validate` → `policy::engine` → `policy::decision` → `policy::message` → `admission::answer` (encode);
//! or, to be completed, `admission::mutate` → `policy::mutation` → `policy::patch` → `admission::answer`.
//!
//! A running pod's, where podgate leads: `audit::watch` → `audit::mask` (what rules read of it) → `audit::index` →
//! `policy::engine` → `policy::picture`, which `controller::reconcile` writes into the policy's status, and `report` into
//! reports and Events.
//!
//! A workload's that breaks a policy with remediation: `policy::picture` → `remediation::work` → `remediation::plan` (pure) →
//! `remediation::transaction`, and back by the record on the workload itself.
//!
//! The certificate's: `certs::keyring` (pure) → `certs::keeper` (the leader writes the Secret and `caBundle`) → `certs::serving`
//! (every replica reads it) → `certs::Resolver`, which `admission::server` asks at each handshake.
//!
//! The beat's: `beat` sends a `nonce` through every API server → `admission::alive` knows it, and who brought it → its echo
//! comes back to `beat`, which renews the Lease `podgate-alive`.
//!
//! Several clusters': `clusters::contexts` (kubeconfigs) → `clusters::side_by_side` → `scan::cluster`, each → `scan::fleet`
//! (pure) → `cli::clusters`.
//!
//! A manifest's: `scan::inputs` (files) → `manifests::documents` (YAML with places) →
//! `scan::manifest` → `policy::engine` → `scan::report` → `cli::formats`.
//!
//! A policy's between git and a cluster: `scan::inputs` → `manifests::policy_file` → `manifests::canonical` → `gitops::apply` or, to be
//! compared, `gitops::live`.

pub mod admission;
pub mod analysis;
pub mod api;
pub mod audit;
pub mod beat;
pub mod cel;
pub mod certs;
pub mod cli;
pub mod client;
pub mod clusters;
pub mod findings;
pub mod gitops;
pub mod inputs;
pub mod install;
pub mod leader;
pub mod manifests;
pub mod metrics;
pub mod nonce;
pub mod policies;
pub mod policy;
pub mod remediation;
pub mod report;
pub mod runtime;
pub mod scan;
pub mod status;
pub mod telemetry;
