//! Part of `make check`: `-o html` of every command that has it, without a browser. `make test-html` opens the pages in
//! one.

use std::fs;

use serde_json::json;

use crate::support::binary;
use crate::support::ran::Ran;
use crate::support::stub_api::{Answers, named};

const FORGED: &str = "</style><script>alert(1)</script>\u{202e}";

/// A page that has the forged name as a text, and no script but its own.
fn is_a_page(page: &str) {
    assert!(page.starts_with("<!doctype html>\n") && page.ends_with("</script>\n"), "{page}");
    assert!(
        page.contains(r"&lt;/style&gt;&lt;script&gt;alert(1)&lt;/script&gt;\u{202e}"),
        "{page}"
    );
    assert_eq!(
        (page.matches("<script").count(), page.matches("</style").count()),
        (1, 1),
        "{page}"
    );
    assert!(!page.contains('\u{202e}') && !page.contains("://"), "{page}");
}

#[test]
fn each_command_writes_a_page_that_obeys_no_name_of_an_object() {
    let spec = json!({"containers": [{"name": FORGED, "image": FORGED}]});
    let pod = named(Some("shop"), FORGED, json!({"spec": spec, "status": {"phase": "Running"}}));
    let policy = json!({"spec": {"forbidLatestTag": true, "enforcementMode": "enforce"}});
    let api = Answers::default()
        .list("/api/v1/namespaces", &[named(None, "shop", json!({}))])
        .list("/api/v1/pods", &[pod])
        .list(
            "/apis/devops.stochastic.io/v1/devopspolicies",
            &[named(Some("shop"), FORGED, policy)],
        )
        .serve();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    for command in [&["analyze"][..], &["policy", "preview"]] {
        is_a_page(
            &api.run(&[command, &["-o", "html", "--fail-on", "never"]].concat()).exits(0).stdout,
        );
    }
    // The exit code is that of the other formats.
    let args = ["clusters", "analyze", "-o", "html", "--output-file", file.to_str().unwrap()];
    assert_eq!(api.run(&args).exits(1).stdout, "");
    assert!(fs::read_to_string(&file).unwrap().contains("<h1>1 cluster</h1>"));
    api.run(&["analyze", "-o", "html", "--output-file", "absent/page.html"])
        .exits(3)
        .reports(&["absent/page.html"]);

    let manifest = folder.path().join("pod.json");
    let pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": FORGED}, "spec": spec});
    fs::write(&manifest, pod.to_string()).unwrap();
    let scan = binary::run(&["scan", manifest.to_str().unwrap(), "-o", "html"]);
    is_a_page(&Ran::of(&scan).exits(1).stdout);
}
