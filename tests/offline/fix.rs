//! Part of `make test`: `podgate fix` as the real binary, on files that the tests write.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::binary;

const POLICY: &str = "\
apiVersion: devops.stochastic.io/v1
kind: DevOpsPolicy
metadata: {name: baseline}
spec:
  forbidLatestTag: true
  podSecurity: restricted
  imageTags: [{image: nginx, from: latest, to: \"1.29\"}]
";

const POD: &str = "\
# The shop's front.
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  containers:
  - image: nginx     # by its version, please
    name: web
";

/// Runs `podgate fix` in a folder; returns exit code, stdout and stderr.
fn fix(folder: &Path, args: &str) -> (i32, String, String) {
    let output =
        binary::command().arg("fix").args(args.split(' ')).current_dir(folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("policy.yaml"), POLICY).unwrap();
    fs::write(folder.path().join("pod.yaml"), POD).unwrap();
    folder
}

#[test]
fn the_fixed_manifest_is_printed_with_its_comments_and_the_rest_is_reported() {
    let folder = folder();
    let (code, fixed, stderr) = fix(folder.path(), "-f pod.yaml --policy policy.yaml");
    assert_eq!(code, 0, "{stderr}");
    insta::assert_snapshot!(fixed, @"
    # The shop's front.
    apiVersion: v1
    kind: Pod
    metadata: {name: web, namespace: shop}
    spec:
      containers:
      - image: nginx:1.29     # by its version, please
        name: web
        securityContext:
          allowPrivilegeEscalation: false
          seccompProfile:
            type: RuntimeDefault
    ");
    // runAsNonRoot would stop an image that runs as root.
    assert_eq!(stderr, "2 of 5 violations have no safe fix; see them with podgate scan\n");
    assert_eq!(
        fs::read_to_string(folder.path().join("pod.yaml")).unwrap(),
        POD,
        "the file is not changed"
    );
}

#[test]
fn fix_can_print_one_patch_per_object_instead() {
    let folder = folder();
    let (code, patches, _) = fix(folder.path(), "-f pod.yaml --policy policy.yaml -o patch");
    let patches: Value = serde_json::from_str(&patches).unwrap();
    assert_eq!(code, 0);
    assert_eq!(patches.as_array().unwrap().len(), 1);
    assert_eq!(patches[0]["file"], "pod.yaml");
    assert_eq!(patches[0]["kind"], "Pod");
    assert_eq!(patches[0]["namespace"], "shop");
    assert_eq!(
        patches[0]["patch"][0],
        json!({"op": "replace", "path": "/spec/containers/0/image", "value": "nginx:1.29"})
    );
}

#[test]
fn files_are_fixed_in_place_once_and_others_are_not_touched() {
    let folder = folder();
    let other = "kind: ConfigMap\napiVersion: v1\n";
    fs::write(folder.path().join("other.yaml"), other).unwrap();
    let (code, printed, stderr) =
        fix(folder.path(), "-f pod.yaml -f other.yaml --policy policy.yaml --in-place");
    assert_eq!((code, printed.as_str()), (0, ""), "{stderr}");
    assert!(stderr.contains("pod.yaml: fixed") && !stderr.contains("other.yaml"), "{stderr}");
    let fixed = fs::read_to_string(folder.path().join("pod.yaml")).unwrap();
    assert!(fixed.contains("- image: nginx:1.29     # by its version, please"), "{fixed}");
    let (code, _, stderr) = fix(folder.path(), "-f pod.yaml --policy policy.yaml --in-place");
    assert_eq!(code, 0);
    assert!(!stderr.contains("fixed\n"), "{stderr}");
}

#[test]
fn broken_documents_are_reported_and_the_rest_is_fixed() {
    let folder = folder();
    fs::write(folder.path().join("two.yaml"), format!("kind: [\n---\n{POD}")).unwrap();
    let (code, fixed, stderr) = fix(folder.path(), "-f two.yaml --policy policy.yaml");
    assert_eq!(code, 2);
    assert!(stderr.contains("two.yaml:1:7: it is not YAML"), "{stderr}");
    assert!(fixed.starts_with("kind: [\n---\n# The shop's front."), "{fixed}");
    assert!(fixed.contains("nginx:1.29"), "{fixed}");
}

#[test]
fn in_a_folder_only_manifests_are_printed_and_edited() {
    let folder = folder();
    let values = "image: nginx\nspec: {containers: []}\n";
    fs::write(folder.path().join("values.yaml"), values).unwrap();
    let template = format!("{POD}{{{{- if .Values.more }}}}\n");
    fs::write(folder.path().join("template.yaml"), &template).unwrap();
    let (code, fixed, stderr) = fix(folder.path(), ". --policy policy.yaml");
    assert_eq!(code, 0, "{stderr}");
    assert!(fixed.starts_with("# The shop's front.") && !fixed.contains("Values"), "{fixed}");
    let (code, _, stderr) = fix(folder.path(), "--policy policy.yaml --in-place");
    assert_eq!((code, stderr.matches(": fixed").count()), (0, 1), "{stderr}");
    for (file, text) in [("values.yaml", values), ("template.yaml", &template)] {
        assert_eq!(fs::read_to_string(folder.path().join(file)).unwrap(), text);
    }
    let (code, printed, _) = fix(folder.path(), "values.yaml --policy policy.yaml");
    assert_eq!((code, printed.as_str()), (2, values), "a named file must be a manifest");
}

#[test]
fn the_projects_own_good_manifest_is_clean_under_the_restricted_bundle() {
    let good =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/samples/workloads/good-deployment.yaml");
    let output = binary::run(&["scan", "-f", good.to_str().unwrap(), "--bundle", "restricted"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{printed}");
    assert!(printed.contains("passes"), "{printed}");
}
