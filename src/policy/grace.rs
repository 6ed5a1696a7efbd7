//! Who created an object: during the grace of a policy (`spec.graceUntil`), what Kubernetes' own controllers create from
//! templates that are there is not denied.
//!
//! The answer comes from the review alone: from the user, which the API server has authenticated, and from the
//! controller reference. Anyone may write the reference, and only controllers are these users.

use super::object::OwnerReference;
use super::subject::Subject;
use super::vap::expression::texts;
use super::workload::Kind;

/// The user of the controller manager where its controllers have no service accounts of their own
/// (`--use-service-account-credentials=false`).
const CONTROLLER_MANAGER: &str = "system:kube-controller-manager";
/// The prefix of its controllers' users otherwise (`--use-service-account-credentials=true`): a service account for
/// each, in this namespace.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:kube-system:";

/// What a controller creates, and from the template of which owner.
struct Creation {
    created: Kind,
    owner: Kind,
    /// The name of the controller's service account (`pkg/controller/*` and `cmd/kube-controller-manager/app` of
    /// Kubernetes), which is not the name of the controller itself.
    controller: &'static str,
}

const fn creation(created: Kind, owner: Kind, controller: &'static str) -> Creation {
    Creation { created, owner, controller }
}

const CREATIONS: [Creation; 9] = [
    creation(Kind::Pod, Kind::ReplicaSet, "replicaset-controller"),
    creation(Kind::Pod, Kind::StatefulSet, "statefulset-controller"),
    creation(Kind::Pod, Kind::DaemonSet, "daemon-set-controller"),
    creation(Kind::Pod, Kind::Job, "job-controller"),
    creation(Kind::Pod, Kind::ReplicationController, "replication-controller"),
    creation(Kind::ReplicaSet, Kind::Deployment, "deployment-controller"),
    creation(Kind::Job, Kind::CronJob, "cronjob-controller"),
    creation(Kind::ControllerRevision, Kind::StatefulSet, "statefulset-controller"),
    creation(Kind::ControllerRevision, Kind::DaemonSet, "daemon-set-controller"),
];

/// The users that Kubernetes' controllers have in a cluster.
#[derive(Clone, Debug, Default)]
pub struct ControllerUsers {
    /// Names beside Kubernetes' own, each of which stands for every controller.
    more: Vec<String>,
}

impl ControllerUsers {
    /// Kubernetes' own names, and these.
    pub const fn with(more: Vec<String>) -> Self {
        Self { more }
    }

    /// Whether this user is the controller that creates objects of this kind for its controlling owner.
    pub fn created(&self, subject: &Subject<'_>, user: &str) -> bool {
        let owner = subject.metadata.and_then(|it| it.controller.as_ref());
        owner.is_some_and(|owner| {
            CREATIONS.iter().any(|it| {
                it.created == subject.kind && owns(owner, it.owner) && self.is(user, it.controller)
            })
        })
    }

    pub(super) fn more(&self) -> &[String] {
        &self.more
    }

    /// What controllers create, as a list in CEL: created kind, owner's kind and apiVersion, and controller.
    pub(super) fn table() -> String {
        let judged = CREATIONS.iter().filter(|it| it.created != Kind::ControllerRevision);
        let rows = judged.map(|Creation { created, owner, controller }| {
            let owner = owner.names();
            texts(&[created.names().kind, owner.kind, &owner.api_version(), controller])
        });
        format!("[{}]", rows.collect::<Vec<_>>().join(", "))
    }

    fn is(&self, user: &str, controller: &str) -> bool {
        user == CONTROLLER_MANAGER
            || user.strip_prefix(SERVICE_ACCOUNT) == Some(controller)
            || self.more.iter().any(|it| it == user)
    }
}

/// Whether the object's controlling owner is one for which a controller of Kubernetes creates such objects.
pub fn by_controller(subject: &Subject<'_>) -> bool {
    ControllerUsers::default().created(subject, CONTROLLER_MANAGER)
}

fn owns(owner: &OwnerReference<'_>, kind: Kind) -> bool {
    let names = kind.names();
    *owner.kind == *names.kind && *owner.api_version == *names.api_version()
}

#[cfg(test)]
mod tests {
    use super::super::object::Object;
    use super::*;

