//! Policy files, read by the real binary.

use std::fmt::Write;
use std::fs;

use super::{check_listing, files, folder, generated};
use crate::support::binary::run;

const WORKLOAD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: web, image: 'nginx:1.29'}]}\n";

pub fn check() {
    let dir = tempfile::tempdir().unwrap();
    let workload = dir.path().join("pod.yaml");
    fs::write(&workload, WORKLOAD).unwrap();
    let scan = |policy: &str| {
        let workload = workload.to_str().unwrap();
        let output = run(&["scan", "-f", workload, "--policy", policy, "-o", "json"]);
        (output.status.code(), String::from_utf8(output.stderr).expect("an error is text"))
    };
    let mut wrong = Vec::new();
    let mut listing = String::new();
    for (name, path) in files("policies/refused") {
        let path = path.to_str().unwrap();
        let (code, error) = scan(path);
        match fault(code, &error, path) {
            Ok(fault) => writeln!(listing, "{name}: {fault}").unwrap(),
            Err(why) => wrong.push(format!("refused/{name}: {why}")),
        }
    }
    for (name, make) in generated::POLICIES {
        let path = dir.path().join("policy.yaml");
        fs::write(&path, make()).unwrap();
        let path = path.to_str().unwrap();
        let (code, error) = scan(path);
        match fault(code, &error, path) {
            Ok(fault) => writeln!(listing, "{name}: {fault}").unwrap(),
            Err(why) => wrong.push(format!("generated {name}: {why}")),
        }
    }
    for (name, path) in files("policies/accepted") {
        let (code, error) = scan(path.to_str().unwrap());
        if !matches!(code, Some(0 | 1)) || error.contains("panicked") {
            wrong.push(format!("accepted/{name}: {code:?} {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    check_listing("policies/faults.txt", &listing);
    assert!(folder("policies/faults.txt").exists());
}

/// The error for a file without a policy, which has no place of a fault.
const NO_POLICY: &str = " there is no policy in it; name a policy file or a folder of them";

/// `LINE:COLUMN: reason`, or a description of the malformed error.
fn fault(code: Option<i32>, error: &str, path: &str) -> Result<String, String> {
    let line = error.trim_end();
    let found = line.strip_prefix("podgate: ").and_then(|it| it.strip_prefix(path));
    let found = found.and_then(|it| it.strip_prefix(':'));
    if code == Some(2) && found == Some(NO_POLICY) {
        return Ok(NO_POLICY.trim_start().to_owned());
    }
    let placed = found.filter(|found| {
        let mut parts = found.split(':');
        let numbers = [parts.next(), parts.next()];
        numbers.iter().all(|it| it.is_some_and(|it| it.parse::<u32>().is_ok()))
    });
    match placed {
        Some(found)
            if code == Some(2) && found.len() <= 1024 && !found.contains(char::is_control) =>
        {
            Ok(found.to_owned())
        }
        _ => Err(format!("{code:?} {error:.400?}")),
    }
}
