//! Pods with every interesting value of every field that Pod Security reads: each alone, in each list of containers and
//! in several kinds of pods, and in combination. The API server's validation refuses many of them; those are not
//! compared.

use serde_json::{Value, json};

/// A pod of the corpus.
#[derive(Clone, Debug)]
pub struct Case {
    /// The base pod and the changes, for people.
    pub what: String,
    /// The changes, without their container.
    pub changes: Vec<String>,
    pub pod: Value,
}

/// A field, as a JSON pointer from the container or the pod, and its values.
pub type Field = (&'static str, Vec<Value>);

pub const CONTAINERS: [&str; 4] = [
    "/spec/initContainers/0",
    "/spec/initContainers/1",
    "/spec/containers/0",
    "/spec/containers/1",
];

/// Every pod.
pub fn pods() -> Vec<Case> {
    let mut cases = Vec::new();
    for (index, (name, pod)) in bases().into_iter().enumerate() {
        let base = Case { what: name.to_owned(), changes: Vec::new(), pod };
        // Two bases are changed in every container, the others in one container of each list.
        let containers = CONTAINERS.into_iter().step_by(if index < 2 { 1 } else { 2 });
        for (field, values) in container_fields() {
            for container in containers.clone() {
                let each = values.iter().map(|value| base.with(container, field, value));
                cases.extend(each);
            }
        }
        for (field, values) in pod_fields() {
            cases.extend(values.iter().map(|value| base.with("", field, value)));
        }
        cases.push(base);
    }
    cases.extend(inherited());
    cases.extend(pairs());
    cases
}

/// Debug containers to add to a running pod. They have no ports, probes or hooks.
pub fn ephemeral_containers() -> Vec<Case> {
    let pod = json!({"name": "debug", "image": "busybox:1.37"});
    let bare = Case { what: "bare".to_owned(), changes: Vec::new(), pod };
    let hardened = ["allowPrivilegeEscalation", "capabilities"].into_iter().fold(
        Case { what: "hardened".to_owned(), ..bare.clone() },
        |case, field| {
            let path = format!("/securityContext/{field}");
            Case { changes: Vec::new(), ..case.with("", &path, &hardened_context()[field]) }
        },
    );
    let mut cases = Vec::new();
    for base in [bare, hardened] {
        let fields = container_fields().into_iter();
        for (field, values) in fields.filter(|(field, _)| field.starts_with("/securityContext")) {
            cases.extend(values.iter().map(|value| base.with("", field, value)));
        }
        cases.push(base);
    }
    cases
}

impl Case {
    fn with(&self, container: &str, field: &str, value: &Value) -> Self {
        let mut case = self.clone();
        set(&mut case.pod, &format!("{container}{field}"), value);
        case.what = format!("{} + {container}{field} = {value}", case.what);
        case.changes.push(format!("{field} = {value}"));
        case
    }
}

/// Sets a value at a JSON pointer, and creates missing parents. `-` is a new item of a list.
pub fn set(at: &mut Value, pointer: &str, value: &Value) {
    let Some((_, rest)) = pointer.split_once('/') else {
        *at = value.clone();
        return;
    };
    let (step, below) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let child = match (step, step.parse::<usize>()) {
        (_, Ok(index)) => &mut at[index],
        ("-", _) => {
            if at.is_null() {
                *at = json!([]);
            }
            let items = at.as_array_mut().unwrap();
            items.push(Value::Null);
            items.last_mut().unwrap()
        }
        _ => &mut at[step],
    };
    set(child, below, value);
}

fn hardened_context() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"},
    })
}

