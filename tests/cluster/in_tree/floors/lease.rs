//! What the Lease, the stamps and `webhook.matchConditions` say: whether podgate is away from a write, and whether it is
//! asked at all.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::super::door::{Door, NOW, creation, of_every_kind, set, update};
use super::{AWAY, HEARD, OWN, lease, open, stamped, stamps};
use crate::cel::judge::{Change, Judge};
use crate::support::manifests::{held_by, pod, probed_pod, workload};
use crate::support::suite::{Alone, trials};

pub const TRIALS: Alone = trials![
    without_a_lease_everything_passes,
    a_lease_without_a_time_or_with_a_foreign_one_wakes_a_floor,
    podgate_is_heard_from_15_seconds_before_the_beat_until_30_seconds_after_it,
    a_write_without_a_time_of_its_own_is_judged_whole,
    what_podgate_is_never_asked_is_not_judged,
    repairs_by_podgate_itself_may_leave_and_take_back_what_is_missing,
    an_exemption_that_ended_before_the_last_beat_covers_no_removal,
    where_a_policy_completes_pods_a_template_may_lack_what_it_adds
];

/// The floor of two rules: one whose violation a removal can cause, and one whose violation it cannot.
fn floor(conditions: &[&str]) -> Door {
    let spec = json!({"enforcementMode": "enforce", "forbidLatestTag": true, "requireLivenessProbe": true});
    open(Judge::start(), set(&[("p", &spec)]), conditions, true)
}

/// The rules of each denial.
fn denials(door: &mut Door, writes: &[Change]) -> Vec<String> {
    let rules = |denial: String| {
        let all = ["forbidLatestTag", "requireLivenessProbe"].into_iter();
        let named: Vec<_> = all.filter(|it| denial.contains(&format!("{it} ("))).collect();
        assert_eq!(named.is_empty(), denial.is_empty(), "{denial}");
        named.join(" ")
    };
    door.denials(writes).into_iter().map(rules).collect()
}

const BOTH: &str = "forbidLatestTag requireLivenessProbe";

fn violating() -> Value {
    workload(Kind::Deployment, pod("nginx"))
}

fn compliant() -> Value {
    workload(Kind::Deployment, probed_pod("nginx:1"))
}

fn without_a_lease_everything_passes() {
    let mut door = floor(&[]);
    let pod = json!({"metadata": {"name": "web"}, "spec": pod("nginx")});
    let mut writes: Vec<_> = of_every_kind(&pod).map(|it| creation(&it)).collect();
    let probed = json!({"metadata": {"name": "web"}, "spec": probed_pod("nginx:1")});
    writes.extend(Kind::ALL.map(|kind| update(&held_by(kind, &probed), &held_by(kind, &pod))));
    let mut foreign = lease(&json!({"renewTime": AWAY}));
    foreign["metadata"]["name"] = json!("another");
    for leases in [&[][..], &[foreign]] {
        door.set_params(leases);
        let denied = denials(&mut door, &writes);
        assert!(denied.iter().all(String::is_empty), "{denied:?}");
    }
    door.set_params(&[lease(&json!({"renewTime": AWAY}))]);
    let denied = denials(&mut door, &writes);
    assert!(denied.iter().all(|it| it.contains("forbidLatestTag")), "{denied:?}");
}

fn a_lease_without_a_time_or_with_a_foreign_one_wakes_a_floor() {
    let mut door = floor(&[]);
    let mut latest = compliant();
    latest["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nginx");
    let mut newer = compliant();
    newer["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nginx:2");
    let writes = [
        creation(&violating()),
        creation(&compliant()),
        update(&compliant(), &latest),
        update(&compliant(), &newer),
    ];
    for spec in [
        json!({}),
        json!({"renewTime": null}),
        json!({"renewTime": "9999-12-31T23:59:59.999999Z"}),
        json!({"renewTime": "0001-01-01T00:00:01.000000Z"}),
        json!({"renewTime": AWAY}),
        json!(null),
    ] {
        door.set_params(&[lease(&spec)]);
        assert_eq!(denials(&mut door, &writes), [BOTH, "", "forbidLatestTag", ""], "{spec}");
    }
    door.set_params(&[lease(&json!({"renewTime": HEARD}))]);
    assert_eq!(denials(&mut door, &writes), [""; 4]);
}

