//! Part of `make test`: the action and the snippets of `docs/guides/ci.md`, run in a repository with one Deployment.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::action::{Ended, Job};
use crate::support::binary;
use crate::support::pipeline::{Releases, action_inputs, run_in, script, snippet};
use crate::support::ran::Ran;

const VERSION: &str = env!("CARGO_PKG_VERSION");

const POLICY: &str = "apiVersion: devops.stochastic.io/v1
kind: ClusterDevOpsPolicy
metadata: {name: images}
spec: {forbidLatestTag: true}
";

/// A repository as the snippets name its folders, with a Deployment of this image.
fn repository(image: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["deploy", "policies"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    write(folder.path(), image);
    fs::write(folder.path().join("policies/images.yaml"), POLICY).unwrap();
    folder
}

fn write(repository: &Path, image: &str) {
    let object = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: cart}}\nspec:\n  template:\n    spec:\n      containers:\n        - name: web\n          image: {image}\n"
    );
    fs::write(repository.join("deploy/cart.yaml"), object).unwrap();
}

/// Runs the action with the guide's inputs and these, by the binary of this build.
fn run(repository: &TempDir, inputs: &[(&str, &str)]) -> Ended {
    let guide = action_inputs();
    let guide = guide.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let podgate = binary::path();
    let given: Vec<_> = guide
        .chain([("binary", podgate.to_str().unwrap())])
        .chain(inputs.iter().copied())
        .collect();
    Job::with(repository.path(), &given).run()
}

#[test]
fn the_action_fails_where_the_policy_is_broken_and_says_what_and_where() {
    let ended = run(&repository("nginx"), &[]);
    assert!(ended.failed, "{}", ended.log);
    let commands = ended.commands();
    assert_eq!(commands.len(), 2, "{commands:?}");
    assert!(
        commands[0].starts_with("::error file=deploy/cart.yaml,line=9,col=11,title=forbidLatestTag (high)::Deployment cart, container web: "),
        "{commands:?}"
    );
    assert!(
        commands[1].starts_with("::notice title=podgate::1 violation (1 high)"),
        "{commands:?}"
    );
    assert!(
        ended.summary.starts_with("### podgate: 1 violation (1 high) in 1 workload"),
        "{}",
        ended.summary
    );
    assert_eq!(
        (ended.outputs["score"].as_str(), ended.outputs["violations"].as_str()),
        ("70", "1")
    );
    assert_eq!(ended.sarif()["runs"][0]["results"][0]["ruleId"], "forbidLatestTag");
    let [(action, inputs)] = ended.used.as_slice() else { panic!("{:?}", ended.used) };
    assert!(action.starts_with("github/codeql-action/upload-sarif@"), "{action}");
    assert_eq!(inputs["sarif_file"], ended.outputs["sarif"]);
}

#[test]
fn the_action_passes_where_nothing_is_broken() {
    let ended = run(&repository("nginx:1.29"), &[("upload-sarif", "false")]);
    assert!(!ended.failed, "{}", ended.log);
    assert_eq!(ended.outputs["score"], "100");
    assert_eq!(ended.used, []);
}

#[test]
fn an_upload_that_is_refused_is_told_and_changes_nothing() {
    let podgate = binary::path();
    let repository = repository("nginx:1.29");
    let inputs =
        [("binary", podgate.to_str().unwrap()), ("upload-sarif", "true"), ("policy", "policies")];
    let ended = Job::with(repository.path(), &inputs).refuses_other_actions().run();
    assert!(!ended.failed, "{}", ended.log);
    assert!(ended.log.contains("the job needs security-events: write"), "{}", ended.log);
}

#[test]
fn every_input_of_the_action_reaches_the_scan() {
    let folder = repository("nginx");
    let probes =
        POLICY.replace("images", "probes").replace("forbidLatestTag", "requireReadinessProbe");
    fs::write(folder.path().join("probes.yaml"), probes).unwrap();
    let wanted = [
        ("bundle", "restricted", "podSecurity/"),
        ("policy", "policies/images.yaml\nprobes.yaml\n", "2 violations (1 high, 1 low)"),
        ("namespace", "shop", "Deployment shop/cart"),
        ("exclude", "*.yaml\n", "nothing to judge"),
        ("fail-on", "critical", "1 violation (1 high)"),
    ];
    for (input, value, words) in wanted {
        let ended = run(&folder, &[(input, value)]);
        assert!(ended.log.contains(words), "{input}: {}", ended.log);
        assert_eq!(ended.failed, !["exclude", "fail-on"].contains(&input), "{input}");
    }
    assert!(run(&folder, &[("fail-on", "never"), ("min-score", "71")]).failed);
    assert!(!run(&folder, &[("fail-on", "never"), ("min-score", "70")]).failed);
    run_in(
        folder.path(),
        "podgate",
        &["scan", "deploy", "--policy=policies", "--write-baseline=known.json"],
    )
    .exits(0);
    assert!(!run(&folder, &[("baseline", "known.json")]).failed);
}

