//! The containers of a pod, with their places in the object.

use super::object::{Container, List, PodSpec};
use super::subject::Subject;
use super::text::head;

/// The part a container plays, which decides what may be asked of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Runs to its end before the app containers start.
    Init,
    /// A native sidecar: an init container with `restartPolicy: Always` (KEP-753).
    Sidecar,
    App,
    /// Added to a running pod for debugging.
    Ephemeral,
}

/// The longest name of anything, in bytes (RFC 1123 subdomain).
const MAX_NAME: usize = 253;

/// A container with its place.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub role: Role,
    pub container: &'a Container<'a>,
    list: &'static str,
    index: usize,
}

impl Place<'_> {
    /// The container's name, as far as the API server lets one be long: a breach has it, and there may be many.
    pub fn name(&self) -> String {
        head(&self.container.name, MAX_NAME).to_owned()
    }

    /// The container's own path, or a field's below it, from the object's root.
    pub fn path(&self, subject: &Subject<'_>, field: &str) -> String {
        format!("{}.{}[{}].{field}", subject.kind.names().spec_path, self.list, self.index)
    }
}

/// The container that a path from the object's root, as [`Place::path`] makes it, leads into.
pub fn container_at<'a>(subject: &Subject<'a>, path: &str) -> Option<&'a Container<'a>> {
    let path = path.strip_prefix(subject.kind.names().spec_path)?.strip_prefix('.')?;
    let (list, rest) = path.split_once('[')?;
    let index: usize = rest.split_once(']')?.0.parse().ok()?;
    let (_, containers) = lists(subject.spec).into_iter().find(|(name, _)| *name == list)?;
    containers.as_ref()?.get(index)
}

type Named<'a> = (&'static str, &'a Option<List<Container<'a>>>);

fn lists<'a>(spec: &'a PodSpec<'a>) -> [Named<'a>; 3] {
    [
        ("initContainers", &spec.init_containers),
        ("containers", &spec.containers),
        ("ephemeralContainers", &spec.ephemeral_containers),
    ]
}

/// Every container of a pod, in the order it lists them. All rules use this
/// iterator, so that no list can be forgotten by one of them.
pub fn containers<'a>(spec: &'a PodSpec<'a>) -> impl Iterator<Item = Place<'a>> {
    lists(spec).into_iter().flat_map(|(list, containers)| {
        containers.iter().flatten().enumerate().map(move |(index, container)| {
            let role = match list {
                "initContainers" if &*container.restart_policy == "Always" => Role::Sidecar,
                "initContainers" => Role::Init,
                "containers" => Role::App,
                _ => Role::Ephemeral,
            };
            Place { role, container, list, index }
        })
    })
}
