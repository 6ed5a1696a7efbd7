//! podgate's rights: the chart's roles equal the table of `podgate check`, and each right is needed ([`provoke`] makes
//! podgate use a right). Every test checks before it uninstalls that no request of podgate was refused.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use podgate::install::permissions::{Names, Need, PERMISSIONS, Permission, Scope};
use serde_json::{Value, json};

use super::floor;
use super::helm::{Helm, RELEASE};
use super::kubelet::now;
use super::provoke::provoke;
use super::release::SHOP;
use super::world::{NAMESPACE, World};
use crate::support::audit;
use crate::support::binary;
use crate::support::eventually;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<World> = trials![
    the_roles_of_the_chart_are_the_table_of_permissions,
    who_has_no_other_right_may_read_policies_and_write_none_and_not_read_them_where_the_value_is_off,
];
pub const LONG: Trials<World> =
    trials![each_rule_of_the_roles_is_needed, each_rule_of_the_floors_role_is_needed];

/// The `ClusterRole` that comes with the floor.
const FLOOR: &str = "podgate-floor";

/// A single right: one verb on one resource.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Right {
    cluster: bool,
    group: String,
    /// With its subresource.
    pub resource: String,
    pub name: Option<String>,
    pub verb: String,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, kind) = (
            self.name.as_deref().unwrap_or("*"),
            if self.cluster { "ClusterRole" } else { "Role" },
        );
        write!(f, "{kind}: {} {} {name} of {:?}", self.verb, self.resource, self.group)
    }
}

fn rights_of(rule: &PolicyRule, cluster: bool) -> Vec<Right> {
    let names: Vec<_> = match rule.resource_names.clone().unwrap_or_default() {
        none if none.is_empty() => vec![None],
        names => names.into_iter().map(Some).collect(),
    };
    let mut rights = Vec::new();
    for group in rule.api_groups.iter().flatten() {
        for resource in rule.resources.iter().flatten() {
            for verb in &rule.verbs {
                for name in &names {
                    let (group, resource) = (group.clone(), resource.clone());
                    let right =
                        Right { cluster, group, resource, name: name.clone(), verb: verb.clone() };
                    rights.push(right);
                }
            }
        }
    }
    rights
}

/// The rules of each `ClusterRole`, with that of the floor if it is enabled, and of the Role.
fn rules(world: &World) -> (Vec<PolicyRule>, Vec<PolicyRule>) {
    let cluster = world.get(&["clusterrole", RELEASE]).unwrap();
    let own = world.get(&["role", RELEASE, "-n", NAMESPACE]).unwrap();
    let mut cluster = cluster_rules(cluster);
    cluster.extend(world.get(&["clusterrole", FLOOR]).into_iter().flat_map(cluster_rules));
    let own: Role = serde_json::from_value(own).unwrap();
    (cluster, own.rules.unwrap())
}

fn cluster_rules(role: Value) -> Vec<PolicyRule> {
    let role: ClusterRole = serde_json::from_value(role).unwrap();
    role.rules.unwrap()
}

fn the_roles_of_the_chart_are_the_table_of_permissions(world: &World) {
    Helm::Four.install(world, &[]);
    // The trial of the floor compares the role that comes with it.
    let of_floor = |it: &Permission| it.need == Need::For("a podgate that keeps a floor");
    compare(world, |it| !matches!(it.need, Need::For("remediation")) && !of_floor(it));
    Helm::Four.upgrade(world, &["--set=remediation.enabled=true"]);
    compare(world, |it| !of_floor(it));
    Helm::Four.upgrade(world, &[]);
    Helm::Four.uninstall(world);
    world.is_clean();
    world.forget_all();
}

