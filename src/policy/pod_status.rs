//! The view of a running pod: the fields that status rules and listings read, borrowed from its JSON. The view of its
//! spec is [`super::object::Object`].

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::object::Text;

/// The input of status rules: the state of a running pod.
#[derive(Debug, Default)]
pub struct RunningPod<'a> {
    /// `status.phase`.
    pub phase: &'a str,
    /// Whether `spec.schedulingGates` holds the pod back.
    pub gated: bool,
    /// Whole seconds since the pod was created.
    pub age_seconds: u64,
    /// Restarts of every container, init containers too.
    pub restarts: Vec<Restarts<'a>>,
}

/// The restarts of one container.
#[derive(Debug)]
pub struct Restarts<'a> {
    pub container: &'a str,
    /// The path of the count: `status.containerStatuses[0].restartCount`.
    pub path: String,
    pub count: u32,
}

/// A pod of a cluster.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodStatus<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow)]
    spec: Spec<'a>,
    #[serde(borrow)]
    status: Status<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata<'a> {
    #[serde(borrow)]
    creation_timestamp: Text<'a>,
    #[serde(borrow)]
    deletion_timestamp: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec<'a> {
    scheduling_gates: Option<Vec<IgnoredAny>>,
    #[serde(borrow)]
    node_name: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status<'a> {
    #[serde(borrow)]
    phase: Text<'a>,
    #[serde(borrow)]
    init_container_statuses: Option<Vec<ContainerStatus<'a>>>,
    #[serde(borrow)]
    container_statuses: Option<Vec<ContainerStatus<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerStatus<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    restart_count: i64,
}

impl PodStatus<'_> {
    /// `status.phase`; empty if it is not set yet.
    pub fn phase(&self) -> &str {
        &self.status.phase
    }

    /// `spec.nodeName`; empty if the pod is not bound to a node.
    pub fn node(&self) -> &str {
        &self.spec.node_name
    }

    /// `metadata.creationTimestamp`, if present.
    pub fn created(&self) -> Option<Timestamp> {
        self.metadata.creation_timestamp.parse().ok()
    }

    /// Whether the pod has ended, in success or failure. Such a pod runs nothing, so no score counts it.
    pub fn has_ended(&self) -> bool {
        matches!(self.phase(), "Succeeded" | "Failed")
    }

    /// Whether the pod is being deleted.
    pub fn is_terminating(&self) -> bool {
        !self.metadata.deletion_timestamp.is_empty()
    }

    /// The input of status rules at the time `now`.
    pub fn running(&self, now: Timestamp) -> RunningPod<'_> {
        let age = self.created().map_or(0, |created| now.duration_since(created).as_secs());
        RunningPod {
            phase: self.phase(),
            gated: self.spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()),
            // The API server's clock may be ahead of ours.
            age_seconds: u64::try_from(age).unwrap_or(0),
            restarts: self.restarts().collect(),
        }
    }

    fn restarts(&self) -> impl Iterator<Item = Restarts<'_>> {
        // Ephemeral containers never restart.
        let lists = [
            ("initContainerStatuses", &self.status.init_container_statuses),
            ("containerStatuses", &self.status.container_statuses),
        ];
        lists.into_iter().flat_map(|(list, statuses)| {
            statuses.iter().flatten().enumerate().map(move |(index, status)| Restarts {
                container: &status.name,
                path: format!("status.{list}[{index}].restartCount"),
                count: u32::try_from(status.restart_count.max(0)).unwrap_or(u32::MAX),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-01T00:10:00Z";

    fn with_running(json: &str, read: impl FnOnce(&PodStatus<'_>, RunningPod<'_>)) {
        let pod: PodStatus = serde_json::from_str(json).unwrap();
        read(&pod, pod.running(NOW.parse().unwrap()));
    }

    #[test]
    fn a_live_pod_is_read_with_the_restarts_of_every_container() {
        let json = r#"{
            "metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": "n1", "containers": [{"name": "web"}]},
            "status": {
                "phase": "Running",
                "initContainerStatuses": [{"name": "migrate", "restartCount": 7, "ready": true}],
                "containerStatuses": [{"name": "web", "restartCount": 0}, {"name": "\u0077", "restartCount": 2}]
            }
        }"#;
        with_running(json, |pod, running| {
            assert_eq!((pod.phase(), pod.node(), pod.has_ended()), ("Running", "n1", false));
            assert_eq!(
                (running.phase, running.gated, running.age_seconds),
                ("Running", false, 600)
            );
            let restarts: Vec<_> = running
                .restarts
                .iter()
                .map(|it| (it.container, it.path.as_str(), it.count))
                .collect();
            assert_eq!(
                restarts,
                [
                    ("migrate", "status.initContainerStatuses[0].restartCount", 7),
                    ("web", "status.containerStatuses[0].restartCount", 0),
                    ("w", "status.containerStatuses[1].restartCount", 2),
                ]
            );
        });
    }

    #[test]
    fn a_pod_that_was_just_created_has_no_status_and_no_age() {
        for json in [
            "{}",
            r#"{"metadata": {}, "spec": {"schedulingGates": null}, "status": {"containerStatuses": null}}"#,
            r#"{"metadata": {"creationTimestamp": null}, "status": {"phase": null}}"#,
            r#"{"metadata": {"creationTimestamp": "2026-01-01T00:10:01Z"}, "status": {}}"#,
        ] {
            with_running(json, |pod, running| {
                assert_eq!((pod.phase(), pod.node(), running.age_seconds), ("", "", 0), "{json}");
                assert!(running.restarts.is_empty() && !running.gated, "{json}");
            });
        }
    }

    #[test]
    fn a_pod_that_is_being_deleted_says_since_when() {
        for (metadata, terminating) in [
            (r#"{"deletionTimestamp": "2026-01-01T00:00:00Z"}"#, true),
            (r#"{"deletionTimestamp": null}"#, false),
            ("{}", false),
        ] {
            let json = format!(r#"{{"metadata": {metadata}}}"#);
            with_running(&json, |pod, _| assert_eq!(pod.is_terminating(), terminating));
        }
    }

    #[test]
    fn a_gate_holds_a_pod_back_and_an_empty_list_of_them_does_not() {
        for (gates, gated) in [(r#"[{"name": "quota"}]"#, true), ("[]", false)] {
            let json = format!(r#"{{"spec": {{"schedulingGates": {gates}}}}}"#);
            with_running(&json, |_, running| assert_eq!(running.gated, gated));
        }
    }

    #[test]
    fn succeeded_and_failed_pods_have_ended_and_a_count_out_of_range_is_bounded() {
        for (phase, ended) in
            [("Pending", false), ("Unknown", false), ("Succeeded", true), ("Failed", true)]
        {
            let json = format!(r#"{{"status": {{"phase": "{phase}"}}}}"#);
            with_running(&json, |pod, _| assert_eq!(pod.has_ended(), ended, "{phase}"));
        }
        for (count, read) in [("-1", 0), ("4294967296", u32::MAX)] {
            let json =
                format!(r#"{{"status": {{"containerStatuses": [{{"restartCount": {count}}}]}}}}"#);
            with_running(&json, |_, running| assert_eq!(running.restarts[0].count, read));
        }
        assert!(serde_json::from_str::<PodStatus>(r#"{"status": "Running"}"#).is_err());
    }
}
