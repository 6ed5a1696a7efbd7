//! Validations that could crash the process, or delay the reviews of other namespaces.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::binary::Standalone;
use crate::support::manifests::{pod, probed_pod, workload};
use crate::support::suite::{Alone, trials};
use crate::support::{eventually, review};

pub const ALONE: Alone = trials![
    no_expression_ends_the_process_and_what_runs_out_is_denied,
    costly_expressions_of_one_namespace_keep_no_others_reviews_waiting,
    a_review_that_is_not_evaluated_in_time_is_denied,
];

/// The chart's memory limit, in KiB.
const MAX_MEMORY: u64 = 128 * 1024;
/// Expressions with nested loops over all items.
const COSTLY: [&str; 4] = [
    "lists.range(3000000).all(i, i >= 0)",
    "lists.range(900).all(i, lists.range(900).all(j, i + j >= 0))",
    "object.spec.containers.all(c, lists.range(300000).all(i, i >= 0))",
    "lists.range(200).all(i, lists.range(200).all(j, lists.range(200).all(k, i + j + k >= 0)))",
];
const REVIEWS: usize = 100;

/// Policies that enforce: those of the namespace `costly` have as many validations each as a policy's cost budget
/// allows.
fn policies(costly: &[&str]) -> String {
    let validations = |expressions: &[&str]| -> Vec<Value> {
        let named = (0..).zip(expressions).map(|(number, expression)| {
            let name = format!("v{number}");
            json!({"name": name, "expression": expression, "message": "is costly"})
        });
        named.collect()
    };
    let policy = |namespace: &str, name: &str, rules: Value| {
        let mut spec = json!({"enforcementMode": "enforce"});
        json_patch::merge(&mut spec, &rules);
        json!({
            "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
            "metadata": {"name": name, "namespace": namespace}, "spec": spec,
        })
    };
    let own = costly.chunks(10).enumerate().map(|(number, expressions)| {
        let rules = json!({"validations": validations(expressions)});
        policy("costly", &format!("own-{number}"), rules)
    });
    let others = policy("shop", "others", json!({"forbidLatestTag": true}));
    let all: Vec<String> = own.chain([others]).map(|it| it.to_string()).collect();
    all.join("\n---\n")
}

fn review_in(namespace: &str, object: &Value) -> String {
    review::create(namespace, object).to_string()
}

/// The answer's status and body.
fn ask(server: &Standalone, timeout: &str, review: &str) -> (u16, String) {
    let path = format!("/validate?timeout={timeout}");
    server.podgate.post_to(&path, "application/json", review.as_bytes())
}

fn no_expression_ends_the_process_and_what_runs_out_is_denied() {
    let text = "object.metadata.annotations.text";
    let expressions = [
        "lists.range(2000000000).size() > 0".to_owned(),
        format!("{text}.split(',').size() > 0"),
        format!("{text}.matches('(a|b|,)*(c|,)*$') || true"),
        format!("lists.range(1000).map(i, {text} + string(i)).size() > 0"),
    ];
    let expressions: Vec<&str> = expressions.iter().map(String::as_str).collect();
    let server = Standalone::with(&policies(&expressions));
    let mut object = workload(Kind::Pod, pod("nginx:1.29"));
    object["metadata"]["annotations"] = json!({"text": ",".repeat(1_400_000)});
    let review = review_in("costly", &object);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                // Not all reviews fit at once; the API server would retry, too.
                eventually("a verdict", || {
                    let (status, answer) = ask(&server, "30s", &review);
                    if status == 429 {
                        return Err(answer);
                    }
                    assert!(status == 200 && answer.contains("\"allowed\":false"), "{answer}");
                    assert!(answer.contains("could not be decided"), "{answer}");
                    Ok(())
                });
            });
        }
    });
    let peak = server.podgate.peak_memory();
    println!("eight reviews of 1.4 MB at once: VmHWM {peak} KiB");
    assert!(peak < MAX_MEMORY, "{peak} KiB");
}

/// Calls while `done` is false.
fn flood(server: &Standalone, done: &AtomicBool) -> usize {
    let review = review_in("costly", &workload(Kind::Pod, probed_pod("nginx:1.29")));
    let mut calls = 0;
    while !done.load(Ordering::Relaxed) {
        let (status, answer) = ask(server, "10s", &review);
        assert!(status == 200 && answer.contains("\"allowed\":false"), "{status} {answer}");
        calls += 1;
    }
    calls
}

fn costly_expressions_of_one_namespace_keep_no_others_reviews_waiting() {
    let server = Standalone::with(&policies(&COSTLY));
    let quiet = p99(&server);
    let done = AtomicBool::new(false);
    let (beside, calls) = std::thread::scope(|scope| {
        let floods: Vec<_> = (0..8).map(|_| scope.spawn(|| flood(&server, &done))).collect();
        let beside = p99(&server);
        done.store(true, Ordering::Relaxed);
        (beside, floods.into_iter().map(|it| it.join().unwrap()).sum::<usize>())
    });
    println!(
        "p99 of cheap reviews: {quiet:?} alone, {beside:?} beside eight callers whose reviews exhaust their budget ({calls} answered)"
    );
    // The other reviews take turns if each has to wait for a costly one.
    assert!((8..REVIEWS / 2).contains(&calls), "{calls} were answered meanwhile");
}

/// The durations of cheap reviews, one after another.
fn p99(server: &Standalone) -> Duration {
    let mut took = Vec::new();
    for (image, allowed) in [("nginx", false), ("nginx:1.29", true)].repeat(REVIEWS / 2) {
        let review = review_in("shop", &workload(Kind::Pod, probed_pod(image)));
        let sent = Instant::now();
        let (status, answer) = ask(server, "10s", &review);
        took.push(sent.elapsed());
        assert!(status == 200 && answer.contains(&format!("\"allowed\":{allowed}")), "{answer}");
    }
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

fn a_review_that_is_not_evaluated_in_time_is_denied() {
    // No expression or policy exceeds its own limits, but all of them cost more than podgate evaluates within the
    // timeout. That one leaves a busy machine time enough to decode all reviews.
    let slow: Vec<String> = (0..200)
        .map(|it| format!("[lists.range(350)].all(l, l.all(i, l.all(j, i + j > -1 - {it})))"))
        .collect();
    let slow: Vec<&str> = slow.iter().map(String::as_str).collect();
    let server = Standalone::with(&policies(&slow));
    let review = review_in("costly", &workload(Kind::Pod, probed_pod("nginx:1.29")));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let (status, answer) = ask(&server, "8s", &review);
                assert!(status == 200 && answer.contains("\"allowed\":false"), "{status} {answer}");
                assert!(answer.contains("could not be decided"), "{answer}");
                assert!(answer.contains("exceeded the review's time"), "{answer}");
            });
        }
    });
}
