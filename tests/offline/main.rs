//! Part of `make check`: the suites without a control plane, which need no Go. `cargo test --test offline -- scan::`
//! runs one of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails loudly is a test"
)]

mod architecture;
mod audit_alike;
mod audit_index;
mod audit_standing;
mod audit_workloads;
mod commands;
mod convert;
mod docs;
mod doors;
mod drain_check;
mod fix;
mod grace;
mod hostile;
mod mutate;
mod observability;
mod overload;
mod pages;
mod pipeline;
mod plugin;
mod policy_test;
mod preview;
mod rules;
mod scan;
mod score;
mod severity;
mod standalone;
#[path = "../support/support.rs"]
mod support;
mod to_vap;
mod would_deny;
