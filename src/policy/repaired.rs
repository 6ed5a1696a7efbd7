//! The fields of a pod template that a repair may change: missing probes, missing resources, and image tags. A record
//! of a repair that would change anything else is invalid. Pure.

use serde_json::Value;

use super::image::ImageReference;
use super::pointer::at;
use crate::api::ComputeResource;

/// The lists of a template whose containers are repaired.
const LISTS: [&str; 2] = ["initContainers", "containers"];
/// A missing probe is added whole.
const PROBES: [&str; 2] = ["livenessProbe", "readinessProbe"];
/// The fields of a container's resources to which missing amounts are added.
const SIDES: [&str; 2] = ["requests", "limits"];
const AMOUNTS: [ComputeResource; 3] =
    [ComputeResource::Cpu, ComputeResource::Memory, ComputeResource::EphemeralStorage];

/// A repaired template without its repair: `repaired`, with the probes, resources and image of each container from the
/// container of the same name in `before`. Changes by others in the same write, such as a webhook's, stay.
///
/// # Errors
/// The first field, from the pod template's root, with a difference that no repair makes.
pub fn taken_back(before: &Value, repaired: &Value) -> Result<Value, String> {
    let mut back = repaired.clone();
    for list in LISTS {
        let pointer = format!("/spec/{list}");
        let old = at(before, &pointer).as_array().map(Vec::as_slice).unwrap_or_default();
        let containers = back.pointer_mut(&pointer).and_then(Value::as_array_mut);
        for (index, container) in containers.into_iter().flatten().enumerate() {
            let name = at(container, "/name");
            if let Some(was) = old.iter().find(|it| at(it, "/name") == name) {
                take_back(was, container)
                    .map_err(|field| format!("spec.{list}[{index}].{field}"))?;
            }
        }
    }
    Ok(back)
}

/// Whether the two templates differ by a repair and nothing else.
pub fn is_repair(before: &Value, repaired: &Value) -> bool {
    taken_back(before, repaired).is_ok_and(|back| back == *before)
}

fn take_back(was: &Value, container: &mut Value) -> Result<(), &'static str> {
    for probe in PROBES {
        if at(was, &format!("/{probe}")) != at(container, &format!("/{probe}")) {
            if !at(was, &format!("/{probe}")).is_null() {
                return Err(probe);
            }
            put(container, probe, was.get(probe));
        }
    }
    if at(was, "/resources") != at(container, "/resources") {
        if !only_adds(at(was, "/resources"), at(container, "/resources")) {
            return Err("resources");
        }
        put(container, "resources", was.get("resources"));
    }
    let (old, new) = (at(was, "/image"), at(container, "/image"));
    if old != new {
        if !same_repository(old, new) {
            return Err("image");
        }
        put(container, "image", was.get("image"));
    }
    Ok(())
}

fn put(container: &mut Value, field: &str, value: Option<&Value>) {
    let Some(fields) = container.as_object_mut() else { return };
    match value {
        Some(value) => drop(fields.insert(field.to_owned(), value.clone())),
        None => drop(fields.remove(field)),
    }
}

/// Whether resources differ only by amounts that were missing.
fn only_adds(was: &Value, is: &Value) -> bool {
    let rest = |resources: &Value| {
        let mut rest = resources.as_object().cloned().unwrap_or_default();
        rest.retain(|field, _| !SIDES.contains(&field.as_str()));
        rest
    };
    let amounts = |resources: &Value, side: &str| {
        at(resources, &format!("/{side}")).as_object().cloned().unwrap_or_default()
    };
    rest(was) == rest(is)
        && SIDES.into_iter().all(|side| {
            let (mut added, old) = (amounts(is, side), amounts(was, side));
            let kept = old.iter().all(|(name, amount)| added.remove(name).as_ref() == Some(amount));
            let known = |name: &String| AMOUNTS.iter().any(|it| it.as_str() == name);
            kept && added.keys().all(known)
        })
}