/// The base pods.
pub fn bases() -> Vec<(&'static str, Value)> {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "case"},
        "spec": {
            "automountServiceAccountToken": false,
            "initContainers": [
                {"name": "init", "image": "busybox:1.37"},
                {"name": "proxy", "image": "envoy:1.36", "restartPolicy": "Always"},
            ],
            "containers": [
                {"name": "web", "image": "nginx:1.29"},
                {"name": "worker", "image": "busybox:1.37"},
            ],
        },
    });
    let base = |changes: &[(&str, Value)]| {
        let mut pod = pod.clone();
        for (pointer, value) in changes {
            set(&mut pod, pointer, value);
        }
        pod
    };
    let shared = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
    let own = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    let fields = CONTAINERS.map(|container| format!("{container}/securityContext"));
    let each = |context: &Value| fields.each_ref().map(|field| (field.as_str(), context.clone()));
    let hardened = [&each(&own)[..], &[("/spec/securityContext", shared.clone())]].concat();
    let with = |more: &[(&'static str, Value)]| base(&[&hardened[..], more].concat());
    let port = json!([{"containerPort": 8080}]);
    let host_process = json!({"hostProcess": true, "runAsUserName": "NT AUTHORITY\\SYSTEM"});
    vec![
        ("bare", base(&[])),
        ("hardened by the pod", with(&[])),
        ("hardened by its containers", base(&each(&hardened_context()))),
        ("in a user namespace", with(&[("/spec/hostUsers", json!(false))])),
        (
            "in the node's network",
            with(&[
                ("/spec/hostNetwork", json!(true)),
                ("/spec/containers/0/ports", port.clone()),
                ("/spec/initContainers/1/ports", json!([{"containerPort": 8081}])),
            ]),
        ),
        (
            "of Windows",
            base(&[
                ("/spec/os", json!({"name": "windows"})),
                ("/spec/securityContext/runAsNonRoot", json!(true)),
            ]),
        ),
        (
            "of Windows, as processes of the node",
            base(&[
                ("/spec/os", json!({"name": "windows"})),
                ("/spec/hostNetwork", json!(true)),
                ("/spec/securityContext/windowsOptions", host_process),
            ]),
        ),
    ]
}

pub fn container_fields() -> Vec<Field> {
    let mut fields = both_fields();
    let adding = ["AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD"];
    let more = ["NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"];
    let other = ["NET_RAW", "NET_ADMIN", "SYS_ADMIN", "CAP_SYS_ADMIN", "ALL", "chown", "CAP_CHOWN"];
    let one = [&adding[..], &more, &other].concat().into_iter().map(|name| json!([name]));
    let lists = [
        json!(null),
        json!([]),
        json!(["NET_BIND_SERVICE", "CHOWN"]),
        json!(["CAP_NET_BIND_SERVICE"]),
        json!(["CHOWN", "NET_RAW", "SYS_TIME"]),
    ];
    fields.extend([
        ("/securityContext", vec![json!(null), json!({})]),
        ("/securityContext/privileged", vec![json!(true), json!(false)]),
        (
            "/securityContext/allowPrivilegeEscalation",
            vec![json!(true), json!(false), json!(null)],
        ),
        ("/securityContext/capabilities", vec![json!(null), json!({})]),
        ("/securityContext/capabilities/add", one.chain(lists).collect()),
        (
            "/securityContext/capabilities/drop",
            vec![
                json!(null),
                json!([]),
                json!(["ALL"]),
                json!(["all"]),
                json!(["CAP_ALL"]),
                json!(["NET_RAW"]),
                json!(["NET_RAW", "ALL"]),
            ],
        ),
        ("/securityContext/procMount", vec![json!(null), json!("Default"), json!("Unmasked")]),
        (
            "/ports",
            vec![
                json!([]),
                json!([{"containerPort": 9080}]),
                json!([{"containerPort": 9080, "hostPort": 0}]),
                json!([{"containerPort": 9080, "hostPort": 9080}]),
                json!([{"containerPort": 9081, "name": "a"}, {"containerPort": 9082, "hostPort": 9082, "protocol": "UDP"}]),
            ],
        ),
    ]);
    let hosts = [json!(null), json!(""), json!("127.0.0.1"), json!("example.com")];
    let asking = |protocol: &'static str| {
        let hosts = hosts.iter();
        hosts.map(move |host| json!({protocol: {"host": host, "port": 8080}})).collect::<Vec<_>>()
    };
    let grpc = json!({"grpc": {"port": 8080}});
    let exec = json!({"exec": {"command": ["true"]}});
    for probe in ["/livenessProbe", "/readinessProbe", "/startupProbe"] {
        let all = [asking("httpGet"), asking("tcpSocket"), vec![grpc.clone(), exec.clone()]];
        fields.push((probe, all.concat()));
    }
    for hook in ["/lifecycle/postStart", "/lifecycle/preStop"] {
        let all = [asking("httpGet"), asking("tcpSocket"), vec![exec.clone()]];
        fields.push((hook, all.concat()));
    }
    fields
}

