//! An API server that restarts, the glass, and the end of a podgate that registered itself.

use serde_json::json;

use super::asked::Asked;
use super::{BINDINGS, FLOOR, Floor, OURS, compliant, violating};
use crate::support::binary;
use crate::support::control_plane::seconds;
use crate::support::eventually;
use crate::support::ran::Ran;
use crate::support::suite::{Trials, trials};

/// Podgate's clock is an hour behind.
pub const TRIALS: Trials<Floor> = trials![
    an_api_server_that_starts_while_podgate_is_away_admits_what_complies,
    a_broken_glass_stays_broken_until_it_is_mended,
    webhook_delete_breaks_the_glass_too,
    webhook_delete_by_somebody_who_may_not_see_bindings_says_that_the_floor_is_left,
    a_podgate_that_registered_itself_leaves_no_floor,
];

fn an_api_server_that_starts_while_podgate_is_away_admits_what_complies(it: &Floor) {
    it.heard();
    it.kill();
    it.wakes("killed");
    it.plane.kill_api_server();
    it.plane.restart_api_server();
    let (_, after) = eventually("a compliant pod to pass", || it.create(&compliant()));
    println!("   a compliant pod passes {} after the API server was ready", seconds(after));
    it.denied_by(FLOOR);
    it.heard();
    it.sleeps();
}

fn a_broken_glass_stays_broken_until_it_is_mended(it: &Floor) {
    it.heard();
    it.kill();
    it.plane.kubectl(&["delete", BINDINGS, "-l", OURS]).ok();
    it.passes(&violating());
    it.serves();
    let mend = "kubectl delete validatingadmissionpolicies -l devops.stochastic.io/floor=podgate";
    it.has(
        "FloorReady",
        &format!(
            "False NotKept: the API servers may not judge while podgate is away: the glass is broken: somebody has deleted \
             the bindings of podgate-floor-in-shop-deny; to mend it: {mend}"
        ),
    );
    let names = || it.plane.kubectl(&["get", BINDINGS, "-l", OURS, "-o", "name"]).ok();
    assert_eq!(names(), "");
    it.plane.kubectl(&mend.split(' ').skip(1).collect::<Vec<_>>()).ok();
    it.heard();
    assert_eq!(names().lines().count(), 1, "{}", names());
    it.kill();
    it.wakes("killed, after the glass was mended");
    it.heard();
}

fn webhook_delete_breaks_the_glass_too(it: &Floor) {
    it.heard();
    it.checks("a floor of 1 ValidatingAdmissionPolicies judges while podgate is away");
    let admin = it.plane.kubeconfig("admin");
    let deleted = ["webhook", "delete", "--kubeconfig", admin.to_str().unwrap()];
    let deleted = Ran::of(&binary::run(&deleted)).exits(0);
    deleted.prints(&["validatingadmissionpolicybinding/podgate-floor-in-shop-deny deleted"]);
    it.create(&violating()).unwrap();
    it.has("FloorReady", "the glass is broken");
    it.checks("the glass is broken: 1 of 1 policies");
    it.create(&violating()).unwrap();
    it.kill();
    it.plane.kubectl(&["delete", "validatingadmissionpolicies", "-l", OURS]).ok();
    it.heard();
}

/// The webhooks are gone then, and the floor wakes: the command fails, and says what is left.
fn webhook_delete_by_somebody_who_may_not_see_bindings_says_that_the_floor_is_left(it: &Floor) {
    it.heard();
    let user = it.plane.kubeconfig_in("limited", &[]);
    let group = "admissionregistration.k8s.io";
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "limited"},
        "rules": [{
            "apiGroups": [group], "verbs": ["get", "list", "delete"],
            "resources": ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"],
        }],
    });
    it.plane.kubectl(&["create", "-f", "-"]).given(&role).ok();
    let bind =
        ["create", "clusterrolebinding", "limited", "--clusterrole=limited", "--user=limited"];
    it.plane.kubectl(&bind).ok();
    eventually("the user's rights", || {
        it.plane.kubectl(&["get", "validatingwebhookconfigurations"]).by(user.clone()).result()
    });
    let delete = ["webhook", "delete", "--kubeconfig", user.to_str().unwrap()];
    let left = |more: &[&str]| {
        let delete = [&delete[..], more].concat();
        let deleted = Ran::of(&binary::run(&delete)).exits(3);
        let said = deleted.reports(&[
            "a floor may judge half a minute later, because its bindings cannot be deleted",
            "kubectl delete validatingadmissionpolicybindings -l devops.stochastic.io/floor",
        ]);
        assert!(!said.stderr.contains("no request is judged any more"), "{}", said.stderr);
        said
    };
    left(&["--dry-run"]).prints(&["podgate-validating deleted (dry run)"]);
    left(&[]).prints(&[
        "validatingwebhookconfiguration/podgate-validating deleted",
        "mutatingwebhookconfiguration/podgate-mutating deleted",
    ]);
    it.wakes("the webhooks deleted");
    it.kill();
    it.heard();
}

fn a_podgate_that_registered_itself_leaves_no_floor(it: &Floor) {
    it.heard();
    let mut podgate = it.podgate.lock().unwrap().take().unwrap();
    podgate.signal("TERM");
    let (status, _) = podgate.ended();
    assert!(status.success(), "{}", podgate.whole_log());
    let left = ["get", "validatingadmissionpolicies,validatingadmissionpolicybindings", "-l", OURS];
    assert_eq!(it.plane.kubectl(&[&left[..], &["-o", "name"]].concat()).ok(), "");
}
