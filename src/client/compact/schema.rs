//! The fields of pods and workloads that podgate reads, with their numbers from `generated.proto` of `k8s.io/api` and
//! `k8s.io/apimachinery` and their JSON names. Numbers never change their meaning. A field that a rule begins to read
//! is added here and in the audit's mask; the suite `compact` compares both encodings of an API server.

/// A field of a message.
pub(super) struct Field {
    pub tag: u32,
    pub name: &'static str,
    pub shape: Shape,
}

/// How a field's value becomes JSON.
pub(super) enum Shape {
    Text,
    Number,
    Flag,
    /// A pointer in Go: written even if it is empty, 0 or false.
    Pointer(&'static Shape),
    Message(&'static [Field]),
    /// Any message, as `{}`.
    Present,
    /// A message whose members belong to the object around it.
    Inline(&'static [Field]),
    /// The same; a member that is not known here is written as `{}`, named by its number, since a rule forbids what it
    /// does not know.
    Open(&'static [Field]),
    List(&'static Shape),
    Map(&'static Shape),
    Quantity,
    /// In whole seconds, the API server's resolution.
    Time,
}

use Shape::{
    Flag, Inline, List, Map, Message, Number, Open, Pointer, Present, Quantity, Text, Time,
};

const fn field(tag: u32, name: &'static str, shape: Shape) -> Field {
    Field { tag, name, shape }
}

/// An object with these fields in its spec and its status.
const fn object_of(spec: &'static [Field], status: &'static [Field]) -> [Field; 3] {
    [
        field(1, "metadata", Message(METADATA)),
        field(2, "spec", Message(spec)),
        field(3, "status", Message(status)),
    ]
}

/// The fields of an object of a kind; `None` for a kind that podgate does not read as protobuf.
pub(super) fn object(kind: &str) -> Option<&'static [Field]> {
    Some(match kind {
        "Pod" => POD,
        "Deployment" => DEPLOYMENT,
        "StatefulSet" => STATEFUL_SET,
        "DaemonSet" => DAEMON_SET,
        "ReplicaSet" | "ReplicationController" => REPLICAS,
        "Job" => JOB,
        "CronJob" => CRON_JOB,
        "Status" => STATUS,
        _ => return None,
    })
}

pub(super) const LIST_METADATA: &[Field] =
    &[field(2, "resourceVersion", Text), field(3, "continue", Text)];

const STATUS: &[Field] = &[
    field(1, "metadata", Message(LIST_METADATA)),
    field(2, "status", Text),
    field(3, "message", Text),
    field(4, "reason", Text),
    field(
        5,
        "details",
        Message(&[
            field(1, "name", Text),
            field(2, "group", Text),
            field(3, "kind", Text),
            field(5, "retryAfterSeconds", Number),
        ]),
    ),
    field(6, "code", Number),
];

const METADATA: &[Field] = &[
    field(1, "name", Text),
    field(2, "generateName", Text),
    field(3, "namespace", Text),
    field(6, "resourceVersion", Text),
    field(8, "creationTimestamp", Time),
    field(9, "deletionTimestamp", Time),
    field(11, "labels", Map(&Text)),
    field(12, "annotations", Map(&Text)),
    field(
        13,
        "ownerReferences",
        List(&Message(&[
            field(1, "kind", Text),
            field(3, "name", Text),
            field(5, "apiVersion", Text),
            field(6, "controller", Pointer(&Flag)),
        ])),
    ),
];

const POD: &[Field] = &object_of(
    POD_SPEC,
    &[
        field(1, "phase", Text),
        field(8, "containerStatuses", List(&Message(CONTAINER_STATUS))),
        field(10, "initContainerStatuses", List(&Message(CONTAINER_STATUS))),
    ],
);

const CONTAINER_STATUS: &[Field] =
    &[field(1, "name", Text), field(5, "restartCount", Pointer(&Number))];

const POD_SPEC: &[Field] = &[
    field(
        1,
        "volumes",
        List(&Message(&[field(1, "name", Text), field(2, "volumeSource", Open(VOLUME_SOURCE))])),
    ),
    field(2, "containers", List(&Message(CONTAINER))),
    field(3, "restartPolicy", Text),
    field(7, "nodeSelector", Map(&Text)),
    field(10, "nodeName", Text),
    field(11, "hostNetwork", Flag),
    field(12, "hostPID", Flag),
    field(13, "hostIPC", Flag),
    field(14, "securityContext", Message(POD_SECURITY_CONTEXT)),
    field(20, "initContainers", List(&Message(CONTAINER))),
    field(
        34,
        "ephemeralContainers",
        List(&Message(&[field(1, "ephemeralContainerCommon", Inline(CONTAINER))])),
    ),
    field(36, "os", Message(NAME)),
    field(37, "hostUsers", Pointer(&Flag)),
    field(38, "schedulingGates", List(&Present)),
    field(40, "resources", Message(RESOURCES)),
];

const NAME: &[Field] = &[field(1, "name", Text)];

const CONTAINER: &[Field] = &[
    field(1, "name", Text),
    field(2, "image", Text),
    field(
        6,
        "ports",
        List(&Message(&[
            field(2, "hostPort", Number),
            field(3, "containerPort", Pointer(&Number)),
            field(4, "protocol", Text),
        ])),
    ),
    field(8, "resources", Message(RESOURCES)),
    field(10, "livenessProbe", Message(PROBE)),
    field(11, "readinessProbe", Message(PROBE)),
    field(12, "lifecycle", Message(LIFECYCLE)),
    field(15, "securityContext", Message(SECURITY_CONTEXT)),
    field(22, "startupProbe", Message(PROBE)),
    field(24, "restartPolicy", Pointer(&Text)),
    field(
        25,
        "restartPolicyRules",
        List(&Message(&[field(
            2,
            "exitCodes",
            Message(&[field(1, "operator", Text), field(2, "values", List(&Number))]),
        )])),
    ),
];

const RESOURCES: &[Field] =
    &[field(1, "limits", Map(&Quantity)), field(2, "requests", Map(&Quantity))];

const PROBE: &[Field] = &[field(1, "handler", Inline(HANDLER))];
const LIFECYCLE: &[Field] =
    &[field(1, "postStart", Message(HANDLER)), field(2, "preStop", Message(HANDLER))];
const HANDLER: &[Field] = &[
    field(2, "httpGet", Message(&[field(3, "host", Text)])),
    field(3, "tcpSocket", Message(&[field(2, "host", Text)])),
];

const POD_SECURITY_CONTEXT: &[Field] = &[
    field(1, "seLinuxOptions", Message(SE_LINUX_OPTIONS)),
    field(2, "runAsUser", Pointer(&Number)),
    field(3, "runAsNonRoot", Pointer(&Flag)),
    field(7, "sysctls", List(&Message(NAME))),
    field(8, "windowsOptions", Message(WINDOWS_OPTIONS)),
    field(10, "seccompProfile", Message(PROFILE)),
    field(11, "appArmorProfile", Message(PROFILE)),
];

const SECURITY_CONTEXT: &[Field] = &[
    field(
        1,
        "capabilities",
        Message(&[field(1, "add", List(&Text)), field(2, "drop", List(&Text))]),
    ),
    field(2, "privileged", Pointer(&Flag)),
    field(3, "seLinuxOptions", Message(SE_LINUX_OPTIONS)),
    field(4, "runAsUser", Pointer(&Number)),
    field(5, "runAsNonRoot", Pointer(&Flag)),
    field(7, "allowPrivilegeEscalation", Pointer(&Flag)),
    field(9, "procMount", Pointer(&Text)),
    field(10, "windowsOptions", Message(WINDOWS_OPTIONS)),
    field(11, "seccompProfile", Message(PROFILE)),
    field(12, "appArmorProfile", Message(PROFILE)),
];

const SE_LINUX_OPTIONS: &[Field] = &[
    field(1, "user", Text),
    field(2, "role", Text),
    field(3, "type", Text),
    field(4, "level", Text),
];
const WINDOWS_OPTIONS: &[Field] = &[field(4, "hostProcess", Pointer(&Flag))];
const PROFILE: &[Field] = &[field(1, "type", Text)];

const VOLUME_SOURCE: &[Field] = &[
    field(1, "hostPath", Message(&[field(1, "path", Text)])),
    field(2, "emptyDir", Present),
    field(3, "gcePersistentDisk", Present),
    field(4, "awsElasticBlockStore", Present),
    field(5, "gitRepo", Present),
    field(6, "secret", Present),
    field(7, "nfs", Present),
    field(8, "iscsi", Present),
    field(9, "glusterfs", Present),
    field(10, "persistentVolumeClaim", Present),
    field(11, "rbd", Present),
    field(12, "flexVolume", Present),
    field(13, "cinder", Present),
    field(14, "cephfs", Present),
    field(15, "flocker", Present),
    field(16, "downwardAPI", Present),
    field(17, "fc", Present),
    field(18, "azureFile", Present),
    field(19, "configMap", Present),
    field(20, "vsphereVolume", Present),
    field(21, "quobyte", Present),
    field(22, "azureDisk", Present),
    field(23, "photonPersistentDisk", Present),
    field(24, "portworxVolume", Present),
    field(25, "scaleIO", Present),
    field(26, "projected", Present),
    field(27, "storageos", Present),
    field(28, "csi", Present),
    field(29, "ephemeral", Present),
    field(30, "image", Message(&[field(1, "reference", Text)])),
];

const TEMPLATE: Shape =
    Message(&[field(1, "metadata", Message(METADATA)), field(2, "spec", Message(POD_SPEC))]);

/// A `ReplicaSet` or `ReplicationController`.
const REPLICAS: &[Field] = &object_of(
    &[field(1, "replicas", Pointer(&Number)), field(3, "template", TEMPLATE)],
    &[field(1, "replicas", Number)],
);

const DEPLOYMENT: &[Field] = &object_of(
    &[
        field(1, "replicas", Pointer(&Number)),
        field(3, "template", TEMPLATE),
        field(4, "strategy", Present),
        field(7, "paused", Flag),
    ],
    &[field(2, "replicas", Number), field(3, "updatedReplicas", Number)],
);

const STATEFUL_SET: &[Field] = &object_of(
    &[
        field(1, "replicas", Pointer(&Number)),
        field(3, "template", TEMPLATE),
        field(7, "updateStrategy", Present),
    ],
    &[field(2, "replicas", Number)],
);

const DAEMON_SET: &[Field] = &object_of(
    &[field(2, "template", TEMPLATE), field(3, "updateStrategy", Present)],
    &[field(1, "currentNumberScheduled", Number), field(3, "desiredNumberScheduled", Number)],
);

const JOB: &[Field] = &object_of(
    JOB_SPEC,
    &[
        field(1, "conditions", List(&Message(&[field(1, "type", Text), field(2, "status", Text)]))),
        field(4, "active", Number),
        field(5, "succeeded", Number),
    ],
);

const JOB_SPEC: &[Field] = &[
    field(1, "parallelism", Pointer(&Number)),
    field(2, "completions", Pointer(&Number)),
    field(6, "template", TEMPLATE),
    field(10, "suspend", Pointer(&Flag)),
];

const CRON_JOB: &[Field] = &object_of(
    &[
        field(4, "suspend", Pointer(&Flag)),
        field(5, "jobTemplate", Message(&[field(2, "spec", Message(JOB_SPEC))])),
    ],
    // It does not count its pods.
    &[],
);
