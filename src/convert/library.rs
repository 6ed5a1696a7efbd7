//! The constraints of Gatekeeper's library that are about pods, as CEL. `variables.params` has the constraint's
//! parameters, and `c` is a container that is not exempt by its image.

/// What a constraint looks at.
#[derive(Clone, Copy)]
pub(super) enum Of {
    Pod,
    AllContainers,
    AppAndInit,
    App,
}

/// A kind, with expressions that are true for what passes, and messages. An expression that begins with `object` is
/// about the pod.
type Constraint = (&'static str, Of, &'static [(&'static str, &'static str)]);

pub(super) const LIBRARY: &[Constraint] = &[
    (
        "K8sAllowedRepos",
        Of::AllContainers,
        &[(
            "variables.params.repos.exists(r, c.image.startsWith(r))",
            "an image begins with none of the allowed repositories",
        )],
    ),
    (
        "K8sAllowedReposv2",
        Of::AllContainers,
        &[(
            "variables.params.allowedImages.exists(r, r.endsWith('*') ? c.image.startsWith(r.substring(0, size(r) - 1)) : c.image == r)",
            "an image is none of the allowed images",
        )],
    ),
    (
        "K8sDisallowedRepos",
        Of::AllContainers,
        &[(
            "!variables.params.repos.exists(r, c.image.startsWith(r))",
            "an image begins with a disallowed repository",
        )],
    ),
    (
        "K8sDisallowedTags",
        Of::AllContainers,
        &[
            (
                "!variables.params.?tags.orValue([]).exists(tag, c.image.endsWith(':' + tag))",
                "an image has a disallowed tag",
            ),
            ("c.image.split('/').last().orValue('').contains(':')", "an image has no tag"),
        ],
    ),
    (
        "K8sImageDigests",
        Of::AllContainers,
        &[(
            "c.image.matches('@[a-z0-9]+([+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+')",
            "an image is not pinned by a digest",
        )],
    ),
    (
        "K8sRequiredProbes",
        Of::App,
        &[(
            "variables.params.probes.all(p, p in c && (!has(variables.params.probeTypes) || variables.params.probeTypes.exists(t, t in c[p])))",
            "a container lacks a required probe",
        )],
    ),
    (
        "K8sRequiredLabels",
        Of::Pod,
        &[
            (
                "variables.params.labels.all(l, l.key in object.metadata.?labels.orValue({}))",
                "a required label is missing",
            ),
            (
                "variables.params.labels.all(l, !(l.key in object.metadata.?labels.orValue({})) || object.metadata.labels[l.key].matches(l.?allowedRegex.orValue('')))",
                "a label's value does not match its allowedRegex",
            ),
        ],
    ),
    (
        "K8sRequiredAnnotations",
        Of::Pod,
        &[
            (
                "variables.params.annotations.all(a, a.key in object.metadata.?annotations.orValue({}))",
                "a required annotation is missing",
            ),
            (
                "variables.params.annotations.all(a, !(a.key in object.metadata.?annotations.orValue({})) || object.metadata.annotations[a.key].matches(a.?allowedRegex.orValue('')))",
                "an annotation's value does not match its allowedRegex",
            ),
        ],
    ),
    (
        "K8sContainerLimits",
        Of::AppAndInit,
        &[
            ("has(c.resources) && has(c.resources.limits)", "a container has no resource limits"),
            (
                "variables.params.?cpu.orValue('-1') == '-1' || (string(c.?resources.?limits.?cpu.orValue('')).matches('^[0-9]+([.][0-9]+)?m?$') && quantity(string(c.resources.limits.cpu)).compareTo(quantity(string(variables.params.cpu))) <= 0)",
                "a container has no cpu limit, or one above the maximum",
            ),
            (
                "string(c.?resources.?limits.?memory.orValue('')).matches('^[0-9]+([.][0-9]+)?([EPTGMkm]|[KMGTPE]i)?$') && (!has(variables.params.memory) || quantity(string(c.resources.limits.memory)).compareTo(quantity(string(variables.params.memory))) <= 0)",
                "a container has no memory limit, or one above the maximum",
            ),
        ],
    ),
    (
        "K8sContainerRequests",
        Of::AppAndInit,
        &[
            (
                "has(c.resources) && has(c.resources.requests)",
                "a container has no resource requests",
            ),
            (
                "string(c.?resources.?requests.?cpu.orValue('')).matches('^[0-9]+([.][0-9]+)?m?$') && (!has(variables.params.cpu) || quantity(string(c.resources.requests.cpu)).compareTo(quantity(string(variables.params.cpu))) <= 0)",
                "a container has no cpu request, or one above the maximum",
            ),
            (
                "string(c.?resources.?requests.?memory.orValue('')).matches('^[0-9]+([.][0-9]+)?([EPTGMkm]|[KMGTPE]i)?$') && (!has(variables.params.memory) || quantity(string(c.resources.requests.memory)).compareTo(quantity(string(variables.params.memory))) <= 0)",
                "a container has no memory request, or one above the maximum",
            ),
        ],
    ),
    (
        "K8sContainerEphemeralStorageLimit",
        Of::AppAndInit,
        &[(
            "string(c.?resources.?limits[?'ephemeral-storage'].orValue('')).matches('^[0-9]+([.][0-9]+)?([EPTGMkm]|[KMGTPE]i)?$') && (!('ephemeral-storage' in variables.params) || quantity(string(c.resources.limits['ephemeral-storage'])).compareTo(quantity(string(variables.params['ephemeral-storage']))) <= 0)",
            "a container has no ephemeral-storage limit, or one above the maximum",
        )],
    ),
    (
        "K8sRequiredResources",
        Of::AppAndInit,
        &[
            (
                "variables.params.?limits.orValue([]).all(r, r in c.?resources.?limits.orValue({}))",
                "a container lacks a required limit",
            ),
            (
                "variables.params.?requests.orValue([]).all(r, r in c.?resources.?requests.orValue({}))",
                "a container lacks a required request",
            ),
        ],
    ),
    (
        "K8sPSPAutomountServiceAccountTokenPod",
        Of::Pod,
        &[(
            "has(object.spec.automountServiceAccountToken) ? object.spec.automountServiceAccountToken == false : (object.spec.containers + object.spec.?initContainers.orValue([])).all(c, c.?volumeMounts.orValue([]).all(m, m.mountPath != '/var/run/secrets/kubernetes.io/serviceaccount'))",
            "the token of the service account is mounted",
        )],
    ),
    (
        "K8sDisallowInteractiveTTY",
        Of::AllContainers,
        &[(
            "c.?stdin.orValue(false) == false && c.?tty.orValue(false) == false",
            "a container has a terminal (stdin or tty)",
        )],
    ),
    (
        "K8sPSPPrivilegedContainer",
        Of::AllContainers,
        &[("c.?securityContext.?privileged.orValue(false) == false", "a container is privileged")],
    ),
    (
        "K8sPSPAllowPrivilegeEscalationContainer",
        Of::AllContainers,
        &[(
            "c.?securityContext.?allowPrivilegeEscalation.orValue(true) == false",
            "a container may escalate its privileges",
        )],
    ),
    (
        "K8sPSPReadOnlyRootFilesystem",
        Of::AllContainers,
        &[(
            "c.?securityContext.?readOnlyRootFilesystem.orValue(false) == true",
            "a container can write to its root file system",
        )],
    ),
    (
        "K8sPSPHostNamespace",
        Of::Pod,
        &[(
            "object.spec.?hostPID.orValue(false) == false && object.spec.?hostIPC.orValue(false) == false",
            "the pod shares a namespace of its node",
        )],
    ),
    (
        "K8sPSPVolumeTypes",
        Of::Pod,
        &[(
            "object.spec.?volumes.orValue([]).all(v, v.all(k, k == 'name' || k in variables.params.?volumes.orValue([]) || '*' in variables.params.?volumes.orValue([])))",
            "a volume is of a type that is not allowed",
        )],
    ),
    (
        "K8sPSPFlexVolumes",
        Of::Pod,
        &[(
            "object.spec.?volumes.orValue([]).all(v, !has(v.flexVolume) || variables.params.?allowedFlexVolumes.orValue([]).exists(a, a.driver == v.flexVolume.driver))",
            "a FlexVolume has a driver that is not allowed",
        )],
    ),
    (
        "K8sPSPProcMount",
        Of::AllContainers,
        &[(
            "variables.params.?procMount.orValue('').lowerAscii() == 'unmasked' || c.?securityContext.?procMount.orValue('Default').lowerAscii() == 'default'",
            "a container has another view of /proc than the default",
        )],
    ),
    (
        "K8sPSPHostNetworkingPorts",
        Of::AllContainers,
        &[
            (
                "object.spec.?hostNetwork.orValue(false) == false || variables.params.?hostNetwork.orValue(false) == true",
                "the pod is in the network of its node",
            ),
            (
                "c.?ports.orValue([]).all(p, !has(p.hostPort) || (!has(variables.params.min) || p.hostPort >= variables.params.min) && (!has(variables.params.max) || p.hostPort <= variables.params.max))",
                "a port of the node is out of the allowed range",
            ),
        ],
    ),
    (
        "K8sPSPForbiddenSysctls",
        Of::Pod,
        &[
            (
                "object.spec.?securityContext.?sysctls.orValue([]).all(s, !variables.params.?forbiddenSysctls.orValue([]).exists(p, p.endsWith('*') ? s.name.startsWith(p.substring(0, size(p) - 1)) : s.name == p))",
                "a sysctl is forbidden",
            ),
            (
                "object.spec.?securityContext.?sysctls.orValue([]).all(s, !has(variables.params.allowedSysctls) || variables.params.allowedSysctls.exists(p, p.endsWith('*') ? s.name.startsWith(p.substring(0, size(p) - 1)) : s.name == p))",
                "a sysctl is not allowed",
            ),
        ],
    ),
    (
        "K8sPSPSELinuxV2",
        Of::AllContainers,
        &[
            (
                "object.spec.?securityContext.?seLinuxOptions.optMap(o, variables.params.?allowedSELinuxOptions.orValue([]).exists(a, ['level', 'role', 'type', 'user'].all(f, !(f in o) || f in a && a[f] == o[f]))).orValue(true)",
                "the pod's SELinux options are not allowed",
            ),
            (
                "c.?securityContext.?seLinuxOptions.optMap(o, variables.params.?allowedSELinuxOptions.orValue([]).exists(a, ['level', 'role', 'type', 'user'].all(f, !(f in o) || f in a && a[f] == o[f]))).orValue(true)",
                "a container's SELinux options are not allowed",
            ),
        ],
    ),
    (
        "K8sPSPFSGroup",
        Of::Pod,
        &[(
            "!has(variables.params.rule) || variables.params.rule == 'RunAsAny' || object.spec.?securityContext.?fsGroup.optMap(g, variables.params.?ranges.orValue([]).exists(r, r.min <= g && g <= r.max)).orValue(variables.params.rule == 'MayRunAs')",
            "the pod's fsGroup is not allowed",
        )],
    ),
    (
        "K8sPSPAllowedUsers",
        Of::AllContainers,
        &[
            (
                "!has(variables.params.runAsUser) || variables.params.runAsUser.rule == 'RunAsAny' || c.?securityContext.?runAsUser.or(object.spec.?securityContext.?runAsUser).optMap(u, variables.params.runAsUser.rule == 'MustRunAsNonRoot' ? u != 0 : variables.params.runAsUser.?ranges.orValue([]).exists(r, r.min <= u && u <= r.max)).orValue(variables.params.runAsUser.rule == 'MustRunAsNonRoot' && c.?securityContext.?runAsNonRoot.or(object.spec.?securityContext.?runAsNonRoot).orValue(false) == true)",
                "a container's runAsUser is not allowed",
            ),
            (
                "!has(variables.params.runAsGroup) || variables.params.runAsGroup.rule == 'RunAsAny' || c.?securityContext.?runAsGroup.or(object.spec.?securityContext.?runAsGroup).optMap(g, variables.params.runAsGroup.?ranges.orValue([]).exists(r, r.min <= g && g <= r.max)).orValue(variables.params.runAsGroup.rule == 'MayRunAs')",
                "a container's runAsGroup is not allowed",
            ),
            (
                "!has(variables.params.supplementalGroups) || variables.params.supplementalGroups.rule == 'RunAsAny' || object.spec.?securityContext.?supplementalGroups.optMap(l, l.all(g, variables.params.supplementalGroups.?ranges.orValue([]).exists(r, r.min <= g && g <= r.max))).orValue(variables.params.supplementalGroups.rule == 'MayRunAs')",
                "the pod's supplementalGroups are not allowed",
            ),
            (
                "!has(variables.params.fsGroup) || variables.params.fsGroup.rule == 'RunAsAny' || object.spec.?securityContext.?fsGroup.optMap(g, variables.params.fsGroup.?ranges.orValue([]).exists(r, r.min <= g && g <= r.max)).orValue(variables.params.fsGroup.rule == 'MayRunAs')",
                "the pod's fsGroup is not allowed",
            ),
        ],
    ),
    (
        "K8sPSPCapabilities",
        Of::AllContainers,
        &[
            (
                "variables.params.?allowedCapabilities.orValue([]).exists(a, a == '*') || c.?securityContext.?capabilities.?add.orValue([]).all(k, variables.params.?allowedCapabilities.orValue([]).exists(a, a.lowerAscii() == k.lowerAscii()))",
                "a container adds a capability that is not allowed",
            ),
            (
                "c.?securityContext.?capabilities.?drop.orValue([]).exists(k, k.lowerAscii() == 'all') || variables.params.?requiredDropCapabilities.orValue([]).all(r, c.?securityContext.?capabilities.?drop.orValue([]).exists(k, k.lowerAscii() == r.lowerAscii()))",
                "a container does not drop a required capability",
            ),
        ],
    ),
];