pub fn pod_fields() -> Vec<Field> {
    let flags = || vec![json!(true), json!(false), json!(null)];
    let mut fields: Vec<Field> = vec![
        ("/spec/securityContext", vec![json!(null), json!({})]),
        ("/spec/hostNetwork", flags()),
        ("/spec/hostPID", flags()),
        ("/spec/hostIPC", flags()),
        ("/spec/hostUsers", flags()),
        ("/spec/shareProcessNamespace", vec![json!(true)]),
        ("/spec/os", vec![json!(null), json!({"name": "linux"}), json!({"name": "windows"})]),
        ("/spec/nodeSelector", vec![json!({"kubernetes.io/os": "windows"})]),
        ("/spec/volumes/-", volumes()),
        ("/metadata/annotations", annotations()),
        ("/spec/securityContext/sysctls", sysctls()),
    ];
    for (field, values) in both_fields() {
        let path = match field.strip_prefix("/securityContext/").unwrap() {
            "runAsNonRoot" => "/spec/securityContext/runAsNonRoot",
            "runAsUser" => "/spec/securityContext/runAsUser",
            "seccompProfile" => "/spec/securityContext/seccompProfile",
            "appArmorProfile" => "/spec/securityContext/appArmorProfile",
            "seLinuxOptions" => "/spec/securityContext/seLinuxOptions",
            "windowsOptions" => "/spec/securityContext/windowsOptions",
            other => panic!("{other} is no field of a pod"),
        };
        fields.push((path, values));
    }
    fields
}

/// The fields that exist on the pod and on its containers.
fn both_fields() -> Vec<Field> {
    let types = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
    let types = types.into_iter().chain(["spc_t", "Container_t"]).map(|it| json!({"type": it}));
    let se_linux = [
        json!(null),
        json!({}),
        json!({"level": "s0:c123,c456"}),
        json!({"user": "system_u"}),
        json!({"role": "system_r"}),
        json!({"user": "", "role": "", "type": "container_t"}),
        json!({"user": "u", "role": "r", "type": "t"}),
    ];
    vec![
        ("/securityContext/runAsNonRoot", vec![json!(true), json!(false), json!(null)]),
        ("/securityContext/runAsUser", vec![json!(0), json!(1), json!(65534), json!(null)]),
        ("/securityContext/seccompProfile", profiles()),
        ("/securityContext/appArmorProfile", profiles()),
        ("/securityContext/seLinuxOptions", types.chain(se_linux).collect()),
        (
            "/securityContext/windowsOptions",
            vec![
                json!(null),
                json!({}),
                json!({"hostProcess": false}),
                json!({"hostProcess": true}),
                json!({"runAsUserName": "ContainerUser"}),
            ],
        ),
    ]
}

/// The profiles of seccomp and AppArmor.
fn profiles() -> Vec<Value> {
    vec![
        json!(null),
        json!({"type": "RuntimeDefault"}),
        json!({"type": "Localhost", "localhostProfile": "mine"}),
        json!({"type": "Unconfined"}),
    ]
}

fn annotations() -> Vec<Value> {
    let mut all = vec![json!(null), json!({}), json!({"other": "unconfined"})];
    for profile in ["runtime/default", "localhost/mine", "localhost/", "", "unconfined"] {
        for container in ["init", "web"] {
            let key = format!("container.apparmor.security.beta.kubernetes.io/{container}");
            all.push(json!({key: profile}));
        }
    }
    for profile in ["runtime/default", "docker/default", "localhost/mine", "unconfined"] {
        all.push(json!({"seccomp.security.alpha.kubernetes.io/pod": profile}));
        all.push(json!({"container.seccomp.security.alpha.kubernetes.io/web": profile}));
    }
    all
}

