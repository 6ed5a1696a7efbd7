//! Part of `make test`: podgate where other tools call it, by those tools: kubectl, krew, pre-commit, and the linters of
//! workflows and scripts. `tests/tools` installs them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::binary;
use crate::support::control_plane::{assets, text};
use crate::support::pipeline::{Releases, commit, run_in, script, snippet};
use crate::support::ran::Ran;
use crate::support::suite::{Alone, Suite, trials};

pub fn suite() -> Suite {
    Suite::of(2).alone(TRIALS)
}

const TRIALS: Alone = trials![
    kubectl_runs_and_completes_its_plugin,
    krew_installs_the_release_as_a_plugin,
    pre_commit_fixes_and_scans_what_is_committed,
    the_linter_of_workflows_knows_every_input_of_the_guide,
    metadata_and_snippets_are_what_their_schemas_ask,
    the_scripts_of_pipelines_pass_shellcheck,
];

/// The path of a program that a script of `tests/tools` installs.
fn tool(installer: &str, name: &str) -> PathBuf {
    let output = Command::new(script("tests/tools").join(installer))
        .arg(name)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{installer} {name}");
    PathBuf::from(text(&output.stdout).trim())
}

/// kubectl with these folders before the PATH.
fn kubectl(folders: &[&Path], args: &[&str]) -> Ran {
    let folders: Vec<_> = folders.iter().map(|it| it.display().to_string()).collect();
    let path = format!("{}:{}", folders.join(":"), std::env::var("PATH").unwrap());
    let output = Command::new(assets().join("kubectl")).args(args).env("PATH", path).output();
    Ran::of(&output.unwrap())
}

fn kubectl_runs_and_completes_its_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let link = |name: &str| {
        std::os::unix::fs::symlink(binary::path(), folder.path().join(name)).unwrap();
    };
    link("kubectl-podgate");
    let run = |args: &[&str]| kubectl(&[folder.path()], args);
    run(&["plugin", "list", "--name-only"]).exits(0).prints(&["kubectl-podgate"]);
    run(&["podgate", "scan", "--help"]).exits(0).prints(&["Usage: kubectl podgate scan"]);
    assert!(
        !run(&["__complete", "podgate", "sc"]).stdout.contains("scan"),
        "not by kubectl itself"
    );

    link("kubectl_complete-podgate");
    run(&["__complete", "podg"]).exits(0).prints(&["podgate"]);
    let scan = run(&["__complete", "podgate", "sc"]).exits(0).stdout;
    assert!(scan.starts_with("scan\tJudge manifests") && scan.ends_with("\n:4\n"), "{scan}");
    let severities = run(&["__completeNoDesc", "podgate", "scan", "--fail-on", "d"]).exits(0);
    assert_eq!(severities.stdout, "denied\n:4\n");
    assert_eq!(run(&["__complete", "podgate", "scan", ""]).exits(0).stdout, ":0\n");
}

/// `.krew.yaml` as krew-release-bot fills it in.
fn krew_manifest(sha256: &str) -> String {
    let template = include_str!("../../.krew.yaml");
    let mut manifest = String::new();
    for line in template.lines() {
        let line = line.replace("{{ .TagName }}", concat!("v", env!("CARGO_PKG_VERSION")));
        let called = line.strip_prefix("    {{addURIAndSha \"");
        let uri = called.map(|it| it.split_once("\" .TagName }}").unwrap().0);
        manifest +=
            &uri.map_or(line.clone(), |uri| format!("    uri: {uri}\n    sha256: {sha256}"));
        manifest.push('\n');
    }
    manifest
}

