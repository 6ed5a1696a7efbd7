//! Charts and kustomizations are rendered by the person's programs, and findings are placed where they can be mended.

use serde_json::json;

use super::stubs::Programs;
use super::{Answer, EVERYWHERE, Folder, deployment};

const TEMPLATE: &str = "kind: Pod\nspec:\n  image: {{ .Values.image }}\n";

/// What helm prints of a chart with one template.
fn rendered(chart: &str, objects: &str) -> String {
    format!("---\n# Source: {chart}/templates/web.yaml\n{objects}")
}

fn chart(folder: &Folder, path: &str, description: &str) {
    folder
        .write(&format!("{path}/Chart.yaml"), format!("apiVersion: v2\n{description}").as_bytes());
    folder.write(&format!("{path}/values.yaml"), b"image: nginx\n");
    folder.write(&format!("{path}/templates/web.yaml"), TEMPLATE.as_bytes());
}

fn scan(programs: &Programs, folder: &Folder, args: &[&str]) -> Answer {
    folder.write(".p/p.yaml", EVERYWHERE.as_bytes());
    programs.scan(folder, &[&["--policy", ".p/p.yaml"], args].concat())
}

/// `FILE:LINE NAME` of every result.
fn places(answer: &Answer) -> Vec<String> {
    let results = answer.report["results"].as_array().unwrap();
    let place = |it: &serde_json::Value| {
        format!("{}:{} {}", it["file"].as_str().unwrap(), it["line"], it["name"].as_str().unwrap())
    };
    results.iter().map(place).collect()
}

#[test]
fn a_chart_is_rendered_once_with_its_dependencies_and_findings_are_in_its_templates() {
    let folder = Folder::with(&[("prod.yaml", "image: x\n")]);
    chart(&folder, "charts/shop", "name: shop\n");
    chart(&folder, "charts/shop/charts/db", "name: db\n");
    chart(&folder, "charts/lib", "name: lib\ntype: library\n");
    chart(&folder, "charts/odd", "name: Not A Release\n");
    let fixed = "apiVersion: v1\nkind: Pod\nmetadata: {name: fixed}\nspec:\n  containers:\n    - name: web\n      image: redis\n";
    folder.write("charts/shop/templates/fixed.yaml", fixed.as_bytes());
    let shop = rendered("shop", &deployment("shop", ""))
        + &format!("---\n# Source: shop/templates/fixed.yaml\n{fixed}")
        + "---\n# Source: shop/charts/db/templates/web.yaml\n"
        + &deployment("db", "");
    folder.write("charts/shop/.rendered", shop.as_bytes());
    folder.write("charts/odd/.rendered", b"");
    let programs = Programs::with(&["helm"]);
    let args = ["--helm-values", "prod.yaml", "-n", "shop"];
    let answer = scan(&programs, &folder, &args);
    assert_eq!(answer.code, 1, "{}", answer.stderr);
    assert_eq!(
        places(&answer),
        [
            "charts/shop/templates/web.yaml:null shop",
            "charts/shop/templates/fixed.yaml:7 fixed",
            "charts/shop/charts/db/templates/web.yaml:null db",
        ]
    );
    let values = "--values ./prod.yaml --namespace=shop, kubeconfig /dev/null";
    assert_eq!(
        programs.log(),
        [
            format!("helm template ./charts/odd {values}"),
            format!("helm template shop ./charts/shop {values}"),
        ]
    );
    // The library's template, and everything of the charts; no fix, since `podgate fix` edits no template.
    let passed_over = json!({"other": 1, "template": 1, "chart": 12});
    assert_eq!(answer.report["unjudged"]["passedOver"], passed_over);
    assert!(answer.report["results"].as_array().unwrap().iter().all(|it| it["fix"].is_null()));
    let missing = scan(&programs, &folder, &["--helm-values", "absent.yaml"]);
    assert_eq!(missing.code, 2);
    assert!(missing.stderr.contains("absent.yaml: there is no such file"), "{}", missing.stderr);
}