    /// Whether this user's object of this kind, with this owner, is a controller's.
    fn created(users: &ControllerUsers, user: &str, kind: Kind, owner: &str) -> bool {
        let json = format!(r#"{{"metadata": {{"name": "x", "ownerReferences": [{owner}]}}}}"#);
        let object: Object = serde_json::from_str(&json).unwrap();
        users.created(&Subject::or_empty(kind, &object), user)
    }

    fn owner(api_version: &str, kind: &str) -> String {
        format!(
            r#"{{"apiVersion": "{api_version}", "kind": "{kind}", "name": "o", "controller": true}}"#
        )
    }

    #[test]
    fn each_controller_creates_one_kind_for_one_kind_of_owner() {
        let users = ControllerUsers::default();
        let all = [
            ("replicaset-controller", Kind::Pod, "apps/v1", "ReplicaSet"),
            ("statefulset-controller", Kind::Pod, "apps/v1", "StatefulSet"),
            ("daemon-set-controller", Kind::Pod, "apps/v1", "DaemonSet"),
            ("job-controller", Kind::Pod, "batch/v1", "Job"),
            ("replication-controller", Kind::Pod, "v1", "ReplicationController"),
            ("deployment-controller", Kind::ReplicaSet, "apps/v1", "Deployment"),
            ("cronjob-controller", Kind::Job, "batch/v1", "CronJob"),
            ("statefulset-controller", Kind::ControllerRevision, "apps/v1", "StatefulSet"),
            ("daemon-set-controller", Kind::ControllerRevision, "apps/v1", "DaemonSet"),
        ];
        for (name, _, _, _) in all {
            let user = format!("system:serviceaccount:kube-system:{name}");
            for (controller, _, api_version, owned) in all {
                for kind in Kind::ALL.into_iter().chain([Kind::ControllerRevision]) {
                    let right = all.contains(&(name, kind, api_version, owned));
                    assert_eq!(
                        created(&users, &user, kind, &owner(api_version, owned)),
                        right && controller == name,
                        "{user} makes a {kind:?} of {api_version} {owned}"
                    );
                }
            }
        }
    }

    #[test]
    fn neither_a_user_nor_an_owner_is_enough() {
        let users = ControllerUsers::default();
        let user = "system:serviceaccount:kube-system:replicaset-controller";
        let right = owner("apps/v1", "ReplicaSet");
        assert!(created(&users, user, Kind::Pod, &right));
        for other in [
            "",
            "jane",
            "replicaset-controller",
            "system:serviceaccount:kube-system:",
            "system:serviceaccount:kube-system:replicaset-controller2",
            "system:serviceaccount:shop:replicaset-controller",
            "system:serviceaccount:kube-system:generic-garbage-collector",
            "system:serviceaccount:kube-system:Replicaset-controller",
            "system:kube-scheduler",
            "system:kube-controller-manager2",
        ] {
            assert!(!created(&users, other, Kind::Pod, &right), "{other:?}");
        }
        for other in [
            String::new(),
            owner("", "ReplicaSet"),
            owner("v1", "ReplicaSet"),
            owner("apps/v1beta1", "ReplicaSet"),
            owner("apps/v1 ", "ReplicaSet"),
            owner("apps.example.com/v1", "ReplicaSet"),
            owner("apps/v1", "replicaset"),
            owner("apps/v1", ""),
            owner("v1", "Node"),
            right.replace("true", "false"),
            right.replace(r#", "controller": true"#, ""),
        ] {
            assert!(!created(&users, user, Kind::Pod, &other), "{other}");
        }
        let two = format!("{}, {}", owner("v1", "Node"), right);
        assert!(!created(&users, user, Kind::Pod, &two), "an object has one controller");
        let beside = format!("{}, {right}", owner("v1", "Node").replace("true", "false"));
        assert!(created(&users, user, Kind::Pod, &beside), "other owners do not matter");
    }

    #[test]
    fn the_controller_manager_and_added_users_stand_for_every_controller() {
        let users = ControllerUsers::with(vec!["eks:controllers".to_owned()]);
        for user in ["system:kube-controller-manager", "eks:controllers"] {
            assert!(created(&users, user, Kind::Pod, &owner("apps/v1", "ReplicaSet")));
            assert!(created(&users, user, Kind::Job, &owner("batch/v1", "CronJob")));
            assert!(!created(&users, user, Kind::Job, &owner("apps/v1", "Deployment")));
            assert!(!created(&users, user, Kind::Pod, ""), "the owner counts all the same");
        }
        let none = ControllerUsers::default();
        assert!(!created(&none, "eks:controllers", Kind::Pod, &owner("apps/v1", "ReplicaSet")));
    }
}
