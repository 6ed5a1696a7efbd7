use super::*;
use crate::client::script::Script;
use crate::metrics::Metrics;
use crate::nonce::LEASE;
use crate::policy::compile::Policy;
use crate::policy::grace::ControllerUsers;
use crate::policy::protected::Protected;
use crate::policy::scope::{Scope, Selection};

const DENY: &str = "podgate-floor-elsewhere-deny";
/// After the name of a policy in a list: it has the annotation.
const MARKED: &str = " marked";

fn work(script: &Script, owner: Option<&str>) -> FloorWork {
    FloorWork {
        client: script.client(),
        claim: Claim::by_hand(),
        floor: Arc::new(Floor {
            release: "podgate".to_owned(),
            namespace: "podgate-system".to_owned(),
            lease: LEASE,
            conditions: Vec::new(),
            own_user: None,
            protected: Protected::default(),
            controllers: ControllerUsers::default(),
        }),
        owner: owner.map(str::to_owned),
        policies: watch::channel(None).1,
        called: watch::channel(Called::Yes).1,
        canary: watch::channel(Canary::Fresh).1,
        metrics: Metrics::new().unwrap().floor,
        state: watch::Sender::default(),
    }
}

fn objects(work: &FloorWork) -> FloorObjects {
    let spec = json!({"forbidLatestTag": true, "enforcementMode": "enforce"});
    let spec = serde_json::from_value(spec).unwrap();
    let scope = Scope::Cluster(Selection::default());
    let policy = Policy::compile(scope, "p".to_owned(), &spec).unwrap();
    work.floor.objects(&[Arc::new(policy)])
}

fn list(names: &[&str]) -> (u16, Value) {
    let item = |name: &&str| match name.strip_suffix(MARKED) {
        None => json!({"metadata": {"name": name, "generation": 1}}),
        Some(name) => {
            json!({"metadata": {"name": name, "generation": 1, "annotations": {UNBOUND: "true"}}})
        }
    };
    (200, json!({"metadata": {}, "items": names.iter().map(item).collect::<Vec<_>>()}))
}

fn written() -> (u16, Value) {
    (200, json!({"apiVersion": "v1", "kind": "K", "metadata": {"name": "n", "generation": 1}}))
}

/// What a pass asks the API server that has these policies and bindings, after the lists: `METHOD b/NAME`, `METHOD p/NAME`.
async fn asked(heard: bool, policies: &[&str], bindings: &[&str]) -> Vec<String> {
    let answers = [list(policies), list(bindings)].into_iter();
    let script = Script::new(answers.chain(std::iter::repeat_n(written(), 9)));
    let work = work(&script, None);
    let _ = work.keep(&objects(&work), heard, &mut Applied::new()).await.unwrap();
    let short = |asked: &String| {
        let asked = asked.split('?').next().unwrap();
        asked
            .replace("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/", "p/")
            .replace(
                "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/",
                "b/",
            )
            .replace("podgate-floor-", "")
    };
    script.asked().iter().skip(2).map(short).collect()
}

const CANARIES: [&str; 2] = ["PATCH p/canary", "PATCH b/canary"];
const POLICY_ALONE: &str = "PATCH p/elsewhere-deny";
const ALL: [&str; 2] = [POLICY_ALONE, "PATCH b/elsewhere-deny"];

/// As the chart's podgate, the leader may not read everything: the API server refused a binding whose policy did not exist,
/// and so the chart's floor never came to be.
#[tokio::test]
async fn what_judges_is_created_when_podgate_is_heard_and_its_policy_first() {
    assert_eq!(asked(false, &[], &[]).await, CANARIES);
    let created = [&CANARIES[..], &ALL, &[POLICY_ALONE]].concat();
    assert_eq!(asked(true, &[], &[]).await, created);
    assert_eq!(
        asked(false, &[DENY], &[DENY]).await,
        [CANARIES, ALL].concat(),
        "what exists is updated also while podgate is away"
    );
}

#[tokio::test]
async fn a_policy_whose_creator_ended_before_the_binding_is_no_broken_glass() {
    let marked = format!("{DENY}{MARKED}");
    let created = [&CANARIES[..], &ALL, &[POLICY_ALONE]].concat();
    assert_eq!(asked(true, &[&marked], &[]).await, created);
    assert_eq!(asked(false, &[&marked], &[]).await, CANARIES, "it waits for podgate");
    assert_eq!(
        asked(false, &[&marked], &[DENY]).await,
        [CANARIES, ALL].concat(),
        "it ended before it took the mark away"
    );
}

