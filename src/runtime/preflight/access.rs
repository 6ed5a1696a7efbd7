//! Whether the user of the kubeconfig may do what podgate must.

use futures::future::join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};

use super::super::permissions::{Need, PERMISSIONS, Permission, Scope};
use super::{Check, Subject};
use crate::clusters::Cluster;

/// One check for each permission of the table.
pub(super) async fn permissions(cluster: &Cluster, release_namespace: &str) -> Vec<Check> {
    let api = Api::<SelfSubjectAccessReview>::all(cluster.client.clone());
    join_all(PERMISSIONS.iter().map(|permission| check(&api, permission, release_namespace))).await
}

async fn check(
    api: &Api<SelfSubjectAccessReview>,
    permission: &Permission,
    release_namespace: &str,
) -> Check {
    let namespace = match permission.scope {
        Scope::Cluster => None,
        Scope::Release => Some(release_namespace),
    };
    let mut refused = Vec::new();
    for verb in permission.verbs {
        match allowed(api, permission, verb, namespace).await {
            Ok(true) => {}
            Ok(false) => refused.push(*verb),
            Err(error) => {
                return Subject::Permission
                    .unseen(&what(permission, permission.verbs, namespace), &error);
            }
        }
    }
    if refused.is_empty() {
        return Subject::Permission
            .ok(format!("may {}", what(permission, permission.verbs, namespace)));
    }
    let missing = format!("may not {}", what(permission, &refused, namespace));
    let why = permission.why;
    match permission.need {
        Need::Always => Subject::Permission
            .error(missing, format!("podgate needs it to {why}; the chart's roles grant it")),
        Need::For(purpose) => Subject::Permission.warning(
            missing,
            format!("only {purpose} needs it, to {why}; the chart's values grant it"),
        ),
    }
}

/// `list and watch pods in namespace x`.
fn what(permission: &Permission, verbs: &[&str], namespace: Option<&str>) -> String {
    let Permission { group, resource, subresource, .. } = permission;
    let mut name = (*resource).to_owned();
    if !group.is_empty() {
        name = format!("{name}.{group}");
    }
    if !subresource.is_empty() {
        name = format!("{name}/{subresource}");
    }
    let place = namespace.map(|it| format!(" in namespace {it}")).unwrap_or_default();
    format!("{} {name}{place}", verbs.join(", "))
}

async fn allowed(
    api: &Api<SelfSubjectAccessReview>,
    permission: &Permission,
    verb: &str,
    namespace: Option<&str>,
) -> Result<bool, kube::Error> {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: given(permission.group),
                resource: given(permission.resource),
                subresource: given(permission.subresource),
                verb: given(verb),
                namespace: namespace.map(str::to_owned),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = api.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
