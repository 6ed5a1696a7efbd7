//! Cuts a pod's JSON down, in one pass over its text, to the fields that rules read. The engine judges the
//! cut-down pod in place of the whole one; a test checks that the findings are the same for every fixture.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::value::RawValue;

use crate::policy::object::{Annotations, MAX_ENTRIES};

/// Which part of a value is kept. In a list each element is cut down; a list longer than rules read is kept up to one
/// element more than they read, so that they see that it is too long.
#[derive(Clone, Copy)]
pub(super) enum Mask {
    Whole,
    /// A list of scalars.
    List,
    /// Whether the value exists and is not null.
    Present,
    Fields(fn(&str) -> Option<Mask>),
}

/// A mask that keeps the named fields of an object.
macro_rules! fields {
    ($($name:literal => $mask:expr),* $(,)?) => {
        Mask::Fields(|name| match name { $($name => Some($mask),)* _ => None })
    };
}

/// `metadata` without the fields that differ between a workload's pods (name, namespace, timestamps).
pub(super) const METADATA: Mask = fields! {
    "labels" => Mask::Fields(|_| Some(Mask::Whole)),
    "annotations" => Mask::Fields(|key| Annotations::decides(key).then_some(Mask::Whole)),
    "ownerReferences" => fields! { "apiVersion" => Mask::Whole, "kind" => Mask::Whole, "name" => Mask::Whole, "controller" => Mask::Whole },
};

pub(super) const SPEC: Mask = fields! {
    "initContainers" => CONTAINER,
    "containers" => CONTAINER,
    "ephemeralContainers" => CONTAINER,
    "volumes" => VOLUME,
    "restartPolicy" => Mask::Whole,
    "resources" => RESOURCES,
    "securityContext" => SECURITY_CONTEXT,
    "hostNetwork" => Mask::Whole,
    "hostPID" => Mask::Whole,
    "hostIPC" => Mask::Whole,
    "hostUsers" => Mask::Whole,
    "os" => NAME,
    "nodeSelector" => fields! { "kubernetes.io/os" => Mask::Whole },
    "schedulingGates" => Mask::Present,
};

pub(super) const STATUS: Mask = fields! {
    "phase" => Mask::Whole,
    "initContainerStatuses" => CONTAINER_STATUS,
    "containerStatuses" => CONTAINER_STATUS,
};

const CONTAINER_STATUS: Mask = fields! { "name" => Mask::Whole, "restartCount" => Mask::Whole };
const NAME: Mask = fields! { "name" => Mask::Whole };
const TYPE: Mask = fields! { "type" => Mask::Whole };

const CONTAINER: Mask = fields! {
    "name" => Mask::Whole,
    "image" => Mask::Whole,
    "restartPolicy" => Mask::Whole,
    "restartPolicyRules" => fields! {
        "exitCodes" => fields! { "operator" => Mask::Whole, "values" => Mask::List },
    },
    "livenessProbe" => HANDLER,
    "readinessProbe" => HANDLER,
    "startupProbe" => HANDLER,
    "lifecycle" => fields! { "postStart" => HANDLER, "preStop" => HANDLER },
    "ports" => fields! { "containerPort" => Mask::Whole, "hostPort" => Mask::Whole, "protocol" => Mask::Whole },
    "resources" => RESOURCES,
    "securityContext" => SECURITY_CONTEXT,
};

const HANDLER: Mask = fields! { "httpGet" => HOST, "tcpSocket" => HOST };
const HOST: Mask = fields! { "host" => Mask::Whole };
const RESOURCES: Mask = fields! { "requests" => QUANTITIES, "limits" => QUANTITIES };
const QUANTITIES: Mask = fields! {
    "cpu" => Mask::Whole, "memory" => Mask::Whole, "ephemeral-storage" => Mask::Whole,
};

const SECURITY_CONTEXT: Mask = fields! {
    "privileged" => Mask::Whole,
    "allowPrivilegeEscalation" => Mask::Whole,
    "capabilities" => fields! { "add" => Mask::List, "drop" => Mask::List },
    "procMount" => Mask::Whole,
    "runAsNonRoot" => Mask::Whole,
    "runAsUser" => Mask::Whole,
    "seccompProfile" => TYPE,
    "appArmorProfile" => TYPE,
    "seLinuxOptions" => Mask::Whole,
    "windowsOptions" => fields! { "hostProcess" => Mask::Whole },
    "sysctls" => NAME,
};

/// A volume source is kept as present whatever its kind, even one that podgate does not know.
const VOLUME: Mask = Mask::Fields(|field| {
    Some(match field {
        "name" => Mask::Whole,
        "image" => fields! { "reference" => Mask::Whole },
        "hostPath" => fields! { "path" => Mask::Whole },
        _ => Mask::Present,
    })
});

/// The prefix of the token volume's name, which the API server adds to every pod with a random suffix. The name is cut:
/// no rule reads it, and with it no two pods would share their texts.
const TOKEN_VOLUME: &str = "kube-api-access-";

/// Appends the part of a value that a mask keeps, as JSON.
pub(super) struct Cut<'o> {
    pub mask: Mask,
    pub out: &'o mut String,
}

impl<'de> DeserializeSeed<'de> for Cut<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.mask {
            Mask::Whole => {
                let raw = <&RawValue>::deserialize(deserializer)?.get();
                self.out.push_str(if is_token_volume(raw) { "null" } else { raw });
                Ok(())
            }
            Mask::Present => {
                let present = present(deserializer)?;
                self.out.push_str(present);
                Ok(())
            }
            Mask::List | Mask::Fields(_) => deserializer.deserialize_any(self),
        }
    }
}

