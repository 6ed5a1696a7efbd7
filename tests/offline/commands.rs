//! Part of `make test`: the commands that need no cluster and no files, run as the real binary.

use std::process::Command;

use serde_json::Value;

use crate::support::binary::{self, run};

/// The stdout of a command that must succeed with an empty stderr.
fn prints(args: &[&str]) -> String {
    let output = run(args);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
    assert!(output.status.success(), "{args:?}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// The stderr of a command that must be refused as bad input.
fn refuses(args: &[&str]) -> String {
    let output = run(args);
    assert_eq!(output.status.code(), Some(2), "{args:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn explain_without_a_rule_lists_them_all() {
    let text = prints(&["explain"]);
    let mut lines = text.lines();
    assert!(lines.next().unwrap().starts_with("RULE "), "{text}");
    for rule in podgate::policy::registry::RULES {
        let line = lines.next().unwrap();
        assert!(line.starts_with(&format!("{} ", rule.id)), "{line}");
        assert!(line.contains(rule.severity.as_str()) && line.ends_with(&rule.title()), "{line}");
    }
    assert_eq!(lines.next(), None);
}

#[test]
fn explain_prints_every_rules_page_and_that_of_every_check() {
    for rule in podgate::policy::registry::RULES {
        let page = rule.page();
        assert!(prints(&["explain", rule.id]).contains(&page), "{}", rule.id);
        for check in rule.checks {
            let name = format!("{}/{check}", rule.id);
            let text = prints(&["explain", &name]);
            assert!(text.starts_with(&name) && text.contains(&page), "{text}");
        }
    }
}

#[test]
fn a_grace_that_is_no_duration_or_without_enforcement_is_refused_with_what_to_write() {
    let apply = ["policy", "apply", "baseline", "--dry-run", "client"];
    let grace = |args: &[&str]| refuses(&[&apply[..], args].concat());
    let stderr = grace(&["--mode", "enforce", "--grace", "soon"]);
    assert!(stderr.contains("write it as a whole number of d or h, such as 30d"), "{stderr}");
    for mode in [&[][..], &["--mode", "warn"]] {
        let stderr = grace(&[mode, &["--grace", "30d"]].concat());
        assert!(stderr.contains("--grace is for --mode enforce"), "{stderr}");
    }
    let policy = prints(&[&apply[..], &["--mode", "enforce", "--grace", "30d"]].concat());
    assert!(policy.contains("graceUntil: "), "{policy}");
}

#[test]
fn explain_of_an_unknown_rule_suggests_one() {
    let stderr = refuses(&["explain", "forbidlatestTags"]);
    assert!(stderr.contains("did you mean forbidLatestTag?"), "{stderr}");
    let stderr = refuses(&["explain", "forbidLatestTag/some"]);
    assert!(stderr.contains("forbidLatestTag has no checks"), "{stderr}");
}

#[test]
fn colours_come_if_asked_for_and_never_into_a_pipe_by_themselves() {
    let colored = |args: &[&str], no_color: Option<&str>| {
        let mut command = binary::command();
        command.args(args).env("TERM", "xterm").env_remove("NO_COLOR");
        command.envs(no_color.map(|value| ("NO_COLOR", value)));
        command.output().unwrap().stdout.contains(&0x1b)
    };
    assert!(!colored(&["explain"], None));
    assert!(!colored(&["explain", "--color", "never"], None));
    assert!(colored(&["explain", "--color", "always"], None));
    assert!(colored(&["explain", "--color", "always"], Some("1")), "the flag wins");
}

#[test]
fn a_script_for_each_shell_knows_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = prints(&["completion", shell]);
        for word in ["podgate", "explain", "completion", "kubeconfig"] {
            assert!(script.contains(word), "{shell} misses {word}");
        }
    }
    assert!(refuses(&["completion", "tcsh"]).contains("possible values"));
}

#[test]
fn bash_completes_a_command_from_its_first_letters() {
    let script = prints(&["completion", "bash"])
        + "\nCOMP_WORDS=(podgate expl)\nCOMP_CWORD=1\n_podgate podgate expl podgate\necho \"${COMPREPLY[@]}\"\n";
    let output = Command::new("bash").args(["--norc", "-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "explain\n", "{output:?}");
}

#[test]
fn version_prints_the_same_build_each_time() {
    let text = prints(&["version"]);
    assert!(text.starts_with(&format!("podgate {} for ", env!("CARGO_PKG_VERSION"))), "{text}");
    assert_eq!(text, prints(&["version"]));

    let json: Value = serde_json::from_str(&prints(&["version", "-o", "json"])).unwrap();
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(json["apiVersions"][0], "devops.stochastic.io/v1");
    assert_eq!(json["kubernetesVersion"], "v1.36");
    assert_eq!(json["bundleVersion"], podgate::policy::bundles::VERSION);
    assert_eq!(json["os"], std::env::consts::OS);
    assert_eq!(json["arch"], std::env::consts::ARCH);
}

#[test]
fn the_bundles_are_listed_with_what_they_ask() {
    let text = prints(&["policy", "bundles"]);
    let rows: Vec<Vec<_>> =
        text.lines().map(|line| line.split("   ").map(str::trim).collect()).collect();
    let names: Vec<_> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(names, ["NAME", "permissive", "baseline", "restricted"]);
    let restricted = text.lines().last().unwrap();
    assert!(!text.contains("enforce"), "a bundle has rules and no mode: {text}");
    assert!(restricted.contains("maxRestartCount=3"), "{restricted}");
}

#[test]
fn a_bundle_is_shown_as_a_manifest_of_either_kind() {
    for (args, kind) in [
        (&["policy", "show", "restricted"][..], "DevOpsPolicy"),
        (&["policy", "show", "restricted", "--kind", "clusterdevopspolicy"], "ClusterDevOpsPolicy"),
    ] {
        let manifest: Value = serde_saphyr::from_str(&prints(args)).unwrap();
        assert_eq!(manifest["apiVersion"], "devops.stochastic.io/v1");
        assert_eq!(manifest["kind"], kind);
        assert_eq!(manifest["metadata"]["name"], "restricted");
        assert_eq!(manifest["spec"]["podSecurity"], "restricted");
        assert_eq!(manifest["spec"].get("enforcementMode"), None, "the default mode is audit");
        assert_eq!(manifest.as_object().unwrap().len(), 4, "no status: {manifest}");
    }
}

#[test]
fn an_unknown_bundle_is_refused_with_the_list_of_bundles() {
    let stderr = refuses(&["policy", "show", "strict"]);
    assert!(stderr.contains("permissive, baseline, restricted"), "{stderr}");
    let stderr = refuses(&["policy", "show", "baseline", "--kind", "Policy"]);
    assert!(stderr.contains("DevOpsPolicy, ClusterDevOpsPolicy"), "{stderr}");
}

#[test]
fn the_readme_shows_what_a_scan_prints() {
    let output = run(&["scan", "-f", "deploy/samples/workloads/bad-deployment.yaml"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    let readme = include_str!("../../README.md");
    assert!(readme.contains(&printed), "README.md does not show this output:\n{printed}");
}