fn podgate_is_heard_from_15_seconds_before_the_beat_until_30_seconds_after_it() {
    let mut door = floor(&[]);
    let beat = "2026-06-01T00:00:00.500000Z";
    door.set_params(&[lease(&json!({"renewTime": beat}))]);
    let mut latest = compliant();
    latest["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nginx");
    for (time, is_away) in [
        ("2026-05-31T23:59:45Z", true),
        ("2026-05-31T23:59:46Z", false),
        ("2026-06-01T00:00:00Z", false),
        ("2026-06-01T00:00:30Z", false),
        ("2026-06-01T00:00:31Z", true),
    ] {
        let mut created = creation(&violating());
        created.object["metadata"]["creationTimestamp"] = json!(time);
        let updated =
            stamped(update(&compliant(), &latest), stamps(&["2026-01-01T00:00:00Z", time]));
        let found = denials(&mut door, &[created, updated]);
        let expected = if is_away { [BOTH, "forbidLatestTag"] } else { ["", ""] };
        assert_eq!(found, expected, "{time}");
    }
    let mut timeless = creation(&violating());
    timeless.object["metadata"]["creationTimestamp"] = Value::Null;
    assert_eq!(denials(&mut door, &[timeless]), [BOTH]);
}

fn a_write_without_a_time_of_its_own_is_judged_whole() {
    let mut door = floor(&[]);
    let change = update(&compliant(), &violating());
    let old = "2026-05-01T00:00:00Z";
    let writes: Vec<_> = [
        Value::Null,
        json!([]),
        json!([{}]),
        stamps(&[old]),
        stamps(&["2099-01-01T00:00:00Z"]),
        stamps(&[NOW, "2099-01-01T00:00:00Z"]),
        stamps(&[old, NOW]),
    ]
    .into_iter()
    .map(|managed| stamped(change.clone(), managed))
    .collect();
    let (whole, removal) = (BOTH, "requireLivenessProbe");
    door.set_params(&[lease(&json!({"renewTime": HEARD}))]);
    assert_eq!(denials(&mut door, &writes), [whole, whole, whole, whole, whole, whole, removal]);
    door.set_params(&[lease(&json!({"renewTime": AWAY}))]);
    assert_eq!(denials(&mut door, &writes), [whole; 7]);
}

fn what_podgate_is_never_asked_is_not_judged() {
    let mut door = floor(&["request.userInfo.username != 'jane'", "request.namespace != 'lab'"]);
    let by = |user: &str, namespace: &str, change: Change| Change {
        user: user.to_owned(),
        namespace: namespace.to_owned(),
        ..change
    };
    let removed = update(&compliant(), &violating());
    let mut writes = Vec::new();
    for (user, namespace) in [("jane", "shop"), ("joe", "lab"), ("joe", "shop")] {
        writes.push(by(user, namespace, creation(&violating())));
        writes.push(by(user, namespace, removed.clone()));
    }
    door.set_params(&[lease(&json!({"renewTime": AWAY}))]);
    assert_eq!(denials(&mut door, &writes), ["", "", "", "", BOTH, BOTH]);
    door.set_params(&[lease(&json!({"renewTime": HEARD}))]);
    assert_eq!(denials(&mut door, &writes), ["", "", "", "", "", "requireLivenessProbe"]);
}