#[test]
fn what_is_no_input_of_podgate_fails_the_action_with_podgates_words() {
    for (input, value, words) in [
        ("bundle", "strict", "podgate| error: invalid value 'strict'"),
        ("policy", "nowhere", "podgate| podgate: nowhere"),
        ("min-score", "high", "podgate| error: invalid value 'high'"),
        ("paths", "nowhere\n", "podgate| nowhere"),
    ] {
        let ended = run(&repository("nginx"), &[(input, value)]);
        assert!(ended.failed && ended.log.contains(words), "{input}: {}", ended.log);
    }
}

#[test]
fn neither_an_input_nor_a_files_name_is_code_or_a_command() {
    let folder = repository("nginx:1.29");
    let awkward =
        ["$(touch pwned)", "`touch pwned`", "a; touch pwned", "'; touch pwned; '", "--help"];
    for input in ["paths", "policy", "bundle", "fail-on", "version", "exclude"] {
        for value in awkward {
            let mut inputs = vec![(input, value)];
            if input == "version" {
                inputs.push(("binary", ""));
            }
            let ended = run(&folder, &inputs);
            assert!(ended.failed || input == "exclude", "{input} {value}: {}", ended.log);
            assert!(!folder.path().join("pwned").exists(), "{input} {value}");
        }
    }
    for name in ["::add-mask::x", "##[add-mask]x", "a\n::add-mask::x"] {
        let file = folder.path().join("deploy").join(format!("{name}.yaml"));
        fs::write(&file, "apiVersion: v1\nkind: Pod\nspec: [").unwrap();
        let ended = run(&folder, &[("paths", &format!("deploy\n{name}"))]);
        assert!(ended.failed, "{}", ended.log);
        assert!(ended.log.contains("podgate| "), "{}", ended.log);
        for command in ended.commands() {
            assert!(
                command.starts_with("::error ") || command.starts_with("::notice "),
                "{command}"
            );
        }
        fs::remove_file(file).unwrap();
    }
}

#[test]
fn a_release_is_installed_by_its_checksum_and_found_by_later_steps() {
    let releases = Releases::of_this_build();
    let install = |version: &str, folder: &Path| {
        let mut install = Command::new(script("deploy/ci/install.sh"));
        install.arg(version).arg(folder).env("PODGATE_DOWNLOAD_URL", &releases.address);
        Ran::of(&install.output().unwrap())
    };
    let folder = repository("nginx:1.29");
    let ended = Job::with(folder.path(), &[("policy", "policies")])
        .variable("PODGATE_DOWNLOAD_URL", &releases.address)
        .run();
    assert!(!ended.failed, "{}", ended.log);
    assert!(ended.log.starts_with(&format!("podgate {VERSION} for ")), "{}", ended.log);

    let empty = folder.path().join("bin");
    install("9.9.9", &empty).exits(3).reports(&["cannot be downloaded; is there a release 9.9.9?"]);
    install("../..", &empty).exits(3).reports(&["write it as 1.2.3"]);
    let archive = releases.archive();
    let packed = fs::read(&archive).unwrap();
    fs::write(&archive, [&packed[..], b"x"].concat()).unwrap();
    install(VERSION, &empty).exits(3).reports(&["the SHA-256 of podgate_linux_"]);
    // The checksum of another file.
    let sum = archive.with_extension("gz.sha256");
    fs::write(&archive, b"other").unwrap();
    let other = Command::new("sha256sum").arg("/dev/null").output().unwrap();
    fs::write(&sum, other.stdout).unwrap();
    install(VERSION, &empty).exits(3).reports(&["the SHA-256 of podgate_linux_"]);
    assert!(!empty.exists(), "nothing is installed that is not what was released");
}

