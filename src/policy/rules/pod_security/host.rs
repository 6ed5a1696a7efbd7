//! Namespaces, ports and network positions that a pod shares with its node.

use super::super::super::containers::{PlacedContainer, containers};
use super::super::super::object::{Container, Handler, List};
use super::super::super::rule::Breach;
use super::super::super::subject::Subject;
use super::super::super::vap::form::CelFinding;
use super::field::{Context, Field, contexts, shown_beside};

/// `hostNamespaces`: in the namespaces of the node, a pod sees the node's traffic, processes and shared memory.
pub fn namespaces(subject: &Subject<'_>) -> Vec<Breach> {
    let spec = subject.spec;
    let shared = [
        ("spec.hostNetwork", spec.host_network),
        ("spec.hostPID", spec.host_pid),
        ("spec.hostIPC", spec.host_ipc),
    ];
    let shared = shared.into_iter().filter(|(_, shared)| *shared == Some(true));
    shared
        .map(|(path, _)| Field::of_pod(subject, path).true_breach("remove it, or set it to false"))
        .collect()
}

/// `hostPorts`: a port of the node bypasses network policies, and only one pod per node can have it. In a pod with
/// `hostNetwork`, the API server sets a missing `hostPort` to the `containerPort`, so a template is judged as its pods
/// will be.
pub fn ports(subject: &Subject<'_>) -> Vec<Breach> {
    let mut found = Vec::new();
    for place in containers(subject.spec) {
        let shown = shown_beside(found.len());
        found.extend(of_container_ports(subject, place).take(shown));
        if place.container.ports.as_ref().is_some_and(List::is_cut) {
            found.push(Field::of_container(subject, &place, "ports").too_long());
        }
    }
    found
}

fn of_container_ports<'a>(
    subject: &'a Subject<'_>,
    place: PlacedContainer<'a>,
) -> impl Iterator<Item = Breach> {
    let host_network = subject.spec.host_network == Some(true);
    place.container.ports.iter().flatten().enumerate().filter_map(move |(index, port)| {
        let given = port.host_port.filter(|port| *port != 0);
        let (field, number) = match given {
            Some(number) => ("hostPort", number),
            None if host_network && port.container_port != 0 => {
                ("containerPort", port.container_port)
            }
            None => return None,
        };
        let (why, remedy) = if host_network {
            (", which hostNetwork makes a port of the node", "remove hostNetwork and hostPort")
        } else {
            ("", "remove it")
        };
        let field = Field::of_container(subject, &place, &format!("ports[{index}].{field}"));
        let remedy = format!("{remedy}, and reach the pod through a Service");
        Some(field.breach(Some(&number.to_string()), format!("is {number}{why}"), remedy))
    })
}

/// `hostProbesAndHostLifecycle`: the kubelet sends probes from the node's network, so a host that the pod chooses could
/// be an address that only the node can reach.
pub fn probes_and_lifecycle(subject: &Subject<'_>) -> Vec<Breach> {
    let mut found = Vec::new();
    for place in containers(subject.spec) {
        let shown = shown_beside(found.len());
        found.extend(of_container_hosts(subject, place).take(shown));
    }
    found
}

fn of_container_hosts<'a>(
    subject: &'a Subject<'_>,
    place: PlacedContainer<'a>,
) -> impl Iterator<Item = Breach> {
    let endpoints = handlers(place.container).flat_map(|(name, handler)| {
        let both = [("httpGet", &handler.http_get), ("tcpSocket", &handler.tcp_socket)];
        both.map(|(protocol, endpoint)| (name, protocol, endpoint))
    });
    endpoints.filter_map(move |(name, protocol, endpoint)| {
        let host = &*endpoint.as_ref()?.host;
        (!host.is_empty()).then(|| {
            let path = format!("{name}.{protocol}.host");
            let remedy = "remove it: without a host, the container itself is asked";
            Field::of_container(subject, &place, &path).value_breach(host, remedy)
        })
    })
}

