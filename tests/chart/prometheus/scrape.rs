//! What prometheus-operator makes of the chart's objects: a scrape configuration of a ServiceMonitor, rule files of a
//! PrometheusRule.

use serde_json::{Value, json};

use super::super::helm::RELEASE;
use super::super::world::{NAMESPACE, World};

/// The two kinds, with any content. The operator itself is not there.
pub fn serve_monitoring(world: &World) {
    for (kind, plural) in
        [("ServiceMonitor", "servicemonitors"), ("PrometheusRule", "prometheusrules")]
    {
        let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        let crd = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.monitoring.coreos.com")},
            "spec": {
                "group": "monitoring.coreos.com", "scope": "Namespaced",
                "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}],
            },
        });
        world.apply(&crd.to_string());
        let crd = format!("crd/{plural}.monitoring.coreos.com");
        world.kubectl(&["wait", "--for=condition=Established", &crd]);
    }
}

fn spec(world: &World, kind: &str) -> Value {
    let object = world.get(&["-n", NAMESPACE, kind, RELEASE]);
    object.unwrap_or_else(|| panic!("the chart has made no {kind}"))["spec"].take()
}

pub fn rules(world: &World) -> Value {
    spec(world, "prometheusrule")
}

/// podgate by its ServiceMonitor, and the API server by its address.
pub fn config(world: &World, rules: &str) -> Value {
    let admin = world.plane.kubeconfig("admin");
    let file = |name: &str| admin.with_file_name(name).display().to_string();
    json!({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [rules],
        "scrape_configs": [
            of_monitor(&spec(world, "servicemonitor"), &file("admin")),
            {
                "job_name": "apiserver", "scheme": "https",
                "tls_config": {"ca_file": file("ca.crt"), "cert_file": file("admin.crt"), "key_file": file("admin.key")},
                "static_configs": [{"targets": [world.plane.address().to_string()]}],
                // So that a scrape a second is no load.
                "metric_relabel_configs": [{"source_labels": ["__name__"], "regex": "apiserver_admission_.*|process_.*", "action": "keep"}],
            },
        ],
    })
}

/// As the operator writes it (`pkg/prometheus/promcfg.go`): what is kept, and which labels a target gets.
fn of_monitor(spec: &Value, kubeconfig: &str) -> Value {
    let endpoint = &spec["endpoints"][0];
    assert_eq!(spec["endpoints"].as_array().unwrap().len(), 1);
    let keep = |sources: &[&str], regex: &str| json!({"action": "keep", "source_labels": sources, "regex": regex});
    let label =
        |source: &str, target: &str| json!({"source_labels": [source], "target_label": target});
    let mut relabel = vec![label("job", "__tmp_prometheus_job_name")];
    for (name, value) in spec["selector"]["matchLabels"].as_object().unwrap() {
        let name = name.replace(|it: char| !it.is_ascii_alphanumeric(), "_");
        let sources =
            ["label", "labelpresent"].map(|it| format!("__meta_kubernetes_service_{it}_{name}"));
        relabel.push(keep(
            &[&sources[0], &sources[1]],
            &format!("({});true", value.as_str().unwrap()),
        ));
    }
    let port = endpoint["port"].as_str().unwrap();
    relabel.push(keep(&["__meta_kubernetes_endpoint_port_name"], port));
    for (kind, target) in [("Node", "node"), ("Pod", "pod")] {
        relabel.push(json!({
            "source_labels": ["__meta_kubernetes_endpoint_address_target_kind", "__meta_kubernetes_endpoint_address_target_name"],
            "separator": ";", "regex": format!("{kind};(.*)"), "replacement": "${1}", "target_label": target,
        }));
    }
    relabel.extend([
        label("__meta_kubernetes_namespace", "namespace"),
        label("__meta_kubernetes_service_name", "service"),
        label("__meta_kubernetes_pod_name", "pod"),
        label("__meta_kubernetes_pod_container_name", "container"),
        json!({"action": "drop", "source_labels": ["__meta_kubernetes_pod_phase"], "regex": "(Failed|Succeeded)"}),
        label("__meta_kubernetes_service_name", "job"),
        json!({"target_label": "endpoint", "replacement": port}),
    ]);
    let namespaces = &spec["namespaceSelector"]["matchNames"];
    json!({
        "job_name": format!("serviceMonitor/{NAMESPACE}/{RELEASE}/0"),
        "honor_labels": endpoint["honorLabels"],
        "metrics_path": endpoint["path"],
        "kubernetes_sd_configs": [{"role": "endpoints", "kubeconfig_file": kubeconfig, "namespaces": {"names": namespaces}}],
        "relabel_configs": relabel,
    })
}