fn who_has_no_other_right_may_read_policies_and_write_none_and_not_read_them_where_the_value_is_off(
    world: &World,
) {
    Helm::Four.install(world, &["--set=replicas=1"]);
    world.shop();
    let user = world.plane.kubeconfig("jane");
    let kubectl = |args: &[&str]| world.plane.kubectl(args).by(user.clone());
    let reads = ["clusterdevopspolicies", "devopspolicies"];
    eventually("the cluster policies to be readable", || {
        kubectl(&["get", "clusterdevopspolicies", "-o", "name"]).result()
    });
    assert!(
        kubectl(&["get", "devopspolicies", "-n", SHOP, "-o", "name"]).ok().contains("baseline")
    );
    kubectl(&["get", "devopspolicies", "-A", "-o", "name"]).ok();
    for refused in [
        &["delete", "devopspolicy", "baseline", "-n", SHOP][..],
        &["label", "devopspolicy", "baseline", "-n", SHOP, "a=b"],
        &["get", "pods", "-n", SHOP],
        &["get", "secrets", "-n", NAMESPACE],
        &["get", "validatingwebhookconfigurations"],
        &["get", "namespaces"],
    ] {
        assert!(kubectl(refused).fails().contains("Forbidden"), "{refused:?}");
    }
    for resource in reads {
        let written = ["create", "update", "patch", "delete", "deletecollection"];
        for verb in written {
            let asked =
                ["auth", "can-i", verb, &format!("{resource}.devops.stochastic.io"), "-n", SHOP];
            assert_eq!(kubectl(&asked).run().stdout.trim(), "no", "{verb} {resource}");
        }
    }
    Helm::Four.upgrade(world, &["--set=replicas=1,policies.readableByAuthenticated=false"]);
    eventually("the policies not to be readable", || {
        for resource in reads {
            let (read, printed) = kubectl(&["get", resource, "-n", SHOP]).output();
            if read || !printed.contains("Forbidden") {
                return Err(printed);
            }
        }
        Ok(())
    });
    Helm::Four.uninstall(world);
    world.is_clean();
    world.forget_all();
}

/// Compares the roles with the part of the table that these settings need.
pub fn compare(world: &World, needed: impl Fn(&Permission) -> bool) {
    let (cluster, own) = rules(world);
    let cluster = cluster.iter().flat_map(|rule| rights_of(rule, true));
    let granted: BTreeSet<_> =
        cluster.chain(own.iter().flat_map(|rule| rights_of(rule, false))).collect();
    let mut asked = BTreeSet::new();
    for it in PERMISSIONS.iter().filter(|it| needed(it)) {
        let resource = [it.resource, it.subresource].join("/").trim_end_matches('/').to_owned();
        asked.extend(it.verbs.iter().map(|verb| Right {
            cluster: it.scope == Scope::Cluster,
            group: it.group.to_owned(),
            resource: resource.clone(),
            name: it.name.of(&Names::default()),
            verb: (*verb).to_owned(),
        }));
    }
    let list = |rights: Vec<&Right>| {
        rights.iter().map(|it| format!("\n  {it}")).collect::<Vec<_>>().concat()
    };
    let (more, fewer) =
        (list(granted.difference(&asked).collect()), list(asked.difference(&granted).collect()));
    assert!(
        more.is_empty() && fewer.is_empty(),
        "granted and not needed:{more}\nneeded and not granted:{fewer}"
    );
    println!("   {} rights, granted and asked for", asked.len());
}

/// The number of times that podgate gets a reason to use a right.
const ATTEMPTS: usize = 4;
/// The duration of each time.
const ATTEMPT: Duration = Duration::from_secs(15);

fn each_rule_of_the_roles_is_needed(world: &World) {
    let quick = "--set=shutdownDelaySeconds=0,drainTimeoutSeconds=1,replicas=1";
    Helm::Four.install(world, &[quick]);
    let kubeconfig = world.plane.kubeconfig("admin");
    let reports = ["crd", "install", "--reports", "--kubeconfig", kubeconfig.to_str().unwrap()];
    assert!(binary::run(&reports).status.success());
    world.shop();
    world.denies();
    world.nothing_was_forbidden();
    let (cluster, own) = rules(world);
    all_are_needed(world, &[("clusterrole", RELEASE, &cluster), ("role", RELEASE, &own)], |_| true);
    Helm::Four.uninstall(world);
    world.is_clean();
    world.kubectl(&["delete", "crd", "reports.openreports.io"]);
    world.forget_all();
}