#[tokio::test]
async fn the_mark_goes_when_the_binding_is_there() {
    let script =
        Script::new([list(&[]), list(&[])].into_iter().chain(std::iter::repeat_n(written(), 5)));
    let work = work(&script, None);
    let _ = work.keep(&objects(&work), true, &mut Applied::new()).await.unwrap();
    let marked = |at: usize| script.sent(at)["metadata"]["annotations"][UNBOUND] == "true";
    assert_eq!([2, 4, 6].map(marked), [false, true, false]);
}

#[tokio::test]
async fn a_policy_without_its_binding_is_a_broken_glass_that_the_leader_does_not_mend() {
    let updated = [&CANARIES[..], &[POLICY_ALONE]].concat();
    assert_eq!(asked(true, &[DENY], &[]).await, updated);
    assert_eq!(
        asked(true, &["podgate-floor-in-lab-deny"], &[]).await,
        CANARIES,
        "nor does it begin anew under another name"
    );
}

#[tokio::test]
async fn what_is_left_over_goes_and_a_policy_before_its_binding_but_the_canary_stays() {
    let old = "podgate-floor-in-lab-deny";
    let asked = asked(true, &[DENY, old], &[DENY, old]).await;
    assert_eq!(asked[4..], ["DELETE p/in-lab-deny", "DELETE b/in-lab-deny"]);
}

#[tokio::test]
async fn what_was_applied_is_applied_again_only_if_it_changed() {
    let script = Script::new(
        [list(&[]), list(&[])]
            .into_iter()
            .chain(std::iter::repeat_n(written(), 5))
            .chain([list(&[DENY]), list(&[DENY]), written(), written()])
            .chain([list(&[]), list(&[DENY])])
            .chain(std::iter::repeat_n(written(), 3)),
    );
    let work = work(&script, None);
    let mut applied = Applied::new();
    for expected in [7, 11, 16] {
        let _ = work.keep(&objects(&work), true, &mut applied).await.unwrap();
        assert_eq!(script.asked().len(), expected, "{:?}", script.asked());
    }
}

#[tokio::test]
async fn the_cluster_role_of_the_chart_owns_every_object_and_without_it_there_is_none() {
    let role = (200, json!({"metadata": {"name": "podgate-floor", "uid": "u1"}}));
    let answers = [role, list(&[]), list(&[])].into_iter();
    let script = Script::new(answers.chain(std::iter::repeat_n(written(), 5)));
    let installed = work(&script, Some("podgate-floor"));
    let _ = installed.keep(&objects(&installed), true, &mut Applied::new()).await.unwrap();
    for at in 3..8 {
        let owner = json!([{
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": "podgate-floor", "uid": "u1",
        }]);
        assert_eq!(script.sent(at)["metadata"]["ownerReferences"], owner);
    }
    let gone = Script::new([(
        404,
        json!({"kind": "Status", "code": 404, "reason": "NotFound", "message": "gone"}),
    )]);
    let unowned = work(&gone, Some("podgate-floor"));
    let failed = unowned.keep(&objects(&unowned), true, &mut Applied::new()).await;
    assert!(matches!(failed, Err(FloorError::NoOwner(_))));
    assert_eq!(gone.asked().len(), 1, "nothing is written");
}

#[tokio::test]
async fn the_state_says_why_the_floor_is_not_ready() {
    let work = work(&Script::default(), None);
    let ready = |kept: Result<Floored, FloorError>, canary: Canary| {
        work.publish(kept, canary, BTreeMap::new());
        let state = work.state.borrow().kept.clone().unwrap().ready;
        state.map(|it| it.map_or_else(|why| why, |()| "ready".to_owned()))
    };
    let floored = |unbound: &[&str], waiting: &[&str]| {
        let owned = |of: &[&str]| of.iter().map(|it| (*it).to_owned()).collect();
        Ok(Floored { unbound: owned(unbound), waiting: owned(waiting) })
    };
    assert_eq!(ready(floored(&[], &[]), Canary::Undecided), None);
    assert_eq!(ready(floored(&[], &[]), Canary::Fresh).unwrap(), "ready");
    for (kept, canary, why) in [
        (floored(&[], &[]), Canary::Stale("of a: b".to_owned()), "of a: b"),
        (floored(&[DENY], &[]), Canary::Fresh, "the glass is broken"),
        (floored(&[], &[DENY]), Canary::Fresh, "are created when"),
        (Err(FloorError::NoAnswer), Canary::Fresh, "no answer within"),
    ] {
        let found = ready(kept, canary).unwrap();
        assert!(found.contains(why), "{why}: {found}");
    }
}
