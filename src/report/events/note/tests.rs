use super::super::super::tests::{cluster_policy, policy, violation};
use super::*;
use crate::policy::observed::testing::refused;

fn began(policy: Arc<Policy>, workload: &str, rule: &'static str) -> Change {
    Change { policy, what: Changed::Opened(violation(workload, rule)) }
}

/// The violation of a change.
fn of(change: &mut Change) -> &mut Violation {
    match &mut change.what {
        Changed::Opened(violation) | Changed::Closed(violation) => violation,
        Changed::Refused(_) | Changed::Slipped(_) => panic!("it has no violation"),
    }
}

/// The Events of a batch: what each is about, and its note.
fn aggregate(changes: &[Change]) -> Vec<String> {
    let topics = gather(changes);
    topics.iter().map(|(topic, it)| format!("{}: {}", topic.about, text(topic, it))).collect()
}

#[test]
fn a_batch_is_one_event_a_workload_and_one_a_policy() {
    let (own, all) = (policy("baseline"), cluster_policy("all"));
    let mut low = began(Arc::clone(&own), "cart", "requireReadinessProbe");
    let violation = of(&mut low);
    violation.severity = Severity::Low;
    let fault = Arc::make_mut(&mut violation.fault);
    fault.container = None;
    fault.message = "spec.x is missing".to_owned();
    let changes = [
        low,
        began(Arc::clone(&own), "cart", "forbidLatestTag"),
        began(all, "cart", "forbidLatestTag"),
    ];
    insta::assert_snapshot!(aggregate(&changes).join("\n"), @r#"
    ClusterDevOpsPolicy all: 1 violation began (1 high): Deployment shop/cart
    DevOpsPolicy shop/baseline: 2 violations began (1 high, 1 low): Deployment shop/cart
    Deployment shop/cart: breaks 2 rules: forbidLatestTag (high) container "web": spec.containers[0].image is "nginx" (no tag means :latest); pin the version that should run: nginx:VERSION · requireReadinessProbe (low): spec.x is missing; policies all, shop/baseline
    "#);
}

#[test]
fn what_went_is_told_apart_from_what_began() {
    let what = Changed::Closed(violation("cart", "forbidLatestTag"));
    let gone = Change { policy: policy("baseline"), what };
    let changes = [began(policy("baseline"), "cart", "requireLivenessProbe"), gone];
    insta::assert_snapshot!(aggregate(&changes).join("\n"), @r#"
    DevOpsPolicy shop/baseline: 1 violation began (1 high): Deployment shop/cart
    DevOpsPolicy shop/baseline: 1 violation ended (1 high): Deployment shop/cart
    Deployment shop/cart: breaks 1 rule: requireLivenessProbe (high) container "web": spec.containers[0].image is "nginx" (no tag means :latest); pin the version that should run: nginx:VERSION; policy shop/baseline
    Deployment shop/cart: no longer breaks 1 rule: forbidLatestTag (high) container "web"; policy shop/baseline
    "#);
}

#[test]
fn a_policys_event_counts_and_names_three_workloads() {
    let names = ["e", "d", "c", "b", "a"];
    let changes = names.map(|name| began(policy("baseline"), name, "forbidLatestTag"));
    assert_eq!(
        aggregate(&changes)[0],
        "DevOpsPolicy shop/baseline: 5 violations began (5 high): Deployment shop/a, Deployment shop/b, Deployment shop/c and others"
    );
}

#[test]
fn a_note_names_the_worst_first_and_never_outgrows_the_api() {
    let changes: Vec<_> = (0..40)
        .map(|index| {
            let mut change = began(policy(&"p".repeat(200)), "cart", "forbidLatestTag");
            let violation = of(&mut change);
            let fault = Arc::make_mut(&mut violation.fault);
            fault.path = format!("spec.containers[{index}]");
            fault.message = "\u{1b}é".repeat(500);
            fault.container = Some("c".repeat(63));
            if index == 30 {
                violation.severity = Severity::Critical;
            }
            change
        })
        .collect();
    for (topic, gathered) in gather(&changes) {
        let text = text(&topic, &gathered);
        assert!(text.len() <= MAX_NOTE, "{} {text}", text.len());
        assert!(!text.contains('\u{1b}'));
        assert_eq!(gathered.count(), 40);
        if matches!(topic.about, About::Workload(_)) {
            assert!(text.starts_with("breaks 1 rule or more: forbidLatestTag (critical)"));
            assert!(text.contains(" · and 39 more; policy shop/ppp"), "{text}");
        }
    }
}

fn refusing(policy: Arc<Policy>, workload: &str, pods: (u32, u32)) -> Change {
    let refused = refused(workload, pods, &["forbidLatestTag", "requiredLabels"]);
    Change { policy, what: Changed::Refused(refused) }
}

#[test]
fn refused_pods_are_told_on_the_workload_with_every_policy_that_refuses_them_and_on_each_policy() {
    let (own, all) = (policy("baseline"), cluster_policy("all"));
    let mut report = refusing(Arc::clone(&own), "report", (0, 1));
    let Changed::Refused(refused) = &mut report.what else { panic!("it is refused") };
    Arc::make_mut(&mut refused.workload).kind = "CronJob".to_owned();
    let changes = [
        refusing(Arc::clone(&own), "cart", (1, 2)),
        refusing(all, "cart", (1, 2)),
        refusing(own, "web", (0, 4)),
        report,
    ];
    insta::assert_snapshot!(aggregate(&changes).join("\n"), @r"
    ClusterDevOpsPolicy all: refuses new pods of 1 workload: Deployment shop/cart (1 of 2 pods)
    DevOpsPolicy shop/baseline: refuses new pods of 3 workloads: Deployment shop/web (0 of 4 pods), CronJob shop/report (0 of 1 pod), Deployment shop/cart (1 of 2 pods)
    CronJob shop/report: 0 of 1 pod: new pods are refused by policy shop/baseline: spec.containers[0] breaks forbidLatestTag · spec.containers[0] breaks requiredLabels
    Deployment shop/cart: 1 of 2 pods: new pods are refused by policy all: spec.containers[0] breaks forbidLatestTag · spec.containers[0] breaks requiredLabels; by policy shop/baseline: spec.containers[0] breaks forbidLatestTag · spec.containers[0] breaks requiredLabels
    Deployment shop/web: 0 of 4 pods: new pods are refused by policy shop/baseline: spec.containers[0] breaks forbidLatestTag · spec.containers[0] breaks requiredLabels
    ");
}

#[test]
fn a_thousand_refused_workloads_are_one_event_on_the_policy_that_names_the_worst_three() {
    let changes: Vec<_> = (0..1000)
        .map(|index| refusing(policy("baseline"), &format!("w{index:03}"), (0, 1 + index % 9)))
        .collect();
    let (head, tail) = changes.split_at(7);
    let topic = |changes| gather(changes).into_iter().next().unwrap();
    let (topic_of, mut gathered) = topic(head);
    gathered.merge(topic(tail).1);
    assert_eq!(
        text(&topic_of, &gathered),
        "refuses new pods of 1000 workloads: Deployment shop/w008 (0 of 9 pods), Deployment shop/w017 (0 of 9 pods), Deployment shop/w026 (0 of 9 pods) and others"
    );
    assert_eq!(topic_of.kind, TopicKind::Refused);
}

#[test]
fn what_is_told_of_a_refused_workload_is_its_newest_state() {
    let mut gathered = Gathered::default();
    for pods in [(3, 4), (0, 4)] {
        let (_, later) = gather(&[refusing(policy("baseline"), "cart", pods)]).pop_last().unwrap();
        gathered.merge(later);
    }
    assert_eq!(gathered.count(), 1);
    let note = gathered.refused.refused();
    assert!(
        note.starts_with("0 of 4 pods: new pods are refused by policy shop/baseline: "),
        "{note}"
    );
}

#[test]
fn a_note_on_refused_pods_never_outgrows_the_api() {
    let changes: Vec<_> = (0..40)
        .map(|index| {
            let mut change =
                refusing(policy(&format!("{index}{}", "p".repeat(240))), "cart", (0, 4));
            let Changed::Refused(refused) = &mut change.what else { panic!("it is refused") };
            for fault in &mut refused.faults {
                Arc::make_mut(fault).message = "\u{1b}é".repeat(500);
            }
            Arc::make_mut(&mut refused.workload).name = "é\n".repeat(500);
            change
        })
        .collect();
    for (topic, gathered) in gather(&changes) {
        let text = text(&topic, &gathered);
        assert!(text.len() <= MAX_NOTE, "{} {text}", text.len());
        assert!(!text.contains(['\u{1b}', '\n']), "{text}");
    }
}

#[test]
fn what_no_event_can_be_about_has_none() {
    let mut change = began(policy("baseline"), "cart", "forbidLatestTag");
    Arc::make_mut(&mut of(&mut change).workload).kind = "Rollout".to_owned();
    Arc::get_mut(&mut change.policy).unwrap().origin = None;
    assert!(gather(&[change]).is_empty());
}

#[test]
fn what_is_merged_is_as_if_it_had_come_at_once() {
    let changes: Vec<_> = (0..6)
        .map(|index| began(policy(&format!("p{index}")), &format!("w{index}"), "forbidLatestTag"))
        .collect();
    let (first, second) = changes.split_at(3);
    for (topic, whole) in gather(&changes) {
        let mut parts = Gathered::default();
        for part in [first, second].map(gather) {
            if let Some(part) = part.get(&topic) {
                parts.merge(part.clone());
            }
        }
        assert_eq!(text(&topic, &parts), text(&topic, &whole));
    }
}
