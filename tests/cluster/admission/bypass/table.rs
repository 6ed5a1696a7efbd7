//! The table of the matrix: every pod-bearing resource, every place of a violation in a pod, and the expected verdict
//! of each write.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::discovery::Resource;
use crate::support::wire::Write;

/// A pod-bearing resource that the matrix knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Route {
    Object(Kind),
    EphemeralContainers,
    Resize,
    Status(Kind),
}

impl Route {
    /// `None` is a way to write a pod that the table does not know yet.
    pub fn of(resource: &Resource) -> Option<Self> {
        let (name, subresource) = match resource.name.split_once('/') {
            Some((name, subresource)) => (name, Some(subresource)),
            None => (&*resource.name, None),
        };
        let kind = Kind::ALL.into_iter().find(|kind| {
            let names = kind.names();
            names.group == resource.group && names.resource == name
        })?;
        match (kind, subresource) {
            (_, None) => Some(Self::Object(kind)),
            (_, Some("status")) => Some(Self::Status(kind)),
            (Kind::Pod, Some("ephemeralcontainers")) => Some(Self::EphemeralContainers),
            (Kind::Pod, Some("resize")) => Some(Self::Resize),
            _ => None,
        }
    }

    /// The kind of the object that is written.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Object(kind) | Self::Status(kind) => kind,
            Self::EphemeralContainers | Self::Resize => Kind::Pod,
        }
    }

    /// The forms in which it is written.
    pub fn steps(self) -> impl Iterator<Item = Step> {
        use Write::{Apply, JsonPatch, MergePatch, Post, Put, StrategicPatch};
        let is_object = matches!(self, Self::Object(_));
        let updates = [Put, JsonPatch, MergePatch, StrategicPatch, Apply].map(Step::Update);
        [Post, Apply].map(Step::Create).into_iter().filter(move |_| is_object).chain(updates)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    Create(Write),
    Update(Write),
}

/// The place of a violation in a pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    Init,
    Sidecar,
    App,
    Ephemeral,
    ImageVolume,
    InitLimit,
    SidecarLimit,
    AppLimit,
    Label,
}

impl Place {
    pub const ALL: [Self; 9] = [
        Self::Init,
        Self::Sidecar,
        Self::App,
        Self::Ephemeral,
        Self::ImageVolume,
        Self::InitLimit,
        Self::SidecarLimit,
        Self::AppLimit,
        Self::Label,
    ];

    /// The field at fault, from the pod's root.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Init => "spec.initContainers[0].image",
            Self::Sidecar => "spec.initContainers[1].image",
            Self::App => "spec.containers[0].image",
            Self::Ephemeral => "spec.ephemeralContainers[0].image",
            Self::ImageVolume => "spec.volumes[0].image.reference",
            Self::InitLimit => "spec.initContainers[0].resources.limits.memory",
            Self::SidecarLimit => "spec.initContainers[1].resources.limits.memory",
            Self::AppLimit => "spec.containers[0].resources.limits.memory",
            Self::Label => "metadata.labels[\"team\"]",
        }
    }

    /// The value to write there: the violation, or its clean twin.
    pub fn change(self, clean: bool) -> Value {
        let pick = |violating: &str, twin: &str| {
            if clean { twin.to_owned() } else { violating.to_owned() }
        };
        let image = |list: &str, name: &str| json!({"spec": {list: [{"name": name, "image": pick("nginx", "nginx:1.28")}]}});
        let limit = |list: &str, name: &str| {
            let memory = json!({"memory": pick("0", "48Mi")});
            let resources = json!({"limits": memory, "requests": memory});
            json!({"spec": {list: [{"name": name, "resources": resources}]}})
        };
        match self {
            Self::Init => image("initContainers", "init"),
            Self::Sidecar => image("initContainers", "sidecar"),
            Self::App => image("containers", "web"),
            Self::Ephemeral => image("ephemeralContainers", "debug"),
            Self::ImageVolume => {
                let reference = json!({"reference": pick("models", "models:1.1")});
                json!({"spec": {"volumes": [{"name": "models", "image": reference}]}})
            }
            Self::InitLimit => limit("initContainers", "init"),
            Self::SidecarLimit => limit("initContainers", "sidecar"),
            Self::AppLimit => limit("containers", "web"),
            Self::Label => json!({"metadata": {"labels": {"team": pick("Cart", "cart-2")}}}),
        }
    }
}

/// The clean pod that all cells change, and the policy that it satisfies.
pub fn clean_pod() -> Value {
    // With a CPU request, a pod whose memory is resized to zero stays Burstable, as the API server requires.
    let memory = json!({"memory": "64Mi"});
    let resources = json!({"limits": memory, "requests": {"memory": "64Mi", "cpu": "10m"}});
    let container =
        |name: &str| json!({"name": name, "image": "nginx:1.29", "resources": resources});
    let mut sidecar = container("sidecar");
    sidecar["restartPolicy"] = json!("Always");
    json!({
        "initContainers": [container("init"), sidecar],
        "containers": [container("web")],
        "volumes": [{"name": "models", "image": {"reference": "models:1.0"}}],
    })
}

pub fn policy() -> Value {
    json!({
        "forbidLatestTag": true,
        "requireResourceLimits": ["memory"],
        "requiredLabels": [{"key": "team", "pattern": "[a-z0-9-]+"}],
    })
}

/// The expected result of a violating write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// podgate denies it, and its clean twin passes.
    Denied,
    /// The API server refuses both the violation and its clean twin, with this message.
    Refused(&'static str),
    /// The API server accepts the write and does not change the pod, for this reason.
    Kept(&'static str),
    /// The API server does not call podgate, for this reason.
    NotAsked(&'static str),
}

pub fn verdict(route: Route, place: Place, step: Step) -> Verdict {
    use Place::{App, AppLimit, Ephemeral, Init, InitLimit, Label, Sidecar, SidecarLimit};
    use Verdict::{Denied, Kept, NotAsked, Refused};
    match (route, place, step) {
        (Route::Object(Kind::Pod), Ephemeral, Step::Create(_)) => {
            Refused("cannot be set on create")
        }
        (Route::Object(Kind::Pod), Init | Sidecar | App | Label, Step::Update(_)) => Denied,
        (Route::Object(Kind::Pod), _, Step::Update(_)) => {
            Refused("pod updates may not change fields other than")
        }
        (Route::Object(_), Ephemeral, _) => {
            Refused("ephemeral containers not allowed in pod template")
        }
        // Parts of a suspended Job can change; a separate test covers them.
        (Route::Object(Kind::Job), _, Step::Update(_)) => Refused("field is immutable"),
        (Route::EphemeralContainers, Ephemeral, _)
        | (Route::Resize, InitLimit | SidecarLimit | AppLimit, _)
        | (Route::Object(_), _, _) => Denied,
        (Route::EphemeralContainers, _, _) => Kept("changes ephemeral containers only"),
        (Route::Resize, _, _) => Kept("changes resources only"),
        // The kubelet writes there, at every change of every pod: it must not wait for a webhook.
        (Route::Status(Kind::Pod), Label, _) => NotAsked("takes a pod's labels"),
        (Route::Status(_), _, _) => Kept("changes the status only"),
    }
}
