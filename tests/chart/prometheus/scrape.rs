//! The work of prometheus-operator: it turns a `ServiceMonitor` into a scrape configuration, and a `PrometheusRule`
//! into rule files. Debian's Prometheus is built without Kubernetes discovery, so this module provides the labels that
//! discovery would have found.

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
    object.unwrap_or_else(|| panic!("the chart created no {kind}"))["spec"].take()
}

pub fn rules(world: &World) -> Value {
    spec(world, "prometheusrule")
}

/// Scrapes podgate by its `ServiceMonitor`, and the API server by its address.
pub fn config(world: &World, rules: &str) -> Value {
    let admin = world.plane.kubeconfig("admin");
    let file = |name: &str| admin.with_file_name(name).display().to_string();
    json!({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [rules],
        "scrape_configs": [
            of_monitor(&spec(world, "servicemonitor"), &discovered(world)),
            {
                "job_name": "apiserver", "scheme": "https",
                "tls_config": {"ca_file": file("ca.crt"), "cert_file": file("admin.crt"), "key_file": file("admin.key")},
                "static_configs": [{"targets": [world.plane.address().to_string()]}],
                // Keeps the load of one scrape per second low.
                "metric_relabel_configs": [{"source_labels": ["__name__"], "regex": "apiserver_admission_.*|process_.*", "action": "keep"}],
            },
        ],
    })
}

/// A target for each port of each endpoint of podgate's Service, with the labels that Prometheus' discovery of
/// endpoints gives it.
fn discovered(world: &World) -> Vec<Value> {
    let get = |args: &[&str]| world.get(&[&["-n", NAMESPACE], args].concat()).unwrap();
    let service = get(&["service", RELEASE]);
    let slices = get(&["endpointslices", "-l", &format!("kubernetes.io/service-name={RELEASE}")]);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut targets = Vec::new();
    for slice in list(&slices["items"]) {
        for (endpoint, port) in list(&slice["endpoints"])
            .iter()
            .flat_map(|it| list(&slice["ports"]).into_iter().map(move |port| (it, port)))
        {
            let pod = endpoint["targetRef"]["name"].as_str().unwrap();
            let phase = get(&["pod", pod])["status"]["phase"].clone();
            let mut labels = json!({
                "__meta_kubernetes_namespace": NAMESPACE,
                "__meta_kubernetes_service_name": RELEASE,
                "__meta_kubernetes_endpoint_port_name": port["name"],
                "__meta_kubernetes_endpoint_address_target_kind": "Pod",
                "__meta_kubernetes_endpoint_address_target_name": pod,
                "__meta_kubernetes_pod_name": pod,
                "__meta_kubernetes_pod_container_name": "podgate",
                "__meta_kubernetes_pod_phase": phase,
            });
            for (name, value) in service["metadata"]["labels"].as_object().unwrap() {
                let [label, present] = service_labels(name);
                labels[label] = value.clone();
                labels[present] = "true".into();
            }
            let address =
                format!("{}:{}", endpoint["addresses"][0].as_str().unwrap(), port["port"]);
            targets.push(json!({"targets": [address], "labels": labels}));
        }
    }
    targets
}

/// The name of a Service's label in relabelling.
fn service_labels(name: &str) -> [String; 2] {
    let name = name.replace(|it: char| !it.is_ascii_alphanumeric(), "_");
    ["label", "labelpresent"].map(|it| format!("__meta_kubernetes_service_{it}_{name}"))
}

/// As the operator writes it (`pkg/prometheus/promcfg.go`): the kept targets, and their labels.
fn of_monitor(spec: &Value, discovered: &[Value]) -> Value {
    let endpoint = &spec["endpoints"][0];
    assert_eq!(spec["endpoints"].as_array().unwrap().len(), 1);
    let keep = |sources: &[&str], regex: &str| json!({"action": "keep", "source_labels": sources, "regex": regex});
    let label =
        |source: &str, target: &str| json!({"source_labels": [source], "target_label": target});
    let mut relabel = vec![label("job", "__tmp_prometheus_job_name")];
    for (name, value) in spec["selector"]["matchLabels"].as_object().unwrap() {
        let [label, present] = service_labels(name);
        relabel.push(keep(&[&label, &present], &format!("({});true", value.as_str().unwrap())));
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
    assert_eq!(spec["namespaceSelector"]["matchNames"], json!([NAMESPACE]));
    json!({
        "job_name": format!("serviceMonitor/{NAMESPACE}/{RELEASE}/0"),
        "honor_labels": endpoint["honorLabels"],
        "metrics_path": endpoint["path"],
        "static_configs": discovered,
        "relabel_configs": relabel,
    })
}