fn repairs_by_podgate_itself_may_leave_and_take_back_what_is_missing() {
    let mut door = floor(&[]);
    let change = update(&compliant(), &workload(Kind::Deployment, pod("nginx:1")));
    let by = |user: &str| Change { user: user.to_owned(), ..change.clone() };
    let writes = [by("jane"), by(OWN)];
    door.set_params(&[lease(&json!({"renewTime": HEARD}))]);
    assert_eq!(denials(&mut door, &writes), ["requireLivenessProbe", ""]);
    // podgate is away, so this is not podgate.
    door.set_params(&[lease(&json!({"renewTime": AWAY}))]);
    assert_eq!(denials(&mut door, &writes), ["requireLivenessProbe"; 2]);
}

fn an_exemption_that_ended_before_the_last_beat_covers_no_removal() {
    let spec = |end: &str| {
        json!({
            "enforcementMode": "enforce", "requireLivenessProbe": true,
            "exemptions": [{"rules": ["requireLivenessProbe"], "reason": "r", "owner": "o", "expiresAt": end}],
        })
    };
    let removal = update(&compliant(), &workload(Kind::Deployment, pod("nginx:1")));
    let writes = [
        stamped(removal.clone(), stamps(&["2026-01-01T00:00:00Z"])),
        stamped(removal, json!([{}])),
    ];
    for (end, denied) in [("2026-05-31T23:59:54Z", true), ("2026-05-31T23:59:56Z", false)] {
        let mut door = open(Judge::start(), set(&[("p", &spec(end))]), &[], true);
        door.set_params(&[lease(&json!({"renewTime": HEARD}))]);
        let expected = if denied { "requireLivenessProbe" } else { "" };
        assert_eq!(denials(&mut door, &writes), [expected; 2], "{end}");
    }
}

fn where_a_policy_completes_pods_a_template_may_lack_what_it_adds() {
    let completing = json!({"enforcementMode": "audit", "mutate": true, "requireLivenessProbe": true, "forbidLatestTag": true,
        "imageTags": [{"image": "nginx", "from": "latest", "to": "1.29"}]});
    let requiring = json!({"enforcementMode": "enforce", "requireLivenessProbe": true, "forbidLatestTag": true});
    let policies = set(&[("completes", &completing), ("requires", &requiring)]);
    let mut door = open(Judge::start(), policies, &[], true);
    let lacking = |image: &str| {
        let mut object = workload(Kind::Deployment, pod(image));
        object["spec"]["template"]["spec"]["containers"][0]["ports"] =
            json!([{"containerPort": 80}]);
        object
    };
    let change = update(&lacking("nginx:1"), &lacking("nginx"));
    let old = stamps(&["2026-01-01T00:00:00Z"]);
    let removal = stamped(change.clone(), old.clone());
    let web = |spec: Value| workload(Kind::Pod, spec);
    let of_pod = update(&web(probed_pod("nginx:1")), &web(pod("nginx:1")));
    let of_pods = [of_pod.clone(), stamped(of_pod, old)];
    door.set_params(&[lease(&json!({"renewTime": HEARD}))]);
    assert_eq!(denials(&mut door, &[change.clone(), removal.clone()]), ["", ""]);
    assert_eq!(
        denials(&mut door, &of_pods),
        ["requireLivenessProbe"; 2],
        "an update of a pod is not completed"
    );
    door.set_params(&[lease(&json!({"renewTime": AWAY}))]);
    assert_eq!(
        denials(&mut door, &[change, removal]),
        [BOTH, ""],
        "what only removes is not told from what podgate admits"
    );
    assert_eq!(denials(&mut door, &of_pods), ["requireLivenessProbe"; 2]);
    assert_eq!(
        denials(&mut door, &[creation(&lacking("nginx")), creation(&web(pod("nginx")))]),
        [BOTH; 2]
    );
    for forged in ["9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:01.000000Z"] {
        door.set_params(&[lease(&json!({"renewTime": forged}))]);
        let writes = [update(&lacking("nginx"), &compliant()), creation(&web(pod("nginx")))];
        assert_eq!(denials(&mut door, &writes), ["", BOTH], "{forged}");
    }
}