fn sysctls() -> Vec<Value> {
    let names = [
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
        "net.ipv4.tcp_mem",
        "net.ipv6.tcp_rmem",
        "net/ipv4/tcp_rmem",
        "net.core.somaxconn",
        "kernel.msgmax",
        "vm.overcommit_memory",
    ];
    let one = names.iter().map(|name| json!([{"name": name, "value": "1"}]));
    let all: Vec<_> = names.iter().map(|name| json!({"name": name, "value": "1"})).collect();
    one.chain([json!(null), json!([]), json!(all)]).collect()
}

/// Every kind of volume.
fn volumes() -> Vec<Value> {
    let claim = json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let sources = json!({
        "awsElasticBlockStore": {"volumeID": "vol-1"},
        "azureDisk": {"diskName": "d", "diskURI": "https://a.blob.core.windows.net/c/d.vhd"},
        "azureFile": {"secretName": "s", "shareName": "s"},
        "cephfs": {"monitors": ["m"]},
        "cinder": {"volumeID": "v"},
        "configMap": {"name": "c"},
        "csi": {"driver": "example.com"},
        "downwardAPI": {},
        "emptyDir": {},
        "ephemeral": {"volumeClaimTemplate": claim},
        "fc": {"targetWWNs": ["w"], "lun": 0},
        "flexVolume": {"driver": "example.com/d"},
        "flocker": {"datasetName": "d"},
        "gcePersistentDisk": {"pdName": "p"},
        "gitRepo": {"repository": "https://example.com/r.git"},
        "glusterfs": {"endpoints": "e", "path": "p"},
        "hostPath": {"path": "/etc"},
        "image": {"reference": "models/llm:1"},
        "iscsi": {"targetPortal": "10.0.0.1", "iqn": "iqn.2001-04.com.example:storage", "lun": 0},
        "nfs": {"server": "n", "path": "/p"},
        "persistentVolumeClaim": {"claimName": "c"},
        "photonPersistentDisk": {"pdID": "p"},
        "portworxVolume": {"volumeID": "v"},
        "projected": {"sources": []},
        "quobyte": {"registry": "q:1", "volume": "v"},
        "rbd": {"monitors": ["m"], "image": "i"},
        "scaleIO": {"gateway": "g", "system": "s", "secretRef": {"name": "s"}, "volumeName": "v"},
        "secret": {"secretName": "s"},
        "storageos": {"volumeName": "v"},
        "vsphereVolume": {"volumePath": "v"},
    });
    let kinds = sources.as_object().unwrap().iter();
    let given = kinds.map(|(kind, source)| json!({"name": "data", kind: source}));
    // A volume without a source is an emptyDir.
    given.chain([json!({"name": "data"}), json!({"name": "data", "hostPath": null})]).collect()
}

/// Fields that containers inherit from the pod: the values at both levels, in two containers.
fn inherited() -> Vec<Case> {
    let flags = vec![json!(null), json!(true), json!(false)];
    let fields = [
        ("/securityContext/runAsNonRoot", flags),
        ("/securityContext/runAsUser", vec![json!(null), json!(0), json!(1000)]),
        ("/securityContext/seccompProfile", profiles()),
        ("/securityContext/appArmorProfile", profiles()),
        (
            "/securityContext/seLinuxOptions",
            vec![
                json!(null),
                json!({"type": "container_t"}),
                json!({"type": "spc_t", "role": "r"}),
            ],
        ),
        (
            "/securityContext/windowsOptions",
            vec![json!(null), json!({"hostProcess": false}), json!({"hostProcess": true})],
        ),
    ];
    let mut cases = Vec::new();
    for (name, pod) in bases() {
        // A Windows pod accepts only the last of the fields, and only a Windows pod can be a host process.
        let of_windows = name.starts_with("of Windows");
        if !of_windows && !["bare", "hardened by the pod"].contains(&name) {
            continue;
        }
        let base = Case { what: name.to_owned(), changes: Vec::new(), pod };
        for (field, values) in
            fields.iter().filter(|it| it.0.ends_with("windowsOptions") == of_windows)
        {
            for of_pod in &values[..] {
                let pod = base.with("/spec", field, of_pod);
                for of_web in values {
                    let web = pod.with("/spec/containers/0", field, of_web);
                    let init = |value| web.with("/spec/initContainers/0", field, value);
                    cases.extend(values.iter().map(init));
                }
            }
        }
    }
    cases
}

