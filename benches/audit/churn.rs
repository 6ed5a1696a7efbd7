//! The memory of the audit while a hundredth of all pods is replaced each second, for as many seconds as `CHURN` says:
//! whole workloads go, and others come. With it, nothing else is measured.

use std::ops::Range;
use std::time::{Duration, Instant};

use futures::{StreamExt, future, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, DeleteParams};

use crate::NAMESPACES;
use crate::process::memory_mib;
use crate::support::binary::Podgate;
use crate::support::load::{self, CLIENTS, PODS_OF_A_WORKLOAD};

/// The number of times at which the memory is printed.
const LINES: u64 = 10;

/// The seconds of churn that were asked for.
pub fn asked() -> Option<u64> {
    std::env::var("CHURN").ok().map(|it| it.parse().expect("CHURN is a number of seconds"))
}

/// Replaces pods for so many seconds, and prints podgate's memory. `pods` exist at the beginning.
pub async fn replace(client: &Client, podgate: &Podgate, mut pods: Range<usize>, seconds: u64) {
    let step = (pods.len() / 100).next_multiple_of(PODS_OF_A_WORKLOAD);
    let begun = Instant::now();
    let mut replaced = 0;
    for line in 0..=LINES {
        let until = Duration::from_secs(seconds * line / LINES);
        while begun.elapsed() < until {
            let next = Instant::now() + Duration::from_secs(1);
            let (old, new) = (pods.start..pods.start + step, pods.end..pods.end + step);
            let made = load::pods(client, NAMESPACES, new.clone(), crate::pod);
            future::join(made, delete(client, old)).await;
            pods = pods.start + step..new.end;
            replaced += step;
            tokio::time::sleep_until(next.into()).await;
        }
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "after {seconds:>4.0} s and {replaced:>6} pods: resident {:.1} MiB, {:.1} of it pages of the binary",
            memory_mib(podgate.id(), "VmRSS:").unwrap(),
            memory_mib(podgate.id(), "RssFile:").unwrap(),
        );
    }
}

async fn delete(client: &Client, pods: Range<usize>) {
    stream::iter(pods)
        .for_each_concurrent(CLIENTS, |number| async move {
            let workload = number / PODS_OF_A_WORKLOAD;
            let namespace = load::namespace(workload, NAMESPACES);
            let params = DeleteParams::default().grace_period(0);
            if number % PODS_OF_A_WORKLOAD == 0 {
                let api: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
                api.delete(&format!("w{workload}"), &params).await.unwrap();
            }
            let api: Api<Pod> = Api::namespaced(client.clone(), &namespace);
            match api.delete(&format!("p{number}"), &params).await {
                // The garbage collector may have been faster.
                Err(kube::Error::Api(error)) if error.code == 404 => {}
                other => drop(other.unwrap()),
            }
        })
        .await;
}