fn is_token_volume(raw: &str) -> bool {
    raw.strip_prefix('"').is_some_and(|name| name.starts_with(TOKEN_VOLUME))
}

/// A stand-in for a value: `null`, `{}`, or for a list `[]` or `[{}]`, so that an empty list stays empty.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static str, D::Error> {
    let raw = <Option<&RawValue>>::deserialize(deserializer)?.map_or("null", RawValue::get);
    Ok(match raw.trim_start().as_bytes().first() {
        Some(b'n') | None => "null",
        Some(b'[') if raw.bytes().all(|byte| b"[] \t\r\n".contains(&byte)) => "[]",
        Some(b'[') => "[{}]",
        _ => "{}",
    })
}

impl<'de> Visitor<'de> for Cut<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object, or a list of them")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.out.push_str("null");
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mask = if let Mask::List = self.mask { Mask::Whole } else { self.mask };
        self.out.push('[');
        let mut end = self.out.len();
        let mut kept = 0;
        while kept <= MAX_ENTRIES && list.next_element_seed(Cut { mask, out: self.out })?.is_some()
        {
            kept += 1;
            end = self.out.len();
            self.out.push(',');
        }
        self.out.truncate(end);
        self.out.push(']');
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Mask::Fields(of) = self.mask else { return Err(de::Error::custom("no such fields")) };
        self.out.push('{');
        fields(map, self.out, of)?;
        self.out.push('}');
        Ok(())
    }
}

/// Appends the fields of a map that a mask keeps, without braces.
fn fields<'de, A: MapAccess<'de>>(
    mut map: A,
    out: &mut String,
    of: fn(&str) -> Option<Mask>,
) -> Result<(), A::Error> {
    let mut kept = 0;
    while let Some(FieldKey(key)) = map.next_key()? {
        let Some(mask) = of(&key).filter(|_| kept <= MAX_ENTRIES) else {
            map.next_value::<IgnoredAny>()?;
            continue;
        };
        if kept > 0 {
            out.push(',');
        }
        kept += 1;
        out.push_str(&serde_json::to_string(&*key).map_err(A::Error::custom)?);
        out.push(':');
        map.next_value_seed(Cut { mask, out })?;
    }
    Ok(())
}

/// A map's key, borrowed where it can be.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct FieldKey<'a>(#[serde(borrow)] pub Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::object::{Metadata, PodSpec};

    fn cut(mask: Mask, json: &str) -> String {
        let mut out = String::new();
        let mut deserializer = serde_json::Deserializer::from_str(json);
        Cut { mask, out: &mut out }.deserialize(&mut deserializer).unwrap();
        out
    }

    #[test]
    fn only_what_rules_read_is_left() {
        let spec = r#"{"nodeName": "n1", "schedulingGates": [{"name": "g"}], "containers": [
            {"name": "web", "image": "nginx", "env": [{"name": "PASSWORD", "value": "s3cr3t"}], "livenessProbe": {"exec": {"command": ["x"]}}},
            {"name": "log\u0041", "resources": {"limits": {"cpu": 1, "gpu": "1"}, "requests": null}}],
            "volumes": [{"name": "kube-api-access-x7z", "projected": {"sources": []}}, {"name": "v", "yetToCome": {"a": 1}, "nfs": null}],
            "tolerations": []}"#;
        assert_eq!(
            cut(SPEC, spec),
            r#"{"schedulingGates":[{}],"containers":[{"name":"web","image":"nginx","livenessProbe":{}},{"name":"log\u0041","resources":{"limits":{"cpu":1},"requests":null}}],"volumes":[{"name":null,"projected":{}},{"name":"v","yetToCome":{},"nfs":null}]}"#
        );
    }

    #[test]
    fn a_list_longer_than_rules_read_is_kept_long_enough_that_they_see_it() {
        let names = vec![r#""X""#; 200_001].join(",");
        let labels: Vec<_> = (0..200_001).map(|number| format!(r#""k{number}":"v""#)).collect();
        let container = format!(r#"{{"securityContext":{{"capabilities":{{"drop":[{names}]}}}}}}"#);
        let spec = cut(SPEC, &format!(r#"{{"containers":[{container}]}}"#));
        let metadata = cut(METADATA, &format!(r#"{{"labels":{{{}}}}}"#, labels.join(",")));
        assert!(spec.len() < 100_000 && metadata.len() < 200_000);
        let spec: PodSpec = serde_json::from_str(&spec).unwrap();
        let containers = spec.containers.unwrap();
        let context = containers[0].security_context.as_ref().unwrap();
        assert!(context.capabilities.as_ref().unwrap().drop.as_ref().unwrap().is_cut());
        let metadata: Metadata = serde_json::from_str(&metadata).unwrap();
        assert!(metadata.labels.unwrap().is_cut());
    }

    #[test]
    fn annotations_that_decide_nothing_are_not_kept_and_labels_are() {
        let metadata = r#"{"name": "p", "labels": {"app": "web"}, "annotations": {"note": "long", "kubernetes.io/config.mirror": "x"},
            "managedFields": [{}], "ownerReferences": [{"kind": "ReplicaSet", "name": "r", "uid": "u", "controller": true}]}"#;
        assert_eq!(
            cut(METADATA, metadata),
            r#"{"labels":{"app":"web"},"annotations":{"kubernetes.io/config.mirror":"x"},"ownerReferences":[{"kind":"ReplicaSet","name":"r","controller":true}]}"#
        );
    }
}
