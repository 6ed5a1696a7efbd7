//! The Lease whose time tells whether podgate is away: who can write it, and what each time does.

use jiff::{SignedDuration, Timestamp, ToSpan};
use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::asked::Asked;
use super::{FLOOR, Floor, LEASE, VALIDATING, compliant, named, violating};
use crate::support::eventually;
use crate::support::kubectl::Kubectl;
use crate::support::manifests::{pod, workload};
use crate::support::registered::NAMESPACE;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<Floor> = trials![
    nobody_writes_the_lease_while_podgate_is_away_and_without_one_everything_passes,
    a_lease_of_another_time_wakes_the_floor_and_without_one_everything_passes,
];

/// Of a sleeping floor, as docs/floor.md tells it.
const LATEST: SignedDuration = SignedDuration::from_secs(30);
const FAR: [&str; 3] =
    ["9999-12-31T23:59:59.999999Z", "2099-01-01T00:00:00.000000Z", "0001-01-01T00:00:01.000000Z"];

/// kubectl in podgate's namespace, as a user.
fn by(it: &Floor, user: &str, args: &[&str]) -> Kubectl {
    it.plane.kubectl(args).within(NAMESPACE).by(it.plane.kubeconfig(user))
}

fn micro(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// A Lease as somebody would forge it; server-side apply takes no stamps.
fn forged(spec: &Value) -> Value {
    let time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "podgate-alive", "managedFields": [{
            "manager": "podgate-beat", "operation": "Update", "apiVersion": "coordination.k8s.io/v1", "time": time,
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:renewTime": {}}},
        }]},
        "spec": spec,
    })
}

fn forged_for(verb: &[&str], spec: &Value) -> Value {
    let mut lease = forged(spec);
    if verb.contains(&"--server-side") {
        lease["metadata"].as_object_mut().unwrap().remove("managedFields");
    }
    lease
}

/// Everything that a user may try to write, in order: it must be refused.
fn writes(it: &Floor, user: &str) -> Vec<(bool, String)> {
    let now = json!({"renewTime": micro(Timestamp::now())});
    let future = json!({"renewTime": FAR[1]});
    let patch = |kind: &str, patch: &Value| {
        let (kind, patch) = (format!("--type={kind}"), patch.to_string());
        by(it, user, &["patch", LEASE, &kind, "-p", &patch]).output()
    };
    let at = "/spec/renewTime";
    let whole =
        |verb: &[&str], spec: &Value| by(it, user, verb).given(&forged_for(verb, spec)).output();
    vec![
        patch("merge", &json!({"spec": now})),
        patch("strategic", &json!({"spec": future})),
        patch("json", &json!([{"op": "replace", "path": at, "value": now["renewTime"]}])),
        patch("json", &json!([{"op": "remove", "path": at}])),
        patch("merge", &json!({"spec": null})),
        whole(&["replace", "-f", "-"], &now),
        whole(&["replace", "-f", "-"], &json!({"holderIdentity": "me"})),
        whole(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &future),
    ]
}

/// `admin` and `edit` of podgate's namespace, while podgate is heard and while it is away.
fn nobody_writes_the_lease_while_podgate_is_away_and_without_one_everything_passes(it: &Floor) {
    it.heard();
    for (user, role) in [("jane", "admin"), ("joe", "edit")] {
        it.plane.kubeconfig_in(user, &[]);
        let (role, user) = (format!("--clusterrole={role}"), format!("--user={user}"));
        let bind = ["create", "rolebinding", &user[7..], &role, &user, "-n", NAMESPACE];
        it.plane.kubectl(&bind).ok();
    }
    for user in ["jane", "joe"] {
        eventually("the user's rights", || by(it, user, &["get", LEASE]).result());
        for (written, why) in writes(it, user) {
            let refused = why.contains("only podgate itself") || why.contains("been modified");
            assert!(!written && refused, "{user} wrote while podgate was heard: {why}");
        }
    }
    it.checks(
        "the Lease podgate-alive may be deleted, or written where podgate does not refuse it, by ClusterRole admin in \
         podgate-system (User jane), ClusterRole cluster-admin (Group system:masters), ClusterRole edit in podgate-system \
         (User joe)",
    );

    it.kill();
    it.wakes("killed");
    let before = it.renewed();
    for user in ["jane", "joe"] {
        for (written, why) in writes(it, user) {
            assert!(!written && why.contains("failed calling webhook"), "{user} wrote: {why}");
        }
        assert_eq!(it.renewed(), before);
        it.denied_by(FLOOR);
    }
    // Anybody who may delete the Lease ends the floor, but cannot make another.
    by(it, "joe", &["delete", LEASE]).ok();
    it.passes(&violating());
    for spec in
        [json!({"renewTime": FAR[1]}), json!({"renewTime": micro(Timestamp::now())}), json!({})]
    {
        for verb in [&["create", "-f", "-"][..], &["apply", "--server-side", "-f", "-"]] {
            let (written, why) = by(it, "joe", verb).given(&forged_for(verb, &spec)).output();
            if spec == json!({}) && written {
                // A Lease without a time is none of a podgate that is heard.
                it.denied_by(FLOOR);
                by(it, "joe", &["delete", LEASE]).ok();
                continue;
            }
            assert!(!written && why.contains("failed calling webhook"), "joe made one: {why}");
        }
    }
    it.passes(&violating());
    it.heard();
    it.sleeps();
}

