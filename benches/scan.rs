//! The duration of a scan of 2 400 ordinary Deployments, in one file and in a file each, compared with the YAML parser
//! alone on the same bytes. `make bench` prints medians of all rounds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a benchmark that fails loudly is one"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use granit_parser::{Parser, options};
use jiff::Timestamp;
use podgate::api::BundleName;
use podgate::inputs;
use podgate::policy::bundles;
use podgate::policy::compile::Policy;
use podgate::policy::policy_set::PolicySet;
use podgate::policy::scope::{Scope, Selection};
use podgate::scan::manifest::{Creator, ManifestJudge};
use podgate::scan::offline;

const WORKLOADS: usize = 2400;
const ROUNDS: usize = 11;
const DEPLOYMENT: &str = include_str!("manifests/deployment.yaml");

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let documents: Vec<_> = (0..WORKLOADS).map(deployment).collect();
    let one = folder.path().join("all.yaml");
    let text = documents.concat();
    fs::write(&one, &text).unwrap();
    let many = folder.path().join("each");
    fs::create_dir(&many).unwrap();
    for (index, document) in documents.iter().enumerate() {
        fs::write(many.join(format!("{index:04}.yaml")), document).unwrap();
    }

    let parse = || {
        let options = options! { emit_comments: false };
        assert!(Parser::new_from_str_with_options(&text, options).all(|event| event.is_ok()));
    };
    let measured = [
        ("the YAML parser alone", median(parse)),
        ("scan of one file, default checks", median(|| scan(&one, &bundles::default_checks()))),
        ("scan of a file each, default checks", median(|| scan(&many, &bundles::default_checks()))),
        (
            "scan of one file, bundle restricted",
            median(|| scan(&one, &bundles::spec(BundleName::Restricted))),
        ),
    ];
    let megabytes = text.len() as f64 / 1e6;
    println!("{WORKLOADS} Deployments, {megabytes:.2} MB; median of {ROUNDS} rounds");
    println!("{:<40} {:>8} {:>8} {:>9}", "", "ms", "MB/s", "÷ parser");
    let parser = measured[0].1.as_secs_f64();
    for (what, took) in measured {
        let seconds = took.as_secs_f64();
        println!(
            "{what:<40} {:>8.0} {:>8.1} {:>9.2}",
            seconds * 1e3,
            megabytes / seconds,
            seconds / parser
        );
    }
}

fn deployment(index: usize) -> String {
    DEPLOYMENT.replace("INDEX", &index.to_string()).replace("TEAM", &(index % 40).to_string())
}

fn scan(path: &Path, spec: &podgate::api::DevOpsPolicySpec) {
    let scope = Scope::Cluster(Selection::default());
    let policy = Arc::new(Policy::compile(scope, "bench".to_owned(), spec).unwrap());
    let (inputs, faults) = inputs::find(&[PathBuf::from(path)]);
    assert!(faults.is_empty(), "{faults:?}");
    let policies = PolicySet::new([policy], Arc::default());
    let judge = ManifestJudge {
        policies: &policies,
        namespace: None,
        now: Timestamp::now(),
        as_written: false,
        creator: Creator::User,
    };
    let report = offline::scan(&inputs, &judge, &|_| ());
    assert_eq!(report.summary.workloads, WORKLOADS as u64);
    assert!(report.faults.is_empty(), "{:?}", report.faults);
}

fn median(mut work: impl FnMut()) -> Duration {
    let mut rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            work();
            started.elapsed()
        })
        .collect();
    rounds.sort();
    rounds[ROUNDS / 2]
}