fn same_repository(old: &Value, new: &Value) -> bool {
    let read = |image| ImageReference::parse(Value::as_str(image)?).ok();
    matches!((read(old), read(new)), (Some(old), Some(new)) if old.same_repository(&new))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(container: &Value) -> Value {
        let mut whole = json!({"name": "web", "image": "nginx:1.29", "resources": {}});
        whole.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [whole], "nodeName": "a"}})
    }

    #[test]
    fn a_repair_puts_in_missing_probes_and_amounts_and_another_tag_of_the_same_repository() {
        for (before, after) in [
            (json!({}), json!({"readinessProbe": {"tcpSocket": {"port": 80}}})),
            (json!({"resources": null}), json!({"resources": {"limits": {"memory": "1Gi"}}})),
            (
                json!({"resources": {"limits": {"cpu": "1"}, "claims": [{"name": "gpu"}]}}),
                json!({"resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"memory": "1Gi"}, "claims": [{"name": "gpu"}]}}),
            ),
            (json!({"image": "nginx"}), json!({"image": "docker.io/library/nginx:1.29"})),
        ] {
            let (before, after) = (template(&before), template(&after));
            assert!(is_repair(&before, &after), "{before} to {after}");
        }
    }

    #[test]
    fn nothing_else_is_a_repair() {
        let is = json!({"livenessProbe": {"tcpSocket": {"port": 80}}, "resources": {"limits": {"memory": "1Gi"}}});
        let repaired = template(&is);
        let container = |changed: Value| {
            let mut whole = is.clone();
            whole.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
            template(&whole)
        };
        let mut forged = vec![
            // A probe that was there and was another one: a repair never replaces it.
            container(json!({"livenessProbe": {"exec": {"command": ["true"]}}})),
            container(json!({"resources": {"limits": {"memory": "64Gi"}}})),
            container(json!({"resources": {"limits": {"nvidia.com/gpu": "8"}}})),
            container(json!({"resources": {"claims": [{"name": "gpu"}]}})),
            container(json!({"image": "evil.example/nginx:1.29"})),
            container(json!({"image": ""})),
            container(json!({"securityContext": {"privileged": true}})),
            container(json!({"command": ["sh"]})),
            container(json!({"name": "other"})),
            json!(null),
            json!([]),
        ];
        let mut whole = repaired.clone();
        whole["spec"]["hostPID"] = json!(true);
        forged.push(whole.clone());
        whole = repaired.clone();
        whole["spec"]["serviceAccountName"] = json!("admin");
        forged.push(whole.clone());
        whole = repaired.clone();
        whole["spec"]["initContainers"] = json!([{"name": "more", "image": "nginx:1.29"}]);
        forged.push(whole.clone());
        whole = repaired.clone();
        whole["metadata"]["labels"]["app"] = json!("other");
        forged.push(whole);
        for before in forged {
            assert!(!is_repair(&before, &repaired), "{before}");
        }
    }

    #[test]
    fn what_a_webhook_changed_in_the_same_write_stays_where_it_is() {
        let before = template(&json!({}));
        let mut after = template(&json!({"resources": {"limits": {"memory": "1Gi"}}}));
        after["metadata"]["annotations"] = json!({"by": "webhook"});
        let sidecar = json!({"name": "mesh", "image": "mesh:1", "livenessProbe": {}});
        after["spec"]["containers"].as_array_mut().unwrap().insert(0, sidecar.clone());
        let back = taken_back(&before, &after).unwrap();
        assert_eq!(back["metadata"]["annotations"]["by"], "webhook");
        assert_eq!(back["spec"]["containers"], json!([sidecar, before["spec"]["containers"][0]]));
        assert!(!is_repair(&before, &after), "it is more than one");
        after["spec"]["containers"][1]["image"] = json!("mirror.example/nginx:1.29");
        assert_eq!(taken_back(&before, &after).unwrap_err(), "spec.containers[1].image");
    }
}
