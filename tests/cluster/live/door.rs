//! The commands that a denial names, run verbatim by the user who was refused.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::{Developer, everybody_may_read_policies};
use crate::support::cluster::{Cluster, Namespace};
use crate::support::eventually;
use crate::support::manifests::{pod, workload};
use crate::support::ran::Ran;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<Cluster> = trials![
    what_everybody_may_do_with_policies_is_to_read_them,
    who_may_only_create_deployments_follows_the_denial_to_the_same_verdict_and_to_a_pass,
    who_applies_is_told_to_apply,
    an_object_whose_name_the_api_server_makes_is_created_again,
    a_controllers_pod_that_is_refused_names_the_scan_that_refuses_its_workload,
    a_refused_policy_is_refused_again_by_the_command_that_its_denial_names,
];

const TAGS: &str = "forbidLatestTag";

/// The commands of a denial, with this file in them.
fn commands(denial: &str) -> Vec<String> {
    let line = denial.lines().find_map(|it| it.trim().strip_prefix("check before you push: "));
    let line = line.unwrap_or_else(|| panic!("it names no command: {denial}"));
    line.split(" · ").map(|it| it.replace("FILE", "file.json")).collect()
}

fn shop(cluster: &Cluster) -> Namespace<'_> {
    everybody_may_read_policies(cluster);
    let shop = cluster.namespace("shop");
    let exempt =
        json!([{"rules": [TAGS], "names": ["exempt"], "owner": "cart", "reason": "vendor"}]);
    shop.policy("tags", &json!({"enforcementMode": "enforce", TAGS: true, "exemptions": exempt}));
    shop
}