#[test]
fn without_the_programs_one_line_each_says_what_to_install() {
    let folder = Folder::with(&[("k/kustomization.yaml", "resources: [web.yaml]\n")]);
    folder.write("k/web.yaml", deployment("plain", "").as_bytes());
    chart(&folder, "a", "name: a\n");
    chart(&folder, "b", "name: b\n");
    folder.write("a/templates/plain.yaml", deployment("in-a-chart", "").as_bytes());
    let programs = Programs::with(&[]);
    let answer = scan(&programs, &folder, &["--fail-on", "never"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    insta::assert_snapshot!(answer.stderr, @r"
    podgate: there is no helm on the PATH, so charts are not judged (2 charts); install it, or pipe its output: helm template a | podgate scan -
    podgate: there is neither kustomize nor kubectl on the PATH, so kustomizations are not rendered (1 kustomization), and their resources are judged without patches; install one of them
    ");
    // A template without a template's marks is a manifest as it is.
    assert_eq!(places(&answer), ["a/templates/plain.yaml:10 in-a-chart", "k/web.yaml:10 plain"]);
    let unjudged = &answer.report["unjudged"];
    assert_eq!(
        (&unjudged["unrenderedCharts"], &unjudged["unrenderedKustomizations"]),
        (&json!(2), &json!(1))
    );
    let table = scan(&programs, &folder, &["-o", "table"]).stdout;
    assert!(table.contains("\nnot rendered: 2 charts, 1 kustomization\n"), "{table}");
}

#[test]
fn nothing_is_run_where_nothing_is_to_be_rendered_or_a_program_is_in_the_repository() {
    let folder = Folder::with(&[]);
    chart(&folder, "a", "name: a\n");
    folder.write("a/.rendered", deployment("a", "").as_bytes());
    let programs = Programs::with(&["helm"]);
    let answer = scan(&programs, &folder, &["--render", "never"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
    assert_eq!(answer.report["unjudged"]["unrenderedCharts"], 1);
    assert_eq!(programs.log(), Vec::<String>::new());
    // A relative folder in the PATH is the repository's, not the person's.
    let output = crate::support::binary::command()
        .args(["scan", "."])
        .env("PATH", ".:bin")
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no helm on the PATH"));
}

#[test]
fn what_does_not_render_is_a_fault_with_the_programs_own_words_and_the_rest_is_judged() {
    let folder = Folder::with(&[(
        "bad/kustomization.yaml",
        "resources: [web.yaml]\npatches: [{path: p.yaml}]\n",
    )]);
    folder.write("bad/web.yaml", deployment("unpatched", "").as_bytes());
    folder.write("bad/p.yaml", deployment("patch", "").as_bytes());
    for name in ["broken", "good"] {
        chart(&folder, name, &format!("name: {name}\n"));
    }
    folder.write("good/.rendered", rendered("good", &deployment("good", "")).as_bytes());
    let answer = scan(&Programs::with(&["helm", "kustomize"]), &folder, &[]);
    assert_eq!(answer.code, 2);
    let places = places(&answer);
    assert_eq!(places, ["bad/web.yaml:10 unpatched", "good/templates/web.yaml:null good"]);
    let faults = answer.report["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 2, "{faults:?}");
    for (fault, place, program) in
        [(&faults[0], "broken", "helm"), (&faults[1], "bad", "kustomize")]
    {
        assert_eq!(fault["place"], place);
        let message = fault["message"].as_str().unwrap();
        let expected = format!("{program} cannot render it: cat: ");
        assert!(message.starts_with(&expected) && message.contains("No such file"), "{message}");
    }
}

#[test]
fn kustomizations_that_no_other_lists_are_built_and_their_parts_are_not_judged() {
    let folder = Folder::with(&[
        ("base/kustomization.yaml", "resources: [web.yaml]\n"),
        (
            "overlays/dev/kustomization.yml",
            "resources: [../../base]\npatchesStrategicMerge: [p.yaml]\n",
        ),
        (
            "overlays/prod/Kustomization",
            "bases: [../../base/]\ncomponents: [../../debug]\npatches:\n- path: p.yaml\n- patch: |-\n    - op: remove\n",
        ),
        (
            "debug/kustomization.yaml",
            "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [tools.yaml]\n",
        ),
        (
            "flux/kustomization.yaml",
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a}\n",
        ),
    ]);
    for file in ["base/web.yaml", "overlays/dev/p.yaml", "overlays/prod/p.yaml", "debug/tools.yaml"]
    {
        folder.write(file, deployment("part", "").as_bytes());
    }
    folder.write("overlays/prod/unlisted.yaml", deployment("unlisted", "").as_bytes());
    for overlay in ["dev", "prod"] {
        folder.write(&format!("overlays/{overlay}/.rendered"), deployment(overlay, "").as_bytes());
    }
    for (programs, words) in
        [(&["kustomize", "kubectl"][..], "kustomize build"), (&["kubectl"], "kubectl kustomize")]
    {
        let programs = Programs::with(programs);
        let answer = scan(&programs, &folder, &[]);
        assert_eq!(answer.code, 1, "{}", answer.stderr);
        assert_eq!(
            places(&answer),
            [
                "overlays/prod/unlisted.yaml:10 unlisted",
                "overlays/dev/kustomization.yml:null dev",
                "overlays/prod/Kustomization:null prod",
            ]
        );
        assert_eq!(answer.report["unjudged"]["kinds"], json!({"Kustomization": 1}));
        let built =
            ["dev", "prod"].map(|it| format!("{words} ./overlays/{it}, kubeconfig /dev/null"));
        assert_eq!(programs.log(), built);
    }
}

#[test]
fn fix_edits_neither_templates_nor_patches() {
    let folder = Folder::with(&[(
        "k/kustomization.yaml",
        "resources: [web.yaml]\npatches: [{path: p.yaml}]\n",
    )]);
    let probe = "apiVersion: devops.stochastic.io/v1\nkind: ClusterDevOpsPolicy\nmetadata: {name: p}\nspec: {forbidLatestTag: true, imageTags: [{image: nginx, from: latest, to: '1.29'}]}\n";
    folder.write(".p/p.yaml", probe.as_bytes());
    chart(&folder, "a", "name: a\n");
    let untouched = ["a/templates/plain.yaml", "k/p.yaml"];
    for file in [&untouched[..], &["k/web.yaml"]].concat() {
        folder.write(file, deployment("web", "").as_bytes());
    }
    let output = crate::support::binary::command()
        .args(["fix", "--policy", ".p/p.yaml", "--in-place"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "k/web.yaml: fixed\n");
    for file in untouched {
        let text = std::fs::read_to_string(folder.path().join(file)).unwrap();
        assert_eq!(text, deployment("web", ""), "{file}");
    }
}

#[test]
fn a_chart_that_renders_more_than_256_mib_is_a_fault_and_the_rest_is_judged() {
    let folder = Folder::with(&[("web.yaml", &deployment("web", ""))]);
    chart(&folder, "charts/big", "name: big\n");
    let programs = Programs::only("helm", "exec head -c 269484032 /dev/zero");
    let answer = scan(&programs, &folder, &[]);
    assert_eq!((answer.code, answer.count("workloads")), (2, 1), "{}", answer.stderr);
    assert!(
        answer.stderr.contains("charts/big: helm printed more than 256 MiB"),
        "{}",
        answer.stderr
    );
}

#[test]
fn a_terminal_shows_what_is_rendered_while_it_takes_long() {
    let folder = Folder::with(&[]);
    chart(&folder, "charts/slow", "name: slow\n");
    let programs = Programs::only("helm", "until [ -e \"$STUB_LOG\" ]; do sleep 0.05; done");
    let shown = "rendering charts/slow";
    assert!(programs.scan_on_a_terminal(&folder, shown).contains(shown));
}
