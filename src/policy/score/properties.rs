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
    prop::collection::vec(prop::collection::vec(pod(), 1..5), 1..8)
}

fn cost() -> impl Strategy<Value = u32> {
    prop::sample::select(&[50, 30, 20, 10][..])
}

fn costs() -> impl Strategy<Value = Costs> {
    prop::collection::btree_map(prop::sample::select(&IDS[..]), cost(), 0..=IDS.len())
        .prop_map(Costs)
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

fn score(namespace: &Namespace, costs: &Costs) -> Score {
    tally(namespace).score(costs).unwrap()
}

fn mean(namespaces: &[(Namespace, Costs)]) -> Option<Score> {
    let mut loss = Loss::default();
    for (namespace, costs) in namespaces {
        loss.add(&tally(namespace), costs);
    }
    loss.score()
}

fn namespaces() -> impl Strategy<Value = Vec<(Namespace, Costs)>> {
    prop::collection::vec(
        (prop_oneof![1 => Just(Namespace::new()), 4 => namespace()], costs()),
        0..6,
    )
}

proptest! {
    #[test]
    fn a_score_is_bounded_and_its_lost_points_are_the_rest(namespaces in namespaces()) {
        let Some(Score { points, lost_points }) = mean(&namespaces) else { return Ok(()) };
        prop_assert!(points <= 100);
        prop_assert_eq!(lost_points.values().map(|it| u32::from(*it)).sum::<u32>(), 100 - u32::from(points));
        let enabled = |rule| namespaces.iter().any(|(_, costs)| costs.0.contains_key(rule));
        prop_assert!(lost_points.iter().all(|(rule, lost)| *lost > 0 && enabled(rule)));
    }

    #[test]
    fn namespaces_without_workloads_have_no_score_and_no_part_in_the_mean(namespaces in namespaces()) {
        let mut with_workloads = namespaces.clone();
        with_workloads.retain(|(namespace, _)| !namespace.is_empty());
        prop_assert_eq!(mean(&namespaces), mean(&with_workloads));
        prop_assert_eq!(mean(&namespaces).is_none(), with_workloads.is_empty());
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

    /// The audit takes namespaces and workloads out of the sums as they change.
    #[test]
    fn what_is_removed_leaves_no_trace(namespaces in namespaces(), gone in namespaces()) {
        let mut loss = Loss::default();
        for (namespace, costs) in namespaces.iter().chain(&gone) {
            loss.add(&tally(namespace), costs);
        }
        for (namespace, costs) in &gone {
            let mut part = Loss::default();
            part.add(&tally(namespace), costs);
            loss.unmerge(&part);
        }
        prop_assert_eq!(loss.score(), mean(&namespaces));
    }

    #[test]
    fn replicas_and_sidecars_change_nothing(
        namespace in namespace(),
        costs in costs(),
        times in prop::collection::vec(1..9_usize, 8),
    ) {
        // Each workload may scale by a factor of its own, and each pod may have every violation twice.
        let mut scaled = namespace.clone();
        for (pods, times) in scaled.iter_mut().zip(times) {
            let pod = pods.iter().map(|pod| pod.repeat(2));
            *pods = pod.cycle().take(pods.len() * times).collect();
        }
        prop_assert_eq!(score(&namespace, &costs), score(&scaled, &costs));
    }

    #[test]
    fn a_cluster_of_copies_scores_as_the_original(
        namespace in namespace(), costs in costs(), copies in 1..9_usize,
    ) {
        let copies = vec![(namespace.clone(), costs.clone()); copies];
        prop_assert_eq!(mean(&copies), Some(score(&namespace, &costs)));
    }

    #[test]
    fn a_rule_that_nobody_breaks_changes_nothing(
        mut namespace in namespace(), costs in costs(), rule in any::<Index>(), cost in cost(),
    ) {
        let rule = *rule.get(&IDS);
        for pod in namespace.iter_mut().flatten() { pod.retain(|(it, _)| *it != rule); }
        let (mut with, mut without) = (costs.clone(), costs);
        with.0.insert(rule, cost);
        without.0.remove(rule);
        prop_assert_eq!(score(&namespace, &with), score(&namespace, &without));
    }

    #[test]
    fn one_more_violation_never_raises_a_score(
        namespaces in namespaces(), at in any::<[Index; 4]>(), degree in degree(),
    ) {
        let mut worse = namespaces.clone();
        let rule = *at[3].get(&IDS);
        let namespace = worse.get_mut(at[0].index(namespaces.len().max(1)));
        let Some((namespace, _)) = namespace.filter(|(it, _)| !it.is_empty()) else { return Ok(()) };
        let workload = at[1].index(namespace.len());
        let pod = at[2].index(namespace[workload].len());
        namespace[workload][pod].push((rule, degree));
        prop_assert!(mean(&worse).unwrap().points <= mean(&namespaces).unwrap().points);
    }

    #[test]
    fn a_clean_workload_never_lowers_a_score_and_one_that_breaks_all_never_raises_it(
        namespace in namespace(), costs in costs(),
    ) {
        let before = score(&namespace, &costs).points;
        let mut cleaner = namespace.clone();
        cleaner.push(vec![vec![]]);
        prop_assert!(score(&cleaner, &costs).points >= before);
        let mut worse = namespace;
        worse.push(vec![IDS.map(|rule| (rule, Degree::WHOLE)).to_vec()]);
        prop_assert!(score(&worse, &costs).points <= before);
    }

    #[test]
    fn a_more_severe_rule_costs_more(namespace in namespace(), costs in costs(), rule in any::<Index>(), cost in cost()) {
        let rule = *rule.get(&IDS);
        let (mut light, mut severe) = (costs.clone(), costs);
        let known = light.0.entry(rule).or_insert(cost);
        let (low, high) = ((*known).min(cost), (*known).max(cost));
        light.0.insert(rule, low);
        severe.0.insert(rule, high);
        let (light, severe) = (score(&namespace, &light), score(&namespace, &severe));
        prop_assert!(severe.points <= light.points);
        // At 0 the points of all rules are scaled, so the remainders of other rules decide too.
        let lost = |score: &Score| score.lost_points.get(rule).copied().unwrap_or(0);
        prop_assert!(severe.points == 0 || lost(&severe) >= lost(&light));
    }
}
