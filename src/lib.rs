//! podgate: an admission-first policy controller for Kubernetes.
//!
//! Who may import whom; `tests/offline/architecture.rs` reads this map and holds the modules to it:
//!
//! ```text
//! cli → runtime → install
//!   → {admission, analysis, audit, beat, certs, gitops, remediation, report, scan, status}
//!   → policies → {clusters, inputs, leader} → {client, metrics, nonce, telemetry}
//!   → manifests → {findings, policy} → {api, cel}
//! ```
//!
//! A module imports what stands to the right of it. Those in braces do not know each other; [`runtime`] hands the parts of
//! the second line channels. [`manifests`], [`findings`], [`policy`], [`api`] and [`cel`] are pure: no clock, no I/O, no async.
//!
//! A review's way in: `admission::server` (TLS, HTTP) → `admission::handler` → `admission::review` (decode) →
//! `admission::validate` → `policy::engine` → `policy::decision` → `policy::message` → `admission::answer` (encode);
//! or, to be completed, `admission::mutate` → `policy::mutation` → `policy::patch` → `admission::answer`.
//!
//! A running pod's, where podgate leads: `audit::watch` → `audit::mask` (what rules read of it) → `audit::index` →
//! `policy::engine` → `policy::observed`, which `status::write` writes into the policy's status, and `report` into
//! reports and Events.
//!
//! A workload's that breaks a policy with remediation: `policy::observed` → `remediation::work` → `remediation::plan` (pure) →
//! `remediation::transaction`, and back by the record on the workload itself.
//!
//! The certificate's: `certs::keyring` (pure) → `certs::keeper` (the leader writes the Secret and `caBundle`) → `certs::serving`
//! (every replica reads it) → `certs::Resolver`, which `admission::server` asks at each handshake.
//!
//! The beat's: `beat` sends a `nonce` through every API server → `admission::alive` knows it, and who brought it → its echo
//! comes back to `beat`, which renews the Lease `podgate-alive`.
//!
//! Several clusters': `clusters::contexts` (kubeconfigs) → `clusters::side_by_side` → `analysis::cluster`, each → `analysis::fleet`
//! (pure) → `cli::clusters`.
//!
//! A manifest's: `inputs` (files) → `manifests::documents` (YAML with places) →
//! `scan::manifest` → `policy::engine` → `findings` → `cli::formats`.
//!
//! A policy's of a cluster: `policies::watch` → `policies::index` → `policy::in_force` → `policy::compile` → `policy::policy_set`.
//!
//! A policy's between git and a cluster: `policies::files` → `manifests::policy_file` → `manifests::canonical` → `gitops::apply` or, to be
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
