//! What the two probe rules share: who needs a probe, and what to write.

use super::super::object::Container;
use super::super::rule::{Breach, Role, containers};
use super::super::workload::Subject;

/// Reports each container that should have a probe and has none.
///
/// A pod that runs to completion is watched by its exit code, and an init or
/// ephemeral container serves nobody, so none of them is asked for one.
pub fn require(
    subject: &Subject<'_>,
    field: &str,
    has_probe: fn(&Container<'_>) -> bool,
    breaches: &mut Vec<Breach>,
) {
    if subject.runs_to_completion() {
        return;
    }
    for place in containers(subject.spec) {
        let serves = matches!(place.role, Role::App | Role::Sidecar);
        if serves && !has_probe(place.container) {
            let port = probed_port(place.container);
            breaches.push(Breach {
                container: Some((*place.container.name).to_owned()),
                path: place.path(subject, field),
                value: None,
                problem: "is missing".to_owned(),
                remedy: format!("add one, such as {field}: {{tcpSocket: {{port: {port}}}}}"),
            });
        }
    }
}

/// The first TCP port the container declares, so that the remedy can be copied.
fn probed_port(container: &Container<'_>) -> i32 {
    let ports = container.ports.iter().flatten();
    let mut tcp = ports.filter(|port| matches!(&*port.protocol, "" | "TCP"));
    tcp.next().map_or(8080, |port| port.container_port)
}