/// Two violations, or a violation and an exception, in one pod.
fn pairs() -> Vec<Case> {
    let context = |field: &str| format!("/spec/containers/0/securityContext/{field}");
    let init = |field: &str| format!("/spec/initContainers/0/securityContext/{field}");
    let changes = [
        ("/spec/hostNetwork".to_owned(), json!(true)),
        ("/spec/hostPID".to_owned(), json!(true)),
        ("/spec/hostIPC".to_owned(), json!(true)),
        ("/spec/hostUsers".to_owned(), json!(false)),
        ("/spec/hostUsers".to_owned(), json!(true)),
        ("/spec/os".to_owned(), json!({"name": "windows"})),
        ("/spec/volumes/-".to_owned(), json!({"name": "a", "hostPath": {"path": "/"}})),
        ("/spec/volumes/-".to_owned(), json!({"name": "b", "nfs": {"server": "n", "path": "/"}})),
        ("/spec/volumes/-".to_owned(), json!({"name": "c", "emptyDir": {}})),
        ("/spec/securityContext".to_owned(), json!(null)),
        (
            "/spec/securityContext/sysctls".to_owned(),
            json!([{"name": "kernel.msgmax", "value": "1"}]),
        ),
        ("/spec/securityContext/runAsNonRoot".to_owned(), json!(false)),
        ("/spec/securityContext/runAsUser".to_owned(), json!(0)),
        ("/spec/securityContext/seccompProfile".to_owned(), json!({"type": "Unconfined"})),
        ("/spec/securityContext/appArmorProfile".to_owned(), json!({"type": "Unconfined"})),
        ("/spec/securityContext/seLinuxOptions".to_owned(), json!({"user": "u"})),
        (
            "/metadata/annotations".to_owned(),
            json!({"container.apparmor.security.beta.kubernetes.io/web": "unconfined"}),
        ),
        ("/spec/containers/0/ports".to_owned(), json!([{"containerPort": 80, "hostPort": 80}])),
        ("/spec/containers/1/ports".to_owned(), json!([{"containerPort": 81}])),
        (
            "/spec/containers/0/livenessProbe".to_owned(),
            json!({"tcpSocket": {"host": "10.0.0.1", "port": 80}}),
        ),
        (
            "/spec/initContainers/1/lifecycle/preStop".to_owned(),
            json!({"httpGet": {"host": "10.0.0.2", "port": 80}}),
        ),
        (context("privileged"), json!(true)),
        (context("allowPrivilegeEscalation"), json!(null)),
        (context("allowPrivilegeEscalation"), json!(true)),
        (context("capabilities"), json!(null)),
        (context("capabilities/add"), json!(["NET_ADMIN", "CHOWN"])),
        (context("capabilities/drop"), json!(["NET_RAW"])),
        (context("procMount"), json!("Unmasked")),
        (context("runAsNonRoot"), json!(false)),
        (context("runAsNonRoot"), json!(true)),
        (context("runAsUser"), json!(0)),
        (context("seccompProfile"), json!({"type": "Unconfined"})),
        (context("seccompProfile"), json!({"type": "RuntimeDefault"})),
        (context("appArmorProfile"), json!({"type": "RuntimeDefault"})),
        (context("seLinuxOptions"), json!({"type": "spc_t"})),
        (init("privileged"), json!(true)),
        (init("allowPrivilegeEscalation"), json!(null)),
        (init("capabilities/add"), json!(["SYS_TIME"])),
        (init("runAsUser"), json!(0)),
        (init("seccompProfile"), json!({"type": "Localhost", "localhostProfile": "mine"})),
    ];
    let (name, pod) = bases().swap_remove(1);
    let base = Case { what: name.to_owned(), changes: Vec::new(), pod };
    let mut cases = Vec::new();
    for (index, (first, value)) in changes.iter().enumerate() {
        let once = base.with("", first, value);
        let more = changes[index + 1..].iter();
        cases.extend(more.map(|(second, value)| once.with("", second, value)));
    }
    cases
}