fn a_lease_of_another_time_wakes_the_floor_and_without_one_everything_passes(it: &Floor) {
    it.heard();
    let year = |time: &str| {
        let patch = json!({"spec": {"renewTime": time}}).to_string();
        it.plane.kubectl(&["patch", LEASE, "-n", NAMESPACE, "--type=merge", "-p", &patch]).output()
    };
    let (written, why) = year(FAR[0]);
    assert!(!written && why.contains("alive.podgate"), "only podgate writes the Lease: {why}");
    it.kill();
    // Somebody who can delete the webhooks can write the Lease too.
    it.plane.kubectl(&["delete", VALIDATING]).ok();
    for time in FAR {
        eventually("a write without the webhook", || match year(time) {
            (true, _) => Ok(()),
            (false, why) => Err(why),
        });
        it.denied_by(FLOOR);
        it.create(&compliant()).unwrap();
    }
    writes_near_both_bounds(it, &|time| assert!(year(&micro(time)).0));
    it.plane
        .kubectl(&["patch", LEASE, "-n", NAMESPACE, "--type=merge", "-p", r#"{"spec": null}"#])
        .ok();
    it.denied_by(FLOOR);
    it.plane.kubectl(&["delete", LEASE, "-n", NAMESPACE]).ok();
    it.passes(&violating());
    it.heard();
    it.sleeps();
}

/// A Deployment passes exactly from 15 s before the time of the last beat to 30 s after it, by the API server's stamps.
fn writes_near_both_bounds(it: &Floor, beat: &dyn Fn(Timestamp)) {
    let create =
        ["create", "--dry-run=server", "-o", "jsonpath={.metadata.creationTimestamp}", "-f", "-"];
    let latest = named("near", workload(Kind::Deployment, pod("nginx")));
    let tried = || it.kubectl(&create).given(&latest).result();
    let stamp = |text: String| text.trim().parse::<Timestamp>().unwrap();
    // The API server hears of a new time a moment later.
    let known = |time: Timestamp| {
        let told = time.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        eventually("the API server to know the time", || match tried() {
            Err(why) if !why.contains(&told) => Err(why),
            other => Ok(other),
        })
        .0
    };

    // Before the beat: denied until it is 15 s ahead.
    let ahead = it.now() + 18.seconds();
    beat(ahead);
    let denied = known(ahead);
    assert!(denied.is_err_and(|it| it.contains(FLOOR)));
    let (passed, _) = eventually("15 s before the beat", &tried);
    let before = ahead.duration_since(stamp(passed));
    println!("   a write passes {:.1} s before the beat", before.as_secs_f64());
    assert!(before <= SignedDuration::from_secs(15), "{before}");

    // After the beat: it passes until 30 s have gone.
    let behind = it.now() - 26.seconds();
    beat(behind);
    let mut last = None;
    let ((), _) = eventually("30 s after the beat", || match tried() {
        Ok(stamped) => {
            last = Some(stamp(stamped));
            Err("it passes".to_owned())
        }
        Err(why) if why.contains(FLOOR) => Ok(()),
        Err(why) => panic!("{why}"),
    });
    let (last, now) =
        (last.expect("one passed").duration_since(behind), it.now().duration_since(behind));
    println!(
        "   a write passes {:.1} s after the beat, and none {:.1} s after it",
        last.as_secs_f64(),
        now.as_secs_f64()
    );
    assert!(last <= LATEST && now >= LATEST, "{last} {now}");
}
