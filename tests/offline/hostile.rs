//! Part of `make test`: hostile input to the real binary. The folder of a file is its expected result:
//!
//! - `reviews/refused`: a 4xx with the reason as text; never an AdmissionReview, never a 5xx.
//! - `reviews/denied` and `reviews/admitted`: an AdmissionReview with this verdict.
//! - `policies/refused`: exit code 2 and the place of the fault, or that there is no policy; `policies/accepted`: a
//!   policy.
//!
//! Inputs that are too large for a file are made in `generated`. One process answers every review; it must survive them
//! all in 128 MiB and log nothing from a body. The reason of each refusal or denial is in `reviews/answers.txt`,
//! `generated.txt` and `policies/faults.txt`, so that no file passes for a wrong reason: `UPDATE_HOSTILE=1 cargo test
//! --test offline -- hostile::` writes them, and a person reads what changed.

mod answers;
mod generated;
mod policies;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::binary::{Podgate, command};
use answers::{Expected, Verdict};

/// A marker in many bodies, in fields that may hold a secret.
const MARKER: &str = "s3cr3t-marker";
/// The chart's memory limit, in KiB.
const MEMORY_KIB: u64 = 128 * 1024;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile").join(name)
}

/// The files of a folder, by name without extension, in order.
fn files(name: &str) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder(name)).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), path)
        })
        .collect();
    files.sort();
    files
}

/// Compares the results with the reviewed file.
fn check_listing(file: &str, found: &str) {
    let path = folder(file);
    if std::env::var_os("UPDATE_HOSTILE").is_some() {
        fs::write(&path, found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(
        found == expected,
        "{file} differs: {differs:#?}; if the change is intended, run: UPDATE_HOSTILE=1 cargo test --test offline -- hostile::"
    );
}

fn serve(certs: &Path) -> Podgate {
    let policy = folder("policy.yaml");
    let mut podgate = command();
    // Freed memory is returned at once, so the peak shows what reviews need, not what the allocator keeps.
    podgate.env("MIMALLOC_PURGE_DELAY", "0");
    Podgate::serve_by(podgate, &["--standalone", "--policy", policy.to_str().unwrap()], certs)
}

/// The most memory the process ever had, in KiB.
fn peak_memory(podgate: &Podgate) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", podgate.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim_end_matches("kB").trim().parse().unwrap()
}

/// The process did not crash, and its log contains nothing from a body.
fn is_unharmed(podgate: &Podgate) {
    assert_eq!(podgate.get("/readyz"), (200, "ok\n".to_owned()));
    let log = podgate.whole_log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(!log.contains(MARKER), "{log}");
    assert_eq!(log.matches("\"serving\"").count(), 1, "podgate started once");
}

#[test]
fn every_hostile_review_gets_the_result_of_its_folder_and_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let podgate = serve(dir.path());
    let (mut listing, mut wrong, mut count) = (String::new(), Vec::new(), 0);
    for expected in Expected::ALL {
        for (name, path) in files(&format!("reviews/{}", expected.folder())) {
            let body = fs::read(&path).unwrap();
            let verdict = Verdict::of(&podgate, &body);
            if let Err(why) = verdict.check(expected, &body) {
                wrong.push(format!("{}/{name}: {why}", expected.folder()));
            }
            writeln!(listing, "{}/{name}: {}", expected.folder(), verdict.summary()).unwrap();
            count += 1;
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    check_listing("reviews/answers.txt", &listing);
    is_unharmed(&podgate);
    let peak = peak_memory(&podgate);
    println!("{count} files; VmHWM {peak} KiB");
    assert!(peak < MEMORY_KIB, "{peak} KiB");
}

#[test]
fn the_mutating_door_refuses_hostile_reviews_or_puts_in_what_fits() {
    let dir = tempfile::tempdir().unwrap();
    let podgate = serve(dir.path());
    let (mut wrong, mut patched) = (Vec::new(), 0);
    for folder in Expected::ALL.map(Expected::folder) {
        for (name, path) in files(&format!("reviews/{folder}")) {
            let body = completed(fs::read(&path).unwrap());
            match Verdict::of_door(&podgate, "/mutate", &body).check_mutation(&body) {
                Ok(changed) => patched += usize::from(changed),
                Err(why) => wrong.push(format!("{folder}/{name}: {why}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    is_unharmed(&podgate);
    println!("{patched} patches");
    assert!(patched > 100, "{patched} patches");
}

/// The body in the namespace whose policy completes pods.
fn completed(body: Vec<u8>) -> Vec<u8> {
    match String::from_utf8(body) {
        Ok(text) => text.replacen("\"shop\"", "\"completed\"", 1).into_bytes(),
        Err(error) => error.into_bytes(),
    }
}

#[test]
fn reviews_of_any_size_get_what_they_deserve_within_the_memory_of_the_chart() {
    // Two processes share the reviews, because each review is waited for.
    let (first, second) = generated::REVIEWS.split_at(generated::REVIEWS.len() / 2);
    let ((mut listing, mut wrong), (more, also)) = std::thread::scope(|scope| {
        let second = scope.spawn(|| judged(second));
        (judged(first), second.join().unwrap())
    });
    listing += &more;
    wrong.extend(also);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    check_listing("generated.txt", &listing);
}

/// Sends reviews to one process; returns the results, one a line, and the failures.
fn judged(reviews: &[generated::Review]) -> (String, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let podgate = serve(dir.path());
    let (mut listing, mut wrong) = (String::new(), Vec::new());
    for (name, expected, body) in reviews {
        let body = body();
        let before = peak_memory(&podgate);
        let started = std::time::Instant::now();
        let verdict = Verdict::of(&podgate, &body);
        let (took, peak) = (started.elapsed(), peak_memory(&podgate));
        let mutation = Verdict::of_door(&podgate, "/mutate", &body).check_mutation(&body);
        if let Err(why) = mutation {
            wrong.push(format!("{name}, mutated: {why}"));
        }
        println!("{name}: {} KB in {took:?}, VmHWM {before} to {peak} KiB", body.len() / 1000);
        if let Err(why) = verdict.check(*expected, &body) {
            wrong.push(format!("{name}: {why}"));
        }
        writeln!(listing, "{}/{name}: {}", expected.folder(), verdict.short()).unwrap();
        if peak > MEMORY_KIB && before <= MEMORY_KIB {
            wrong.push(format!("{name}: it took {peak} KiB"));
        }
    }
    is_unharmed(&podgate);
    (listing, wrong)
}

#[test]
fn every_hostile_policy_file_is_refused_with_its_place_or_accepted() {
    policies::check();
}
