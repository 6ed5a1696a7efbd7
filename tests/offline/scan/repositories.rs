//! The kinds of repository that people have, in miniature: what a scan of each says, and its exit code. The table in
//! `docs/guides/ci.md` is of these.

use serde_json::{Value, json};

use super::stubs::Programs;
use super::{Folder, deployment};

fn object(api_version: &str, kind: &str, name: &str) -> String {
    format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: {name}}}\n")
}

/// Scans by the default checks with helm and kustomize; returns the exit code, and the last lines of the table.
fn scanned(folder: &Folder, args: &[&str]) -> (i32, Vec<String>) {
    let programs = Programs::with(&["helm", "kustomize"]);
    let answer = programs.scan(folder, &[args, &["-o", "table"]].concat());
    let lines =
        answer.stdout.lines().skip_while(|line| !line.contains(" (") || line.starts_with(' '));
    (answer.code, lines.filter(|line| !line.starts_with("learn more")).map(str::to_owned).collect())
}

fn good(name: &str) -> String {
    deployment(name, "").replace("image: nginx", "image: nginx:1.29\n          livenessProbe: &p {tcpSocket: {port: 80}}\n          readinessProbe: *p")
}

#[test]
fn a_microservice_demo() {
    let folder = Folder::with(&[
        ("skaffold.yaml", "apiVersion: skaffold/v3\nkind: Config\nbuild: {}\n"),
        ("cloudbuild.yaml", "steps:\n- name: docker\n"),
        ("src/web/package.json", "{\"name\": \"web\"}"),
        ("src/web/node_modules/x/config.json", "{}"),
        ("kubernetes-manifests/cart.yaml", &deployment("cart", "")),
        ("kubernetes-manifests/service.yaml", &object("v1", "Service", "cart")),
    ]);
    let (code, lines) = scanned(&folder, &[]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(lines.join("\n"), @r"
    3 violations (1 high, 1 medium, 1 low) in 1 workload (3 documents, 2 skipped); score 40
    skipped, since they run no pods: 1 Config, 1 Service
    passed over: 2 files of other programs, 1 folder of dependencies (node_modules, vendor)
    ");
}

#[test]
fn kustomize_examples() {
    let patch =
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 3}\n";
    let folder = Folder::with(&[
        ("hello/base/kustomization.yaml", "resources: [web.yaml, map.yaml]\n"),
        ("hello/base/web.yaml", &good("web")),
        ("hello/base/map.yaml", &object("v1", "ConfigMap", "map")),
        (
            "hello/overlays/dev/kustomization.yaml",
            "resources: [../../base]\npatches: [{path: p.yaml}]\n",
        ),
        ("hello/overlays/dev/p.yaml", patch),
        (
            "hello/overlays/prod/kustomization.yaml",
            "resources: [../../base]\ncomponents: [../../debug]\npatches: [{path: p.yaml}]\n",
        ),
        ("hello/overlays/prod/p.yaml", patch),
        (
            "hello/debug/kustomization.yaml",
            "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches: [{path: p.json}]\n",
        ),
        ("hello/debug/p.json", "[{\"op\": \"remove\", \"path\": \"/spec\"}]"),
    ]);
    for overlay in ["dev", "prod"] {
        folder.write(&format!("hello/overlays/{overlay}/.rendered"), good("web").as_bytes());
    }
    let (code, lines) = scanned(&folder, &[]);
    assert_eq!(code, 0, "{lines:?}");
    insta::assert_snapshot!(lines.join("\n"), @r"
    all 2 workloads pass (2 documents); score 100
    passed over: 9 files of kustomizations
    ");
}

#[test]
fn kube_prometheus() {
    let folder = Folder::with(&[
        ("jsonnetfile.json", "{\"version\": 1, \"dependencies\": []}"),
        ("jsonnet/kube-prometheus/versions.json", "{\"alertmanager\": \"0.28\"}"),
        (
            "manifests/setup/crd.yaml",
            &object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "x"),
        ),
        ("manifests/prometheus.yaml", &object("monitoring.coreos.com/v1", "Prometheus", "k8s")),
        ("manifests/rule.yaml", &object("monitoring.coreos.com/v1", "PrometheusRule", "r")),
        ("manifests/exporter.yaml", &good("exporter")),
        (
            "manifests/dashboards.json",
            "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMapList\", \"items\": [{\"metadata\": {\"name\": \"a\"}}]}",
        ),
        ("examples/broken.jsonnet.TEMPLATE.json", "{ // no JSON\n  local k = 1; }"),
        ("vendor/github.com/x/y.yaml", &deployment("foreign", "")),
    ]);
    let (code, lines) = scanned(&folder, &[]);
    assert_eq!(code, 0, "{lines:?}");
    insta::assert_snapshot!(lines.join("\n"), @r"
    the only workload passes (5 documents, 4 skipped); score 100
    skipped, since they run no pods: 1 ConfigMap, 1 CustomResourceDefinition, 1 Prometheus, 1 PrometheusRule
    passed over: 3 files of other programs, 1 folder of dependencies (node_modules, vendor)
    ");
}

#[test]
fn a_gitops_repository_of_helm_releases() {
    let release = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: app}\nspec:\n  values:\n    host: ${HOST}\n    replicas: ${REPLICAS}\n";
    let folder = Folder::with(&[
        (".sops.yaml", "creation_rules: []\n"),
        ("Taskfile.yaml", "version: '3'\ntasks: {default: {cmd: 'echo {{.X}}'}}\n"),
        ("apps/a/helmrelease.yaml", release),
        ("apps/b/helmrelease.yaml", release),
        (
            "apps/a/secret.sops.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: 'ENC[AES256_GCM,data:x]'}\nsops: {mac: x}\n",
        ),
        ("apps/values.sops.yaml", "a: ENC[AES256_GCM,data:x]\nsops: {mac: x}\n"),
        (
            "apps/raw.yaml",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n    - name: web\n      ports:\n        - hostPort: ${PORT}\n",
        ),
        (
            "flux/apps.yaml",
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps}\nspec: {path: ./apps}\n",
        ),
    ]);
    let (code, lines) = scanned(&folder, &["--min-score", "100"]);
    assert_eq!(code, 0, "{lines:?}");
    insta::assert_snapshot!(lines.join("\n"), @r"
    nothing to judge: no workload found (4 documents, 4 skipped)
    skipped, since they run no pods: 2 HelmRelease, 1 Kustomization, 1 Secret
    passed over: 2 files of other programs, 1 template
    ");
    assert_eq!(folder.scan(&[]).report["summary"]["score"], Value::Null);
}

#[test]
fn a_flux_example() {
    let folder = Folder::with(&[
        (
            "apps/base/kustomization.yaml",
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [release.yaml]\n",
        ),
        ("apps/base/release.yaml", &object("helm.toolkit.fluxcd.io/v2", "HelmRelease", "podinfo")),
        (
            "apps/staging/kustomization.yaml",
            "resources: [../base]\npatches: [{path: values.yaml}]\n",
        ),
        (
            "apps/staging/values.yaml",
            &object("helm.toolkit.fluxcd.io/v2", "HelmRelease", "podinfo"),
        ),
        (
            "clusters/staging/apps.yaml",
            &object("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "apps"),
        ),
    ]);
    folder.write(
        "apps/staging/.rendered",
        object("helm.toolkit.fluxcd.io/v2", "HelmRelease", "podinfo").as_bytes(),
    );
    let (code, lines) = scanned(&folder, &[]);
    assert_eq!(code, 0, "{lines:?}");
    insta::assert_snapshot!(lines.join("\n"), @r"
    nothing to judge: no workload found (2 documents, 2 skipped)
    skipped, since they run no pods: 1 HelmRelease, 1 Kustomization
    passed over: 4 files of kustomizations
    ");
}

#[test]
fn istio_samples() {
    let folder = Folder::with(&[
        ("samples/bookinfo/platform/kube/bookinfo.yaml", &deployment("details", "")),
        (
            "samples/bookinfo/networking/gateway.yaml",
            &object("networking.istio.io/v1", "Gateway", "g"),
        ),
        ("samples/old/mysql.yaml", &object("extensions/v1beta1", "Deployment", "mysql")),
        (
            "samples/custom-bootstrap/app.yaml",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: {{ .Name }}}\n{{- range .X }}\n{{- end }}\n",
        ),
        ("samples/multicluster/values.yaml", "global: {hub: x}\n"),
    ]);
    let (code, lines) = scanned(&folder, &[]);
    assert_eq!(code, 2);
    insta::assert_snapshot!(lines.join("\n"), @r"
    3 violations (1 high, 1 medium, 1 low) in 1 workload (3 documents, 1 skipped); score 40; 1 input could not be judged
    skipped, since they run no pods: 1 Gateway
    passed over: 1 file of other programs, 1 template
    ");
    assert_eq!(scanned(&folder, &["--fail-on", "never"]).0, 0);
    assert_eq!(scanned(&folder, &["--exclude", "old", "--fail-on", "denied"]).0, 0);
}

#[test]
fn a_repository_of_helm_charts() {
    let folder = Folder::with(&[
        ("charts/app/Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n"),
        ("charts/app/values.yaml", "image: nginx\n"),
        ("charts/app/values.schema.json", "{\"type\": \"object\"}"),
        ("charts/app/ci/test-values.yaml", "image: nginx\n"),
        (
            "charts/app/templates/web.yaml",
            "apiVersion: apps/v1\nkind: Deployment\n{{- include \"x\" . }}\n",
        ),
        (
            "charts/app/crds/crd.yaml",
            &object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "x"),
        ),
        ("charts/common/Chart.yaml", "apiVersion: v2\nname: common\ntype: library\n"),
        ("charts/common/templates/names.yaml", "{{- define \"x\" }}{{ end }}\n"),
        ("charts/needy/Chart.yaml", "apiVersion: v2\nname: needy\ndependencies: [{name: db}]\n"),
    ]);
    let rendered = format!("---\n# Source: app/templates/web.yaml\n{}", good("web"));
    folder.write("charts/app/.rendered", rendered.as_bytes());
    let (code, lines) = scanned(&folder, &[]);
    // A dependency that is missing: the chart is not judged, and that is a fault.
    assert_eq!(code, 2);
    insta::assert_snapshot!(lines.join("\n"), @r"
    the only workload passes (2 documents, 1 skipped); score 100; 1 input could not be judged
    skipped, since they run no pods: 1 CustomResourceDefinition
    passed over: 1 file of other programs, 1 template, 6 files of charts
    ");
    assert_eq!(scanned(&folder, &["--exclude", "charts/needy"]).0, 0);
    let never = folder.scan(&["--render", "never"]);
    assert_eq!((never.code, &never.report["unjudged"]["unrenderedCharts"]), (0, &json!(2)));
}
