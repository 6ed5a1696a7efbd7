//! What holds of every score.

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::degree::restart_degree;
use super::*;

const IDS: [&str; 5] = [
    "forbidLatestTag",
    "requireLivenessProbe",
    "requireReadinessProbe",
    "maxRestartCount",
    "forbidPendingDuration",
];

/// What a pod violates; a workload is a list of pods, a namespace of workloads.
type Pod = Vec<(&'static str, Degree)>;
type Namespace = Vec<Vec<Pod>>;

fn degree() -> impl Strategy<Value = Degree> {
    prop_oneof![
        Just(Degree::WHOLE),
        (1..200_u32, 0..20_u32).prop_map(|(over, maximum)| restart_degree(over, maximum)),
    ]
}

fn pod() -> impl Strategy<Value = Pod> {
    prop::collection::vec((prop::sample::select(&IDS[..]), degree()), 0..6)
}

fn namespace() -> impl Strategy<Value = Namespace> {
    prop::collection::vec(prop::collection::vec(pod(), 1..5), 0..8)
}

fn weights() -> impl Strategy<Value = Weights> {
    let weight = prop::sample::select(&[8, 5, 3, 1][..]);
    prop::collection::btree_map(prop::sample::select(&IDS[..]), weight, 0..=IDS.len())
        .prop_map(Weights)
}

fn tally(namespace: &Namespace) -> Tally {
    let mut tally = Tally::default();
    for pods in namespace {
        let mut workload = Workload::default();
        for pod in pods {
            workload.add_pod(pod.iter().copied());
        }
        tally.add(&workload);
    }
    tally
}

fn score(namespace: &Namespace, weights: &Weights) -> Score {
    tally(namespace).score(weights)
}

fn mean(namespaces: &[(Namespace, Weights)]) -> Score {
    let mut loss = Loss::default();
    for (namespace, weights) in namespaces {
        loss.add(&tally(namespace), weights);
    }
    loss.score()
}

fn namespaces() -> impl Strategy<Value = Vec<(Namespace, Weights)>> {
    prop::collection::vec((namespace(), weights()), 0..6)
}

proptest! {
    #[test]
    fn a_score_is_bounded_and_its_lost_points_are_the_rest(namespaces in namespaces()) {
        let Score { points, lost_points } = mean(&namespaces);
        prop_assert!(points <= 100);
        prop_assert_eq!(lost_points.values().map(|it| u32::from(*it)).sum::<u32>(), 100 - u32::from(points));
        let enabled = |rule| namespaces.iter().any(|(_, weights)| weights.0.contains_key(rule));
        prop_assert!(lost_points.iter().all(|(rule, lost)| *lost > 0 && enabled(rule)));
    }

    #[test]
    fn no_order_shows(
        namespaces in namespaces(),
        shuffled in Just(()).prop_perturb(|(), random| random),
    ) {
        let mut random = shuffled;
        let mut other = namespaces.clone();
        let mut shuffle = |length: usize| {
            (1..length).rev().map(|last| (last, (random.next_u32() as usize) % (last + 1))).collect::<Vec<_>>()
        };
        for (a, b) in shuffle(other.len()) { other.swap(a, b); }
        for (namespace, _) in &mut other {
            for (a, b) in shuffle(namespace.len()) { namespace.swap(a, b); }
            for pods in namespace {
                for (a, b) in shuffle(pods.len()) { pods.swap(a, b); }
                for pod in pods {
                    for (a, b) in shuffle(pod.len()) { pod.swap(a, b); }
                }
            }
        }
        prop_assert_eq!(mean(&namespaces), mean(&other));
    }

    #[test]
    fn replicas_and_sidecars_change_nothing(
        namespace in namespace(),
        weights in weights(),
        times in prop::collection::vec(1..9_usize, 8),
    ) {
        // Each workload may scale by a factor of its own, and each pod may have every violation twice.
        let mut scaled = namespace.clone();
        for (pods, times) in scaled.iter_mut().zip(times) {
            let pod = pods.iter().map(|pod| pod.repeat(2));
            *pods = pod.cycle().take(pods.len() * times).collect();
        }
        prop_assert_eq!(score(&namespace, &weights), score(&scaled, &weights));
    }

    #[test]
    fn a_cluster_of_copies_scores_as_the_original(
        namespace in namespace(), weights in weights(), copies in 1..9_usize,
    ) {
        let copies = vec![(namespace.clone(), weights.clone()); copies];
        prop_assert_eq!(mean(&copies), score(&namespace, &weights));
    }

    #[test]
    fn one_more_violation_never_raises_a_score(
        namespace in namespace(), weights in weights(), at in any::<[Index; 3]>(), degree in degree(),
    ) {
        prop_assume!(!namespace.is_empty());
        let mut worse = namespace.clone();
        let pods = at[0].get(&namespace).len();
        let pod = &mut worse[at[0].index(namespace.len())][at[1].index(pods)];
        pod.push((*at[2].get(&IDS), degree));
        prop_assert!(score(&worse, &weights).points <= score(&namespace, &weights).points);
    }

    #[test]
    fn a_clean_workload_never_lowers_a_score_and_one_that_breaks_all_never_raises_it(
        namespace in namespace(), weights in weights(),
    ) {
        let before = score(&namespace, &weights).points;
        let mut cleaner = namespace.clone();
        cleaner.push(vec![vec![]]);
        prop_assert!(score(&cleaner, &weights).points >= before);
        let mut worse = namespace;
        worse.push(vec![IDS.map(|rule| (rule, Degree::WHOLE)).to_vec()]);
        prop_assert!(score(&worse, &weights).points <= before);
    }

    /// What a rule weighs decides only between it and the others, so what holds is this: more weight on a rule that
    /// nothing violates never lowers a score, and on one that everything violates never raises it.
    #[test]
    fn more_weight_moves_a_score_towards_its_rule(namespace in namespace(), weights in weights(), rule in any::<Index>()) {
        let rule = *rule.get(&IDS);
        let (mut kept, mut broken) = (namespace.clone(), namespace);
        for pod in kept.iter_mut().flatten() { pod.retain(|(it, _)| *it != rule); }
        for pod in broken.iter_mut().flatten() { pod.push((rule, Degree::WHOLE)); }
        let mut heavier = weights.clone();
        heavier.0.insert(rule, weights.0.get(rule).map_or(1, |it| it + 1));
        prop_assert!(score(&kept, &heavier).points >= score(&kept, &weights).points);
        prop_assert!(score(&broken, &heavier).points <= score(&broken, &weights).points);
    }
}