#[test]
fn a_machine_without_a_release_is_told_what_to_do() {
    let programs = tempfile::tempdir().unwrap();
    fs::write(
        programs.path().join("uname"),
        "#!/bin/sh\n[ $1 = -s ] && echo Darwin || echo arm64\n",
    )
    .unwrap();
    let path = format!("{}:{}", programs.path().display(), std::env::var("PATH").unwrap());
    run_in(programs.path(), "chmod", &["+x", "uname"]).exits(0);
    let output =
        Command::new(script("deploy/ci/archive.sh")).arg("name").env("PATH", path).output();
    Ran::of(&output.unwrap())
        .exits(3)
        .reports(&["this is Darwin on arm64; build it there with cargo install"]);
}

#[test]
fn gitlabs_snippet_installs_the_release_and_reports_to_junit() {
    let snippet: Value = serde_saphyr::from_str(&snippet("GitLab", "yaml")).unwrap();
    let job = &snippet["podgate"];
    let lines = |key: &str| {
        let lines = job[key].as_array().unwrap().iter().map(|it| it.as_str().unwrap());
        lines.collect::<Vec<_>>().join("\n")
    };
    let releases = Releases::of_this_build();
    let folder = repository("nginx");
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let install = lines("before_script")
        .replace("https://github.com/stochastic-io/podgate/releases/download", &releases.address)
        .replace("/usr/local/bin", bin.to_str().unwrap());
    run_in(folder.path(), "bash", &["-eo", "pipefail", "-c", &install]).exits(0);
    assert!(bin.join("podgate").is_file());
    run_in(folder.path(), "bash", &["-c", &lines("script")]).exits(1);
    assert_eq!(failures(folder.path(), job["artifacts"]["reports"]["junit"].as_str().unwrap()), 1);
    write(folder.path(), "nginx:1.29");
    run_in(folder.path(), "bash", &["-c", &lines("script")]).exits(0);
    assert_eq!(failures(folder.path(), "podgate.xml"), 0);
}

#[test]
fn jenkins_snippet_writes_what_its_steps_read() {
    let snippet = snippet("Jenkins", "groovy");
    let folder = repository("nginx");
    let shell = snippet.lines().filter_map(|it| it.trim().strip_prefix("sh '")?.strip_suffix('\''));
    let codes: Vec<_> = shell.map(|line| run_in(folder.path(), "sh", &["-c", line]).code).collect();
    assert_eq!(codes, [0, 1], "the file for the later step is written before the job fails");
    assert!(snippet.contains("junit 'podgate.xml'"));
    assert_eq!(failures(folder.path(), "podgate.xml"), 1);
    assert!(snippet.contains("sarif(pattern: 'podgate.sarif')"));
    let sarif = fs::read(folder.path().join("podgate.sarif")).unwrap();
    let sarif: Value = serde_json::from_slice(&sarif).unwrap();
    assert_eq!(sarif["runs"][0]["results"].as_array().map(Vec::len), Some(1));
    assert_eq!(snippet.matches('{').count(), snippet.matches('}').count());
}

/// The failed cases of a JUnit report.
fn failures(folder: &Path, file: &str) -> usize {
    let report = fs::read_to_string(folder.join(file)).unwrap();
    let report = roxmltree::Document::parse(&report).unwrap();
    report.descendants().filter(|it| it.has_tag_name("failure")).count()
}

#[test]
fn every_place_that_names_a_release_names_this_one() {
    let action: Value = serde_saphyr::from_str(include_str!("../../action.yml")).unwrap();
    assert_eq!(action["inputs"]["version"]["default"], VERSION);
    let page = include_str!("../../docs/guides/ci.md");
    for (before, after) in [("podgate@v", "\n"), ("rev: v", "\n"), ("releases/download/v", "/")] {
        assert!(page.contains(before), "{before}");
        for rest in page.split(before).skip(1) {
            assert_eq!(rest.split(after).next(), Some(VERSION), "{before}");
        }
    }
}

#[test]
fn this_repository_passes_its_own_scan() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Helm is not everywhere; the chart has its own tests.
    let ran = run_in(root, "podgate", &["scan", "--render", "never", "--fail-on", "high"]).exits(0);
    println!("{}", ran.stdout);
    assert!(ran.stdout.contains("; score 100"), "{}", ran.stdout);
}
