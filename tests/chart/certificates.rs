//! podgate's own certificates: renewed and replaced under load, restored after any change of the Secret, and published
//! to the API server after any change of the configurations.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::helm::{HA, HA_REPLICAS, Helm};
use super::load::Load;
use super::release::SHOP;
use super::trust::{expired, leaf_ends_after_now, secret};
use super::world::{NAMESPACE, World};
use crate::support::control_plane::seconds;
use crate::support::eventually;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<World> = trials![
    certificates_are_renewed_and_replaced_without_a_failed_review,
    an_expired_corrupt_or_deleted_secret_is_healed,
    a_ca_bundle_that_is_gone_comes_back,
    five_replicas_that_start_at_once_share_one_ca,
];

const STORM: Duration = Duration::from_mins(3);
const LIFETIMES: &str =
    "--set=certificates.selfSigned.leafLifetime=20s,certificates.selfSigned.caLifetime=60s";

fn certificates_are_renewed_and_replaced_without_a_failed_review(world: &World) {
    Helm::Four.install(world, &["--values", HA, "--set=replicas=2", LIFETIMES]);
    world.shop();
    world.denies();
    let open = world.failed_open();
    let load = Load::start(world, SHOP);
    let started = Instant::now();
    let mut versions: [BTreeSet<Vec<u8>>; 2] = Default::default();
    while started.elapsed() < STORM {
        if let Some(data) = secret(world) {
            for (versions, key) in versions.iter_mut().zip(["ca.crt", "tls.crt"]) {
                versions.extend(data.get(key).cloned());
            }
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    let counts = load.end();
    let [authorities, leaves] = versions.map(|it| it.len());
    println!("   {authorities} CAs and {leaves} leaves in {STORM:?}: {counts}");
    counts.check();
    assert!(authorities > 2 && leaves > 6, "too few certificates were replaced");
    let open = world.failed_open() - open;
    assert!(open == 0.0, "failed open {open} times");
    end(world);
}

fn an_expired_corrupt_or_deleted_secret_is_healed(world: &World) {
    Helm::Four.install(world, &["--values", HA]);
    world.shop();
    world.denies();
    world.all_trusted(HA_REPLICAS);
    let load = Load::start(world, SHOP);
    let harm = |what: &str, patch: Option<Value>| {
        let before = secret(world).unwrap();
        match &patch {
            Some(patch) => {
                let args =
                    ["patch", "secret", "podgate-tls", "-n", NAMESPACE, "--type=merge", "-p"];
                world.kubectl(&[&args[..], &[&patch.to_string()]].concat());
            }
            None => drop(world.kubectl(&["delete", "secret", "podgate-tls", "-n", NAMESPACE])),
        }
        let (same_ca, after) = eventually("the Secret to be restored", || {
            let data = secret(world).ok_or("there is none")?;
            leaf_ends_after_now(&data)?;
            Ok(data.get("ca.crt") == before.get("ca.crt"))
        });
        let trusted = world.all_trusted(HA_REPLICAS);
        let ca = if same_ca { "the same" } else { "another" };
        println!(
            "   {what}: healed after {}, with {ca} CA; all replicas trusted {} later; {}",
            seconds(after),
            seconds(trusted),
            load.so_far()
        );
    };
    harm("tls.crt is no certificate", Some(json!({"data": {"tls.crt": "AAAA"}})));
    harm("tls.key is gone", Some(json!({"data": {"tls.key": null}})));
    harm(
        "ca.key of another CA",
        Some(json!({"data": {"ca.key": secret_value(&expired(), "ca.key")}})),
    );
    harm("all of it is expired", Some(json!({"data": expired()})));
    harm("it is empty", Some(json!({"data": null})));
    harm("it is deleted", None);
    let counts = load.end();
    counts.check();

    // A replica that starts with an expired certificate has no other one to serve.
    world.kubelet.hold();
    world.kubelet.kill_all();
    let patch = json!({"data": expired()}).to_string();
    world.kubectl(&[
        "patch",
        "secret",
        "podgate-tls",
        "-n",
        NAMESPACE,
        "--type=merge",
        "-p",
        &patch,
    ]);
    world.kubelet.release();
    println!("   all start with an expired one: denies after {}", seconds(world.denies()));
    world.runs(HA_REPLICAS);
    world.all_trusted(HA_REPLICAS);
    Helm::Four.uninstall(world);
    // The recreated Secret still has Helm's ownership metadata.
    assert!(secret(world).is_none(), "Helm leaves a Secret");
    world.is_clean();
    world.forget_all();
}

fn secret_value(data: &Value, key: &str) -> Value {
    data[key].clone()
}

fn a_ca_bundle_that_is_gone_comes_back(world: &World) {
    Helm::Four.install(world, &["--values", HA]);
    world.shop();
    world.denies();
    world.all_trusted(HA_REPLICAS);
    let harm = |what: &str, act: &dyn Fn()| {
        let started = Instant::now();
        act();
        let (acted, waited) = (started.elapsed(), world.all_trusted(HA_REPLICAS));
        println!("   {what}, which took {}: trusted {} later", seconds(acted), seconds(waited));
        world.denies();
    };
    harm("a wipe of every caBundle", &|| {
        for configuration in world.configurations() {
            let (kind, name) = kind_and_name(&configuration);
            let count = configuration["webhooks"].as_array().unwrap().len();
            let patch: Vec<_> = (0..count)
                .map(|it| json!({"op": "remove", "path": format!("/webhooks/{it}/clientConfig/caBundle")}))
                .collect();
            world.kubectl(&["patch", &kind, &name, "--type=json", "-p", &json!(patch).to_string()]);
        }
    });
    harm("somebody else's caBundle", &|| {
        let bundle = secret_value(&expired(), "ca.crt");
        for configuration in world.configurations() {
            let (kind, name) = kind_and_name(&configuration);
            let patch = json!([{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}]);
            world.kubectl(&["patch", &kind, &name, "--type=json", "-p", &patch.to_string()]);
        }
    });
    let plain = |configuration: &Value| {
        let mut plain = configuration.clone();
        for field in ["resourceVersion", "uid", "managedFields", "creationTimestamp", "generation"]
        {
            plain["metadata"].as_object_mut().unwrap().remove(field);
        }
        for webhook in plain["webhooks"].as_array_mut().unwrap() {
            webhook["clientConfig"].as_object_mut().unwrap().remove("caBundle");
        }
        plain.to_string()
    };
    harm("kubectl replace", &|| {
        for configuration in world.configurations() {
            world.plane.kubectl(&["replace", "-f", "-"]).given(&plain(&configuration)).ok();
        }
    });
    harm("kubectl replace --force, which deletes and creates", &|| {
        for configuration in world.configurations() {
            world
                .plane
                .kubectl(&["replace", "--force", "-f", "-"])
                .given(&plain(&configuration))
                .ok();
        }
    });
    let values = ["--values", HA];
    harm("helm 4 upgrade", &|| drop(Helm::Four.upgrade(world, &values)));
    harm("helm 4 upgrade --force-replace", &|| {
        let args = ["--values", HA, "--server-side=false", "--force-replace"];
        drop(Helm::Four.upgrade(world, &args));
    });
    harm("helm 3 upgrade", &|| drop(Helm::Three.upgrade(world, &values)));
    harm("helm 3 upgrade --force", &|| {
        drop(Helm::Three.upgrade(world, &["--values", HA, "--force"]));
    });
    harm("helm 3 rollback", &|| drop(Helm::Three.rollback(world)));
    harm("helm 4 rollback", &|| drop(Helm::Four.rollback(world)));
    end(world);
}

fn kind_and_name(object: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&object["kind"]), text(&object["metadata"]["name"]))
}

fn five_replicas_that_start_at_once_share_one_ca(world: &World) {
    let mut authorities = BTreeSet::new();
    for _ in 0..10 {
        Helm::Four.install(world, &["--set=replicas=5"]);
        world.runs(5);
        let after = world.all_trusted(5);
        let bundles = world.bundles();
        assert_eq!(bundles.len(), 1, "the webhooks trust different CAs");
        let bundle = bundles.into_iter().next().unwrap();
        assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 1, "{bundle}");
        println!("   five replicas, one CA, trusted {} after they were ready", seconds(after));
        authorities.insert(bundle);
        Helm::Four.uninstall(world);
        world.is_clean();
    }
    assert_eq!(authorities.len(), 10, "each release has its own CA");
    world.forget_all();
}

fn end(world: &World) {
    Helm::Four.uninstall(world);
    world.is_clean();
    world.forget_all();
}