fn krew_installs_the_release_as_a_plugin() {
    let releases = Releases::of_this_build();
    let archive = releases.archive();
    let sum = fs::read_to_string(format!("{}.sha256", archive.display())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("podgate.yaml");
    fs::write(&manifest, krew_manifest(sum.split(' ').next().unwrap())).unwrap();
    let installed = Command::new(tool("tool.sh", "krew"))
        .arg("install")
        .arg(format!("--manifest={}", manifest.display()))
        .arg(format!("--archive={}", archive.display()))
        .env("KREW_ROOT", folder.path().join("krew"))
        .env("KREW_NO_UPGRADE_CHECK", "1")
        .output();
    Ran::of(&installed.unwrap()).exits(0).reports(&["Installed plugin: podgate"]);
    let bin = folder.path().join("krew/bin");
    let version = concat!("podgate ", env!("CARGO_PKG_VERSION"));
    kubectl(&[&bin], &["podgate", "version"]).exits(0).prints(&[version]);
    let name = archive.file_name().unwrap().to_str().unwrap();
    let parsed: Value = serde_saphyr::from_str(&krew_manifest("0")).unwrap();
    let uris = parsed["spec"]["platforms"].as_array().unwrap().iter().map(|it| it["uri"].as_str());
    assert!(uris.flatten().any(|uri| uri.ends_with(&format!("/{name}"))), "{parsed}");
}

/// A repository with the guide's pre-commit configuration, whose hooks come from a repository on this machine.
fn with_hooks() -> (TempDir, TempDir) {
    let hooks = tempfile::tempdir().unwrap();
    fs::write(
        hooks.path().join(".pre-commit-hooks.yaml"),
        include_str!("../../.pre-commit-hooks.yaml"),
    )
    .unwrap();
    commit(hooks.path(), "hooks");
    let tag = concat!("v", env!("CARGO_PKG_VERSION"));
    run_in(hooks.path(), "git", &["tag", tag]).exits(0);
    let folder = tempfile::tempdir().unwrap();
    let config = snippet("pre-commit", "yaml")
        .replace("https://github.com/stochastic-io/podgate", hooks.path().to_str().unwrap());
    let files = [
        (".pre-commit-config.yaml", config.as_str()),
        (
            "policies/policy.yaml",
            "apiVersion: devops.stochastic.io/v1\nkind: ClusterDevOpsPolicy\nmetadata: {name: a}\nspec: {forbidLatestTag: true, requireReadinessProbe: true, defaultProbe: {}}\n",
        ),
        (
            "deploy/pod.yaml",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n    - name: web\n      image: nginx\n      ports: [{containerPort: 80}]\n",
        ),
    ];
    for (name, content) in files {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }
    run_in(folder.path(), "git", &["init", "-q"]).exits(0);
    (folder, hooks)
}

fn pre_commit_fixes_and_scans_what_is_committed() {
    let pre_commit = tool("python.sh", "pre-commit");
    let (repository, _hooks) = with_hooks();
    let cache = tempfile::tempdir().unwrap();
    let commits = || {
        run_in(repository.path(), "git", &["add", "-A"]).exits(0);
        let run = format!("PRE_COMMIT_HOME={} git commit -m x", cache.path().display());
        let Ran { code, stdout, stderr } = run_in(repository.path(), "sh", &["-c", &run]);
        (code, stdout + &stderr)
    };
    run_in(repository.path(), pre_commit.to_str().unwrap(), &["install"]).exits(0);
    let (code, said) = commits();
    assert!(code != 0 && said.contains("files were modified by this hook"), "{said}");
    assert!(said.contains("forbidLatestTag"), "{said}");
    let pod = repository.path().join("deploy/pod.yaml");
    let fixed = fs::read_to_string(&pod).unwrap();
    assert!(fixed.contains("readinessProbe"), "{fixed}");

    let (code, said) = commits();
    assert!(code != 0 && said.contains("1 violation (1 high)"), "{said}");
    fs::write(&pod, fixed.replace("image: nginx\n", "image: nginx:1.29\n")).unwrap();
    let (code, said) = commits();
    assert_eq!(code, 0, "{said}");
}

/// The guide's workflow in a repository that has the action.
fn workflow() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let workflows = folder.path().join(".github/workflows");
    fs::create_dir_all(&workflows).unwrap();
    fs::write(folder.path().join("action.yml"), include_str!("../../action.yml")).unwrap();
    let text = snippet("GitHub Actions", "yaml");
    let own = concat!("stochastic-io/podgate@v", env!("CARGO_PKG_VERSION"));
    assert!(text.contains(own), "{text}");
    fs::write(workflows.join("podgate.yml"), text.replace(own, "./")).unwrap();
    run_in(folder.path(), "git", &["init", "-q"]).exits(0);
    folder
}

fn the_linter_of_workflows_knows_every_input_of_the_guide() {
    let actionlint = tool("tool.sh", "actionlint");
    let folder = workflow();
    let lint = || run_in(folder.path(), actionlint.to_str().unwrap(), &["-oneline"]);
    let clean = lint();
    assert_eq!((clean.code, clean.stdout.as_str()), (0, ""), "{}", clean.stderr);
    let file = folder.path().join(".github/workflows/podgate.yml");
    let wrong = fs::read_to_string(&file).unwrap().replace("fail-on:", "failon:");
    fs::write(&file, wrong).unwrap();
    lint().exits(1).prints(&["input \"failon\" is not defined"]);
}

fn metadata_and_snippets_are_what_their_schemas_ask() {
    let checker = tool("python.sh", "check-jsonschema");
    let folder = workflow();
    fs::write(folder.path().join("gitlab.yml"), snippet("GitLab", "yaml")).unwrap();
    let files = BTreeMap::from([
        ("vendor.github-actions", "action.yml"),
        ("vendor.github-workflows", ".github/workflows/podgate.yml"),
        ("vendor.gitlab-ci", "gitlab.yml"),
    ]);
    for (schema, file) in files {
        run_in(folder.path(), checker.to_str().unwrap(), &["--builtin-schema", schema, file])
            .exits(0);
    }
    let hooks = script(".pre-commit-hooks.yaml");
    let pre_commit = tool("python.sh", "pre-commit");
    let args = ["validate-manifest", hooks.to_str().unwrap()];
    run_in(folder.path(), pre_commit.to_str().unwrap(), &args).exits(0);
}

fn the_scripts_of_pipelines_pass_shellcheck() {
    let shellcheck = tool("python.sh", "shellcheck");
    let scripts = ["archive", "install", "scan"].map(|it| script(&format!("deploy/ci/{it}.sh")));
    let args: Vec<_> = scripts.iter().map(|it| it.to_str().unwrap()).collect();
    let found = run_in(Path::new("."), shellcheck.to_str().unwrap(), &args);
    assert_eq!((found.code, found.stdout.as_str()), (0, ""), "{}", found.stderr);
}
