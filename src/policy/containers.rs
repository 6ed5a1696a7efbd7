//! The containers of a pod, with their roles and field paths.

use super::object::{Container, List, PodSpec};
use super::subject::Subject;
use super::text::head;

/// The role of a container in its pod. Rules require different things of each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ContainerRole {
    /// An init container: it runs to completion before the app containers start.
    Init,
    /// A native sidecar: an init container with `restartPolicy: Always` (KEP-753).
    Sidecar,
    App,
    /// An ephemeral container, added to a running pod for debugging.
    Ephemeral,
}

/// The longest name of anything, in bytes (RFC 1123 subdomain).
const MAX_NAME: usize = 253;

/// A container with its role and its place in the object.
#[derive(Clone, Copy, Debug)]
pub struct PlacedContainer<'a> {
    pub role: ContainerRole,
    pub container: &'a Container<'a>,
    list: &'static str,
    index: usize,
}

impl PlacedContainer<'_> {
    /// The container's name, cut to the longest that the API server accepts: every breach holds a copy.
    pub fn name(&self) -> String {
        head(&self.container.name, MAX_NAME).to_owned()
    }

    /// The path of a field of the container, from the object's root: `spec.containers[0].image`.
    pub fn path(&self, subject: &Subject<'_>, field: &str) -> String {
        format!("{}.{}[{}].{field}", subject.kind.names().spec_path, self.list, self.index)
    }
}

/// The container that a path of [`PlacedContainer::path`] points into; `None` if there is none.
pub fn container_at<'a>(subject: &Subject<'a>, path: &str) -> Option<&'a Container<'a>> {
    let path = path.strip_prefix(subject.kind.names().spec_path)?.strip_prefix('.')?;
    let (list, rest) = path.split_once('[')?;
    let index: usize = rest.split_once(']')?.0.parse().ok()?;
    let (_, containers) = lists(subject.spec).into_iter().find(|(name, _)| *name == list)?;
    containers.as_ref()?.get(index)
}

/// The name of a container list and its containers.
type NamedList<'a> = (&'static str, &'a Option<List<Container<'a>>>);

fn lists<'a>(spec: &'a PodSpec<'a>) -> [NamedList<'a>; 3] {
    [
        ("initContainers", &spec.init_containers),
        ("containers", &spec.containers),
        ("ephemeralContainers", &spec.ephemeral_containers),
    ]
}

/// Every container of a pod, in order: init, app, then ephemeral containers. All rules use this iterator, so none can
/// forget a list.
pub fn containers<'a>(spec: &'a PodSpec<'a>) -> impl Iterator<Item = PlacedContainer<'a>> {
    lists(spec).into_iter().flat_map(|(list, containers)| {
        containers.iter().flatten().enumerate().map(move |(index, container)| {
            let role = match list {
                "initContainers" if &*container.restart_policy == "Always" => {
                    ContainerRole::Sidecar
                }
                "initContainers" => ContainerRole::Init,
                "containers" => ContainerRole::App,
                _ => ContainerRole::Ephemeral,
            };
            PlacedContainer { role, container, list, index }
        })
    })
}
