//! podgate: an admission-first policy controller for Kubernetes.
//!
//! The map of the modules; `tests/offline/architecture.rs` holds all imports to it:
//!
//! ```text
//! cli → {policy_test, runtime} → install
//!   → {admission, analysis, audit, beat, certs, convert, floor, gitops, remediation, report, scan, status}
//!   → policies → {clusters, inputs, leader} → {client, metrics, nonce, process, telemetry}
//!   → manifests → {findings, policy} → {api, cel}
//! ```
//!
//! A module may import the modules of the layers to its right. Modules in one pair of braces do not import each other;
//! [`runtime`] connects those of the second line through channels. [`convert`], [`manifests`], [`findings`], [`policy`],
//! [`api`] and [`cel`] are pure: no clock, no I/O, no async.
//!
//! How data flows, by module:
//!
//! - A review: `admission::server` (TLS, HTTP) → `admission::handler` → `admission::review` (decode) →
//!   `admission::validate` → `policy::engine` → `policy::decision` → `policy::message` → `admission::answer` (encode);
//!   or, for a pod to be completed, `admission::mutate` → `policy::mutation` → `policy::patch` → `admission::answer`.
//! - Audit, on the leader: `audit::watch` → `audit::mask` (the fields that rules read) → `audit::index` (a workload
//!   without pods by its `policy::made_pod`) → `policy::engine` → `policy::observed`, which `status` writes into
//!   policies' statuses, and `report` into reports and Events.
//! - Remediation, on the leader: `policy::observed` → `remediation::work` → `remediation::plan` (pure) →
//!   `remediation::transaction`. The record of a repair is stored on the workload itself.
//! - Leader election: `leader::candidate` waits for the Lease → `leader::term` renews it and extends the
//!   `leader::claim` → each write checks the claim before it is sent.
//! - Certificate rotation: `certs::keyring` (pure) → `certs::keeper` (the leader writes the Secret and `caBundle`) →
//!   `certs::serving` (every replica reloads the Secret) → `certs::Resolver`, which `admission::server` reads at each
//!   handshake.
//! - Availability: `beat` sends a `nonce` through every API server → `admission::alive` verifies it, and learns the API
//!   server's address → its echo comes back to `beat`, which renews the Lease `podgate-alive`.
//! - The floor, on the leader: `policy::policy_set` → `policy::vap` (pure) → `floor`, which applies the objects while
//!   `beat` says that podgate is heard; `status` writes whether they are there.
//! - Graceful shutdown: `runtime::signals` → `runtime` → `admission::server` drains, and `leader` releases the Lease.
//! - The policies of a cluster: `policies::watch` → `policies::index` → `policy::in_force` → `policy::compile` →
//!   `policy::policy_set`, made from the set before it → `policy::plan`, for each namespace.
//! - Policies for the API server itself: `policy::vap::groups` → `policy::vap`, from the CEL form in each rule's file →
//!   `cli::policy`.
//! - The policies of a git repository: `policies::files` → `manifests::policy_file` → `manifests::canonical` →
//!   `gitops::apply` or, to compare them, `gitops::live`.
//! - A policy of others: `inputs` (files) → `manifests::documents` → `convert` → `manifests::policy_file` (whether podgate
//!   accepts it) → `cli::policy`.
//! - A manifest: `inputs` (files) → `scan::repository` (charts and kustomizations) → `process` (helm, kustomize) →
//!   `manifests::documents` (YAML with positions) → `scan::manifest` → `policy::engine` → `findings` → `cli::formats`.
//! - What is in force for manifests (`--live`): `scan::offline` (their namespaces) → `policies::live` →
//!   `policy::policy_set` → `scan::manifest`.
//! - A test of policies: `inputs` → `policy_test::file` → `policy_test::review` (`admission::mutate`, then
//!   `admission::validate`) and `policy_test::agreement` (`scan::manifest`) → `policy_test::compare` → `cli::policy`.
//! - Several clusters: `clusters::contexts` (kubeconfigs) → `clusters::side_by_side` → `analysis::cluster`, for each →
//!   `analysis::fleet` (pure) → `cli::clusters`.

pub mod admission;
pub mod analysis;
pub mod api;
pub mod audit;
pub(crate) mod beat;
pub mod cel;
pub mod certs;
pub mod cli;
pub mod client;
pub mod clusters;
#[cfg(feature = "authoring")]
pub mod convert;
pub mod findings;
pub(crate) mod floor;
pub mod gitops;
pub mod inputs;
pub mod install;
pub(crate) mod leader;
pub mod manifests;
pub mod metrics;
pub mod nonce;
pub mod policies;
pub mod policy;
#[cfg(feature = "authoring")]
pub mod policy_test;
pub(crate) mod process;
pub mod remediation;
pub mod report;
pub(crate) mod runtime;
pub mod scan;
mod status;
pub(crate) mod telemetry;
