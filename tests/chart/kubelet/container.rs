//! The process of a container: the real binary instead of the image's entrypoint, with everything else as in the pod's
//! spec.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::File;
use std::net::SocketAddrV4;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt;

use super::super::netns::Network;

/// Where podgate's pods may have mounts, which exist only in the tests' mount namespace.
const MOUNTABLE: [&str; 2] = ["/run/", "/var/run/"];
/// `USER` of the image.
const IMAGES_USER: i64 = 65532;
/// Runs in the pod's mount namespace: mounts, makes the root read-only if the pod asks for it, switches to the pod's
/// user, and executes the binary.
const INIT: &str = r#"
set -e
mounts=$1 read_only=$2 user=$3; shift 3
while read -r from to; do [ -z "$to" ] || { mkdir -p "$to"; mount --bind "$from" "$to"; }; done <"$mounts"
[ "$read_only" = false ] || mount -o remount,bind,ro /
[ -z "$user" ] || set -- setpriv --reuid="$user" --regid="$user" --clear-groups --no-new-privs --bounding-set=-all "$@"
exec "$@"
"#;

/// The inputs of a container's process.
pub struct Spec<'a> {
    pub pod: &'a Pod,
    pub network: &'a Network,
    pub binary: &'a Path,
    pub api_server: SocketAddrV4,
    /// The folder with a folder for each volume.
    pub volumes: &'a Path,
    pub log: &'a Path,
}

pub fn start(spec: &Spec<'_>) -> Child {
    let pod = spec.pod.spec.as_ref().unwrap();
    let container = &pod.containers[0];
    let env = environment(spec);
    let mut mounts = String::new();
    for mount in container.volume_mounts.iter().flatten() {
        let to = &mount.mount_path;
        assert!(
            MOUNTABLE.iter().any(|dir| to.starts_with(dir)),
            "{to}: this kubelet mounts only below {MOUNTABLE:?}"
        );
        writeln!(mounts, "{} {to}", spec.volumes.join(&mount.name).display()).unwrap();
    }
    let list = spec.volumes.join("mounts");
    std::fs::write(&list, mounts).unwrap();
    let security = container.security_context.as_ref();
    let read_only = security.and_then(|it| it.read_only_root_filesystem).unwrap_or(false);
    let mut command = spec.network.command();
    command.args(["/bin/sh", "-c", INIT, "sh"]).arg(list).arg(read_only.to_string());
    command.arg(user(pod.security_context.as_ref().and_then(|it| it.run_as_user), container));
    command.arg(spec.binary);
    command.args(container.args.iter().flatten().map(|arg| expanded(arg, &env)));
    let log = File::options().create(true).append(true).open(spec.log).unwrap();
    command
        .envs(env)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .process_group(0)
        .spawn()
        .unwrap()
}

/// The container's user, by default the image's. It applies only if the tests may change users.
fn user(of_pod: Option<i64>, container: &Container) -> String {
    let own = container.security_context.as_ref().and_then(|it| it.run_as_user);
    let mapped = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    let all = mapped.split_whitespace().last().is_some_and(|count| count.len() > 5);
    let user = own.or(of_pod).unwrap_or(IMAGES_USER);
    if all { user.to_string() } else { String::new() }
}

fn environment(spec: &Spec<'_>) -> BTreeMap<String, String> {
    let (host, port) = (spec.api_server.ip().to_string(), spec.api_server.port().to_string());
    let mut env = BTreeMap::from([
        ("KUBERNETES_SERVICE_HOST".to_owned(), host),
        ("KUBERNETES_SERVICE_PORT".to_owned(), port),
        ("HOSTNAME".to_owned(), spec.pod.name_any()),
    ]);
    let container = &spec.pod.spec.as_ref().unwrap().containers[0];
    assert!(
        container.env_from.as_ref().is_none_or(Vec::is_empty),
        "this kubelet does not support envFrom"
    );
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            None => expanded(variable.value.as_deref().unwrap_or_default(), &env),
            Some(source) => {
                let field_ref = source.field_ref.as_ref();
                let path = &field_ref
                    .expect("this kubelet supports only variables with value or fieldRef")
                    .field_path;
                field(spec.pod, path, &spec.network.address.to_string())
            }
        };
        env.insert(variable.name.clone(), value);
    }
    env
}

/// A text with each `$(NAME)` of the environment replaced, as Kubernetes does; `$$` is a dollar.
fn expanded(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out += &rest[..at];
        rest = &rest[at + 1..];
        let name = rest.strip_prefix('(').and_then(|it| it.split_once(')'));
        match (rest.strip_prefix('$'), name.and_then(|(name, after)| Some((env.get(name)?, after))))
        {
            (Some(after), _) => (out, rest) = (out + "$", after),
            (None, Some((value, after))) => (out, rest) = (out + value, after),
            (None, None) => out.push('$'),
        }
    }
    out + rest
}

/// A field of a pod, as the downward API gives it.
pub fn field(pod: &Pod, path: &str, address: &str) -> String {
    let spec = pod.spec.as_ref().unwrap();
    match path {
        "metadata.name" => pod.name_any(),
        "metadata.namespace" => pod.namespace().unwrap(),
        "metadata.uid" => pod.uid().unwrap(),
        "spec.nodeName" => spec.node_name.clone().unwrap_or_default(),
        "spec.serviceAccountName" => spec.service_account_name.clone().unwrap_or_default(),
        "status.podIP" | "status.podIPs" => address.to_owned(),
        other => panic!("this kubelet does not support the field {other}"),
    }
}

/// The exit code as a container runtime reports it.
pub fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// Sends SIGTERM to a process, by its id.
pub fn terminate(child: &Child) {
    let _ = Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status();
}
