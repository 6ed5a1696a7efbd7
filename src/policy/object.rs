//! The view of a Kubernetes object: the fields that rules read, borrowed from the JSON. Other fields are not stored.
//!
//! Lists have limits far above any legitimate use. The items beyond are dropped, and [`List::is_cut`] reports it; a
//! rule that needs them is undecided. So a view takes little memory, whatever the object.
//!
//! One type serves every kind, so an object is decoded in one pass even if its kind is not known yet ([`Spec`]). That
//! works because no field of a `PodSpec` has the name of a field of a workload's spec.

use serde::Deserialize;

mod list;
mod metadata;
mod pairs;
mod restart;
mod security;
mod shape;
mod spec;
mod text;
mod volume;

use list::Item;
pub use list::{List, MAX_ENTRIES, MAX_ITEMS, MAX_WEIGHT};
pub use metadata::{Annotations, Metadata, OwnerReference};
pub use pairs::{NodeSelector, Pairs};
pub use restart::RestartRules;
pub use security::{Capabilities, Handler, Lifecycle, Os, Profile, SecurityContext};
pub(crate) use shape::from_objects_only;
pub use spec::{JobSpec, JobTemplate, Spec};
pub use text::{QuantityText, Text};
pub use volume::Volume;

from_objects_only!(
    Object<'a>,
    PodSpec<'a>,
    Template<'a>,
    Container<'a>,
    Resources<'a>,
    Quantities<'a>,
    Port<'a>,
);

/// A pod, or an object with a pod template.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct Object<'a> {
    #[serde(borrow)]
    pub api_version: Text<'a>,
    #[serde(borrow)]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub metadata: Option<Metadata<'a>>,
    #[serde(borrow)]
    // Boxed, as all fields that are large and often absent: the decoder moves values more than once.
    pub spec: Option<Box<Spec<'a>>>,
    /// The template of a `PodTemplate`, which has no spec.
    #[serde(borrow)]
    pub template: Option<Box<Template<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct PodSpec<'a> {
    #[serde(borrow)]
    pub init_containers: Option<List<Container<'a>>>,
    #[serde(borrow)]
    pub containers: Option<List<Container<'a>>>,
    #[serde(borrow)]
    pub ephemeral_containers: Option<List<Container<'a>>>,
    #[serde(borrow)]
    pub volumes: Option<List<Volume<'a>>>,
    #[serde(borrow)]
    pub restart_policy: Text<'a>,
    #[serde(borrow)]
    pub node_name: Text<'a>,
    #[serde(borrow)]
    pub resources: Option<Resources<'a>>,
    #[serde(borrow)]
    pub security_context: Option<SecurityContext<'a>>,
    pub host_network: Option<bool>,
    #[serde(rename = "hostPID")]
    pub host_pid: Option<bool>,
    #[serde(rename = "hostIPC")]
    pub host_ipc: Option<bool>,
    /// False gives the pod a user namespace of its own.
    pub host_users: Option<bool>,
    #[serde(borrow)]
    pub os: Option<Os<'a>>,
    #[serde(borrow)]
    pub node_selector: Option<NodeSelector<'a>>,
}

/// A `PodTemplateSpec`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, remote = "Self")]
pub struct Template<'a> {
    #[serde(borrow)]
    pub metadata: Option<Metadata<'a>>,
    #[serde(borrow)]
    pub spec: Option<PodSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct Container<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub image: Text<'a>,
    /// Overrides the pod's (KEP-753, KEP-5307); empty means the pod's.
    #[serde(borrow)]
    pub restart_policy: Text<'a>,
    pub restart_policy_rules: RestartRules,
    // Boxed, so that a container without them stays small.
    #[serde(borrow)]
    pub liveness_probe: Option<Box<Handler<'a>>>,
    #[serde(borrow)]
    pub readiness_probe: Option<Box<Handler<'a>>>,
    #[serde(borrow)]
    pub startup_probe: Option<Box<Handler<'a>>>,
    #[serde(borrow)]
    pub lifecycle: Option<Box<Lifecycle<'a>>>,
    #[serde(borrow)]
    pub ports: Option<List<Port<'a>>>,
    #[serde(borrow)]
    pub resources: Option<Resources<'a>>,
    #[serde(borrow)]
    pub security_context: Option<Box<SecurityContext<'a>>>,
}

/// A container's resources, or the whole pod's (KEP-2837).
#[derive(Debug, Default, Deserialize)]
#[serde(default, remote = "Self")]
pub struct Resources<'a> {
    #[serde(borrow)]
    pub requests: Option<Quantities<'a>>,
    #[serde(borrow)]
    pub limits: Option<Quantities<'a>>,
}

/// The quantities that rules check, as written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, remote = "Self")]
pub struct Quantities<'a> {
    #[serde(borrow)]
    pub cpu: Option<QuantityText<'a>>,
    #[serde(borrow)]
    pub memory: Option<QuantityText<'a>>,
    #[serde(borrow)]
    pub ephemeral_storage: Option<QuantityText<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct Port<'a> {
    pub container_port: i32,
    pub host_port: Option<i32>,
    #[serde(borrow)]
    pub protocol: Text<'a>,
}

impl Item for Port<'_> {}

impl Item for Container<'_> {
    const MAX: usize = MAX_ITEMS;

    fn weight(&self) -> usize {
        fn len<T>(list: Option<&List<T>>) -> usize {
            list.map_or(0, |list| list.len())
        }
        let capabilities = self.security_context.as_ref().and_then(|it| it.capabilities.as_ref());
        let capabilities =
            capabilities.map_or(0, |it| len(it.add.as_ref()) + len(it.drop.as_ref()));
        len(self.ports.as_ref()) + capabilities
    }
}