/// The probes and hooks of a container, with their field paths.
fn handlers<'a>(
    container: &'a Container<'a>,
) -> impl Iterator<Item = (&'static str, &'a Handler<'a>)> {
    let hooks = container.lifecycle.as_deref();
    let all = [
        ("livenessProbe", container.liveness_probe.as_deref()),
        ("readinessProbe", container.readiness_probe.as_deref()),
        ("startupProbe", container.startup_probe.as_deref()),
        ("lifecycle.postStart", hooks.and_then(|it| it.post_start.as_ref())),
        ("lifecycle.preStop", hooks.and_then(|it| it.pre_stop.as_ref())),
    ];
    all.into_iter().filter_map(|(name, handler)| Some((name, handler?)))
}

/// `windowsHostProcess`: a host process container runs as a process of the node.
pub fn windows_process(subject: &Subject<'_>) -> Vec<Breach> {
    let is_process = |context: &Context<'_>| {
        let options = context.settings.windows_options.as_ref();
        options.is_some_and(|options| options.host_process == Some(true))
    };
    contexts(subject)
        .filter(is_process)
        .map(|context| {
            let field = context.field(subject, "windowsOptions.hostProcess");
            field.true_breach("remove it, or set it to false")
        })
        .collect()
}

pub fn namespaces_in_cel() -> Vec<CelFinding> {
    let shared = ["hostNetwork", "hostPID", "hostIPC"].map(|field| {
        let found =
            CelFinding::of_pod(&format!("spec.{field}"), format!("p.spec.?{field}.orValue(false)"));
        found.is_true().remedy("remove it, or set it to false")
    });
    shared.into()
}

pub fn ports_in_cel() -> Vec<CelFinding> {
    let network = "p.spec.?hostNetwork.orValue(false)";
    let is_of_node =
        format!("(y.?hostPort.orValue(0) != 0 || {network} && y.?containerPort.orValue(0) != 0)");
    // Kubernetes 1.33 cannot flatten lists, so the places of the ports go through a text: `CONTAINER:PORT,…`.
    let places = format!(
        "p.cs.transformList(i, c, c.c.?ports.orValue([]).transformList(k, y, {is_of_node}, string(i) + ':' + string(k))\
         .join(',')).join(',').split(',').filter(s, s != '').map(s, s.split(':')).map(s, \
         [p.cs[int(s[0])]].map(c, {{'at': c.at, 'pt': c.pt, 'n': c.n, 'im': c.?im.orValue(dyn('')), 'k': dyn(int(s[1])), \
         'y': c.c.ports[int(s[1])]}})[0])"
    );
    let given = "x.y.?hostPort.orValue(0) != 0";
    let number = format!("string({given} ? x.y.hostPort : x.y.containerPort)");
    let found = CelFinding::of_containers("true")
        .each(places)
        .at_path(format!("x.at + 'ports[' + string(x.k) + '].' + ({given} ? 'hostPort' : 'containerPort')"))
        .because(
            number.clone(),
            format!("'is ' + {number} + ({network} ? ', which hostNetwork makes a port of the node' : '')"),
        )
        .remedy_of(format!(
            "({network} ? 'remove hostNetwork and hostPort' : 'remove it') + ', and reach the pod through a Service'"
        ));
    vec![found]
}

pub fn probes_and_lifecycle_in_cel() -> Vec<CelFinding> {
    let names = [
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "lifecycle.postStart",
        "lifecycle.preStop",
    ];
    let found = names.into_iter().flat_map(|name| {
        ["httpGet", "tcpSocket"].map(|protocol| {
            let host = format!("x.c.?{}.?{protocol}.?host.orValue('')", name.replace('.', ".?"));
            CelFinding::of_containers(format!("{host} != ''"))
                .at(&format!("{name}.{protocol}.host"))
                .holding(&host)
                .remedy("remove it: without a host, the container itself is asked")
        })
    });
    found.collect()
}

pub fn windows_process_in_cel() -> Vec<CelFinding> {
    let found = CelFinding::of_contexts("x.sc.?windowsOptions.?hostProcess.orValue(false)");
    vec![found.at("windowsOptions.hostProcess").is_true().remedy("remove it, or set it to false")]
}

#[cfg(test)]
mod tests {
    use super::super::testing::baseline;