/// Asserts that the command refuses the file for its image.
fn refuses(command: &str, ran: &Ran) {
    let printed = format!("{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.code, 1, "{command}: {printed}");
    assert!(printed.contains(TAGS), "{command}: {printed}");
}

/// Follows a denial: its commands refuse the file as it is, and let it pass once it is mended or exempt.
fn follow(developer: &Developer<'_>, denial: &str, object: &Value, expected: &[&str]) {
    let commands = commands(denial);
    let verbs: Vec<_> = commands.iter().map(|it| it.split(" --").next().unwrap()).collect();
    assert_eq!(verbs, expected, "{denial}");
    developer.writes(std::slice::from_ref(object));
    for command in &commands {
        refuses(command, &developer.runs(command));
    }
    let mended: Value =
        serde_json::from_str(&object.to_string().replace("\"nginx\"", "\"nginx:1.29\"")).unwrap();
    let mut exempt = object.clone();
    exempt["metadata"]["name"] = json!("exempt");
    for passing in [mended, exempt] {
        developer.writes(&[passing]);
        for command in &commands {
            let ran = developer.runs(command);
            assert_eq!(ran.code, 0, "{command}: {}{}", ran.stdout, ran.stderr);
        }
    }
}

fn what_everybody_may_do_with_policies_is_to_read_them(cluster: &Cluster) {
    let shop = shop(cluster);
    let anna = Developer::new(cluster, "anna");
    for read in
        ["get clusterdevopspolicies", "get devopspolicies -A", "get devopspolicy tags -o yaml"]
    {
        anna.runs(&format!("kubectl {read} -n {}", shop.name)).exits(0);
    }
    for refused in [
        "delete devopspolicy tags",
        "label devopspolicy tags a=b",
        "create -f file.json",
        "get namespaces",
        "get pods",
        "get secrets",
    ] {
        anna.writes(&[json!({
            "apiVersion": "devops.stochastic.io/v1", "kind": "ClusterDevOpsPolicy",
            "metadata": {"name": "mine"}, "spec": {},
        })]);
        let ran = anna.runs(&format!("kubectl {refused} -n {}", shop.name)).exits(1);
        assert!(ran.stderr.contains("Forbidden"), "{refused}: {}", ran.stderr);
    }
}

fn who_may_only_create_deployments_follows_the_denial_to_the_same_verdict_and_to_a_pass(
    cluster: &Cluster,
) {
    let shop = shop(cluster);
    let dana = Developer::new(cluster, "dana");
    dana.may(&["create"], "apps", "deployments", &shop.name);
    let object = workload(Kind::Deployment, pod("nginx"));
    dana.writes(std::slice::from_ref(&object));
    let refused = dana.runs(&format!("kubectl create -f file.json -n {}", shop.name)).exits(1);
    let expected = ["kubectl create", "podgate scan file.json"];
    follow(&dana, &refused.stderr, &object, &expected);
}

fn who_applies_is_told_to_apply(cluster: &Cluster) {
    let shop = shop(cluster);
    let erin = Developer::new(cluster, "erin");
    erin.may(&["get", "create", "patch"], "apps", "deployments", &shop.name);
    let object = workload(Kind::Deployment, pod("nginx"));
    for server_side in ["", " --server-side"] {
        erin.writes(std::slice::from_ref(&object));
        let line = format!("kubectl apply{server_side} -f file.json -n {}", shop.name);
        let refused = erin.runs(&line).exits(1);
        follow(&erin, &refused.stderr, &object, &["kubectl apply", "podgate scan file.json"]);
    }
    // An update is refused, and named, in the same way.
    erin.writes(&[workload(Kind::Deployment, pod("nginx:1.29"))]);
    erin.runs(&format!("kubectl apply -f file.json -n {}", shop.name)).exits(0);
    erin.writes(std::slice::from_ref(&object));
    let refused = erin.runs(&format!("kubectl apply -f file.json -n {}", shop.name)).exits(1);
    follow(&erin, &refused.stderr, &object, &["kubectl apply", "podgate scan file.json"]);
}

fn an_object_whose_name_the_api_server_makes_is_created_again(cluster: &Cluster) {
    let shop = shop(cluster);
    let frank = Developer::new(cluster, "frank");
    frank.may(&["create"], "batch", "jobs", &shop.name);
    let mut object = workload(Kind::Job, pod("nginx"));
    object["metadata"] = json!({"generateName": "report-"});
    frank.writes(&[object.clone()]);
    let line = format!("kubectl create -f file.json -n {} --field-manager=other", shop.name);
    let refused = frank.runs(&line).exits(1);
    let commands = commands(&refused.stderr);
    assert!(commands[0].starts_with("kubectl create --dry-run=server"), "{commands:?}");
    for command in &commands {
        refuses(command, &frank.runs(command));
    }
    object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nginx:1.29");
    frank.writes(&[object]);
    for command in &commands {
        frank.runs(command).exits(0);
    }
}

fn a_controllers_pod_that_is_refused_names_the_scan_that_refuses_its_workload(cluster: &Cluster) {
    everybody_may_read_policies(cluster);
    let shop = cluster.namespace("shop");
    let mut object = workload(Kind::Deployment, pod("nginx"));
    object["spec"]["replicas"] = json!(0);
    shop.create(&object).unwrap();
    shop.policy("tags", &json!({"enforcementMode": "enforce", TAGS: true}));
    shop.kubectl(&["scale", "deployment", "web", "--replicas=1"]).ok();
    let (message, _) = eventually("the refusal of its pod", || {
        let events = shop.kubectl(&["get", "events", "-o", "json"]).json();
        let items = events["items"].as_array().unwrap().iter();
        let mut messages = items.filter_map(|it| it["message"].as_str().map(str::to_owned));
        messages.find(|it| it.contains("check before you push")).ok_or_else(|| events.to_string())
    });
    let named = commands(&message);
    let expected =
        format!("podgate scan file.json --live --fail-on denied -n {} --as controller", shop.name);
    assert_eq!(named, [expected]);
    let gina = Developer::new(cluster, "gina");
    gina.writes(&[object.clone()]);
    refuses(&named[0], &gina.runs(&named[0]));
    gina.writes(&[workload(Kind::Deployment, pod("nginx:1.29"))]);
    gina.runs(&named[0]).exits(0);
}

fn a_refused_policy_is_refused_again_by_the_command_that_its_denial_names(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    let henry = Developer::new(cluster, "henry");
    henry.may(&["get", "create", "patch"], "devops.stochastic.io", "devopspolicies", &shop.name);
    let policy = |expression: &str| {
        json!({
            "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
            "metadata": {"name": "own", "namespace": shop.name},
            "spec": {"validations": [{"name": "a", "expression": expression, "message": "m"}]},
        })
    };
    henry.writes(&[policy("nonsense(")]);
    let refused = henry.runs("kubectl apply -f file.json").exits(1);
    let named = commands(&refused.stderr);
    assert_eq!(named, ["kubectl apply --dry-run=server -f file.json"]);
    henry.runs(&named[0]).exits(1).reports(&["cannot be put in force"]);
    henry.writes(&[policy("true")]);
    henry.runs(&named[0]).exits(0);
}
