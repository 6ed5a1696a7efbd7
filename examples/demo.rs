//! `make demo`: podgate without a cluster. It serves the sample policies, sends the sample workloads as
//! AdmissionReviews, and prints the answers as a developer reads them. It serves until Ctrl-C (`ONCE=1` ends it after
//! the samples).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails loudly is a test"
)]

#[path = "../tests/support/support.rs"]
mod support;

use std::path::Path;

use serde_json::Value;
use support::binary::Podgate;
use support::{review, samples};

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let certs = dir.path().join("certs");
    let policies = samples::policies();
    let mut podgate =
        Podgate::serve(&["--standalone", "--policy", policies.to_str().unwrap()], &certs);
    println!(
        "podgate serves https://{} with the policies of deploy/samples/policies.\n",
        podgate.listen
    );
    for file in samples::workloads() {
        show(&podgate, &file);
    }
    if samples::once() {
        return;
    }
    println!("podgate serves until Ctrl-C. Try it in another terminal:");
    println!(
        "  curl --cacert {} https://{}/readyz",
        certs.join("ca.crt").display(),
        podgate.listen
    );
    println!("  curl http://{}/metrics", podgate.metrics);
    println!("An edit in deploy/samples/policies is in force at once.");
    podgate.until_interrupted();
}

fn show(podgate: &Podgate, file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    let mut object: Value = serde_saphyr::from_str(&text).unwrap();
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
    println!("{}", samples::name(file));
    // In the API server's order: first mutation, then validation of the result.
    let changes = podgate.mutate(&review::create(&namespace, &object));
    if let Some(patch) = review::patch_of(&changes) {
        for operation in &patch.0 {
            println!("  patched: {}", serde_json::to_string(operation).unwrap());
        }
        json_patch::patch(&mut object, &patch).unwrap();
    }
    let response = podgate.review(&review::create(&namespace, &object));
    if response["allowed"] == false {
        let message = response["status"]["message"].as_str().unwrap_or_default();
        println!("  denied: {}", message.replace('\n', "\n  "));
    } else {
        println!("  admitted");
    }
    for warning in response["warnings"].as_array().into_iter().flatten() {
        println!("  Warning: {}", warning.as_str().unwrap_or_default());
    }
    println!();
}