    #[test]
    fn each_namespace_of_the_node_is_a_breach() {
        for (field, passes) in [
            (r#""hostNetwork": true"#, false),
            (r#""hostPID": true"#, false),
            (r#""hostIPC": true"#, false),
            (r#""hostNetwork": false, "hostPID": false, "hostIPC": null"#, true),
            (r#""shareProcessNamespace": true"#, true),
            (r#""hostUsers": true"#, true),
        ] {
            let spec = format!(r#"{{"containers": [{{"name": "web"}}], {field}}}"#);
            let name = field.split('"').nth(1).unwrap();
            let expected =
                format!("hostNamespaces: spec.{name} is true; remove it, or set it to false");
            let expected = if passes { vec![] } else { vec![expected] };
            assert_eq!(baseline(&spec), expected);
        }
    }

    #[test]
    fn a_port_of_the_node_is_a_breach_and_zero_is_none() {
        let spec = r#"{
            "initContainers": [{"name": "init", "ports": [{"containerPort": 1, "hostPort": 1001}]}],
            "containers": [{"name": "web", "ports": [
                {"containerPort": 80}, {"containerPort": 81, "hostPort": 0}, {"containerPort": 82, "hostPort": 8082}
            ]}]
        }"#;
        assert_eq!(
            baseline(spec),
            [
                "hostPorts: spec.initContainers[0].ports[0].hostPort is 1001; remove it, and reach the pod through a Service",
                "hostPorts: spec.containers[0].ports[2].hostPort is 8082; remove it, and reach the pod through a Service",
            ]
        );
    }

    #[test]
    fn host_network_makes_every_port_one_of_the_node_as_the_api_server_will() {
        let submitted = r#"{"hostNetwork": true, "containers": [{"name": "web", "ports": [{"containerPort": 80}]}]}"#;
        let defaulted = submitted.replace("80", r#"80, "hostPort": 80"#);
        for (spec, field) in [(submitted, "containerPort"), (&defaulted, "hostPort")] {
            let sentence = "is 80, which hostNetwork makes a port of the node; \
                remove hostNetwork and hostPort, and reach the pod through a Service";
            assert_eq!(
                baseline(spec),
                [
                    "hostNamespaces: spec.hostNetwork is true; remove it, or set it to false"
                        .to_owned(),
                    format!("hostPorts: spec.containers[0].ports[0].{field} {sentence}"),
                ]
            );
        }
    }

    #[test]
    fn a_probe_or_hook_that_names_a_host_is_a_breach() {
        for handler in [
            "livenessProbe",
            "readinessProbe",
            "startupProbe",
            "lifecycle.postStart",
            "lifecycle.preStop",
        ] {
            for protocol in ["httpGet", "tcpSocket"] {
                for (host, passes) in [(r#""10.0.0.1""#, false), (r#""""#, true), ("null", true)] {
                    let inner = format!(r#"{{"{protocol}": {{"host": {host}, "port": 80}}}}"#);
                    let fields = handler
                        .rsplit('.')
                        .fold(inner, |inner, name| format!(r#"{{"{name}": {inner}}}"#));
                    let container = format!(r#"{{"name": "web", {}"#, &fields[1..]);
                    let spec = format!(r#"{{"containers": [{container}]}}"#);
                    let expected = format!(
                        "hostProbesAndHostLifecycle: spec.containers[0].{handler}.{protocol}.host is \"10.0.0.1\"; \
                         remove it: without a host, the container itself is asked"
                    );
                    let expected = if passes { vec![] } else { vec![expected] };
                    assert_eq!(baseline(&spec), expected);
                }
            }
        }
    }

    #[test]
    fn a_process_of_a_windows_node_is_a_breach_in_the_pod_and_in_a_container() {
        let context = r#""securityContext": {"windowsOptions": {"hostProcess": true}}"#;
        let spec = format!(
            r#"{{{context}, "containers": [{{"name": "web", {context}}}, {{"name": "b"}}]}}"#
        );
        let sentence = "windowsOptions.hostProcess is true; remove it, or set it to false";
        assert_eq!(
            baseline(&spec),
            [
                format!("windowsHostProcess: spec.securityContext.{sentence}"),
                format!("windowsHostProcess: spec.containers[0].securityContext.{sentence}"),
            ]
        );
        assert!(baseline(&spec.replace("true", "false")).is_empty());
    }
}