fn each_rule_of_the_floors_role_is_needed(world: &World) {
    let quick = "--set=shutdownDelaySeconds=0,drainTimeoutSeconds=1,replicas=1,floor.enabled=true";
    Helm::Four.install(world, &[quick]);
    world.shop();
    floor::ready(world);
    world.nothing_was_forbidden();
    let rules = cluster_rules(world.get(&["clusterrole", FLOOR]).unwrap());
    let of_leases = |it: &Right| it.resource == "leases";
    all_are_needed(world, &[("clusterrole", FLOOR, &rules)], |it| !of_leases(it));

    // This one is needed not by a request of podgate, but by what the API server asks of who writes such a policy.
    let (at, right) = (rules.iter().enumerate())
        .find_map(|(at, rule)| Some((at, rights_of(rule, true).into_iter().find(of_leases)?)))
        .unwrap();
    set(world, "clusterrole", FLOOR, &without(&rules, at, &right));
    provoke(world, &Right { verb: "create".to_owned(), ..of_policies() }, 0);
    eventually("the policy to say that its floor is not kept", || {
        let policy = world.get(&["devopspolicy", "baseline", "-n", SHOP]).unwrap();
        let status = policy["status"].to_string();
        let says = status.contains("NotKept") && status.contains("spec.paramKind: Forbidden");
        if says { Ok(()) } else { Err(status) }
    });
    println!("   without {right}: the floor is not kept");
    set(world, "clusterrole", FLOOR, &json!(rules));
    recover(world, &right);
    floor::ready(world);
    Helm::Four.uninstall(world);
    world.is_clean();
    world.forget_all();
}

/// A right about the floor's policies.
fn of_policies() -> Right {
    Right {
        cluster: true,
        group: "admissionregistration.k8s.io".to_owned(),
        resource: "validatingadmissionpolicies".to_owned(),
        name: None,
        verb: String::new(),
    }
}

/// Takes each right of these roles away and gives it back; asserts that podgate was refused something meanwhile.
fn all_are_needed(
    world: &World,
    roles: &[(&str, &str, &Vec<PolicyRule>)],
    tried: impl Fn(&Right) -> bool,
) {
    let mut needless = Vec::new();
    let mut count = 0;
    for (kind, name, all) in roles {
        for (at, rule) in all.iter().enumerate() {
            for right in rights_of(rule, *kind == "clusterrole").into_iter().filter(&tried) {
                count += 1;
                let without = without(all, at, &right);
                let since = now();
                set(world, kind, name, &without);
                let refused = misses(world, &right, &since);
                set(world, kind, name, &json!(all));
                recover(world, &right);
                match refused {
                    Some(refusal) => println!("   without {right}: {refusal} is refused"),
                    None => needless.push(right.to_string()),
                }
            }
        }
    }
    println!("   {count} rights");
    assert!(needless.is_empty(), "these rights are not needed:\n  {}", needless.join("\n  "));
}

/// The rules without one right.
fn without(rules: &[PolicyRule], at: usize, right: &Right) -> Value {
    let mut left = rules.to_vec();
    let rule = left.remove(at);
    let rest = rights_of(&rule, right.cluster).into_iter().filter(|it| it != right);
    left.extend(rest.map(|it| PolicyRule {
        api_groups: Some(vec![it.group]),
        resources: Some(vec![it.resource]),
        resource_names: it.name.map(|name| vec![name]),
        verbs: vec![it.verb],
        non_resource_urls: None,
    }));
    json!(left)
}

fn set(world: &World, kind: &str, name: &str, rules: &Value) {
    let patch = json!({"rules": rules}).to_string();
    world.kubectl(&["patch", kind, name, "-n", NAMESPACE, "--type=merge", "-p", &patch]);
}

/// The refusals to podgate since a time, while it has reasons to use the right.
fn misses(world: &World, right: &Right, since: &str) -> Option<String> {
    for attempt in 0..ATTEMPTS {
        provoke(world, right, attempt);
        let started = Instant::now();
        while started.elapsed() < ATTEMPT {
            if let Some(refused) = world.refused().iter().find(|it| is_about(it, right, since)) {
                return Some(format!("{} {}", refused["verb"], refused["requestURI"]));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    None
}

fn is_about(event: &Value, right: &Right, since: &str) -> bool {
    let part = event["objectRef"]["subresource"].as_str().unwrap_or_default();
    let resource = [audit::resource(event), part].join("/");
    resource.trim_end_matches('/') == right.resource && audit::time(event) >= since
}

/// Waits until podgate works again; if it had started, it recovers by itself.
fn recover(world: &World, right: &Right) {
    if ["get", "list", "watch"].contains(&right.verb.as_str()) {
        world.kubectl(&["delete", "pods", "--all", "-n", NAMESPACE]);
    }
    world.runs(1);
    world.all_trusted(1);
    world.denies();
    world.excuse();
}
