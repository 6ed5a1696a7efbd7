//! Pod Security: the labels of a Namespace, and Kyverno's `validate.podSecurity`.

use serde_json::Value;

use super::part::{Fit, Part, Reason, exemption};
use super::value::{Fields, text};

const PREFIX: &str = "pod-security.kubernetes.io/";

/// Its three modes, and podgate's.
const MODES: [(&str, &str); 3] = [("enforce", "enforce"), ("warn", "warn"), ("audit", "audit")];

/// The Kubernetes version whose checks podgate has.
const LATEST: [&str; 3] = ["", "latest", "v1.36"];

/// The parts of a Namespace with labels of Pod Security; none without.
pub(super) fn labels(namespace: &Value) -> Option<Vec<Part>> {
    let labels = namespace.at("/metadata/labels").as_object()?;
    let label = |name: &str| labels.get(&format!("{PREFIX}{name}"))?.as_str();
    let parts = MODES.iter().filter_map(|(label_mode, mode)| {
        let level = label(label_mode)?;
        let version = label(&format!("{label_mode}-version")).unwrap_or_default();
        Some(Part::make((*label_mode).to_owned(), |part| {
            part.draft.mode = mode;
            part.draft.namespace = text(namespace, "/metadata/name").map(str::to_owned);
            if *label_mode == "enforce" {
                let note =
                    "Pod Security denies only pods, and warns for workloads; podgate denies both";
                part.mark(Fit::Stricter, note);
            }
            self::level(part, level, version)
        }))
    });
    let parts: Vec<_> = parts.collect();
    (!parts.is_empty()).then_some(parts)
}

fn level(part: &mut Part, level: &str, version: &str) -> Result<(), Reason> {
    match level {
        "privileged" => return Ok(()),
        "baseline" | "restricted" => {
            part.draft.fields.push(("podSecurity", level.into()));
        }
        _ => {
            return Err(format!("there is no level {level:?} of the Pod Security Standards").into());
        }
    }
    if !LATEST.contains(&version) {
        let note = format!(
            "podgate has the checks of the newest version; {version} may lack some of them, and allow less"
        );
        part.mark(Fit::Looser, &note);
    }
    Ok(())
}

/// The checks of a control, by the name that the Pod Security Standards give it.
const CONTROLS: [(&str, &[&str]); 16] = [
    ("HostProcess", &["windowsHostProcess"]),
    ("Host Namespaces", &["hostNamespaces"]),
    ("Privileged Containers", &["privileged"]),
    ("Capabilities", &["capabilities_baseline", "capabilities_restricted"]),
    ("HostPath Volumes", &["hostPathVolumes"]),
    ("Host Ports", &["hostPorts"]),
    ("Host Probes / Lifecycle Hooks", &["hostProbesAndHostLifecycle"]),
    ("AppArmor", &["appArmorProfile"]),
    ("SELinux", &["seLinuxOptions"]),
    ("/proc Mount Type", &["procMount", "procMount_restricted"]),
    ("Seccomp", &["seccompProfile_baseline", "seccompProfile_restricted"]),
    ("Sysctls", &["sysctls"]),
    ("Volume Types", &["restrictedVolumes"]),
    ("Privilege Escalation", &["allowPrivilegeEscalation"]),
    ("Running as Non-root", &["runAsNonRoot"]),
    ("Running as Non-root user", &["runAsUser"]),
];

/// `validate.podSecurity` of a rule of Kyverno.
pub(super) fn rule(part: &mut Part, settings: &Value) -> Result<(), Reason> {
    let of = |field: &str| text(settings, field).unwrap_or_default();
    level(part, of("/level"), of("/version"))?;
    let restricted = of("/level") == "restricted";
    let mut excluded: Vec<(&str, Vec<String>)> = Vec::new();
    for exclude in settings.at("/exclude").items() {
        let control = text(exclude, "/controlName").unwrap_or_default();
        if text(exclude, "/restrictedField").is_some() {
            part.mark(
                Fit::Stricter,
                &format!("the exclusion of single values of {control} is left out"),
            );
            continue;
        }
        excluded.push((control, exclude.at("/images").texts()));
    }
    for (control, images) in &excluded {
        let Some((_, checks)) =
            CONTROLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(control))
        else {
            part.mark(
                Fit::Stricter,
                &format!("podgate knows no control {control:?}; its exclusion is left out"),
            );
            continue;
        };
        let known = |check: &&&str| {
            restricted || !check.ends_with("_restricted") && !RESTRICTED.contains(*check)
        };
        let rules: Vec<_> =
            checks.iter().filter(known).map(|check| format!("podSecurity/{check}")).collect();
        if rules.is_empty() {
            continue;
        }
        let (mut for_images, mut for_containers) = (Value::Null, Value::Null);
        let all = |it: &Vec<String>| it.iter().any(|it| it == "*");
        let same = |empty: bool| {
            excluded.iter().any(|(other, images)| {
                other == control && if empty { images.is_empty() } else { all(images) }
            })
        };
        if images.is_empty() {
            // Without images, Kyverno excludes the pod's own fields; with images, those of containers.
            if !same(false) && !OF_PODS.contains(control) {
                part.mark(Fit::Looser, &format!("{control} is excluded for the pod's own fields, and in podgate for its containers' too"));
            }
        } else if !all(images) {
            if images.iter().any(|it| !has_registry(it)) {
                part.mark(Fit::Looser, "a pattern of images without a registry is for Docker Hub's, however they are written");
            }
            for_images = images.clone().into();
        } else if same(true) {
            continue;
        } else {
            for_containers = vec!["*"].into();
        }
        let reason = format!("{control} was excluded in the converted policy");
        let fields =
            vec![("rules", rules.into()), ("images", for_images), ("containers", for_containers)];
        part.draft.exemptions.push(exemption(&reason, fields));
    }
    Ok(())
}

/// Checks that only `restricted` has.
const RESTRICTED: [&str; 4] =
    ["restrictedVolumes", "allowPrivilegeEscalation", "runAsNonRoot", "runAsUser"];

/// Controls of fields that only a pod has.
const OF_PODS: [&str; 4] = ["Host Namespaces", "HostPath Volumes", "Sysctls", "Volume Types"];

/// Whether an image pattern begins with a registry.
fn has_registry(pattern: &str) -> bool {
    pattern
        .split_once('/')
        .is_some_and(|(host, _)| host.contains(['.', ':']) && !host.contains('*'))
}
