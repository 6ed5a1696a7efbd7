//! `make demo-cluster`: podgate in a real cluster. It starts a control plane, installs the CRDs and the sample
//! policies, registers the webhooks, and applies the sample workloads with kubectl. It runs until Ctrl-C, and then
//! removes everything (`ONCE=1` ends it after the samples).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails loudly is a test"
)]

#[path = "../tests/support/support.rs"]
mod support;

use support::binary::{self, Podgate};
use support::control_plane::{ControlPlane, text};
use support::{eventually, samples};

fn main() {
    println!("Starting etcd, kube-apiserver and kube-controller-manager.");
    let plane = ControlPlane::start();
    let kubeconfig = plane.kubeconfig("admin");
    let admin = kubeconfig.to_str().unwrap();
    let kubectl = |args: &[&str]| {
        println!("$ kubectl {}", args.join(" "));
        println!("{}", plane.kubectl(args).output().1);
    };

    println!("$ podgate crd install");
    println!("{}", text(&binary::run(&["crd", "install", "--kubeconfig", admin]).stdout));
    for namespace in ["shop", "lab", "nursery"] {
        kubectl(&["create", "namespace", namespace]);
        // The API server refuses pods before their ServiceAccount exists.
        eventually("the default ServiceAccount", || {
            plane.kubectl(&["get", "serviceaccount", "default", "-n", namespace]).result()
        });
    }
    let policies = samples::policies();
    kubectl(&["apply", "-f", policies.to_str().unwrap()]);

    println!("$ podgate serve --register");
    let certs = kubeconfig.with_file_name("podgate-certs");
    let mut podgate = Podgate::serve(&["--register", "--kubeconfig", admin], &certs);
    println!("webhooks registered: https://{}/validate and /mutate\n", podgate.listen);
    for file in samples::workloads() {
        kubectl(&["apply", "-f", file.to_str().unwrap()]);
    }
    kubectl(&["get", "devopspolicies,deployments,pods", "--all-namespaces"]);
    let containers = "jsonpath={.spec.containers[0]}";
    kubectl(&["get", "pod", "seedling", "--namespace", "nursery", "-o", containers]);

    if samples::once() {
        podgate.signal("TERM");
        podgate.ended();
        return;
    }
    println!("The cluster runs until Ctrl-C, which removes it. Try it:");
    println!("  export KUBECONFIG={admin} PATH={}:$PATH", plane.assets().display());
    println!("  kubectl --namespace shop run web --image=nginx");
    println!("  kubectl --namespace shop edit devopspolicy baseline");
    podgate.until_interrupted();
    println!("Removing the cluster.");
}
