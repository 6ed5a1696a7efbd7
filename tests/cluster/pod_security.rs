//! Two judges of Pod Security: podgate's rule, and the admission that is built into a real kube-apiserver. Thousands
//! of generated pods (see `corpus`) are created there by dry run; the verdict must be the same, for the same checks,
//! and in the same containers. podgate judges each pod twice: as it was submitted, and as the API server has
//! defaulted it.

pub mod corpus;
mod judges;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use serde_json::Value;

use crate::support::control_plane::{ControlPlane, seconds};
use crate::support::suite::{Alone, Suite, trials};
use corpus::Case;
use judges::{ApiServer, LEVELS, Podgate, Verdict};

pub fn suite() -> Suite {
    Suite::of(2).alone(TRIALS)
}

const TRIALS: Alone = trials![
    every_pod_gets_the_verdict_of_the_api_servers_own_admission_for_the_same_reasons,
    judges::a_denial_of_the_api_server_is_read_with_its_checks_and_containers
];

/// Parallel requests.
const CONCURRENCY: usize = 32;

/// The result of a case.
struct Outcome {
    case: Case,
    /// Whether the API server accepts the pod, apart from Pod Security.
    valid: bool,
    /// The checks that failed, at either level.
    failed: BTreeSet<&'static str>,
    /// The disagreements, one for each level and form of the pod.
    disagreements: Vec<String>,
    /// Whether podgate would change the pod.
    fixed: bool,
}

fn every_pod_gets_the_verdict_of_the_api_servers_own_admission_for_the_same_reasons() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let plane = ControlPlane::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let started = Instant::now();
    let outcomes = runtime.block_on(async {
        let client = crate::support::cluster::client(&plane.kubeconfig("admin")).await;
        let server = Arc::new(ApiServer::prepare(client, &corpus::bases()).await);
        let podgate = Arc::new(Podgate::new());
        let pods = corpus::pods().into_iter().map(|case| (None, case));
        let bases = corpus::bases().into_iter().enumerate();
        let debugged = bases.flat_map(|(index, _)| {
            corpus::ephemeral_containers().into_iter().map(move |case| (Some(index), case))
        });
        let judged = futures::stream::iter(pods.chain(debugged)).map(|(base, case)| {
            let (server, podgate) = (Arc::clone(&server), Arc::clone(&podgate));
            tokio::spawn(async move { judge(&server, &podgate, base, case).await })
        });
        judged.buffer_unordered(CONCURRENCY).map(Result::unwrap).collect::<Vec<_>>().await
    });
    print_summary(&outcomes);
    println!("in {}", seconds(started.elapsed()));
}

/// Gets both verdicts on a case; `base` is the running pod of a debug container.
async fn judge(server: &ApiServer, podgate: &Podgate, base: Option<usize>, case: Case) -> Outcome {
    let mut outcome = Outcome {
        case,
        valid: false,
        failed: BTreeSet::new(),
        disagreements: Vec::new(),
        fixed: false,
    };
    let Some((submitted, defaulted)) = server.take(base, &outcome.case.pod).await else {
        return outcome;
    };
    outcome.valid = true;
    for level in LEVELS {
        let (theirs, message) = server.verdict(level, base, &outcome.case.pod).await;
        outcome.failed.extend(theirs.0.keys());
        for (form, pod) in [("submitted", &submitted), ("defaulted", &defaulted)] {
            let ours = podgate.verdict(level, pod);
            if !ours.agrees_with(&theirs) {
                outcome.disagreements.push(disagreement(&outcome.case, form, pod, &ours, &message));
            }
        }
    }
    // The API server must accept the pod with podgate's additions.
    if base.is_none()
        && let Some(fixed) = podgate.fixed(&submitted)
    {
        outcome.fixed = true;
        if server.take(None, &fixed).await.is_none() {
            outcome
                .disagreements
                .push(format!("{}: refused once fixed\n  {fixed}", outcome.case.what));
        }
    }
    outcome
}

fn disagreement(case: &Case, form: &str, pod: &Value, ours: &Verdict, theirs: &str) -> String {
    format!("{} ({form})\n  {pod}\n  podgate:    {ours:?}\n  API server: {theirs}", case.what)
}

fn print_summary(outcomes: &[Outcome]) {
    let valid: Vec<_> = outcomes.iter().filter(|it| it.valid).collect();
    let disagreements: Vec<_> = valid.iter().flat_map(|it| &it.disagreements).collect();
    println!(
        "{} pods compared at each of {} levels, as submitted and as defaulted; {} were refused by validation; {} fixed; {} disagreements",
        valid.len(),
        LEVELS.len(),
        outcomes.len() - valid.len(),
        valid.iter().filter(|it| it.fixed).count(),
        disagreements.len(),
    );
    let first: Vec<_> = disagreements.iter().take(5).map(|it| it.as_str()).collect();
    assert!(
        first.is_empty(),
        "{} disagreements, such as\n{}",
        disagreements.len(),
        first.join("\n")
    );

    let mut failed: BTreeMap<&str, usize> = BTreeMap::new();
    for check in valid.iter().flat_map(|it| &it.failed) {
        *failed.entry(check).or_default() += 1;
    }
    println!("pods that failed, by check: {failed:?}");
    // The API server refuses an unmasked /proc outside a user namespace, and inside one, baseline allows it.
    let unseen: Vec<_> = judges::checks().filter(|check| !failed.contains_key(check)).collect();
    assert_eq!(unseen, ["procMount"], "checks that fail for no pod of the corpus");
    assert!(valid.len() >= 2000, "only {} pods", valid.len());

    let of = |outcomes: &mut dyn Iterator<Item = &Outcome>| -> BTreeSet<String> {
        outcomes.flat_map(|it| it.case.changes.clone()).collect()
    };
    let tried = of(&mut outcomes.iter());
    let taken = of(&mut valid.into_iter());
    let never: Vec<_> = tried.difference(&taken).collect();
    assert!(never.is_empty(), "the API server accepts no pod with one of these: {never:#?}");
}
